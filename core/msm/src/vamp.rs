//! VAMP-2 score for choosing features and lag (Wu, Noé 2020), cross-validated over blocks.
//!
//! Score of a subspace: |(U'C00 U)^-1/2 U'C0t V (V'Ctt V)^-1/2|_F^2 + 1, the 1 for the constant
//! function that mean removal took away. U, V are the leading singular functions of the training
//! part; covariances are those of the part that is scored. Higher is better, at most k + 1.

use crate::matrix::symmetric_eigen;
use crate::moments::{Covariances, PairMoments};
use crate::rows::{Real, Rows};
use crate::tica::Whitening;
use crate::{Matrix, MsmError};

/// Leading singular functions of one set of moments.
#[derive(Clone, Debug)]
pub struct VampSubspace {
    /// Weights of the instantaneous half (d x k).
    pub left: Matrix,
    /// Weights of the lagged half (d x k).
    pub right: Matrix,
    /// Singular values, falling.
    pub singular_values: Vec<f64>,
}

impl VampSubspace {
    /// The `k` leading functions (or as many as the rank allows).
    pub fn new(moments: &PairMoments, k: usize, epsilon: f64) -> Result<Self, MsmError> {
        let cov = moments.plain();
        let (w0, wt) = (
            Whitening::new(&cov.c00, &cov.mean_x, epsilon)?,
            Whitening::new(&cov.ctt, &cov.mean_y, epsilon)?,
        );
        let m = w0.project(&cov.c0t, &wt);
        let (squares, vectors) = symmetric_eigen(&m.times(&m.transposed()))?;
        let rank = squares.len().min(wt.basis.n_cols());
        let k = k.min(rank);
        let singular_values: Vec<f64> =
            squares.iter().rev().take(k).map(|v| v.max(0.0).sqrt()).collect();
        let mut u = Matrix::zeros(squares.len(), k);
        for i in 0..squares.len() {
            for j in 0..k {
                u[(i, j)] = vectors[(i, squares.len() - 1 - j)];
            }
        }
        let mut v = m.transposed().times(&u);
        for i in 0..v.n_rows() {
            for j in 0..k {
                v[(i, j)] /= singular_values[j].max(f64::MIN_POSITIVE);
            }
        }
        Ok(Self { left: w0.basis.times(&u), right: wt.basis.times(&v), singular_values })
    }

    /// VAMP-2 score of these functions on other moments.
    pub fn score(&self, moments: &PairMoments, epsilon: f64) -> Result<f64, MsmError> {
        let cov: Covariances = moments.plain();
        let within = |c: &Matrix, w: &Matrix| w.transposed().times(&c.times(w));
        let zero = vec![0.0; self.left.n_cols()];
        let left = Whitening::new(&within(&cov.c00, &self.left), &zero, epsilon)?;
        let right = Whitening::new(&within(&cov.ctt, &self.right), &zero, epsilon)?;
        let cross = self.left.transposed().times(&cov.c0t.times(&self.right));
        let k = left.project(&cross, &right);
        Ok(1.0 + k.as_slice().iter().map(|v| v * v).sum::<f64>())
    }
}

