//! k-means clustering: greedy k-means++ start, Lloyd iterations, nearest-centre assignment.
//!
//! Frames of all trajectories form one sequence, cut into fixed blocks; every block sums in f64 and
//! blocks are added in order, so the bits of the result do not depend on the number of threads.
//! Ties go to the lowest centre. Inertia of an iteration: squared distances to the centres just
//! updated, with the assignment that produced them; with n_j frames in cluster j and distances d to
//! the old centres it is sum_j (sum d^2 - n_j |new_j - old_j|^2), so one pass gives both.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernels::{
    Nearest, Packed, Set, TRIALS, Trials, accumulate, pack_trials, trial_distances,
};
use crate::random::Stream;
use crate::rows::{Real, Rows, check_finite, common_width};
use crate::{Matrix, MsmError, Warning};

/// Frames per block.
const BLOCK: usize = 8192;
/// Blocks whose partial sums are held at once.
const WAVE: usize = 64;

/// What to do with a cluster that lost all its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyCluster {
    /// Move its centre to the frame farthest from all centres.
    #[default]
    Reseed,
    /// Leave the centre where it is.
    Keep,
}

/// Estimator of a [`KMeansModel`].
#[derive(Clone, Debug)]
pub struct KMeans {
    k: usize,
    rng_seed: u64,
    max_iterations: usize,
    tolerance: f64,
    empty: EmptyCluster,
}

/// Fitted centres; immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KMeansModel {
    /// Centres as rows.
    pub centers: Matrix,
    /// Inertia after each iteration.
    pub inertias: Vec<f64>,
    /// Whether the tolerance (or the exact fixpoint) was reached.
    pub converged: bool,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

impl KMeans {
    /// `k` clusters; at most 100 iterations, relative tolerance 1e-5, empty clusters reseeded.
    pub fn new(k: usize, rng_seed: u64) -> Self {
        Self { k, rng_seed, max_iterations: 100, tolerance: 1e-5, empty: EmptyCluster::default() }
    }

    /// Upper limit of Lloyd iterations.
    pub fn max_iterations(mut self, n: usize) -> Self {
        self.max_iterations = n;
        self
    }

    /// Stop when the inertia changes by less than this fraction; 0 runs to the exact fixpoint.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Policy for empty clusters.
    pub fn empty_cluster(mut self, policy: EmptyCluster) -> Self {
        self.empty = policy;
        self
    }

