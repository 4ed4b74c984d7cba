//! Development commands behind ./x.
fn main() {}
