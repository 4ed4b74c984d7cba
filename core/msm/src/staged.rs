//! A model in passes over trajectories that never are in memory together, or are spread over
//! machines: moments → [`Projection`] → points → [`Centers`] → states → [`Msm`].
//!
//! A pass looks at one trajectory at a time and keeps little of it: its moments (4 d² numbers), then
//! its share of the points that k-means sees (a fixed, seeded subsample of the projection), then one
//! microstate per frame. What passes keep is filed by the number of the trajectory and summed in the
//! order of the trajectories' digests, so the result depends neither on who looked at which
//! trajectory, or when, nor on how they are listed: one run and any division into parts give the
//! same bits. With no more frames than `max_points` they are the bits of [`MsmBuilder::build`].

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::kmeans::assign;
use crate::moments::PairMoments;
use crate::order::{Digest, by_digest, mix};
use crate::states::SPAN;
use crate::stream::MomentStream;
use crate::{
    Discrete, KMeansModel, MiniBatchKMeans, Msm, MsmBuilder, MsmError, Real, Rows,
    StateTrajectories, StateWriter, TicaModel,
};

pub use crate::gathered::MomentStore;

/// What all parts of a build share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Settings of the model. Equilibrium-weighted TICA needs two more passes and is refused.
    pub settings: MsmBuilder,
    /// Trajectories of the whole data set; each has a number below this.
    pub n_trajectories: usize,
    /// Points that k-means sees, at most.
    pub max_points: usize,
    /// See [`Msm::origin`].
    pub origin: String,
}

/// What a pass kept, by number of trajectory.
pub type Parts<T> = BTreeMap<usize, T>;

/// First pass: length and moments of one trajectory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrajectoryMoments {
    /// Frames.
    pub frames: usize,
    /// Moments of its pairs; `None` if it is not longer than the lag.
    pub moments: Option<PairMoments>,
    /// Digest of its features.
    pub digest: u64,
}

/// After the first pass: what a frame's coordinates in the projection are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Projection {
    /// The plan.
    pub plan: Plan,
    /// The projection.
    pub tica: TicaModel,
    /// Frames of every trajectory.
    pub lengths: Vec<usize>,
    /// Digest of every trajectory: their order in sums, and the phase of its points.
    pub digests: Vec<u64>,
}

/// After the second pass: what a frame's microstate is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Centers {
    /// The projection.
    pub projection: Projection,
    /// The centres.
    pub kmeans: KMeansModel,
    /// Points that k-means saw.
    pub n_points: usize,
}

/// Looks at one trajectory for the first time.
pub struct MomentPass {
    stream: MomentStream,
    frames: usize,
    digest: Digest,
}

/// Looks at one trajectory for the second time.
pub struct PointPass<'a> {
    projection: &'a Projection,
    offset: usize,
    stride: usize,
    frame: usize,
    points: Vec<f64>,
}

/// Looks at all trajectories, one after another, between the second pass and the third: mini-batches
/// of all frames move the centres that the subsample gave.
pub struct Refinement {
    centers: Centers,
    kmeans: MiniBatchKMeans,
    frames: usize,
}

/// Looks at one trajectory for the third time.
pub struct StatePass<'a> {
    centers: &'a Centers,
    states: Vec<i32>,
}

impl Plan {
    /// Begins the first pass over a trajectory of `width` features.
    pub fn moments(&self, width: usize) -> Result<MomentPass, MsmError> {
        if self.settings.reweighted {
            return Err(MsmError::Parameter {
                what: "reweighted",
                got: "true".into(),
                expected: "false for a model built in passes".into(),
            });
        }
        let stream = MomentStream::new(self.settings.tica_lag, width)?;
        Ok(MomentPass { stream, frames: 0, digest: Digest::new() })
    }

    /// The projection, from every trajectory's moments.
    pub fn projection(self, parts: Parts<TrajectoryMoments>) -> Result<Projection, MsmError> {
        complete(&parts, self.n_trajectories)?;
        let mut all = MomentStore::new(None);
        parts.into_values().try_for_each(|part| all.push(part))?;
        all.projection(self)
    }
}

impl MomentPass {
    /// Takes the next frames.
    pub fn push<T: Real>(&mut self, rows: &Rows<'_, T>) -> Result<(), MsmError> {
        self.frames += rows.n_rows();
        self.digest.push(rows);
        self.stream.push(rows)
    }

