//! Intervals by resampling whole blocks (replicas, trees of one root, or stretches of one
//! trajectory longer than its memory), because neighbouring MD frames are not independent. Each
//! resample draws from its own ChaCha8 stream, so results depend only on `rng_seed`.
//!
//! A distance of two finite samples is biased upwards, and resampling a few replicas biases it once
//! more: plain percentile intervals lie above the value that they belong to. The interval here is
//! that of the percentiles moved so that the median of the resamples falls on the value,
//! [v + q_low - q_50, v + q_high - q_50]: it holds the value and has the resamples' width and skew.
//! It tells how far the number would move with other replicas and other draws of the same size; the
//! bias of finite sampling itself is what the floor ([`crate::floor`]) is printed for.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::MetricError;

/// A number and the interval it lies in.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The statistic of the data as they are.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence level, e.g. 0.95.
    pub level: f64,
}

impl Interval {
    /// The same with both ends in the range that the statistic can take, e.g. no distance below 0.
    pub fn within(self, lowest: f64, highest: f64) -> Self {
        let inside = |x: f64| x.max(lowest).min(highest);
        Self { low: inside(self.low), high: inside(self.high), ..self }
    }
}

/// How to resample.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap {
    /// Number of resamples.
    pub resamples: usize,
    /// Confidence level in (0, 1).
    pub level: f64,
    /// Seed of the random numbers.
    pub rng_seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 200, level: 0.95, rng_seed: 0 }
    }
}

impl Bootstrap {
    /// Interval of a statistic of `n_blocks` blocks. `statistic` receives the blocks to use
    /// (indices, with repetition); the first call has each block once. Resamples where it
    /// fails or is not finite are left out.
    pub fn blocks(
        &self,
        n_blocks: usize,
        statistic: impl Fn(&[usize]) -> Result<f64, MetricError> + Sync,
    ) -> Result<Interval, MetricError> {
        self.two(n_blocks, 0, |a, _| statistic(a))
    }

    /// The same for a statistic of two ensembles whose blocks are resampled independently.
    pub fn two(
        &self,
        n_first: usize,
        n_second: usize,
        statistic: impl Fn(&[usize], &[usize]) -> Result<f64, MetricError> + Sync,
    ) -> Result<Interval, MetricError> {
        let one = self.many(n_first, n_second, |a, b| Ok(vec![statistic(a, b)?]))?;
        one.first().copied().ok_or(MetricError::Empty { what: "statistic" })
    }

    /// The same for several statistics at once. A statistic that is NaN for the data as they
    /// are stays NaN; resamples where it is not finite are left out.
    pub fn many(
        &self,
        n_first: usize,
        n_second: usize,
        statistics: impl Fn(&[usize], &[usize]) -> Result<Vec<f64>, MetricError> + Sync,
    ) -> Result<Vec<Interval>, MetricError> {
        if n_first == 0 {
            return Err(MetricError::Empty { what: "list of blocks" });
        }
        if !(self.level > 0.0 && self.level < 1.0) {
            let rule = "it must lie between 0 and 1";
            return Err(MetricError::Domain { what: "level", value: self.level, rule });
        }
        let all = |n: usize| (0..n).collect::<Vec<_>>();
        let values = statistics(&all(n_first), &all(n_second))?;
        let one = |resample: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.rng_seed);
            rng.set_stream(resample as u64);
            let mut draw = |n: usize| (0..n).map(|_| rng.random_range(0..n)).collect::<Vec<_>>();
            let (a, b) = (draw(n_first), draw(n_second));
            statistics(&a, &b).unwrap_or_default()
        };
        let rounds: Vec<Vec<f64>> = (0..self.resamples).into_par_iter().map(one).collect();
        let tail = 0.5 * (1.0 - self.level);
        let interval = |(k, value): (usize, f64)| {
            let known = rounds.iter().filter_map(|r| r.get(k)).copied().filter(|v| v.is_finite());
            let mut draws: Vec<f64> = known.collect();
            draws.sort_by(f64::total_cmp);
            let at = |q| match draws.is_empty() {
                true => value,
                false => value + quantile(&draws, q) - quantile(&draws, 0.5),
            };
            Interval { value, low: at(tail), high: at(1.0 - tail), level: self.level }
        };
        Ok(values.into_iter().enumerate().map(interval).collect())
    }
}

