//! k-means over a stream that is seen once: mini-batches (Sculley 2010).
//!
//! Frames are taken in batches of a fixed length, counted from the start of the stream whatever the
//! pieces they arrive in. The first batch chooses the centres (greedy k-means++, then Lloyd) unless
//! they are given. Of every batch each centre takes the frames nearest to it into its running mean:
//! n_j += b_j, c_j += sum (x - c_j) / n_j. A centre that no frame of `IDLE` batches chose moves to
//! the frame of the batch that is farthest from all centres, and its neighbour there starts anew. The sums are those of Lloyd, so the
//! bits depend on the frames, their order and the seed, not on threads.
//!
//! Early frames weigh as much as late ones, but they were given to centres that have moved since:
//! the result lies near a minimum of the inertia, not in it.

use crate::kmeans::Data;
use crate::rows::{Real, Rows, check_finite};
use crate::{KMeans, KMeansModel, Matrix, MsmError, Warning};

/// Frames per batch.
const BATCH: usize = 32_768;
/// Batches without a frame after which a centre is moved.
const IDLE: u32 = 10;
/// Mean square movement of the centres in a batch, relative to that of its frames, below which they
/// have settled.
const SETTLED: f64 = 1e-4;

/// Estimator of a [`KMeansModel`] that is fed piece by piece.
#[derive(Clone, Debug)]
pub struct MiniBatchKMeans {
    k: usize,
    rng_seed: u64,
    batch: usize,
    centers: Option<Matrix>,
    /// Frames that each centre has taken in.
    taken: Vec<f64>,
    idle: Vec<u32>,
    /// Frames of the batch that is not full yet.
    buffer: Vec<f64>,
    width: usize,
    seen: usize,
    inertias: Vec<f64>,
    moved: f64,
    reseeded: usize,
    warnings: Vec<Warning>,
}

impl MiniBatchKMeans {
    /// `k` clusters, started from the first batch.
    pub fn new(k: usize, rng_seed: u64) -> Self {
        Self {
            k,
            rng_seed,
            batch: BATCH,
            centers: None,
            taken: vec![],
            idle: vec![],
            buffer: vec![],
            width: 0,
            seen: 0,
            inertias: vec![],
            moved: f64::INFINITY,
            reseeded: 0,
            warnings: vec![],
        }
    }

    /// Goes on from `centers` (rows, finite), which stand for no frames yet.
    pub fn from_centers(centers: Matrix) -> Self {
        let k = centers.n_rows();
        Self {
            taken: vec![0.0; k],
            idle: vec![0; k],
            width: centers.n_cols(),
            centers: Some(centers),
            ..Self::new(k, 0)
        }
    }

    /// Frames per batch (at least 1); more are steadier, fewer take less memory.
    pub fn batch(mut self, frames: usize) -> Self {
        self.batch = frames.max(1);
        self
    }

    /// Takes the next frames of the stream. Errors name frames by their place in the stream.
    pub fn push<T: Real>(&mut self, rows: &Rows<'_, T>) -> Result<(), MsmError> {
        if self.k == 0 {
            let expected = "at least 1".into();
            return Err(MsmError::Parameter { what: "k", got: "0".into(), expected });
        }
        if self.width == 0 {
            self.width = rows.width();
        }
        if rows.width() != self.width {
            let (expected, got) = (self.width, rows.width());
            return Err(MsmError::FeatureCount { trajectory: 0, expected, got });
        }
        check_finite(rows, 0, 0, rows.n_rows()).map_err(|e| match e {
            MsmError::NotFinite { trajectory, frame, feature, value } => {
                MsmError::NotFinite { trajectory, frame: frame + self.seen, feature, value }
            }
            other => other,
        })?;
        self.seen += rows.n_rows();
        let mut start = 0;
        while start < rows.n_rows() {
            let free = self.batch - self.buffer.len() / self.width;
            let end = (start + free).min(rows.n_rows());
            self.buffer.extend(rows.span(start, end).iter().map(|v| v.to_f64()));
            if self.buffer.len() == self.batch * self.width {
                self.take_batch()?;
            }
            start = end;
        }
        Ok(())
    }

