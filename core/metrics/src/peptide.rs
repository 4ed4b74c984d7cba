//! The tetrapeptide score (METHOD section 8.1) of one ensemble against reference MD, with
//! bootstrap intervals: torsion marginals, TICA-0, TICA-0,1, macrostates. It works for chains of
//! any length; both ensembles are projected and assigned with the *reference's* Markov model.

use std::ops::Range;

use crate::MetricError;
use crate::bootstrap::{Bootstrap, Interval};
use crate::error::check_length;
use crate::jsd::{BINS_1D, BINS_2D, jsd_joint_1d, jsd_joint_2d};
use crate::states::{Offset, Populations, macrostate_jsd, macrostate_mae_kcal_mol};
use crate::torsion::{TorsionJsd, UPSTREAM_PAIRS, torsion_jsd, torsion_jsd_2d};

/// One ensemble in numbers. Every list has one value per frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ensemble {
    /// Angles (radians) per torsion, in the column order of the torsion features.
    pub torsions: Vec<Vec<f64>>,
    /// Projections per TICA component, slowest first.
    pub tica: Vec<Vec<f64>>,
    /// Macrostate per frame; an index ≥ the number of states is outside the reference.
    pub macrostates: Vec<usize>,
}

impl Ensemble {
    /// Number of frames.
    pub fn n_frames(&self) -> usize {
        self.torsions.first().map_or(self.macrostates.len(), Vec::len)
    }

    /// The frames of some blocks, in order, with repetition.
    fn gathered(&self, blocks: &[Range<usize>], which: &[usize]) -> Self {
        let frames: Vec<usize> = which.iter().flat_map(|&b| blocks[b].clone()).collect();
        let pick = |columns: &[Vec<f64>]| {
            columns.iter().map(|c| frames.iter().map(|&f| c[f]).collect()).collect()
        };
        Self {
            torsions: pick(&self.torsions),
            tica: pick(&self.tica),
            macrostates: frames.iter().map(|&f| self.macrostates[f]).collect(),
        }
    }
}

/// What the score needs to know beside the ensembles.
#[derive(Clone, Debug, PartialEq)]
pub struct PeptideOptions {
    /// Per torsion: backbone (true) or side chain.
    pub is_backbone: Vec<bool>,
    /// Number of the reference's macrostates.
    pub n_macrostates: usize,
    /// Temperature of the free energies, K.
    pub kelvin: f64,
    /// What is removed from free-energy differences.
    pub offset: Offset,
}

/// All numbers of one comparison. Distances are √JSD with the natural logarithm.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PeptideScores {
    /// Frames of the reference.
    pub n_reference: usize,
    /// Frames of the sample.
    pub n_sample: usize,
    /// 1-D torsion marginals.
    pub torsions: TorsionJsd,
    /// 2-D marginals of the column pairs (1, 2) and (3, 4) as the reference script takes them;
    /// empty for chains too short.
    pub torsions_2d_upstream: Vec<f64>,
    /// 2-D marginals of (phi, psi) of every inner residue.
    pub ramachandran: Vec<f64>,
    /// First TICA component; `None` without one.
    pub tica_0: Option<f64>,
    /// First two TICA components; `None` with fewer.
    pub tica_01: Option<f64>,
    /// Macrostate populations.
    pub macrostates: f64,
    /// Macrostate free energies, kcal/mol (definition: [`crate::states`]).
    pub macrostate_mae_kcal_mol: f64,
    /// Fraction of the sample outside the reference's states.
    pub outside_fraction: f64,
}

impl PeptideScores {
    /// Names of the headline numbers, in the order of [`Self::headline`].
    pub const HEADLINES: [&'static str; 7] = [
        "torsions (all)",
        "torsions (backbone)",
        "torsions (side chain)",
        "TICA-0",
        "TICA-0,1",
        "macrostates",
        "macrostate MAE (kcal/mol)",
    ];

