//! A dense row-major f64 matrix and the few decompositions the room needs.
//!
//! Everything here runs on the calling thread, so that results never depend on the number of
//! threads; parallelism lives one level up, over fixed blocks of frames.

use std::ops::{Index, IndexMut};

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use serde::{Deserialize, Serialize};

use crate::MsmError;
use crate::kernels::zeros;

/// Dense matrix, row-major.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    n_rows: usize,
    n_cols: usize,
    data: Vec<f64>,
}

impl Matrix {
    /// All zeros.
    pub fn zeros(n_rows: usize, n_cols: usize) -> Self {
        Self { n_rows, n_cols, data: zeros(n_rows * n_cols) }
    }

    /// Ones on the diagonal.
    pub fn identity(n: usize) -> Self {
        let mut m = Self::zeros(n, n);
        for i in 0..n {
            m[(i, i)] = 1.0;
        }
        m
    }

    /// Takes a flat row-major array of `n_rows * n_cols` numbers.
    pub fn from_vec(n_rows: usize, n_cols: usize, data: Vec<f64>) -> Result<Self, MsmError> {
        if data.len() != n_rows * n_cols {
            return Err(MsmError::Shape { len: data.len(), width: n_cols });
        }
        Ok(Self { n_rows, n_cols, data })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// All numbers, row-major.
    pub fn as_slice(&self) -> &[f64] {
        &self.data
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f64] {
        &mut self.data
    }

    /// One row.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.n_cols..(i + 1) * self.n_cols]
    }

    /// One row, to be changed.
    #[inline(always)]
    pub fn row_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.data[i * self.n_cols..(i + 1) * self.n_cols]
    }

    /// One column, copied.
    pub fn column(&self, j: usize) -> Vec<f64> {
        (0..self.n_rows).map(|i| self[(i, j)]).collect()
    }

    /// The matrix product `self * other`. Panics if the inner sizes differ.
    pub fn times(&self, other: &Matrix) -> Matrix {
        assert_eq!(self.n_cols, other.n_rows, "inner sizes of a product");
        let mut out = Matrix::zeros(self.n_rows, other.n_cols);
        matmul(out.view_mut(), Accum::Replace, self.view(), other.view(), 1.0, Par::Seq);
        out
    }

    /// The transpose, copied.
    pub fn transposed(&self) -> Matrix {
        let mut out = Matrix::zeros(self.n_cols, self.n_rows);
        for i in 0..self.n_rows {
            for j in 0..self.n_cols {
                out[(j, i)] = self[(i, j)];
            }
        }
        out
    }

    /// Rows and columns `keep`, in that order.
    pub fn select(&self, keep: &[usize]) -> Matrix {
        let mut out = Matrix::zeros(keep.len(), keep.len());
        for (a, &i) in keep.iter().enumerate() {
            for (b, &j) in keep.iter().enumerate() {
                out[(a, b)] = self[(i, j)];
            }
        }
        out
    }

    pub(crate) fn view(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.data, self.n_rows, self.n_cols)
    }

    fn view_mut(&mut self) -> MatMut<'_, f64> {
        MatMut::from_row_major_slice_mut(&mut self.data, self.n_rows, self.n_cols)
    }
}

impl Index<(usize, usize)> for Matrix {
    type Output = f64;
    #[inline(always)]
    fn index(&self, (i, j): (usize, usize)) -> &f64 {
        &self.data[i * self.n_cols + j]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    #[inline(always)]
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut f64 {
        &mut self.data[i * self.n_cols + j]
    }
}

/// `out += x' y` for row-major `x` (n x a) and `y` (n x b); `out` is a x b.
pub(crate) fn add_xty(out: &mut [f64], x: &[f64], a: usize, y: &[f64], b: usize) {
    let n = x.len() / a;
    matmul(
        MatMut::from_row_major_slice_mut(out, a, b),
        Accum::Add,
        MatRef::from_row_major_slice(x, n, a).transpose(),
        MatRef::from_row_major_slice(y, n, b),
        1.0,
        Par::Seq,
    );
}

/// Lower half of `out += x' x` for row-major `x` (n x d).
pub(crate) fn add_xtx(out: &mut [f64], x: &[f64], d: usize) {
    let x = MatRef::from_row_major_slice(x, x.len() / d, d);
    triangular::matmul(
        MatMut::from_row_major_slice_mut(out, d, d),
        BlockStructure::TriangularLower,
        Accum::Add,
        x.transpose(),
        BlockStructure::Rectangular,
        x,
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
}

/// Eigenvalues (ascending) and eigenvectors (columns) of a symmetric matrix; reads the lower half.
pub(crate) fn symmetric_eigen(a: &Matrix) -> Result<(Vec<f64>, Matrix), MsmError> {
    let n = a.n_rows;
    let mut values = Diag::<f64>::zeros(n);
    let mut vectors = Mat::<f64>::zeros(n, n);
    let params = Default::default();
    let need = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, params);
    self_adjoint_evd(
        a.view(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(need)),
        params,
    )
    .map_err(|e| MsmError::Numerical {
        what: "symmetric eigenproblem",
        detail: format!("{e:?}"),
    })?;
    let mut out = Matrix::zeros(n, n);
    for i in 0..n {
        for j in 0..n {
            out[(i, j)] = vectors[(i, j)];
        }
    }
    Ok((values.column_vector().iter().copied().collect(), out))
}

/// Only the eigenvalues (ascending) of a symmetric matrix; reads the lower half.
pub(crate) fn symmetric_eigenvalues(a: &Matrix) -> Result<Vec<f64>, MsmError> {
    let n = a.n_rows;
    let mut values = Diag::<f64>::zeros(n);
    let params = Default::default();
    let need = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::No, Par::Seq, params);
    self_adjoint_evd(
        a.view(),
        values.as_mut(),
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(need)),
        params,
    )
    .map_err(|e| MsmError::Numerical { what: "symmetric eigenvalues", detail: format!("{e:?}") })?;
    Ok(values.column_vector().iter().copied().collect())
}

