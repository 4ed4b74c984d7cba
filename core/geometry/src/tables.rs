//! Ideal local geometry of the 20 residues, embedded: for each heavy atom its rigid group and its
//! position (Å) in that group's frame, as AlphaFold tabulates them (METHOD 2.3).
//!
//! Groups: 0 backbone, 1 pre-omega, 2 phi, 3 psi, 4–7 chi1–chi4. The frame of a group relative to
//! its parent is derived from the positions: phi at N along CA→N, psi at C along CA→C, chi1 at CB
//! along CA→CB (each in the backbone frame), a further chi at the previous chi's axis end, along it.

use crate::conformation::Conformation;
use crate::real::{Real, Vec3, cast, cross, dot, norm, scale, sub};
use crate::residue::{ATOM14, N_TYPES, ResidueType};
use crate::rigid::Rigid;
use crate::torsion::N_TORSIONS;

/// One heavy atom of a residue template.
pub struct TemplateAtom {
    /// PDB atom name.
    pub name: &'static str,
    /// Rigid group, 0..8.
    pub group: usize,
    /// Position in the group's frame, Å.
    pub position: Vec3<f64>,
}

const fn at(name: &'static str, group: usize, position: Vec3<f64>) -> TemplateAtom {
    TemplateAtom { name, group, position }
}

