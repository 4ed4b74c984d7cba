//! Nearest centres in whole numbers of 16 bits, two features to a multiplication: twice the speed of
//! f32, with the answers of the plain way.
//!
//! Frames and centres (about the median of the centres) are scaled and rounded. Rounding moves each
//! of them by at most e = sqrt(d)/2, so with distances D1 < D2 to the nearest and the second nearest
//! rounded centre, half the difference of the true squares is at least (D2^2 - D1^2)/2 - 2 e (D1 + D2).
//! Where that is more than the rounding of the plain way could hide, the label is certain; all other
//! frames, and those far outside the centres, are left to the plain way. The sums themselves are
//! exact. The lowest bits of each score hold its centre's number, so that one minimum finds both.

use std::arch::x86_64::*;

use super::{Lane, Packed};

/// Frames in a register.
const LANES: usize = 16;
/// Registers of frames.
const WIDE: usize = 4;
/// Frames of a group.
const GROUP: usize = LANES * WIDE;
/// Length of the longest centre. Scores stay below 2^27 + 2^14 * 2^15 and fit 32 bits.
const LONGEST: f64 = 16384.0;
/// Frames of this squared length may have been cut off.
const TOO_LONG: i32 = 32767 * 32767;
/// Frames after which a call looks at how many of them were in doubt.
const LOOK: usize = 16 * GROUP;

/// Centres in whole numbers.
pub(super) struct Words<T> {
    /// The median of the centres, sixteen times.
    shift: Vec<T>,
    scale: f32,
    /// -c, pair of features after pair, centre after centre.
    negated: Vec<i32>,
    /// |c|^2/2 as rounded.
    half_norm: Vec<i32>,
    /// The bits that hold a centre's number.
    number: i32,
    /// 2 e.
    twice_moved: f32,
    /// What a difference of scores loses besides.
    lost: f32,
}

/// Two words as the instruction takes them.
#[inline(always)]
fn pair(low: i16, high: i16) -> i32 {
    i32::from(low as u16) | (i32::from(high) << 16)
}

impl<T: Lane> Words<T> {
    /// `None` where the machine, the number of centres or their places do not suit. `shift`, `negated`
    /// and `half_norm` are those of [`Packed`].
    pub fn new(shift: &[T], negated: &[T], half_norm: &[T]) -> Option<Self> {
        let d = shift.len();
        let suits = (16..4096).contains(&half_norm.len()) && d <= 512;
        if !suits
            || !is_x86_feature_detected!("avx512bw")
            || !is_x86_feature_detected!("avx512vnni")
        {
            return None;
        }
        let real = half_norm.iter().filter(|h| **h < T::INFINITY);
        let longest = real.map(|h| (2.0 * h.wide()).sqrt()).fold(0.0, f64::max);
        let scale = (LONGEST / longest) as f32;
        if !(scale.is_finite() && scale > 0.0 && longest.is_finite()) {
            return None;
        }
        let number = half_norm.len().next_power_of_two() as i32 - 1;
        let mut words = Self {
            shift: shift.repeat(LANES),
            scale,
            negated: Vec::new(),
            half_norm: Vec::new(),
            number,
            twice_moved: 1.02 * (d as f32).sqrt(),
            // The plain way: d + 2 roundings of f32, twice, of what a score may be. Ours: the number's
            // bits, and conversions to f32.
            lost: (2 * (d + 2)) as f32 * 0.6e-7 * 0.68e9 + (2 * number) as f32 + 1024.0,
        };
        for (center, half_norm) in negated.chunks_exact(d).zip(half_norm) {
            let whole = |v: &T| (v.wide() * f64::from(scale)).round() as i16;
            let center: Vec<i16> = center.iter().map(whole).collect();
            let pairs = center.chunks(2).map(|p| pair(p[0], p.get(1).copied().unwrap_or(0)));
            words.negated.extend(pairs);
            let norm: i32 = center.iter().map(|c| i32::from(*c) * i32::from(*c)).sum();
            words.half_norm.push(if *half_norm < T::INFINITY { norm / 2 } else { i32::MAX });
        }
        Some(words)
    }

