//! Transition matrices from counts: row-normalised and reversible maximum likelihood.
//!
//! Reversible: maximise sum c_ij ln T_ij under pi_i T_ij = pi_j T_ji. With x_ij = pi_i T_ij the
//! optimum is x_ij = (c_ij + c_ji)/(q_i + q_j), q_i = c_i/x_i (Bowman 2009; Trendelkamp-Schroer
//! 2015). In u = ln q it is the minimum of the convex function
//! F = sum_{i<j} (c_ij + c_ji) ln(q_i + q_j) - sum_i (c_i - c_ii) u_i, found by damped Newton steps:
//! quadratic convergence, where the usual fixed point is linear. Detailed balance holds exactly,
//! since x is symmetric by construction.

use serde::{Deserialize, Serialize};

use crate::counts::strong_components;
use crate::matrix::{cholesky_solve, symmetric_eigen, symmetric_eigenvalues};
use crate::states::Discrete;
use crate::{CountMatrix, CountMode, Matrix, MsmError, Warning, count_transitions};

/// Counts divided by their row sums. Rows without counts become T_ii = 1 if `identity_rows`, else
/// stay zero.
pub fn row_normalised(counts: &Matrix, identity_rows: bool) -> Matrix {
    let mut t = counts.clone();
    for i in 0..t.n_rows() {
        let sum: f64 = t.row(i).iter().sum();
        if sum > 0.0 {
            t.row_mut(i).iter_mut().for_each(|v| *v /= sum);
        } else if identity_rows {
            t[(i, i)] = 1.0;
        }
    }
    t
}

/// Estimator of a reversible [`MarkovModel`].
#[derive(Clone, Debug)]
pub struct ReversibleMle {
    tolerance: f64,
    max_iterations: usize,
}

impl Default for ReversibleMle {
    fn default() -> Self {
        Self { tolerance: 1e-13, max_iterations: 200 }
    }
}

/// A transition matrix on a set of states of the full numbering; immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarkovModel {
    /// Row-stochastic T over the active states.
    pub t: Matrix,
    /// Stationary distribution over the active states.
    pub pi: Vec<f64>,
    /// Lag in frames.
    pub lag: usize,
    /// Full number of each active state.
    pub active: Vec<usize>,
    /// Row of each full state, `None` outside the active set.
    pub row_of_state: Vec<Option<usize>>,
    /// Whether T obeys detailed balance.
    pub reversible: bool,
    /// Fraction of all frames (with a state) that are in active states.
    pub frame_fraction_active: f64,
    /// sum c_ij ln T_ij over the active states.
    pub log_likelihood: f64,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// Eigenvalues and right eigenvectors of a reversible T.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// Falling.
    pub eigenvalues: Vec<f64>,
    /// Right eigenvectors as columns, orthonormal under pi; the first is the constant 1.
    pub right: Matrix,
}

impl ReversibleMle {
    /// Largest relative violation of the optimality condition that counts as converged.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Fits on the connected set with most frames.
    pub fn fit(&self, counts: &CountMatrix) -> Result<MarkovModel, MsmError> {
        let sets = counts.connected_sets();
        let active = largest_set(&sets, counts)?;
        let mut model = self.fit_on(counts, active)?;
        outside_warning(&mut model, counts, sets.len());
        Ok(model)
    }

    /// Fits on the given states, which must reach each other.
    pub fn fit_on(&self, counts: &CountMatrix, active: &[usize]) -> Result<MarkovModel, MsmError> {
        let c = counts.counts.select(active);
        if !(c.as_slice().iter().sum::<f64>() > 0.0) {
            return Err(MsmError::NoTransitions { lag: counts.lag });
        }
        let (t, pi) = self.solve(&c)?;
        Ok(model_on(counts, active, &c, t, pi, true))
    }