/// The heavy atoms of each type in atom14 order; type X has none.
pub const TEMPLATES: [&[TemplateAtom]; N_TYPES] = [
    // ALA
    &[
        at("N", 0, [-0.525, 1.363, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.526, 0.0, 0.0]),
        at("O", 3, [0.627, 1.062, 0.0]),
        at("CB", 0, [-0.529, -0.774, -1.205]),
    ],
    // ARG
    &[
        at("N", 0, [-0.524, 1.362, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.525, 0.0, 0.0]),
        at("O", 3, [0.626, 1.062, 0.0]),
        at("CB", 0, [-0.524, -0.778, -1.209]),
        at("CG", 4, [0.616, 1.39, 0.0]),
        at("CD", 5, [0.564, 1.414, 0.0]),
        at("NE", 6, [0.539, 1.357, 0.0]),
        at("CZ", 7, [0.758, 1.093, 0.0]),
        at("NH1", 7, [0.206, 2.301, 0.0]),
        at("NH2", 7, [2.078, 0.978, 0.0]),
    ],
    // ASN
    &[
        at("N", 0, [-0.536, 1.357, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.526, 0.0, 0.0]),
        at("O", 3, [0.625, 1.062, 0.0]),
        at("CB", 0, [-0.531, -0.787, -1.2]),
        at("CG", 4, [0.584, 1.399, 0.0]),
        at("OD1", 5, [0.633, 1.059, 0.0]),
        at("ND2", 5, [0.593, -1.188, 0.001]),
    ],
    // ASP
    &[
        at("N", 0, [-0.525, 1.362, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.527, 0.0, 0.0]),
        at("O", 3, [0.626, 1.062, 0.0]),
        at("CB", 0, [-0.526, -0.778, -1.208]),
        at("CG", 4, [0.593, 1.398, 0.0]),
        at("OD1", 5, [0.61, 1.091, 0.0]),
        at("OD2", 5, [0.592, -1.101, -0.003]),
    ],
    // CYS
    &[
        at("N", 0, [-0.522, 1.362, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.524, 0.0, 0.0]),
        at("O", 3, [0.625, 1.062, 0.0]),
        at("CB", 0, [-0.519, -0.773, -1.212]),
        at("SG", 4, [0.728, 1.653, 0.0]),
    ],
    // GLN
    &[
        at("N", 0, [-0.526, 1.361, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.526, 0.0, 0.0]),
        at("O", 3, [0.626, 1.062, 0.0]),
        at("CB", 0, [-0.525, -0.779, -1.207]),
        at("CG", 4, [0.615, 1.393, 0.0]),
        at("CD", 5, [0.587, 1.399, 0.0]),
        at("OE1", 6, [0.634, 1.06, 0.0]),
        at("NE2", 6, [0.593, -1.189, -0.001]),
    ],
    // GLU
    &[
        at("N", 0, [-0.528, 1.361, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.526, 0.0, 0.0]),
        at("O", 3, [0.626, 1.062, 0.0]),
        at("CB", 0, [-0.526, -0.781, -1.207]),
        at("CG", 4, [0.615, 1.392, 0.0]),
        at("CD", 5, [0.6, 1.397, 0.0]),
        at("OE1", 6, [0.607, 1.095, 0.0]),
        at("OE2", 6, [0.589, -1.104, -0.001]),
    ],
    // GLY
    &[
        at("N", 0, [-0.572, 1.337, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.517, 0.0, 0.0]),
        at("O", 3, [0.626, 1.062, 0.0]),
    ],
    // HIS
    &[
        at("N", 0, [-0.527, 1.36, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.525, 0.0, 0.0]),
        at("O", 3, [0.625, 1.063, 0.0]),
        at("CB", 0, [-0.525, -0.778, -1.208]),
        at("CG", 4, [0.6, 1.37, 0.0]),
        at("ND1", 5, [0.744, 1.16, 0.0]),
        at("CD2", 5, [0.889, -1.021, 0.003]),
        at("CE1", 5, [2.03, 0.851, 0.002]),
        at("NE2", 5, [2.145, -0.466, 0.004]),
    ],
    // ILE
    &[
        at("N", 0, [-0.493, 1.373, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.527, 0.0, 0.0]),
        at("O", 3, [0.627, 1.062, 0.0]),
        at("CB", 0, [-0.536, -0.793, -1.213]),
        at("CG1", 4, [0.534, 1.437, 0.0]),
        at("CG2", 4, [0.54, -0.785, -1.199]),
        at("CD1", 5, [0.619, 1.391, 0.0]),
    ],
    // LEU
    &[
        at("N", 0, [-0.52, 1.363, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.525, 0.0, 0.0]),
        at("O", 3, [0.625, 1.063, 0.0]),
        at("CB", 0, [-0.522, -0.773, -1.214]),
        at("CG", 4, [0.678, 1.371, 0.0]),
        at("CD1", 5, [0.53, 1.43, 0.0]),
        at("CD2", 5, [0.535, -0.774, 1.2]),
    ],
    // LYS
    &[
        at("N", 0, [-0.526, 1.362, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.526, 0.0, 0.0]),
        at("O", 3, [0.626, 1.062, 0.0]),
        at("CB", 0, [-0.524, -0.778, -1.208]),
        at("CG", 4, [0.619, 1.39, 0.0]),
        at("CD", 5, [0.559, 1.417, 0.0]),
        at("CE", 6, [0.56, 1.416, 0.0]),
        at("NZ", 7, [0.554, 1.387, 0.0]),
    ],
    // MET
    &[
        at("N", 0, [-0.521, 1.364, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.525, 0.0, 0.0]),
        at("O", 3, [0.625, 1.062, 0.0]),
        at("CB", 0, [-0.523, -0.776, -1.21]),
        at("CG", 4, [0.613, 1.391, 0.0]),
        at("SD", 5, [0.703, 1.695, 0.0]),
        at("CE", 6, [0.32, 1.786, 0.0]),
    ],
    // PHE
    &[
        at("N", 0, [-0.518, 1.363, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.524, 0.0, 0.0]),
        at("O", 3, [0.626, 1.062, 0.0]),
        at("CB", 0, [-0.525, -0.776, -1.212]),
        at("CG", 4, [0.607, 1.377, 0.0]),
        at("CD1", 5, [0.709, 1.195, 0.0]),
        at("CD2", 5, [0.706, -1.196, 0.0]),
        at("CE1", 5, [2.102, 1.198, 0.0]),
        at("CE2", 5, [2.098, -1.201, 0.0]),
        at("CZ", 5, [2.794, -0.003, -0.001]),
    ],
    // PRO
    &[
        at("N", 0, [-0.566, 1.351, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.527, 0.0, 0.0]),
        at("O", 3, [0.621, 1.066, 0.0]),
        at("CB", 0, [-0.546, -0.611, -1.293]),
        at("CG", 4, [0.382, 1.445, 0.0]),
        at("CD", 5, [0.477, 1.424, 0.0]),
    ],
    // SER
    &[
        at("N", 0, [-0.529, 1.36, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.525, 0.0, 0.0]),
        at("O", 3, [0.626, 1.062, 0.0]),
        at("CB", 0, [-0.518, -0.777, -1.211]),
        at("OG", 4, [0.503, 1.325, 0.0]),
    ],
    // THR
    &[
        at("N", 0, [-0.517, 1.364, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.526, 0.0, 0.0]),
        at("O", 3, [0.626, 1.062, 0.0]),
        at("CB", 0, [-0.516, -0.793, -1.215]),
        at("OG1", 4, [0.472, 1.353, 0.0]),
        at("CG2", 4, [0.55, -0.718, -1.228]),
    ],
    // TRP
    &[
        at("N", 0, [-0.521, 1.363, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.525, 0.0, 0.0]),
        at("O", 3, [0.627, 1.062, 0.0]),
        at("CB", 0, [-0.523, -0.776, -1.212]),
        at("CG", 4, [0.609, 1.37, 0.0]),
        at("CD1", 5, [0.824, 1.091, 0.0]),
        at("CD2", 5, [0.854, -1.148, -0.005]),
        at("NE1", 5, [2.14, 0.69, -0.004]),
        at("CE2", 5, [2.186, -0.678, -0.007]),
        at("CE3", 5, [0.622, -2.53, -0.007]),
        at("CZ2", 5, [3.283, -1.543, -0.011]),
        at("CZ3", 5, [1.715, -3.389, -0.011]),
        at("CH2", 5, [3.028, -2.89, -0.013]),
    ],
    // TYR
    &[
        at("N", 0, [-0.522, 1.362, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.524, 0.0, 0.0]),
        at("O", 3, [0.627, 1.062, 0.0]),
        at("CB", 0, [-0.522, -0.776, -1.213]),
        at("CG", 4, [0.607, 1.382, 0.0]),
        at("CD1", 5, [0.716, 1.195, 0.0]),
        at("CD2", 5, [0.713, -1.194, -0.001]),
        at("CE1", 5, [2.107, 1.2, -0.002]),
        at("CE2", 5, [2.104, -1.201, -0.003]),
        at("CZ", 5, [2.791, -0.001, -0.003]),
        at("OH", 5, [4.168, -0.002, -0.005]),
    ],
    // VAL
    &[
        at("N", 0, [-0.494, 1.373, 0.0]),
        at("CA", 0, [0.0, 0.0, 0.0]),
        at("C", 0, [1.527, 0.0, 0.0]),
        at("O", 3, [0.627, 1.062, 0.0]),
        at("CB", 0, [-0.533, -0.795, -1.213]),
        at("CG1", 4, [0.54, 1.429, 0.0]),
        at("CG2", 4, [0.533, -0.776, 1.203]),
    ],
    // X
    &[],
];

