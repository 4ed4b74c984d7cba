//! The tables that cross between host and plugin. They are plain C: `include/marsfm_plugin.h` is
//! generated from this file, and C plugins see the same bytes as Rust ones.
//!
//! Rules: every struct begins with its size in bytes, as its writer knows it, and grows only at
//! its end; a function slot may be NULL, and then the thing is not offered; statuses are
//! `int32_t`; nothing unwinds across; strings are NUL-terminated UTF-8 (paths: the bytes of the
//! system). Lengths are nm, times ps.
//!
//! The structs named here are frozen at ABI 1.0: a later minor version appends by wrapping them
//! (`{ v1_0: X, new_slot }`), so that the layout check of the Rust door keeps passing. ABI 1.1
//! adds the tables of engines, in `engine_abi.rs`; ABI 1.2 those of compute backends, in
//! `backend_abi.rs`; ABI 1.3 those of proposers, in `proposer_abi.rs`, and temperatures in requests to
//! backends; ABI 1.4 devices that multiply in bfloat16.
#![allow(unsafe_code)] // the derive of the layout description writes unsafe impls

use abi_stable::StableAbi;
use std::ffi::{CStr, c_char, c_void};

/// Major version of the plugin ABI: host and plugin must agree exactly.
pub const MARSFM_PLUGIN_ABI_MAJOR: u32 = 1;
/// Minor version of the plugin ABI: a plugin may be older than the host, not newer.
pub const MARSFM_PLUGIN_ABI_MINOR: u32 = 4;

/// Success.
pub const MARSFM_PLUGIN_OK: i32 = 0;
/// No more frames: not an error.
pub const MARSFM_PLUGIN_END: i32 = 1;
/// An argument is unusable (NULL, wrong size, not finite).
pub const MARSFM_PLUGIN_INVALID: i32 = 2;
/// The file could not be opened, read or written.
pub const MARSFM_PLUGIN_IO: i32 = 3;
/// The file is damaged, cut off, or not of this format.
pub const MARSFM_PLUGIN_FORMAT: i32 = 4;
/// The plugin does not offer this.
pub const MARSFM_PLUGIN_UNSUPPORTED: i32 = 5;
/// Number of atoms differs from what was expected.
pub const MARSFM_PLUGIN_MISMATCH: i32 = 6;
/// The plugin failed in a way that it did not foresee (a caught panic or exception).
pub const MARSFM_PLUGIN_PANIC: i32 = 7;

/// `marsfm_plugin_format_t::flags`: frames can be read.
pub const MARSFM_PLUGIN_READS_FRAMES: u32 = 1;
/// `marsfm_plugin_format_t::flags`: frames can be written.
pub const MARSFM_PLUGIN_WRITES_FRAMES: u32 = 2;
/// `marsfm_plugin_format_t::flags`: the file names its atoms (a topology can be read).
pub const MARSFM_PLUGIN_HAS_TOPOLOGY: u32 = 4;

/// `marsfm_plugin_frame_t::flags`: `cell_nm` is filled.
pub const MARSFM_PLUGIN_HAS_CELL: u32 = 1;
/// `marsfm_plugin_frame_t::flags`: `time_ps` is filled.
pub const MARSFM_PLUGIN_HAS_TIME: u32 = 2;
/// `marsfm_plugin_frame_t::flags`: `time_ps` is known to be ps of simulated time. Not set for
/// formats whose unit of time depends on the writing program (DCD).
pub const MARSFM_PLUGIN_TIME_IS_TRUSTED: u32 = 4;

/// Id of the service that reads and writes trajectories and topologies.
pub const MARSFM_PLUGIN_TRAJECTORY_1: &CStr = c"marsfm.trajectory/1";
/// Id of the service that computes one row of features per frame.
pub const MARSFM_PLUGIN_FEATURIZER_1: &CStr = c"marsfm.featurizer/1";
/// Id of the service that runs MD. Since ABI 1.1.
pub const MARSFM_PLUGIN_ENGINE_1: &CStr = c"marsfm.engine/1";
/// Id of the service that proposes conformations to start MD from. Since ABI 1.3.
pub const MARSFM_PLUGIN_PROPOSER_1: &CStr = c"marsfm.proposer/1";
/// Id of the service that computes surrogates. Since ABI 1.2.
pub const MARSFM_PLUGIN_BACKEND_1: &CStr = c"marsfm.backend/1";

/// What the host tells a plugin about itself. Lives for the whole process.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct HostInfo {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// ABI major version of the host.
    pub abi_major: u32,
    /// ABI minor version of the host.
    pub abi_minor: u32,
    /// Name and version of the host, for messages.
    pub version: *const c_char,
}

