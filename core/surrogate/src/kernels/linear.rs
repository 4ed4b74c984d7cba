//! y = x Wᵀ + b with analytic backward, on the gemm crate's kernels (AVX-512 where present).
//!
//! The work is cut into a fixed grid of blocks, each one single-threaded product, so the result is
//! bit-equal for any number of threads.

#![allow(unsafe_code)]

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::op::{Shared, by_dtype, column_sums, elements, fused, stored};
use super::real::Real;

/// x `[…, in]`, w `[out, in]`, b `[out]` → `[…, out]`.
pub fn linear(x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (dims, (n_out, n_in)) = (x.dims().to_vec(), w.dims2()?);
    let rows = x.elem_count() / n_in;
    let flat = x.reshape((rows, n_in))?;
    let y = if fused(x) {
        flat.contiguous()?.apply_op3(&w.contiguous()?, b, Linear)?
    } else {
        linear_composed(&flat, w, b)?
    };
    let mut dims = dims;
    *dims.last_mut().expect("a linear layer's input has at least one dimension") = n_out;
    y.reshape(dims)
}

/// The obvious form, for other devices and for the tests.
pub fn linear_composed(x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    x.matmul(&w.t()?)?.broadcast_add(b)
}

/// The same for w in bfloat16: x is rounded to it, sums are single, and so is the result. CPUs have no
/// such product, but that of the rounded numbers in single precision differs only by what a GPU loses
/// when it rounds the sum.
pub fn linear_of_halves(x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    let rounded = x.to_dtype(w.dtype())?;
    if x.device().is_cpu() {
        return linear(&rounded.to_dtype(x.dtype())?, &w.to_dtype(x.dtype())?, b);
    }
    let (mut dims, (n_out, n_in)) = (x.dims().to_vec(), w.dims2()?);
    *dims.last_mut().expect("a linear layer's input has at least one dimension") = n_out;
    let product = rounded.reshape((x.elem_count() / n_in, n_in))?.matmul(&w.t()?)?;
    product.to_dtype(x.dtype())?.broadcast_add(b)?.reshape(dims)
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x, self.name(), forward((x, lx), (w, lw), (b, lb)))
    }
    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _b: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        // An input that no variable feeds needs no gradient: skips one of three products.
        let dx = match x.track_op() {
            true => Some(grad.apply_op2_no_bwd(&w.contiguous()?, &Product { transpose_a: false })?),
            false => None,
        };
        let dw = grad.apply_op2_no_bwd(&x.contiguous()?, &Product { transpose_a: true })?;
        Ok((dx, Some(dw), Some(column_sums(&grad)?)))
    }
}

/// a b, or aᵀ b, of two-dimensional contiguous tensors.
struct Product {
    transpose_a: bool,
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }
    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        la: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(a, self.name(), product((a, la), (b, lb), self.transpose_a))
    }
}

type Arg<'a> = (&'a CpuStorage, &'a Layout);

fn forward<T: Real>(x: Arg, w: Arg, b: Arg) -> Result<(CpuStorage, Shape)> {
    let ((rows, n_in), (n_out, _)) = (x.1.shape().dims2()?, w.1.shape().dims2()?);
    let (x, w, b) = (elements::<T>(x.0, x.1)?, elements::<T>(w.0, w.1)?, elements::<T>(b.0, b.1)?);
    let mut y = Vec::with_capacity(rows * n_out);
    for _ in 0..rows {
        y.extend_from_slice(b);
    }
    let rhs = Strided { data: w, row: 1, col: n_in };
    multiply_add(rows, n_out, n_in, &mut y, Strided { data: x, row: n_in, col: 1 }, rhs);
    stored(y, (rows, n_out))
}

fn product<T: Real>(a: Arg, b: Arg, transpose_a: bool) -> Result<(CpuStorage, Shape)> {
    let ((a0, a1), (k, n)) = (a.1.shape().dims2()?, b.1.shape().dims2()?);
    let m = if transpose_a { a1 } else { a0 };
    let (a, b) = (elements::<T>(a.0, a.1)?, elements::<T>(b.0, b.1)?);
    let (row, col) = if transpose_a { (1, a1) } else { (a1, 1) };
    let mut y = vec![T::zero(); m * n];
    let rhs = Strided { data: b, row: n, col: 1 };
    multiply_add(m, n, k, &mut y, Strided { data: a, row, col }, rhs);
    stored(y, (m, n))
}

/// A matrix as a slice with element strides.
#[derive(Clone, Copy)]
struct Strided<'a, T> {
    data: &'a [T],
    row: usize,
    col: usize,
}

/// y `[m, n]` row-major += a b, over a fixed grid of blocks.
fn multiply_add<T: Real>(m: usize, n: usize, k: usize, y: &mut [T], a: Strided<T>, b: Strided<T>) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    debug_assert!(y.len() >= m * n);
    assert!((m - 1) * a.row + (k - 1) * a.col < a.data.len());
    assert!((k - 1) * b.row + (n - 1) * b.col < b.data.len());
    // Few rows: cut columns, else rows. Small products are not worth a second thread.
    let small = m * n * k < 1 << 20;
    let (dm, dn) = match (small, m >= 192) {
        (true, _) => (m, n),
        (false, true) => (if m >= 512 { 256 } else { 96 }, n),
        (false, false) => (m, if n >= 512 { 256 } else { 96 }),
    };
    let blocks: Vec<(usize, usize)> =
        (0..m).step_by(dm).flat_map(|i| (0..n).step_by(dn).map(move |j| (i, j))).collect();
    let out = Shared(y.as_mut_ptr());
    let one = |&(i, j): &(usize, usize)| {
        let out = &out;
        let (rows, cols) = (dm.min(m - i), dn.min(n - j));
        // SAFETY: blocks are disjoint parts of y, which outlives the loop; the asserts above keep
        // every read of a and b inside its slice.
        unsafe {
            gemm::gemm(
                rows,
                cols,
                k,
                out.0.add(i * n + j),
                1,
                n as isize,
                true,
                a.data.as_ptr().add(i * a.row),
                a.col as isize,
                a.row as isize,
                b.data.as_ptr().add(j * b.col),
                b.col as isize,
                b.row as isize,
                T::one(),
                T::one(),
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    };
    if blocks.len() == 1 { one(&blocks[0]) } else { blocks.par_iter().for_each(one) }
}
