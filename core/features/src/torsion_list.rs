//! Which torsions a topology has, by MDTraj's definitions, and their column order (METHOD
//! section 7.3). Residues are neighbours if they follow each other in one chain and, when
//! positions are given, C(i) and N(i+1) are closer than 0.2 nm.

use marsfm_geometry::observables::{Dihedral, DihedralKind, dihedrals};
use marsfm_geometry::{Cell, Topology};

use crate::whole::{difference, norm};

/// C–N distance below which two residues are bonded, nm.
const PEPTIDE_BOND_NM: f64 = 0.2;

/// Which torsion of a residue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TorsionKind {
    /// C(i-1) N CA C
    Phi,
    /// N CA C N(i+1)
    Psi,
    /// CA C N(i+1) CA(i+1)
    Omega,
    /// N CA CB …
    Chi1,
    /// CA CB …
    Chi2,
    /// CB …
    Chi3,
    /// CG …
    Chi4,
    /// CD NE CZ NH1 (arginine)
    Chi5,
}

impl TorsionKind {
    /// All side-chain torsions in order.
    pub const CHI: [Self; 5] = [Self::Chi1, Self::Chi2, Self::Chi3, Self::Chi4, Self::Chi5];

    /// phi, psi and omega are backbone torsions, chi1–chi5 side-chain torsions.
    pub fn is_backbone(self) -> bool {
        matches!(self, Self::Phi | Self::Psi | Self::Omega)
    }

    /// `phi`, `chi1`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::Phi => "phi",
            Self::Psi => "psi",
            Self::Omega => "omega",
            Self::Chi1 => "chi1",
            Self::Chi2 => "chi2",
            Self::Chi3 => "chi3",
            Self::Chi4 => "chi4",
            Self::Chi5 => "chi5",
        }
    }

    /// The same in the words of the geometry room.
    fn dihedral(self) -> DihedralKind {
        match self {
            Self::Phi => DihedralKind::Phi,
            Self::Psi => DihedralKind::Psi,
            Self::Omega => DihedralKind::Omega,
            Self::Chi1 => DihedralKind::Chi(1),
            Self::Chi2 => DihedralKind::Chi(2),
            Self::Chi3 => DihedralKind::Chi(3),
            Self::Chi4 => DihedralKind::Chi(4),
            Self::Chi5 => DihedralKind::Chi(5),
        }
    }

    /// Which of the four atoms are C and N of a peptide bond.
    fn peptide_bond(self) -> Option<(usize, usize)> {
        match self {
            Self::Phi => Some((0, 1)),
            Self::Psi => Some((2, 3)),
            Self::Omega => Some((1, 2)),
            _ => None,
        }
    }
}

/// One torsion of one residue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torsion {
    /// Which torsion.
    pub kind: TorsionKind,
    /// Index into [`Topology::residues`].
    pub residue: usize,
    /// The four atoms, indices into [`Topology::atoms`].
    pub atoms: [usize; 4],
}

impl Torsion {
    /// `phi ALA2`; with the chain (`phi A ALA2`) where the topology has several.
    pub fn label(&self, topology: &Topology) -> String {
        format!("{} {}", self.kind.name(), residue_name(topology, self.residue))
    }
}

/// `ALA2`, `ALA2B` with an insertion code, `A ALA2` where there are several chains.
pub(crate) fn residue_name(topology: &Topology, residue: usize) -> String {
    let r = &topology.residues[residue];
    let plain = format!("{}{}{}", r.name, r.number, r.insertion);
    let several = topology.residues.iter().any(|other| other.chain != r.chain);
    if several { format!("{} {plain}", r.chain) } else { plain }
}

