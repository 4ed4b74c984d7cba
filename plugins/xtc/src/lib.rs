//! XTC trajectories with PDB and mmCIF topologies, pure Rust.

mod altloc;
mod cell;
mod element;
mod mmcif;
mod pdb;
mod pdb_trajectory;
mod plugin;
mod xtc;

marsfm_plugin_api::export_plugin! {
    name: c"xtc",
    version: const {
        match std::ffi::CStr::from_bytes_with_nul(
            concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
        ) {
            Ok(version) => version,
            Err(_) => c"?",
        }
    },
    trajectory: plugin::Xtc,
}
