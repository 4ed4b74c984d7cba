//! A trajectory that comes back in pieces: frames of an engine's own memory, or of a file, in the
//! caller's order. The head of a run is seen and not kept: right after a jump, MD is out of
//! equilibrium and must not be counted.

use std::path::Path;
use std::sync::Arc;

use marsfm_host::Host;
use marsfm_trajectory::{Clock, Frame};

use super::{Atoms, SessionError, Start};

/// Frames of one run, equally spaced in time.
pub struct Recording {
    pub(super) atoms: Arc<Atoms>,
    pub(super) name: String,
    pub(super) frame_ps: f64,
    /// What is kept, residue by residue.
    pub(super) frames: Vec<Frame>,
    discard: usize,
    seen: usize,
}

impl Recording {
    /// An empty recording. Frames come every `frame_ps`; those within `discard_ps` of the first
    /// one are not kept. The name is for messages and travels in the model.
    pub fn new(
        atoms: Arc<Atoms>,
        name: &str,
        frame_ps: f64,
        discard_ps: f64,
    ) -> Result<Self, SessionError> {
        if !(frame_ps.is_finite() && frame_ps > 0.0) {
            return Err(SessionError::Request(format!(
                "frame_ps is {frame_ps}; it must be above 0"
            )));
        }
        let discard = (discard_ps / frame_ps - 1e-6).ceil();
        if !(discard_ps >= 0.0 && discard < 1e15) {
            return Err(SessionError::Request(format!("discard_ps is {discard_ps}")));
        }
        let (name, discard) = (name.to_owned(), discard.max(0.0) as usize);
        Ok(Self { atoms, name, frame_ps, frames: Vec::new(), discard, seen: 0 })
    }

    /// Reads all frames of a file whose atoms are in the caller's order. `frame_ps` is for files
    /// that cannot tell the time between frames, and is compared with the others.
    pub fn from_file(
        host: &Host,
        atoms: Arc<Atoms>,
        path: &Path,
        frame_ps: Option<f64>,
        discard_ps: f64,
    ) -> Result<Self, SessionError> {
        let file = |e: &dyn std::fmt::Display| SessionError::File(e.to_string());
        let name = path.display().to_string();
        let mut clock = Clock::new(frame_ps).map_err(|e| SessionError::Request(e.to_string()))?;
        let mut source = host.open(path, Some(atoms.len())).map_err(|e| file(&e))?;
        let (mut frames, mut frame) = (Vec::new(), Frame::default());
        while source.read(&mut frame).map_err(|e| file(&e))? {
            clock.see(&name, frames.len(), frame.time_ps).map_err(|e| file(&e))?;
            let positions_nm: Vec<_> =
                frame.positions_nm.iter().map(|p| p.map(f64::from)).collect();
            let cell_nm = frame.cell_nm.map(|c| c.map(|row| row.map(f64::from)));
            let start = Start { positions_nm: &positions_nm, cell_nm };
            let at = |e| SessionError::File(format!("{name}, frame {}: {e}", frames.len()));
            frames.push(start.frame(&atoms).map_err(at)?);
        }
        let frame_ps = clock.frame_ps().map_err(|e| file(&e))?;
        let mut recording = Self::new(atoms, &name, frame_ps, discard_ps)?;
        recording.seen = frames.len();
        recording.frames = frames.split_off(recording.discard.min(frames.len()));
        Ok(recording)
    }

    /// Takes the next frame.
    pub fn append(&mut self, frame: &Start) -> Result<(), SessionError> {
        let frame = frame.frame(&self.atoms)?;
        if self.seen >= self.discard {
            self.frames.push(frame);
        }
        self.seen += 1;
        Ok(())
    }

    /// The atoms, in the caller's order.
    pub fn atoms(&self) -> &Arc<Atoms> {
        &self.atoms
    }

    /// Frames that count.
    pub fn n_kept(&self) -> usize {
        self.frames.len()
    }

    /// Frames taken, the head included.
    pub fn n_seen(&self) -> usize {
        self.seen
    }

    /// Time between frames, ps.
    pub fn frame_ps(&self) -> f64 {
        self.frame_ps
    }
}
