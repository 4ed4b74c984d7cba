//! The point attention of `ipa.rs` in the tensor library's own operations, for devices without the
//! fused form and for the tests. Squared distances are summed point by point, from differences: the
//! expanded square would lose digits, and all points at once would store L×L×heads×points.

use candle_core::{D, Result, Tensor};

use super::ipa::IpaKernel;

impl IpaKernel {
    /// As [`IpaKernel::forward`].
    pub(super) fn composed(&self, x: &Tensor, weights: &Tensor) -> Result<Tensor> {
        let ((b, l), s) = (self.dims, self.shape);
        let (h, c, pq, pv) = (s.heads, s.channels, s.query_points, s.value_points);
        let (rot, trans) = self.frame_tensors(x)?;
        // [B, L, h·w] → [B, h, L, w].
        let heads = |x: &Tensor, w: usize| -> Result<Tensor> {
            x.reshape((b, l, h, w))?.transpose(1, 2)?.contiguous()
        };
        let (kv0, qp0) = (h * c, 3 * h * c);
        let kp0 = qp0 + 3 * h * pq;
        let q = heads(&x.narrow(1, 0, h * c)?.contiguous()?, c)?;
        let kv = heads(&x.narrow(1, kv0, 2 * h * c)?.contiguous()?, 2 * c)?;
        let (k, v) = (kv.narrow(3, 0, c)?.contiguous()?, kv.narrow(3, c, c)?.contiguous()?);
        // Projected points, placed by their residue's frame: [B, h, L, 3 per_head].
        let points = |from: usize, per_head: usize| -> Result<Tensor> {
            let n = h * per_head;
            let local = x.narrow(1, from, 3 * n)?.reshape((b * l, 3, n))?;
            let local = local.transpose(1, 2)?.contiguous()?;
            let placed = local.matmul(&rot.t()?.contiguous()?)?.broadcast_add(&trans)?;
            heads(&placed, 3 * per_head)
        };
        let (qp, kvp) = (points(qp0, pq)?, points(kp0, pq + pv)?);
        let vp = kvp.narrow(3, 3 * pq, 3 * pv)?.contiguous()?;
        let mut square: Option<Tensor> = None;
        for p in 0..pq {
            let at = |t: &Tensor| t.narrow(3, 3 * p, 3);
            let d = at(&qp)?.unsqueeze(3)?.broadcast_sub(&at(&kvp)?.unsqueeze(2)?)?;
            let d = d.sqr()?.sum(D::Minus1)?;
            square = Some(match square {
                None => d,
                Some(sum) => (sum + d)?,
            });
        }
        let mut logits = (q.matmul(&k.t()?)? * (1.0 / (3.0 * c as f64).sqrt()))?;
        if let Some(square) = square {
            // softplus, in the form that does not overflow.
            let softplus = (weights.relu()? + (weights.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
            let gamma = (softplus * (0.5 * (1.0 / (13.5 * pq as f64)).sqrt()))?;
            let pull = square.broadcast_mul(&gamma.reshape((1, h, 1, 1))?)?;
            logits = (logits - pull)?;
        }
        if let Some(mask) = &self.mask {
            let pair = |i: usize| {
                let (row, j) = (i / l, i % l);
                let both = mask[row] && mask[row / l * l + j];
                if both { 0.0 } else { -1e5 }
            };
            let add: Vec<f64> = (0..b * l * l).map(pair).collect();
            let add = Tensor::from_vec(add, (b, 1, l, l), x.device())?.to_dtype(x.dtype())?;
            logits = logits.broadcast_add(&add)?;
        }
        let max = logits.max_keepdim(D::Minus1)?.detach();
        let a = logits.broadcast_sub(&max)?.exp()?;
        let a = a.broadcast_div(&a.sum_keepdim(D::Minus1)?)?;
        let scalars = a.matmul(&v)?.transpose(1, 2)?.contiguous()?.reshape((b * l, h * c))?;
        let global = a.matmul(&vp)?.transpose(1, 2)?.contiguous()?.reshape((b * l, h * pv, 3))?;
        // Rᵀ(p − t), as rows: (p − t) R.
        let local = global.broadcast_sub(&trans)?.matmul(&rot)?;
        let norms = (local.sqr()?.sum(D::Minus1)? + 1e-8)?.sqrt()?;
        let local = local.transpose(1, 2)?.contiguous()?.reshape((b * l, 3 * h * pv))?;
        Tensor::cat(&[scalars, local, norms], 1)
    }

    /// Rotations `[B·L, 3, 3]` and centred translations `[B·L, 1, 3]`, Å, as `x` is stored.
    fn frame_tensors(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let (b, l) = self.dims;
        let rot: Vec<f64> = self.frames.iter().flat_map(|(r, _)| *r).collect();
        let mut trans = Vec::with_capacity(3 * b * l);
        for sample in 0..b {
            let centre = self.centre(sample);
            for (_, t) in &self.frames[sample * l..][..l] {
                trans.extend((0..3).map(|k| t[k] - centre[k]));
            }
        }
        let rot = Tensor::from_vec(rot, (b * l, 3, 3), x.device())?.to_dtype(x.dtype())?;
        let trans = Tensor::from_vec(trans, (b * l, 1, 3), x.device())?.to_dtype(x.dtype())?;
        Ok((rot, trans))
    }
}
