//! Finds the chain in a topology: residues by name, bonds by distance.
//! Chain identifiers and residue numbers are not trusted; a C–N distance below 0.2 nm is a bond.

use std::collections::HashSet;

use crate::anchor::Anchor;
use crate::cell::{Cell, displacement, separation};
use crate::error::GeometryError;
use crate::handed::{Verdict, judge};
use crate::peptide::{Carried, Peptide};
use crate::residue::{ATOM14, ResidueType, canonical_atom, is_cap, is_ion, is_water};
use crate::topology::{Atom, Topology};

/// Longest bond between heavy atoms, nm.
const HEAVY_BOND: f64 = 0.2;
/// Longest bond to a hydrogen, nm.
const HYDROGEN_BOND: f64 = 0.15;
/// Heavy atoms of capping patches that CHARMM writes inside the end residues.
const PATCH_N: [&str; 3] = ["CAY", "CY", "OY"];
const PATCH_C: [&str; 2] = ["NT", "CAT"];

const N: usize = 0;
const C: usize = 2;

struct Builder<'a> {
    topology: &'a Topology,
    positions: &'a [[f32; 3]],
    cell: Option<&'a Cell>,
    types: Vec<ResidueType>,
    /// Topology residue of each chain residue.
    residues: Vec<usize>,
    atom14: Vec<[Option<usize>; ATOM14]>,
    anchors: Vec<Anchor>,
    anchor_of: Vec<Option<usize>>,
    carried: Vec<Carried>,
    capped: bool,
}

pub(crate) fn recognise(
    topology: &Topology,
    positions: &[[f32; 3]],
    cell: Option<&Cell>,
) -> Result<Peptide, GeometryError> {
    let (expected, got) = (topology.len(), positions.len());
    if expected != got {
        return Err(GeometryError::AtomCount { expected, got });
    }
    if let Some(atom) = positions.iter().position(|p| p.iter().any(|x| !x.is_finite())) {
        return Err(GeometryError::NotFinite { atom: topology.atom_label(atom) });
    }
    let mut build = Builder {
        topology,
        positions,
        cell,
        types: Vec::new(),
        residues: Vec::new(),
        atom14: Vec::new(),
        anchors: Vec::new(),
        anchor_of: Vec::new(),
        carried: Vec::new(),
        capped: false,
    };
    let (caps, others) = build.classify()?;
    build.heavy_atoms()?;
    build.check_bonds()?;
    build.handedness()?;
    build.check_bystanders(&others)?;
    let mut walk = Vec::new();
    for i in 0..build.types.len() {
        build.carry_residue(i)?;
        let link = if i == 0 { None } else { build.atom14[i - 1][C] };
        let atoms: Vec<usize> = topology.residues[build.residues[i]].atoms.clone().collect();
        build.walk_group(&atoms, build.atom14[i][N], link, &mut walk);
    }
    for cap in caps {
        let (root, link) = build.carry_cap(cap)?;
        let atoms: Vec<usize> = topology.residues[cap].atoms.clone().collect();
        build.walk_group(&atoms, Some(root), Some(link), &mut walk);
    }
    Ok(build.finish(walk))
}

