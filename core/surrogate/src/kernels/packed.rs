//! y = x Wᵀ + b for weights that no longer change: laid out once in the order in which the product
//! reads them, with what follows (gelu, or the gated residual) done while a tile is in cache.
//!
//! Small batches are bound by reading the weights, so nothing of them is copied per call; large
//! ones by the multipliers, which tiles of 12 rows × 32 columns keep busy. Each number is one sum in
//! the order of the inputs, whatever the batch and the number of threads. AVX-512 only: elsewhere,
//! and wherever gradients are wanted, `linear` computes.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp3, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::op::{Shared, elements, fused, stored};
use super::real::Real;

/// Most rows of a tile; columns of a panel (two vectors); most rows whose inputs stay in cache.
const TILE: usize = 12;
const PANEL: usize = 32;
const BLOCK: usize = 96;
/// Most panels per task where rows are too few to cut.
const PANELS_PER_TASK: usize = 8;

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

    /// The product of `rows` rows; `finish(row, column, sums, place)` turns the sums of up to 32
    /// columns into what is written.
    fn run(
        &self,
        x: &[f32],
        finish: impl Fn(usize, usize, &[f32], &mut [f32]) + Sync,
    ) -> Result<(CpuStorage, Shape)> {
        let rows = x.len() / self.n_in;
        let mut y = Vec::<f32>::with_capacity(rows * self.n_out);
        let panels = self.bias.len() / PANEL;
        // A fixed grid, so that threads change nothing: rows are cut where there are many, else
        // panels, into an even number of tasks as equal as they can be.
        let even = |n: usize, most: usize| n.div_ceil(most).next_multiple_of(2);
        let (blocks, groups) = match rows >= 2 * BLOCK {
            true => (even(rows, BLOCK), 1),
            false => (1, even(panels, PANELS_PER_TASK).min(panels)),
        };
        let height = rows.div_ceil(blocks).max(1);
        let tasks: Vec<(usize, usize)> = (0..rows)
            .step_by(height)
            .flat_map(|r| (0..groups).map(move |group| (r, group)))
            .collect();
        let out = Shared(y.as_mut_ptr());
        let one = |&(first, group): &(usize, usize)| {
            let out = &out;
            let height = height.min(rows - first);
            let x = &x[first * self.n_in..][..height * self.n_in];
            let panels = group * panels / groups..(group + 1) * panels / groups;
            let write = |row: usize, column: usize, sums: &[f32]| {
                let at = (first + row) * self.n_out + column;
                let width = PANEL.min(self.n_out - column);
                // SAFETY: tasks cover disjoint rectangles of y's capacity, which outlives them; a
                // place is zeroed before it is lent as a slice.
                let place = unsafe {
                    let place = out.0.add(at);
                    place.write_bytes(0, width);
                    std::slice::from_raw_parts_mut(place, width)
                };
                finish(first + row, column, &sums[..width], place);
            };
            INPUTS.with_borrow_mut(|packed| {
                // SAFETY: a `Packed` exists only where AVX-512 was detected.
                unsafe { self.block(x, panels, packed, write) }
            });
        };
        if tasks.len() == 1 || rows * self.panels.len() < 1 << 20 {
            tasks.iter().for_each(one);
        } else {
            tasks.par_iter().for_each(one);
        }
        // SAFETY: the tasks have written every element.
        unsafe { y.set_len(rows * self.n_out) };
        stored(y, (rows, self.n_out))
    }

    /// One block of rows times some panels.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
    fn block(
        &self,
        x: &[f32],
        panels: std::ops::Range<usize>,
        packed: &mut Vec<f32>,
        write: impl Fn(usize, usize, &[f32]),
    ) {
        let (k, rows) = (self.n_in, x.len() / self.n_in);
        let tiles = rows.div_ceil(TILE);
        // Rows split as evenly as whole tiles allow.
        let first = |tile: usize| tile * rows / tiles;
        packed.resize(rows * k, 0.0);
        for tile in 0..tiles {
            let (from, to) = (first(tile), first(tile + 1));
            let own = &mut packed[from * k..to * k];
            for start in (0..k).step_by(16) {
                for i in from..to {
                    for p in start..(start + 16).min(k) {
                        own[p * (to - from) + i - from] = x[i * k + p];
                    }
                }
            }
        }
        let mut sums = [[0.0f32; PANEL]; TILE];
        for panel in panels {
            let weights = &self.panels[panel * PANEL * k..][..PANEL * k];
            let bias = &self.bias[panel * PANEL..][..PANEL];
            for tile in 0..tiles {
                let (from, to) = (first(tile), first(tile + 1));
                let x = &packed[from * k..to * k];
                macro_rules! sized {
                    ($($m:literal)*) => {
                        match to - from {
                            $($m => tile_of::<$m>(x, weights, bias, &mut sums),)*
                            _ => unreachable!("tiles have at most 12 rows"),
                        }
                    };
                }
                sized!(1 2 3 4 5 6 7 8 9 10 11 12);
                for (i, sums) in sums[..to - from].iter().enumerate() {
                    write(from + i, panel * PANEL, sums);
                }
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn block(
        &self,
        _: &[f32],
        _: std::ops::Range<usize>,
        _: &mut Vec<f32>,
        _: impl Fn(usize, usize, &[f32]),
    ) {
        unreachable!("weights are packed on x86-64 only")
    }
}

thread_local! {
    /// A task's inputs, in the order in which tiles read them.
    static INPUTS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512bw");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// M rows × 32 columns: x `[k, M]`, weights `[k, 32]`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn tile_of<const M: usize>(
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
    sums: &mut [[f32; PANEL]; TILE],
) {
    use std::arch::x86_64::*;
    let k = weights.len() / PANEL;
    assert!(x.len() == k * M && bias.len() == PANEL && weights.len() == k * PANEL);
    let (x, w) = (x.as_ptr(), weights.as_ptr());
    // SAFETY: the lengths were just checked; every access below stays within them.
    unsafe {
        let start = [_mm512_loadu_ps(bias.as_ptr()), _mm512_loadu_ps(bias.as_ptr().add(16))];
        let mut acc = [start; M];
        for p in 0..k {
            let w0 = _mm512_loadu_ps(w.add(p * PANEL));
            let w1 = _mm512_loadu_ps(w.add(p * PANEL + 16));
            for (i, acc) in acc.iter_mut().enumerate() {
                let a = _mm512_set1_ps(*x.add(p * M + i));
                acc[0] = _mm512_fmadd_ps(a, w0, acc[0]);
                acc[1] = _mm512_fmadd_ps(a, w1, acc[1]);
            }
        }
        for (acc, sums) in acc.iter().zip(sums) {
            _mm512_storeu_ps(sums.as_mut_ptr(), acc[0]);
            _mm512_storeu_ps(sums.as_mut_ptr().add(16), acc[1]);
        }
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
        let x = elements::<f32>(x, lx)?;
        match self.1 {
            Then::Nothing => self.0.run(x, |_, _, sums, place| place.copy_from_slice(sums)),
            Then::Gelu => self.0.run(x, |_, _, sums, place| {
                f32::normal_cdf(sums, place);
                place.iter_mut().zip(sums).for_each(|(y, x)| *y *= *x);
            }),
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
        let ((rows, c), (groups, width)) = (lh.shape().dims2()?, lm.shape().dims2()?);
        let (x, h, m) = (elements::<f32>(x, lx)?, elements::<f32>(h, lh)?, elements::<f32>(m, lm)?);
        let per_group = rows / groups;
        packed.run(x, |row, column, sums, place| {
            let h = &h[row * c + column..][..sums.len()];
            let g = &m[row / per_group * width + gate * c + column..][..sums.len()];
            for k in 0..sums.len() {
                place[k] = h[k] + g[k] * sums[k];
            }
        })
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

    #[test]
    fn weights_that_learn_or_are_exact_are_not_packed() {
        let (w, b) = (wave((8, 4), 0.3), wave((1, 8), 0.1).squeeze(0).unwrap());
        let var = candle_core::Var::from_tensor(&w).unwrap();
        assert!(Packed::new(var.as_tensor(), &b).unwrap().is_none());
        let exact = w.to_dtype(DType::F64).unwrap();
        assert!(Packed::new(&exact, &b).unwrap().is_none());
    }
}
