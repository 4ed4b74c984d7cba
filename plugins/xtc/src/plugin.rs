//! Which file goes to which reader and writer.

use crate::{mmcif, pdb, pdb_trajectory, xtc};
use marsfm_plugin_api::abi::{
    Format, MARSFM_PLUGIN_HAS_TOPOLOGY, MARSFM_PLUGIN_READS_FRAMES, MARSFM_PLUGIN_WRITES_FRAMES,
};
use marsfm_plugin_api::{
    AtomRecord, PluginError, ReadFrames, TopologyFile, TrajectoryPlugin, WriteFrames, format,
};
use std::path::Path;

/// Above the 0 of plugins that know these formats among many others.
const PRIORITY: i32 = 10;

/// The plugin.
pub struct Xtc;

impl TrajectoryPlugin for Xtc {
    const FORMATS: &'static [Format] = &[
        format(
            c"GROMACS XTC",
            c"xtc",
            MARSFM_PLUGIN_READS_FRAMES | MARSFM_PLUGIN_WRITES_FRAMES,
            PRIORITY,
        ),
        format(
            c"PDB",
            c"pdb,ent",
            MARSFM_PLUGIN_READS_FRAMES | MARSFM_PLUGIN_WRITES_FRAMES | MARSFM_PLUGIN_HAS_TOPOLOGY,
            PRIORITY,
        ),
        format(c"mmCIF", c"cif,mmcif", MARSFM_PLUGIN_HAS_TOPOLOGY, PRIORITY),
    ];

    fn read_topology(path: &Path) -> Result<TopologyFile, PluginError> {
        match extension(path).as_str() {
            "pdb" | "ent" => pdb::read_topology(path),
            "cif" | "mmcif" => mmcif::read_topology(path),
            other => Err(unknown(other, "a topology (it names atoms in PDB and mmCIF)")),
        }
    }

    fn open(path: &Path) -> Result<Box<dyn ReadFrames>, PluginError> {
        match extension(path).as_str() {
            "xtc" => Ok(Box::new(xtc::XtcReader::open(path)?)),
            "pdb" | "ent" => Ok(Box::new(pdb_trajectory::PdbReader::open(path)?)),
            other => Err(unknown(other, "a trajectory (it reads frames of XTC and PDB)")),
        }
    }

    fn create(path: &Path, atoms: &[AtomRecord]) -> Result<Box<dyn WriteFrames>, PluginError> {
        match extension(path).as_str() {
            "xtc" => Ok(Box::new(xtc::XtcWriter::create(path, atoms.len())?)),
            "pdb" | "ent" => Ok(Box::new(pdb_trajectory::PdbWriter::create(path, atoms)?)),
            other => Err(unknown(other, "something to write (it writes XTC and PDB)")),
        }
    }
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn unknown(extension: &str, what: &str) -> PluginError {
    PluginError::unsupported(format!("the xtc plugin does not know `.{extension}` as {what}"))
}
