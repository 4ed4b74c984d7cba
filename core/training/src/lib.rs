//! Pair indices and frames to batches to a trained surrogate.