    /// [`Packed::nearest`].
    pub fn nearest(&self, plain: &Packed<T>, rows: &[T], out: &mut [u32]) {
        let d = plain.d;
        let mut room = Room { flat: vec![0; GROUP * d], pairs: vec![0; GROUP * d.div_ceil(2)] };
        let (mut doubtful, mut done) = (Vec::new(), 0);
        for (rows, out) in rows.chunks_exact(GROUP * d).zip(out.chunks_exact_mut(GROUP)) {
            // SAFETY: `new` found the instructions.
            let doubt = unsafe { self.group(d, rows, &mut room, out) };
            doubtful.extend((0..GROUP).filter(|at| doubt >> at & 1 == 1).map(|at| done + at));
            done += GROUP;
            if done == LOOK && doubtful.len() > LOOK / 4 {
                break; // it does not pay here
            }
        }
        T::nearest(plain, &rows[done * d..], &mut out[done..]);
        let again: Vec<T> =
            doubtful.iter().flat_map(|at| &rows[at * d..(at + 1) * d]).copied().collect();
        let mut found = vec![0; doubtful.len()];
        T::nearest(plain, &again, &mut found);
        doubtful.iter().zip(found).for_each(|(at, found)| out[*at] = found);
    }

    /// Labels of a group of frames, and a bit for each of them that is in doubt.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    fn group(&self, d: usize, rows: &[T], room: &mut Room, out: &mut [u32]) -> u64 {
        room.fill(self, d, rows);
        let n_pairs = d.div_ceil(2);
        let load = |x: &[i32], v: usize| {
            let x = &x[v * LANES..(v + 1) * LANES];
            // SAFETY: sixteen numbers are there.
            unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
        };
        let number = _mm512_set1_epi32(self.number);
        let keep = _mm512_set1_epi32(!self.number);
        let mut best = [_mm512_set1_epi32(i32::MAX); WIDE];
        let mut second = best;
        let centers = self.negated.chunks_exact(2 * n_pairs).zip(self.half_norm.chunks_exact(2));
        for (j, (centers, norms)) in centers.enumerate() {
            let mut a = [_mm512_set1_epi32(norms[0]); WIDE];
            let mut b = [_mm512_set1_epi32(norms[1]); WIDE];
            let (first, other) = centers.split_at(n_pairs);
            for ((x, c0), c1) in room.pairs.chunks_exact(GROUP).zip(first).zip(other) {
                let (c0, c1) = (_mm512_set1_epi32(*c0), _mm512_set1_epi32(*c1));
                for v in 0..WIDE {
                    let x = load(x, v);
                    a[v] = _mm512_dpwssd_epi32(a[v], x, c0);
                    b[v] = _mm512_dpwssd_epi32(b[v], x, c1);
                }
            }
            let j0 = _mm512_set1_epi32(2 * j as i32);
            let j1 = _mm512_set1_epi32(2 * j as i32 + 1);
            for v in 0..WIDE {
                // (score and keep) or number
                let a = _mm512_ternarylogic_epi32::<0xEA>(a[v], keep, j0);
                let b = _mm512_ternarylogic_epi32::<0xEA>(b[v], keep, j1);
                let (low, high) = (_mm512_min_epi32(a, b), _mm512_max_epi32(a, b));
                let loser = _mm512_min_epi32(high, _mm512_max_epi32(best[v], low));
                second[v] = _mm512_min_epi32(second[v], loser);
                best[v] = _mm512_min_epi32(best[v], low);
            }
        }
        let mut doubt = 0;
        for v in 0..WIDE {
            let mut norm = _mm512_setzero_si512();
            for x in room.pairs.chunks_exact(GROUP) {
                let x = load(x, v);
                norm = _mm512_dpwssds_epi32(norm, x, x); // stops at the largest number
            }
            let long = _mm512_cmpge_epi32_mask(norm, _mm512_set1_epi32(TOO_LONG));
            let norm = _mm512_cvtepi32_ps(norm);
            let slack = _mm512_set1_ps(2.0 * self.number as f32 + 1024.0);
            let distance = |score: __m512i| {
                let twice = _mm512_set1_ps(2.0);
                let square = _mm512_fmadd_ps(_mm512_cvtepi32_ps(score), twice, norm);
                _mm512_sqrt_ps(_mm512_max_ps(_mm512_add_ps(square, slack), slack))
            };
            let both = _mm512_add_ps(distance(best[v]), distance(second[v]));
            let bound =
                _mm512_fmadd_ps(both, _mm512_set1_ps(self.twice_moved), _mm512_set1_ps(self.lost));
            let gap = _mm512_sub_ps(_mm512_cvtepi32_ps(second[v]), _mm512_cvtepi32_ps(best[v]));
            let close = !_mm512_cmp_ps_mask::<_CMP_GT_OQ>(gap, bound);
            doubt |= u64::from(close | long) << (LANES * v);
            let label = _mm512_and_si512(best[v], number);
            let out = &mut out[v * LANES..(v + 1) * LANES];
            // SAFETY: sixteen numbers are there.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), label) };
        }
        doubt
    }
}

