//! From frames to rows: the trait every featurizer fulfils, the matrix of one trajectory, and
//! the parallel loops that fill it. Rows do not depend on the number of threads or on how the
//! frames are read in blocks.

use marsfm_trajectory::{Frame, FrameSource};
use rayon::prelude::*;

use crate::FeatureError;

/// Frames read ahead of the parallel loop in [`compute_source`].
const BLOCK_FRAMES: usize = 512;

/// Turns one frame into one row of numbers.
pub trait Featurizer: Send + Sync {
    /// Length of a row.
    fn n_features(&self) -> usize;
    /// A name per column, such as `cos(phi ALA2)`.
    fn names(&self) -> Vec<String>;
    /// Fills `out` (`n_features` places) from positions in nm (topology order) and the cell
    /// vectors as rows in nm, if periodic.
    fn compute(
        &self,
        positions_nm: &[[f32; 3]],
        cell_nm: Option<&[[f32; 3]; 3]>,
        out: &mut [f64],
    ) -> Result<(), FeatureError>;
}

/// Features of one trajectory, row-major: `n_frames` × `n_features`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureMatrix {
    n_features: usize,
    data: Vec<f64>,
}

impl FeatureMatrix {
    /// From row-major numbers. `None` if `data` is not a whole number of rows.
    pub fn from_rows(n_features: usize, data: Vec<f64>) -> Option<Self> {
        data.len().is_multiple_of(n_features).then_some(Self { n_features, data })
    }

    /// Number of rows.
    pub fn n_frames(&self) -> usize {
        self.data.len().checked_div(self.n_features).unwrap_or(0)
    }

    /// Number of columns.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Row `frame`.
    pub fn row(&self, frame: usize) -> &[f64] {
        &self.data[frame * self.n_features..(frame + 1) * self.n_features]
    }

    /// The numbers, row after row.
    pub fn as_slice(&self) -> &[f64] {
        &self.data
    }

    /// One column.
    pub fn column(&self, feature: usize) -> Vec<f64> {
        (0..self.n_frames()).map(|f| self.row(f)[feature]).collect()
    }

    /// Gives the numbers away.
    pub fn into_vec(self) -> Vec<f64> {
        self.data
    }
}

/// Features of frames in memory, in parallel. `name` appears in errors.
pub fn compute_all(
    featurizer: &dyn Featurizer,
    name: &str,
    frames: &[Frame],
) -> Result<FeatureMatrix, FeatureError> {
    if frames.is_empty() {
        return Err(FeatureError::NoFrames(name.into()));
    }
    let n = featurizer.n_features();
    let mut data = vec![0.0; n * frames.len()];
    fill(featurizer, name, 0, frames, &mut data)?;
    Ok(FeatureMatrix { n_features: n, data })
}

/// Features of every `stride`-th frame that `source` still has, read in blocks so that only the
/// rows stay in memory. `stride` 0 counts as 1.
pub fn compute_source(
    featurizer: &dyn Featurizer,
    source: &mut dyn FrameSource,
    stride: usize,
) -> Result<FeatureMatrix, FeatureError> {
    let (n, stride) = (featurizer.n_features(), stride.max(1));
    let mut data = Vec::with_capacity(n * source.n_frames().unwrap_or(0).div_ceil(stride));
    stream_source(featurizer, source, stride, |rows| {
        data.extend_from_slice(rows);
        Ok::<_, FeatureError>(())
    })?;
    Ok(FeatureMatrix { n_features: n, data })
}

/// The same without keeping the rows: `take` gets them block by block (row-major, whole rows, in
/// time order). Returns the number of rows. An error of `take` ends the reading and is passed on.
pub fn stream_source<E: From<FeatureError>>(
    featurizer: &dyn Featurizer,
    source: &mut dyn FrameSource,
    stride: usize,
    mut take: impl FnMut(&[f64]) -> Result<(), E>,
) -> Result<usize, E> {
    let (n, stride) = (featurizer.n_features(), stride.max(1));
    let mut block = vec![Frame::default(); BLOCK_FRAMES];
    let mut rows = vec![0.0; BLOCK_FRAMES * n];
    let (mut kept, mut skipped) = (0, Frame::default());
    loop {
        let mut filled = 0;
        let mut more = true;
        while filled < BLOCK_FRAMES && more {
            more = source.read(&mut block[filled]).map_err(FeatureError::from)?;
            filled += usize::from(more);
            for _ in 1..stride {
                more = more && source.read(&mut skipped).map_err(FeatureError::from)?;
            }
        }
        let rows = &mut rows[..filled * n];
        fill(featurizer, source.name(), kept, &block[..filled], rows).map_err(|e| match e {
            FeatureError::Frame { source_name, frame, error } => {
                FeatureError::Frame { source_name, frame: frame * stride, error }
            }
            other => other,
        })?;
        take(rows)?;
        kept += filled;
        if !more {
            break;
        }
    }
    if kept == 0 {
        return Err(FeatureError::NoFrames(source.name().into()).into());
    }
    Ok(kept)
}

