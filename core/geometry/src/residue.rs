//! Residue types, their atoms by name, and every alias under which engines write them.
//!
//! Order A R N D C Q E G H I L K M F P S T W Y V, X = 20 (METHOD 2.3); atom14 slots are
//! N CA C O CB, then the side chain; aliases as in ENGINES 3.2 (Amber, CHARMM, GROMACS, OpenMM).

use crate::tables::TEMPLATES;

/// Residue types, X included.
pub const N_TYPES: usize = 21;
/// Heavy-atom slots per residue.
pub const ATOM14: usize = 14;
/// Slots of the wide representation, all heavy-atom names of all types.
pub const ATOM37: usize = 37;

/// The atom37 names in order.
pub const ATOM37_NAMES: [&str; ATOM37] = [
    "N", "CA", "C", "CB", "O", "CG", "CG1", "CG2", "OG", "OG1", "SG", "CD", "CD1", "CD2", "ND1",
    "ND2", "OD1", "OD2", "SD", "CE", "CE1", "CE2", "CE3", "NE", "NE1", "NE2", "OE1", "OE2", "CH2",
    "NH1", "NH2", "OH", "CZ", "CZ2", "CZ3", "NZ", "OXT",
];

/// One of the 20 amino acids, or X.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)] // the variants are the three-letter names
pub enum ResidueType {
    Ala,
    Arg,
    Asn,
    Asp,
    Cys,
    Gln,
    Glu,
    Gly,
    His,
    Ile,
    Leu,
    Lys,
    Met,
    Phe,
    Pro,
    Ser,
    Thr,
    Trp,
    Tyr,
    Val,
    /// Unknown or masked.
    X,
}

const LETTERS: &[u8; N_TYPES] = b"ARNDCQEGHILKMFPSTWYVX";
const NAMES: [&str; N_TYPES] = [
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU", "LYS", "MET",
    "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL", "UNK",
];

impl ResidueType {
    /// All types in index order, X last.
    pub const ALL: [Self; N_TYPES] = {
        use ResidueType::*;
        [
            Ala, Arg, Asn, Asp, Cys, Gln, Glu, Gly, His, Ile, Leu, Lys, Met, Phe, Pro, Ser, Thr,
            Trp, Tyr, Val, X,
        ]
    };

    /// 0..=20.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The type at `index`, if it is at most 20.
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    /// One letter, upper case.
    pub fn letter(self) -> char {
        LETTERS[self.index()] as char
    }

    /// From one letter, upper case; X is accepted.
    pub fn from_letter(letter: char) -> Option<Self> {
        LETTERS.iter().position(|&l| l as char == letter).and_then(Self::from_index)
    }

    /// Three letters, upper case (`UNK` for X).
    pub fn name(self) -> &'static str {
        NAMES[self.index()]
    }

    /// From a residue name as Amber, CHARMM, GROMACS or OpenMM write it: protonation states,
    /// disulfide forms, terminal prefixes (`NALA`, `CGLY`) and selenomethionine (as MET).
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = |n: &str| {
            NAMES[..20].iter().position(|&m| m == n).and_then(Self::from_index).or_else(|| alias(n))
        };
        plain(name).or_else(|| match name.as_bytes() {
            [b'N' | b'C', rest @ ..] if rest.len() >= 3 => name.get(1..).and_then(plain),
            _ => None,
        })
    }

    /// Names of the heavy atoms in atom14 order (4 to 14 of them; none for X).
    pub fn atom14_names(self) -> impl ExactSizeIterator<Item = &'static str> {
        TEMPLATES[self.index()].iter().map(|a| a.name)
    }

    /// Number of heavy atoms without OXT.
    pub fn n_atoms(self) -> usize {
        TEMPLATES[self.index()].len()
    }

    /// The atom14 slot of an atom name that [`canonical_atom`] returned.
    pub fn slot(self, atom: &str) -> Option<usize> {
        TEMPLATES[self.index()].iter().position(|a| a.name == atom)
    }

    /// The four atom14 slots of chi `k` (0..4), or `None`.
    pub fn chi(self, k: usize) -> Option<[usize; 4]> {
        let names = *chi_names(self).get(k)?;
        let mut slots = [0; 4];
        for (slot, name) in slots.iter_mut().zip(names) {
            *slot = self.slot(name)?;
        }
        Some(slots)
    }

    /// Which chis exist.
    pub fn chi_mask(self) -> [bool; 4] {
        [0, 1, 2, 3].map(|k| k < chi_names(self).len())
    }

    /// Which atom14 slots hold an atom.
    pub fn atom14_mask(self) -> [bool; ATOM14] {
        std::array::from_fn(|slot| slot < self.n_atoms())
    }

    /// The atom37 position of each heavy atom, in atom14 order.
    pub fn atom14_to_atom37(self) -> Vec<usize> {
        self.atom14_names()
            .filter_map(|name| ATOM37_NAMES.iter().position(|&n| n == name))
            .collect()
    }
}

