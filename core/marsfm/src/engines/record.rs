//! What became of seeds, as files: `seeds.json` for all, `verdict.json` and `run.json` in the
//! folder of each.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use marsfm_preparation::{Gate, Verdict, VerdictKind};
use serde::{Deserialize, Serialize};

/// Counts of displacements by width.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower edges, degrees; the last bin is open.
    pub from_degrees: Vec<f64>,
    /// Counts.
    pub counts: Vec<usize>,
}

impl Histogram {
    /// In bins of 5 degrees up to 30, then one for all beyond.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let from_degrees: Vec<f64> = (0..7).map(|k| 5.0 * f64::from(k)).collect();
        let mut counts = vec![0; from_degrees.len()];
        for value in values {
            counts[((value / 5.0) as usize).min(6)] += 1;
        }
        Self { from_degrees, counts }
    }
}

/// One seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedRecord {
    /// Its number among the seeds given.
    pub seed: usize,
    /// Name of its folder.
    pub folder: String,
    /// Velocities and thermostat come from it.
    pub rng_seed: u64,
    /// `valid`, `repaired` or `rejected`.
    pub verdict: String,
    /// Codes of the reasons.
    pub reasons: Vec<String>,
    /// Root-mean-square move of the heavy atoms, nm.
    pub rms_nm: Option<f64>,
    /// Largest backbone torsion displacement, degrees.
    pub max_torsion_degrees: Option<f64>,
    /// Displacement of every backbone torsion, degrees.
    pub torsions_degrees: Vec<f64>,
    /// Minimised energy, kJ/mol.
    pub minimised_kj_mol: Option<f64>,
    /// MD spent on the start, ps.
    pub start_md_ps: f64,
    /// Wall time of the preparation, s.
    pub seconds: f64,
}

impl SeedRecord {
    /// True if it may run.
    pub fn runs(&self) -> bool {
        self.verdict != VerdictKind::Rejected.word()
    }

    pub(super) fn new(
        seed: usize,
        folder: String,
        rng_seed: u64,
        verdict: &Verdict,
        start_md_ps: f64,
        seconds: f64,
    ) -> Self {
        let change = verdict.change.as_ref();
        Self {
            seed,
            folder,
            rng_seed,
            verdict: verdict.kind.word().into(),
            reasons: verdict.reasons.iter().map(|(r, _)| r.code().into()).collect(),
            rms_nm: change.map(|c| c.rms_nm),
            max_torsion_degrees: change.map(|c| c.max_torsion_degrees),
            torsions_degrees: change.map_or(Vec::new(), |c| c.torsions_degrees.clone()),
            minimised_kj_mol: verdict.after.map(|e| e.potential_kj_mol),
            start_md_ps,
            seconds,
        }
    }
}

/// All seeds of one preparation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the engine.
    pub engine: String,
    /// What the engine says about itself and its system.
    pub notes: Vec<String>,
    /// Number of each verdict.
    pub verdicts: BTreeMap<String, usize>,
    /// Number of each reason.
    pub reasons: BTreeMap<String, usize>,
    /// Median root-mean-square move of the heavy atoms, nm.
    pub median_rms_nm: Option<f64>,
    /// Displacements of all backbone torsions.
    pub torsions: Histogram,
    /// Largest displacement of each seed.
    pub largest_torsions: Histogram,
    /// Structures that the energy gate is made of; 0 without one.
    pub gate_structures: usize,
    /// The seeds.
    pub seeds: Vec<SeedRecord>,
}

impl Summary {
    pub(super) fn new(
        engine: &str,
        notes: &[String],
        gate: Option<&Gate>,
        seeds: Vec<SeedRecord>,
    ) -> Self {
        let (mut verdicts, mut reasons) = (BTreeMap::new(), BTreeMap::new());
        for kind in [VerdictKind::Valid, VerdictKind::Repaired, VerdictKind::Rejected] {
            verdicts.insert(kind.word().to_owned(), 0);
        }
        for seed in &seeds {
            *verdicts.entry(seed.verdict.clone()).or_default() += 1;
            for reason in &seed.reasons {
                *reasons.entry(reason.clone()).or_default() += 1;
            }
        }
        let mut moves: Vec<f64> = seeds.iter().filter_map(|s| s.rms_nm).collect();
        moves.sort_by(f64::total_cmp);
        Self {
            engine: engine.into(),
            notes: notes.to_vec(),
            verdicts,
            reasons,
            median_rms_nm: moves.get(moves.len() / 2).copied(),
            torsions: Histogram::of(seeds.iter().flat_map(|s| s.torsions_degrees.iter().copied())),
            largest_torsions: Histogram::of(seeds.iter().filter_map(|s| s.max_torsion_degrees)),
            gate_structures: gate.map_or(0, |g| g.n),
            seeds,
        }
    }
}

/// Reads `seeds.json` of a folder that [`super::Runner::prepare`] wrote.
pub fn read_summary(folder: &Path) -> Result<Summary> {
    let path = folder.join("seeds.json");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!("{}: cannot be read; prepare seeds into this folder first", path.display())
    })?;
    serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
}

/// Writes a value as JSON.
pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    marsfm_trajectory::write_atomically(path, &text)
        .with_context(|| format!("{}: cannot write", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displacements_are_counted_in_their_bins() {
        let h = Histogram::of([0.0, 4.9, 5.0, 29.9, 30.0, 179.0].into_iter());
        assert_eq!(h.counts, [2, 1, 0, 0, 0, 1, 2]);
        assert_eq!(h.from_degrees[6], 30.0);
    }
}
