//! What can go wrong while sampling.

/// An error of a sampling request.
#[derive(Debug, thiserror::Error)]
pub enum SamplingError {
    /// The request makes no sense.
    #[error("sampling request: {0}")]
    Request(String),
    /// The surrogate failed.
    #[error(transparent)]
    Surrogate(#[from] marsfm_surrogate::SurrogateError),
    /// Geometry failed.
    #[error(transparent)]
    Geometry(#[from] marsfm_geometry::GeometryError),
}
