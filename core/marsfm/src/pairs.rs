//! Where training pairs come from, by the recipe's level: the Markov model's sampler, frames a lag
//! apart, or windows of consecutive frames.

use anyhow::{Result, anyhow, bail};
use marsfm_features::FeatureChoice;
use marsfm_msm::{CountMode, Discrete, Matrix, Msm, PairSampler, ReversibleMle, count_transitions};
use marsfm_training::{Pair, PairLevel, PairSource, Recipe};
use rand::{Rng, RngExt};

use crate::markov::{self, MsmSettings};
use crate::systems::System;

/// The system's Markov model, where the recipe's pairs need one.
pub fn model(system: &System, recipe: &Recipe) -> Result<Option<Msm>> {
    let p = &recipe.pairs;
    if p.level == PairLevel::Window {
        return Ok(None);
    }
    let settings = MsmSettings {
        tica_lag_ps: p.tica_lag_ps,
        msm_lag_ps: p.msm_lag_ps,
        pair_lag_ps: p.pair_lag_ps,
        microstates: p.microstates,
        macrostates: p.macrostates,
        ..MsmSettings::default()
    };
    let choice: FeatureChoice =
        p.features.parse().map_err(|e: String| anyhow!("pairs.features: {e}"))?;
    Ok(Some(markov::build_from(system, &choice, &settings)?))
}

/// The source that the recipe asks for, of trajectories of `lengths` frames with this model; windows
/// have none, and their frames are `lag` stored frames apart.
pub fn of(
    msm: Option<&Msm>,
    lengths: &[usize],
    lag: usize,
    recipe: &Recipe,
) -> Result<Box<dyn PairSource>> {
    let Some(msm) = msm else {
        return Ok(Box::new(Windows::new(lengths.iter().copied(), recipe.network.frames, lag)?));
    };
    let rng_seed = recipe.run.rng_seed;
    Ok(match recipe.pairs.level {
        PairLevel::Macro => Box::new(Counted(msm.pair_sampler(rng_seed)?)),
        PairLevel::Symmetric => Box::new(Counted(msm.symmetric_pair_sampler(rng_seed)?)),
        PairLevel::Micro => Box::new(Counted(msm.micro_pair_sampler(rng_seed)?)),
        PairLevel::Reweighted => {
            let (micro, n) = (&msm.micro_trajectories, msm.centers.n_rows());
            let jumps = LongJumps::of(micro, n, msm.settings.pair_lag, 1)?;
            jumps.pairs(micro, rng_seed)?
        }
        PairLevel::Lagged => Box::new(LaggedFromStates::new(msm)?),
        PairLevel::Window => bail!("windows need no Markov model, but there is one"),
    })
}

/// The reversible microstate model of MD, carried on to a multiple of its lag: jumps may be longer
/// than the runs that T was counted in.
pub(crate) struct LongJumps {
    /// T to the power, over all microstates; those without transitions stay where they are.
    t: Matrix,
    /// Stationary weights; 0 where there are none.
    pi: Vec<f64>,
}

impl LongJumps {
    /// Counts microstate trajectories (-1: none) at `lag` frames, fits the reversible T, raises it
    /// to the power `times`.
    pub(crate) fn of<S: Discrete + ?Sized>(
        micro: &S,
        n_micro: usize,
        lag: usize,
        times: usize,
    ) -> Result<Self> {
        let counts = count_transitions(micro, n_micro, lag, CountMode::Sliding)?;
        let model = ReversibleMle::default().fit(&counts)?;
        let mut power = Matrix::identity(model.pi.len());
        (0..times).for_each(|_| power = power.times(&model.t));
        let (mut t, mut pi) = (Matrix::identity(n_micro), vec![0.0; n_micro]);
        for (row, state) in model.active.iter().enumerate() {
            pi[*state] = model.pi[row];
            t[(*state, *state)] = 0.0;
            for (column, to) in model.active.iter().enumerate() {
                t[(*state, *to)] = power[(row, column)];
            }
        }
        Ok(Self { t, pi })
    }

    /// Pairs of frames of these trajectories, which may be others than those that were counted.
    pub(crate) fn pairs<S: Discrete + ?Sized>(
        &self,
        micro: &S,
        rng_seed: u64,
    ) -> Result<Box<dyn PairSource>> {
        let sampler = PairSampler::new(micro, &self.t, rng_seed)?;
        Ok(Box::new(Counted(sampler.with_start_weights(&self.pi)?)))
    }
}

