//! Moments of trajectories that arrive piece by piece, in memory of the lag plus one chunk.
//!
//! Pieces of any length give the same bits as [`PairMoments::of`] on whole trajectories: chunk
//! borders are counted from the start of each trajectory, whatever the pieces. The moments of each
//! finished trajectory are handed out; merged in the order of trajectories they give the total of
//! one run, wherever they were summed.

use crate::MsmError;
use crate::moments::{BLOCKS_PER_TASK, Block, CHUNK, Class, PairMoments, Scratch};
use crate::rows::{Real, Rows};

/// Sums one trajectory after another.
pub struct MomentStream {
    lag: usize,
    width: usize,
    /// Number of the trajectory, for errors.
    trajectory: usize,
    /// Frames not yet finished with, row-major, and the number of the first of them.
    buffer: Vec<f64>,
    first: usize,
    /// Start of the next chunk.
    next: usize,
    task: PairMoments,
    blocks_in_task: usize,
    sum: PairMoments,
    scratch: Scratch,
}

impl MomentStream {
    /// A stream of frames with `width` features, for pairs `lag` frames apart.
    pub fn new(lag: usize, width: usize) -> Result<Self, MsmError> {
        if width == 0 {
            return Err(MsmError::Shape { len: 0, width });
        }
        Ok(Self {
            lag,
            width,
            trajectory: 0,
            buffer: vec![],
            first: 0,
            next: 0,
            task: PairMoments::new(lag, width)?,
            blocks_in_task: 0,
            sum: PairMoments::new(lag, width)?,
            scratch: Scratch::new(width),
        })
    }

    /// Appends frames to the current trajectory.
    pub fn push<T: Real>(&mut self, rows: &Rows<'_, T>) -> Result<(), MsmError> {
        if rows.width() != self.width {
            return Err(MsmError::FeatureCount {
                trajectory: self.trajectory,
                expected: self.width,
                got: rows.width(),
            });
        }
        // In portions, so that a large piece does not fill the buffer.
        for start in (0..rows.n_rows()).step_by(CHUNK) {
            let end = (start + CHUNK).min(rows.n_rows());
            self.buffer.extend(rows.span(start, end).iter().map(|v| v.to_f64()));
            self.advance()?;
        }
        Ok(())
    }

    /// Ends the current trajectory and returns its moments; `None` if it is not longer than the
    /// lag.
    pub fn end_trajectory(&mut self) -> Result<Option<PairMoments>, MsmError> {
        let len = self.seen();
        let result = if len > self.lag {
            let pairs = len - self.lag;
            while self.next < pairs {
                let limit = if self.next < self.lag { self.lag.min(pairs) } else { pairs };
                self.block((self.next + CHUNK).min(limit))?;
            }
            self.next = self.lag.max(pairs);
            while self.next < len {
                let end = (self.next + CHUNK).min(len);
                self.add(Class::YOnly, end)?;
            }
            self.finish_task()?;
            let empty = PairMoments::new(self.lag, self.width)?;
            Some(std::mem::replace(&mut self.sum, empty))
        } else {
            let rows = Rows::new(&self.buffer, self.width)?;
            crate::rows::check_finite(&rows, self.trajectory, 0, rows.n_rows())?;
            None
        };
        self.trajectory += 1;
        self.buffer.clear();
        (self.first, self.next) = (0, 0);
        Ok(result)
    }

    /// Frames of the current trajectory so far.
    fn seen(&self) -> usize {
        self.first + self.buffer.len() / self.width
    }

    /// Sums every chunk that later frames cannot change.
    fn advance(&mut self) -> Result<(), MsmError> {
        loop {
            let limit = if self.next < self.lag { self.lag } else { usize::MAX };
            let end = (self.next + CHUNK).min(limit);
            if end + self.lag > self.seen() {
                return Ok(());
            }
            self.block(end)?;
            let done = (self.next - self.first) * self.width;
            self.buffer.drain(..done);
            self.first = self.next;
        }
    }

