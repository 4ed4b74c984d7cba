//! What a loop is asked to do: one TOML file.

use serde::{Deserialize, Serialize};

use crate::select::SelectorSettings;
use crate::{LoopError, Structure};

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopSettings {
    /// Every random number comes from it.
    pub rng_seed: u64,
    /// Which engine, on which system.
    pub engine: EngineSettings,
    /// How much MD.
    pub budget: Budget,
    /// How the Markov model is made.
    #[serde(default)]
    pub model: ModelSettings,
    /// Proposer and selector.
    #[serde(default)]
    pub strategy: StrategySettings,
    /// Intervals, sweeps, stop rule.
    #[serde(default)]
    pub statistics: StatisticsSettings,
    /// Runs as tasks of Slurm instead of in this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slurm: Option<SlurmSettings>,
}

/// How an epoch's seeds become a Slurm array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlurmSettings {
    /// Options of sbatch: partition, time, CPUs, accounts.
    pub sbatch: Vec<String>,
    /// How often a task is tried before its seed is given up.
    pub attempts: usize,
    /// Between two looks at the queue, s.
    pub poll_s: f64,
}

impl Default for SlurmSettings {
    fn default() -> Self {
        Self { sbatch: Vec::new(), attempts: 2, poll_s: 5.0 }
    }
}

/// Which engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// `toy`, or the name of an engine plugin.
    pub name: String,
    /// Features of the model, `torsions` or several with commas between; the toy has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// Give a plugin up after so many seconds without a sign of life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<f64>,
    /// Runs of an epoch that are handed to the engine at once, where it can take several (`gbsa`,
    /// sixteen for the price of one; `gromacs` under MPI). If the loop is killed they are made
    /// again together.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub together: usize,
    /// Its options; engine plugins need `template`.
    #[serde(default)]
    pub options: toml::Table,
}

fn one() -> usize {
    1
}

fn is_one(n: &usize) -> bool {
    *n == 1
}

/// How much MD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Rounds of choosing and running.
    pub epochs: usize,
    /// Runs in each.
    pub seeds: usize,
    /// MD after preparation that is kept and not counted, ps.
    pub head_ps: f64,
    /// MD after the head, ps.
    pub run_ps: f64,
    /// Between stored frames, ps.
    pub frame_ps: f64,
    /// Stop choosing after so much MD, heads and preparation included, ns.
    #[serde(default)]
    pub md_ns: Option<f64>,
    /// Stop after so much wall time, hours; the next `run` goes on.
    #[serde(default)]
    pub wall_hours: Option<f64>,
    /// Disk space that must be left before an epoch, MiB.
    #[serde(default = "default_free_mib")]
    pub free_mib: u64,
}

fn default_free_mib() -> u64 {
    64
}

/// How the Markov model is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// Lag of the Markov model, ps.
    pub msm_lag_ps: f64,
    /// Lag of TICA, ps.
    pub tica_lag_ps: f64,
    /// k-means centres.
    pub microstates: usize,
    /// PCCA+ sets at most.
    pub macrostates: usize,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self { msm_lag_ps: 10.0, tica_lag_ps: 10.0, microstates: 100, macrostates: 6 }
    }
}

/// A strategy: what is proposed, and what of it is chosen. Not told, it is least counts over the
/// loop's own frames: the best that needs neither a network nor other MD (docs/benchmarks/loop.md).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StrategySettings {
    /// `visited` (frames of the loop's own MD), `parallel` and `long` (plain MD, no loop), or a
    /// proposer of the engine at hand.
    pub proposer: String,
    /// Options of the proposer.
    pub options: toml::Table,
    /// Proposals per seed.
    pub proposals_per_seed: usize,
    /// Which of the proposals are run.
    pub selector: SelectorSettings,
}

impl Default for StrategySettings {
    fn default() -> Self {
        Self {
            proposer: "visited".into(),
            options: toml::Table::new(),
            proposals_per_seed: 8,
            selector: SelectorSettings::default(),
        }
    }
}