/// One row per frame into `out`; the error of the lowest frame wins, whatever the threads do.
fn fill(
    featurizer: &dyn Featurizer,
    name: &str,
    first: usize,
    frames: &[Frame],
    out: &mut [f64],
) -> Result<(), FeatureError> {
    let n = featurizer.n_features();
    if n == 0 {
        return Ok(());
    }
    let failure =
        out.par_chunks_exact_mut(n).zip(frames).enumerate().with_min_len(16).find_map_first(
            |(i, (row, frame))| {
                let done = featurizer.compute(&frame.positions_nm, frame.cell_nm.as_ref(), row);
                done.err().map(|error| (i, error))
            },
        );
    match failure {
        None => Ok(()),
        Some((i, error)) => Err(FeatureError::Frame {
            source_name: name.into(),
            frame: first + i,
            error: Box::new(error),
        }),
    }
}

/// Several featurizers side by side: their rows joined in the order given.
pub struct Combined(
    /// The parts, in column order.
    pub Vec<Box<dyn Featurizer>>,
);

impl Featurizer for Combined {
    fn n_features(&self) -> usize {
        self.0.iter().map(|f| f.n_features()).sum()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().flat_map(|f| f.names()).collect()
    }

    fn compute(
        &self,
        positions_nm: &[[f32; 3]],
        cell_nm: Option<&[[f32; 3]; 3]>,
        out: &mut [f64],
    ) -> Result<(), FeatureError> {
        check_row(self.n_features(), out)?;
        let mut rest = out;
        for part in &self.0 {
            let (row, tail) = rest.split_at_mut(part.n_features());
            part.compute(positions_nm, cell_nm, row)?;
            rest = tail;
        }
        Ok(())
    }
}

pub(crate) fn check_row(expected: usize, out: &[f64]) -> Result<(), FeatureError> {
    let found = out.len();
    if found == expected { Ok(()) } else { Err(FeatureError::RowLength { expected, found }) }
}

/// Atom count and finiteness of the atoms a featurizer uses.
pub(crate) fn check_positions(
    n_atoms: usize,
    positions_nm: &[[f32; 3]],
    used: impl IntoIterator<Item = usize>,
) -> Result<(), FeatureError> {
    let found = positions_nm.len();
    if found != n_atoms {
        return Err(FeatureError::AtomCount { expected: n_atoms, found });
    }
    for atom in used {
        let position = positions_nm[atom];
        if position.iter().any(|x| !x.is_finite()) {
            return Err(FeatureError::NotFinite { atom, position });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_trajectory::TrajectoryError;

    /// x of the first atom; refuses what is not finite.
    struct FirstX;

    impl Featurizer for FirstX {
        fn n_features(&self) -> usize {
            1
        }
        fn names(&self) -> Vec<String> {
            vec!["x".into()]
        }
        fn compute(
            &self,
            positions_nm: &[[f32; 3]],
            _: Option<&[[f32; 3]; 3]>,
            out: &mut [f64],
        ) -> Result<(), FeatureError> {
            check_positions(1, positions_nm, [0])?;
            out[0] = f64::from(positions_nm[0][0]);
            Ok(())
        }
    }

    struct Counter {
        at: usize,
        n: usize,
    }

    impl FrameSource for Counter {
        fn name(&self) -> &str {
            "counter.xtc"
        }
        fn n_atoms(&self) -> usize {
            1
        }
        fn n_frames(&self) -> Option<usize> {
            None
        }
        fn read(&mut self, frame: &mut Frame) -> Result<bool, TrajectoryError> {
            frame.positions_nm = vec![[self.at as f32, 0.0, 0.0]];
            self.at += 1;
            Ok(self.at <= self.n)
        }
        fn seek(&mut self, index: usize) -> Result<(), TrajectoryError> {
            self.at = index;
            Ok(())
        }
    }

    #[test]
    fn blocks_and_strides_keep_the_order() {
        for n in [1, 511, 512, 513, 1500] {
            for stride in [1, 7] {
                let m = compute_source(&FirstX, &mut Counter { at: 0, n }, stride).unwrap();
                let expected: Vec<f64> = (0..n).step_by(stride).map(|i| i as f64).collect();
                assert_eq!(m.as_slice(), expected, "{n} frames, stride {stride}");
            }
        }
    }

    #[test]
    fn an_empty_trajectory_is_named() {
        let error = compute_source(&FirstX, &mut Counter { at: 0, n: 0 }, 1).unwrap_err();
        assert!(error.to_string().contains("counter.xtc has no frame"), "{error}");
    }

    #[test]
    fn the_first_bad_frame_is_named() {
        let mut frames = vec![Frame { positions_nm: vec![[0.0; 3]], ..Frame::default() }; 300];
        frames[123].positions_nm[0][1] = f32::NAN;
        frames[250].positions_nm.clear();
        let error = compute_all(&FirstX, "a.xtc", &frames).unwrap_err().to_string();
        assert!(error.starts_with("a.xtc, frame 123: atom 0"), "{error}");
    }

    #[test]
    fn combined_joins_rows() {
        let both = Combined(vec![Box::new(FirstX), Box::new(FirstX)]);
        let mut row = [0.0; 2];
        both.compute(&[[3.0, 0.0, 0.0]], None, &mut row).unwrap();
        assert_eq!(row, [3.0, 3.0]);
        assert_eq!(both.names().len(), 2);
    }
}
