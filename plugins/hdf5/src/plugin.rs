//! Which layout a file has, and which part of it is meant.

use crate::file::Opened;
use crate::{mdcath, mdtraj};
use marsfm_plugin_api::abi::{Format, MARSFM_PLUGIN_HAS_TOPOLOGY, MARSFM_PLUGIN_READS_FRAMES};
use marsfm_plugin_api::{
    AtomRecord, PluginError, ReadFrames, TopologyFile, TrajectoryPlugin, WriteFrames, format,
};
use std::path::Path;

/// Above the 0 of plugins that know these files among many others.
const PRIORITY: i32 = 10;

/// The plugin.
pub struct Hdf5;

impl TrajectoryPlugin for Hdf5 {
    const FORMATS: &'static [Format] = &[format(
        c"HDF5 (mdCATH, MDTraj)",
        c"h5,hdf5,hdf",
        MARSFM_PLUGIN_READS_FRAMES | MARSFM_PLUGIN_HAS_TOPOLOGY,
        PRIORITY,
    )];

    fn read_topology(path: &Path) -> Result<TopologyFile, PluginError> {
        let opened = Opened::new(path)?;
        match layout(&opened)? {
            Layout::MdCath(domain) => mdcath::topology(&opened, &domain),
            Layout::MdTraj => mdtraj::topology(&opened),
        }
    }

    fn open(path: &Path) -> Result<Box<dyn ReadFrames>, PluginError> {
        let opened = Opened::new(path)?;
        match layout(&opened)? {
            Layout::MdCath(domain) => Ok(Box::new(mdcath::Reader::open(&opened, &domain)?)),
            Layout::MdTraj => Ok(Box::new(mdtraj::Reader::open(&opened)?)),
        }
    }

    fn create(_: &Path, _: &[AtomRecord]) -> Result<Box<dyn WriteFrames>, PluginError> {
        Err(PluginError::unsupported("the hdf5 plugin writes no files; write XTC and PDB"))
    }
}

enum Layout {
    /// With the name of the domain.
    MdCath(String),
    MdTraj,
}

/// mdCATH: one group that holds `resname` beside its temperatures; MDTraj: `coordinates` and
/// `topology` at the root.
fn layout(opened: &Opened) -> Result<Layout, PluginError> {
    let (groups, datasets) = opened.members("/")?;
    let has = |name: &str| datasets.iter().any(|d| d == name);
    if has("coordinates") && has("topology") {
        return Ok(Layout::MdTraj);
    }
    if let [domain] = groups.as_slice() {
        let (_, inside) = opened.members(&format!("/{domain}"))?;
        if inside.iter().any(|d| d == "resname") && inside.iter().any(|d| d == "pdbProteinAtoms") {
            return Ok(Layout::MdCath(domain.clone()));
        }
    }
    let all: Vec<String> = groups.into_iter().chain(datasets).collect();
    Err(PluginError::format(format!(
        "neither the layout of mdCATH (one group per domain with resname, pdbProteinAtoms and \
         temperatures) nor that of MDTraj (coordinates and topology); at its root are: {}",
        if all.is_empty() { "nothing".into() } else { all.join(", ") }
    )))
}
