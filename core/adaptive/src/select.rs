//! Selectors: which of the proposals are run.
//!
//! All see the same: proposals with their microstate and coordinates, and the counts of the MD so
//! far. None takes two seeds of one microstate while another is left.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::model::distance;
use crate::{Candidate, LoopError, Model};

/// Which selector, with its options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SelectorSettings {
    /// Fewest frames of MD in its microstate; new places before all.
    #[default]
    LeastCounts,
    /// Any.
    Random,
    /// FAST (Zimmerman & Bowman 2015): phi + alpha (C_max - C) / (C_max - C_min), phi a feature
    /// scaled to 0..1 over the proposals.
    Fast {
        /// Number of the feature.
        feature: usize,
        /// True to go down instead of up.
        #[serde(default)]
        down: bool,
        /// Weight of exploration.
        #[serde(default = "one")]
        alpha: f64,
    },
    /// REAP (Shamsi et al. 2018): of the least-count proposals those that maximise
    /// sum_k w_k |theta_k - mean_k| / sd_k, where no weight moves by more than delta per epoch.
    Reap {
        /// Largest change of a weight.
        #[serde(default = "tenth")]
        delta: f64,
        /// Least-count proposals considered, per seed.
        #[serde(default = "five")]
        pool: usize,
    },
    /// Nearest to a range of features; inside it all are equal, and fewest frames win.
    Target {
        /// Range of each feature that matters.
        ranges: Vec<Range>,
    },
    /// Where MD has been least, weighted by distance: every frame and every chosen seed pushes
    /// away with exp(-d²/2 width²).
    History {
        /// Width in units of the spread of the coordinates.
        #[serde(default = "tenth")]
        width: f64,
    },
}

/// A range of one feature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Number of the feature.
    pub feature: usize,
    /// From here.
    pub low: f64,
    /// To here.
    pub high: f64,
}

fn one() -> f64 {
    1.0
}
fn tenth() -> f64 {
    0.1
}
fn five() -> usize {
    5
}

impl SelectorSettings {
    /// As in the settings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LeastCounts => "least-counts",
            Self::Random => "random",
            Self::Fast { .. } => "fast",
            Self::Reap { .. } => "reap",
            Self::Target { .. } => "target",
            Self::History { .. } => "history",
        }
    }

    pub(crate) fn check(&self) -> Result<(), LoopError> {
        let wrong = |text: &str| Err(LoopError::words(format!("strategy.selector: {text}")));
        match self {
            Self::Fast { alpha, .. } if !alpha.is_finite() || *alpha < 0.0 => {
                wrong("alpha must not be negative")
            }
            Self::Reap { delta, .. } if !(*delta > 0.0 && *delta <= 1.0) => {
                wrong("delta must be above 0 and at most 1")
            }
            Self::Reap { pool: 0, .. } => wrong("pool must be at least 1"),
            Self::History { width } if !(*width > 0.0 && width.is_finite()) => {
                wrong("width must be above 0")
            }
            Self::Target { ranges } if ranges.is_empty() => wrong("give at least one range"),
            Self::Target { ranges }
                if ranges.iter().any(|r| r.low.is_nan() || r.high.is_nan() || r.low > r.high) =>
            {
                wrong("low must not be above high")
            }
            _ => Ok(()),
        }
    }
}

/// What a selector carries from epoch to epoch: REAP's weights.
pub type Weights = Vec<f64>;

/// Chooses seeds.
#[derive(Clone, Debug)]
pub struct Selector(pub SelectorSettings);

impl Selector {
    /// Numbers of the chosen proposals, best first, and the new weights.
    pub fn choose(
        &self,
        model: &Model,
        candidates: &[Candidate],
        n: usize,
        weights: &[f64],
        rng: &mut ChaCha8Rng,
    ) -> Result<(Vec<usize>, Weights), LoopError> {
        let width = candidates.first().map_or(0, |c| c.row.len());
        let feature = |k: usize| -> Result<(), LoopError> {
            if k < width {
                return Ok(());
            }
            let text = format!(
                "strategy.selector: there is no feature {k}, only 0 to {}",
                width.max(1) - 1
            );
            Err(LoopError::words(text))
        };
        // Ties are broken at random, but reproducibly.
        let lot: Vec<f64> = candidates.iter().map(|_| rng.random()).collect();
        let count = |c: &Candidate| if c.novel { 0.0 } else { model.counts()[c.micro] as f64 };
        let counts: Vec<f64> = candidates.iter().map(count).collect();
        let mut new = weights.to_vec();
        let score: Vec<f64> = match &self.0 {
            SelectorSettings::Random => lot.clone(),
            SelectorSettings::LeastCounts => counts.iter().map(|c| -c).collect(),
            SelectorSettings::Fast { feature: k, down, alpha } => {
                feature(*k)?;
                let sign = if *down { -1.0 } else { 1.0 };
                let phi = scaled(candidates.iter().map(|c| sign * c.row[*k]).collect());
                let rare = scaled(counts.iter().map(|c| -c).collect());
                phi.iter().zip(&rare).map(|(p, r)| p + alpha * r).collect()
            }
            SelectorSettings::Reap { delta, pool } => {
                let (score, w) = reap(model, candidates, &counts, n * pool, weights, *delta);
                new = w;
                score
            }
            SelectorSettings::Target { ranges } => {
                ranges.iter().try_for_each(|r| feature(r.feature))?;
                let outside = |c: &Candidate| -> f64 {
                    let one = |r: &Range| {
                        let x = c.row[r.feature];
                        (r.low - x).max(x - r.high).max(0.0)
                    };
                    ranges.iter().map(one).map(|d| d * d).sum::<f64>().sqrt()
                };
                // Counts only decide among equals: they are squeezed below any distance.
                let rare = scaled(counts.iter().map(|c| -c).collect());
                candidates.iter().zip(&rare).map(|(c, r)| -outside(c) + 1e-9 * r).collect()
            }
            SelectorSettings::History { width } => {
                return Ok((history(model, candidates, n, *width, &lot), new));
            }
        };
        Ok((best(candidates, &score, &lot, n), new))
    }
}

