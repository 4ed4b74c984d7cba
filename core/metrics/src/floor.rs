//! What finite sampling alone gives: the Jensen–Shannon distance expected between two perfect,
//! independent samples of one distribution. A method that reaches the floor cannot be told
//! from the reference with that many samples (METHOD section 7.1b).
//!
//! Monte Carlo over pairs of multinomial draws of n and m from the reference histogram.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};

use crate::MetricError;
use crate::bootstrap::Interval;
use crate::jsd::jsd;
use crate::torsion::mean;

/// Mean distance, and the range in which 95 % of `repeats` pairs fall, between a sample of
/// `n_reference` and one of `n_sample` independent draws from `histogram` (unnormalised).
pub fn jsd_floor(
    histogram: &[f64],
    n_reference: usize,
    n_sample: usize,
    repeats: usize,
    rng_seed: u64,
) -> Result<Interval, MetricError> {
    // Validates the histogram as a side effect.
    jsd(histogram, histogram)?;
    let one = |a: &[Vec<f64>], b: &[Vec<f64>]| vec![jsd(&a[0], &b[0]).unwrap_or(f64::NAN)];
    let histograms = [histogram.to_vec()];
    let floor = floor_rounds(&histograms, n_reference, n_sample, repeats, rng_seed, one)?;
    floor.first().copied().ok_or(MetricError::Empty { what: "statistic" })
}

/// The same for any statistics of several histograms: `statistics(reference, sample)` is asked
/// once per pair of draws.
pub(crate) fn floor_rounds(
    histograms: &[Vec<f64>],
    n_reference: usize,
    n_sample: usize,
    repeats: usize,
    rng_seed: u64,
    statistics: impl Fn(&[Vec<f64>], &[Vec<f64>]) -> Vec<f64>,
) -> Result<Vec<Interval>, MetricError> {
    let mut draws: Vec<Vec<f64>> = Vec::new();
    for repeat in 0..repeats.max(1) {
        let mut rng = ChaCha8Rng::seed_from_u64(rng_seed);
        rng.set_stream(repeat as u64);
        let mut draw = |n: usize| -> Vec<Vec<f64>> {
            histograms.iter().map(|h| multinomial(&mut rng, h, n.max(1))).collect()
        };
        let (a, b) = (draw(n_reference), draw(n_sample));
        let values = statistics(&a, &b);
        draws.resize(values.len(), Vec::new());
        draws.iter_mut().zip(values).for_each(|(of_one, v)| of_one.push(v));
    }
    let interval = |mut of_one: Vec<f64>| {
        of_one.sort_by(f64::total_cmp);
        let at = |q: f64| of_one[(q * (of_one.len() - 1) as f64).round() as usize];
        Interval { value: mean(&of_one), low: at(0.025), high: at(0.975), level: 0.95 }
    };
    Ok(draws.into_iter().map(interval).collect())
}

/// Counts of `n` draws, bin by bin from the binomial of what is left.
fn multinomial(rng: &mut ChaCha8Rng, weights: &[f64], n: usize) -> Vec<f64> {
    let mut weight_left: f64 = weights.iter().sum();
    let mut left = n as u64;
    let last = weights.iter().rposition(|w| *w > 0.0);
    let mut out = vec![0.0; weights.len()];
    for (i, &w) in weights.iter().enumerate() {
        let count = if Some(i) == last {
            left
        } else {
            let p = if weight_left > 0.0 { (w / weight_left).clamp(0.0, 1.0) } else { 0.0 };
            Binomial::new(left, p).map_or(0, |b| b.sample(rng))
        };
        out[i] = count as f64;
        left -= count;
        weight_left -= w;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_falls_with_the_root_of_the_sample_size() {
        let p = vec![1.0; 10];
        let small = jsd_floor(&p, 1_000_000, 400, 200, 3).unwrap();
        let large = jsd_floor(&p, 1_000_000, 40_000, 200, 3).unwrap();
        // E[JSD²] ≈ (bins - 1) / (8 n) for a perfect reference: √(9 / 3200) = 0.053.
        assert!((small.value / 0.053 - 1.0).abs() < 0.1, "{small:?}");
        assert!((small.value / large.value / 10.0 - 1.0).abs() < 0.15, "{large:?}");
        assert_eq!(small, jsd_floor(&p, 1_000_000, 400, 200, 3).unwrap());
    }

    #[test]
    fn one_full_bin_has_no_floor() {
        assert_eq!(jsd_floor(&[0.0, 3.0, 0.0], 10, 10, 5, 0).unwrap().value, 0.0);
        assert!(jsd_floor(&[0.0, 0.0], 10, 10, 5, 0).is_err());
    }

    #[test]
    fn draws_add_up() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let counts = multinomial(&mut rng, &[0.2, 0.0, 0.5, 0.3, 0.0], 1000);
        assert_eq!(counts.iter().sum::<f64>(), 1000.0);
        assert_eq!((counts[1], counts[4]), (0.0, 0.0));
    }
}
