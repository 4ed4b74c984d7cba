//! An ensemble to score, and what of it is resampled together.

use std::ops::Range;

use anyhow::Result;
use marsfm_metrics::bootstrap::block_ranges;

use super::read::Read;
use super::record::Descent;

/// Stretches into which draws without descent are cut for resampling.
const DRAW_BLOCKS: usize = 200;
/// The same for a single replica.
const REPLICA_BLOCKS: usize = 10;

/// An ensemble to score.
pub struct Sample {
    /// Its frames.
    pub read: Read,
    /// What is resampled.
    pub(super) blocks: Vec<Range<usize>>,
    pub(super) kind: Kind,
}

/// How its frames belong together.
pub(super) enum Kind {
    Draws,
    Series,
    Trees { hops: Vec<(usize, usize)>, lag_ps: Option<f64> },
}

impl Sample {
    /// Every frame is a draw of its own.
    pub fn draws(read: Read) -> Self {
        let n = read.n_frames();
        Self { blocks: block_ranges(&[n], n.div_ceil(DRAW_BLOCKS)), read, kind: Kind::Draws }
    }

    /// Time series like MD.
    pub fn series(read: Read) -> Self {
        Self { blocks: replica_blocks(&read), read, kind: Kind::Series }
    }

    /// Frames of trees: sorted by tree, resampled by tree.
    pub fn trees(read: &Read, descent: &Descent, width: usize) -> Result<Self> {
        let grouped = descent.by_root(&read.place)?;
        let kind = Kind::Trees { hops: grouped.hops, lag_ps: descent.lag_ps };
        Ok(Self { read: read.reordered(&grouped.order, width), blocks: grouped.trees, kind })
    }
}

/// What is resampled: replicas, or ten stretches of a single one.
pub(super) fn replica_blocks(read: &Read) -> Vec<Range<usize>> {
    match read.files.as_slice() {
        [one] => block_ranges(&[one.1], one.1.div_ceil(REPLICA_BLOCKS)),
        _ => read.replicas(),
    }
}

/// Segments, cut where a block ends, by block.
pub(super) fn segments_by(
    blocks: &[Range<usize>],
    segments: &[Range<usize>],
) -> Vec<Vec<Range<usize>>> {
    let of = |block: &Range<usize>| {
        let cut = |s: &Range<usize>| s.start.max(block.start)..s.end.min(block.end);
        segments.iter().map(cut).filter(|s| !s.is_empty()).collect()
    };
    blocks.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_do_not_cross_blocks() {
        let cut = segments_by(&[0..10, 10..20], &[0..4, 4..15, 15..20]);
        assert_eq!(cut, [vec![0..4, 4..10], vec![10..15, 15..20]]);
    }
}
