//! Mosaics: training pairs of chains that were never simulated.
//!
//! A random sequence is pieced together from stretches of the systems. A stretch borrows its torsions
//! before and after the jump from one pair of the MD, each residue at the same kind of place (first,
//! inner, last) in any system; stretches are independent, geometry is ideal, peptide bonds are
//! trans. With a cut after every residue a mosaic knows how each residue type moves and nothing of
//! its neighbours; with fewer cuts it also knows what neighbours do to each other. It is what a
//! surrogate should fall back on for a sequence unlike any it saw, where it would otherwise answer
//! with a sequence it learned by heart.

use marsfm_geometry::{Conformation, ResidueType, build, torsion_mask};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{Pair, System, TrainingError};

/// A chain before and after a jump.
pub(crate) struct Mosaic {
    pub types: Vec<ResidueType>,
    pub start: Conformation<f32>,
    pub target: Conformation<f32>,
}

/// Where a stretch is borrowed from: a pair of a system, and the residue last used.
struct Stretch<'a> {
    system: &'a System,
    pair: Pair,
    residue: usize,
}

/// A mosaic of `length` residues from these systems (none empty). A stretch ends after a residue
/// with probability `cut`, and where the system has no residue of the next kind of place.
pub(crate) fn draw(
    systems: &[System],
    length: usize,
    cut: f64,
    rng: &mut ChaCha8Rng,
) -> Result<Mosaic, TrainingError> {
    let (mut types, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    let mut last: Option<Stretch> = None;
    for i in 0..length {
        let goes_on = last.filter(|s| {
            let n = s.system.types.len();
            s.residue + 1 < n && place(s.residue + 1, n) == place(i, length)
        });
        let stretch = match goes_on {
            // No draw where every residue is a stretch of its own.
            Some(s) if cut < 1.0 && !rng.random_bool(cut) => {
                Stretch { residue: s.residue + 1, ..s }
            }
            _ => {
                let (system, residue) = source(systems, i, length, rng);
                Stretch { system, pair: system.pairs.draw(rng), residue }
            }
        };
        let Stretch { system, pair: ((ti, fi), (tj, fj)), residue } = stretch;
        types.push(system.types[residue]);
        before.push(system.frame(ti, fi)?.torsions[residue]);
        after.push(system.frame(tj, fj)?.torsions[residue]);
        last = Some(stretch);
    }
    let (start, target) = (assemble(&types, &before)?, assemble(&types, &after)?);
    Ok(Mosaic { types, start, target })
}

/// Kind of place of residue `i` in a chain of `length`.
#[derive(PartialEq)]
enum Place {
    First,
    Inner,
    Last,
}

fn place(i: usize, length: usize) -> Place {
    match i {
        0 => Place::First,
        _ if i + 1 == length => Place::Last,
        _ => Place::Inner,
    }
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
    let residue = match place(i, length) {
        Place::First => 0,
        Place::Last => n - 1,
        Place::Inner if n > 2 => rng.random_range(1..n - 1),
        Place::Inner => rng.random_range(0..n),
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

#[cfg(test)]
mod tests {
    use marsfm_geometry::Rigid;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::PairSource;

    struct Any;

    impl PairSource for Any {
        fn draw(&self, rng: &mut dyn Rng) -> Pair {
            ((0, rng.random_range(0..50)), (0, rng.random_range(0..50)))
        }
    }

    /// Frame f has all torsions at f degrees, so that a torsion tells its frame.
    fn system(types: &str) -> System {
        let types: Vec<_> = types.chars().filter_map(ResidueType::from_letter).collect();
        let frame = |f: usize| {
            let (s, c) = (f as f32).to_radians().sin_cos();
            Conformation {
                rigids: vec![Rigid::identity(); types.len()],
                torsions: vec![[[s, c]; 7]; types.len()],
            }
        };
        let frames = vec![(0..50).map(frame).collect()];
        System {
            name: "test".into(),
            types: types.clone(),
            frames: frames.into(),
            pairs: Box::new(Any),
            nanoseconds: 0.0,
            temperature_kelvin: 300.0,
        }
    }

    /// Stretches of a mosaic: how many neighbours stand in different frames.
    fn seams(m: &Mosaic) -> usize {
        let chi = |i: usize| m.start.torsions[i][3];
        (1..m.types.len()).filter(|i| chi(*i) != chi(i - 1)).count()
    }

    #[test]
    fn uncut_mosaics_keep_neighbours_and_cut_ones_do_not() {
        let systems = [system("KVLM"), system("STVI")];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut whole_chains = |cut: f64| {
            let drawn: Vec<_> =
                (0..200).map(|_| draw(&systems, 4, cut, &mut rng).unwrap()).collect();
            drawn.iter().filter(|m| seams(m) == 0).count()
        };
        assert_eq!(whole_chains(0.0), 200);
        assert!(whole_chains(1.0) < 5);
        let some = whole_chains(0.5);
        assert!((5..80).contains(&some), "{some} of 200");
    }

    #[test]
    fn a_stretch_ends_where_the_places_differ() {
        // Dipeptides have no inner residue to go on with, only a last one.
        let systems = [system("KV")];
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let drawn: Vec<_> = (0..100).map(|_| draw(&systems, 4, 0.0, &mut rng).unwrap()).collect();
        let seam = |i: usize| {
            drawn.iter().filter(|m| m.start.torsions[i][3] != m.start.torsions[i - 1][3]).count()
        };
        // Two stretches stand in the same of 50 frames now and then.
        assert!(seam(1) > 90 && seam(2) > 90, "{} {}", seam(1), seam(2));
        // Half of the third residues are first ones, which their own last residue follows.
        assert!((30..70).contains(&seam(3)), "{}", seam(3));
    }
}
