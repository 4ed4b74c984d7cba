//! The two number types of the network and their element-wise functions.
//!
//! f64 is the reference: library functions, no shortcuts. f32 is the product: branch-free
//! polynomials that the compiler turns into SIMD, compiled for AVX-512, AVX2 and the baseline, and
//! chosen at run time. Both run through the same kernels.

#![allow(unsafe_code)]

use candle_core::WithDType;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// Runs a function that is generic over the number type, compiled for the widest vectors this
/// processor has; it must be `#[inline(always)]`.
macro_rules! dispatch {
    ([$n:ident] $f:ident($($a:ident: $t:ty),*) -> $r:ty) => {'chosen: {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
            fn wide<$n: $crate::kernels::real::Real>($($a: $t),*) -> $r { $f($($a),*) }
            #[target_feature(enable = "avx2,fma")]
            fn middle<$n: $crate::kernels::real::Real>($($a: $t),*) -> $r { $f($($a),*) }
            if std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512bw")
            {
                // SAFETY: the features were detected on this processor just above.
                break 'chosen unsafe { wide($($a),*) };
            }
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
            {
                // SAFETY: the features were detected on this processor just above.
                break 'chosen unsafe { middle($($a),*) };
            }
        }
        $f($($a),*)
    }};
}
pub(crate) use dispatch;

/// f32 or f64.
pub trait Real:
    WithDType
    + Default
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + Sum
{
    /// Converts from f64.
    fn of(v: f64) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// a × self + b, rounded once: one instruction on every processor with wide vectors.
    fn times_plus(self, a: Self, b: Self) -> Self;
    /// e^x of every element, in place; inlined, so that its caller decides on the vectors.
    fn exp_slice(x: &mut [Self]);
    /// The standard normal distribution function Φ(x) = ½(1 + erf(x/√2)); inlined.
    fn normal_cdf(x: Self) -> Self;
}

