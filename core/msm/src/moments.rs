//! First and second moments of time-lagged pairs (x_t, x_{t+lag}), in f64, mergeable.
//!
//! Frames of a trajectory of L frames fall into classes: *x only* (first of a pair, never second),
//! *both*, *y only*. With N = L - lag pairs, Sxx = S(x only) + S(both), Syy = S(both) + S(y only)
//! and Sxy runs over the pairs, so the large class is summed once. Each chunk of `CHUNK` frames is
//! shifted by its own first frame before its products are formed, and chunks are merged by
//! M = Ma + Mb + (na nb / n) (mb - ma)(mb - ma)' (Chan, Golub, LeVeque 1983), so a large offset of
//! the data costs no digits. No pair crosses the seam between two trajectories.
//!
//! Order of merging, fixed by the data alone: chunks within tasks of `BLOCKS_PER_TASK`, tasks within
//! the trajectory, trajectories one after another. Threads, streaming ([`crate::stream`]) and
//! merging trajectories that were summed elsewhere all keep it and give the same bits.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernels::{PairRows, Set, shift_rows};
use crate::matrix::{add_xtx, add_xty};
use crate::rows::{Real, Rows, check_finite, common_width};
use crate::{Matrix, MsmError, Warning};

/// Frames per shifted block.
pub(crate) const CHUNK: usize = 512;
/// Blocks that one task sums one after another.
pub(crate) const BLOCKS_PER_TASK: usize = 16;
/// Tasks whose partial sums are held at once.
const TASKS_PER_WAVE: usize = 16;

/// Mean and centred second moment of one set of frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SetMoments {
    n: f64,
    mean: Vec<f64>,
    m2: Vec<f64>,
}

/// Means and centred cross moment of the pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CrossMoments {
    n: f64,
    mean_x: Vec<f64>,
    mean_y: Vec<f64>,
    mxy: Vec<f64>,
}

/// Sums over time-lagged pairs; `merge` adds the pairs of other trajectories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairMoments {
    lag: usize,
    width: usize,
    x_only: SetMoments,
    both: SetMoments,
    y_only: SetMoments,
    cross: CrossMoments,
}

/// Means and covariances of pairs, normalised by the number of pairs (no Bessel correction).
#[derive(Clone, Debug)]
pub struct Covariances {
    /// Number of pairs N.
    pub n_pairs: f64,
    /// Mean that was removed from the x half.
    pub mean_x: Vec<f64>,
    /// Mean that was removed from the y half.
    pub mean_y: Vec<f64>,
    /// Instantaneous covariance (d x d).
    pub c00: Matrix,
    /// Time-lagged covariance (d x d).
    pub c0t: Matrix,
    /// Covariance of the lagged half (d x d); equals `c00` if symmetrised.
    pub ctt: Matrix,
}

impl SetMoments {
    fn zero(d: usize) -> Self {
        Self { n: 0.0, mean: vec![0.0; d], m2: vec![0.0; d * d] }
    }

    fn merge(&mut self, other: &Self) {
        if other.n == 0.0 {
            return;
        }
        if self.n == 0.0 {
            self.clone_from(other);
            return;
        }
        let n = self.n + other.n;
        let delta: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(b, a)| b - a).collect();
        merge_products(&mut self.m2, &other.m2, &delta, &delta, self.n * other.n / n);
        shift_mean(&mut self.mean, &delta, other.n / n);
        self.n = n;
    }
}

impl CrossMoments {
    fn zero(d: usize) -> Self {
        Self { n: 0.0, mean_x: vec![0.0; d], mean_y: vec![0.0; d], mxy: vec![0.0; d * d] }
    }

    fn merge(&mut self, other: &Self) {
        if other.n == 0.0 {
            return;
        }
        if self.n == 0.0 {
            self.clone_from(other);
            return;
        }
        let n = self.n + other.n;
        let dx: Vec<f64> = other.mean_x.iter().zip(&self.mean_x).map(|(b, a)| b - a).collect();
        let dy: Vec<f64> = other.mean_y.iter().zip(&self.mean_y).map(|(b, a)| b - a).collect();
        merge_products(&mut self.mxy, &other.mxy, &dx, &dy, self.n * other.n / n);
        shift_mean(&mut self.mean_x, &dx, other.n / n);
        shift_mean(&mut self.mean_y, &dy, other.n / n);
        self.n = n;
    }
}

fn merge_products(into: &mut [f64], from: &[f64], dx: &[f64], dy: &[f64], weight: f64) {
    let d = dy.len();
    for ((row, add), x) in into.chunks_exact_mut(d).zip(from.chunks_exact(d)).zip(dx) {
        let f = weight * x;
        row.iter_mut().zip(add).zip(dy).for_each(|((m, a), y)| *m += a + f * y);
    }
}

