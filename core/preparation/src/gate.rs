//! Limits on the energy and force of a minimised seed, from the ensemble before the jump,
//! minimised in the same way: some geometries (a pierced ring, a knot) minimise to a quiet
//! structure thousands of kJ/mol above the others, and only its energy tells.

use crate::engine::Minimised;

/// Robust standard deviations (1.4826 times the median absolute deviation) above the median.
const SIGMAS: f64 = 6.0;
/// Least width of the gate for each residue, kJ/mol: states differ, and ensembles can be small.
const LEAST_PER_RESIDUE: f64 = 15.0;
/// Largest force that a minimised structure may feel, if the ensemble does not feel more.
const FORCE: f64 = 1000.0;

/// Limits for the minimised seeds of one system.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Gate {
    /// Structures of the ensemble.
    pub n: usize,
    /// Median energy after minimisation, kJ/mol.
    pub median_kj_mol: f64,
    /// Highest energy allowed after minimisation, kJ/mol.
    pub highest_kj_mol: f64,
    /// Above this energy with the heavy atoms restrained a sample counts as strained, kJ/mol.
    pub strained_kj_mol: f64,
    /// Largest force allowed, kJ/mol/nm.
    pub max_force_kj_mol_nm: f64,
}

impl Gate {
    /// From the ensemble before the jump; `None` if it is empty or not finite.
    pub fn from_ensemble(ensemble: &[Minimised], n_residues: usize) -> Option<Self> {
        let width = |values: Vec<f64>| {
            let median = median(values.clone())?;
            let spread = median_of(values.iter().map(|e| (e - median).abs()))?;
            let width = (SIGMAS * 1.4826 * spread).max(LEAST_PER_RESIDUE * n_residues as f64);
            Some((median, median + width))
        };
        let (median_kj_mol, highest_kj_mol) =
            width(ensemble.iter().map(|m| m.after.potential_kj_mol).collect())?;
        let (_, strained_kj_mol) = width(ensemble.iter().map(|m| m.restrained_kj_mol).collect())?;
        let felt = ensemble.iter().map(|m| m.after.max_force_kj_mol_nm).fold(0.0, f64::max);
        Some(Self {
            n: ensemble.len(),
            median_kj_mol,
            highest_kj_mol,
            strained_kj_mol,
            max_force_kj_mol_nm: FORCE.max(2.0 * felt),
        })
    }

    /// The limit on the force where no ensemble is at hand.
    pub const fn force_alone() -> f64 {
        FORCE
    }
}

fn median_of(values: impl Iterator<Item = f64>) -> Option<f64> {
    median(values.collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    if values.is_empty() || !values.iter().all(|x| x.is_finite()) {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    Some(0.5 * (low + high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Energy;

    fn minimised(energy: f64) -> Minimised {
        Minimised {
            positions_nm: Vec::new(),
            cell_nm: None,
            before_kj_mol: 0.0,
            restrained_kj_mol: energy + 50.0,
            after: Energy { potential_kj_mol: energy, max_force_kj_mol_nm: 9.0, max_force_atom: 0 },
        }
    }

    #[test]
    fn an_outlier_does_not_widen_the_gate() {
        let energies = [-1470.0, -1475.0, -1460.0, -1468.0, -1480.0, 6650.0];
        let ensemble: Vec<Minimised> = energies.map(minimised).to_vec();
        let gate = Gate::from_ensemble(&ensemble, 4).unwrap();
        assert_eq!(gate.median_kj_mol, -1469.0);
        // The deviations are 1, 6, 9, 1, 11 and 8119, their median 7.5.
        assert!((gate.highest_kj_mol - (-1469.0 + 6.0 * 1.4826 * 7.5)).abs() < 1e-9);
        assert!((gate.strained_kj_mol - gate.highest_kj_mol - 50.0).abs() < 1e-9);
        assert_eq!(gate.max_force_kj_mol_nm, FORCE);
        let one = Gate::from_ensemble(&ensemble[..1], 4).unwrap();
        assert_eq!(one.highest_kj_mol, -1470.0 + 60.0);
        assert_eq!(Gate::from_ensemble(&[], 4), None);
        assert_eq!(Gate::from_ensemble(&[minimised(f64::NAN)], 4), None);
    }
}
