//! Frames through chemfiles: Å to nm, the cell's columns to rows, times only where they are ps.

use crate::plugin::{Known, failed, known};
use crate::{topology, warnings};
use chemfiles::{CellShape, Frame, Property, Trajectory};
use marsfm_plugin_api::{FrameMut, PluginError, ReadFrames};
use std::path::Path;

/// An opened trajectory.
pub struct Reader {
    trajectory: Trajectory,
    frame: Frame,
    known: Known,
    n_atoms: usize,
    n_frames: usize,
    next: usize,
    /// Atoms to keep where there are alternate locations.
    keep: Option<Vec<usize>>,
    raw_atoms: usize,
}

/// A position in nm.
pub fn nm(angstrom: [f64; 3]) -> [f32; 3] {
    angstrom.map(|x| (x / 10.0) as f32)
}

/// Cell vectors as rows, nm. chemfiles keeps them as columns, Å.
pub fn cell_nm(frame: &Frame) -> Option<[[f32; 3]; 3]> {
    let cell = frame.cell();
    if cell.shape() == CellShape::Infinite || cell.volume() == 0.0 {
        return None;
    }
    let m = cell.matrix();
    Some([0, 1, 2].map(|v| nm([m[0][v], m[1][v], m[2][v]])))
}

impl Reader {
    /// Opens the file and looks at its first frame.
    pub fn open(path: &Path) -> Result<Self, PluginError> {
        warnings::keep();
        let known = known(path)?;
        let mut trajectory = Trajectory::open_with_format(path, 'r', known.name)
            .map_err(|e| failed("cannot be opened", &e))?;
        let n_frames = trajectory.nsteps();
        if n_frames == 0 {
            return Err(PluginError::format("the trajectory is empty: it holds no frame"));
        }
        let mut frame = Frame::new();
        trajectory.read_step(0, &mut frame).map_err(|e| failed("frame 0", &e))?;
        let raw_atoms = frame.size();
        let keep = topology::kept(&frame);
        let n_atoms = keep.as_ref().map_or(raw_atoms, Vec::len);
        Ok(Self { trajectory, frame, known, n_atoms, n_frames, next: 0, keep, raw_atoms })
    }
}

impl ReadFrames for Reader {
    fn n_atoms(&self) -> usize {
        self.n_atoms
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.n_frames as u64)
    }

    fn read(&mut self, out: &mut FrameMut<'_>) -> Result<bool, PluginError> {
        if self.next >= self.n_frames {
            return Ok(false);
        }
        self.trajectory
            .read_step(self.next, &mut self.frame)
            .map_err(|e| failed(&format!("frame {}", self.next), &e))?;
        let got = self.frame.size();
        if got != self.raw_atoms {
            let (next, want) = (self.next, self.raw_atoms);
            let message = format!("frame {next}: {got} atoms, frame 0 has {want}");
            return Err(PluginError::mismatch(message));
        }
        if self.frame.get("has_positions") == Some(Property::Bool(false)) {
            let message = format!("frame {}: it has velocities or forces only", self.next);
            return Err(PluginError::format(message));
        }
        let positions = self.frame.positions();
        match &self.keep {
            None => {
                for (to, from) in out.positions_nm.iter_mut().zip(positions) {
                    *to = nm(*from);
                }
            }
            Some(keep) => {
                for (to, &from) in out.positions_nm.iter_mut().zip(keep) {
                    *to = nm(positions[from]);
                }
            }
        }
        out.cell_nm = cell_nm(&self.frame);
        if let Some(Property::Double(time)) = self.frame.get("time") {
            out.time_ps = Some(time);
            out.time_is_trusted = self.known.time_is_trusted;
        }
        self.next += 1;
        Ok(true)
    }

    fn seek(&mut self, index: u64) -> Result<(), PluginError> {
        match usize::try_from(index).ok().filter(|i| *i < self.n_frames) {
            Some(index) => {
                self.next = index;
                Ok(())
            }
            None => {
                let message = format!("there is no frame {index}, only {}", self.n_frames);
                Err(PluginError::invalid(message))
            }
        }
    }
}
