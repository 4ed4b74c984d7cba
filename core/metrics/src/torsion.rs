//! Torsion marginals (METHOD section 8.1): per torsion the Jensen–Shannon distance of 100-bin
//! histograms on (-π, π); means over all, backbone and side-chain torsions; 2-D marginals of
//! chosen pairs on 50 × 50 bins.

use std::f64::consts::PI;

use crate::MetricError;
use crate::error::{check_finite, check_length};
use crate::histogram::{Bins, count_2d};
use crate::jsd::{BINS_1D, BINS_2D, jsd};

/// Distances of the torsion marginals of two ensembles.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TorsionJsd {
    /// One distance per torsion, in the order given.
    pub per_torsion: Vec<f64>,
    /// Mean over all torsions.
    pub all: f64,
    /// Mean over backbone torsions; `None` if there is none.
    pub backbone: Option<f64>,
    /// Mean over side-chain torsions; `None` if there is none (e.g. glycines only).
    pub side_chain: Option<f64>,
}

/// `reference[t]` and `sample[t]` hold the angles of torsion `t` (radians) over the frames of
/// each ensemble; `is_backbone[t]` its class.
pub fn torsion_jsd(
    reference: &[Vec<f64>],
    sample: &[Vec<f64>],
    is_backbone: &[bool],
) -> Result<TorsionJsd, MetricError> {
    check_length("torsions of the sample", reference.len(), sample.len())?;
    check_length("torsion classes", reference.len(), is_backbone.len())?;
    if reference.is_empty() {
        return Err(MetricError::Empty { what: "list of torsions" });
    }
    let bins = Bins::new(-PI, PI, BINS_1D)?;
    let count = |what, angles: &[f64]| {
        check_finite(what, angles)?;
        Ok(bins.count(&wrapped(angles)))
    };
    let per_torsion = reference
        .iter()
        .zip(sample)
        .map(|(a, b)| jsd(&count("reference torsions", a)?, &count("sample torsions", b)?))
        .collect::<Result<Vec<f64>, _>>()?;
    let class = |backbone: bool| {
        let of: Vec<f64> = per_torsion
            .iter()
            .zip(is_backbone)
            .filter_map(|(d, class)| (*class == backbone).then_some(*d))
            .collect();
        (!of.is_empty()).then(|| mean(&of))
    };
    Ok(TorsionJsd {
        all: mean(&per_torsion),
        backbone: class(true),
        side_chain: class(false),
        per_torsion,
    })
}

/// Distance of the joint marginal of two torsions (50 × 50 bins on (-π, π)²).
pub fn torsion_jsd_2d(reference: [&[f64]; 2], sample: [&[f64]; 2]) -> Result<f64, MetricError> {
    let bins = Bins::new(-PI, PI, BINS_2D)?;
    let count = |what, pair: [&[f64]; 2]| {
        check_length(what, pair[0].len(), pair[1].len())?;
        check_finite(what, pair[0])?;
        check_finite(what, pair[1])?;
        Ok(count_2d(&bins, &bins, &wrapped(pair[0]), &wrapped(pair[1])))
    };
    jsd(&count("reference torsions", reference)?, &count("sample torsions", sample)?)
}

/// The two column pairs of the reference script, (1, 2) and (3, 4) of the zipped order: (psi of
/// residue 0, phi of residue 2) and (psi of 1, phi of 3). They are not Ramachandran pairs.
pub const UPSTREAM_PAIRS: [(usize, usize); 2] = [(1, 2), (3, 4)];
/// The true (phi, psi) of the two inner residues of a tetrapeptide in the zipped order.
pub const RAMACHANDRAN_PAIRS: [(usize, usize); 2] = [(0, 3), (2, 5)];

/// Angles brought into [-π, π].
pub(crate) fn wrapped(angles: &[f64]) -> Vec<f64> {
    let wrap = |x: f64| if x.abs() <= PI { x } else { (x + PI).rem_euclid(2.0 * PI) - PI };
    angles.iter().map(|&x| wrap(x)).collect()
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn angles(power: i32) -> Vec<f64> {
        (0..500).map(|i| PI * (0.7 * f64::from(i)).sin().powi(power)).collect()
    }

    #[test]
    fn one_torsion_gives_scipys_number() {
        let d = torsion_jsd(&[angles(1)], &[angles(3)], &[true]).unwrap();
        assert!((d.all - 0.312_902_598_277_717_27).abs() < 1e-12, "{}", d.all);
        assert_eq!((d.backbone, d.side_chain), (Some(d.all), None));
    }

    #[test]
    fn classes_are_averaged_apart() {
        let reference = [angles(1), angles(1), angles(3)];
        let sample = [angles(3), angles(1), angles(1)];
        let d = torsion_jsd(&reference, &sample, &[true, true, false]).unwrap();
        let one = d.per_torsion[0];
        assert_eq!(d.per_torsion, [one, 0.0, one]);
        assert_eq!(d.backbone, Some(one / 2.0));
        assert_eq!(d.side_chain, Some(one));
        assert!((d.all - 2.0 * one / 3.0).abs() < 1e-15);
    }

    #[test]
    fn whole_turns_do_not_matter() {
        // Half-bin offsets keep every angle away from bin edges.
        let plain: Vec<f64> = (0..100).map(|i| -PI + (f64::from(i) + 0.5) * PI / 50.0).collect();
        let turned: Vec<f64> = plain.iter().map(|x| x + 4.0 * PI).collect();
        assert_eq!(torsion_jsd_2d([&plain, &plain], [&turned, &plain]).unwrap(), 0.0);
        assert_eq!(torsion_jsd(&[plain], &[turned], &[true]).unwrap().all, 0.0);
    }

    #[test]
    fn mismatched_lists_are_refused() {
        assert!(torsion_jsd(&[angles(1)], &[], &[true]).is_err());
        assert!(torsion_jsd(&[], &[], &[]).is_err());
        assert!(torsion_jsd(&[angles(1)], &[vec![f64::NAN]], &[true]).is_err());
    }
}
