//! How fast an ensemble forgets (METHOD section 8.1).
//!
//! c(k) = 1/(n-k) Σ_t x_t x_{t+k}, unbiased and not demeaned; decorrelation of a torsion a:
//! [c_sin(k) + c_cos(k) - b] / (1 - b), b = mean(sin a)² + mean(cos a)². Computed by a fast
//! Fourier transform, so 10^5 lags of 10^6 frames are seconds. With several trajectories the
//! products and their numbers are summed over trajectories: no lag crosses a seam.

use crate::MetricError;
use crate::error::check_finite;
use crate::torsion::mean;

/// c(0) … c(max_lag) of one series or several; lags longer than every series are left out.
pub fn autocovariance(series: &[&[f64]], max_lag: usize) -> Result<Vec<f64>, MetricError> {
    if series.is_empty() {
        return Err(MetricError::Empty { what: "list of series" });
    }
    let longest = series.iter().map(|s| s.len()).max().unwrap_or(0);
    let lags = max_lag.min(longest.saturating_sub(1)) + 1;
    let (mut sums, mut numbers) = (vec![0.0; lags], vec![0.0; lags]);
    for s in series {
        check_finite("series", s)?;
        for (k, product) in lagged_products(s, lags).into_iter().enumerate() {
            sums[k] += product;
            numbers[k] += (s.len() - k) as f64;
        }
    }
    Ok(sums.iter().zip(numbers).map(|(s, n)| s / n).collect())
}

/// What the decorrelation of a torsion needs of some series, so that it can be had again for any
/// choice of replicas: sums of lagged products and their numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TorsionSums {
    products: Vec<f64>,
    numbers: Vec<f64>,
    sin: f64,
    cos: f64,
    n: f64,
}

impl TorsionSums {
    /// Of the series (radians) of one replica, for lags 0 … max_lag.
    pub fn of(angles: &[&[f64]], max_lag: usize) -> Result<Self, MetricError> {
        let longest = angles.iter().map(|s| s.len()).max().unwrap_or(0);
        let lags = max_lag.min(longest.saturating_sub(1)) + 1;
        let mut out =
            Self { products: vec![0.0; lags], numbers: vec![0.0; lags], ..Self::default() };
        for series in angles {
            check_finite("series", series)?;
            for f in [f64::sin, f64::cos] {
                let values: Vec<f64> = series.iter().map(|&x| f(x)).collect();
                for (sum, p) in out.products.iter_mut().zip(lagged_products(&values, lags)) {
                    *sum += p;
                }
            }
            for (k, number) in out.numbers.iter_mut().enumerate() {
                *number += series.len().saturating_sub(k) as f64;
            }
            out.sin += series.iter().map(|x| x.sin()).sum::<f64>();
            out.cos += series.iter().map(|x| x.cos()).sum::<f64>();
            out.n += series.len() as f64;
        }
        Ok(out)
    }

    /// The curve of some replicas together; `None` if the angle never moves.
    pub fn curve(replicas: &[&Self]) -> Option<Vec<f64>> {
        let total = |f: fn(&Self) -> f64| replicas.iter().map(|r| f(r)).sum::<f64>();
        let n = total(|r| r.n);
        let baseline = (total(|r| r.sin) / n).powi(2) + (total(|r| r.cos) / n).powi(2);
        if n.is_nan() || 1.0 - baseline < 1e-12 {
            return None;
        }
        let lags = replicas.iter().map(|r| r.products.len()).max()?;
        let at = |list: fn(&Self) -> &Vec<f64>, k: usize| -> f64 {
            replicas.iter().filter_map(|r| list(r).get(k)).sum()
        };
        let normalised = |k: usize| {
            (at(|r| &r.products, k) / at(|r| &r.numbers, k) - baseline) / (1.0 - baseline)
        };
        Some((0..lags).map(normalised).collect())
    }
}

