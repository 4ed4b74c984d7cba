//! `./x demo [ARGUMENTS]`: builds the program and the XTC plugin, then `marsfm demo ARGUMENTS` in
//! the root of the checkout, so that it finds `examples/` and writes `demo/`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::stage;
use crate::workspace::Workspace;

/// Builds and runs; the demo's exit status decides.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let build = ["build", "--release", "-p", "marsfm-cli", "-p", "marsfm-plugin-xtc"];
    stage::run("build", &mut workspace.cargo(&build))?;
    let here = std::env::current_dir()?;
    let mut demo = Command::new(workspace.release().join("marsfm"));
    demo.arg("demo").args(from_caller(&here, arguments)).current_dir(&workspace.root);
    stage::run("demo", &mut demo)
}

/// Files that exist, and the folder after `--out`, are the caller's: made absolute, because the
/// demo runs in another folder.
fn from_caller(here: &Path, arguments: &[String]) -> Vec<String> {
    let mut after_out = false;
    arguments
        .iter()
        .map(|argument| {
            let path = here.join(argument);
            let is_path = !argument.starts_with('-') && (after_out || path.is_file());
            after_out = argument == "--out";
            if is_path { path.to_string_lossy().into_owned() } else { argument.clone() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_caller() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let arguments = ["--own", "Cargo.toml", "--out", "new", "--children", "8", "none.xtc"];
        let made = from_caller(here, &arguments.map(str::to_owned));
        let at = |name: &str| here.join(name).to_string_lossy().into_owned();
        assert_eq!(made[1], at("Cargo.toml"));
        assert_eq!(made[3], at("new"));
        assert_eq!(
            [&made[0], &made[2], &made[4], &made[5], &made[6]],
            ["--own", "--out", "--children", "8", "none.xtc"]
        );
    }
}
