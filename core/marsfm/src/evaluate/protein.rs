//! Protein numbers of two ensembles (METHOD section 8.2): fluctuations, spread, folding. Per target
//! here; correlations over many targets are the benchmark's.
//!
//! Cα, superposed frame by frame on one structure (the topology file's own unless another is named),
//! which is also where native contacts come from. Å in the paper, nm here.

use std::ops::Range;

use anyhow::Result;
use marsfm_metrics::MetricError;
use marsfm_metrics::bootstrap::{Bootstrap, Interval};
use marsfm_metrics::fluctuations::Fluctuations;
use marsfm_metrics::folding::{
    FoldingFreeEnergy, FoldingOptions, NativeContacts, folding_free_energy,
};
use marsfm_metrics::marginals::Noise;
use marsfm_metrics::protein::{pearson, rmsf_nm, superposed};
use rayon::prelude::*;
use serde::Serialize;

use super::{Better, EvaluateSettings, Score};

/// Shorter chains have no fluctuation profile worth a correlation.
pub const FEWEST_RESIDUES: usize = 8;
/// Frames per side among which pairwise RMSDs are averaged.
const MOST_PAIR_FRAMES: usize = 1000;

/// One side's numbers.
#[derive(Clone, Debug, Serialize)]
pub struct SideNumbers {
    /// RMSF of each Cα about the ensemble's mean, nm.
    pub rmsf_nm: Vec<f64>,
    /// Mean Cα RMSD over all pairs of (at most 1,000, evenly taken) frames, nm.
    pub pairwise_rmsd_nm: Interval,
    /// Of folding, by BioEmu's definition; `None` where the structure has no native contacts.
    pub folding: Option<FoldingFreeEnergy>,
}

/// Both sides.
#[derive(Clone, Debug, Serialize)]
pub struct ProteinNumbers {
    /// Names of the residues.
    pub residues: Vec<String>,
    /// Native contacts of the structure.
    pub native_contacts: usize,
    /// The MD.
    pub reference: SideNumbers,
    /// The sample.
    pub sample: SideNumbers,
}

/// One ensemble, superposed once.
pub struct Spread {
    frames: Vec<Vec<[f64; 3]>>,
    foldedness: Vec<f64>,
    sums: Fluctuations,
}

impl Spread {
    /// Superposes frames on a structure; `blocks` are what is resampled.
    pub fn new(
        ca_nm: &[Vec<[f32; 3]>],
        structure: &[[f32; 3]],
        native: Option<&NativeContacts>,
        blocks: &[Range<usize>],
    ) -> Result<Self> {
        let frames = ca_nm
            .par_chunks(64)
            .map(|some| superposed(some, structure))
            .collect::<Result<Vec<_>, MetricError>>()?
            .concat();
        let folded = |native: &NativeContacts| {
            ca_nm.par_iter().map(|f| Ok(native.foldedness(native.q(f)?))).collect()
        };
        let foldedness: Vec<f64> =
            native.map(folded).transpose().map_err(|e: MetricError| e)?.unwrap_or_default();
        let sums = Fluctuations::new(&frames, structure, &foldedness, blocks, MOST_PAIR_FRAMES)?;
        Ok(Self { frames, foldedness, sums })
    }

    fn all(&self) -> Vec<usize> {
        (0..self.sums.n_blocks()).collect()
    }

    fn side(&self, settings: &EvaluateSettings, bootstrap: &Bootstrap) -> Result<SideNumbers> {
        let pairwise = |which: &[usize]| Ok(self.sums.mean_pairwise_rmsd_nm(which));
        let folding = (!self.foldedness.is_empty())
            .then(|| folding_free_energy(&self.foldedness, settings.kelvin));
        Ok(SideNumbers {
            rmsf_nm: rmsf_nm(&self.frames)?,
            pairwise_rmsd_nm: bootstrap
                .blocks(self.sums.n_blocks(), pairwise)?
                .within(0.0, f64::INFINITY),
            folding: folding.transpose()?,
        })
    }
}

