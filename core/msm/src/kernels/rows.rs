//! Loops over rows that the estimators spend their time in: sums by cluster, rows made mean-free,
//! projection, distances to trial centres. Each has one body, compiled for the widest vectors and
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

/// Writes rows minus the first row into `out` (f64) and returns their sum over rows.
pub(crate) fn shift_rows<T: Real>(set: Set, flat: &[T], d: usize, out: &mut Vec<f64>) -> Vec<f64> {
    let mut sum = vec![0.0; d];
    out.resize(flat.len(), 0.0);
    let first: Vec<f64> = flat[..d].iter().map(|v| v.to_f64()).collect();
    match set {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `set` is what the machine was found to have.
        Set::Avx512 => unsafe { shift_avx512(flat, &first, out, &mut sum) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Set::Avx2 => unsafe { shift_avx2(flat, &first, out, &mut sum) },
        _ => shift_body(flat, &first, out, &mut sum),
    }
    sum
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn shift_avx512<T: Real>(flat: &[T], first: &[f64], out: &mut [f64], sum: &mut [f64]) {
    shift_body(flat, first, out, sum);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn shift_avx2<T: Real>(flat: &[T], first: &[f64], out: &mut [f64], sum: &mut [f64]) {
    shift_body(flat, first, out, sum);
}

#[inline(always)]
fn shift_body<T: Real>(flat: &[T], first: &[f64], out: &mut [f64], sum: &mut [f64]) {
    let d = first.len();
    for (row, out) in flat.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
        for (((o, v), f), s) in out.iter_mut().zip(row).zip(first).zip(sum.iter_mut()) {
            *o = v.to_f64() - f;
            *s += *o;
        }
    }
}

/// Frames that [`Projector`] takes at a time.
const FRAMES: usize = 8;
/// Columns of weights are padded to a multiple of this.
const COLUMNS: usize = 8;

/// y = (x - mean) W for rows x, with W (d x m) packed in columns of 8.
pub(crate) struct Projector<'a> {
    pub(super) set: Set,
    mean: &'a [f64],
    m: usize,
    /// Column group after column group: `weights[(g * d + f) * COLUMNS + lane]`.
    weights: Vec<f64>,
}

impl<'a> Projector<'a> {
    pub fn new(mean: &'a [f64], weights: &Matrix) -> Self {
        let (d, m) = (weights.n_rows(), weights.n_cols());
        let mut packed = vec![0.0; m.div_ceil(COLUMNS) * d * COLUMNS];
        for f in 0..d {
            for j in 0..m {
                packed[(j / COLUMNS * d + f) * COLUMNS + j % COLUMNS] = weights[(f, j)];
            }
        }
        Self { set: Set::detect(), mean, m, weights: packed }
    }

    /// Projects whole rows into `out` (m numbers each).
    pub fn project<T: Real>(&self, rows: &[T], out: &mut [f64]) {
        match self.set {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `set` is what the machine was found to have.
            Set::Avx512 => unsafe { project_avx512(self, rows, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe { project_avx2(self, rows, out) },
            _ => project_body::<Lanes4<f64>, T>(self, rows, out),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn project_avx512<T: Real>(p: &Projector<'_>, rows: &[T], out: &mut [f64]) {
    project_body::<std::arch::x86_64::__m512d, T>(p, rows, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn project_avx2<T: Real>(p: &Projector<'_>, rows: &[T], out: &mut [f64]) {
    project_body::<std::arch::x86_64::__m256d, T>(p, rows, out);
}

#[inline(always)]
fn project_body<R: Vector<T = f64>, T: Real>(p: &Projector<'_>, rows: &[T], out: &mut [f64]) {
    let (d, m) = (p.mean.len(), p.m);
    let mut x = vec![0.0; FRAMES * d];
    let mut y = [0.0; COLUMNS];
    for (rows, out) in rows.chunks(FRAMES * d).zip(out.chunks_mut(FRAMES * m)) {
        for (x, row) in x.chunks_exact_mut(d).zip(rows.chunks_exact(d)) {
            for ((x, v), c) in x.iter_mut().zip(row).zip(p.mean) {
                *x = v.to_f64() - c;
            }
        }
        let n = out.len() / m;
        for (g, weights) in p.weights.chunks_exact(d * COLUMNS).enumerate() {
            let width = (m - g * COLUMNS).min(COLUMNS);
            let mut column = 0;
            while column < width {
                let mut acc = [R::splat(0.0); FRAMES];
                for f in 0..d {
                    let w = R::load(&weights[f * COLUMNS + column..]);
                    for r in 0..FRAMES {
                        acc[r] = R::splat(x[r * d + f]).times_plus(w, acc[r]);
                    }
                }
                let lanes = (width - column).min(R::LANES);
                for r in 0..n {
                    acc[r].store(&mut y);
                    let at = r * m + g * COLUMNS + column;
                    out[at..at + lanes].copy_from_slice(&y[..lanes]);
                }
                column += R::LANES;
            }
        }
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
