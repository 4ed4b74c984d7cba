//! Several proposers that share the seeds by what they earn (after AdaptiveBandit, Pérez et al.
//! 2020): UCB1 over classes of seeds. A surrogate that misleads loses its share to the others, so a
//! system far from all that it saw is not worse off for long.
//!
//! The reward of a run is the number of microstates that it was the first to enter behind its
//! head, scaled to 0..1 by the largest of all runs so far; that of a lost or rejected seed is 0.
//! Microstates are those of the model at hand, so rewards are counted anew in each epoch.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use crate::propose::{Context, Proposal, Proposer};
use crate::{LoopError, RunRecord};

/// Proposers that share.
pub struct Bandit {
    arms: Vec<Box<dyn Proposer>>,
    exploration: f64,
}

impl Bandit {
    /// Of proposers of distinct classes; `exploration` is UCB's c.
    pub fn new(arms: Vec<Box<dyn Proposer>>, exploration: f64) -> Self {
        Self { arms, exploration }
    }

    /// Sum of rewards and number of seeds of each arm.
    fn earned(&self, context: &Context<'_>) -> Vec<(f64, usize)> {
        let h = context.history;
        let mut seen = vec![false; context.model.n_micro()];
        let all = context.model.micro_trajectories();
        let news: Vec<(&RunRecord, f64)> = h
            .runs
            .iter()
            .zip(&all)
            .map(|(run, states)| {
                let fresh = |m: &&i32| !std::mem::replace(&mut seen[**m as usize], true);
                (run, states.iter().filter(fresh).count() as f64)
            })
            .collect();
        let own = |r: &&(&RunRecord, f64)| self.arms.iter().any(|a| a.class() == h.class(r.0));
        let most = news.iter().filter(own).map(|r| r.1).fold(1.0, f64::max);
        self.arms
            .iter()
            .map(|arm| {
                let mine: Vec<f64> =
                    news.iter().filter(|r| h.class(r.0) == arm.class()).map(|r| r.1).collect();
                let lost =
                    |l: &&crate::LostRecord| h.plans[l.epoch].seeds[l.seed].class == arm.class();
                let n = mine.len() + h.lost.iter().filter(lost).count();
                (mine.iter().sum::<f64>() / most, n)
            })
            .collect()
    }
}

impl Proposer for Bandit {
    fn class(&self) -> &str {
        "bandit"
    }

    fn propose(
        &mut self,
        context: &Context<'_>,
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Proposal>, LoopError> {
        let mut out = Vec::new();
        for arm in &mut self.arms {
            out.extend(arm.propose(context, n, rng)?);
        }
        Ok(out)
    }

    fn shares(&mut self, context: &Context<'_>, n: usize) -> Option<BTreeMap<String, usize>> {
        let earned = self.earned(context);
        let mut shares = vec![0; self.arms.len()];
        // One seed after another, as if each earned its arm's mean.
        for _ in 0..n {
            let pulls = |k: usize| (earned[k].1 + shares[k]) as f64;
            let total: f64 = (0..shares.len()).map(pulls).sum();
            let score = |k: usize| match pulls(k) {
                0.0 => f64::INFINITY,
                p => {
                    let mean = earned[k].0 / (earned[k].1 as f64).max(1.0);
                    mean + self.exploration * (total.ln() / p).sqrt()
                }
            };
            // The first of equals.
            let best = (0..shares.len()).rev().max_by(|a, b| score(*a).total_cmp(&score(*b)));
            shares[best?] += 1;
        }
        Some(self.arms.iter().map(|a| a.class().to_owned()).zip(shares).collect())
    }
}
