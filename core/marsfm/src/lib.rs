//! State-to-state jumps for molecular dynamics: the use-cases, each once.

pub mod markov;
pub mod systems;
pub mod train;
pub mod verify;
