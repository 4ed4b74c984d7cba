//! An ensemble of conformations in the numbers of a reference Markov model: torsions, TICA
//! projection, macrostates. Every comparison with MD goes through here, so that all rows of a table
//! are treated alike.

use anyhow::{Context, Result};
use marsfm_features::Featurizer;
use marsfm_geometry::Conformation;
use marsfm_metrics::Ensemble;
use marsfm_metrics::peptide::{PeptideOptions, PeptideScores};
use marsfm_metrics::states::Offset;
use marsfm_msm::Rows;
use rayon::prelude::*;

use crate::markov::SystemMsm;
use crate::systems::System;

/// A reference: a system, its Markov model, and its own frames in numbers.
pub struct Reference<'a> {
    /// The system.
    pub system: &'a System,
    /// Its model.
    pub model: &'a SystemMsm,
    /// Temperature of free energies, K.
    pub kelvin: f64,
}

impl Reference<'_> {
    /// MD frames of some trajectories, in numbers.
    pub fn md(&self, trajectories: impl IntoIterator<Item = usize>) -> Result<Ensemble> {
        let rows = trajectories.into_iter().flat_map(|t| self.model.rows[t].as_slice().to_vec());
        self.in_numbers(&rows.collect::<Vec<f64>>())
    }

    /// Conformations in numbers.
    pub fn conformations(&self, all: &[Conformation<f32>]) -> Result<Ensemble> {
        let n = self.model.features.n_features();
        let mut rows = vec![0.0; all.len() * n];
        let reference = &self.system.reference.positions_nm;
        rows.par_chunks_mut(n).zip(all).try_for_each(|(row, c)| -> Result<()> {
            let positions = self.system.peptide.place(reference, c)?;
            Ok(self.model.features.compute(&positions, None, row)?)
        })?;
        self.in_numbers(&rows)
    }

    /// Feature rows in numbers; an ensemble without frames is an error.
    pub fn in_numbers(&self, rows: &[f64]) -> Result<Ensemble> {
        self.model.in_numbers(&self.system.name, rows)
    }

    /// Scores a sample against a reference ensemble.
    pub fn score(&self, reference: &Ensemble, sample: &Ensemble) -> Result<PeptideScores> {
        let options = PeptideOptions {
            is_backbone: self.model.features.is_backbone(),
            n_macrostates: self.model.msm.n_macrostates(),
            kelvin: self.kelvin,
            offset: Offset::Mean,
        };
        PeptideScores::new(reference, sample, &options)
            .with_context(|| format!("scoring {}", self.system.name))
    }
}

impl SystemMsm {
    /// Feature rows in numbers; an ensemble without frames is an error that names `name`.
    pub fn in_numbers(&self, name: &str, rows: &[f64]) -> Result<Ensemble> {
        let (n, msm) = (self.features.n_features(), &self.msm);
        let view = Rows::new(rows, n)?;
        anyhow::ensure!(view.n_rows() > 0, "{name}: an ensemble without frames");
        let projected = msm.tica.transform(&view)?;
        let (_, macrostates) = msm.assign(&view)?;
        let kept = msm.tica.n_kept;
        let outside = msm.n_macrostates();
        let angle = |t: usize| move |row: &[f64]| row[2 * t + 1].atan2(row[2 * t]);
        Ok(Ensemble {
            torsions: (0..n / 2).map(|t| rows.chunks_exact(n).map(angle(t)).collect()).collect(),
            tica: (0..kept)
                .map(|k| projected.iter().skip(k).step_by(kept).copied().collect())
                .collect(),
            macrostates: macrostates
                .into_iter()
                .map(|s| usize::try_from(s).unwrap_or(outside))
                .collect(),
        })
    }
}
