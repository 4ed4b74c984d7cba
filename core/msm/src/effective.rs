//! How many of the counted transitions are statistically independent: for each state, from the
//! sequence of states that its transitions lead to. Memory does not grow with the frames.

use rayon::prelude::*;

use crate::states::{Discrete, SPAN, each_pair_span};
use crate::{Matrix, MsmError};

/// Transitions from a state that are looked at, the first ones: more would not change the third digit.
const LOOKED_AT: usize = 2 << 20;
/// Transitions that are held at a time, of as many states as have that many.
const HELD: usize = 4 * LOOKED_AT;

/// sum_j I_ij c_ij / c_i for each row i of sliding counts, I_ij the efficiency of the transitions i→j.
pub(crate) fn row_factors<S: Discrete + ?Sized>(
    trajectories: &S,
    counts: &Matrix,
    lag: usize,
) -> Result<Vec<f64>, MsmError> {
    factors_of(trajectories, counts, lag, LOOKED_AT, HELD)
}

fn factors_of<S: Discrete + ?Sized>(
    trajectories: &S,
    counts: &Matrix,
    lag: usize,
    looked_at: usize,
    held: usize,
) -> Result<Vec<f64>, MsmError> {
    let n = counts.n_rows();
    let totals: Vec<f64> = (0..n).map(|i| counts.row(i).iter().sum()).collect();
    let wanted: Vec<usize> = totals.iter().map(|t| (*t as usize).min(looked_at)).collect();
    let mut factors = Vec::with_capacity(n);
    while factors.len() < n {
        let first = factors.len();
        let (mut end, mut sum) = (first, 0);
        while end < n && (end == first || sum + wanted[end] <= held) {
            sum += wanted[end];
            end += 1;
        }
        let targets = gathered(trajectories, lag, first, &wanted[first..end])?;
        let factor = |(row, targets): (usize, &Targets)| {
            let row = first + row;
            if totals[row] == 0.0 {
                return 0.0;
            }
            let sequences = targets.sequences();
            let effective: f64 = (0..n)
                .filter(|&j| counts[(row, j)] > 0.0)
                .map(|j| counts[(row, j)] * statistical_efficiency(&sequences, j as i16))
                .sum();
            effective / totals[row]
        };
        factors.par_extend(targets.par_iter().enumerate().map(factor));
    }
    Ok(factors)
}

/// Where the transitions of one state lead to, trajectory after trajectory.
struct Targets {
    states: Vec<i16>,
    /// Where each trajectory's end, of those that have any.
    ends: Vec<u32>,
}

impl Targets {
    fn end_trajectory(&mut self) {
        let end = self.states.len() as u32;
        if end > self.ends.last().copied().unwrap_or(0) {
            self.ends.push(end);
        }
    }

    fn sequences(&self) -> Vec<&[i16]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(a, b)| &self.states[*a as usize..*b as usize]).collect()
    }
}

/// The first `wanted` targets of the states from `first` on.
fn gathered<S: Discrete + ?Sized>(
    trajectories: &S,
    lag: usize,
    first: usize,
    wanted: &[usize],
) -> Result<Vec<Targets>, MsmError> {
    let empty = |n: &usize| Targets { states: Vec::with_capacity(*n), ends: vec![] };
    let mut targets: Vec<Targets> = wanted.iter().map(empty).collect();
    let mut missing: usize = wanted.iter().sum();
    for number in 0..trajectories.n_trajectories() {
        if missing == 0 {
            break;
        }
        each_pair_span(trajectories, number, lag, SPAN, |from, to| {
            for (a, b) in from.iter().zip(to).filter(|(_, b)| **b >= 0) {
                let Some(row) = usize::try_from(*a).ok().and_then(|a| a.checked_sub(first)) else {
                    continue;
                };
                let Some(into) = targets.get_mut(row) else { continue };
                if into.states.len() < wanted[row] {
                    into.states.push(*b as i16);
                    missing -= 1;
                }
            }
        })?;
        targets.iter_mut().for_each(Targets::end_trajectory);
    }
    Ok(targets)
}

