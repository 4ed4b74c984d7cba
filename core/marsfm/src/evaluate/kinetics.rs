//! Kinetics of the sample against the MD, which the paper leaves unchecked: state-to-state T,
//! implied timescales, mean first-passage times between macrostates, a reactive flux.
//!
//! Both sides are counted alike: transitions at one lag between the microstates of the reference,
//! a reversible model on the largest connected set of each side, macrostates as sets of microstates.
//! The MD's own macrostate matrix beside its microstate model says what lumping alone costs (METHOD
//! 7.1b): drawing frames anew inside a macrostate makes everything faster.

use std::ops::Range;

use anyhow::{Result, ensure};
use marsfm_metrics::MetricError;
use marsfm_metrics::bootstrap::{Bootstrap, Interval};
use marsfm_metrics::kinetics::{matrix_agreement, time_agreement};
use marsfm_metrics::marginals::Noise;
use marsfm_msm::estimate::row_normalised;
use marsfm_msm::validate::{mean_first_passage_times, reactive_flux};
use marsfm_msm::{CountMatrix, CountMode, Matrix, MsmError, ReversibleMle};
use serde::Serialize;

use super::{Better, Score};

/// Relaxation times that are compared.
pub const TIMESCALES: usize = 3;

/// The reference's states: how many, and the macrostate of each microstate.
#[derive(Clone, Debug)]
pub struct States {
    /// Macrostate per microstate; `None` for one without frames.
    pub macro_of_micro: Vec<Option<usize>>,
    /// Number of macrostates.
    pub n_macro: usize,
    /// The macrostates between which a flux is looked at: the ends of the slowest process.
    pub ends: (usize, usize),
}

/// Transitions between microstates at one lag, block by block (replicas, trees).
#[derive(Clone, Debug, Default)]
pub struct Hops {
    /// (from, to).
    pub blocks: Vec<Vec<(u32, u32)>>,
}

/// What one side's transitions say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Transitions counted.
    pub transitions: usize,
    /// Row-normalised macrostate counts, row-major; a row without counts is 0.
    pub t: Vec<f64>,
    /// Slowest relaxation times of the microstate model, ps.
    pub timescales_ps: Vec<f64>,
    /// Mean first-passage times between macrostates, ps, row-major; NaN (null) where unknown.
    pub mfpt_ps: Vec<f64>,
    /// Reactive flux from one end of the slowest process to the other, per ns; NaN if unknown.
    pub flux_per_ns: f64,
    /// Share of the transitions in the connected set that the model is of.
    pub connected: f64,
}

/// Both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Kinetics {
    /// Lag of the transitions, ps.
    pub lag_ps: f64,
    /// The ends of the flux (macrostates, 0-based).
    pub ends: (usize, usize),
    /// The MD.
    pub reference: Estimate,
    /// The MD, lumped into its macrostates.
    pub lumped: Estimate,
    /// The sample.
    pub sample: Estimate,
}

impl Hops {
    /// Transitions within segments: (state at t, state at t + lag).
    pub fn of_series(
        micro: &[usize],
        segments: &[Range<usize>],
        lag_frames: usize,
        blocks: &[Range<usize>],
    ) -> Self {
        let pairs = |s: &Range<usize>| {
            let last = s.end.saturating_sub(lag_frames);
            (s.start..last.max(s.start)).map(|t| (t, t + lag_frames))
        };
        let hops: Vec<(usize, usize)> = segments.iter().flat_map(pairs).collect();
        Self::of_pairs(micro, &hops, blocks)
    }

    /// Transitions named one by one, put into the block that their first frame is in.
    pub fn of_pairs(micro: &[usize], hops: &[(usize, usize)], blocks: &[Range<usize>]) -> Self {
        let mut out = Self { blocks: vec![Vec::new(); blocks.len()] };
        for &(a, b) in hops {
            let block = blocks.partition_point(|r| r.end <= a);
            if let Some(list) = out.blocks.get_mut(block) {
                list.push((micro[a] as u32, micro[b] as u32));
            }
        }
        out
    }

    /// Number of transitions.
    pub fn total(&self) -> usize {
        self.blocks.iter().map(Vec::len).sum()
    }

    fn all(&self) -> Vec<usize> {
        (0..self.blocks.len()).collect()
    }

