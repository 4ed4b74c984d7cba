//! Matrix products of single precision in tiles of 12 rows × 32 columns, which AVX-512 keeps in
//! registers: y = a b + bias, a laid out for the tiles by the way, b in panels of 32 columns.
//!
//! A sum is taken 128 terms at a time, so that this part of a panel stays in the first cache while
//! the tiles pass; the next part is fetched meanwhile. Each number is one sum in the order of its
//! terms, whatever the number of rows and however work is cut. AVX-512 only ([`available`]).

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::op::Shared;

/// Most rows of a tile; columns of a panel (two vectors).
pub const TILE: usize = 12;
pub const PANEL: usize = 32;
/// Terms taken at once.
pub const DEPTH: usize = 128;
/// Most tiles of a block, whose rows stay in the second cache; most panels of a task where rows are
/// too few to cut.
const TILES: usize = 8;
const PANELS: usize = 8;
/// Rows of panels that stay in the second cache.
const NEAR: usize = 4096;

/// Whether this processor has what the tiles need.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512bw");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// What becomes of sums when they are written.
pub trait Finish: Sync {
    /// Turns the sums of row `row` from column `column` on into what is written there.
    fn row(&self, row: usize, column: usize, sums: &mut [f32]);
}

/// The sums themselves.
pub struct Plain;

impl Finish for Plain {
    #[inline(always)]
    fn row(&self, _: usize, _: usize, _: &mut [f32]) {}
}

/// The left side of a product.
#[derive(Clone, Copy)]
pub enum Left<'a> {
    /// `[rows, k]`.
    Rows(&'a [f32]),
    /// The transpose of columns `first..` of `[k, width]`.
    Columns { data: &'a [f32], width: usize, first: usize },
}

/// The right side of a product, in panels.
pub trait Panels: Sync {
    /// `[terms, 32]` of a panel: what is there, or laid out in the buffer, which has as many rows.
    /// Only where the tiles are [`available`].
    fn part<'a>(
        &'a self,
        panel: usize,
        terms: Range<usize>,
        buffer: &'a mut [[f32; PANEL]],
    ) -> &'a [f32];

    /// What the sums of a panel begin with.
    fn bias(&self, panel: usize) -> [f32; PANEL];

    /// The cache lines of one of `n` pieces of a part that is wanted soon.
    fn ahead(&self, panel: usize, terms: Range<usize>, piece: usize, n: usize) -> impl Lines;
}

/// Addresses that are fetched while a tile is computed, as many as there is time for; nothing is read
/// through them.
pub trait Lines: Iterator<Item = *const f32> {}

impl<I: Iterator<Item = *const f32>> Lines for I {}

/// The lines of a slice.
#[inline(always)]
pub fn lines_of(x: &[f32]) -> impl Lines {
    x.chunks(16).map(<[f32]>::as_ptr)
}

/// a `[rows, k]` times the panels of b `[k, columns]`, finished. Must be [`available`].
pub fn product(
    a: Left,
    (rows, k, columns): (usize, usize, usize),
    b: &impl Panels,
    finish: &impl Finish,
) -> Vec<f32> {
    assert!(available());
    let panels = columns.div_ceil(PANEL);
    let mut y = Vec::<f32>::with_capacity(rows * columns);
    // A fixed grid, so that threads change nothing: both halves of the tasks are as equal as they
    // can be.
    let tiles = rows.div_ceil(TILE);
    let blocks = tiles.div_ceil(TILES);
    let by_rows = blocks > 1 && (1..=NEAR).contains(&(k * panels));
    let (blocks, groups) = match blocks {
        _ if by_rows => (blocks.next_multiple_of(2).min(4), 1),
        1 => (1, panels.div_ceil(PANELS).next_multiple_of(2)),
        _ if blocks < 6 || blocks % 2 == 1 => (blocks, 2),
        _ => (blocks, 1),
    };
    let groups = groups.min(panels);
    let tasks: Vec<(usize, usize)> =
        (0..groups).flat_map(|group| (0..blocks).map(move |block| (block, group))).collect();
    let out = Shared(y.as_mut_ptr());
    let one = |&(block, group): &(usize, usize)| {
        let edge = |block: usize| (block * tiles / blocks * TILE).min(rows);
        let part = Part {
            rows: edge(block)..edge(block + 1),
            panels: group * panels / groups..(group + 1) * panels / groups,
            k,
            columns,
            by_rows,
        };
        SCRATCH.with_borrow_mut(|scratch| {
            // SAFETY: the features were asserted above; tasks cover disjoint rectangles of y's
            // capacity, which outlives them.
            unsafe { part.run(a, b, scratch, finish, &out) }
        });
    };
    if tasks.len() == 1 || rows * k * columns < 1 << 20 {
        tasks.iter().for_each(one);
    } else {
        tasks.par_iter().for_each(one);
    }
    // SAFETY: the tasks have written every element.
    unsafe { y.set_len(rows * columns) };
    y
}

