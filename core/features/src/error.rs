//! What can be wrong with a feature request, said for the person who has to mend it.

use marsfm_trajectory::TrajectoryError;

/// An error about features: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// The topology does not have what the feature is made of.
    #[error("no {feature}: {message}")]
    Topology {
        /// The feature asked for.
        feature: &'static str,
        /// What is missing, and what to do.
        message: String,
    },
    /// Positions and topology have different numbers of atoms.
    #[error(
        "the frame has {found} atoms but the topology has {expected}; use the topology the trajectory was written with"
    )]
    AtomCount {
        /// Atoms of the topology.
        expected: usize,
        /// Atoms of the frame.
        found: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error(
        "atom {atom} (0-based) has the position {position:?} nm; positions must be finite, so drop or repair this frame"
    )]
    NotFinite {
        /// 0-based atom index.
        atom: usize,
        /// The offending position.
        position: [f32; 3],
    },
    /// The output row has the wrong length.
    #[error("the output row has {found} places, {expected} features were asked for")]
    RowLength {
        /// Number of features.
        expected: usize,
        /// Places in the row given.
        found: usize,
    },
    /// A cell that spans no volume.
    #[error("the periodic cell {0:?} nm has no volume; remove it or write the true cell")]
    FlatCell([[f32; 3]; 3]),
    /// Something went wrong in one frame of a trajectory.
    #[error("{source_name}, frame {frame}: {error}")]
    Frame {
        /// The trajectory's name.
        source_name: String,
        /// 0-based frame index.
        frame: usize,
        /// What happened.
        error: Box<FeatureError>,
    },
    /// The trajectory has no frame.
    #[error("{0} has no frame; give a trajectory with at least one")]
    NoFrames(String),
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] TrajectoryError),
}
