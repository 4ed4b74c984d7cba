//! The `marsfm` program as a user runs it: bad input, interrupted training, the default surrogate.

mod errors;
mod msm;
mod resume;
mod spread;
mod support;
mod surrogate;
