//! The model card: everything a user must know to trust, or not to trust, a surrogate. It travels
//! inside the checkpoint, so a model cannot be separated from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::NetworkConfig;

/// Version of the checkpoint layout this build writes.
pub const FORMAT: u32 = 1;

/// Residue table the latents refer to: AlphaFold's literature positions and MDGen's torsion order.
pub const RESIDUE_TABLE: &str = "alphafold-mdgen/1";

/// What the surrogate is, what it learned from, and how well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// Checkpoint layout version.
    pub format: u32,
    /// Residue table name.
    pub residue_table: String,
    /// Sizes and layout.
    pub network: NetworkConfig,
    /// What it was trained to reproduce.
    pub domain: Domain,
    /// How it was trained; `None` for imported weights.
    #[serde(default)]
    pub training: Option<TrainingRecord>,
    /// Free text: origin of imported weights, limits.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The simulations whose jumps the surrogate reproduces. A request outside is answered, with a
/// verdict that says how far outside it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Lag of one jump, ps.
    pub lag_ps: f64,
    /// Temperature, K; of a surrogate that takes one, that of draws which ask for none.
    pub temperature_kelvin: f64,
    /// Temperatures learned from, K, ascending, of a surrogate that takes one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temperatures_kelvin: Vec<f64>,
    /// Force field name.
    pub force_field: String,
    /// Solvent model name.
    pub solvent: String,
    /// `charged` (NH3+ … COO−), `capped` (ACE … NME) or `mixed`.
    pub termini: String,
    /// Shortest and longest chain, residues.
    pub residues: (usize, usize),
    /// How often each residue type (one letter) occurs in the training chains.
    pub residue_counts: BTreeMap<char, usize>,
}

impl TrainingRecord {
    /// True if the system was learned from, at whatever temperature: `NAME@320K` is of `NAME`.
    pub fn saw(&self, system: &str) -> bool {
        self.systems.keys().any(|s| chain(s) == chain(system))
    }
}

/// The name of a system without its temperature.
fn chain(name: &str) -> &str {
    match name.rsplit_once('@') {
        Some((chain, at)) if at.ends_with('K') => chain,
        _ => name,
    }
}

/// How a surrogate was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// Systems trained on, with ns of MD each; `NAME@320K` where one was at several temperatures.
    pub systems: BTreeMap<String, f64>,
    /// Sequences used for validation only.
    pub validation: Vec<String>,
    /// Optimiser steps done, those of the run it went on from included.
    pub steps: u64,
    /// Samples per step.
    pub batch: usize,
    /// Seed of initial weights, pairs, times and noise.
    pub rng_seed: u64,
    /// (step, training loss averaged since the last entry, validation loss of the EMA weights).
    pub losses: Vec<(u64, f64, Option<f64>)>,
    /// SHA-256 over the training data as read (types and frames).
    pub data_sha256: String,
    /// SHA-256 of the checkpoint whose weights the run started from; what that one had seen is
    /// listed among `systems`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_from: Option<String>,
}
