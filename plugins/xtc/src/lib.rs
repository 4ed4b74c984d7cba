//! XTC trajectories with PDB and mmCIF topologies, pure Rust.

mod altloc;
mod cell;
mod mmcif;
mod pdb;
mod pdb_trajectory;
mod plugin;
mod xtc;

marsfm_plugin_api::export_plugin! {
    name: c"xtc",
    version: marsfm_plugin_api::package_version!(),
    trajectory: plugin::Xtc,
}
