//! Estimators for short, seeded runs (METHOD 7.1b) against a known chain: its exact numbers, and
//! kinetic Monte Carlo of it, long enough to be in equilibrium.
//!
//! Six microstates in a row, in three macrostates {0, 1}, {2, 3}, {4, 5}. Seeded data: 60,000
//! runs of 10 frames that start uniformly in all six, so the frames are far from Boltzmann's weights,
//! and plain counting of macrostates is wrong where reversible microstates are right. Each exchange
//! between macrostates is seen some 1000 times: 3 to 5 % of noise in rates and weights, of which the
//! tolerances are three times as much.

use marsfm_msm::estimate::{reversible_eigenvalues, stationary_distribution};
use marsfm_msm::validate::mean_first_passage_time;
use marsfm_msm::{
    CountMode, Matrix, Msm, MsmBuilder, PairSampler, ReversibleMle, Rows, count_transitions,
};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

const N: usize = 6;
const MACRO: [usize; N] = [0, 0, 1, 1, 2, 2];

/// A reversible chain: neighbours exchange, slowly between macrostates, and the weights fall.
fn known() -> (Matrix, Vec<f64>) {
    let pi = [0.40, 0.15, 0.20, 0.12, 0.10, 0.03];
    let exchange = [0.006, 0.002, 0.006, 0.001, 0.003]; // pi_i T_ij of neighbours
    let mut t = Matrix::identity(N);
    for (i, x) in exchange.iter().enumerate() {
        for (a, b) in [(i, i + 1), (i + 1, i)] {
            t[(a, b)] = x / pi[a];
            t[(a, a)] -= x / pi[a];
        }
    }
    let found = stationary_distribution(&t).unwrap();
    assert!(found.iter().zip(&pi).all(|(a, b)| (a - b).abs() < 1e-12));
    (t, pi.to_vec())
}

fn step(t: &Matrix, from: usize, random: &mut Random) -> usize {
    let mut u = random.uniform();
    for (j, p) in t.row(from).iter().enumerate() {
        u -= p;
        if u < 0.0 {
            return j;
        }
    }
    from
}

fn run(t: &Matrix, start: usize, frames: usize, random: &mut Random) -> Vec<i32> {
    let mut state = start;
    (0..frames)
        .map(|_| {
            let now = state as i32;
            state = step(t, state, random);
            now
        })
        .collect()
}

fn seeded(t: &Matrix) -> Vec<Vec<i32>> {
    let mut random = Random(1);
    (0..60_000).map(|i| run(t, i % N, 10, &mut random)).collect()
}

/// sum_{a in I, b in J} pi_a T_ab / pi_I.
fn lumped(t: &Matrix, pi: &[f64]) -> (Matrix, Vec<f64>) {
    let (mut flux, mut weight) = (Matrix::zeros(3, 3), vec![0.0; 3]);
    for a in 0..N {
        weight[MACRO[a]] += pi[a];
        for b in 0..N {
            flux[(MACRO[a], MACRO[b])] += pi[a] * t[(a, b)];
        }
    }
    for i in 0..3 {
        flux.row_mut(i).iter_mut().for_each(|v| *v /= weight[i]);
    }
    (flux, weight)
}

/// The model of the seeded data, built through features: a microstate's place on a line.
fn model(data: &[Vec<i32>]) -> (Msm, Vec<usize>) {
    let place = [0.0, 1.0, 5.0, 6.0, 11.0, 12.0];
    let x: Vec<Vec<f64>> =
        data.iter().map(|d| d.iter().map(|s| place[*s as usize]).collect()).collect();
    let rows: Vec<Rows<'_, f64>> = x.iter().map(|x| Rows::new(x, 1).unwrap()).collect();
    let settings = MsmBuilder {
        n_microstates: N,
        n_macrostates: 3,
        reweighted: true,
        timescale_lags: Some(vec![1]),
        ..MsmBuilder::new(1)
    };
    let msm = settings.build(&rows).unwrap();
    assert_eq!((msm.centers.n_rows(), msm.n_macrostates()), (N, 3));
    // Which macrostate of the model is which of ours.
    let mut name = vec![usize::MAX; 3];
    for (own, found) in data.iter().zip(&msm.macro_trajectories().unwrap()) {
        for (s, m) in own.iter().zip(found) {
            let ours = MACRO[*s as usize];
            assert!(name[ours] == usize::MAX || name[ours] == *m as usize, "sets are mixed");
            name[ours] = *m as usize;
        }
    }
    (msm, name)
}

#[test]
fn seeded_runs_give_the_microstates_of_the_chain() {
    let (t, pi) = known();
    let data = seeded(&t);
    let counts = count_transitions(&data, N, 1, CountMode::Sliding).unwrap();
    let model = ReversibleMle::default().fit(&counts).unwrap();
    let frames: f64 = counts.populations.iter().sum::<u64>() as f64;
    for i in 0..N {
        // Frames are far from pi (uniform seeds), the estimate is not.
        assert!((model.pi[i] / pi[i] - 1.0).abs() < 0.15, "{i}: {} {}", model.pi[i], pi[i]);
        for j in 0..N {
            assert!((model.t[(i, j)] - t[(i, j)]).abs() < 0.004, "{i} {j}");
        }
    }
    assert!(counts.populations[0] as f64 / frames < 0.75 * pi[0]);
    let exact = reversible_eigenvalues(&t, &pi).unwrap();
    let slow = -1.0 / exact[1].ln();
    let found = model.timescales(1).unwrap()[0];
    assert!((found / slow - 1.0).abs() < 0.12, "{found} {slow}");
}

