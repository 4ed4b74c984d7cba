//! Errors of the loop.

use std::path::Path;

/// What went wrong, in words that name the file, the epoch and the seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoopError {
    message: String,
    stopped: bool,
}

impl LoopError {
    /// About a file or folder.
    pub fn new(path: &Path, message: &str) -> Self {
        Self::words(format!("{}: {message}", path.display()))
    }

    /// In these words.
    pub fn words(message: impl Into<String>) -> Self {
        Self { message: message.into(), stopped: false }
    }

    /// A file could not be read or written.
    pub fn io(path: &Path, error: &std::io::Error) -> Self {
        let text = error.to_string();
        let name = path.display().to_string();
        Self::words(if text.contains(&name) { text } else { format!("{name}: {text}") })
    }

    /// Marks an error after which the same command can simply be run again.
    pub fn stopped(mut self) -> Self {
        self.stopped = true;
        self
    }

    /// True if running the same command again, after what it names is mended, goes on.
    pub fn can_go_on(&self) -> bool {
        self.stopped
    }
}

impl From<marsfm_msm::MsmError> for LoopError {
    fn from(e: marsfm_msm::MsmError) -> Self {
        Self::words(e.to_string())
    }
}