    fn counts(&self, which: &[usize], n: usize, state: impl Fn(u32) -> Option<usize>) -> Matrix {
        let mut counts = Matrix::zeros(n, n);
        for (a, b) in which.iter().flat_map(|w| &self.blocks[*w]) {
            if let (Some(a), Some(b)) = (state(*a), state(*b)) {
                counts[(a, b)] += 1.0;
            }
        }
        counts
    }
}

impl States {
    /// What the transitions of some blocks say.
    pub fn estimate(
        &self,
        hops: &Hops,
        which: &[usize],
        lag_ps: f64,
    ) -> Result<Estimate, MsmError> {
        let n = self.macro_of_micro.len();
        let micro = hops.counts(which, n, |s| Some(s as usize));
        let coarse = hops.counts(which, self.n_macro, |s| self.macro_of_micro[s as usize]);
        let sets = |rows: &[usize]| -> Vec<Vec<usize>> {
            let of = |k: usize| {
                let inside = |(_, m): &(usize, &usize)| self.macro_of_micro[**m] == Some(k);
                rows.iter().enumerate().filter(inside).map(|(row, _)| row).collect()
            };
            (0..self.n_macro).map(of).collect()
        };
        self.finish(micro, coarse, sets, lag_ps)
    }

    /// The same from the macrostate counts alone.
    pub fn lumped(&self, hops: &Hops, which: &[usize], lag_ps: f64) -> Result<Estimate, MsmError> {
        let coarse = hops.counts(which, self.n_macro, |s| self.macro_of_micro[s as usize]);
        let sets = |rows: &[usize]| -> Vec<Vec<usize>> {
            let of = |k: usize| rows.iter().position(|m| *m == k).into_iter().collect();
            (0..self.n_macro).map(of).collect()
        };
        self.finish(coarse.clone(), coarse, sets, lag_ps)
    }

    fn finish(
        &self,
        counts: Matrix,
        coarse: Matrix,
        sets: impl Fn(&[usize]) -> Vec<Vec<usize>>,
        lag_ps: f64,
    ) -> Result<Estimate, MsmError> {
        let k = self.n_macro;
        let total: f64 = counts.as_slice().iter().sum();
        let mut out = Estimate {
            transitions: total as usize,
            t: row_normalised(&coarse, false).as_slice().to_vec(),
            mfpt_ps: vec![f64::NAN; k * k],
            flux_per_ns: f64::NAN,
            ..Estimate::default()
        };
        let n = counts.n_rows();
        let seen = |i: usize| (0..n).map(|j| counts[(i, j)] + counts[(j, i)]).sum::<f64>() as u64;
        let counted = CountMatrix {
            populations: (0..n).map(seen).collect(),
            counts,
            lag: 1,
            mode: CountMode::Sliding,
            warnings: Vec::new(),
        };
        let model = match ReversibleMle::default().fit(&counted) {
            Ok(model) => model,
            // Too few transitions for a model: T is what there is.
            Err(MsmError::NoTransitions { .. } | MsmError::Numerical { .. }) => return Ok(out),
            Err(e) => return Err(e),
        };
        let inside = counted.counts.select(&model.active);
        out.connected = inside.as_slice().iter().sum::<f64>() / total;
        out.timescales_ps =
            model.timescales(TIMESCALES)?.into_iter().map(|frames| frames * lag_ps).collect();
        let sets = sets(&model.active);
        for (target, rows) in sets.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let times = mean_first_passage_times(&model.t, 1, rows)?;
            for (source, from) in sets.iter().enumerate() {
                let weight: f64 = from.iter().map(|r| model.pi[*r]).sum();
                let sum: f64 = from.iter().map(|r| model.pi[*r] * times[*r]).sum();
                if source != target && !from.is_empty() {
                    out.mfpt_ps[source * k + target] = lag_ps * sum / weight;
                }
            }
        }
        let (a, b) = (&sets[self.ends.0], &sets[self.ends.1]);
        if self.ends.0 != self.ends.1 && !a.is_empty() && !b.is_empty() {
            let flux = reactive_flux(&model.t, &model.pi, 1, a, b)?;
            out.flux_per_ns = 1000.0 * flux.total_flux / lag_ps;
        }
        Ok(out)
    }

    /// Both sides, with their scores.
    pub fn compare(
        &self,
        md: &Hops,
        sample: &Hops,
        populations: &[f64],
        lag_ps: f64,
        bootstrap: &Bootstrap,
    ) -> Result<(Kinetics, Vec<Score>)> {
        ensure!(sample.total() > 0, "the sample holds no transition at a lag of {lag_ps} ps");
        let of = |r: &Hops, i: &[usize], s: &Hops, j: &[usize]| -> Result<Vec<f64>, MetricError> {
            let one = |h: &Hops, which: &[usize]| self.estimate(h, which, lag_ps);
            match (one(r, i), one(s, j)) {
                (Ok(a), Ok(b)) => agreement(&a, &b, populations),
                // A resample without a model is left out.
                _ => Ok(vec![f64::NAN; DEFINITIONS.len()]),
            }
        };
        let intervals =
            bootstrap.many(md.blocks.len(), sample.blocks.len(), |i, j| of(md, i, sample, j))?;
        let mut noise = vec![Vec::new(); intervals.len()];
        let all = md.all();
        let shortest = md.blocks.iter().map(Vec::len).min().unwrap_or(0);
        for held_out in all.iter().filter(|_| all.len() > 1) {
            let others: Vec<usize> = all.iter().copied().filter(|r| r != held_out).collect();
            let values = of(md, &others, md, &[*held_out])?;
            noise.iter_mut().zip(values).for_each(|(n, v)| n.push(v));
        }
        let scores = intervals
            .into_iter()
            .zip(noise)
            .zip(DEFINITIONS)
            .filter(|((interval, _), _)| interval.value.is_finite())
            .map(|((interval, noise), (name, how))| Score {
                name: name.into(),
                definition: format!("{how}; lag {lag_ps} ps"),
                better: Better::Lower,
                interval: Interval::within(interval, 0.0, f64::INFINITY),
                floor: None,
                md_noise: Noise::of(&noise, shortest),
            });
        let scores = scores.collect();
        let kinetics = Kinetics {
            lag_ps,
            ends: self.ends,
            reference: self.estimate(md, &all, lag_ps)?,
            lumped: self.lumped(md, &all, lag_ps)?,
            sample: self.estimate(sample, &sample.all(), lag_ps)?,
        };
        Ok((kinetics, scores))
    }
}

