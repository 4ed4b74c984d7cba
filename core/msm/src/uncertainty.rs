//! Error bars: samples of the posterior of reversible transition matrices, or models of trajectories
//! drawn with replacement.
//!
//! Posterior (Trendelkamp-Schroer, Wu, Paul, Noé 2015): with x_ij = pi_i T_ij symmetric and prior
//! prod 1/x_ij on the pairs with counts, ln x_ii and ln x_ij are updated one by one. Diagonal: x_ii/(x_i) is
//! Beta(c_ii, c_i - c_ii). Off-diagonal: p(ln x) ~ x^s (v_i + x)^-c_i (v_j + x)^-c_j with
//! s = c_ij + c_ji, v_i = x_i - x_ij, by a Metropolis step whose Gamma proposal matches mode and
//! curvature. Chains start at the maximum likelihood. Counts should be statistically independent:
//! use effective counts for honest error bars.

use rand_distr::{Beta, Distribution, Gamma};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::estimate::reversible_eigenvalues;
use crate::random::Stream;
use crate::{CountMatrix, MarkovModel, Matrix, MsmError, ReversibleMle};

/// Independent chains; fixed, so that the number of threads does not matter.
const CHAINS: usize = 4;

/// Estimator of a [`Posterior`].
#[derive(Clone, Debug)]
pub struct BayesianMsm {
    n_samples: usize,
    rng_seed: u64,
}

/// Samples of T and pi on the active set of the maximum-likelihood model.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// The maximum-likelihood model.
    pub mle: MarkovModel,
    /// Sampled T and pi.
    pub samples: Vec<(Matrix, Vec<f64>)>,
}

/// Mean, standard deviation and 95 % interval of each entry of an observable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean over samples.
    pub mean: Vec<f64>,
    /// Standard deviation over samples.
    pub std: Vec<f64>,
    /// 2.5 % quantile.
    pub low: Vec<f64>,
    /// 97.5 % quantile.
    pub high: Vec<f64>,
}

impl BayesianMsm {
    /// Draws `n_samples` matrices.
    pub fn new(n_samples: usize, rng_seed: u64) -> Self {
        Self { n_samples, rng_seed }
    }

    /// Samples on the connected set with most frames.
    pub fn fit(&self, counts: &CountMatrix) -> Result<Posterior, MsmError> {
        let mle = ReversibleMle::default().fit(counts)?;
        let samples = self.around(&mle, counts, |t, pi| Ok((t.clone(), pi.to_vec())))?;
        Ok(Posterior { mle, samples })
    }

    /// `f(active states, T, pi)` of every sample, none of which is kept.
    pub fn each<V: Send>(
        &self,
        counts: &CountMatrix,
        f: impl Fn(&[usize], &Matrix, &[f64]) -> Result<V, MsmError> + Sync,
    ) -> Result<Vec<V>, MsmError> {
        let mle = ReversibleMle::default().fit(counts)?;
        self.around(&mle, counts, |t, pi| f(&mle.active, t, pi))
    }

    fn around<V: Send>(
        &self,
        mle: &MarkovModel,
        counts: &CountMatrix,
        f: impl Fn(&Matrix, &[f64]) -> Result<V, MsmError> + Sync,
    ) -> Result<Vec<V>, MsmError> {
        if self.n_samples == 0 {
            return Err(MsmError::Parameter {
                what: "number of samples",
                got: "0".into(),
                expected: "at least 1".into(),
            });
        }
        let c = counts.counts.select(&mle.active);
        let per_chain = self.n_samples.div_ceil(CHAINS);
        let sweeps = (c.n_rows() as f64).sqrt().ceil() as usize;
        let mut values: Vec<V> = (0..CHAINS)
            .into_par_iter()
            .map(|chain| {
                let rng = Stream::new(self.rng_seed, chain as u64);
                let mut sampler = Sampler::new(&c, mle, rng);
                for _ in 0..4 * sweeps {
                    sampler.sweep(); // away from the maximum
                }
                let sample = |_| {
                    for _ in 0..sweeps {
                        sampler.sweep();
                    }
                    let (t, pi) = sampler.matrix();
                    f(&t, &pi)
                };
                (0..per_chain).map(sample).collect::<Result<Vec<V>, MsmError>>()
            })
            .collect::<Result<Vec<_>, MsmError>>()?
            .into_iter()
            .flatten()
            .collect();
        values.truncate(self.n_samples);
        Ok(values)
    }
}

impl Posterior {
    /// Spread of an observable of (T, pi) that always has the same length.
    pub fn spread(&self, f: impl Fn(&Matrix, &[f64]) -> Vec<f64> + Sync) -> Spread {
        let values: Vec<Vec<f64>> = self.samples.par_iter().map(|(t, pi)| f(t, pi)).collect();
        Spread::of(&values)
    }

    /// Spread of the stationary distribution over the active states.
    pub fn stationary(&self) -> Spread {
        self.spread(|_, pi| pi.to_vec())
    }

