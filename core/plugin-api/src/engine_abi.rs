//! The tables of the service `marsfm.engine/1`, by the rules of [`crate::abi`]; the header takes
//! them from here. Positions are doubles, nm, in the engine's own order; energies kJ/mol, forces
//! kJ/mol/nm, times ps.
//!
//! An engine does what only it can do: name its atoms, give energies, minimise, draw velocities,
//! run. Whether a minimised seed may be used is the host's judgement, the same for every engine,
//! so preparation is two calls: `minimise`, then, if the host approves, `start`.

use crate::abi::AtomRow;
use std::ffi::{c_char, c_void};

/// The engine (library, program) was not found. The text says what to install or set.
pub const MARSFM_PLUGIN_ENGINE_MISSING: i32 = 8;
/// The engine was found, but its version is not supported. The text names both.
pub const MARSFM_PLUGIN_ENGINE_VERSION: i32 = 9;
/// Positions, velocities or the energy are no longer finite, or constraints failed: the seed is
/// lost, the engine can take the next one.
pub const MARSFM_PLUGIN_DIVERGED: i32 = 10;
/// Stopped by `cancel` or by a progress callback.
pub const MARSFM_PLUGIN_CANCELLED: i32 = 11;
/// The engine gave no sign of life for too long.
pub const MARSFM_PLUGIN_TIMEOUT: i32 = 12;
/// The engine's process ended by a signal or without a result.
pub const MARSFM_PLUGIN_KILLED: i32 = 13;
/// No room is left on the device.
pub const MARSFM_PLUGIN_DISK_FULL: i32 = 14;
/// Another thread is using this handle.
pub const MARSFM_PLUGIN_BUSY: i32 = 15;
/// The engine failed in a way of its own; the text is the engine's.
pub const MARSFM_PLUGIN_ENGINE_FAILED: i32 = 16;

/// `marsfm_plugin_positions_t::flags`: `cell_nm` is filled.
pub const MARSFM_PLUGIN_POSITIONS_HAVE_CELL: u32 = 1;

/// `marsfm_plugin_engine_info_t::flags`: the system holds explicit solvent.
pub const MARSFM_PLUGIN_ENGINE_SOLVATED: u32 = 1;
/// `marsfm_plugin_engine_info_t::flags`: the system is periodic.
pub const MARSFM_PLUGIN_ENGINE_PERIODIC: u32 = 2;

/// An engine bound to a system, opaque. One thread at a time, except for `cancel`.
#[repr(C)]
pub struct Engine {
    _private: [u8; 0],
}

/// Positions of all atoms, in memory of the caller.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EnginePositions {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Number of atoms; another number than the engine's is `MARSFM_PLUGIN_MISMATCH`.
    pub n_atoms: usize,
    /// 3 * `n_atoms` doubles, nm: x, y, z of atom 0, then of atom 1, without gaps. Never written
    /// by a function that takes const positions.
    pub xyz_nm: *mut f64,
    /// Cell vectors a, b, c, nm; valid with `MARSFM_PLUGIN_POSITIONS_HAVE_CELL`.
    pub cell_nm: [f64; 9],
    /// `MARSFM_PLUGIN_POSITIONS_HAVE_CELL` or 0.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

/// What an opened engine runs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EngineInfo {
    /// Size of this struct, bytes (set by the caller).
    pub struct_size: usize,
    /// Number of atoms (particles), virtual sites included.
    pub n_atoms: u64,
    /// Sum of `MARSFM_PLUGIN_ENGINE_SOLVATED` and its sisters.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
    /// Length of an MD step, ps.
    pub step_ps: f64,
    /// Temperature of the thermostat, K.
    pub temperature_kelvin: f64,
    /// Friction of the thermostat, 1/ps; 0 if it has none.
    pub friction_per_ps: f64,
}

/// Where `read_system` puts what it knows. Its functions run on the calling thread, must not
/// call the plugin, and return a status: anything but OK ends the reading with that status.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SystemSink {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Passed back as the first argument.
    pub user_data: *mut c_void,
    /// Takes the next atom, in the engine's order, with the engine's names.
    pub atom: Option<extern "C" fn(user_data: *mut c_void, atom: *const AtomRow) -> i32>,
    /// Takes the template's positions, once, after all atoms.
    pub positions:
        Option<extern "C" fn(user_data: *mut c_void, positions: *const EnginePositions) -> i32>,
    /// Takes a bond (constrained ones too) between two atoms, after all atoms; not called for a
    /// system whose bonds are not known.
    pub bond: Option<extern "C" fn(user_data: *mut c_void, first: u64, second: u64) -> i32>,
    /// Takes a remark for the user.
    pub note: Option<extern "C" fn(user_data: *mut c_void, text: *const c_char) -> i32>,
}

