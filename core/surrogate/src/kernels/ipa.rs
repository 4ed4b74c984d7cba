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
use super::op::{Shared, by_dtype, elements, fused, stored};
use super::real::{LANES, Real, axpy, dispatch, dot, lanes, sum_of};
use super::small::{add_scaled, add_transposed_product, padded, small_product, transpose};

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

/// One head of one sample, gathered: scalars and global points, rows of residues padded to whole
/// lanes; keys also transposed, `[channels, padded(L)]`.
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
        let (qk, vw) = (padded(c + 3 * pq), padded(c + 3 * pv));
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
        transpose(&k, qk, keys, &mut k_t);
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

    /// Attention of residues from `first` on of one head, into `a` `[residues, padded(L)]`, whose
    /// padding is zero; and the squares Σ_p |Q_ip − K_jp|², the same shape, into `squares`.
    #[inline(always)]
    fn attend(&self, head: &Head<T>, first: usize, a: &mut [T], squares: &mut [T]) {
        let (l, keys) = (self.op.dims.1, padded(self.op.dims.1));
        let fours = a.chunks_mut(4 * keys).zip(squares.chunks_mut(4 * keys));
        for (block, (a, squares)) in fours.enumerate() {
            let first = first + 4 * block;
            if a.len() == 4 * keys {
                self.logits::<4>(head, first, a, squares);
                continue;
            }
            let ones = a.chunks_mut(keys).zip(squares.chunks_mut(keys));
            for (r, (a, squares)) in ones.enumerate() {
                self.logits::<1>(head, first + r, a, squares);
            }
        }
        for (r, a) in a.chunks_exact_mut(keys).enumerate() {
            if let Some(mask) = self.mask {
                let masked = (0..l).filter(|j| !(mask[first + r] && mask[*j]));
                masked.for_each(|j| a[j] += T::of(-1e5));
            }
            softmax(a, l);
        }
    }

    /// Logits and squares of N residues.
    #[inline(always)]
    fn logits<const N: usize>(
        &self,
        head: &Head<T>,
        first: usize,
        logits: &mut [T],
        squares: &mut [T],
    ) {
        let s = self.op.shape;
        let (c, end, keys) = (s.channels, s.channels + 3 * s.query_points, logits.len() / N);
        let qk = padded(end);
        let scale = T::of(1.0 / (3.0 * c as f64).sqrt());
        let half_gamma = head.gamma * T::of(0.5);
        let q: [&[T]; N] = std::array::from_fn(|r| &head.q[(first + r) * qk..][..qk]);
        for from in (0..keys).step_by(LANES) {
            let (mut product, mut square) = ([[T::zero(); LANES]; N], [[T::zero(); LANES]; N]);
            for x in 0..c {
                let k = lanes(&head.k_t[x * keys + from..]);
                for r in 0..N {
                    add_scaled(q[r][x], k, &mut product[r]);
                }
            }
            for x in c..end {
                let k = lanes(&head.k_t[x * keys + from..]);
                for r in 0..N {
                    for lane in 0..LANES {
                        let apart = q[r][x] - k[lane];
                        square[r][lane] = apart.times_plus(apart, square[r][lane]);
                    }
                }
            }
            for r in 0..N {
                let at = r * keys + from;
                squares[at..][..LANES].copy_from_slice(&square[r]);
                for lane in 0..LANES {
                    logits[at + lane] = scale * product[r][lane] - half_gamma * square[r][lane];
                }
            }
        }
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
    let zeros = |n: usize| vec![T::zero(); n];
    let (mut a, mut squares, mut o) = (zeros(ROWS * keys), zeros(ROWS * keys), zeros(ROWS * vw));
    for h in 0..s.heads {
        let head = sample.gather(x, h, w[h]);
        for (block, y) in y.chunks_mut(ROWS * out_width).enumerate() {
            let rows = y.len() / out_width;
            let first = from + block * ROWS;
            sample.attend(&head, first, &mut a[..rows * keys], &mut squares[..rows * keys]);
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
    let out = Shared(packed.as_mut_ptr());
    let samples: Vec<Sample<T>> = (0..b).map(|b| Sample::new(op, b)).collect();
    let task = |task: usize| {
        let (b, h) = (task / s.heads, task % s.heads);
        let (x, g) = (&x[b * l * width..][..l * width], &g[b * l * out_width..][..l * out_width]);
        let (sample, head, place) = (&samples[b], (h, w[h]), (&out, b * l * width));
        dispatch!([T] head_grad(
            sample: &Sample<T>, x: &[T], g: &[T], head: (usize, T), place: (&Shared<T>, usize)) -> T)
    };
    let slopes: Vec<T> = (0..b * s.heads).into_par_iter().map(task).collect();
    for of_sample in slopes.chunks_exact(s.heads) {
        axpy(T::one(), of_sample, &mut packed[b * l * width..]);
    }
    let len = packed.len();
    stored(packed, len)
}

/// Writes one head's gradient to its columns of `[L, projection]` at `place` and returns dL/dw_h.
#[inline(always)]
fn head_grad<T: Real>(
    sample: &Sample<T>,
    x: &[T],
    g: &[T],
    (h, weight): (usize, T),
    place: (&Shared<T>, usize),
) -> T {
    let s = sample.op.shape;
    let (l, c, pv, heads) = (sample.op.dims.1, s.channels, s.value_points, s.heads);
    let end = c + 3 * s.query_points;
    let (keys, qk, vw, out_width) = (padded(l), padded(end), padded(c + 3 * pv), s.output());
    let head = sample.gather(x, h, weight);
    let scale = T::of(1.0 / (3.0 * c as f64).sqrt());
    let zeros = |n: usize| vec![T::zero(); n];
    let mut v_t = zeros(vw * keys);
    transpose(&head.v, vw, keys, &mut v_t);
    let (mut dq, mut dk, mut dv) = (zeros(l * qk), zeros(keys * qk), zeros(keys * vw));
    let (mut a, mut da, mut squares) = (zeros(ROWS * keys), zeros(ROWS * keys), zeros(ROWS * keys));
    let (mut o, mut d_o, mut sums) = (zeros(ROWS * vw), zeros(ROWS * vw), zeros(keys));
    let mut dgamma = T::zero();
    for first in (0..l).step_by(ROWS) {
        let rows = ROWS.min(l - first);
        let (a, da, squares) =
            (&mut a[..rows * keys], &mut da[..rows * keys], &mut squares[..rows * keys]);
        let (o, d_o) = (&mut o[..rows * vw], &mut d_o[..rows * vw]);
        sample.attend(&head, first, a, squares);
        small_product((l, vw), (a, keys), &head.v, o);
        for (r, (o, d_o)) in o.chunks_exact(vw).zip(d_o.chunks_exact_mut(vw)).enumerate() {
            let row = &g[(first + r) * out_width..][..out_width];
            d_o[..c].copy_from_slice(&row[h * c..][..c]);
            for p in 0..pv {
                let (u, norm) = local_point(sample, first + r, &o[c + 3 * p..][..3]);
                let at = heads * c + h * pv + p;
                let dnorm = row[at + 3 * heads * pv] / norm;
                let du = [0, 1, 2].map(|x| row[at + x * heads * pv] + dnorm * u[x]);
                d_o[c + 3 * p..][..3].copy_from_slice(&sample.turn(first + r, du));
            }
        }
        small_product((vw, keys), (d_o, vw), &v_t, da);
        add_transposed_product((rows, vw), (a, keys), d_o, &mut dv);
        // The gradient of the logits, in place of that of the attention.
        for (a, da) in a.chunks_exact(keys).zip(da.chunks_exact_mut(keys)) {
            let mean = dot(a, da);
            da.iter_mut().zip(a).for_each(|(d, a)| *d = *a * (*d - mean));
            axpy(T::one(), da, &mut sums);
        }
        dgamma += -T::of(0.5) * dot(da, squares);
        let dq = &mut dq[first * qk..][..rows * qk];
        small_product((l, qk), (da, keys), &head.k, dq);
        for (r, dq) in dq.chunks_exact_mut(qk).enumerate() {
            let q = &head.q[(first + r) * qk..][..qk];
            let sum = sum_of([&da[r * keys..][..keys]], |[d]| d);
            dq[..c].iter_mut().for_each(|d| *d *= scale);
            (c..end).for_each(|p| dq[p] = head.gamma * (dq[p] - sum * q[p]));
        }
        add_transposed_product((rows, qk), (da, keys), &head.q[first * qk..], &mut dk);
    }
    for (j, dk) in dk[..l * qk].chunks_exact_mut(qk).enumerate() {
        let k = &head.k[j * qk..][..qk];
        dk[..c].iter_mut().for_each(|d| *d *= scale);
        (c..end).for_each(|p| dk[p] = head.gamma * (dk[p] - sums[j] * k[p]));
    }
    sample.scatter(h, (&dq, &dk, &dv), place);
    let sigmoid = T::of(1.0 / (1.0 + (-weight.to_f64()).exp()));
    dgamma * sigmoid * T::of((1.0 / (13.5 * s.query_points as f64)).sqrt())
}

impl<T: Real> Sample<'_, T> {
    /// Back through the gathering: writes one head's columns of `[L, projection]`.
    #[inline(always)]
    fn scatter(
        &self,
        h: usize,
        (dq, dk, dv): (&[T], &[T], &[T]),
        (out, first): (&Shared<T>, usize),
    ) {
        let s = self.op.shape;
        let (c, pq, pv, heads) = (s.channels, s.query_points, s.value_points, s.heads);
        let (qk, vw) = (padded(c + 3 * pq), padded(c + 3 * pv));
        let (kv0, qp0) = (heads * c, 3 * heads * c);
        let kp0 = qp0 + 3 * heads * pq;
        for i in 0..self.op.dims.1 {
            // SAFETY: every (residue, column) belongs to one head alone, inside the result.
            let put = |at: usize, values: &[T]| unsafe {
                out.write(first + i * s.projection() + at, values);
            };
            let (dq, dk, dv) = (&dq[i * qk..][..qk], &dk[i * qk..][..qk], &dv[i * vw..][..vw]);
            put(h * c, &dq[..c]);
            put(kv0 + 2 * h * c, &dk[..c]);
            put(kv0 + (2 * h + 1) * c, &dv[..c]);
            let point = |base: usize, per_head: usize, p: usize, d: &[T]| {
                let local = self.turn_back(i, [d[0], d[1], d[2]]);
                let (at, block) = (base + h * per_head + p, heads * per_head);
                (0..3).for_each(|x| put(at + x * block, &local[x..=x]));
            };
            for p in 0..pq {
                point(qp0, pq, p, &dq[c + 3 * p..][..3]);
                point(kp0, pq + pv, p, &dk[c + 3 * p..][..3]);
            }
            for p in 0..pv {
                point(kp0, pq + pv, pq + p, &dv[c + 3 * p..][..3]);
            }
        }
    }
}