/// 1/(1 + 2 sum_k A(k)(1 - k/N)) of the indicator of `j` in `sequences`, with A the autocorrelation
/// over all sequences divided by <x^2>, cut at its first value <= 0, N the longest length.
///
/// For indicators the autocorrelation needs only the positions of the ones:
/// sum (x_t - m)(x_{t+k} - m) = pairs - m (heads + tails) + n m^2, compared with 0 in integers.
fn statistical_efficiency(sequences: &[&[i16]], j: i16) -> f64 {
    let longest = sequences.iter().map(|s| s.len()).max().unwrap_or(0);
    let total: i128 = sequences.iter().map(|s| s.len() as i128).sum();
    let of =
        |s: &&[i16]| -> Vec<u32> { (0..s.len() as u32).filter(|&t| s[t as usize] == j).collect() };
    let ones: Vec<Vec<u32>> = sequences.iter().map(of).collect();
    let count: i128 = ones.iter().map(|o| o.len() as i128).sum();
    if count == 0 {
        return 1.0; // not among the transitions that are looked at
    }
    let mut sum = 0.0;
    for k in 1..longest {
        let (mut n, mut pairs, mut edges) = (0i128, 0i128, 0i128);
        for (s, o) in sequences.iter().zip(&ones) {
            if s.len() <= k {
                continue;
            }
            n += (s.len() - k) as i128;
            let heads = o.partition_point(|&t| (t as usize) < s.len() - k);
            let tails = o.len() - o.partition_point(|&t| (t as usize) < k);
            edges += (heads + tails) as i128;
            pairs += o[..heads].iter().filter(|&&t| s[t as usize + k] == j).count() as i128;
        }
        // total^2 times the sum, an exact integer
        let scaled = pairs * total * total - edges * count * total + n * count * count;
        if scaled <= 0 {
            break;
        }
        let correlation = scaled as f64 / (total * total) as f64 / n as f64;
        sum += correlation * (1.0 - k as f64 / longest as f64);
    }
    1.0 / (1.0 + 2.0 * sum / (count as f64 / total as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::chain;
    use crate::{CountMode, count_transitions};

    #[test]
    fn states_taken_together_or_one_by_one_have_the_same_factors() {
        let t = Matrix::from_vec(3, 3, vec![0.8, 0.2, 0.0, 0.1, 0.8, 0.1, 0.0, 0.3, 0.7]).unwrap();
        let mut data = vec![chain(&t, 5000, 0, 1), vec![], vec![2, 2], chain(&t, 70_000, 1, 2)];
        data[0][17] = -1;
        let counts = count_transitions(&data, 3, 3, CountMode::Sliding).unwrap().counts;
        let all = row_factors(&data, &counts, 3).unwrap();
        let single = factors_of(&data, &counts, 3, LOOKED_AT, 1).unwrap();
        assert_eq!(all, single);
        // The first ten thousand transitions tell nearly as much as all.
        for (all, some) in all.iter().zip(factors_of(&data, &counts, 3, 10_000, HELD).unwrap()) {
            assert!((some / all - 1.0).abs() < 0.1, "{some} {all}");
        }
        let counted = count_transitions(&data, 3, 3, CountMode::Effective).unwrap().counts;
        for i in 0..3 {
            for j in 0..3 {
                assert_eq!(counted[(i, j)], counts[(i, j)] * all[i]);
            }
        }
    }

    #[test]
    fn efficiency_of_known_sequences() {
        // constant: no variance, efficiency 1
        assert_eq!(statistical_efficiency(&[&[1; 50]], 1), 1.0);
        // alternating: first autocorrelation is negative
        assert_eq!(statistical_efficiency(&[&[0, 1].repeat(30)], 1), 1.0);
        // blocks of 10: strongly correlated
        let blocks: Vec<i16> = (0..1000).map(|i| (i / 10) % 2).collect();
        let e = statistical_efficiency(&[&blocks], 1);
        // the definition, term by term
        let mut sum = 0.0;
        for k in 1..1000 {
            let n = 1000 - k;
            let a: f64 = (0..n)
                .map(|t| (f64::from(blocks[t]) - 0.5) * (f64::from(blocks[t + k]) - 0.5))
                .sum::<f64>()
                / n as f64;
            if a <= 0.0 {
                break;
            }
            sum += a * (1.0 - k as f64 / 1000.0);
        }
        let want = 1.0 / (1.0 + 2.0 * sum / 0.5);
        assert!((e - want).abs() < 1e-14, "{e} {want}");
        assert!(e < 0.4);
    }
}
