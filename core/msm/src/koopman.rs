//! Weights that bring data which did not start in equilibrium back to it (Wu, Nüske, Paul, Klus,
//! Koltai, Noé 2017).
//!
//! w(x) = 1 + a.phi(x) on whitened mean-free features phi, chosen so that weighted expectations do
//! not change over one lag: E[w(x) g(y)] = E[w(x) g(x)] for every g in the basis, which is
//! (1 - K') a = m with K_ij = E[phi_i(x) phi_j(y)] and m_j = E[phi_j(y)]. Weighted, symmetrised
//! covariances then serve reversible TICA. Single weights may be negative: they are a projection of
//! the true ones on the basis.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::matrix::{add_xty, lu_solve};
use crate::moments::{PairMoments, pair_blocks};
use crate::rows::{Real, Rows};
use crate::tica::Whitening;
use crate::{Matrix, MsmError};

/// A fitted weight function; immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KoopmanWeights {
    /// Lag in frames.
    pub lag: usize,
    /// w(x) = constant + coefficients . x.
    pub constant: f64,
    /// One coefficient per feature.
    pub coefficients: Vec<f64>,
}

impl KoopmanWeights {
    /// Fits on plain moments; `epsilon` is the relative rank cut-off.
    pub fn new(moments: &PairMoments, epsilon: f64) -> Result<Self, MsmError> {
        let cov = moments.plain();
        let white = Whitening::new(&cov.c00, &cov.mean_x, epsilon)?;
        let r = white.basis.n_cols();
        // E[phi(x) phi(y)'] = R'(C0t + 0) R, since phi has mean zero over x.
        let k = white.project(&cov.c0t, &white);
        let drift: Vec<f64> = cov.mean_y.iter().zip(&cov.mean_x).map(|(y, x)| y - x).collect();
        let mut system = Matrix::identity(r);
        let mut rhs = Matrix::zeros(r, 1);
        for i in 0..r {
            for j in 0..r {
                system[(j, i)] -= k[(i, j)];
            }
            rhs[(i, 0)] = (0..drift.len()).map(|f| drift[f] * white.basis[(f, i)]).sum();
        }
        let a = lu_solve(system, rhs)?;
        let coefficients = white.basis.times(&a).as_slice().to_vec();
        let constant = 1.0 - coefficients.iter().zip(&cov.mean_x).map(|(c, m)| c * m).sum::<f64>();
        Ok(Self { lag: moments.lag(), constant, coefficients })
    }

    /// Weight of one frame.
    pub fn weight<T: Real>(&self, row: &[T]) -> f64 {
        self.constant + row.iter().zip(&self.coefficients).map(|(x, c)| x.to_f64() * c).sum::<f64>()
    }

