//! The projection with frames in the lanes of AVX-512: eight frames are transposed, so that every
//! multiplication has eight of them for one weight, whatever the number of columns. Each result is the
//! same chain of fused multiply-adds as with columns in the lanes: the same bits.

use std::arch::x86_64::*;

use crate::{Matrix, Real};

/// Frames in a register.
pub(super) const FRAMES: usize = 8;
/// Columns whose sums are in registers at a time.
const MOST: usize = 12;

/// Weights in the order in which [`project`] takes them: feature after feature of a group of columns.
pub(super) fn packed(weights: &Matrix) -> Vec<f64> {
    let m = weights.n_cols();
    let group = |at: usize| {
        (0..weights.n_rows()).flat_map(move |f| &weights.row(f)[at..(at + MOST).min(m)])
    };
    (0..m).step_by(MOST).flat_map(group).copied().collect()
}

/// y = (x - mean) W for groups of [`FRAMES`] rows of `d` features, `m` columns. `mean` is padded to a
/// multiple of 8, `weights` are those of [`packed`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
pub(super) fn project<T: Real>(
    mean: &[f64],
    weights: &[f64],
    (d, m): (usize, usize),
    rows: &[T],
    out: &mut [f64],
) {
    for (rows, out) in rows.chunks_exact(FRAMES * d).zip(out.chunks_exact_mut(FRAMES * m)) {
        for at in (0..m).step_by(MOST) {
            let (weights, out) = (&weights[at * d..], &mut out[at..]);
            macro_rules! columns {
                ($($n:literal)*) => {
                    match m - at {
                        $($n => group::<$n, T>(mean, weights, (d, m), rows, out),)*
                        _ => group::<MOST, T>(mean, weights, (d, m), rows, out),
                    }
                };
            }
            columns!(1 2 3 4 5 6 7 8 9 10 11);
        }
    }
}

/// `N` columns of eight frames, which `weights` and `out` begin with.
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
#[inline]
fn group<const N: usize, T: Real>(
    mean: &[f64],
    weights: &[f64],
    (d, m): (usize, usize),
    rows: &[T],
    out: &mut [f64],
) {
    assert!(mean.len() >= d.next_multiple_of(8) && rows.len() == FRAMES * d);
    assert!(weights.len() >= d * N && out.len() >= (FRAMES - 1) * m + N);
    let mut sums = [_mm512_setzero_pd(); N];
    let mut f = 0;
    while f < d {
        // SAFETY: `mean` is padded to whole registers.
        let mean = unsafe { _mm512_loadu_pd(mean.as_ptr().add(f)) };
        let n = (d - f).min(8);
        // Eight short rows at once are more than the processor foresees: ask for the next group's.
        // Nothing is read there, wherever it points.
        for r in FRAMES..2 * FRAMES {
            _mm_prefetch::<_MM_HINT_T0>(rows.as_ptr().wrapping_add(r * d + f).cast());
        }
        let x = std::array::from_fn(|r| _mm512_sub_pd(T::load_wide(&rows[r * d + f..][..n]), mean));
        let x = transposed(x);
        for i in 0..8 {
            if f + i < d {
                for j in 0..N {
                    // SAFETY: feature f + i < d has N weights, by the assertion above.
                    let w = unsafe { *weights.as_ptr().add((f + i) * N + j) };
                    sums[j] = _mm512_fmadd_pd(x[i], _mm512_set1_pd(w), sums[j]);
                }
            }
        }
        f += 8;
    }
    let mut j = 0;
    while j < N {
        let n = (N - j).min(8);
        let some =
            std::array::from_fn(|i| if j + i < N { sums[j + i] } else { _mm512_setzero_pd() });
        let y = transposed(some);
        for r in 0..FRAMES {
            // SAFETY: `n` numbers are there, by the assertion above, and the mask writes no others.
            unsafe { _mm512_mask_storeu_pd(out.as_mut_ptr().add(r * m + j), first(n), y[r]) };
        }
        j += 8;
    }
}

/// A mask of the first `n` lanes.
fn first(n: usize) -> u8 {
    ((1_u32 << n) - 1) as u8
}

/// Rows become columns.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(r: [__m512d; 8]) -> [__m512d; 8] {
    let low = |a, b| _mm512_unpacklo_pd(r[a], r[b]);
    let high = |a, b| _mm512_unpackhi_pd(r[a], r[b]);
    // Of even columns, then of odd ones: pairs of rows, quarters 0 and 2 or 1 and 3, then all rows.
    let columns = |pairs: [__m512d; 4]| {
        let [a, b, c, d] = pairs;
        let (ab02, ab13) = (_mm512_shuffle_f64x2::<0x88>(a, b), _mm512_shuffle_f64x2::<0xdd>(a, b));
        let (cd02, cd13) = (_mm512_shuffle_f64x2::<0x88>(c, d), _mm512_shuffle_f64x2::<0xdd>(c, d));
        [
            _mm512_shuffle_f64x2::<0x88>(ab02, cd02),
            _mm512_shuffle_f64x2::<0x88>(ab13, cd13),
            _mm512_shuffle_f64x2::<0xdd>(ab02, cd02),
            _mm512_shuffle_f64x2::<0xdd>(ab13, cd13),
        ]
    };
    let even = columns([low(0, 1), low(2, 3), low(4, 5), low(6, 7)]);
    let odd = columns([high(0, 1), high(2, 3), high(4, 5), high(6, 7)]);
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}