/// Takes a text of any length.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TextSink {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Passed back as the first argument.
    pub user_data: *mut c_void,
    /// Takes the text, once, on the calling thread.
    pub text: Option<extern "C" fn(user_data: *mut c_void, text: *const c_char) -> i32>,
}

/// How a long call is watched. May be NULL where it is asked for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EngineWatch {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Passed back as the first argument.
    pub user_data: *mut c_void,
    /// Told that work goes on, at least once a second as far as the engine lets its caller know,
    /// on the calling thread: `done` of `total` steps, or 0 of 0. Anything but OK stops the call
    /// with `MARSFM_PLUGIN_CANCELLED`.
    pub progress: Option<extern "C" fn(user_data: *mut c_void, done: u64, total: u64) -> i32>,
}

/// Energy of one set of positions.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EngineEnergy {
    /// Size of this struct, bytes (set by the caller).
    pub struct_size: usize,
    /// Potential energy, kJ/mol; may be infinite or NaN for overlapping atoms.
    pub potential_kj_mol: f64,
    /// Length of the largest force on an atom with mass, kJ/mol/nm; constraint forces left out.
    pub max_force_kj_mol_nm: f64,
    /// The atom that feels it.
    pub max_force_atom: u64,
}

/// What minimisation made of a seed. `positions` is memory of the caller with room for all atoms.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EngineMinimised {
    /// Size of this struct, bytes (set by the caller).
    pub struct_size: usize,
    /// Receives the minimised positions (and the cell); its `struct_size`, `n_atoms` and `xyz_nm`
    /// are set by the caller.
    pub positions: *mut EnginePositions,
    /// Potential energy as handed in, after constraints and virtual sites, kJ/mol.
    pub before_kj_mol: f64,
    /// After the minimisation with restrained heavy atoms, restraints not counted, kJ/mol.
    pub restrained_kj_mol: f64,
    /// After the free minimisation, kJ/mol.
    pub after_kj_mol: f64,
    /// Largest force after it on an atom with mass, kJ/mol/nm.
    pub max_force_kj_mol_nm: f64,
    /// The atom that feels it.
    pub max_force_atom: u64,
}

/// A runnable start.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EngineStarted {
    /// Size of this struct, bytes (set by the caller).
    pub struct_size: usize,
    /// MD spent on it (strong friction, equilibration of solvent), ps. It is cost, not statistics.
    pub md_ps: f64,
    /// Potential energy of the start, kJ/mol.
    pub potential_kj_mol: f64,
    /// Kinetic temperature of the start, K.
    pub temperature_kelvin: f64,
}

/// What to run.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EngineRunRequest {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Folder that `start` made its start in; the trajectory is put there too.
    pub folder: *const c_char,
    /// Seed of the thermostat's random numbers.
    pub rng_seed: u64,
    /// Steps of the head: in the trajectory, not to be counted in statistics.
    pub head_steps: u64,
    /// Steps after the head.
    pub steps: u64,
    /// Steps from one frame to the next; divides `head_steps` and `steps`.
    pub frame_steps: u64,
}

/// A finished run.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EngineFinished {
    /// Size of this struct, bytes (set by the caller).
    pub struct_size: usize,
    /// Name of the trajectory file in the run's folder, NUL-terminated. It appears under this
    /// name only when it is whole.
    pub trajectory: [c_char; 64],
    /// Frames in it. Frame k is k + 1 times `frame_ps` after the start.
    pub n_frames: u64,
    /// The first frames, which are the head.
    pub head_frames: u64,
    /// Time between frames, ps.
    pub frame_ps: f64,
    /// Potential energy at the end of the head, kJ/mol.
    pub head_kj_mol: f64,
    /// Potential energy at the end, kJ/mol.
    pub end_kj_mol: f64,
    /// Mean kinetic temperature over the frames after the head (over all if there is no other), K.
    pub temperature_kelvin: f64,
}

/// Where `run_together` tells what became of its runs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RunSink {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Passed back as the first argument.
    pub user_data: *mut c_void,
    /// Takes the end of run `index` (its place among the requests), once for each and in any
    /// order, on the calling thread: OK with a filled `finished`, or another status with `text`
    /// and without `finished`. It must not call the plugin; anything but OK ends the call with
    /// that status.
    pub ended: Option<
        extern "C" fn(
            user_data: *mut c_void,
            index: u64,
            status: i32,
            finished: *const EngineFinished,
            text: *const c_char,
        ) -> i32,
    >,
}