    /// Fits every connected set with transitions; the stationary weight of each set is its share of
    /// the counts. States of several sets never mix. A set of one state is kept only if it has
    /// self-transitions.
    pub fn fit_all_sets(&self, counts: &CountMatrix) -> Result<MarkovModel, MsmError> {
        let mut sets = counts.connected_sets();
        let weight = |set: &Vec<usize>| -> f64 {
            set.iter()
                .flat_map(|&i| set.iter().map(move |&j| (i, j)))
                .map(|p| counts.counts[p])
                .sum()
        };
        sets.retain(|s| weight(s) > 0.0);
        if sets.is_empty() {
            return Err(MsmError::NoTransitions { lag: counts.lag });
        }
        let total: f64 = sets.iter().map(weight).sum();
        let mut active: Vec<usize> = sets.iter().flatten().copied().collect();
        active.sort_unstable();
        let n = active.len();
        let (mut t, mut pi) = (Matrix::zeros(n, n), vec![0.0; n]);
        let row = |state: usize| active.binary_search(&state).expect("state of a kept set");
        for set in &sets {
            let (ts, ps) = self.solve(&counts.counts.select(set))?;
            for (a, &i) in set.iter().enumerate() {
                pi[row(i)] = ps[a] * weight(set) / total;
                for (b, &j) in set.iter().enumerate() {
                    t[(row(i), row(j))] = ts[(a, b)];
                }
            }
        }
        let c = counts.counts.select(&active);
        let mut model = model_on(counts, &active, &c, t, pi, true);
        if sets.len() > 1 {
            model.warnings.push(Warning::SeveralComponents { n_components: sets.len() });
        }
        outside_warning(&mut model, counts, sets.len());
        Ok(model)
    }

    /// T and pi of a strongly connected count matrix.
    pub fn solve(&self, counts: &Matrix) -> Result<(Matrix, Vec<f64>), MsmError> {
        let n = counts.n_rows();
        check_counts(counts)?;
        let components = strong_components(counts).len();
        if components != 1 {
            return Err(MsmError::NotConnected { n_components: components });
        }
        let mut s = Matrix::zeros(n, n);
        let mut off_sum = vec![0.0; n];
        for i in 0..n {
            for j in 0..n {
                if i != j {
                    s[(i, j)] = counts[(i, j)] + counts[(j, i)];
                    off_sum[i] += counts[(i, j)];
                }
            }
        }
        let q = if n == 1 { vec![1.0] } else { self.newton(&s, &off_sum)? };
        // x_ij; the diagonal is c_ii / q_i.
        let mut x = Matrix::zeros(n, n);
        for i in 0..n {
            for j in 0..n {
                x[(i, j)] = if i == j { counts[(i, i)] / q[i] } else { s[(i, j)] / (q[i] + q[j]) };
            }
        }
        let rows: Vec<f64> = (0..n).map(|i| x.row(i).iter().sum()).collect();
        let total: f64 = rows.iter().sum();
        for i in 0..n {
            x.row_mut(i).iter_mut().for_each(|v| *v /= rows[i]);
        }
        Ok((x, rows.iter().map(|r| r / total).collect()))
    }

