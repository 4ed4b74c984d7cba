//! Invariant point attention over residues without pair features (METHOD 3.2).
//!
//! logit_ij = q_i·k_j/√(3c) − ½γ_h Σ_p |Q_ip − K_jp|² + 10⁵(m_i m_j − 1), γ_h = softplus(w_h)·
//! √(1/(3·P_q·4.5)); Q, K, V points are the projected ones moved by the residue frames (Å, centred
//! per sample: only differences matter). The result is brought back into each residue's frame.
//! Nothing of size L×L×heads×points is ever stored: one row of logits per task is.

#![allow(unsafe_code)]

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::attention::softmax;
use super::op::{by_dtype, elements, fused, stored};
use super::real::{LANES, Real, axpy, dispatch, dot, padded, small_product};

/// Sizes of the point attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpaShape {
    /// Heads H.
    pub heads: usize,
    /// Scalar channels c per head.
    pub channels: usize,
    /// Query and key points per head.
    pub query_points: usize,
    /// Value points per head.
    pub value_points: usize,
}

impl IpaShape {
    /// Columns of the joint projection: q, kv, q points, kv points.
    pub fn projection(&self) -> usize {
        let Self { heads: h, channels: c, query_points: pq, value_points: pv } = *self;
        h * c + 2 * h * c + 3 * h * pq + 3 * h * (pq + pv)
    }

    /// Columns of the result: scalars, x, y, z and norms of the value points.
    pub fn output(&self) -> usize {
        self.heads * (self.channels + 4 * self.value_points)
    }
}

/// What the point attention needs beside its tensors.
#[derive(Clone, Debug)]
pub struct IpaKernel {
    /// Samples B and residues L.
    pub dims: (usize, usize),
    /// Sizes.
    pub shape: IpaShape,
    /// Residue frames, `[B·L]`: rotation (row-major) and translation in Å.
    pub frames: Arc<Vec<([f64; 9], [f64; 3])>>,
    /// 1 = real residue, `[B·L]`; `None` if all are.
    pub mask: Option<Arc<Vec<bool>>>,
}

impl IpaKernel {
    /// projection `[B·L, shape.projection()]`, head weights `[H]` → `[B·L, shape.output()]`.
    pub fn forward(&self, projection: &Tensor, weights: &Tensor) -> Result<Tensor> {
        if fused(projection) {
            let (x, w) = (projection.contiguous()?, weights.contiguous()?);
            x.apply_op2(&w, Fused(self.clone()))
        } else {
            self.composed(projection, weights)
        }
    }
}

impl IpaKernel {
    /// Mean translation of the real residues of sample `b`, Å.
    pub(super) fn centre(&self, b: usize) -> [f64; 3] {
        let l = self.dims.1;
        let frames = &self.frames[b * l..][..l];
        let mask = self.mask.as_ref().map(|m| &m[b * l..][..l]);
        let real = |i: usize| mask.is_none_or(|m| m[i]);
        let n = (0..l).filter(|i| real(*i)).count().max(1) as f64;
        let mut centre = [0.0; 3];
        for (_, (_, t)) in frames.iter().enumerate().filter(|(i, _)| real(*i)) {
            (0..3).for_each(|x| centre[x] += t[x] / n);
        }
        centre
    }
}

struct Fused(IpaKernel);

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "ipa"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x, self.name(), forward((x, lx), (w, lw), &self.0))
    }
    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((rows, width), heads) = (x.dims2()?, w.dim(0)?);
        let op = FusedGrad(self.0.clone());
        let packed = x.contiguous()?.apply_op3_no_bwd(w, &grad.contiguous()?, &op)?;
        let dx = packed.narrow(0, 0, rows * width)?.reshape((rows, width))?;
        Ok((Some(dx), Some(packed.narrow(0, rows * width, heads)?)))
    }
}

/// dprojection followed by dweights, flat.
struct FusedGrad(IpaKernel);

