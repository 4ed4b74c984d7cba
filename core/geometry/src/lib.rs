//! Residues, rigids, torsions, atoms and structural observables. No files, no tensors, no threads.
//!
//! Callers' coordinates are nm (`f32`). Rigids and torsions live in Å because the network and its
//! published weights do; [`peptide`] is the one place that converts.

mod anchor;
pub mod build;
pub mod cell;
pub mod conformation;
pub mod error;
mod handed;
pub mod latent;
pub mod observables;
pub mod peptide;
pub mod real;
mod recognise;
pub mod residue;
pub mod rigid;
pub mod superpose;
pub mod tables;
pub mod topology;
pub mod torsion;

pub use cell::Cell;
pub use conformation::Conformation;
pub use error::GeometryError;
pub use latent::{LATENT, decode, encode};
pub use peptide::Peptide;
pub use real::{Real, Vec3};
pub use residue::{ATOM14, ATOM37, N_TYPES, ResidueType};
pub use rigid::Rigid;
pub use superpose::{Superposition, superpose};
pub use topology::{Atom, Residue, Topology};
pub use torsion::{N_TORSIONS, Torsions, dihedral_sin_cos, torsion_mask};
