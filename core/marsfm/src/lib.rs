//! State-to-state jumps for molecular dynamics: the use-cases, each once.

pub mod benchmark;
pub mod demo;
mod demo_report;
pub mod markov;
pub mod sample;
pub mod score;
pub mod systems;
pub mod train;
pub mod verify;
