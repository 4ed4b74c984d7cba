//! Layer norms. Without affine parameters but modulated, y = LN(x)(1 + scale) + shift with shift
//! and scale two chunks of a per-group vector (adaLN, METHOD 3); and the affine norm of the
//! conditioning stack. Both over the last dimension with analytic backward.

#![allow(unsafe_code)]

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::op::{block_rows, by_dtype, by_row_blocks, elements, fused, stored};
use super::real::{Real, dispatch, sum_of};

/// Which chunks of the modulation vector `[groups, chunks·C]` a normalisation reads. Rows of x
/// are split evenly among the groups, in order.
#[derive(Clone, Copy, Debug)]
pub struct Modulation {
    /// Chunk that is added.
    pub shift: usize,
    /// Chunk that scales.
    pub scale: usize,
    /// LN's ε.
    pub eps: f64,
}

/// x `[rows, C]`, mods `[groups, chunks·C]` → LN(x)(1 + scale) + shift.
pub fn modulated_norm(x: &Tensor, mods: &Tensor, which: Modulation) -> Result<Tensor> {
    if fused(x) {
        x.contiguous()?.apply_op2(&mods.contiguous()?, ModulatedNorm(which))
    } else {
        modulated_norm_composed(x, mods, which)
    }
}

/// The obvious form, for other devices and for the tests.
pub fn modulated_norm_composed(x: &Tensor, mods: &Tensor, m: Modulation) -> Result<Tensor> {
    let (rows, c) = x.dims2()?;
    let groups = mods.dim(0)?;
    let chunk = |i: usize| mods.narrow(1, i * c, c)?.reshape((groups, 1, c));
    let y = normalised(x, m.eps)?.reshape((groups, rows / groups, c))?;
    y.broadcast_mul(&(chunk(m.scale)? + 1.0)?)?.broadcast_add(&chunk(m.shift)?)?.reshape((rows, c))
}

/// x `[rows, C]`, weight and bias `[C]` → LN(x)·weight + bias.
pub fn affine_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    if fused(x) {
        // weight = 1 + scale: the same kernel with one group serves both norms.
        let scale = (weight - 1.0)?;
        let mods = Tensor::cat(&[bias, &scale], 0)?.unsqueeze(0)?;
        modulated_norm(x, &mods, Modulation { shift: 0, scale: 1, eps })
    } else {
        normalised(x, eps)?.broadcast_mul(weight)?.broadcast_add(bias)
    }
}

fn normalised(x: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let var = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(var + eps)?.sqrt()?)
}

struct ModulatedNorm(Modulation);

impl CustomOp2 for ModulatedNorm {
    fn name(&self) -> &'static str {
        "modulated_norm"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        m: &CpuStorage,
        lm: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x, self.name(), forward(x, lx, m, lm, self.0))
    }
    fn bwd(
        &self,
        x: &Tensor,
        mods: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((rows, c), (groups, width)) = (x.dims2()?, mods.dims2()?);
        let packed = x.contiguous()?.apply_op3_no_bwd(
            &mods.contiguous()?,
            &grad.contiguous()?,
            &ModulatedNormGrad(self.0),
        )?;
        let dx = packed.narrow(0, 0, rows * c)?.reshape((rows, c))?;
        let dm = packed.narrow(0, rows * c, groups * width)?.reshape((groups, width))?;
        Ok((Some(dx), Some(dm)))
    }
}

/// dx followed by dmods, flat.
struct ModulatedNormGrad(Modulation);

impl CustomOp3 for ModulatedNormGrad {
    fn name(&self) -> &'static str {
        "modulated_norm_grad"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        m: &CpuStorage,
        lm: &Layout,
        g: &CpuStorage,
        lg: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x, self.name(), backward((x, lx), (m, lm), (g, lg), self.0))
    }
}

/// Mean and 1/√(variance + ε) of one row.
#[inline(always)]
fn moments<T: Real>(row: &[T], eps: T) -> (T, T) {
    let n = T::of(row.len() as f64);
    let mean = sum_of([row], |[x]| x) / n;
    let var = sum_of([row], |[x]| (x - mean) * (x - mean)) / n;
    (mean, T::one() / (var + eps).sqrt())
}

