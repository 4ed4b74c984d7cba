//! Engine plugins as an ordinary Rust trait, and the table that carries them across.
#![allow(unsafe_code)] // implements the C functions of the table

use crate::abi::*;
use crate::engine_abi::*;
use crate::engine_run;
use crate::error::{PluginError, guard};
use crate::records::*;
use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A plugin that runs MD. What each verb has to do is written at [`EngineService`]; what the
/// numbers mean, at the tables of the same names.
pub trait EnginePlugin: Send + Sized + 'static {
    /// Short name of the engine.
    const NAME: &'static CStr;
    /// True if it offers `run_together`.
    const RUNS_TOGETHER: bool = false;
    /// What is here, as the JSON object that [`EngineService::describe`] lays down.
    fn describe(options: Option<&str>) -> Result<String, PluginError>;
    /// Loads the engine and the system of the template; `options` is a JSON object.
    fn open(options: &str) -> Result<Self, PluginError>;
    /// What it runs.
    fn info(&self) -> RunsWhat;
    /// Atoms, positions, bonds.
    fn system(&mut self) -> Result<SystemRecord, PluginError>;
    /// Energy of positions as they are.
    fn energy(&mut self, positions: Positions<'_>) -> Result<Energy, PluginError>;
    /// Minimises a seed.
    fn minimise(
        &mut self,
        folder: &Path,
        rng_seed: u64,
        seed: Positions<'_>,
        watch: &Watch<'_>,
    ) -> Result<Minimised, PluginError>;
    /// Makes a runnable start in `folder`.
    fn start(
        &mut self,
        folder: &Path,
        rng_seed: u64,
        positions: Positions<'_>,
        watch: &Watch<'_>,
    ) -> Result<Started, PluginError>;
    /// Runs from the start in the request's folder.
    fn run(&mut self, request: &RunRequest<'_>, watch: &Watch<'_>)
    -> Result<Finished, PluginError>;
    /// Runs from several starts at once; `ended` is told of each request by its place.
    fn run_together(
        &mut self,
        _folder: &Path,
        _requests: &[RunRequest<'_>],
        _watch: &Watch<'_>,
        _ended: &mut dyn FnMut(usize, Result<Finished, PluginError>) -> Result<(), PluginError>,
    ) -> Result<(), PluginError> {
        Err(PluginError::unsupported("runs go one after another"))
    }
}

/// What an engine runs: see [`EngineInfo`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunsWhat {
    /// Number of atoms.
    pub n_atoms: usize,
    /// Explicit solvent.
    pub solvated: bool,
    /// Periodic.
    pub periodic: bool,
    /// Length of a step, ps.
    pub step_ps: f64,
    /// Temperature, K.
    pub temperature_kelvin: f64,
    /// Friction, 1/ps.
    pub friction_per_ps: f64,
}

/// The engine's own view of its system.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemRecord {
    /// Atoms in the engine's order, with the engine's names.
    pub atoms: Vec<AtomRecord>,
    /// The template's positions, nm.
    pub positions_nm: Vec<[f64; 3]>,
    /// Cell vectors as rows, nm.
    pub cell_nm: Option<[[f64; 3]; 3]>,
    /// Bonds, constrained ones included; empty if they are not known.
    pub bonds: Vec<[usize; 2]>,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

/// Positions of all atoms, nm, in the engine's order. Finite: that is checked before.
#[derive(Clone, Copy, Debug)]
pub struct Positions<'a> {
    /// One position per atom, nm.
    pub xyz_nm: &'a [[f64; 3]],
    /// Cell vectors as rows, nm.
    pub cell_nm: Option<[[f64; 3]; 3]>,
}

/// See [`EngineEnergy`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Energy {
    /// Potential energy, kJ/mol.
    pub potential_kj_mol: f64,
    /// Largest force, kJ/mol/nm.
    pub max_force_kj_mol_nm: f64,
    /// The atom that feels it.
    pub max_force_atom: usize,
}

