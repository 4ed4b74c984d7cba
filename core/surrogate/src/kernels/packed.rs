//! y = x Wᵀ + b for weights that no longer change: laid out once in the order in which the product
//! reads them, with what follows (gelu, or the gated residual) done while a tile is in cache.
//!
//! Small batches are bound by reading the weights, so nothing of them is copied per call; large
//! ones by the multipliers (`tile`). Where there is no AVX-512, and wherever gradients are wanted,
//! `linear` computes.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp3, DType, Layout, Result, Shape, Tensor};

use super::op::{elements, fused, stored};
use super::real::Real;
use super::tile::{
    Finish, Left, Lines, PANEL, Panels, Plain, available, lines_of, product, product_of_product,
    tall,
};

/// The weights and bias of one linear layer.
pub struct Packed {
    n_in: usize,
    n_out: usize,
    /// `[n_out / 32, n_in, 32]`, missing columns zero.
    panels: Vec<f32>,
    /// Padded with zeros to whole panels.
    bias: Vec<f32>,
}

impl Packed {
    /// Lays constant weights out; `None` where the product is better left to `linear`.
    pub fn new(weight: &Tensor, bias: &Tensor) -> Result<Option<Arc<Self>>> {
        let constant = |t: &Tensor| fused(t) && t.dtype() == DType::F32 && !t.track_op();
        if !(available() && constant(weight) && constant(bias)) {
            return Ok(None);
        }
        let (n_out, n_in) = weight.dims2()?;
        let w: Vec<f32> = weight.flatten_all()?.to_vec1()?;
        let width = n_out.next_multiple_of(PANEL);
        let mut panels = vec![0.0; width * n_in];
        for (j, row) in w.chunks_exact(n_in).enumerate() {
            let panel = &mut panels[j / PANEL * PANEL * n_in..];
            for (p, v) in row.iter().enumerate() {
                panel[p * PANEL + j % PANEL] = *v;
            }
        }
        let mut bias: Vec<f32> = bias.to_vec1()?;
        bias.resize(width, 0.0);
        Ok(Some(Arc::new(Self { n_in, n_out, panels, bias })))
    }

    /// x `[…, in]` → `[…, out]`.
    pub fn apply(self: &Arc<Self>, x: &Tensor) -> Result<Tensor> {
        let mut dims = x.dims().to_vec();
        let flat = x.reshape((x.elem_count() / self.n_in, self.n_in))?.contiguous()?;
        *dims.last_mut().expect("an input has at least one dimension") = self.n_out;
        flat.apply_op1_no_bwd(&Product(self.clone(), Then::Nothing))?.reshape(dims)
    }

    /// x `[rows, in]` → gelu of the product.
    pub fn apply_gelu(self: &Arc<Self>, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(&Product(self.clone(), Then::Gelu))
    }

    /// h + chunk `gate` of mods `[groups, chunks·out]` × the product of x `[rows, in]`.
    pub fn gated(
        self: &Arc<Self>,
        x: &Tensor,
        h: &Tensor,
        mods: &Tensor,
        gate: usize,
    ) -> Result<Tensor> {
        let op = Gated(self.clone(), gate);
        x.contiguous()?.apply_op3_no_bwd(&h.contiguous()?, &mods.contiguous()?, &op)
    }

    /// As `then.gated` of `self.apply_gelu`, for rows enough without what lies between them in memory.
    pub fn gelu_gated(
        self: &Arc<Self>,
        then: &Arc<Self>,
        x: &Tensor,
        h: &Tensor,
        mods: &Tensor,
        gate: usize,
    ) -> Result<Tensor> {
        if !tall(x.dim(0)?) {
            return then.gated(&self.apply_gelu(x)?, h, mods, gate);
        }
        let op = GeluGated(self.clone(), then.clone(), gate);
        x.contiguous()?.apply_op3_no_bwd(&h.contiguous()?, &mods.contiguous()?, &op)
    }

