//! Free energy of folding by BioEmu's definition (METHOD section 8.2; `microsoft/bioemu-benchmarks`).
//!
//! Native contacts: Cα pairs more than 3 residues apart within 10 Å in the reference.
//! q = mean 1/(1 + exp(5 (d - 1.2 d0))), d in Å; foldedness = 1/(1 + exp(-20 (q - 0.5)));
//! p = mean foldedness, ΔG = -kT ln(p/(1-p)) in kcal/mol: the more negative, the more folded.

use crate::MetricError;
use crate::error::check_length;
use crate::states::K_KCAL_PER_MOL_KELVIN;
use crate::torsion::mean;

/// Constants of the definition.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct FoldingOptions {
    /// Contact cutoff in the reference, Å.
    pub cutoff_angstrom: f64,
    /// A contact needs more than this many residues between its partners' numbers.
    pub min_separation: usize,
    /// Steepness of the contact switch, 1/Å.
    pub steepness_per_angstrom: f64,
    /// Stretch of the reference distance.
    pub stretch: f64,
    /// Steepness of foldedness in q.
    pub folded_steepness: f64,
    /// q at half foldedness.
    pub folded_q: f64,
}

impl Default for FoldingOptions {
    fn default() -> Self {
        Self {
            cutoff_angstrom: 10.0,
            min_separation: 3,
            steepness_per_angstrom: 5.0,
            stretch: 1.2,
            folded_steepness: 20.0,
            folded_q: 0.5,
        }
    }
}

/// The native contacts of a reference structure.
#[derive(Clone, Debug)]
pub struct NativeContacts {
    options: FoldingOptions,
    n_residues: usize,
    /// Residue pairs and 1.2 d0, Å.
    pairs: Vec<(usize, usize, f64)>,
}

impl NativeContacts {
    /// From the reference's Cα positions, nm.
    pub fn new(ca_nm: &[[f32; 3]], options: FoldingOptions) -> Result<Self, MetricError> {
        let mut pairs = Vec::new();
        for i in 0..ca_nm.len() {
            for j in i + options.min_separation + 1..ca_nm.len() {
                let d = distance_angstrom(ca_nm[i], ca_nm[j]);
                if d <= options.cutoff_angstrom {
                    pairs.push((i, j, options.stretch * d));
                }
            }
        }
        if pairs.is_empty() {
            return Err(MetricError::Empty { what: "set of native contacts in the reference" });
        }
        Ok(Self { options, n_residues: ca_nm.len(), pairs })
    }

    /// Number of contacts (each pair once).
    pub fn n_contacts(&self) -> usize {
        self.pairs.len()
    }

    /// Fraction of native contacts q of one frame (Cα positions, nm).
    pub fn q(&self, ca_nm: &[[f32; 3]]) -> Result<f64, MetricError> {
        check_length("CA positions", self.n_residues, ca_nm.len())?;
        let switch = |&(i, j, reach): &(usize, usize, f64)| {
            let d = distance_angstrom(ca_nm[i], ca_nm[j]);
            1.0 / (1.0 + (self.options.steepness_per_angstrom * (d - reach)).exp())
        };
        let q = self.pairs.iter().map(switch).sum::<f64>() / self.pairs.len() as f64;
        if q.is_finite() {
            Ok(q)
        } else {
            Err(MetricError::NotFinite { what: "fraction of native contacts", index: 0, value: q })
        }
    }

    /// Foldedness in (0, 1) of a fraction of native contacts.
    pub fn foldedness(&self, q: f64) -> f64 {
        1.0 / (1.0 + (-self.options.folded_steepness * (q - self.options.folded_q)).exp())
    }
}

/// A free energy of folding, kcal/mol, with both clips of p.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct FoldingFreeEnergy {
    /// Mean foldedness, unclipped.
    pub p_folded: f64,
    /// p in [1e-10, 1 - 1e-10] (BioEmu).
    pub delta_g_kcal_mol: f64,
    /// p in [0.5/n, 1 - 0.5/n]: what n frames can tell.
    pub delta_g_jeffreys_kcal_mol: f64,
}

impl FoldingFreeEnergy {
    /// ΔG from the mean foldedness of `n` frames at `kelvin`.
    pub fn of(p: f64, n: usize, kelvin: f64) -> Self {
        let kt = K_KCAL_PER_MOL_KELVIN * kelvin;
        let delta_g = |least: f64| {
            let p = p.clamp(least, 1.0 - least);
            -kt * (p / (1.0 - p)).ln()
        };
        Self {
            p_folded: p,
            delta_g_kcal_mol: delta_g(1e-10),
            delta_g_jeffreys_kcal_mol: delta_g(0.5 / n.max(1) as f64),
        }
    }
}

/// ΔG from the foldedness of every frame at `kelvin`.
pub fn folding_free_energy(
    foldedness: &[f64],
    kelvin: f64,
) -> Result<FoldingFreeEnergy, MetricError> {
    crate::error::check_finite("foldedness", foldedness)?;
    Ok(FoldingFreeEnergy::of(mean(foldedness), foldedness.len(), kelvin))
}

fn distance_angstrom(a: [f32; 3], b: [f32; 3]) -> f64 {
    let d2: f64 = (0..3).map(|k| (f64::from(a[k]) - f64::from(b[k])).powi(2)).sum();
    10.0 * d2.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A helix of 12 Cα, scaled.
    fn helix(scale: f64) -> Vec<[f32; 3]> {
        (0..12)
            .map(|i| {
                let (s, c) = (1.745 * f64::from(i)).sin_cos();
                [0.23 * c, 0.23 * s, 0.15 * f64::from(i)].map(|x| (scale * x) as f32)
            })
            .collect()
    }

    #[test]
    fn q_and_delta_g_are_numpys() {
        let native = NativeContacts::new(&helix(1.0), FoldingOptions::default()).unwrap();
        assert_eq!(2 * native.n_contacts(), 42);
        let q: Vec<f64> =
            [1.0, 1.15, 1.2, 1.3].iter().map(|&s| native.q(&helix(s)).unwrap()).collect();
        let expected =
            [0.999_156_881_807_409_2, 0.876_512_761_673_868_5, 0.5, 0.022_813_296_256_833];
        for (a, b) in q.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{q:?}");
        }
        let folded: Vec<f64> = q.iter().map(|&q| native.foldedness(q)).collect();
        let g = folding_free_energy(&folded, 295.0).unwrap();
        assert!((g.p_folded - 0.624_872_290_084_8).abs() < 1e-5);
        assert!((g.delta_g_kcal_mol + 0.299_139_373_197_6).abs() < 1e-4);
        assert_eq!(g.delta_g_kcal_mol, g.delta_g_jeffreys_kcal_mol);
    }

    #[test]
    fn the_cap_is_23_kt_and_the_clip_knows_the_sample_size() {
        let g = folding_free_energy(&[1.0; 100], 450.0).unwrap();
        let kt = K_KCAL_PER_MOL_KELVIN * 450.0;
        assert!((g.delta_g_kcal_mol / kt + 23.03).abs() < 0.01);
        assert!((g.delta_g_jeffreys_kcal_mol / kt + 199.0_f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn a_short_or_stretched_reference_has_no_contacts() {
        assert!(NativeContacts::new(&helix(1.0)[..4], FoldingOptions::default()).is_err());
        let native = NativeContacts::new(&helix(1.0), FoldingOptions::default()).unwrap();
        assert!(native.q(&helix(1.0)[..5]).is_err());
    }
}
