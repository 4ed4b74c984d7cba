//! Multi-head attention with rotary positions and a learned bias key/value (METHOD 3.3).
//!
//! Per sequence of n tokens and per head: q is scaled by hd^-½, a bias key and value are appended
//! as position n, rotary positions turn q and k, masked keys get -∞ (the bias key never), softmax
//! in the working precision. The sequence runs over residues or over frames of the same `[B·T·L,
//! C]` token matrix; strides replace transposes. Memory: one head's n×(n+1) probabilities per task.

#![allow(unsafe_code)]

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::op::{Shared, by_dtype, elements, fused, stored};
use super::real::{LANES, Real, axpy, dispatch, dot, largest, sum_of};
use super::small::{add_transposed_product, padded, small_product, transpose};

/// Along which axis of the `[B, T, L]` tokens a sequence runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Over the L residues of each (sample, frame).
    Residues,
    /// Over the T frames of each (sample, residue).
    Frames,
}

/// What the attention needs to know beside its tensors.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Samples B, frames T, residues L.
    pub dims: (usize, usize, usize),
    /// Number of heads; C divided by it is the head dimension.
    pub heads: usize,
    /// Sequence axis.
    pub axis: Axis,
    /// 1 = real token, `[B·T·L]`; `None` if all are.
    pub mask: Option<std::sync::Arc<Vec<bool>>>,
}

impl Attention {
    /// qkv `[B·T·L, 3C]` (projected, unscaled), bias `[2, C]` (bias_k, bias_v) → `[B·T·L, C]`.
    pub fn forward(&self, qkv: &Tensor, bias: &Tensor) -> Result<Tensor> {
        if fused(qkv) {
            qkv.contiguous()?.apply_op2(&bias.contiguous()?, Fused(self.clone()))
        } else {
            self.composed(qkv, bias)
        }
    }

    fn sequences(&self) -> usize {
        let (b, t, l) = self.dims;
        if self.axis == Axis::Residues { b * t } else { b * l }
    }

    fn length(&self) -> usize {
        if self.axis == Axis::Residues { self.dims.2 } else { self.dims.1 }
    }

    /// Token index of position 0 of sequence `s`, and the step to the next position.
    fn tokens(&self, s: usize) -> (usize, usize) {
        let (_, t, l) = self.dims;
        match self.axis {
            Axis::Residues => (s * l, 1),
            Axis::Frames => (s / l * t * l + s % l, l),
        }
    }

    /// The obvious form, for other devices and for the tests.
    pub fn composed(&self, qkv: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (b, t, l) = self.dims;
        let (rows, c) = (b * t * l, qkv.dim(1)? / 3);
        let (h, hd, n) = (self.heads, c / self.heads, self.length());
        // [sequences, n, C] of one of q, k, v.
        let part = |i: usize| -> Result<Tensor> {
            let x = qkv.narrow(1, i * c, c)?.contiguous()?;
            match self.axis {
                Axis::Residues => x.reshape((b * t, l, c)),
                Axis::Frames => {
                    x.reshape((b, t, l, c))?.transpose(1, 2)?.contiguous()?.reshape((b * l, t, c))
                }
            }
        };
        let s = self.sequences();
        let with_bias = |x: Tensor, i: usize| -> Result<Tensor> {
            let bias = bias.narrow(0, i, 1)?.reshape((1, 1, c))?.broadcast_as((s, 1, c))?;
            Tensor::cat(&[x, bias.contiguous()?], 1)
        };
        let split = |x: Tensor, n: usize| x.reshape((s, n, h, hd))?.transpose(1, 2)?.contiguous();
        let q = split((part(0)? * (hd as f64).powf(-0.5))?, n)?;
        let k = split(with_bias(part(1)?, 0)?, n + 1)?;
        let v = split(with_bias(part(2)?, 1)?, n + 1)?;
        let (q, k) = (rotate(&q)?, rotate(&k)?);
        let mut logits = q.matmul(&k.t()?)?;
        if let Some(mask) = &self.mask {
            let add: Vec<f64> = (0..s)
                .flat_map(|s| {
                    let (first, step) = self.tokens(s);
                    let key =
                        move |j: usize| if j < n && !mask[first + j * step] { -1e30 } else { 0. };
                    (0..=n).map(key)
                })
                .collect();
            let add =
                Tensor::from_vec(add, (s, 1, 1, n + 1), qkv.device())?.to_dtype(qkv.dtype())?;
            logits = logits.broadcast_add(&add)?;
        }
        let max = logits.max_keepdim(D::Minus1)?.detach();
        let p = logits.broadcast_sub(&max)?.exp()?;
        let p = p.broadcast_div(&p.sum_keepdim(D::Minus1)?)?;
        let y = p.matmul(&v)?.transpose(1, 2)?.contiguous()?;
        match self.axis {
            Axis::Residues => y.reshape((rows, c)),
            Axis::Frames => {
                y.reshape((b, l, t, c))?.transpose(1, 2)?.contiguous()?.reshape((rows, c))
            }
        }
    }
}