/// See [`EngineMinimised`].
#[derive(Clone, Debug, PartialEq)]
pub struct Minimised {
    /// Minimised positions, nm.
    pub positions_nm: Vec<[f64; 3]>,
    /// Cell vectors as rows, nm.
    pub cell_nm: Option<[[f64; 3]; 3]>,
    /// As handed in, kJ/mol.
    pub before_kj_mol: f64,
    /// After the restrained minimisation, kJ/mol.
    pub restrained_kj_mol: f64,
    /// After the free minimisation: energy and largest force.
    pub after: Energy,
}

/// See [`EngineStarted`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Started {
    /// MD spent, ps.
    pub md_ps: f64,
    /// Potential energy, kJ/mol.
    pub potential_kj_mol: f64,
    /// Kinetic temperature, K.
    pub temperature_kelvin: f64,
}

/// See [`EngineRunRequest`].
#[derive(Clone, Copy, Debug)]
pub struct RunRequest<'a> {
    /// Folder with the start.
    pub folder: &'a Path,
    /// Seed of the thermostat.
    pub rng_seed: u64,
    /// Steps of the head.
    pub head_steps: u64,
    /// Steps after it.
    pub steps: u64,
    /// Steps between frames.
    pub frame_steps: u64,
}

/// See [`EngineFinished`].
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Name of the trajectory in the folder, at most 63 bytes.
    pub trajectory: String,
    /// Frames in it.
    pub n_frames: u64,
    /// Frames of the head.
    pub head_frames: u64,
    /// Time between frames, ps.
    pub frame_ps: f64,
    /// Potential energy at the end of the head, kJ/mol.
    pub head_kj_mol: f64,
    /// Potential energy at the end, kJ/mol.
    pub end_kj_mol: f64,
    /// Mean kinetic temperature after the head, K.
    pub temperature_kelvin: f64,
}

/// How a verb tells that it is alive and learns that it should stop.
pub struct Watch<'a> {
    cancelled: &'a AtomicBool,
    callback: Option<EngineWatch>,
}

impl Watch<'_> {
    /// Tells progress; the error (status CANCELLED) is to be returned as soon as possible. Call
    /// it at least once a second.
    pub fn step(&self, done: u64, total: u64) -> Result<(), PluginError> {
        let stopped = self.callback.is_some_and(|w| {
            w.progress.is_some_and(|tell| tell(w.user_data, done, total) != MARSFM_PLUGIN_OK)
        });
        if stopped { Err(stopped_on_request()) } else { self.check() }
    }

    /// The same error if the call should stop, without a sign of life: for a plugin that waits for
    /// an engine which gives none itself.
    pub fn check(&self) -> Result<(), PluginError> {
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(stopped_on_request()),
            false => Ok(()),
        }
    }
}

fn stopped_on_request() -> PluginError {
    PluginError { status: MARSFM_PLUGIN_CANCELLED, message: "stopped on request".to_owned() }
}

/// The table of a plugin type.
pub fn engine_table<P: EnginePlugin>() -> &'static EngineService {
    &const {
        EngineService {
            struct_size: size_of::<EngineService>(),
            name: P::NAME.as_ptr(),
            describe: Some(describe::<P>),
            open: Some(open::<P>),
            info: Some(info::<P>),
            read_system: Some(read_system::<P>),
            energy: Some(energy::<P>),
            minimise: Some(minimise::<P>),
            start: Some(start::<P>),
            run: Some(engine_run::run::<P>),
            cancel: Some(cancel::<P>),
            close: Some(close::<P>),
            run_together: match P::RUNS_TOGETHER {
                true => Some(engine_run::run_together::<P>),
                false => None,
            },
        }
    }
}

/// What a handle points to. `cancelled` and `busy` may be touched by any thread; `plugin` only by
/// the one that has set `busy`.
struct Opened<P> {
    cancelled: AtomicBool,
    busy: AtomicBool,
    n_atoms: usize,
    plugin: UnsafeCell<P>,
}

/// Clears `busy` whatever happens.
struct Busy<'a>(&'a AtomicBool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

pub(crate) fn null(what: &str) -> PluginError {
    PluginError::invalid(format!("{what} is NULL"))
}

