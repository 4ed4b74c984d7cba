//! `./x demo-openmm [ARGUMENTS]` and `./x demo-gromacs [ARGUMENTS]`: a template of the example
//! peptide is made with the engine's own tools, then `marsfm engine demo ARGUMENTS` runs on it and
//! writes `demo-openmm/` or `demo-gromacs/`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{python, stage};

/// The peptide of `examples/data` that is shown.
const PEPTIDE: &str = "examples/data/QLAQ/QLAQ_full.pdb";

/// Builds, makes the template, runs.
pub fn run(workspace: &Workspace, engine: &str, arguments: &[String]) -> Result<()> {
    let plugin = format!("marsfm-plugin-{engine}");
    let build =
        ["build", "--release", "-p", "marsfm-cli", "-p", "marsfm-plugin-xtc", "-p", &plugin];
    stage::run("build", &mut workspace.cargo(&build))?;
    let template = workspace.target.join(format!("demo-{engine}"));
    let path = match engine {
        "openmm" => openmm(workspace, &template)?,
        _ => gromacs(workspace, &template)?,
    };
    let mut demo = Command::new(workspace.release().join("marsfm"));
    demo.args(["engine", "demo", "--engine", engine, "--template"]).arg(&template);
    demo.args(["--out", &format!("demo-{engine}")]).args(arguments);
    demo.env("PATH", path).current_dir(&workspace.root);
    stage::run(&format!("demo-{engine}"), &mut demo)
}

/// The force field and temperature that the example data and the default surrogate were made with.
pub(crate) fn openmm(workspace: &Workspace, template: &Path) -> Result<std::ffi::OsString> {
    let bin = python::with_openmm(workspace)?;
    let mut make = Command::new(bin.join("python3"));
    make.arg(workspace.root.join("plugins/openmm/tools/make_system.py"));
    make.arg(workspace.root.join(PEPTIDE)).arg(template);
    make.args(["--temperature", "350", "--step-fs", "4", "--platform", "Reference"]);
    stage::run("template", &mut make)?;
    Ok(python::path_with(&bin))
}

/// Vacuum and another force field: it shows the mechanics, not the physics.
fn gromacs(workspace: &Workspace, template: &Path) -> Result<std::ffi::OsString> {
    let mut make = Command::new("sh");
    make.arg(workspace.root.join("plugins/gromacs/tools/make_template.sh"));
    make.arg(workspace.root.join(PEPTIDE)).arg(template).args(["--temperature", "350"]);
    stage::run("template", &mut make)?;
    Ok(std::env::var_os("PATH").unwrap_or_default())
}
