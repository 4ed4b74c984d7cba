//! Trajectories in HDF5, pure Rust: the layout of mdCATH (one file per domain, trajectories by
//! temperature and replica) and that of MDTraj.
//!
//! A path may say which trajectory of a file is meant: `domain.h5#450/2` is replica 2 at 450 K.

mod file;
mod mdcath;
mod mdtraj;
mod plugin;

marsfm_plugin_api::export_plugin! {
    name: c"hdf5",
    version: marsfm_plugin_api::package_version!(),
    trajectory: plugin::Hdf5,
}
