//! Chapman–Kolmogorov test: does T(lag)^k say what is counted at k times the lag, and are the two
//! further apart than their error bars.

use serde::{Deserialize, Serialize};

use crate::error_bars::{ErrorBars, Sampled};
use crate::states::Discrete;
use crate::uncertainty::Spread;
use crate::{CountMode, MarkovModel, Matrix, MsmError, ReversibleMle, count_transitions};

/// One multiple of the lag in a Chapman-Kolmogorov test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChapmanKolmogorov {
    /// Multiple of the model's lag.
    pub multiple: usize,
    /// From T^k of the model: probability to be in set j after k lags, started in set i.
    pub predicted: Matrix,
    /// The same from a model estimated at k times the lag.
    pub estimated: Matrix,
}

impl ChapmanKolmogorov {
    /// Largest |predicted - estimated|.
    pub fn max_deviation(&self) -> f64 {
        self.predicted
            .as_slice()
            .iter()
            .zip(self.estimated.as_slice())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max)
    }

    /// Largest |predicted - estimated| where the two intervals do not overlap.
    pub fn significant_deviation(&self, bars: &KolmogorovBars) -> f64 {
        let apart = |k: usize| {
            let (a, b) = (&bars.predicted, &bars.estimated);
            a.low.as_slice()[k] > b.high.as_slice()[k] || b.low.as_slice()[k] > a.high.as_slice()[k]
        };
        let (a, b) = (self.predicted.as_slice(), self.estimated.as_slice());
        (0..a.len()).filter(|k| apart(*k)).map(|k| (a[k] - b[k]).abs()).fold(0.0, f64::max)
    }
}

/// 95 % intervals of the entries of a matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// 2.5 % quantiles.
    pub low: Matrix,
    /// 97.5 % quantiles.
    pub high: Matrix,
}

/// Error bars of one multiple of the lag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KolmogorovBars {
    /// Of what models at the lag predict.
    pub predicted: Interval,
    /// Of what models at the multiple of the lag say.
    pub estimated: Interval,
}

/// Compares T(lag)^k with T(k lag) on sets given by `memberships` (active states x sets). Starting
/// distribution of set i: pi_a chi_ai, normalised; the row of a set without active states is NaN.
/// Multiples whose lag leaves no transition are left out.
pub fn chapman_kolmogorov<S: Discrete + ?Sized>(
    trajectories: &S,
    model: &MarkovModel,
    memberships: &Matrix,
    multiples: &[usize],
) -> Result<Vec<ChapmanKolmogorov>, MsmError> {
    let chi = over_all_states(model, memberships)?;
    let mut out = Vec::new();
    for &multiple in multiples {
        let predicted = propagated(sampled(model), &model.pi, &chi, multiple);
        let counts = count_transitions(
            trajectories,
            model.row_of_state.len(),
            multiple * model.lag,
            CountMode::Sliding,
        );
        let longer = match counts.and_then(|c| ReversibleMle::default().fit(&c)) {
            Ok(longer) => longer,
            Err(MsmError::TooShort { .. } | MsmError::NoTransitions { .. }) => continue,
            Err(e) => return Err(e),
        };
        // Both start alike, so that nothing but the step differs.
        let start: Vec<f64> = longer.active.iter().map(|s| model.stationary_of(*s)).collect();
        let estimated = propagated(sampled(&longer), &start, &chi, 1);
        out.push(ChapmanKolmogorov { multiple, predicted, estimated });
    }
    Ok(out)
}

/// 95 % intervals of both sides of [`chapman_kolmogorov`], for each multiple. A probability that fewer
/// than half of the models tell lies between 0 and 1, that is all.
pub fn kolmogorov_bars<S: Discrete + ?Sized>(
    trajectories: &S,
    model: &MarkovModel,
    memberships: &Matrix,
    multiples: &[usize],
    bars: &ErrorBars,
) -> Result<Vec<KolmogorovBars>, MsmError> {
    let chi = over_all_states(model, memberships)?;
    let (m, n_states) = (chi.n_cols(), model.row_of_state.len());
    let predictions = bars.values(trajectories, n_states, model.lag, |sampled| {
        let at = |k: &usize| propagated(sampled, sampled.pi, &chi, *k);
        Ok(multiples.iter().flat_map(|k| at(k).as_slice().to_vec()).collect())
    })?;
    let of = |(i, &multiple): (usize, &usize)| {
        let own = predictions.iter().map(|p| p[i * m * m..(i + 1) * m * m].to_vec());
        let predicted = interval(&own.collect::<Vec<_>>(), m, bars.n_samples)?;
        if multiple == 1 {
            return Ok(KolmogorovBars { estimated: predicted.clone(), predicted });
        }
        let estimates = bars.values(trajectories, n_states, multiple * model.lag, |sampled| {
            Ok(propagated(sampled, sampled.pi, &chi, 1).as_slice().to_vec())
        })?;
        Ok(KolmogorovBars { predicted, estimated: interval(&estimates, m, bars.n_samples)? })
    };
    multiples.iter().enumerate().map(of).collect()
}

