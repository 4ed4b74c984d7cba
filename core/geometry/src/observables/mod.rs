//! Structural observables of single frames and ensembles, all in nm and radians, computed in f64
//! from the caller's f32 positions.

mod contacts;
mod dihedral;
mod dssp;
mod gyration;
mod rmsd;

pub use contacts::{contacts, n_contacts};
pub use dihedral::{Dihedral, DihedralKind, dihedral, dihedrals};
pub use dssp::{ChainBreaks, Dssp, HydrogenBond, Structure, class3, fraction};
pub use gyration::{atomic_mass, radius_of_gyration, radius_of_gyration_weighted};
pub use rmsd::{RmsdTo, rmsd, rmsd_matrix, rmsf};
