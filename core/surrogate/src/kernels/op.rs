//! What every fused operation shares: contiguous access to candle's storage, dispatch over f32
//! and f64, and a fixed cutting of rows into blocks so that results never depend on how many
//! threads share the blocks.

#![allow(unsafe_code)]

use candle_core::{CpuStorage, DType, Error, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::real::Real;

/// Whether the fused operations can take a tensor; where not, the composed forms do.
pub fn fused(x: &Tensor) -> bool {
    #[cfg(test)]
    if COMPOSED.get() {
        return false;
    }
    x.device().is_cpu()
}

#[cfg(test)]
thread_local! {
    static COMPOSED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// What `body` gives on this thread where nothing is fused: as another device computes it.
#[cfg(test)]
pub fn composed<T>(body: impl FnOnce() -> T) -> T {
    COMPOSED.set(true);
    let result = body();
    COMPOSED.set(false);
    result
}

/// The elements of a contiguous tensor.
pub fn elements<'a, T: Real>(s: &'a CpuStorage, l: &Layout) -> Result<&'a [T]> {
    let (from, to) = l
        .contiguous_offsets()
        .ok_or_else(|| Error::Msg("fused operation needs a contiguous tensor".into()).bt())?;
    Ok(&T::cpu_storage_as_slice(s)?[from..to])
}

/// A result that tasks fill, each its own part.
pub struct Shared<T>(pub *mut T);
// SAFETY: who writes through it promises that parts are disjoint.
unsafe impl<T> Sync for Shared<T> {}

impl<T: Copy> Shared<T> {
    /// Copies values to `at`.
    ///
    /// # Safety
    /// `at..at + values.len()` lies in the result, and no other task writes there.
    #[inline(always)]
    pub unsafe fn write(&self, at: usize, values: &[T]) {
        // SAFETY: as promised by the caller.
        unsafe { self.0.add(at).copy_from_nonoverlapping(values.as_ptr(), values.len()) }
    }

    /// The result from `at` on.
    ///
    /// # Safety
    /// `at` lies in the result or at its end.
    pub unsafe fn after(&self, at: usize) -> Self {
        // SAFETY: as promised by the caller.
        Self(unsafe { self.0.add(at) })
    }
}

/// Wraps the result of a forward pass.
pub fn stored<T: Real>(data: Vec<T>, shape: impl Into<Shape>) -> Result<(CpuStorage, Shape)> {
    Ok((T::to_cpu_storage_owned(data), shape.into()))
}

/// Runs `$f::<f32>` or `$f::<f64>` by the element type of a storage.
macro_rules! by_dtype {
    ($storage:expr, $name:expr, $f:ident($($arg:expr),*)) => {
        match candle_core::backend::BackendStorage::dtype($storage) {
            candle_core::DType::F32 => $f::<f32>($($arg),*),
            candle_core::DType::F64 => $f::<f64>($($arg),*),
            other => Err(candle_core::Error::UnsupportedDTypeForOp(other, $name).bt()),
        }
    };
}
pub(crate) use by_dtype;

/// Rows worth one task: enough work to be worth handing to another thread.
pub fn block_rows(row_len: usize) -> usize {
    (16_384 / row_len.max(1)).clamp(1, 4096)
}

/// Fills `out` in fixed blocks of rows, in parallel: `f(first_row, block)`.
pub fn by_row_blocks<T: Real>(
    out: &mut [T],
    row_len: usize,
    rows_per_block: usize,
    f: impl Fn(usize, &mut [T]) + Sync + Send,
) {
    let rows = out.len() / row_len.max(1);
    if rows <= rows_per_block {
        return f(0, out);
    }
    // An even number of blocks as equal as they can be, which two threads share evenly.
    let rows_per_block = rows.div_ceil(rows.div_ceil(rows_per_block).next_multiple_of(2));
    let blocks = out.par_chunks_mut(row_len * rows_per_block).enumerate();
    blocks.for_each(|(i, block)| f(i * rows_per_block, block));
}

/// Sums of columns of a `[rows, n]` matrix, as a `[n]` tensor: fixed blocks, added in order.
pub fn column_sums(m: &Tensor) -> Result<Tensor> {
    if fused(m) && matches!(m.dtype(), DType::F32 | DType::F64) {
        m.contiguous()?.apply_op1_no_bwd(&ColumnSums)
    } else {
        m.sum(0)
    }
}

struct ColumnSums;

impl candle_core::CustomOp1 for ColumnSums {
    fn name(&self) -> &'static str {
        "column_sums"
    }
    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s, self.name(), column_sums_of(s, l))
    }
}

fn column_sums_of<T: Real>(s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
    let (rows, n) = l.shape().dims2()?;
    let m = elements::<T>(s, l)?;
    let sum_of = |block: &[T]| {
        let mut sum = vec![T::zero(); n];
        for row in block.chunks_exact(n) {
            for (a, b) in sum.iter_mut().zip(row) {
                *a += *b;
            }
        }
        sum
    };
    let per_block = 64;
    let total = if rows <= per_block {
        sum_of(m)
    } else {
        let partial: Vec<Vec<T>> = m.par_chunks(n * per_block).map(sum_of).collect();
        let mut total = vec![T::zero(); n];
        for p in partial {
            for (a, b) in total.iter_mut().zip(p) {
                *a += b;
            }
        }
        total
    };
    stored(total, n)
}
