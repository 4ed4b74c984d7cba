//! What the loop asks of an engine: run MD from a structure, and read back what was run.
//!
//! Narrower than `marsfm_preparation::Engine`, so that an analytic potential can be one too; real
//! engines are adapted to it where features and files are known.

use std::path::{Path, PathBuf};

use marsfm_preparation::EngineError;

/// Positions in the engine's own order, nm.
pub type Structure = Vec<[f64; 3]>;

/// One run to make.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// An empty folder of its own.
    pub folder: &'a Path,
    /// Where to start.
    pub start: &'a [[f64; 3]],
    /// Of velocities and thermostat.
    pub rng_seed: u64,
    /// Frames of the head: kept, not counted.
    pub head_frames: u64,
    /// Frames after it.
    pub frames: u64,
    /// Time between frames, ps.
    pub frame_ps: f64,
    /// Epoch, and seed of its plan.
    pub place: (usize, usize),
}

/// A run that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// File with its frames, head included; frame k is (k + 1) × `frame_ps` after the start.
    pub trajectory: PathBuf,
    /// `valid` or `repaired`.
    pub verdict: String,
    /// MD spent before the first frame, ps.
    pub prepare_ps: f64,
    /// CPU time, s, where it was not spent by this process.
    pub cpu_seconds: Option<f64>,
}

/// What became of a job. Failures that concern more than this seed are errors.
#[derive(Clone, Debug, PartialEq)]
pub enum Ran {
    /// It ran to its end.
    Finished(Finished),
    /// The seed did not survive preparation.
    Rejected(String),
    /// The engine lost it on the way.
    Lost(String),
}

impl Ran {
    /// A failure that concerns the seed alone is its end.
    pub fn of(ran: Result<Self, EngineError>) -> Result<Self, EngineError> {
        match ran {
            Err(e) if e.failure.costs_only_the_seed() => Ok(Self::Lost(e.message)),
            ran => ran,
        }
    }
}

/// Told the part done, between 0 and 1; false stops.
pub type Go<'a> = &'a mut dyn FnMut(f64) -> bool;

/// States that are known beforehand, for engines with exact answers.
pub trait KnownStates {
    /// Number of microstates.
    fn n_micro(&self) -> usize;
    /// Microstate of a row of features.
    fn micro_of(&self, row: &[f64]) -> usize;
    /// Macrostate of each microstate.
    fn macro_of_micro(&self) -> Vec<usize>;
    /// A point of each microstate, in features.
    fn centre(&self, micro: usize) -> Vec<f64>;
}

/// An engine bound to a system, with the features by which its frames are judged.
pub trait Engine {
    /// Short name.
    fn name(&self) -> &str;
    /// Temperature, K.
    fn temperature_kelvin(&self) -> f64;
    /// What users should know.
    fn notes(&self) -> Vec<String>;
    /// The structure to begin with.
    fn template(&self) -> Structure;
    /// Prepares and runs a seed.
    fn run(&mut self, job: &Job<'_>, go: Go<'_>) -> Result<Ran, EngineError>;
    /// Prepares and runs several seeds: what became of each, in order. The part that `go` is told
    /// is that of all of them.
    fn run_together(&mut self, jobs: &[Job<'_>], go: Go<'_>) -> Result<Vec<Ran>, EngineError> {
        let n = jobs.len() as f64;
        let one = |(i, job): (usize, &Job<'_>)| {
            Ran::of(self.run(job, &mut |part| go((i as f64 + part) / n)))
        };
        jobs.iter().enumerate().map(one).collect()
    }
    /// Names of the features.
    fn feature_names(&self) -> Vec<String>;
    /// Features of every frame of a run's trajectory.
    fn rows(&self, trajectory: &Path) -> Result<Vec<Vec<f64>>, String>;
    /// Features of a structure.
    fn row(&self, structure: &[[f64; 3]]) -> Result<Vec<f64>, String>;
    /// One frame of a run's trajectory.
    fn frame(&self, trajectory: &Path, index: usize) -> Result<Structure, String>;
    /// All frames of a run's trajectory, head included.
    fn frames(&self, trajectory: &Path) -> Result<Vec<Structure>, String>;
    /// Copies every `stride`-th frame of someone's trajectory into a folder, as a trajectory of its
    /// own kind.
    fn copy(&self, trajectory: &Path, folder: &Path, stride: usize) -> Result<PathBuf, String>;
    /// Shown frames of plain MD before seeds from elsewhere come: what is usual for this system.
    /// What it learns from them it may keep in `folder`.
    fn calibrate(
        &mut self,
        _folder: &Path,
        _frames: &[Structure],
        _go: Go<'_>,
    ) -> Result<(), EngineError> {
        Ok(())
    }
    /// Told which seeds of an epoch are about to be asked for, before the first is.
    fn announce(&mut self, _epoch: usize, _seeds: &[usize]) -> Result<(), EngineError> {
        Ok(())
    }
    /// States that need no clustering.
    fn known_states(&self) -> Option<&dyn KnownStates> {
        None
    }
}