/// A plugin as a whole. Lives for the whole process. The one exported symbol is
/// `const marsfm_plugin_entry_t *marsfm_plugin_entry(const marsfm_plugin_host_t *host)`; it is
/// fast, touches no file, and returns NULL to refuse. [any thread]
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Entry {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// ABI major version that the plugin was built for.
    pub abi_major: u32,
    /// ABI minor version that the plugin was built for.
    pub abi_minor: u32,
    /// Short name of the plugin, unique among plugins (`xtc`).
    pub name: *const c_char,
    /// Version of the plugin.
    pub version: *const c_char,
    /// Returns the table of a service by its id, or NULL if there is none. [any thread]
    pub get_service: Option<extern "C" fn(id: *const c_char) -> *const c_void>,
    /// Copies the text of the last failure on this thread, NUL-terminated and cut to `capacity`
    /// bytes, and returns its whole length with the NUL. `capacity` 0 only asks. [any thread]
    pub last_error: Option<extern "C" fn(buffer: *mut c_char, capacity: usize) -> usize>,
}

/// One file format of a trajectory service. Lives for the whole process.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Format {
    /// Size of this struct, bytes; also the step from one element to the next.
    pub struct_size: usize,
    /// Name for people (`GROMACS XTC`).
    pub name: *const c_char,
    /// Extensions in lower case without dots, separated by commas (`nc,ncdf`).
    pub extensions: *const c_char,
    /// Sum of `MARSFM_PLUGIN_READS_FRAMES` and its sisters.
    pub flags: u32,
    /// Higher is preferred where two plugins know an extension; 0 is ordinary.
    pub priority: i32,
}

/// One atom. Strings are borrowed for the call; none is NULL, an unknown one is empty.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct AtomRow {
    /// Size of this struct, bytes; also the step from one element to the next.
    pub struct_size: usize,
    /// Atom name (`CA`).
    pub name: *const c_char,
    /// Element symbol (`C`), or empty.
    pub element: *const c_char,
    /// Residue name (`ALA`).
    pub residue_name: *const c_char,
    /// Insertion code, or empty.
    pub insertion: *const c_char,
    /// Chain identifier, or empty.
    pub chain: *const c_char,
    /// Residue number as in the file.
    pub residue_number: i32,
    /// Zero.
    pub reserved: i32,
}

/// Atoms in file order. Borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct TopologyRows {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Number of atoms.
    pub n_atoms: usize,
    /// The atoms; element i is `atoms->struct_size * i` bytes after the first.
    pub atoms: *const AtomRow,
}

/// One frame in memory of the caller.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct FrameRow {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Number of atoms that `xyz_nm` has room for; reading fails if it is not the file's.
    pub n_atoms: usize,
    /// 3 * `n_atoms` floats, nm: x, y, z of atom 0, then of atom 1, without gaps. Written by
    /// `read_frame`; never written by a function that takes a const frame.
    pub xyz_nm: *mut f32,
    /// Cell vectors a, b, c, nm; valid with `MARSFM_PLUGIN_HAS_CELL`.
    pub cell_nm: [f32; 9],
    /// Sum of `MARSFM_PLUGIN_HAS_CELL` and its sisters.
    pub flags: u32,
    /// Time, ps; valid with `MARSFM_PLUGIN_HAS_TIME`.
    pub time_ps: f64,
}

/// What an opened trajectory holds.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct ReaderInfo {
    /// Size of this struct, bytes (set by the caller).
    pub struct_size: usize,
    /// Atoms per frame.
    pub n_atoms: u64,
    /// Number of frames, or -1 if it is not known without reading all.
    pub n_frames: i64,
}

/// Where `read_topology` puts what it reads. Its functions run on the calling thread, must not
/// call the plugin, and return a status: anything but OK ends the reading with that status.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct TopologySink {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Passed back as the first argument.
    pub user_data: *mut c_void,
    /// Takes the next atom, in file order.
    pub atom: Option<extern "C" fn(user_data: *mut c_void, atom: *const AtomRow) -> i32>,
    /// Takes the coordinates, once, after all atoms; not called if the file has none.
    pub coordinates: Option<extern "C" fn(user_data: *mut c_void, frame: *const FrameRow) -> i32>,
    /// Takes a remark for the user: what was left out or decided.
    pub note: Option<extern "C" fn(user_data: *mut c_void, text: *const c_char) -> i32>,
}

/// An opened trajectory, opaque. One thread at a time.
#[repr(C)]
#[derive(StableAbi)]
pub struct Reader {
    _private: [u8; 0],
}

/// A trajectory being written, opaque. One thread at a time.
#[repr(C)]
#[derive(StableAbi)]
pub struct Writer {
    _private: [u8; 0],
}

/// A featurizer bound to a topology, opaque. One thread at a time.
#[repr(C)]
#[derive(StableAbi)]
pub struct Featurizer {
    _private: [u8; 0],
}

