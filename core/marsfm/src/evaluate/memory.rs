//! How long torsions and the slowest TICA coordinate remember (METHOD 8.1): decorrelation curves of
//! both sides, for samples that are time series.

use std::ops::Range;

use anyhow::Result;
use marsfm_metrics::bootstrap::Bootstrap;
use marsfm_metrics::decorrelation::{TorsionSums, autocovariance, decorrelation_lag};
use marsfm_metrics::kinetics::time_agreement;
use marsfm_metrics::marginals::Noise;
use marsfm_metrics::{Ensemble, MetricError};
use rayon::prelude::*;
use serde::Serialize;

use super::{Better, Score};

/// Longest lag looked at, frames (the reference script's for samples).
const MOST_LAGS: usize = 1000;
/// Values of a curve that are kept.
const KEPT: usize = 200;

/// One coordinate's memory on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// `phi ALA2`, `TICA-0`.
    pub name: String,
    /// Time until the curve first falls below 1/e, ps; `None` if it does not within the lags.
    pub reference_ps: Option<f64>,
    /// The same of the sample.
    pub sample_ps: Option<f64>,
    /// (lag in ps, MD), thinned.
    pub reference_curve: Vec<(f64, f64)>,
    /// (lag in ps, sample), thinned.
    pub sample_curve: Vec<(f64, f64)>,
}

/// A time series side: numbers, its runs without a gap grouped by replica, time between frames.
pub struct Series<'a> {
    /// Torsions and TICA.
    pub numbers: &'a Ensemble,
    /// Segments of each replica.
    pub replicas: &'a [Vec<Range<usize>>],
    /// Time between frames, ps.
    pub frame_ps: f64,
}

impl Series<'_> {
    /// Per torsion, per replica.
    fn sums(&self) -> Result<Vec<Vec<TorsionSums>>, MetricError> {
        let one = |angles: &Vec<f64>| -> Result<Vec<TorsionSums>, MetricError> {
            let replica = |segments: &Vec<Range<usize>>| {
                let cut: Vec<&[f64]> = segments.iter().map(|s| &angles[s.clone()]).collect();
                TorsionSums::of(&cut, MOST_LAGS)
            };
            self.replicas.iter().map(replica).collect()
        };
        self.numbers.torsions.par_iter().map(one).collect()
    }

    fn slowest(&self) -> Result<Option<Vec<f64>>, MetricError> {
        let Some(x) = self.numbers.tica.first() else { return Ok(None) };
        let cut: Vec<&[f64]> = self.replicas.iter().flatten().map(|s| &x[s.clone()]).collect();
        // TICA coordinates have mean 0 over the MD; scaled so that curves share an axis.
        let c = autocovariance(&cut, MOST_LAGS)?;
        Ok((c[0] > 0.0).then(|| c.iter().map(|v| v / c[0]).collect()))
    }

    fn curve(&self, values: &[f64]) -> Vec<(f64, f64)> {
        let step = values.len().div_ceil(KEPT).max(1);
        let at = |(k, v): (usize, &f64)| (k as f64 * self.frame_ps, *v);
        values.iter().enumerate().step_by(step).map(at).collect()
    }
}

fn lag_ps(sums: &[TorsionSums], which: &[usize], frame_ps: f64) -> Option<f64> {
    let some: Vec<&TorsionSums> = which.iter().map(|w| &sums[*w]).collect();
    Some(decorrelation_lag(&TorsionSums::curve(&some)?)? * frame_ps)
}

/// Memories of all torsions and of TICA-0, with the score of the torsions' agreement.
pub fn compare(
    names: &[String],
    md: &Series,
    sample: &Series,
    bootstrap: &Bootstrap,
) -> Result<(Vec<Memory>, Option<Score>)> {
    let (a, b) = (md.sums()?, sample.sums()?);
    let times = |sums: &[Vec<TorsionSums>], which: &[usize], ps: f64| -> Vec<f64> {
        sums.iter().map(|s| lag_ps(s, which, ps).unwrap_or(f64::NAN)).collect()
    };
    let agreement = |x: Vec<f64>, y: Vec<f64>| -> Result<Vec<f64>, MetricError> {
        Ok(vec![time_agreement(&x, &y)?.map_or(f64::NAN, |t| t.mean_abs_log10)])
    };
    let (n, m) = (md.replicas.len(), sample.replicas.len());
    let interval = bootstrap
        .many(n, m, |i, j| agreement(times(&a, i, md.frame_ps), times(&b, j, sample.frame_ps)))?;
    let mut noise = Vec::new();
    for held_out in (0..n).filter(|_| n > 1) {
        let others: Vec<usize> = (0..n).filter(|r| *r != held_out).collect();
        let (x, y) = (times(&a, &others, md.frame_ps), times(&a, &[held_out], md.frame_ps));
        noise.extend(agreement(x, y)?);
    }
    let frames = |segments: &Vec<Range<usize>>| segments.iter().map(Range::len).sum::<usize>();
    let shortest = md.replicas.iter().map(frames).min().unwrap_or(0);
    let score = interval.first().filter(|i| i.value.is_finite()).map(|i| Score {
        name: "decorrelation times (|log10|)".into(),
        definition: "mean |log10(sample/MD)| over torsions of the time at which the decorrelation \
                     curve first falls below 1/e"
            .into(),
        better: Better::Lower,
        interval: i.within(0.0, f64::INFINITY),
        floor: None,
        md_noise: Noise::of(&noise, shortest),
    });
    let all = |n: usize| (0..n).collect::<Vec<_>>();
    let (i, j) = (all(n), all(m));
    let mut out = Vec::new();
    for ((name, x), y) in names.iter().zip(&a).zip(&b) {
        let whole = |s: &[TorsionSums]| TorsionSums::curve(&s.iter().collect::<Vec<_>>());
        out.push(Memory {
            name: name.clone(),
            reference_ps: lag_ps(x, &i, md.frame_ps),
            sample_ps: lag_ps(y, &j, sample.frame_ps),
            reference_curve: whole(x).map_or(vec![], |c| md.curve(&c)),
            sample_curve: whole(y).map_or(vec![], |c| sample.curve(&c)),
        });
    }
    if let (Some(x), Some(y)) = (md.slowest()?, sample.slowest()?) {
        out.push(Memory {
            name: "TICA-0".into(),
            reference_ps: decorrelation_lag(&x).map(|k| k * md.frame_ps),
            sample_ps: decorrelation_lag(&y).map(|k| k * sample.frame_ps),
            reference_curve: md.curve(&x),
            sample_curve: sample.curve(&y),
        });
    }
    Ok((out, score))
}
