//! Intervals by resampling whole blocks (replicas, or stretches of one trajectory longer than
//! its memory), because neighbouring MD frames are not independent. Percentile intervals; each
//! resample draws from its own ChaCha8 stream, so results depend only on `rng_seed`.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
        mut statistic: impl FnMut(&[usize]) -> Result<f64, MetricError>,
    ) -> Result<Interval, MetricError> {
        self.two(n_blocks, 0, |a, _| statistic(a))
    }

    /// The same for a statistic of two ensembles whose blocks are resampled independently.
    pub fn two(
        &self,
        n_first: usize,
        n_second: usize,
        mut statistic: impl FnMut(&[usize], &[usize]) -> Result<f64, MetricError>,
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
        mut statistics: impl FnMut(&[usize], &[usize]) -> Result<Vec<f64>, MetricError>,
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
        let mut draws = vec![Vec::with_capacity(self.resamples); values.len()];
        for resample in 0..self.resamples {
            let mut rng = ChaCha8Rng::seed_from_u64(self.rng_seed);
            rng.set_stream(resample as u64);
            let mut draw = |n: usize| (0..n).map(|_| rng.random_range(0..n)).collect::<Vec<_>>();
            let (a, b) = (draw(n_first), draw(n_second));
            for (of_one, v) in draws.iter_mut().zip(statistics(&a, &b).unwrap_or_default()) {
                of_one.extend(Some(v).filter(|v| v.is_finite()));
            }
        }
        let tail = 0.5 * (1.0 - self.level);
        let interval = |(value, mut draws): (f64, Vec<f64>)| {
            draws.sort_by(f64::total_cmp);
            let at = |q| if draws.is_empty() { value } else { quantile(&draws, q) };
            Interval { value, low: at(tail), high: at(1.0 - tail), level: self.level }
        };
        Ok(values.into_iter().zip(draws).map(interval).collect())
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
