//! Random numbers of sixteen replicas: xoshiro128++ (Blackman and Vigna 2021) in each lane.

use super::lanes::{LANES, Row, ln, sin_cos_turns};

/// The generators of all lanes. What a lane gives depends on its own seed alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Random {
    state: [[u32; LANES]; 4],
}

impl Random {
    /// One generator per seed, its state filled by splitmix64.
    pub fn new(seeds: &[u64; LANES]) -> Self {
        let mut state = [[0; LANES]; 4];
        for (lane, seed) in seeds.iter().enumerate() {
            let mut x = *seed;
            for pair in 0..2 {
                x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                let z = z ^ (z >> 31);
                state[2 * pair][lane] = z as u32;
                // Never all zero.
                state[2 * pair + 1][lane] = (z >> 32) as u32 | u32::from(pair == 0);
            }
        }
        Self { state }
    }

    #[inline(always)]
    fn bits(&mut self) -> [u32; LANES] {
        let [a, b, c, d] = &mut self.state;
        let mut out = [0; LANES];
        for l in 0..LANES {
            out[l] = a[l].wrapping_add(d[l]).rotate_left(7).wrapping_add(a[l]);
            let t = b[l] << 9;
            c[l] ^= a[l];
            d[l] ^= b[l];
            b[l] ^= c[l];
            a[l] ^= d[l];
            c[l] ^= t;
            d[l] = d[l].rotate_left(11);
        }
        out
    }

    /// Two rows of independent standard normal numbers (Box and Muller).
    #[inline(always)]
    pub fn normal(&mut self) -> [Row; 2] {
        let (u, v) = (self.bits(), self.bits());
        let mut out = [Row::ZERO; 2];
        for l in 0..LANES {
            // (0, 1], in steps of 2^-24, and [-1/2, 1/2).
            let u = ((u[l] >> 8) + 1) as f32 * (1.0 / 16_777_216.0);
            let t = ((v[l] as i32) >> 8) as f32 * (1.0 / 16_777_216.0);
            let r = (-2.0 * ln(u)).sqrt();
            let (s, c) = sin_cos_turns(t);
            out[0][l] = r * c;
            out[1][l] = r * s;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_normal_and_belong_to_their_seed() {
        let seeds: [u64; LANES] = std::array::from_fn(|l| l as u64 % 8);
        let mut random = Random::new(&seeds);
        let n = 100_000;
        let (mut moments, mut cross) = ([0.0f64; 4], 0.0f64);
        for _ in 0..n {
            let [a, b] = random.normal();
            for l in 0..LANES / 2 {
                assert_eq!(a[l].to_bits(), a[l + 8].to_bits());
                for x in [a[l], b[l]] {
                    for (k, moment) in moments.iter_mut().enumerate() {
                        *moment += f64::from(x).powi(k as i32 + 1);
                    }
                }
                cross +=
                    f64::from(a[l]) * f64::from(b[l]) + f64::from(a[0]) * f64::from(a[1]) / 8.0;
            }
        }
        let count = f64::from(n) * LANES as f64;
        // Five standard errors.
        let scale = 5.0 / count.sqrt();
        assert!(moments[0].abs() / count < scale);
        assert!((moments[1] / count - 1.0).abs() < scale * 2f64.sqrt());
        assert!(moments[2].abs() / count < scale * 15f64.sqrt());
        assert!((moments[3] / count - 3.0).abs() < scale * 96f64.sqrt());
        assert!(cross.abs() / count < 2.0 * scale);
    }
}
