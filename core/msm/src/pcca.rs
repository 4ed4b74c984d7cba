//! PCCA+: metastable sets of a reversible transition matrix (Deuflhard, Weber 2005; Röblitz, Weber
//! 2013).
//!
//! With X the first m right eigenvectors (n x m, orthonormal under pi, first column 1) memberships
//! are chi = X A, with chi >= 0 and rows summing to 1. Objective to maximise: sum_ij A_ij^2/A_0j.
//! The feasible A form a polytope {X A >= 0, A 1 = e_0} and the objective is convex (quadratic over
//! linear), so its maximum sits at a vertex. Starting from the inner simplex we follow the projected
//! gradient into a vertex and then walk from vertex to vertex as the simplex method does, first by
//! the gradient, then by comparing all neighbours. Several closed components are split one by one:
//! each further set goes to the component with the *largest* next eigenvalue.

use serde::{Deserialize, Serialize};

use crate::counts::strong_components;
use crate::estimate::{check_stochastic, reversible_spectrum};
use crate::matrix::lu_solve;
use crate::polytope::Polytope;
use crate::{Matrix, MsmError, Warning};

/// Estimator of a [`PccaModel`].
#[derive(Clone, Debug)]
pub struct Pcca {
    m: usize,
}

/// Memberships and crisp sets; immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PccaModel {
    /// Membership of each state (row) in each set (column); rows sum to 1.
    pub memberships: Matrix,
    /// Set of largest membership (the lowest on ties) for each state.
    pub assignments: Vec<usize>,
    /// Stationary weight of each set: sum_i pi_i chi_ij.
    pub weights: Vec<f64>,
    /// sum_ij A_ij^2/A_0j, summed over closed components.
    pub objective: f64,
    /// The same before optimisation.
    pub objective_inner_simplex: f64,
    /// Eigenvalues of the m processes kept, falling.
    pub eigenvalues: Vec<f64>,
    /// The first eigenvalue not kept; `None` if all were.
    pub next_eigenvalue: Option<f64>,
    /// Mean over states, weighted by pi, of the largest membership.
    pub crispness: f64,
    /// Sets that no state belongs to most.
    pub empty_sets: Vec<usize>,
    /// Number of closed components of T.
    pub n_components: usize,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// One closed component and its share of the sets.
struct Component {
    states: Vec<usize>,
    eigenvalues: Vec<f64>,
    right: Matrix,
    weight: f64,
    m: usize,
}

impl Pcca {
    /// `m` metastable sets.
    pub fn new(m: usize) -> Self {
        Self { m }
    }

    /// Fits on a reversible T with stationary distribution pi > 0 (several closed components are
    /// allowed). `m` must lie between the number of components and the number of states.
    pub fn fit(&self, t: &Matrix, pi: &[f64]) -> Result<PccaModel, MsmError> {
        check_stochastic(t)?;
        let n = t.n_rows();
        let mut components = Vec::new();
        let sets = strong_components(t);
        if self.m < sets.len() || self.m > n {
            return Err(MsmError::SetsOutOfRange {
                asked: self.m,
                n_states: n,
                n_components: sets.len(),
            });
        }
        if pi.len() != n {
            return Err(MsmError::Size {
                what: "stationary distribution",
                expected: n,
                got: pi.len(),
            });
        }
        for states in sets {
            let weight: f64 = states.iter().map(|&i| pi[i]).sum();
            let own: Vec<f64> = states.iter().map(|&i| pi[i] / weight).collect();
            let s = reversible_spectrum(&t.select(&states), &own)?;
            let (eigenvalues, right) = (s.eigenvalues, s.right);
            components.push(Component { states, eigenvalues, right, weight, m: 1 });
        }
        for _ in components.len()..self.m {
            let next = |c: &Component| c.eigenvalues.get(c.m).copied().unwrap_or(f64::NEG_INFINITY);
            let best = (0..components.len())
                .max_by(|&a, &b| {
                    next(&components[a]).total_cmp(&next(&components[b])).then(b.cmp(&a))
                })
                .expect("there is a component");
            components[best].m += 1;
        }
        let mut memberships = Matrix::zeros(n, self.m);
        let (mut objective, mut inner) = (0.0, 0.0);
        let mut column = 0;
        for c in &components {
            let part = split(c)?;
            for (row, &state) in c.states.iter().enumerate() {
                for j in 0..c.m {
                    memberships[(state, column + j)] = part.memberships[(row, j)];
                }
            }
            objective += part.objective;
            inner += part.inner_simplex;
            column += c.m;
        }
        Ok(self.describe(memberships, pi, objective, inner, &components))
    }

