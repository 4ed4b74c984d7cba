//! Pair indices and frames to batches to a trained surrogate, with resume and validation.
//!
//! Knows no Markov model: pairs come through [`PairSource`]. Knows no file format: frames come
//! encoded. What it writes is its own state file.

pub mod config;
mod data;
mod error;
mod mosaic;
mod state;
mod trainer;

pub use config::{PairLevel, Recipe};
pub use data::{Pair, PairSource, System, TrainingSet, align};
pub use error::TrainingError;
pub use trainer::{Sets, Status, Trained, Trainer, validation_loss};
