//! Time-lagged independent component analysis (Perez-Hernandez et al. 2013).
//!
//! Solves C0t r = l C00 r. C00 = D V S V' D with D the standard deviations of the features;
//! directions with S <= epsilon * max(S) are dropped (so the rank does not depend on units), the
//! rest are whitened, and the eigenvalues of the whitened C0t are sorted by |l|. Each eigenvector
//! has unit variance, lies in the range of C00, and its largest entry is positive. Scaling:
//! kinetic map r l, commute map r sqrt(t/2) with t
//! damped near the lag (as deeptime: t = (1 - lag/ln|l|)/2 max(0, tanh(pi (t' - lag)/lag + 1)), t'
//! the undamped value), or none. Kept dimensions: the
//! first m with cumsum(l^2)/sum(l^2) >= `var_cutoff`. Timescale = -lag/ln|l| in frames.
//! METHOD 7.3; MSM.md section 2.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernels::{Projector, zeros};
use crate::koopman::KoopmanWeights;
use crate::matrix::{lu_solve, symmetric_eigen};
use crate::moments::{Covariances, PairMoments};
use crate::rows::{Real, Rows};
use crate::{Matrix, MsmError, Warning};

/// How components are scaled in the projection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Component i times its eigenvalue: distances are kinetic distances.
    #[default]
    KineticMap,
    /// Component i times sqrt(timescale/2): distances are commute distances.
    CommuteMap,
    /// Unit variance.
    None,
}

/// Estimator of a [`TicaModel`].
#[derive(Clone, Debug)]
pub struct Tica {
    lag: usize,
    scaling: Scaling,
    var_cutoff: f64,
    dim: Option<usize>,
    epsilon: f64,
    reversible: bool,
    reweighted: bool,
}

/// A fitted TICA; immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TicaModel {
    /// Lag in frames.
    pub lag: usize,
    /// Scaling of the projection.
    pub scaling: Scaling,
    /// Mean removed before projecting (d).
    pub mean: Vec<f64>,
    /// All kept-rank eigenvalues, sorted by falling |l|.
    pub eigenvalues: Vec<f64>,
    /// Unscaled eigenvectors as columns (d x rank), unit variance under C00.
    pub eigenvectors: Matrix,
    /// Factor of each component in the projection (rank).
    pub scale: Vec<f64>,
    /// Components kept by the variance cut-off or by the number asked for.
    pub n_kept: usize,
    /// Number of pairs it was fitted on.
    pub n_pairs: usize,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

impl Tica {
    /// Reversible (symmetrised) TICA at `lag` frames: kinetic map, 95 % of the kinetic variance.
    pub fn new(lag: usize) -> Self {
        Self {
            lag,
            scaling: Scaling::KineticMap,
            var_cutoff: 0.95,
            dim: None,
            epsilon: 1e-10,
            reversible: true,
            reweighted: false,
        }
    }

    /// Scaling of the projection.
    pub fn scaling(mut self, scaling: Scaling) -> Self {
        self.scaling = scaling;
        self
    }

    /// Fraction of the kinetic variance to keep, in (0, 1].
    pub fn var_cutoff(mut self, fraction: f64) -> Self {
        self.var_cutoff = fraction;
        self
    }

    /// A fixed number of components instead of the variance cut-off (at most the rank).
    pub fn dim(mut self, dim: usize) -> Self {
        self.dim = Some(dim);
        self
    }

    /// Relative cut-off on the eigenvalues of the correlation matrix, below which a direction
    /// counts as constant.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether to symmetrise in time (the default). If not, the singular value decomposition of
    /// the whitened C0t (VAMP) takes the place of the eigenvalues and the projection uses the left
    /// vectors: right for data that did not start in equilibrium.
    pub fn reversible(mut self, reversible: bool) -> Self {
        self.reversible = reversible;
        self
    }

    /// Whether to weight pairs so that they stand for equilibrium ([`crate::koopman`]): for
    /// reversible dynamics observed in runs that did not start there.
    pub fn reweighted(mut self, reweighted: bool) -> Self {
        self.reweighted = reweighted;
        self
    }

