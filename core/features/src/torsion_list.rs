//! Which torsions a topology has, by MDTraj's definitions: four atom indices each.
//!
//! phi(i): C(i-1) N CA C · psi(i): N CA C N(i+1) · omega(i): CA C N(i+1) CA(i+1) ·
//! chi1: N CA CB {CG, CG1, SG, OG, OG1} · chi2: CA CB {CG, CG1} … · up to chi5: CD NE CZ NH1.
//! Residues i and i+1 are neighbours if they follow each other in one chain and, when positions
//! are given, C(i) and N(i+1) are closer than 0.2 nm. Column order: METHOD section 7.3.

use marsfm_geometry::Topology;

use crate::cell::{Cell, difference, norm};

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

    /// Atom quadruples of a side-chain torsion, the first that the residue has wins.
    fn chi_names(self) -> &'static [[&'static str; 4]] {
        match self {
            Self::Phi | Self::Psi | Self::Omega => &[],
            Self::Chi1 => &[
                ["N", "CA", "CB", "CG"],
                ["N", "CA", "CB", "CG1"],
                ["N", "CA", "CB", "SG"],
                ["N", "CA", "CB", "OG"],
                ["N", "CA", "CB", "OG1"],
            ],
            Self::Chi2 => &[
                ["CA", "CB", "CG", "CD"],
                ["CA", "CB", "CG", "CD1"],
                ["CA", "CB", "CG1", "CD1"],
                ["CA", "CB", "CG1", "CD"],
                ["CA", "CB", "CG", "OD1"],
                ["CA", "CB", "CG", "ND1"],
                ["CA", "CB", "CG", "SD"],
            ],
            Self::Chi3 => &[
                ["CB", "CG", "CD", "NE"],
                ["CB", "CG", "CD", "CE"],
                ["CB", "CG", "CD", "OE1"],
                ["CB", "CG", "SD", "CE"],
            ],
            Self::Chi4 => &[["CG", "CD", "NE", "CZ"], ["CG", "CD", "CE", "NZ"]],
            Self::Chi5 => &[["CD", "NE", "CZ", "NH1"]],
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

/// Torsions of one kind in residue order. `reference` (nm, with its cell) tells which residues
/// are bonded; without it, neighbours in the file with the same chain identifier are.
pub fn torsions_of_kind(
    topology: &Topology,
    kind: TorsionKind,
    reference: Option<(&[[f32; 3]], Option<&Cell>)>,
) -> Vec<Torsion> {
    let quadruple = |residue: usize| -> Option<[usize; 4]> {
        let own = |name: &str| atom(topology, residue, name);
        let before = |name: &str| atom(topology, residue.checked_sub(1)?, name);
        let after = |name: &str| atom(topology, residue + 1, name);
        match kind {
            TorsionKind::Phi => {
                let linked = residue > 0 && bonded(topology, residue - 1, reference);
                linked.then_some(())?;
                Some([before("C")?, own("N")?, own("CA")?, own("C")?])
            }
            TorsionKind::Psi => {
                bonded(topology, residue, reference).then_some(())?;
                Some([own("N")?, own("CA")?, own("C")?, after("N")?])
            }
            TorsionKind::Omega => {
                bonded(topology, residue, reference).then_some(())?;
                Some([own("CA")?, own("C")?, after("N")?, after("CA")?])
            }
            _ => kind.chi_names().iter().find_map(|names| {
                Some([own(names[0])?, own(names[1])?, own(names[2])?, own(names[3])?])
            }),
        }
    };
    (0..topology.residues.len())
        .filter_map(|residue| quadruple(residue).map(|atoms| Torsion { kind, residue, atoms }))
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

/// The atom `name` of `residue`.
pub(crate) fn atom(topology: &Topology, residue: usize, name: &str) -> Option<usize> {
    let range = topology.residues.get(residue)?.atoms.clone();
    range.into_iter().find(|&a| topology.atoms[a].name == name)
}

/// True if `residue` is bonded to the next one.
fn bonded(
    topology: &Topology,
    residue: usize,
    reference: Option<(&[[f32; 3]], Option<&Cell>)>,
) -> bool {
    let Some(next) = topology.residues.get(residue + 1) else { return false };
    if next.chain != topology.residues[residue].chain {
        return false;
    }
    let (Some(c), Some(n)) = (atom(topology, residue, "C"), atom(topology, residue + 1, "N"))
    else {
        return false;
    };
    match reference {
        Some((positions, cell)) if c.max(n) < positions.len() => {
            norm(difference(positions, c, n, cell)) < PEPTIDE_BOND_NM
        }
        _ => true,
    }
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
