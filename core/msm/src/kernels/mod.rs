//! Inner loops of k-means, compiled for AVX-512, AVX2 and plain machines and chosen at run time.
//!
//! Nearest centre: lanes are frames. A group of frames is transposed (minus the median of the
//! centres, which keeps digits at an offset), then for each centre the score |c|^2/2 - x.c is
//! accumulated and compared lane by lane, so there is no horizontal minimum. Ties go to the lowest
//! centre. Where the processor can, `whole` finds the same labels in whole numbers. Seeding: lanes
//! are candidate centres, and the distance is sum (x - c)^2.
//!
//! Products for covariances and projections live here for the same reason.
//!
//! One generic body per kernel; the wrappers only name the instruction set, so all of them share
//! one test against the obvious version. Results are equal between threads, not between sets of
//! instructions (fused multiply-add rounds once).
#![allow(unsafe_code)] // calls of functions compiled for an instruction set that was detected

#[cfg(target_arch = "x86_64")]
mod frames;
mod lane;
mod memory;
mod products;
mod project;
mod rows;
#[cfg(target_arch = "x86_64")]
mod whole;

pub use lane::Lane;
pub(crate) use memory::zeros;
pub(crate) use products::*;
pub(crate) use project::Projector;
pub(crate) use rows::*;

use crate::Matrix;
use crate::rows::Real;

/// Sets of instructions with a compiled kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Avx512,
    Avx2,
    Plain,
}

impl Set {
    /// The best one this machine has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Plain
    }
}

/// Centres prepared for [`Packed::nearest`].
pub(crate) struct Packed<T> {
    set: Set,
    d: usize,
    /// Median of the centres, removed from frames and centres.
    shift: Vec<T>,
    /// -(c - shift), centre after centre, padded to an even number of centres.
    negated: Vec<T>,
    /// |c - shift|^2/2; infinite for padding.
    half_norm: Vec<T>,
    /// The same in whole numbers, where that is faster.
    #[cfg(target_arch = "x86_64")]
    whole: Option<whole::Words<T>>,
}

impl<T: Lane> Packed<T> {
    pub fn new(centers: &Matrix) -> Self {
        Self::with_set(centers, Set::detect())
    }

    pub fn with_set(centers: &Matrix, set: Set) -> Self {
        let (k, d) = (centers.n_rows(), centers.n_cols());
        // The median: one centre far away must not cost the others digits.
        let shift: Vec<T> = (0..d)
            .map(|f| {
                let mut column = centers.column(f);
                column.sort_by(f64::total_cmp);
                T::from_f64(column[k / 2])
            })
            .collect();
        let padded = k.next_multiple_of(2);
        let mut negated = vec![T::ZERO; padded * d];
        let mut half_norm = vec![T::INFINITY; padded];
        for j in 0..k {
            let mut sum = 0.0;
            for f in 0..d {
                // the norm belongs to the rounded centre
                let c = T::from_f64(centers[(j, f)] - shift[f].wide());
                negated[j * d + f] = T::from_f64(-c.wide());
                sum += c.wide() * c.wide();
            }
            half_norm[j] = T::from_f64(0.5 * sum);
        }
        #[cfg(target_arch = "x86_64")]
        let whole =
            (set == Set::Avx512).then(|| whole::Words::new(&shift, &negated, &half_norm)).flatten();
        Self {
            set,
            d,
            shift,
            negated,
            half_norm,
            #[cfg(target_arch = "x86_64")]
            whole,
        }
    }

    /// Nearest centre of each row of the flat `rows`.
    pub fn nearest(&self, rows: &[T], out: &mut [u32]) {
        debug_assert_eq!(rows.len(), out.len() * self.d);
        #[cfg(target_arch = "x86_64")]
        if let Some(whole) = &self.whole {
            return whole.nearest(self, rows, out);
        }
        T::nearest(self, rows, out);
    }
}

