//! A training recipe: what to learn, from which simulations, with which network. One TOML file,
//! unknown keys refused, so that a committed recipe says everything.

use std::collections::BTreeMap;
use std::path::PathBuf;

use marsfm_surrogate::{Layout, MaskedTorsions, NetworkConfig, OptimiserConfig};
use serde::{Deserialize, Serialize};

use crate::TrainingError;

/// One training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the surrogate will reproduce, for its model card.
    pub domain: DomainRecipe,
    /// Lags and Markov model of the training pairs.
    pub pairs: PairRecipe,
    /// The simulations.
    pub data: DataRecipe,
    /// The network.
    pub network: NetworkConfig,
    /// The optimiser.
    #[serde(default)]
    pub optimiser: OptimiserConfig,
    /// Length, batches, validation.
    pub run: RunRecipe,
}

impl Recipe {
    /// Refuses what no run can be made of, naming the key.
    pub fn check(&self) -> Result<(), TrainingError> {
        self.network.check()?;
        let bad = |message: String| Err(TrainingError::Data(message));
        if self.network.masked_torsions != MaskedTorsions::Clean
            || self.network.padded_residues != 0
        {
            return bad(
                "network.masked_torsions and network.padded_residues are habits of checkpoints \
                 trained elsewhere; leave them out for training"
                    .into(),
            );
        }
        self.check_temperatures()?;
        let p = &self.pairs;
        let windows = p.level == PairLevel::Window;
        if (self.network.layout == Layout::MdGen) != windows {
            return bad(
                "network.layout = \"mdgen\" and pairs.level = \"window\" need each other".into()
            );
        }
        let lags = [
            ("tica_lag_ps", p.tica_lag_ps),
            ("msm_lag_ps", p.msm_lag_ps),
            ("pair_lag_ps", p.pair_lag_ps),
        ];
        for (key, lag) in &lags[if windows { 2 } else { 0 }..] {
            if !(lag.is_finite() && *lag > 0.0) {
                return bad(format!("pairs.{key} = {lag} is no lag; give it in ps"));
            }
        }
        let r = &self.run;
        for (key, value) in [
            ("hide_residue_types", r.hide_residue_types),
            ("mosaics", r.mosaics),
            ("mosaic_cut", r.mosaic_cut),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return bad(format!("run.{key} = {value} is no probability"));
            }
        }
        if windows && r.mosaics > 0.0 {
            return bad("run.mosaics: a window of frames cannot be a mosaic".into());
        }
        if r.batch == 0 || r.crop == 0 || r.validate_every == 0 {
            return bad("run.batch, run.crop and run.validate_every are at least 1".into());
        }
        if r.accumulate == 0 || !r.batch.is_multiple_of(r.accumulate) {
            return bad(format!(
                "run.accumulate = {} does not divide run.batch = {}",
                r.accumulate, r.batch
            ));
        }
        Ok(())
    }

    fn check_temperatures(&self) -> Result<(), TrainingError> {
        let bad = |message: String| Err(TrainingError::Data(message));
        let (d, takes) = (&self.data, self.network.temperature);
        let several = !d.temperatures_kelvin.is_empty() || !d.temperature_of.is_empty();
        if several && !takes {
            return bad(
                "data.temperatures_kelvin and data.temperature_of need network.temperature = true"
                    .into(),
            );
        }
        let all = d.temperatures_kelvin.iter().chain(d.temperature_of.values());
        let own = takes.then_some(&self.domain.temperature_kelvin);
        if let Some(k) = all.chain(own).find(|k| !(k.is_finite() && **k > 0.0)) {
            return bad(format!("a temperature of {k} K; give them in kelvin"));
        }
        if takes && self.run.mosaics > 0.0 {
            return bad("run.mosaics: pieces of MD at several temperatures make no system".into());
        }
        Ok(())
    }
}

/// Physical description of the simulations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainRecipe {
    /// Temperature, K. Where the network takes one: that of draws which ask for none.
    pub temperature_kelvin: f64,
    /// Force field name.
    pub force_field: String,
    /// Solvent model name.
    pub solvent: String,
    /// `charged`, `capped` or `mixed`.
    pub termini: String,
}

/// How training pairs are drawn (METHOD 7.1, 7.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairRecipe {
    /// Lag of TICA, ps (not used at level `window`).
    #[serde(default)]
    pub tica_lag_ps: f64,
    /// Lag of the microstate model, ps (not used at level `window`).
    #[serde(default)]
    pub msm_lag_ps: f64,
    /// Lag of one jump, ps: the paper's τ. At level `window`: time between frames of a window.
    pub pair_lag_ps: f64,
    /// k-means microstates.
    #[serde(default = "hundred")]
    pub microstates: usize,
    /// PCCA+ macrostates.
    #[serde(default = "ten")]
    pub macrostates: usize,
    /// Which frames make a pair.
    #[serde(default)]
    pub level: PairLevel,
    /// Features of the Markov model, by the names of `marsfm msm build --features`: `torsions`, or
    /// `rg-ss`, the paper's for proteins.
    #[serde(default = "torsions", skip_serializing_if = "is_torsions")]
    pub features: String,
}

