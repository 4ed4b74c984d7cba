//! How far minimisation moved a seed from its sample: backbone torsions, handedness, the class of
//! each peptide bond, and the heavy atoms; and whether its disulphides can be bonded at all.

use marsfm_geometry::observables::{DihedralKind, dihedrals};
use marsfm_geometry::{GeometryError, Peptide, ResidueType, Topology, superpose};

/// A seed whose backbone torsions moved further than this is another conformation, degrees.
pub const LARGEST_TORSION_DEGREES: f64 = 30.0;
/// Up to this root-mean-square move of the heavy atoms minimisation only polished, nm.
pub const VALID_RMS_NM: f64 = 0.05;
/// The sulphurs of a disulphide are at most so far apart, nm; their bond is 0.205 nm.
pub const LONGEST_DISULPHIDE_NM: f64 = 0.25;

/// What minimisation changed.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Change {
    /// Root-mean-square move of the chain's heavy atoms after superposition, nm.
    pub rms_nm: f64,
    /// Displacement of each phi, psi and omega, degrees, in the order of the chain.
    pub torsions_degrees: Vec<f64>,
    /// The largest of them, degrees; 0 if there is none.
    pub max_torsion_degrees: f64,
    /// Which it is, in words; empty if there is none.
    pub max_torsion: String,
    /// Residues whose handedness is not the sample's.
    pub mirrored: Vec<String>,
    /// Peptide bonds that changed between cis and trans.
    pub omega_changed: Vec<String>,
}

struct Torsion {
    atoms: [usize; 4],
    name: String,
    is_omega: bool,
}

/// Knows what to compare in a system.
pub struct Judge {
    peptide: Peptide,
    heavy: Vec<usize>,
    torsions: Vec<Torsion>,
    /// A centre and three of its neighbours.
    centres: Vec<([usize; 4], String)>,
    /// Sulphurs that are bonded in the system's own structure, and their residues.
    disulphides: Vec<([usize; 2], String)>,
}

impl Judge {
    /// For a system's one chain; `positions_nm` is any whole conformation of it.
    pub fn new(topology: &Topology, positions_nm: &[[f64; 3]]) -> Result<Self, GeometryError> {
        let reference: Vec<[f32; 3]> = positions_nm.iter().map(|p| p.map(|x| x as f32)).collect();
        let peptide = Peptide::from_topology(topology, &reference)?;
        let heavy = peptide.atom14_indices().iter().flatten().flatten().copied().collect();
        let mut torsions = Vec::new();
        for (kind, word) in
            [(DihedralKind::Phi, "phi"), (DihedralKind::Psi, "psi"), (DihedralKind::Omega, "omega")]
        {
            for d in dihedrals(topology, Some(&reference), kind) {
                torsions.push(Torsion {
                    atoms: d.atoms,
                    name: format!("{word} of {}", topology.residue_label(d.residue)),
                    is_omega: kind == DihedralKind::Omega,
                });
            }
        }
        let mut centres = Vec::new();
        let chain = peptide.types().iter().zip(peptide.atom14_indices());
        for (kind, slots) in chain {
            let mut add = |wanted: [usize; 4]| {
                if let [Some(a), Some(b), Some(c), Some(d)] = wanted.map(|slot| slots[slot]) {
                    centres.push(([a, b, c, d], topology.atom_label(a)));
                }
            };
            if *kind != ResidueType::Gly {
                add([1, 0, 2, 4]);
            }
            if matches!(kind, ResidueType::Ile | ResidueType::Thr) {
                add([4, 1, 5, 6]);
            }
        }
        let disulphides = disulphides(topology, &peptide, positions_nm);
        Ok(Self { peptide, heavy, torsions, centres, disulphides })
    }

    /// Disulphides of the system whose sulphurs are too far apart in these positions, nm, to be
    /// bonded: minimisation would drag a residue through the others.
    pub fn broken_disulphides(&self, positions_nm: &[[f64; 3]]) -> Vec<String> {
        let measured = self
            .disulphides
            .iter()
            .map(|([a, b], names)| (distance(positions_nm[*a], positions_nm[*b]), names));
        measured
            .filter(|(d, _)| d.is_nan() || *d > LONGEST_DISULPHIDE_NM)
            .map(|(d, names)| format!("{names} ({d:.2} nm)"))
            .collect()
    }