/// VAMP-2 score of all data: 1 + the sum of the `k` leading squared singular values.
pub fn vamp2_score<T: Real>(
    trajectories: &[Rows<'_, T>],
    lag: usize,
    k: usize,
) -> Result<f64, MsmError> {
    let moments = PairMoments::of(trajectories, lag)?.0;
    let s = VampSubspace::new(&moments, k, EPSILON)?;
    Ok(1.0 + s.singular_values.iter().map(|v| v * v).sum::<f64>())
}

const EPSILON: f64 = 1e-10;

/// Cross-validated VAMP-2 scores, one per fold. Each trajectory is cut into contiguous blocks of
/// about `block` frames (more than the lag), block b goes to fold b mod `n_folds` in a seeded order;
/// each fold is scored with functions fitted to the others. No pair crosses a cut.
pub fn vamp2_cross_validated<T: Real>(
    trajectories: &[Rows<'_, T>],
    lag: usize,
    k: usize,
    n_folds: usize,
    block: usize,
    rng_seed: u64,
) -> Result<Vec<f64>, MsmError> {
    if n_folds < 2 {
        return Err(MsmError::Parameter {
            what: "n_folds",
            got: n_folds.to_string(),
            expected: "at least 2".into(),
        });
    }
    if block <= lag {
        return Err(MsmError::Parameter {
            what: "block",
            got: block.to_string(),
            expected: format!("more than the lag of {lag} frames"),
        });
    }
    let mut blocks = Vec::new();
    for rows in trajectories {
        let n = rows.n_rows();
        let parts = (n / block).max(1);
        for p in 0..parts {
            let (a, b) = (n * p / parts, n * (p + 1) / parts);
            if b - a > lag {
                blocks.push(Rows::new(rows.span(a, b), rows.width())?);
            }
        }
    }
    if blocks.len() < n_folds {
        let longest = trajectories.iter().map(Rows::n_rows).max().unwrap_or(0);
        return Err(MsmError::TooShort { lag, longest, n_trajectories: trajectories.len() });
    }
    let mut rng = crate::random::Stream::new(rng_seed, 0);
    for i in (1..blocks.len()).rev() {
        blocks.swap(i, rng.below(i + 1));
    }
    let folds = (0..n_folds)
        .map(|f| {
            let own: Vec<Rows<'_, T>> = blocks.iter().skip(f).step_by(n_folds).copied().collect();
            PairMoments::of(&own, lag).map(|m| m.0)
        })
        .collect::<Result<Vec<_>, _>>()?;
    (0..n_folds)
        .map(|test| {
            let mut train = PairMoments::new(lag, folds[test].width())?;
            for (f, moments) in folds.iter().enumerate() {
                if f != test {
                    train.merge(moments)?;
                }
            }
            VampSubspace::new(&train, k, EPSILON)?.score(&folds[test], EPSILON)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{Noise, ou};

    #[test]
    fn score_of_a_known_process() {
        let x = ou(&[0.95, 0.6, 0.0], 60_000, 1);
        let rows = [Rows::new(&x, 3).unwrap()];
        let want = 1.0 + 0.95 * 0.95 + 0.36;
        assert!((vamp2_score(&rows, 1, 2).unwrap() - want).abs() < 0.03);
        // the functions of the data score the same on the data itself
        let m = PairMoments::of(&rows, 1).unwrap().0;
        let s = VampSubspace::new(&m, 2, 1e-10).unwrap().score(&m, 1e-10).unwrap();
        assert!((s - vamp2_score(&rows, 1, 2).unwrap()).abs() < 1e-10);
    }

    #[test]
    fn noise_features_do_not_pay_under_cross_validation() {
        let x = ou(&[0.95], 3000, 2);
        let mut noise = Noise::new(3);
        let wide: Vec<f64> = x
            .iter()
            .flat_map(|v| {
                [*v].into_iter().chain((0..60).map(|_| noise.normal())).collect::<Vec<_>>()
            })
            .collect();
        let mean = |v: Vec<f64>| v.iter().sum::<f64>() / v.len() as f64;
        let narrow = [Rows::new(&x, 1).unwrap()];
        let wide = [Rows::new(&wide, 61).unwrap()];
        // on the training data noise looks like signal
        assert!(vamp2_score(&wide, 1, 5).unwrap() > vamp2_score(&narrow, 1, 5).unwrap() + 0.05);
        let good = mean(vamp2_cross_validated(&narrow, 1, 1, 5, 200, 1).unwrap());
        let bad = mean(vamp2_cross_validated(&wide, 1, 1, 5, 200, 1).unwrap());
        assert!(good > bad, "{good} {bad}");
        assert!((good - 1.9).abs() < 0.06);
        assert!(vamp2_cross_validated(&narrow, 300, 1, 5, 200, 1).is_err());
        assert!(vamp2_cross_validated(&narrow, 1, 1, 1, 200, 1).is_err());
        assert!(vamp2_cross_validated(&narrow, 1, 1, 5, 2000, 1).is_err());
    }
}
