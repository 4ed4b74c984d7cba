//! Transition counts of discrete trajectories, and which states reach each other.
//!
//! C_ij = number of t with s(t) = i and s(t + lag) = j, within each trajectory. Modes: sliding
//! (every t), sample (t = 0, lag, 2 lag, …), effective (sliding, each row scaled to its
//! statistically independent number; see [`effective`](CountMode::Effective)). Frames with
//! [`NO_STATE`] take part in no pair. METHOD 7.1; MSM.md section 2.

use crate::kernels::zeros;
use crate::states::{Discrete, SPAN, each_pair_span, each_span};
use crate::{Matrix, MsmError, Warning, effective};

/// The state of a frame that belongs to no state.
pub const NO_STATE: i32 = -1;

/// Most states a dense count matrix is made for (512 MiB).
pub const MAX_STATES: usize = 8192;

/// Which pairs are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CountMode {
    /// Every frame starts a pair.
    #[default]
    Sliding,
    /// Every lag-th frame starts a pair: pairs do not overlap.
    Sample,
    /// Sliding counts scaled row by row to the number of statistically independent ones: the
    /// statistical inefficiency of the indicator sequence of each i→j, truncated at the first
    /// non-positive autocorrelation and averaged over the row with the counts as weights.
    Effective,
}

/// Counts over all states, in full numbering.
#[derive(Clone, Debug)]
pub struct CountMatrix {
    /// Counts (n x n); whole numbers unless effective.
    pub counts: Matrix,
    /// Frames of each state, over all trajectories.
    pub populations: Vec<u64>,
    /// Lag in frames.
    pub lag: usize,
    /// Which pairs were counted.
    pub mode: CountMode,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// Counts transitions between `n_states` states at `lag` frames.
pub fn count_transitions<S: Discrete + ?Sized>(
    trajectories: &S,
    n_states: usize,
    lag: usize,
    mode: CountMode,
) -> Result<CountMatrix, MsmError> {
    if lag == 0 {
        return Err(MsmError::InvalidLag { what: "count lag", lag });
    }
    if n_states > MAX_STATES {
        return Err(MsmError::TooManyStates { n_states, max: MAX_STATES });
    }
    check_states(trajectories, n_states)?;
    let lengths = (0..trajectories.n_trajectories()).map(|t| trajectories.n_frames(t));
    let longest = lengths.clone().max().unwrap_or(0);
    if longest == 0 {
        return Err(MsmError::NoFrames);
    }
    if longest <= lag {
        return Err(MsmError::TooShort { lag, longest, n_trajectories: lengths.len() });
    }
    let step = if mode == CountMode::Sample { lag } else { 1 };
    let mut tally = Tally::new(n_states, step);
    let mut skipped = Vec::new();
    for (i, len) in lengths.enumerate() {
        if len <= lag {
            skipped.push(i);
        }
        tally.add(trajectories, i, lag)?;
    }
    let (mut counts, populations) = tally.finish();
    if mode == CountMode::Effective {
        let factors = effective::row_factors(trajectories, &counts, lag)?;
        for i in 0..n_states {
            counts.row_mut(i).iter_mut().for_each(|c| *c *= factors[i]);
        }
    }
    let warnings = if skipped.is_empty() {
        vec![]
    } else {
        vec![Warning::SkippedTrajectories { what: "count lag".into(), lag, trajectories: skipped }]
    };
    Ok(CountMatrix { counts, populations, lag, mode, warnings })
}

/// That every state exists.
fn check_states<S: Discrete + ?Sized>(trajectories: &S, n_states: usize) -> Result<(), MsmError> {
    each_span(trajectories, |trajectory, start, t| {
        let legal = |s: &i32| s.wrapping_add(1) as u32 <= n_states as u32;
        if !t.iter().fold(true, |ok, s| ok & legal(s)) {
            let at = t.iter().position(|s| !legal(s)).unwrap_or(0);
            let (frame, state) = (start + at, i64::from(t[at]));
            return Err(MsmError::StateOutOfRange { trajectory, frame, state, n_states });
        }
        Ok(())
    })
}

/// Frames per state; also checks that every state exists.
pub(crate) fn populations<S: Discrete + ?Sized>(
    trajectories: &S,
    n_states: usize,
) -> Result<Vec<u64>, MsmError> {
    check_states(trajectories, n_states)?;
    // Slot 0 is "none".
    let mut frames = vec![0u64; n_states + 1];
    each_span(trajectories, |_, _, t| {
        t.iter().for_each(|s| frames[(s + 1) as usize] += 1);
        Ok(())
    })?;
    Ok(frames.split_off(1))
}

/// Pairs in small whole numbers: a quarter of the size of f64, so that the table of a thousand states
/// stays in cache, and no branch for frames without a state, which have row 0 and column 0.
struct Tally {
    width: usize,
    /// Frames from one pair to the next.
    step: usize,
    cells: Vec<u16>,
    /// Cells that went round to 0, once for each time.
    round: Vec<usize>,
    n_states: usize,
    populations: Vec<u64>,
}

impl Tally {
    fn new(n_states: usize, step: usize) -> Self {
        let width = n_states + 1;
        Self {
            width,
            step,
            cells: zeros(width * width),
            round: Vec::new(),
            n_states,
            populations: vec![0; width],
        }
    }

