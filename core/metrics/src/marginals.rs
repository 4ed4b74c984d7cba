//! Scores that are functions of histograms, with everything that is printed beside them: bootstrap
//! intervals, the floor of finite sampling and the noise of MD against itself.
//!
//! Each coordinate is binned once (a [`Marginal`]); a resample only adds up bin numbers. That is the
//! fast form of [`crate::peptide::PeptideScores`], and gives the same numbers to the last digit.

#![allow(clippy::single_range_in_vec_init)] // a list of one block is meant

use std::f64::consts::PI;
use std::ops::Range;

use crate::MetricError;
use crate::bootstrap::{Bootstrap, Interval};
use crate::error::check_length;
use crate::floor::floor_rounds;
use crate::histogram::Bins;
use crate::jsd::jsd;
use crate::protein::kl_of_counts;
use crate::states::{Offset, Populations, macrostate_jsd, macrostate_mae_kcal_mol};
use crate::torsion::{mean, wrapped};

/// One coordinate (or two together) of two ensembles as bin numbers.
#[derive(Clone, Debug)]
pub struct Marginal {
    n_bins: usize,
    reference: Vec<u32>,
    sample: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Marginal {
    /// Bins of a given range, one coordinate.
    pub fn on(bins: Bins, reference: &[f64], sample: &[f64]) -> Self {
        let number = |x: &f64| bins.index(*x).map_or(NOWHERE, |i| i as u32);
        Self {
            n_bins: bins.len(),
            reference: reference.iter().map(number).collect(),
            sample: sample.iter().map(number).collect(),
        }
    }

    /// Bins between the joint extremes.
    pub fn joint(reference: &[f64], sample: &[f64], n: usize) -> Result<Self, MetricError> {
        Ok(Self::on(Bins::joint(reference, sample, n)?, reference, sample))
    }

    /// An angle (radians) on (-π, π).
    pub fn angle(reference: &[f64], sample: &[f64], n: usize) -> Result<Self, MetricError> {
        Ok(Self::on(Bins::new(-PI, PI, n)?, &wrapped(reference), &wrapped(sample)))
    }

    /// Two coordinates together: x bins are rows, y bins columns.
    pub fn product(x: &Self, y: &Self) -> Result<Self, MetricError> {
        check_length("reference frames", x.reference.len(), y.reference.len())?;
        check_length("sample frames", x.sample.len(), y.sample.len())?;
        let both = |(&a, &b): (&u32, &u32)| match (a, b) {
            (NOWHERE, _) | (_, NOWHERE) => NOWHERE,
            _ => a * y.n_bins as u32 + b,
        };
        Ok(Self {
            n_bins: x.n_bins * y.n_bins,
            reference: x.reference.iter().zip(&y.reference).map(both).collect(),
            sample: x.sample.iter().zip(&y.sample).map(both).collect(),
        })
    }

    /// States; a number ≥ `n_states` is outside the reference and counts in a last class.
    pub fn states(reference: &[usize], sample: &[usize], n_states: usize) -> Self {
        let number = |s: &usize| (*s).min(n_states) as u32;
        Self {
            n_bins: n_states + 1,
            reference: reference.iter().map(number).collect(),
            sample: sample.iter().map(number).collect(),
        }
    }

    fn count(bins: &[u32], n_bins: usize, blocks: &[Range<usize>], which: &[usize]) -> Vec<f64> {
        let mut out = vec![0.0; n_bins];
        for &block in which {
            for &bin in &bins[blocks[block].clone()] {
                if bin != NOWHERE {
                    out[bin as usize] += 1.0;
                }
            }
        }
        out
    }
}

/// A score as a function of the histograms of some marginals, named by their place in the list.
#[derive(Clone, Debug, PartialEq)]
pub enum Statistic {
    /// Mean √JSD of some marginals.
    MeanJsd(Vec<usize>),
    /// √JSD of state populations without the outside class.
    StatesJsd(usize),
    /// Mean absolute error of state free energies, kcal/mol (see [`crate::states`]).
    StatesMae {
        /// The marginal.
        of: usize,
        /// Temperature, K.
        kelvin: f64,
        /// What is removed first.
        offset: Offset,
    },
    /// KL(reference ‖ sample) with so much added to every bin's probability.
    Kl {
        /// The marginal.
        of: usize,
        /// Added to every bin.
        smoothing: f64,
    },
}

impl Statistic {
    fn of(&self, reference: &[Vec<f64>], sample: &[Vec<f64>]) -> Result<f64, MetricError> {
        let populations = |counts: &[f64]| match counts.split_last() {
            Some((outside, counts)) => Populations { counts: counts.to_vec(), outside: *outside },
            None => Populations { counts: vec![], outside: 0.0 },
        };
        match self {
            Self::MeanJsd(which) => {
                let one = |&k: &usize| jsd(&reference[k], &sample[k]);
                let all = which.iter().map(one).collect::<Result<Vec<_>, _>>()?;
                if all.is_empty() {
                    Err(MetricError::Empty { what: "group" })
                } else {
                    Ok(mean(&all))
                }
            }
            Self::StatesJsd(k) => {
                let inside = |counts: &[f64]| Populations { outside: 0.0, ..populations(counts) };
                macrostate_jsd(&inside(&reference[*k]), &inside(&sample[*k]))
            }
            Self::StatesMae { of: k, kelvin, offset } => macrostate_mae_kcal_mol(
                &populations(&reference[*k]),
                &populations(&sample[*k]),
                *kelvin,
                *offset,
            ),
            Self::Kl { of: k, smoothing } => kl_of_counts(&reference[*k], &sample[*k], *smoothing),
        }
    }
}

/// Marginals and the scores made of them.
#[derive(Clone, Debug, Default)]
pub struct MarginalScores {
    marginals: Vec<Marginal>,
    statistics: Vec<Statistic>,
}

/// The scores of each replica of the reference against the other replicas.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Noise {
    /// Mean over the replicas.
    pub mean: f64,
    /// Smallest.
    pub low: f64,
    /// Largest.
    pub high: f64,
    /// Number of replicas.
    pub replicas: usize,
    /// Frames of a replica that were scored (the smallest number).
    pub frames: usize,
}