impl Real for f64 {
    fn of(v: f64) -> Self {
        v
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn times_plus(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }
    fn exp_slice(x: &mut [Self]) {
        x.iter_mut().for_each(|v| *v = v.exp());
    }
    fn normal_cdf(x: Self) -> Self {
        0.5 * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
    }
}

impl Real for f32 {
    fn of(v: f64) -> Self {
        v as f32
    }
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn times_plus(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }
    #[inline(always)]
    fn exp_slice(x: &mut [Self]) {
        for v in x {
            *v = exp_f32(*v);
        }
    }
    #[inline(always)]
    fn normal_cdf(x: Self) -> Self {
        normal_cdf_f32(x)
    }
}

/// e^x by x = n ln 2 + r, a degree-6 polynomial in r and an exponent shift; relative error below
/// 2e-7 on [-87, 88], clamped outside.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    // Adding 1.5·2²³ rounds to the nearest whole number and leaves it in the last bits.
    let rounded = x.mul_add(std::f32::consts::LOG2_E, 12_582_912.0);
    let n = rounded - 12_582_912.0;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
    let p = r.mul_add(0.001_388_9, 0.008_333_95);
    let p = r.mul_add(p, 0.041_666_64);
    let p = r.mul_add(p, 0.166_666_66);
    let p = r.mul_add(p, 0.5);
    let p = r.mul_add(r.mul_add(p, 1.0), 1.0);
    p * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

/// Φ(x) − ½ as x P(x²) / Q(x²), minimax on [-5.6, 5.6] (9e-9; in single precision 1.8e-7), and Φ's limits
/// outside: exactly 0, so that gelu is, too.
#[inline(always)]
fn normal_cdf_f32(x: f32) -> f32 {
    let x = x.clamp(-5.6, 5.6);
    let s = x * x;
    let p = s.mul_add(2.214_522_2e-8, 6.356_497_4e-6);
    let p = s.mul_add(p, 1.738_496_2e-4);
    let p = s.mul_add(p, 4.707_252_7e-3);
    let p = s.mul_add(p, 3.437_603e-2);
    let p = s.mul_add(p, 0.398_942_22);
    let q = s.mul_add(1.180_206_7e-6, 7.510_142e-5);
    let q = s.mul_add(q, 1.912_972_2e-3);
    let q = s.mul_add(q, 2.894_003_8e-2);
    let q = s.mul_add(q, 0.252_833_64);
    let q = s.mul_add(q, 1.0);
    (0.5 + x * p / q).max(0.0)
}

/// Numbers that kernels take at once: one AVX-512 vector of single precision.
pub const LANES: usize = 16;

/// Σ f over numbers at the same place of N slices as long as the first, with independent partial sums
/// so that it runs in vectors; the order of the additions is fixed.
#[inline(always)]
pub fn sum_of<T: Real, const N: usize>(x: [&[T]; N], f: impl Fn([T; N]) -> T) -> T {
    let x = x.map(|one| &one[..x[0].len()]);
    let wide = x.map(|one| one.as_chunks::<{ 2 * LANES }>());
    let mut sums = [T::zero(); 2 * LANES];
    for i in 0..wide[0].0.len() {
        let chunks = wide.map(|(chunks, _)| &chunks[i]);
        for (k, sum) in sums.iter_mut().enumerate() {
            *sum += f(chunks.map(|chunk| chunk[k]));
        }
    }
    let rest = wide.map(|(_, rest)| rest.as_chunks::<LANES>());
    for i in 0..rest[0].0.len() {
        let chunks = rest.map(|(chunks, _)| &chunks[i]);
        for (k, sum) in sums[..LANES].iter_mut().enumerate() {
            *sum += f(chunks.map(|chunk| chunk[k]));
        }
    }
    let mut sums: [T; LANES] = std::array::from_fn(|k| sums[k] + sums[k + LANES]);
    for i in 0..rest[0].1.len() {
        sums[i] += f(rest.map(|(_, rest)| rest[i]));
    }
    folded(sums, |a, b| a + b)
}

/// Numbers joined in halves.
#[inline(always)]
fn folded<T: Real>(mut lanes: [T; LANES], join: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for k in 0..half {
            lanes[k] = join(lanes[k], lanes[k + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Σ a_i b_i.
#[inline(always)]
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    sum_of([a, b], |[a, b]| a * b)
}

/// The first vector of a slice.
#[inline(always)]
pub fn lanes<T>(x: &[T]) -> &[T; LANES] {
    x.first_chunk().expect("whole lanes")
}

/// Largest of some numbers, -∞ of none.
#[inline(always)]
pub fn largest<T: Real>(x: &[T]) -> T {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let mut lanes = [T::of(f64::NEG_INFINITY); LANES];
    let (whole, tail) = x.as_chunks::<LANES>();
    for chunk in whole {
        for (m, v) in lanes.iter_mut().zip(chunk) {
            *m = larger(*m, *v);
        }
    }
    tail.iter().fold(folded(lanes, larger), |m, v| larger(m, *v))
}

/// y += a x.
#[inline(always)]
pub fn axpy<T: Real>(a: T, x: &[T], y: &mut [T]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * *x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_f32_functions_follow_the_f64_reference() {
        let x: Vec<f32> = (-6000..6000).map(|i| i as f32 * 0.001 * 1.37).collect();
        let wide: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
        for (x, wide) in x.iter().zip(&wide) {
            let (fast, slow) = (f32::normal_cdf(*x), f64::normal_cdf(*wide));
            assert!((f64::from(fast) - slow).abs() < 2.5e-7, "Φ({x}) = {fast}");
        }
        assert_eq!([-9.0, 9.0, -1e30, 1e30].map(f32::normal_cdf), [0.0, 1.0, 0.0, 1.0]);
        let (mut fast, mut slow) = (x.clone(), wide.clone());
        f32::exp_slice(&mut fast);
        f64::exp_slice(&mut slow);
        for i in 0..x.len() {
            assert!((f64::from(fast[i]) / slow[i] - 1.0).abs() < 3e-7, "exp({})", x[i]);
        }
    }
}