    /// Fits on trajectories of features.
    pub fn fit<T: Real>(&self, trajectories: &[Rows<'_, T>]) -> Result<TicaModel, MsmError> {
        self.check()?;
        let (mut moments, warnings) = PairMoments::of(trajectories, self.lag)?;
        if self.reweighted {
            moments =
                KoopmanWeights::new(&moments, self.epsilon)?.reweight(trajectories, &moments)?;
        }
        let mut model = self.fit_moments(&moments)?;
        let named = warnings.into_iter().map(|w| match w {
            Warning::SkippedTrajectories { lag, trajectories, .. } => {
                Warning::SkippedTrajectories { what: "tica lag".into(), lag, trajectories }
            }
            other => other,
        });
        model.warnings.splice(0..0, named);
        Ok(model)
    }

    /// Fits on moments that were summed elsewhere (streamed or merged).
    pub fn fit_moments(&self, moments: &PairMoments) -> Result<TicaModel, MsmError> {
        self.check()?;
        if moments.n_pairs() == 0 {
            return Err(MsmError::NoFrames);
        }
        let cov = if self.reversible { moments.symmetrised() } else { moments.plain() };
        let mut warnings = Vec::new();
        let white = Whitening::new(&cov.c00, &cov.mean_x, self.epsilon)?;
        let d = moments.width();
        if white.basis.n_cols() < d {
            warnings.push(Warning::RankDeficient {
                rank: white.basis.n_cols(),
                n_features: d,
                constant_columns: white.constant.clone(),
                dependent_columns: dependent_columns(&cov.c00, &white),
            });
        }
        if cov.n_pairs <= d as f64 {
            warnings.push(Warning::FewFrames { n_pairs: cov.n_pairs as usize, n_features: d });
        }
        let (eigenvalues, vectors) = if self.reversible {
            self.eigenvectors(&cov, &white)?
        } else {
            self.left_singular_vectors(&cov, &white)?
        };
        let mut eigenvectors = white.to_features(&vectors);
        fix_signs(&mut eigenvectors);
        let scale = self.scale(&eigenvalues);
        let n_kept = match self.dim {
            Some(dim) => dim.min(eigenvalues.len()),
            None => kept_dimensions(&eigenvalues, self.var_cutoff),
        };
        Ok(TicaModel {
            lag: moments.lag(),
            scaling: self.scaling,
            mean: cov.mean_x,
            eigenvalues,
            eigenvectors,
            scale,
            n_kept,
            n_pairs: cov.n_pairs as usize,
            warnings,
        })
    }

    fn check(&self) -> Result<(), MsmError> {
        if self.lag == 0 {
            return Err(MsmError::InvalidLag { what: "TICA lag", lag: 0 });
        }
        if !(self.var_cutoff > 0.0 && self.var_cutoff <= 1.0) {
            return Err(MsmError::Parameter {
                what: "var_cutoff",
                got: self.var_cutoff.to_string(),
                expected: "more than 0, at most 1".into(),
            });
        }
        if !(self.epsilon >= 0.0 && self.epsilon < 1.0) {
            return Err(MsmError::Parameter {
                what: "epsilon",
                got: self.epsilon.to_string(),
                expected: "from 0 to less than 1".into(),
            });
        }
        if self.dim == Some(0) {
            return Err(MsmError::Parameter {
                what: "dim",
                got: "0".into(),
                expected: "at least 1".into(),
            });
        }
        Ok(())
    }

    /// Eigenvalues by falling |l| and vectors in the whitened space.
    fn eigenvectors(
        &self,
        cov: &Covariances,
        white: &Whitening,
    ) -> Result<(Vec<f64>, Matrix), MsmError> {
        let k = white.project(&cov.c0t, white);
        let (values, vectors) = symmetric_eigen(&k)?;
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
        Ok((order.iter().map(|&i| values[i]).collect(), columns(&vectors, &order)))
    }

    /// Singular values and left vectors of C00^-1/2 C0t Ctt^-1/2, from the eigenproblem of K K'.
    fn left_singular_vectors(
        &self,
        cov: &Covariances,
        white: &Whitening,
    ) -> Result<(Vec<f64>, Matrix), MsmError> {
        let white_t = Whitening::new(&cov.ctt, &cov.mean_y, self.epsilon)?;
        let k = white.project(&cov.c0t, &white_t);
        let (squares, vectors) = symmetric_eigen(&k.times(&k.transposed()))?;
        let order: Vec<usize> = (0..squares.len()).rev().collect();
        let values = order.iter().map(|&i| squares[i].max(0.0).sqrt()).collect();
        Ok((values, columns(&vectors, &order)))
    }

    fn scale(&self, eigenvalues: &[f64]) -> Vec<f64> {
        let lag = self.lag as f64;
        eigenvalues
            .iter()
            .map(|&l| match self.scaling {
                Scaling::None => 1.0,
                Scaling::KineticMap => l,
                Scaling::CommuteMap => {
                    let l = l.abs().min(1.0 - f64::EPSILON);
                    let t = 1.0 - lag / l.ln();
                    let damp = (std::f64::consts::PI * (t - lag) / lag + 1.0).tanh();
                    (0.25 * t * damp.max(0.0)).sqrt()
                }
            })
            .collect()
    }
}

/// -lag/ln|l| in frames; infinite for |l| >= 1, 0 for l = 0.
pub fn timescale(eigenvalue: f64, lag: f64) -> f64 {
    let l = eigenvalue.abs();
    if l >= 1.0 { f64::INFINITY } else { -lag / l.ln() }
}

/// First m with cumsum(l^2)/sum(l^2) >= `cutoff`.
fn kept_dimensions(eigenvalues: &[f64], cutoff: f64) -> usize {
    let total: f64 = eigenvalues.iter().map(|l| l * l).sum();
    let mut sum = 0.0;
    for (i, l) in eigenvalues.iter().enumerate() {
        sum += l * l;
        if sum / total >= cutoff {
            return i + 1;
        }
    }
    eigenvalues.len()
}

fn columns(m: &Matrix, order: &[usize]) -> Matrix {
    let mut out = Matrix::zeros(m.n_rows(), order.len());
    for i in 0..m.n_rows() {
        for (b, &j) in order.iter().enumerate() {
            out[(i, b)] = m[(i, j)];
        }
    }
    out
}

fn fix_signs(vectors: &mut Matrix) {
    for j in 0..vectors.n_cols() {
        let mut largest = 0.0_f64;
        for i in 0..vectors.n_rows() {
            if vectors[(i, j)].abs() > largest.abs() {
                largest = vectors[(i, j)];
            }
        }
        if largest < 0.0 {
            for i in 0..vectors.n_rows() {
                vectors[(i, j)] = -vectors[(i, j)];
            }
        }
    }
}

/// W (d x rank) with W' C W = 1 and an orthonormal basis of the directions without variance.
pub(crate) struct Whitening {
    /// D^-1 V S^-1/2.
    pub basis: Matrix,
    /// Columns that never change.
    pub constant: Vec<usize>,
    /// Orthonormal rows.
    null: Matrix,
    inverse_sd: Vec<f64>,
}

impl Whitening {
    pub(crate) fn new(c: &Matrix, mean: &[f64], epsilon: f64) -> Result<Self, MsmError> {
        let d = c.n_rows();
        // What is left of a constant after subtracting its mean is rounding.
        let floor = |i: usize| (64.0 * f64::EPSILON * mean[i]).powi(2);
        let constant: Vec<usize> =
            (0..d).filter(|&i| !(c[(i, i)] > floor(i).max(f64::MIN_POSITIVE))).collect();
        if constant.len() == d {
            return Err(MsmError::NoVariance { n_features: d });
        }
        let mut inverse_sd: Vec<f64> = (0..d).map(|i| 1.0 / c[(i, i)].sqrt()).collect();
        constant.iter().for_each(|&i| inverse_sd[i] = 0.0);
        let moving: Vec<usize> = (0..d).filter(|i| inverse_sd[*i] > 0.0).collect();
        let n = moving.len();
        let mut correlation = c.select(&moving);
        for (a, &i) in moving.iter().enumerate() {
            for (b, &j) in moving.iter().enumerate() {
                correlation[(a, b)] *= inverse_sd[i] * inverse_sd[j];
            }
        }
        let (values, vectors) = symmetric_eigen(&correlation)?;
        let cut = values[n - 1] * epsilon.max(f64::EPSILON * n as f64);
        let kept: Vec<usize> = (0..n).rev().filter(|&j| values[j] > cut).collect();
        let mut basis = Matrix::zeros(d, kept.len());
        for (a, &i) in moving.iter().enumerate() {
            for (b, &j) in kept.iter().enumerate() {
                basis[(i, b)] = vectors[(a, j)] * inverse_sd[i] / values[j].sqrt();
            }
        }
        let mut null: Vec<Vec<f64>> = Vec::new();
        for j in (0..n).filter(|&j| values[j] <= cut) {
            let mut v = vec![0.0; d];
            moving.iter().enumerate().for_each(|(a, &i)| v[i] = vectors[(a, j)] * inverse_sd[i]);
            push_orthonormal(&mut null, v);
        }
        let null = Matrix::from_vec(null.len(), d, null.concat())?;
        Ok(Self { basis, constant, null, inverse_sd })
    }