impl Noise {
    /// From one value per replica; `None` without a finite one.
    pub fn of(values: &[f64], frames: usize) -> Option<Self> {
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        (!finite.is_empty()).then(|| Self {
            mean: mean(&finite),
            low: finite.iter().copied().fold(f64::INFINITY, f64::min),
            high: finite.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            replicas: finite.len(),
            frames,
        })
    }
}

impl MarginalScores {
    /// Adds a marginal and says its place.
    pub fn marginal(&mut self, marginal: Marginal) -> usize {
        self.marginals.push(marginal);
        self.marginals.len() - 1
    }

    /// Adds a score and says its place.
    pub fn statistic(&mut self, statistic: Statistic) -> usize {
        self.statistics.push(statistic);
        self.statistics.len() - 1
    }

    fn all(&self, reference: &[Vec<f64>], sample: &[Vec<f64>]) -> Vec<f64> {
        let value = |s: &Statistic| s.of(reference, sample).unwrap_or(f64::NAN);
        self.statistics.iter().map(value).collect()
    }

    fn check(
        &self,
        reference: &[Range<usize>],
        sample: &[Range<usize>],
    ) -> Result<(), MetricError> {
        for m in &self.marginals {
            for (what, frames, blocks) in [
                ("reference blocks", m.reference.len(), reference),
                ("sample blocks", m.sample.len(), sample),
            ] {
                if let Some(beyond) = blocks.iter().find(|b| b.end > frames) {
                    return Err(MetricError::Length { what, expected: frames, found: beyond.end });
                }
            }
        }
        Ok(())
    }

