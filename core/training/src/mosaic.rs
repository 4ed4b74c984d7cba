//! Mosaics: training pairs of chains that were never simulated.
//!
//! Every residue of a random sequence borrows its torsions before and after the jump from a pair of
//! the MD, at a residue of the same kind of place (first, inner, last) in any system; residues are
//! independent, geometry is ideal, peptide bonds are trans. A mosaic knows how each residue type
//! moves and nothing of its neighbours: it is what a surrogate should fall back on for a sequence
//! unlike any it saw, where it would otherwise answer with a sequence it learned by heart.

use marsfm_geometry::{Conformation, ResidueType, build, torsion_mask};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{System, TrainingError};

/// A chain before and after a jump.
pub(crate) struct Mosaic {
    pub types: Vec<ResidueType>,
    pub start: Conformation<f32>,
    pub target: Conformation<f32>,
}

/// A mosaic of `length` residues from these systems (none empty).
pub(crate) fn draw(
    systems: &[System],
    length: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Mosaic, TrainingError> {
    let (mut types, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..length {
        let (system, residue) = source(systems, i, length, rng);
        let ((ti, fi), (tj, fj)) = system.pairs.draw(rng);
        types.push(system.types[residue]);
        before.push(system.frame(ti, fi)?.torsions[residue]);
        after.push(system.frame(tj, fj)?.torsions[residue]);
    }
    let (start, target) = (assemble(&types, &before)?, assemble(&types, &after)?);
    Ok(Mosaic { types, start, target })
}

/// A residue to borrow from: first for first, last for last, inner for inner where there is one.
fn source<'a>(
    systems: &'a [System],
    i: usize,
    length: usize,
    rng: &mut ChaCha8Rng,
) -> (&'a System, usize) {
    let system = &systems[rng.random_range(0..systems.len())];
    let n = system.types.len();
    let residue = if i == 0 {
        0
    } else if i + 1 == length {
        n - 1
    } else if n > 2 {
        rng.random_range(1..n - 1)
    } else {
        rng.random_range(0..n)
    };
    (system, residue)
}

/// An ideal chain with these torsions; those that its place does not have are zero.
fn assemble(
    types: &[ResidueType],
    torsions: &[[[f32; 2]; 7]],
) -> Result<Conformation<f32>, TrainingError> {
    let sequence: String = types.iter().map(|t| t.letter()).collect();
    let degrees = |[s, c]: [f32; 2]| f64::from(s.atan2(c)).to_degrees();
    let phi_psi: Vec<[f64; 2]> = torsions.iter().map(|t| [degrees(t[1]), degrees(t[2])]).collect();
    let mut chain = build::chain(&sequence, &phi_psi)
        .map_err(|e| TrainingError::Data(e.to_string()))?
        .conformation;
    let mask = torsion_mask(types);
    for ((into, from), mask) in chain.torsions.iter_mut().zip(torsions).zip(mask) {
        for k in 2..7 {
            if mask[k] {
                into[k] = from[k];
            }
        }
    }
    Ok(chain)
}
