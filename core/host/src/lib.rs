//! Finds, checks, loads and adapts plugins.
//!
//! [`Host`] looks for plugins at fixed places, decides *before* opening one whether it may be
//! loaded, opens it once, shakes hands through the Rust or the C door, and offers what it can do
//! as the traits of the other rooms: [`FrameSource`](marsfm_trajectory::FrameSource),
//! [`FrameSink`](marsfm_trajectory::FrameSink), [`Featurizer`](marsfm_features::Featurizer) and
//! [`Engine`](marsfm_preparation::Engine), surrogates that compute on a device of a plugin, and
//! [`PluginProposer`]. Nothing behind those traits can tell the doors apart.
//!
//! Whatever is refused is listed with its reason in [`Host::report`].

mod backend;
mod cuda;
mod device;
mod engine;
mod engine_sinks;
mod engine_watch;
mod error;
mod featurizer;
mod find;
mod host;
mod plugin;
mod proposer;
mod rows;
mod source;
mod status;
mod surrogate;
mod trust;

pub use device::{BackendReport, Device, Devices};
pub use engine::PluginEngine;
pub use engine_watch::EngineLimits;
pub use error::HostError;
pub use host::Host;
pub use marsfm_plugin_api::{Proposed, Wanted};
pub use plugin::{Door, FormatInfo};
pub use proposer::PluginProposer;
pub use rows::TopologyFile;
pub use status::PluginStatus;
