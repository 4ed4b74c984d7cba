//! Files that a plugin writes: they appear under their names when they are whole.

use crate::engine_abi::MARSFM_PLUGIN_DISK_FULL;
use crate::error::PluginError;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// An error of the file system; a full device has a status of its own.
pub fn file_error(path: &Path, error: &std::io::Error) -> PluginError {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let message = format!("{}: {error}", path.display());
    match full {
        true => PluginError { status: MARSFM_PLUGIN_DISK_FULL, message },
        false => PluginError::io(message),
    }
}

/// Where a file is until it is whole; removed if it never becomes so.
pub struct Partial {
    to: PathBuf,
    at: PathBuf,
    whole: bool,
}

impl Partial {
    /// Creates the file beside its final place.
    pub fn create(to: &Path) -> Result<(Self, File), PluginError> {
        let mut name = std::ffi::OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(".partial");
        let partial = Self { at: to.with_file_name(name), to: to.to_owned(), whole: false };
        let file = File::create(&partial.at).map_err(|e| partial.error(&e))?;
        Ok((partial, file))
    }

    /// An error about it.
    pub fn error(&self, error: &std::io::Error) -> PluginError {
        file_error(&self.at, error)
    }

    /// The file, everything written, takes its name.
    pub fn finish(mut self, file: &File) -> Result<(), PluginError> {
        file.sync_all().map_err(|e| self.error(&e))?;
        std::fs::rename(&self.at, &self.to).map_err(|e| file_error(&self.to, &e))?;
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

/// Writes a whole file.
pub fn write_whole(to: &Path, bytes: &[u8]) -> Result<(), PluginError> {
    let (partial, mut file) = Partial::create(to)?;
    file.write_all(bytes).map_err(|e| partial.error(&e))?;
    partial.finish(&file)
}