/// Decorrelation of a torsion (radians) at lags 0 … max_lag; 1 at lag 0, 0 when forgotten.
/// `None` if the angle never moves.
pub fn torsion_decorrelation(
    angles: &[&[f64]],
    max_lag: usize,
) -> Result<Option<Vec<f64>>, MetricError> {
    if angles.is_empty() {
        return Err(MetricError::Empty { what: "list of series" });
    }
    Ok(TorsionSums::curve(&[&TorsionSums::of(angles, max_lag)?]))
}

/// The lag, in frames, where a curve that starts at 1 first falls below 1/e, interpolated;
/// `None` if it does not within the curve.
pub fn decorrelation_lag(curve: &[f64]) -> Option<f64> {
    let level = (-1.0_f64).exp();
    let k = curve.iter().position(|&c| c < level)?;
    let (before, after) = (*curve.get(k.checked_sub(1)?)?, curve[k]);
    Some((k - 1) as f64 + (before - level) / (before - after))
}

/// Effectively independent values in a series: n / (1 + 2 Σ ρ(k)), the sum ending where the
/// pair ρ(2j) + ρ(2j+1) turns negative (Geyer's initial positive sequence), never more than n.
pub fn effective_samples(series: &[f64]) -> Result<f64, MetricError> {
    effective_samples_of(&[series])
}

/// The same for several series of one quantity (replicas of MD, chains of a sampler), about their
/// common mean: replicas that stay apart count as what they are, a few independent values.
pub fn effective_samples_of(series: &[&[f64]]) -> Result<f64, MetricError> {
    let (n, m) = (series.iter().map(|s| s.len()).sum::<usize>(), mean(&series.concat()));
    let longest = series.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut products = vec![0.0; longest];
    for s in series {
        check_finite("series", s)?;
        let centred: Vec<f64> = s.iter().map(|x| x - m).collect();
        for (sum, p) in products.iter_mut().zip(lagged_products(&centred, s.len())) {
            *sum += p;
        }
    }
    let variance = products.first().copied().unwrap_or(0.0);
    if variance <= f64::EPSILON * n as f64 * (m * m) {
        return Ok(1.0);
    }
    // Biased (1/n) autocorrelations: stable at long lags.
    let mut time = -1.0;
    for pair in products.chunks(2) {
        let sum = pair.iter().sum::<f64>() / variance;
        if sum <= 0.0 {
            break;
        }
        time += 2.0 * sum;
    }
    Ok((n as f64 / time.max(1.0)).max(1.0))
}

/// Σ_t x_t x_{t+k} for k = 0 … lags-1 (as many as the series has).
fn lagged_products(x: &[f64], lags: usize) -> Vec<f64> {
    let lags = lags.min(x.len());
    if lags <= 32 {
        let product = |k: usize| x[k..].iter().zip(x).map(|(a, b)| a * b).sum();
        return (0..lags).map(product).collect();
    }
    let size = (x.len() + lags).next_power_of_two();
    let mut re = x.to_vec();
    re.resize(size, 0.0);
    let mut im = vec![0.0; size];
    fft(&mut re, &mut im);
    for (r, i) in re.iter_mut().zip(&mut im) {
        *r = *r * *r + *i * *i;
        *i = 0.0;
    }
    // The power spectrum is even, so a second forward transform is the inverse times `size`.
    fft(&mut re, &mut im);
    re[..lags].iter().map(|v| v / size as f64).collect()
}

