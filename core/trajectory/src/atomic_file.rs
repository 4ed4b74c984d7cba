//! Files that appear whole or not at all: written under a temporary name in the same folder,
//! synced, then renamed. Dropping one without `commit` removes it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A temporary name beside a final one, with the same extension, for writers that open the path
/// themselves.
#[derive(Debug)]
pub struct AtomicPath {
    final_path: PathBuf,
    temporary: PathBuf,
    done: bool,
}

impl AtomicPath {
    /// Reserves a temporary name in the folder of `path`. Errors if the folder does not exist or
    /// `path` is a folder.
    pub fn reserve(path: impl AsRef<Path>) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = path.as_ref();
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            return Err(failed(
                path,
                io::ErrorKind::NotFound,
                "its folder does not exist; make it first",
            ));
        }
        let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
            return Err(failed(
                path,
                io::ErrorKind::InvalidInput,
                "a file name is needed, this is a folder",
            ));
        };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // The extension stays last, since plugins choose the format by it.
        let mut temporary = format!(".partial-{}-{count}-", std::process::id());
        temporary.push_str(&name.to_string_lossy());
        Ok(Self { final_path: path.into(), temporary: folder.join(temporary), done: false })
    }

    /// Where to write.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Where the file will be.
    pub fn final_path(&self) -> &Path {
        &self.final_path
    }

    /// Syncs what stands under the temporary name and gives it the final one.
    pub fn commit(mut self) -> io::Result<()> {
        let result = (|| {
            File::open(&self.temporary)?.sync_all()?;
            std::fs::rename(&self.temporary, &self.final_path)?;
            // The new name lives in the folder, which has its own sync.
            match self.final_path.parent() {
                Some(p) if !p.as_os_str().is_empty() => File::open(p)?.sync_all(),
                _ => File::open(".")?.sync_all(),
            }
        })();
        result.map_err(|e: io::Error| failed(&self.final_path, e.kind(), &e.to_string()))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for AtomicPath {
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// A file being written that appears whole or not at all. Errors name the file.
///
/// ```
/// use std::io::Write;
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("numbers.txt");
/// let mut file = marsfm_trajectory::AtomicFile::create(&path).unwrap();
/// writeln!(file, "1 2 3").unwrap();
/// assert!(!path.exists());
/// file.commit().unwrap();
/// assert!(path.exists());
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    // Dropped in this order: the file is closed before its name goes.
    file: io::BufWriter<File>,
    path: AtomicPath,
}

impl AtomicFile {
    /// Starts a file that will replace `path` at `commit`.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = AtomicPath::reserve(path)?;
        let file = File::create(path.temporary())
            .map_err(|e| failed(path.final_path(), e.kind(), &format!("cannot be created: {e}")))?;
        Ok(Self { file: io::BufWriter::new(file), path })
    }

    /// Flushes, syncs and renames.
    pub fn commit(mut self) -> io::Result<()> {
        self.file.flush().map_err(|e| failed(self.path.final_path(), e.kind(), &e.to_string()))?;
        self.path.commit()
    }
}

/// Writes `bytes` as `path`, whole or not at all.
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(|e| failed(file.path.final_path(), e.kind(), &e.to_string()))?;
    file.commit()
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn failed(path: &Path, kind: io::ErrorKind, message: &str) -> io::Error {
    io::Error::new(kind, format!("{}: {message}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_a_dropped_file_and_the_old_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_atomically(&path, b"old").unwrap();
        {
            let mut file = AtomicFile::create(&path).unwrap();
            file.write_all(b"half").unwrap();
            file.flush().unwrap();
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = AtomicFile::create("/nowhere/at/all/x.txt").unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all/x.txt") && error.contains("folder"), "{error}");
        assert!(AtomicFile::create("/").is_err());
    }
}
