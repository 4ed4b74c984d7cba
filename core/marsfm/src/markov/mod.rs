//! From a system to its Markov model: torsion features, lags in ps, the paper's fixed set.

use anyhow::{Context, Result};
use marsfm_features::{FeatureChoice, FeatureMatrix, Featurizer, TorsionFeatures};
use marsfm_msm::{Msm, MsmBuilder, Rows};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::systems::System;

pub mod auto;
pub mod files;
pub mod passes;
pub mod report;
pub mod serve;
pub mod validation;

/// Lags in ps and sizes; the three lags have three names because they answer three questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MsmSettings {
    /// Lag of TICA, ps.
    pub tica_lag_ps: f64,
    /// Lag of the microstate model behind PCCA+, ps.
    pub msm_lag_ps: f64,
    /// Lag of the macrostate matrix that makes training pairs, ps.
    pub pair_lag_ps: f64,
    /// k-means microstates.
    pub microstates: usize,
    /// PCCA+ macrostates.
    pub macrostates: usize,
    /// Seed of k-means.
    pub rng_seed: u64,
}

impl Default for MsmSettings {
    /// 100 microstates and 10 macrostates (the paper's), lags of 10 ps.
    fn default() -> Self {
        Self {
            tica_lag_ps: 10.0,
            msm_lag_ps: 10.0,
            pair_lag_ps: 10.0,
            microstates: 100,
            macrostates: 10,
            rng_seed: 137,
        }
    }
}

/// A model with the features it is made of.
pub struct SystemMsm {
    /// Turns frames into rows.
    pub features: TorsionFeatures,
    /// Rows of every trajectory.
    pub rows: Vec<FeatureMatrix>,
    /// The model.
    pub msm: Msm,
}

/// Builds the model of a system from its torsions.
pub fn build(system: &System, settings: &MsmSettings) -> Result<SystemMsm> {
    let features = TorsionFeatures::new(&system.topology, Some(&system.reference))?;
    let rows = feature_rows(system, &features)?;
    let msm = of_rows(system, &rows, settings)?;
    Ok(SystemMsm { features, rows, msm })
}

/// Builds the model of a system from features of one's choice.
pub fn build_from(system: &System, choice: &FeatureChoice, settings: &MsmSettings) -> Result<Msm> {
    let features = choice.featurizer(&system.topology, &system.reference)?;
    of_rows(system, &feature_rows(system, features.as_ref())?, settings)
}

fn of_rows(system: &System, rows: &[FeatureMatrix], settings: &MsmSettings) -> Result<Msm> {
    let frames = |lag_ps: f64| -> Result<usize> {
        system.data.lag_frames(lag_ps).with_context(|| format!("system {}", system.name))
    };
    let builder = MsmBuilder {
        tica_lag: frames(settings.tica_lag_ps)?,
        msm_lag: frames(settings.msm_lag_ps)?,
        pair_lag: frames(settings.pair_lag_ps)?,
        n_microstates: settings.microstates,
        n_macrostates: settings.macrostates,
        rng_seed: settings.rng_seed,
        ..MsmBuilder::new(1)
    };
    let views: Vec<Rows> =
        rows.iter().map(|m| Rows::new(m.as_slice(), m.n_features())).collect::<Result<_, _>>()?;
    builder.build(&views).with_context(|| format!("system {}", system.name))
}

/// Feature rows of every trajectory of a system.
pub fn feature_rows(system: &System, features: &dyn Featurizer) -> Result<Vec<FeatureMatrix>> {
    let n = features.n_features();
    let matrix = |t: &marsfm_trajectory::Trajectory| -> Result<FeatureMatrix> {
        let mut data = vec![0.0; t.n_frames() * n];
        data.par_chunks_mut(n).enumerate().try_for_each(|(f, row)| {
            let cell = t.cell_nm(f);
            features
                .compute(t.positions_nm(f), cell.as_ref(), row)
                .with_context(|| format!("{}, frame {f}", t.name))
        })?;
        FeatureMatrix::from_rows(n, data).context("rows of unequal length")
    };
    system.data.trajectories().iter().map(matrix).collect()
}
