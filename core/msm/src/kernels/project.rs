//! The projection of rows onto few directions, y = (x - mean) W: frames eight at a time against
//! panels of columns that fill a register; with AVX-512 whole groups of eight go the faster way of
//! [`frames`].

use super::*;

/// Frames taken at a time.
const FRAMES: usize = 8;
/// Columns of weights are packed in groups of this.
const COLUMNS: usize = 8;

/// y = (x - mean) W for rows x, with W (d x m) packed in columns of 8.
pub(crate) struct Projector {
    pub(super) set: Set,
    d: usize,
    m: usize,
    /// The mean, once for each of the frames taken at a time.
    means: Vec<f64>,
    /// Column group after column group: `weights[(g * d + f) * COLUMNS + lane]`.
    weights: Vec<f64>,
    /// The mean once, padded, and the weights, for [`frames`].
    #[cfg(target_arch = "x86_64")]
    for_frames: (Vec<f64>, Vec<f64>),
}

impl Projector {
    pub fn new(mean: &[f64], weights: &Matrix) -> Self {
        let (d, m) = (weights.n_rows(), weights.n_cols());
        let mut packed = vec![0.0; m.div_ceil(COLUMNS) * d * COLUMNS];
        for f in 0..d {
            for j in 0..m {
                packed[(j / COLUMNS * d + f) * COLUMNS + j % COLUMNS] = weights[(f, j)];
            }
        }
        #[cfg(target_arch = "x86_64")]
        let for_frames = {
            let mut padded = mean.to_vec();
            padded.resize(d.next_multiple_of(8), 0.0);
            (padded, frames::packed(weights))
        };
        Self {
            set: Set::detect(),
            d,
            m,
            means: mean.repeat(FRAMES),
            weights: packed,
            #[cfg(target_arch = "x86_64")]
            for_frames,
        }
    }

    /// Projects whole rows into `out` (m numbers each).
    pub fn project<T: Real>(&self, rows: &[T], out: &mut [f64]) {
        match self.set {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `set` is what the machine was found to have.
            Set::Avx512 => unsafe { project_avx512(self, rows, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe { project_avx2(self, rows, out) },
            _ => project_body::<Lanes4<f64>, Lanes4<f64>, T>(self, rows, out),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn project_avx512<T: Real>(p: &Projector, rows: &[T], out: &mut [f64]) {
    use std::arch::x86_64::{__m256d, __m512d};
    let (mean, weights) = &p.for_frames;
    frames::project(mean, weights, (p.d, p.m), rows, out);
    let whole = rows.len() / (FRAMES * p.d) * FRAMES;
    project_body::<__m512d, __m256d, T>(p, &rows[whole * p.d..], &mut out[whole * p.m..]);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn project_avx2<T: Real>(p: &Projector, rows: &[T], out: &mut [f64]) {
    use std::arch::x86_64::__m256d;
    project_body::<__m256d, __m256d, T>(p, rows, out);
}

/// Columns in registers `R`, the last ones in registers `S` if they fit (half the work).
#[inline(always)]
fn project_body<R: Vector<T = f64>, S: Vector<T = f64>, T: Real>(
    p: &Projector,
    rows: &[T],
    out: &mut [f64],
) {
    let (d, m) = (p.d, p.m);
    let mut x = vec![0.0; FRAMES * d];
    for (rows, out) in rows.chunks(FRAMES * d).zip(out.chunks_mut(FRAMES * m)) {
        for ((x, v), mean) in x.iter_mut().zip(rows).zip(&p.means) {
            *x = v.to_f64() - mean;
        }
        for (g, weights) in p.weights.chunks_exact(d * COLUMNS).enumerate() {
            let width = (m - g * COLUMNS).min(COLUMNS);
            let mut column = 0;
            while column < width {
                let left = width - column;
                let weights = &weights[column..];
                let at = g * COLUMNS + column;
                if left > S::LANES {
                    panel::<R>(weights, &x, d, left, out, m, at);
                    column += R::LANES;
                } else {
                    panel::<S>(weights, &x, d, left, out, m, at);
                    column += S::LANES;
                }
            }
        }
    }
}

/// `R::LANES` columns, of which at most `left` are written.
#[inline(always)]
fn panel<R: Vector<T = f64>>(
    weights: &[f64],
    x: &[f64],
    d: usize,
    left: usize,
    out: &mut [f64],
    m: usize,
    at: usize,
) {
    let mut acc = [R::splat(0.0); FRAMES];
    let x: [&[f64]; FRAMES] = std::array::from_fn(|r| &x[r * d..(r + 1) * d]);
    for f in 0..d {
        let w = R::load(&weights[f * COLUMNS..]);
        for r in 0..FRAMES {
            acc[r] = R::splat(x[r][f]).times_plus(w, acc[r]);
        }
    }
    for (acc, row) in acc.iter().zip(out.chunks_exact_mut(m)) {
        acc.store_first(left.min(R::LANES), &mut row[at..]);
    }
}