    /// Every score with its interval; blocks are replicas or stretches of MD, roots or draws of a
    /// sample. A score that cannot be computed is NaN.
    pub fn intervals(
        &self,
        reference: &[Range<usize>],
        sample: &[Range<usize>],
        bootstrap: &Bootstrap,
    ) -> Result<Vec<Interval>, MetricError> {
        self.check(reference, sample)?;
        let all = bootstrap.many(reference.len(), sample.len(), |a, b| {
            let r = |m: &Marginal| Marginal::count(&m.reference, m.n_bins, reference, a);
            let s = |m: &Marginal| Marginal::count(&m.sample, m.n_bins, sample, b);
            let (r, s): (Vec<_>, Vec<_>) = self.marginals.iter().map(|m| (r(m), s(m))).unzip();
            Ok(self.all(&r, &s))
        })?;
        // Every statistic here is a distance.
        Ok(all.into_iter().map(|i| i.within(0.0, f64::INFINITY)).collect())
    }

    /// What two perfect samples of the reference's own histograms would score with so many
    /// independent frames each.
    pub fn floor(
        &self,
        n_reference: usize,
        n_sample: usize,
        repeats: usize,
        rng_seed: u64,
    ) -> Result<Vec<Interval>, MetricError> {
        let histograms: Vec<Vec<f64>> = self
            .marginals
            .iter()
            .map(|m| Marginal::count(&m.reference, m.n_bins, &[0..m.reference.len()], &[0]))
            .collect();
        floor_rounds(&histograms, n_reference, n_sample, repeats, rng_seed, |a, b| self.all(a, b))
    }