/// The tables of METHOD 2.3 in one precision, indexed by residue type.
pub struct Tables<T: 'static> {
    /// Positions in their group frames, Å; zero where there is no atom.
    pub positions: [[Vec3<T>; ATOM14]; N_TYPES],
    /// Frame of each group relative to its parent; the identity where the group does not exist.
    pub frames: [[Rigid<T>; 8]; N_TYPES],
}

impl<T: Real> Tables<T> {
    pub(crate) fn build() -> Self {
        let mut positions = [[[T::ZERO; 3]; ATOM14]; N_TYPES];
        let mut frames = [[Rigid::identity(); 8]; N_TYPES];
        for kind in ResidueType::ALL {
            let i = kind.index();
            for (slot, atom) in TEMPLATES[i].iter().enumerate() {
                positions[i][slot] = cast(atom.position);
            }
            for group in 0..8 {
                frames[i][group] = group_frame(kind, group).cast();
            }
        }
        Self { positions, frames }
    }
}

/// The frame of a group of `kind` relative to its parent, derived from the positions.
fn group_frame(kind: ResidueType, group: usize) -> Rigid<f64> {
    let atoms = TEMPLATES[kind.index()];
    if atoms.is_empty() || group < 2 {
        return Rigid::identity();
    }
    let p = |slot: usize| atoms[slot].position;
    let (n, ca, c) = (p(0), p(1), p(2));
    match group {
        2 => along(sub(n, ca), [1.0, 0.0, 0.0], n),
        3 => along(sub(c, ca), sub(ca, n), c),
        _ => match kind.chi(group - 4) {
            None => Rigid::identity(),
            Some(q) if group == 4 => along(sub(p(q[2]), p(q[1])), sub(p(q[0]), p(q[1])), p(q[2])),
            Some(q) => along(p(q[2]), [-1.0, 0.0, 0.0], p(q[2])),
        },
    }
}