fn interval(values: &[Vec<f64>], m: usize, n_samples: usize) -> Result<Interval, MsmError> {
    let mut spread = Spread::of_most(values, n_samples);
    spread.low.resize(m * m, f64::NAN);
    spread.high.resize(m * m, f64::NAN);
    let known = |bound: Vec<f64>, unknown: f64| {
        Matrix::from_vec(
            m,
            m,
            bound.iter().map(|v| if v.is_nan() { unknown } else { *v }).collect(),
        )
    };
    Ok(Interval { low: known(spread.low, 0.0)?, high: known(spread.high, 1.0)? })
}

/// Memberships over all states instead of the active ones.
fn over_all_states(model: &MarkovModel, memberships: &Matrix) -> Result<Matrix, MsmError> {
    let n = model.t.n_rows();
    if memberships.n_rows() != n {
        return Err(MsmError::Size {
            what: "rows of memberships",
            expected: n,
            got: memberships.n_rows(),
        });
    }
    let mut chi = Matrix::zeros(model.row_of_state.len(), memberships.n_cols());
    for (row, state) in model.active.iter().enumerate() {
        chi.row_mut(*state).copy_from_slice(memberships.row(row));
    }
    Ok(chi)
}

fn sampled(model: &MarkovModel) -> Sampled<'_> {
    Sampled { active: &model.active, t: &model.t, pi: &model.pi, lag: model.lag }
}