    /// The chain.
    pub fn peptide(&self) -> &Peptide {
        &self.peptide
    }

    /// Compares; both sets of positions are the engine's, nm, finite and whole.
    pub fn compare(&self, sample_nm: &[[f64; 3]], minimised_nm: &[[f64; 3]]) -> Change {
        let (before, after) = (single(sample_nm), single(minimised_nm));
        let pick = |xyz: &[[f64; 3]]| self.heavy.iter().map(|i| xyz[*i]).collect::<Vec<_>>();
        let fit = superpose(&pick(minimised_nm), &pick(sample_nm));
        let mut change = Change {
            rms_nm: fit.map_or(f64::NAN, |s| s.rmsd),
            torsions_degrees: Vec::with_capacity(self.torsions.len()),
            max_torsion_degrees: 0.0,
            max_torsion: String::new(),
            mirrored: Vec::new(),
            omega_changed: Vec::new(),
        };
        for torsion in &self.torsions {
            let value = |xyz: &[[f32; 3]]| {
                marsfm_geometry::observables::dihedral(torsion.atoms.map(|i| xyz[i])).to_degrees()
            };
            let (from, to) = (value(&before), value(&after));
            let moved = ((to - from + 540.0).rem_euclid(360.0) - 180.0).abs();
            change.torsions_degrees.push(moved);
            if moved > change.max_torsion_degrees {
                change.max_torsion_degrees = moved;
                change.max_torsion = torsion.name.clone();
            }
            if torsion.is_omega && (from.abs() < 90.0) != (to.abs() < 90.0) {
                change.omega_changed.push(torsion.name.clone());
            }
        }
        for (atoms, name) in &self.centres {
            if (volume(sample_nm, atoms) < 0.0) != (volume(minimised_nm, atoms) < 0.0) {
                change.mirrored.push(name.clone());
            }
        }
        change
    }
}

