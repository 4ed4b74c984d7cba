//! The marsfm command.
fn main() {}
