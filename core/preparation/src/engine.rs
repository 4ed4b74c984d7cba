//! The trait of MD engines. Positions are doubles in the engine's own order, nm.

use marsfm_geometry::Topology;
use std::path::{Path, PathBuf};

/// What kind of failure: it decides whether the next seed may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The engine is not here.
    Missing,
    /// The engine is of an unsupported version.
    Version,
    /// The request is unusable.
    Invalid,
    /// The engine does not offer this.
    Unsupported,
    /// Another number of atoms than the engine's.
    AtomCount,
    /// Positions, velocities or energy no longer finite: this seed is lost.
    Diverged,
    /// Stopped on request.
    Cancelled,
    /// No sign of life for too long.
    Timeout,
    /// The engine's process ended without a result.
    Killed,
    /// No room on the device.
    DiskFull,
    /// A file could not be read or written.
    File,
    /// The engine is used by another thread, or was lost in a timeout before.
    Busy,
    /// Anything else, in the engine's words.
    Engine,
}

impl Failure {
    /// True if the seed is to blame and the engine can take the next one.
    pub fn costs_only_the_seed(self) -> bool {
        matches!(self, Self::Diverged | Self::Killed)
    }
}

/// A failure of an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("engine {engine}: {message}")]
pub struct EngineError {
    /// Name of the engine.
    pub engine: String,
    /// Kind of failure.
    pub failure: Failure,
    /// What happened, and what to do.
    pub message: String,
}

/// The engine's own view of its system.
#[derive(Clone, Debug)]
pub struct System {
    /// Atoms in the engine's order, with the engine's names.
    pub topology: Topology,
    /// The template's positions, nm.
    pub positions_nm: Vec<[f64; 3]>,
    /// Cell vectors as rows, nm.
    pub cell_nm: Option<[[f64; 3]; 3]>,
    /// Bonds, constrained ones included; empty if the engine does not know them.
    pub bonds: Vec<[usize; 2]>,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// The system holds explicit solvent.
    pub solvated: bool,
    /// Length of a step, ps.
    pub step_ps: f64,
    /// Temperature of the thermostat, K.
    pub temperature_kelvin: f64,
    /// Friction of the thermostat, 1/ps.
    pub friction_per_ps: f64,
}

/// Energy of one set of positions.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Energy {
    /// Potential energy, kJ/mol.
    pub potential_kj_mol: f64,
    /// Largest force on an atom with mass, kJ/mol/nm.
    pub max_force_kj_mol_nm: f64,
    /// The atom that feels it.
    pub max_force_atom: usize,
}

/// A minimised seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimised {
    /// Positions, nm.
    pub positions_nm: Vec<[f64; 3]>,
    /// Cell vectors as rows, nm.
    pub cell_nm: Option<[[f64; 3]; 3]>,
    /// As handed in, kJ/mol.
    pub before_kj_mol: f64,
    /// With the heavy atoms still restrained to the sample, kJ/mol.
    pub restrained_kj_mol: f64,
    /// After the free minimisation.
    pub after: Energy,
}

/// A runnable start, on disk in its folder.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Started {
    /// MD spent on it, ps.
    pub md_ps: f64,
    /// Potential energy, kJ/mol.
    pub potential_kj_mol: f64,
    /// Kinetic temperature, K.
    pub temperature_kelvin: f64,
}

/// What to run from a start.
#[derive(Clone, Copy, Debug)]
pub struct RunRequest<'a> {
    /// Folder with the start.
    pub folder: &'a Path,
    /// Seed of the thermostat.
    pub rng_seed: u64,
    /// Steps of the head.
    pub head_steps: u64,
    /// Steps after it.
    pub steps: u64,
    /// Steps between frames; divides both.
    pub frame_steps: u64,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Finished {
    /// The trajectory.
    pub trajectory: PathBuf,
    /// Frames in it; frame k is k + 1 times `frame_ps` after the start.
    pub n_frames: u64,
    /// Frames of the head: kept, not counted.
    pub head_frames: u64,
    /// Time between frames, ps.
    pub frame_ps: f64,
    /// Potential energy at the end of the head, kJ/mol.
    pub head_kj_mol: f64,
    /// Potential energy at the end, kJ/mol.
    pub end_kj_mol: f64,
    /// Mean kinetic temperature after the head, K.
    pub temperature_kelvin: f64,
}

/// Told `done` of `total` steps (0 of 0 if that is unknown) on the caller's thread; false stops.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// An engine bound to a system.
pub trait Engine {
    /// Short name.
    fn name(&self) -> &str;
    /// Its system.
    fn system(&self) -> &System;
    /// Energy of positions as they are.
    fn energy(
        &self,
        positions_nm: &[[f64; 3]],
        cell_nm: Option<[[f64; 3]; 3]>,
    ) -> Result<Energy, EngineError>;
    /// Minimises a seed in a folder of its own.
    fn minimise(
        &self,
        folder: &Path,
        rng_seed: u64,
        positions_nm: &[[f64; 3]],
        cell_nm: Option<[[f64; 3]; 3]>,
        progress: Progress<'_>,
    ) -> Result<Minimised, EngineError>;
    /// Makes a runnable start from minimised positions.
    fn start(
        &self,
        folder: &Path,
        rng_seed: u64,
        minimised: &Minimised,
        progress: Progress<'_>,
    ) -> Result<Started, EngineError>;
    /// Runs from a start.
    fn run(
        &self,
        request: &RunRequest<'_>,
        progress: Progress<'_>,
    ) -> Result<Finished, EngineError>;
    /// Runs from several starts at once, in one launch, with `folder` for what they share: what
    /// became of each, in order. An engine that cannot says `Failure::Unsupported`.
    fn run_together(
        &self,
        _folder: &Path,
        _requests: &[RunRequest<'_>],
        _progress: Progress<'_>,
    ) -> Result<Vec<Result<Finished, EngineError>>, EngineError> {
        Err(EngineError {
            engine: self.name().to_owned(),
            failure: Failure::Unsupported,
            message: "it runs one seed at a time".to_owned(),
        })
    }
}
