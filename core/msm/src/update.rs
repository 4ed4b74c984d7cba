//! New trajectories in an old model: projection and centres stay, counts grow, and what follows from
//! the counts is estimated anew. [`Drift`] says whether the old centres still fit.

use serde::{Deserialize, Serialize};

use crate::kmeans::assign;
use crate::{KMeansModel, Msm, MsmError, Real, Rows, StateTrajectories};

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

/// New trajectories on their way into a model, piece by piece; one microstate per frame is kept.
pub struct Update<'a> {
    msm: &'a Msm,
    added: Vec<Vec<i32>>,
    current: Vec<i32>,
    squares: f64,
}

impl Msm {
    /// The model with trajectories added.
    pub fn updated<T: Real>(&self, new: &[Rows<'_, T>]) -> Result<(Self, Drift), MsmError> {
        let mut update = self.update();
        for rows in new {
            update.push(rows)?;
            update.end_trajectory();
        }
        update.finish()
    }

    /// Begins to add trajectories.
    pub fn update(&self) -> Update<'_> {
        Update { msm: self, added: vec![], current: vec![], squares: 0.0 }
    }
}

impl Update<'_> {
    /// Takes the next frames of the current trajectory.
    pub fn push<T: Real>(&mut self, rows: &Rows<'_, T>) -> Result<(), MsmError> {
        let (trajectory, frame) = (self.added.len(), self.current.len());
        let tica = &self.msm.tica;
        if rows.width() != tica.mean.len() {
            let (expected, got) = (tica.mean.len(), rows.width());
            return Err(MsmError::FeatureCount { trajectory, expected, got });
        }
        crate::rows::check_finite(rows, trajectory, 0, rows.n_rows()).map_err(|e| match e {
            MsmError::NotFinite { trajectory, frame: f, feature, value } => {
                MsmError::NotFinite { trajectory, frame: frame + f, feature, value }
            }
            other => other,
        })?;
        let projected = tica.transform(rows)?;
        let states = assign(&self.msm.centers, &Rows::new(&projected, tica.n_kept)?)?;
        for (row, state) in projected.chunks_exact(tica.n_kept).zip(&states) {
            let center = self.msm.centers.row(*state as usize);
            self.squares += row.iter().zip(center).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
        }
        self.current.extend(states);
        Ok(())
    }

    /// Ends the current trajectory.
    pub fn end_trajectory(&mut self) {
        self.added.push(std::mem::take(&mut self.current));
    }

    /// The model with what was added.
    pub fn finish(self) -> Result<(Msm, Drift), MsmError> {
        let Self { msm: before, added: new, squares, .. } = self;
        let old: usize = before.micro_trajectories.total_frames();
        let added: usize = new.iter().map(Vec::len).sum();
        if added == 0 {
            return Err(MsmError::NoFrames);
        }
        let mut trajectories = before.micro_trajectories.to_vecs()?;
        trajectories.extend(new);
        let trajectories = StateTrajectories::new(&trajectories)?;
        let kmeans = KMeansModel {
            centers: before.centers.clone(),
            inertias: vec![before.inertia + squares],
            converged: true,
            warnings: vec![],
        };
        let mut tica = before.tica.clone();
        tica.warnings.clear();
        let mut msm = before.settings.assemble(tica, kmeans, trajectories)?;
        msm.origin = before.origin.clone();
        msm.clustered_frames = before.clustered_frames + added as u64;
        let of_frames = |populations: &[u64], frames: usize| -> Vec<f64> {
            populations.iter().map(|n| *n as f64 / frames.max(1) as f64).collect()
        };
        let added_populations: Vec<u64> = msm
            .micro_populations
            .iter()
            .zip(&before.micro_populations)
            .map(|(n, o)| n - o)
            .collect();
        let per_old_frame = before.inertia / (before.clustered_frames.max(1) as f64);
        let k = before.n_macrostates().max(2) - 1;
        let drift = Drift {
            frames_before: old,
            frames_added: added,
            distance_ratio: squares / added as f64 / per_old_frame,
            population_distance: jensen_shannon(
                &of_frames(&before.micro_populations, old),
                &of_frames(&added_populations, added),
            ),
            newly_connected: (0..before.centers.n_rows())
                .filter(|i| msm.micro.row_of_state[*i].is_some())
                .filter(|i| before.micro.row_of_state[*i].is_none())
                .count(),
            timescales_before: before.micro.timescales(k)?,
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
        let (new_states, old_states) =
            (new.micro_trajectories.to_vecs().unwrap(), old.micro_trajectories.to_vecs().unwrap());
        assert_eq!(new_states[..2], old_states[..]);
        assert_eq!(new_states[2].len(), 5000);
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
