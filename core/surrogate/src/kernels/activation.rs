//! Element-wise operations of the blocks: gelu in its exact erf form, and the gated residual
//! h + gate·y with a per-group gate.

#![allow(unsafe_code)]

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::op::{block_rows, by_dtype, by_row_blocks, elements, fused, stored};
use super::real::{Real, dispatch};

/// x Φ(x).
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if fused(x) { x.contiguous()?.apply_op1(Gelu) } else { x.gelu_erf() }
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }
    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s, self.name(), gelu_forward(s, l))
    }
    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(x.contiguous()?.apply_op2_no_bwd(&grad.contiguous()?, &GeluGrad)?))
    }
}

struct GeluGrad;

impl CustomOp2 for GeluGrad {
    fn name(&self) -> &'static str {
        "gelu_grad"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        g: &CpuStorage,
        lg: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x, self.name(), gelu_backward(x, lx, g, lg))
    }
}

fn gelu_forward<T: Real>(s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
    let x = elements::<T>(s, l)?;
    let mut y = vec![T::zero(); x.len()];
    by_row_blocks(&mut y, 1, block_rows(1), |first, y| {
        let x = &x[first..][..y.len()];
        dispatch!([T] gelu_of(x: &[T], y: &mut [T]) -> ());
    });
    stored(y, l.shape().clone())
}

#[inline(always)]
fn gelu_of<T: Real>(x: &[T], y: &mut [T]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = *x * T::normal_cdf(*x);
    }
}

/// d(xΦ(x)) = Φ(x) + x φ(x).
fn gelu_backward<T: Real>(
    x: &CpuStorage,
    lx: &Layout,
    g: &CpuStorage,
    lg: &Layout,
) -> Result<(CpuStorage, Shape)> {
    let (x, g) = (elements::<T>(x, lx)?, elements::<T>(g, lg)?);
    let mut y = vec![T::zero(); x.len()];
    by_row_blocks(&mut y, 1, block_rows(1), |first, y| {
        let (x, g) = (&x[first..][..y.len()], &g[first..][..y.len()]);
        dispatch!([T] gelu_grad_of(x: &[T], g: &[T], y: &mut [T]) -> ());
    });
    stored(y, lx.shape().clone())
}

#[inline(always)]
fn gelu_grad_of<T: Real>(x: &[T], g: &[T], y: &mut [T]) {
    let norm = T::of(1.0 / (2.0 * std::f64::consts::PI).sqrt());
    let mut density: Vec<T> = x.iter().map(|v| *v * *v * T::of(-0.5)).collect();
    T::exp_slice(&mut density);
    for i in 0..y.len() {
        y[i] = g[i] * (T::normal_cdf(x[i]) + x[i] * density[i] * norm);
    }
}

/// h `[rows, C]` + mods chunk `gate` of `[groups, chunks·C]` × y `[rows, C]`.
pub fn gated_residual(h: &Tensor, y: &Tensor, mods: &Tensor, gate: usize) -> Result<Tensor> {
    if fused(h) {
        let (y, mods) = (y.contiguous()?, mods.contiguous()?);
        h.contiguous()?.apply_op3(&y, &mods, GatedResidual { gate })
    } else {
        gated_residual_composed(h, y, mods, gate)
    }
}

/// The obvious form, for other devices and for the tests.
pub fn gated_residual_composed(
    h: &Tensor,
    y: &Tensor,
    mods: &Tensor,
    gate: usize,
) -> Result<Tensor> {
    let ((rows, c), groups) = (h.dims2()?, mods.dim(0)?);
    let g = mods.narrow(1, gate * c, c)?.reshape((groups, 1, c))?;
    h + y.reshape((groups, rows / groups, c))?.broadcast_mul(&g)?.reshape((rows, c))?
}

struct GatedResidual {
    gate: usize,
}

impl CustomOp3 for GatedResidual {
    fn name(&self) -> &'static str {
        "gated_residual"
    }
    fn cpu_fwd(
        &self,
        h: &CpuStorage,
        lh: &Layout,
        y: &CpuStorage,
        ly: &Layout,
        m: &CpuStorage,
        lm: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(h, self.name(), residual((h, lh), (y, ly), (m, lm), self.gate))
    }
    fn bwd(
        &self,
        _h: &Tensor,
        y: &Tensor,
        mods: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let ((rows, c), (groups, width)) = (y.dims2()?, mods.dims2()?);
        let grad = grad.contiguous()?;
        let op = GatedResidualGrad { gate: self.gate };
        let packed = y.contiguous()?.apply_op3_no_bwd(&mods.contiguous()?, &grad, &op)?;
        let dy = packed.narrow(0, 0, rows * c)?.reshape((rows, c))?;
        let dm = packed.narrow(0, rows * c, groups * width)?.reshape((groups, width))?;
        Ok((Some(grad), Some(dy), Some(dm)))
    }
}

/// dy followed by dmods, flat.
struct GatedResidualGrad {
    gate: usize,
}

impl CustomOp3 for GatedResidualGrad {
    fn name(&self) -> &'static str {
        "gated_residual_grad"
    }
    fn cpu_fwd(
        &self,
        y: &CpuStorage,
        ly: &Layout,
        m: &CpuStorage,
        lm: &Layout,
        g: &CpuStorage,
        lg: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(y, self.name(), residual_grad((y, ly), (m, lm), (g, lg), self.gate))
    }
}

type Arg<'a> = (&'a CpuStorage, &'a Layout);

fn residual<T: Real>(h: Arg, y: Arg, m: Arg, gate: usize) -> Result<(CpuStorage, Shape)> {
    let ((rows, c), (groups, width)) = (h.1.shape().dims2()?, m.1.shape().dims2()?);
    let (h, y, m) = (elements::<T>(h.0, h.1)?, elements::<T>(y.0, y.1)?, elements::<T>(m.0, m.1)?);
    let per_group = rows / groups;
    let mut out = vec![T::zero(); rows * c];
    by_row_blocks(&mut out, c, block_rows(c), |first, block| {
        for (i, out) in block.chunks_exact_mut(c).enumerate() {
            let at = first + i;
            let g = &m[at / per_group * width + gate * c..][..c];
            let (h, y) = (&h[at * c..][..c], &y[at * c..][..c]);
            for k in 0..c {
                out[k] = h[k] + g[k] * y[k];
            }
        }
    });
    stored(out, (rows, c))
}

fn residual_grad<T: Real>(y: Arg, m: Arg, g: Arg, gate: usize) -> Result<(CpuStorage, Shape)> {
    let ((rows, c), (groups, width)) = (y.1.shape().dims2()?, m.1.shape().dims2()?);
    let (y, m, g) = (elements::<T>(y.0, y.1)?, elements::<T>(m.0, m.1)?, elements::<T>(g.0, g.1)?);
    let per_group = rows / groups;
    let mut packed = vec![T::zero(); rows * c + groups * width];
    let (dy, dm) = packed.split_at_mut(rows * c);
    dy.par_chunks_mut(per_group * c).zip(dm.par_chunks_mut(width)).enumerate().for_each(
        |(group, (dy, dm))| {
            let gates = &m[group * width + gate * c..][..c];
            let dgate = &mut dm[gate * c..][..c];
            for (i, dy) in dy.chunks_exact_mut(c).enumerate() {
                let at = (group * per_group + i) * c;
                let (y, grad) = (&y[at..][..c], &g[at..][..c]);
                for k in 0..c {
                    dy[k] = grad[k] * gates[k];
                    dgate[k] += grad[k] * y[k];
                }
            }
        },
    );
    let len = packed.len();
    stored(packed, len)
}