/// Rotary positions of `[…, n, hd]`, half-split form.
fn rotate(x: &Tensor) -> Result<Tensor> {
    let (_, _, n, hd) = x.dims4()?;
    let (cos, sin) = rotary_table(n, hd);
    let table = |v: Vec<f64>| Tensor::from_vec(v, (n, hd / 2), x.device())?.to_dtype(x.dtype());
    let (cos, sin) = (table(cos)?, table(sin)?);
    let (a, b) = (x.narrow(3, 0, hd / 2)?, x.narrow(3, hd / 2, hd / 2)?);
    let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    Tensor::cat(&[first, second], 3)
}

/// cos and sin of position·10000^(-2k/hd), `[n, hd/2]`.
fn rotary_table(n: usize, hd: usize) -> (Vec<f64>, Vec<f64>) {
    let half = hd / 2;
    let angle = |i: usize| (i / half) as f64 * 10_000f64.powf(-2.0 * (i % half) as f64 / hd as f64);
    (
        (0..n * half).map(|i| angle(i).cos()).collect(),
        (0..n * half).map(|i| angle(i).sin()).collect(),
    )
}

/// One head of one sequence: rotated q `[n, hd]`; k and v with the bias appended, k also
/// transposed; probabilities. Rows are padded to whole lanes, those of q and p to whole fours.
struct Head<T> {
    q: Vec<T>,
    k: Vec<T>,
    k_t: Vec<T>,
    v: Vec<T>,
    p: Vec<T>,
}

/// (a cos − b sin, b cos + a sin) of scaled a and b.
#[inline(always)]
fn turned<T: Real, const N: usize>(
    [a, b, cos, sin]: [&[T; N]; 4],
    scale: T,
    sign: T,
) -> ([T; N], [T; N]) {
    let (mut low, mut high) = (*a, *b);
    for k in 0..N {
        let (a, b, sin) = (a[k] * scale, b[k] * scale, sign * sin[k]);
        low[k] = a * cos[k] - b * sin;
        high[k] = b * cos[k] + a * sin;
    }
    (low, high)
}

/// The tensors of one call and what they are made of: C channels, `hd` to a head, n positions.
struct Kernel<'a, T> {
    op: &'a Attention,
    qkv: &'a [T],
    bias: &'a [T],
    c: usize,
    hd: usize,
    n: usize,
    cos: Vec<T>,
    sin: Vec<T>,
}

impl<'a, T: Real> Kernel<'a, T> {
    fn new(op: &'a Attention, qkv: &'a [T], bias: &'a [T], c: usize) -> Self {
        let (hd, n) = (c / op.heads, op.length());
        let (cos, sin) = rotary_table(n + 1, hd);
        let narrow = |v: Vec<f64>| v.into_iter().map(T::of).collect();
        Self { op, qkv, bias, cos: narrow(cos), sin: narrow(sin), c, hd, n }
    }

