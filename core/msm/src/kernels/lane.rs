//! The two number types of the kernels, and what depends on which it is.

use super::{Lanes4, Nearest, Packed, Set, TRIALS, Trials, nearest_body, rows::trial_plain};
#[cfg(target_arch = "x86_64")]
use super::{
    rows::{trial_avx2, trial_avx512},
    x86,
};

/// Arithmetic of the kernels.
pub trait Lane: Copy + PartialOrd + Send + Sync + 'static {
    /// Zero.
    const ZERO: Self;
    /// Larger than every number.
    const INFINITY: Self;
    /// Smaller than every number.
    const NEG_INFINITY: Self;
    /// Rounds from f64.
    fn from_f64(v: f64) -> Self;
    /// Back to f64.
    fn wide(self) -> f64;
    /// Difference.
    fn minus(self, other: Self) -> Self;
    /// self * b + c, rounded twice.
    fn times_plus(self, b: Self, c: Self) -> Self;
    /// Up to eight numbers as f64, zeros behind them; to be called where AVX-512 exists.
    #[cfg(target_arch = "x86_64")]
    fn load_wide(from: &[Self]) -> std::arch::x86_64::__m512d;
    /// Eight numbers at places `at` from `from` on, as f64; to be called where AVX-512 exists.
    ///
    /// # Safety
    /// There must be a number at each of these places.
    #[cfg(target_arch = "x86_64")]
    unsafe fn gather_wide(
        from: *const Self,
        at: std::arch::x86_64::__m256i,
    ) -> std::arch::x86_64::__m512d;
    /// Sixteen differences as f32; to be called where AVX-512 exists.
    #[cfg(target_arch = "x86_64")]
    fn differences(from: &[Self; 16], less: &[Self; 16]) -> std::arch::x86_64::__m512;
    /// [`Packed::nearest`] in floating point, with the instructions of `p`.
    #[allow(private_interfaces)]
    fn nearest(p: &Packed<Self>, rows: &[Self], out: &mut [u32]);
    /// [`super::trial_distances`] with the instructions of `set`.
    #[allow(private_interfaces)]
    fn trial_distances(
        set: Set,
        rows: &[Self],
        trials: &Trials<Self>,
        nearest: Nearest<'_, Self>,
        sums: &mut [f64; TRIALS],
    );
}

macro_rules! lane {
    ($t:ty, $avx512:ident, $avx2:ident, $eight:ident, $four:ident x $n:literal,
     |$mask:ident, $at:ident| $load:expr,
     |$base:ident, $places:ident| $gather:expr, |$from:ident, $less:ident| $differences:expr) => {
        impl Lane for $t {
            const ZERO: Self = 0.0;
            const INFINITY: Self = <$t>::INFINITY;
            const NEG_INFINITY: Self = <$t>::NEG_INFINITY;
            #[inline(always)]
            fn from_f64(v: f64) -> Self {
                v as $t
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn times_plus(self, b: Self, c: Self) -> Self {
                self * b + c
            }
            #[cfg(target_arch = "x86_64")]
            #[inline(always)]
            fn load_wide(from: &[Self]) -> std::arch::x86_64::__m512d {
                use std::arch::x86_64::*;
                let $mask = ((1_u32 << from.len().min(8)) - 1) as u8;
                let $at = from.as_ptr();
                // SAFETY: only reached from functions compiled for the instruction set; the mask
                // reads no more than is there.
                unsafe { $load }
            }
            #[cfg(target_arch = "x86_64")]
            #[inline(always)]
            unsafe fn gather_wide(
                $base: *const Self,
                $places: std::arch::x86_64::__m256i,
            ) -> std::arch::x86_64::__m512d {
                use std::arch::x86_64::*;
                // SAFETY: as the caller promises; only reached from functions compiled for the
                // instruction set.
                unsafe { $gather }
            }
            #[cfg(target_arch = "x86_64")]
            #[inline(always)]
            fn differences($from: &[Self; 16], $less: &[Self; 16]) -> std::arch::x86_64::__m512 {
                use std::arch::x86_64::*;
                let ($from, $less) = ($from.as_ptr(), $less.as_ptr());
                // SAFETY: only reached from functions compiled for the instruction set; sixteen
                // values are there.
                unsafe { $differences }
            }
            #[allow(private_interfaces)]
            fn nearest(p: &Packed<Self>, rows: &[Self], out: &mut [u32]) {
                match p.set {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: `set` is what the machine was found to have.
                    Set::Avx512 => unsafe { x86::$avx512(p, rows, out) },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: as above.
                    Set::Avx2 => unsafe { x86::$avx2(p, rows, out) },
                    _ => nearest_body::<Lanes4<$t>, 2>(p, rows, out),
                }
            }
            #[allow(private_interfaces)]
            fn trial_distances(
                set: Set,
                rows: &[Self],
                trials: &Trials<Self>,
                nearest: Nearest<'_, Self>,
                sums: &mut [f64; TRIALS],
            ) {
                match set {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: `set` is what the machine was found to have.
                    Set::Avx512 => unsafe {
                        trial_avx512::<std::arch::x86_64::$eight>(rows, trials, nearest, sums);
                    },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: as above.
                    Set::Avx2 => unsafe {
                        trial_avx2::<std::arch::x86_64::$four, $n>(rows, trials, nearest, sums);
                    },
                    _ => trial_plain(rows, trials, nearest, sums),
                }
            }
        }
    };
}
lane!(
    f32,
    nearest_f32_avx512,
    nearest_f32_avx2,
    __m256,
    __m256 x 1,
    |mask, at| _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, at)),
    |base, places| _mm512_cvtps_pd(_mm256_i32gather_ps::<4>(base, places)),
    |from, less| _mm512_sub_ps(_mm512_loadu_ps(from), _mm512_loadu_ps(less))
);
lane!(
    f64,
    nearest_f64_avx512,
    nearest_f64_avx2,
    __m512d,
    __m256d x 2,
    |mask, at| _mm512_maskz_loadu_pd(mask, at),
    |base, places| _mm512_i32gather_pd::<8>(places, base),
    |from, less| {
        let half = |at| {
            let (from, less) = (_mm512_loadu_pd(from.add(at)), _mm512_loadu_pd(less.add(at)));
            _mm256_castps_pd(_mm512_cvtpd_ps(_mm512_sub_pd(from, less)))
        };
        _mm512_castpd_ps(_mm512_insertf64x4::<1>(_mm512_castpd256_pd512(half(0)), half(8)))
    }
);