/// As [`product`] of [`product`]: b₂ of what `first` makes of a b₁, finished by `second`; a `[rows, k]`,
/// between them `width` columns, of which only those of a block of rows are ever held.
pub fn product_of_product<A: Panels, B: Panels>(
    a: &[f32],
    (rows, k, width, columns): (usize, usize, usize, usize),
    (b1, first): (&A, &impl Finish),
    (b2, second): (&B, &impl Finish),
) -> Vec<f32> {
    assert!(available());
    let mut y = Vec::<f32>::with_capacity(rows * columns);
    let tiles = rows.div_ceil(TILE);
    let blocks = tiles.div_ceil(TILES).next_multiple_of(2).min(tiles);
    let out = Shared(y.as_mut_ptr());
    (0..blocks).into_par_iter().for_each(|block| {
        let edge = |block: usize| (block * tiles / blocks * TILE).min(rows);
        let (from, n) = (edge(block), edge(block + 1) - edge(block));
        let part = |k: usize, columns: usize| Part {
            rows: 0..n,
            panels: 0..columns.div_ceil(PANEL),
            k,
            columns,
            by_rows: false,
        };
        SCRATCH.with_borrow_mut(|scratch| {
            let mut between = std::mem::take(&mut scratch.between);
            between.resize(n * width, 0.0);
            let (left, to) = (Left::Rows(&a[from * k..][..n * k]), Shared(between.as_mut_ptr()));
            // SAFETY: the features were asserted above; `to` has n rows of `width`.
            unsafe { part(k, width).run(left, b1, scratch, first, &to) };
            // SAFETY: blocks cover disjoint rows of y's capacity, which outlives them.
            unsafe {
                let (left, to) = (Left::Rows(&between), out.after(from * columns));
                part(width, columns).run(left, b2, scratch, &Below(second, from), &to);
            }
            scratch.between = between;
        });
    });
    // SAFETY: the tasks have written every element.
    unsafe { y.set_len(rows * columns) };
    y
}

/// Rows are worth a [`product_of_product`]: as many tasks as two threads need to be even.
pub fn tall(rows: usize) -> bool {
    rows > 3 * TILES * TILE
}

/// What finishes rows that begin below the first.
struct Below<'a, F>(&'a F, usize);

impl<F: Finish> Finish for Below<'_, F> {
    #[inline(always)]
    fn row(&self, row: usize, column: usize, sums: &mut [f32]) {
        self.0.row(self.1 + row, column, sums);
    }
}

/// A task's memory: its rows in the order in which tiles read them, the sums of a panel, a part of
/// one, all of them, and rows between two products.
struct Scratch {
    a: Vec<f32>,
    sums: Vec<[f32; PANEL]>,
    part: Box<[[f32; PANEL]; DEPTH]>,
    panels: Vec<[f32; PANEL]>,
    between: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        a: Vec::new(),
        sums: Vec::new(),
        part: Box::new([[0.0; PANEL]; DEPTH]),
        panels: Vec::new(),
        between: Vec::new(),
    });
}

/// The rectangle of a result that one task computes.
struct Part {
    rows: Range<usize>,
    panels: Range<usize>,
    k: usize,
    columns: usize,
    /// Tile by tile, not panel by panel.
    by_rows: bool,
}