impl Builder<'_> {
    fn separation(&self, a: usize, b: usize) -> f64 {
        separation(self.positions[a], self.positions[b], self.cell)
    }

    /// Chain residues into `types` and `residues`; returns caps and residues of unknown kind.
    fn classify(&mut self) -> Result<(Vec<usize>, Vec<usize>), GeometryError> {
        let (mut caps, mut others) = (Vec::new(), Vec::new());
        for (r, residue) in self.topology.residues.iter().enumerate() {
            let name = residue.name.to_ascii_uppercase();
            if let Some(kind) = ResidueType::from_name(&name) {
                self.types.push(kind);
                self.residues.push(r);
            } else if is_cap(&name) {
                caps.push(r);
            } else if !is_water(&name) && !is_ion(&name) {
                let has = |atom: &str| {
                    self.topology.atoms[residue.atoms.clone()].iter().any(|a| a.name == atom)
                };
                if has("N") && has("CA") && has("C") {
                    let residue = self.topology.residue_label(r);
                    return Err(GeometryError::UnknownResidue { residue });
                }
                others.push(r);
            }
        }
        if self.types.is_empty() {
            return Err(GeometryError::NoProtein);
        }
        Ok((caps, others))
    }

    fn heavy_atoms(&mut self) -> Result<(), GeometryError> {
        for (kind, &r) in self.types.iter().zip(&self.residues) {
            let mut slots = [None; ATOM14];
            let mut seen = HashSet::new();
            for atom in self.topology.residues[r].atoms.clone() {
                let name = canonical_atom(*kind, &self.topology.atoms[atom].name);
                if !seen.insert(name) {
                    let atom = self.topology.atom_label(atom);
                    return Err(GeometryError::DuplicateAtom { atom });
                }
                if let Some(slot) = kind.slot(name) {
                    slots[slot] = Some(atom);
                }
            }
            if let Some((_, name)) =
                slots.iter().zip(kind.atom14_names()).find(|(slot, _)| slot.is_none())
            {
                let residue = self.topology.residue_label(r);
                return Err(GeometryError::MissingAtom { residue, atom: name.into() });
            }
            self.atom14.push(slots);
        }
        self.anchor_of = vec![None; self.types.len() * ATOM14];
        Ok(())
    }

    /// Exchanges equal branches that are named the other way round; refuses mirror images.
    fn handedness(&mut self) -> Result<(), GeometryError> {
        for i in 0..self.types.len() {
            let slots = self.atom14[i];
            let (Some(ca), positions, cell) = (slots[1], self.positions, self.cell) else {
                continue;
            };
            let at = |slot: usize| match slots[slot] {
                Some(atom) => displacement(positions[ca], positions[atom], cell),
                None => [0.0; 3],
            };
            match judge(self.types[i], at) {
                Verdict::Fits => {}
                Verdict::Exchange(a, b) => self.atom14[i].swap(a, b),
                Verdict::Mirrored(centre) => {
                    let residue = self.topology.residue_label(self.residues[i]);
                    return Err(GeometryError::Mirrored { residue, centre });
                }
            }
        }
        Ok(())
    }

    fn check_bonds(&self) -> Result<(), GeometryError> {
        let label = |i: usize| self.topology.residue_label(self.residues[i]);
        let c_n = |i: usize, j: usize| match (self.atom14[i][C], self.atom14[j][N]) {
            (Some(c), Some(n)) => self.separation(c, n),
            _ => f64::INFINITY,
        };
        let last = self.types.len() - 1;
        for i in 0..last {
            let distance_nm = c_n(i, i + 1);
            if distance_nm >= HEAVY_BOND {
                let (before, after) = (label(i), label(i + 1));
                return Err(GeometryError::NotBonded { before, after, distance_nm });
            }
        }
        if last > 0 && c_n(last, 0) < HEAVY_BOND {
            return Err(GeometryError::Cyclic { first: label(0), last: label(last) });
        }
        Ok(())
    }

    /// A residue of unknown name that is bonded to the chain belongs to it and is an error.
    fn check_bystanders(&self, others: &[usize]) -> Result<(), GeometryError> {
        for &r in others {
            for atom in self.topology.residues[r].atoms.clone() {
                if is_hydrogen(&self.topology.atoms[atom]) {
                    continue;
                }
                let heavy = self.atom14.iter().flatten().flatten();
                if heavy.into_iter().any(|&h| self.separation(h, atom) < HEAVY_BOND) {
                    let residue = self.topology.residue_label(r);
                    return Err(GeometryError::UnknownResidue { residue });
                }
            }
        }
        Ok(())
    }

    fn anchor(&mut self, residue: usize, slot: usize) -> usize {
        let key = residue * ATOM14 + slot;
        *self.anchor_of[key].get_or_insert_with(|| {
            self.anchors.push(Anchor::new(&self.types, residue, slot));
            self.anchors.len() - 1
        })
    }

    fn carry(&mut self, atom: usize, residue: usize, slot: usize) {
        let anchor = self.anchor(residue, slot);
        self.carried.push(Carried { atom, anchor });
    }

    /// Hydrogens, OXT and patch atoms of chain residue `i`.
    fn carry_residue(&mut self, i: usize) -> Result<(), GeometryError> {
        let last = self.types.len() - 1;
        let mut bases: Vec<(usize, usize)> = // (atom, slot that its hydrogens ride on)
            self.atom14[i].iter().enumerate().filter_map(|(s, a)| a.map(|a| (a, s))).collect();
        let atoms = self.topology.residues[self.residues[i]].atoms.clone();
        let mut hydrogens = Vec::new();
        for atom in atoms {
            if bases[..self.types[i].n_atoms()].iter().any(|b| b.0 == atom) {
                continue;
            }
            let a = &self.topology.atoms[atom];
            let name = canonical_atom(self.types[i], &a.name);
            if is_hydrogen(a) {
                hydrogens.push(atom);
                continue;
            }
            let slot = if name == "OXT" && i == last {
                C
            } else if i == 0 && PATCH_N.contains(&name) {
                N
            } else if i == last && PATCH_C.contains(&name) {
                C
            } else {
                return Err(GeometryError::UnexpectedAtom { atom: self.topology.atom_label(atom) });
            };
            self.capped |= name != "OXT";
            bases.push((atom, slot));
            self.carry(atom, i, slot);
        }
        for atom in hydrogens {
            let (distance_nm, slot) = bases
                .iter()
                .map(|&(heavy, slot)| (self.separation(heavy, atom), slot))
                .fold((f64::INFINITY, C), |m, x| if x.0 < m.0 { x } else { m });
            if distance_nm > HYDROGEN_BOND {
                let atom = self.topology.atom_label(atom);
                return Err(GeometryError::Unbonded { atom, distance_nm });
            }
            self.carry(atom, i, slot);
        }
        Ok(())
    }

    /// All atoms of a cap ride on the end that it is bonded to. Returns the bond (cap, chain).
    fn carry_cap(&mut self, r: usize) -> Result<(usize, usize), GeometryError> {
        let last = self.types.len() - 1;
        let mut best = (f64::INFINITY, 0, 0, (0, N));
        for (residue, slot) in [(0, N), (last, C)] {
            let Some(end) = self.atom14[residue][slot] else { continue };
            for atom in self.topology.residues[r].atoms.clone() {
                let d = self.separation(end, atom);
                if !is_hydrogen(&self.topology.atoms[atom]) && d < best.0 {
                    best = (d, atom, end, (residue, slot));
                }
            }
        }
        let (distance_nm, root, link, (residue, slot)) = best;
        if distance_nm >= HEAVY_BOND {
            let atom = self.topology.residue_label(r);
            return Err(GeometryError::Unbonded { atom, distance_nm });
        }
        for atom in self.topology.residues[r].atoms.clone() {
            self.carry(atom, residue, slot);
        }
        self.capped = true;
        Ok((root, link))
    }

    /// Appends (child, parent) pairs that reach every atom of a residue by shortest steps.
    fn walk_group(
        &self,
        atoms: &[usize],
        root: Option<usize>,
        link: Option<usize>,
        walk: &mut Vec<(usize, usize)>,
    ) {
        let Some(root) = root.or(atoms.first().copied()) else { return };
        walk.extend(link.map(|parent| (root, parent)));
        let mut open: Vec<(usize, usize, f64)> = atoms
            .iter()
            .filter(|&&a| a != root)
            .map(|&a| (a, root, self.separation(root, a)))
            .collect();
        while !open.is_empty() {
            let mut next = 0;
            for i in 1..open.len() {
                if open[i].2 < open[next].2 {
                    next = i;
                }
            }
            let (atom, parent, _) = open.swap_remove(next);
            walk.push((atom, parent));
            for entry in &mut open {
                let d = self.separation(atom, entry.0);
                if d < entry.2 {
                    (entry.1, entry.2) = (atom, d);
                }
            }
        }
    }

    fn finish(self, walk: Vec<(usize, usize)>) -> Peptide {
        let heavy = self.atom14.iter().flatten().flatten().copied();
        let mut atoms: Vec<usize> = heavy.chain(self.carried.iter().map(|c| c.atom)).collect();
        atoms.sort_unstable();
        Peptide {
            n_atoms: self.topology.len(),
            labels: atoms.into_iter().map(|a| (a, self.topology.atom_label(a))).collect(),
            types: self.types,
            residues: self.residues,
            atom14: self.atom14,
            anchors: self.anchors,
            carried: self.carried,
            walk,
            capped: self.capped,
        }
    }
}

/// By element or by the first letter of the name: amino acids and caps hold no other atom whose
/// name begins with H or D, and writers guess elements such as Hg for `HG`.
fn is_hydrogen(atom: &Atom) -> bool {
    let first = atom.name.trim_start_matches(|c: char| c.is_ascii_digit()).chars().next();
    matches!(atom.element.as_str(), "H" | "D") || matches!(first, Some('H' | 'D'))
}
