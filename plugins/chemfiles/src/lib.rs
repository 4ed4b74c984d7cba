//! Formats of the chemfiles library (C++, built from its sources).
//!
//! chemfiles works in Å; everything is converted to nm here. A handle of chemfiles is used by
//! one thread at a time, as the contract says. Its warnings become notes instead of lines on
//! stderr.

mod plugin;
mod reader;
mod topology;
mod warnings;
mod writer;

marsfm_plugin_api::export_plugin! {
    name: c"chemfiles",
    version: marsfm_plugin_api::package_version!(),
    trajectory: plugin::Chemfiles,
}
