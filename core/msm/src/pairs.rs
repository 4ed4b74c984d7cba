//! Training pairs (x(t), x(t + tau)) drawn from a Markov model, by index only. METHOD 7.2.
//!
//! State i uniform over the non-empty states, first frame uniform over the frames of i, state j by
//! T_ij, second frame uniform over the frames of j; the two frames need not lie in one trajectory.
//! Draw number c depends on the seed and c alone, so draws can be made in any order by any number
//! of threads, and training can be resumed at any step.

use crate::estimate::row_normalised;
use crate::random::Stream;
use crate::states::{Discrete, each_span};
use crate::{CountMode, Matrix, Msm, MsmError, count_transitions};

/// A frame: trajectory, then frame in it.
pub type FrameIndex = (usize, usize);

/// Draws pairs by state; works on macrostates and microstates alike.
#[derive(Clone, Debug)]
pub struct PairSampler {
    base: Stream,
    /// States that can start a pair, with the running sum of their weights.
    states: Vec<usize>,
    cumulative_weight: Vec<f64>,
    /// For each state: target states with their running sum of T_ij.
    targets: Vec<Vec<(f64, usize)>>,
    frames: Frames,
}

/// Frames grouped by state. Within a state they may be grouped further, each group drawn with its
/// own weight.
#[derive(Clone, Debug)]
struct Frames {
    /// (trajectory, frame), ordered by group.
    index: Vec<(u32, u32)>,
    /// Groups of each state: (running weight, first, end) into `index`.
    groups: Vec<Vec<(f64, usize, usize)>>,
}

impl Frames {
    /// Groups frames by `group_of(state)`; group g belongs to `owner[g]` with `weight[g]`.
    fn new<S: Discrete + ?Sized>(
        trajectories: &S,
        n_groups: usize,
        owner: &[Option<usize>],
        weight: Option<&[f64]>,
        n_states: usize,
    ) -> Result<Self, MsmError> {
        let populations = crate::counts::populations(trajectories, n_groups)?;
        let mut first = vec![0usize; n_groups + 1];
        for g in 0..n_groups {
            first[g + 1] = first[g] + populations[g] as usize;
        }
        let mut next = first.clone();
        let mut index = vec![(0, 0); first[n_groups]];
        each_span(trajectories, |t, start, states| {
            for (frame, g) in (start..).zip(states) {
                if let Ok(g) = usize::try_from(*g) {
                    index[next[g]] = (t as u32, frame as u32);
                    next[g] += 1;
                }
            }
            Ok(())
        })?;
        let mut groups = vec![Vec::new(); n_states];
        for g in 0..n_groups {
            let (Some(state), true) = (owner[g], populations[g] > 0) else { continue };
            let w = weight.map_or(populations[g] as f64, |w| w[g]);
            let list: &mut Vec<(f64, usize, usize)> = &mut groups[state];
            let before = list.last().map_or(0.0, |l| l.0);
            if w > 0.0 {
                list.push((before + w, first[g], first[g + 1]));
            }
        }
        Ok(Self { index, groups })
    }

    fn draw(&self, state: usize, rng: &mut Stream) -> FrameIndex {
        let groups = &self.groups[state];
        let total = groups[groups.len() - 1].0;
        let at = if groups.len() == 1 {
            0
        } else {
            let u = rng.uniform() * total;
            groups.partition_point(|g| g.0 <= u).min(groups.len() - 1)
        };
        let (_, first, end) = groups[at];
        let (t, f) = self.index[first + rng.below(end - first)];
        (t as usize, f as usize)
    }
}

impl PairSampler {
    /// `trajectories` of states (-1: none), T over the same states (rows need not be normalised),
    /// start states uniform over those with frames. Targets without frames are left out of each
    /// row; a row with no target left stays in its state.
    pub fn new<S: Discrete + ?Sized>(
        trajectories: &S,
        t: &Matrix,
        rng_seed: u64,
    ) -> Result<Self, MsmError> {
        let n = t.n_rows();
        let owner: Vec<Option<usize>> = (0..n).map(Some).collect();
        let frames = Frames::new(trajectories, n, &owner, None, n)?;
        Self::build(frames, t, rng_seed)
    }

