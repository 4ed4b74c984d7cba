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
    match set {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `set` is what the machine was found to have.
        Set::Avx512 => unsafe { trial_avx512(rows, trials, nearest, sums) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Set::Avx2 => unsafe { trial_avx2(rows, trials, nearest, sums) },
        _ => trial_body::<T, false>(rows, trials, nearest, sums),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn trial_avx512<T: Lane>(
    rows: &[T],
    trials: &Trials<T>,
    nearest: Nearest<'_, T>,
    sums: &mut [f64; TRIALS],
) {
    trial_body::<T, true>(rows, trials, nearest, sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn trial_avx2<T: Lane>(
    rows: &[T],
    trials: &Trials<T>,
    nearest: Nearest<'_, T>,
    sums: &mut [f64; TRIALS],
) {
    trial_body::<T, true>(rows, trials, nearest, sums);
}

/// Frames that are sorted into near and far at a time.
const SIEVE: usize = 256;

#[inline(always)]
fn trial_body<T: Lane, const FUSED: bool>(
    rows: &[T],
    trials: &Trials<T>,
    nearest: Nearest<'_, T>,
    sums: &mut [f64; TRIALS],
) {
    let d = trials.lanes.len();
    let mut total = *sums;
    let mut open = [0u32; SIEVE];
    let parts = nearest.distance.chunks_mut(SIEVE).zip(nearest.owner.chunks_mut(SIEVE));
    for ((distance, owner), rows) in parts.zip(rows.chunks(SIEVE * d)) {
        let (mut kept, mut n) = ([0.0; 4], 0);
        for (i, (near, owner)) in distance.iter().zip(&*owner).enumerate() {
            let settled = *near < trials.bounds[*owner as usize];
            kept[i % 4] += if settled { near.wide() } else { 0.0 };
            open[n] = i as u32;
            n += usize::from(!settled);
        }
        let kept = (kept[0] + kept[1]) + (kept[2] + kept[3]);
        total.iter_mut().for_each(|t| *t += kept);
        for i in open[..n].iter().map(|i| *i as usize) {
            let mut acc = [T::ZERO; TRIALS];
            for (x, c) in rows[i * d..(i + 1) * d].iter().zip(&trials.lanes) {
                for l in 0..TRIALS {
                    let v = x.minus(c[l]);
                    acc[l] = v.times_plus::<FUSED>(v, acc[l]);
                }
            }
            if acc[0] < distance[i] {
                distance[i] = acc[0];
                owner[i] = trials.pending;
            }
            let bound = distance[i];
            for l in 0..TRIALS {
                let low = if acc[l] < bound { acc[l] } else { bound };
                total[l] += low.wide();
            }
        }
    }
    *sums = total;
}
