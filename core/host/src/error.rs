//! What can go wrong between a file or plugin and the frames in it.

use marsfm_trajectory::TrajectoryError;

/// An error of the host: which file or plugin, what, what to do.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A plugin was not loaded. `source()` holds the loader's own text, if it was its refusal.
    #[error("plugin {path} refused: {why}")]
    Refused {
        /// The plugin's file.
        path: String,
        /// Why, and what to do.
        why: String,
        /// The loader's own error.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// No loaded plugin knows the format.
    #[error("{file}: no plugin can {action} `.{extension}` files; known: {known}")]
    UnknownFormat {
        /// The file as the caller named it.
        file: String,
        /// `read frames of`, `write`, `read the atoms of`.
        action: &'static str,
        /// The file's extension.
        extension: String,
        /// What would be possible instead.
        known: String,
    },
    /// Trajectory and topology differ in their number of atoms.
    #[error(
        "{file}: {found} atoms, but the topology has {expected}; use the topology of the same atoms in the same order"
    )]
    AtomCount {
        /// The file as the caller named it.
        file: String,
        /// Atoms in the topology.
        expected: usize,
        /// Atoms in the file.
        found: usize,
    },
    /// A plugin reported a failure.
    #[error("{file}: {message} (plugin {plugin})")]
    Plugin {
        /// The file as the caller named it.
        file: String,
        /// The plugin's name.
        plugin: String,
        /// The plugin's text, or what its status means.
        message: String,
        /// The plugin's status.
        status: i32,
    },
    /// A file is unusable, whatever its format.
    #[error("{file}: {message}")]
    File {
        /// The file as the caller named it.
        file: String,
        /// What happened, and what to do.
        message: String,
    },
    /// A device cannot be used.
    #[error("no {} device: {message}", if device.starts_with("cuda") { "CUDA" } else { device })]
    Device {
        /// The device as the caller named it.
        device: String,
        /// Why, and what to do.
        message: String,
    },
    /// A model cannot be used.
    #[error(transparent)]
    Model(#[from] marsfm_surrogate::SurrogateError),
    /// An error about frames.
    #[error(transparent)]
    Trajectory(#[from] TrajectoryError),
}

impl HostError {
    /// The same error for code that knows only trajectories.
    pub fn into_trajectory(self) -> TrajectoryError {
        match self {
            Self::Trajectory(error) => error,
            Self::Plugin { file, plugin, message, .. } => {
                TrajectoryError::Io { file, message: format!("{message} (plugin {plugin})") }
            }
            Self::File { file, message } => TrajectoryError::Io { file, message },
            other => TrajectoryError::Io { file: "plugin host".into(), message: other.to_string() },
        }
    }
}