    /// For data whose frames are not Boltzmann-distributed (seeded by a loop): within macrostate I
    /// the microstate a is drawn by pi_a, then a frame of a uniformly, so each frame weighs
    /// pi_a/n_a. `micro` holds microstate trajectories, `macro_of_micro` the macrostate of each
    /// microstate, `pi` its stationary weight (0 where there is none). METHOD 7.1b.
    pub fn weighted<S: Discrete + ?Sized>(
        micro: &S,
        macro_of_micro: &[Option<usize>],
        pi: &[f64],
        t_macro: &Matrix,
        rng_seed: u64,
    ) -> Result<Self, MsmError> {
        let n = macro_of_micro.len();
        if pi.len() != n {
            return Err(MsmError::Size { what: "stationary weights", expected: n, got: pi.len() });
        }
        let m = t_macro.n_rows();
        if let Some(got) = macro_of_micro.iter().flatten().find(|s| **s >= m) {
            return Err(MsmError::Parameter {
                what: "macrostate of a microstate",
                got: got.to_string(),
                expected: format!("less than {m}"),
            });
        }
        let frames = Frames::new(micro, n, macro_of_micro, Some(pi), m)?;
        Self::build(frames, t_macro, rng_seed)
    }

    /// Start states drawn with these weights instead of uniformly (states without frames get 0).
    pub fn with_start_weights(mut self, weights: &[f64]) -> Result<Self, MsmError> {
        let n = self.targets.len();
        if weights.len() != n {
            return Err(MsmError::Size { what: "start weights", expected: n, got: weights.len() });
        }
        let mut states = Vec::new();
        let mut cumulative_weight = Vec::new();
        let mut sum = 0.0;
        for (i, &w) in weights.iter().enumerate() {
            if w > 0.0 && w.is_finite() && !self.frames.groups[i].is_empty() {
                sum += w;
                states.push(i);
                cumulative_weight.push(sum);
            }
        }
        if states.is_empty() {
            return Err(MsmError::NoFrames);
        }
        self.states = states;
        self.cumulative_weight = cumulative_weight;
        Ok(self)
    }

    fn build(frames: Frames, t: &Matrix, rng_seed: u64) -> Result<Self, MsmError> {
        let n = t.n_rows();
        if t.n_cols() != n {
            return Err(MsmError::Size { what: "columns of T", expected: n, got: t.n_cols() });
        }
        let full = |j: usize| !frames.groups[j].is_empty();
        let states: Vec<usize> = (0..n).filter(|&i| full(i)).collect();
        if states.is_empty() {
            return Err(MsmError::NoFrames);
        }
        let mut targets = vec![Vec::new(); n];
        for &i in &states {
            let mut sum = 0.0;
            for j in (0..n).filter(|&j| full(j)) {
                let p = t[(i, j)];
                if !(p >= 0.0 && p.is_finite()) {
                    return Err(MsmError::NotStochastic { row: i, sum: t.row(i).iter().sum() });
                }
                if p > 0.0 {
                    sum += p;
                    targets[i].push((sum, j));
                }
            }
            if targets[i].is_empty() {
                targets[i].push((1.0, i));
            }
        }
        let cumulative_weight = (1..=states.len()).map(|i| i as f64).collect();
        Ok(Self { base: Stream::new(rng_seed, 0), states, cumulative_weight, targets, frames })
    }

    /// Pair number `counter`: start frame and target frame.
    pub fn draw(&self, counter: u64) -> (FrameIndex, FrameIndex) {
        let (first, second, _) = self.draw_with_states(counter);
        (first, second)
    }

    /// Pair number `counter` and its states (i, j).
    pub fn draw_with_states(&self, counter: u64) -> (FrameIndex, FrameIndex, (usize, usize)) {
        let mut rng = self.base.restarted(counter);
        let last = self.states.len() - 1;
        let u = rng.uniform() * self.cumulative_weight[last];
        let i = self.states[self.cumulative_weight.partition_point(|w| *w <= u).min(last)];
        let first = self.frames.draw(i, &mut rng);
        let targets = &self.targets[i];
        let last = targets.len() - 1;
        let u = rng.uniform() * targets[last].0;
        let j = targets[targets.partition_point(|t| t.0 <= u).min(last)].1;
        let second = self.frames.draw(j, &mut rng);
        (first, second, (i, j))
    }

    /// States that can start a pair.
    pub fn states(&self) -> &[usize] {
        &self.states
    }
}

