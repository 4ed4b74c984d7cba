//! Proposers of the toy: exact jumps with a tunable share of nonsense, stored frames of an
//! equilibrium that was sampled before, and an adversary.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{Toy, draw};
use crate::propose::{Context, Proposal, Proposer, Visited};
use crate::{LoopError, StrategySettings};

/// What the toy can propose.
#[derive(Clone, Debug)]
pub enum ToyProposer {
    /// Draws of the exact p_T(·|x) from frames of the loop's own MD: a perfect surrogate, except
    /// that a share of its draws is a random place.
    Jump {
        /// Rising sums of T.
        cumulative: Vec<Vec<f64>>,
        /// Share of draws that are right.
        validity: f64,
        /// The potential.
        toy: Toy,
    },
    /// Frames of an equilibrium trajectory.
    Stored(Toy),
    /// Sites of the rarest well only.
    Adversarial(Toy),
}

/// The proposer that the settings name, for the toy.
pub fn proposer(settings: &StrategySettings, toy: &Toy) -> Result<Box<dyn Proposer>, LoopError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Options {
        lag_ps: f64,
        validity: f64,
    }
    impl Default for Options {
        fn default() -> Self {
            Self { lag_ps: 100.0, validity: 0.5 }
        }
    }
    let parsed: Result<Options, _> = settings.options.clone().try_into();
    let o = parsed.map_err(|e| LoopError::words(format!("strategy.options: {}", e.message())))?;
    let lag_is_good = o.lag_ps > 0.0 && o.lag_ps.is_finite();
    if !(0.0..=1.0).contains(&o.validity) || !lag_is_good {
        return Err(LoopError::words(
            "strategy.options: validity must be within 0 and 1, lag_ps above 0",
        ));
    }
    Ok(match settings.proposer.as_str() {
        "visited" | "long" | "parallel" => Box::new(Visited),
        "jump" => {
            let t = toy.transitions(o.lag_ps);
            let sums = |i: usize| {
                let sum = |s: &mut f64, v: &f64| {
                    *s += v;
                    Some(*s)
                };
                t.row(i).iter().scan(0.0, sum).collect()
            };
            let cumulative = (0..toy.n_sites()).map(sums).collect();
            Box::new(ToyProposer::Jump { cumulative, validity: o.validity, toy: toy.clone() })
        }
        "stored" => Box::new(ToyProposer::Stored(toy.clone())),
        "adversarial" => Box::new(ToyProposer::Adversarial(toy.clone())),
        other => {
            return Err(LoopError::words(format!(
                "strategy.proposer is {other:?}; the toy engine has jump, stored, adversarial, \
                 visited, parallel, long and plugin:NAME"
            )));
        }
    })
}

impl Proposer for ToyProposer {
    fn class(&self) -> &str {
        match self {
            Self::Jump { .. } => "jump",
            Self::Stored(_) => "stored",
            Self::Adversarial(_) => "adversarial",
        }
    }

    fn propose(
        &mut self,
        context: &Context<'_>,
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Proposal>, LoopError> {
        let class = self.class().to_owned();
        let at = |toy: &Toy, site: usize, parent| Proposal {
            structure: vec![toy.place(site)],
            parent,
            class: class.clone(),
        };
        match self {
            Self::Jump { cumulative, validity, toy } => {
                let parents = context.parents(n, rng)?;
                let jump = |(frame, structure): (_, crate::Structure)| {
                    let from = toy.site(structure[0]).unwrap_or(0);
                    let to = if rng.random::<f64>() < *validity {
                        draw(&cumulative[from], rng)
                    } else {
                        rng.random_range(0..toy.n_sites())
                    };
                    at(toy, to, Some(frame))
                };
                Ok(parents.into_iter().map(jump).collect())
            }
            Self::Stored(toy) => {
                let sums: Vec<f64> = toy
                    .pi()
                    .iter()
                    .scan(0.0, |s, p| {
                        *s += p;
                        Some(*s)
                    })
                    .collect();
                Ok((0..n).map(|_| at(toy, draw(&sums, rng), None)).collect())
            }
            Self::Adversarial(toy) => {
                let populations = toy.well_populations();
                let rarest = (0..populations.len())
                    .min_by(|a, b| populations[*a].total_cmp(&populations[*b]))
                    .unwrap_or(0);
                let sites: Vec<usize> =
                    (0..toy.n_sites()).filter(|s| toy.wells()[*s] == rarest).collect();
                let one = |_| at(toy, sites[rng.random_range(0..sites.len())], None);
                Ok((0..n).map(one).collect())
            }
        }
    }
}
