//! Frames, frame sources, datasets of many trajectories and atomic output files. No file format
//! is known here: formats are plugins, adapted to [`FrameSource`] and [`FrameSink`] by the host.

mod atomic_file;
mod clock;
mod dataset;
mod error;
mod frame;

pub use atomic_file::{AtomicFile, AtomicPath, write_atomically};
pub use clock::{Clock, lag_in_frames};
pub use dataset::{Dataset, LoadOptions, Trajectory};
pub use error::TrajectoryError;
pub use frame::{Frame, FrameSink, FrameSource};
