//! Topologies and paths as the tables want them, and a topology out of a plugin's calls.
#![allow(unsafe_code)] // receives C callbacks

use crate::error::HostError;
use crate::plugin::Plugin;
use crate::source::not_finite;
use marsfm_geometry::Topology;
use marsfm_plugin_api::abi::*;
use marsfm_plugin_api::{
    AtomRecord, PluginError, atom_from_row, frame_from_row, guard, text_from_c,
};
use marsfm_trajectory::Frame;
use std::ffi::{CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A topology file as read.
#[derive(Clone, Debug, Default)]
pub struct TopologyFile {
    /// Atoms and residues in file order.
    pub topology: Topology,
    /// The coordinates in the file, if it has any.
    pub frame: Option<Frame>,
    /// Remarks for the user: alternate locations left out and the like.
    pub notes: Vec<String>,
}

/// A path as a C string.
pub(crate) fn c_path(path: &Path) -> Result<CString, HostError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| HostError::File {
        file: path.display().to_string(),
        message: "the name holds a NUL byte".into(),
    })
}

/// The atoms of a topology as records.
pub(crate) fn records(topology: &Topology) -> Vec<AtomRecord> {
    topology
        .atoms
        .iter()
        .map(|a| {
            let r = &topology.residues[a.residue];
            AtomRecord {
                name: a.name.clone(),
                element: a.element.clone(),
                residue_name: r.name.clone(),
                residue_number: r.number,
                insertion: r.insertion.clone(),
                chain: r.chain.clone(),
            }
        })
        .collect()
}

/// Reads atoms and coordinates of `path` through a plugin.
pub(crate) fn read_topology(plugin: &Plugin, path: &Path) -> Result<TopologyFile, HostError> {
    let Some(read) = plugin.trajectory.and_then(|t| t.read_topology) else {
        return Err(plugin.error(path, "it reads no topologies", MARSFM_PLUGIN_UNSUPPORTED));
    };
    let mut taken = TopologyFile::default();
    let sink = TopologySink {
        struct_size: size_of::<TopologySink>(),
        user_data: std::ptr::from_mut(&mut taken).cast(),
        atom: Some(take_atom),
        coordinates: Some(take_coordinates),
        note: Some(take_note),
    };
    let text = c_path(path)?;
    plugin.check(read(text.as_ptr(), &sink), path)?;
    let broken = |message: String| HostError::File { file: path.display().to_string(), message };
    let n = taken.topology.len();
    if n == 0 {
        return Err(broken("it names no atom".into()));
    }
    if let Some(frame) = &taken.frame {
        if frame.positions_nm.len() != n {
            let got = frame.positions_nm.len();
            return Err(broken(format!("{got} positions for {n} atoms")));
        }
        if let Some(atom) = not_finite(&frame.positions_nm) {
            let label = taken.topology.atom_label(atom);
            return Err(broken(format!("the position of {label} is not finite")));
        }
    }
    Ok(taken)
}

/// Runs the body of a callback with the file being filled. Nothing unwinds into the plugin.
fn fill(
    user_data: *mut c_void,
    body: impl FnOnce(&mut TopologyFile) -> Result<(), PluginError>,
) -> i32 {
    guard(|| {
        // SAFETY: `read_topology` above passes its own local, which outlives the call.
        let file = unsafe { user_data.cast::<TopologyFile>().as_mut() };
        body(file.ok_or_else(|| PluginError::invalid("user_data is NULL"))?)?;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn take_atom(user_data: *mut c_void, atom: *const AtomRow) -> i32 {
    fill(user_data, |file| {
        // SAFETY: NULL or valid for the call (contract).
        let a = unsafe { atom_from_row(atom) }?;
        file.topology.push(
            &a.name,
            &a.element,
            &a.residue_name,
            a.residue_number,
            &a.insertion,
            &a.chain,
        );
        Ok(())
    })
}

extern "C" fn take_coordinates(user_data: *mut c_void, frame: *const FrameRow) -> i32 {
    fill(user_data, |file| {
        // SAFETY: NULL or valid for the call (contract).
        let frame = unsafe { frame_from_row(frame) }?;
        file.frame = Some(Frame {
            positions_nm: frame.positions_nm.to_vec(),
            cell_nm: frame.cell_nm,
            time_ps: None,
        });
        Ok(())
    })
}

extern "C" fn take_note(user_data: *mut c_void, text: *const c_char) -> i32 {
    fill(user_data, |file| {
        // SAFETY: NULL or NUL-terminated (contract).
        file.notes.push(unsafe { text_from_c(text, "note") }?);
        Ok(())
    })
}
