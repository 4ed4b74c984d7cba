//! One process per loop: a lock on a file of its folder, given back by the system when the process
//! ends, however it ends. Different loops have different folders and share the machine.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::Path;

use crate::LoopError;

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a loop's folder, or says who has it.
    pub fn take(folder: &Path) -> Result<Self, LoopError> {
        let path = folder.join("lock");
        let io = |e: std::io::Error| LoopError::io(&path, &e);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = std::fs::read_to_string(&path).unwrap_or_default();
                let owner = owner.trim();
                let who = if owner.is_empty() { "another process" } else { owner };
                return Err(LoopError::new(
                    folder,
                    &format!("this loop is being run by {who}; wait for it or end it"),
                ));
            }
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        // Words for others to read, no more: the lock itself is the system's.
        let words = format!("process {}\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(words.as_bytes())).map_err(io)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        let error = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(lock);
        Lock::take(dir.path()).unwrap();
    }
}
