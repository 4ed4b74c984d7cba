//! Protein numbers of an ensemble (METHOD section 8.2) that can be had again for any choice of its
//! blocks without looking at a frame: RMSF, mean pairwise RMSD, mean foldedness. Bootstrap
//! intervals need them hundreds of times.
//!
//! Per block the sums of x and x² of every coordinate about one origin, and per pair of blocks the
//! sum of RMSDs between their frames. The slow, obvious forms are in [`crate::protein`].

use std::ops::Range;

use rayon::prelude::*;

use crate::MetricError;
use crate::error::check_length;

/// Block sums of superposed frames (nm).
#[derive(Clone, Debug)]
pub struct Fluctuations {
    n_atoms: usize,
    blocks: Vec<Sums>,
    /// Σ of RMSDs (nm) between frames of two blocks, row-major; and the frames of each that it
    /// counts.
    pairs: Vec<f64>,
    thinned: Vec<f64>,
}

#[derive(Clone, Debug, Default)]
struct Sums {
    n: f64,
    /// Per coordinate.
    first: Vec<f64>,
    second: Vec<f64>,
    foldedness: f64,
}

impl Fluctuations {
    /// `frames` are superposed on one structure, `origin` is that structure (sums are taken about
    /// it), `foldedness` one value per frame (empty where there is no such thing). Pairwise RMSDs
    /// take at most `most_pair_frames` frames, evenly spread over each block.
    pub fn new(
        frames: &[Vec<[f64; 3]>],
        origin: &[[f32; 3]],
        foldedness: &[f64],
        blocks: &[Range<usize>],
        most_pair_frames: usize,
    ) -> Result<Self, MetricError> {
        let n_atoms = origin.len();
        for frame in frames {
            check_length("atoms of a frame", n_atoms, frame.len())?;
            crate::error::check_finite("positions", frame.as_flattened())?;
        }
        if let Some(beyond) = blocks.iter().find(|b| b.end > frames.len()) {
            let (expected, found) = (frames.len(), beyond.end);
            return Err(MetricError::Length { what: "blocks", expected, found });
        }
        if !foldedness.is_empty() {
            check_length("foldedness", frames.len(), foldedness.len())?;
        }
        let centre: Vec<f64> = origin.as_flattened().iter().map(|x| f64::from(*x)).collect();
        let sums = |block: &Range<usize>| {
            let mut s = Sums {
                n: block.len() as f64,
                first: vec![0.0; 3 * n_atoms],
                second: vec![0.0; 3 * n_atoms],
                foldedness: foldedness.get(block.clone()).map_or(0.0, |f| f.iter().sum()),
            };
            for frame in &frames[block.clone()] {
                for (k, x) in frame.as_flattened().iter().enumerate() {
                    let d = x - centre[k];
                    s.first[k] += d;
                    s.second[k] += d * d;
                }
            }
            s
        };
        let total: usize = blocks.iter().map(Range::len).sum();
        let step = total.div_ceil(most_pair_frames.max(1)).max(1);
        let picked: Vec<Vec<usize>> =
            blocks.iter().map(|b| b.clone().step_by(step).collect()).collect();
        let between = |a: usize, b: usize| -> f64 {
            let one =
                |i: &usize| picked[b].iter().map(|j| rmsd(&frames[*i], &frames[*j])).sum::<f64>();
            picked[a].iter().map(one).sum()
        };
        let n = blocks.len();
        let upper: Vec<f64> = (0..n * n)
            .into_par_iter()
            .map(|k| if k / n <= k % n { between(k / n, k % n) } else { 0.0 })
            .collect();
        let pairs =
            (0..n * n).map(|k| upper[(k / n).min(k % n) * n + (k / n).max(k % n)]).collect();
        Ok(Self {
            n_atoms,
            blocks: blocks.iter().map(sums).collect(),
            pairs,
            thinned: picked.iter().map(|p| p.len() as f64).collect(),
        })
    }

    /// Number of blocks.
    pub fn n_blocks(&self) -> usize {
        self.blocks.len()
    }

