//! A Python environment in the target folder with OpenMM in it, for the demo and the tests.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::stage;
use crate::workspace::Workspace;

/// What pip is asked for. The OpenMM plugin serves every 8.x from 8.1 on.
const PACKAGES: [&str; 2] = ["openmm>=8.1,<9", "numpy"];

/// The folder with `python3` of an environment that can import OpenMM; made if it is not there.
pub fn with_openmm(workspace: &Workspace) -> Result<PathBuf> {
    let home = workspace.target.join("python");
    let bin = home.join("bin");
    let python = bin.join("python3");
    let works = || {
        let mut import = Command::new(&python);
        import.args(["-c", "import openmm, numpy"]);
        let status = import.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|s| s.success())
    };
    if !works() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&home);
        stage::run("python environment", &mut make)?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        stage::run("pip install openmm", pip.args(PACKAGES))?;
    }
    Ok(bin)
}

/// `PATH` with a folder before all others.
pub fn path_with(first: &std::path::Path) -> std::ffi::OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(first.to_owned()).chain(std::env::split_paths(&rest));
    std::env::join_paths(all).unwrap_or(rest)
}
