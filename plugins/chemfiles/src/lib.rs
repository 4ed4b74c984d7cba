//! Formats of the chemfiles library.