/// Where a group of frames is rounded.
struct Room {
    /// Frame after frame.
    flat: Vec<i16>,
    /// Pair of features after pair, frames side by side.
    pairs: Vec<i32>,
}

impl Room {
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    fn fill<T: Lane>(&mut self, words: &Words<T>, d: usize, rows: &[T]) {
        let scale = _mm512_set1_ps(words.scale);
        let (shifts, _) = words.shift.as_chunks::<LANES>();
        let (rows, _) = rows.as_chunks::<LANES>();
        let (flat, _) = self.flat.as_chunks_mut::<LANES>();
        for (rows, flat) in rows.chunks_exact(d).zip(flat.chunks_exact_mut(d)) {
            for ((row, shift), flat) in rows.iter().zip(shifts).zip(flat) {
                let scaled = _mm512_mul_ps(T::differences(row, shift), scale);
                let whole = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(scaled));
                // SAFETY: sixteen words are there.
                unsafe { _mm256_storeu_si256(flat.as_mut_ptr().cast(), whole) };
            }
        }
        for (at, frame) in self.flat.chunks_exact(d).enumerate() {
            let (whole, rest) = frame.as_chunks::<2>();
            for (to, [low, high]) in self.pairs.chunks_exact_mut(GROUP).zip(whole) {
                to[at] = pair(*low, *high);
            }
            if let [last] = rest {
                self.pairs[(d / 2) * GROUP + at] = pair(*last, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Set;
    use super::*;
    use crate::Matrix;
    use crate::test_support::Noise;

    /// Labels of both ways over frames around centres, some far outside, some exactly between two.
    fn compare<T: Lane>(n: usize, d: usize, k: usize, offset: f64) {
        let mut noise = Noise::new((n + d + k) as u64);
        let centers: Vec<f64> = (0..k * d).map(|_| offset + noise.normal()).collect();
        let centers = Matrix::from_vec(k, d, centers).unwrap();
        let mut rows: Vec<T> = Vec::new();
        for i in 0..n {
            let (a, b) = (centers.row(i % k), centers.row((i / k) % k));
            for f in 0..d {
                rows.push(T::from_f64(match i % 5 {
                    0 => 0.5 * (a[f] + b[f]),
                    1 => 40.0 * a[f],
                    _ => offset + noise.normal(),
                }));
            }
        }
        let packed = Packed::<T>::with_set(&centers, Set::Avx512);
        let words = Words::new(&packed.shift, &packed.negated, &packed.half_norm).unwrap();
        let mut room = Room { flat: vec![0; GROUP * d], pairs: vec![0; GROUP * d.div_ceil(2)] };
        let (mut certain, mut want) = (0, vec![0; n]);
        T::nearest(&packed, &rows, &mut want);
        for (group, rows) in rows.chunks_exact(GROUP * d).enumerate() {
            let mut found = [0; GROUP];
            // SAFETY: `Words::new` found the instructions.
            let doubt = unsafe { words.group(d, rows, &mut room, &mut found) };
            for at in 0..GROUP {
                let i = group * GROUP + at;
                if doubt >> at & 1 == 0 {
                    certain += 1;
                    assert_eq!(found[at], want[i], "frame {i} of {n} {d} {k} {offset}");
                }
            }
        }
        assert!(2 * certain > n - GROUP, "{certain} of {n} certain at {d} {k} {offset}");
        let mut found = vec![u32::MAX; n];
        words.nearest(&packed, &rows, &mut found);
        assert_eq!(found, want, "{n} {d} {k} {offset}");
    }

    #[test]
    fn the_answers_are_those_of_the_plain_way() {
        let have = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni");
        if !have || Set::detect() != Set::Avx512 {
            println!("SKIPPED the_answers_are_those_of_the_plain_way: no AVX-512 VNNI here");
            return;
        }
        for (n, d, k) in
            [(1000, 10, 100), (777, 3, 16), (640, 7, 33), (2000, 20, 1000), (300, 2, 40)]
        {
            compare::<f32>(n, d, k, 0.0);
            compare::<f64>(n, d, k, 0.0);
            compare::<f64>(n, d, k, 100.0);
        }
    }

    #[test]
    fn what_does_not_suit_is_left_to_the_plain_way() {
        let same = vec![0.0_f64; 40];
        assert!(Words::new(&same[..2], &same, &same[..20]).is_none(), "all centres in one place");
        assert!(Words::new(&[0.0_f64], &[1.0, 2.0], &[0.5, 2.0]).is_none(), "two centres");
    }
}
