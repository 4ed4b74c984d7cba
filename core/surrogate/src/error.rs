//! What can be wrong with a surrogate, its file or its input.

/// An error of the surrogate.
#[derive(Debug, thiserror::Error)]
pub enum SurrogateError {
    /// A configuration that no network can have.
    #[error("network configuration: {0}")]
    Config(String),
    /// A file that is not a usable checkpoint.
    #[error("{file}: {message}")]
    Checkpoint {
        /// The file as the caller named it.
        file: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// Input the network cannot take.
    #[error("surrogate input: {0}")]
    Input(String),
    /// The device, or what drives it, failed.
    #[error("{0}")]
    Backend(String),
    /// The tensor library failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}