/// Frame with x along `ex` and `ey` in the upper xy half plane.
fn along(ex: Vec3<f64>, ey: Vec3<f64>, trans: Vec3<f64>) -> Rigid<f64> {
    let x = scale(ex, 1.0 / norm(ex));
    let y = sub(ey, scale(x, dot(x, ey)));
    let y = scale(y, 1.0 / norm(y));
    Rigid::from_axes(x, y, cross(x, y), trans)
}

/// Bonds between the heavy atoms of a type, as pairs of atom14 slots (a < b): what is nearer than
/// 2 Å in the template with every chi trans, and proline's N–CD, which that pose opens.
pub fn bonds(kind: ResidueType) -> Vec<(usize, usize)> {
    let trans = Conformation {
        rigids: vec![Rigid::<f64>::identity()],
        torsions: vec![[[0.0, -1.0]; N_TORSIONS]],
    };
    let atoms = &trans.to_atom14(&[kind])[0];
    let mut out = Vec::new();
    for a in 0..kind.n_atoms() {
        for b in a + 1..kind.n_atoms() {
            let closes = kind == ResidueType::Pro && (a, b) == (0, 6);
            if closes || norm(sub(atoms[a], atoms[b])) < 2.0 {
                out.push((a, b));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_the_bonds_of_the_amino_acids() {
        for kind in &ResidueType::ALL[..20] {
            let rings = match kind {
                ResidueType::Phe | ResidueType::Tyr | ResidueType::His | ResidueType::Pro => 1,
                ResidueType::Trp => 2,
                _ => 0,
            };
            // A tree has n-1 bonds and each ring adds one.
            assert_eq!(bonds(*kind).len(), kind.n_atoms() - 1 + rings, "{kind:?}");
        }
        assert_eq!(bonds(ResidueType::Thr), [(0, 1), (1, 2), (1, 4), (2, 3), (4, 5), (4, 6)]);
    }

    #[test]
    fn every_chi_turns_atoms_of_its_own_group() {
        for kind in ResidueType::ALL {
            let groups = TEMPLATES[kind.index()].iter().map(|a| a.group).max().unwrap_or(0);
            let chis = (0..4).filter(|&k| kind.chi(k).is_some()).count();
            assert_eq!(groups.max(3) - 3, chis, "{kind:?}");
            for k in 0..chis {
                let q = kind.chi(k).expect("counted");
                assert_eq!(TEMPLATES[kind.index()][q[3]].group, 4 + k, "{kind:?}");
            }
        }
    }
}