/// Probability to be in set j after `steps` steps of a model, started in set i with `weights` of its
/// active states; NaN from a set without weight.
fn propagated(model: Sampled<'_>, weights: &[f64], chi: &Matrix, steps: usize) -> Matrix {
    let (n, m) = (model.active.len(), chi.n_cols());
    let mut own = Matrix::zeros(n, m);
    let mut p = Matrix::zeros(m, n);
    for (row, state) in model.active.iter().enumerate() {
        own.row_mut(row).copy_from_slice(chi.row(*state));
        for j in 0..m {
            p[(j, row)] = weights[row] * own[(row, j)];
        }
    }
    for j in 0..m {
        let sum: f64 = p.row(j).iter().sum();
        p.row_mut(j).iter_mut().for_each(|v| *v /= sum);
    }
    for _ in 0..steps {
        p = p.times(model.t);
    }
    p.times(&own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_bars::Resampling;
    use crate::test_support::chain;

    /// Three wells of two states each.
    fn wells() -> Matrix {
        let t = [
            [0.70, 0.28, 0.02, 0.00, 0.00, 0.00],
            [0.28, 0.68, 0.04, 0.00, 0.00, 0.00],
            [0.01, 0.02, 0.67, 0.28, 0.02, 0.00],
            [0.00, 0.00, 0.28, 0.68, 0.02, 0.02],
            [0.00, 0.00, 0.03, 0.03, 0.54, 0.40],
            [0.00, 0.00, 0.00, 0.03, 0.40, 0.57],
        ];
        Matrix::from_vec(6, 6, t.concat()).unwrap()
    }

    fn sets() -> Matrix {
        let mut chi = Matrix::zeros(6, 3);
        (0..6).for_each(|i| chi[(i, i / 2)] = 1.0);
        chi
    }

    /// What the chain itself does.
    fn truth(multiple: usize) -> Matrix {
        let t = wells();
        let pi = crate::estimate::stationary_distribution(&t).unwrap();
        let all: Vec<usize> = (0..6).collect();
        propagated(Sampled { active: &all, t: &t, pi: &pi, lag: 1 }, &pi, &sets(), multiple)
    }

    /// How often the intervals hold the truth, over simulations of the chain: predictions, estimates.
    fn coverage(by: Resampling, n_runs: usize, length: usize) -> [f64; 2] {
        let (simulations, multiples) = (150, [1, 2, 4]);
        let mut held = [0, 0];
        for simulation in 0..simulations {
            let runs: Vec<Vec<i32>> = (0..n_runs)
                .map(|i| {
                    let seed = (simulation * n_runs + i) as u64;
                    // The first hundred frames forget where they started.
                    chain(&wells(), length + 100, i % 6, seed).split_off(100)
                })
                .collect();
            let counts = count_transitions(&runs, 6, 1, CountMode::Sliding).unwrap();
            let model = ReversibleMle::default().fit(&counts).unwrap();
            let bars = ErrorBars { by, n_samples: 120, rng_seed: simulation as u64 };
            assert_eq!(model.active.len(), 6);
            let found = kolmogorov_bars(&runs, &model, &sets(), &multiples, &bars).unwrap();
            for (bars, multiple) in found.iter().zip(multiples) {
                let truth = truth(multiple);
                for (held, interval) in held.iter_mut().zip([&bars.predicted, &bars.estimated]) {
                    let inside = |i: &usize| {
                        let at = (*i, *i);
                        interval.low[at] <= truth[at] && truth[at] <= interval.high[at]
                    };
                    *held += (0..3).filter(inside).count();
                }
            }
        }
        held.map(|n| n as f64 / (simulations * multiples.len() * 3) as f64)
    }

    #[test]
    fn intervals_of_a_known_chain_hold_what_it_does() {
        for (by, n_runs, length) in
            [(Resampling::Trajectories, 40, 150), (Resampling::Posterior, 2, 4000)]
        {
            let held = coverage(by, n_runs, length);
            assert!(held.iter().all(|c| (0.90..=0.99).contains(c)), "{by:?}: {held:?}");
        }
    }

    #[test]
    fn a_process_with_memory_lies_outside_its_intervals() {
        // Lumped pairs of states that differ in how they leave: not a Markov chain of three states.
        let mut t = Matrix::identity(4);
        for (i, j, p) in
            [(0, 1, 0.01), (1, 0, 0.01), (1, 2, 0.3), (2, 1, 0.3), (2, 3, 0.01), (3, 2, 0.01)]
        {
            t[(i, j)] += p;
            t[(i, i)] -= p;
        }
        let runs: Vec<Vec<i32>> = (0..40)
            .map(|i| chain(&t, 2000, i % 4, i as u64).iter().map(|s| s / 2).collect())
            .collect();
        let counts = count_transitions(&runs, 2, 1, CountMode::Sliding).unwrap();
        let model = ReversibleMle::default().fit(&counts).unwrap();
        let multiples = [1, 8];
        let chi = Matrix::identity(2);
        let tests = chapman_kolmogorov(&runs, &model, &chi, &multiples).unwrap();
        let bars = ErrorBars { by: Resampling::Trajectories, n_samples: 100, rng_seed: 1 };
        let found = kolmogorov_bars(&runs, &model, &chi, &multiples, &bars).unwrap();
        assert_eq!(tests[0].significant_deviation(&found[0]), 0.0);
        assert_eq!(tests[1].significant_deviation(&found[1]), tests[1].max_deviation());
        assert!(tests[1].max_deviation() > 0.1);
    }

    #[test]
    fn what_no_model_tells_is_unknown() {
        let runs = [[0, 1, 0, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 1, 1, 0]];
        let counts = count_transitions(&runs, 2, 1, CountMode::Sliding).unwrap();
        let model = ReversibleMle::default().fit(&counts).unwrap();
        let bars = ErrorBars { by: Resampling::Trajectories, n_samples: 20, rng_seed: 1 };
        let found = kolmogorov_bars(&runs, &model, &Matrix::identity(2), &[2, 9], &bars).unwrap();
        assert!(found[1].predicted.high[(0, 0)] < 1.0);
        assert_eq!(found[1].estimated.low, Matrix::zeros(2, 2));
        assert!(found[1].estimated.high.as_slice().iter().all(|v| *v == 1.0));
        let two = Matrix::identity(3);
        assert!(kolmogorov_bars(&runs, &model, &two, &[1], &bars).is_err());
    }

    #[test]
    fn it_holds_for_a_chain() {
        let t = wells();
        let d = [chain(&t, 60_000, 0, 1), chain(&t, 60_000, 4, 2)];
        let c = count_transitions(&d, 6, 1, CountMode::Sliding).unwrap();
        let model = ReversibleMle::default().fit(&c).unwrap();
        let ck = chapman_kolmogorov(&d, &model, &Matrix::identity(6), &[1, 2, 4, 100_000]).unwrap();
        assert_eq!(ck.len(), 3);
        assert!(ck[0].max_deviation() < 1e-12);
        assert!(ck[2].max_deviation() < 0.03 && ck[2].max_deviation() > 0.0);
    }
}