    /// out = rotation at `pos` of `scale`·x; `back` turns the other way.
    #[inline(always)]
    fn turn(&self, x: &[T], pos: usize, scale: T, back: bool, out: &mut [T]) {
        let half = self.hd / 2;
        let (cos, sin) = (&self.cos[pos * half..][..half], &self.sin[pos * half..][..half]);
        let (a, b) = x[..2 * half].split_at(half);
        let (low, high) = out[..2 * half].split_at_mut(half);
        let sign = if back { -T::one() } else { T::one() };
        // By fours, because half a head rarely fills a long vector.
        let (lows, low) = low.as_chunks_mut::<4>();
        let (highs, high) = high.as_chunks_mut::<4>();
        let of = [a, b, cos, sin].map(|x| x.as_chunks::<4>());
        let places = lows.iter_mut().zip(highs);
        let values = of[0].0.iter().zip(of[1].0).zip(of[2].0.iter().zip(of[3].0));
        for ((low, high), ((a, b), (cos, sin))) in places.zip(values) {
            (*low, *high) = turned([a, b, cos, sin], scale, sign);
        }
        for (i, (low, high)) in low.iter_mut().zip(high).enumerate() {
            let rest = of.each_ref().map(|(_, rest)| rest[i..].first_chunk().expect("one"));
            ([*low], [*high]) = turned(rest, scale, sign);
        }
    }

    fn scale(&self) -> T {
        T::of((self.hd as f64).powf(-0.5))
    }

    /// Row lengths of q, k and v, and of the probabilities.
    fn widths(&self) -> (usize, usize) {
        (padded(self.hd), padded(self.n + 1))
    }

    /// Rows of q and of the probabilities; those beyond n are zero.
    fn rows(&self) -> usize {
        self.n.next_multiple_of(4)
    }

    fn scratch(&self) -> Head<T> {
        let (n, rows, (w, keys)) = (self.n, self.rows(), self.widths());
        let zeros = |len| vec![T::zero(); len];
        Head {
            q: zeros(rows * w),
            k: zeros((n + 1) * w),
            k_t: zeros(w * keys),
            v: zeros((n + 1) * w),
            p: zeros(rows * keys),
        }
    }

    /// Fills `head` with the turned q and k, v, and the probabilities.
    #[inline(always)]
    fn attend(&self, sequence: usize, h: usize, head: &mut Head<T>) {
        let (n, hd, c, (w, keys)) = (self.n, self.hd, self.c, self.widths());
        let (first, step) = self.op.tokens(sequence);
        for i in 0..n {
            let row = &self.qkv[(first + i * step) * 3 * c + h * hd..];
            self.turn(&row[..hd], i, self.scale(), false, &mut head.q[i * w..][..hd]);
            self.turn(&row[c..][..hd], i, T::one(), false, &mut head.k[i * w..][..hd]);
            head.v[i * w..][..hd].copy_from_slice(&row[2 * c..][..hd]);
        }
        self.turn(&self.bias[h * hd..][..hd], n, T::one(), false, &mut head.k[n * w..][..hd]);
        head.v[n * w..][..hd].copy_from_slice(&self.bias[c + h * hd..][..hd]);
        transpose(&head.k, w, keys, &mut head.k_t);
        small_product((hd, keys), (&head.q, w), &head.k_t, &mut head.p);
        for p in head.p.chunks_exact_mut(keys).take(n) {
            if let Some(mask) = &self.op.mask {
                let masked = (0..n).filter(|j| !mask[first + j * step]);
                masked.for_each(|j| p[j] = T::of(f64::NEG_INFINITY));
            }
            softmax(p, n + 1);
        }
    }
}

/// Weights below this share of the largest are nothing: no sum would feel them, and numbers too small
/// to be normal make products many times slower.
const NOTHING: f64 = 1e-20;

/// Softmax of the first n of a row in place; the rest, there for whole lanes, is set to zero, and so
/// is what is [`NOTHING`], such as masked entries (-∞).
#[inline(always)]
pub fn softmax<T: Real>(p: &mut [T], n: usize) {
    p[n..].fill(T::of(f64::NEG_INFINITY));
    let max = largest(p);
    let nothing = T::of(NOTHING);
    for p in p.as_chunks_mut::<LANES>().0 {
        p.iter_mut().for_each(|v| *v -= max);
        T::exp_slice(p);
        p.iter_mut().for_each(|v| *v = if *v < nothing { T::zero() } else { *v });
    }
    let inverse = T::one() / sum_of([p], |[p]| p);
    p.iter_mut().for_each(|v| *v *= inverse);
}

