//! The flow-matching network over residues in SE(3): p_T(·|x) learned by matching velocities.
//!
//! METHOD.md sections 3 to 5 of the project's notes and the public MDGen code define every number;
//! parameter names are MDGen's, so its checkpoints load. Å and radians inside; callers convert.

mod config;
mod error;
mod kernels;
mod loss;
mod network;
pub mod params;
mod path;
mod solver;

pub use candle_core;
pub use config::{Layout, NetworkConfig, Path};
pub use error::SurrogateError;
pub use loss::flow_loss;
pub use network::{Condition, Network, Prepared, Tap};
pub use path::Coefficients;
pub use solver::{Solution, Solver, solve};
