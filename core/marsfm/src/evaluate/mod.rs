//! `marsfm evaluate`: any ensemble against reference MD, in the numbers of METHOD section 8 and
//! beyond. Every number comes with its bootstrap interval (MD resampled by replica, samples by tree)
//! and what MD scores against itself; scores of histograms also with the floor at matched n.
//!
//! The Markov model is the reference's. Files and frames that cannot be used are named, left out,
//! and the rest is scored.

pub mod kinetics;
pub mod memory;
pub mod molecule;
pub mod protein;
mod read;
pub mod record;
mod reference;
pub mod report;
mod sample;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use marsfm_host::Host;
use marsfm_metrics::bootstrap::Interval;
use marsfm_metrics::marginals::Noise;
use marsfm_metrics::validity::ValiditySummary;
use serde::Serialize;

use crate::markov::MsmSettings;

pub use molecule::{Detail, Molecule};
pub use read::Read;
pub use reference::{FrameStates, Reference, Scored};
pub use sample::Sample;

/// Constants; the defaults are the reference scripts' where those are known.
#[derive(Clone, Debug, Serialize)]
pub struct EvaluateSettings {
    /// Lags and sizes of the reference's Markov model.
    pub msm: MsmSettings,
    /// Lag of the pairs, ps, in place of that in `msm` wherever the MD has stretches and frames for it.
    pub jump_ps: Option<f64>,
    /// Temperature of free energies, K.
    pub kelvin: f64,
    /// Bins of one coordinate.
    pub bins_1d: usize,
    /// Bins per axis of two.
    pub bins_2d: usize,
    /// Bins of Rg.
    pub rg_bins: usize,
    /// Added to every Rg bin's probability before the logarithm.
    pub rg_smoothing: f64,
    /// Frames farther from their centre than this share of the reference's are outside.
    pub outside_quantile: f64,
    /// Time between MD frames, ps, where the files cannot tell.
    pub frame_ps: Option<f64>,
    /// True if the samples are time series like MD; false if every frame is a draw of its own.
    pub samples_are_trajectories: bool,
    /// Bootstrap resamples.
    pub resamples: usize,
    /// Bootstrap resamples of kinetics, each of which fits two Markov models.
    pub kinetics_resamples: usize,
    /// Seed of bootstrap and floor.
    pub rng_seed: u64,
}

impl Default for EvaluateSettings {
    fn default() -> Self {
        Self {
            msm: MsmSettings::default(),
            jump_ps: None,
            kelvin: 350.0,
            bins_1d: 100,
            bins_2d: 50,
            rg_bins: 50,
            rg_smoothing: 1e-6,
            outside_quantile: 0.999,
            frame_ps: None,
            samples_are_trajectories: false,
            resamples: 200,
            kinetics_resamples: 50,
            rng_seed: 0,
        }
    }
}

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// A distance or an error.
    Lower,
    /// A correlation.
    Higher,
}

/// One number of the comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Name.
    pub name: String,
    /// How it is computed.
    pub definition: String,
    /// Which way is good.
    pub better: Better,
    /// Value and bootstrap interval.
    #[serde(flatten)]
    pub interval: Interval,
    /// What two samples of the reference's histograms with as many frames, all independent, would
    /// score; n_eff says how far the frames are from independent. `None` where the score is no
    /// function of histograms.
    pub floor: Option<Interval>,
    /// Each MD replica, cut to the sample's number of frames, against the other replicas.
    pub md_noise: Option<Noise>,
}

/// One side of the comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Files used, with their frames.
    pub files: Vec<(String, usize)>,
    /// Frames in all.
    pub n_frames: usize,
    /// Effectively independent frames (by the slowest TICA coordinate within replicas and trees;
    /// draws of their own count as they are).
    pub n_eff: f64,
    /// What is resampled: replicas, trees or stretches.
    pub blocks: usize,
    /// Share of frames that no check for clashes, bonds and chirality rejects.
    pub acceptance: f64,
    /// The checks one by one.
    pub validity: ValiditySummary,
}