impl CustomOp3 for FusedGrad {
    fn name(&self) -> &'static str {
        "ipa_grad"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        g: &CpuStorage,
        lg: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x, self.name(), backward((x, lx), (w, lw), (g, lg), &self.0))
    }
}

type Arg<'a> = (&'a CpuStorage, &'a Layout);

/// Residues whose attention is held at once.
const ROWS: usize = 16;
/// Residues of a chain that is worth two tasks.
const LONG: usize = 64;

/// One sample: its frames in the working type, centred, and where each block of columns begins.
struct Sample<'a, T> {
    op: &'a IpaKernel,
    rot: Vec<[T; 9]>,
    trans: Vec<[T; 3]>,
    mask: Option<&'a [bool]>,
}

/// One head of one sample, gathered: scalars and global points, rows of residues; keys also
/// transposed, `[channels, padded(L)]`; rows of v padded to whole lanes.
struct Head<T> {
    q: Vec<T>,
    k: Vec<T>,
    k_t: Vec<T>,
    v: Vec<T>,
    gamma: T,
}

impl<'a, T: Real> Sample<'a, T> {
    fn new(op: &'a IpaKernel, b: usize) -> Self {
        let l = op.dims.1;
        let frames = &op.frames[b * l..][..l];
        let mask = op.mask.as_ref().map(|m| &m[b * l..][..l]);
        let centre = op.centre(b);
        let rot = frames.iter().map(|(r, _)| r.map(T::of)).collect();
        let trans =
            frames.iter().map(|(_, t)| [0, 1, 2].map(|x| T::of(t[x] - centre[x]))).collect();
        Self { op, rot, trans, mask }
    }

    /// Rows of one head: scalars first, then points as x, y, z triples, globally placed. For
    /// queries and keys, so that one dot product serves scalars and one difference the points.
    #[inline(always)]
    fn gather(&self, x: &[T], h: usize, weight: T) -> Head<T> {
        let s = self.op.shape;
        let (c, pq, pv, heads) = (s.channels, s.query_points, s.value_points, s.heads);
        let (l, width) = (self.op.dims.1, s.projection());
        let (kv0, qp0) = (heads * c, 3 * heads * c);
        let kp0 = qp0 + 3 * heads * pq;
        let (qk, vw) = (c + 3 * pq, padded(c + 3 * pv));
        let (mut q, mut k, mut v) =
            (vec![T::zero(); l * qk], vec![T::zero(); l * qk], vec![T::zero(); l * vw]);
        for i in 0..l {
            let row = &x[i * width..][..width];
            q[i * qk..][..c].copy_from_slice(&row[h * c..][..c]);
            k[i * qk..][..c].copy_from_slice(&row[kv0 + 2 * h * c..][..c]);
            v[i * vw..][..c].copy_from_slice(&row[kv0 + (2 * h + 1) * c..][..c]);
            let point = |base: usize, per_head: usize, p: usize| {
                let at = base + h * per_head + p;
                let block = heads * per_head;
                self.place(i, [row[at], row[at + block], row[at + 2 * block]])
            };
            for p in 0..pq {
                q[i * qk + c + 3 * p..][..3].copy_from_slice(&point(qp0, pq, p));
                k[i * qk + c + 3 * p..][..3].copy_from_slice(&point(kp0, pq + pv, p));
            }
            for p in 0..pv {
                v[i * vw + c + 3 * p..][..3].copy_from_slice(&point(kp0, pq + pv, pq + p));
            }
        }
        let softplus =
            if weight > T::of(20.0) { weight } else { T::of((1.0 + weight.to_f64().exp()).ln()) };
        let keys = padded(l);
        let mut k_t = vec![T::zero(); qk * keys];
        for (j, k) in k.chunks_exact(qk).enumerate() {
            k.iter().enumerate().for_each(|(x, k)| k_t[x * keys + j] = *k);
        }
        Head { q, k, k_t, v, gamma: softplus * T::of((1.0 / (13.5 * pq as f64)).sqrt()) }
    }