/// Pairs of CYS whose sulphurs are bonded.
fn disulphides(
    topology: &Topology,
    peptide: &Peptide,
    positions_nm: &[[f64; 3]],
) -> Vec<([usize; 2], String)> {
    let chain = peptide.types().iter().zip(peptide.atom14_indices());
    let sulphurs: Vec<usize> = chain
        .filter(|(kind, _)| **kind == ResidueType::Cys)
        .filter_map(|(kind, slots)| slots[kind.slot("SG")?])
        .collect();
    let mut pairs = Vec::new();
    for (i, a) in sulphurs.iter().enumerate() {
        for b in &sulphurs[i + 1..] {
            if distance(positions_nm[*a], positions_nm[*b]) <= LONGEST_DISULPHIDE_NM {
                let label = |atom: usize| topology.residue_label(topology.atoms[atom].residue);
                pairs.push(([*a, *b], format!("{} and {}", label(*a), label(*b))));
            }
        }
    }
    pairs
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(&b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
}

fn single(positions_nm: &[[f64; 3]]) -> Vec<[f32; 3]> {
    positions_nm.iter().map(|p| p.map(|x| x as f32)).collect()
}

/// Volume spanned by the bonds from the first atom to the other three; its sign is the hand.
fn volume(xyz: &[[f64; 3]], [o, a, b, c]: &[usize; 4]) -> f64 {
    let arm = |i: usize| -> [f64; 3] { std::array::from_fn(|k| xyz[i][k] - xyz[*o][k]) };
    let (a, b, c) = (arm(*a), arm(*b), arm(*c));
    let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    cross.iter().zip(&c).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_geometry::build;

    type Angles = [[f64; 2]; 4];

    fn chain(angles: Angles) -> (Topology, Vec<[f64; 3]>) {
        let made = build::chain("ATIG", &angles).unwrap();
        (made.topology, made.positions_nm.iter().map(|p| p.map(f64::from)).collect())
    }

    const START: Angles = [[-120.0, 130.0]; 4];

    #[test]
    fn turned_torsions_are_measured_and_named() {
        let (topology, before) = chain(START);
        let judge = Judge::new(&topology, &before).unwrap();
        let same = judge.compare(&before, &before);
        assert!(same.rms_nm < 1e-6 && same.max_torsion_degrees < 1e-3, "{same:?}");
        assert_eq!(same.torsions_degrees.len(), 9, "three of each kind");
        let mut angles = START;
        angles[1][1] = 155.0;
        angles[2][0] = -110.0;
        let (_, after) = chain(angles);
        let change = judge.compare(&before, &after);
        assert!((change.max_torsion_degrees - 25.0).abs() < 0.01, "{change:?}");
        assert_eq!(change.max_torsion, "psi of chain A residue 2 THR");
        assert!(change.rms_nm > 0.02 && change.mirrored.is_empty());
        assert!(change.omega_changed.is_empty());
        // Over the seam at 180 degrees the short way round counts.
        angles[1][1] = 175.0;
        let (_, from) = chain(angles);
        angles[1][1] = -175.0;
        let (_, to) = chain(angles);
        assert!((judge.compare(&from, &to).max_torsion_degrees - 10.0).abs() < 0.01);
    }

    #[test]
    fn mirrored_centres_and_turned_peptide_bonds_are_named() {
        let (topology, before) = chain(START);
        let judge = Judge::new(&topology, &before).unwrap();
        let mirror: Vec<[f64; 3]> = before.iter().map(|p| [p[0], p[1], -p[2]]).collect();
        let change = judge.compare(&before, &mirror);
        // CA of three residues (GLY has no hand), CB of THR and ILE.
        assert_eq!(change.mirrored.len(), 5, "{:?}", change.mirrored);
        assert!(change.mirrored[0].contains("ALA atom CA"));
        // Everything behind the first peptide bond turned about it by 180 degrees.
        let atom = |residue: usize, name: &str| {
            let mut range = topology.residues[residue].atoms.clone();
            range.find(|a| topology.atoms[*a].name == name).unwrap()
        };
        let (c, n) = (before[atom(0, "C")], before[atom(1, "N")]);
        let axis: [f64; 3] = std::array::from_fn(|k| n[k] - c[k]);
        let square: f64 = axis.iter().map(|x| x * x).sum();
        let mut after = before.clone();
        for p in &mut after[topology.residues[1].atoms.start..] {
            let v: [f64; 3] = std::array::from_fn(|k| p[k] - c[k]);
            let along = v.iter().zip(&axis).map(|(x, y)| x * y).sum::<f64>() / square;
            *p = std::array::from_fn(|k| c[k] + 2.0 * along * axis[k] - v[k]);
        }
        let change = judge.compare(&before, &after);
        assert_eq!(change.omega_changed, ["omega of chain A residue 1 ALA"]);
        assert!((change.max_torsion_degrees - 180.0).abs() < 0.1);
    }

    #[test]
    fn a_disulphide_is_found_and_a_broken_one_named() {
        let made = build::chain("CAC", &[[-120.0, 130.0]; 3]).unwrap();
        let open: Vec<[f64; 3]> = made.positions_nm.iter().map(|p| p.map(f64::from)).collect();
        let sg: Vec<usize> =
            (0..open.len()).filter(|i| made.topology.atoms[*i].name == "SG").collect();
        let mut closed = open.clone();
        closed[sg[1]] = [open[sg[0]][0] + 0.204, open[sg[0]][1], open[sg[0]][2]];
        let judge = Judge::new(&made.topology, &closed).unwrap();
        assert_eq!(judge.broken_disulphides(&closed), Vec::<String>::new());
        let broken = judge.broken_disulphides(&open);
        assert_eq!(broken.len(), 1);
        let names = "chain A residue 1 CYS and chain A residue 3 CYS (";
        assert!(broken[0].starts_with(names), "{broken:?}");
        // Two free cysteines are none.
        let judge = Judge::new(&made.topology, &open).unwrap();
        assert_eq!(judge.broken_disulphides(&open), Vec::<String>::new());
    }
}
