//! The tables of the service `marsfm.backend/1`, by the rules of [`crate::abi`]; the header takes
//! them from here. A backend computes surrogates where the host cannot: on a GPU. Its verbs are
//! coarse, so that no tensor crosses: a checkpoint goes in, conformations come out.
//!
//! Conformations are nm. What belongs to the network itself (a batch: start frames, latents,
//! velocities) is in the checkpoint's own numbers, Å among them. Since ABI 1.2.

use crate::engine_abi::TextSink;
use std::ffi::{c_char, c_void};

/// The device asked for is not there, or cannot be used. The text says why.
pub const MARSFM_PLUGIN_DEVICE_MISSING: i32 = 17;
/// The device has not enough memory for this call; a smaller one may do.
pub const MARSFM_PLUGIN_DEVICE_MEMORY: i32 = 18;
/// The bytes are no checkpoint that this backend can compute. The text says why.
pub const MARSFM_PLUGIN_MODEL: i32 = 19;

/// Added to the index of a device: matrix products round their factors to bfloat16 and sum in
/// single precision; everything else stays single. Since ABI 1.4; a plugin of before has no device of
/// such an index.
pub const MARSFM_PLUGIN_DEVICE_BF16: u32 = 0x1_0000;

/// Doubles per residue of a conformation: rotation (row-major) and translation (nm) of its frame,
/// then sine and cosine of pre-omega, phi, psi, chi1, chi2, chi3, chi4; 0, 0 where there is none.
pub const MARSFM_PLUGIN_RESIDUE_DOUBLES: usize = 26;
/// Numbers per residue and frame of the network's latents.
pub const MARSFM_PLUGIN_LATENT_DOUBLES: usize = 21;

/// A checkpoint on a device, opaque. One thread at a time.
#[repr(C)]
pub struct BackendModel {
    _private: [u8; 0],
}

/// What to draw: `n_children` windows from each start.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DrawRequest {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Residues of the chain.
    pub n_residues: usize,
    /// Their types, 0 to 19, alphabetically by three-letter code (ALA 0, ARG 1, ... VAL 19).
    pub residue_types: *const u8,
    /// Number of start conformations.
    pub n_starts: usize,
    /// `n_starts * n_residues * MARSFM_PLUGIN_RESIDUE_DOUBLES` doubles.
    pub starts: *const f64,
    /// Windows per start.
    pub n_children: usize,
    /// Frames of a window, for surrogates that draw windows; 0: jumps, one frame per draw.
    pub n_frames: usize,
    /// Seed of the noise.
    pub rng_seed: u64,
    /// Stream of the first draw; draw k of start i has stream `first_id + i * n_children + k`. The
    /// same stream gives the same noise whatever else is drawn.
    pub first_id: u64,
    /// The solver, a JSON object as in a loop's settings: `{"method": "adams", "steps": 16}`.
    pub solver: *const c_char,
    /// Temperature, K, for a surrogate that takes one; 0: none is given. Since ABI 1.3.
    pub temperature_kelvin: f64,
}

/// Points on the path of P samples of equal length, in the network's numbers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BackendBatch {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Samples P.
    pub n_samples: usize,
    /// Frames T.
    pub n_frames: usize,
    /// Residues L.
    pub n_residues: usize,
    /// Start frames, P L 12 doubles: rotation (row-major), translation (angstrom).
    pub frames: *const f64,
    /// P L residue types, 0 to 20 (20: hidden).
    pub residue_types: *const u8,
    /// Latents of conditioned tokens, 0 elsewhere: P T L 21 doubles.
    pub x_cond: *const f64,
    /// 1 at conditioned tokens, else 0: P T L bytes.
    pub x_cond_mask: *const u8,
    /// 1 at real residues, 0 at padding: P L bytes; NULL if all are real.
    pub mask: *const u8,
    /// Latents: P T L 21 doubles.
    pub x: *const f64,
    /// Times in [0, 1]: P doubles.
    pub t: *const f64,
    /// Temperatures, K: P doubles, for a surrogate that takes them; NULL: none are given. Since ABI
    /// 1.3.
    pub temperatures_kelvin: *const f64,
}