    /// k-means++ start, then Lloyd. Fewer distinct frames than `k` give fewer centres and a warning.
    pub fn fit<T: Real>(&self, trajectories: &[Rows<'_, T>]) -> Result<KMeansModel, MsmError> {
        if self.k == 0 {
            return Err(MsmError::Parameter {
                what: "k",
                got: "0".into(),
                expected: "at least 1".into(),
            });
        }
        let data = Data::new(trajectories)?;
        let centers = self.plus_plus(&data);
        self.lloyd(&data, centers)
    }

    /// Only the greedy k-means++ start (2 + ln k candidates per centre).
    pub fn initial_centers<T: Real>(
        &self,
        trajectories: &[Rows<'_, T>],
    ) -> Result<Matrix, MsmError> {
        Ok(self.plus_plus(&Data::new(trajectories)?))
    }

    /// Lloyd from the given centres (rows).
    pub fn fit_from<T: Real>(
        &self,
        trajectories: &[Rows<'_, T>],
        centers: Matrix,
    ) -> Result<KMeansModel, MsmError> {
        let data = Data::new(trajectories)?;
        if centers.n_cols() != data.width {
            return Err(MsmError::Size {
                what: "columns of the given centres",
                expected: data.width,
                got: centers.n_cols(),
            });
        }
        if centers.n_rows() == 0 || centers.as_slice().iter().any(|v| !v.is_finite()) {
            return Err(MsmError::Parameter {
                what: "given centres",
                got: "none, or not finite".into(),
                expected: "finite rows".into(),
            });
        }
        self.lloyd(&data, centers)
    }

    fn plus_plus<T: Real>(&self, data: &Data<'_, T>) -> Matrix {
        let n = data.n_rows();
        let d = data.width;
        let k = self.k.min(n);
        let candidates = 2 + (k as f64).ln() as usize;
        let mut rng = Stream::new(self.rng_seed, 0);
        let mut centers = Vec::with_capacity(k * d);
        centers.extend(data.row(rng.below(n)));
        // `nearest` lags one centre behind (`pending`), which the next pass applies: one pass over
        // the data per centre. Only blocks drawn from are brought up to date before.
        let mut pending: Vec<f64> = centers.clone();
        let mut nearest = vec![T::INFINITY; n];
        let mut owner = vec![0u32; n];
        let mut sums: Vec<f64> = {
            let trials = trials(&pending, &centers, d);
            let blocks = nearest.par_chunks_mut(BLOCK).zip(owner.par_chunks_mut(BLOCK)).enumerate();
            blocks.map(|(b, (near, own))| data.trial_block(b, &trials, near, own)[0]).collect()
        };
        while centers.len() < k * d {
            let total: f64 = sums.iter().sum();
            if !(total > 0.0) {
                break; // every frame sits on a centre
            }
            let now = trials(&pending, &centers, d);
            let mut fresh = Vec::new();
            let picks: Vec<usize> = (0..candidates)
                .map(|_| {
                    let (b, rest) = pick_block(&sums, rng.uniform() * total);
                    let end = ((b + 1) * BLOCK).min(n);
                    let near = &mut nearest[b * BLOCK..end];
                    if !fresh.contains(&b) {
                        data.trial_block(b, &now, near, &mut owner[b * BLOCK..end]);
                        fresh.push(b);
                    }
                    b * BLOCK + pick(near, rest)
                })
                .collect();
            // Lane 0 is the pending centre, the others are candidates.
            let mut best: (f64, Vec<f64>, Vec<f64>) = (f64::INFINITY, vec![], vec![]);
            for group in picks.chunks(TRIALS - 1) {
                let mut lanes = pending.clone();
                group.iter().for_each(|&i| lanes.extend(data.row(i)));
                let trials = trials(&lanes, &centers, d);
                let blocks: Vec<[f64; TRIALS]> = nearest
                    .par_chunks_mut(BLOCK)
                    .zip(owner.par_chunks_mut(BLOCK))
                    .enumerate()
                    .map(|(b, (near, own))| data.trial_block(b, &trials, near, own))
                    .collect();
                for lane in 1..=group.len() {
                    let potential: f64 = blocks.iter().map(|s| s[lane]).sum();
                    if potential < best.0 {
                        let sums = blocks.iter().map(|s| s[lane]).collect();
                        best = (potential, lanes[lane * d..(lane + 1) * d].to_vec(), sums);
                    }
                }
            }
            let (_, center, lowered) = best;
            centers.extend(&center);
            pending = center;
            sums = lowered;
        }
        Matrix::from_vec(centers.len() / d, d, centers).expect("rows of d numbers")
    }

    fn lloyd<T: Real>(
        &self,
        data: &Data<'_, T>,
        mut centers: Matrix,
    ) -> Result<KMeansModel, MsmError> {
        let asked = self.k.max(centers.n_rows());
        let d = data.width;
        let mut inertias: Vec<f64> = Vec::new();
        let (mut converged, mut reseeded, mut change) = (false, 0, f64::INFINITY);
        let mut fingerprint = 0;
        for _ in 0..self.max_iterations {
            let sums = data.cluster_sums(&centers);
            let mut new = centers.clone();
            let mut inertia = 0.0;
            let mut empty = Vec::new();
            for j in 0..centers.n_rows() {
                let n = sums.counts[j];
                if n == 0.0 {
                    empty.push(j);
                    continue;
                }
                let mut moved = 0.0;
                for (c, s) in new.row_mut(j).iter_mut().zip(&sums.sums[j * d..(j + 1) * d]) {
                    let mean = *c + s / n;
                    moved += (mean - *c) * (mean - *c);
                    *c = mean;
                }
                inertia += sums.squares[j] - n * moved;
            }
            if self.empty == EmptyCluster::Reseed && !empty.is_empty() {
                let drop = data.reseed(&mut new, &empty, &mut reseeded);
                if !drop.is_empty() {
                    new = without_rows(&new, &drop);
                }
            }
            // Equal assignments are the fixpoint; centres may still differ by rounding.
            let fixed = empty.is_empty() && sums.fingerprint == fingerprint;
            fingerprint = sums.fingerprint;
            centers = new;
            change = match inertias.last() {
                Some(&before) if before > 0.0 => ((before - inertia) / before).abs(),
                Some(_) => 0.0,
                None => f64::INFINITY,
            };
            inertias.push(inertia);
            if fixed || (self.tolerance > 0.0 && empty.is_empty() && change <= self.tolerance) {
                converged = true;
                break;
            }
        }
        let mut warnings = Vec::new();
        if centers.n_rows() < asked {
            warnings.push(Warning::FewerClusters { asked, got: centers.n_rows() });
        }
        if !converged && self.max_iterations > 0 {
            let change = change.min(1.0); // one iteration alone shows no change
            warnings.push(Warning::NotConverged { iterations: inertias.len(), change });
        }
        let counts = data.cluster_sums(&centers).counts;
        let empty: Vec<usize> = (0..counts.len()).filter(|&j| counts[j] == 0.0).collect();
        if reseeded > 0 || !empty.is_empty() {
            warnings.push(Warning::EmptyClusters { reseeded, empty });
        }
        Ok(KMeansModel { centers, inertias, converged, warnings })
    }
}

impl KMeansModel {
    /// Nearest centre of each frame.
    pub fn assign<T: Real>(&self, rows: &Rows<'_, T>) -> Result<Vec<i32>, MsmError> {
        assign(&self.centers, rows)
    }

    /// Inertia after the last iteration; `None` if there was none.
    pub fn inertia(&self) -> Option<f64> {
        self.inertias.last().copied()
    }
}

/// Nearest centre (row of `centers`) of each frame.
pub fn assign<T: Real>(centers: &Matrix, rows: &Rows<'_, T>) -> Result<Vec<i32>, MsmError> {
    if rows.width() != centers.n_cols() {
        return Err(MsmError::FeatureCount {
            trajectory: 0,
            expected: centers.n_cols(),
            got: rows.width(),
        });
    }
    let packed = Packed::<T>::new(centers);
    let mut out = vec![0; rows.n_rows()];
    // Each block is looked through for bad values while it is near; the first bad one is named.
    let bad = out.par_chunks_mut(BLOCK).enumerate().find_map_first(|(b, out)| {
        let (start, end) = (b * BLOCK, b * BLOCK + out.len());
        if let Err(bad) = check_finite(rows, 0, start, end) {
            return Some(bad);
        }
        let mut nearest = vec![0u32; out.len()];
        packed.nearest(rows.span(start, end), &mut nearest);
        out.iter_mut().zip(&nearest).for_each(|(o, j)| *o = *j as i32);
        None
    });
    bad.map_or(Ok(out), Err)
}

/// Trial centres `lanes`, of which the first is the last of `centers`. A frame nearer to its owner
/// than half the way from there to the nearest lane stays with it.
fn trials<T: Real>(lanes: &[f64], centers: &[f64], d: usize) -> Trials<T> {
    let pending = centers.len() / d - 1;
    let bound = |(owner, center): (usize, &[f64])| {
        // The owner is no rival of itself.
        let rivals = lanes.chunks_exact(d).skip(usize::from(owner == pending));
        let far = rivals.map(|r| r.iter().zip(center).map(|(a, b)| (a - b) * (a - b)).sum::<f64>());
        // A margin for rounding; without a rival nothing is settled, for there may be no distance yet.
        let nearest = far.fold(f64::INFINITY, f64::min);
        T::from_f64(if nearest.is_finite() { 0.2499 * nearest } else { 0.0 })
    };
    let bounds = centers.chunks_exact(d).enumerate().map(bound).collect();
    Trials { lanes: pack_trials(lanes, d), pending: pending as u32, bounds }
}

/// The block that a running sum over blocks reaches `target` in, and what is left of it there.
fn pick_block(block_sums: &[f64], mut target: f64) -> (usize, f64) {
    let mut block = 0;
    while block + 1 < block_sums.len() && target >= block_sums[block] {
        target -= block_sums[block];
        block += 1;
    }
    (block, target)
}

/// First index whose running sum of `weights` passes `target`; never one without weight if any has.
fn pick<T: Real>(weights: &[T], mut target: f64) -> usize {
    let mut last = 0;
    for (i, w) in weights.iter().map(|w| w.to_f64()).enumerate() {
        if w > 0.0 {
            last = i;
            if target < w {
                return i;
            }
            target -= w;
        }
    }
    last
}

fn without_rows(m: &Matrix, drop: &[usize]) -> Matrix {
    let data: Vec<f64> = (0..m.n_rows())
        .filter(|i| !drop.contains(i))
        .flat_map(|i| m.row(i).iter().copied())
        .collect();
    Matrix::from_vec(data.len() / m.n_cols(), m.n_cols(), data).expect("whole rows")
}

/// All frames as one sequence.
pub(crate) struct Data<'a, T> {
    trajectories: Vec<Rows<'a, T>>,
    starts: Vec<usize>,
    width: usize,
    set: Set,
}

/// Sums of one pass; positions are relative to the centres, which keeps digits at an offset.
pub(crate) struct ClusterSums {
    pub(crate) counts: Vec<f64>,
    pub(crate) sums: Vec<f64>,
    pub(crate) squares: Vec<f64>,
    /// Hash of the assignment, in frame order.
    fingerprint: u64,
}

/// One step of FNV-1a over 64-bit words.
#[inline(always)]
fn hash(h: u64, word: u64) -> u64 {
    (h ^ word).wrapping_mul(0x0000_0100_0000_01B3)
}

impl<'a, T: Real> Data<'a, T> {
    pub(crate) fn new(trajectories: &[Rows<'a, T>]) -> Result<Self, MsmError> {
        let width = common_width(trajectories)?;
        let mut starts = vec![0];
        for (i, rows) in trajectories.iter().enumerate() {
            check_finite(rows, i, 0, rows.n_rows())?;
            starts.push(starts[i] + rows.n_rows());
        }
        if starts[trajectories.len()] == 0 {
            return Err(MsmError::NoFrames);
        }
        Ok(Self { trajectories: trajectories.to_vec(), starts, width, set: Set::detect() })
    }

    fn n_rows(&self) -> usize {
        *self.starts.last().expect("starts holds 0")
    }

    fn row(&self, i: usize) -> impl Iterator<Item = f64> + use<'a, T> {
        let t = self.starts.partition_point(|&s| s <= i) - 1;
        self.trajectories[t].row(i - self.starts[t]).iter().map(|v| v.to_f64())
    }

    /// Calls `f` with the rows of `start..end` in order, in spans that lie in one trajectory, and
    /// the position of each span relative to `start`.
    fn for_spans(&self, start: usize, end: usize, mut f: impl FnMut(&[T], std::ops::Range<usize>)) {
        let mut t = self.starts.partition_point(|&s| s <= start) - 1;
        let mut at = start;
        while at < end {
            let stop = end.min(self.starts[t + 1]);
            if at < stop {
                let span = self.trajectories[t].span(at - self.starts[t], stop - self.starts[t]);
                f(span, at - start..stop - start);
            }
            at = stop;
            t += 1;
        }
    }

    /// One pass of k-means++ over block `b`: see [`trial_distances`].
    fn trial_block(
        &self,
        b: usize,
        trials: &Trials<T>,
        near: &mut [T],
        owner: &mut [u32],
    ) -> [f64; TRIALS] {
        let mut sums = [0.0; TRIALS];
        self.for_spans(b * BLOCK, b * BLOCK + near.len(), |rows, at| {
            let nearest = Nearest { distance: &mut near[at.clone()], owner: &mut owner[at] };
            trial_distances(self.set, rows, trials, nearest, &mut sums);
        });
        sums
    }

    /// Lowers `nearest` to the squared distance to `center`.
    fn lower(&self, nearest: &mut [T], center: &[f64]) {
        let trials = trials(center, center, self.width);
        nearest.par_chunks_mut(BLOCK).enumerate().for_each(|(b, chunk)| {
            self.trial_block(b, &trials, chunk, &mut vec![0; chunk.len()]);
        });
    }

    /// Puts empty centres at the farthest frames; those with nowhere to go are returned.
    pub(crate) fn reseed(
        &self,
        centers: &mut Matrix,
        empty: &[usize],
        reseeded: &mut usize,
    ) -> Vec<usize> {
        let filled = without_rows(centers, empty);
        let mut nearest = vec![T::INFINITY; self.n_rows()];
        for j in 0..filled.n_rows() {
            self.lower(&mut nearest, filled.row(j));
        }
        let mut homeless = Vec::new();
        for &j in empty {
            let mut far = 0;
            for (i, v) in nearest.iter().enumerate() {
                if *v > nearest[far] {
                    far = i;
                }
            }
            if !(nearest[far] > T::ZERO) {
                homeless.push(j);
                continue;
            }
            let center: Vec<f64> = self.row(far).collect();
            centers.row_mut(j).copy_from_slice(&center);
            self.lower(&mut nearest, &center);
            *reseeded += 1;
        }
        homeless
    }

    pub(crate) fn cluster_sums(&self, centers: &Matrix) -> ClusterSums {
        let (k, d, n) = (centers.n_rows(), self.width, self.n_rows());
        let packed = Packed::<T>::new(centers);
        let zero = || ClusterSums {
            counts: vec![0.0; k],
            sums: vec![0.0; k * d],
            squares: vec![0.0; k],
            fingerprint: 0xCBF2_9CE4_8422_2325,
        };
        let mut total = zero();
        let n_blocks = n.div_ceil(BLOCK);
        for wave in (0..n_blocks).step_by(WAVE) {
            let partial: Vec<ClusterSums> = (wave..(wave + WAVE).min(n_blocks))
                .into_par_iter()
                .map(|b| {
                    let mut part = zero();
                    let (start, end) = (b * BLOCK, ((b + 1) * BLOCK).min(n));
                    let mut nearest = vec![0u32; end - start];
                    self.for_spans(start, end, |rows, at| {
                        let nearest = &mut nearest[at];
                        packed.nearest(rows, nearest);
                        accumulate(
                            self.set,
                            rows,
                            nearest,
                            centers,
                            &mut part.counts,
                            &mut part.sums,
                            &mut part.squares,
                        );
                    });
                    part.fingerprint =
                        nearest.iter().fold(part.fingerprint, |h, j| hash(h, u64::from(*j)));
                    part
                })
                .collect();
            for p in partial {
                add(&mut total.counts, &p.counts);
                add(&mut total.sums, &p.sums);
                add(&mut total.squares, &p.squares);
                total.fingerprint = hash(total.fingerprint, p.fingerprint);
            }
        }
        total
    }
}

fn add(into: &mut [f64], from: &[f64]) {
    into.iter_mut().zip(from).for_each(|(a, b)| *a += b);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::Noise;

    fn distance2(row: &[f64], center: &[f64]) -> f64 {
        row.iter().zip(center).map(|(x, c)| (x - c) * (x - c)).sum()
    }

    fn blobs(n: usize, seed: u64) -> Vec<f64> {
        let mut noise = Noise::new(seed);
        (0..n)
            .flat_map(|_| {
                let c = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [9.0, 9.0]][noise.below(4)];
                [c[0] + 0.3 * noise.normal(), c[1] + 0.3 * noise.normal()]
            })
            .collect()
    }

    /// Plain Lloyd in two passes.
    fn slow_step(x: &[f64], d: usize, centers: &Matrix) -> (Matrix, f64, Vec<i32>) {
        let k = centers.n_rows();
        let assignment: Vec<i32> = x
            .chunks(d)
            .map(|row| {
                (0..k)
                    .min_by(|&a, &b| {
                        distance2(row, centers.row(a)).total_cmp(&distance2(row, centers.row(b)))
                    })
                    .unwrap() as i32
            })
            .collect();
        let mut new = centers.clone();
        for j in 0..k {
            let members: Vec<&[f64]> = x
                .chunks(d)
                .zip(&assignment)
                .filter(|(_, a)| **a == j as i32)
                .map(|p| p.0)
                .collect();
            for f in 0..d {
                new[(j, f)] = members.iter().map(|r| r[f]).sum::<f64>() / members.len() as f64;
            }
        }
        let inertia =
            x.chunks(d).zip(&assignment).map(|(r, a)| distance2(r, new.row(*a as usize))).sum();
        (new, inertia, assignment)
    }

    #[test]
    fn one_pass_lloyd_is_plain_lloyd() {
        let x = blobs(20_000, 3);
        let rows = [Rows::new(&x[..2 * 7001], 2).unwrap(), Rows::new(&x[2 * 7001..], 2).unwrap()];
        let start = KMeans::new(9, 5).initial_centers(&rows).unwrap();
        let model = KMeans::new(9, 5).max_iterations(3).tolerance(0.0);
        let model = model.fit_from(&rows, start.clone()).unwrap();
        let mut centers = start;
        let mut assignment = vec![];
        for i in 0..3 {
            let (new, inertia, _) = slow_step(&x, 2, &centers);
            assert!((inertia / model.inertias[i] - 1.0).abs() < 1e-12);
            assignment = slow_step(&x, 2, &new).2;
            centers = new;
        }
        for (a, b) in centers.as_slice().iter().zip(model.centers.as_slice()) {
            assert!((a - b).abs() < 1e-11);
        }
        assert_eq!(model.assign(&rows[0]).unwrap(), assignment[..7001]);
    }

    #[test]
    fn finds_blobs_whatever_the_threads_and_the_cut_into_trajectories() {
        let x = blobs(30_000, 1);
        let whole = [Rows::new(&x, 2).unwrap()];
        let parts: Vec<Rows<'_, f64>> =
            x.chunks(2 * 1237).map(|c| Rows::new(c, 2).unwrap()).collect();
        let fit = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                (KMeans::new(4, 9).fit(&whole).unwrap(), KMeans::new(4, 9).fit(&parts).unwrap())
            })
        };
        let (a, b) = fit(1);
        let (c, d) = fit(3);
        assert_eq!(a, b);
        assert_eq!(a, c);
        assert_eq!(a, d);
        assert!(a.converged);
        assert!((a.inertia().unwrap() / 30_000.0 - 0.18).abs() < 0.01);
        let single: Vec<f32> = x.iter().map(|v| *v as f32).collect();
        let f32_model = KMeans::new(4, 9).fit(&[Rows::new(&single, 2).unwrap()]).unwrap();
        assert!((f32_model.inertia().unwrap() / a.inertia().unwrap() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn fewer_distinct_points_than_clusters() {
        let x: Vec<f64> = (0..100).map(|i| f64::from(i % 3)).collect();
        let model = KMeans::new(10, 1).fit(&[Rows::new(&x, 1).unwrap()]).unwrap();
        assert_eq!(model.centers.n_rows(), 3);
        assert!(model.warnings.contains(&Warning::FewerClusters { asked: 10, got: 3 }));
        let few = [1.0, 5.0];
        let model = KMeans::new(10, 1).fit(&[Rows::new(&few, 1).unwrap()]).unwrap();
        assert_eq!(model.centers.n_rows(), 2);
        // given centres on too few points
        let centers = Matrix::from_vec(4, 1, vec![0.0, 0.0, 9.0, 1.0]).unwrap();
        let model = KMeans::new(4, 1).fit_from(&[Rows::new(&x, 1).unwrap()], centers).unwrap();
        assert_eq!(model.centers.n_rows(), 3);
    }

    #[test]
    fn empty_clusters_are_reseeded_or_kept() {
        let x = blobs(1000, 4);
        let rows = [Rows::new(&x, 2).unwrap()];
        let far = Matrix::from_vec(4, 2, vec![0., 0., 10., 0., 0., 10., 1e6, 1e6]).unwrap();
        let model = KMeans::new(4, 1).fit_from(&rows, far.clone()).unwrap();
        assert!((model.inertia().unwrap() / 1000.0 - 0.18).abs() < 0.03);
        assert!(model.warnings.contains(&Warning::EmptyClusters { reseeded: 1, empty: vec![] }));
        let kept =
            KMeans::new(4, 1).empty_cluster(EmptyCluster::Keep).fit_from(&rows, far).unwrap();
        assert_eq!(kept.centers.row(3), [1e6, 1e6]);
        assert!(kept.warnings.contains(&Warning::EmptyClusters { reseeded: 0, empty: vec![3] }));
    }

    #[test]
    fn bad_input_is_named() {
        let mut x = blobs(100, 4);
        x[11] = f64::INFINITY;
        let rows = [Rows::new(&x, 2).unwrap()];
        match KMeans::new(3, 0).fit(&rows) {
            Err(MsmError::NotFinite { trajectory: 0, frame: 5, feature: 1, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert!(KMeans::new(0, 0).fit(&rows).is_err());
        assert!(KMeans::new(1, 0).fit::<f64>(&[]).is_err());
        assert!(KMeans::new(1, 0).fit(&[Rows::new(&[] as &[f64], 2).unwrap()]).is_err());
    }
}
