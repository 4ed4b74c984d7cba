//! Markov state models of any time series.
