//! A Python environment in the target folder: with OpenMM for the demo, and for the tests with the
//! packages that they compare with.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::stage;
use crate::workspace::Workspace;

/// What pip is asked for. The OpenMM plugin serves every 8.x from 8.1 on.
const OPENMM: [&str; 2] = ["openmm>=8.1,<9", "numpy"];
/// What scores and Markov models are compared with, and what writes the files that readers are tested on.
const PEERS: [&str; 5] = ["mdtraj", "scipy", "deeptime", "h5py", "tables"];

/// The folder with `python3` of an environment that can import OpenMM; made if it is not there.
pub fn with_openmm(workspace: &Workspace) -> Result<PathBuf> {
    with(workspace, "import openmm, numpy", &OPENMM)
}

/// The same environment with the peers of the tests in it, too.
pub fn for_tests(workspace: &Workspace) -> Result<PathBuf> {
    with_openmm(workspace)?;
    with(workspace, "import mdtraj, scipy, deeptime, h5py, tables", &PEERS)
}

/// The environment, with these packages in it if `import` does not work.
fn with(workspace: &Workspace, import: &str, packages: &[&str]) -> Result<PathBuf> {
    let home = workspace.target.join("python");
    let bin = home.join("bin");
    let python = bin.join("python3");
    let works = |code: &str| {
        let mut import = Command::new(&python);
        import.args(["-c", code]).stdout(Stdio::null()).stderr(Stdio::null());
        import.status().is_ok_and(|s| s.success())
    };
    if !works("import pip") {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&home);
        stage::run("python environment", &mut make)?;
    }
    if !works(import) {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        stage::run(&format!("pip install {}", packages.join(" ")), pip.args(packages))?;
    }
    Ok(bin)
}

/// `PATH` with a folder before all others.
pub fn path_with(first: &std::path::Path) -> std::ffi::OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(first.to_owned()).chain(std::env::split_paths(&rest));
    std::env::join_paths(all).unwrap_or(rest)
}