    /// basis' C other.basis.
    pub(crate) fn project(&self, c: &Matrix, other: &Self) -> Matrix {
        self.basis.transposed().times(&c.times(&other.basis))
    }

    /// Vectors of the whitened space as feature weights, without components along null directions.
    fn to_features(&self, vectors: &Matrix) -> Matrix {
        let mut out = self.basis.times(vectors);
        if self.null.n_rows() > 0 {
            let along = self.null.transposed().times(&self.null.times(&out));
            out.as_mut_slice().iter_mut().zip(along.as_slice()).for_each(|(o, x)| *o -= x);
        }
        out
    }
}

/// Gram-Schmidt, twice; vectors that vanish are left out.
fn push_orthonormal(basis: &mut Vec<Vec<f64>>, mut v: Vec<f64>) {
    let before = dot(&v, &v).sqrt();
    for _ in 0..2 {
        for b in basis.iter() {
            let along = dot(b, &v);
            v.iter_mut().zip(b).for_each(|(x, y)| *x -= along * y);
        }
    }
    let after = dot(&v, &v).sqrt();
    if after > before * 1e-8 && after > 0.0 {
        v.iter_mut().for_each(|x| *x /= after);
        basis.push(v);
    }
}

/// Scalar product in eight sums side by side, so that the processor need not wait for each addition.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0; 8];
    for (x, y) in a.zip(b) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(s, (x, y))| *s += x * y);
    }
    sums.iter().sum::<f64>() + rest
}

