//! The `marsfm` program as a user runs it: bad input, interrupted training, the default
//! surrogate, trajectories of an MDGen surrogate.

mod errors;
mod msm;
mod resume;
mod spread;
mod rollout;
mod support;
mod surrogate;
