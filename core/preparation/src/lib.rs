//! What an MD engine must offer, and whether a seed survived being prepared by it.
//!
//! [`Engine`] is the trait that the host adapts engine plugins to. [`Judge`] compares a minimised
//! seed with the sample it came from, [`Gate`] with the ensemble before the jump; [`prepare`] puts
//! the two between an engine's `minimise` and its `start`, so that *valid*, *repaired* and
//! *rejected* mean the same with every engine and a rejected seed costs no MD.
//!
//! A chain of MD, jump, minimisation and new velocities does not satisfy detailed balance: it finds
//! places to start from. Equilibrium properties come from a Markov model over the unbiased runs
//! without their heads, never from a histogram of everything.
//!
//! Lengths are nm, times ps, energies kJ/mol, forces kJ/mol/nm, angles degrees.

mod engine;
mod gate;
mod judge;
mod prepare;

pub use engine::{
    Energy, Engine, EngineError, Failure, Finished, Minimised, Progress, RunRequest, Started,
    System,
};
pub use gate::Gate;
pub use judge::{Change, Judge, LARGEST_TORSION_DEGREES, LONGEST_DISULPHIDE_NM, VALID_RMS_NM};
pub use prepare::{Prepared, Reason, Seed, Verdict, VerdictKind, prepare};
