//! `./x bench-NAME [ARGUMENTS]`: runs the executable `benches/NAME/run` in the root of the checkout.

use std::process::Command;

use anyhow::{Result, bail};

use crate::stage;
use crate::workspace::Workspace;

/// Runs the bench, or says which there are.
pub fn run(workspace: &Workspace, name: &str, arguments: &[String]) -> Result<()> {
    let folder = workspace.root.join("benches");
    let mut known: Vec<String> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.path().join("run").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    known.sort();
    if !known.iter().any(|bench| bench == name) {
        let list = if known.is_empty() { "none yet".into() } else { known.join(", ") };
        bail!("there is no bench '{name}'; benches here: {list}");
    }
    let mut bench = Command::new(folder.join(name).join("run"));
    bench
        .args(arguments)
        .env("MARSFM_RELEASE_DIR", workspace.release())
        .current_dir(&workspace.root);
    stage::run(&format!("bench {name}"), &mut bench)
}