fn opened<'a, P>(engine: *mut Engine) -> Result<&'a Opened<P>, PluginError> {
    // SAFETY: NULL or made by `open::<P>` and not yet closed (contract); shared access only.
    unsafe { engine.cast::<Opened<P>>().as_ref() }.ok_or_else(|| null("engine"))
}

/// Runs a verb with the plugin to itself; a second thread gets BUSY instead of a data race.
pub(crate) fn with<P: EnginePlugin, T>(
    engine: *mut Engine,
    watch: *const EngineWatch,
    body: impl FnOnce(&mut P, &Watch<'_>) -> Result<T, PluginError>,
) -> Result<T, PluginError> {
    let opened = opened::<P>(engine)?;
    if opened.busy.swap(true, Ordering::Acquire) {
        let message = "another thread is using this engine; open a second one".to_owned();
        return Err(PluginError { status: MARSFM_PLUGIN_BUSY, message });
    }
    let _busy = Busy(&opened.busy);
    opened.cancelled.store(false, Ordering::Relaxed);
    // SAFETY: NULL or valid for the call (contract).
    let callback = unsafe { watch.as_ref() }.copied();
    if callback.is_some_and(|w| w.struct_size < size_of::<EngineWatch>()) {
        return Err(PluginError::invalid("watch: struct_size is too small"));
    }
    let watch = Watch { cancelled: &opened.cancelled, callback };
    // SAFETY: `busy` was clear and is set now, so no other thread has this reference.
    body(unsafe { &mut *opened.plugin.get() }, &watch)
}

pub(crate) fn path<'a>(folder: *const c_char) -> Result<&'a Path, PluginError> {
    if folder.is_null() {
        return Err(null("folder"));
    }
    // SAFETY: NUL-terminated and valid for the call (contract).
    let folder = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(folder) }.to_bytes()));
    if !folder.is_dir() {
        return Err(PluginError::invalid(format!("there is no folder {}", folder.display())));
    }
    Ok(folder)
}

/// Positions out of a caller's row: the engine's number of atoms, all finite.
fn positions<'a, P>(
    engine: *mut Engine,
    row: *const EnginePositions,
) -> Result<Positions<'a>, PluginError> {
    let n = opened::<P>(engine)?.n_atoms;
    // SAFETY: NULL or valid for the call (contract).
    let row = unsafe { row.as_ref() }.ok_or_else(|| null("positions"))?;
    if row.struct_size < size_of::<EnginePositions>() {
        return Err(PluginError::invalid("positions: struct_size is too small"));
    }
    if row.n_atoms != n {
        let message = format!("{} positions for the {n} atoms of the engine's system", row.n_atoms);
        return Err(PluginError::mismatch(message));
    }
    if row.xyz_nm.is_null() {
        return Err(null("positions.xyz_nm"));
    }
    // SAFETY: n rows of three doubles (contract), not written during the call.
    let xyz_nm = unsafe { std::slice::from_raw_parts(row.xyz_nm.cast::<[f64; 3]>(), n) };
    if let Some(atom) = xyz_nm.iter().position(|p| !p.iter().all(|x| x.is_finite())) {
        let message = format!("atom {atom} (counted from 0) is not at a finite place");
        return Err(PluginError::invalid(message));
    }
    let c = row.cell_nm;
    let cell_nm = (row.flags & MARSFM_PLUGIN_POSITIONS_HAVE_CELL != 0)
        .then(|| [[c[0], c[1], c[2]], [c[3], c[4], c[5]], [c[6], c[7], c[8]]]);
    if cell_nm.is_some_and(|cell| !cell.as_flattened().iter().all(|x| x.is_finite())) {
        return Err(PluginError::invalid("the cell is not finite"));
    }
    Ok(Positions { xyz_nm, cell_nm })
}

/// A row over borrowed positions, for functions that only read it.
pub fn positions_row(positions: Positions<'_>) -> EnginePositions {
    let mut row = EnginePositions {
        struct_size: size_of::<EnginePositions>(),
        n_atoms: positions.xyz_nm.len(),
        xyz_nm: positions.xyz_nm.as_ptr() as *mut f64,
        cell_nm: [0.0; 9],
        flags: 0,
        reserved: 0,
    };
    set_cell(&mut row, positions.cell_nm);
    row
}