    /// Moments of the pairs, each weighted by the weight of its first frame. `plain` are the
    /// unweighted moments of the same trajectories.
    pub fn reweight<T: Real>(
        &self,
        trajectories: &[Rows<'_, T>],
        plain: &PairMoments,
    ) -> Result<PairMoments, MsmError> {
        let center = plain.symmetrised().mean_x;
        let d = center.len();
        let (blocks, lag) = (pair_blocks(trajectories, self.lag), self.lag);
        let mut total = WeightedSums::zero(d);
        for wave in blocks.chunks(64) {
            let parts: Vec<WeightedSums> = wave
                .par_iter()
                .map(|&(t, start, end)| {
                    let mut sums = WeightedSums::zero(d);
                    let rows = &trajectories[t];
                    let shifted = |start: usize, end: usize| -> Vec<f64> {
                        let flat = rows.span(start, end).chunks_exact(d);
                        flat.flat_map(|r| r.iter().zip(&center).map(|(v, c)| v.to_f64() - c))
                            .collect()
                    };
                    let (x, y) = (shifted(start, end), shifted(start + lag, end + lag));
                    let w: Vec<f64> = (start..end).map(|i| self.weight(rows.row(i))).collect();
                    let times = |z: &[f64]| -> Vec<f64> {
                        z.chunks_exact(d)
                            .zip(&w)
                            .flat_map(|(r, w)| r.iter().map(move |v| v * w))
                            .collect()
                    };
                    let (wx, wy) = (times(&x), times(&y));
                    sums.weight = w.iter().sum();
                    for (sum, z) in [(&mut sums.x, &wx), (&mut sums.y, &wy)] {
                        for row in z.chunks_exact(d) {
                            sum.iter_mut().zip(row).for_each(|(s, v)| *s += v);
                        }
                    }
                    add_xty(&mut sums.xx, &wx, d, &x, d);
                    add_xty(&mut sums.xy, &wx, d, &y, d);
                    add_xty(&mut sums.yy, &wy, d, &y, d);
                    sums
                })
                .collect();
            parts.iter().for_each(|p| total.add(p));
        }
        if !(total.weight > 0.0) {
            return Err(MsmError::Numerical {
                what: "Koopman reweighting",
                detail: "the weights do not sum to a positive number".into(),
            });
        }
        // Scale the weights to a mean of 1, then products about the weighted means.
        let n = plain.n_pairs() as f64;
        let scale = n / total.weight;
        let mean = |s: &[f64]| -> Vec<f64> { s.iter().map(|v| v / total.weight).collect() };
        let (mx, my) = (mean(&total.x), mean(&total.y));
        let about = |products: &[f64], a: &[f64], b: &[f64]| -> Vec<f64> {
            (0..d * d).map(|q| products[q] * scale - n * a[q / d] * b[q % d]).collect()
        };
        let place = |m: &[f64]| -> Vec<f64> { m.iter().zip(&center).map(|(a, b)| a + b).collect() };
        Ok(PairMoments::from_parts(
            lag,
            n,
            (place(&mx), place(&my)),
            about(&total.xx, &mx, &mx),
            about(&total.xy, &mx, &my),
            about(&total.yy, &my, &my),
        ))
    }
}

struct WeightedSums {
    weight: f64,
    x: Vec<f64>,
    y: Vec<f64>,
    xx: Vec<f64>,
    xy: Vec<f64>,
    yy: Vec<f64>,
}

impl WeightedSums {
    fn zero(d: usize) -> Self {
        let square = || vec![0.0; d * d];
        Self {
            weight: 0.0,
            x: vec![0.0; d],
            y: vec![0.0; d],
            xx: square(),
            xy: square(),
            yy: square(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.weight += other.weight;
        for (a, b) in [
            (&mut self.x, &other.x),
            (&mut self.y, &other.y),
            (&mut self.xx, &other.xx),
            (&mut self.xy, &other.xy),
            (&mut self.yy, &other.yy),
        ] {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tica;
    use crate::test_support::chain;

    #[test]
    fn equilibrium_is_recovered_from_runs_that_never_reached_it() {
        // Three states in a row, slow; all runs are short and start in state 0. Indicators of the
        // states span every function, so the weights are exact up to noise.
        let t = Matrix::from_vec(3, 3, vec![0.98, 0.02, 0.0, 0.01, 0.97, 0.02, 0.0, 0.01, 0.99])
            .unwrap();
        let data: Vec<Vec<f64>> = (0..4000)
            .map(|i| {
                let states = chain(&t, 120, 0, i);
                states
                    .iter()
                    .flat_map(|s| (0..3).map(move |k| f64::from(u8::from(*s == k))))
                    .collect()
            })
            .collect();
        let rows: Vec<Rows<'_, f64>> = data.iter().map(|d| Rows::new(d, 3).unwrap()).collect();
        let pi = crate::estimate::stationary_distribution(&t).unwrap();
        let exact = crate::estimate::reversible_eigenvalues(&t, &pi).unwrap();
        let lag = 5;
        let plain = Tica::new(lag).fit(&rows).unwrap();
        let koopman = Tica::new(lag).reweighted(true).fit(&rows).unwrap();
        for k in 0..2 {
            let want = exact[k + 1].powi(lag as i32);
            let (far, near) = (plain.eigenvalues[k] - want, koopman.eigenvalues[k] - want);
            assert!(near.abs() < 0.01, "{k} {near}");
            assert!(k > 0 || far.abs() > 2.0 * near.abs(), "{k} {far} {near}");
        }
        for k in 0..3 {
            assert!((koopman.mean[k] - pi[k]).abs() < 0.05, "{k} {} {}", koopman.mean[k], pi[k]);
        }
        assert!(plain.mean[0] - pi[0] > 0.2);
    }

    #[test]
    fn equilibrium_data_keeps_its_weights() {
        let x = crate::test_support::ou(&[0.9, 0.3], 40_000, 4);
        let rows = [Rows::new(&x, 2).unwrap()];
        let moments = PairMoments::of(&rows, 2).unwrap().0;
        let w = KoopmanWeights::new(&moments, 1e-10).unwrap();
        assert!((0..100).all(|i| (w.weight(rows[0].row(i)) - 1.0).abs() < 0.02));
        let a = w.reweight(&rows, &moments).unwrap().symmetrised();
        let b = moments.symmetrised();
        for (x, y) in a.c0t.as_slice().iter().zip(b.c0t.as_slice()) {
            assert!((x - y).abs() < 1e-2);
        }
        // Weight 1 everywhere is the plain moments.
        let one = KoopmanWeights { lag: 2, constant: 1.0, coefficients: vec![0.0; 2] };
        let c = one.reweight(&rows, &moments).unwrap().symmetrised();
        for (x, y) in c.c0t.as_slice().iter().zip(b.c0t.as_slice()) {
            assert!((x - y).abs() < 1e-12);
        }
    }
}
