//! Side chains for backbones that have none: each residue's chis are drawn, and of a few draws the
//! one that touches the fewest atoms is kept. Atoms that are there stay where they are, bit for bit.
//!
//! Drawn from MD (a residue library), the chis are those of residues of the same type with about the
//! same phi and psi: a backbone-dependent draw. Without one they are staggered (±60° and 180°, rings
//! at ±90°), each as likely as the others. This is a draw, not a packer: it looks at each residue once.

use marsfm_geometry::{ATOM14, Conformation, ResidueType, Rigid, Vec3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::acceptance::{TIGHT, distance, radius};
use crate::{ResidueLibrary, SamplingError};

/// Draws per residue, at most.
const TRIES: usize = 24;
/// Residues of the library to choose from, nearest in phi and psi.
const NEAREST: usize = 50;

/// The heavy atoms that are known (Å), by atom14 slot.
pub type Known = [Option<Vec3<f32>>; ATOM14];

/// A chain with all of its heavy atoms.
#[derive(Clone, Debug)]
pub struct Completed {
    /// Heavy atoms, Å, by atom14 slot.
    pub atoms: Vec<[Vec3<f32>; ATOM14]>,
    /// Residues that got atoms.
    pub rebuilt: Vec<usize>,
}

/// Completes a chain. N, CA and C of every residue must be known. `id` is the frame: it chooses the
/// stream of random numbers, so that each frame is completed by itself.
pub fn complete(
    types: &[ResidueType],
    known: &[Known],
    library: Option<&ResidueLibrary>,
    rng_seed: u64,
    id: u64,
) -> Result<Completed, SamplingError> {
    let mut rng = ChaCha8Rng::seed_from_u64(rng_seed);
    rng.set_stream(id);
    let mut placed = known.to_vec();
    let mut atoms = vec![[[0.0; 3]; ATOM14]; types.len()];
    let mut rebuilt = Vec::new();
    // Oxygens first: they are part of the backbone that side chains have to mind.
    let shapes =
        (0..types.len()).map(|i| backbone(types, known, i)).collect::<Result<Vec<_>, _>>()?;
    for (i, shape) in shapes.iter().enumerate() {
        placed[i][3] = placed[i][3].or(Some(shape.to_atom14(&types[i..=i])[0][3]));
    }
    for (i, kind) in types.iter().enumerate() {
        let missing = (0..kind.n_atoms()).any(|slot| known[i][slot].is_none());
        let mut best: Option<(usize, [Vec3<f32>; ATOM14])> = None;
        for _ in 0..if missing { TRIES } else { 1 } {
            let mut shape = shapes[i].clone();
            if missing {
                let phi_psi = [shape.torsions[0][1], shape.torsions[0][2]];
                let chis =
                    match library.and_then(|l| l.chis_near(*kind, phi_psi, NEAREST, &mut rng)) {
                        Some(chis) => chis,
                        None => staggered(*kind, &mut rng),
                    };
                for (k, chi) in chis.into_iter().enumerate() {
                    shape.torsions[0][3 + k] = measured(*kind, &known[i], k).unwrap_or(chi);
                }
            }
            let mut own = shape.to_atom14(&types[i..=i])[0];
            for (slot, at) in placed[i].iter().enumerate() {
                own[slot] = at.unwrap_or(own[slot]);
            }
            let touching = touches(types, &placed, i, &own);
            if best.as_ref().is_none_or(|b| touching < b.0) {
                best = Some((touching, own));
            }
            if touching == 0 {
                break;
            }
        }
        let (_, own) = best.unwrap_or((0, atoms[i]));
        for slot in 0..kind.n_atoms() {
            placed[i][slot] = Some(own[slot]);
        }
        atoms[i] = own;
        if missing {
            rebuilt.push(i);
        }
    }
    Ok(Completed { atoms, rebuilt })
}

/// Pose, phi and psi of one residue.
fn backbone(
    types: &[ResidueType],
    known: &[Known],
    i: usize,
) -> Result<Conformation<f32>, SamplingError> {
    let need = |slot: usize| {
        known[i][slot].ok_or_else(|| {
            let name = types[i].atom14_names().nth(slot).unwrap_or("a backbone atom");
            SamplingError::Request(format!(
                "residue {} ({}) has no {name}: side chains can be rebuilt, a backbone cannot",
                i + 1,
                types[i].name()
            ))
        })
    };
    let [n, ca, c] = [need(0)?, need(1)?, need(2)?];
    let mut torsions = [[0.0f32, 1.0]; 7];
    if let Some(before) = i.checked_sub(1).and_then(|b| known[b][2]) {
        torsions[1] = dihedral([before, n, ca, c]);
    }
    let next = known.get(i + 1).and_then(|k| k[0]);
    torsions[2] = match (known[i][3], next) {
        (Some(o), _) => dihedral([n, ca, c, o]).map(|x| -x),
        (None, Some(next)) => dihedral([n, ca, c, next]),
        // Nothing holds the last oxygen: an extended chain's place.
        (None, None) => [140.0f32.to_radians().sin(), 140.0f32.to_radians().cos()],
    };
    Ok(Conformation { rigids: vec![Rigid::from_backbone(n, ca, c)], torsions: vec![torsions] })
}

fn dihedral(p: [Vec3<f32>; 4]) -> [f32; 2] {
    marsfm_geometry::torsion::dihedral_sin_cos(p)
}

/// Chi `k`, if its four atoms are known.
fn measured(kind: ResidueType, known: &Known, k: usize) -> Option<[f32; 2]> {
    let [a, b, c, d] = kind.chi(k)?;
    Some(dihedral([known[a]?, known[b]?, known[c]?, known[d]?]))
}

/// Tight contacts of a residue's atoms with the atoms of others that have a place.
fn touches(types: &[ResidueType], placed: &[Known], i: usize, own: &[Vec3<f32>; ATOM14]) -> usize {
    let names: Vec<&str> = types[i].atom14_names().collect();
    let mut count = 0;
    for (j, other) in placed.iter().enumerate().filter(|(j, _)| *j != i) {
        for (b, name_b) in types[j].atom14_names().enumerate() {
            let Some(at) = other[b] else { continue };
            for (a, name_a) in names.iter().enumerate() {
                // What a peptide bond holds close; proline's ring counts as backbone.
                let side = |kind: ResidueType, slot: usize| slot > 4 && kind != ResidueType::Pro;
                let bonded = i.abs_diff(j) == 1 && !side(types[i], a) && !side(types[j], b);
                if !bonded && distance(own[a], at) < TIGHT * (radius(name_a) + radius(name_b)) {
                    count += 1;
                }
            }
        }
    }
    count
}

/// Chis at their staggered values.
fn staggered(kind: ResidueType, rng: &mut ChaCha8Rng) -> [[f32; 2]; 4] {
    use ResidueType::*;
    let mut of = |values: &[f32]| values[rng.random_range(0..values.len())];
    let mut degrees = [0.0f32; 4];
    for (k, value) in degrees.iter_mut().enumerate() {
        *value = match (kind, k) {
            (Phe | Tyr | His | Trp, 1) => of(&[90.0, -90.0]),
            (Asn | Asp, 1) | (Gln | Glu, 2) => of(&[0.0, 60.0, 120.0, 180.0, -120.0, -60.0]),
            _ => of(&[-60.0, 60.0, 180.0]),
        };
    }
    if kind == Pro {
        // The two puckers.
        let exo = of(&[1.0, -1.0]);
        (degrees[0], degrees[1]) = (28.0 * exo, -38.0 * exo);
    }
    degrees.map(|d| [d.to_radians().sin(), d.to_radians().cos()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge_atoms;
    use marsfm_geometry::build;

    fn chain(sequence: &str) -> (Vec<ResidueType>, Vec<[Vec3<f32>; ATOM14]>) {
        let types: Vec<ResidueType> =
            sequence.chars().map(|l| ResidueType::from_letter(l).unwrap()).collect();
        let angles: Vec<[f64; 2]> =
            (0..types.len()).map(|i| [-70.0 - 5.0 * i as f64, 130.0 + 3.0 * i as f64]).collect();
        let atoms = build::chain(sequence, &angles).unwrap().conformation.to_atom14(&types);
        (types, atoms)
    }

    /// The first `n` atoms of every residue.
    fn first(types: &[ResidueType], atoms: &[[Vec3<f32>; ATOM14]], n: usize) -> Vec<Known> {
        let one = |(kind, own): (&ResidueType, &[Vec3<f32>; ATOM14])| {
            std::array::from_fn(|slot| (slot < n.min(kind.n_atoms())).then_some(own[slot]))
        };
        types.iter().zip(atoms).map(one).collect()
    }

    #[test]
    fn all_residue_types_are_completed_and_what_was_there_stays() {
        let (types, atoms) = chain("ARNDCQEGHILKMFPSTWYV");
        // Complete, with CB (as BioEmu writes), backbone with O, and without.
        for (n, rebuilt) in [(14, 0), (5, 18), (4, 19), (3, 20)] {
            let known = first(&types, &atoms, n);
            let made = complete(&types, &known, None, 1, 0).unwrap();
            for (i, kind) in types.iter().enumerate() {
                for slot in 0..kind.n_atoms().min(n) {
                    assert_eq!(made.atoms[i][slot], atoms[i][slot], "{kind:?} {slot}");
                }
            }
            let verdict = judge_atoms(&types, &made.atoms);
            assert!(verdict.accepted(), "{n}: {verdict:?}");
            assert!(verdict.tight_contacts <= 2, "{n}: {verdict:?}");
            assert_eq!(made.rebuilt.len(), rebuilt, "{n}");
            // Another frame is another draw, the same one the same.
            let again = complete(&types, &known, None, 1, 0).unwrap();
            assert_eq!(again.atoms, made.atoms);
            assert_eq!(complete(&types, &known, None, 1, 1).unwrap().atoms == made.atoms, n == 14);
        }
    }

    #[test]
    fn a_library_gives_chis_of_residues_with_that_backbone() {
        let types: Vec<ResidueType> =
            "AFA".chars().map(|l| ResidueType::from_letter(l).unwrap()).collect();
        let mut library = ResidueLibrary::new();
        let with = |psi: f64, chi: f32| {
            let angles = [[-60.0, 140.0], [-60.0, psi], [-60.0, 140.0]];
            let mut c = build::chain("AFA", &angles).unwrap().conformation;
            c.torsions[1][3] = [chi.to_radians().sin(), chi.to_radians().cos()];
            c
        };
        for _ in 0..60 {
            library.add(&types, &with(140.0, -65.0));
            library.add(&types, &with(-40.0, 175.0));
        }
        for (psi, chi) in [(140.0, -65.0f32), (-40.0, 175.0)] {
            let atoms = with(psi, 0.0).to_atom14(&types);
            let made = complete(&types, &first(&types, &atoms, 5), Some(&library), 1, 0).unwrap();
            let [s, c] = Conformation::from_atom14(&types, &made.atoms).torsions[1][3];
            assert!(
                (s.atan2(c).to_degrees() - chi).abs() < 1.0,
                "{psi}: {}",
                s.atan2(c).to_degrees()
            );
        }
    }

    #[test]
    fn a_missing_backbone_atom_is_an_error_that_names_it() {
        let (types, atoms) = chain("AKA");
        let mut known = first(&types, &atoms, 5);
        known[1][2] = None;
        let error = complete(&types, &known, None, 1, 0).unwrap_err().to_string();
        assert!(error.contains("residue 2 (LYS) has no C"), "{error}");
    }
}
