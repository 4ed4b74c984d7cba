//! How well kinetics agree, which the paper leaves unchecked: timescales and mean first-passage
//! times on a logarithmic scale, and transition matrices state by state.

use crate::MetricError;
use crate::error::{check_finite, check_length};
use crate::jsd::jsd;

/// Agreement of positive times (implied timescales, mean first-passage times).
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct TimeAgreement {
    /// Times compared: those finite and positive on both sides.
    pub n: usize,
    /// Mean |log10(sample / reference)|: 0.30 is a factor of 2.
    pub mean_abs_log10: f64,
    /// Mean log10(sample / reference): positive if the sample is slower.
    pub mean_log10: f64,
}

/// Compares times pair by pair; `None` if no pair can be compared.
pub fn time_agreement(
    reference: &[f64],
    sample: &[f64],
) -> Result<Option<TimeAgreement>, MetricError> {
    check_length("times", reference.len(), sample.len())?;
    let usable = |t: f64| t.is_finite() && t > 0.0;
    let ratios: Vec<f64> = reference
        .iter()
        .zip(sample)
        .filter(|(r, s)| usable(**r) && usable(**s))
        .map(|(r, s)| (s / r).log10())
        .collect();
    let n = ratios.len();
    Ok((n > 0).then(|| TimeAgreement {
        n,
        mean_abs_log10: ratios.iter().map(|r| r.abs()).sum::<f64>() / n as f64,
        mean_log10: ratios.iter().sum::<f64>() / n as f64,
    }))
}

/// Agreement of two transition matrices over the same states.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct MatrixAgreement {
    /// √JSD between the rows of each state; `None` where either row is empty.
    pub per_state: Vec<Option<f64>>,
    /// Mean of `per_state` weighted by the reference's populations.
    pub weighted_jsd: f64,
    /// Mean |T_sample - T_reference| over all entries of the states compared.
    pub mean_abs_error: f64,
    /// Reference population of the states compared; the rest could not be.
    pub covered: f64,
}

/// Compares row-major n × n matrices; `populations` are the reference's, any normalisation.
pub fn matrix_agreement(
    reference: &[f64],
    sample: &[f64],
    populations: &[f64],
) -> Result<MatrixAgreement, MetricError> {
    let n = populations.len();
    check_length("entries of the reference matrix", n * n, reference.len())?;
    check_length("entries of the sample matrix", n * n, sample.len())?;
    check_finite("reference matrix", reference)?;
    check_finite("sample matrix", sample)?;
    check_finite("populations", populations)?;
    let total: f64 = populations.iter().sum();
    let mut out = MatrixAgreement {
        per_state: vec![None; n],
        weighted_jsd: 0.0,
        mean_abs_error: 0.0,
        covered: 0.0,
    };
    let mut compared = 0.0;
    for state in 0..n {
        let (r, s) = (&reference[state * n..][..n], &sample[state * n..][..n]);
        if r.iter().sum::<f64>() <= 0.0 || s.iter().sum::<f64>() <= 0.0 {
            continue;
        }
        let d = jsd(r, s)?;
        out.per_state[state] = Some(d);
        out.weighted_jsd += populations[state] / total * d;
        out.covered += populations[state] / total;
        out.mean_abs_error += r.iter().zip(s).map(|(a, b)| (a - b).abs()).sum::<f64>();
        compared += n as f64;
    }
    if out.covered <= 0.0 {
        return Err(MetricError::Empty { what: "set of states with transitions on both sides" });
    }
    out.weighted_jsd /= out.covered;
    out.mean_abs_error /= compared;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_as_slow_is_0_30() {
        let t = time_agreement(&[10.0, 100.0, f64::NAN, 5.0], &[20.0, 200.0, 1.0, f64::INFINITY]);
        let t = t.unwrap().unwrap();
        assert_eq!(t.n, 2);
        assert!((t.mean_log10 - 2_f64.log10()).abs() < 1e-15);
        let mixed = time_agreement(&[10.0, 10.0], &[20.0, 5.0]).unwrap().unwrap();
        assert!((mixed.mean_abs_log10 - 2_f64.log10()).abs() < 1e-15);
        assert!(mixed.mean_log10.abs() < 1e-15);
        assert_eq!(time_agreement(&[-1.0], &[1.0]).unwrap(), None);
    }

    #[test]
    fn matrices_are_compared_row_by_row() {
        let t = [0.9, 0.1, 0.0, 0.2, 0.8, 0.0, 0.0, 0.0, 1.0];
        let mut u = t;
        u[3..6].copy_from_slice(&[0.8, 0.2, 0.0]);
        let same = matrix_agreement(&t, &t, &[0.6, 0.3, 0.1]).unwrap();
        assert_eq!((same.weighted_jsd, same.mean_abs_error), (0.0, 0.0));
        let m = matrix_agreement(&t, &u, &[0.6, 0.3, 0.1]).unwrap();
        let d = jsd(&[0.2, 0.8], &[0.8, 0.2]).unwrap();
        assert!((m.weighted_jsd - 0.3 * d).abs() < 1e-15);
        assert!((m.mean_abs_error - 1.2 / 9.0).abs() < 1e-15);
        // A state never left in the sample is not compared.
        u[6..9].copy_from_slice(&[0.0; 3]);
        let part = matrix_agreement(&t, &u, &[0.6, 0.3, 0.1]).unwrap();
        assert_eq!(part.per_state[2], None);
        assert!((part.covered - 0.9).abs() < 1e-15);
    }
}