    /// Each replica (its first `frames` frames) against all the others, never against itself; per
    /// score, `None` with fewer than two replicas.
    pub fn noise(
        &self,
        replicas: &[Range<usize>],
        frames: usize,
    ) -> Result<Vec<Option<Noise>>, MetricError> {
        self.check(replicas, &[])?;
        if replicas.len() < 2 {
            return Ok(vec![None; self.statistics.len()]);
        }
        let mut values = vec![Vec::new(); self.statistics.len()];
        let mut shortest = usize::MAX;
        for (held_out, replica) in replicas.iter().enumerate() {
            let others: Vec<usize> = (0..replicas.len()).filter(|r| *r != held_out).collect();
            let one = [replica.start..replica.end.min(replica.start + frames)];
            shortest = shortest.min(one[0].len());
            let count = |m: &Marginal, blocks: &[Range<usize>], which: &[usize]| {
                Marginal::count(&m.reference, m.n_bins, blocks, which)
            };
            let r: Vec<_> = self.marginals.iter().map(|m| count(m, replicas, &others)).collect();
            let s: Vec<_> = self.marginals.iter().map(|m| count(m, &one, &[0])).collect();
            for (of_score, value) in values.iter_mut().zip(self.all(&r, &s)) {
                of_score.push(value);
            }
        }
        Ok(values.iter().map(|v| Noise::of(v, shortest)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peptide::tests::{ensemble, options};
    use crate::peptide::{Ensemble, PeptideScores};
    use crate::protein::rg_kl;

    fn scores(a: &Ensemble, b: &Ensemble) -> MarginalScores {
        let mut s = MarginalScores::default();
        let torsions: Vec<usize> = a
            .torsions
            .iter()
            .zip(&b.torsions)
            .map(|(r, q)| s.marginal(Marginal::angle(r, q, 100).unwrap()))
            .collect();
        let tica = s.marginal(Marginal::joint(&a.tica[0], &b.tica[0], 100).unwrap());
        let xy: Vec<Marginal> =
            (0..2).map(|k| Marginal::joint(&a.tica[k], &b.tica[k], 50).unwrap()).collect();
        let plane = s.marginal(Marginal::product(&xy[0], &xy[1]).unwrap());
        let states = s.marginal(Marginal::states(&a.macrostates, &b.macrostates, 12));
        s.statistic(Statistic::MeanJsd(torsions.clone()));
        s.statistic(Statistic::MeanJsd(torsions[..6].to_vec()));
        s.statistic(Statistic::MeanJsd(torsions[6..].to_vec()));
        s.statistic(Statistic::MeanJsd(vec![tica]));
        s.statistic(Statistic::MeanJsd(vec![plane]));
        s.statistic(Statistic::MeanJsd(vec![states]));
        s.statistic(Statistic::StatesMae { of: states, kelvin: 350.0, offset: Offset::Mean });
        s.statistic(Statistic::Kl { of: tica, smoothing: 1e-6 });
        s.statistic(Statistic::StatesJsd(states));
        s
    }

    #[test]
    fn binned_scores_are_the_plain_ones() {
        let (a, b) = (ensemble(3000, 0.0, 1), ensemble(700, 0.2, 2));
        let plain = PeptideScores::new(&a, &b, &options()).unwrap();
        let boot = Bootstrap { resamples: 0, ..Bootstrap::default() };
        let binned = scores(&a, &b).intervals(&[0..3000], &[0..700], &boot).unwrap();
        for (fast, slow) in binned.iter().zip(plain.headline()) {
            assert_eq!(Some(fast.value), slow);
        }
        assert_eq!(binned[7].value, rg_kl(&a.tica[0], &b.tica[0], 100, 1e-6).unwrap());
        assert_eq!(binned[8].value, binned[5].value, "no frame is outside");
    }

    #[test]
    fn the_outside_class_counts_only_where_it_is_asked_for() {
        let mut s = MarginalScores::default();
        let states = s.marginal(Marginal::states(&[0, 0, 1, 1], &[0, 0, 1, 1, 7, 7], 2));
        s.statistic(Statistic::MeanJsd(vec![states]));
        s.statistic(Statistic::StatesJsd(states));
        let boot = Bootstrap { resamples: 0, ..Bootstrap::default() };
        let all = s.intervals(&[0..4], &[0..6], &boot).unwrap();
        assert!(all[0].value > 0.1 && all[1].value == 0.0, "{all:?}");
    }

    #[test]
    fn a_resample_is_the_score_of_the_frames_it_names() {
        let (a, b) = (ensemble(900, 0.0, 1), ensemble(300, 0.2, 2));
        let (ra, rb) = (vec![0..300, 300..600, 600..900], vec![0..100, 100..200, 200..300]);
        let boot = Bootstrap { resamples: 25, ..Bootstrap::default() };
        let fast = scores(&a, &b).intervals(&ra, &rb, &boot).unwrap();
        let slow = PeptideScores::intervals((&a, &ra), (&b, &rb), &options(), &boot).unwrap();
        // Torsion bins do not move with the frames, so these intervals must agree exactly.
        for k in [0, 1, 2, 5, 6] {
            assert_eq!(Some(fast[k]), slow[k]);
        }
    }

    #[test]
    fn itself_is_zero_floors_are_positive_and_noise_is_never_against_itself() {
        let a = ensemble(4000, 0.0, 1);
        let s = scores(&a, &a);
        let boot = Bootstrap { resamples: 0, ..Bootstrap::default() };
        let all = s.intervals(&[0..4000], &[0..4000], &boot).unwrap();
        assert!(all.iter().all(|i| i.value == 0.0), "{all:?}");
        let floor = s.floor(4000, 1000, 20, 3).unwrap();
        assert!(floor.iter().all(|f| f.low > 0.0 && f.value < 0.6), "{floor:?}");
        let replicas: Vec<Range<usize>> = (0..4).map(|r| 1000 * r..1000 * (r + 1)).collect();
        let noise = s.noise(&replicas, 500).unwrap();
        let one = noise[0].unwrap();
        assert_eq!((one.replicas, one.frames), (4, 500));
        // Independent frames: the noise is the floor of 3000 against 500.
        let expected = s.floor(3000, 500, 50, 1).unwrap()[0].value;
        assert!((one.mean / expected - 1.0).abs() < 0.1, "{one:?} {expected}");
        assert_eq!(s.noise(&replicas[..1], 500).unwrap()[0], None);
        assert!(s.noise(&[0..5000, 1..2], 500).is_err());
    }
}