/// Iterative radix-2 transform in place; the length is a power of two.
fn fft(re: &mut [f64], im: &mut [f64]) {
    let n = re.len();
    let mut j = 0;
    for i in 1..n {
        let mut bit = n >> 1;
        while j & bit != 0 {
            j ^= bit;
            bit >>= 1;
        }
        j |= bit;
        if i < j {
            re.swap(i, j);
            im.swap(i, j);
        }
    }
    let turns: Vec<(f64, f64)> = (0..n / 2)
        .map(|k| (-2.0 * std::f64::consts::PI * k as f64 / n as f64).sin_cos())
        .map(|(s, c)| (c, s))
        .collect();
    let mut half = 1;
    while half < n {
        let stride = n / (2 * half);
        for start in (0..n).step_by(2 * half) {
            for k in 0..half {
                let (c, s) = turns[k * stride];
                let (a, b) = (start + k, start + k + half);
                let (x, y) = (re[b] * c - im[b] * s, re[b] * s + im[b] * c);
                (re[b], im[b]) = (re[a] - x, im[a] - y);
                re[a] += x;
                im[a] += y;
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsd::tests::series;

    #[test]
    fn transform_and_plain_sums_agree() {
        let (a, _) = series();
        let fast = autocovariance(&[&a], 400).unwrap();
        for k in [0, 1, 13, 33, 399, 400] {
            let plain: f64 = (0..500 - k).map(|t| a[t] * a[t + k]).sum::<f64>() / (500 - k) as f64;
            assert!((fast[k] - plain).abs() < 1e-12, "lag {k}: {} {plain}", fast[k]);
        }
        assert!((fast[13] + 0.428_402_317_095_895_8).abs() < 1e-12);
        assert_eq!(autocovariance(&[&a], 10_000).unwrap().len(), 500);
    }

    #[test]
    fn torsion_decorrelation_is_numpys() {
        let angle: Vec<f64> =
            (0..500).map(f64::from).map(|i| 0.01 * i + 0.5 * (0.37 * i).sin()).collect();
        let d = torsion_decorrelation(&[&angle], 20).unwrap().unwrap();
        let expected = [(0, 1.0), (1, 0.991_073_892_227_754_5), (7, 0.768_088_707_441_269_2)];
        for (k, value) in expected {
            assert!((d[k] - value).abs() < 1e-12, "lag {k}: {}", d[k]);
        }
        assert_eq!(torsion_decorrelation(&[&[0.3; 50]], 5).unwrap(), None);
        // Replica by replica, and then together, it is the same.
        let (a, b) = angle.split_at(200);
        let one = torsion_decorrelation(&[a, b], 20).unwrap().unwrap();
        let sums = [a, b].map(|s| TorsionSums::of(&[s], 20).unwrap());
        let both = TorsionSums::curve(&[&sums[0], &sums[1]]).unwrap();
        assert!(one.iter().zip(&both).all(|(x, y)| (x - y).abs() < 1e-12));
    }

    #[test]
    fn no_lag_crosses_a_seam() {
        // Two constant pieces of opposite sign: within each the product is 1 at every lag.
        let c = autocovariance(&[&[1.0; 40], &[-1.0; 60]], 50).unwrap();
        assert!(c.iter().all(|v| (v - 1.0).abs() < 1e-12));
    }

    #[test]
    fn an_exponential_decays_at_its_rate() {
        let curve: Vec<f64> = (0..100).map(|k| (-f64::from(k) / 12.3).exp()).collect();
        assert!((decorrelation_lag(&curve).unwrap() - 12.3).abs() < 0.01);
        assert_eq!(decorrelation_lag(&curve[..5]), None);
    }

    #[test]
    fn effective_samples_of_an_autoregression() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let (mut x, mut out) = (0.0, Vec::new());
        for _ in 0..40_000 {
            x = 0.8 * x + rng.random::<f64>() - 0.5;
            out.push(x);
        }
        // n (1 - r) / (1 + r) = 40000 / 9
        let n = effective_samples(&out).unwrap();
        assert!((n / (40_000.0 / 9.0) - 1.0).abs() < 0.15, "{n}");
        assert_eq!(effective_samples(&[2.0; 100]).unwrap(), 1.0);
        // Cut into replicas it is the same; replicas that never meet are a handful of values.
        let cut: Vec<&[f64]> = out.chunks(10_000).collect();
        assert!((effective_samples_of(&cut).unwrap() / n - 1.0).abs() < 0.1);
        let apart: Vec<f64> = out[..10_000].iter().map(|x| x + 100.0).collect();
        let few = effective_samples_of(&[&out[..10_000], &apart]).unwrap();
        assert!(few < 10.0, "{few}");
    }
}