    /// Spread of the `k` largest relaxation times in frames (0 for eigenvalues <= 0).
    pub fn timescales(&self, k: usize) -> Result<Spread, MsmError> {
        let lag = self.mle.lag as f64;
        let values = self
            .samples
            .par_iter()
            .map(|(t, pi)| {
                let l = reversible_eigenvalues(t, pi)?;
                let time = |l: &f64| if *l > 0.0 { crate::tica::timescale(*l, lag) } else { 0.0 };
                Ok(l[1..].iter().take(k).map(time).collect())
            })
            .collect::<Result<Vec<Vec<f64>>, MsmError>>()?;
        Ok(Spread::of(&values))
    }
}

impl Spread {
    /// Of samples of equal length (shorter ones shorten the result).
    pub fn of(samples: &[Vec<f64>]) -> Self {
        Self::of_most(samples, 0)
    }

    /// The same of samples that may lack an entry (NaN); NaN where fewer than half of `n_samples` have
    /// it.
    pub fn of_most(samples: &[Vec<f64>], n_samples: usize) -> Self {
        let width = samples.iter().map(Vec::len).min().unwrap_or(0);
        let mut out = Self { mean: vec![], std: vec![], low: vec![], high: vec![] };
        for i in 0..width {
            let mut column: Vec<f64> =
                samples.iter().map(|s| s[i]).filter(|v| !v.is_nan()).collect();
            if 2 * column.len() < n_samples.max(1) {
                column = vec![f64::NAN];
            }
            let n = column.len() as f64;
            let mean = column.iter().sum::<f64>() / n;
            let square: f64 = column.iter().map(|v| (v - mean) * (v - mean)).sum();
            column.sort_by(f64::total_cmp);
            let at = |q: f64| column[(q * (n - 1.0)).round() as usize];
            out.mean.push(mean);
            out.std.push((square / (n - 1.0).max(1.0)).sqrt());
            out.low.push(at(0.025));
            out.high.push(at(0.975));
        }
        out
    }
}

/// Whether data are too few for a model at all: of some draws that is no failure.
pub(crate) fn no_model(e: &MsmError) -> bool {
    matches!(
        e,
        MsmError::TooShort { .. }
            | MsmError::NoTransitions { .. }
            | MsmError::NoFrames
            | MsmError::Numerical { .. }
    )
}

/// State of one chain.
struct Sampler<'a> {
    counts: &'a Matrix,
    /// Pairs i > j with counts, and their symmetrised count.
    pairs: Vec<(usize, usize, f64)>,
    row_counts: Vec<f64>,
    x: Matrix,
    rows: Vec<f64>,
    rng: Stream,
}

impl<'a> Sampler<'a> {
    fn new(counts: &'a Matrix, mle: &MarkovModel, rng: Stream) -> Self {
        let n = counts.n_rows();
        let mut x = Matrix::zeros(n, n);
        let mut pairs = Vec::new();
        for i in 0..n {
            for j in 0..n {
                let s = counts[(i, j)] + counts[(j, i)];
                if s > 0.0 {
                    x[(i, j)] = 0.5 * (mle.pi[i] * mle.t[(i, j)] + mle.pi[j] * mle.t[(j, i)]);
                    if j < i {
                        pairs.push((i, j, s));
                    }
                }
            }
        }
        let row_counts = (0..n).map(|i| counts.row(i).iter().sum()).collect();
        let mut out = Self { counts, pairs, row_counts, x, rows: vec![], rng };
        out.normalise();
        out
    }

    fn normalise(&mut self) {
        let total: f64 = self.x.as_slice().iter().sum();
        self.x.as_mut_slice().iter_mut().for_each(|v| *v /= total);
        self.rows = (0..self.x.n_rows()).map(|i| self.x.row(i).iter().sum()).collect();
    }

    fn sweep(&mut self) {
        for i in 0..self.rows.len() {
            self.diagonal(i);
        }
        for p in 0..self.pairs.len() {
            self.pair(self.pairs[p]);
        }
        self.normalise(); // rounding of the running sums must not add up
    }

    fn diagonal(&mut self, i: usize) {
        let (own, all) = (self.counts[(i, i)], self.row_counts[i]);
        if own <= 0.0 || all - own <= 0.0 {
            return;
        }
        let others = self.rows[i] - self.x[(i, i)];
        let Ok(beta) = Beta::new(own, all - own) else { return };
        let share: f64 = beta.sample(self.rng.inner());
        let new = share / (1.0 - share) * others;
        if new > 0.0 && new.is_finite() {
            self.x[(i, i)] = new;
            self.rows[i] = others + new;
        }
    }

