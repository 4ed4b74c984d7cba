//! What can be wrong with a topology or its coordinates, said so that the reader can mend it.

use thiserror::Error;

/// Errors of this room. Residues and atoms are named as in the caller's file.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum GeometryError {
    /// The number of positions does not fit the topology.
    #[error(
        "{got} positions for a topology of {expected} atoms: use the topology that belongs to these coordinates"
    )]
    AtomCount {
        /// Atoms in the topology.
        expected: usize,
        /// Positions given.
        got: usize,
    },
    /// A conformation does not fit the chain.
    #[error("a conformation of {got} residues for a chain of {expected}")]
    ResidueCount {
        /// Residues of the chain.
        expected: usize,
        /// Residues of the conformation.
        got: usize,
    },
    /// NaN or infinity.
    #[error("{atom}: position is not finite")]
    NotFinite {
        /// Label of the atom.
        atom: String,
    },
    /// No amino acid at all.
    #[error("the topology holds no amino-acid residue")]
    NoProtein,
    /// A residue of the chain that is none of the 20 amino acids or their aliases.
    #[error(
        "{residue}: not one of the 20 amino acids (nor an alias of one); remove or replace this residue"
    )]
    UnknownResidue {
        /// Label of the residue.
        residue: String,
    },
    /// A heavy atom is not in the topology.
    #[error("{residue}: heavy atom {atom} is missing; complete the residue first")]
    MissingAtom {
        /// Label of the residue.
        residue: String,
        /// Canonical atom name.
        atom: String,
    },
    /// Two atoms of a residue have one name.
    #[error("{atom}: a second atom of this name in the residue; keep one alternate location")]
    DuplicateAtom {
        /// Label of the atom.
        atom: String,
    },
    /// An atom of an amino acid that is neither in its table, nor a hydrogen, nor a cap.
    #[error("{atom}: no such heavy atom in this amino acid; modified residues are not supported")]
    UnexpectedAtom {
        /// Label of the atom.
        atom: String,
    },
    /// A hydrogen or cap that is bonded to nothing.
    #[error(
        "{atom}: nearest heavy atom is {distance_nm:.3} nm away, so it is bonded to none; make the molecule whole or check the coordinates"
    )]
    Unbonded {
        /// Label of the atom.
        atom: String,
        /// Distance to the nearest heavy atom, nm.
        distance_nm: f64,
    },
    /// Consecutive residues without a peptide bond.
    #[error(
        "two chains or a gap: {before} and {after} are not bonded (C–N {distance_nm:.3} nm, a bond is below 0.2 nm); give one continuous chain, made whole"
    )]
    NotBonded {
        /// Label of the residue before the gap.
        before: String,
        /// Label of the residue after it.
        after: String,
        /// C–N distance, nm.
        distance_nm: f64,
    },
    /// A D amino acid, or another mirrored centre.
    #[error(
        "{residue}: mirror image of the L amino acid at {centre}; D residues are not supported"
    )]
    Mirrored {
        /// Label of the residue.
        residue: String,
        /// The chiral atom.
        centre: &'static str,
    },
    /// First and last residue are bonded.
    #[error("{first} and {last} are bonded: cyclic peptides are not supported")]
    Cyclic {
        /// Label of the first residue.
        first: String,
        /// Label of the last residue.
        last: String,
    },
    /// After making the molecule whole a bond is still too long.
    #[error(
        "{atom}: still {distance_nm:.3} nm from its neighbour after making the molecule whole; the cell or the coordinates are wrong"
    )]
    NotWhole {
        /// Label of the atom.
        atom: String,
        /// Distance, nm.
        distance_nm: f64,
    },
    /// A cell without volume.
    #[error("the periodic cell has no volume")]
    BadCell,
    /// A letter that is no amino acid.
    #[error("'{letter}' at position {position} is not an amino acid")]
    BadLetter {
        /// The letter.
        letter: char,
        /// Position from 1.
        position: usize,
    },
    /// Two sets of points that cannot be superposed.
    #[error("cannot superpose {mobile} points on {target}")]
    PointCount {
        /// Points to move.
        mobile: usize,
        /// Points to meet.
        target: usize,
    },
}