    /// R_i p + t_i.
    #[inline(always)]
    fn place(&self, i: usize, p: [T; 3]) -> [T; 3] {
        let (r, t) = (&self.rot[i], &self.trans[i]);
        [0, 1, 2].map(|a| r[3 * a] * p[0] + r[3 * a + 1] * p[1] + r[3 * a + 2] * p[2] + t[a])
    }

    /// R_iᵀ v.
    #[inline(always)]
    fn turn_back(&self, i: usize, v: [T; 3]) -> [T; 3] {
        let r = &self.rot[i];
        [0, 1, 2].map(|a| r[a] * v[0] + r[3 + a] * v[1] + r[6 + a] * v[2])
    }

    /// R_i v.
    #[inline(always)]
    fn turn(&self, i: usize, v: [T; 3]) -> [T; 3] {
        let r = &self.rot[i];
        [0, 1, 2].map(|a| r[3 * a] * v[0] + r[3 * a + 1] * v[1] + r[3 * a + 2] * v[2])
    }

    /// Attention of residue i of one head, into `a` `[padded(L)]`; the padding is zero.
    #[inline(always)]
    fn attend(&self, head: &Head<T>, i: usize, a: &mut [T]) {
        let s = self.op.shape;
        let (c, qk, keys) = (s.channels, s.channels + 3 * s.query_points, a.len());
        let scale = T::of(1.0 / (3.0 * c as f64).sqrt());
        let half_gamma = head.gamma * T::of(0.5);
        let q = &head.q[i * qk..][..qk];
        for (block, a) in a.chunks_exact_mut(LANES).enumerate() {
            let (mut product, mut square) = ([T::zero(); LANES], [T::zero(); LANES]);
            let at = |x: usize| &head.k_t[x * keys + block * LANES..][..LANES];
            for (x, q) in q[..c].iter().enumerate() {
                product.iter_mut().zip(at(x)).for_each(|(sum, k)| *sum += *q * *k);
            }
            for (x, q) in q.iter().enumerate().skip(c) {
                let apart = square.iter_mut().zip(at(x));
                apart.for_each(|(sum, k)| *sum += (*q - *k) * (*q - *k));
            }
            for lane in 0..LANES {
                a[lane] = scale * product[lane] - half_gamma * square[lane];
            }
        }
        let (real, padding) = a.split_at_mut(self.op.dims.1);
        if let Some(mask) = self.mask {
            let masked = (0..real.len()).filter(|j| !(mask[i] && mask[*j]));
            masked.for_each(|j| real[j] += T::of(-1e5));
        }
        softmax(real);
        padding.fill(T::zero());
    }
}

fn forward<T: Real>(x: Arg, w: Arg, op: &IpaKernel) -> Result<(CpuStorage, Shape)> {
    let (x, w) = (elements::<T>(x.0, x.1)?, elements::<T>(w.0, w.1)?);
    let (rows, l) = (op.dims.0 * op.dims.1, op.dims.1);
    let (width, out_width) = (op.shape.projection(), op.shape.output());
    let mut y = vec![T::zero(); rows * out_width];
    // A long chain is worth two tasks, each gathering all keys.
    let rows_per_task = if l >= LONG { l.div_ceil(2) } else { l };
    y.par_chunks_mut(l * out_width).enumerate().for_each(|(b, y)| {
        let (sample, x) = (&Sample::<T>::new(op, b), &x[b * l * width..][..l * width]);
        y.par_chunks_mut(rows_per_task * out_width).enumerate().for_each(|(part, y)| {
            let from = part * rows_per_task;
            dispatch!([T] rows_of_sample(sample: &Sample<T>, x: &[T], w: &[T], from: usize, y: &mut [T]) -> ());
        });
    });
    stored(y, (rows, out_width))
}