fn shift_mean(mean: &mut [f64], delta: &[f64], fraction: f64) {
    mean.iter_mut().zip(delta).for_each(|(m, d)| *m += d * fraction);
}

/// A fixed span of one trajectory, all of one class.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub trajectory: usize,
    pub class: Class,
    pub start: usize,
    pub end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Class {
    XOnly,
    Both,
    YOnly,
}

impl PairMoments {
    /// Every number of it, in a fixed order.
    pub(crate) fn numbers(&mut self) -> impl Iterator<Item = &mut f64> {
        let sets = [&mut self.x_only, &mut self.both, &mut self.y_only];
        sets.into_iter()
            .flat_map(|s| std::iter::once(&mut s.n).chain(&mut s.mean).chain(&mut s.m2))
            .chain(std::iter::once(&mut self.cross.n))
            .chain(&mut self.cross.mean_x)
            .chain(&mut self.cross.mean_y)
            .chain(&mut self.cross.mxy)
    }

    /// No pairs yet, for `width` features.
    pub fn new(lag: usize, width: usize) -> Result<Self, MsmError> {
        if lag == 0 {
            return Err(MsmError::InvalidLag { what: "lag", lag });
        }
        Ok(Self {
            lag,
            width,
            x_only: SetMoments::zero(width),
            both: SetMoments::zero(width),
            y_only: SetMoments::zero(width),
            cross: CrossMoments::zero(width),
        })
    }

