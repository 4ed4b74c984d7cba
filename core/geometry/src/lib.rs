//! Residues, rigids, torsions, atoms and structural observables. No files, no tensors, no threads.
//!
//! Callers' coordinates are nm (`f32`). Rigids and torsions live in Å because the network and its
//! published weights do; [`peptide`] is the one place that converts.

pub mod topology;

pub use topology::{Atom, Residue, Topology};
