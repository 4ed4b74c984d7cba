//! The molecule of one side of a comparison: which atoms of its files matter, and what turns a
//! frame into numbers.
//!
//! Both sides may have topologies of their own, with other atom orders, names and hydrogens; what
//! must agree is the sequence. Both are then reduced to the heavy atoms that every file has (no
//! OXT, no caps), and where the samples are backbones only (BioEmu's plain output: N, CA, C, O and
//! perhaps CB) to those: the residues then count as alanine and glycine for the checks and the
//! torsions, and everything of side chains is left out.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use marsfm_features::{Featurizer, RgSecondaryStructure, TorsionFeatures};
use marsfm_geometry::residue::canonical_atom;
use marsfm_geometry::{GeometryError, Peptide, ResidueType, Topology};
use marsfm_host::Host;
use marsfm_sampling::{Verdict, judge_atoms};
use marsfm_trajectory::Frame;

/// How much of each residue is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Everything in the file.
    All,
    /// The heavy atoms of the residues.
    Heavy,
    /// N, CA, C, O, CB.
    BackboneWithCb,
    /// N, CA, C, O.
    Backbone,
}

/// Who the atoms are, and how a frame becomes numbers.
pub struct Molecule {
    /// One letter per residue, as in the file.
    pub sequence: String,
    /// How much is looked at.
    pub detail: Detail,
    /// Atoms per frame of the files.
    pub atoms_in_files: usize,
    /// The topology after reduction.
    pub topology: Topology,
    /// The topology file's own coordinates, whole, reduced.
    pub reference: Frame,
    /// The chain.
    pub peptide: Peptide,
    /// The torsions.
    pub torsions: TorsionFeatures,
    shape: Option<RgSecondaryStructure>,
    ca: Vec<usize>,
    kept: Option<Vec<usize>>,
}

/// One frame in numbers.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// cos, sin of each torsion.
    pub row: Vec<f64>,
    /// Rg (nm), helix and strand fraction.
    pub shape: [f64; 3],
    /// Cα positions, nm.
    pub ca_nm: Vec<[f32; 3]>,
    /// The acceptance checks.
    pub verdict: Verdict,
}

impl Molecule {
    /// Reads a topology of its own with as much detail as it allows.
    pub fn read_own(host: &Host, path: &Path) -> Result<Self> {
        let (topology, frame) = read(host, path)?;
        let mut found = Self::new(&topology, &frame, Detail::Heavy);
        for detail in [Detail::BackboneWithCb, Detail::Backbone] {
            if found.as_ref().is_err_and(missing_atom) {
                found = Self::new(&topology, &frame, detail);
            }
        }
        found.with_context(|| path.display().to_string())
    }

    /// Reads a topology file with the given detail.
    pub fn read(host: &Host, path: &Path, detail: Detail) -> Result<Self> {
        let (topology, frame) = read(host, path)?;
        Self::new(&topology, &frame, detail).with_context(|| path.display().to_string())
    }

    /// From a topology with coordinates.
    pub fn new(full: &Topology, frame: &Frame, detail: Detail) -> Result<Self> {
        let (topology, kept) = match detail {
            Detail::All => (full.clone(), None),
            _ => {
                let (topology, kept) = reduced(full, detail);
                (topology, Some(kept))
            }
        };
        let mut reference = frame.clone();
        gather(&mut reference.positions_nm, kept.as_deref());
        let peptide = match reference.cell_nm.take() {
            None => Peptide::from_topology(&topology, &reference.positions_nm)?,
            Some(cell) => {
                let p = Peptide::from_topology_in_cell(&topology, &reference.positions_nm, &cell)?;
                p.make_whole(&mut reference.positions_nm, &cell)?;
                p
            }
        };
        let sequence = match detail {
            Detail::All => peptide.sequence(),
            _ => letters(full),
        };
        let ca = peptide.atom14_indices().iter().filter_map(|slots| slots[1]).collect();
        Ok(Self {
            sequence,
            detail,
            atoms_in_files: full.len(),
            torsions: TorsionFeatures::new(&topology, Some(&reference))?,
            shape: RgSecondaryStructure::new(&topology).ok(),
            topology,
            reference,
            peptide,
            ca,
            kept,
        })
    }

    /// True if Rg and secondary structure are known.
    pub fn has_shape(&self) -> bool {
        self.shape.is_some()
    }

    /// Names of the torsions by place in the chain, the same for any numbering of residues.
    pub fn torsion_places(&self) -> Vec<(marsfm_features::TorsionKind, usize)> {
        let residues = self.peptide.residue_indices();
        let place = |r: usize| residues.iter().position(|x| *x == r).unwrap_or(usize::MAX);
        self.torsions.torsions().iter().map(|t| (t.kind, place(t.residue))).collect()
    }

    /// `ALA2`, one per residue.
    pub fn residue_names(&self) -> Vec<String> {
        let letters = self.sequence.chars();
        let number = |r: &usize| self.topology.residues[*r].number;
        letters
            .zip(self.peptide.residue_indices())
            .map(|(l, r)| format!("{l}{}", number(r)))
            .collect()
    }

    /// Cα of the topology file's own coordinates, nm.
    pub fn reference_ca_nm(&self) -> Vec<[f32; 3]> {
        self.ca.iter().map(|a| self.reference.positions_nm[*a]).collect()
    }