    /// Sums all pairs of all trajectories; those not longer than the lag are skipped and listed.
    pub fn of<T: Real>(
        trajectories: &[Rows<'_, T>],
        lag: usize,
    ) -> Result<(Self, Vec<Warning>), MsmError> {
        let width = common_width(trajectories)?;
        let mut out = Self::new(lag, width)?;
        let lengths: Vec<usize> = trajectories.iter().map(Rows::n_rows).collect();
        let skipped: Vec<usize> = (0..lengths.len()).filter(|&i| lengths[i] <= lag).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        if longest == 0 {
            return Err(MsmError::NoFrames);
        }
        if longest <= lag {
            return Err(MsmError::TooShort { lag, longest, n_trajectories: lengths.len() });
        }
        // Frames of skipped trajectories must be sound as well: they are transformed later.
        for &i in &skipped {
            check_finite(&trajectories[i], i, 0, lengths[i])?;
        }
        let mut blocks = Vec::new();
        let mut tasks = Vec::new();
        for (trajectory, &len) in lengths.iter().enumerate().filter(|(_, len)| **len > lag) {
            let first = blocks.len();
            let pairs = len - lag;
            let mut add = |class, start: usize, end: usize| {
                let mut a = start;
                while a < end {
                    let b = (a + CHUNK).min(end);
                    blocks.push(Block { trajectory, class, start: a, end: b });
                    a = b;
                }
            };
            add(Class::XOnly, 0, lag.min(pairs));
            add(Class::Both, lag, pairs);
            add(Class::YOnly, lag.max(pairs), len);
            if pairs < lag {
                check_finite(&trajectories[trajectory], trajectory, pairs, lag)?;
            }
            let starts = (first..blocks.len()).step_by(BLOCKS_PER_TASK);
            tasks.extend(starts.map(|a| (a, (a + BLOCKS_PER_TASK).min(blocks.len()))));
        }
        let mut current: Option<(usize, Self)> = None;
        for wave in tasks.chunks(TASKS_PER_WAVE) {
            let partial: Vec<Result<Self, MsmError>> = wave
                .par_iter()
                .map(|&(first, end)| {
                    let blocks = &blocks[first..end];
                    let mut sum = Self::new(lag, width)?;
                    let mut scratch = Scratch::new(width);
                    for block in blocks {
                        let rows = &trajectories[block.trajectory];
                        sum.add_block(rows, block, &mut scratch)?;
                    }
                    Ok(sum)
                })
                .collect();
            for (p, &(first, _)) in partial.into_iter().zip(wave) {
                let trajectory = blocks[first].trajectory;
                match &mut current {
                    Some((t, sum)) if *t == trajectory => sum.merge(&p?)?,
                    _ => {
                        if let Some((_, done)) = current.replace((trajectory, p?)) {
                            out.merge(&done)?;
                        }
                    }
                }
            }
        }
        if let Some((_, last)) = current {
            out.merge(&last)?;
        }
        let warnings = if skipped.is_empty() {
            vec![]
        } else {
            vec![Warning::SkippedTrajectories { what: "lag".into(), lag, trajectories: skipped }]
        };
        Ok((out, warnings))
    }

    /// Frames of a block to their class and, unless they are y only, the pairs they start.
    pub(crate) fn add_block<T: Real>(
        &mut self,
        rows: &Rows<'_, T>,
        block: &Block,
        scratch: &mut Scratch,
    ) -> Result<(), MsmError> {
        let len = block.end - block.start;
        let n = len as f64;
        let finite = |start: usize, sum: &[f64]| match sum.iter().all(|m| m.is_finite()) {
            true => Ok(()),
            false => check_finite(rows, block.trajectory, start, start + len),
        };
        let x = rows.span(block.start, block.end);
        let lagged = block.start + self.lag;
        let y = (block.class != Class::YOnly).then(|| rows.span(lagged, lagged + len));
        let Products { sum_x, mut xx, with_y } = scratch.products(x, y, self.width);
        finite(block.start, &sum_x)?;
        if let Some((sum_y, mut xy)) = with_y {
            finite(lagged, &sum_y)?;
            remove_means(&mut xy, &sum_x, &sum_y, n);
            let mean_x = means(rows.row(block.start), &sum_x, n);
            let mean_y = means(rows.row(lagged), &sum_y, n);
            self.cross.merge(&CrossMoments { n, mean_x, mean_y, mxy: xy });
        }
        remove_means(&mut xx, &sum_x, &sum_x, n);
        let set = match block.class {
            Class::XOnly => &mut self.x_only,
            Class::Both => &mut self.both,
            Class::YOnly => &mut self.y_only,
        };
        set.merge(&SetMoments { n, mean: means(rows.row(block.start), &sum_x, n), m2: xx });
        Ok(())
    }

    /// Moments from products about the means: sums over n pairs, not divided by n.
    pub(crate) fn from_parts(
        lag: usize,
        n: f64,
        (mean_x, mean_y): (Vec<f64>, Vec<f64>),
        xx: Vec<f64>,
        xy: Vec<f64>,
        yy: Vec<f64>,
    ) -> Self {
        let width = mean_x.len();
        Self {
            lag,
            width,
            x_only: SetMoments { n, mean: mean_x.clone(), m2: xx },
            both: SetMoments::zero(width),
            y_only: SetMoments { n, mean: mean_y.clone(), m2: yy },
            cross: CrossMoments { n, mean_x, mean_y, mxy: xy },
        }
    }

    /// Adds the pairs of `other` (same lag and width).
    pub fn merge(&mut self, other: &Self) -> Result<(), MsmError> {
        if other.lag != self.lag {
            return Err(MsmError::Parameter {
                what: "lag of the moments to merge",
                got: other.lag.to_string(),
                expected: self.lag.to_string(),
            });
        }
        if other.width != self.width {
            return Err(MsmError::Size {
                what: "features of the moments to merge",
                expected: self.width,
                got: other.width,
            });
        }
        self.x_only.merge(&other.x_only);
        self.both.merge(&other.both);
        self.y_only.merge(&other.y_only);
        self.cross.merge(&other.cross);
        Ok(())
    }

    /// Lag in frames.
    pub fn lag(&self) -> usize {
        self.lag
    }

    /// Features per frame.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of pairs summed.
    pub fn n_pairs(&self) -> usize {
        self.cross.n as usize
    }

    /// Covariances with one common mean m = (mean_x + mean_y)/2 removed and time-symmetrised:
    /// C00 = (Sxx + Syy)/2N, C0t = (Sxy + Syx)/2N.
    pub fn symmetrised(&self) -> Covariances {
        let plain = self.plain();
        let d = self.width;
        let mean: Vec<f64> =
            plain.mean_x.iter().zip(&plain.mean_y).map(|(x, y)| 0.5 * (x + y)).collect();
        // x mean - m = -(y mean - m) = h
        let h: Vec<f64> = plain.mean_x.iter().zip(&mean).map(|(x, m)| x - m).collect();
        let mut c00 = Matrix::zeros(d, d);
        let mut c0t = Matrix::zeros(d, d);
        for i in 0..d {
            for j in 0..d {
                c00[(i, j)] = 0.5 * (plain.c00[(i, j)] + plain.ctt[(i, j)]) + h[i] * h[j];
                c0t[(i, j)] = 0.5 * (plain.c0t[(i, j)] + plain.c0t[(j, i)]) - h[i] * h[j];
            }
        }
        let ctt = c00.clone();
        Covariances { n_pairs: plain.n_pairs, mean_x: mean.clone(), mean_y: mean, c00, c0t, ctt }
    }

    /// Covariances with each half's own mean removed, not symmetrised.
    pub fn plain(&self) -> Covariances {
        let d = self.width;
        let mut x = self.x_only.clone();
        x.merge(&self.both);
        let mut y = self.both.clone();
        y.merge(&self.y_only);
        let n = self.cross.n.max(1.0);
        let scaled = |m: &[f64]| {
            Matrix::from_vec(d, d, m.iter().map(|v| v / n).collect()).expect("d x d numbers")
        };
        let symmetric = |m: &[f64]| {
            let mut out = scaled(m);
            for i in 0..d {
                for j in 0..i {
                    out[(j, i)] = out[(i, j)];
                }
            }
            out
        };
        Covariances {
            n_pairs: self.cross.n,
            mean_x: self.cross.mean_x.clone(),
            mean_y: self.cross.mean_y.clone(),
            c00: symmetric(&x.m2),
            c0t: scaled(&self.cross.mxy),
            ctt: symmetric(&y.m2),
        }
    }
}

/// Pairs of all trajectories in fixed blocks: trajectory, first and last (exclusive) start frame.
pub(crate) fn pair_blocks<T: Real>(
    trajectories: &[Rows<'_, T>],
    lag: usize,
) -> Vec<(usize, usize, usize)> {
    let mut out = Vec::new();
    for (t, rows) in trajectories.iter().enumerate() {
        let pairs = rows.n_rows().saturating_sub(lag);
        let starts = (0..pairs).step_by(CHUNK);
        out.extend(starts.map(|start| (t, start, (start + CHUNK).min(pairs))));
    }
    out
}

/// More features than this are multiplied by the general matrix product.
const FEW: usize = 47;

/// Memory that blocks are summed in.
pub(crate) struct Scratch {
    set: Set,
    few: Option<(PairRows, PairRows)>,
    x: Vec<f64>,
    y: Vec<f64>,
}

/// Sums and products of one block, about the first rows.
struct Products {
    sum_x: Vec<f64>,
    /// X'X, of which the lower half counts.
    xx: Vec<f64>,
    /// Sum of y and X'Y.
    with_y: Option<(Vec<f64>, Vec<f64>)>,
}

impl Scratch {
    pub fn new(d: usize) -> Self {
        let set = Set::detect();
        let rows = |pairs| PairRows::new(set, d, CHUNK, pairs);
        let few = (d <= FEW).then(|| (rows(true), rows(false)));
        Self { set, few, x: vec![], y: vec![] }
    }

    fn products<T: Real>(&mut self, x: &[T], y: Option<&[T]>, d: usize) -> Products {
        let n = x.len() / d;
        if let Some((pairs, alone)) = &mut self.few {
            let Some(y) = y else {
                let sum_x = alone.put_x(x);
                return Products { sum_x, xx: alone.products(n).0, with_y: None };
            };
            let (sum_x, sum_y) = (pairs.put_x(x), pairs.put_y(y));
            let (xx, xy) = pairs.products(n);
            return Products { sum_x, xx, with_y: Some((sum_y, xy)) };
        }
        self.x.resize(x.len(), 0.0);
        let sum_x = shift_rows(self.set, x, d, &mut self.x, d);
        let mut xx = vec![0.0; d * d];
        add_xtx(&mut xx, &self.x, d);
        let with_y = y.map(|y| {
            self.y.resize(y.len(), 0.0);
            let sum_y = shift_rows(self.set, y, d, &mut self.y, d);
            let mut xy = vec![0.0; d * d];
            add_xty(&mut xy, &self.x, d, &self.y, d);
            (sum_y, xy)
        });
        Products { sum_x, xx, with_y }
    }
}

/// Sums of products about the shift become sums about the means.
fn remove_means(products: &mut [f64], sum_x: &[f64], sum_y: &[f64], n: f64) {
    for (row, x) in products.chunks_exact_mut(sum_y.len()).zip(sum_x) {
        row.iter_mut().zip(sum_y).for_each(|(m, y)| *m -= x / n * y);
    }
}

fn means<T: Real>(shift: &[T], sum: &[f64], n: f64) -> Vec<f64> {
    shift.iter().zip(sum).map(|(c, s)| c.to_f64() + s / n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize, d: usize, phase: f64, offset: f64) -> Vec<f64> {
        (0..n * d)
            .map(|i| {
                let (t, k) = ((i / d) as f64, (i % d) as f64);
                offset + (0.37 * t * (1.0 + 0.1 * k) + phase).sin() + 0.2 * (t * 1.7 + k).cos()
            })
            .collect()
    }

    /// The definition, in two passes.
    fn slow(trajs: &[Rows<'_, f64>], lag: usize) -> (Vec<f64>, Matrix, Matrix) {
        let d = trajs[0].width();
        let mut n = 0.0;
        let mut mean = vec![0.0; d];
        for r in trajs {
            for t in lag..r.n_rows() {
                n += 1.0;
                for k in 0..d {
                    mean[k] += 0.5 * (r.row(t)[k] + r.row(t - lag)[k]);
                }
            }
        }
        mean.iter_mut().for_each(|m| *m /= n);
        let (mut c00, mut c0t) = (Matrix::zeros(d, d), Matrix::zeros(d, d));
        for r in trajs {
            for t in lag..r.n_rows() {
                let (x, y) = (r.row(t - lag), r.row(t));
                for i in 0..d {
                    for j in 0..d {
                        let (xi, yi) = (x[i] - mean[i], y[i] - mean[i]);
                        let (xj, yj) = (x[j] - mean[j], y[j] - mean[j]);
                        c00[(i, j)] += (xi * xj + yi * yj) / (2.0 * n);
                        c0t[(i, j)] += (xi * yj + yi * xj) / (2.0 * n);
                    }
                }
            }
        }
        (mean, c00, c0t)
    }

    #[test]
    fn agrees_with_the_definition_and_skips_short_trajectories() {
        let (a, b, c) = (wave(3000, 3, 0.1, 5.0), wave(7, 3, 0.4, 5.0), wave(12, 3, 0.2, 5.0));
        let trajs = [&a, &b, &c].map(|v| Rows::new(v, 3).unwrap());
        let (m, warnings) = PairMoments::of(&trajs, 8).unwrap();
        assert_eq!(m.n_pairs(), 2992 + 4);
        assert_eq!(
            warnings,
            [Warning::SkippedTrajectories { what: "lag".into(), lag: 8, trajectories: vec![1] }]
        );
        let got = m.symmetrised();
        let (mean, c00, c0t) = slow(&trajs, 8);
        for (g, w) in [(&got.c00, &c00), (&got.c0t, &c0t)] {
            for (x, y) in g.as_slice().iter().zip(w.as_slice()) {
                assert!((x - y).abs() < 1e-13, "{x} {y}");
            }
        }
        for (x, y) in got.mean_x.iter().zip(&mean) {
            assert!((x - y).abs() < 1e-13);
        }
    }

    #[test]
    fn an_offset_costs_no_digits_and_parts_merge() {
        let (a, b) = (wave(5000, 2, 0.0, 0.0), wave(4000, 2, 1.0, 0.0));
        let far: Vec<Vec<f64>> =
            [&a, &b].map(|v| v.iter().map(|x| x + 1048576.0).collect()).to_vec();
        let near = [&a, &b].map(|v| Rows::new(v, 2).unwrap());
        let far = [&far[0], &far[1]].map(|v| Rows::new(v, 2).unwrap());
        let whole = PairMoments::of(&near, 5).unwrap().0;
        let shifted = PairMoments::of(&far, 5).unwrap().0;
        let (p, q) = (whole.symmetrised(), shifted.symmetrised());
        for (x, y) in p.c0t.as_slice().iter().zip(q.c0t.as_slice()) {
            assert!((x - y).abs() < 1e-9, "{x} {y}"); // 1e6 leaves 10 digits of the input
        }
        let mut parts = PairMoments::of(&near[1..], 5).unwrap().0;
        parts.merge(&PairMoments::of(&near[..1], 5).unwrap().0).unwrap();
        for (x, y) in p.c00.as_slice().iter().zip(parts.symmetrised().c00.as_slice()) {
            assert!((x - y).abs() < 1e-14, "{x} {y}");
        }
        assert!(parts.merge(&PairMoments::new(4, 2).unwrap()).is_err());
    }

    #[test]
    fn bad_frames_are_named() {
        let mut a = wave(3000, 3, 0.1, 0.0);
        a[3 * 2999 + 1] = f64::NAN;
        let b = wave(50, 3, 0.1, 0.0);
        let trajs = [&b, &a].map(|v| Rows::new(v, 3).unwrap());
        match PairMoments::of(&trajs, 10) {
            Err(MsmError::NotFinite { trajectory: 1, frame: 2999, feature: 1, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            PairMoments::of(&trajs, 3000),
            Err(MsmError::TooShort { lag: 3000, longest: 3000, .. })
        ));
        assert!(matches!(PairMoments::of(&trajs, 0), Err(MsmError::InvalidLag { .. })));
    }
}