/// What the network should have answered at a batch, and what it is asked with.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BackendLesson {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Velocities to learn: P T L 21 doubles.
    pub u: *const f64,
    /// Weights of the loss: P T L 21 doubles.
    pub weights: *const f64,
    /// Number of parameters; another than the model's is `MARSFM_PLUGIN_MISMATCH`.
    pub n_parameters: usize,
    /// The parameters, in the order of their names (bytewise), each row-major.
    pub parameters: *const f32,
}

/// Service `marsfm.backend/1`. Lives for the whole process. On failure a function leaves its
/// outputs as they were, and `marsfm_plugin_entry_t::last_error` says what and what to do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BackendService {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Kind of device, in lower case (`cuda`).
    pub name: *const c_char,
    /// Says what is here, as a JSON object: `devices` (array of objects with `index`, `name`, and
    /// `memory_bytes` where it is known) and `failures` (array of text: why there is none). No
    /// device is an answer, not a failure. [any thread]
    pub describe: Option<extern "C" fn(sink: *const TextSink) -> i32>,
    /// Loads a checkpoint (the `n_bytes` bytes of the file) onto device `index`, which may have
    /// `MARSFM_PLUGIN_DEVICE_BF16` added. [any thread]
    pub load: Option<
        extern "C" fn(
            index: u32,
            bytes: *const c_void,
            n_bytes: usize,
            model: *mut *mut BackendModel,
        ) -> i32,
    >,
    /// Tells how many draws of `n_frames` frames and `n_residues` residues fill one call of `draw`
    /// well. More are possible: they are cut. [thread of the model]
    pub draws_per_call: Option<
        extern "C" fn(
            model: *mut BackendModel,
            n_residues: usize,
            n_frames: usize,
            draws: *mut usize,
        ) -> i32,
    >,
    /// Draws. Takes room for `n_doubles` doubles, which has to be `n_starts * n_children *
    /// max(n_frames, 1) * n_residues * MARSFM_PLUGIN_RESIDUE_DOUBLES`: all windows of start 0, then
    /// of start 1, and so on. Draws are not checked; the caller must. [thread of the model]
    pub draw: Option<
        extern "C" fn(
            model: *mut BackendModel,
            request: *const DrawRequest,
            conformations: *mut f64,
            n_doubles: usize,
        ) -> i32,
    >,
    /// The network's velocity at a batch: P T L 21 doubles. [thread of the model]
    pub velocity: Option<
        extern "C" fn(
            model: *mut BackendModel,
            batch: *const BackendBatch,
            velocity: *mut f64,
            n_doubles: usize,
        ) -> i32,
    >,
    /// Mean loss of a batch at the lesson's parameters, and its gradient: as many floats as there
    /// are parameters, in their order, 0 for one that takes no part. The optimiser is the host's.
    /// [thread of the model]
    pub gradients: Option<
        extern "C" fn(
            model: *mut BackendModel,
            batch: *const BackendBatch,
            lesson: *const BackendLesson,
            loss: *mut f64,
            gradients: *mut f32,
        ) -> i32,
    >,
    /// Frees the model and its memory on the device; NULL is fine. [thread of the model]
    pub free: Option<extern "C" fn(model: *mut BackendModel)>,
}

// SAFETY: the table is immutable once made and points to data that lives for the process.
#[allow(unsafe_code)]
unsafe impl Sync for BackendService {}

/// A released size is frozen (64-bit): the first two have grown in ABI 1.3, the others are of 1.2.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<DrawRequest>() == 88);
    assert!(size_of::<BackendBatch>() == 96);
    assert!(size_of::<BackendLesson>() == 40);
    assert!(size_of::<BackendService>() == 72);
};
