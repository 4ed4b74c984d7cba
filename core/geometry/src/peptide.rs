//! One peptide or protein chain in a caller's system: which atoms are the 14 heavy-atom slots of
//! each residue, which ride along, and which stay where they are.
//!
//! Callers' positions are nm; rigids and torsions are Å. This is the only file that converts.
//! Heavy atoms are rebuilt at ideal geometry; *carried* atoms (hydrogens, OXT, caps) keep their
//! place in the local frame of the heavy atom they are bonded to; *bystanders* stay put.

use crate::anchor::Anchor;
use crate::cell::{Cell, displacement};
use crate::conformation::Conformation;
use crate::error::GeometryError;
use crate::real::{Vec3, norm};
use crate::residue::{ATOM14, ResidueType};
use crate::topology::Topology;
use crate::torsion::{N_TORSIONS, torsion_mask};

/// Å per nm.
const ANGSTROM: f32 = 10.0;
/// A bond longer than this after making the molecule whole is an error, nm.
const LONGEST_BOND: f64 = 0.3;

/// An atom that rides on a local frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub(crate) atom: usize,
    /// Index into the anchors.
    pub(crate) anchor: usize,
}

/// A single chain and its map onto the caller's atom order.
#[derive(Clone, Debug)]
pub struct Peptide {
    pub(crate) n_atoms: usize,
    pub(crate) types: Vec<ResidueType>,
    pub(crate) residues: Vec<usize>,
    pub(crate) atom14: Vec<[Option<usize>; ATOM14]>,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) carried: Vec<Carried>,
    /// Label of every atom of the molecule (heavy and carried), for messages.
    pub(crate) labels: Vec<(usize, String)>,
    /// (child, parent) atoms in walking order, for making the molecule whole.
    pub(crate) walk: Vec<(usize, usize)>,
    pub(crate) capped: bool,
}

impl Peptide {
    /// Finds the single chain of a topology. `positions_nm` are any whole conformation of it: they
    /// decide what is bonded to what (C–N below 0.2 nm), names alone are not trusted.
    pub fn from_topology(
        topology: &Topology,
        positions_nm: &[[f32; 3]],
    ) -> Result<Self, GeometryError> {
        crate::recognise::recognise(topology, positions_nm, None)
    }

    /// As [`Peptide::from_topology`] for a molecule that may be split over the boundary of a
    /// periodic cell (vectors as rows, nm).
    pub fn from_topology_in_cell(
        topology: &Topology,
        positions_nm: &[[f32; 3]],
        cell_nm: &[[f32; 3]; 3],
    ) -> Result<Self, GeometryError> {
        crate::recognise::recognise(topology, positions_nm, Some(&Cell::new(cell_nm)?))
    }

    /// Number of residues (caps not counted).
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Never true: a peptide has residues.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Residue types along the chain.
    pub fn types(&self) -> &[ResidueType] {
        &self.types
    }

    /// One-letter sequence.
    pub fn sequence(&self) -> String {
        self.types.iter().map(|t| t.letter()).collect()
    }

    /// Which torsions exist, per residue (METHOD 2.2).
    pub fn torsion_mask(&self) -> Vec<[bool; N_TORSIONS]> {
        torsion_mask(&self.types)
    }

    /// Index of each chain residue in [`Topology::residues`].
    pub fn residue_indices(&self) -> &[usize] {
        &self.residues
    }

    /// The caller's atom index of each atom14 slot; every slot that the type has is filled.
    /// Where a file names equal branches the other way round (CD1/CD2 of LEU, CG1/CG2 of VAL,
    /// NH1/NH2 of ARG), the slots follow the geometry, not the names.
    pub fn atom14_indices(&self) -> &[[Option<usize>; ATOM14]] {
        &self.atom14
    }

