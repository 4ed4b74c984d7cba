//! Products of rows for covariances: rows made mean-free, and X'X beside X'Y for few features,
//! where a general matrix product spends its time on packing.

use super::*;

/// Writes rows minus the first row as f64 into every `stride`-th place of `out` and returns their
/// sum over rows.
pub(crate) fn shift_rows<T: Real>(
    set: Set,
    flat: &[T],
    d: usize,
    out: &mut [f64],
    stride: usize,
) -> Vec<f64> {
    let mut sum = vec![0.0; d];
    let first: Vec<f64> = flat[..d].iter().map(|v| v.to_f64()).collect();
    match set {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `set` is what the machine was found to have.
        Set::Avx512 => unsafe { shift_avx512(flat, &first, out, stride, &mut sum) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Set::Avx2 => unsafe { shift_avx2(flat, &first, out, stride, &mut sum) },
        _ => shift_body(flat, &first, out, stride, &mut sum),
    }
    sum
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn shift_avx512<T: Real>(
    flat: &[T],
    first: &[f64],
    out: &mut [f64],
    stride: usize,
    sum: &mut [f64],
) {
    shift_body(flat, first, out, stride, sum);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn shift_avx2<T: Real>(flat: &[T], first: &[f64], out: &mut [f64], stride: usize, sum: &mut [f64]) {
    shift_body(flat, first, out, stride, sum);
}

#[inline(always)]
fn shift_body<T: Real>(flat: &[T], first: &[f64], out: &mut [f64], stride: usize, sum: &mut [f64]) {
    let d = first.len();
    for (row, out) in flat.chunks_exact(d).zip(out.chunks_mut(stride)) {
        for (((o, v), f), s) in out.iter_mut().zip(row).zip(first).zip(sum.iter_mut()) {
            *o = v.to_f64() - f;
            *s += *o;
        }
    }
}

/// Rows [y | x] of a block side by side, padded with zeros to whole registers; or x alone.
pub(crate) struct PairRows {
    set: Set,
    d: usize,
    /// Where x begins in a row: d beside y, else 0.
    x: usize,
    /// Length of a row.
    stride: usize,
    rows: Vec<f64>,
    /// Products of x with the whole row, in whole registers.
    products: Vec<f64>,
}

/// Features of x in one tile of products.
const TILE: usize = 4;
/// Rows are padded to a multiple of this.
const PAD: usize = 8;

impl PairRows {
    /// For blocks of `n` rows of `d` features, beside rows y or alone.
    pub fn new(set: Set, d: usize, n: usize, pairs: bool) -> Self {
        let x = if pairs { d } else { 0 };
        let stride = (x + d.next_multiple_of(TILE)).next_multiple_of(PAD);
        let products = vec![0.0; d.next_multiple_of(TILE) * stride];
        Self { set, d, x, stride, rows: vec![0.0; n * stride], products }
    }

    /// Fills in rows x, minus their first; returns their sum.
    pub fn put_x<T: Real>(&mut self, flat: &[T]) -> Vec<f64> {
        shift_rows(self.set, flat, self.d, &mut self.rows[self.x..], self.stride)
    }

    /// Fills in rows y, minus their first; returns their sum.
    pub fn put_y<T: Real>(&mut self, flat: &[T]) -> Vec<f64> {
        shift_rows(self.set, flat, self.d, &mut self.rows, self.stride)
    }

    /// Lower half of X'X, and X'Y beside y, of the first `n` rows.
    pub fn products(&mut self, n: usize) -> (Vec<f64>, Vec<f64>) {
        let (d, rows) = (self.d, &self.rows[..n * self.stride]);
        self.products.fill(0.0);
        match self.set {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `set` is what the machine was found to have.
            Set::Avx512 => unsafe {
                products_avx512(rows, self.stride, self.x, d, &mut self.products);
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe {
                products_avx2(rows, self.stride, self.x, d, &mut self.products);
            },
            _ => products_body::<Lanes4<f64>, 2>(rows, self.stride, self.x, d, &mut self.products),
        }
        let mut xx = vec![0.0; d * d];
        let mut xy = vec![0.0; self.x * d];
        for (i, row) in self.products.chunks_exact(self.stride).take(d).enumerate() {
            xx[i * d..=i * d + i].copy_from_slice(&row[self.x..=self.x + i]);
            if self.x > 0 {
                xy[i * d..(i + 1) * d].copy_from_slice(&row[..d]);
            }
        }
        (xx, xy)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn products_avx512(rows: &[f64], stride: usize, x: usize, d: usize, out: &mut [f64]) {
    products_body::<std::arch::x86_64::__m512d, 6>(rows, stride, x, d, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn products_avx2(rows: &[f64], stride: usize, x: usize, d: usize, out: &mut [f64]) {
    products_body::<std::arch::x86_64::__m256d, 2>(rows, stride, x, d, out);
}

/// Tiles of 4 features of x against panels of up to `MOST` registers of the row. Of X'X only what
/// its lower half needs.
#[inline(always)]
fn products_body<R: Vector<T = f64>, const MOST: usize>(
    rows: &[f64],
    stride: usize,
    x: usize,
    d: usize,
    out: &mut [f64],
) {
    for (i, out) in (0..d).step_by(TILE).zip(out.chunks_exact_mut(TILE * stride)) {
        let registers = (x + i + TILE).min(stride).div_ceil(R::LANES);
        let mut at = 0;
        while at < registers {
            let n = (registers - at).min(MOST);
            let column = at * R::LANES;
            match n {
                1 => tile::<R, 1>(rows, stride, x + i, column, out),
                2 => tile::<R, 2>(rows, stride, x + i, column, out),
                3 => tile::<R, 3>(rows, stride, x + i, column, out),
                4 => tile::<R, 4>(rows, stride, x + i, column, out),
                5 => tile::<R, 5>(rows, stride, x + i, column, out),
                _ => tile::<R, 6>(rows, stride, x + i, column, out),
            }
            at += n;
        }
    }
}

#[inline(always)]
fn tile<R: Vector<T = f64>, const V: usize>(
    rows: &[f64],
    stride: usize,
    x: usize,
    column: usize,
    out: &mut [f64],
) {
    let mut acc = [[R::splat(0.0); V]; TILE];
    for row in rows.chunks_exact(stride) {
        let (left, right) = (&row[x..x + TILE], &row[column..column + V * R::LANES]);
        for v in 0..V {
            let y = R::load(&right[v * R::LANES..]);
            for k in 0..TILE {
                acc[k][v] = R::splat(left[k]).times_plus(y, acc[k][v]);
            }
        }
    }
    for (k, acc) in acc.iter().enumerate() {
        for (v, sum) in acc.iter().enumerate() {
            sum.store(&mut out[k * stride + column + v * R::LANES..]);
        }
    }
}