    /// The centres after the last frame. `inertias` holds one number per batch: squared distances of
    /// its frames to the centres before it.
    pub fn finish(mut self) -> Result<KMeansModel, MsmError> {
        if !self.buffer.is_empty() {
            self.take_batch()?;
        }
        let centers = self.centers.ok_or(MsmError::NoFrames)?;
        let converged = self.moved <= SETTLED;
        let mut warnings = self.warnings;
        if !converged {
            let iterations = self.inertias.len();
            warnings.push(Warning::NotConverged { iterations, change: self.moved.min(1.0) });
        }
        let empty: Vec<usize> = (0..self.taken.len()).filter(|j| self.taken[*j] == 0.0).collect();
        if self.reseeded > 0 || !empty.is_empty() {
            warnings.push(Warning::EmptyClusters { reseeded: self.reseeded, empty });
        }
        Ok(KMeansModel { centers, inertias: self.inertias, converged, warnings })
    }

    fn take_batch(&mut self) -> Result<(), MsmError> {
        let buffer = std::mem::take(&mut self.buffer);
        let rows = [Rows::new(&buffer, self.width)?];
        let data = Data::new(&rows)?;
        match self.centers.take() {
            None => {
                let first = KMeans::new(self.k, self.rng_seed).fit(&rows)?;
                self.taken = data.cluster_sums(&first.centers).counts;
                self.idle = vec![0; self.taken.len()];
                self.inertias.extend(first.inertia());
                // Lloyd's own convergence on the first batch says little about the stream.
                let few = |w: &Warning| matches!(w, Warning::FewerClusters { .. });
                self.warnings.extend(first.warnings.into_iter().filter(few));
                self.moved = if first.converged { 0.0 } else { f64::INFINITY };
                self.centers = Some(first.centers);
            }
            Some(centers) => self.centers = Some(self.moved_by(&data, centers)),
        }
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn moved_by(&mut self, data: &Data<'_, f64>, mut centers: Matrix) -> Matrix {
        let d = self.width;
        let sums = data.cluster_sums(&centers);
        let (mut moved, mut spread) = (0.0, 0.0);
        for j in 0..centers.n_rows() {
            let frames = sums.counts[j];
            if frames == 0.0 {
                self.idle[j] += 1;
                continue;
            }
            self.idle[j] = 0;
            self.taken[j] += frames;
            spread += sums.squares[j];
            for (c, s) in centers.row_mut(j).iter_mut().zip(&sums.sums[j * d..(j + 1) * d]) {
                let step = s / self.taken[j];
                *c += step;
                moved += frames * step * step;
            }
        }
        self.inertias.push(spread);
        self.moved = if spread > 0.0 { moved / spread } else { 0.0 };
        let idle: Vec<usize> = (0..self.idle.len()).filter(|j| self.idle[*j] >= IDLE).collect();
        if !idle.is_empty() {
            let homeless = data.reseed(&mut centers, &idle, &mut self.reseeded);
            for j in idle.into_iter().filter(|j| !homeless.contains(j)) {
                // Its neighbour, whose frames it now shares, need not carry their old mean along.
                let apart = |i: usize| -> f64 {
                    centers.row(i).iter().zip(centers.row(j)).map(|(a, b)| (a - b).powi(2)).sum()
                };
                let others = (0..centers.n_rows()).filter(|i| *i != j);
                if let Some(i) = others.min_by(|a, b| apart(*a).total_cmp(&apart(*b))) {
                    self.taken[i] = self.taken[i].min(sums.counts[i]);
                }
                (self.taken[j], self.idle[j]) = (1.0, 0);
            }
        }
        centers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::Noise;

    /// Four blobs with their frames mixed.
    fn blobs(n: usize) -> Vec<f64> {
        let mut noise = Noise::new(3);
        let middles = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [9.0, 9.0]];
        let mut point = || {
            let c = middles[noise.below(4)];
            [c[0] + 0.3 * noise.normal(), c[1] + 0.3 * noise.normal()]
        };
        (0..n).flat_map(|_| point()).collect()
    }

    fn fit(x: &[f64], piece: usize, mut stream: MiniBatchKMeans) -> KMeansModel {
        for p in x.chunks(2 * piece) {
            stream.push(&Rows::new(p, 2).unwrap()).unwrap();
        }
        stream.finish().unwrap()
    }

    #[test]
    fn finds_what_lloyd_finds_whatever_the_pieces_and_threads() {
        let x = blobs(20_000);
        let rows = [Rows::new(&x, 2).unwrap()];
        let stream = MiniBatchKMeans::new(4, 5).batch(1000);
        let a = fit(&x, 20_000, stream.clone());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let b = pool.install(|| fit(&x, 77, stream));
        assert_eq!(a, b);
        assert!(a.converged && a.inertias.len() == 20 && a.warnings.is_empty());
        let lloyd = KMeans::new(4, 5).fit(&rows).unwrap();
        let inertia = |m: &KMeansModel| {
            let start = KMeans::new(4, 5).max_iterations(1);
            start.fit_from(&rows, m.centers.clone()).unwrap().inertias[0]
        };
        assert!(inertia(&a) < 1.001 * inertia(&lloyd), "{} {}", inertia(&a), inertia(&lloyd));
    }

    #[test]
    fn given_centres_become_the_means_of_their_frames() {
        let x = blobs(5000);
        let start = Matrix::from_vec(4, 2, vec![1., 1., 8., 1., 1., 8., 8., 8.]).unwrap();
        let model = fit(&x, 64, MiniBatchKMeans::from_centers(start.clone()).batch(500));
        let rows = Rows::new(&x, 2).unwrap();
        let states = crate::kmeans::assign(&start, &rows).unwrap();
        for j in 0..4 {
            let mine: Vec<&[f64]> =
                (0..5000).filter(|i| states[*i] == j).map(|i| rows.row(i)).collect();
            for f in 0..2 {
                let mean = mine.iter().map(|r| r[f]).sum::<f64>() / mine.len() as f64;
                assert!((model.centers[(j as usize, f)] - mean).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn a_centre_that_nobody_chooses_is_moved() {
        let x = blobs(20_000);
        let far = vec![0., 0., 10., 0., 5., 9., 1e6, 1e6];
        let far = Matrix::from_vec(4, 2, far).unwrap();
        let model = fit(&x, 999, MiniBatchKMeans::from_centers(far).batch(500));
        assert!(model.centers.as_slice().iter().all(|c| c.abs() < 20.0), "{:?}", model.centers);
        assert!(model.warnings.contains(&Warning::EmptyClusters { reseeded: 1, empty: vec![] }));
        let per_frame = model.inertias.last().unwrap() / 500.0;
        assert!(per_frame < 0.3, "{per_frame}");
    }

    #[test]
    fn bad_frames_and_short_streams() {
        let mut stream = MiniBatchKMeans::new(2, 1).batch(10);
        stream.push(&Rows::new(&[0.0; 24], 2).unwrap()).unwrap();
        let error = stream.push(&Rows::new(&[0.0, 1.0, 2.0, f64::NAN], 2).unwrap());
        assert!(matches!(error, Err(MsmError::NotFinite { frame: 13, feature: 1, .. })));
        assert!(stream.push(&Rows::new(&[0.0], 1).unwrap()).is_err());
        let one = stream.finish().unwrap();
        assert_eq!(one.centers.n_rows(), 1);
        assert!(one.warnings.contains(&Warning::FewerClusters { asked: 2, got: 1 }));
        assert!(matches!(MiniBatchKMeans::new(2, 1).finish(), Err(MsmError::NoFrames)));
        let zero = MiniBatchKMeans::new(0, 1).push(&Rows::new(&[0.0], 1).unwrap());
        assert!(zero.is_err());
    }
}
