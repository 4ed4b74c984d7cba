//! Where plugins are looked for: the folders of `MARSFM_PLUGIN_PATH`, then folders at fixed
//! places beside the program and beside the library that holds this code. Never the working
//! directory.

use std::path::{Path, PathBuf};

/// Colon-separated list of folders that are searched first.
pub(crate) const PATH_VARIABLE: &str = "MARSFM_PLUGIN_PATH";

/// A folder to search, and whether every shared library in it is meant as a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub path: PathBuf,
    /// Folders that hold other things too count only files named `libmarsfm_plugin_*`.
    pub shared: bool,
}

/// The folders to search, in order, without repetition (not all of them exist), and the entries
/// of `MARSFM_PLUGIN_PATH` that cannot be searched, with the reason.
pub(crate) fn folders() -> (Vec<Folder>, Vec<(PathBuf, &'static str)>) {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    let mut add = |path: PathBuf, shared| {
        let path = path.canonicalize().unwrap_or(path);
        if !found.iter().any(|f: &Folder| f.path == path) {
            found.push(Folder { path, shared });
        }
    };
    if let Some(list) = std::env::var_os(PATH_VARIABLE) {
        for path in std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()) {
            if !path.is_absolute() {
                refused.push((path, "MARSFM_PLUGIN_PATH must hold absolute paths only"));
            } else if !path.is_dir() {
                refused.push((path, "this folder of MARSFM_PLUGIN_PATH does not exist"));
            } else {
                add(path, false);
            }
        }
    }
    let binaries = [own_library(), std::env::current_exe().ok()];
    for home in binaries.iter().flatten().filter_map(|b| b.parent()) {
        add(home.join("plugins"), false);
        add(home.join("marsfm/plugins"), false);
        add(home.join("../lib/marsfm/plugins"), false);
        add(home.to_owned(), true);
        if home.ends_with("deps") || home.ends_with("examples") {
            // Cargo's test programs and examples stand one folder below the libraries.
            add(home.join(".."), true);
        }
    }
    (found, refused)
}

/// Files in `folder` that are meant as plugins, in the order of their names.
pub(crate) fn candidates(folder: &Folder) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(&folder.path) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == std::env::consts::DLL_EXTENSION))
        .filter(|p| !folder.shared || is_named_as_plugin(p))
        .collect();
    files.sort();
    files
}

fn is_named_as_plugin(path: &Path) -> bool {
    let prefix = format!("{}marsfm_plugin_", std::env::consts::DLL_PREFIX);
    path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix))
}

/// The shared library (or program) that this code was linked into.
#[allow(unsafe_code)]
fn own_library() -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    // SAFETY: an all-zero Dl_info is valid; dladdr fills it and keeps nothing.
    let name = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        let here = candidates as fn(&Folder) -> Vec<PathBuf> as *const libc::c_void;
        if libc::dladdr(here, &mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        std::ffi::CStr::from_ptr(info.dli_fname)
    };
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes()));
    // Programs started by a bare name are found by current_exe instead.
    path.is_absolute().then(|| path.canonicalize().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_folders_count_only_names_of_plugins() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["libmarsfm_plugin_b.so", "libother.so", "libmarsfm_plugin_a.so", "x.txt"] {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        let all = Folder { path: dir.path().into(), shared: false };
        assert_eq!(candidates(&all).len(), 3);
        let some = candidates(&Folder { shared: true, ..all });
        assert_eq!(some.len(), 2);
        assert!(some[0].ends_with("libmarsfm_plugin_a.so"));
    }

    #[test]
    fn the_folder_of_a_test_program_and_the_one_above_are_searched() {
        let exe = std::env::current_exe().unwrap().canonicalize().unwrap();
        let deps = exe.parent().unwrap();
        let (found, _) = folders();
        assert!(found.iter().any(|f| f.path == deps && f.shared));
        assert!(found.iter().any(|f| f.path == deps.parent().unwrap() && f.shared));
        assert!(found.iter().all(|f| f.path.is_absolute()));
    }
}