    /// q that makes sum_j s_ij q_i/(q_i + q_j) = off_sum_i for all i.
    fn newton(&self, s: &Matrix, off_sum: &[f64]) -> Result<Vec<f64>, MsmError> {
        let n = s.n_rows();
        let pin = (0..n)
            .max_by(|&a, &b| off_sum[a].total_cmp(&off_sum[b]).then(b.cmp(&a)))
            .expect("n > 0");
        // Start: q_i = c_i/x_i with x_i the symmetrised counts.
        let mut u: Vec<f64> = (0..n)
            .map(|i| {
                let sum: f64 = s.row(i).iter().sum();
                (off_sum[i].max(1e-3 * sum) / (0.5 * sum)).ln()
            })
            .collect();
        let mut previous = f64::INFINITY;
        for _ in 0..self.max_iterations {
            let q: Vec<f64> = u.iter().map(|v| v.exp()).collect();
            let mut gradient = vec![0.0; n];
            let mut hessian = Matrix::zeros(n, n);
            let mut scale = vec![0.0_f64; n];
            for i in 0..n {
                for j in 0..n {
                    let c = s[(i, j)];
                    if c == 0.0 {
                        continue;
                    }
                    let p = q[i] / (q[i] + q[j]);
                    let w = c * p * (q[j] / (q[i] + q[j]));
                    gradient[i] += c * p;
                    scale[i] += c * p;
                    hessian[(i, i)] += w;
                    hessian[(i, j)] -= w;
                }
                gradient[i] -= off_sum[i];
            }
            let error = (0..n)
                .map(|i| gradient[i].abs() / off_sum[i].max(scale[i]))
                .fold(0.0_f64, f64::max);
            if error <= self.tolerance || (error < 1e-10 && error >= 0.5 * previous) {
                return Ok(q);
            }
            previous = error;
            // Scale invariance: pin one state.
            for j in 0..n {
                hessian[(pin, j)] = 0.0;
                hessian[(j, pin)] = 0.0;
            }
            hessian[(pin, pin)] = 1.0;
            let mut rhs: Vec<f64> = gradient.iter().map(|g| -g).collect();
            rhs[pin] = 0.0;
            let step = cholesky_solve(&hessian, &rhs).ok_or_else(|| MsmError::Numerical {
                what: "reversible maximum likelihood",
                detail: "the Hessian is not positive definite; the set is barely connected".into(),
            })?;
            let slope: f64 = step.iter().zip(&gradient).map(|(a, b)| a * b).sum();
            let longest = step.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            let mut fraction = (3.0 / longest).min(1.0);
            if longest > 1e-6 {
                let now = objective(s, off_sum, &u);
                for _ in 0..60 {
                    let trial: Vec<f64> =
                        u.iter().zip(&step).map(|(a, b)| a + fraction * b).collect();
                    let gain = objective(s, off_sum, &trial) - now;
                    if gain <= 1e-4 * fraction * slope + 1e-13 * now.abs() {
                        break;
                    }
                    fraction *= 0.5;
                }
            }
            u.iter_mut().zip(&step).for_each(|(a, b)| *a += fraction * b);
        }
        Err(MsmError::Numerical {
            what: "reversible maximum likelihood",
            detail: format!("relative residual {previous:.1e} after {} steps", self.max_iterations),
        })
    }
}

fn objective(s: &Matrix, off_sum: &[f64], u: &[f64]) -> f64 {
    let n = u.len();
    let mut f = 0.0;
    for i in 0..n {
        for j in 0..i {
            let c = s[(i, j)];
            if c > 0.0 {
                let (a, b) = if u[i] > u[j] { (u[i], u[j]) } else { (u[j], u[i]) };
                f += c * (a + (b - a).exp().ln_1p());
            }
        }
        f -= off_sum[i] * u[i];
    }
    f
}

fn check_counts(c: &Matrix) -> Result<(), MsmError> {
    if c.n_rows() != c.n_cols() {
        return Err(MsmError::Size {
            what: "columns of the count matrix",
            expected: c.n_rows(),
            got: c.n_cols(),
        });
    }
    match c.as_slice().iter().find(|v| !(v.is_finite() && **v >= 0.0)) {
        None => Ok(()),
        Some(v) => Err(MsmError::Parameter {
            what: "count",
            got: v.to_string(),
            expected: "finite, not negative".into(),
        }),
    }
}

fn model_on(
    counts: &CountMatrix,
    active: &[usize],
    c: &Matrix,
    t: Matrix,
    pi: Vec<f64>,
    reversible: bool,
) -> MarkovModel {
    let mut row_of_state = vec![None; counts.n_states()];
    for (row, &i) in active.iter().enumerate() {
        row_of_state[i] = Some(row);
    }
    let frames: u64 = counts.populations.iter().sum();
    let kept: u64 = active.iter().map(|&i| counts.populations[i]).sum();
    let log_likelihood = log_likelihood(c, &t);
    MarkovModel {
        t,
        pi,
        lag: counts.lag,
        active: active.to_vec(),
        row_of_state,
        reversible,
        frame_fraction_active: kept as f64 / frames.max(1) as f64,
        log_likelihood,
        warnings: counts.warnings.clone(),
    }
}

