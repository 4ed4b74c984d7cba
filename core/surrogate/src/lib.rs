//! The flow-matching network over residues in SE(3): p_T(·|x) learned by matching velocities.
//!
//! The MarS-FM paper (arXiv 2509.24779) and the public MDGen code define every number;
//! parameter names are MDGen's, so its checkpoints load. Å and radians inside; callers convert.

mod backend;
pub mod card;
pub mod checkpoint;
mod config;
mod error;
mod kernels;
mod layers;
mod learner;
mod local;
mod loss;
mod modulation;
mod network;
#[cfg(test)]
mod network_tests;
mod optimiser;
pub mod params;
mod path;
mod solver;
mod surrogate;
mod upstream;

pub use backend::{Backend, Batch, LossAndGradients, Window};
pub use candle_core;
pub use config::{Layout, MaskedTorsions, NetworkConfig, Path};
pub use error::SurrogateError;
pub use layers::Precision;
pub use learner::Learner;
pub use local::{Local, gradients, loss};
pub use loss::flow_loss;
pub use network::{Condition, Network, Prepared, Tap};
pub use optimiser::{Optimiser, OptimiserConfig, Slot};
pub use path::Coefficients;
pub use solver::{Solution, Solver, solve};
pub use surrogate::{JumpRequest, Surrogate, condition_of, own_latent};
