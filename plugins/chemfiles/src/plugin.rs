//! Which formats of chemfiles are offered, and what is known about each.

use crate::{reader, topology, writer};
use marsfm_plugin_api::abi::{
    Format, MARSFM_PLUGIN_HAS_TOPOLOGY as TOPOLOGY, MARSFM_PLUGIN_READS_FRAMES as READS,
    MARSFM_PLUGIN_WRITES_FRAMES as WRITES,
};
use marsfm_plugin_api::{
    AtomRecord, PluginError, ReadFrames, TopologyFile, TrajectoryPlugin, WriteFrames, format,
};
use std::path::Path;

/// The plugin.
pub struct Chemfiles;

/// What chemfiles calls a format, and whether its time is ps of simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub name: &'static str,
    pub time_is_trusted: bool,
}

/// The format of a path by its extension.
pub fn known(path: &Path) -> Result<Known, PluginError> {
    let extension =
        path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (name, time_is_trusted) = match extension.as_str() {
        "xtc" => ("XTC", true),
        "trr" => ("TRR", true),
        "gro" => ("GRO", true),
        "pdb" | "ent" => ("PDB", false),
        "cif" | "mmcif" => ("mmCIF", false),
        // The unit of time in a DCD depends on the program that wrote it; chemfiles takes
        // CHARMM's, which is wrong by a factor of 20.455 for OpenMM's files.
        "dcd" => ("DCD", false),
        "tpr" => ("TPR", false),
        // chemfiles 0.10.4 does not read the times of NetCDF files.
        "nc" | "ncdf" => ("Amber NetCDF", false),
        other => {
            let message = format!("the chemfiles plugin does not offer `.{other}`");
            return Err(PluginError::unsupported(message));
        }
    };
    Ok(Known { name, time_is_trusted })
}

impl TrajectoryPlugin for Chemfiles {
    const FORMATS: &'static [Format] = &[
        format(c"GROMACS XTC", c"xtc", READS | WRITES, 0),
        format(c"GROMACS TRR", c"trr", READS | WRITES, 0),
        format(c"GROMACS GRO", c"gro", READS | WRITES | TOPOLOGY, 0),
        format(c"PDB", c"pdb,ent", READS | WRITES | TOPOLOGY, 0),
        format(c"mmCIF", c"cif,mmcif", READS | TOPOLOGY, 0),
        format(c"DCD", c"dcd", READS, 0),
        format(c"GROMACS TPR", c"tpr", TOPOLOGY, 0),
        format(c"Amber NetCDF", c"nc,ncdf", READS | WRITES, 0),
    ];

    fn read_topology(path: &Path) -> Result<TopologyFile, PluginError> {
        topology::read(path)
    }

    fn open(path: &Path) -> Result<Box<dyn ReadFrames>, PluginError> {
        Ok(Box::new(reader::Reader::open(path)?))
    }

    fn create(path: &Path, atoms: &[AtomRecord]) -> Result<Box<dyn WriteFrames>, PluginError> {
        Ok(Box::new(writer::Writer::create(path, atoms)?))
    }
}

/// An error of chemfiles; `what` says where it happened.
pub fn failed(what: &str, error: &chemfiles::Error) -> PluginError {
    let message = format!("{what}: {}", error.message.trim());
    match error.status {
        chemfiles::Status::FileError => PluginError::io(message),
        _ => PluginError::format(message),
    }
}
