//! One number of each of sixteen replicas, and the functions that the forces need of it.
//!
//! The functions take one lane and have no branches, so that the compiler turns a loop over the
//! lanes into vector instructions. They use additions, products, quotients, square roots and fused
//! multiply-adds alone, all exactly rounded: the same input gives the same bits on any processor.

use std::ops::{Index, IndexMut};

/// Replicas that run together: one AVX-512 register of single precision, two of AVX2.
pub const LANES: usize = 16;

/// A number of each replica.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub struct Row(pub [f32; LANES]);

impl Row {
    /// Zeros.
    pub const ZERO: Self = Self([0.0; LANES]);
}

impl Index<usize> for Row {
    type Output = f32;
    #[inline(always)]
    fn index(&self, lane: usize) -> &f32 {
        &self.0[lane]
    }
}

impl IndexMut<usize> for Row {
    #[inline(always)]
    fn index_mut(&mut self, lane: usize) -> &mut f32 {
        &mut self.0[lane]
    }
}

/// 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits.
const ROUND: f32 = 12_582_912.0;

/// e^x for x up to 80; relative error below 2e-7, 0 (well, e^-87) far below zero.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x > -87.0 { x } else { -87.0 };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let k = shifted - ROUND;
    // ln 2 in two parts.
    let r = k.mul_add(-0.693_145_75, x);
    let r = k.mul_add(-1.428_606_8e-6, r);
    let p = 1.987_569_2e-4f32;
    let p = p.mul_add(r, 1.398_199_9e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 5e-1);
    let p = (r * r).mul_add(p, r) + 1.0;
    // The low bits of `shifted` are k; they are added to the exponent of p.
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// Natural logarithm of a normal positive number; relative error below 2e-7 away from 1, absolute
/// error below 1e-7 of |x - 1| near it.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    // Exponent such that the rest is in [sqrt(1/2), sqrt(2)).
    let e = (bits.wrapping_sub(0x3f35_04f3) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((e << 23) as u32)) - 1.0;
    let e = e as f32;
    let z = m * m;
    let p = 7.037_683_6e-2f32;
    let p = p.mul_add(m, -1.151_461e-1);
    let p = p.mul_add(m, 1.167_699_9e-1);
    let p = p.mul_add(m, -1.242_014_1e-1);
    let p = p.mul_add(m, 1.424_932_3e-1);
    let p = p.mul_add(m, -1.666_805_7e-1);
    let p = p.mul_add(m, 2.000_071_5e-1);
    let p = p.mul_add(m, -2.499_999_4e-1);
    let p = p.mul_add(m, 3.333_333e-1);
    let y = m * z * p;
    let y = e.mul_add(-2.121_944_4e-4, y);
    let y = z.mul_add(-0.5, y);
    e.mul_add(0.693_359_4, m + y)
}

/// Arc cosine, absolute error below 1e-7 plus rounding; x is brought into [-1, 1].
/// Abramowitz and Stegun 4.4.46.
#[inline(always)]
pub fn acos(x: f32) -> f32 {
    let a = x.abs();
    let a = if a < 1.0 { a } else { 1.0 };
    let p = -0.001_262_491_1f32;
    let p = p.mul_add(a, 0.006_670_09);
    let p = p.mul_add(a, -0.017_088_126);
    let p = p.mul_add(a, 0.030_891_88);
    let p = p.mul_add(a, -0.050_174_305);
    let p = p.mul_add(a, 0.088_978_99);
    let p = p.mul_add(a, -0.214_598_8);
    let p = p.mul_add(a, std::f32::consts::FRAC_PI_2);
    let y = (1.0 - a).sqrt() * p;
    if x < 0.0 { std::f32::consts::PI - y } else { y }
}

/// Sine and cosine of 2 pi t for t in [-1/2, 1/2]; absolute error below 2e-6.
#[inline(always)]
pub fn sin_cos_turns(t: f32) -> (f32, f32) {
    // sin and cos of a quarter of the angle, |angle| <= pi/4, doubled twice.
    let a = t * std::f32::consts::FRAC_PI_2;
    let z = a * a;
    let s = -1.984_127e-4f32;
    let s = s.mul_add(z, 8.333_333e-3);
    let s = s.mul_add(z, -1.666_666_7e-1);
    let s = (a * z).mul_add(s, a);
    let c = 2.480_158_7e-5f32;
    let c = c.mul_add(z, -1.388_888_9e-3);
    let c = c.mul_add(z, 4.166_666_8e-2);
    let c = c.mul_add(z, -0.5);
    let c = c.mul_add(z, 1.0);
    let (s, c) = (2.0 * s * c, (c * c) - s * s);
    (2.0 * s * c, (c * c) - s * s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(from: f32, to: f32, check: impl Fn(f32)) {
        let n = 200_000;
        (0..=n).for_each(|i| check(from + (to - from) * i as f32 / n as f32));
    }

    #[test]
    fn the_functions_are_those_of_the_library() {
        every(-80.0, 10.0, |x| {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() < 2e-7 * exact, "exp {x}");
        });
        every(1e-3, 50.0, |x| {
            let exact = f64::from(x).ln();
            let error = (f64::from(ln(x)) - exact).abs();
            assert!(error < 2e-7 * exact.abs() + 1e-12, "ln {x}: {error}");
        });
        every(-1.0, 1.0, |x| {
            assert!((f64::from(acos(x)) - f64::from(x).acos()).abs() < 6e-7, "acos {x}");
        });
        every(-0.5, 0.5, |t| {
            let (s, c) = sin_cos_turns(t);
            let (exact_s, exact_c) = (std::f64::consts::TAU * f64::from(t)).sin_cos();
            assert!((f64::from(s) - exact_s).abs() < 2e-6, "sin {t}");
            assert!((f64::from(c) - exact_c).abs() < 2e-6, "cos {t}");
        });
        assert!(exp(-1000.0) < 1e-37 && exp(0.0) == 1.0 && ln(1.0) == 0.0 && acos(1.5) == 0.0);
    }
}