    /// A trajectory of legal states.
    fn add<S: Discrete + ?Sized>(
        &mut self,
        all: &S,
        trajectory: usize,
        lag: usize,
    ) -> Result<(), MsmError> {
        let len = all.n_frames(trajectory);
        let n_pairs = len.saturating_sub(lag);
        let (width, step) = (self.width, self.step);
        let (cells, round) = (&mut self.cells, &mut self.round);
        each_pair_span(all, trajectory, lag, SPAN.next_multiple_of(step), |from, to| {
            let mut count = |(a, b): (&i32, &i32)| {
                let k = (a + 1) as usize * width + (b + 1) as usize;
                let cell = &mut cells[k];
                *cell = cell.wrapping_add(1);
                if *cell == 0 {
                    round.push(k);
                }
            };
            if step == 1 {
                from.iter().zip(to).for_each(&mut count);
            } else {
                from.iter().zip(to).step_by(step).for_each(&mut count);
            }
        })?;
        // Frames that begin a counted pair are found in the rows of `cells` if all pairs count.
        let seen = if step == 1 { n_pairs } else { 0 };
        for start in (seen..len).step_by(SPAN) {
            let rest = all.span(trajectory, start, (start + SPAN).min(len))?;
            rest.iter().for_each(|s| self.populations[(s + 1) as usize] += 1);
        }
        Ok(())
    }

    fn finish(mut self) -> (Matrix, Vec<u64>) {
        let mut counts = Matrix::zeros(self.n_states, self.n_states);
        for (i, row) in self.cells.chunks_exact(self.width).enumerate() {
            if self.step == 1 {
                self.populations[i] += row.iter().map(|c| u64::from(*c)).sum::<u64>();
            }
            if i > 0 {
                let into = counts.row_mut(i - 1);
                into.iter_mut().zip(&row[1..]).for_each(|(sum, c)| *sum = f64::from(*c));
            }
        }
        const ROUND: u32 = u16::MAX as u32 + 1;
        for k in self.round {
            let (i, j) = (k / self.width, k % self.width);
            if self.step == 1 {
                self.populations[i] += u64::from(ROUND);
            }
            if i > 0 && j > 0 {
                // Whole numbers are exact up to 2^53.
                counts[(i - 1, j - 1)] += f64::from(ROUND);
            }
        }
        (counts, self.populations.split_off(1))
    }
}

/// Reads states from floats: whole numbers of the range of i32, or an error that names the frame.
pub fn states_from_f64(values: &[f64], trajectory: usize) -> Result<Vec<i32>, MsmError> {
    values
        .iter()
        .enumerate()
        .map(|(frame, &v)| {
            if v.fract() == 0.0 && (-1.0..=f64::from(i32::MAX)).contains(&v) {
                Ok(v as i32)
            } else {
                Err(MsmError::Parameter {
                    what: "state",
                    got: format!("{v} (trajectory {trajectory}, frame {frame})"),
                    expected: "a whole number, -1 for none".into(),
                })
            }
        })
        .collect()
}

impl CountMatrix {
    /// Strongly connected sets of visited states, by falling number of frames.
    pub fn connected_sets(&self) -> Vec<Vec<usize>> {
        connected_sets(&self.counts, &self.populations)
    }