const DEFINITIONS: [(&str, &str); 4] = [
    (
        "state-to-state T",
        "√JSD between the rows of the macrostate transition matrices, weighted by the MD's \
         populations, over states left on both sides",
    ),
    (
        "implied timescales (|log10|)",
        "mean |log10(sample/MD)| of the three slowest relaxation times of the microstate models; \
         0.30 is a factor of 2",
    ),
    (
        "first-passage times (|log10|)",
        "mean |log10(sample/MD)| of the mean first-passage times between all pairs of macrostates \
         that both microstate models connect",
    ),
    (
        "reactive flux (|log10|)",
        "|log10(sample/MD)| of the reactive flux between the macrostates at the ends of the first \
         TICA coordinate (transition path theory)",
    ),
];

fn agreement(a: &Estimate, b: &Estimate, populations: &[f64]) -> Result<Vec<f64>, MetricError> {
    let times = |x: &[f64], y: &[f64]| -> Result<f64, MetricError> {
        let n = x.len().min(y.len());
        Ok(time_agreement(&x[..n], &y[..n])?.map_or(f64::NAN, |t| t.mean_abs_log10))
    };
    Ok(vec![
        matrix_agreement(&a.t, &b.t, populations).map_or(f64::NAN, |m| m.weighted_jsd),
        times(&a.timescales_ps, &b.timescales_ps)?,
        times(&a.mfpt_ps, &b.mfpt_ps)?,
        times(&[a.flux_per_ns], &[b.flux_per_ns])?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two macrostates of two microstates each; T is known.
    const T: [[f64; 4]; 4] = [
        [0.80, 0.18, 0.02, 0.00],
        [0.18, 0.78, 0.04, 0.00],
        [0.02, 0.04, 0.74, 0.20],
        [0.00, 0.00, 0.20, 0.80],
    ];

    fn states() -> States {
        let macro_of_micro = vec![Some(0), Some(0), Some(1), Some(1)];
        States { macro_of_micro, n_macro: 2, ends: (0, 1) }
    }

    /// As many transitions as T says, exactly.
    fn hops(t: &[[f64; 4]; 4], blocks: usize) -> Hops {
        let mut one = Vec::new();
        for (i, row) in t.iter().enumerate() {
            for (j, p) in row.iter().enumerate() {
                one.extend(std::iter::repeat_n((i as u32, j as u32), (100.0 * p).round() as usize));
            }
        }
        Hops { blocks: vec![one; blocks] }
    }

    #[test]
    fn a_known_chain_gives_its_analytic_times() {
        // T is symmetric: pi is uniform. Passage times from {2, 3} to {0, 1} in steps solve
        // m2 = 1 + 0.74 m2 + 0.2 m3, m3 = 1 + 0.2 m2 + 0.8 m3: m3 = 5 + m2, m2 = 2/0.06.
        let e = states().estimate(&hops(&T, 1), &[0], 10.0).unwrap();
        let (m2, m3) = (2.0 / 0.06, 5.0 + 2.0 / 0.06);
        assert!((e.mfpt_ps[2] - 10.0 * 0.5 * (m2 + m3)).abs() < 1e-6, "{:?}", e.mfpt_ps);
        assert!(e.mfpt_ps[0].is_nan() && e.mfpt_ps[3].is_nan());
        // Flux between neighbouring sets: sum of pi_i T_ij over the border, per lag.
        let flux = 1000.0 / 10.0 * 0.25 * (0.02 + 0.04);
        assert!((e.flux_per_ns - flux).abs() < 1e-9, "{}", e.flux_per_ns);
        assert!((e.t[1] - 0.5 * (0.02 + 0.04)).abs() < 1e-12);
        assert_eq!(e.connected, 1.0);
    }

    #[test]
    fn lumping_makes_a_slow_exit_faster() {
        let hops = hops(&T, 1);
        let (s, all) = (states(), [0]);
        let (micro, coarse) =
            (s.estimate(&hops, &all, 10.0).unwrap(), s.lumped(&hops, &all, 10.0).unwrap());
        assert!(coarse.timescales_ps[0] < micro.timescales_ps[0]);
        // Two states with exchange probability 0.03 each way: -10 / ln(0.94).
        assert!((coarse.timescales_ps[0] + 10.0 / 0.94_f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn equal_sides_are_zero_and_a_slower_one_is_told_apart() {
        let boot = Bootstrap { resamples: 10, ..Bootstrap::default() };
        let (a, p) = (hops(&T, 3), [0.5, 0.5]);
        let (_, scores) = states().compare(&a, &a, &p, 10.0, &boot).unwrap();
        assert_eq!(scores.len(), 4);
        for s in &scores {
            assert_eq!(s.interval.value, 0.0, "{}", s.name);
            // Twice the counts: the same model up to rounding.
            assert!(s.md_noise.unwrap().mean < 1e-9, "{}", s.name);
        }
        let mut slow = T;
        (slow[1][1], slow[1][2], slow[2][1], slow[2][2]) = (0.80, 0.02, 0.02, 0.76);
        let (k, scores) = states().compare(&a, &hops(&slow, 3), &p, 10.0, &boot).unwrap();
        assert!(scores.iter().all(|s| s.interval.value > 0.0), "{scores:?}");
        assert!(k.sample.timescales_ps[0] > k.reference.timescales_ps[0]);
        assert!(states().compare(&a, &Hops::default(), &p, 10.0, &boot).is_err());
    }

    #[test]
    fn series_and_named_transitions_are_counted_in_their_blocks() {
        // A block's end is no seam, a segment's is.
        let h = Hops::of_series(&[0, 1, 2, 3, 3, 3], &[0..4, 4..6], 1, &[0..2, 2..6]);
        assert_eq!(h.blocks, [vec![(0, 1), (1, 2)], vec![(2, 3), (3, 3)]]);
        let h = Hops::of_pairs(&[5, 6, 7, 8], &[(0, 1), (2, 3)], &[0..2, 2..4]);
        assert_eq!(h.blocks, [vec![(5, 6)], vec![(7, 8)]]);
        assert_eq!(Hops::of_series(&[0, 1, 2], &[0..2, 2..3], 9, &[0..2, 2..3]).total(), 0);
    }
}
