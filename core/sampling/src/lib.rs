//! What to ask of a surrogate (jump, tree, rollout, hybrid), what to accept of its answers, and the null proposer it
//! must beat. No trajectories, no Markov models: a score for novelty is handed in by callers.

mod acceptance;
mod domain;
mod error;
mod idealise;
mod library;
mod rebuild;
mod rollout;
mod sidechains;
mod tree;

pub use acceptance::{REASONS, Reason, Verdict, judge, judge_atoms};
pub use domain::{Difference, RequestedDomain, differences};
pub use error::SamplingError;
pub use idealise::idealise;
pub use library::ResidueLibrary;
pub use rebuild::settle;
pub use rollout::{RolloutSpec, hybrid, reencode, rollout};
pub use sidechains::{Completed, Known, complete};
pub use tree::{Node, TreeSpec, grow};