    /// Number of states.
    pub fn n_states(&self) -> usize {
        self.counts.n_rows()
    }
}

/// Strongly connected sets of the visited states (population > 0), each sorted, by falling
/// population (then by lowest state). Never-visited states are in no set.
pub fn connected_sets(counts: &Matrix, populations: &[u64]) -> Vec<Vec<usize>> {
    let mut sets = strong_components(counts);
    sets.retain(|set| set.iter().any(|&i| populations[i] > 0));
    let size = |set: &Vec<usize>| set.iter().map(|&i| populations[i]).sum::<u64>();
    sets.sort_by_key(|set| (std::cmp::Reverse(size(set)), set[0]));
    sets
}

/// Strongly connected components (Tarjan, without recursion), each sorted.
pub(crate) fn strong_components(a: &Matrix) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let n = a.n_rows();
    let neighbours: Vec<Vec<usize>> =
        (0..n).map(|i| (0..n).filter(|&j| j != i && a[(i, j)] > 0.0).collect()).collect();
    let mut index = vec![UNSEEN; n];
    let mut low = vec![0; n];
    let mut on_stack = vec![false; n];
    let (mut stack, mut sets, mut next) = (Vec::new(), Vec::new(), 0);
    for root in 0..n {
        if index[root] != UNSEEN {
            continue;
        }
        let mut work = vec![(root, 0)];
        while let Some(&mut (v, ref mut edge)) = work.last_mut() {
            if *edge == 0 && index[v] == UNSEEN {
                index[v] = next;
                low[v] = next;
                next += 1;
                stack.push(v);
                on_stack[v] = true;
            }
            if let Some(&w) = neighbours[v].get(*edge) {
                *edge += 1;
                if index[w] == UNSEEN {
                    work.push((w, 0));
                } else if on_stack[w] {
                    low[v] = low[v].min(index[w]);
                }
                continue;
            }
            work.pop();
            if let Some(&(parent, _)) = work.last() {
                low[parent] = low[parent].min(low[v]);
            }
            if low[v] == index[v] {
                let mut set = Vec::new();
                while let Some(w) = stack.pop() {
                    on_stack[w] = false;
                    set.push(w);
                    if w == v {
                        break;
                    }
                }
                set.sort_unstable();
                sets.push(set);
            }
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_masks_and_seams() {
        let trajs = [vec![0, 1, 2, 1, 0, 1], vec![2, -1, 2, 2], vec![1], vec![]];
        let sliding = count_transitions(&trajs, 4, 2, CountMode::Sliding).unwrap();
        let mut want = Matrix::zeros(4, 4);
        want[(0, 2)] = 1.0;
        want[(1, 1)] = 2.0;
        want[(2, 0)] = 1.0;
        want[(2, 2)] = 1.0;
        assert_eq!(sliding.counts, want);
        assert_eq!(sliding.populations, [2, 4, 4, 0]);
        assert_eq!(
            sliding.warnings,
            [Warning::SkippedTrajectories {
                what: "count lag".into(),
                lag: 2,
                trajectories: vec![2, 3]
            }]
        );
        let sample = count_transitions(&trajs, 4, 2, CountMode::Sample).unwrap();
        assert_eq!(sample.counts.as_slice().iter().sum::<f64>(), 3.0);
        assert_eq!(sample.counts[(0, 2)], 1.0);
    }

    #[test]
    fn a_cell_may_go_round_more_than_once() {
        let mut states = vec![1; 200_001];
        states[150_000..].fill(-1);
        states.push(0);
        let counted = |mode| count_transitions(std::slice::from_ref(&states), 2, 1, mode).unwrap();
        let sliding = counted(CountMode::Sliding);
        assert_eq!(sliding.counts.as_slice(), [0.0, 0.0, 0.0, 149_999.0]);
        assert_eq!(sliding.populations, [1, 150_000]);
        assert_eq!(counted(CountMode::Sample).counts.as_slice(), sliding.counts.as_slice());
    }

    #[test]
    fn wrong_states_and_lags_are_named() {
        let bad = [vec![0, 1], vec![0, 7]];
        assert_eq!(
            count_transitions(&bad, 3, 1, CountMode::Sliding).unwrap_err(),
            MsmError::StateOutOfRange { trajectory: 1, frame: 1, state: 7, n_states: 3 }
        );
        assert!(count_transitions(&[vec![0, -2]], 3, 1, CountMode::Sliding).is_err());
        assert_eq!(
            count_transitions(&[vec![0, 1]], 3, 5, CountMode::Sliding).unwrap_err(),
            MsmError::TooShort { lag: 5, longest: 2, n_trajectories: 1 }
        );
        assert!(count_transitions(&[vec![0, 1]], 3, 0, CountMode::Sliding).is_err());
        assert!(count_transitions(&[vec![0, 1]], 9000, 1, CountMode::Sliding).is_err());
        assert_eq!(states_from_f64(&[0.0, -1.0, 3.0], 0).unwrap(), [0, -1, 3]);
        assert!(states_from_f64(&[0.5], 0).is_err());
        assert!(states_from_f64(&[f64::NAN], 0).is_err());
    }

    #[test]
    fn the_largest_set_is_the_one_with_most_frames() {
        // 0 <-> 1 with many frames, 2 <-> 3 <-> 4 with few, 5 transient, 6 never visited
        let mut t = vec![5];
        t.extend([0, 1].repeat(50));
        let trajs = [t, vec![2, 3, 4, 3, 2, 3, 4, 3, 2]];
        let c = count_transitions(&trajs, 7, 1, CountMode::Sliding).unwrap();
        assert_eq!(c.connected_sets(), [vec![0, 1], vec![2, 3, 4], vec![5]]);
    }

    #[test]
    fn components_of_a_long_cycle() {
        let n = 3000;
        let t: Vec<i32> = (0..=n).map(|i| i % n).collect();
        let c = count_transitions(&[t], n as usize, 1, CountMode::Sliding).unwrap();
        assert_eq!(c.connected_sets().len(), 1);
    }
}