fn set_cell(row: &mut EnginePositions, cell_nm: Option<[[f64; 3]; 3]>) {
    row.flags = 0;
    if let Some(cell) = cell_nm {
        row.flags = MARSFM_PLUGIN_POSITIONS_HAVE_CELL;
        row.cell_nm.copy_from_slice(cell.as_flattened());
    }
}

/// The caller's output struct, if it is there and large enough.
pub(crate) fn output<'a, T>(
    out: *mut T,
    size: impl Fn(&T) -> usize,
    what: &str,
) -> Result<&'a mut T, PluginError> {
    // SAFETY: NULL or valid for the call, and the caller's alone (contract).
    let out = unsafe { out.as_mut() }.ok_or_else(|| null(what))?;
    if size(out) < size_of::<T>() {
        return Err(PluginError::invalid(format!("{what}: struct_size is too small")));
    }
    Ok(out)
}

fn text(options: *const c_char) -> Result<Option<String>, PluginError> {
    if options.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, terminated (contract).
    unsafe { text_from_c(options, "options") }.map(Some)
}

pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

fn taken(status: i32) -> Result<(), PluginError> {
    let message = "the receiver stopped the reading".to_owned();
    if status == MARSFM_PLUGIN_OK { Ok(()) } else { Err(PluginError { status, message }) }
}