/// Torsions of one kind in residue order. `reference` (nm, one position per
/// atom, with its cell) tells which residues
/// are bonded; without it, neighbours in the file with the same chain identifier are.
pub fn torsions_of_kind(
    topology: &Topology,
    kind: TorsionKind,
    reference: Option<(&[[f32; 3]], Option<&Cell>)>,
) -> Vec<Torsion> {
    let bonded = |d: &Dihedral| match (kind.peptide_bond(), reference) {
        (Some((c, n)), Some((positions, cell))) => {
            norm(difference(positions, d.atoms[c], d.atoms[n], cell)) < PEPTIDE_BOND_NM
        }
        _ => true,
    };
    dihedrals(topology, None, kind.dihedral())
        .into_iter()
        .filter(bonded)
        .map(|d| Torsion { kind, residue: d.residue, atoms: d.atoms })
        .collect()
}

/// phi and psi zipped bond by bond (phi of residue k+1, psi of residue k), then chi1 of all
/// residues, chi2 of all, … chi5: PyEMMA's order, METHOD section 7.3.
pub fn backbone_and_sidechain(
    topology: &Topology,
    reference: Option<(&[[f32; 3]], Option<&Cell>)>,
) -> Vec<Torsion> {
    let mut phi = torsions_of_kind(topology, TorsionKind::Phi, reference).into_iter().peekable();
    let mut psi = torsions_of_kind(topology, TorsionKind::Psi, reference).into_iter().peekable();
    let mut out = Vec::new();
    // Bond k joins residues k and k+1; an incomplete residue may lack one of its two torsions.
    for bond in 0..topology.residues.len() {
        out.extend(phi.next_if(|t| t.residue == bond + 1));
        out.extend(psi.next_if(|t| t.residue == bond));
    }
    for kind in TorsionKind::CHI {
        out.extend(torsions_of_kind(topology, kind, reference));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ALA-ARG-ILE (CHARMM's CD) with backbone and side-chain heavy atoms.
    fn tripeptide() -> Topology {
        let mut top = Topology::new();
        let residues: [(&str, &[&str]); 3] = [
            ("ALA", &["N", "CA", "C", "O", "CB"]),
            ("ARG", &["N", "CA", "C", "O", "CB", "CG", "CD", "NE", "CZ", "NH1", "NH2"]),
            ("ILE", &["N", "CA", "C", "O", "CB", "CG1", "CG2", "CD"]),
        ];
        for (i, (name, atoms)) in residues.iter().enumerate() {
            for a in *atoms {
                top.push(a, "", name, i as i32 + 1, "", "A");
            }
        }
        top
    }

    #[test]
    fn columns_are_zipped_as_in_pyemma() {
        let top = tripeptide();
        let labels: Vec<String> =
            backbone_and_sidechain(&top, None).iter().map(|t| t.label(&top)).collect();
        let expected = [
            "phi ARG2",
            "psi ALA1",
            "phi ILE3",
            "psi ARG2",
            "chi1 ARG2",
            "chi1 ILE3",
            "chi2 ARG2",
            "chi2 ILE3",
            "chi3 ARG2",
            "chi4 ARG2",
            "chi5 ARG2",
        ];
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_gap_in_space_breaks_the_chain() {
        let top = tripeptide();
        let mut positions = vec![[0.0_f32; 3]; top.len()];
        for atom in top.residues[2].atoms.clone() {
            positions[atom] = [1.0, 0.0, 0.0];
        }
        let phi = torsions_of_kind(&top, TorsionKind::Phi, Some((&positions, None)));
        assert_eq!(phi.iter().map(|t| t.residue).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn two_chains_are_not_joined() {
        let mut top = Topology::new();
        for chain in ["A", "B"] {
            for residue in 1..3 {
                for name in ["N", "CA", "C"] {
                    top.push(name, "", "GLY", residue, "", chain);
                }
            }
        }
        let list = backbone_and_sidechain(&top, None);
        let labels: Vec<String> = list.iter().map(|t| t.label(&top)).collect();
        assert_eq!(labels, ["phi A GLY2", "psi A GLY1", "phi B GLY2", "psi B GLY1"]);
    }
}
