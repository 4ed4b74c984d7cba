//! Bootstrap over trajectories: models of trajectories drawn with replacement. Every trajectory is
//! counted once and its counts are added to all draws that hold it, so that memory does not grow with
//! the frames, and a draw costs its sums and a fit.

use rayon::prelude::*;

use crate::random::Stream;
use crate::states::{Discrete, SPAN, each_pair_span};
use crate::uncertainty::no_model;
use crate::{
    CountMatrix, CountMode, MarkovModel, Matrix, MsmError, ReversibleMle, count_transitions,
};

/// Bytes of the draws that are filled at a time; more draws read the states again.
const HELD_BYTES: usize = 32 << 20;
/// Counts of single trajectories that are gathered before they go to the draws.
const GATHERED: usize = 1 << 18;

/// Bootstrap over trajectories: `f` of reversible models fitted to trajectories drawn with
/// replacement. Draws on which no model exists are left out; the number of samples says how many
/// were used.
pub fn bootstrap<S: Discrete + ?Sized>(
    trajectories: &S,
    n_states: usize,
    lag: usize,
    n_samples: usize,
    rng_seed: u64,
    f: impl Fn(&MarkovModel) -> Result<Vec<f64>, MsmError> + Sync,
) -> Result<Vec<Vec<f64>>, MsmError> {
    // Bad states and lags are errors of the input, not of a draw.
    count_transitions(trajectories, n_states, lag, CountMode::Sliding)?;
    let n = trajectories.n_trajectories();
    let bytes = size_of::<f64>() * n_states * (n_states + 1) + size_of::<u32>() * n;
    let batch = (HELD_BYTES / bytes).max(rayon::current_num_threads());
    let mut out = Vec::new();
    for first in (0..n_samples).step_by(batch) {
        let numbers = first..(first + batch).min(n_samples);
        let mut draws: Vec<Draw> =
            numbers.into_par_iter().map(|i| Draw::new(n, n_states, rng_seed, i)).collect();
        let mut gathered = Gathered::new(n_states);
        for trajectory in 0..n {
            gathered.count(trajectories, trajectory, lag)?;
            if gathered.cells.len() >= GATHERED || trajectory + 1 == n {
                draws.par_iter_mut().for_each(|draw| draw.add(&gathered));
                gathered.clear();
            }
        }
        drop(gathered);
        let values: Vec<Result<Vec<f64>, MsmError>> = draws
            .into_par_iter()
            .map(|draw| f(&ReversibleMle::default().fit(&draw.counts(n_states, lag)?)?))
            .collect();
        for value in values {
            match value {
                Ok(v) => out.push(v),
                Err(e) if no_model(&e) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(out)
}

/// Trajectories drawn with replacement, and the sum of their counts.
struct Draw {
    /// How often each trajectory was drawn.
    times: Vec<u32>,
    /// Transitions (row-major), then frames of each state: whole numbers, exact up to 2^53.
    sums: Vec<f64>,
}

impl Draw {
    fn new(n_trajectories: usize, n_states: usize, rng_seed: u64, number: usize) -> Self {
        let mut rng = Stream::new(rng_seed, number as u64);
        let mut times = vec![0; n_trajectories];
        (0..n_trajectories).for_each(|_| times[rng.below(n_trajectories)] += 1);
        Self { times, sums: vec![0.0; n_states * (n_states + 1)] }
    }

    fn add(&mut self, gathered: &Gathered) {
        let mut first = 0;
        for &(trajectory, end) in &gathered.trajectories {
            let times = f64::from(self.times[trajectory]);
            if times > 0.0 {
                for &(cell, count) in &gathered.cells[first..end] {
                    self.sums[cell as usize] += times * count as f64;
                }
            }
            first = end;
        }
    }

    fn counts(self, n: usize, lag: usize) -> Result<CountMatrix, MsmError> {
        let mut sums = self.sums;
        let frames = sums.split_off(n * n);
        Ok(CountMatrix {
            counts: Matrix::from_vec(n, n, sums)?,
            populations: frames.into_iter().map(|f| f as u64).collect(),
            lag,
            mode: CountMode::Sliding,
            warnings: vec![],
        })
    }
}

/// Counts of some trajectories, those that are not 0.
struct Gathered {
    n_states: usize,
    /// Of the trajectory that is being counted, in the order of [`Draw::sums`].
    current: Vec<u64>,
    cells: Vec<(u32, u64)>,
    /// Trajectory, and where its cells end.
    trajectories: Vec<(usize, usize)>,
}

impl Gathered {
    fn new(n_states: usize) -> Self {
        let current = vec![0; n_states * (n_states + 1)];
        Self { n_states, current, cells: vec![], trajectories: vec![] }
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.trajectories.clear();
    }

    fn count<S: Discrete + ?Sized>(
        &mut self,
        all: &S,
        trajectory: usize,
        lag: usize,
    ) -> Result<(), MsmError> {
        let Self { n_states: n, current, cells, .. } = self;
        let (n, first) = (*n, cells.len());
        let mut one = |cell: usize| {
            if current[cell] == 0 {
                cells.push((cell as u32, 0));
            }
            current[cell] += 1;
        };
        each_pair_span(all, trajectory, lag, SPAN, |from, to| {
            for (a, b) in from.iter().zip(to).filter(|(a, b)| **a >= 0 && **b >= 0) {
                one(*a as usize * n + *b as usize);
            }
        })?;
        let len = all.n_frames(trajectory);
        for start in (0..len).step_by(SPAN) {
            let states = all.span(trajectory, start, (start + SPAN).min(len))?;
            states.iter().filter(|s| **s >= 0).for_each(|s| one(n * n + *s as usize));
        }
        for (cell, count) in &mut cells[first..] {
            *count = std::mem::take(&mut current[*cell as usize]);
        }
        self.trajectories.push((trajectory, cells.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::chain;
    use crate::uncertainty::Spread;
    use crate::{BayesianMsm, StateTrajectories};

    #[test]
    fn draws_are_those_of_trajectories_put_together() {
        let t = Matrix::from_vec(3, 3, vec![0.8, 0.2, 0.0, 0.1, 0.8, 0.1, 0.0, 0.3, 0.7]).unwrap();
        let mut data: Vec<Vec<i32>> = (0..7)
            .map(|i| chain(&t, 30 + 40 * i, i % 3, i as u64))
            .chain([vec![], vec![1], chain(&t, SPAN + 9, 0, 99)])
            .collect();
        data[2][5] = -1;
        let (lag, n) = (4, data.len());
        let all = |m: &MarkovModel| Ok([m.t.as_slice(), &m.pi].concat());
        let direct: Vec<Vec<f64>> = (0..40)
            .map(|i| {
                let mut rng = Stream::new(11, i);
                let drawn: Vec<&[i32]> = (0..n).map(|_| &data[rng.below(n)][..]).collect();
                let counts = count_transitions(&drawn, 3, lag, CountMode::Sliding).unwrap();
                all(&ReversibleMle::default().fit(&counts).unwrap()).unwrap()
            })
            .collect();
        assert_eq!(bootstrap(&data, 3, lag, 40, 11, all).unwrap(), direct);
        let stored = StateTrajectories::new(&data).unwrap();
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| bootstrap(&stored, 3, lag, 40, 11, all)).unwrap(), direct);
    }

    #[test]
    fn more_states_than_one_batch_of_draws_holds() {
        // 700 states: 4 MB a draw.
        let data: Vec<Vec<i32>> =
            (0..6).map(|t| (0..3000).map(|i| (i * (t + 1)) % 700).collect()).collect();
        let few = |m: &MarkovModel| Ok(m.pi[..3].to_vec());
        let some = bootstrap(&data, 700, 1, 20, 3, few).unwrap();
        assert_eq!(some.len(), 20);
        assert_eq!(some[..5], bootstrap(&data, 700, 1, 5, 3, few).unwrap());
    }

    #[test]
    fn bootstrap_agrees_with_the_posterior_for_independent_trajectories() {
        let t = Matrix::from_vec(2, 2, vec![0.9, 0.1, 0.2, 0.8]).unwrap();
        let d: Vec<Vec<i32>> = (0..60).map(|i| chain(&t, 200, (i % 3 > 0).into(), i)).collect();
        let draws = bootstrap(&d, 2, 1, 200, 4, |m| m.timescales(1)).unwrap();
        let c = count_transitions(&d, 2, 1, CountMode::Sliding).unwrap();
        let posterior = BayesianMsm::new(400, 3).fit(&c).unwrap().timescales(1).unwrap();
        let spread = Spread::of(&draws);
        assert!(spread.std[0] / posterior.std[0] < 1.5 && spread.std[0] / posterior.std[0] > 0.6);
        assert!(bootstrap(&[vec![0, 7]], 2, 1, 5, 4, |m| m.timescales(1)).is_err());
    }
}
