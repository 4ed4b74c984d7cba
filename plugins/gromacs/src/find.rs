//! Which GROMACS: the option `program`, else `MARSFM_GMX`, else `gmx` or `gmx_mpi` on the PATH.

use crate::child::{self, Job};
use marsfm_plugin_api::PluginError;
use marsfm_plugin_api::engine_abi::{MARSFM_PLUGIN_ENGINE_MISSING, MARSFM_PLUGIN_ENGINE_VERSION};
use std::path::{Path, PathBuf};
use std::time::Duration;

const VARIABLE: &str = "MARSFM_GMX";
/// Oldest release that is served.
pub const OLDEST: u32 = 2022;
/// Newest that was tried.
pub const NEWEST: u32 = 2022;
/// What to do where there is none.
pub const ADVICE: &str = "install GROMACS 2022 or newer (apt-get install gromacs gromacs-data), or \
set MARSFM_GMX or the option `program` to its gmx";

/// A `gmx` that answered.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// As it spells it, for example `2022.5-Debian_2022.5_2`.
    pub version: String,
    /// The year in it.
    pub release: u32,
    /// Built against an MPI library (and not GROMACS's own threads).
    pub mpi: bool,
    /// `mixed` or `double`.
    pub precision: String,
}

/// The program, of a version that is served, or the reason why there is none.
pub fn program(option: Option<&str>) -> Result<Program, PluginError> {
    let variable = std::env::var(VARIABLE).ok().filter(|v| !v.is_empty());
    let named = option.map(|p| (p.to_owned(), "the option `program`"));
    if let Some((path, who)) = named.or(variable.map(|p| (p, VARIABLE))) {
        let found = in_path(&path);
        let found = found.ok_or_else(|| missing(format!("{who} names {path}; {ADVICE}")))?;
        return ask(&found);
    }
    match ["gmx", "gmx_mpi"].iter().find_map(|name| in_path(name)) {
        Some(path) => ask(&path),
        None => Err(missing(format!("no gmx on the PATH; {ADVICE}"))),
    }
}

/// A file as it is; a bare name on the PATH.
pub fn in_path(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|p| p.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file())
}

fn missing(why: String) -> PluginError {
    let message = format!("GROMACS was not found: {why}");
    PluginError { status: MARSFM_PLUGIN_ENGINE_MISSING, message }
}

/// The program at a path, asked for its version.
pub fn ask(path: &Path) -> Result<Program, PluginError> {
    let folder = child::scratch()?;
    let arguments = ["-quiet", "--version"].map(str::to_owned);
    let job = Job { limit: Some(Duration::from_secs(30)), ..Job::new(path, folder.path()) };
    let text = job.run(&arguments, None).map_err(|e| PluginError {
        message: format!("{} does not answer --version: {}", path.display(), e.message),
        ..e
    })?;
    read(path, &text)
}

fn read(path: &Path, text: &str) -> Result<Program, PluginError> {
    let value = |key: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(key));
        line.map(|v| v.trim().to_owned())
    };
    let shown = path.display();
    let Some(version) = value("GROMACS version:") else {
        return Err(missing(format!("{shown} does not say that it is GROMACS; {ADVICE}")));
    };
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    // Releases before 2016 were called 4.6, 5.1, …
    let release: u32 = digits.parse().unwrap_or(0);
    if release < OLDEST {
        let message = format!("{shown} is GROMACS {version}, older than {OLDEST}; {ADVICE}");
        return Err(PluginError { status: MARSFM_PLUGIN_ENGINE_VERSION, message });
    }
    let mpi = value("MPI library:").is_some_and(|m| m.eq_ignore_ascii_case("mpi"));
    let precision = value("Precision:").unwrap_or_default();
    Ok(Program { path: path.to_owned(), version, release, mpi, precision })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "GROMACS version:    2022.5-Debian_2022.5_2\nPrecision:          mixed\n\
                        MPI library:        thread_mpi\n";

    #[test]
    fn versions_are_read_and_old_ones_refused() {
        let found = read(Path::new("gmx"), SAID).unwrap();
        assert_eq!((found.release, found.mpi, found.precision.as_str()), (2022, false, "mixed"));
        assert!(read(Path::new("gmx"), &SAID.replace("thread_mpi", "MPI")).unwrap().mpi);
        for old in ["2019.6", "5.1.4"] {
            let text = SAID.replace("2022.5-Debian_2022.5_2", old);
            let error = read(Path::new("gmx"), &text).unwrap_err();
            assert_eq!(error.status, MARSFM_PLUGIN_ENGINE_VERSION);
            assert!(error.message.contains(old), "{error}");
        }
        let error = read(Path::new("ls"), "coreutils").unwrap_err();
        assert_eq!(error.status, MARSFM_PLUGIN_ENGINE_MISSING);
    }

    #[test]
    fn a_named_program_is_the_only_one_that_counts() {
        let error = program(Some("/nowhere/gmx")).unwrap_err();
        assert_eq!(error.status, MARSFM_PLUGIN_ENGINE_MISSING);
        assert!(error.message.contains("/nowhere/gmx"), "{error}");
        assert_eq!(in_path("/bin/sh"), Some("/bin/sh".into()));
        assert!(in_path("sh").is_some() && in_path("no-such-program").is_none());
    }
}
