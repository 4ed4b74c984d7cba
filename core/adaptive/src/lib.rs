//! The loop around MD: MD, Markov model, proposals, seeds, again.
//!
//! A *strategy* is a [`Proposer`] (which structures could be started from) times a
//! [`Selector`] (which of them are), and all of them go through one [`Driver`]. What happened is a
//! [`Journal`] of checksummed records; every stage is a function of the journal and `rng_seed`, so
//! a loop that is killed anywhere goes on as if it had not been.
//!
//! Numbers come from MD alone. [`statistics`] sees the runs without their heads, never the
//! proposals: a chain of jumps and MD does not obey detailed balance, transitions of unbiased MD do.
//! A [`toy`] engine with exact answers keeps all of this honest.

mod bandit;
mod bias;
mod clock;
mod drift;
mod driver;
mod engine;
mod error;
mod history;
mod journal;
mod lock;
mod model;
mod propose;
mod select;
mod settings;
mod settled;
pub mod statistics;
mod store;
pub mod toy;
mod watch;

pub use bandit::Bandit;
pub use bias::{Variant, variants};
pub use clock::Stopwatch;
pub use driver::{Driver, Import};
pub use engine::{Engine, Finished, Go, Job, KnownStates, Ran, Structure};
pub use error::LoopError;
pub use history::{
    About, Drift, EpochRecord, FrameAt, History, LostRecord, Plan, Record, RunRecord, SeedRecord,
};
pub use journal::{Contents, Journal, Point, read as read_journal};
pub use lock::Lock;
pub use model::{Candidate, Model, RunRows};
pub use propose::{Context, Proposal, Proposer, Visited};
pub use select::{Range, Selector, SelectorSettings, Weights};
pub use settings::{
    Budget, EngineSettings, LoopSettings, ModelSettings, SlurmSettings, StatisticsSettings,
    StrategySettings,
};
pub use store::{Stages, Store, replay};
pub use watch::{Ended, Limits, POINTS, Progress, Watch};
