//! Many trajectories as one indexed set that keeps them apart: a frame is (trajectory, frame), and
//! no lag ever crosses from one trajectory into the next. Positions nm, times ps.

use crate::clock::{Clock, lag_in_frames};
use crate::{Frame, FrameSource, TrajectoryError};

/// How a dataset is read.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Keeps frames 0, stride, 2 stride, … of each trajectory.
    pub stride: usize,
    /// Time between the *stored* frames of the files, ps (before the stride). Needed where files
    /// carry no trustworthy time; compared with the times where they do.
    pub frame_ps: Option<f64>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { stride: 1, frame_ps: None }
    }
}

/// One trajectory in memory.
#[derive(Clone, Debug)]
pub struct Trajectory {
    /// Where it came from, for messages.
    pub name: String,
    /// Frame by frame: `n_frames * n_atoms` positions, nm.
    positions_nm: Vec<[f32; 3]>,
    /// One cell per frame, or empty if no frame has one. nm.
    cells_nm: Vec<Option<[[f32; 3]; 3]>>,
    /// Time of the first frame, ps, if trusted.
    pub first_time_ps: Option<f64>,
    n_atoms: usize,
}

impl Trajectory {
    /// Number of frames.
    pub fn n_frames(&self) -> usize {
        self.positions_nm.len() / self.n_atoms
    }

    /// Positions of one frame, nm.
    pub fn positions_nm(&self, frame: usize) -> &[[f32; 3]] {
        &self.positions_nm[frame * self.n_atoms..(frame + 1) * self.n_atoms]
    }

    /// Positions of all frames, one after the other, nm.
    pub fn all_positions_nm(&self) -> &[[f32; 3]] {
        &self.positions_nm
    }

    /// Cell of one frame, nm.
    pub fn cell_nm(&self, frame: usize) -> Option<[[f32; 3]; 3]> {
        self.cells_nm.get(frame).copied().flatten()
    }
}

/// Trajectories of one molecule with one spacing in time.
#[derive(Clone, Debug)]
pub struct Dataset {
    trajectories: Vec<Trajectory>,
    n_atoms: usize,
    frame_ps: f64,
}

impl Dataset {
    /// Reads all frames of `sources` into memory. Errors: no source, an empty trajectory, atom
    /// counts that differ, unknown or unequal spacing in time.
    pub fn load(
        sources: Vec<Box<dyn FrameSource>>,
        options: LoadOptions,
    ) -> Result<Self, TrajectoryError> {
        if options.stride == 0 {
            return Err(whole("dataset", "a stride of 0 makes no sense; use 1 to keep all frames"));
        }
        let Some(n_atoms) = sources.first().map(|s| s.n_atoms()) else {
            return Err(whole("dataset", "no trajectory was given"));
        };
        let mut clock = Clock::new(options.frame_ps)?;
        let mut trajectories = Vec::with_capacity(sources.len());
        for mut source in sources {
            if source.n_atoms() != n_atoms {
                let message = format!(
                    "{} atoms, the first trajectory has {n_atoms}; all must be of one molecule",
                    source.n_atoms()
                );
                return Err(whole(source.name(), message));
            }
            trajectories.push(read(source.as_mut(), options.stride, &mut clock)?);
        }
        let stored_ps = clock.frame_ps()?;
        Ok(Self { trajectories, n_atoms, frame_ps: stored_ps * options.stride as f64 })
    }

