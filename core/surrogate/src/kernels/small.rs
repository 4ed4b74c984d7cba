//! The small products inside attention, too small for the matrix library: rows are padded to whole
//! vectors of [`LANES`] numbers, and sums are taken in the order of their terms.

#![allow(unsafe_code)]

use super::real::{LANES, Real, lanes};

/// Numbers in a row of n, padded for these products.
pub fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// sums += a b.
#[inline(always)]
pub fn add_scaled<T: Real>(a: T, b: &[T; LANES], sums: &mut [T; LANES]) {
    for lane in 0..LANES {
        sums[lane] = a.times_plus(b[lane], sums[lane]);
    }
}

/// c `[m, width]` = a `[m, ≥ k]` b `[k, width]`, rows of a `stride` apart, width whole lanes.
#[inline(always)]
pub fn small_product<T: Real>(
    (k, width): (usize, usize),
    (a, stride): (&[T], usize),
    b: &[T],
    c: &mut [T],
) {
    let m = c.len() / width;
    assert!(width.is_multiple_of(LANES) && b.len() >= k * width);
    assert!(k <= stride && (m == 0 || a.len() >= (m - 1) * stride + k));
    for from in (0..width).step_by(LANES) {
        let mut row = 0;
        macro_rules! rows {
            ($n:literal: $($i:literal)*) => {
                let mut sums = [[T::zero(); LANES]; $n];
                for p in 0..k {
                    // SAFETY: p < k and row + i < m; k rows of b and m rows of a are there, as
                    // asserted above, and a row of b holds LANES numbers from `from` on.
                    unsafe {
                        let b = &*b.as_ptr().add(p * width + from).cast::<[T; LANES]>();
                        let a = a.as_ptr().add(row * stride + p);
                        // Spelled out, so that the sums stay in registers.
                        $(add_scaled(*a.add($i * stride), b, &mut sums[$i]);)*
                    }
                }
                for (i, sums) in sums.iter().enumerate() {
                    c[(row + i) * width + from..][..LANES].copy_from_slice(sums);
                }
                row += $n;
            };
        }
        while row + 8 <= m {
            rows!(8: 0 1 2 3 4 5 6 7);
        }
        if row + 4 <= m {
            rows!(4: 0 1 2 3);
        }
        while row < m {
            rows!(1: 0);
        }
    }
}

/// c `[m, width]` += aᵀ b for a `[k, ≥ m]`, rows `stride` apart, and b `[k, width]`; m and width
/// are whole lanes.
#[inline(always)]
pub fn add_transposed_product<T: Real>(
    (k, width): (usize, usize),
    (a, stride): (&[T], usize),
    b: &[T],
    c: &mut [T],
) {
    const ROWS: usize = 8;
    let m = c.len() / width;
    assert!(width.is_multiple_of(LANES) && m.is_multiple_of(ROWS) && b.len() >= k * width);
    assert!(m <= stride && (k == 0 || a.len() >= (k - 1) * stride + m));
    for from in (0..width).step_by(LANES) {
        for (block, c) in c.chunks_exact_mut(ROWS * width).enumerate() {
            let mut sums = [[T::zero(); LANES]; ROWS];
            for (i, sums) in sums.iter_mut().enumerate() {
                *sums = *lanes(&c[i * width + from..]);
            }
            for p in 0..k {
                // SAFETY: p < k and the block's columns are below m; k rows of both are there, as
                // asserted above, and a row of b holds LANES numbers from `from` on.
                unsafe {
                    let b = &*b.as_ptr().add(p * width + from).cast::<[T; LANES]>();
                    let a = a.as_ptr().add(p * stride + block * ROWS);
                    macro_rules! rows {
                        ($($i:literal)*) => { $(add_scaled(*a.add($i), b, &mut sums[$i]);)* };
                    }
                    rows!(0 1 2 3 4 5 6 7);
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                c[i * width + from..][..LANES].copy_from_slice(sums);
            }
        }
    }
}

/// to `[columns, width]` = the transpose of rows of `columns` numbers; what is over stays.
#[inline(always)]
pub fn transpose<T: Real>(rows: &[T], columns: usize, width: usize, to: &mut [T]) {
    let n = rows.len() / columns;
    assert!(n <= width && to.len() >= columns * width);
    let mut fours = rows.chunks_exact(4 * columns);
    for (block, four) in fours.by_ref().enumerate() {
        let (a, b) = four.split_at(2 * columns);
        let ((a, b), (c, d)) = (a.split_at(columns), b.split_at(columns));
        let places = to.chunks_exact_mut(width);
        for (place, (((a, b), c), d)) in places.zip(a.iter().zip(b).zip(c).zip(d)) {
            place[4 * block..][..4].copy_from_slice(&[*a, *b, *c, *d]);
        }
    }
    for (j, row) in fours.remainder().chunks_exact(columns).enumerate() {
        let at = n / 4 * 4 + j;
        to.chunks_exact_mut(width).zip(row).for_each(|(place, v)| place[at] = *v);
    }
}