/// Columns that the columns before them determine: pivots below the cut-off in a Cholesky elimination
/// of the correlation matrix, and all that follow once as many independent ones as its rank are found.
fn dependent_columns(c: &Matrix, white: &Whitening) -> Vec<usize> {
    let d = c.n_rows();
    let mut a = Matrix::zeros(d, d);
    for i in 0..d {
        for j in i..d {
            a[(i, j)] = c[(i, j)] * white.inverse_sd[i] * white.inverse_sd[j];
        }
    }
    let mut found = Vec::new();
    let mut independent = 0;
    for k in (0..d).filter(|k| white.constant.binary_search(k).is_err()) {
        let pivot = a[(k, k)];
        if pivot < 1e-9 || independent == white.basis.n_cols() {
            found.push(k);
            continue;
        }
        independent += 1;
        let row = a.row(k).to_vec();
        for i in k + 1..d {
            let f = row[i] / pivot;
            a.row_mut(i)[i..].iter_mut().zip(&row[i..]).for_each(|(x, r)| *x -= f * r);
        }
    }
    found
}

impl TicaModel {
    /// Relaxation times in frames, one per eigenvalue (from |l|, as the field does).
    pub fn timescales(&self) -> Vec<f64> {
        self.eigenvalues.iter().map(|&l| timescale(l, self.lag as f64)).collect()
    }