extern "C" fn describe<P: EnginePlugin>(options: *const c_char, sink: *const TextSink) -> i32 {
    guard(|| {
        // SAFETY: NULL or valid for the call (contract).
        let sink = unsafe { sink.as_ref() }.ok_or_else(|| null("sink"))?;
        let take = sink.text.ok_or_else(|| null("sink.text"))?;
        let answer = P::describe(text(options)?.as_deref())?;
        taken(take(sink.user_data, c_text(&answer).as_ptr()))?;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn open<P: EnginePlugin>(options: *const c_char, engine: *mut *mut Engine) -> i32 {
    guard(|| {
        if engine.is_null() {
            return Err(null("engine"));
        }
        let plugin = P::open(text(options)?.as_deref().unwrap_or("{}"))?;
        let made = Box::new(Opened {
            cancelled: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            n_atoms: plugin.info().n_atoms,
            plugin: UnsafeCell::new(plugin),
        });
        // SAFETY: not NULL; the caller owns the place.
        unsafe { *engine = Box::into_raw(made).cast() };
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn info<P: EnginePlugin>(engine: *mut Engine, info: *mut EngineInfo) -> i32 {
    guard(|| {
        let out = output(info, |i: &EngineInfo| i.struct_size, "info")?;
        let what = with(engine, std::ptr::null(), |plugin: &mut P, _| Ok(plugin.info()))?;
        let flag = |on: bool, bit: u32| if on { bit } else { 0 };
        out.n_atoms = what.n_atoms as u64;
        out.flags = flag(what.solvated, MARSFM_PLUGIN_ENGINE_SOLVATED)
            | flag(what.periodic, MARSFM_PLUGIN_ENGINE_PERIODIC);
        out.reserved = 0;
        out.step_ps = what.step_ps;
        out.temperature_kelvin = what.temperature_kelvin;
        out.friction_per_ps = what.friction_per_ps;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn read_system<P: EnginePlugin>(engine: *mut Engine, sink: *const SystemSink) -> i32 {
    guard(|| {
        // SAFETY: NULL or valid for the call (contract).
        let sink = unsafe { sink.as_ref() }.ok_or_else(|| null("sink"))?;
        let push = sink.atom.ok_or_else(|| null("sink.atom"))?;
        let system = with(engine, std::ptr::null(), |plugin: &mut P, _| plugin.system())?;
        let rows = RowsBuffer::new(&system.atoms)?;
        for i in 0..system.atoms.len() {
            taken(push(sink.user_data, rows.row(i)))?;
        }
        if let Some(take) = sink.positions {
            let positions = Positions { xyz_nm: &system.positions_nm, cell_nm: system.cell_nm };
            taken(take(sink.user_data, &positions_row(positions)))?;
        }
        if let Some(take) = sink.bond {
            for [first, second] in &system.bonds {
                taken(take(sink.user_data, *first as u64, *second as u64))?;
            }
        }
        if let Some(take) = sink.note {
            for note in &system.notes {
                taken(take(sink.user_data, c_text(note).as_ptr()))?;
            }
        }
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn energy<P: EnginePlugin>(
    engine: *mut Engine,
    at: *const EnginePositions,
    energy: *mut EngineEnergy,
) -> i32 {
    guard(|| {
        let out = output(energy, |e: &EngineEnergy| e.struct_size, "energy")?;
        let at = positions::<P>(engine, at)?;
        let got = with(engine, std::ptr::null(), |plugin: &mut P, _| plugin.energy(at))?;
        out.potential_kj_mol = got.potential_kj_mol;
        out.max_force_kj_mol_nm = got.max_force_kj_mol_nm;
        out.max_force_atom = got.max_force_atom as u64;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn minimise<P: EnginePlugin>(
    engine: *mut Engine,
    folder: *const c_char,
    rng_seed: u64,
    seed: *const EnginePositions,
    watch: *const EngineWatch,
    minimised: *mut EngineMinimised,
) -> i32 {
    guard(|| {
        let out = output(minimised, |m: &EngineMinimised| m.struct_size, "minimised")?;
        let room = output(out.positions, |p| p.struct_size, "minimised.positions")?;
        let n = opened::<P>(engine)?.n_atoms;
        if room.n_atoms != n || room.xyz_nm.is_null() {
            let message = format!("minimised.positions has no room for {n} atoms");
            return Err(PluginError::mismatch(message));
        }
        let (folder, seed) = (path(folder)?, positions::<P>(engine, seed)?);
        let got = with(engine, watch, |plugin: &mut P, watch| {
            plugin.minimise(folder, rng_seed, seed, watch)
        })?;
        if got.positions_nm.len() != n {
            let message = format!("{} minimised positions for {n} atoms", got.positions_nm.len());
            return Err(PluginError::mismatch(message));
        }
        // SAFETY: room for n rows of three doubles (contract), and the caller's alone.
        unsafe { std::slice::from_raw_parts_mut(room.xyz_nm.cast::<[f64; 3]>(), n) }
            .copy_from_slice(&got.positions_nm);
        set_cell(room, got.cell_nm);
        out.before_kj_mol = got.before_kj_mol;
        out.restrained_kj_mol = got.restrained_kj_mol;
        out.after_kj_mol = got.after.potential_kj_mol;
        out.max_force_kj_mol_nm = got.after.max_force_kj_mol_nm;
        out.max_force_atom = got.after.max_force_atom as u64;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn start<P: EnginePlugin>(
    engine: *mut Engine,
    folder: *const c_char,
    rng_seed: u64,
    from: *const EnginePositions,
    watch: *const EngineWatch,
    started: *mut EngineStarted,
) -> i32 {
    guard(|| {
        let out = output(started, |s: &EngineStarted| s.struct_size, "started")?;
        let (folder, from) = (path(folder)?, positions::<P>(engine, from)?);
        let got = with(engine, watch, |plugin: &mut P, watch| {
            plugin.start(folder, rng_seed, from, watch)
        })?;
        out.md_ps = got.md_ps;
        out.potential_kj_mol = got.potential_kj_mol;
        out.temperature_kelvin = got.temperature_kelvin;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn cancel<P: EnginePlugin>(engine: *mut Engine) {
    // Not through `guard`: the text of the last error on this thread stays.
    if let Ok(opened) = opened::<P>(engine) {
        opened.cancelled.store(true, Ordering::Relaxed);
    }
}

extern "C" fn close<P: EnginePlugin>(engine: *mut Engine) {
    guard(|| {
        if !engine.is_null() {
            // SAFETY: made by `open::<P>`, closed once, no other call in progress (contract).
            drop(unsafe { Box::from_raw(engine.cast::<Opened<P>>()) });
        }
        Ok(MARSFM_PLUGIN_OK)
    });
}
