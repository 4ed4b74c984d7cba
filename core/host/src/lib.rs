//! Finds, checks, loads and adapts plugins.
