//! Where this checkout, its build output and its version are, as cargo itself says.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The checkout that `./x` was called in.
pub struct Workspace {
    /// Folder of the root Cargo.toml.
    pub root: PathBuf,
    /// Cargo's target folder (CARGO_TARGET_DIR is honoured).
    pub target: PathBuf,
    /// Version of libmarsfm, for example `0.1.0`.
    pub version: String,
}

impl Workspace {
    /// Asks `cargo metadata`, starting from the folder that `cargo run` names at run time (the
    /// compile-time one would be wrong for a copied target folder).
    pub fn find() -> Result<Self> {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .context("CARGO_MANIFEST_DIR is not set: start this through ./x")?;
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path"])
            .arg(Path::new(&here).join("Cargo.toml"))
            .output()
            .context("cannot start cargo")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let text = |value: &Value, what: &str| {
            value.as_str().map(str::to_owned).with_context(|| format!("cargo metadata: no {what}"))
        };
        let version = metadata["packages"]
            .as_array()
            .and_then(|packages| packages.iter().find(|p| p["name"] == "marsfm-capi"))
            .context("cargo metadata: the workspace has no package marsfm-capi")?;
        Ok(Self {
            root: text(&metadata["workspace_root"], "workspace_root")?.into(),
            target: text(&metadata["target_directory"], "target_directory")?.into(),
            version: text(&version["version"], "version")?,
        })
    }

    /// `target/release`.
    pub fn release(&self) -> PathBuf {
        self.target.join("release")
    }

    /// A cargo command in the root of the checkout.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cargo());
        command.args(arguments).current_dir(&self.root);
        // Set for xtask by `cargo run`; they would mislead build scripts and nested cargo runs.
        for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"] {
            command.env_remove(name);
        }
        command
    }
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
