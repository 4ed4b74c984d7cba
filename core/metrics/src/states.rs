//! Macrostates (METHOD sections 8.1, 8.2): populations, their Jensen–Shannon distance and the
//! mean absolute error of state free energies.
//!
//! F_k = -kT ln p_k; MAE = mean over k of |ΔF_k - offset|, ΔF_k = F_k(sample) - F_k(reference),
//! k over the states populated in the reference, p clipped below at 1/(2 n_samples), offset the
//! mean (or median) of ΔF. The paper's definition is not published: this one follows BioEmu's
//! free-energy errors and must not be compared with the paper's absolute values.

use crate::MetricError;
use crate::error::check_length;
use crate::jsd::jsd;
use crate::torsion::mean;

/// Boltzmann's constant, kcal/mol/K, as BioEmu's benchmarks use it.
pub const K_KCAL_PER_MOL_KELVIN: f64 = 0.001_987_203_599_772_605;

/// How many frames each macrostate holds, and how many lie outside the reference.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Populations {
    /// Frames per state.
    pub counts: Vec<f64>,
    /// Frames that belong to none of the reference's states.
    pub outside: f64,
}

impl Populations {
    /// Counts states; anything ≥ `n_states` is outside the reference.
    pub fn new(states: &[usize], n_states: usize) -> Result<Self, MetricError> {
        if states.is_empty() {
            return Err(MetricError::Empty { what: "list of states" });
        }
        let (mut counts, mut outside) = (vec![0.0; n_states], 0.0);
        for &s in states {
            *counts.get_mut(s).unwrap_or(&mut outside) += 1.0;
        }
        Ok(Self { counts, outside })
    }

    /// Number of frames.
    pub fn n(&self) -> f64 {
        self.counts.iter().sum::<f64>() + self.outside
    }

    /// Fractions of all frames, without the outside class.
    pub fn fractions(&self) -> Vec<f64> {
        let n = self.n();
        self.counts.iter().map(|c| c / n).collect()
    }

    /// Fraction outside the reference's states.
    pub fn outside_fraction(&self) -> f64 {
        self.outside / self.n()
    }
}

/// Tells frames that belong to no microstate of the reference, which nearest-centre assignment
/// would hide: those farther from their centre than the reference's own frames are, up to a
/// quantile. Centres with fewer than 20 reference frames use the quantile over all of them.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct OutsideRule {
    /// Largest distance per centre, in the units of the coordinates.
    pub radius: Vec<f64>,
}

impl OutsideRule {
    /// From the reference's nearest centre and its distance per frame; `quantile` in (0, 1],
    /// e.g. 0.999.
    pub fn fit(
        centre: &[usize],
        distance: &[f64],
        n_centres: usize,
        quantile: f64,
    ) -> Result<Self, MetricError> {
        check_length("distances to centres", centre.len(), distance.len())?;
        crate::error::check_finite("distances to centres", distance)?;
        if !(quantile > 0.0 && quantile <= 1.0) {
            let rule = "it must lie in (0, 1]";
            return Err(MetricError::Domain { what: "quantile", value: quantile, rule });
        }
        let reach = |mut of: Vec<f64>| {
            of.sort_by(f64::total_cmp);
            of[((quantile * of.len() as f64).ceil() as usize).clamp(1, of.len()) - 1]
        };
        let overall = reach(distance.to_vec());
        let mut members = vec![Vec::new(); n_centres];
        for (&c, &d) in centre.iter().zip(distance) {
            if let Some(list) = members.get_mut(c) {
                list.push(d);
            }
        }
        let radius = members.into_iter().map(|m| if m.len() < 20 { overall } else { reach(m) });
        Ok(Self { radius: radius.collect() })
    }

    /// True if a frame at `distance` from its nearest centre lies outside.
    pub fn is_outside(&self, centre: usize, distance: f64) -> bool {
        self.radius.get(centre).is_none_or(|r| distance > *r || !distance.is_finite())
    }
}

/// Distance of two population vectors; "outside the reference" counts as one more class.
pub fn macrostate_jsd(reference: &Populations, sample: &Populations) -> Result<f64, MetricError> {
    let with_outside = |p: &Populations| {
        let mut all = p.counts.clone();
        all.push(p.outside);
        all
    };
    check_length("macrostates", reference.counts.len(), sample.counts.len())?;
    jsd(&with_outside(reference), &with_outside(sample))
}

