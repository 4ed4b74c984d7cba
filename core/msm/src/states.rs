//! States of frames, trajectory after trajectory: in memory or in a file, read span by span, so that
//! counting needs no more memory for a billion frames than for a million.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::MsmError;
use crate::counts::{MAX_STATES, NO_STATE};
use crate::spill::{Spill, Stored};

/// Frames that are read at a time.
pub(crate) const SPAN: usize = 1 << 16;

/// Trajectories of states that can be counted without lying in memory together.
pub trait Discrete: Sync {
    /// Number of trajectories.
    fn n_trajectories(&self) -> usize;
    /// Frames of a trajectory.
    fn n_frames(&self, trajectory: usize) -> usize;
    /// States of the frames from `start` to before `end` of a trajectory, which must be there.
    fn span(&self, trajectory: usize, start: usize, end: usize)
    -> Result<Cow<'_, [i32]>, MsmError>;
}

impl<D: AsRef<[i32]> + Sync> Discrete for [D] {
    fn n_trajectories(&self) -> usize {
        self.len()
    }

    fn n_frames(&self, trajectory: usize) -> usize {
        self[trajectory].as_ref().len()
    }

    fn span(
        &self,
        trajectory: usize,
        start: usize,
        end: usize,
    ) -> Result<Cow<'_, [i32]>, MsmError> {
        Ok(Cow::Borrowed(&self[trajectory].as_ref()[start..end]))
    }
}

macro_rules! as_slice {
    ($t:ty $(, $n:ident)?) => {
        impl<D: AsRef<[i32]> + Sync $(, const $n: usize)?> Discrete for $t {
            fn n_trajectories(&self) -> usize {
                self.len()
            }
            fn n_frames(&self, trajectory: usize) -> usize {
                self[..].n_frames(trajectory)
            }
            fn span(
                &self,
                trajectory: usize,
                start: usize,
                end: usize,
            ) -> Result<Cow<'_, [i32]>, MsmError> {
                self[..].span(trajectory, start, end)
            }
        }
    };
}
as_slice!(Vec<D>);
as_slice!([D; N], N);

/// Calls `take` with trajectory, first frame and states of every span.
pub(crate) fn each_span<S: Discrete + ?Sized>(
    all: &S,
    mut take: impl FnMut(usize, usize, &[i32]) -> Result<(), MsmError>,
) -> Result<(), MsmError> {
    for trajectory in 0..all.n_trajectories() {
        let n = all.n_frames(trajectory);
        for start in (0..n).step_by(SPAN) {
            take(trajectory, start, &all.span(trajectory, start, (start + SPAN).min(n))?)?;
        }
    }
    Ok(())
}

/// Calls `take` with the states that pairs `lag` apart start from and those that they reach, `piece`
/// pairs of a trajectory at a time.
pub(crate) fn each_pair_span<S: Discrete + ?Sized>(
    all: &S,
    trajectory: usize,
    lag: usize,
    piece: usize,
    mut take: impl FnMut(&[i32], &[i32]),
) -> Result<(), MsmError> {
    let n_pairs = all.n_frames(trajectory).saturating_sub(lag);
    for start in (0..n_pairs).step_by(piece) {
        let end = (start + piece).min(n_pairs);
        take(&all.span(trajectory, start, end)?, &all.span(trajectory, start + lag, end + lag)?);
    }
    Ok(())
}

/// A state of every frame, two bytes each. A copy shares them.
#[derive(Clone, Debug)]
pub struct StateTrajectories {
    /// Where each trajectory ends among all frames.
    ends: Vec<usize>,
    stored: Arc<Stored>,
}

/// Takes the states of one trajectory after another.
#[derive(Debug)]
pub struct StateWriter {
    ends: Vec<usize>,
    n_frames: usize,
    spill: Spill,
}

impl StateWriter {
    /// Millions of states go to an unnamed file in `folder`; without one they stay in memory.
    pub fn new(folder: Option<&Path>) -> Self {
        Self { ends: vec![], n_frames: 0, spill: Spill::new(folder) }
    }

    /// Takes the next states of the current trajectory.
    pub fn push(&mut self, states: &[i32]) -> Result<(), MsmError> {
        if let Some(s) = states.iter().find(|s| !(NO_STATE..MAX_STATES as i32).contains(s)) {
            let n_states = usize::try_from(*s).map_or(0, |s| s + 1);
            return Err(MsmError::TooManyStates { n_states, max: MAX_STATES });
        }
        self.n_frames += states.len();
        self.spill.push(states.iter().flat_map(|s| (*s as i16).to_le_bytes()))
    }

    /// Ends the current trajectory.
    pub fn end_trajectory(&mut self) {
        self.ends.push(self.n_frames);
    }

    /// All of them.
    pub fn finish(self) -> Result<StateTrajectories, MsmError> {
        Ok(StateTrajectories { ends: self.ends, stored: Arc::new(self.spill.finish()?) })
    }
}

impl StateTrajectories {
    /// Of states in memory; -1 is no state.
    pub fn new<D: AsRef<[i32]>>(trajectories: &[D]) -> Result<Self, MsmError> {
        let mut writer = StateWriter::new(None);
        for t in trajectories {
            writer.push(t.as_ref())?;
            writer.end_trajectory();
        }
        writer.finish()
    }

