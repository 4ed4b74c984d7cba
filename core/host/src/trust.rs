//! Whether a file may be loaded as native code, decided before it is opened: opening one already
//! runs it. It must be a regular file; it and its own folder belong to root or to the user, and
//! nobody else can write to either.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The canonical path of a file that may be loaded, or why it may not.
pub(crate) fn check(path: &Path) -> Result<PathBuf, String> {
    let path = path.canonicalize().map_err(|e| format!("cannot be found: {e}"))?;
    let file = path.metadata().map_err(|e| format!("cannot be examined: {e}"))?;
    if !file.is_file() {
        return Err("it is not a regular file".into());
    }
    owned(&file, "the file")?;
    let folder = path.parent().ok_or("it has no folder")?;
    let meta = folder.metadata().map_err(|e| format!("its folder cannot be examined: {e}"))?;
    owned(&meta, &format!("its folder {}", folder.display()))?;
    Ok(path)
}

fn owned(meta: &Metadata, what: &str) -> Result<(), String> {
    // SAFETY: geteuid has no preconditions and cannot fail.
    #[allow(unsafe_code)]
    let user = unsafe { libc::geteuid() };
    let (owner, mode) = (meta.uid(), meta.mode());
    if owner != 0 && owner != user {
        return Err(format!(
            "{what} belongs to user {owner}, neither to root nor to you (user {user}); copy the \
             plugin into a folder of your own"
        ));
    }
    if mode & 0o002 != 0 {
        return Err(format!("{what} can be written by everyone; run chmod o-w on it"));
    }
    // A group of the owner's own number is private by custom (Debian's useradd).
    if mode & 0o020 != 0 && meta.gid() != owner {
        return Err(format!("{what} can be written by group {}; run chmod g-w on it", meta.gid()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.so");
        write(&file, b"x").unwrap();
        set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert!(check(&file).is_ok());
        set_permissions(&file, Permissions::from_mode(0o646)).unwrap();
        assert!(check(&file).unwrap_err().contains("the file can be written by everyone"));
        set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(check(&file).unwrap_err().contains("its folder"));
        set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(check(dir.path()).unwrap_err().contains("not a regular file"));
        assert!(check(&dir.path().join("none.so")).unwrap_err().contains("cannot be found"));
        // A link is judged by what it points to.
        std::os::unix::fs::symlink(&file, dir.path().join("link.so")).unwrap();
        assert_eq!(check(&dir.path().join("link.so")).unwrap(), file.canonicalize().unwrap());
    }
}