/// The scores of one target, with both sides' numbers. `replicas`: the MD cut to the sample's
/// number of frames, for its noise.
pub fn scores(
    residues: Vec<String>,
    native_contacts: usize,
    md: &Spread,
    replicas: &[Spread],
    sample: &Spread,
    settings: &EvaluateSettings,
    bootstrap: &Bootstrap,
) -> Result<(ProteinNumbers, Vec<Score>)> {
    let (a, b) = (md.side(settings, bootstrap)?, sample.side(settings, bootstrap)?);
    let has_folding = a.folding.is_some();
    let kelvin = settings.kelvin;
    let of = |r: &Spread, i: &[usize], s: &Spread, j: &[usize]| {
        statistics(&r.sums, i, &s.sums, j, has_folding, kelvin)
    };
    let mut intervals =
        bootstrap.many(md.sums.n_blocks(), sample.sums.n_blocks(), |i, j| of(md, i, sample, j))?;
    // The frames' own sums in the frames' own order: equal ensembles are equal to the last bit.
    let exact = exact(&a, &b)?;
    for (interval, value) in intervals.iter_mut().zip(&exact) {
        let shift = value - interval.value;
        if shift.is_finite() {
            *interval = Interval {
                value: *value,
                low: interval.low + shift,
                high: interval.high + shift,
                ..*interval
            };
        }
    }
    // The same for MD against MD: each replica's first frames against all the other replicas.
    let whole = md.all();
    let mut noise: Vec<Vec<f64>> = vec![Vec::new(); intervals.len()];
    let mut frames = usize::MAX;
    for (held_out, replica) in replicas.iter().enumerate() {
        let others: Vec<usize> = whole.iter().copied().filter(|r| *r != held_out).collect();
        frames = frames.min(replica.frames.len());
        let values = of(md, &others, replica, &replica.all())?;
        noise.iter_mut().zip(values).for_each(|(n, v)| n.push(v));
    }
    let scores = intervals
        .into_iter()
        .zip(noise)
        .zip(definitions(settings))
        .filter(|((interval, _), _)| interval.value.is_finite())
        .map(|((interval, noise), (name, definition, better, range))| Score {
            name: name.into(),
            definition,
            better,
            interval: interval.within(range.0, range.1),
            floor: None,
            md_noise: Noise::of(&noise, frames),
        });
    let scores = scores.collect();
    Ok((ProteinNumbers { residues, native_contacts, reference: a, sample: b }, scores))
}

/// r of RMSF profiles, difference of pairwise RMSD, ΔG errors with both clips; NaN where there is
/// no such thing.
fn statistics(
    r: &Fluctuations,
    i: &[usize],
    s: &Fluctuations,
    j: &[usize],
    has_folding: bool,
    kelvin: f64,
) -> Result<Vec<f64>, MetricError> {
    let mut out = vec![
        pearson(&r.rmsf_nm(i), &s.rmsf_nm(j))?.unwrap_or(f64::NAN),
        (s.mean_pairwise_rmsd_nm(j) - r.mean_pairwise_rmsd_nm(i)).abs(),
    ];
    let delta_g = |f: &Fluctuations, which: &[usize]| {
        let (p, n) = f.foldedness(which);
        FoldingFreeEnergy::of(p, n, kelvin)
    };
    if has_folding {
        out.extend(errors(&delta_g(r, i), &delta_g(s, j)));
    } else {
        out.extend([f64::NAN; 2]);
    }
    Ok(out)
}

fn exact(a: &SideNumbers, b: &SideNumbers) -> Result<Vec<f64>> {
    let mut out = vec![
        pearson(&a.rmsf_nm, &b.rmsf_nm)?.unwrap_or(f64::NAN),
        (b.pairwise_rmsd_nm.value - a.pairwise_rmsd_nm.value).abs(),
    ];
    match (&a.folding, &b.folding) {
        (Some(x), Some(y)) => out.extend(errors(x, y)),
        _ => out.extend([f64::NAN; 2]),
    }
    Ok(out)
}

fn errors(a: &FoldingFreeEnergy, b: &FoldingFreeEnergy) -> [f64; 2] {
    [
        (b.delta_g_kcal_mol - a.delta_g_kcal_mol).abs(),
        (b.delta_g_jeffreys_kcal_mol - a.delta_g_jeffreys_kcal_mol).abs(),
    ]
}

type Definition = (&'static str, String, Better, (f64, f64));

fn definitions(settings: &EvaluateSettings) -> [Definition; 4] {
    let options = FoldingOptions::default();
    let folding = |clip: &str| {
        format!(
            "|ΔG(sample) - ΔG(MD)|, ΔG = -kT ln(p/(1-p)) at {} K, p = mean foldedness by BioEmu's \
             definition (Cα contacts within {} Å in the native structure), p clipped to \
             {clip}; whether the paper uses these constants is not published",
            settings.kelvin, options.cutoff_angstrom
        )
    };
    let up = f64::INFINITY;
    [
        (
            "RMSF r (Cα)",
            "Pearson's r over residues between the RMSF profiles, each about its ensemble's mean \
             after superposition on the native structure"
                .into(),
            Better::Higher,
            (-1.0, 1.0),
        ),
        (
            "pairwise RMSD difference (nm)",
            format!(
                "|mean Cα RMSD over all pairs of frames, diagonal included, sample less MD|, after \
                 superposition on the native structure; at most {MOST_PAIR_FRAMES} frames \
                 per side"
            ),
            Better::Lower,
            (0.0, up),
        ),
        ("ΔG_fold error (kcal/mol)", folding("[1e-10, 1 - 1e-10]"), Better::Lower, (0.0, up)),
        (
            "ΔG_fold error, p clipped at 0.5/n (kcal/mol)",
            folding("[0.5/n, 1 - 0.5/n]: what n frames can tell"),
            Better::Lower,
            (0.0, up),
        ),
    ]
}
