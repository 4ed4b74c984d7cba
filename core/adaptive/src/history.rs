//! What happened, as records of the journal, and the state that they add up to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::LoopError;
use crate::statistics::Statistics;

/// A frame of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameAt {
    /// Number of the run, in the order of the journal.
    pub run: usize,
    /// Frame of its trajectory, head included.
    pub frame: usize,
}

/// One seed of a plan; its structure is in the plan's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedRecord {
    /// What proposed it: its class in comparisons with and without.
    pub class: String,
    /// The frame it was made from.
    pub parent: Option<FrameAt>,
    /// Of its velocities and thermostat.
    pub rng_seed: u64,
}

/// What an epoch will run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Number of the epoch, from 0.
    pub epoch: usize,
    /// Its seeds.
    pub seeds: Vec<SeedRecord>,
    /// File with their structures, in the loop's folder.
    pub structures: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Proposals that were made.
    pub proposed: usize,
    /// Proposals that could be started from.
    pub accepted: usize,
    /// Weights that the selector carries from epoch to epoch.
    pub weights: Vec<f64>,
    /// Wall time of model, proposals and choice, then CPU time of the three, s.
    pub seconds: [f64; 4],
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Epoch; `None` for MD that was imported.
    pub epoch: Option<usize>,
    /// Seed of the epoch's plan, or number of the imported trajectory.
    pub seed: usize,
    /// Its folder in the loop's folder.
    pub folder: String,
    /// Trajectory in that folder, or the path of imported MD.
    pub trajectory: String,
    /// SHA-256 of the features of its frames.
    pub rows_sha256: String,
    /// Frames of the head.
    pub head_frames: u64,
    /// All frames.
    pub frames: u64,
    /// `valid`, `repaired`, or `imported`.
    pub verdict: String,
    /// MD before the first frame, ps.
    pub prepare_ps: f64,
    /// Wall time of preparation and MD, CPU time of all, wall time of reading the frames back and of
    /// putting the run in its place, s; child processes that ended are in the CPU time.
    pub seconds: [f64; 3],
}

/// A seed that gave no run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LostRecord {
    /// Epoch.
    pub epoch: usize,
    /// Seed of its plan.
    pub seed: usize,
    /// `rejected` in preparation or `lost` in MD.
    pub how: String,
    /// The engine's words.
    pub reason: String,
    /// MD charged for it, ps: all of the run if it was lost on the way.
    pub md_ps: f64,
    /// Wall and CPU time, s.
    pub seconds: [f64; 2],
}

/// The model at the end of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number.
    pub epoch: usize,
    /// All MD so far, heads, preparation and losses included, ps.
    pub md_ps: f64,
    /// Microstates entered behind heads.
    pub microstates: usize,
    /// Populations and timescales with intervals; `Err` in words where there is no model yet.
    pub statistics: Result<Statistics, String>,
    /// How the numbers moved from epoch to epoch, the latest last, in the states of this model.
    pub drift: Vec<Drift>,
    /// Wall and CPU time of the model and its numbers, wall time of calibrating the engine in this
    /// epoch (its CPU time is in the second), and wall time of the epoch that no stage accounts for,
    /// s.
    pub seconds: [f64; 4],
}

/// What the MD up to an epoch gives in the states of a later model: models are made anew in each
/// epoch, and only numbers about the same states can be compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Epoch.
    pub epoch: usize,
    /// Populations of the macrostates; 0 where the MD up to here gives none.
    pub populations: Vec<f64>,
    /// Slowest timescale, ps.
    pub timescale_ps: Option<f64>,
    /// Population (of all MD) of the microstates that the MD up to here had not entered.
    pub unseen: f64,
}

/// What is known of the engine's system, so that a loop can be read without the engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Temperature, K.
    pub temperature_kelvin: f64,
    /// Names of the features.
    pub features: Vec<String>,
    /// What the engine says about itself and its system.
    pub notes: Vec<String>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// First of all: the settings.
    Begun {
        /// Version of marsfm.
        version: String,
        /// The settings as TOML.
        settings: String,
        /// The engine's system.
        about: About,
    },
    /// Seeds were chosen.
    Planned(Plan),
    /// A run is there, whole.
    Ran(RunRecord),
    /// A seed gave no run.
    Lost(LostRecord),
    /// An epoch is over.
    Epoch(EpochRecord),
}

impl Record {
    /// As it stands in the journal.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("records are plain data")
    }
}

/// The state of a loop.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Settings as TOML.
    pub settings: String,
    /// The engine's system.
    pub about: About,
    /// Plans, one per epoch begun.
    pub plans: Vec<Plan>,
    /// Runs in the order in which they were finished.
    pub runs: Vec<RunRecord>,
    /// Seeds that gave none.
    pub lost: Vec<LostRecord>,
    /// Epochs that are over.
    pub epochs: Vec<EpochRecord>,
    settled: BTreeSet<(usize, usize)>,
}