    /// Ends the trajectory.
    pub fn finish(mut self) -> Result<TrajectoryMoments, MsmError> {
        let moments = self.stream.end_trajectory()?;
        Ok(TrajectoryMoments { frames: self.frames, moments, digest: self.digest.finish() })
    }
}

impl Projection {
    /// Begins the second pass over trajectory `number`.
    pub fn points(&self, number: usize) -> PointPass<'_> {
        let total: usize = self.lengths.iter().sum();
        let stride = total.div_ceil(self.plan.max_points.max(1)).max(1);
        // Another phase for every trajectory, so that no period of the data is met again and again.
        let phase = mix(self.plan.settings.rng_seed ^ self.digests[number]);
        let offset = (phase % stride as u64) as usize;
        PointPass { projection: self, offset, stride, frame: 0, points: Vec::new() }
    }

    /// The centres, from every trajectory's points.
    pub fn centers(self, parts: Parts<Vec<f64>>) -> Result<Centers, MsmError> {
        let k = self.plan.settings.n_microstates;
        self.some_centers(k, &parts)
    }

    /// The same, of at most `k` centres: for data so few that with more of them no microstate is seen
    /// twice ([`MsmError::NoTransitions`]), where [`MsmBuilder::build`] halves their number.
    pub fn some_centers(self, k: usize, parts: &Parts<Vec<f64>>) -> Result<Centers, MsmError> {
        complete(parts, self.plan.n_trajectories)?;
        let width = self.tica.n_kept;
        let points = by_digest(&self.digests)
            .iter()
            .map(|number| Rows::new(&parts[number], width))
            .collect::<Result<Vec<_>, MsmError>>()?;
        let kmeans = self.plan.settings.centers(k, &points)?;
        let n_points = points.iter().map(Rows::n_rows).sum();
        Ok(Centers { projection: self, kmeans, n_points })
    }
}

impl PointPass<'_> {
    /// Takes the next frames.
    pub fn push<T: Real>(&mut self, rows: &Rows<'_, T>) -> Result<(), MsmError> {
        let projected = self.projection.tica.transform(rows)?;
        for row in projected.chunks_exact(self.projection.tica.n_kept) {
            if self.frame % self.stride == self.offset {
                self.points.extend_from_slice(row);
            }
            self.frame += 1;
        }
        Ok(())
    }

    /// Ends the trajectory.
    pub fn finish(self) -> Vec<f64> {
        self.points
    }
}

impl Centers {
    /// Begins to move the centres by mini-batches. Each batch depends on the one before it, so this
    /// pass cannot be spread over jobs.
    pub fn refine(self) -> Refinement {
        let kmeans = MiniBatchKMeans::from_centers(self.kmeans.centers.clone());
        Refinement { centers: self, kmeans, frames: 0 }
    }

    /// Begins the third pass over a trajectory.
    pub fn states(&self) -> StatePass<'_> {
        StatePass { centers: self, states: Vec::new() }
    }

    /// Microstates of frames.
    pub fn assign<T: Real>(&self, rows: &Rows<'_, T>) -> Result<Vec<i32>, MsmError> {
        let tica = &self.projection.tica;
        let projected = tica.transform(rows)?;
        assign(&self.kmeans.centers, &Rows::new(&projected, tica.n_kept)?)
    }

    /// The model, from states in any order of trajectories: `places` tells which of `states` each one
    /// has. They are put in order in `folder`, as [`StateWriter`] does.
    pub fn model(
        self,
        states: &StateTrajectories,
        places: &Parts<usize>,
        folder: Option<&Path>,
    ) -> Result<Msm, MsmError> {
        complete(places, self.projection.plan.n_trajectories)?;
        let mut writer = StateWriter::new(folder);
        for &place in places.values() {
            let n = states.n_frames(place);
            for start in (0..n).step_by(SPAN) {
                writer.push(&states.span(place, start, (start + SPAN).min(n))?)?;
            }
            writer.end_trajectory();
        }
        self.model_of(writer.finish()?)
    }

    /// The model, from the states of all trajectories.
    pub fn model_of(self, states: StateTrajectories) -> Result<Msm, MsmError> {
        let Self { projection: Projection { plan, tica, lengths, .. }, kmeans, n_points } = self;
        let other = lengths.iter().zip(states.lengths()).position(|(a, b)| *a != b);
        if other.is_some() || lengths.len() != states.len() {
            let (number, expected) = other.map_or((0, 0), |n| (n, lengths[n]));
            return Err(MsmError::Parameter {
                what: "frames of a trajectory",
                got: match other {
                    Some(n) => format!("{} in trajectory {number}", states.n_frames(n)),
                    None => format!("{} trajectories", states.len()),
                },
                expected: match other {
                    Some(_) => format!("{expected} as in the first pass"),
                    None => lengths.len().to_string(),
                },
            });
        }
        let mut msm = plan.settings.assemble(tica, kmeans, states)?;
        msm.origin = plan.origin;
        msm.clustered_frames = n_points as u64;
        Ok(msm)
    }
}