/// Service `marsfm.trajectory/1`. Lives for the whole process. On failure a function leaves its
/// outputs as they were, and `marsfm_plugin_entry_t::last_error` says what, where, and what to do.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct TrajectoryService {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Number of formats.
    pub n_formats: usize,
    /// The formats; element i is `formats->struct_size * i` bytes after the first.
    pub formats: *const Format,
    /// Reads atoms, and coordinates if there are any, into `sink`. [any thread]
    pub read_topology: Option<extern "C" fn(path: *const c_char, sink: *const TopologySink) -> i32>,
    /// Opens a trajectory for reading, at its first frame. [any thread]
    pub open_reader: Option<extern "C" fn(path: *const c_char, reader: *mut *mut Reader) -> i32>,
    /// Tells the number of atoms and frames. [thread of the reader]
    pub reader_info: Option<extern "C" fn(reader: *mut Reader, info: *mut ReaderInfo) -> i32>,
    /// Reads the next frame into the caller's memory; `MARSFM_PLUGIN_END` after the last.
    /// [thread of the reader]
    pub read_frame: Option<extern "C" fn(reader: *mut Reader, frame: *mut FrameRow) -> i32>,
    /// The next `read_frame` gives frame `index` (from 0). [thread of the reader]
    pub seek: Option<extern "C" fn(reader: *mut Reader, index: u64) -> i32>,
    /// Closes and frees; NULL is fine. [thread of the reader]
    pub close_reader: Option<extern "C" fn(reader: *mut Reader)>,
    /// Creates a trajectory file, replacing one of that name. [any thread]
    pub open_writer: Option<
        extern "C" fn(
            path: *const c_char,
            topology: *const TopologyRows,
            writer: *mut *mut Writer,
        ) -> i32,
    >,
    /// Appends a frame. [thread of the writer]
    pub write_frame: Option<extern "C" fn(writer: *mut Writer, frame: *const FrameRow) -> i32>,
    /// Completes the file. Takes the writer: it is freed whatever is returned.
    /// [thread of the writer]
    pub finish: Option<extern "C" fn(writer: *mut Writer) -> i32>,
    /// Gives up and frees; the caller removes the file. NULL is fine. [thread of the writer]
    pub abort: Option<extern "C" fn(writer: *mut Writer)>,
}

/// Service `marsfm.featurizer/1`. Lives for the whole process.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct FeaturizerService {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Short name of the features (`ring-currents`).
    pub name: *const c_char,
    /// Binds to a topology. `options` is text for the featurizer (JSON by custom) or NULL.
    /// [any thread]
    pub open: Option<
        extern "C" fn(
            topology: *const TopologyRows,
            options: *const c_char,
            featurizer: *mut *mut Featurizer,
        ) -> i32,
    >,
    /// Tells the length of a row. [thread of the featurizer]
    pub n_features: Option<extern "C" fn(featurizer: *mut Featurizer, count: *mut usize) -> i32>,
    /// Copies the name of feature `index` as `last_error` does, and returns its whole length
    /// with the NUL, or 0 if there is no such feature. [thread of the featurizer]
    pub feature_name: Option<
        extern "C" fn(
            featurizer: *mut Featurizer,
            index: usize,
            buffer: *mut c_char,
            capacity: usize,
        ) -> usize,
    >,
    /// Computes one row of `n_row` floats from one frame. [thread of the featurizer]
    pub compute: Option<
        extern "C" fn(
            featurizer: *mut Featurizer,
            frame: *const FrameRow,
            row: *mut f32,
            n_row: usize,
        ) -> i32,
    >,
    /// Closes and frees; NULL is fine. [thread of the featurizer]
    pub close: Option<extern "C" fn(featurizer: *mut Featurizer)>,
}

/// Type of the one exported C symbol, `marsfm_plugin_entry`.
pub type EntryFunction = extern "C" fn(host: *const HostInfo) -> *const Entry;

// SAFETY: these tables are immutable once made and point to data that lives for the process.
unsafe impl Sync for Entry {}
// SAFETY: as above.
unsafe impl Sync for Format {}
// SAFETY: as above.
unsafe impl Sync for TrajectoryService {}
// SAFETY: as above.
unsafe impl Sync for FeaturizerService {}
// SAFETY: as above.
unsafe impl Sync for HostInfo {}
// SAFETY: as above; moving a reference to such a table to another thread is harmless.
unsafe impl Send for HostInfo {}

/// A released size is frozen (ABI 1.0, 64-bit).
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<HostInfo>() == 24);
    assert!(size_of::<Entry>() == 48);
    assert!(size_of::<Format>() == 32);
    assert!(size_of::<AtomRow>() == 56);
    assert!(size_of::<TopologyRows>() == 24);
    assert!(size_of::<FrameRow>() == 72);
    assert!(size_of::<ReaderInfo>() == 24);
    assert!(size_of::<TopologySink>() == 40);
    assert!(size_of::<TrajectoryService>() == 104);
    assert!(size_of::<FeaturizerService>() == 56);
};