impl History {
    /// Adds a record; one that cannot follow is an error.
    pub fn add(&mut self, record: Record) -> Result<(), LoopError> {
        let wrong = |what: String| Err(LoopError::words(format!("the journal is wrong: {what}")));
        match record {
            Record::Begun { settings, about, .. } => {
                if !self.settings.is_empty() {
                    return wrong("it begins twice".into());
                }
                (self.settings, self.about) = (settings, about);
            }
            Record::Planned(plan) => {
                if plan.epoch != self.plans.len() || plan.epoch != self.epochs.len() {
                    return wrong(format!("a plan of epoch {} out of turn", plan.epoch));
                }
                self.plans.push(plan);
            }
            Record::Ran(run) => {
                if let Some(epoch) = run.epoch
                    && !self.settle(epoch, run.seed)
                {
                    return wrong(format!("seed {} of epoch {epoch} twice", run.seed));
                }
                self.runs.push(run);
            }
            Record::Lost(lost) => {
                if !self.settle(lost.epoch, lost.seed) {
                    return wrong(format!("seed {} of epoch {} twice", lost.seed, lost.epoch));
                }
                self.lost.push(lost);
            }
            Record::Epoch(epoch) => {
                let open = self.plans.last().is_none_or(|p| self.open_seeds(p).next().is_some());
                if epoch.epoch != self.epochs.len() || open {
                    return wrong(format!("the end of epoch {} out of turn", epoch.epoch));
                }
                self.epochs.push(epoch);
            }
        }
        Ok(())
    }

    fn settle(&mut self, epoch: usize, seed: usize) -> bool {
        let planned = self.plans.last().is_some_and(|p| p.epoch == epoch && seed < p.seeds.len());
        planned && self.settled.insert((epoch, seed))
    }

    /// Seeds of a plan that neither ran nor were lost.
    pub fn open_seeds<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = usize> + 'a {
        (0..plan.seeds.len()).filter(|seed| !self.settled.contains(&(plan.epoch, *seed)))
    }

    /// All MD so far, ps: preparation, heads, runs, losses.
    pub fn md_ps(&self, frame_ps: f64) -> f64 {
        let run = |r: &RunRecord| r.prepare_ps + r.frames as f64 * frame_ps;
        let own = self.runs.iter().filter(|r| r.epoch.is_some());
        // From 0: an empty sum of floats is -0.
        own.map(run).chain(self.lost.iter().map(|l| l.md_ps)).fold(0.0, |sum, ps| sum + ps)
    }

    /// Class of a run: what proposed its seed.
    pub fn class(&self, run: &RunRecord) -> &str {
        run.epoch.map_or("imported", |e| &self.plans[e].seeds[run.seed].class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(epoch: usize) -> Record {
        let seed = SeedRecord { class: "visited".into(), parent: None, rng_seed: 1 };
        Record::Planned(Plan {
            epoch,
            seeds: vec![seed; 2],
            structures: String::new(),
            sha256: String::new(),
            proposed: 2,
            accepted: 2,
            weights: vec![],
            seconds: [0.0; 4],
        })
    }

    fn ran(epoch: usize, seed: usize) -> Record {
        Record::Ran(RunRecord {
            epoch: Some(epoch),
            seed,
            folder: String::new(),
            trajectory: String::new(),
            rows_sha256: String::new(),
            head_frames: 1,
            frames: 10,
            verdict: "valid".into(),
            prepare_ps: 2.0,
            seconds: [0.0; 3],
        })
    }

    #[test]
    fn nothing_counts_twice_and_nothing_out_of_turn() {
        let mut h = History::default();
        assert!(h.add(ran(0, 0)).is_err());
        h.add(plan(0)).unwrap();
        assert!(h.add(plan(1)).is_err());
        h.add(ran(0, 1)).unwrap();
        assert!(h.add(ran(0, 1)).is_err());
        assert!(h.add(ran(0, 2)).is_err());
        assert_eq!(h.open_seeds(&h.plans[0]).collect::<Vec<_>>(), [0]);
        let epoch = |epoch| {
            let statistics = Err("none".into());
            Record::Epoch(EpochRecord {
                epoch,
                md_ps: 0.0,
                microstates: 0,
                statistics,
                drift: vec![],
                seconds: [0.0; 4],
            })
        };
        assert!(h.add(epoch(0)).is_err());
        h.add(ran(0, 0)).unwrap();
        h.add(epoch(0)).unwrap();
        assert!(h.add(epoch(0)).is_err());
        assert_eq!(h.md_ps(2.0), 44.0);
        h.add(plan(1)).unwrap();
    }
}