fn alias(name: &str) -> Option<ResidueType> {
    use ResidueType::*;
    Some(match name {
        "HID" | "HIE" | "HIP" | "HSD" | "HSE" | "HSP" | "HISD" | "HISE" | "HISH" | "HIS1"
        | "HIS2" | "HISA" | "HISB" => His,
        "CYX" | "CYM" | "CYS1" | "CYS2" | "CYSH" | "CYN" => Cys,
        "ASH" | "ASPH" | "ASPP" => Asp,
        "GLH" | "GLUH" | "GLUP" => Glu,
        "LYN" | "LYP" | "LYSH" | "LSN" => Lys,
        "ARN" | "ARGN" => Arg,
        "MSE" => Met,
        _ => return None,
    })
}

/// Atoms of chi1..chi4 in order, for the chis that exist.
pub fn chi_names(kind: ResidueType) -> &'static [[&'static str; 4]] {
    use ResidueType::*;
    match kind {
        Ala | Gly | X => &[],
        Arg => &[
            ["N", "CA", "CB", "CG"],
            ["CA", "CB", "CG", "CD"],
            ["CB", "CG", "CD", "NE"],
            ["CG", "CD", "NE", "CZ"],
        ],
        Asn | Asp => &[["N", "CA", "CB", "CG"], ["CA", "CB", "CG", "OD1"]],
        Cys => &[["N", "CA", "CB", "SG"]],
        Gln | Glu => {
            &[["N", "CA", "CB", "CG"], ["CA", "CB", "CG", "CD"], ["CB", "CG", "CD", "OE1"]]
        }
        His => &[["N", "CA", "CB", "CG"], ["CA", "CB", "CG", "ND1"]],
        Ile => &[["N", "CA", "CB", "CG1"], ["CA", "CB", "CG1", "CD1"]],
        Leu | Phe | Trp | Tyr => &[["N", "CA", "CB", "CG"], ["CA", "CB", "CG", "CD1"]],
        Lys => &[
            ["N", "CA", "CB", "CG"],
            ["CA", "CB", "CG", "CD"],
            ["CB", "CG", "CD", "CE"],
            ["CG", "CD", "CE", "NZ"],
        ],
        Met => &[["N", "CA", "CB", "CG"], ["CA", "CB", "CG", "SD"], ["CB", "CG", "SD", "CE"]],
        Pro => &[["N", "CA", "CB", "CG"], ["CA", "CB", "CG", "CD"]],
        Ser => &[["N", "CA", "CB", "OG"]],
        Thr => &[["N", "CA", "CB", "OG1"]],
        Val => &[["N", "CA", "CB", "CG1"]],
    }
}