fn torsions() -> String {
    "torsions".into()
}

// Left out where it says nothing, so that states of recipes without it are still theirs.
fn is_torsions(features: &String) -> bool {
    *features == torsions()
}

/// Which frames make a training pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PairLevel {
    /// State uniform over macrostates, frame uniform in it, next state by T, target uniform in it:
    /// the paper's rule.
    #[default]
    Macro,
    /// The same with transitions counted in both directions of time and start states by their
    /// share: chains of jumps keep the populations of the frames.
    Symmetric,
    /// As `macro` over microstates of the reversible model: finer than the paper's rule.
    Micro,
    /// For MD that was started here and there on purpose (a loop's): microstates drawn by the
    /// stationary weights of the reversible model, targets by its T, so that the pairs are those of
    /// equilibrium wherever runs were started.
    Reweighted,
    /// Frames a lag apart in one trajectory, starts uniform over macrostates: no Markov assumption.
    Lagged,
    /// MDGen: the network's K consecutive frames of one trajectory, `pair_lag_ps` apart, beginning
    /// anywhere; frame 0 is the condition. Needs no Markov model.
    Window,
}

fn hundred() -> usize {
    100
}

fn ten() -> usize {
    10
}

/// Where the simulations are: `root/NAME/NAME.pdb` and `root/NAME/*.xtc`, or the replicas at
/// `domain.temperature_kelvin` of `root/mdcath_dataset_NAME.h5` (at several temperatures, where the
/// network takes one).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// Folder with one folder per system, relative to the recipe; `--data` overrides it.
    pub root: PathBuf,
    /// Folder, relative to the recipe, where each system is kept once it is prepared: frames encoded,
    /// Markov model. Then batches are read from there, memory holds pair indices alone, and a run
    /// that goes on need not read the trajectories again. Without it all frames are in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<PathBuf>,
    /// Temperatures, K, that files of mdCATH are read at, each a system of its own, instead of
    /// `domain.temperature_kelvin` alone. For networks that take a temperature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temperatures_kelvin: Vec<f64>,
    /// Temperature, K, of systems of the other layout by name, where it is not
    /// `domain.temperature_kelvin`. For networks that take a temperature.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub temperature_of: BTreeMap<String, f64>,
    /// Systems to learn from.
    #[serde(default)]
    pub train: Vec<String>,
    /// More of them: a file of names, one a line, or the FASTA that `marsfm split` writes; relative to
    /// the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_file: Option<PathBuf>,
    /// More systems for the validation loss, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_file: Option<PathBuf>,
    /// Systems that are never learned from: validation loss only.
    #[serde(default)]
    pub validation: Vec<String>,
}

/// Length of the run and how it is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecipe {
    /// Optimiser steps.
    pub steps: u64,
    /// Samples per step.
    pub batch: usize,
    /// Parts that a step's batch is computed in, one after the other, to save memory: it must
    /// divide the batch. The step is the same step up to rounding: the same samples, in the same
    /// order, their gradients averaged over the parts in order.
    #[serde(default = "single", skip_serializing_if = "is_single")]
    pub accumulate: usize,
    /// Seed of weights, pairs, times and noise.
    pub rng_seed: u64,
    /// Steps between validations.
    #[serde(default = "default_validate_every")]
    pub validate_every: u64,
    /// Validation samples, the same every time.
    #[serde(default = "default_validation_samples")]
    pub validation_samples: usize,
    /// Seconds between saved states; a killed run loses at most this.
    #[serde(default = "default_save_seconds")]
    pub save_every_seconds: u64,
    /// Probability that a residue's type is hidden from the network in a training sample (index
    /// 20): few sequences are learned by heart, hidden neighbours make it learn what residues
    /// have in common. Never at validation or sampling.
    #[serde(default)]
    pub hide_residue_types: f64,
    /// Share of training samples that are mosaics: random sequences whose residues borrow jumps of
    /// their own kind from the MD. The fall-back for sequences unlike any seen. Never at
    /// validation.
    #[serde(default)]
    pub mosaics: f64,
    /// Probability that a mosaic's stretch of neighbours from one MD pair ends after a residue: 1
    /// makes its residues independent, less keeps what neighbours do to each other.
    #[serde(default = "one")]
    pub mosaic_cut: f64,
    /// Longest stretch of residues in a batch; longer chains are cropped at random.
    #[serde(default = "default_crop")]
    pub crop: usize,
    /// A checkpoint of the same network to start from instead of fresh weights (fine-tuning),
    /// relative to the recipe. MDGen's windows may have another number of frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from: Option<PathBuf>,
}

fn single() -> usize {
    1
}

fn is_single(n: &usize) -> bool {
    *n == 1
}

fn one() -> f64 {
    1.0
}

fn default_validate_every() -> u64 {
    500
}

fn default_validation_samples() -> usize {
    512
}

fn default_save_seconds() -> u64 {
    60
}

fn default_crop() -> usize {
    256
}