    fn block(&mut self, end: usize) -> Result<(), MsmError> {
        let class = if self.next < self.lag { Class::XOnly } else { Class::Both };
        self.add(class, end)
    }

    fn add(&mut self, class: Class, end: usize) -> Result<(), MsmError> {
        let rows = Rows::new(&self.buffer, self.width)?;
        let block = Block {
            trajectory: self.trajectory,
            class,
            start: self.next - self.first,
            end: end - self.first,
        };
        let first = self.first;
        self.task.add_block(&rows, &block, &mut self.scratch).map_err(|e| match e {
            MsmError::NotFinite { trajectory, frame, feature, value } => {
                MsmError::NotFinite { trajectory, frame: frame + first, feature, value }
            }
            other => other,
        })?;
        self.next = end;
        self.blocks_in_task += 1;
        if self.blocks_in_task == BLOCKS_PER_TASK {
            self.finish_task()?;
        }
        Ok(())
    }

    fn finish_task(&mut self) -> Result<(), MsmError> {
        if self.blocks_in_task > 0 {
            self.sum.merge(&self.task)?;
            self.task = PairMoments::new(self.lag, self.width)?;
            self.blocks_in_task = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::ou;

    #[test]
    fn pieces_of_any_length_give_the_bits_of_one_run() {
        let lengths = [30_000, 5, 700, 1500, 1030, 0, 9000];
        let data: Vec<Vec<f64>> =
            lengths.iter().enumerate().map(|(i, n)| ou(&[0.9, 0.5, 0.1], *n, i as u64)).collect();
        let rows: Vec<Rows<'_, f64>> = data.iter().map(|d| Rows::new(d, 3).unwrap()).collect();
        for lag in [1, 10, 512, 600, 1000, 2000] {
            let whole = PairMoments::of(&rows, lag).unwrap().0;
            for piece in [1, 77, 512, 100_000] {
                if piece == 1 && lag > 10 {
                    continue;
                }
                let mut stream = MomentStream::new(lag, 3).unwrap();
                let mut total = PairMoments::new(lag, 3).unwrap();
                let mut held = 0;
                for d in &data {
                    for p in d.chunks(3 * piece) {
                        stream.push(&Rows::new(p, 3).unwrap()).unwrap();
                        held = held.max(stream.buffer.len() / 3);
                    }
                    if let Some(m) = stream.end_trajectory().unwrap() {
                        total.merge(&m).unwrap();
                    }
                }
                assert_eq!(whole, total, "lag {lag}, pieces of {piece}");
                assert!(held <= 2 * lag + 2 * CHUNK, "{held} frames held at lag {lag}");
            }
        }
    }

    #[test]
    fn threads_give_the_same_bits() {
        let data: Vec<Vec<f64>> = (0..5).map(|i| ou(&[0.9, 0.5], 20_000, i)).collect();
        let rows: Vec<Rows<'_, f64>> = data.iter().map(|d| Rows::new(d, 2).unwrap()).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| PairMoments::of(&rows, 7).unwrap().0)
        };
        assert_eq!(run(1), run(4));
    }

    #[test]
    fn bad_frames_are_named_by_their_place_in_the_trajectory() {
        let mut x = ou(&[0.5], 4000, 1);
        x[3333] = f64::NAN;
        let mut stream = MomentStream::new(5, 1).unwrap();
        stream.push(&Rows::new(&x[..100], 1).unwrap()).unwrap();
        stream.end_trajectory().unwrap();
        let mut result = Ok(());
        for p in x.chunks(250) {
            result = result.and_then(|()| stream.push(&Rows::new(p, 1).unwrap()));
        }
        assert!(matches!(
            result,
            Err(MsmError::NotFinite { trajectory: 1, frame: 3333, feature: 0, .. })
        ));
        assert!(stream.push(&Rows::new(&[1.0, 2.0], 2).unwrap()).is_err());
    }
}
