//! What tests share: where the checkout, the reference fixtures and data are, how a test says that it
//! could not run, and checks of the C headers ([`headers`]). A skip is never silent: it is printed and, under `./x test`, logged in the
//! file named by `MARSFM_SKIP_LOG`, which `./x test` compares with `tests/may-skip.txt`.

pub mod headers;

use std::io::Write;
use std::path::PathBuf;

/// The checkout.
pub fn root() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the checkout exists")
}

/// The folder of shared fixtures and data: `MARSFM_SHARED`, else `shared` beside the checkout.
pub fn shared() -> Option<PathBuf> {
    let dir =
        std::env::var_os("MARSFM_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    dir.join("fixtures").is_dir().then_some(dir)
}

/// `shared()`, or a SKIPPED line for `test` and `None`.
pub fn shared_or_skip(test: &str) -> Option<PathBuf> {
    let dir = shared();
    if dir.is_none() {
        skip(test, "the shared fixtures are not beside this checkout (set MARSFM_SHARED)");
    }
    dir
}

/// Says that `test` did not run, and why.
pub fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED {test}: {why}");
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("MARSFM_SKIP_LOG") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        if let Ok(mut file) = file {
            let _ = writeln!(file, "{line}");
        }
    }
}