/// Service `marsfm.engine/1`. Lives for the whole process. On failure a function leaves its
/// outputs as they were and no file under a final name; `marsfm_plugin_entry_t::last_error` says
/// what, where, and what to do.
///
/// Options are a JSON object. Common keys, each with a default of the plugin: `template` (folder
/// with the system, needed by `open`), `temperature_kelvin`, `friction_per_ps`, `step_ps`,
/// `threads`, `platform`, `precision`, `library` or `program` (where the engine is). Unknown keys
/// are refused by name.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EngineService {
    /// Size of this struct, bytes.
    pub struct_size: usize,
    /// Short name of the engine (`openmm`).
    pub name: *const c_char,
    /// Says what is here, as a JSON object: `engine` and `version` (text, version NULL if the
    /// engine is missing), `usable` (boolean), `location`, `platforms` (array of objects with
    /// `name`, `usable`, and `why` where it is not), `failures` (array of text: what did not
    /// load), `advice` (array of text: what to install or set). A missing engine is an answer,
    /// not a failure. `options` may be NULL. [any thread]
    pub describe: Option<extern "C" fn(options: *const c_char, sink: *const TextSink) -> i32>,
    /// Loads the engine and the template's system. [any thread]
    pub open: Option<extern "C" fn(options: *const c_char, engine: *mut *mut Engine) -> i32>,
    /// Tells what it runs. [thread of the engine]
    pub info: Option<extern "C" fn(engine: *mut Engine, info: *mut EngineInfo) -> i32>,
    /// Gives atoms, positions, bonds and remarks. [thread of the engine]
    pub read_system: Option<extern "C" fn(engine: *mut Engine, sink: *const SystemSink) -> i32>,
    /// Energy and largest force of positions taken as they are. [thread of the engine]
    pub energy: Option<
        extern "C" fn(
            engine: *mut Engine,
            positions: *const EnginePositions,
            energy: *mut EngineEnergy,
        ) -> i32,
    >,
    /// Minimises a seed: constraints and virtual sites, then with the solute's heavy atoms
    /// restrained, then free. Solvent that stands in the seed's way is placed anew, from
    /// `rng_seed`; the number of atoms never changes. `folder` exists and is the seed's own.
    /// [thread of the engine]
    pub minimise: Option<
        extern "C" fn(
            engine: *mut Engine,
            folder: *const c_char,
            rng_seed: u64,
            seed: *const EnginePositions,
            watch: *const EngineWatch,
            minimised: *mut EngineMinimised,
        ) -> i32,
    >,
    /// Makes a runnable start in `folder` from positions that `minimise` gave: velocities from
    /// `rng_seed` at the temperature of `open`, solvent equilibrated around the restrained solute,
    /// a short stretch of strong friction. [thread of the engine]
    pub start: Option<
        extern "C" fn(
            engine: *mut Engine,
            folder: *const c_char,
            rng_seed: u64,
            positions: *const EnginePositions,
            watch: *const EngineWatch,
            started: *mut EngineStarted,
        ) -> i32,
    >,
    /// Runs from the start in the folder. [thread of the engine]
    pub run: Option<
        extern "C" fn(
            engine: *mut Engine,
            request: *const EngineRunRequest,
            watch: *const EngineWatch,
            finished: *mut EngineFinished,
        ) -> i32,
    >,
    /// Makes the call in progress on this handle, if there is one, end soon with
    /// `MARSFM_PLUGIN_CANCELLED`. Later calls are not affected. [any thread, while the handle is
    /// open]
    pub cancel: Option<extern "C" fn(engine: *mut Engine)>,
    /// Closes and frees; NULL is fine. No other call may be in progress. [thread of the engine]
    pub close: Option<extern "C" fn(engine: *mut Engine)>,
    /// Runs from several starts at once, in one launch. `folder` exists and is the group's own;
    /// each request has its own folder, as for `run`, and gets the same files in it. A run that is
    /// lost (DIVERGED, KILLED) costs only itself: its end goes to the sink, and the call is OK once
    /// every run has ended. May be NULL: then runs go one after another. [thread of the engine]
    pub run_together: Option<
        extern "C" fn(
            engine: *mut Engine,
            folder: *const c_char,
            requests: *const *const EngineRunRequest,
            n_requests: u64,
            watch: *const EngineWatch,
            sink: *const RunSink,
        ) -> i32,
    >,
}

// SAFETY: the table is immutable once made and points to data that lives for the process.
#[allow(unsafe_code)]
unsafe impl Sync for EngineService {}

/// A released size is frozen (ABI 1.1, 64-bit).
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<EnginePositions>() == 104);
    assert!(size_of::<EngineInfo>() == 48);
    assert!(size_of::<SystemSink>() == 48);
    assert!(size_of::<TextSink>() == 24);
    assert!(size_of::<EngineWatch>() == 24);
    assert!(size_of::<EngineEnergy>() == 32);
    assert!(size_of::<EngineMinimised>() == 56);
    assert!(size_of::<EngineStarted>() == 32);
    assert!(size_of::<EngineRunRequest>() == 48);
    assert!(size_of::<EngineFinished>() == 120);
    assert!(size_of::<RunSink>() == 24);
    assert!(size_of::<EngineService>() == 104);
};