    /// cumsum(l^2)/sum(l^2).
    pub fn cumulative_kinetic_variance(&self) -> Vec<f64> {
        let total: f64 = self.eigenvalues.iter().map(|l| l * l).sum();
        self.eigenvalues
            .iter()
            .scan(0.0, |sum, l| {
                *sum += l * l;
                Some(*sum / total)
            })
            .collect()
    }

    /// Weights of the projection: the first `n_kept` eigenvectors, scaled (d x n_kept).
    pub fn projection(&self) -> Matrix {
        let mut out = Matrix::zeros(self.mean.len(), self.n_kept);
        for i in 0..self.mean.len() {
            for j in 0..self.n_kept {
                out[(i, j)] = self.eigenvectors[(i, j)] * self.scale[j];
            }
        }
        out
    }

    /// Projects frames: (x - mean) R, row-major, `n_kept` numbers per frame.
    pub fn transform<T: Real>(&self, rows: &Rows<'_, T>) -> Result<Vec<f64>, MsmError> {
        let d = self.mean.len();
        if rows.width() != d {
            return Err(MsmError::FeatureCount { trajectory: 0, expected: d, got: rows.width() });
        }
        let mut out = zeros(rows.n_rows() * self.n_kept);
        self.transform_into(rows, &mut out)?;
        Ok(out)
    }

    /// [`TicaModel::transform`] into memory of the caller, `n_kept` numbers per frame.
    pub fn transform_into<T: Real>(
        &self,
        rows: &Rows<'_, T>,
        out: &mut [f64],
    ) -> Result<(), MsmError> {
        let d = self.mean.len();
        if rows.width() != d {
            return Err(MsmError::FeatureCount { trajectory: 0, expected: d, got: rows.width() });
        }
        let expected = rows.n_rows() * self.n_kept;
        if out.len() != expected {
            return Err(MsmError::Size { what: "projection buffer", expected, got: out.len() });
        }
        const BLOCK: usize = 4096;
        let projector = Projector::new(&self.mean, &self.projection());
        out.par_chunks_mut(BLOCK * self.n_kept).enumerate().for_each(|(b, out)| {
            let start = b * BLOCK;
            let n = out.len() / self.n_kept;
            projector.project(rows.span(start, start + n), out);
        });
        Ok(())
    }

