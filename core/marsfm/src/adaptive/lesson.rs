//! Lessons as data: what the settings ask for, and what each one did.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Lessons, in a loop's folder.
pub(super) const LESSONS: &str = "lessons";

/// The table `strategy.options.learn`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearnSettings {
    /// Epochs from one lesson to the next.
    pub(super) every: usize,
    /// Steps of a lesson, which bound its time.
    pub(super) steps: u64,
    /// Samples per step.
    pub(super) batch: usize,
    /// Learning rate; without it 2e-4 for a surrogate that goes on, 2e-3 for a new one.
    pub(super) learning_rate: Option<f64>,
    /// What the first lesson starts from.
    pub(super) from: Start,
    /// Lag of a jump, ps, a multiple of `model.msm_lag_ps`; the surrogate's own without it.
    pub(super) pair_lag_ps: Option<f64>,
    /// Data that the surrogate knows already, so that it does not forget.
    pub(super) replay: Option<Replay>,
    /// A loop of the same system at another temperature, to learn from beside this one.
    pub(super) hot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Start {
    Model,
    Scratch,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replay {
    /// Folder of the systems.
    pub(super) data: PathBuf,
    /// Which of them.
    pub(super) systems: Vec<String>,
    /// Share of the steps.
    #[serde(default = "half")]
    pub(super) share: f64,
    /// Lag of their TICA and Markov models, ps.
    #[serde(default = "ten")]
    pub(super) lag_ps: f64,
}

fn half() -> f64 {
    0.5
}

fn ten() -> f64 {
    10.0
}

impl Default for LearnSettings {
    fn default() -> Self {
        Self {
            every: 1,
            steps: 300,
            batch: 64,
            learning_rate: None,
            from: Start::Model,
            pair_lag_ps: None,
            replay: None,
            hot: None,
        }
    }
}

/// What a lesson did; beside its surrogate on the disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// Before the seeds of this epoch were chosen.
    pub epoch: usize,
    /// Runs learned from, and runs kept for judging.
    pub runs: [usize; 2],
    /// Steps.
    pub steps: u64,
    /// Loss on the runs kept for judging before; `None` where nothing went before.
    pub before: Option<f64>,
    /// And after.
    pub after: f64,
    /// Whether the loop jumps with what was learned.
    pub kept: bool,
    /// Wall time, s.
    pub seconds: f64,
}

/// The lessons of a loop, in order.
pub fn lessons(folder: &Path) -> Result<Vec<Lesson>> {
    let Ok(entries) = std::fs::read_dir(folder.join(LESSONS)) else { return Ok(Vec::new()) };
    let mut all: Vec<Lesson> = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            let at = || path.display().to_string();
            let text = std::fs::read(&path).with_context(at)?;
            all.push(serde_json::from_slice(&text).with_context(at)?);
        }
    }
    all.sort_by_key(|l| l.epoch);
    Ok(all)
}