    fn product(&self, x: &CpuStorage, lx: &Layout, f: &impl Finish) -> Result<(CpuStorage, Shape)> {
        let x = elements::<f32>(x, lx)?;
        let rows = x.len() / self.n_in;
        let y = product(Left::Rows(x), (rows, self.n_in, self.n_out), self, f);
        stored(y, (rows, self.n_out))
    }
}

impl Panels for Packed {
    #[inline(always)]
    fn part<'a>(
        &'a self,
        panel: usize,
        terms: Range<usize>,
        _: &'a mut [[f32; PANEL]],
    ) -> &'a [f32] {
        let first = panel * self.n_in;
        &self.panels[(first + terms.start) * PANEL..(first + terms.end) * PANEL]
    }
    #[inline(always)]
    fn bias(&self, panel: usize) -> [f32; PANEL] {
        self.bias.as_chunks().0[panel]
    }
    #[inline(always)]
    fn ahead(&self, panel: usize, terms: Range<usize>, piece: usize, n: usize) -> impl Lines {
        let (first, depth) = (panel * self.n_in + terms.start, terms.len());
        let terms = first + piece * depth / n..first + (piece + 1) * depth / n;
        lines_of(&self.panels[terms.start * PANEL..terms.end * PANEL])
    }
}

/// What happens to the sums before they are written.
#[derive(Clone, Copy)]
enum Then {
    Nothing,
    Gelu,
}

struct Product(Arc<Packed>, Then);

impl CustomOp1 for Product {
    fn name(&self) -> &'static str {
        "packed_product"
    }
    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        match self.1 {
            Then::Nothing => self.0.product(x, lx, &Plain),
            Then::Gelu => self.0.product(x, lx, &Smoothed),
        }
    }
}

struct Gated(Arc<Packed>, usize);

impl CustomOp3 for Gated {
    fn name(&self) -> &'static str {
        "packed_gated"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        h: &CpuStorage,
        lh: &Layout,
        m: &CpuStorage,
        lm: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Self(packed, gate) = self;
        packed.product(x, lx, &Residual::new((h, lh), (m, lm), *gate)?)
    }
}

struct GeluGated(Arc<Packed>, Arc<Packed>, usize);

impl CustomOp3 for GeluGated {
    fn name(&self) -> &'static str {
        "packed_gelu_gated"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        h: &CpuStorage,
        lh: &Layout,
        m: &CpuStorage,
        lm: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Self(one, two, gate) = self;
        let x = elements::<f32>(x, lx)?;
        let sizes = (x.len() / one.n_in, one.n_in, one.n_out, two.n_out);
        let residual = Residual::new((h, lh), (m, lm), *gate)?;
        let y = product_of_product(x, sizes, (&**one, &Smoothed), (&**two, &residual));
        stored(y, (sizes.0, two.n_out))
    }
}

/// The gelu of the sums.
struct Smoothed;

impl Finish for Smoothed {
    #[inline(always)]
    fn row(&self, _: usize, _: usize, sums: &mut [f32]) {
        for x in sums {
            *x *= f32::normal_cdf(*x);
        }
    }
}

/// h `[rows, c]` + gates, the first of them in rows `width` apart, × the sums.
struct Residual<'a> {
    h: &'a [f32],
    gates: &'a [f32],
    c: usize,
    width: usize,
    per_group: usize,
}

