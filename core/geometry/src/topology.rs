//! Who the atoms are: names, elements, residues and chains, in the order of the caller's file.
//! A topology never changes that order; every other numbering in marsfm is a map onto it.

/// One atom as a topology file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    /// Atom name as in the file, trimmed (`CA`, `HB2`, `OXT`).
    pub name: String,
    /// Element symbol (`C`, `N`, `Cl`), empty if the file does not tell and it cannot be guessed.
    pub element: String,
    /// Index into [`Topology::residues`].
    pub residue: usize,
}

/// One residue: consecutive atoms that share name, number, insertion code and chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residue {
    /// Residue name as in the file, trimmed (`ALA`, `HIE`, `HOH`).
    pub name: String,
    /// Residue number as in the file.
    pub number: i32,
    /// Insertion code, or empty.
    pub insertion: String,
    /// Chain identifier, or empty.
    pub chain: String,
    /// The atoms of this residue: a range of [`Topology::atoms`].
    pub atoms: std::ops::Range<usize>,
}

/// Names, elements and residues of every atom, in file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The atoms in file order.
    pub atoms: Vec<Atom>,
    /// The residues in file order.
    pub residues: Vec<Residue>,
}

impl Topology {
    /// Starts an empty topology.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an atom; a new residue begins whenever any of its identifiers changes.
    pub fn push(
        &mut self,
        atom: &str,
        element: &str,
        residue: &str,
        number: i32,
        insertion: &str,
        chain: &str,
    ) {
        let same = self.residues.last().is_some_and(|r| {
            r.name == residue && r.number == number && r.insertion == insertion && r.chain == chain
        });
        if !same {
            let at = self.atoms.len();
            self.residues.push(Residue {
                name: residue.into(),
                number,
                insertion: insertion.into(),
                chain: chain.into(),
                atoms: at..at,
            });
        }
        let index = self.residues.len() - 1;
        self.atoms.push(Atom { name: atom.into(), element: element.into(), residue: index });
        self.residues[index].atoms.end = self.atoms.len();
    }

    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.atoms.len()
    }

    /// True if there is no atom.
    pub fn is_empty(&self) -> bool {
        self.atoms.is_empty()
    }

    /// `chain A residue 10B ALA`: how error messages name a residue.
    pub fn residue_label(&self, residue: usize) -> String {
        let r = &self.residues[residue];
        let chain = if r.chain.is_empty() { String::new() } else { format!("chain {} ", r.chain) };
        format!("{chain}residue {}{} {}", r.number, r.insertion, r.name)
    }

    /// `chain A residue 10 ALA atom CB (index 57)`: how error messages name an atom.
    pub fn atom_label(&self, atom: usize) -> String {
        let a = &self.atoms[atom];
        format!("{} atom {} (index {atom})", self.residue_label(a.residue), a.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_residue_begins_when_any_identifier_changes() {
        let mut top = Topology::new();
        top.push("N", "N", "ALA", 1, "", "A");
        top.push("CA", "C", "ALA", 1, "", "A");
        top.push("N", "N", "ALA", 1, "B", "A");
        top.push("N", "N", "ALA", 1, "B", "C");
        assert_eq!(top.residues.len(), 3);
        assert_eq!(top.residues[0].atoms, 0..2);
        assert_eq!(top.atom_label(2), "chain A residue 1B ALA atom N (index 2)");
    }
}