    fn describe(
        &self,
        memberships: Matrix,
        pi: &[f64],
        objective: f64,
        objective_inner_simplex: f64,
        components: &[Component],
    ) -> PccaModel {
        let n = memberships.n_rows();
        let total: f64 = components.iter().map(|c| c.weight).sum();
        let assignments: Vec<usize> = (0..n)
            .map(|i| {
                let row = memberships.row(i);
                (0..self.m).fold(0, |best, j| if row[j] > row[best] { j } else { best })
            })
            .collect();
        let weights: Vec<f64> = (0..self.m)
            .map(|j| (0..n).map(|i| pi[i] * memberships[(i, j)]).sum::<f64>() / total)
            .collect();
        let crispness =
            (0..n).map(|i| pi[i] * memberships[(i, assignments[i])]).sum::<f64>() / total;
        let empty_sets: Vec<usize> = (0..self.m).filter(|j| !assignments.contains(j)).collect();
        let mut eigenvalues: Vec<f64> =
            components.iter().flat_map(|c| c.eigenvalues[..c.m].iter().copied()).collect();
        eigenvalues.sort_by(|a, b| b.total_cmp(a));
        let next_eigenvalue = components
            .iter()
            .filter_map(|c| c.eigenvalues.get(c.m).copied())
            .max_by(f64::total_cmp);
        let mut warnings = Vec::new();
        let last = eigenvalues[self.m - 1];
        if let Some(next) = next_eigenvalue
            && self.m > 1
            && !has_gap(last, next)
        {
            warnings.push(Warning::NoSpectralGap { last, next });
        }
        if crispness < 0.8 {
            warnings.push(Warning::NotCrisp { crispness });
        }
        if !empty_sets.is_empty() {
            let got = self.m - empty_sets.len();
            warnings.push(Warning::FewerMacrostates { asked: self.m, got });
        }
        let negative: Vec<f64> = eigenvalues.iter().copied().filter(|l| *l < 0.0).collect();
        if let Some(&smallest) = negative.last() {
            warnings.push(Warning::NegativeEigenvalues { count: negative.len(), smallest });
        }
        PccaModel {
            memberships,
            assignments,
            weights,
            objective,
            objective_inner_simplex,
            eigenvalues,
            next_eigenvalue,
            crispness,
            empty_sets,
            n_components: components.len(),
            warnings,
        }
    }
}

/// A gap: the next process relaxes at least twice as fast.
fn has_gap(last: f64, next: f64) -> bool {
    if last <= 0.0 {
        return false;
    }
    next <= 0.0 || last >= 1.0 || next.ln() / last.ln() >= 2.0
}

struct Part {
    memberships: Matrix,
    objective: f64,
    inner_simplex: f64,
}

fn split(c: &Component) -> Result<Part, MsmError> {
    let (n, m) = (c.states.len(), c.m);
    let mut memberships = Matrix::zeros(n, m);
    if m == 1 {
        memberships.as_mut_slice().fill(1.0);
        return Ok(Part { memberships, objective: 1.0, inner_simplex: 1.0 });
    }
    if m == n {
        // Each state is its own set; A is the inverse of X.
        let a = lu_solve(c.right.clone(), Matrix::identity(n))?;
        let objective = objective(&a);
        return Ok(Part { memberships: Matrix::identity(n), objective, inner_simplex: objective });
    }
    let mut x = Matrix::zeros(n, m);
    for i in 0..n {
        x[(i, 0)] = 1.0;
        for j in 1..m {
            x[(i, j)] = c.right[(i, j)];
        }
    }
    let start = feasible(&x, &inner_simplex(&x)?);
    let inner_simplex = objective(&start);
    let mut best = Polytope::new(&x).climb(&start);
    // Rounding at a vertex may leave memberships a hair outside: repair, and never end below the start.
    best = feasible(&x, &best);
    if !(objective(&best) >= inner_simplex) {
        best = start;
    }
    let chi = x.times(&best);
    for i in 0..n {
        let row = memberships.row_mut(i);
        row.iter_mut().zip(chi.row(i)).for_each(|(m, v)| *m = v.clamp(0.0, 1.0));
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= sum);
    }
    Ok(Part { memberships, objective: objective(&best), inner_simplex })
}

/// sum_ij A_ij^2/A_0j; columns without weight count 0.
pub(crate) fn objective(a: &Matrix) -> f64 {
    let m = a.n_cols();
    (0..m)
        .filter(|&j| a[(0, j)] > 1e-14)
        .map(|j| (0..m).map(|i| a[(i, j)] * a[(i, j)]).sum::<f64>() / a[(0, j)])
        .sum()
}

