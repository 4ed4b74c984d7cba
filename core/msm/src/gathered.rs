//! Moments of many trajectories until their projection can be made. They are summed in the order of
//! the trajectories' digests, which is known only when all are there, and 4 d² numbers each are too
//! many to hold for a million trajectories: they go to a file.

use std::path::Path;

use crate::moments::PairMoments;
use crate::order::by_digest;
use crate::spill::{Spill, Stored};
use crate::staged::{Plan, Projection, TrajectoryMoments};
use crate::{MsmError, Tica, Warning};

/// Takes the first pass's moments of one trajectory after another.
#[derive(Debug)]
pub struct MomentStore {
    lengths: Vec<usize>,
    digests: Vec<u64>,
    /// By trajectory, which of the stored moments are its own; `None` if it is too short.
    places: Vec<Option<usize>>,
    n_stored: usize,
    /// Moments of the kind that are stored: features and lag.
    empty: Option<PairMoments>,
    spill: Spill,
}

impl MomentStore {
    /// Many moments go to an unnamed file in `folder`; without one they stay in memory.
    pub fn new(folder: Option<&Path>) -> Self {
        Self {
            lengths: vec![],
            digests: vec![],
            places: vec![],
            n_stored: 0,
            empty: None,
            spill: Spill::new(folder),
        }
    }

    /// Takes the moments of the next trajectory.
    pub fn push(&mut self, part: TrajectoryMoments) -> Result<(), MsmError> {
        self.lengths.push(part.frames);
        self.digests.push(part.digest);
        let Some(mut moments) = part.moments else {
            self.places.push(None);
            return Ok(());
        };
        // Refuses another lag or other features.
        let kind = PairMoments::new(moments.lag(), moments.width())?;
        self.empty.get_or_insert_with(|| kind.clone()).merge(&kind)?;
        self.spill.push(moments.numbers().flat_map(|v| v.to_le_bytes()))?;
        self.places.push(Some(self.n_stored));
        self.n_stored += 1;
        Ok(())
    }

    /// The projection.
    pub fn projection(self, plan: Plan) -> Result<Projection, MsmError> {
        let Self { lengths, digests, places, empty, spill, .. } = self;
        let lag = plan.settings.tica_lag;
        let (n, longest) = (plan.n_trajectories, lengths.iter().copied().max().unwrap_or(0));
        if lengths.len() != n {
            return Err(MsmError::Size { what: "trajectories", expected: n, got: lengths.len() });
        }
        plan.settings.check(longest, n)?;
        let too_short = MsmError::TooShort { lag, longest, n_trajectories: n };
        let mut total = empty.ok_or(too_short)?;
        let stored = spill.finish()?;
        let mut one = total.clone();
        for place in by_digest(&digests).into_iter().filter_map(|t| places[t]) {
            fetch(&stored, place, &mut one)?;
            total.merge(&one)?;
        }
        let mut tica = Tica::new(lag)
            .scaling(plan.settings.scaling)
            .var_cutoff(plan.settings.var_cutoff)
            .fit_moments(&total)?;
        let trajectories: Vec<usize> = (0..n).filter(|t| places[*t].is_none()).collect();
        if !trajectories.is_empty() {
            let what = "tica lag".into();
            tica.warnings.insert(0, Warning::SkippedTrajectories { what, lag, trajectories });
        }
        Ok(Projection { plan, tica, lengths, digests })
    }
}

/// Reads the stored moments number `place`.
fn fetch(stored: &Stored, place: usize, into: &mut PairMoments) -> Result<(), MsmError> {
    let n = into.numbers().count();
    let mut bytes = vec![0; 8 * n];
    stored.read((place * bytes.len()) as u64, &mut bytes)?;
    let (numbers, _) = bytes.as_chunks::<8>();
    into.numbers().zip(numbers).for_each(|(v, b)| *v = f64::from_le_bytes(*b));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::ou;
    use crate::{MsmBuilder, Rows};

    #[test]
    fn a_file_gives_the_bits_of_memory() {
        let folder = tempfile::tempdir().unwrap();
        let d = 60;
        let plan = Plan {
            settings: MsmBuilder::new(2),
            n_trajectories: 60,
            max_points: 100,
            origin: String::new(),
        };
        let rates: Vec<f64> = (0..d).map(|i| 0.9 - 0.01 * f64::from(i)).collect();
        let both = [None, Some(folder.path())].map(|place| {
            let mut store = MomentStore::new(place);
            for t in 0..60 {
                let x = ou(&rates, if t == 7 { 2 } else { 90 }, t);
                let mut pass = plan.moments(d as usize).unwrap();
                pass.push(&Rows::new(&x, d as usize).unwrap()).unwrap();
                store.push(pass.finish().unwrap()).unwrap();
            }
            assert_eq!(store.spill.is_filed(), place.is_some());
            store.projection(plan.clone()).unwrap()
        });
        assert_eq!(both[0], both[1]);
        assert!(matches!(
            &both[0].tica.warnings[0],
            Warning::SkippedTrajectories { trajectories, .. } if trajectories == &[7]
        ));
        let short = MomentStore::new(None).projection(plan).unwrap_err();
        assert!(matches!(short, MsmError::Size { expected: 60, got: 0, .. }));
    }
}