impl Refinement {
    /// Trajectories in the order in which they are to be pushed.
    pub fn order(&self) -> Vec<usize> {
        by_digest(&self.centers.projection.digests)
    }

    /// Takes the next frames.
    pub fn push<T: Real>(&mut self, rows: &Rows<'_, T>) -> Result<(), MsmError> {
        let tica = &self.centers.projection.tica;
        self.frames += rows.n_rows();
        self.kmeans.push(&Rows::new(&tica.transform(rows)?, tica.n_kept)?)
    }

    /// The moved centres; their inertia is that of all frames, to the centres they met.
    pub fn finish(self) -> Result<Centers, MsmError> {
        let mut kmeans = self.kmeans.finish()?;
        kmeans.inertias = vec![kmeans.inertias.iter().sum()];
        Ok(Centers { kmeans, n_points: self.frames, ..self.centers })
    }
}

impl StatePass<'_> {
    /// Takes the next frames.
    pub fn push<T: Real>(&mut self, rows: &Rows<'_, T>) -> Result<(), MsmError> {
        self.states.extend(self.centers.assign(rows)?);
        Ok(())
    }

    /// Ends the trajectory.
    pub fn finish(self) -> Vec<i32> {
        self.states
    }
}

/// That each trajectory is there.
fn complete<T>(parts: &Parts<T>, n: usize) -> Result<(), MsmError> {
    let missing: Vec<_> = (0..n).filter(|i| !parts.contains_key(i)).take(10).collect();
    let strange = parts.keys().find(|k| **k >= n);
    if missing.is_empty() && strange.is_none() && n > 0 {
        return Ok(());
    }
    let got = match strange {
        Some(k) => format!("trajectory {k} among them"),
        None => format!("trajectories {missing:?} missing"),
    };
    let expected = format!("one of each trajectory from 0 to {}", n.saturating_sub(1));
    Err(MsmError::Parameter { what: "the set of parts", got, expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::ou;

    fn data() -> Vec<Vec<f64>> {
        let lengths = [900, 30, 1500, 5, 700, 2100];
        lengths.iter().enumerate().map(|(i, n)| ou(&[0.97, 0.9, 0.5], *n, i as u64)).collect()
    }

    fn plan(max_points: usize) -> Plan {
        let settings = MsmBuilder { n_microstates: 20, n_macrostates: 3, ..MsmBuilder::new(5) };
        Plan { settings, n_trajectories: 6, max_points, origin: "here".into() }
    }

    /// Every pass in parts: `order` says who is looked at when, `piece` in how many frames a time.
    fn staged(plan: &Plan, order: &[usize], piece: usize) -> Result<Msm, MsmError> {
        let data = data();
        let pieces = |n: usize| data[n].chunks(3 * piece).map(|p| Rows::new(p, 3).unwrap());
        let mut moments = Parts::new();
        for &n in order {
            let mut pass = plan.moments(3)?;
            pieces(n).try_for_each(|p| pass.push(&p))?;
            moments.insert(n, pass.finish()?);
        }
        // What parts keep goes through files.
        let text = serde_json::to_string(&moments).unwrap();
        let projection = plan.clone().projection(serde_json::from_str(&text).unwrap())?;
        let mut points = Parts::new();
        for &n in order {
            let mut pass = projection.points(n);
            pieces(n).try_for_each(|p| pass.push(&p))?;
            points.insert(n, pass.finish());
        }
        let text = serde_json::to_string(&projection.clone().centers(points)?).unwrap();
        let centers: Centers = serde_json::from_str(&text).unwrap();
        let (mut states, mut places) = (StateWriter::new(None), Parts::new());
        for (place, &n) in order.iter().enumerate() {
            let mut pass = centers.states();
            pieces(n).try_for_each(|p| pass.push(&p))?;
            states.push(&pass.finish())?;
            states.end_trajectory();
            places.insert(n, place);
        }
        centers.model(&states.finish()?, &places, None)
    }

    #[test]
    fn parts_in_any_order_give_the_bits_of_one_build() {
        let data = data();
        let rows: Vec<Rows<'_, f64>> = data.iter().map(|d| Rows::new(d, 3).unwrap()).collect();
        let mut whole = plan(0).settings.build(&rows).unwrap();
        whole.origin = "here".into();
        let plan = plan(1_000_000);
        let a = staged(&plan, &[0, 1, 2, 3, 4, 5], 10_000).unwrap();
        assert_eq!(a.to_bytes().unwrap(), whole.to_bytes().unwrap());
        let b = staged(&plan, &[5, 3, 0, 4, 2, 1], 77).unwrap();
        assert_eq!(b.to_bytes().unwrap(), whole.to_bytes().unwrap());
    }

    #[test]
    fn k_means_sees_a_subsample_that_does_not_depend_on_the_parts() {
        let plan = plan(1000);
        let a = staged(&plan, &[0, 1, 2, 3, 4, 5], 512).unwrap();
        let b = staged(&plan, &[4, 5, 2, 0, 3, 1], 100).unwrap();
        assert_eq!(a.to_bytes().unwrap(), b.to_bytes().unwrap());
        assert_eq!(a.micro_trajectories.total_frames(), 5235);
        let full = staged(&self::plan(1_000_000), &[0, 1, 2, 3, 4, 5], 512).unwrap();
        assert!(a.inertia < 0.3 * full.inertia, "{} {}", a.inertia, full.inertia);
        let (x, y) = (a.micro.timescales(1).unwrap()[0], full.micro.timescales(1).unwrap()[0]);
        assert!((x / y - 1.0).abs() < 0.15, "{x} {y}");
    }

    #[test]
    fn mini_batches_of_all_frames_improve_the_centres_of_a_subsample() {
        let data = data();
        let rows: Vec<Rows<'_, f64>> = data.iter().map(|d| Rows::new(d, 3).unwrap()).collect();
        let plan = plan(200);
        let each = |n: usize| data[n].chunks(3 * 100).map(|p| Rows::new(p, 3).unwrap());
        let (mut moments, mut points) = (Parts::new(), Parts::new());
        for n in 0..6 {
            let mut pass = plan.moments(3).unwrap();
            each(n).for_each(|p| pass.push(&p).unwrap());
            moments.insert(n, pass.finish().unwrap());
        }
        let projection = plan.projection(moments).unwrap();
        for n in 0..6 {
            let mut pass = projection.points(n);
            each(n).for_each(|p| pass.push(&p).unwrap());
            points.insert(n, pass.finish());
        }
        let before = projection.centers(points).unwrap();
        let mut pass = before.clone().refine();
        for n in pass.order() {
            each(n).for_each(|p| pass.push(&p).unwrap());
        }
        let after = pass.finish().unwrap();
        assert_eq!(after.n_points, 5235);
        let inertia = |c: &Centers| {
            let squares = |r: &Rows<'_, f64>| -> f64 {
                let y = c.projection.tica.transform(r).unwrap();
                let y = Rows::new(&y, c.projection.tica.n_kept).unwrap();
                let states = assign(&c.kmeans.centers, &y).unwrap();
                let one = |i: usize| {
                    let center = c.kmeans.centers.row(states[i] as usize);
                    y.row(i).iter().zip(center).map(|(a, b)| (a - b).powi(2)).sum::<f64>()
                };
                (0..y.n_rows()).map(one).sum()
            };
            rows.iter().map(squares).sum::<f64>()
        };
        let (a, b) = (inertia(&before), inertia(&after));
        assert!(b < 0.95 * a, "{a} {b}");
    }

    #[test]
    fn missing_and_strange_parts_are_named() {
        let error = staged(&plan(1000), &[0, 1, 2, 4, 5], 512).unwrap_err().to_string();
        assert!(error.contains("trajectories [3] missing"), "{error}");
        let few = Plan { n_trajectories: 5, ..plan(1000) };
        let error = staged(&few, &[0, 1, 2, 3, 4, 5], 512).unwrap_err().to_string();
        assert!(error.contains("trajectory 5 among them"), "{error}");
        let seeded =
            Plan { settings: MsmBuilder { reweighted: true, ..plan(1).settings }, ..plan(1000) };
        assert!(staged(&seeded, &[0], 1).unwrap_err().to_string().contains("reweighted"));
    }
}