/// What is taken out of the free-energy differences before averaging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Offset {
    /// Their mean.
    #[default]
    Mean,
    /// Their median.
    Median,
}

/// Mean absolute error of macrostate free energies, kcal/mol, at `kelvin`.
pub fn macrostate_mae_kcal_mol(
    reference: &Populations,
    sample: &Populations,
    kelvin: f64,
    offset: Offset,
) -> Result<f64, MetricError> {
    check_length("macrostates", reference.counts.len(), sample.counts.len())?;
    if !(kelvin.is_finite() && kelvin > 0.0) {
        let rule = "it must be positive";
        return Err(MetricError::Domain { what: "temperature (K)", value: kelvin, rule });
    }
    let kt = K_KCAL_PER_MOL_KELVIN * kelvin;
    let least = 0.5 / sample.n();
    let differences: Vec<f64> = reference
        .fractions()
        .iter()
        .zip(sample.fractions())
        .filter(|(p, _)| **p > 0.0)
        .map(|(p, q)| kt * (p.ln() - q.max(least).ln()))
        .collect();
    if differences.is_empty() {
        return Err(MetricError::Empty { what: "set of states populated in the reference" });
    }
    let middle = match offset {
        Offset::Mean => mean(&differences),
        Offset::Median => median(&differences),
    };
    Ok(differences.iter().map(|d| (d - middle).abs()).sum::<f64>() / differences.len() as f64)
}

/// The middle value (mean of the middle two for an even number); NaN for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => f64::NAN,
        _ if n % 2 == 1 => sorted[n / 2],
        _ => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn populations(counts: &[f64]) -> Populations {
        Populations { counts: counts.to_vec(), outside: 0.0 }
    }

    #[test]
    fn mae_is_what_numpy_gives() {
        let reference = populations(&[50., 30., 15., 5.]);
        let sample = populations(&[80., 80., 40., 0.]);
        let mae = |o| macrostate_mae_kcal_mol(&reference, &sample, 350.0, o).unwrap();
        assert!((mae(Offset::Mean) - 0.811_970_420_860_339_4).abs() < 1e-12);
        assert!((mae(Offset::Median) - 0.659_743_641_054_010_3).abs() < 1e-12);
    }

    #[test]
    fn equal_populations_are_no_error() {
        let p = populations(&[5., 0., 7., 88.]);
        assert_eq!(macrostate_jsd(&p, &p).unwrap(), 0.0);
        assert_eq!(macrostate_mae_kcal_mol(&p, &p, 350.0, Offset::Mean).unwrap(), 0.0);
    }

    #[test]
    fn outside_is_a_class_of_its_own() {
        let reference = Populations::new(&[0, 1, 0, 1], 2).unwrap();
        let sample = Populations::new(&[0, 1, 9, usize::MAX], 2).unwrap();
        assert_eq!(sample.outside_fraction(), 0.5);
        // p = (1/2, 1/2, 0), q = (1/4, 1/4, 1/2).
        let d = 0.5 * ((4.0_f64 / 3.0).ln() + 0.5 * (2.0_f64 / 3.0).ln() + 0.5 * 2_f64.ln());
        assert!((macrostate_jsd(&reference, &sample).unwrap() - d.sqrt()).abs() < 1e-15);
        assert!(Populations::new(&[], 2).is_err());
    }

    #[test]
    fn far_frames_are_outside() {
        // 100 frames at distances 0.01 … 1.00 of centre 0, five at 2 of centre 1.
        let mut centre = vec![0; 100];
        let mut distance: Vec<f64> = (1..=100).map(|i| f64::from(i) / 100.0).collect();
        centre.extend([1; 5]);
        distance.extend([2.0; 5]);
        let rule = OutsideRule::fit(&centre, &distance, 2, 0.95).unwrap();
        assert_eq!(rule.radius, [0.95, 1.0]);
        assert!(!rule.is_outside(0, 0.95) && rule.is_outside(0, 0.96));
        assert!(rule.is_outside(0, f64::NAN) && rule.is_outside(7, 0.0));
        assert!(OutsideRule::fit(&[], &[], 2, 0.95).is_err());
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
