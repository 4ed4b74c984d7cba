//! Plugins as users have them: real libraries, loaded by the host, on real files.

mod backend;
mod c_door;
mod chemfiles;
mod hdf5;
mod proposer;
mod refusals;
mod support;
mod xtc;