/// The Markov model's sampler, addressed by a random counter.
struct Counted(PairSampler);

impl PairSource for Counted {
    fn draw(&self, rng: &mut dyn Rng) -> Pair {
        self.0.draw(rng.random())
    }
}

/// Starts uniform over macrostates, the target the frame one pair lag later.
struct LaggedFromStates {
    by_state: Vec<Vec<(usize, usize)>>,
    lag: usize,
}

impl LaggedFromStates {
    fn new(msm: &Msm) -> Result<Self> {
        let lag = msm.settings.pair_lag;
        let mut by_state = vec![Vec::new(); msm.n_macrostates()];
        for (t, states) in msm.macro_trajectories()?.iter().enumerate() {
            for (f, state) in states.iter().enumerate().take(states.len().saturating_sub(lag)) {
                if let Ok(state) = usize::try_from(*state) {
                    by_state[state].push((t, f));
                }
            }
        }
        by_state.retain(|s| !s.is_empty());
        if by_state.is_empty() {
            bail!("no trajectory is longer than the pair lag of {lag} frames");
        }
        Ok(Self { by_state, lag })
    }
}

impl PairSource for LaggedFromStates {
    fn draw(&self, rng: &mut dyn Rng) -> Pair {
        let state = &self.by_state[rng.random_range(0..self.by_state.len())];
        let (t, f) = state[rng.random_range(0..state.len())];
        ((t, f), (t, f + self.lag))
    }
}

/// First and last frame of a window that begins anywhere it fits, uniformly over all places.
struct Windows {
    /// Running number of places, one entry per trajectory.
    places: Vec<usize>,
    span: usize,
}

impl Windows {
    fn new(lengths: impl Iterator<Item = usize>, frames: usize, lag: usize) -> Result<Self> {
        let span = frames.saturating_sub(1) * lag;
        let mut total = 0;
        let places = lengths.map(|n| {
            total += n.saturating_sub(span);
            total
        });
        let places: Vec<usize> = places.collect();
        if span == 0 || total == 0 {
            bail!(
                "no trajectory holds a window of {frames} frames that are {lag} stored frames apart"
            );
        }
        Ok(Self { places, span })
    }
}

impl PairSource for Windows {
    fn draw(&self, rng: &mut dyn Rng) -> Pair {
        let place = rng.random_range(0..self.places[self.places.len() - 1]);
        let t = self.places.partition_point(|end| *end <= place);
        let f = place - if t == 0 { 0 } else { self.places[t - 1] };
        ((t, f), (t, f + self.span))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Runs that all start in the rarer of two states, too short for the jump that is asked for.
    #[test]
    fn long_jumps_are_those_of_equilibrium_wherever_runs_start() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let run = |_| {
            let mut state = 1;
            let step = |_| {
                let now = state;
                let leaves = rng.random_bool([0.1, 0.3][state as usize]);
                state = if leaves { 1 - state } else { state };
                now
            };
            (0..12).map(step).collect::<Vec<i32>>()
        };
        let runs: Vec<Vec<i32>> = (0..3000).map(run).collect();
        let pairs = LongJumps::of(&runs, 2, 1, 20).unwrap().pairs(&runs, 5).unwrap();
        let (n, mut first, mut both) = (20_000, 0, 0);
        let state = |(t, f): (usize, usize)| runs[t][f];
        for _ in 0..n {
            let (a, b) = pairs.draw(&mut rng);
            first += usize::from(state(a) == 0);
            both += usize::from(state(a) == 1 && state(b) == 0);
        }
        // pi = (3/4, 1/4); T^20 is pi in both rows to 4e-5.
        let share = |k: usize| k as f64 / f64::from(n);
        assert!((share(first) - 0.75).abs() < 0.02, "{}", share(first));
        assert!((share(both) - 0.25 * 0.75).abs() < 0.02, "{}", share(both));
    }

    #[test]
    fn windows_begin_at_every_place_where_they_fit() {
        // 5 frames 2 apart span 8: two places in ten frames, none in eight, one in nine.
        let windows = Windows::new([10, 8, 9].into_iter(), 5, 2).unwrap();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..3000 {
            *seen.entry(windows.draw(&mut rng)).or_insert(0) += 1;
        }
        let places = [((0, 0), (0, 8)), ((0, 1), (0, 9)), ((2, 0), (2, 8))];
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), places);
        assert!(seen.values().all(|n| (900..1100).contains(n)), "{seen:?}");
        assert!(Windows::new([8].into_iter(), 5, 2).is_err());
    }
}