    /// Feature vectors whose projection is `points` (least change from the mean): the inverse map
    /// for interpreting centres. `points` is row-major, `n_kept` numbers each.
    pub fn back_project(&self, points: &Rows<'_, f64>) -> Result<Vec<f64>, MsmError> {
        if points.width() != self.n_kept {
            return Err(MsmError::FeatureCount {
                trajectory: 0,
                expected: self.n_kept,
                got: points.width(),
            });
        }
        let w = self.projection();
        let gram = w.transposed().times(&w);
        let mut rhs = Matrix::zeros(self.n_kept, points.n_rows());
        for i in 0..points.n_rows() {
            for j in 0..self.n_kept {
                rhs[(j, i)] = points.row(i)[j];
            }
        }
        let coefficients = lu_solve(gram, rhs)?;
        let mut out = w.times(&coefficients).transposed();
        for i in 0..out.n_rows() {
            out.row_mut(i).iter_mut().zip(&self.mean).for_each(|(v, m)| *v += m);
        }
        Ok(out.as_slice().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{Noise, ou};

    #[test]
    fn finds_the_slow_directions_of_a_mixed_process() {
        let slow = ou(&[0.99, 0.9, 0.2], 60_000, 3);
        // mix: y = x M
        let m = [[1.0, 0.3, -0.2], [0.1, 2.0, 0.4], [0.5, -0.3, 1.5]];
        let mixed: Vec<f64> = slow
            .chunks(3)
            .flat_map(|x| (0..3).map(move |j| (0..3).map(|i| x[i] * m[i][j]).sum::<f64>()))
            .collect();
        let rows = [Rows::new(&mixed, 3).unwrap()];
        let model = Tica::new(1).var_cutoff(0.9).fit(&rows).unwrap();
        for (got, want) in model.eigenvalues.iter().zip([0.99, 0.9, 0.2]) {
            assert!((got - want).abs() < 0.02, "{got} {want}");
        }
        assert_eq!(model.n_kept, 2);
        // Unscaled projection: unit variance, uncorrelated.
        let unit = Tica::new(1).scaling(Scaling::None).dim(3).fit(&rows).unwrap();
        let y = unit.transform(&rows[0]).unwrap();
        let n = (y.len() / 3) as f64;
        for i in 0..3 {
            for j in 0..3 {
                let c: f64 = y.chunks(3).map(|r| r[i] * r[j]).sum::<f64>() / n;
                assert!((c - f64::from(u8::from(i == j))).abs() < 1e-3, "{i} {j} {c}");
            }
        }
        // And the inverse map lands where it came from.
        let first = Rows::new(&y[..3], 3).unwrap();
        let back = unit.back_project(&first).unwrap();
        let again = unit.transform(&Rows::new(&back, 3).unwrap()).unwrap();
        assert!((again[0] - y[0]).abs() < 1e-9);
    }

    #[test]
    fn units_do_not_matter() {
        let x = ou(&[0.95, 0.5], 5000, 1);
        let y: Vec<f64> = x
            .iter()
            .enumerate()
            .map(|(i, v)| v * [1e-4, 3e5][i % 2] + [7.0, -1.0][i % 2])
            .collect();
        let a = Tica::new(2).fit(&[Rows::new(&x, 2).unwrap()]).unwrap();
        let b = Tica::new(2).fit(&[Rows::new(&y, 2).unwrap()]).unwrap();
        assert_eq!(a.n_kept, b.n_kept);
        for (p, q) in a.eigenvalues.iter().zip(&b.eigenvalues) {
            assert!((p - q).abs() < 1e-9, "{p} {q}");
        }
    }

    #[test]
    fn degenerate_features_are_dropped_and_named() {
        let x = ou(&[0.9, 0.3], 2000, 5);
        let wide: Vec<f64> = x
            .chunks(2)
            .flat_map(|r| [r[0], 0.1, r[1], 2.0 * r[0] - 1.0, 0.0, r[0] + r[1]])
            .collect();
        let plain = Tica::new(1).fit(&[Rows::new(&x, 2).unwrap()]).unwrap();
        let model = Tica::new(1).fit(&[Rows::new(&wide, 6).unwrap()]).unwrap();
        assert_eq!(
            model.warnings,
            [Warning::RankDeficient {
                rank: 2,
                n_features: 6,
                constant_columns: vec![1, 4],
                dependent_columns: vec![3, 5],
            }]
        );
        for (p, q) in plain.eigenvalues.iter().zip(&model.eigenvalues) {
            assert!((p - q).abs() < 1e-10);
        }
        let flat = vec![0.3; 300];
        assert!(matches!(
            Tica::new(1).fit(&[Rows::new(&flat, 3).unwrap()]),
            Err(MsmError::NoVariance { n_features: 3 })
        ));
        let mut noise = Noise::new(1);
        let few: Vec<f64> = (0..8 * 20).map(|_| noise.normal()).collect();
        let model = Tica::new(1).fit(&[Rows::new(&few, 20).unwrap()]).unwrap();
        assert!(model.warnings.iter().any(|w| matches!(w, Warning::FewFrames { .. })));
    }

    #[test]
    fn plain_tica_is_vamp() {
        let x = ou(&[0.9, 0.5], 40_000, 8);
        let rows = [Rows::new(&x, 2).unwrap()];
        let model = Tica::new(1).reversible(false).fit(&rows).unwrap();
        for (got, want) in model.eigenvalues.iter().zip([0.9, 0.5]) {
            assert!((got - want).abs() < 0.02, "{got} {want}");
        }
    }

    #[test]
    fn parameters_are_checked() {
        let x = [0.0, 1.0, 0.5];
        let rows = [Rows::new(&x, 1).unwrap()];
        assert!(Tica::new(0).fit(&rows).is_err());
        assert!(Tica::new(1).var_cutoff(0.0).fit(&rows).is_err());
        assert!(Tica::new(1).var_cutoff(f64::NAN).fit(&rows).is_err());
        assert!(Tica::new(1).dim(0).fit(&rows).is_err());
        assert!(Tica::new(1).fit::<f64>(&[]).is_err());
    }
}