/// Draws plain time-lagged pairs (x(t), x(t + lag)), uniformly over all pairs of all trajectories.
#[derive(Clone, Debug)]
pub struct LaggedPairs {
    base: Stream,
    lag: usize,
    /// Trajectory and running number of pairs.
    pairs: Vec<(usize, usize)>,
}

impl LaggedPairs {
    /// `lengths` of the trajectories in frames; those not longer than the lag give no pairs.
    pub fn new(lengths: &[usize], lag: usize, rng_seed: u64) -> Result<Self, MsmError> {
        if lag == 0 {
            return Err(MsmError::InvalidLag { what: "pair lag", lag });
        }
        let mut sum = 0;
        let mut pairs = Vec::new();
        for (t, &len) in lengths.iter().enumerate().filter(|(_, len)| **len > lag) {
            sum += len - lag;
            pairs.push((t, sum));
        }
        if pairs.is_empty() {
            let longest = lengths.iter().copied().max().unwrap_or(0);
            return Err(MsmError::TooShort { lag, longest, n_trajectories: lengths.len() });
        }
        Ok(Self { base: Stream::new(rng_seed, 0), lag, pairs })
    }

    /// Number of pairs there are.
    pub fn n_pairs(&self) -> usize {
        self.pairs[self.pairs.len() - 1].1
    }

    /// Pair number `counter` of the random sequence.
    pub fn draw(&self, counter: u64) -> (FrameIndex, FrameIndex) {
        let mut rng = self.base.restarted(counter);
        let at = rng.below(self.n_pairs());
        let slot = self.pairs.partition_point(|p| p.1 <= at);
        let before = if slot == 0 { 0 } else { self.pairs[slot - 1].1 };
        let t = self.pairs[slot].0;
        ((t, at - before), (t, at - before + self.lag))
    }
}

impl Msm {
    /// Training pairs by macrostates and `macro_t`: the paper's rule.
    pub fn pair_sampler(&self, rng_seed: u64) -> Result<PairSampler, MsmError> {
        PairSampler::new(&self.macrostates(), &self.macro_t, rng_seed)
    }

    /// Training pairs by macrostates, transitions counted in both directions of time and start
    /// states by their share of those: a chain of such jumps keeps the populations that the frames
    /// have. A jump's populations are then right also where several systems, or pieces of them, are
    /// learned together; the paper's uniform starts weigh a transition seen once like one seen often.
    pub fn symmetric_pair_sampler(&self, rng_seed: u64) -> Result<PairSampler, MsmError> {
        let (n, lag) = (self.n_macrostates(), self.settings.pair_lag);
        let trajectories = self.macrostates();
        let counts = count_transitions(&trajectories, n, lag, CountMode::Sliding)?.counts;
        let mut both = Matrix::zeros(n, n);
        for i in 0..n {
            for j in 0..n {
                both[(i, j)] = counts[(i, j)] + counts[(j, i)];
            }
        }
        let shares: Vec<f64> = (0..n).map(|i| both.row(i).iter().sum()).collect();
        PairSampler::new(&trajectories, &row_normalised(&both, true), rng_seed)?
            .with_start_weights(&shares)
    }

    /// Training pairs by microstates, with row-normalised microstate counts at the pair lag.
    pub fn micro_pair_sampler(&self, rng_seed: u64) -> Result<PairSampler, MsmError> {
        let n = self.centers.n_rows();
        let c = count_transitions(
            &self.micro_trajectories,
            n,
            self.settings.pair_lag,
            CountMode::Sliding,
        )?;
        PairSampler::new(&self.micro_trajectories, &row_normalised(&c.counts, true), rng_seed)
    }