    fn pair(&mut self, (i, j, s): (usize, usize, f64)) {
        let (ci, cj) = (self.row_counts[i], self.row_counts[j]);
        let old = self.x[(i, j)];
        let (vi, vj) = (self.rows[i] - old, self.rows[j] - old);
        // Mode of p(ln x): a x^2 + b x - s vi vj = 0.
        let a = ci + cj - s;
        let b = (ci - s) * vj + (cj - s) * vi;
        let c = s * vi * vj;
        if !(vi > 0.0 && vj > 0.0 && a > 0.0) {
            return; // a state whose only exit is this pair: x is fixed up to scale
        }
        let root = (b * b + 4.0 * a * c).sqrt();
        let mode = if b > 0.0 { 2.0 * c / (b + root) } else { (root - b) / (2.0 * a) };
        let shape = ci * mode * vi / (vi + mode).powi(2) + cj * mode * vj / (vj + mode).powi(2);
        let Ok(gamma) = Gamma::new(shape, mode / shape) else { return };
        let new: f64 = gamma.sample(self.rng.inner());
        if !(new > 0.0 && new.is_finite()) {
            return;
        }
        let log_target = |x: f64| s * x.ln() - ci * (vi + x).ln() - cj * (vj + x).ln();
        let log_proposal = |x: f64| shape * x.ln() - x * shape / mode;
        let log_ratio = log_target(new) - log_target(old) + log_proposal(old) - log_proposal(new);
        if self.rng.uniform() < log_ratio.exp() {
            self.x[(i, j)] = new;
            self.x[(j, i)] = new;
            self.rows[i] = vi + new;
            self.rows[j] = vj + new;
        }
    }

    fn matrix(&self) -> (Matrix, Vec<f64>) {
        let mut t = self.x.clone();
        for i in 0..t.n_rows() {
            t.row_mut(i).iter_mut().for_each(|v| *v /= self.rows[i]);
        }
        (t, self.rows.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::{check_stochastic, detailed_balance_violation};
    use crate::test_support::chain;
    use crate::{CountMode, count_transitions};

    fn counts_of(data: &[f64]) -> CountMatrix {
        let n = (data.len() as f64).sqrt() as usize;
        CountMatrix {
            counts: Matrix::from_vec(n, n, data.to_vec()).unwrap(),
            populations: vec![100; n],
            lag: 1,
            mode: CountMode::Effective,
            warnings: vec![],
        }
    }

    #[test]
    fn two_states_have_a_known_posterior() {
        // Two states are always reversible: T_01 and T_10 are independent Betas under this prior,
        // T_01 ~ Beta(c_01 + c_10 ... ) only through x; compare with quadrature over (T_01, T_10).
        let c = counts_of(&[30.0, 6.0, 9.0, 12.0]);
        let posterior = BayesianMsm::new(8000, 5).fit(&c).unwrap();
        let got = posterior.spread(|t, _| vec![t[(0, 1)], t[(1, 0)]]);
        // p(x) dx/x: with x00, x01, x11 free up to scale, a = T_01 and b = T_10 have the density
        // likelihood * 1/(a (1-a) b (1-b)).
        let n = 1500;
        let (mut z, mut first, mut second) = (0.0, [0.0; 2], [0.0; 2]);
        for i in 0..n {
            let a = (i as f64 + 0.5) / n as f64;
            for j in 0..n {
                let b = (j as f64 + 0.5) / n as f64;
                let l = 30.0 * (1.0 - a).ln() + 6.0 * a.ln() + 9.0 * b.ln() + 12.0 * (1.0 - b).ln();
                let w = l.exp() / (a * (1.0 - a) * b * (1.0 - b));
                z += w;
                for (k, v) in [a, b].into_iter().enumerate() {
                    first[k] += w * v;
                    second[k] += w * v * v;
                }
            }
        }
        for k in 0..2 {
            let mean = first[k] / z;
            let std = (second[k] / z - mean * mean).sqrt();
            assert!((got.mean[k] - mean).abs() < 0.1 * std, "{k} {} {mean}", got.mean[k]);
            assert!((got.std[k] / std - 1.0).abs() < 0.1, "{k} {} {std}", got.std[k]);
        }
    }

    #[test]
    fn samples_are_reversible_and_cover_the_truth() {
        let t = Matrix::from_vec(
            4,
            4,
            vec![0.9, 0.1, 0.0, 0.0, 0.2, 0.7, 0.1, 0.0, 0.0, 0.05, 0.85, 0.1, 0.0, 0.0, 0.3, 0.7],
        )
        .unwrap();
        let d = [chain(&t, 4000, 0, 1), chain(&t, 4000, 3, 2)];
        let c = count_transitions(&d, 4, 1, CountMode::Sliding).unwrap();
        let posterior = BayesianMsm::new(200, 1).fit(&c).unwrap();
        assert_eq!(posterior.samples.len(), 200);
        for (t, pi) in &posterior.samples {
            check_stochastic(t).unwrap();
            assert!(detailed_balance_violation(t, pi) < 1e-13);
        }
        let pi = crate::estimate::stationary_distribution(&t).unwrap();
        let got = posterior.stationary();
        for i in 0..4 {
            assert!((got.mean[i] - pi[i]).abs() < 4.0 * got.std[i]);
            assert!(got.low[i] < got.mean[i] && got.mean[i] < got.high[i]);
        }
        assert_eq!(posterior.timescales(9).unwrap().mean.len(), 3);
        // the seed decides, the threads do not
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let again = pool.install(|| BayesianMsm::new(200, 1).fit(&c).unwrap());
        assert_eq!(posterior.samples, again.samples);
        assert!(BayesianMsm::new(0, 1).fit(&c).is_err());
    }
}