fn forward<T: Real>(
    x: &CpuStorage,
    lx: &Layout,
    m: &CpuStorage,
    lm: &Layout,
    which: Modulation,
) -> Result<(CpuStorage, Shape)> {
    let ((rows, c), (groups, width)) = (lx.shape().dims2()?, lm.shape().dims2()?);
    let (x, m) = (elements::<T>(x, lx)?, elements::<T>(m, lm)?);
    let per_group = rows / groups;
    let mut y = vec![T::zero(); rows * c];
    by_row_blocks(&mut y, c, block_rows(c), |first, y| {
        let groups = Groups { mods: m, width, per_group, first, which };
        let x = &x[first * c..][..y.len()];
        dispatch!([T] norm_of(x: &[T], c: usize, groups: Groups<T>, y: &mut [T]) -> ());
    });
    stored(y, (rows, c))
}

/// Where rows from `first` on find their modulation.
struct Groups<'a, T> {
    mods: &'a [T],
    width: usize,
    per_group: usize,
    first: usize,
    which: Modulation,
}

#[inline(always)]
fn norm_of<T: Real>(x: &[T], c: usize, groups: Groups<T>, y: &mut [T]) {
    let Groups { mods, width, per_group, first, which } = groups;
    for (i, (row, out)) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)).enumerate() {
        let group = &mods[(first + i) / per_group * width..][..width];
        let (shift, scale) = (&group[which.shift * c..][..c], &group[which.scale * c..][..c]);
        let (mean, inv) = moments(row, T::of(which.eps));
        for k in 0..c {
            out[k] = (row[k] - mean) * inv * (T::one() + scale[k]) + shift[k];
        }
    }
}

type Arg<'a> = (&'a CpuStorage, &'a Layout);

fn backward<T: Real>(x: Arg, m: Arg, g: Arg, which: Modulation) -> Result<(CpuStorage, Shape)> {
    let ((rows, c), (groups, width)) = (x.1.shape().dims2()?, m.1.shape().dims2()?);
    let (x, m, g) = (elements::<T>(x.0, x.1)?, elements::<T>(m.0, m.1)?, elements::<T>(g.0, g.1)?);
    let per_group = rows / groups;
    let mut packed = vec![T::zero(); rows * c + groups * width];
    let (dx, dm) = packed.split_at_mut(rows * c);
    // dx of row block `first..`, and the sums for shift and scale of that block.
    let rows_of = |group: usize, first: usize, dx: &mut [T]| -> Vec<T> {
        let scale = &m[group * width + which.scale * c..][..c];
        let (x, g) = (&x[first * c..][..dx.len()], &g[first * c..][..dx.len()]);
        let eps = T::of(which.eps);
        dispatch!([T] norm_grad_of(x: &[T], g: &[T], scale: &[T], eps: T, dx: &mut [T]) -> Vec<T>)
    };
    // Cut inside groups so that one large group (the affine norm) still uses all threads.
    let step = block_rows(c).min(per_group);
    dx.par_chunks_mut(per_group * c).zip(dm.par_chunks_mut(width)).enumerate().for_each(
        |(group, (dx, dm))| {
            let partial: Vec<Vec<T>> = dx
                .par_chunks_mut(step * c)
                .enumerate()
                .map(|(i, dx)| rows_of(group, group * per_group + i * step, dx))
                .collect();
            for p in partial {
                for k in 0..c {
                    dm[which.shift * c + k] += p[k];
                    dm[which.scale * c + k] += p[c + k];
                }
            }
        },
    );
    let len = packed.len();
    stored(packed, len)
}

/// dx of rows that share a scale; returns their sums for the shift and for the scale.
#[inline(always)]
fn norm_grad_of<T: Real>(x: &[T], g: &[T], scale: &[T], eps: T, dx: &mut [T]) -> Vec<T> {
    let c = scale.len();
    let n = T::of(c as f64);
    let mut sums = vec![T::zero(); 2 * c];
    let (dshift, dscale) = sums.split_at_mut(c);
    let rows = x.chunks_exact(c).zip(g.chunks_exact(c));
    for (dx, (row, grad)) in dx.chunks_exact_mut(c).zip(rows) {
        let (mean, inv) = moments(row, eps);
        for k in 0..c {
            dshift[k] += grad[k];
            dscale[k] += grad[k] * (row[k] - mean) * inv;
        }
        let s1 = sum_of([grad, scale], |[g, scale]| g * (T::one() + scale)) / n;
        let hat = |x: T| (x - mean) * inv;
        let s2 = sum_of([grad, scale, row], |[g, s, x]| g * (T::one() + s) * hat(x)) / n;
        for k in 0..c {
            dx[k] = (grad[k] * (T::one() + scale[k]) - s1 - hat(row[k]) * s2) * inv;
        }
    }
    sums
}
