//! One `rng_seed` for many purposes.

/// A positive seed of 31 bits for one purpose of a caller's `rng_seed` (SplitMix64: Steele, Lea and
/// Flood 2014).
pub fn stream_seed(rng_seed: u64, purpose: u64) -> i32 {
    let mut z = rng_seed.wrapping_add(purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (((z ^ (z >> 31)) >> 33) as i32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_positive_and_differ_by_purpose_and_number() {
        let mut seen = std::collections::HashSet::new();
        for rng_seed in [0, 1, 2, u64::MAX] {
            for purpose in 1..4 {
                let made = stream_seed(rng_seed, purpose);
                assert!(made > 0);
                assert!(seen.insert(made), "{rng_seed} {purpose}");
            }
        }
    }
}
