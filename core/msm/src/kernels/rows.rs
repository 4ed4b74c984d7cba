//! Loops over rows that the estimators spend their time in: sums by cluster, distances to trial
//! centres. Each has one body, compiled for the widest vectors and
//! chosen at run time.

use super::*;

/// Adds frames to the sums of their clusters, in f64: counts, positions relative to the old
/// centres, and squared distances to them.
pub(crate) fn accumulate<T: Real>(
    set: Set,
    rows: &[T],
    nearest: &[u32],
    centers: &Matrix,
    counts: &mut [f64],
    sums: &mut [f64],
    squares: &mut [f64],
) {
    match set {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `set` is what the machine was found to have.
        Set::Avx512 | Set::Avx2 => unsafe {
            accumulate_avx2(rows, nearest, centers, counts, sums, squares);
        },
        _ => accumulate_body(rows, nearest, centers, counts, sums, squares),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn accumulate_avx2<T: Real>(
    rows: &[T],
    nearest: &[u32],
    centers: &Matrix,
    counts: &mut [f64],
    sums: &mut [f64],
    squares: &mut [f64],
) {
    accumulate_body(rows, nearest, centers, counts, sums, squares);
}

#[inline(always)]
fn accumulate_body<T: Real>(
    rows: &[T],
    nearest: &[u32],
    centers: &Matrix,
    counts: &mut [f64],
    sums: &mut [f64],
    squares: &mut [f64],
) {
    let d = centers.n_cols();
    for (row, j) in rows.chunks_exact(d).zip(nearest) {
        let j = *j as usize;
        let mut lanes = [0.0; 4];
        let sums = &mut sums[j * d..(j + 1) * d];
        let center = centers.row(j);
        let (x4, x1) = row.as_chunks::<4>();
        let (c4, c1) = center.as_chunks::<4>();
        let (s4, s1) = sums.as_chunks_mut::<4>();
        for ((x, c), s) in x4.iter().zip(c4).zip(s4) {
            for l in 0..4 {
                let v = x[l].to_f64() - c[l];
                s[l] += v;
                lanes[l] += v * v;
            }
        }
        for ((x, c), s) in x1.iter().zip(c1).zip(s1) {
            let v = x.to_f64() - c;
            *s += v;
            lanes[0] += v * v;
        }
        counts[j] += 1.0;
        squares[j] += (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    }
}

/// Lanes of candidates in [`trial_distances`].
pub(crate) const TRIALS: usize = 8;

/// Trial centres in lanes: `packed[f][lane]`.
pub(crate) fn pack_trials<T: Lane>(centers: &[f64], d: usize) -> Vec<[T; TRIALS]> {
    let mut out = vec![[T::INFINITY; TRIALS]; d];
    for (lane, c) in centers.chunks_exact(d).enumerate() {
        for f in 0..d {
            out[f][lane] = T::from_f64(c[f]);
        }
    }
    out
}

/// What k-means++ knows of frames: squared distance to the nearest centre, and which that is.
pub(crate) struct Nearest<'a, T> {
    pub distance: &'a mut [T],
    pub owner: &'a mut [u32],
}

/// Trial centres of one pass of k-means++.
pub(crate) struct Trials<T> {
    /// [`pack_trials`]; lane 0 is a centre, the others may become one.
    pub lanes: Vec<[T; TRIALS]>,
    /// Number of the centre in lane 0.
    pub pending: u32,
    /// By owner: frames nearer to it than this are nearer to it than to any lane.
    pub bounds: Vec<T>,
}

/// One pass of k-means++ over rows: lowers the distances to those to lane 0, then adds
/// min(distance, squared distance to each lane) to `sums`. Lane 0 thus sums the distances. Frames
/// that the triangle inequality keeps with their owner are not looked at.
pub(crate) fn trial_distances<T: Lane>(
    set: Set,
    rows: &[T],
    trials: &Trials<T>,
    nearest: Nearest<'_, T>,
    sums: &mut [f64; TRIALS],
) {
    T::trial_distances(set, rows, trials, nearest, sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
pub(super) fn trial_avx512<R: Vector>(
    rows: &[R::T],
    trials: &Trials<R::T>,
    nearest: Nearest<'_, R::T>,
    sums: &mut [f64; TRIALS],
) {
    trial_body::<R, 1>(rows, trials, nearest, sums, |distance, owner, bounds, open| {
        sieve_avx512(distance, owner, bounds, open)
    });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) fn trial_avx2<R: Vector, const N: usize>(
    rows: &[R::T],
    trials: &Trials<R::T>,
    nearest: Nearest<'_, R::T>,
    sums: &mut [f64; TRIALS],
) {
    trial_body::<R, N>(rows, trials, nearest, sums, sieve);
}

/// Frames that are sorted into near and far at a time.
const SIEVE: usize = 256;

/// Sum of the distances of frames that are settled; the numbers of all others go to `open`.
#[inline(always)]
fn sieve<T: Lane>(
    distance: &[T],
    owner: &[u32],
    bounds: &[T],
    open: &mut [u32; SIEVE],
) -> (f64, usize) {
    let (mut kept, mut n) = ([0.0; 4], 0);
    for (i, (near, owner)) in distance.iter().zip(owner).enumerate() {
        let settled = *near < bounds[*owner as usize];
        kept[i % 4] += if settled { near.wide() } else { 0.0 };
        open[n] = i as u32;
        n += usize::from(!settled);
    }
    ((kept[0] + kept[1]) + (kept[2] + kept[3]), n)
}

/// [`sieve`], eight frames at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
#[inline]
fn sieve_avx512<T: Lane>(
    distance: &[T],
    owner: &[u32],
    bounds: &[T],
    open: &mut [u32; SIEVE],
) -> (f64, usize) {
    use std::arch::x86_64::*;
    let last = _mm256_set1_epi32(bounds.len() as i32 - 1);
    let (mut kept, mut n) = (_mm512_setzero_pd(), 0);
    let (eights, rest) = owner.as_chunks::<8>();
    let mut numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (at, owner) in eights.iter().enumerate() {
        let near = T::load_wide(&distance[8 * at..8 * at + 8]);
        // SAFETY: eight numbers are there; owners are kept within the bounds, which are read.
        let bound = unsafe {
            let owner = _mm256_loadu_si256(owner.as_ptr().cast());
            T::gather_wide(bounds.as_ptr(), _mm256_min_epu32(owner, last))
        };
        let settled = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(near, bound);
        kept = _mm512_mask_add_pd(kept, settled, kept, near);
        // SAFETY: `n` is at most the number of frames before, so that eight more have room.
        unsafe {
            let to = open[n..n + 8].as_mut_ptr();
            _mm256_storeu_si256(to.cast(), _mm256_maskz_compress_epi32(!settled, numbers));
        }
        n += (!settled).count_ones() as usize;
        numbers = _mm256_add_epi32(numbers, _mm256_set1_epi32(8));
    }
    let mut sum = _mm512_reduce_add_pd(kept);
    let done = owner.len() - rest.len();
    for (i, (near, owner)) in distance[done..].iter().zip(rest).enumerate() {
        if *near < bounds[*owner as usize] {
            sum += near.wide();
        } else {
            open[n] = (done + i) as u32;
            n += 1;
        }
    }
    (sum, n)
}

/// Frames whose distances are summed side by side.
const TOGETHER: usize = 4;

/// [`trial_distances`] without wide registers.
pub(super) fn trial_plain<T: Lane>(
    rows: &[T],
    trials: &Trials<T>,
    nearest: Nearest<'_, T>,
    sums: &mut [f64; TRIALS],
) {
    trial_body::<Lanes4<T>, 2>(rows, trials, nearest, sums, sieve);
}

/// Lanes of trials in `N` registers `R`.
#[inline(always)]
fn trial_body<R: Vector, const N: usize>(
    rows: &[R::T],
    trials: &Trials<R::T>,
    nearest: Nearest<'_, R::T>,
    sums: &mut [f64; TRIALS],
    sieve: impl Fn(&[R::T], &[u32], &[R::T], &mut [u32; SIEVE]) -> (f64, usize),
) {
    let d = trials.lanes.len();
    let mut total = *sums;
    let mut open = [0u32; SIEVE];
    let parts = nearest.distance.chunks_mut(SIEVE).zip(nearest.owner.chunks_mut(SIEVE));
    for ((distance, owner), rows) in parts.zip(rows.chunks(SIEVE * d)) {
        let (kept, n) = sieve(distance, owner, &trials.bounds, &mut open);
        total.iter_mut().for_each(|t| *t += kept);
        for frames in open[..n].chunks(TOGETHER) {
            // A last group that is not full repeats its last frame.
            let row = |at: usize| {
                let frame = frames[at.min(frames.len() - 1)] as usize;
                &rows[frame * d..(frame + 1) * d]
            };
            let mut acc = [[R::splat(<R::T as Lane>::ZERO); N]; TOGETHER];
            let values = row(0).iter().zip(row(1)).zip(row(2).iter().zip(row(3)));
            for (((x0, x1), (x2, x3)), lanes) in values.zip(&trials.lanes) {
                let c: [R; N] = std::array::from_fn(|n| R::load(&lanes[n * R::LANES..]));
                for (acc, x) in acc.iter_mut().zip([x0, x1, x2, x3]) {
                    for n in 0..N {
                        let v = R::splat(*x).minus(c[n]);
                        acc[n] = v.times_plus(v, acc[n]);
                    }
                }
            }
            for (acc, i) in acc.iter().zip(frames.iter().map(|i| *i as usize)) {
                let mut to = [<R::T as Lane>::ZERO; TRIALS];
                acc.iter().enumerate().for_each(|(n, acc)| acc.store(&mut to[n * R::LANES..]));
                if to[0] < distance[i] {
                    distance[i] = to[0];
                    owner[i] = trials.pending;
                }
                let bound = distance[i];
                for l in 0..TRIALS {
                    let low = if to[l] < bound { to[l] } else { bound };
                    total[l] += low.wide();
                }
            }
        }
    }
    *sums = total;
}
