//! New trajectories in an old model: projection and centres stay, counts grow, and what follows from
//! the counts is estimated anew. [`Drift`] says whether the old centres still fit.

use serde::{Deserialize, Serialize};

use crate::kmeans::assign;
use crate::{KMeansModel, Msm, MsmError, Real, Rows};

/// How new trajectories differ from what a model was built on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Frames that the model had.
    pub frames_before: usize,
    /// Frames that came.
    pub frames_added: usize,
    /// Mean squared distance to the nearest centre, new frames over old ones. Near 1: the centres
    /// fit; well above: the new frames are where no centre is.
    pub distance_ratio: f64,
    /// Jensen–Shannon distance (natural logarithm, 0 to 0.83) between the microstate distributions
    /// of old and new frames.
    pub population_distance: f64,
    /// Microstates that are connected now and were not before.
    pub newly_connected: usize,
    /// Slowest timescales at the MSM lag before, frames.
    pub timescales_before: Vec<f64>,
    /// The same now.
    pub timescales_after: Vec<f64>,
}

impl Drift {
    /// Whether the model should be built anew: new frames lie twice as far from the centres.
    pub fn centres_are_outgrown(&self) -> bool {
        self.distance_ratio > 2.0
    }
}

impl Msm {
    /// The model with trajectories added.
    pub fn updated<T: Real>(&self, new: &[Rows<'_, T>]) -> Result<(Self, Drift), MsmError> {
        let mut trajectories = self.micro_trajectories.clone();
        let old: usize = trajectories.iter().map(Vec::len).sum();
        let (mut squares, mut added) = (0.0, 0);
        for (t, rows) in new.iter().enumerate() {
            if rows.width() != self.tica.mean.len() {
                return Err(MsmError::FeatureCount {
                    trajectory: t,
                    expected: self.tica.mean.len(),
                    got: rows.width(),
                });
            }
            crate::rows::check_finite(rows, t, 0, rows.n_rows())?;
            let projected = self.tica.transform(rows)?;
            let states = assign(&self.centers, &Rows::new(&projected, self.tica.n_kept)?)?;
            for (row, state) in projected.chunks_exact(self.tica.n_kept).zip(&states) {
                let center = self.centers.row(*state as usize);
                squares += row.iter().zip(center).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
            }
            added += states.len();
            trajectories.push(states);
        }
        if added == 0 {
            return Err(MsmError::NoFrames);
        }
        let kmeans = KMeansModel {
            centers: self.centers.clone(),
            inertias: vec![self.inertia + squares],
            converged: true,
            warnings: vec![],
        };
        let mut tica = self.tica.clone();
        tica.warnings.clear();
        let mut msm = self.settings.assemble(tica, kmeans, trajectories)?;
        msm.origin = self.origin.clone();
        msm.clustered_frames = self.clustered_frames + added as u64;
        let of_frames = |populations: &[u64], frames: usize| -> Vec<f64> {
            populations.iter().map(|n| *n as f64 / frames.max(1) as f64).collect()
        };
        let added_populations: Vec<u64> =
            msm.micro_populations.iter().zip(&self.micro_populations).map(|(n, o)| n - o).collect();
        let before = of_frames(&self.micro_populations, old);
        let after = of_frames(&added_populations, added);
        let per_old_frame = self.inertia / (self.clustered_frames.max(1) as f64);
        let k = self.n_macrostates().max(2) - 1;
        let drift = Drift {
            frames_before: old,
            frames_added: added,
            distance_ratio: squares / added as f64 / per_old_frame,
            population_distance: jensen_shannon(&before, &after),
            newly_connected: (0..self.centers.n_rows())
                .filter(|i| msm.micro.row_of_state[*i].is_some())
                .filter(|i| self.micro.row_of_state[*i].is_none())
                .count(),
            timescales_before: self.micro.timescales(k)?,
            timescales_after: msm.micro.timescales(k)?,
        };
        Ok((msm, drift))
    }
}

/// sqrt of the Jensen–Shannon divergence of two distributions.
fn jensen_shannon(p: &[f64], q: &[f64]) -> f64 {
    let term = |x: f64, m: f64| if x > 0.0 { x * (x / m).ln() } else { 0.0 };
    let both = |(p, q): (&f64, &f64)| {
        let m = 0.5 * (p + q);
        0.5 * (term(*p, m) + term(*q, m))
    };
    p.iter().zip(q).map(both).sum::<f64>().max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MsmBuilder;
    use crate::test_support::ou;

    fn build(data: &[Vec<f64>]) -> Msm {
        let rows: Vec<Rows<'_, f64>> = data.iter().map(|d| Rows::new(d, 2).unwrap()).collect();
        let settings = MsmBuilder { n_microstates: 15, n_macrostates: 2, ..MsmBuilder::new(3) };
        settings.build(&rows).unwrap()
    }

    fn process(n: usize, seed: u64) -> Vec<f64> {
        ou(&[0.97, 0.5], n, seed)
    }

    #[test]
    fn counts_grow_and_centres_stay() {
        let old = build(&[process(40_000, 1), process(30_000, 2)]);
        let more = process(5000, 3);
        let (new, drift) = old.updated(&[Rows::new(&more, 2).unwrap()]).unwrap();
        assert_eq!(new.centers, old.centers);
        assert_eq!(new.tica, old.tica);
        assert_eq!(new.micro_trajectories[..2], old.micro_trajectories[..]);
        assert_eq!(new.micro_trajectories[2].len(), 5000);
        assert_eq!((drift.frames_before, drift.frames_added), (70_000, 5000));
        // The same process: the centres fit, the populations agree up to noise.
        assert!((0.7..1.4).contains(&drift.distance_ratio), "{drift:?}");
        assert!(drift.population_distance < 0.15, "{drift:?}");
        assert!(!drift.centres_are_outgrown());
        // Adding in two steps is adding at once.
        let (a, b) = more.split_at(2 * 2500);
        let (half, _) = old.updated(&[Rows::new(a, 2).unwrap()]).unwrap();
        let (twice, _) = half.updated(&[Rows::new(b, 2).unwrap()]).unwrap();
        let (once, _) = old.updated(&[Rows::new(a, 2).unwrap(), Rows::new(b, 2).unwrap()]).unwrap();
        assert_eq!(twice.macro_t, once.macro_t);
    }

    #[test]
    fn frames_far_from_every_centre_are_noticed() {
        let old = build(&[process(4000, 1)]);
        let far: Vec<f64> = process(1000, 2).iter().map(|x| x + 12.0).collect();
        let (_, drift) = old.updated(&[Rows::new(&far, 2).unwrap()]).unwrap();
        assert!(drift.centres_are_outgrown(), "{drift:?}");
        assert!(drift.population_distance > 0.6, "{drift:?}");
    }

    #[test]
    fn other_features_and_bad_frames_are_refused() {
        let old = build(&[process(4000, 1)]);
        let three = vec![0.0; 30];
        let error = old.updated(&[Rows::new(&three, 3).unwrap()]).unwrap_err();
        assert!(matches!(error, MsmError::FeatureCount { expected: 2, got: 3, .. }));
        let mut bad = process(10, 2);
        bad[7] = f64::NAN;
        let error = old.updated(&[Rows::new(&bad, 2).unwrap()]).unwrap_err();
        assert!(matches!(error, MsmError::NotFinite { trajectory: 0, frame: 3, feature: 1, .. }));
        assert_eq!(old.updated::<f64>(&[]).unwrap_err(), MsmError::NoFrames);
    }
}