/// The highest scores, each microstate once until none is left.
fn best(candidates: &[Candidate], score: &[f64], lot: &[f64], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| score[*b].total_cmp(&score[*a]).then(lot[*a].total_cmp(&lot[*b])));
    let (mut chosen, mut left) = (Vec::new(), order);
    while chosen.len() < n && !left.is_empty() {
        let mut taken = std::collections::BTreeSet::new();
        left.retain(|i| {
            let take = chosen.len() < n && taken.insert(candidates[*i].micro);
            if take {
                chosen.push(*i);
            }
            !take
        });
    }
    chosen
}

/// To 0..1; all 0 if there is no width.
fn scaled(values: Vec<f64>) -> Vec<f64> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = if high > low { high - low } else { f64::INFINITY };
    values.iter().map(|v| (v - low) / width).collect()
}

/// Mean and standard deviation of each coordinate over all MD.
fn spread(model: &Model) -> Vec<(f64, f64)> {
    let dim = model.centres().first().map_or(0, Vec::len);
    let total: f64 = model.counts().iter().map(|c| *c as f64).sum();
    let over = |f: &dyn Fn(&[f64]) -> f64| -> f64 {
        let all = model.centres().iter().zip(model.counts());
        all.map(|(c, n)| *n as f64 * f(c)).sum::<f64>() / total.max(1.0)
    };
    let one = |k: usize| {
        let mean = over(&|c| c[k]);
        let square = over(&|c| (c[k] - mean) * (c[k] - mean));
        (mean, square.sqrt().max(1e-12))
    };
    (0..dim).map(one).collect()
}

/// REAP's rewards and weights. The weights that maximise sum_k w_k g_k on the simplex, within
/// delta of the old ones, are a linear program with a greedy solution: start from the lower ends
/// and give what is left to the largest g first.
fn reap(
    model: &Model,
    candidates: &[Candidate],
    counts: &[f64],
    pool: usize,
    weights: &[f64],
    delta: f64,
) -> (Vec<f64>, Weights) {
    let at = spread(model);
    let far = |c: &Candidate| -> Vec<f64> {
        c.coordinates.iter().zip(&at).map(|(x, (m, sd))| (x - m).abs() / sd).collect()
    };
    let rewards: Vec<Vec<f64>> = candidates.iter().map(far).collect();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| counts[*a].total_cmp(&counts[*b]));
    order.truncate(pool.max(1));
    let dim = at.len();
    // TICA may keep another number of coordinates than before: then all begin equal again.
    let equal = vec![1.0 / dim.max(1) as f64; dim];
    let old = if weights.len() == dim { weights.to_vec() } else { equal };
    let gain: Vec<f64> = (0..dim).map(|k| order.iter().map(|i| rewards[*i][k]).sum()).collect();
    let mut new: Vec<f64> = old.iter().map(|w| (w - delta).max(0.0)).collect();
    let mut left = 1.0 - new.iter().sum::<f64>();
    let mut by_gain: Vec<usize> = (0..dim).collect();
    by_gain.sort_by(|a, b| gain[*b].total_cmp(&gain[*a]));
    for k in by_gain {
        let more = ((old[k] + delta).min(1.0) - new[k]).min(left).max(0.0);
        new[k] += more;
        left -= more;
    }
    let score = (0..candidates.len())
        .map(|i| {
            let reward: f64 = rewards[i].iter().zip(&new).map(|(r, w)| r * w).sum();
            if order.contains(&i) { reward } else { -counts[i] - 1.0 }
        })
        .collect();
    (score, new)
}

/// Greedily the place least pushed away from; a chosen seed pushes as strongly as a mean
/// microstate's MD.
fn history(
    model: &Model,
    candidates: &[Candidate],
    n: usize,
    width: f64,
    lot: &[f64],
) -> Vec<usize> {
    let at = spread(model);
    let unit = |c: &[f64]| -> Vec<f64> { c.iter().zip(&at).map(|(x, (_, sd))| x / sd).collect() };
    let centres: Vec<Vec<f64>> = model.centres().iter().map(|c| unit(c)).collect();
    let places: Vec<Vec<f64>> = candidates.iter().map(|c| unit(&c.coordinates)).collect();
    let kernel = |a: &[f64], b: &[f64]| (-0.5 * (distance(a, b) / width).powi(2)).exp();
    let visited = model.visited().count().max(1) as f64;
    let push = model.counts().iter().map(|c| *c as f64).sum::<f64>() / visited;
    let mut density: Vec<f64> = places
        .iter()
        .map(|p| {
            let all = centres.iter().zip(model.counts()).filter(|(_, n)| **n > 0);
            all.map(|(c, n)| *n as f64 * kernel(p, c)).sum()
        })
        .collect();
    let mut chosen = Vec::new();
    while chosen.len() < n.min(candidates.len()) {
        let free = (0..candidates.len()).filter(|i| !chosen.contains(i));
        let order = |a: &usize, b: &usize| {
            density[*a].total_cmp(&density[*b]).then(lot[*a].total_cmp(&lot[*b]))
        };
        let Some(next) = free.min_by(order) else { break };
        for i in 0..candidates.len() {
            density[i] += push * kernel(&places[i], &places[next]);
        }
        chosen.push(next);
    }
    chosen
}