/// Inverse of the eigenvector rows of the m most extreme states.
fn inner_simplex(x: &Matrix) -> Result<Matrix, MsmError> {
    let (n, m) = (x.n_rows(), x.n_cols());
    let length = |m: &Matrix, i: usize| m.row(i).iter().map(|v| v * v).sum::<f64>();
    let farthest = |rows: &Matrix, taken: &[usize]| {
        (0..n)
            .filter(|i| !taken.contains(i))
            .max_by(|&a, &b| length(rows, a).total_cmp(&length(rows, b)).then(b.cmp(&a)))
            .expect("more states than sets")
    };
    let mut rows = x.clone();
    let mut corners = vec![farthest(&rows, &[])];
    let origin = rows.row(corners[0]).to_vec();
    for i in 0..n {
        rows.row_mut(i).iter_mut().zip(&origin).for_each(|(v, o)| *v -= o);
    }
    while corners.len() < m {
        let next = farthest(&rows, &corners);
        corners.push(next);
        let size = length(&rows, next).sqrt();
        if !(size > 0.0) {
            break;
        }
        let axis: Vec<f64> = rows.row(next).iter().map(|v| v / size).collect();
        for i in 0..n {
            let dot: f64 = rows.row(i).iter().zip(&axis).map(|(a, b)| a * b).sum();
            rows.row_mut(i).iter_mut().zip(&axis).for_each(|(v, b)| *v -= dot * b);
        }
    }
    let mut square = Matrix::zeros(m, m);
    for (a, &i) in corners.iter().enumerate() {
        square.row_mut(a).copy_from_slice(x.row(i));
    }
    lu_solve(square, Matrix::identity(m)).map_err(|_| MsmError::Numerical {
        what: "PCCA+ inner simplex",
        detail: format!("the first {m} eigenvectors do not separate {m} states"),
    })
}

/// The feasible A with the inner rows and columns (1.., 1..) of `a`: rows 1.. sum to 0 through the
/// first column, the first row is the least that keeps memberships >= 0, and all is scaled to 1.
pub(crate) fn feasible(x: &Matrix, a: &Matrix) -> Matrix {
    let (n, m) = (x.n_rows(), x.n_cols());
    let mut out = a.clone();
    for i in 1..m {
        out[(i, 0)] = -(1..m).map(|j| out[(i, j)]).sum::<f64>();
    }
    let mut total = 0.0;
    for j in 0..m {
        let lowest = (0..n)
            .map(|k| (1..m).map(|i| x[(k, i)] * out[(i, j)]).sum::<f64>())
            .fold(f64::INFINITY, f64::min);
        out[(0, j)] = -lowest;
        total -= lowest;
    }
    out.as_mut_slice().iter_mut().for_each(|v| *v /= total);
    out
}

