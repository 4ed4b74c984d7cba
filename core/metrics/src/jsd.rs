//! Jensen–Shannon distance: the *square root* of the divergence, natural logarithm, as SciPy's
//! `jensenshannon` (METHOD section 8.1).
//!
//! With p, q normalised to 1 and m = (p + q)/2:
//! d = √(½ Σ p ln(p/m) + ½ Σ q ln(q/m)), 0 ≤ d ≤ √ln 2 = 0.8326.

use crate::MetricError;
use crate::error::check_length;
use crate::histogram::{Bins, count_2d};

/// Bins of a one-dimensional marginal.
pub const BINS_1D: usize = 100;
/// Bins per axis of a two-dimensional marginal.
pub const BINS_2D: usize = 50;

/// Distance of two unnormalised histograms of the same length.
pub fn jsd(p: &[f64], q: &[f64]) -> Result<f64, MetricError> {
    check_length("histogram bins", p.len(), q.len())?;
    let (sum_p, sum_q) = (total("reference histogram", p)?, total("sample histogram", q)?);
    let mut divergence = 0.0;
    for (&a, &b) in p.iter().zip(q) {
        let (a, b) = (a / sum_p, b / sum_q);
        let m = 0.5 * (a + b);
        divergence += relative(a, m) + relative(b, m);
    }
    // Rounding may leave a divergence of -1e-17.
    Ok((0.5 * divergence).max(0.0).sqrt())
}

/// Distance of two samples of one coordinate: `bins` bins between their joint extremes.
pub fn jsd_joint_1d(reference: &[f64], sample: &[f64], bins: usize) -> Result<f64, MetricError> {
    let bins = Bins::joint(reference, sample, bins)?;
    jsd(&bins.count(reference), &bins.count(sample))
}

/// Distance of two samples of two coordinates (x, y each): `bins` × `bins` bins between the
/// joint extremes of each axis.
pub fn jsd_joint_2d(
    reference: [&[f64]; 2],
    sample: [&[f64]; 2],
    bins: usize,
) -> Result<f64, MetricError> {
    check_length("second reference coordinate", reference[0].len(), reference[1].len())?;
    check_length("second sample coordinate", sample[0].len(), sample[1].len())?;
    let x = Bins::joint(reference[0], sample[0], bins)?;
    let y = Bins::joint(reference[1], sample[1], bins)?;
    jsd(&count_2d(&x, &y, reference[0], reference[1]), &count_2d(&x, &y, sample[0], sample[1]))
}

/// a ln(a/m), 0 at a = 0.
fn relative(a: f64, m: f64) -> f64 {
    if a > 0.0 { a * (a / m).ln() } else { 0.0 }
}

fn total(what: &'static str, counts: &[f64]) -> Result<f64, MetricError> {
    if let Some(&value) = counts.iter().find(|c| !(c.is_finite() && **c >= 0.0)) {
        return Err(MetricError::Domain { what, value, rule: "counts must be finite and ≥ 0" });
    }
    let sum: f64 = counts.iter().sum();
    if sum > 0.0 { Ok(sum) } else { Err(MetricError::Empty { what }) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The two test series of this crate: 500 values each (also written for NumPy/SciPy).
    pub(crate) fn series() -> (Vec<f64>, Vec<f64>) {
        let a = (0..500).map(f64::from).map(|i| (0.7 * i).sin() + 0.3 * (0.013 * i).sin());
        let b = (0..500).map(|i| 1.1 * (0.31 * f64::from(i) + 1.0).sin());
        (a.collect(), b.collect())
    }

    fn wave(f: f64, shift: f64) -> Vec<f64> {
        (0..500).map(|i| (f * f64::from(i)).cos() + shift).collect()
    }

    #[test]
    fn histograms_give_scipys_numbers() {
        // scipy.spatial.distance.jensenshannon 1.x
        let near = |p: &[f64], q: &[f64], value: f64| {
            assert!((jsd(p, q).unwrap() - value).abs() < 1e-14);
        };
        near(&[1., 2., 3., 4.], &[4., 3., 2., 1.], 0.326_251_644_112_674_43);
        near(&[10., 0., 5., 1.], &[0., 3., 5., 2.], 0.591_972_803_737_914_6);
    }

    #[test]
    fn joint_ranges_give_numpys_and_scipys_numbers() {
        let (a, b) = series();
        let one = jsd_joint_1d(&a, &b, 100).unwrap();
        assert!((one - 0.311_580_655_076_423_74).abs() < 1e-12, "{one}");
        let two = jsd_joint_2d([&a, &wave(0.17, 0.0)], [&b, &wave(0.23, 0.2)], 50).unwrap();
        assert!((two - 0.773_736_784_615_325_2).abs() < 1e-12, "{two}");
    }

    #[test]
    fn equal_is_zero_apart_is_the_maximum_and_order_is_nothing() {
        let (a, b) = series();
        assert_eq!(jsd_joint_1d(&a, &a, 100).unwrap(), 0.0);
        assert_eq!(jsd_joint_2d([&a, &b], [&a, &b], 50).unwrap(), 0.0);
        assert_eq!(jsd(&[1.0, 2.0], &[10.0, 20.0]).unwrap(), 0.0);
        let far = jsd(&[1.0, 0.0], &[0.0, 5.0]).unwrap();
        assert!((far - 2_f64.ln().sqrt()).abs() < 1e-15);
        assert_eq!(jsd_joint_1d(&a, &b, 100), jsd_joint_1d(&b, &a, 100));
    }

    #[test]
    fn two_gaussians_give_the_integral() {
        // N(0,1) against N(1,1), densities on a fine grid; quadrature gives 0.333798565282621.
        let density = |mean: f64| -> Vec<f64> {
            (0..2600)
                .map(|i| -12.0 + 0.01 * f64::from(i))
                .map(|x| (-0.5 * (x - mean) * (x - mean)).exp())
                .collect()
        };
        let d = jsd(&density(0.0), &density(1.0)).unwrap();
        assert!((d - 0.333_798_565_282_621).abs() < 1e-9, "{d}");
    }

    #[test]
    fn empty_and_negative_histograms_are_refused() {
        assert!(jsd(&[0.0, 0.0], &[1.0, 0.0]).is_err());
        assert!(jsd(&[1.0, -1.0], &[1.0, 0.0]).is_err());
        assert!(jsd(&[1.0], &[1.0, 0.0]).is_err());
    }
}