#[test]
fn macrostates_come_from_reversible_microstates_not_from_counts() {
    let (t, pi) = known();
    let (msm, name) = model(&seeded(&t));
    let (want, weight) = lumped(&t, &pi);
    let (mut by_rule, mut by_counts) = (0.0_f64, 0.0_f64);
    for i in 0..3 {
        assert!((msm.macro_pi[name[i]] - weight[i]).abs() < 0.03, "{i} {:?}", msm.macro_pi);
        for j in 0..3 {
            let relative = |m: &Matrix| (m[(name[i], name[j])] / want[(i, j)] - 1.0).abs();
            if i != j && want[(i, j)] > 0.0 {
                by_rule = by_rule.max(relative(&msm.macro_t_reversible));
                by_counts = by_counts.max(relative(&msm.macro_t));
            }
        }
    }
    assert!(by_rule < 0.15, "{by_rule}");
    assert!(by_counts > 0.3 && by_counts > 3.0 * by_rule, "{by_counts} {by_rule}");
}

#[test]
fn kinetic_monte_carlo_sees_what_the_seeded_model_says() {
    let (t, _) = known();
    let (msm, name) = model(&seeded(&t));
    let mut random = Random(7);
    let long = run(&t, 0, 3_000_000, &mut random);
    let mut share = [0.0; 3];
    long.iter().for_each(|s| share[MACRO[*s as usize]] += 1.0 / long.len() as f64);
    for i in 0..3 {
        assert!((msm.macro_pi[name[i]] - share[i]).abs() < 0.03, "{i} {share:?}");
    }
    // Mean time from macrostate 0 (in equilibrium inside it) to macrostate 2.
    let goal = |s: i32| MACRO[s as usize] == 2;
    let (mut starts, mut sum, mut next_goal) = (0u64, 0u64, None);
    for frame in (0..long.len()).rev() {
        if goal(long[frame]) {
            next_goal = Some(frame);
        } else if let (0, Some(goal)) = (MACRO[long[frame] as usize], next_goal) {
            starts += 1;
            sum += (goal - frame) as u64;
        }
    }
    let simulated = sum as f64 / starts as f64;
    let rows = |set: usize| -> Vec<usize> {
        let active = msm.micro.active.iter().enumerate();
        active.filter(|(_, i)| msm.macro_of_micro[**i] == Some(set)).map(|(row, _)| row).collect()
    };
    let (from, to) = (rows(name[0]), rows(name[2]));
    let found = mean_first_passage_time(&msm.micro.t, &msm.micro.pi, 1, &from, &to).unwrap();
    assert!((found / simulated - 1.0).abs() < 0.15, "{found} {simulated}");
}

#[test]
fn pairs_start_uniformly_over_macrostates_and_with_equilibrium_weights_inside() {
    let (t, pi) = known();
    let data = seeded(&t);
    let (msm, name) = model(&data);
    let (want, weight) = lumped(&t, &pi);
    let draws = 200_000;
    let tally = |sampler: &PairSampler| {
        let (mut start, mut micro, mut jump) = ([0.0; 3], [0.0; N], [[0.0; 3]; 3]);
        for counter in 0..draws {
            let (a, b, (i, j)) = sampler.draw_with_states(counter);
            let (x, y) = (data[a.0][a.1] as usize, data[b.0][b.1] as usize);
            assert!(name[MACRO[x]] == i && name[MACRO[y]] == j);
            start[MACRO[x]] += 1.0 / draws as f64;
            micro[x] += 1.0 / draws as f64;
            jump[MACRO[x]][MACRO[y]] += 1.0;
        }
        (start, micro, jump)
    };
    let uniform = msm.reweighted_pair_sampler(3).unwrap();
    let (start, micro, jump) = tally(&uniform);
    for i in 0..3 {
        assert!((start[i] - 1.0 / 3.0).abs() < 0.01, "{start:?}");
        let from: f64 = jump[i].iter().sum();
        for j in 0..3 {
            assert!((jump[i][j] / from - want[(i, j)]).abs() < 0.004, "{i} {j} {jump:?}");
        }
    }
    for a in 0..N {
        let inside = pi[a] / weight[MACRO[a]];
        assert!((micro[a] / start[MACRO[a]] - inside).abs() < 0.02, "{a} {micro:?}");
    }
    // Starts by equilibrium weight: then a jump leaves the distribution alone.
    let by_weight = uniform.with_start_weights(&msm.macro_pi).unwrap();
    let (start, _, jump) = tally(&by_weight);
    for i in 0..3 {
        assert!((start[i] - weight[i]).abs() < 0.03, "{start:?}");
        let arrived: f64 = (0..3).map(|k| jump[k][i]).sum::<f64>() / draws as f64;
        assert!((arrived - start[i]).abs() < 0.01, "{i} {arrived} {start:?}");
    }
}
