//! The `marsfm` program as a user runs it: bad input, interrupted training, the default surrogate.

mod errors;
mod resume;
mod support;
mod surrogate;