/// A register of lanes. The methods are to be called where the instructions exist.
trait Vector: Copy {
    type T: Lane;
    const LANES: usize;
    fn splat(v: Self::T) -> Self;
    /// Reads the first `LANES` values.
    fn load(from: &[Self::T]) -> Self;
    /// Writes the first `LANES` values.
    fn store(self, to: &mut [Self::T]);
    /// Writes the first `n` lanes (1 to `LANES`).
    fn store_first(self, n: usize, to: &mut [Self::T]);
    /// self - other.
    fn minus(self, other: Self) -> Self;
    /// self * b + c.
    fn times_plus(self, b: Self, c: Self) -> Self;
    /// `yes` where self < other, else `no`.
    fn if_less(self, other: Self, yes: Self, no: Self) -> Self;
}

#[derive(Clone, Copy)]
struct Lanes4<T>([T; 4]);

impl<T: Lane> Vector for Lanes4<T> {
    type T = T;
    const LANES: usize = 4;
    #[inline(always)]
    fn splat(v: T) -> Self {
        Self([v; 4])
    }
    #[inline(always)]
    fn load(from: &[T]) -> Self {
        Self([from[0], from[1], from[2], from[3]])
    }
    #[inline(always)]
    fn store(self, to: &mut [T]) {
        to[..4].copy_from_slice(&self.0);
    }
    #[inline(always)]
    fn store_first(self, n: usize, to: &mut [T]) {
        to[..n].copy_from_slice(&self.0[..n]);
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self(std::array::from_fn(|l| self.0[l].minus(other.0[l])))
    }
    #[inline(always)]
    fn times_plus(self, b: Self, c: Self) -> Self {
        Self(std::array::from_fn(|l| self.0[l].times_plus(b.0[l], c.0[l])))
    }
    #[inline(always)]
    fn if_less(self, other: Self, yes: Self, no: Self) -> Self {
        Self(std::array::from_fn(|l| if self.0[l] < other.0[l] { yes.0[l] } else { no.0[l] }))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    /// A mask of the first `n` lanes.
    #[inline(always)]
    fn first(n: usize) -> u32 {
        (1 << n) - 1
    }

    macro_rules! vector {
        ($register:ty, $t:ty, $lanes:expr, $splat:ident, $load:ident, $store:ident, $minus:ident,
         $fma:ident,
         |$to:ident, $n:ident, $v:ident| $store_first:expr,
         |$a:ident, $b:ident, $yes:ident, $no:ident| $select:expr) => {
            impl Vector for $register {
                type T = $t;
                const LANES: usize = $lanes;
                #[inline(always)]
                fn splat(v: $t) -> Self {
                    // SAFETY: only reached from functions compiled for the instruction set.
                    unsafe { $splat(v) }
                }
                #[inline(always)]
                fn load(from: &[$t]) -> Self {
                    let from = &from[..$lanes];
                    // SAFETY: as above; the slice holds all lanes, and loads may be unaligned.
                    unsafe { $load(from.as_ptr()) }
                }
                #[inline(always)]
                fn store(self, to: &mut [$t]) {
                    let to = &mut to[..$lanes];
                    // SAFETY: as above.
                    unsafe { $store(to.as_mut_ptr(), self) }
                }
                #[inline(always)]
                fn store_first(self, $n: usize, to: &mut [$t]) {
                    let $to = to[..$n].as_mut_ptr();
                    let $v = self;
                    // SAFETY: as above; `n` values are there, and no others are touched.
                    unsafe { $store_first }
                }
                #[inline(always)]
                fn minus(self, other: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $minus(self, other) }
                }
                #[inline(always)]
                fn times_plus(self, b: Self, c: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $fma(self, b, c) }
                }
                #[inline(always)]
                fn if_less(self, other: Self, $yes: Self, $no: Self) -> Self {
                    let ($a, $b) = (self, other);
                    // SAFETY: as above.
                    unsafe { $select }
                }
            }
        };
    }
    vector!(
        __m512,
        f32,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_sub_ps,
        _mm512_fmadd_ps,
        |to, n, v| _mm512_mask_storeu_ps(to, first(n) as u16, v),
        |a, b, yes, no| _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes)
    );
    vector!(
        __m512d,
        f64,
        8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_sub_pd,
        _mm512_fmadd_pd,
        |to, n, v| _mm512_mask_storeu_pd(to, first(n) as u8, v),
        |a, b, yes, no| _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b), no, yes)
    );
    vector!(
        __m256,
        f32,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_sub_ps,
        _mm256_fmadd_ps,
        |to, n, v| _mm256_maskstore_ps(
            to,
            _mm256_cmpgt_epi32(
                _mm256_set1_epi32(n as i32),
                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
            ),
            v
        ),
        |a, b, yes, no| _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    );
    vector!(
        __m256d,
        f64,
        4,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_sub_pd,
        _mm256_fmadd_pd,
        |to, n, v| _mm256_maskstore_pd(
            to,
            _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_setr_epi64x(0, 1, 2, 3)),
            v
        ),
        |a, b, yes, no| _mm256_blendv_pd(no, yes, _mm256_cmp_pd::<_CMP_LT_OQ>(a, b))
    );

    macro_rules! nearest {
        ($name:ident, $t:ty, $v:ty, $width:expr, $features:literal) => {
            #[target_feature(enable = $features)]
            pub(super) fn $name(p: &super::Packed<$t>, rows: &[$t], out: &mut [u32]) {
                super::nearest_body::<$v, $width>(p, rows, out);
            }
        };
    }
    nearest!(nearest_f32_avx512, f32, __m512, 4, "avx512f,avx2,fma");
    nearest!(nearest_f64_avx512, f64, __m512d, 4, "avx512f,avx2,fma");
    nearest!(nearest_f32_avx2, f32, __m256, 2, "avx2,fma");
    nearest!(nearest_f64_avx2, f64, __m256d, 2, "avx2,fma");
}

