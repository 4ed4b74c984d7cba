//! A loop's folder as it lies on the disk: settings, history, the features of its runs, and the
//! model and numbers that follow from them. Reads only, so a loop can be looked at while it runs.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::history::{About, Plan, Record, RunRecord};
use crate::model::RunRows;
use crate::statistics::{Question, Statistics, statistics};
use crate::{History, KnownStates, LoopError, LoopSettings, Model, Structure, read_journal};

/// The journal's name in a loop's folder.
pub(crate) const JOURNAL: &str = "journal";
/// Features of a run, doubles, in its folder.
pub(crate) const FEATURES: &str = "features.f64";

/// A loop's folder.
pub struct Store {
    folder: PathBuf,
    settings: LoopSettings,
    pub(crate) history: History,
    /// Features of each run, as far as they were read.
    rows: Vec<RunRows>,
}

impl Store {
    /// Reads a loop; another process may be running it.
    pub fn read(folder: &Path) -> Result<Self, LoopError> {
        let path = folder.join(JOURNAL);
        if !path.exists() {
            return Err(LoopError::new(folder, "holds no loop; begin one with `marsfm loop init`"));
        }
        let (contents, _) = read_journal(&path)?;
        Self::of(folder, &contents.records)
    }

    pub(crate) fn of(folder: &Path, records: &[Vec<u8>]) -> Result<Self, LoopError> {
        let history = replay(&folder.join(JOURNAL), records)?;
        let settings = LoopSettings::parse(&history.settings)?;
        Ok(Self { folder: folder.into(), settings, history, rows: Vec::new() })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings it began with.
    pub fn settings(&self) -> &LoopSettings {
        &self.settings
    }

    /// What happened so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What is known of the system.
    pub fn about(&self) -> &About {
        &self.history.about
    }

    /// The trajectory of each run.
    pub fn trajectories(&self) -> Vec<PathBuf> {
        let of = |r: &RunRecord| self.folder.join(&r.folder).join(&r.trajectory);
        self.history.runs.iter().map(of).collect()
    }

    /// The structures of a plan.
    pub fn starts(&self, plan: &Plan) -> Result<Vec<Structure>, LoopError> {
        let path = self.folder.join(&plan.structures);
        let content = std::fs::read(&path).map_err(|e| LoopError::io(&path, &e))?;
        if sha256(&content) != plan.sha256 {
            return Err(LoopError::new(&path, "is not what the journal says it was"));
        }
        let numbers = doubles(&content);
        let atoms = numbers.len() / 3 / plan.seeds.len().max(1);
        let places: Vec<[f64; 3]> = numbers.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
        Ok(places.chunks_exact(atoms.max(1)).map(<[_]>::to_vec).collect())
    }

    /// Features of all runs, heads included, as the journal vouches for them.
    pub fn rows(&mut self) -> Result<&[RunRows], LoopError> {
        for run in &self.history.runs[self.rows.len()..] {
            let path = self.folder.join(&run.folder).join(FEATURES);
            let content = std::fs::read(&path).map_err(|e| LoopError::io(&path, &e))?;
            if sha256(&content) != run.rows_sha256 {
                return Err(LoopError::new(&path, "is not what the journal says it was"));
            }
            let width = content.len() / 8 / run.frames.max(1) as usize;
            let numbers = doubles(&content);
            let rows = numbers.chunks_exact(width.max(1)).map(<[_]>::to_vec).collect();
            self.rows.push(RunRows { rows, head_frames: run.head_frames as usize });
        }
        Ok(&self.rows)
    }

    /// The model of all runs so far.
    pub fn model(&mut self, known: Option<&dyn KnownStates>) -> Result<Model, LoopError> {
        self.rows()?;
        Model::build(&self.rows, &self.settings, known)
    }

    /// Numbers of the runs that `take` (by number) wants.
    pub fn statistics(
        &self,
        model: &Model,
        take: &dyn Fn(usize) -> bool,
    ) -> Result<Statistics, LoopError> {
        let all = model.micro_trajectories();
        let runs: Vec<&[i32]> =
            all.into_iter().enumerate().filter(|(i, _)| take(*i)).map(|(_, t)| t).collect();
        let numbers = statistics(&runs, &self.question(model))?;
        Ok(Statistics { warnings: model.warnings().to_vec(), ..numbers })
    }

    /// What is asked of the runs unless something else is.
    pub fn question<'a>(&self, model: &'a Model) -> Question<'a> {
        Question {
            n_micro: model.n_micro(),
            macro_of_micro: model.macro_of_micro(),
            lag: self.settings.lag_frames(),
            frame_ps: self.settings.budget.frame_ps,
            kelvin: self.history.about.temperature_kelvin,
            draws: self.settings.statistics.draws,
            rng_seed: self.settings.rng_seed,
        }
    }

    /// Wall and CPU seconds of everything that is recorded, by stage.
    pub fn stages(&self) -> Stages {
        let h = &self.history;
        // Imported MD was paid for by others.
        let own = || h.runs.iter().filter(|r| r.epoch.is_some());
        let run = |k: usize| own().map(|r| r.seconds[k]).sum::<f64>();
        let plan = |k: usize| h.plans.iter().map(|p| p.seconds[k]).sum::<f64>();
        let epoch = |k: usize| h.epochs.iter().map(|e| e.seconds[k]).sum::<f64>();
        Stages {
            md: run(0) + epoch(2) + h.lost.iter().map(|l| l.seconds[0]).sum::<f64>(),
            read: run(2),
            model: plan(0) + epoch(0),
            propose: plan(1),
            choose: plan(2),
            rest: epoch(3),
            cpu: run(1) + plan(3) + h.lost.iter().map(|l| l.seconds[1]).sum::<f64>() + epoch(1),
        }
    }
}

/// Where time went, s.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Stages {
    /// Preparing and running seeds, lost ones included, and calibrating the engine.
    pub md: f64,
    /// Reading frames back and putting runs in their places.
    pub read: f64,
    /// Markov models and their numbers.
    pub model: f64,
    /// Proposing: where a surrogate's time goes.
    pub propose: f64,
    /// Choosing.
    pub choose: f64,
    /// What no stage accounts for: the journal, the disk, onlookers.
    pub rest: f64,
    /// CPU time of all stages, child processes included.
    pub cpu: f64,
}

impl Stages {
    /// Share of the wall time of finished epochs that is neither MD with its preparation nor
    /// proposals: what the loop itself costs.
    pub fn overhead(&self) -> f64 {
        let own = self.read + self.model + self.choose + self.rest;
        let all = own + self.md + self.propose;
        if all > 0.0 { own / all } else { 0.0 }
    }
}

/// The records of a journal, added up.
pub fn replay(path: &Path, records: &[Vec<u8>]) -> Result<History, LoopError> {
    let mut history = History::default();
    for (i, payload) in records.iter().enumerate() {
        let record: Record = serde_json::from_slice(payload)
            .map_err(|e| LoopError::new(path, &format!("record {i}: {e}")))?;
        history.add(record)?;
    }
    if history.settings.is_empty() {
        return Err(LoopError::new(path, "holds no settings"));
    }
    Ok(history)
}

/// Little-endian doubles.
pub(crate) fn doubles(content: &[u8]) -> Vec<f64> {
    let one = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("eight bytes"));
    content.chunks_exact(8).map(one).collect()
}

pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect()
}
