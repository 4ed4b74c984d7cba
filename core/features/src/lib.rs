//! Feature rows for Markov models: geometry over trajectories.
