//! Markov state models of any time series.
//!
//! Data flows one way: rows of features ([`Rows`]) → [`tica`] → [`kmeans`] microstates →
//! [`counts`] → [`estimate`] (reversible T and pi) → [`pcca`] macrostates → [`pairs`] for training;
//! [`kolmogorov`] asks whether the model should be trusted, [`validate`] what it says; [`pipeline`] does all of it and is saved
//! as one file; [`staged`] does it in passes over data larger than memory or spread over machines.
//! Nothing here knows geometry, trajectories or tensors.
//!
//! Trajectories stay separate: no lag crosses a seam. Lags are in frames. States keep their *full*
//! numbering everywhere; [`NO_STATE`] (-1) or `None` means "in no set". Estimators fit to immutable
//! models, and what the user should know about a legal result is a [`Warning`] inside it.

#![allow(clippy::neg_cmp_op_on_partial_ord)] // `!(a > b)` on purpose: NaN must take that branch

mod bootstrap;
mod effective;
mod error;
mod error_bars;
mod gathered;
mod kernels;
mod matrix;
mod order;
mod polytope;
mod random;
mod rows;
mod spill;
mod states;
mod store;
#[cfg(test)]
mod test_support;
mod warning_text;

pub mod counts;
pub mod estimate;
pub mod kmeans;
pub mod kolmogorov;
pub mod koopman;
pub mod minibatch;
pub mod moments;
pub mod pairs;
pub mod pcca;
pub mod pipeline;
pub mod staged;
pub mod stream;
pub mod tica;
pub mod uncertainty;
pub mod update;
pub mod validate;
pub mod vamp;

pub use bootstrap::bootstrap;
pub use counts::{CountMatrix, CountMode, NO_STATE, connected_sets, count_transitions};
pub use error::{MsmError, Warning};
pub use error_bars::{ErrorBars, Resampling, Sampled};
pub use estimate::{MarkovModel, ReversibleMle};
pub use kmeans::{KMeans, KMeansModel};
pub use matrix::Matrix;
pub use minibatch::MiniBatchKMeans;
pub use pairs::{LaggedPairs, PairSampler};
pub use pcca::{Pcca, PccaModel};
pub use pipeline::{FRAMES_PER_MICROSTATE, Msm, MsmBuilder};
pub use rows::{Real, Rows};
pub use states::{Discrete, StateTrajectories, StateWriter};
pub use tica::{Scaling, Tica, TicaModel};
pub use uncertainty::{BayesianMsm, Posterior};
pub use update::{Drift, Update};
