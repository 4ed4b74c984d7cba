//! Bytes that are written once and read often: in memory while they are few, in an unnamed file of a
//! given folder when they grow. The file is gone when nobody holds it, even after a crash.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::MsmError;

/// Bytes held in memory before they go to a file.
pub(crate) const HELD_BYTES: usize = 4 << 20;

/// Takes bytes one after another.
#[derive(Debug, Default)]
pub(crate) struct Spill {
    /// Where the file may be; `None` keeps everything in memory.
    folder: Option<PathBuf>,
    held: Vec<u8>,
    file: Option<File>,
}

/// What was taken.
#[derive(Debug)]
pub(crate) enum Stored {
    Memory(Vec<u8>),
    File { file: Mutex<File>, first: u64, name: String },
}

impl Spill {
    pub fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.map(Path::to_path_buf), ..Self::default() }
    }

    pub fn push(&mut self, bytes: impl IntoIterator<Item = u8>) -> Result<(), MsmError> {
        self.held.extend(bytes);
        if self.held.len() >= HELD_BYTES && self.folder.is_some() {
            self.flush()?;
        }
        Ok(())
    }

    /// Whether there is a file.
    #[cfg(test)]
    pub fn is_filed(&self) -> bool {
        self.file.is_some()
    }

    fn flush(&mut self) -> Result<(), MsmError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let failed = |e| failed(&format!("a temporary file in {}", folder.display()), e);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(folder).map_err(failed)?),
        };
        file.write_all(&self.held).map_err(failed)?;
        self.held.clear();
        Ok(())
    }

    pub fn finish(mut self) -> Result<Stored, MsmError> {
        if self.file.is_some() {
            self.flush()?;
        }
        Ok(match self.file {
            Some(file) => {
                let name = "a temporary file".into();
                Stored::File { file: Mutex::new(file), first: 0, name }
            }
            None => Stored::Memory(self.held),
        })
    }
}

impl Stored {
    /// Fills `into` with the bytes from number `at` on, which must be there.
    pub fn read(&self, at: u64, into: &mut [u8]) -> Result<(), MsmError> {
        match self {
            Self::Memory(bytes) => into.copy_from_slice(&bytes[at as usize..][..into.len()]),
            Self::File { file, first, name } => {
                // A thread that panicked while reading has left nothing half done.
                let mut file = file.lock().unwrap_or_else(|e| e.into_inner());
                file.seek(SeekFrom::Start(first + at))
                    .and_then(|_| file.read_exact(into))
                    .map_err(|e| failed(name, e))?;
            }
        }
        Ok(())
    }
}

fn failed(name: &str, e: std::io::Error) -> MsmError {
    MsmError::File { path: name.into(), detail: e.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_file_hold_the_same_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..HELD_BYTES as u32 + 12_345).map(|i| (i % 251) as u8).collect();
        for place in [None, Some(folder.path())] {
            let mut spill = Spill::new(place);
            bytes.chunks(777).for_each(|b| spill.push(b.iter().copied()).unwrap());
            let stored = spill.finish().unwrap();
            assert_eq!(matches!(stored, Stored::File { .. }), place.is_some());
            let mut all = vec![0; bytes.len()];
            stored.read(0, &mut all).unwrap();
            assert_eq!(all, bytes);
            let mut some = [0; 100];
            stored.read(HELD_BYTES as u64 - 50, &mut some).unwrap();
            assert_eq!(some, bytes[HELD_BYTES - 50..HELD_BYTES + 50]);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut nowhere = Spill::new(Some(&folder.path().join("not there")));
        let error = nowhere.push(bytes).unwrap_err().to_string();
        assert!(error.contains("not there"), "{error}");
    }
}