    /// A dataset of frames from memory: one flat list of positions (nm) per trajectory.
    pub fn from_memory(
        trajectories: Vec<(String, Vec<[f32; 3]>)>,
        n_atoms: usize,
        frame_ps: f64,
    ) -> Result<Self, TrajectoryError> {
        if n_atoms == 0 || trajectories.is_empty() || !(frame_ps.is_finite() && frame_ps > 0.0) {
            let message = "needs a trajectory, an atom and a frame_ps above 0";
            return Err(whole("dataset from memory", message));
        }
        let mut kept = Vec::with_capacity(trajectories.len());
        for (name, positions_nm) in trajectories {
            if positions_nm.is_empty() || positions_nm.len() % n_atoms != 0 {
                let message =
                    format!("{} positions are no frames of {n_atoms} atoms", positions_nm.len());
                return Err(whole(&name, message));
            }
            let bad = positions_nm.iter().position(|p| !p.iter().all(|x| x.is_finite()));
            if let Some(i) = bad {
                let message = format!("atom {}: position is not finite", i % n_atoms);
                return Err(TrajectoryError::Frame { file: name, frame: i / n_atoms, message });
            }
            let cells_nm = Vec::new();
            kept.push(Trajectory { name, positions_nm, cells_nm, first_time_ps: None, n_atoms });
        }
        Ok(Self { trajectories: kept, n_atoms, frame_ps })
    }

    /// The trajectories, kept apart.
    pub fn trajectories(&self) -> &[Trajectory] {
        &self.trajectories
    }

    /// Atoms per frame.
    pub fn n_atoms(&self) -> usize {
        self.n_atoms
    }

    /// Time between kept frames, ps (the stride is counted in).
    pub fn frame_ps(&self) -> f64 {
        self.frame_ps
    }

    /// Frames of all trajectories together.
    pub fn n_frames(&self) -> usize {
        self.trajectories.iter().map(Trajectory::n_frames).sum()
    }

    /// Positions of frame (trajectory, frame), nm.
    pub fn positions_nm(&self, trajectory: usize, frame: usize) -> &[[f32; 3]] {
        self.trajectories[trajectory].positions_nm(frame)
    }

    /// (trajectory, frame) of the running number `index` over all frames.
    pub fn locate(&self, index: usize) -> Option<(usize, usize)> {
        let mut rest = index;
        for (t, trajectory) in self.trajectories.iter().enumerate() {
            let n = trajectory.n_frames();
            if rest < n {
                return Some((t, rest));
            }
            rest -= n;
        }
        None
    }

    /// `lag_ps` in kept frames. Errors if it is no whole number of frames, or none.
    pub fn lag_frames(&self, lag_ps: f64) -> Result<usize, TrajectoryError> {
        lag_in_frames(lag_ps, self.frame_ps)
    }
}

fn read(
    source: &mut dyn FrameSource,
    stride: usize,
    clock: &mut Clock,
) -> Result<Trajectory, TrajectoryError> {
    let (name, n_atoms) = (source.name().to_owned(), source.n_atoms());
    let kept = source.n_frames().map_or(0, |n| n.div_ceil(stride));
    let mut positions_nm = Vec::with_capacity(kept.saturating_mul(n_atoms).min(1 << 28));
    let (mut cells_nm, mut any_cell) = (Vec::new(), false);
    let mut frame = Frame::default();
    let (mut index, mut first) = (0usize, None);
    while source.read(&mut frame)? {
        if frame.positions_nm.len() != n_atoms {
            let message = format!("{} atoms instead of {n_atoms}", frame.positions_nm.len());
            return Err(TrajectoryError::Frame { file: name, frame: index, message });
        }
        if index == 0 {
            first = frame.time_ps;
        }
        clock.see(&name, index, frame.time_ps)?;
        if index.is_multiple_of(stride) {
            positions_nm.extend_from_slice(&frame.positions_nm);
            any_cell |= frame.cell_nm.is_some();
            cells_nm.push(frame.cell_nm);
        }
        index += 1;
    }
    if index == 0 || n_atoms == 0 {
        return Err(whole(&name, "the trajectory is empty: it holds no frame"));
    }
    if !any_cell {
        cells_nm = Vec::new();
    }
    Ok(Trajectory { name, positions_nm, cells_nm, first_time_ps: first, n_atoms })
}