impl<'a> Residual<'a> {
    fn new(
        (h, lh): (&'a CpuStorage, &Layout),
        (m, lm): (&'a CpuStorage, &Layout),
        gate: usize,
    ) -> Result<Self> {
        let ((rows, c), (groups, width)) = (lh.shape().dims2()?, lm.shape().dims2()?);
        let (h, m) = (elements::<f32>(h, lh)?, elements::<f32>(m, lm)?);
        Ok(Self { h, gates: &m[gate * c..], c, width, per_group: rows / groups })
    }
}

impl Finish for Residual<'_> {
    #[inline(always)]
    fn row(&self, row: usize, column: usize, sums: &mut [f32]) {
        let h = &self.h[row * self.c + column..][..sums.len()];
        let g = &self.gates[row / self.per_group * self.width + column..][..sums.len()];
        for k in 0..sums.len() {
            sums[k] = h[k] + g[k] * sums[k];
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::{gated_residual, gelu, linear};
    use super::*;

    fn wave(dims: (usize, usize), step: f64) -> Tensor {
        let values: Vec<f32> =
            (0..dims.0 * dims.1).map(|k| (step * k as f64).sin() as f32).collect();
        Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
    }

    fn apart(a: &Tensor, b: &Tensor) -> f32 {
        let d = (a - b).unwrap().abs().unwrap();
        d.flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    /// Shapes around every edge of tiles, panels, blocks and tasks.
    #[test]
    fn packed_weights_give_the_product_and_what_follows() {
        for (n_in, n_out) in [(21, 384), (384, 21), (37, 70), (384, 600)] {
            let (w, b) = (wave((n_out, n_in), 0.37), wave((1, n_out), 0.11).squeeze(0).unwrap());
            let Some(packed) = Packed::new(&w, &b).unwrap() else {
                return marsfm_test_support::skip(
                    "packed_weights_give_the_product_and_what_follows",
                    "this processor has no AVX-512",
                );
            };
            for rows in [1, 8, 12, 13, 95, 192, 203] {
                let (x, h) = (wave((rows, n_in), 0.71), wave((rows, n_out), 0.23));
                let want = linear(&x, &w, &b).unwrap();
                assert!(apart(&packed.apply(&x).unwrap(), &want) < 2e-5, "{n_in} {n_out} {rows}");
                let got = packed.apply_gelu(&x).unwrap();
                assert!(apart(&got, &gelu(&want).unwrap()) < 2e-5);
                for groups in [1, rows] {
                    let mods = wave((groups, 2 * n_out), 0.05);
                    let got = packed.gated(&x, &h, &mods, 1).unwrap();
                    assert!(apart(&got, &gated_residual(&h, &want, &mods, 1).unwrap()) < 2e-5);
                }
                // A row's numbers do not depend on its neighbours.
                let alone = packed.apply(&x.narrow(0, rows - 1, 1).unwrap()).unwrap();
                let among = packed.apply(&x).unwrap().narrow(0, rows - 1, 1).unwrap();
                assert_eq!(apart(&alone, &among), 0.0);
            }
        }
    }

    /// Two maps in one go are the two, to the bit, wherever rows are cut.
    #[test]
    fn two_maps_in_one_go_are_the_two_maps() {
        let bias = |n: usize| wave((1, n), 0.11).squeeze(0).unwrap();
        let pack = |n_in, n_out| Packed::new(&wave((n_out, n_in), 0.37), &bias(n_out)).unwrap();
        let (Some(one), Some(two)) = (pack(37, 150), pack(150, 70)) else {
            return marsfm_test_support::skip(
                "two_maps_in_one_go_are_the_two_maps",
                "this processor has no AVX-512",
            );
        };
        for rows in [12, 289, 600, 1001] {
            let (x, h) = (wave((rows, 37), 0.71), wave((rows, 70), 0.23));
            for groups in [1, rows] {
                let mods = wave((groups, 140), 0.05);
                let want = two.gated(&one.apply_gelu(&x).unwrap(), &h, &mods, 1).unwrap();
                let got = one.gelu_gated(&two, &x, &h, &mods, 1).unwrap();
                assert_eq!(apart(&got, &want), 0.0, "{rows} rows, {groups} groups");
            }
        }
    }

    #[test]
    fn weights_that_learn_or_are_exact_are_not_packed() {
        let (w, b) = (wave((8, 4), 0.3), wave((1, 8), 0.1).squeeze(0).unwrap());
        let var = candle_core::Var::from_tensor(&w).unwrap();
        assert!(Packed::new(var.as_tensor(), &b).unwrap().is_none());
        let exact = w.to_dtype(DType::F64).unwrap();
        assert!(Packed::new(&exact, &b).unwrap().is_none());
    }
}