/// One sample: rows of the projection to the rows of the result that begin at `from`.
#[inline(always)]
fn rows_of_sample<T: Real>(sample: &Sample<T>, x: &[T], w: &[T], from: usize, y: &mut [T]) {
    let (l, s) = (sample.op.dims.1, sample.op.shape);
    let (c, pv, hpv) = (s.channels, s.value_points, s.heads * s.value_points);
    let (out_width, keys, vw) = (s.output(), padded(l), padded(c + 3 * pv));
    let mut a = vec![T::zero(); ROWS * keys];
    let mut o = vec![T::zero(); ROWS * vw];
    for h in 0..s.heads {
        let head = sample.gather(x, h, w[h]);
        for (block, y) in y.chunks_mut(ROWS * out_width).enumerate() {
            let rows = y.len() / out_width;
            let first = from + block * ROWS;
            for (r, a) in a.chunks_exact_mut(keys).take(rows).enumerate() {
                sample.attend(&head, first + r, a);
            }
            small_product((l, vw), (&a, keys), &head.v, &mut o[..rows * vw]);
            for (r, row) in y.chunks_exact_mut(out_width).enumerate() {
                let o = &o[r * vw..][..vw];
                row[h * c..][..c].copy_from_slice(&o[..c]);
                for p in 0..pv {
                    let (u, norm) = local_point(sample, first + r, &o[c + 3 * p..][..3]);
                    let at = s.heads * c + h * pv + p;
                    (0..3).for_each(|x| row[at + x * hpv] = u[x]);
                    row[at + 3 * hpv] = norm;
                }
            }
        }
    }
}

/// A weighted global point in residue i's frame, and its norm.
#[inline(always)]
fn local_point<T: Real>(sample: &Sample<T>, i: usize, g: &[T]) -> ([T; 3], T) {
    let t = sample.trans[i];
    let u = sample.turn_back(i, [g[0] - t[0], g[1] - t[1], g[2] - t[2]]);
    (u, (u[0] * u[0] + u[1] * u[1] + u[2] * u[2] + T::of(1e-8)).sqrt())
}

fn backward<T: Real>(x: Arg, w: Arg, g: Arg, op: &IpaKernel) -> Result<(CpuStorage, Shape)> {
    let (x, w, g) = (elements::<T>(x.0, x.1)?, elements::<T>(w.0, w.1)?, elements::<T>(g.0, g.1)?);
    let ((b, l), s) = (op.dims, op.shape);
    let (width, out_width) = (s.projection(), s.output());
    let mut packed = vec![T::zero(); b * l * width + s.heads];
    let (dx, dw) = packed.split_at_mut(b * l * width);
    let per_sample: Vec<Vec<T>> = dx
        .par_chunks_mut(l * width)
        .enumerate()
        .map(|(b, dx)| {
            let sample = Sample::<T>::new(op, b);
            let (x, g) =
                (&x[b * l * width..][..l * width], &g[b * l * out_width..][..l * out_width]);
            let sample = &sample;
            dispatch!([T] sample_grad(
                sample: &Sample<T>, x: &[T], g: &[T], w: &[T], dx: &mut [T]) -> Vec<T>)
        })
        .collect();
    for sample in per_sample {
        (0..s.heads).for_each(|h| dw[h] += sample[h]);
    }
    let len = packed.len();
    stored(packed, len)
}

/// Gradient of one sample: writes dprojection, returns dweights.
#[inline(always)]
fn sample_grad<T: Real>(sample: &Sample<T>, x: &[T], g: &[T], w: &[T], dx: &mut [T]) -> Vec<T> {
    (0..w.len()).map(|h| sample.head_grad(x, g, h, w[h], dx)).collect()
}