    /// Training pairs for data that is not in equilibrium: reversible macrostate T, frames weighted
    /// by pi_a/n_a. METHOD 7.1b.
    pub fn reweighted_pair_sampler(&self, rng_seed: u64) -> Result<PairSampler, MsmError> {
        let pi: Vec<f64> =
            (0..self.centers.n_rows()).map(|i| self.micro.stationary_of(i)).collect();
        PairSampler::weighted(
            &self.micro_trajectories,
            &self.macro_of_micro,
            &pi,
            &self.macro_t_reversible,
            rng_seed,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t3() -> Matrix {
        Matrix::from_vec(3, 3, vec![0.5, 0.5, 0.0, 0.1, 0.6, 0.3, 0.0, 0.0, 1.0]).unwrap()
    }

    #[test]
    fn draws_follow_the_distribution() {
        let trajs = [vec![0, 0, 1, -1, 1, 2], vec![1, 1, 1, 0, 0, 0, 0, 0]];
        let s = PairSampler::new(&trajs, &t3(), 42).unwrap();
        let n = 60_000;
        let mut start = [0.0; 3];
        let mut jump = [[0.0; 3]; 3];
        let mut frames = std::collections::BTreeMap::new();
        for c in 0..n {
            let (a, b, (i, j)) = s.draw_with_states(c);
            assert_eq!(trajs[a.0][a.1], i as i32);
            assert_eq!(trajs[b.0][b.1], j as i32);
            start[i] += 1.0;
            jump[i][j] += 1.0;
            *frames.entry(a).or_insert(0.0) += 1.0;
        }
        for i in 0..3 {
            assert!((start[i] / n as f64 - 1.0 / 3.0).abs() < 0.01);
            for j in 0..3 {
                assert!((jump[i][j] / start[i] - t3()[(i, j)]).abs() < 0.015);
            }
        }
        assert_eq!(frames.len(), 13); // every frame with a state
        for (f, count) in frames {
            let same = [7.0, 5.0, 1.0][trajs[f.0][f.1] as usize];
            assert!((count / n as f64 * 3.0 * same - 1.0).abs() < 0.1);
        }
    }

    #[test]
    fn draws_depend_on_seed_and_counter_alone() {
        let trajs = [vec![0, 1, 2, 0, 1, 2]];
        let a = PairSampler::new(&trajs, &t3(), 1).unwrap();
        let b = PairSampler::new(&trajs, &t3(), 1).unwrap();
        let forward: Vec<_> = (0..50).map(|c| a.draw(c)).collect();
        let backward: Vec<_> = (0..50).rev().map(|c| b.draw(c)).collect();
        assert!(forward.iter().eq(backward.iter().rev()));
        let other = PairSampler::new(&trajs, &t3(), 2).unwrap();
        assert!((0..50).any(|c| other.draw(c) != a.draw(c)));
    }

    #[test]
    fn states_without_frames_are_never_drawn() {
        let trajs = [vec![0, 0, 1, 1]];
        let s = PairSampler::new(&trajs, &t3(), 3).unwrap();
        assert_eq!(s.states(), [0, 1]);
        for c in 0..2000 {
            assert_ne!(s.draw_with_states(c).2.1, 2);
        }
        assert!(matches!(PairSampler::new(&[vec![-1]], &t3(), 3), Err(MsmError::NoFrames)));
        assert!(PairSampler::new(&[vec![3]], &t3(), 3).is_err());
        let only = Matrix::from_vec(2, 2, vec![0.0, 1.0, 0.5, 0.5]).unwrap();
        let s = PairSampler::new(&[vec![0, 0]], &only, 3).unwrap();
        assert_eq!(s.draw_with_states(7).2, (0, 0)); // nowhere else to go
    }

    #[test]
    fn weights_reach_frames_and_starts() {
        // microstates 0, 1 in macrostate 0; 2 in macrostate 1; pi makes 1 nine times 0.
        let micro = [vec![0, 0, 0, 1, 2]];
        let owner = [Some(0), Some(0), Some(1)];
        let t = Matrix::identity(2);
        let s = PairSampler::weighted(&micro, &owner, &[0.05, 0.45, 0.5], &t, 5).unwrap();
        let s = s.with_start_weights(&[1.0, 0.0]).unwrap();
        let hits = (0..20_000).filter(|&c| s.draw(c).0 == (0, 3)).count();
        assert!((hits as f64 / 20_000.0 - 0.9).abs() < 0.01);
        assert!((0..100).all(|c| s.draw_with_states(c).2.0 == 0));
    }

    #[test]
    fn lagged_pairs_stay_inside_their_trajectory() {
        let p = LaggedPairs::new(&[5, 2, 9], 3, 1).unwrap();
        assert_eq!(p.n_pairs(), 8);
        let mut seen = std::collections::BTreeSet::new();
        for c in 0..1000 {
            let (a, b) = p.draw(c);
            assert_eq!((a.0, a.1 + 3), b);
            assert!(b.1 < [5, 2, 9][a.0]);
            seen.insert(a);
        }
        assert_eq!(seen.len(), 8);
        assert!(LaggedPairs::new(&[3], 3, 1).is_err());
        assert!(LaggedPairs::new(&[3], 0, 1).is_err());
    }
}
