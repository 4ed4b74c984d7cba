//! Dihedral angles (radians in (−π, π], IUPAC sign) and the atom lists of phi, psi, omega and
//! chi1–chi5 as MDTraj defines them: a chi is listed wherever its four atoms exist.

use crate::real::{cast, cross, dot, norm, sub};
use crate::residue::{ResidueType, canonical_atom};
use crate::topology::Topology;

/// Longest C–N distance of a peptide bond, nm.
const PEPTIDE_BOND: f64 = 0.2;

/// The dihedral of four points.
pub fn dihedral(p: [[f32; 3]; 4]) -> f64 {
    let p: [[f64; 3]; 4] = p.map(cast);
    let (b1, b2, b3) = (sub(p[1], p[0]), sub(p[2], p[1]), sub(p[3], p[2]));
    let (n1, n2) = (cross(b1, b2), cross(b2, b3));
    (dot(b1, n2) * norm(b2)).atan2(dot(n1, n2))
}

/// Which dihedral.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DihedralKind {
    /// C(i−1) N CA C.
    Phi,
    /// N CA C N(i+1).
    Psi,
    /// CA C N(i+1) CA(i+1).
    Omega,
    /// Side-chain angle 1..=5.
    Chi(u8),
}

/// One dihedral of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dihedral {
    /// Index into [`Topology::residues`]: the residue that the angle belongs to.
    pub residue: usize,
    /// Caller's atom indices.
    pub atoms: [usize; 4],
}

impl Dihedral {
    /// Its value in a frame.
    pub fn value(&self, positions_nm: &[[f32; 3]]) -> f64 {
        dihedral(self.atoms.map(|a| positions_nm[a]))
    }
}

/// All dihedrals of a kind in residue order. Residues follow each other if they are neighbours in
/// the file and of one chain identifier; with positions (nm), if their C–N distance is a bond.
pub fn dihedrals(
    topology: &Topology,
    positions_nm: Option<&[[f32; 3]]>,
    kind: DihedralKind,
) -> Vec<Dihedral> {
    let atom = |residue: usize, name: &str| {
        let r = &topology.residues[residue];
        let known = ResidueType::from_name(&r.name).unwrap_or(ResidueType::X);
        let range = r.atoms.clone();
        range.into_iter().find(|&a| {
            let found = topology.atoms[a].name.as_str();
            let found = if known == ResidueType::X { found } else { canonical_atom(known, found) };
            found == name
        })
    };
    let linked = |i: usize, j: usize| match positions_nm {
        None => topology.residues[i].chain == topology.residues[j].chain,
        Some(xyz) => match (atom(i, "C"), atom(j, "N")) {
            (Some(c), Some(n)) => norm::<f64>(sub(cast(xyz[c]), cast(xyz[n]))) < PEPTIDE_BOND,
            _ => false,
        },
    };
    let mut out = Vec::new();
    for i in 0..topology.residues.len() {
        let next = (i + 1 < topology.residues.len() && linked(i, i + 1)).then_some(i + 1);
        let before = (i > 0 && linked(i - 1, i)).then(|| i - 1);
        let find = |quad: [(Option<usize>, &str); 4]| {
            let mut atoms = [0; 4];
            for (to, (residue, name)) in atoms.iter_mut().zip(quad) {
                *to = atom(residue?, name)?;
            }
            Some(Dihedral { residue: i, atoms })
        };
        let here = Some(i);
        let found = match kind {
            DihedralKind::Phi => find([(before, "C"), (here, "N"), (here, "CA"), (here, "C")]),
            DihedralKind::Psi => find([(here, "N"), (here, "CA"), (here, "C"), (next, "N")]),
            DihedralKind::Omega => find([(here, "CA"), (here, "C"), (next, "N"), (next, "CA")]),
            DihedralKind::Chi(k) => {
                chi_quads(k).iter().find_map(|quad| find(quad.map(|name| (here, name))))
            }
        };
        out.extend(found);
    }
    out
}

/// The atom quadruples that make chi `k`, whatever the residue.
fn chi_quads(k: u8) -> &'static [[&'static str; 4]] {
    match k {
        1 => &[
            ["N", "CA", "CB", "CG"],
            ["N", "CA", "CB", "CG1"],
            ["N", "CA", "CB", "SG"],
            ["N", "CA", "CB", "OG"],
            ["N", "CA", "CB", "OG1"],
        ],
        2 => &[
            ["CA", "CB", "CG", "CD"],
            ["CA", "CB", "CG", "CD1"],
            ["CA", "CB", "CG1", "CD1"],
            ["CA", "CB", "CG", "OD1"],
            ["CA", "CB", "CG", "ND1"],
            ["CA", "CB", "CG", "SD"],
        ],
        3 => &[
            ["CB", "CG", "CD", "NE"],
            ["CB", "CG", "CD", "CE"],
            ["CB", "CG", "CD", "OE1"],
            ["CB", "CG", "SD", "CE"],
        ],
        4 => &[["CG", "CD", "NE", "CZ"], ["CG", "CD", "CE", "NZ"]],
        5 => &[["CD", "NE", "CZ", "NH1"]],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::chain;

    #[test]
    fn the_angles_of_a_built_chain() {
        let built = chain("GKAI", &[[0.0, 120.0], [-60.0, -45.0], [55.0, 170.0], [-80.0, 0.0]]);
        let built = built.unwrap();
        let angles = |kind| {
            let list = dihedrals(&built.topology, Some(&built.positions_nm), kind);
            list.iter()
                .map(|d| (d.residue, d.value(&built.positions_nm).to_degrees()))
                .collect::<Vec<_>>()
        };
        let close = |got: Vec<(usize, f64)>, expected: &[(usize, f64)]| {
            assert_eq!(got.len(), expected.len(), "{got:?}");
            for (g, e) in got.iter().zip(expected) {
                let d = (g.1 - e.1).rem_euclid(360.0);
                assert!(g.0 == e.0 && d.min(360.0 - d) < 0.5, "{got:?}");
            }
        };
        close(angles(DihedralKind::Phi), &[(1, -60.0), (2, 55.0), (3, -80.0)]);
        close(angles(DihedralKind::Psi), &[(0, 120.0), (1, -45.0), (2, 170.0)]);
        close(angles(DihedralKind::Omega), &[(0, 180.0), (1, 180.0), (2, 180.0)]);
        close(angles(DihedralKind::Chi(2)), &[(1, -60.0), (3, -60.0)]);
        assert!(angles(DihedralKind::Chi(5)).is_empty());
        let mut apart = built.positions_nm.clone();
        for p in &mut apart[4..] {
            p[0] += 1.0;
        }
        assert_eq!(dihedrals(&built.topology, Some(&apart), DihedralKind::Phi).len(), 2);
        assert_eq!(dihedrals(&built.topology, None, DihedralKind::Phi).len(), 3);
    }
}