impl<T: Real> Sample<'_, T> {
    /// Adds one head's gradient to `dx` `[L, projection]` and returns dL/dw_h.
    #[inline(always)]
    fn head_grad(&self, x: &[T], g: &[T], h: usize, weight: T, dx: &mut [T]) -> T {
        let s = self.op.shape;
        let (l, c, pq, pv, heads) =
            (self.op.dims.1, s.channels, s.query_points, s.value_points, s.heads);
        let (qk, vw, width, out_width) =
            (c + 3 * pq, padded(c + 3 * pv), s.projection(), s.output());
        let keys = padded(l);
        let head = self.gather(x, h, weight);
        let scale = T::of(1.0 / (3.0 * c as f64).sqrt());
        let zeros = |n: usize| vec![T::zero(); n];
        let (mut dq, mut dk, mut dv) = (zeros(l * qk), zeros(l * qk), zeros(l * vw));
        let (mut a, mut da, mut o, mut d_o) = (zeros(keys), zeros(keys), zeros(vw), zeros(vw));
        let mut dgamma = T::zero();
        for i in 0..l {
            self.attend(&head, i, &mut a);
            small_product((l, vw), (&a, keys), &head.v, &mut o);
            let row = &g[i * out_width..][..out_width];
            d_o[..c].copy_from_slice(&row[h * c..][..c]);
            for p in 0..pv {
                let (u, norm) = local_point(self, i, &o[c + 3 * p..][..3]);
                let at = heads * c + h * pv + p;
                let dnorm = row[at + 3 * heads * pv] / norm;
                let du = [0, 1, 2].map(|x| row[at + x * heads * pv] + dnorm * u[x]);
                d_o[c + 3 * p..][..3].copy_from_slice(&self.turn(i, du));
            }
            for j in 0..l {
                da[j] = dot(&d_o, &head.v[j * vw..][..vw]);
                axpy(a[j], &d_o, &mut dv[j * vw..][..vw]);
            }
            let mean = dot(&a, &da);
            for j in 0..l {
                let dlogit = a[j] * (da[j] - mean);
                let (q, k) = (&head.q[i * qk..][..qk], &head.k[j * qk..][..qk]);
                axpy(dlogit * scale, &k[..c], &mut dq[i * qk..][..c]);
                axpy(dlogit * scale, &q[..c], &mut dk[j * qk..][..c]);
                let pull = dlogit * head.gamma;
                let mut square = T::zero();
                for p in c..qk {
                    let d = q[p] - k[p];
                    square += d * d;
                    dq[i * qk + p] += -pull * d;
                    dk[j * qk + p] += pull * d;
                }
                dgamma += -dlogit * T::of(0.5) * square;
            }
        }
        // Back through the gathering.
        let (kv0, qp0) = (heads * c, 3 * heads * c);
        let kp0 = qp0 + 3 * heads * pq;
        for i in 0..l {
            let row = &mut dx[i * width..][..width];
            row[h * c..][..c].copy_from_slice(&dq[i * qk..][..c]);
            row[kv0 + 2 * h * c..][..c].copy_from_slice(&dk[i * qk..][..c]);
            row[kv0 + (2 * h + 1) * c..][..c].copy_from_slice(&dv[i * vw..][..c]);
            let mut point = |base: usize, per_head: usize, p: usize, d: &[T]| {
                let local = self.turn_back(i, [d[0], d[1], d[2]]);
                let (at, block) = (base + h * per_head + p, heads * per_head);
                (0..3).for_each(|x| row[at + x * block] = local[x]);
            };
            for p in 0..pq {
                point(qp0, pq, p, &dq[i * qk + c + 3 * p..][..3]);
                point(kp0, pq + pv, p, &dk[i * qk + c + 3 * p..][..3]);
            }
            for p in 0..pv {
                point(kp0, pq + pv, pq + p, &dv[i * vw + c + 3 * p..][..3]);
            }
        }
        let sigmoid = T::of(1.0 / (1.0 + (-weight.to_f64()).exp()));
        dgamma * sigmoid * T::of((1.0 / (13.5 * pq as f64)).sqrt())
    }
}
