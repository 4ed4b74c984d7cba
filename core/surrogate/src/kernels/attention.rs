//! Multi-head attention with rotary positions and a learned bias key/value (METHOD 3.3).
//!
//! Per sequence of n tokens and per head: q is scaled by hd^-½, a bias key and value are appended
//! as position n, rotary positions turn q and k, masked keys get -∞ (the bias key never), softmax
//! in the working precision. The sequence runs over residues or over frames of the same `[B·T·L,
//! C]` token matrix; strides replace transposes. Memory: one head's n×(n+1) probabilities per task.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::op::{by_dtype, elements, fused, stored};
use super::real::{Real, axpy, dot, sum_of};

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

/// One head of one sequence: rotated q, and k and v with the bias appended.
struct Head<T> {
    q: Vec<T>,
    k: Vec<T>,
    v: Vec<T>,
    p: Vec<T>,
}

struct Kernel<'a, T> {
    op: &'a Attention,
    qkv: &'a [T],
    bias: &'a [T],
    cos: Vec<T>,
    sin: Vec<T>,
    c: usize,
    hd: usize,
    n: usize,
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
        let sign = if back { -T::one() } else { T::one() };
        for k in 0..half {
            let (a, b) = (x[k] * scale, x[half + k] * scale);
            out[k] = a * cos[k] - sign * b * sin[k];
            out[half + k] = b * cos[k] + sign * a * sin[k];
        }
    }

    fn scale(&self) -> T {
        T::of((self.hd as f64).powf(-0.5))
    }

    fn scratch(&self) -> Head<T> {
        let (n, hd) = (self.n, self.hd);
        let zeros = |len| vec![T::zero(); len];
        Head {
            q: zeros(n * hd),
            k: zeros((n + 1) * hd),
            v: zeros((n + 1) * hd),
            p: zeros(n * (n + 1)),
        }
    }

    /// Fills `head` with the turned q and k, v, and the probabilities.
    fn attend(&self, sequence: usize, h: usize, head: &mut Head<T>) {
        let (n, hd, c) = (self.n, self.hd, self.c);
        let (first, step) = self.op.tokens(sequence);
        for i in 0..n {
            let row = &self.qkv[(first + i * step) * 3 * c + h * hd..];
            self.turn(&row[..hd], i, self.scale(), false, &mut head.q[i * hd..][..hd]);
            self.turn(&row[c..][..hd], i, T::one(), false, &mut head.k[i * hd..][..hd]);
            head.v[i * hd..][..hd].copy_from_slice(&row[2 * c..][..hd]);
        }
        self.turn(&self.bias[h * hd..][..hd], n, T::one(), false, &mut head.k[n * hd..][..hd]);
        head.v[n * hd..][..hd].copy_from_slice(&self.bias[c + h * hd..][..hd]);
        for i in 0..n {
            let q = &head.q[i * hd..][..hd];
            let p = &mut head.p[i * (n + 1)..][..n + 1];
            for (j, p) in p.iter_mut().enumerate() {
                let masked = j < n && self.op.mask.as_ref().is_some_and(|m| !m[first + j * step]);
                let key = &head.k[j * hd..][..hd];
                *p = if masked { T::of(f64::NEG_INFINITY) } else { dot(q, key) };
            }
            softmax(p);
        }
    }
}

