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

/// Φ by Abramowitz & Stegun 7.1.26 for erf (absolute error 1.5e-7).
#[inline(always)]
fn normal_cdf_f32(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let p = t.mul_add(1.061_405_4, -1.453_152);
    let p = t.mul_add(p, 1.421_413_8);
    let p = t.mul_add(p, -0.284_496_72);
    let p = t * t.mul_add(p, 0.254_829_6);
    let tail = 0.5 * p * exp_f32(-z * z); // Φ(-|x|)
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Σ f(k), k < n, with independent partial sums so that it runs in vectors; the order of the
/// additions is fixed.
#[inline(always)]
pub fn sum_of<T: Real>(n: usize, f: impl Fn(usize) -> T) -> T {
    const SUMS: usize = 32;
    let mut wide = [T::zero(); SUMS];
    let whole = n / SUMS * SUMS;
    for at in (0..whole).step_by(SUMS) {
        for (k, lane) in wide.iter_mut().enumerate() {
            *lane += f(at + k);
        }
    }
    let mut lanes = [T::zero(); LANES];
    for (k, sum) in wide.into_iter().enumerate() {
        lanes[k % LANES] += sum;
    }
    let end = n / LANES * LANES;
    for at in (whole..end).step_by(LANES) {
        for (k, lane) in lanes.iter_mut().enumerate() {
            *lane += f(at + k);
        }
    }
    let tail: T = (end..n).map(&f).sum();
    lanes.into_iter().sum::<T>() + tail
}

/// Σ a_i b_i.
#[inline(always)]
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let n = a.len();
    let b = &b[..n];
    sum_of(n, |k| a[k] * b[k])
}

/// Numbers in a row are padded to whole multiples of this.
pub const LANES: usize = 8;

/// Numbers in a row of n, padded for [`small_product`].
pub fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// Runs `$body` for the columns of a row of `$width` (whole lanes), two times [`LANES`] at a time and
/// then once: `$W` is a constant, the number of columns from `$from` on.
macro_rules! by_columns {
    ($width:expr, |$from:ident, $W:ident| $body:expr) => {{
        const LANES: usize = $crate::kernels::real::LANES;
        let width: usize = $width;
        let twos = width / (2 * LANES) * (2 * LANES);
        for $from in (0..twos).step_by(2 * LANES) {
            const $W: usize = 2 * LANES;
            $body
        }
        for $from in (twos..width).step_by(LANES) {
            const $W: usize = LANES;
            $body
        }
    }};
}
pub(crate) use by_columns;

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
    by_columns!(width, |from, W| {
        let mut row = 0;
        macro_rules! rows {
            ($n:literal) => {
                let a: [&[T]; $n] = std::array::from_fn(|i| &a[(row + i) * stride..][..k]);
                let mut sums = [[T::zero(); W]; $n];
                for p in 0..k {
                    let b: &[T; W] = lanes(&b[p * width + from..]);
                    for i in 0..$n {
                        add_scaled(a[i][p], b, &mut sums[i]);
                    }
                }
                for (i, sums) in sums.iter().enumerate() {
                    c[(row + i) * width + from..][..W].copy_from_slice(sums);
                }
                row += $n;
            };
        }
        while row + 8 <= m {
            rows!(8);
        }
        if row + 4 <= m {
            rows!(4);
        }
        while row < m {
            rows!(1);
        }
    });
}

/// c `[m, width]` += aᵀ b for a `[k, ≥ m]`, rows `stride` apart, and b `[k, width]`; m and width
/// are whole lanes.
#[inline(always)]
pub fn add_transposed_product<T: Real>(
    (k, width): (usize, usize),
    (a, stride): (&[T], usize),
    b: &[T],
    c: &mut [T],
) {
    let b = &b[..k * width];
    by_columns!(width, |from, W| {
        for (block, c) in c.chunks_exact_mut(LANES * width).enumerate() {
            let mut sums = [[T::zero(); W]; LANES];
            for (i, sums) in sums.iter_mut().enumerate() {
                *sums = *lanes(&c[i * width + from..]);
            }
            for p in 0..k {
                let a: &[T; LANES] = lanes(&a[p * stride + block * LANES..]);
                let b: &[T; W] = lanes(&b[p * width + from..]);
                for i in 0..LANES {
                    add_scaled(a[i], b, &mut sums[i]);
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                c[i * width + from..][..W].copy_from_slice(sums);
            }
        }
    });
}

/// The first N numbers.
#[inline(always)]
pub fn lanes<T, const N: usize>(x: &[T]) -> &[T; N] {
    x.first_chunk().expect("whole lanes")
}

/// sums += a b.
#[inline(always)]
pub fn add_scaled<T: Real, const W: usize>(a: T, b: &[T; W], sums: &mut [T; W]) {
    for lane in 0..W {
        sums[lane] = a.times_plus(b[lane], sums[lane]);
    }
}

/// to `[columns, width]` = the transpose of rows of `columns` numbers; what is over stays.
#[inline(always)]
pub fn transpose<T: Real>(rows: &[T], columns: usize, width: usize, to: &mut [T]) {
    for (j, row) in rows.chunks_exact(columns).enumerate() {
        row.iter().enumerate().for_each(|(x, v)| to[x * width + j] = *v);
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
        for (x, wide) in x.iter().zip(&wide) {
            let (fast, slow) = (f32::normal_cdf(*x), f64::normal_cdf(*wide));
            assert!((f64::from(fast) - slow).abs() < 2.5e-7, "Φ({x}) = {fast}");
        }
        let (mut fast, mut slow) = (x.clone(), wide.clone());
        f32::exp_slice(&mut fast);
        f64::exp_slice(&mut slow);
        for i in 0..x.len() {
            assert!((f64::from(fast[i]) / slow[i] - 1.0).abs() < 3e-7, "exp({})", x[i]);
        }
    }
}