struct Fused(Attention);

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "attention"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x, self.name(), forward((x, lx), (b, lb), &self.0))
    }
    fn bwd(
        &self,
        qkv: &Tensor,
        bias: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((rows, width), c) = (qkv.dims2()?, bias.dim(1)?);
        let op = FusedGrad(self.0.clone());
        let packed =
            qkv.contiguous()?.apply_op3_no_bwd(&bias.contiguous()?, &grad.contiguous()?, &op)?;
        let dqkv = packed.narrow(0, 0, rows * width)?.reshape((rows, width))?;
        let dbias = packed.narrow(0, rows * width, 2 * c)?.reshape((2, c))?;
        Ok((Some(dqkv), Some(dbias)))
    }
}

/// dqkv followed by dbias, flat.
struct FusedGrad(Attention);

impl CustomOp3 for FusedGrad {
    fn name(&self) -> &'static str {
        "attention_grad"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        b: &CpuStorage,
        lb: &Layout,
        g: &CpuStorage,
        lg: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x, self.name(), backward((x, lx), (b, lb), (g, lg), &self.0))
    }
}

type Arg<'a> = (&'a CpuStorage, &'a Layout);

/// Tokens worth one task.
const TOKENS: usize = 16;
/// Length of a sequence that is worth several tasks.
const LONG: usize = 64;

/// How the work is cut, whatever the number of threads: sequences per task, and the parts into which
/// the heads of long ones are cut.
struct Cut {
    total: usize,
    per_task: usize,
    heads: usize,
    groups: usize,
}

impl Cut {
    fn new(op: &Attention) -> Self {
        let (n, total) = (op.length(), op.sequences());
        let per_task = (TOKENS / n.max(1)).max(1);
        let groups = if n >= LONG { op.heads.min(4) } else { 1 };
        Self { total, per_task, heads: op.heads, groups }
    }

    fn tasks(&self) -> usize {
        self.total.div_ceil(self.per_task) * self.groups
    }

    /// The sequences and heads of a task.
    fn part(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let (task, group) = (task / self.groups, task % self.groups);
        let heads = |group: usize| group * self.heads / self.groups;
        let sequences = task * self.per_task..((task + 1) * self.per_task).min(self.total);
        (sequences, heads(group)..heads(group + 1))
    }
}

fn forward<T: Real>(x: Arg, b: Arg, op: &Attention) -> Result<(CpuStorage, Shape)> {
    let (rows, c) = (x.1.shape().dims2()?.0, b.1.shape().dims2()?.1);
    let kernel = Kernel::new(op, elements::<T>(x.0, x.1)?, elements::<T>(b.0, b.1)?, c);
    let mut y = Vec::<T>::with_capacity(rows * c);
    let (cut, out) = (Cut::new(op), Shared(y.as_mut_ptr()));
    (0..cut.tasks()).into_par_iter().for_each(|task| {
        let (kernel, out, part) = (&kernel, &out, cut.part(task));
        dispatch!([T] forward_task(kernel: &Kernel<T>, part: (Range<usize>, Range<usize>), out: &Shared<T>) -> ());
    });
    // SAFETY: the tasks have written every head of every token.
    unsafe { y.set_len(rows * c) };
    stored(y, (rows, c))
}

#[inline(always)]
fn forward_task<T: Real>(
    kernel: &Kernel<T>,
    (sequences, heads): (Range<usize>, Range<usize>),
    out: &Shared<T>,
) {
    let (n, hd, c, (w, keys)) = (kernel.n, kernel.hd, kernel.c, kernel.widths());
    let mut head = kernel.scratch();
    let mut y = vec![T::zero(); kernel.rows() * w];
    for s in sequences {
        let (first, step) = kernel.op.tokens(s);
        for h in heads.clone() {
            kernel.attend(s, h, &mut head);
            small_product((n + 1, w), (&head.p, keys), &head.v, &mut y);
            for (i, y) in y.chunks_exact(w).take(n).enumerate() {
                let at = (first + i * step) * c + h * hd;
                // SAFETY: every (token, head) is written by one task alone, inside `[rows, c]`.
                unsafe { out.write(at, &y[..hd]) };
            }
        }
    }
}