fn whole(file: &str, message: impl Into<String>) -> TrajectoryError {
    TrajectoryError::Io { file: file.into(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake {
        name: String,
        times: Vec<Option<f64>>,
        next: usize,
        n_atoms: usize,
    }

    impl FrameSource for Fake {
        fn name(&self) -> &str {
            &self.name
        }
        fn n_atoms(&self) -> usize {
            self.n_atoms
        }
        fn n_frames(&self) -> Option<usize> {
            None
        }
        fn read(&mut self, frame: &mut Frame) -> Result<bool, TrajectoryError> {
            let Some(&time_ps) = self.times.get(self.next) else { return Ok(false) };
            frame.positions_nm = vec![[self.next as f32; 3]; self.n_atoms];
            frame.time_ps = time_ps;
            self.next += 1;
            Ok(true)
        }
        fn seek(&mut self, index: usize) -> Result<(), TrajectoryError> {
            self.next = index;
            Ok(())
        }
    }

    fn fake(name: &str, step: Option<f64>, n: usize, n_atoms: usize) -> Box<dyn FrameSource> {
        let times = (0..n).map(|i| step.map(|s| f64::from((100.0 + s * i as f64) as f32)));
        Box::new(Fake { name: name.into(), times: times.collect(), next: 0, n_atoms })
    }

    fn load(sources: Vec<Box<dyn FrameSource>>, frame_ps: Option<f64>) -> Result<Dataset, String> {
        Dataset::load(sources, LoadOptions { stride: 1, frame_ps }).map_err(|e| e.to_string())
    }

    #[test]
    fn trajectories_stay_apart_and_the_stride_counts_into_the_spacing() {
        let sources = vec![fake("a", Some(0.1), 10, 2), fake("b", Some(0.1), 5, 2)];
        let set = Dataset::load(sources, LoadOptions { stride: 3, frame_ps: None }).unwrap();
        assert_eq!(set.n_frames(), 4 + 2);
        assert!((set.frame_ps() - 0.3).abs() < 1e-12, "{}", set.frame_ps());
        assert_eq!(set.positions_nm(1, 1), [[3.0; 3]; 2]);
        assert_eq!(set.locate(4), Some((1, 0)));
        assert_eq!(set.locate(6), None);
        assert_eq!(set.lag_frames(0.6).unwrap(), 2);
        assert!(set.lag_frames(0.7).is_err());
        assert!(set.lag_frames(0.0).is_err());
    }

    #[test]
    fn a_given_spacing_serves_untrusted_times_and_is_compared_with_trusted_ones() {
        assert_eq!(load(vec![fake("a", None, 3, 1)], Some(5.0)).unwrap().frame_ps(), 5.0);
        let error = load(vec![fake("a", None, 3, 1)], None).unwrap_err();
        assert!(error.contains("--frame-ps"), "{error}");
        let error = load(vec![fake("a.xtc", Some(1.0), 3, 1)], Some(2.0)).unwrap_err();
        assert!(error.contains("a.xtc, frame 1") && error.contains("frame_ps says 2"), "{error}");
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let error = load(vec![fake("a", Some(1.0), 3, 1), fake("b", Some(2.0), 3, 1)], None);
        assert!(error.unwrap_err().contains("b, frame 1"));
        let error = load(vec![fake("a", Some(1.0), 3, 1), fake("b", Some(1.0), 3, 2)], None);
        assert!(error.unwrap_err().starts_with("b: 2 atoms"));
        assert!(load(vec![fake("a", Some(1.0), 0, 1)], None).unwrap_err().contains("empty"));
        assert!(load(vec![], None).unwrap_err().contains("no trajectory"));
    }

    #[test]
    fn frames_from_memory_must_be_whole_and_finite() {
        let set = Dataset::from_memory(vec![("m".into(), vec![[0.0; 3]; 6])], 3, 1.0).unwrap();
        assert_eq!(set.n_frames(), 2);
        assert!(Dataset::from_memory(vec![("m".into(), vec![[0.0; 3]; 5])], 3, 1.0).is_err());
        let mut bad = vec![[0.0; 3]; 6];
        bad[4][1] = f32::NAN;
        let error = Dataset::from_memory(vec![("m".into(), bad)], 3, 1.0).unwrap_err().to_string();
        assert!(error.contains("m, frame 1: atom 1"), "{error}");
    }
}
