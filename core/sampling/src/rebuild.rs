//! A sample with a broken chain, built again from its own torsions.
//!
//! The network gives each residue's pose and its torsions. Poses carry the whole shape in angstrom
//! and are the harder part: a surrogate trained for minutes on a longer chain gets torsions right
//! long before its residues meet. Where the poses are rejected, the chain is built from phi, psi and
//! chi with ideal trans peptide bonds and laid over the poses. The verdict says so (`rebuilt`) and
//! counts it as in need of repair; if the new chain is rejected too, the sample stays as drawn.

use marsfm_geometry::{Conformation, ResidueType, build, superpose};

use crate::{Reason, Verdict, judge};

/// Judges a sample; one that is rejected for its chain, contacts or omegas is built again from its
/// torsions if those are whole and every peptide bond is trans.
pub fn settle(types: &[ResidueType], sample: Conformation<f32>) -> (Conformation<f32>, Verdict) {
    let verdict = judge(types, &sample);
    let mendable = |r: &Reason| matches!(r, Reason::BrokenChain | Reason::Omega | Reason::Clash);
    if verdict.accepted() || !verdict.rejected.iter().all(mendable) {
        return (sample, verdict);
    }
    let Some(built) = from_torsions(types, &sample) else { return (sample, verdict) };
    let mut second = judge(types, &built);
    if !second.accepted() {
        return (sample, verdict);
    }
    second.rebuilt = true;
    if !second.repair.contains(&Reason::BrokenChain) {
        second.repair.insert(0, Reason::BrokenChain);
    }
    (built, second)
}

/// The chain of a sample's torsions, superposed on its Cα atoms. `None` if a peptide bond is cis.
fn from_torsions(types: &[ResidueType], sample: &Conformation<f32>) -> Option<Conformation<f32>> {
    // Torsion 0 is the omega before the residue; its cosine is second.
    if sample.torsions.iter().skip(1).any(|t| t[0][1] >= 0.0) {
        return None;
    }
    let degrees = |[s, c]: [f32; 2]| f64::from(s.atan2(c)).to_degrees();
    let phi_psi: Vec<[f64; 2]> =
        sample.torsions.iter().map(|t| [degrees(t[1]), degrees(t[2])]).collect();
    let sequence: String = types.iter().map(|t| t.letter()).collect();
    let mut chain = build::chain(&sequence, &phi_psi).ok()?.conformation;
    for (into, from) in chain.torsions.iter_mut().zip(&sample.torsions) {
        into[2..].copy_from_slice(&from[2..]);
    }
    chain.clear_masked(types);
    let alphas = |c: &Conformation<f32>| c.rigids.iter().map(|r| r.trans).collect::<Vec<_>>();
    let fit = superpose(&alphas(&chain), &alphas(sample)).ok()?;
    Some(chain.moved(&fit.motion.cast()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_chain_is_built_again_from_its_torsions_and_says_so() {
        let sequence = "GYDPETGTWG";
        let types: Vec<ResidueType> =
            sequence.chars().map(|l| ResidueType::from_letter(l).unwrap()).collect();
        let whole = build::extended(sequence).unwrap().conformation;
        let (same, verdict) = settle(&types, whole.clone());
        assert!(same == whole && verdict.accepted() && !verdict.rebuilt);

        let mut broken = whole.clone();
        for (i, r) in broken.rigids.iter_mut().enumerate() {
            r.trans[i % 3] += if i % 2 == 0 { 0.9 } else { -0.9 };
        }
        assert!(!judge(&types, &broken).accepted());
        let (mended, verdict) = settle(&types, broken.clone());
        assert!(verdict.accepted() && verdict.rebuilt && !verdict.repair.is_empty(), "{verdict:?}");
        for (a, b) in mended
            .torsions
            .iter()
            .flatten()
            .flatten()
            .zip(whole.torsions.iter().flatten().flatten())
        {
            assert!((a - b).abs() < 1e-3);
        }
        let far =
            mended.rigids.iter().zip(&whole.rigids).map(|(a, b)| {
                (0..3).map(|x| (a.trans[x] - b.trans[x]).powi(2)).sum::<f32>().sqrt()
            });
        assert!(far.fold(0.0, f32::max) < 2.0, "the rebuilt chain lies elsewhere");

        // A cis bond is not ours to decide, and not finite is not mendable.
        broken.torsions[4][0] = [0.0, 1.0];
        assert!(!settle(&types, broken.clone()).1.accepted());
        broken.rigids[0].trans[0] = f32::NAN;
        assert!(!settle(&types, broken).1.accepted());
    }
}