/// Coarse matrix of memberships and its stationary distribution (Kube, Weber 2007):
/// T_c = (chi' D chi)^-1 chi' D T chi with D = diag(pi); pi_c = chi' pi. Rows sum to 1, but entries
/// may be slightly negative: it propagates memberships, it is not a matrix of jump probabilities.
pub fn coarse_grain(
    t: &Matrix,
    pi: &[f64],
    memberships: &Matrix,
) -> Result<(Matrix, Vec<f64>), MsmError> {
    let (n, m) = (memberships.n_rows(), memberships.n_cols());
    for (what, got) in [("rows of T", t.n_rows()), ("stationary distribution", pi.len())] {
        if got != n {
            return Err(MsmError::Size { what, expected: n, got });
        }
    }
    let mut weighted = Matrix::zeros(m, n);
    for i in 0..n {
        for j in 0..m {
            weighted[(j, i)] = pi[i] * memberships[(i, j)];
        }
    }
    let overlap = weighted.times(memberships);
    let moved = weighted.times(&t.times(memberships));
    let pi_coarse = (0..m).map(|j| weighted.row(j).iter().sum()).collect();
    Ok((lu_solve(overlap, moved)?, pi_coarse))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::stationary_distribution;

    /// Blocks of `size` states, fast inside, slow between neighbours.
    fn blocks(n: usize, size: usize, slow: f64) -> (Matrix, Vec<f64>) {
        let total = n * size;
        let mut w = Matrix::zeros(total, total);
        for i in 0..total {
            for j in 0..total {
                let (a, b) = (i / size, j / size);
                w[(i, j)] = if a == b {
                    1.0 + 0.1 * ((i * j) % 7) as f64
                } else if a.abs_diff(b) == 1 {
                    slow * (1.0 + a.min(b) as f64)
                } else {
                    0.0
                };
            }
        }
        for i in 0..total {
            for j in 0..i {
                let v = w[(i, j)];
                w[(j, i)] = v;
            }
        }
        let rows: Vec<f64> = (0..total).map(|i| w.row(i).iter().sum()).collect();
        let sum: f64 = rows.iter().sum();
        for i in 0..total {
            w.row_mut(i).iter_mut().for_each(|v| *v /= rows[i]);
        }
        (w, rows.iter().map(|r| r / sum).collect())
    }

    #[test]
    fn planted_blocks_are_found() {
        let (t, pi) = blocks(4, 5, 1e-3);
        let p = Pcca::new(4).fit(&t, &pi).unwrap();
        for i in 0..20 {
            assert_eq!(p.assignments[i], p.assignments[i / 5 * 5]);
            let sum: f64 = p.memberships.row(i).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12);
            assert!(p.memberships.row(i).iter().all(|v| (0.0..=1.0).contains(v)));
        }
        assert!(p.empty_sets.is_empty());
        assert!(p.objective >= p.objective_inner_simplex);
        assert!(p.crispness > 0.99);
        assert_eq!(p.warnings, []);
    }

    #[test]
    fn the_component_with_the_largest_eigenvalue_is_split() {
        // Slow 4-state block (1, .991, .98, .81) and fast 3-state block (1, .1, -.5): the slow one
        // must be split.
        let build = |eigenvalues: &[f64]| {
            let n = eigenvalues.len();
            // orthonormal cosine basis; T = sum_k l_k v_k v_k' is doubly stochastic
            let mut t = Matrix::zeros(n, n);
            for i in 0..n {
                for j in 0..n {
                    t[(i, j)] = (0..n)
                        .map(|k| {
                            let c = |i: usize| {
                                (std::f64::consts::PI * (i as f64 + 0.5) * k as f64 / n as f64)
                                    .cos()
                            };
                            let norm = if k == 0 { 1.0 } else { 2.0 } / n as f64;
                            eigenvalues[k] * norm * c(i) * c(j)
                        })
                        .sum();
                }
            }
            t
        };
        let (slow, fast) = (build(&[1.0, 0.991, 0.98, 0.81]), build(&[1.0, 0.1, -0.5]));
        let mut t = Matrix::zeros(7, 7);
        for i in 0..4 {
            for j in 0..4 {
                t[(i, j)] = slow[(i, j)].max(0.0);
            }
        }
        for i in 0..3 {
            for j in 0..3 {
                t[(4 + i, 4 + j)] = fast[(i, j)].max(0.0);
            }
        }
        for i in 0..7 {
            let sum: f64 = t.row(i).iter().sum();
            t.row_mut(i).iter_mut().for_each(|v| *v /= sum);
        }
        let pi = vec![1.0 / 7.0; 7];
        let p = Pcca::new(3).fit(&t, &pi).unwrap();
        assert_eq!(p.n_components, 2);
        assert_eq!(p.assignments[4], p.assignments[5]);
        assert_eq!(p.assignments[4], p.assignments[6]);
        assert_ne!(p.assignments[0], p.assignments[3]);
        // what is left over belongs to the slow block, far above anything in the fast one
        assert!(p.next_eigenvalue.unwrap() > 0.8);
    }

    #[test]
    fn legal_numbers_of_sets() {
        let identity = Matrix::identity(3);
        let pi = [1.0 / 3.0; 3];
        let p = Pcca::new(3).fit(&identity, &pi).unwrap();
        let mut seen = p.assignments.clone();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
        for m in [0, 1, 2, 4] {
            assert_eq!(
                Pcca::new(m).fit(&identity, &pi).unwrap_err(),
                MsmError::SetsOutOfRange { asked: m, n_states: 3, n_components: 3 }
            );
        }
        let (t, pi) = blocks(2, 3, 1e-2);
        let one = Pcca::new(1).fit(&t, &pi).unwrap();
        assert_eq!(one.assignments, [0; 6]);
        let all = Pcca::new(6).fit(&t, &pi).unwrap();
        assert_eq!(all.memberships, Matrix::identity(6));
        let cyclic =
            Matrix::from_vec(3, 3, vec![0., 0.9, 0.1, 0.1, 0., 0.9, 0.9, 0.1, 0.]).unwrap();
        let third = [1.0 / 3.0; 3];
        assert!(matches!(Pcca::new(2).fit(&cyclic, &third), Err(MsmError::NotReversible { .. })));
    }

    #[test]
    fn a_diffusive_chain_is_reported_as_gapless() {
        let n = 60;
        let mut t = Matrix::zeros(n, n);
        for i in 0..n {
            for j in [i.wrapping_sub(1), i + 1] {
                if j < n {
                    t[(i, j)] = 0.25;
                }
            }
            let sum: f64 = t.row(i).iter().sum();
            t[(i, i)] = 1.0 - sum;
        }
        let pi = stationary_distribution(&t).unwrap();
        let p = Pcca::new(10).fit(&t, &pi).unwrap();
        assert!(p.warnings.iter().any(|w| matches!(w, Warning::NoSpectralGap { .. })));
        assert!(p.objective > p.objective_inner_simplex);
    }
}