impl Part {
    /// Computes, finishes and writes.
    ///
    /// # Safety
    /// The tiles must be [`available`], and the rectangle lie in `out` and be no other task's.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
    unsafe fn run(
        &self,
        a: Left,
        b: &impl Panels,
        scratch: &mut Scratch,
        finish: &impl Finish,
        out: &Shared<f32>,
    ) {
        if self.by_rows {
            // SAFETY: as promised by the caller.
            return unsafe { self.run_by_rows(a, b, scratch, finish, out) };
        }
        let (rows, k) = (self.rows.len(), self.k);
        let tiles = rows.div_ceil(TILE);
        lay_out(a, self.rows.clone(), k, &mut scratch.a);
        scratch.sums.resize(rows, [0.0; PANEL]);
        let (a, sums) = (&scratch.a, &mut scratch.sums[..rows]);
        for panel in self.panels.clone() {
            sums.fill(b.bias(panel));
            for start in (0..k).step_by(DEPTH) {
                let end = (start + DEPTH).min(k);
                let a = &a[start * rows..end * rows];
                let part = b.part(panel, start..end, &mut scratch.part[..end - start]);
                let next = match end < k {
                    true => (panel, end),
                    false if panel + 1 < self.panels.end => (panel + 1, 0),
                    // Nothing follows: what is near anyway.
                    false => (panel, start),
                };
                let next_terms = next.1..(next.1 + DEPTH).min(k);
                let pairs = a.chunks((end - start) * TILE).zip(sums.chunks_mut(TILE));
                for (piece, (a, sums)) in pairs.enumerate() {
                    let ahead = b.ahead(next.0, next_terms.clone(), piece, tiles);
                    let first = self.rows.start + piece * TILE;
                    // Where the sums go is fetched during the last of their terms.
                    let wanted = if end == k { sums.len() } else { 0 };
                    let into = self.places(first..first + wanted, panel, out);
                    tile(a, part, sums, ahead, into);
                    if end == k {
                        // SAFETY: this rectangle is this task's alone, as the caller promises.
                        unsafe { self.finish(first.., panel, sums, finish, out) };
                    }
                }
            }
        }
    }

    /// As `run`, tile by tile, each with all panels, which stay in the second cache: where terms are
    /// few, and most of the time goes to writing, results are written as they lie in memory.
    ///
    /// # Safety
    /// As of `run`.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
    unsafe fn run_by_rows(
        &self,
        a: Left,
        b: &impl Panels,
        scratch: &mut Scratch,
        finish: &impl Finish,
        out: &Shared<f32>,
    ) {
        let k = self.k;
        scratch.panels.resize(self.panels.len() * k, [0.0; PANEL]);
        let mut parts = Vec::with_capacity(self.panels.len() * k.div_ceil(DEPTH));
        for (panel, buffer) in self.panels.clone().zip(scratch.panels.chunks_mut(k)) {
            for (i, buffer) in buffer.chunks_mut(DEPTH).enumerate() {
                parts.push(b.part(panel, i * DEPTH..i * DEPTH + buffer.len(), buffer));
            }
        }
        let mut sums = [[0.0; PANEL]; TILE];
        for first in self.rows.clone().step_by(TILE) {
            let rows = first..(first + TILE).min(self.rows.end);
            let (n, sums) = (rows.len(), &mut sums[..rows.len()]);
            lay_out(a, rows.clone(), k, &mut scratch.a);
            for (panel, parts) in self.panels.clone().zip(parts.chunks(k.div_ceil(DEPTH))) {
                sums.fill(b.bias(panel));
                for (a, part) in scratch.a.chunks(DEPTH * n).zip(parts) {
                    let into = self.places(rows.clone(), panel, out);
                    tile(a, part, sums, std::iter::empty(), into);
                }
                // SAFETY: this rectangle is this task's alone, as the caller promises.
                unsafe { self.finish(rows.clone(), panel, sums, finish, out) };
            }
        }
    }

    /// Where the sums of rows go, in a panel.
    #[inline(always)]
    fn places(&self, rows: Range<usize>, panel: usize, out: &Shared<f32>) -> impl Lines {
        let column = panel * PANEL;
        let last = (column + PANEL).min(self.columns) - 1;
        let (base, columns) = (out.0.cast_const(), self.columns);
        (2 * rows.start..2 * rows.end).map(move |i| {
            base.wrapping_add(i / 2 * columns + if i % 2 == 0 { column } else { last })
        })
    }

