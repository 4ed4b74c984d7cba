//! One way to ask for error bars, wherever they come from: values of models that the data could have
//! given as well.

use crate::bootstrap::bootstrap;
use crate::estimate::reversible_eigenvalues;
use crate::states::Discrete;
use crate::uncertainty::no_model;
use crate::{BayesianMsm, CountMatrix, CountMode, Matrix, MsmError, count_transitions};

/// Where such models come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampling {
    /// Trajectories drawn with replacement.
    Trajectories,
    /// The posterior of the counts that are independent.
    Posterior,
}

/// How error bars are taken.
#[derive(Clone, Copy, Debug)]
pub struct ErrorBars {
    /// Where models come from.
    pub by: Resampling,
    /// How many.
    pub n_samples: usize,
    /// Seed of the draws.
    pub rng_seed: u64,
}

/// A model that the data could have given as well.
#[derive(Clone, Copy, Debug)]
pub struct Sampled<'a> {
    /// The state of each row of `t`.
    pub active: &'a [usize],
    /// Reversible transition matrix.
    pub t: &'a Matrix,
    /// Its stationary distribution.
    pub pi: &'a [f64],
    /// Lag in frames.
    pub lag: usize,
}

impl ErrorBars {
    /// `f` of every model; NaN where one of them does not say. Models that could not be made are left
    /// out.
    pub fn values<S: Discrete + ?Sized>(
        &self,
        trajectories: &S,
        n_states: usize,
        lag: usize,
        f: impl Fn(Sampled<'_>) -> Result<Vec<f64>, MsmError> + Sync,
    ) -> Result<Vec<Vec<f64>>, MsmError> {
        let Self { by, n_samples, rng_seed } = *self;
        if n_samples == 0 {
            return Ok(vec![]);
        }
        let found = match by {
            Resampling::Trajectories => {
                bootstrap(trajectories, n_states, lag, n_samples, rng_seed, |m| {
                    f(Sampled { active: &m.active, t: &m.t, pi: &m.pi, lag })
                })
            }
            Resampling::Posterior => independent(trajectories, n_states, lag).and_then(|counts| {
                BayesianMsm::new(n_samples, rng_seed)
                    .each(&counts, |active, t, pi| f(Sampled { active, t, pi, lag }))
            }),
        };
        match found {
            Err(e) if no_model(&e) => Ok(vec![]),
            found => found,
        }
    }
}

/// Effective counts, but no more than one for each lag that the data last: pairs that overlap share
/// what happened. Effective counts alone miss that: on a known chain (see `kolmogorov`'s tests) their
/// 95 % intervals held the truth in 94 % of the cases at a lag of 1 frame and in 76 % at 4.
fn independent<S: Discrete + ?Sized>(
    trajectories: &S,
    n_states: usize,
    lag: usize,
) -> Result<CountMatrix, MsmError> {
    let sliding = count_transitions(trajectories, n_states, lag, CountMode::Sliding)?;
    let mut counts = count_transitions(trajectories, n_states, lag, CountMode::Effective)?;
    for (effective, all) in counts.counts.as_mut_slice().iter_mut().zip(sliding.counts.as_slice()) {
        *effective = effective.min(all / lag as f64);
    }
    Ok(counts)
}

impl Sampled<'_> {
    /// The `k` slowest relaxation times in frames; NaN where there is no such process.
    pub fn timescales(&self, k: usize) -> Result<Vec<f64>, MsmError> {
        let eigenvalues = reversible_eigenvalues(self.t, self.pi)?;
        let time = |i: usize| match eigenvalues.get(i + 1) {
            Some(l) if *l > 0.0 => crate::tica::timescale(*l, self.lag as f64),
            _ => f64::NAN,
        };
        Ok((0..k).map(time).collect())
    }

    /// Stationary weight of each of `n_sets` sets; `set_of` tells the set of a state.
    pub fn populations(&self, n_sets: usize, set_of: impl Fn(usize) -> Option<usize>) -> Vec<f64> {
        let mut sums = vec![0.0; n_sets];
        for (state, p) in self.active.iter().zip(self.pi) {
            if let Some(set) = set_of(*state) {
                sums[set] += p;
            }
        }
        sums
    }
}