/// The set with most frames that has transitions inside.
fn largest_set<'a>(sets: &'a [Vec<usize>], counts: &CountMatrix) -> Result<&'a [usize], MsmError> {
    let inside =
        |set: &[usize]| set.iter().any(|&i| set.iter().any(|&j| counts.counts[(i, j)] > 0.0));
    sets.iter()
        .map(Vec::as_slice)
        .find(|set| inside(set))
        .ok_or(MsmError::NoTransitions { lag: counts.lag })
}

fn outside_warning(model: &mut MarkovModel, counts: &CountMatrix, n_connected_sets: usize) {
    let states: Vec<usize> =
        (0..counts.n_states()).filter(|&i| model.row_of_state[i].is_none()).collect();
    if !states.is_empty() {
        model.warnings.push(Warning::StatesOutsideActiveSet {
            states,
            n_connected_sets,
            frame_fraction_active: model.frame_fraction_active,
        });
    }
}

/// sum c_ij ln T_ij over counted transitions.
pub fn log_likelihood(counts: &Matrix, t: &Matrix) -> f64 {
    counts
        .as_slice()
        .iter()
        .zip(t.as_slice())
        .filter(|(c, _)| **c > 0.0)
        .map(|(c, p)| c * p.ln())
        .sum()
}

/// Row-normalised T on the connected set with most frames, with its stationary distribution.
pub fn non_reversible(counts: &CountMatrix) -> Result<MarkovModel, MsmError> {
    let sets = counts.connected_sets();
    let active = largest_set(&sets, counts)?;
    let c = counts.counts.select(active);
    let t = row_normalised(&c, true);
    let pi = stationary_distribution(&t)?;
    let mut model = model_on(counts, active, &c, t, pi, false);
    outside_warning(&mut model, counts, sets.len());
    Ok(model)
}

/// Stationary distribution of an irreducible T by state reduction (Grassmann, Taksar, Heyman 1985),
/// which subtracts nothing and so loses no digits.
pub fn stationary_distribution(t: &Matrix) -> Result<Vec<f64>, MsmError> {
    check_stochastic(t)?;
    let n = t.n_rows();
    let components = strong_components(t).len();
    if components != 1 {
        return Err(MsmError::NotConnected { n_components: components });
    }
    let mut a = t.clone();
    for k in (1..n).rev() {
        let leave: f64 = a.row(k)[..k].iter().sum();
        let last = a.row(k)[..k].to_vec();
        for i in 0..k {
            let f = a[(i, k)] / leave;
            a[(i, k)] = f;
            a.row_mut(i)[..k].iter_mut().zip(&last).for_each(|(x, l)| *x += f * l);
        }
    }
    let mut pi = vec![0.0; n];
    pi[0] = 1.0;
    for k in 1..n {
        pi[k] = (0..k).map(|i| pi[i] * a[(i, k)]).sum();
    }
    let total: f64 = pi.iter().sum();
    pi.iter_mut().for_each(|p| *p /= total);
    Ok(pi)
}

/// That every row is a distribution (to 1e-9).
pub fn check_stochastic(t: &Matrix) -> Result<(), MsmError> {
    if t.n_rows() != t.n_cols() {
        return Err(MsmError::Size {
            what: "columns of the transition matrix",
            expected: t.n_rows(),
            got: t.n_cols(),
        });
    }
    for i in 0..t.n_rows() {
        let sum: f64 = t.row(i).iter().sum();
        let positive = t.row(i).iter().all(|p| *p >= 0.0 && p.is_finite());
        if !positive || !((sum - 1.0).abs() < 1e-9) {
            return Err(MsmError::NotStochastic { row: i, sum });
        }
    }
    Ok(())
}