    /// The headline numbers; `None` where the peptide has no such thing.
    pub fn headline(&self) -> [Option<f64>; 7] {
        [
            Some(self.torsions.all),
            self.torsions.backbone,
            self.torsions.side_chain,
            self.tica_0,
            self.tica_01,
            Some(self.macrostates),
            Some(self.macrostate_mae_kcal_mol),
        ]
    }

    /// Scores `sample` against `reference`.
    pub fn new(
        reference: &Ensemble,
        sample: &Ensemble,
        options: &PeptideOptions,
    ) -> Result<Self, MetricError> {
        for ensemble in [reference, sample] {
            let n = ensemble.n_frames();
            for column in ensemble.torsions.iter().chain(&ensemble.tica) {
                check_length("frames of a column", n, column.len())?;
            }
            check_length("frames with a macrostate", n, ensemble.macrostates.len())?;
        }
        check_length("TICA components", reference.tica.len(), sample.tica.len())?;
        let torsions = torsion_jsd(&reference.torsions, &sample.torsions, &options.is_backbone)?;
        let joint = |(i, j): (usize, usize)| {
            let pair = |e: &Ensemble| -> Option<(Vec<f64>, Vec<f64>)> {
                Some((e.torsions.get(i)?.clone(), e.torsions.get(j)?.clone()))
            };
            match (pair(reference), pair(sample)) {
                (Some(r), Some(s)) => torsion_jsd_2d([&r.0, &r.1], [&s.0, &s.1]),
                _ => Err(MetricError::Empty { what: "torsion pair" }),
            }
        };
        // Backbone columns come first; residue r (inner) has phi at 2(r-1) and psi at 2r+1.
        let n_backbone = options.is_backbone.iter().take_while(|b| **b).count();
        let inner = (1..n_backbone.div_ceil(2)).map(|r| (2 * (r - 1), 2 * r + 1));
        let upstream = UPSTREAM_PAIRS.into_iter().filter(|_| n_backbone > UPSTREAM_PAIRS[1].1);
        let reference_states = Populations::new(&reference.macrostates, options.n_macrostates)?;
        let sample_states = Populations::new(&sample.macrostates, options.n_macrostates)?;
        let (r, s) = (&reference.tica, &sample.tica);
        Ok(Self {
            n_reference: reference.n_frames(),
            n_sample: sample.n_frames(),
            torsions,
            torsions_2d_upstream: upstream.map(joint).collect::<Result<_, _>>()?,
            ramachandran: inner.map(joint).collect::<Result<_, _>>()?,
            tica_0: match r.first() {
                Some(first) => Some(jsd_joint_1d(first, &s[0], BINS_1D)?),
                None => None,
            },
            tica_01: match r.get(1) {
                Some(second) => Some(jsd_joint_2d([&r[0], second], [&s[0], &s[1]], BINS_2D)?),
                None => None,
            },
            macrostates: macrostate_jsd(&reference_states, &sample_states)?,
            macrostate_mae_kcal_mol: macrostate_mae_kcal_mol(
                &reference_states,
                &sample_states,
                options.kelvin,
                options.offset,
            )?,
            outside_fraction: sample_states.outside_fraction(),
        })
    }

