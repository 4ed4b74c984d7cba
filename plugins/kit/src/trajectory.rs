//! The trajectory of a run: an XTC file by molly's writer, which the XTC reader's tests already
//! trust. It appears under its name when it is whole.

use marsfm_plugin_api::{Partial, PluginError};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// 1/nm: positions are kept to 0.001 nm.
const PRECISION: f32 = 1000.0;

/// An XTC file being written.
pub struct Xtc {
    writer: molly::XTCWriter<BufWriter<File>>,
    frame: molly::Frame,
    partial: Partial,
}

impl Xtc {
    /// Starts the file.
    pub fn create(to: &Path) -> Result<Self, PluginError> {
        let (partial, file) = Partial::create(to)?;
        let frame = molly::Frame { precision: PRECISION, ..molly::Frame::default() };
        Ok(Self { writer: molly::XTCWriter::new(BufWriter::new(file)), frame, partial })
    }

    /// Appends a frame.
    pub fn write(
        &mut self,
        time_ps: f64,
        positions_nm: &[[f64; 3]],
        cell_nm: Option<[[f64; 3]; 3]>,
    ) -> Result<(), PluginError> {
        self.frame.time = time_ps as f32;
        self.frame.positions.clear();
        self.frame.positions.extend(positions_nm.as_flattened().iter().map(|x| *x as f32));
        self.frame.boxvec = [0.0; 9];
        if let Some(cell) = cell_nm {
            for (to, from) in self.frame.boxvec.iter_mut().zip(cell.as_flattened()) {
                *to = *from as f32;
            }
        }
        self.writer.write_frame(&self.frame).map_err(|e| self.partial.error(&e))?;
        self.frame.step += 1;
        Ok(())
    }

    /// Completes the file.
    pub fn finish(mut self) -> Result<(), PluginError> {
        self.writer.file.flush().map_err(|e| self.partial.error(&e))?;
        let file = self.writer.file.get_ref();
        let file = file.try_clone().map_err(|e| self.partial.error(&e))?;
        self.partial.finish(&file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_plugin_api::engine_abi::MARSFM_PLUGIN_DISK_FULL;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_appears_when_it_is_whole_and_leaves_nothing_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let mut xtc = Xtc::create(&dir.path().join("md.xtc")).unwrap();
        let positions: Vec<[f64; 3]> = (0..12).map(|i| [0.1 * f64::from(i), 0.2, 0.3]).collect();
        xtc.write(1.0, &positions, None).unwrap();
        assert_eq!(names(dir.path()), [".md.xtc.partial"]);
        drop(xtc);
        assert!(names(dir.path()).is_empty());
        let mut xtc = Xtc::create(&dir.path().join("md.xtc")).unwrap();
        xtc.write(1.0, &positions, None).unwrap();
        xtc.finish().unwrap();
        assert_eq!(names(dir.path()), ["md.xtc"]);
    }

    #[test]
    fn a_full_device_has_its_own_status() {
        if !Path::new("/dev/full").exists() {
            return; // only Linux has it, and only Linux is built for
        }
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join(".md.xtc.partial")).unwrap();
        let mut xtc = Xtc::create(&dir.path().join("md.xtc")).unwrap();
        xtc.write(0.0, &[[0.0; 3]; 20], None).unwrap();
        let error = xtc.finish().unwrap_err();
        assert_eq!(error.status, MARSFM_PLUGIN_DISK_FULL, "{error}");
        assert!(!dir.path().join("md.xtc").exists());
    }
}
