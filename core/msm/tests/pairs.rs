//! Training pairs of data that runs downhill: what a chain of such jumps makes of the populations.

use marsfm_msm::{MsmBuilder, Rows};

/// Two wells on a line. The right one is left after 300 of 1,000 frames and not seen again, but for
/// one visit of 20 frames.
fn downhill(seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as f64 / u64::MAX as f64 - 0.5
    };
    let right = |f: usize| f < 300 || (600..620).contains(&f);
    (0..1000).flat_map(|f| [if right(f) { 3.0 } else { -3.0 } + noise(), noise()]).collect()
}

#[test]
fn symmetric_pairs_keep_the_populations_of_the_frames() {
    let data: Vec<Vec<f64>> = (1..4).map(downhill).collect();
    let rows: Vec<Rows<'_, f64>> = data.iter().map(|d| Rows::new(d, 2).unwrap()).collect();
    let settings =
        MsmBuilder { n_microstates: 8, n_macrostates: 2, pair_lag: 100, ..MsmBuilder::new(5) };
    let msm = settings.build(&rows).unwrap();
    assert_eq!(msm.n_macrostates(), 2);
    let right = |(t, f): (usize, usize)| f64::from(data[t][2 * f] > 0.0);
    // Share of the right well among starts and targets, and the population that a chain of such
    // jumps ends in.
    let of = |sampler: marsfm_msm::PairSampler| {
        let (mut starts, mut targets, mut jumps) = (0.0, 0.0, [[0.0; 2]; 2]);
        let n = 40_000;
        for c in 0..n {
            let (a, b) = sampler.draw(c);
            let (a, b) = (right(a), right(b));
            starts += a / n as f64;
            targets += b / n as f64;
            jumps[a as usize][b as usize] += 1.0;
        }
        let rate = |i: usize| jumps[i][1 - i] / (jumps[i][0] + jumps[i][1]);
        (starts, targets, rate(0) / (rate(0) + rate(1)))
    };
    let (starts, targets, chain) = of(msm.symmetric_pair_sampler(1).unwrap());
    assert!((starts - targets).abs() < 0.02, "{starts} {targets}");
    assert!((chain - starts).abs() < 0.02, "{chain} {starts}");
    // Frames 0..900 and 100..1000 count, each once: 520 of 1,800.
    assert!((starts - 520.0 / 1800.0).abs() < 0.02, "{starts}");
    // The paper's rule starts in either well equally often and drains the right one.
    let (starts, _, chain) = of(msm.pair_sampler(1).unwrap());
    assert!((starts - 0.5).abs() < 0.02, "{starts}");
    assert!(chain < 0.2, "{chain}");
}
