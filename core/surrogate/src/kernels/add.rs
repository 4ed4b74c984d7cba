//! Sums of tokens: x + y, and x plus a context that n children of one parent share. candle's own
//! addition of large tensors waits in a spinning barrier, which costs more than the sum whenever
//! another program wants a core; this one shares rayon's threads.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::op::{block_rows, by_dtype, by_row_blocks, column_sums, elements, fused, stored};
use super::real::Real;

/// x `[parents·n·width]` (any shape) + context `[parents·width]`, each parent's context added to its
/// n adjacent children. With n = 1 this is x + y.
pub fn add_shared(x: &Tensor, context: &Tensor, parents: usize) -> Result<Tensor> {
    let width = context.elem_count() / parents;
    let n = x.elem_count() / context.elem_count();
    if fused(x) {
        x.contiguous()?.apply_op2(&context.contiguous()?, AddShared { parents, n, width })
    } else {
        let wide = context.reshape((parents, 1, width))?;
        x.reshape((parents, n, width))?.broadcast_add(&wide)?.reshape(x.shape())
    }
}

struct AddShared {
    parents: usize,
    n: usize,
    width: usize,
}

impl CustomOp2 for AddShared {
    fn name(&self) -> &'static str {
        "add_shared"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        c: &CpuStorage,
        lc: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x, self.name(), forward((x, lx), (c, lc), self))
    }
    fn bwd(
        &self,
        _x: &Tensor,
        context: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if self.n == 1 {
            return Ok((Some(grad.clone()), Some(grad.reshape(context.shape())?)));
        }
        let per_parent = grad.reshape((self.parents, self.n, self.width))?;
        let sums: Vec<Tensor> =
            (0..self.parents).map(|p| column_sums(&per_parent.get(p)?)).collect::<Result<_>>()?;
        let shared = Tensor::stack(&sums, 0)?.reshape(context.shape())?;
        Ok((Some(grad.clone()), Some(shared)))
    }
}

fn forward<T: Real>(
    x: (&CpuStorage, &Layout),
    c: (&CpuStorage, &Layout),
    op: &AddShared,
) -> Result<(CpuStorage, Shape)> {
    let shape = x.1.shape().clone();
    let (x, c) = (elements::<T>(x.0, x.1)?, elements::<T>(c.0, c.1)?);
    let mut y = vec![T::zero(); x.len()];
    by_row_blocks(&mut y, op.width, block_rows(op.width), |first, block| {
        for (i, out) in block.chunks_exact_mut(op.width).enumerate() {
            let row = &x[(first + i) * op.width..][..op.width];
            let shared = &c[(first + i) / op.n * op.width..][..op.width];
            for k in 0..op.width {
                out[k] = row[k] + shared[k];
            }
        }
    });
    stored(y, shape)
}