/// Largest |pi_i T_ij - pi_j T_ji| relative to the largest flux.
pub fn detailed_balance_violation(t: &Matrix, pi: &[f64]) -> f64 {
    let n = t.n_rows();
    let (mut worst, mut largest) = (0.0_f64, f64::MIN_POSITIVE);
    for i in 0..n {
        for j in 0..n {
            let (a, b) = (pi[i] * t[(i, j)], pi[j] * t[(j, i)]);
            worst = worst.max((a - b).abs());
            largest = largest.max(a);
        }
    }
    worst / largest
}

/// pi^1/2 T pi^-1/2, which is symmetric for a reversible T, and pi^1/2.
fn symmetrised(t: &Matrix, pi: &[f64]) -> Result<(Matrix, Vec<f64>), MsmError> {
    check_stochastic(t)?;
    let n = t.n_rows();
    if pi.len() != n {
        return Err(MsmError::Size { what: "stationary distribution", expected: n, got: pi.len() });
    }
    if !pi.iter().all(|p| *p > 0.0) {
        return Err(MsmError::Parameter {
            what: "stationary distribution",
            got: "an entry that is not positive".into(),
            expected: "positive probabilities".into(),
        });
    }
    let violation = detailed_balance_violation(t, pi);
    if !(violation < 1e-8) {
        return Err(MsmError::NotReversible { violation });
    }
    let root: Vec<f64> = pi.iter().map(|p| p.sqrt()).collect();
    let mut s = Matrix::zeros(n, n);
    for i in 0..n {
        for j in 0..=i {
            let v = 0.5 * (root[i] * t[(i, j)] / root[j] + root[j] * t[(j, i)] / root[i]);
            s[(i, j)] = v;
            s[(j, i)] = v;
        }
    }
    Ok((s, root))
}

/// Eigenvalues of a reversible T, falling.
pub fn reversible_eigenvalues(t: &Matrix, pi: &[f64]) -> Result<Vec<f64>, MsmError> {
    let mut values = symmetric_eigenvalues(&symmetrised(t, pi)?.0)?;
    values.reverse();
    Ok(values)
}

/// Eigenvalues and vectors of a reversible T.
pub fn reversible_spectrum(t: &Matrix, pi: &[f64]) -> Result<Spectrum, MsmError> {
    let n = t.n_rows();
    let (s, root) = symmetrised(t, pi)?;
    let (values, vectors) = symmetric_eigen(&s)?;
    let mut right = Matrix::zeros(n, n);
    for k in 0..n {
        for i in 0..n {
            right[(i, k)] = vectors[(i, n - 1 - k)] / root[i];
        }
    }
    Ok(Spectrum { eigenvalues: values.into_iter().rev().collect(), right })
}

impl MarkovModel {
    /// Eigenvalues and right eigenvectors; only for reversible models.
    pub fn spectrum(&self) -> Result<Spectrum, MsmError> {
        reversible_spectrum(&self.t, &self.pi)
    }

    /// The `k` largest relaxation times in frames. Eigenvalues <= 0 are no relaxation and are left
    /// out; fewer than `k` may remain.
    pub fn timescales(&self, k: usize) -> Result<Vec<f64>, MsmError> {
        let values = reversible_eigenvalues(&self.t, &self.pi)?;
        Ok(values[1..]
            .iter()
            .filter(|l| **l > 0.0)
            .take(k)
            .map(|&l| crate::tica::timescale(l, self.lag as f64))
            .collect())
    }

    /// Probability to be in full state `i` at stationarity; 0 outside the active set.
    pub fn stationary_of(&self, state: usize) -> f64 {
        self.row_of_state.get(state).copied().flatten().map_or(0.0, |row| self.pi[row])
    }

    /// Mean of T_ii over the active states.
    pub fn mean_self_transition(&self) -> f64 {
        let n = self.t.n_rows();
        (0..n).map(|i| self.t[(i, i)]).sum::<f64>() / n as f64
    }
}

