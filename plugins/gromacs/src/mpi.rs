//! GROMACS under an MPI launcher, which only `mdrun -multidir` needs: its `gmx_mpi` and the words
//! that start so many ranks of it.

use crate::child::{self, Job};
use crate::find::{self, Program};
use crate::settings::Settings;
use marsfm_plugin_api::PluginError;
use marsfm_plugin_api::engine_abi::{MARSFM_PLUGIN_ENGINE_MISSING, MARSFM_PLUGIN_ENGINE_VERSION};
use std::path::Path;
use std::time::Duration;

/// What to do where there is none.
const ADVICE: &str = "install it (apt-get install gromacs openmpi-bin), name it with the option \
`launcher` or `mpi_program`, or run the seeds one by one, which needs no MPI";

/// An MPI build of the same GROMACS, and what starts it.
pub struct Mpi {
    /// `gmx_mpi`.
    pub program: Program,
    launcher: Vec<String>,
}

fn missing(what: &str) -> PluginError {
    let message = format!("{what} was not found: {ADVICE}");
    PluginError { status: MARSFM_PLUGIN_ENGINE_MISSING, message }
}

impl Mpi {
    /// Finds both; run inputs of `gmx` are read by a `gmx_mpi` of its version only.
    pub fn find(gmx: &Program, settings: &Settings) -> Result<Self, PluginError> {
        let words = launcher(settings.launcher.as_deref())?;
        let named = settings.mpi_program.as_deref();
        let program = match named.unwrap_or("gmx_mpi") {
            _ if gmx.mpi && named.is_none() => gmx.clone(),
            name => find::ask(&find::in_path(name).ok_or_else(|| missing(name))?)?,
        };
        let (path, version) = (program.path.display(), &program.version);
        let message = if !program.mpi {
            format!("{path} is not built against an MPI library; {ADVICE}")
        } else if *version != gmx.version || program.precision != gmx.precision {
            let (theirs, how) = (&gmx.version, &gmx.precision);
            format!("{path} is GROMACS {version}, {} is {theirs}, {how}", gmx.path.display())
        } else {
            return Ok(Self { program, launcher: words });
        };
        Err(PluginError { status: MARSFM_PLUGIN_ENGINE_VERSION, message })
    }

    /// Words that start `ranks` ranks.
    pub fn start(&self, ranks: usize) -> Vec<String> {
        let mut words = self.launcher.clone();
        words.extend(["-n".to_owned(), ranks.to_string()]);
        words
    }
}

/// The launcher's words. Open MPI refuses more ranks than cores, and to start as root, unless it is
/// told otherwise.
fn launcher(option: Option<&str>) -> Result<Vec<String>, PluginError> {
    let mut words: Vec<String> =
        option.unwrap_or("mpirun").split_whitespace().map(str::to_owned).collect();
    let first = words.first_mut().ok_or_else(|| missing("the launcher"))?;
    let path = find::in_path(first).ok_or_else(|| missing(first))?;
    *first = path.to_string_lossy().into_owned();
    if option.is_none() && is_open_mpi(&path)? {
        // Of no consequence where neither is the case.
        words.extend(["--oversubscribe", "--allow-run-as-root"].map(str::to_owned));
    }
    Ok(words)
}

fn is_open_mpi(mpirun: &Path) -> Result<bool, PluginError> {
    let folder = child::scratch()?;
    let job = Job { limit: Some(Duration::from_secs(30)), ..Job::new(mpirun, folder.path()) };
    let said = job.run(&["--version".to_owned()], None)?;
    Ok(["Open MPI", "OpenRTE"].iter().any(|name| said.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_launcher_is_taken_as_it_is_and_a_missing_one_is_told() {
        assert_eq!(launcher(Some("/bin/sh -x")).unwrap(), ["/bin/sh", "-x"]);
        for named in ["/nowhere/srun", ""] {
            let error = launcher(Some(named)).unwrap_err();
            assert_eq!(error.status, MARSFM_PLUGIN_ENGINE_MISSING);
            assert!(error.message.contains("one by one"), "{error}");
        }
    }
}