/// The PDB name of a heavy atom: ILE `CD` → `CD1`, terminal oxygens of every engine → `O`, `OXT`,
/// selenomethionine `SE` → `SD`. Other names are returned as they are.
pub fn canonical_atom(kind: ResidueType, atom: &str) -> &str {
    match (kind, atom) {
        (ResidueType::Ile, "CD") => "CD1",
        (ResidueType::Met, "SE") => "SD",
        (_, "OC1" | "OT1" | "O1" | "O'") => "O",
        (_, "OC2" | "OT2" | "O2" | "O''" | "OT") => "OXT",
        _ => atom,
    }
}

/// Capping groups, which the model does not see and reconstruction carries along.
pub fn is_cap(residue: &str) -> bool {
    matches!(residue, "ACE" | "NME" | "NMA" | "NH2" | "NHE" | "NAC" | "CT3")
}

/// Water under its usual names.
pub fn is_water(residue: &str) -> bool {
    matches!(
        residue,
        "HOH"
            | "WAT"
            | "SOL"
            | "H2O"
            | "TIP"
            | "TIP2"
            | "TIP3"
            | "TIP3P"
            | "TIP4"
            | "TIP5"
            | "TP3"
            | "TIP3M"
            | "SPC"
            | "SPCE"
            | "DOD"
            | "OPC"
            | "OPC3"
            | "T3P"
            | "T4P"
    )
}

/// Simple ions under their usual names.
pub fn is_ion(residue: &str) -> bool {
    matches!(
        residue.trim_end_matches(['+', '-']),
        "NA" | "CL"
            | "K"
            | "MG"
            | "CA"
            | "ZN"
            | "LI"
            | "RB"
            | "CS"
            | "BR"
            | "I"
            | "F"
            | "MN"
            | "FE"
            | "CU"
            | "NI"
            | "CO"
            | "BA"
            | "CD"
            | "HG"
            | "SOD"
            | "CLA"
            | "POT"
            | "CAL"
            | "CES"
            | "LIT"
            | "RUB"
            | "ZN2"
            | "MG2"
            | "CA2"
            | "Na"
            | "Cl"
            | "Mg"
            | "Zn"
            | "IOD"
            | "CIO"
            | "ION"
            | "IB"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_names_and_indices_agree() {
        for (i, kind) in ResidueType::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), i);
            assert_eq!(ResidueType::from_letter(kind.letter()), Some(kind));
            if kind != ResidueType::X {
                assert_eq!(ResidueType::from_name(kind.name()), Some(kind));
                assert_eq!(kind.atom14_to_atom37().len(), kind.n_atoms());
            }
        }
        assert_eq!(ResidueType::from_index(21), None);
        assert_eq!(ResidueType::from_letter('B'), None);
    }

    #[test]
    fn engine_names_are_understood() {
        for (name, kind) in [
            ("HIE", ResidueType::His),
            ("HISH", ResidueType::His),
            ("HSP", ResidueType::His),
            ("CYX", ResidueType::Cys),
            ("CYS2", ResidueType::Cys),
            ("GLH", ResidueType::Glu),
            ("LYP", ResidueType::Lys),
            ("NALA", ResidueType::Ala),
            ("CALA", ResidueType::Ala),
            ("NHID", ResidueType::His),
            ("CCYX", ResidueType::Cys),
            ("MSE", ResidueType::Met),
        ] {
            assert_eq!(ResidueType::from_name(name), Some(kind), "{name}");
        }
        for name in ["NME", "ACE", "NMA", "NH2", "HOH", "NA", "UNK", "XYZ", ""] {
            assert_eq!(ResidueType::from_name(name), None, "{name}");
        }
        assert_eq!(canonical_atom(ResidueType::Ile, "CD"), "CD1");
        assert_eq!(canonical_atom(ResidueType::Leu, "CD1"), "CD1");
        assert_eq!(canonical_atom(ResidueType::Gly, "OT2"), "OXT");
        assert!(is_ion("NA+") && is_ion("CLA") && is_water("SOL") && is_cap("NMA"));
    }
}
