//! The `marsfm` program as a user runs it: bad input, interrupted training, the default
//! surrogate, trajectories of an MDGen surrogate.

mod cluster;
mod deeptime;
mod errors;
mod evaluate;
mod import;
mod little;
mod loops;
mod mdcath;
mod msm;
mod resume;
mod rollout;
mod split;
mod spread;
mod suite;
mod support;
mod surrogate;