/// Cuts trajectories of the given lengths into blocks of about `block` frames (none shorter
/// than half of it unless its trajectory is); ranges count over all frames in order.
pub fn block_ranges(lengths: &[usize], block: usize) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut start = 0;
    for &length in lengths {
        let pieces = ((length as f64 / block.max(1) as f64).round() as usize).max(1);
        if length > 0 {
            let edge = |i: usize| start + i * length / pieces;
            out.extend((0..pieces).map(|i| edge(i)..edge(i + 1)).filter(|r| !r.is_empty()));
        }
        start += length;
    }
    out
}

/// Linear interpolation between sorted values, as NumPy's default.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let i = at.floor() as usize;
    let next = sorted[(i + 1).min(sorted.len() - 1)];
    sorted[i] + (at - i as f64) * (next - sorted[i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torsion::mean;

    fn data(n: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        (0..n).map(|_| rng.random::<f64>()).collect()
    }

    #[test]
    fn the_interval_of_a_mean_has_the_known_width() {
        let x = data(400);
        let of = |blocks: &[usize]| Ok(mean(&blocks.iter().map(|&b| x[b]).collect::<Vec<_>>()));
        let boot = Bootstrap { resamples: 2000, ..Bootstrap::default() };
        let i = boot.blocks(400, of).unwrap();
        // Standard error of a uniform mean: √(1/12/400) = 0.01443; 95 %: ± 0.0283.
        assert!(((i.high - i.low) / 0.0566 - 1.0).abs() < 0.1, "{i:?}");
        assert!(i.low < i.value && i.value < i.high);
        assert_eq!(i, boot.blocks(400, of).unwrap(), "same seed, same interval");
        let other = Bootstrap { rng_seed: 1, ..boot }.blocks(400, of).unwrap();
        assert_ne!(i.low, other.low);
    }

    /// A distance estimated from few blocks: percentiles alone would miss its own value.
    #[test]
    fn a_biased_distance_lies_in_its_interval() {
        let x: Vec<f64> = data(40).iter().map(|v| v - 0.5).collect();
        // |mean of squares about a far target| grows with every resample's spread.
        let of = |blocks: &[usize]| {
            let some: Vec<f64> = blocks.iter().map(|&b| x[b]).collect();
            let distinct =
                some.iter().map(|v| v.to_bits()).collect::<std::collections::BTreeSet<_>>();
            Ok(1.0 / distinct.len() as f64 + mean(&some).abs())
        };
        let i = Bootstrap { resamples: 500, ..Bootstrap::default() }.blocks(40, of).unwrap();
        assert!(i.low < i.value && i.value < i.high, "{i:?}");
        let clipped = Interval { low: -0.1, ..i }.within(0.0, 1.0);
        assert_eq!((clipped.low, clipped.value), (0.0, i.value));
    }

    #[test]
    fn blocks_cover_every_frame_once_and_cross_no_seam() {
        let ranges = block_ranges(&[100, 0, 7, 55], 20);
        let frames: Vec<usize> = ranges.iter().cloned().flatten().collect();
        assert_eq!(frames, (0..162).collect::<Vec<_>>());
        assert!(ranges.iter().any(|r| r.end == 100) && ranges.iter().any(|r| r.end == 107));
        assert_eq!(ranges.len(), 5 + 1 + 3);
    }

    #[test]
    fn nonsense_is_refused() {
        let boot = Bootstrap { level: 1.0, ..Bootstrap::default() };
        assert!(boot.blocks(3, |_| Ok(0.0)).is_err());
        assert!(Bootstrap::default().blocks(0, |_| Ok(0.0)).is_err());
    }
}
