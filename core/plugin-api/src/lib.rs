//! The contract with plugins: one set of C tables ([`abi`]), carried by two doors.
//!
//! - A plugin in C or C++ includes `marsfm_plugin.h`, which is generated from [`abi`], and
//!   exports `marsfm_plugin_entry`.
//! - A plugin in Rust implements [`TrajectoryPlugin`], [`FeaturizerPlugin`], [`EnginePlugin`],
//!   [`BackendPlugin`] or [`ProposerPlugin`] and calls [`export_plugin!`], which writes that symbol
//!   and an `abi_stable` root module with the same tables, whose layout the host compares at load
//!   (engines, backends and proposers, which came later, are asked for by id through both doors).
//!
//! Panics are caught on the plugin's side. This crate itself exports no symbol, so a plugin that
//! links it shows its two doors and nothing else.

pub mod abi;
pub mod backend;
pub mod backend_abi;
mod cell;
mod door;
mod element;
pub mod engine;
pub mod engine_abi;
mod engine_run;
mod error;
mod export;
mod featurizer;
mod files;
pub mod proposer;
pub mod proposer_abi;
mod random;
mod records;
mod trajectory;

#[doc(hidden)]
pub use abi_stable;
pub use backend::{BackendPlugin, backend_table, residue_doubles, residue_parts};
pub use cell::cell_vectors_nm;
pub use door::{RustDoor, RustDoorRef};
#[doc(hidden)]
pub use door::{accepts, entry, find_service, rust_door};
pub use element::{element, is_water};
pub use engine::{EnginePlugin, engine_table};
#[doc(hidden)]
pub use error::quiet_guarded_panics;
pub use error::{PluginError, guard, last_error};
pub use featurizer::{FeaturizerPlugin, featurizer_table};
pub use files::{Partial, file_error, write_whole};
pub use proposer::{Proposed, ProposerPlugin, Wanted, proposer_table};
pub use random::stream_seed;
pub use records::{
    AtomRecord, FrameMut, FrameRef, RowsBuffer, atom_from_row, atoms_from_rows, cell_of,
    frame_from_row, frame_row, text_from_c,
};
pub use trajectory::{
    ReadFrames, TopologyFile, TrajectoryPlugin, WriteFrames, format, trajectory_table,
};
