//! Files of a run: an XTC trajectory (molly's writer, which the XTC reader's tests already trust)
//! and texts. Both appear under their names when they are whole.

use marsfm_plugin_api::PluginError;
use marsfm_plugin_api::engine_abi::MARSFM_PLUGIN_DISK_FULL;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// 1/nm: positions are kept to 0.001 nm.
const PRECISION: f32 = 1000.0;

/// An error of the file system; a full device has a status of its own.
pub fn failed(path: &Path, error: &std::io::Error) -> PluginError {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let message = format!("{}: {error}", path.display());
    match full {
        true => PluginError { status: MARSFM_PLUGIN_DISK_FULL, message },
        false => PluginError::io(message),
    }
}

/// Where a file is until it is whole; removed if it never becomes so.
struct Partial {
    to: PathBuf,
    at: PathBuf,
    whole: bool,
}

impl Partial {
    fn new(to: PathBuf) -> Self {
        let mut name = std::ffi::OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(".partial");
        Self { at: to.with_file_name(name), to, whole: false }
    }

    fn finish(mut self, file: &File) -> Result<(), PluginError> {
        file.sync_all().map_err(|e| failed(&self.at, &e))?;
        std::fs::rename(&self.at, &self.to).map_err(|e| failed(&self.to, &e))?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.whole {
            let _ = std::fs::remove_file(&self.at);
        }
    }
}

/// Writes a text.
pub fn write_text(to: &Path, text: &str) -> Result<(), PluginError> {
    let partial = Partial::new(to.to_owned());
    let mut file = File::create(&partial.at).map_err(|e| failed(&partial.at, &e))?;
    file.write_all(text.as_bytes()).map_err(|e| failed(&partial.at, &e))?;
    partial.finish(&file)
}

/// An XTC file being written.
pub struct Xtc {
    writer: molly::XTCWriter<BufWriter<File>>,
    frame: molly::Frame,
    partial: Partial,
}

impl Xtc {
    /// Starts the file.
    pub fn create(to: PathBuf) -> Result<Self, PluginError> {
        let partial = Partial::new(to);
        let file = File::create(&partial.at).map_err(|e| failed(&partial.at, &e))?;
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
        self.writer.write_frame(&self.frame).map_err(|e| failed(&self.partial.at, &e))?;
        self.frame.step += 1;
        Ok(())
    }

    /// Completes the file.
    pub fn finish(mut self) -> Result<(), PluginError> {
        self.writer.file.flush().map_err(|e| failed(&self.partial.at, &e))?;
        let file = self.writer.file.get_ref();
        let file = file.try_clone().map_err(|e| failed(&self.partial.at, &e))?;
        self.partial.finish(&file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_appears_when_it_is_whole_and_leaves_nothing_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let mut xtc = Xtc::create(dir.path().join("md.xtc")).unwrap();
        let positions: Vec<[f64; 3]> = (0..12).map(|i| [0.1 * f64::from(i), 0.2, 0.3]).collect();
        xtc.write(1.0, &positions, None).unwrap();
        assert_eq!(names(dir.path()), [".md.xtc.partial"]);
        drop(xtc);
        assert!(names(dir.path()).is_empty());
        let mut xtc = Xtc::create(dir.path().join("md.xtc")).unwrap();
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
        let mut xtc = Xtc::create(dir.path().join("md.xtc")).unwrap();
        xtc.write(0.0, &[[0.0; 3]; 20], None).unwrap();
        let error = xtc.finish().unwrap_err();
        assert_eq!(error.status, MARSFM_PLUGIN_DISK_FULL, "{error}");
        assert!(!dir.path().join("md.xtc").exists());
    }
}
