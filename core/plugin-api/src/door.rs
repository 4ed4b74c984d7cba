//! The Rust door: an `abi_stable` root module that carries the same tables as the C door, so
//! that their layout is compared, field by field, before the first of them is used.
//!
//! The module is frozen: services that come later are asked for by id through the entry, as in
//! the C door, because `abi_stable` refuses a library whose module has fewer fields than the
//! host's.
#![allow(unsafe_code)] // the derive of the layout description writes unsafe impls

use crate::abi::*;
use crate::backend_abi::BackendService;
use crate::engine_abi::EngineService;
use crate::error::last_error;
use crate::proposer_abi::ProposerService;
use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
use std::ffi::{CStr, c_char, c_void};

/// What the Rust door shows.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RustDoorRef, prefix_fields = RustDoorPrefix)))]
pub struct RustDoor {
    /// The same function as the C symbol.
    pub entry: extern "C" fn(host: *const HostInfo) -> *const Entry,
    /// The entry itself, for its layout.
    pub table: &'static Entry,
    /// The trajectory service, if there is one.
    pub trajectory: Option<&'static TrajectoryService>,
    /// The featurizer service, if there is one.
    #[sabi(last_prefix_field)]
    pub featurizer: Option<&'static FeaturizerService>,
}

impl RootModule for RustDoorRef {
    abi_stable::declare_root_module_statics! {RustDoorRef}
    const BASE_NAME: &'static str = "marsfm_plugin";
    const NAME: &'static str = "marsfm plugin ABI";
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// The entry of a Rust plugin.
#[doc(hidden)]
pub const fn entry(
    name: &'static CStr,
    version: &'static CStr,
    get_service: extern "C" fn(*const c_char) -> *const c_void,
) -> Entry {
    Entry {
        struct_size: size_of::<Entry>(),
        abi_major: MARSFM_PLUGIN_ABI_MAJOR,
        abi_minor: MARSFM_PLUGIN_ABI_MINOR,
        name: name.as_ptr(),
        version: version.as_ptr(),
        get_service: Some(get_service),
        last_error: Some(last_error),
    }
}

/// True if a plugin of this SDK can serve `host`: same major version. (A newer minor of the
/// plugin is the host's to refuse, with a message that names both.)
#[doc(hidden)]
#[allow(clippy::not_unsafe_ptr_arg_deref)]
pub fn accepts(host: *const HostInfo) -> bool {
    // SAFETY: NULL or valid by the contract; only the frozen first fields are read.
    unsafe { host.as_ref() }.is_some_and(|h| h.abi_major == MARSFM_PLUGIN_ABI_MAJOR)
}

fn pointer<T>(table: Option<&'static T>) -> *const c_void {
    table.map_or(std::ptr::null(), |t| std::ptr::from_ref(t).cast())
}

type Tables = (Option<&'static TrajectoryService>, Option<&'static FeaturizerService>);

/// Services that came after the Rust door's module was frozen.
type LaterTables = (
    Option<&'static EngineService>,
    Option<&'static BackendService>,
    Option<&'static ProposerService>,
);

/// `get_service` of a Rust plugin.
#[doc(hidden)]
#[allow(clippy::not_unsafe_ptr_arg_deref)]
pub fn find_service(
    id: *const c_char,
    (trajectory, featurizer): Tables,
    (engine, backend, proposer): LaterTables,
) -> *const c_void {
    if id.is_null() {
        return std::ptr::null();
    }
    // SAFETY: NUL-terminated by the contract.
    let id = unsafe { CStr::from_ptr(id) };
    if id == MARSFM_PLUGIN_TRAJECTORY_1 {
        pointer(trajectory)
    } else if id == MARSFM_PLUGIN_FEATURIZER_1 {
        pointer(featurizer)
    } else if id == MARSFM_PLUGIN_ENGINE_1 {
        pointer(engine)
    } else if id == MARSFM_PLUGIN_BACKEND_1 {
        pointer(backend)
    } else if id == MARSFM_PLUGIN_PROPOSER_1 {
        pointer(proposer)
    } else {
        std::ptr::null()
    }
}

/// The root module of a Rust plugin.
#[doc(hidden)]
pub fn rust_door(
    entry: EntryFunction,
    table: &'static Entry,
    trajectory: Option<&'static TrajectoryService>,
    featurizer: Option<&'static FeaturizerService>,
) -> RustDoorRef {
    RustDoor { entry, table, trajectory, featurizer }.leak_into_prefix()
}
