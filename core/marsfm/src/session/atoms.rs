//! A caller's atoms. Engines and programs have orders of their own, up to all hydrogens at the
//! end; the chain is recognised residue by residue, so a map between the two orders is kept here
//! and nowhere else.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use marsfm_geometry::residue::is_cap;
use marsfm_geometry::{GeometryError, ResidueType, Topology};
use marsfm_host::Host;

use super::SessionError;

/// One atom as the caller names it; nothing but `name` and `residue` need be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtomRow<'a> {
    /// Atom name (`CA`, `HB2`).
    pub name: &'a str,
    /// Element symbol, or empty.
    pub element: &'a str,
    /// Residue name (`ALA`, `HIE`, `HOH`).
    pub residue: &'a str,
    /// Residue number.
    pub number: i32,
    /// Insertion code, or empty.
    pub insertion: &'a str,
    /// Chain identifier, or empty.
    pub chain: &'a str,
}

/// Chain, number, insertion code, residue name.
type Label<'a> = (&'a str, i32, &'a str, &'a str);

/// Names and order of a caller's atoms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atoms {
    /// Residue by residue.
    topology: Topology,
    /// The caller's index of each atom of `topology`.
    caller: Vec<usize>,
}

impl Atoms {
    /// Takes atoms in any order. Atoms of one amino acid or cap share chain, number, insertion
    /// code and name but need not be neighbours; residues are taken in the order in which they
    /// appear first.
    pub fn new<'a>(rows: impl IntoIterator<Item = AtomRow<'a>>) -> Result<Self, SessionError> {
        let mut groups: Vec<Vec<(usize, AtomRow<'a>)>> = Vec::new();
        // The group that an amino acid or cap of this label is gathered in, and its atom names.
        let mut open: HashMap<Label<'a>, (usize, HashSet<&'a str>)> = HashMap::new();
        let mut before: Option<(Label<'a>, usize)> = None;
        for (index, row) in rows.into_iter().enumerate() {
            let label = (row.chain, row.number, row.insertion, row.residue);
            let same = before.filter(|(last, _)| *last == label).map(|(_, group)| group);
            let upper = row.residue.to_ascii_uppercase();
            let group = if ResidueType::from_name(&upper).is_some() || is_cap(&upper) {
                let entry = open.entry(label).or_insert_with(|| (groups.len(), HashSet::new()));
                // A name comes again: a second chain without identifiers, or, right behind an
                // atom of the same residue, a mistake that is reported when the chain is read.
                if !entry.1.insert(row.name) && same.is_none() {
                    *entry = (groups.len(), HashSet::from([row.name]));
                }
                entry.0
            } else {
                same.unwrap_or(groups.len())
            };
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].push((index, row));
            before = Some((label, group));
        }
        let mut topology = Topology::new();
        let mut caller = Vec::new();
        for (index, row) in groups.into_iter().flatten() {
            topology.push(row.name, row.element, row.residue, row.number, row.insertion, row.chain);
            caller.push(index);
        }
        Self::checked(topology, caller)
    }

    /// Atoms in the order of a file; residues are as the file groups them.
    pub fn from_topology(topology: Topology) -> Result<Self, SessionError> {
        let caller = (0..topology.len()).collect();
        Self::checked(topology, caller)
    }

    /// Reads the atoms of a structure file (PDB, mmCIF, …) through the plugins.
    pub fn from_file(host: &Host, path: &Path) -> Result<Self, SessionError> {
        let read = host.read_topology(path).map_err(|e| SessionError::File(e.to_string()))?;
        Self::from_topology(read.0)
            .map_err(|e| SessionError::Topology(format!("{}: {e}", path.display())))
    }

    fn checked(topology: Topology, caller: Vec<usize>) -> Result<Self, SessionError> {
        let atoms = Self { topology, caller };
        if atoms.sequence().is_empty() {
            return Err(SessionError::Topology(GeometryError::NoProtein.to_string()));
        }
        Ok(atoms)
    }

    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.caller.len()
    }

    /// Never true: atoms without a chain are refused.
    pub fn is_empty(&self) -> bool {
        self.caller.is_empty()
    }

    /// One letter per amino acid, in the order of the residues.
    pub fn sequence(&self) -> String {
        let kind = |name: &String| ResidueType::from_name(&name.to_ascii_uppercase());
        self.topology.residues.iter().filter_map(|r| kind(&r.name)).map(|t| t.letter()).collect()
    }

    /// The atoms in the caller's order; a residue whose atoms are apart there is several.
    pub fn in_callers_order(&self) -> Topology {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_unstable_by_key(|atom| self.caller[*atom]);
        let mut topology = Topology::new();
        for atom in order {
            let a = &self.topology.atoms[atom];
            let r = &self.topology.residues[a.residue];
            topology.push(&a.name, &a.element, &r.name, r.number, &r.insertion, &r.chain);
        }
        topology
    }

    /// The atoms residue by residue.
    pub(super) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The caller's index of an atom of [`Atoms::topology`].
    pub(super) fn caller_index(&self, atom: usize) -> usize {
        self.caller[atom]
    }

    /// Positions residue by residue; errors give the count or the caller's index.
    pub(super) fn gather(&self, positions_nm: &[[f64; 3]]) -> Result<Vec<[f32; 3]>, SessionError> {
        let (expected, got) = (self.len(), positions_nm.len());
        if expected != got {
            return Err(SessionError::Count { expected, got });
        }
        let finite = |p: &[f64; 3]| p.iter().all(|x| (*x as f32).is_finite());
        if let Some(index) = positions_nm.iter().position(|p| !finite(p)) {
            return Err(SessionError::NotFinite { index });
        }
        Ok(self.caller.iter().map(|i| positions_nm[*i].map(|x| x as f32)).collect())
    }

    /// A geometry error, with a remark where its atom indices are not the caller's.
    pub(super) fn explain(&self, error: GeometryError) -> SessionError {
        let mut text = error.to_string();
        if text.contains("(index ") && self.caller.iter().enumerate().any(|(i, c)| i != *c) {
            text += " [indices count the atoms residue by residue]";
        }
        SessionError::Topology(text)
    }
}