fn backward<T: Real>(x: Arg, b: Arg, g: Arg, op: &Attention) -> Result<(CpuStorage, Shape)> {
    let (rows, c) = (x.1.shape().dims2()?.0, b.1.shape().dims2()?.1);
    let grad = elements::<T>(g.0, g.1)?;
    let kernel = Kernel::new(op, elements::<T>(x.0, x.1)?, elements::<T>(b.0, b.1)?, c);
    let mut packed = vec![T::zero(); rows * 3 * c + 2 * c];
    let (cut, out) = (Cut::new(op), Shared(packed.as_mut_ptr()));
    let task = |task: usize| {
        let (kernel, out, part) = (&kernel, &out, cut.part(task));
        dispatch!([T] backward_task(
            kernel: &Kernel<T>, part: (Range<usize>, Range<usize>), grad: &[T], out: &Shared<T>)
            -> Vec<T>)
    };
    let biases: Vec<Vec<T>> = (0..cut.tasks()).into_par_iter().map(task).collect();
    for bias in biases {
        axpy(T::one(), &bias, &mut packed[rows * 3 * c..]);
    }
    let len = packed.len();
    stored(packed, len)
}

/// Writes dqkv of some heads of some sequences and returns their share of dbias.
#[inline(always)]
fn backward_task<T: Real>(
    kernel: &Kernel<T>,
    (sequences, heads): (Range<usize>, Range<usize>),
    grad: &[T],
    out: &Shared<T>,
) -> Vec<T> {
    let (n, hd, c, (w, keys)) = (kernel.n, kernel.hd, kernel.c, kernel.widths());
    let zeros = |len| vec![T::zero(); len];
    let (mut dbias, mut head) = (zeros(2 * c), kernel.scratch());
    let rows = kernel.rows();
    let (mut dy, mut v_t, mut dp) = (zeros(rows * w), zeros(w * keys), zeros(rows * keys));
    let (mut dq, mut dk, mut dv) = (zeros(rows * w), zeros(keys * w), zeros(keys * w));
    let mut turned = zeros(hd);
    for s in sequences {
        let (first, step) = kernel.op.tokens(s);
        for h in heads.clone() {
            kernel.attend(s, h, &mut head);
            for (i, dy) in dy.chunks_exact_mut(w).take(n).enumerate() {
                dy[..hd].copy_from_slice(&grad[(first + i * step) * c + h * hd..][..hd]);
            }
            transpose(&head.v, w, keys, &mut v_t);
            small_product((w, keys), (&dy, w), &v_t, &mut dp);
            dv.fill(T::zero());
            add_transposed_product((n, w), (&head.p, keys), &dy, &mut dv);
            // The gradient of the logits, in place.
            for (dp, p) in dp.chunks_exact_mut(keys).zip(head.p.chunks_exact(keys)) {
                let mean = dot(p, dp);
                dp.iter_mut().zip(p).for_each(|(d, p)| *d = *p * (*d - mean));
            }
            small_product((n + 1, w), (&dp, keys), &head.k, &mut dq);
            dk.fill(T::zero());
            add_transposed_product((n, w), (&dp, keys), &head.q, &mut dk);
            for i in 0..n {
                let at = (first + i * step) * 3 * c + h * hd;
                let put = |part: usize, values: &[T]| {
                    // SAFETY: every (token, part, head) belongs to one sequence alone, inside
                    // `[rows, 3c]`.
                    unsafe { out.write(at + part * c, values) }
                };
                kernel.turn(&dq[i * w..][..hd], i, kernel.scale(), true, &mut turned);
                put(0, &turned);
                kernel.turn(&dk[i * w..][..hd], i, T::one(), true, &mut turned);
                put(1, &turned);
                put(2, &dv[i * w..][..hd]);
            }
            kernel.turn(&dk[n * w..][..hd], n, T::one(), true, &mut turned);
            axpy(T::one(), &turned, &mut dbias[h * hd..][..hd]);
            axpy(T::one(), &dv[n * w..][..hd], &mut dbias[c + h * hd..][..hd]);
        }
    }
    dbias
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_no_sum_would_feel_are_zero() {
        let mut p = vec![0.0f32; LANES];
        p[..5].copy_from_slice(&[3.0, 2.0, -40.0, -60.0, f32::NEG_INFINITY]);
        softmax(&mut p, 5);
        assert!((p[0] - 1.0 / (1.0 + (-1.0f32).exp())).abs() < 1e-6 && p[2] > 0.0, "{p:?}");
        assert_eq!(p[3..], [0.0; LANES - 3]);
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