/// Timescales at one lag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImpliedTimescales {
    /// Lag in frames.
    pub lag: usize,
    /// Relaxation times in frames, falling; at most as many as asked for.
    pub timescales: Vec<f64>,
    /// Fraction of frames in the active set at this lag.
    pub frame_fraction_active: f64,
}

/// Reversible models at several lags; lags without any transition, or at which no estimate
/// exists, are left out.
pub fn implied_timescales<S: Discrete + ?Sized>(
    trajectories: &S,
    n_states: usize,
    lags: &[usize],
    n_timescales: usize,
) -> Result<Vec<ImpliedTimescales>, MsmError> {
    let mut out = Vec::new();
    for &lag in lags {
        let model = count_transitions(trajectories, n_states, lag, CountMode::Sliding)
            .and_then(|c| ReversibleMle::default().fit(&c));
        match model {
            Ok(m) => out.push(ImpliedTimescales {
                lag,
                timescales: m.timescales(n_timescales)?,
                frame_fraction_active: m.frame_fraction_active,
            }),
            Err(
                MsmError::TooShort { .. }
                | MsmError::NoTransitions { .. }
                | MsmError::Numerical { .. },
            ) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::chain;

    /// Birth-death chain with known pi.
    fn birth_death() -> Matrix {
        Matrix::from_vec(
            4,
            4,
            vec![0.9, 0.1, 0.0, 0.0, 0.2, 0.7, 0.1, 0.0, 0.0, 0.05, 0.85, 0.1, 0.0, 0.0, 0.3, 0.7],
        )
        .unwrap()
    }

    /// The usual fixed point, slowly but surely.
    fn fixed_point(c: &Matrix, steps: usize) -> Matrix {
        let n = c.n_rows();
        let ci: Vec<f64> = (0..n).map(|i| c.row(i).iter().sum()).collect();
        let mut x: Vec<f64> = ci.clone();
        let mut xij = Matrix::zeros(n, n);
        for _ in 0..steps {
            for i in 0..n {
                for j in 0..n {
                    let s = c[(i, j)] + c[(j, i)];
                    xij[(i, j)] = if s > 0.0 { s / (ci[i] / x[i] + ci[j] / x[j]) } else { 0.0 };
                }
            }
            x = (0..n).map(|i| xij.row(i).iter().sum()).collect();
        }
        row_normalised(&xij, false)
    }

    #[test]
    fn newton_finds_the_fixed_point() {
        let t = chain(&birth_death(), 3000, 0, 7);
        let u = chain(&birth_death(), 500, 3, 8);
        let mut counts = count_transitions(&[t, u], 4, 3, CountMode::Sliding).unwrap();
        counts.counts[(0, 3)] = 5.0; // an asymmetric path
        let model = ReversibleMle::default().fit(&counts).unwrap();
        let slow = fixed_point(&counts.counts, 20_000);
        for (a, b) in model.t.as_slice().iter().zip(slow.as_slice()) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
        assert!(detailed_balance_violation(&model.t, &model.pi) < 1e-14);
        let pi = stationary_distribution(&model.t).unwrap();
        for (a, b) in model.pi.iter().zip(&pi) {
            assert!((a - b).abs() < 1e-12);
        }
        let free = log_likelihood(&counts.counts, &row_normalised(&counts.counts, false));
        assert!(model.log_likelihood < free);
    }

    #[test]
    fn barely_connected_counts_still_converge() {
        // 1e6 counts inside each half, one count there and one back; a one-way loop of three.
        let mut c = Matrix::zeros(5, 5);
        c[(0, 0)] = 1e6;
        c[(0, 1)] = 1.0;
        c[(1, 0)] = 1e5;
        c[(1, 1)] = 1e6;
        c[(1, 2)] = 1.0;
        c[(2, 3)] = 7.0;
        c[(3, 4)] = 7.0;
        c[(4, 2)] = 6.0;
        c[(4, 0)] = 1e-3;
        let (t, pi) = ReversibleMle::default().solve(&c).unwrap();
        assert!(detailed_balance_violation(&t, &pi) < 1e-14);
        check_stochastic(&t).unwrap();
        let slow = fixed_point(&c, 200_000);
        let gap = log_likelihood(&c, &t) - log_likelihood(&c, &slow);
        assert!(gap > -1e-6, "{gap}");
    }

    #[test]
    fn spectrum_of_a_known_chain() {
        // Two states: eigenvalues 1 and 1 - a - b.
        let t = Matrix::from_vec(2, 2, vec![0.9, 0.1, 0.3, 0.7]).unwrap();
        let pi = stationary_distribution(&t).unwrap();
        assert!((pi[0] - 0.75).abs() < 1e-15);
        let s = reversible_spectrum(&t, &pi).unwrap();
        assert!((s.eigenvalues[0] - 1.0).abs() < 1e-14);
        assert!((s.eigenvalues[1] - 0.6).abs() < 1e-14);
        assert!((s.right[(0, 0)].abs() - 1.0).abs() < 1e-14);
        let cyclic =
            Matrix::from_vec(3, 3, vec![0., 0.9, 0.1, 0.1, 0., 0.9, 0.9, 0.1, 0.]).unwrap();
        assert!(matches!(
            reversible_spectrum(&cyclic, &[1.0 / 3.0; 3]),
            Err(MsmError::NotReversible { .. })
        ));
    }

    #[test]
    fn degenerate_counts() {
        let empty = Matrix::zeros(3, 3);
        assert_eq!(row_normalised(&empty, true), Matrix::identity(3));
        assert_eq!(row_normalised(&empty, false), empty);
        assert_eq!(
            ReversibleMle::default().solve(&Matrix::identity(2)).unwrap_err(),
            MsmError::NotConnected { n_components: 2 }
        );
        // absorbing state 2: removed from the active set and listed
        let c =
            count_transitions(&[vec![0, 1, 0, 1, 0, 1, 2, 2]], 4, 1, CountMode::Sliding).unwrap();
        let m = ReversibleMle::default().fit(&c).unwrap();
        assert_eq!(m.active, [0, 1]);
        assert_eq!(m.row_of_state, [Some(0), Some(1), None, None]);
        assert!(matches!(
            &m.warnings[0],
            Warning::StatesOutsideActiveSet { states, n_connected_sets: 2, .. } if states == &[2, 3]
        ));
        let all = ReversibleMle::default().fit_all_sets(&c).unwrap();
        assert_eq!(all.active, [0, 1, 2]);
        assert!((all.pi.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert!(all.warnings.contains(&Warning::SeveralComponents { n_components: 2 }));
        // one state only
        let c = count_transitions(&[vec![0; 9]], 1, 1, CountMode::Sliding).unwrap();
        let m = ReversibleMle::default().fit(&c).unwrap();
        assert_eq!((m.t, m.pi), (Matrix::identity(1), vec![1.0]));
        // masked throughout
        let c = count_transitions(&[vec![-1; 9]], 1, 1, CountMode::Sliding).unwrap();
        assert!(matches!(ReversibleMle::default().fit(&c), Err(MsmError::NoTransitions { .. })));
        assert!(matches!(non_reversible(&c), Err(MsmError::NoTransitions { .. })));
    }

    #[test]
    fn timescales_over_lags() {
        let t = Matrix::from_vec(2, 2, vec![0.99, 0.01, 0.02, 0.98]).unwrap();
        let d = chain(&t, 200_000, 0, 3);
        let its = implied_timescales(&[d], 2, &[1, 5, 20, 300_000], 3).unwrap();
        assert_eq!(its.len(), 3);
        for i in its {
            let want = -1.0 / 0.97_f64.ln();
            assert!((i.timescales[0] / want - 1.0).abs() < 0.1, "{:?} {want}", i);
        }
    }
}