    /// Finishes the sums of rows and writes them.
    ///
    /// # Safety
    /// These rows of this panel belong to one task alone and lie in `out`.
    #[inline(always)]
    unsafe fn finish(
        &self,
        rows: impl Iterator<Item = usize>,
        panel: usize,
        sums: &mut [[f32; PANEL]],
        finish: &impl Finish,
        out: &Shared<f32>,
    ) {
        let column = panel * PANEL;
        for (row, sums) in rows.zip(sums) {
            let at = row * self.columns + column;
            // Twice the same, once of a length that the compiler knows.
            if column + PANEL <= self.columns {
                finish.row(row, column, sums);
                // SAFETY: as promised by the caller.
                unsafe { out.write(at, sums) };
            } else {
                let sums = &mut sums[..self.columns - column];
                finish.row(row, column, sums);
                // SAFETY: as above.
                unsafe { out.write(at, sums) };
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn run(
        &self,
        _: Left,
        _: &impl Panels,
        _: &mut Scratch,
        _: &impl Finish,
        _: &Shared<f32>,
    ) {
        unreachable!("tiles are computed on x86-64 only")
    }
}

/// Rows of the left side in the order in which tiles read them: by part of the sum, tile, term, row.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn lay_out(a: Left, rows: Range<usize>, k: usize, to: &mut Vec<f32>) {
    to.resize(rows.len() * k, 0.0);
    for start in (0..k).step_by(DEPTH) {
        let depth = DEPTH.min(k - start);
        let to = &mut to[start * rows.len()..][..depth * rows.len()];
        for (tile, to) in to.chunks_mut(depth * TILE).enumerate() {
            let (first, n) = (rows.start + tile * TILE, to.len() / depth);
            match a {
                Left::Rows(a) => {
                    let mut tile: [&[f32]; TILE] = [&[]; TILE];
                    for (i, row) in tile[..n].iter_mut().enumerate() {
                        *row = &a[(first + i) * k + start..][..depth];
                    }
                    interleave(&tile[..n], n, to);
                }
                Left::Columns { data, width, first: column } => {
                    for (p, to) in to.chunks_exact_mut(n).enumerate() {
                        to.copy_from_slice(&data[(start + p) * width + column + first..][..n]);
                    }
                }
            }
        }
    }
}

/// The transpose of n rows of equal length: to `[length, stride]`, columns 0 to n.
///
/// # Safety
/// The tiles must be [`available`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub fn interleave(rows: &[&[f32]], stride: usize, to: &mut [f32]) {
    use std::arch::x86_64::*;
    let Some(depth) = rows.first().map(|row| row.len()) else { return };
    assert!(rows.len() <= stride && to.len() >= depth * stride);
    assert!(rows.iter().all(|row| row.len() == depth));
    let (fours, rest) = rows.as_chunks::<4>();
    let whole = depth / 16 * 16;
    for (i, four) in fours.iter().enumerate() {
        for p in (0..whole).step_by(16) {
            // SAFETY: sixteen numbers of four rows lie in them and, transposed, in `to`, by the
            // lengths checked above.
            unsafe {
                let row = |r: usize| _mm512_loadu_ps(four[r].as_ptr().add(p));
                let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
                let (low, high) = (_mm512_unpacklo_ps(r0, r1), _mm512_unpackhi_ps(r0, r1));
                let (low2, high2) = (_mm512_unpacklo_ps(r2, r3), _mm512_unpackhi_ps(r2, r3));
                let pair = |a: __m512, b: __m512| {
                    let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
                    let halves = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
                    (_mm512_castpd_ps(halves.0), _mm512_castpd_ps(halves.1))
                };
                let ((c0, c1), (c2, c3)) = (pair(low, low2), pair(high, high2));
                // Lane l of c_j holds the four numbers of column 4 l + j.
                for (j, c) in [c0, c1, c2, c3].into_iter().enumerate() {
                    let to = to.as_mut_ptr().add((p + j) * stride + 4 * i);
                    _mm_storeu_ps(to, _mm512_castps512_ps128(c));
                    _mm_storeu_ps(to.add(4 * stride), _mm512_extractf32x4_ps::<1>(c));
                    _mm_storeu_ps(to.add(8 * stride), _mm512_extractf32x4_ps::<2>(c));
                    _mm_storeu_ps(to.add(12 * stride), _mm512_extractf32x4_ps::<3>(c));
                }
            }
        }
        for (r, row) in four.iter().enumerate() {
            (whole..depth).for_each(|p| to[p * stride + 4 * i + r] = row[p]);
        }
    }
    for (r, row) in rest.iter().enumerate() {
        (0..depth).for_each(|p| to[p * stride + 4 * fours.len() + r] = row[p]);
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn interleave(_: &[&[f32]], _: usize, _: &mut [f32]) {
    unreachable!("tiles are computed on x86-64 only")
}

/// [`tile_of`] as many rows as there are sums.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn tile(a: &[f32], b: &[f32], sums: &mut [[f32; PANEL]], ahead: impl Lines, into: impl Lines) {
    match sums.len() {
        12 => tile_of::<12>(a, b, sums, ahead, into),
        11 => tile_of::<11>(a, b, sums, ahead, into),
        10 => tile_of::<10>(a, b, sums, ahead, into),
        9 => tile_of::<9>(a, b, sums, ahead, into),
        8 => tile_of::<8>(a, b, sums, ahead, into),
        7 => tile_of::<7>(a, b, sums, ahead, into),
        6 => tile_of::<6>(a, b, sums, ahead, into),
        5 => tile_of::<5>(a, b, sums, ahead, into),
        4 => tile_of::<4>(a, b, sums, ahead, into),
        3 => tile_of::<3>(a, b, sums, ahead, into),
        2 => tile_of::<2>(a, b, sums, ahead, into),
        1 => tile_of::<1>(a, b, sums, ahead, into),
        _ => unreachable!("tiles have at most 12 rows"),
    }
}

/// sums `[M, 32]` += a `[depth, M]`, transposed, times b `[depth, 32]`; meanwhile fetches what is
/// ahead, to the second cache, and where the sums go, to the first.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn tile_of<const M: usize>(
    a: &[f32],
    b: &[f32],
    sums: &mut [[f32; PANEL]],
    mut ahead: impl Lines,
    mut into: impl Lines,
) {
    use std::arch::x86_64::*;
    let depth = b.len() / PANEL;
    assert!(a.len() == depth * M && b.len() == depth * PANEL && sums.len() == M);
    assert!(depth <= DEPTH);
    // SAFETY: the lengths were just checked, and every access stays within them; to
    // fetch a line reads nothing.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); 2]; M];
        for (acc, sums) in acc.iter_mut().zip(&*sums) {
            *acc = [_mm512_loadu_ps(sums.as_ptr()), _mm512_loadu_ps(sums.as_ptr().add(16))];
        }
        let (mut a, mut b) = (a.as_ptr(), b.as_ptr());
        macro_rules! term {
            ($at:expr) => {
                let b0 = _mm512_loadu_ps(b.add($at * PANEL));
                let b1 = _mm512_loadu_ps(b.add($at * PANEL + 16));
                for (i, acc) in acc.iter_mut().enumerate() {
                    let a = _mm512_set1_ps(*a.add($at * M + i));
                    acc[0] = _mm512_fmadd_ps(a, b0, acc[0]);
                    acc[1] = _mm512_fmadd_ps(a, b1, acc[1]);
                }
            };
        }
        for _ in 0..depth / 4 {
            if let Some(line) = ahead.next() {
                _mm_prefetch::<_MM_HINT_T1>(line.cast());
            }
            if let Some(place) = into.next() {
                _mm_prefetch::<_MM_HINT_T0>(place.cast());
            }
            term!(0);
            term!(1);
            term!(2);
            term!(3);
            a = a.add(4 * M);
            b = b.add(4 * PANEL);
        }
        for at in 0..depth % 4 {
            term!(at);
        }
        for (acc, sums) in acc.iter().zip(sums) {
            _mm512_storeu_ps(sums.as_mut_ptr(), acc[0]);
            _mm512_storeu_ps(sums.as_mut_ptr().add(16), acc[1]);
        }
    }
}
