//! TRR trajectories (GROMACS's own, XDR): positions, velocities, forces, box. Written in single
//! precision, which is that of GROMACS; read in either.

use marsfm_plugin_api::{PluginError, file_error, write_whole};
use std::path::Path;

const MAGIC: i32 = 1993;
const VERSION: &[u8; 12] = b"GMX_trn_file";

/// One frame; what a frame does not hold is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrrFrame {
    /// Time, ps.
    pub time_ps: f64,
    /// Box vectors as rows, nm.
    pub cell_nm: [[f64; 3]; 3],
    /// Positions, nm.
    pub positions_nm: Vec<[f64; 3]>,
    /// Velocities, nm/ps.
    pub velocities: Vec<[f64; 3]>,
    /// Forces, kJ/mol/nm.
    pub forces: Vec<[f64; 3]>,
}

/// Writes an archive of frames (positions, and velocities where there are some).
pub fn write(path: &Path, frames: &[TrrFrame]) -> Result<(), PluginError> {
    let mut out = Vec::new();
    for (step, frame) in frames.iter().enumerate() {
        let n = frame.positions_nm.len() as i32;
        let mut int = |x: i32| out.extend_from_slice(&x.to_be_bytes());
        int(MAGIC);
        int(VERSION.len() as i32 + 1);
        int(VERSION.len() as i32);
        out.extend_from_slice(VERSION);
        let mut int = |x: i32| out.extend_from_slice(&x.to_be_bytes());
        let v = if frame.velocities.is_empty() { 0 } else { 12 * n };
        // Sizes of: ir, e, box, vir, pres, top, sym, x, v, f; then atoms, step, nre.
        for size in [0, 0, 36, 0, 0, 0, 0, 12 * n, v, 0, n, step as i32, 0] {
            int(size);
        }
        let mut real = |x: f64| out.extend_from_slice(&(x as f32).to_be_bytes());
        real(frame.time_ps);
        real(0.0); // lambda
        let rows = frame.cell_nm.iter().chain(&frame.positions_nm).chain(&frame.velocities);
        rows.flatten().for_each(|x| real(*x));
    }
    write_whole(path, &out)
}

/// The last frame that has positions.
pub fn read_last(path: &Path) -> Result<TrrFrame, PluginError> {
    let bytes = std::fs::read(path).map_err(|e| file_error(path, &e))?;
    let mut rest = Cursor(&bytes);
    let mut last = None;
    while !rest.0.is_empty() {
        let frame = rest.frame().ok_or_else(|| {
            PluginError::format(format!("{}: damaged or cut short", path.display()))
        })?;
        if !frame.positions_nm.is_empty() {
            last = Some(frame);
        }
    }
    last.ok_or_else(|| PluginError::format(format!("{}: holds no positions", path.display())))
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn int(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn real(&mut self, double: bool) -> Option<f64> {
        match double {
            true => self.take().map(f64::from_be_bytes),
            false => self.take().map(|b| f64::from(f32::from_be_bytes(b))),
        }
    }

    fn rows(&mut self, size: usize, n: usize, double: bool) -> Option<Vec<[f64; 3]>> {
        if size == 0 {
            return Some(Vec::new());
        }
        // Not longer than the file, whatever the header says.
        if n > self.0.len() {
            return None;
        }
        let mut row = || Some([self.real(double)?, self.real(double)?, self.real(double)?]);
        (0..n).map(|_| row()).collect()
    }

    fn frame(&mut self) -> Option<TrrFrame> {
        if self.int()? != MAGIC || self.int()? != VERSION.len() as i32 + 1 {
            return None;
        }
        if self.int()? != VERSION.len() as i32 || &self.take::<12>()? != VERSION {
            return None;
        }
        let mut header = [0usize; 13];
        for value in &mut header {
            *value = usize::try_from(self.int()?).ok()?;
        }
        let [_, _, cell, vir, pres, _, _, x, v, f, n, _, _] = header;
        let double = match (cell, x.max(v).max(f)) {
            (0, bytes) => n > 0 && bytes == 24 * n,
            (bytes, _) => bytes == 72,
        };
        let time_ps = self.real(double)?;
        self.real(double)?;
        let mut cell_nm = [[0.0; 3]; 3];
        for (to, from) in cell_nm.iter_mut().zip(self.rows(cell, 3, double)?) {
            *to = from;
        }
        self.rows(vir, 3, double)?;
        self.rows(pres, 3, double)?;
        let positions_nm = self.rows(x, n, double)?;
        let velocities = self.rows(v, n, double)?;
        let forces = self.rows(f, n, double)?;
        Some(TrrFrame { time_ps, cell_nm, positions_nm, velocities, forces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_in_single_precision_and_damage_is_an_error() {
        let folder = crate::child::scratch().unwrap();
        let path = folder.path().join("a.trr");
        let frame = |time_ps: f64| TrrFrame {
            time_ps,
            cell_nm: [[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.5, 0.0, 5.0]],
            positions_nm: vec![[0.1, 0.2, 0.3], [1.0, -2.5, time_ps]],
            velocities: vec![[0.5, 0.25, 0.0], [-1.0, 0.0, 2.0]],
            forces: Vec::new(),
        };
        write(&path, &[frame(0.0), frame(1.0)]).unwrap();
        let last = read_last(&path).unwrap();
        let single = |rows: &[[f64; 3]]| -> Vec<[f64; 3]> {
            rows.iter().map(|r| r.map(|x| f64::from(x as f32))).collect()
        };
        let asked = frame(1.0);
        assert_eq!(last.positions_nm, single(&asked.positions_nm));
        assert_eq!(last.velocities, asked.velocities);
        assert_eq!((last.time_ps, last.cell_nm), (1.0, asked.cell_nm));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&path, &bytes).unwrap();
        assert!(read_last(&path).unwrap_err().message.contains("cut short"));
        std::fs::write(&path, b"").unwrap();
        assert!(read_last(&path).unwrap_err().message.contains("no positions"));
    }
}