    /// The numbers of a frame of the files.
    pub fn observe(&self, mut frame: Frame) -> Result<Observed> {
        gather(&mut frame.positions_nm, self.kept.as_deref());
        if let Some(cell) = frame.cell_nm.take() {
            self.peptide.make_whole(&mut frame.positions_nm, &cell)?;
        }
        let x = &frame.positions_nm;
        let heavy = self.peptide.atom14_angstrom(x)?;
        let mut out =
            Observed { row: vec![0.0; self.torsions.n_features()], ..Observed::default() };
        self.torsions.compute(x, None, &mut out.row)?;
        if let Some(shape) = &self.shape {
            shape.compute(x, None, &mut out.shape)?;
        }
        out.ca_nm = self.ca.iter().map(|a| x[*a]).collect();
        out.verdict = judge_atoms(self.peptide.types(), &heavy);
        Ok(out)
    }
}

/// An error unless both are of one sequence.
pub fn check_same_chain(reference: &Molecule, other: &Molecule) -> Result<()> {
    ensure!(
        reference.sequence == other.sequence,
        "the reference is of {}, the other topology of {}: they must be the same chain",
        reference.sequence,
        other.sequence
    );
    Ok(())
}

/// An error unless both sides are the same chain in the same detail.
pub fn check_same(reference: &Molecule, sample: &Molecule) -> Result<()> {
    check_same_chain(reference, sample)?;
    ensure!(
        reference.torsion_places() == sample.torsion_places(),
        "the two topologies of {} differ in their torsions: are both single unbroken chains?",
        reference.sequence
    );
    Ok(())
}

fn read(host: &Host, path: &Path) -> Result<(Topology, Frame)> {
    let (topology, own) = host.read_topology(path)?;
    let frame =
        own.with_context(|| format!("{}: has no coordinates; give a PDB", path.display()))?;
    Ok((topology, frame))
}

fn missing_atom(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(GeometryError::MissingAtom { .. }))
}

fn gather(positions_nm: &mut Vec<[f32; 3]>, kept: Option<&[usize]>) {
    if let Some(kept) = kept {
        // A frame of another number of atoms is told by the peptide's own check.
        *positions_nm = kept.iter().filter_map(|a| positions_nm.get(*a).copied()).collect();
    }
}

/// The atoms of the amino acids that a detail keeps; backbones as alanines and glycines.
fn reduced(full: &Topology, detail: Detail) -> (Topology, Vec<usize>) {
    let (mut topology, mut kept) = (Topology::new(), Vec::new());
    for residue in &full.residues {
        let Some(kind) = ResidueType::from_name(&residue.name.to_ascii_uppercase()) else {
            continue;
        };
        let seen_as = match detail {
            Detail::All | Detail::Heavy => kind,
            Detail::BackboneWithCb if kind != ResidueType::Gly => ResidueType::Ala,
            Detail::BackboneWithCb | Detail::Backbone => ResidueType::Gly,
        };
        for a in residue.atoms.clone() {
            let atom = &full.atoms[a];
            let name = canonical_atom(kind, &atom.name);
            if seen_as.slot(name).is_some() {
                let (number, insertion) = (residue.number, residue.insertion.as_str());
                let (element, chain) = (&atom.element, &residue.chain);
                topology.push(name, element, seen_as.name(), number, insertion, chain);
                kept.push(a);
            }
        }
    }
    (topology, kept)
}

fn letters(full: &Topology) -> String {
    let kinds = full.residues.iter().map(|r| ResidueType::from_name(&r.name.to_ascii_uppercase()));
    kinds.flatten().map(ResidueType::letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain in extended geometry, nm, or its backbone.
    fn tripeptide(side_chains: bool) -> (Topology, Frame) {
        let whole = marsfm_geometry::build::extended("VGA").unwrap();
        let (mut topology, mut positions_nm) = (Topology::new(), Vec::new());
        for (atom, position) in whole.topology.atoms.iter().zip(whole.positions_nm) {
            if side_chains || matches!(atom.name.as_str(), "N" | "CA" | "C" | "O" | "CB") {
                let r = &whole.topology.residues[atom.residue];
                topology.push(&atom.name, &atom.element, &r.name, r.number + 6, "", "A");
                positions_nm.push(position);
            }
        }
        (topology, Frame { positions_nm, cell_nm: None, time_ps: None })
    }

    #[test]
    fn a_backbone_is_scored_as_a_backbone() {
        let (full, frame) = tripeptide(true);
        let (bare, bare_frame) = tripeptide(false);
        let md = Molecule::new(&full, &frame, Detail::All).unwrap();
        assert_eq!((md.sequence.as_str(), md.torsions.torsions().len()), ("VGA", 5));
        let error = Molecule::new(&bare, &bare_frame, Detail::Heavy).err().unwrap();
        assert!(missing_atom(&error), "{error:#}");
        let sample = Molecule::new(&bare, &bare_frame, Detail::BackboneWithCb).unwrap();
        assert!(check_same(&md, &sample).is_err(), "side chains on one side only");
        let md = Molecule::new(&full, &frame, Detail::BackboneWithCb).unwrap();
        check_same(&md, &sample).unwrap();
        assert_eq!(md.torsions.torsions().len(), 4);
        let (a, b) = (md.observe(frame).unwrap(), sample.observe(bare_frame).unwrap());
        assert_eq!((a.row, a.shape, a.ca_nm), (b.row, b.shape, b.ca_nm));
        assert!(a.verdict.accepted(), "{:?}", a.verdict);
        assert_eq!(md.residue_names(), ["V7", "G8", "A9"]);
    }
}