    /// RMSF per atom, nm, of the frames of some blocks (with repetition).
    pub fn rmsf_nm(&self, which: &[usize]) -> Vec<f64> {
        let n: f64 = which.iter().map(|b| self.blocks[*b].n).sum();
        let mut variance = vec![0.0; self.n_atoms];
        for k in 0..3 * self.n_atoms {
            let sum = |f: fn(&Sums) -> &Vec<f64>| -> f64 {
                which.iter().map(|b| f(&self.blocks[*b])[k]).sum::<f64>() / n
            };
            let (m, m2) = (sum(|s| &s.first), sum(|s| &s.second));
            variance[k / 3] += (m2 - m * m).max(0.0);
        }
        variance.into_iter().map(f64::sqrt).collect()
    }

    /// Mean over all ordered pairs of the (thinned) frames of some blocks, the diagonal included,
    /// of their RMSD, nm.
    pub fn mean_pairwise_rmsd_nm(&self, which: &[usize]) -> f64 {
        let (n, mut sum) = (self.blocks.len(), 0.0);
        for a in which {
            sum += which.iter().map(|b| self.pairs[a * n + b]).sum::<f64>();
        }
        let frames: f64 = which.iter().map(|b| self.thinned[*b]).sum();
        sum / (frames * frames)
    }

    /// Mean foldedness and the number of frames.
    pub fn foldedness(&self, which: &[usize]) -> (f64, usize) {
        let n: f64 = which.iter().map(|b| self.blocks[*b].n).sum();
        (which.iter().map(|b| self.blocks[*b].foldedness).sum::<f64>() / n, n as usize)
    }
}

fn rmsd(a: &[[f64; 3]], b: &[[f64; 3]]) -> f64 {
    let pairs = a.as_flattened().iter().zip(b.as_flattened());
    (pairs.map(|(x, y)| (x - y) * (x - y)).sum::<f64>() / a.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protein::{mean_pairwise_rmsd_nm, rmsf_nm};
    use crate::torsion::mean;

    fn frames(n: usize) -> Vec<Vec<[f64; 3]>> {
        let wave = |f: usize, a: usize, k: usize| {
            let x = (f * 7 + a * 13 + k * 29) as f64;
            5.0 + a as f64 * 0.3 + 0.2 * (0.37 * x).sin()
        };
        (0..n).map(|f| (0..6).map(|a| [0, 1, 2].map(|k| wave(f, a, k))).collect()).collect()
    }

    #[test]
    fn sums_give_what_the_frames_give() {
        let frames = frames(40);
        let origin: Vec<[f32; 3]> = frames[0].iter().map(|p| p.map(|x| x as f32)).collect();
        let folded: Vec<f64> = (0..40).map(|f| f64::from(f) / 40.0).collect();
        let blocks = [0..10, 10..25, 25..40];
        let f = Fluctuations::new(&frames, &origin, &folded, &blocks, 1000).unwrap();
        for which in [vec![0, 1, 2], vec![1, 1, 0]] {
            let chosen: Vec<Vec<[f64; 3]>> =
                which.iter().flat_map(|b| frames[blocks[*b].clone()].to_vec()).collect();
            let slow = rmsf_nm(&chosen).unwrap();
            for (a, b) in f.rmsf_nm(&which).iter().zip(&slow) {
                assert!((a - b).abs() < 1e-9, "{a} {b}");
            }
            let slow = mean_pairwise_rmsd_nm(&chosen).unwrap();
            assert!((f.mean_pairwise_rmsd_nm(&which) - slow).abs() < 1e-12);
            let folded: Vec<f64> =
                which.iter().flat_map(|b| folded[blocks[*b].clone()].to_vec()).collect();
            assert!((f.foldedness(&which).0 - mean(&folded)).abs() < 1e-12);
        }
        assert!(Fluctuations::new(&frames, &origin, &folded, &[0..40, 40..41], 10).is_err());
        assert!(Fluctuations::new(&frames, &origin, &folded[..3], &blocks, 10).is_err());
    }

    #[test]
    fn thinning_takes_frames_of_every_block() {
        let frames = frames(100);
        let origin: Vec<[f32; 3]> = frames[0].iter().map(|p| p.map(|x| x as f32)).collect();
        let blocks = [0..50, 50..100];
        let some = Fluctuations::new(&frames, &origin, &[], &blocks, 20).unwrap();
        let every_fifth: Vec<Vec<[f64; 3]>> = frames.iter().step_by(5).cloned().collect();
        let slow = mean_pairwise_rmsd_nm(&every_fifth).unwrap();
        assert!((some.mean_pairwise_rmsd_nm(&[0, 1]) - slow).abs() < 1e-12);
    }
}