    /// Of bytes that are stored already, two to a frame.
    pub(crate) fn from_stored(ends: Vec<usize>, stored: Stored) -> Self {
        Self { ends, stored: Arc::new(stored) }
    }

    /// Number of trajectories.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Frames of each trajectory.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).map(|t| self.n_frames(t))
    }

    /// Frames of all trajectories.
    pub fn total_frames(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Where each trajectory ends among all frames.
    pub(crate) fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// States of one trajectory.
    pub fn trajectory(&self, number: usize) -> Result<Vec<i32>, MsmError> {
        Ok(self.span(number, 0, self.n_frames(number))?.into_owned())
    }

    /// States of all trajectories: four bytes per frame, for what cannot be done span by span.
    pub fn to_vecs(&self) -> Result<Vec<Vec<i32>>, MsmError> {
        (0..self.len()).map(|t| self.trajectory(t)).collect()
    }

    /// Hands out all states as they are stored, span by span.
    pub(crate) fn each_bytes(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), MsmError>,
    ) -> Result<(), MsmError> {
        let n = self.total_frames();
        let mut bytes = vec![0; 2 * SPAN.min(n)];
        for start in (0..n).step_by(SPAN) {
            let bytes = &mut bytes[..2 * SPAN.min(n - start)];
            self.stored.read(2 * start as u64, bytes)?;
            take(bytes)?;
        }
        Ok(())
    }
}

impl Default for StateTrajectories {
    fn default() -> Self {
        Self::from_stored(vec![], Stored::Memory(vec![]))
    }
}

impl PartialEq for StateTrajectories {
    fn eq(&self, other: &Self) -> bool {
        let same =
            |t| matches!((self.trajectory(t), other.trajectory(t)), (Ok(a), Ok(b)) if a == b);
        self.ends == other.ends && (0..self.len()).all(same)
    }
}

impl Discrete for StateTrajectories {
    fn n_trajectories(&self) -> usize {
        self.len()
    }

    fn n_frames(&self, trajectory: usize) -> usize {
        self.ends[trajectory] - self.first(trajectory)
    }

    fn span(
        &self,
        trajectory: usize,
        start: usize,
        end: usize,
    ) -> Result<Cow<'_, [i32]>, MsmError> {
        let mut bytes = vec![0; 2 * (end - start)];
        self.stored.read(2 * (self.first(trajectory) + start) as u64, &mut bytes)?;
        let (pairs, _) = bytes.as_chunks::<2>();
        Ok(Cow::Owned(pairs.iter().map(|b| i32::from(i16::from_le_bytes(*b))).collect()))
    }
}

impl StateTrajectories {
    fn first(&self, trajectory: usize) -> usize {
        trajectory.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

/// Trajectories of which every state is renamed; states without a name become [`NO_STATE`].
pub(crate) struct Renamed<'a> {
    pub states: &'a StateTrajectories,
    pub names: &'a [Option<usize>],
}

impl Renamed<'_> {
    pub fn name(names: &[Option<usize>], state: i32) -> i32 {
        usize::try_from(state).ok().and_then(|s| names[s]).map_or(NO_STATE, |n| n as i32)
    }
}

impl Discrete for Renamed<'_> {
    fn n_trajectories(&self) -> usize {
        self.states.len()
    }

    fn n_frames(&self, trajectory: usize) -> usize {
        self.states.n_frames(trajectory)
    }

    fn span(
        &self,
        trajectory: usize,
        start: usize,
        end: usize,
    ) -> Result<Cow<'_, [i32]>, MsmError> {
        let states = self.states.span(trajectory, start, end)?;
        Ok(Cow::Owned(states.iter().map(|s| Self::name(self.names, *s)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CountMode, count_transitions};

    fn long(n: usize, seed: usize) -> Vec<i32> {
        (0..n).map(|i| ((i * i / 7 + seed) % 5) as i32 - 1).collect()
    }

    #[test]
    fn a_file_counts_like_memory() {
        let folder = tempfile::tempdir().unwrap();
        let data = [long(3_000_000, 1), vec![], long(70_000, 2), long(9, 3)];
        let mut writer = StateWriter::new(Some(folder.path()));
        for t in &data {
            t.chunks(1000).for_each(|p| writer.push(p).unwrap());
            writer.end_trajectory();
        }
        let filed = writer.finish().unwrap();
        assert!(matches!(*filed.stored, Stored::File { .. }));
        assert_eq!(filed, StateTrajectories::new(&data).unwrap());
        assert_eq!(filed.to_vecs().unwrap(), data);
        assert_eq!((filed.len(), filed.total_frames()), (4, 3_070_009));
        for (mode, lag) in
            [(CountMode::Sliding, 1), (CountMode::Sample, 7), (CountMode::Sliding, 100_000)]
        {
            let a = count_transitions(&data, 4, lag, mode).unwrap();
            let b = count_transitions(&filed, 4, lag, mode).unwrap();
            assert_eq!(
                (a.counts, a.populations, a.warnings),
                (b.counts, b.populations, b.warnings)
            );
        }
    }

    #[test]
    fn states_that_do_not_fit_are_refused() {
        assert!(StateTrajectories::new(&[vec![0, MAX_STATES as i32]]).is_err());
        assert!(StateTrajectories::new(&[vec![-2]]).is_err());
        let none = StateTrajectories::default();
        assert!(none.is_empty() && none.total_frames() == 0);
    }
}
