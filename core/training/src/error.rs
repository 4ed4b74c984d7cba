//! What can go wrong while training.

/// An error of a training run.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The data cannot be trained on.
    #[error("training data: {0}")]
    Data(String),
    /// A file of the run could not be used.
    #[error("{file}: {message}")]
    File {
        /// The file.
        file: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// The network failed.
    #[error(transparent)]
    Surrogate(#[from] marsfm_surrogate::SurrogateError),
    /// The tensor library failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] marsfm_surrogate::candle_core::Error),
    /// The loss is no longer a number.
    #[error(
        "the loss became {loss} at step {step}; lower learning_rate or clip_norm and start again"
    )]
    Diverged {
        /// Step at which it happened.
        step: u64,
        /// The loss.
        loss: f64,
    },
}
