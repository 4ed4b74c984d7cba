//! What can be wrong with a trajectory, said for the person who has to mend it.

/// An error about frames: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum TrajectoryError {
    /// A file could not be opened, read or written.
    #[error("{file}: {message}")]
    Io {
        /// The file as the caller named it.
        file: String,
        /// What happened, and what to do.
        message: String,
    },
    /// A frame is unusable.
    #[error("{file}, frame {frame}: {message}")]
    Frame {
        /// The file as the caller named it.
        file: String,
        /// 0-based frame index.
        frame: usize,
        /// What happened, and what to do.
        message: String,
    },
}