/// V registers of frames against two centres at a time.
#[inline(always)]
fn nearest_body<R: Vector, const V: usize>(p: &Packed<R::T>, rows: &[R::T], out: &mut [u32]) {
    let d = p.d;
    let group = R::LANES * V;
    let zero = <R::T as Lane>::ZERO;
    let mut x = vec![zero; d * group];
    let mut found = vec![zero; group];
    for (rows, out) in rows.chunks(group * d).zip(out.chunks_mut(group)) {
        for (at, row) in rows.chunks_exact(d).enumerate() {
            for (f, (r, s)) in row.iter().zip(&p.shift).enumerate() {
                x[f * group + at] = r.minus(*s);
            }
        }
        let mut best = [R::splat(<R::T as Lane>::INFINITY); V];
        let mut index = [R::splat(zero); V];
        let pairs = p.negated.chunks_exact(2 * d).zip(p.half_norm.chunks_exact(2)).enumerate();
        for (pair, (centers, norms)) in pairs {
            let mut a = [R::splat(norms[0]); V];
            let mut b = [R::splat(norms[1]); V];
            let (first, second) = centers.split_at(d);
            for ((x, c0), c1) in x.chunks_exact(group).zip(first).zip(second) {
                let (c0, c1) = (R::splat(*c0), R::splat(*c1));
                for v in 0..V {
                    let x = R::load(&x[v * R::LANES..]);
                    a[v] = x.times_plus(c0, a[v]);
                    b[v] = x.times_plus(c1, b[v]);
                }
            }
            // Indices are exact as floats: there are fewer than 2^24 centres.
            let j0 = R::splat(<R::T as Lane>::from_f64((2 * pair) as f64));
            let j1 = R::splat(<R::T as Lane>::from_f64((2 * pair + 1) as f64));
            for v in 0..V {
                index[v] = a[v].if_less(best[v], j0, index[v]);
                best[v] = a[v].if_less(best[v], a[v], best[v]);
                index[v] = b[v].if_less(best[v], j1, index[v]);
                best[v] = b[v].if_less(best[v], b[v], best[v]);
            }
        }
        for v in 0..V {
            index[v].store(&mut found[v * R::LANES..]);
        }
        out.iter_mut().zip(&found).for_each(|(o, j)| *o = j.wide() as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::Noise;

    fn sets() -> Vec<Set> {
        match Set::detect() {
            Set::Avx512 => vec![Set::Avx512, Set::Avx2, Set::Plain],
            Set::Avx2 => vec![Set::Avx2, Set::Plain],
            Set::Plain => vec![Set::Plain],
        }
    }

    fn check<T: Lane + Real>(tolerance: f64) {
        let mut noise = Noise::new(4);
        for (n, d, k) in [(1, 1, 1), (67, 3, 5), (500, 10, 100), (130, 17, 8), (64, 4, 2)] {
            let offset = 100.0;
            let rows: Vec<T> = (0..n * d).map(|_| T::from_f64(offset + noise.normal())).collect();
            let centers: Vec<f64> = (0..k * d).map(|_| offset + noise.normal()).collect();
            let centers = Matrix::from_vec(k, d, centers).unwrap();
            let distance = |i: usize, j: usize| -> f64 {
                let row = &rows[i * d..(i + 1) * d];
                row.iter().zip(centers.row(j)).map(|(x, c)| (x.to_f64() - c).powi(2)).sum()
            };
            for set in sets() {
                let mut found = vec![u32::MAX; n];
                Packed::<T>::with_set(&centers, set).nearest(&rows, &mut found);
                for i in 0..n {
                    let least = (0..k).map(|j| distance(i, j)).fold(f64::INFINITY, f64::min);
                    let ours = distance(i, found[i] as usize);
                    assert!(ours <= least + tolerance, "{set:?} {n} {d} {k}: {ours} {least}");
                }
                let mut counts = vec![0.0; k];
                let (mut sums, mut squares) = (vec![0.0; k * d], vec![0.0; k]);
                accumulate(set, &rows, &found, &centers, &mut counts, &mut sums, &mut squares);
                assert_eq!(counts.iter().sum::<f64>(), n as f64);
                let want: f64 = (0..n).map(|i| distance(i, found[i] as usize)).sum();
                assert!((squares.iter().sum::<f64>() / want - 1.0).abs() < 1e-12);
                let moved: f64 = sums.iter().sum();
                let want: f64 = (0..n)
                    .flat_map(|i| (0..d).map(move |f| (i, f)))
                    .map(|(i, f)| rows[i * d + f].to_f64() - centers[(found[i] as usize, f)])
                    .sum();
                assert!((moved - want).abs() < 1e-9 * (n * d) as f64);

                // Half of the frames settled with owner 1, at a distance below its bound.
                let lanes = pack_trials::<T>(&centers.as_slice()[..d * k.min(TRIALS)], d);
                let bounds = vec![T::ZERO, T::from_f64(0.5)];
                let trials = Trials { lanes, pending: 7, bounds };
                let start = |i: usize| if i.is_multiple_of(2) { 2.0 } else { 0.25 };
                let mut near: Vec<T> = (0..n).map(|i| T::from_f64(start(i))).collect();
                let mut owner: Vec<u32> = (0..n).map(|i| (i % 2) as u32).collect();
                let mut sums = [0.0; TRIALS];
                let nearest = Nearest { distance: &mut near, owner: &mut owner };
                trial_distances(set, &rows, &trials, nearest, &mut sums);
                let first =
                    |i: usize| if i.is_multiple_of(2) { distance(i, 0).min(2.0) } else { 0.25 };
                for lane in 0..k.min(TRIALS) {
                    let low = |i: usize| {
                        if i.is_multiple_of(2) { first(i).min(distance(i, lane)) } else { 0.25 }
                    };
                    let want: f64 = (0..n).map(low).sum();
                    assert!((sums[lane] - want).abs() <= tolerance * n as f64);
                }
                for i in 0..n {
                    assert!((near[i].wide() - first(i)).abs() <= tolerance);
                    let moved = i.is_multiple_of(2) && near[i].wide() < 2.0;
                    assert_eq!(owner[i], if moved { 7 } else { (i % 2) as u32 });
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_agrees_with_the_definition() {
        check::<f64>(1e-11);
        check::<f32>(2e-3); // f32 at an offset of 100 resolves distances to this
    }

    #[test]
    fn rows_are_shifted_and_projected_as_defined() {
        let mut noise = Noise::new(9);
        for (n, d, m) in [(1, 1, 1), (19, 20, 10), (8, 7, 17), (33, 3, 3)] {
            let rows: Vec<f32> = (0..n * d).map(|_| noise.normal() as f32).collect();
            let mean: Vec<f64> = (0..d).map(|_| noise.normal()).collect();
            let w = (0..d * m).map(|_| noise.normal()).collect();
            let w = Matrix::from_vec(d, m, w).unwrap();
            for set in sets() {
                let mut projector = Projector::new(&mean, &w);
                projector.set = set;
                let mut out = vec![f64::NAN; n * m];
                projector.project(&rows, &mut out);
                let mut moved = vec![0.0; n * d];
                let sum = shift_rows(set, &rows, d, &mut moved, d);
                for f in 0..d {
                    let want: f64 =
                        (0..n).map(|i| f64::from(rows[i * d + f]) - f64::from(rows[f])).sum();
                    assert!((sum[f] - want).abs() < 1e-12);
                    assert_eq!(moved[f], 0.0);
                }
                for i in 0..n {
                    for j in 0..m {
                        let want: f64 = (0..d)
                            .map(|f| (f64::from(rows[i * d + f]) - mean[f]) * w[(f, j)])
                            .sum();
                        assert!((out[i * m + j] - want).abs() < 1e-12, "{set:?} {n} {d} {m}");
                    }
                }
            }
        }
    }

    #[test]
    fn products_of_shifted_rows_are_as_defined() {
        let mut noise = Noise::new(2);
        for (n, d) in [(1, 1), (40, 3), (33, 20), (70, 31), (9, 47)] {
            let x: Vec<f32> = (0..n * d).map(|_| noise.normal() as f32).collect();
            let y: Vec<f32> = (0..n * d).map(|_| noise.normal() as f32).collect();
            let at = |z: &[f32], t: usize, i: usize| f64::from(z[t * d + i]) - f64::from(z[i]);
            for set in sets() {
                for pairs in [true, false] {
                    let mut block = PairRows::new(set, d, n + 5, pairs);
                    block.put_x(&x);
                    if pairs {
                        block.put_y(&y);
                    }
                    let (xx, xy) = block.products(n);
                    for i in 0..d {
                        let sum = |z: &[f32], j| (0..n).map(|t| at(&x, t, i) * at(z, t, j)).sum();
                        for j in 0..=i {
                            let want: f64 = sum(&x, j);
                            assert!(
                                (xx[i * d + j] - want).abs() < 1e-11,
                                "{set:?} {n} {d} {i} {j}"
                            );
                        }
                        for j in 0..if pairs { d } else { 0 } {
                            let want: f64 = sum(&y, j);
                            assert!(
                                (xy[i * d + j] - want).abs() < 1e-11,
                                "{set:?} {n} {d} {i} {j}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn ties_go_to_the_lowest_centre() {
        let centers = Matrix::from_vec(5, 1, vec![3.0, 1.0, -1.0, 1.0, -1.0]).unwrap();
        for set in sets() {
            let mut found = [9; 3];
            Packed::<f64>::with_set(&centers, set).nearest(&[0.0, 1.0, -1.0], &mut found);
            assert_eq!(found, [1, 1, 2], "{set:?}");
        }
    }
}