/// How much of the reference's space the sample covers.
#[derive(Clone, Debug, Serialize)]
pub struct Diversity {
    /// exp(entropy) of the microstate populations: how many microstates a frame effectively has to
    /// choose from.
    pub effective_microstates: f64,
    /// The same of the MD.
    pub effective_microstates_md: f64,
    /// Macrostates that the sample visits, of those there are.
    pub macrostates_visited: (usize, usize),
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// One letter per residue.
    pub sequence: String,
    /// How much of each residue both sides have.
    pub detail: Detail,
    /// The MD.
    pub reference: Side,
    /// The ensemble.
    pub sample: Side,
    /// Share of the sample outside the reference's microstates.
    pub outside_fraction: f64,
    /// Microstates of the reference that the sample visits, of those there are.
    pub microstates_visited: (usize, usize),
    /// Spread over states.
    pub diversity: Diversity,
    /// The numbers.
    pub scores: Vec<Score>,
    /// Fluctuations and folding, for chains of 8 residues or more.
    pub protein: Option<protein::ProteinNumbers>,
    /// Kinetics, where the sample has transitions.
    pub kinetics: Option<kinetics::Kinetics>,
    /// Decorrelation, where the sample is a time series.
    pub memory: Vec<memory::Memory>,
    /// Files and frames left out, and cautions.
    pub notes: Vec<String>,
    /// With what constants.
    pub settings: EvaluateSettings,
}

impl Evaluation {
    /// A score by its name.
    pub fn score(&self, name: &str) -> Option<&Score> {
        self.scores.iter().find(|s| s.name == name)
    }
}

/// The files of a comparison.
pub struct Sources<'a> {
    /// Atoms of the reference, with coordinates.
    pub topology: &'a Path,
    /// MD, one file per replica.
    pub reference: &'a [PathBuf],
    /// The ensemble.
    pub samples: &'a [PathBuf],
    /// Atoms of the samples where they are others.
    pub sample_topology: Option<&'a Path>,
    /// Structure that native contacts and superposition refer to, instead of `topology`'s.
    pub native: Option<&'a Path>,
    /// The record of `marsfm sample` that goes with a single file of samples.
    pub record: Option<&'a Path>,
}

/// Scores an ensemble of files.
pub fn evaluate(
    host: &Host,
    sources: &Sources,
    settings: &EvaluateSettings,
) -> Result<(Reference, Scored)> {
    let own = sources.sample_topology.map(|path| Molecule::read_own(host, path)).transpose()?;
    let detail = own.as_ref().map_or(Detail::All, |m| m.detail);
    let molecule = Molecule::read(host, sources.topology, detail)?;
    if let Some(own) = &own {
        molecule::check_same(&molecule, own)?;
    }
    let name = sources.topology.display().to_string();
    let native = sources.native.map(|path| Molecule::read_own(host, path)).transpose()?;
    let reference =
        Reference::new(host, &name, molecule, native.as_ref(), sources.reference, settings)?;
    let mut notes = Vec::new();
    let sampled = own.as_ref().unwrap_or(&reference.molecule);
    let series = settings.samples_are_trajectories;
    let read = Read::files(host, sampled, sources.samples, None, series, &mut notes)?;
    let sample = match (sources.record, series) {
        (Some(_), true) => anyhow::bail!("a record is for draws, not for trajectories"),
        (Some(path), false) => {
            ensure!(read.files.len() == 1, "a record goes with one file of samples");
            let descent = record::Descent::read(path, reference.settings.msm.pair_lag_ps)?;
            let width = reference.width();
            Sample::trees(&read, &descent, width).with_context(|| path.display().to_string())?
        }
        (None, true) => Sample::series(read),
        (None, false) => Sample::draws(read),
    };
    let mut scored = reference.score(&sample)?;
    scored.evaluation.notes.extend(notes);
    Ok((reference, scored))
}
