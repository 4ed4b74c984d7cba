//! The two number types of the network and their element-wise functions.
//!
//! f64 is the reference: library functions, no shortcuts. f32 is the product: branch-free
//! polynomials that the compiler turns into SIMD, compiled for AVX-512, AVX2 and the baseline, and
//! chosen at run time. Both run through the same kernels.

#![allow(unsafe_code)]

use candle_core::WithDType;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// Runs a plain loop compiled for the widest vectors this processor has.
macro_rules! dispatch {
    ($f:ident($($a:ident: $t:ty),*)) => {
        $crate::kernels::real::dispatch!([] $f($($a: $t),*) -> ())
    };
    // Of a function that is generic over the number type; it must be `#[inline(always)]`.
    ([$($n:ident)?] $f:ident($($a:ident: $t:ty),*) -> $r:ty) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
            fn wide$(<$n: $crate::kernels::real::Real>)?($($a: $t),*) -> $r { $f($($a),*) }
            #[target_feature(enable = "avx2,fma")]
            fn middle$(<$n: $crate::kernels::real::Real>)?($($a: $t),*) -> $r { $f($($a),*) }
            if std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512bw")
            {
                // SAFETY: the features were detected on this processor just above.
                return unsafe { wide($($a),*) };
            }
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
            {
                // SAFETY: the features were detected on this processor just above.
                return unsafe { middle($($a),*) };
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
    /// e^x of every element, in place.
    fn exp_slice(x: &mut [Self]);
    /// The standard normal distribution function Φ(x) = ½(1 + erf(x/√2)) of every element.
    fn normal_cdf(x: &[Self], out: &mut [Self]);
}

impl Real for f64 {
    fn of(v: f64) -> Self {
        v
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn exp_slice(x: &mut [Self]) {
        x.iter_mut().for_each(|v| *v = v.exp());
    }
    fn normal_cdf(x: &[Self], out: &mut [Self]) {
        for (o, v) in out.iter_mut().zip(x) {
            *o = 0.5 * (1.0 + libm::erf(v * std::f64::consts::FRAC_1_SQRT_2));
        }
    }
}

impl Real for f32 {
    fn of(v: f64) -> Self {
        v as f32
    }
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    fn exp_slice(x: &mut [Self]) {
        dispatch!(exp_slice_f32(x: &mut [f32]));
    }
    fn normal_cdf(x: &[Self], out: &mut [Self]) {
        dispatch!(normal_cdf_f32(x: &[f32], out: &mut [f32]));
    }
}

/// e^x by x = n ln 2 + r, a degree-6 polynomial in r and an exponent shift; relative error below
/// 2e-7 on [-87, 88], clamped outside.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0; // round to nearest
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.0
        + r * (1.0
            + r * (0.5
                + r * (0.166_666_66 + r * (0.041_666_64 + r * (0.008_333_95 + r * 0.001_388_9)))));
    p * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

#[inline(always)]
fn exp_slice_f32(x: &mut [f32]) {
    x.iter_mut().for_each(|v| *v = exp_f32(*v));
}

/// Φ by Abramowitz & Stegun 7.1.26 for erf (absolute error 1.5e-7).
#[inline(always)]
fn normal_cdf_f32(x: &[f32], out: &mut [f32]) {
    for (o, v) in out.iter_mut().zip(x) {
        let z = v.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * z);
        let p = t
            * (0.254_829_6
                + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152 + t * 1.061_405_4))));
        let tail = 0.5 * p * exp_f32(-z * z); // Φ(-|x|)
        *o = if *v < 0.0 { tail } else { 1.0 - tail };
    }
}

/// Σ f(k), k < n, with eight independent partial sums so that it runs in vectors; the order of the
/// additions is fixed.
#[inline(always)]
pub fn sum_of<T: Real>(n: usize, f: impl Fn(usize) -> T) -> T {
    let mut lanes = [T::zero(); 8];
    let whole = n / 8 * 8;
    for at in (0..whole).step_by(8) {
        for (k, lane) in lanes.iter_mut().enumerate() {
            *lane += f(at + k);
        }
    }
    let tail: T = (whole..n).map(&f).sum();
    lanes.into_iter().sum::<T>() + tail
}

/// Σ a_i b_i.
#[inline(always)]
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let n = a.len();
    let b = &b[..n];
    sum_of(n, |k| a[k] * b[k])
}

/// Columns that a small product computes at once; its matrices are padded to whole ones.
pub const LANES: usize = 8;

/// Numbers in a row of n, padded for [`small_product`].
pub fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// c `[m, width]` = a `[m, ≥ k]` b `[k, width]`, rows of a `stride` apart, width whole lanes: for
/// the products inside attention, too small for the matrix library.
#[inline(always)]
pub fn small_product<T: Real>(
    (k, width): (usize, usize),
    (a, stride): (&[T], usize),
    b: &[T],
    c: &mut [T],
) {
    let (b, m) = (&b[..k * width], c.len() / width);
    for from in (0..width).step_by(LANES) {
        let mut row = 0;
        while row + 4 <= m {
            rows_of::<T, 4>((k, width, from), &a[row * stride..], stride, b, &mut c[row * width..]);
            row += 4;
        }
        while row < m {
            rows_of::<T, 1>((k, width, from), &a[row * stride..], stride, b, &mut c[row * width..]);
            row += 1;
        }
    }
}

/// N rows of eight columns of [`small_product`].
#[inline(always)]
fn rows_of<T: Real, const N: usize>(
    (k, width, from): (usize, usize, usize),
    a: &[T],
    stride: usize,
    b: &[T],
    c: &mut [T],
) {
    let rows: [&[T]; N] = std::array::from_fn(|i| &a[i * stride..][..k]);
    let mut sums = [[T::zero(); LANES]; N];
    for p in 0..k {
        let b: &[T; LANES] = b[p * width + from..][..LANES].try_into().expect("whole lanes");
        for i in 0..N {
            for lane in 0..LANES {
                sums[i][lane] += rows[i][p] * b[lane];
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        c[i * width + from..][..LANES].copy_from_slice(sums);
    }
}

/// Largest of some numbers, -∞ of none.
#[inline(always)]
pub fn largest<T: Real>(x: &[T]) -> T {
    let mut lanes = [T::of(f64::NEG_INFINITY); LANES];
    let (whole, tail) = x.as_chunks::<LANES>();
    for chunk in whole {
        for (m, v) in lanes.iter_mut().zip(chunk) {
            *m = if *v > *m { *v } else { *m };
        }
    }
    lanes.iter().chain(tail).fold(lanes[0], |m, v| if *v > m { *v } else { m })
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
        let (mut fast, mut slow) = (vec![0.0f32; x.len()], vec![0.0; x.len()]);
        f32::normal_cdf(&x, &mut fast);
        f64::normal_cdf(&wide, &mut slow);
        for i in 0..x.len() {
            assert!((f64::from(fast[i]) - slow[i]).abs() < 2.5e-7, "Φ({}) = {}", x[i], fast[i]);
        }
        let (mut fast, mut slow) = (x.clone(), wide.clone());
        f32::exp_slice(&mut fast);
        f64::exp_slice(&mut slow);
        for i in 0..x.len() {
            assert!((f64::from(fast[i]) / slow[i] - 1.0).abs() < 3e-7, "exp({})", x[i]);
        }
    }
}
