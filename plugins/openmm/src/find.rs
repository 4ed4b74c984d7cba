//! Where libOpenMM is: the option `library`, else `MARSFM_OPENMM_LIB`, else what the user's Python
//! imports, else the active conda environment.

use marsfm_plugin_api::PluginError;
use marsfm_plugin_api::engine_abi::MARSFM_PLUGIN_ENGINE_MISSING;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const VARIABLE: &str = "MARSFM_OPENMM_LIB";
const NAME: &str = "libOpenMM.so";
/// How long Python may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
const ASK: &str = "import openmm.version as v; print(v.openmm_library_path)";

/// What to do where there is none.
pub const ADVICE: &str = "install OpenMM 8.1 or newer (pip install openmm, or conda install -c \
conda-forge openmm), and set MARSFM_OPENMM_LIB or the option `library` to its libOpenMM.so unless \
python3 on the PATH can import it";

/// The library, or the reason why none was found.
pub fn library(option: Option<&str>) -> Result<PathBuf, PluginError> {
    let named = option.map(|p| (p.to_owned(), "the option `library`"));
    let variable = || {
        let value = std::env::var(VARIABLE).ok().filter(|v| !v.is_empty())?;
        Some((value, VARIABLE))
    };
    if let Some((path, who)) = named.or_else(variable) {
        return in_folder(Path::new(&path)).ok_or_else(|| {
            missing(format!("{who} names {path}, but there is no {NAME} there; {ADVICE}"))
        });
    }
    let conda = std::env::var_os("CONDA_PREFIX").map(|p| Path::new(&p).join("lib"));
    match ask_python("python3") {
        Ok(path) => in_folder(&path)
            .ok_or_else(|| missing(format!("Python names {}, which is gone", path.display()))),
        Err(why) => conda
            .and_then(|lib| in_folder(&lib))
            .ok_or_else(|| missing(format!("OpenMM was not found ({why}); {ADVICE}"))),
    }
}

/// A file as it is, a folder's libOpenMM.so (or that of its `lib`).
fn in_folder(path: &Path) -> Option<PathBuf> {
    let places = [path.to_owned(), path.join(NAME), path.join("lib").join(NAME)];
    places.into_iter().find(|p| p.is_file())
}

fn missing(message: String) -> PluginError {
    PluginError { status: MARSFM_PLUGIN_ENGINE_MISSING, message }
}

fn ask_python(python: &str) -> Result<PathBuf, String> {
    let mut child = Command::new(python)
        .args(["-c", ASK])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("{python} cannot be started: {e}"))?;
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{python} did not answer in {} s", PATIENCE.as_secs()));
            }
        }
    }
    let output = child.wait_with_output().map_err(|e| format!("{python}: {e}"))?;
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !answer.is_empty() {
        return Ok(answer.into());
    }
    Err(format!("{python} cannot import openmm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_place_is_the_only_one_that_counts() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().to_string_lossy().into_owned();
        let error = library(Some(&here)).unwrap_err();
        assert_eq!(error.status, MARSFM_PLUGIN_ENGINE_MISSING);
        assert!(error.message.contains("pip install openmm"), "{error}");
        std::fs::create_dir(dir.path().join("lib")).unwrap();
        std::fs::write(dir.path().join("lib").join(NAME), b"").unwrap();
        assert!(library(Some(&here)).unwrap().ends_with("lib/libOpenMM.so"));
        assert!(ask_python("no-such-python").unwrap_err().contains("cannot be started"));
    }
}
