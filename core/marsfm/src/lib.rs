//! State-to-state jumps for molecular dynamics: the use-cases, each once.

pub mod verify;
