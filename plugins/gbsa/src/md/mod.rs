//! Molecular dynamics of small molecules in implicit solvent, sixteen replicas at a time.
//!
//! A replica lives in one lane of the vector registers: every loop over pairs of atoms does the
//! same to all of them, without neighbour lists, gathers or branches, which is what makes a
//! peptide, far too small to fill vector registers by itself, run at the processor's speed.

mod bonded;
mod constraints;
pub mod lanes;
mod nonbonded;
mod random;
pub mod replicas;
pub mod system;
