//! The tables of the service `marsfm.proposer/1`, by the rules of [`crate::abi`]; the header takes
//! them from here. Positions are doubles, nm, in the engine's own order. Since ABI 1.3.
//!
//! A proposer says where MD could be started from. The host gives it frames of the MD so far; what
//! it answers is judged, minimised and run by the host like any other seed, and never counted.

use crate::abi::TopologyRows;
use std::ffi::c_char;

/// `parents` of a proposal that was made from none of the request's frames.
pub const MARSFM_PLUGIN_NO_PARENT: i64 = -1;

/// A proposer bound to a topology, opaque. One thread at a time.
#[repr(C)]
pub struct Proposer {
    _private: [u8; 0],
}

/// What proposals are asked for, and the MD that they may be made from. Borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ProposeRequest {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Number of atoms, that of the topology; another is `MARSFM_PLUGIN_MISMATCH`.
    pub n_atoms: usize,
    /// Room for so many proposals. Fewer may be made, also none.
    pub n_wanted: usize,
    /// The only source of randomness: the same request gives the same proposals.
    pub rng_seed: u64,
    /// Number of the epoch, from 0.
    pub epoch: u64,
    /// Temperature of the MD, K.
    pub temperature_kelvin: f64,
    /// Number of frames to start from, at least 1.
    pub n_parents: usize,
    /// The frames, `n_parents` * `n_atoms` * 3 doubles, nm: random frames behind the heads of runs,
    /// of randomly chosen microstates that MD has been in.
    pub parents_nm: *const f64,
    /// Frames of MD in the microstate of each parent: `n_parents` numbers.
    pub parent_counts: *const u64,
}

/// Service `marsfm.proposer/1`. Lives for the whole process. On failure a function leaves its
/// outputs as they were, and `marsfm_plugin_entry_t::last_error` says what and what to do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ProposerService {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Short name of the proposer (`twist`); loops call it `plugin:twist`.
    pub name: *const c_char,
    /// Binds to the atoms of an engine. `options` is a JSON object: the options of the loop's
    /// strategy. [any thread]
    pub open: Option<
        extern "C" fn(
            topology: *const TopologyRows,
            options: *const c_char,
            proposer: *mut *mut Proposer,
        ) -> i32,
    >,
    /// Proposes structures: into `xyz_nm` (room for `n_wanted` * `n_atoms` * 3 doubles, nm), the
    /// number of the frame that each was made from or `MARSFM_PLUGIN_NO_PARENT` into `parents`
    /// (room for `n_wanted` numbers), and how many there are into `n_proposed`. All atoms have to
    /// be placed; where the engine brings its own solvent, that of the parent will do. The host
    /// takes nothing of an answer that holds too many, a number that is not finite, or a parent
    /// that there is not. [thread of the proposer]
    pub propose: Option<
        extern "C" fn(
            proposer: *mut Proposer,
            request: *const ProposeRequest,
            xyz_nm: *mut f64,
            parents: *mut i64,
            n_proposed: *mut usize,
        ) -> i32,
    >,
    /// Closes and frees; NULL is fine. [thread of the proposer]
    pub close: Option<extern "C" fn(proposer: *mut Proposer)>,
}

// SAFETY: the table is immutable once made and points to data that lives for the process.
#[allow(unsafe_code)]
unsafe impl Sync for ProposerService {}

/// A released size is frozen (ABI 1.3, 64-bit).
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<ProposeRequest>() == 72);
    assert!(size_of::<ProposerService>() == 40);
};
