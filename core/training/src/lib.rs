//! Pair indices and frames to batches to a trained surrogate, with resume and validation.
//!
//! Knows no Markov model: pairs come through [`PairSource`]. Knows no trajectory format: frames come
//! encoded, and may be kept in files of their own ([`FrameFile`]) where they are more than memory
//! holds. Else it writes its state file alone.

pub mod config;
mod data;
mod error;
mod frames;
mod mosaic;
mod state;
mod trainer;

pub use config::{PairLevel, Recipe};
pub use data::{Pair, PairSource, System, TrainingSet, align};
pub use error::TrainingError;
pub use frames::{FrameFile, Frames};
pub use trainer::{Sets, Status, Trained, Trainer, validation_loss};
