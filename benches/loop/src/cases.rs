//! What is measured: how seeds are chosen, and how long heads, runs and lags are. Every case spends
//! the same MD, heads and preparation included.

use marsfm_adaptive::LoopSettings;

/// MD of every case, ps: some seventy times the slowest timescale.
pub const BUDGET_PS: f64 = 24_000.0;
/// Seeds of an epoch.
pub const SEEDS: usize = 8;
/// MD that the toy charges for a start, ps.
const PREPARE_PS: f64 = 2.0;

/// The toy: slow, and seen in one microstate per well, so that short lags and heads show.
pub const TOY: &str = "barrier_kj_mol = 16.0\nblocks = 4";

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub proposer: &'static str,
    pub head_ps: f64,
    pub lag_ps: f64,
    pub run_ps: f64,
}

impl Case {
    /// The first fields of its rows.
    pub fn key(&self) -> String {
        format!("{},{},{},{}", self.proposer, self.head_ps, self.lag_ps, self.run_ps)
    }

    /// Epochs that the budget allows.
    pub fn epochs(&self) -> usize {
        let epoch = SEEDS as f64 * (self.head_ps + self.run_ps + PREPARE_PS);
        (BUDGET_PS / epoch).round().max(1.0) as usize
    }

    /// Its settings; statistics are asked for once, at the end.
    pub fn settings(&self, rng_seed: u64) -> LoopSettings {
        let Self { proposer, head_ps, lag_ps, run_ps } = self;
        let text = format!(
            "rng_seed = {rng_seed}\n[engine]\nname = \"toy\"\n[engine.options]\n{TOY}\n[budget]\n\
             epochs = {}\nseeds = {SEEDS}\nhead_ps = {head_ps:?}\nrun_ps = {run_ps:?}\n\
             frame_ps = 1.0\nfree_mib = 1\n[model]\nmsm_lag_ps = {lag_ps:?}\n\
             [strategy]\nproposer = \"{proposer}\"\n[statistics]\ndraws = 0\n",
            self.epochs()
        );
        LoopSettings::parse(&text).expect("a case is a good setting")
    }
}

/// Where seeds come from.
pub const PROPOSERS: [&str; 6] = ["jump", "stored", "adversarial", "visited", "parallel", "long"];

/// All cases: every proposer at the defaults, and jumps and the adversary over heads, lags and
/// lengths.
pub fn all() -> Vec<Case> {
    let case = |proposer, head_ps, lag_ps, run_ps| Case { proposer, head_ps, lag_ps, run_ps };
    let mut out = Vec::new();
    for proposer in PROPOSERS {
        out.push(case(proposer, 10.0, 10.0, 200.0));
    }
    for proposer in ["jump", "adversarial"] {
        for head_ps in [0.0, 40.0] {
            out.push(case(proposer, head_ps, 10.0, 200.0));
        }
        for lag_ps in [2.0, 5.0, 20.0] {
            out.push(case(proposer, 10.0, lag_ps, 200.0));
        }
        for run_ps in [100.0, 400.0] {
            out.push(case(proposer, 10.0, 10.0, run_ps));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_costs_the_same() {
        let cases = all();
        for (i, case) in cases.iter().enumerate() {
            assert!(!cases[..i].contains(case), "{case:?} twice");
            let settings = case.settings(1);
            let (head, rest) = settings.run_frames();
            let runs = settings.epochs() * settings.plain_runs().unwrap_or(SEEDS);
            let md = runs as f64 * ((head + rest) as f64 + PREPARE_PS);
            assert!((md / BUDGET_PS - 1.0).abs() < 0.1, "{case:?}: {md} ps");
        }
    }
}
