//! What can be wrong with numbers to be compared.

/// An error about input numbers: which, where, what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// Nothing to compare.
    #[error("{what} is empty; give at least one value")]
    Empty {
        /// Which input.
        what: &'static str,
    },
    /// A value is NaN or infinite.
    #[error("{what}: value {index} (0-based) is {value}; drop or repair that frame")]
    NotFinite {
        /// Which input.
        what: &'static str,
        /// 0-based index.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Two inputs that belong together differ in length.
    #[error("{what}: {found} given, {expected} expected; both sides must describe the same things")]
    Length {
        /// Which input.
        what: &'static str,
        /// The length expected.
        expected: usize,
        /// The length given.
        found: usize,
    },
    /// A value outside its domain.
    #[error("{what} is {value}; {rule}")]
    Domain {
        /// Which input.
        what: &'static str,
        /// The value.
        value: f64,
        /// What would be right.
        rule: &'static str,
    },
}

pub(crate) fn check_finite(what: &'static str, values: &[f64]) -> Result<(), MetricError> {
    if values.is_empty() {
        return Err(MetricError::Empty { what });
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(MetricError::NotFinite { what, index, value: values[index] }),
        None => Ok(()),
    }
}

pub(crate) fn check_length(
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), MetricError> {
    if expected == found { Ok(()) } else { Err(MetricError::Length { what, expected, found }) }
}