/// Intervals and the stop rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatisticsSettings {
    /// Bootstrap draws.
    pub draws: usize,
    /// Stop when the model has not moved for some epochs.
    pub stop_when_settled: bool,
}

impl Default for StatisticsSettings {
    fn default() -> Self {
        Self { draws: 100, stop_when_settled: false }
    }
}

impl LoopSettings {
    /// Reads and checks; errors name the line or the field.
    pub fn parse(text: &str) -> Result<Self, LoopError> {
        let settings: Self = toml::from_str(text).map_err(|e| LoopError::words(e.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    /// As TOML.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("settings are plain data")
    }

    fn check(&self) -> Result<(), LoopError> {
        let bad = |text: String| Err(LoopError::words(text));
        let b = &self.budget;
        for (name, value) in [("epochs", b.epochs), ("seeds", b.seeds)] {
            if value == 0 {
                return bad(format!("budget.{name} is 0; give at least 1"));
            }
        }
        if !(b.frame_ps > 0.0 && b.frame_ps.is_finite()) {
            return bad(format!("budget.frame_ps is {}; give a time above 0 ps", b.frame_ps));
        }
        for (name, value) in [
            ("budget.head_ps", b.head_ps),
            ("budget.run_ps", b.run_ps),
            ("model.msm_lag_ps", self.model.msm_lag_ps),
            ("model.tica_lag_ps", self.model.tica_lag_ps),
        ] {
            if in_frames(value, b.frame_ps).is_none() {
                return bad(format!(
                    "{name} is {value} ps, which is no multiple of budget.frame_ps, {} ps",
                    b.frame_ps
                ));
            }
        }
        for (name, value) in
            [("msm_lag_ps", self.model.msm_lag_ps), ("tica_lag_ps", self.model.tica_lag_ps)]
        {
            if value <= 0.0 {
                return bad(format!("model.{name} is {value} ps; give a time above 0 ps"));
            }
        }
        let least = 10.0 * self.model.msm_lag_ps;
        if b.run_ps < least {
            return bad(format!(
                "budget.run_ps is {} ps: a run behind its head must be at least 10 x \
                 model.msm_lag_ps = {least} ps long, or populations are biased towards where the \
                 seeds were put. Make runs longer (and fewer), or the lag shorter",
                b.run_ps
            ));
        }
        if self.model.microstates < 2 || self.model.macrostates < 2 {
            return bad("model.microstates and model.macrostates must be at least 2".into());
        }
        if self.strategy.proposals_per_seed == 0 {
            return bad("strategy.proposals_per_seed is 0; give at least 1".into());
        }
        for (name, value) in [("md_ns", b.md_ns), ("wall_hours", b.wall_hours)] {
            if value.is_some_and(|v| !(v > 0.0 && v.is_finite())) {
                return bad(format!("budget.{name} must be above 0"));
            }
        }
        if self.engine.together == 0 || (self.slurm.is_some() && self.engine.together > 1) {
            return bad("engine.together must be at least 1, and 1 where Slurm has the runs".into());
        }
        if let Some(slurm) = &self.slurm
            && (slurm.attempts == 0 || !(0.05..=3600.0).contains(&slurm.poll_s))
        {
            return bad("slurm: attempts must be at least 1, poll_s within 0.05 and 3600".into());
        }
        self.strategy.selector.check()
    }

    /// Plain MD without choosing: the number of runs, all of them from the template, that share
    /// the whole budget.
    pub fn plain_runs(&self) -> Option<usize> {
        match self.strategy.proposer.as_str() {
            "parallel" => Some(self.budget.seeds),
            "long" => Some(1),
            _ => None,
        }
    }

    /// Epochs of the loop; plain MD has one.
    pub fn epochs(&self) -> usize {
        if self.plain_runs().is_some() { 1 } else { self.budget.epochs }
    }

    /// Frames of head and of the rest of each run. Plain runs get the MD of all epochs, and pay
    /// for one head only.
    pub fn run_frames(&self) -> (u64, u64) {
        let b = &self.budget;
        let frames = |ps: f64| (ps / b.frame_ps).round() as u64;
        let (head, rest) = (frames(b.head_ps), frames(b.run_ps));
        match self.plain_runs() {
            None => (head, rest),
            Some(runs) => {
                let all = (head + rest) * (b.epochs * b.seeds / runs) as u64;
                (head, all - head)
            }
        }
    }

    /// Lag of the Markov model in frames.
    pub fn lag_frames(&self) -> usize {
        (self.model.msm_lag_ps / self.budget.frame_ps).round() as usize
    }

    /// Lag of TICA in frames.
    pub fn tica_frames(&self) -> usize {
        (self.model.tica_lag_ps / self.budget.frame_ps).round() as usize
    }
}

/// Whole frames of a time, if it is a multiple of the time between frames.
fn in_frames(ps: f64, frame_ps: f64) -> Option<u64> {
    let frames = (ps / frame_ps).round();
    let fits = ps >= 0.0 && (frames * frame_ps - ps).abs() < 1e-6 && frames < 1e12;
    fits.then_some(frames as u64)
}

/// Bytes of a structure, for the file of an epoch's seeds.
pub(crate) fn structure_bytes(structure: &Structure) -> impl Iterator<Item = u8> + '_ {
    structure.iter().flatten().flat_map(|x| x.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "rng_seed = 1\n[engine]\nname = \"toy\"\n[budget]\nepochs = 3\nseeds = 4\n\
        head_ps = 10.0\nrun_ps = 200.0\nframe_ps = 1.0\n[model]\nmsm_lag_ps = 20.0\n\
        [strategy]\nproposer = \"visited\"\n";

    #[test]
    fn what_is_wrong_is_named() {
        let settings = LoopSettings::parse(GOOD).unwrap();
        assert_eq!(LoopSettings::parse(&settings.to_text()).unwrap(), settings);
        assert_eq!((settings.run_frames(), settings.lag_frames()), ((10, 200), 20));
        let untold = GOOD.replace("[strategy]\nproposer = \"visited\"\n", "");
        assert_eq!(LoopSettings::parse(&untold).unwrap().strategy, settings.strategy);
        for (from, to, says) in [
            ("run_ps = 200.0", "run_ps = 190.0", "10 x model.msm_lag_ps = 200 ps"),
            ("frame_ps = 1.0", "frame_ps = 3.0", "budget.head_ps is 10 ps"),
            ("frame_ps = 1.0", "frame_ps = 0.0", "budget.frame_ps"),
            ("epochs = 3", "epochs = 0", "budget.epochs is 0"),
            ("epochs = 3", "epoch = 3", "unknown field `epoch`"),
            ("seeds = 4", "seeds = \"four\"", "seeds = \"four\""),
            ("rng_seed = 1", "", "missing field `rng_seed`"),
            ("msm_lag_ps = 20.0", "msm_lag_ps = 0.0", "model.msm_lag_ps is 0 ps"),
            (
                "name = \"toy\"",
                "name = \"toy\"\ntogether = 0",
                "engine.together must be at least 1",
            ),
            ("[budget]", "together = 2\n[slurm]\n[budget]", "1 where Slurm has the runs"),
        ] {
            let error = LoopSettings::parse(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(says), "{error:?} should say {says:?}");
        }
    }

    #[test]
    fn plain_md_gets_the_same_budget_in_one_piece() {
        let with = |name: &str| LoopSettings::parse(&GOOD.replace("visited", name)).unwrap();
        let (long, parallel) = (with("long"), with("parallel"));
        assert_eq!((long.epochs(), long.run_frames()), (1, (10, 12 * 210 - 10)));
        assert_eq!((parallel.epochs(), parallel.run_frames()), (1, (10, 3 * 210 - 10)));
    }
}
