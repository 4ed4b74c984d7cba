//! `./x demo-loop`: three epochs of the adaptive loop on OpenMM, ending in its report; writes
//! `demo-loop/`. Where OpenMM cannot be installed the toy engine takes its place, and says so.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{engine_demo, stage};

/// Builds, makes the template, runs, reports.
pub fn run(workspace: &Workspace) -> Result<()> {
    let mut build = workspace.cargo(&["build", "--release"]);
    for package in ["marsfm-cli", "marsfm-plugin-xtc", "marsfm-plugin-openmm"] {
        build.args(["-p", package]);
    }
    stage::run("build", &mut build)?;
    let out = workspace.root.join("demo-loop");
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let (engine, path) = match engine_demo::openmm(workspace, &out.join("template")) {
        Ok(path) => ("openmm", path),
        Err(error) => {
            eprintln!("==");
            eprintln!("== OPENMM CANNOT BE USED HERE: {error:#}");
            eprintln!("== What follows is the TOY engine: a walker among six wells, no molecule,");
            eprintln!("== and its jumps are no surrogate's. It shows the loop, not the physics.");
            eprintln!("==");
            ("toy", std::env::var_os("PATH").unwrap_or_default())
        }
    };
    let settings = out.join("loop.toml");
    let example = workspace.root.join(format!("examples/loop/{engine}.toml"));
    fs::copy(&example, &settings).with_context(|| format!("cannot copy {}", example.display()))?;
    let folder = out.join(engine);
    let _ = fs::remove_dir_all(&folder);
    let marsfm = |stage: &str, words: &[&str], more: &[&Path]| {
        let mut command = Command::new(workspace.release().join("marsfm"));
        command.arg("loop").args(words).args(more).env("PATH", &path).current_dir(&workspace.root);
        stage::run(stage, &mut command)
    };
    marsfm("loop init", &["init"], &[&settings, Path::new("--out"), &folder])?;
    marsfm("loop run", &["run", "--max-epochs", "3"], &[&folder])?;
    marsfm("loop report", &["report"], &[&folder])
}
