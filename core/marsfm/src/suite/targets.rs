//! What a suite scores on: where the files of each target are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use marsfm_host::Host;

use crate::systems::SystemFiles;

/// One protein with its MD.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name.
    pub name: String,
    /// Atoms with coordinates.
    pub topology: PathBuf,
    /// Structure that contacts refer to, instead of the topology's.
    pub native: Option<PathBuf>,
    /// MD, one path per replica.
    pub reference: Vec<PathBuf>,
}

impl Target {
    /// `FOLDER/NAME/NAME.pdb` with the XTC files beside it, in the first of some folders that has it.
    pub fn in_folders(folders: &[PathBuf], name: &str) -> Result<Self> {
        let files = SystemFiles::in_folders(folders, name)?;
        let (topology, reference) = (files.topology, files.trajectories);
        Ok(Self { name: name.into(), topology, native: None, reference })
    }

    /// The replicas at one temperature of an mdCATH file. Replicas that are not there are noted.
    pub fn in_mdcath(
        host: &Host,
        path: &Path,
        kelvin: u32,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let (files, missing) = SystemFiles::in_mdcath(host, path, kelvin)?;
        let SystemFiles { name, topology, trajectories: reference, .. } = files;
        notes.extend(missing.into_iter().map(|m| format!("{name}, a replica left out: {m}")));
        Ok(Self { name, topology, native: None, reference })
    }
}

/// Targets that exist; those that do not are noted, and it is an error if none is left.
pub fn existing(
    all: impl IntoIterator<Item = Result<Target>>,
    notes: &mut Vec<String>,
) -> Result<Vec<Target>> {
    let mut out = Vec::new();
    for one in all {
        match one {
            Ok(target) => out.push(target),
            Err(e) => notes.push(format!("left out: {e:#}")),
        }
    }
    let words = notes.join("; ");
    (!out.is_empty()).then_some(out).with_context(|| format!("no target is there: {words}"))
}
