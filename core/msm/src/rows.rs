//! Views of feature trajectories: frames are rows, features are columns, row-major.

use crate::MsmError;

/// Element types of features; sums are kept in f64 for both.
pub trait Real: crate::kernels::Lane + std::fmt::Debug {
    /// Widens to f64.
    fn to_f64(self) -> f64;
}

impl Real for f64 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
}

impl Real for f32 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

/// One trajectory: `n_rows` frames of `width` features, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T = f64> {
    data: &'a [T],
    width: usize,
}

impl<'a, T: Real> Rows<'a, T> {
    /// Wraps a flat row-major array; its length must be a multiple of `width`, which is not 0.
    pub fn new(data: &'a [T], width: usize) -> Result<Self, MsmError> {
        if width == 0 || !data.len().is_multiple_of(width) {
            return Err(MsmError::Shape { len: data.len(), width });
        }
        Ok(Self { data, width })
    }

    /// Number of frames.
    pub fn n_rows(&self) -> usize {
        self.data.len() / self.width
    }

    /// Number of features per frame.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One frame.
    #[inline(always)]
    pub fn row(&self, frame: usize) -> &'a [T] {
        &self.data[frame * self.width..(frame + 1) * self.width]
    }

    /// Frames `start..end` as one flat slice.
    #[inline(always)]
    pub fn span(&self, start: usize, end: usize) -> &'a [T] {
        &self.data[start * self.width..end * self.width]
    }
}

/// The common width of a set of trajectories (empty ones count too), or why there is none.
pub(crate) fn common_width<T: Real>(trajectories: &[Rows<'_, T>]) -> Result<usize, MsmError> {
    let first = trajectories.first().ok_or(MsmError::NoFrames)?;
    for (trajectory, rows) in trajectories.iter().enumerate() {
        if rows.width != first.width {
            return Err(MsmError::FeatureCount {
                trajectory,
                expected: first.width,
                got: rows.width,
            });
        }
    }
    Ok(first.width)
}

/// The first value that is NaN or infinite in frames `start..end`, as an error.
pub(crate) fn check_finite<T: Real>(
    rows: &Rows<'_, T>,
    trajectory: usize,
    start: usize,
    end: usize,
) -> Result<(), MsmError> {
    let finite = |v: &T| *v < T::INFINITY && *v > T::NEG_INFINITY; // NaN is neither
    // Whole blocks without branches first; the place is only looked for in a bad one.
    let bad = rows.span(start, end).chunks(4096).enumerate().find_map(|(block, values)| {
        let good = values.iter().fold(true, |ok, v| ok & finite(v));
        if good { None } else { values.iter().position(|v| !finite(v)).map(|i| block * 4096 + i) }
    });
    match bad {
        None => Ok(()),
        Some(at) => Err(MsmError::NotFinite {
            trajectory,
            frame: start + at / rows.width,
            feature: at % rows.width,
            value: rows.span(start, end)[at].to_f64().to_string(),
        }),
    }
}