    /// Caller's indices of the atoms that ride along: hydrogens, OXT and caps.
    pub fn carried_indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.carried.iter().map(|c| c.atom)
    }

    /// Caller's indices of all atoms of the molecule, ascending.
    pub fn molecule_indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.labels.iter().map(|(atom, _)| *atom)
    }

    /// Number of atoms in the caller's system.
    pub fn n_atoms(&self) -> usize {
        self.n_atoms
    }

    /// Atoms that never move: water, ions, ligands.
    pub fn n_bystanders(&self) -> usize {
        self.n_atoms - self.labels.len()
    }

    /// True if either end carries a cap (ACE, NME, NMA, NH2).
    pub fn is_capped(&self) -> bool {
        self.capped
    }

    /// Heavy atoms in Å by slot; empty slots are zero. Errors name the wrong count or the first
    /// non-finite atom of the molecule.
    pub fn atom14_angstrom(
        &self,
        positions_nm: &[[f32; 3]],
    ) -> Result<Vec<[Vec3<f32>; ATOM14]>, GeometryError> {
        self.check(positions_nm)?;
        let residue = |slots: &[Option<usize>; ATOM14]| {
            slots.map(|s| s.map_or([0.0; 3], |atom| positions_nm[atom].map(|x| x * ANGSTROM)))
        };
        Ok(self.atom14.iter().map(residue).collect())
    }

    /// Rigids and torsions of a frame (masked torsions zero). The molecule must be whole.
    pub fn encode(&self, positions_nm: &[[f32; 3]]) -> Result<Conformation<f32>, GeometryError> {
        Ok(Conformation::from_atom14(&self.types, &self.atom14_angstrom(positions_nm)?))
    }

    /// Positions (nm) of all atoms in the caller's order when the molecule takes `conformation`:
    /// heavy atoms at ideal geometry, carried atoms as they sit in the (whole) reference frame
    /// relative to what they are bonded to, bystanders as in the reference.
    pub fn place(
        &self,
        reference_nm: &[[f32; 3]],
        conformation: &Conformation<f32>,
    ) -> Result<Vec<[f32; 3]>, GeometryError> {
        let (expected, got) = (self.len(), conformation.rigids.len());
        if got != expected || conformation.torsions.len() != expected {
            return Err(GeometryError::ResidueCount { expected, got });
        }
        self.place_heavy(reference_nm, &conformation.to_atom14(&self.types))
    }

    /// As [`Peptide::place`], with the heavy atoms where they are told to be (Å, by slot).
    pub fn place_heavy(
        &self,
        reference_nm: &[[f32; 3]],
        after: &[[Vec3<f32>; ATOM14]],
    ) -> Result<Vec<[f32; 3]>, GeometryError> {
        let (expected, got) = (self.len(), after.len());
        if got != expected {
            return Err(GeometryError::ResidueCount { expected, got });
        }
        let before = self.atom14_angstrom(reference_nm)?;
        let mut out = reference_nm.to_vec();
        for (slots, atoms) in self.atom14.iter().zip(after) {
            for (slot, position) in slots.iter().zip(atoms) {
                if let Some(atom) = slot {
                    out[*atom] = position.map(|x| x / ANGSTROM);
                }
            }
        }
        let frames: Vec<_> =
            self.anchors.iter().map(|a| (a.frame(&before), a.frame(after))).collect();
        for Carried { atom, anchor } in &self.carried {
            let (from, to) = &frames[*anchor];
            let local = from.apply_inverse(reference_nm[*atom].map(|x| x * ANGSTROM));
            out[*atom] = to.apply(local).map(|x| x / ANGSTROM);
        }
        Ok(out)
    }

    /// Makes the molecule whole in a periodic cell (vectors as rows, nm): walks its bonds from the
    /// first residue's N and takes each atom's image nearest to its neighbour. Bystanders stay.
    pub fn make_whole(
        &self,
        positions_nm: &mut [[f32; 3]],
        cell_nm: &[[f32; 3]; 3],
    ) -> Result<(), GeometryError> {
        self.check(positions_nm)?;
        let cell = Cell::new(cell_nm)?;
        for &(child, parent) in &self.walk {
            let d = displacement(positions_nm[parent], positions_nm[child], None);
            let shift = cell.shift_to_minimum(d);
            if shift != [0.0; 3] {
                for k in 0..3 {
                    positions_nm[child][k] = (f64::from(positions_nm[child][k]) + shift[k]) as f32;
                }
            }
            let distance_nm = norm(crate::real::add(d, shift));
            if distance_nm > LONGEST_BOND {
                return Err(GeometryError::NotWhole { atom: self.label(child), distance_nm });
            }
        }
        Ok(())
    }

    fn check(&self, positions_nm: &[[f32; 3]]) -> Result<(), GeometryError> {
        let (expected, got) = (self.n_atoms, positions_nm.len());
        if expected != got {
            return Err(GeometryError::AtomCount { expected, got });
        }
        for (atom, label) in &self.labels {
            if positions_nm[*atom].iter().any(|x| !x.is_finite()) {
                return Err(GeometryError::NotFinite { atom: label.clone() });
            }
        }
        Ok(())
    }

    fn label(&self, atom: usize) -> String {
        match self.labels.binary_search_by_key(&atom, |(a, _)| *a) {
            Ok(at) => self.labels[at].1.clone(),
            Err(_) => format!("atom {atom}"),
        }
    }
}