/// Softmax of one row in place. A masked entry (-∞) gets at most e⁻⁸⁷ of the largest weight.
pub fn softmax<T: Real>(p: &mut [T]) {
    let max = p.iter().copied().fold(T::of(f64::NEG_INFINITY), |m, v| if v > m { v } else { m });
    p.iter_mut().for_each(|v| *v -= max);
    T::exp_slice(p);
    let inverse = T::one() / sum_of(p.len(), |i| p[i]);
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

/// Sequences per task: about 64 tokens.
fn sequences_per_task(n: usize) -> usize {
    (64 / n.max(1)).max(1)
}

/// Results of a task: rows of its sequences in sequence order, `width` per token.
fn scatter<T: Real>(op: &Attention, tasks: Vec<Vec<T>>, width: usize, out: &mut [T]) {
    let (n, per_task) = (op.length(), sequences_per_task(op.length()));
    for (task, rows) in tasks.into_iter().enumerate() {
        for (i, row) in rows.chunks_exact(width).enumerate() {
            let (first, step) = op.tokens(task * per_task + i / n);
            out[(first + i % n * step) * width..][..width].copy_from_slice(row);
        }
    }
}

fn forward<T: Real>(x: Arg, b: Arg, op: &Attention) -> Result<(CpuStorage, Shape)> {
    let (rows, c) = (x.1.shape().dims2()?.0, b.1.shape().dims2()?.1);
    let kernel = Kernel::new(op, elements::<T>(x.0, x.1)?, elements::<T>(b.0, b.1)?, c);
    let (n, hd, per_task) = (kernel.n, kernel.hd, sequences_per_task(kernel.n));
    let (total, tasks) = (op.sequences(), op.sequences().div_ceil(per_task));
    let task = |task: usize| {
        let sequences = (task * per_task)..((task + 1) * per_task).min(total);
        let mut out = vec![T::zero(); sequences.len() * n * c];
        let mut head = kernel.scratch();
        for (local, s) in sequences.enumerate() {
            for h in 0..op.heads {
                kernel.attend(s, h, &mut head);
                for i in 0..n {
                    let y = &mut out[(local * n + i) * c + h * hd..][..hd];
                    for j in 0..=n {
                        axpy(head.p[i * (n + 1) + j], &head.v[j * hd..][..hd], y);
                    }
                }
            }
        }
        out
    };
    let results: Vec<Vec<T>> = (0..tasks).into_par_iter().map(task).collect();
    let mut y = vec![T::zero(); rows * c];
    scatter(op, results, c, &mut y);
    stored(y, (rows, c))
}

fn backward<T: Real>(x: Arg, b: Arg, g: Arg, op: &Attention) -> Result<(CpuStorage, Shape)> {
    let (rows, c) = (x.1.shape().dims2()?.0, b.1.shape().dims2()?.1);
    let grad = elements::<T>(g.0, g.1)?;
    let kernel = Kernel::new(op, elements::<T>(x.0, x.1)?, elements::<T>(b.0, b.1)?, c);
    let (n, hd, per_task) = (kernel.n, kernel.hd, sequences_per_task(kernel.n));
    let (total, tasks) = (op.sequences(), op.sequences().div_ceil(per_task));
    let task = |task: usize| {
        let sequences = (task * per_task)..((task + 1) * per_task).min(total);
        let mut out = vec![T::zero(); sequences.len() * n * 3 * c];
        let mut dbias = vec![T::zero(); 2 * c];
        let mut head = kernel.scratch();
        let (mut dq, mut dk, mut dv) =
            (vec![T::zero(); n * hd], vec![T::zero(); (n + 1) * hd], vec![T::zero(); (n + 1) * hd]);
        let mut dp = vec![T::zero(); n + 1];
        let mut turned = vec![T::zero(); hd];
        for (local, s) in sequences.enumerate() {
            let (first, step) = op.tokens(s);
            for h in 0..op.heads {
                kernel.attend(s, h, &mut head);
                for d in [&mut dq, &mut dk, &mut dv] {
                    d.fill(T::zero());
                }
                for i in 0..n {
                    let dy = &grad[(first + i * step) * c + h * hd..][..hd];
                    let p = &head.p[i * (n + 1)..][..n + 1];
                    for j in 0..=n {
                        dp[j] = dot(dy, &head.v[j * hd..][..hd]);
                        axpy(p[j], dy, &mut dv[j * hd..][..hd]);
                    }
                    let mean = dot(p, &dp);
                    for j in 0..=n {
                        let dlogit = p[j] * (dp[j] - mean);
                        axpy(dlogit, &head.k[j * hd..][..hd], &mut dq[i * hd..][..hd]);
                        axpy(dlogit, &head.q[i * hd..][..hd], &mut dk[j * hd..][..hd]);
                    }
                }
                for i in 0..n {
                    let row = &mut out[(local * n + i) * 3 * c + h * hd..];
                    kernel.turn(&dq[i * hd..][..hd], i, kernel.scale(), true, &mut row[..hd]);
                    kernel.turn(&dk[i * hd..][..hd], i, T::one(), true, &mut row[c..][..hd]);
                    row[2 * c..][..hd].copy_from_slice(&dv[i * hd..][..hd]);
                }
                kernel.turn(&dk[n * hd..][..hd], n, T::one(), true, &mut turned);
                axpy(T::one(), &turned, &mut dbias[h * hd..][..hd]);
                axpy(T::one(), &dv[n * hd..][..hd], &mut dbias[c + h * hd..][..hd]);
            }
        }
        (out, dbias)
    };
    let results: Vec<(Vec<T>, Vec<T>)> = (0..tasks).into_par_iter().map(task).collect();
    let mut packed = vec![T::zero(); rows * 3 * c + 2 * c];
    let (rows_of_tasks, biases): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    for bias in biases {
        axpy(T::one(), &bias, &mut packed[rows * 3 * c..]);
    }
    scatter(op, rows_of_tasks, 3 * c, &mut packed[..rows * 3 * c]);
    let len = packed.len();
    stored(packed, len)
}
