//! One snapshot of positions, and the traits through which snapshots come and go. File formats
//! are plugins' business; this room only knows frames.

use crate::TrajectoryError;

/// One snapshot: positions in nm, cell vectors in nm, time in ps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Positions, nm, one per atom in topology order.
    pub positions_nm: Vec<[f32; 3]>,
    /// Cell vectors a, b, c as rows, nm; `None` without periodicity.
    pub cell_nm: Option<[[f32; 3]; 3]>,
    /// Time in ps; `None` if the format has no trustworthy time.
    pub time_ps: Option<f64>,
}

/// Frames of one trajectory in time order. One source serves one thread.
pub trait FrameSource: Send {
    /// Where the frames come from, for messages.
    fn name(&self) -> &str;
    /// Atoms per frame.
    fn n_atoms(&self) -> usize;
    /// Number of frames, if it is known without reading all of them.
    fn n_frames(&self) -> Option<usize>;
    /// Reads the next frame into `frame` (reusing its memory). `Ok(false)` at the end.
    fn read(&mut self, frame: &mut Frame) -> Result<bool, TrajectoryError>;
    /// The next `read` yields frame `index` (0-based).
    fn seek(&mut self, index: usize) -> Result<(), TrajectoryError>;
}

/// Takes frames in time order; nothing appears under the final name before `finish`.
pub trait FrameSink: Send {
    /// Appends one frame.
    fn write(&mut self, frame: &Frame) -> Result<(), TrajectoryError>;
    /// Flushes and gives the file its final name.
    fn finish(self: Box<Self>) -> Result<(), TrajectoryError>;
}