/// Solves `a x = b` for symmetric positive definite `a` by Cholesky; `None` if it is not.
pub(crate) fn cholesky_solve(a: &Matrix, b: &[f64]) -> Option<Vec<f64>> {
    let n = a.n_rows;
    let mut l = a.view().to_owned();
    let params = Default::default();
    let need = llt::factor::cholesky_in_place_scratch::<f64>(n, Par::Seq, params);
    llt::factor::cholesky_in_place(
        l.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(need)),
        params,
    )
    .ok()?;
    let mut x = b.to_vec();
    for i in 0..n {
        for j in 0..i {
            x[i] -= l[(i, j)] * x[j];
        }
        x[i] /= l[(i, i)];
    }
    for i in (0..n).rev() {
        x[i] /= l[(i, i)];
        let xi = x[i];
        for j in 0..i {
            x[j] -= l[(i, j)] * xi;
        }
    }
    x.iter().all(|v| v.is_finite()).then_some(x)
}

/// Solves `a x = b` for several right-hand sides (columns of `b`) by LU with partial pivoting.
pub(crate) fn lu_solve(mut a: Matrix, mut b: Matrix) -> Result<Matrix, MsmError> {
    let n = a.n_rows;
    let w = b.n_cols;
    let largest = a.data.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for k in 0..n {
        let pivot = (k..n)
            .max_by(|&i, &j| a[(i, k)].abs().total_cmp(&a[(j, k)].abs()))
            .expect("the range is not empty");
        if !(a[(pivot, k)].abs() > largest * 1e-300) {
            return Err(MsmError::Numerical {
                what: "linear system",
                detail: format!("the matrix is singular at column {k} of {n}"),
            });
        }
        if pivot != k {
            for j in 0..n {
                a.data.swap(k * n + j, pivot * n + j);
            }
            for j in 0..w {
                b.data.swap(k * w + j, pivot * w + j);
            }
        }
        let (top, rest) = a.data.split_at_mut((k + 1) * n);
        let (b_top, b_rest) = b.data.split_at_mut((k + 1) * w);
        let row = &top[k * n..];
        let b_row = &b_top[k * w..];
        for (lower, b_lower) in rest.chunks_exact_mut(n).zip(b_rest.chunks_exact_mut(w)) {
            let f = lower[k] / row[k];
            if f != 0.0 {
                lower[k..].iter_mut().zip(&row[k..]).for_each(|(x, r)| *x -= f * r);
                b_lower.iter_mut().zip(b_row).for_each(|(x, r)| *x -= f * r);
            }
        }
    }
    for k in (0..n).rev() {
        for j in 0..w {
            let mut v = b[(k, j)];
            for i in k + 1..n {
                v -= a[(k, i)] * b[(i, j)];
            }
            b[(k, j)] = v / a[(k, k)];
        }
    }
    Ok(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(n: usize) -> Matrix {
        let mut m = Matrix::zeros(n, n);
        for i in 0..n {
            for j in 0..n {
                m[(i, j)] = ((i * 7 + j * 13) % 11) as f64 / 11.0 + if i == j { 4.0 } else { 0.0 };
            }
        }
        m
    }

    #[test]
    fn eigenvectors_rebuild_a_symmetric_matrix() {
        let a = sample(17);
        let a = {
            let t = a.transposed();
            let mut s = a.clone();
            s.data.iter_mut().zip(&t.data).for_each(|(x, y)| *x += y);
            s
        };
        let (values, v) = symmetric_eigen(&a).unwrap();
        for (a, b) in symmetric_eigenvalues(&a).unwrap().iter().zip(&values) {
            assert!((a - b).abs() < 1e-12);
        }
        let mut scaled = v.clone();
        for i in 0..17 {
            for j in 0..17 {
                scaled[(i, j)] *= values[j];
            }
        }
        let back = scaled.times(&v.transposed());
        for (x, y) in back.data.iter().zip(&a.data) {
            assert!((x - y).abs() < 1e-12, "{x} {y}");
        }
        assert!(values.windows(2).all(|w| w[0] <= w[1]));
    }

    #[test]
    fn solvers_solve() {
        let a = sample(9);
        let spd = a.transposed().times(&a);
        let b: Vec<f64> = (0..9).map(|i| i as f64 - 3.0).collect();
        let column = Matrix::from_vec(9, 1, b.clone()).unwrap();
        for x in [
            cholesky_solve(&spd, &b).unwrap(),
            lu_solve(spd.clone(), column.clone()).unwrap().as_slice().to_vec(),
        ] {
            let back = spd.times(&Matrix::from_vec(9, 1, x).unwrap());
            for (p, q) in back.as_slice().iter().zip(&b) {
                assert!((p - q).abs() < 1e-10, "{p} {q}");
            }
        }
        assert!(lu_solve(Matrix::zeros(3, 3), Matrix::zeros(3, 1)).is_err());
        assert!(cholesky_solve(&Matrix::zeros(3, 3), &[0.0; 3]).is_none());
    }
}