    /// Bootstrap intervals of the headline numbers; both ensembles are resampled by the blocks
    /// given (see [`crate::bootstrap::block_ranges`]).
    pub fn intervals(
        reference: (&Ensemble, &[Range<usize>]),
        sample: (&Ensemble, &[Range<usize>]),
        options: &PeptideOptions,
        bootstrap: &Bootstrap,
    ) -> Result<[Option<Interval>; 7], MetricError> {
        for (what, (ensemble, blocks)) in
            [("reference blocks", reference), ("sample blocks", sample)]
        {
            if let Some(beyond) = blocks.iter().find(|b| b.end > ensemble.n_frames()) {
                let (expected, found) = (ensemble.n_frames(), beyond.end);
                return Err(MetricError::Length { what, expected, found });
            }
        }
        let many = bootstrap.many(reference.1.len(), sample.1.len(), |a, b| {
            let scores = Self::new(
                &reference.0.gathered(reference.1, a),
                &sample.0.gathered(sample.1, b),
                options,
            )?;
            Ok(scores.headline().map(|v| v.unwrap_or(f64::NAN)).to_vec())
        })?;
        let mut out = [None; 7];
        for (place, interval) in out.iter_mut().zip(many) {
            *place = Some(interval.within(0.0, f64::INFINITY)).filter(|i| i.value.is_finite());
        }
        Ok(out)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bootstrap::block_ranges;
    use rand::{RngExt, SeedableRng};

    /// A tetrapeptide-like ensemble: 6 backbone and 2 side-chain torsions, shifted by `shift`.
    pub(crate) fn ensemble(n: usize, shift: f64, rng_seed: u64) -> Ensemble {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(rng_seed);
        let mut column = |width: f64| -> Vec<f64> {
            (0..n).map(|_| shift + width * (rng.random::<f64>() + rng.random::<f64>())).collect()
        };
        let torsions: Vec<Vec<f64>> = (0..8).map(|_| column(0.8)).collect();
        let tica: Vec<Vec<f64>> = (0..3).map(|_| column(0.8)).collect();
        let macrostates = tica[0].iter().map(|x| (x * 6.0) as usize).collect();
        Ensemble { torsions, tica, macrostates }
    }

    pub(crate) fn options() -> PeptideOptions {
        PeptideOptions {
            is_backbone: [[true; 6].as_slice(), &[false; 2]].concat(),
            n_macrostates: 12,
            kelvin: 350.0,
            offset: Offset::Mean,
        }
    }

    #[test]
    fn an_ensemble_is_at_no_distance_from_itself() {
        let e = ensemble(2000, 0.0, 1);
        let s = PeptideScores::new(&e, &e, &options()).unwrap();
        assert_eq!(s.headline(), [Some(0.0); 7]);
        assert_eq!(s.ramachandran, [0.0, 0.0]);
        assert_eq!(s.torsions_2d_upstream, [0.0, 0.0]);
        assert_eq!((s.n_reference, s.outside_fraction), (2000, 0.0));
    }

    #[test]
    fn a_shift_is_seen_by_every_number_and_its_interval() {
        let (a, b) = (ensemble(3000, 0.0, 1), ensemble(1000, 0.3, 2));
        let s = PeptideScores::new(&a, &b, &options()).unwrap();
        let same = PeptideScores::new(&a, &ensemble(1000, 0.0, 3), &options()).unwrap();
        for (far, near) in s.headline().into_iter().zip(same.headline()) {
            assert!(far.unwrap() > near.unwrap(), "{s:?} {same:?}");
        }
        let (ra, rb) = (block_ranges(&[3000], 100), block_ranges(&[500, 500], 50));
        let boot = Bootstrap { resamples: 30, ..Bootstrap::default() };
        let i = PeptideScores::intervals((&a, &ra), (&b, &rb), &options(), &boot).unwrap();
        for (interval, value) in i.iter().zip(s.headline()) {
            let interval = interval.unwrap();
            assert_eq!(Some(interval.value), value);
            assert!(0.0 < interval.low && interval.low <= interval.high);
        }
    }

    #[test]
    fn a_dipeptide_without_tica_still_has_a_score() {
        let short = |e: &Ensemble| Ensemble {
            torsions: e.torsions[..2].to_vec(),
            tica: vec![],
            macrostates: e.macrostates.clone(),
        };
        let (a, b) = (short(&ensemble(100, 0.0, 1)), short(&ensemble(100, 0.1, 2)));
        let options = PeptideOptions { is_backbone: vec![true; 2], ..options() };
        let s = PeptideScores::new(&a, &b, &options).unwrap();
        assert_eq!((s.tica_0, s.tica_01, s.torsions.side_chain), (None, None, None));
        assert!(s.ramachandran.is_empty() && s.torsions_2d_upstream.is_empty());
        let mut broken = b.clone();
        broken.macrostates.pop();
        assert!(PeptideScores::new(&a, &broken, &options).is_err());
    }
}
