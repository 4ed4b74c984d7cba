//! Engine plugins as the trait of `core/preparation`.
//!
//! Each call is watched: one that hangs is abandoned with its handle, and this engine answers
//! nothing more. Everything a plugin hands back is checked.
#![allow(unsafe_code)] // calls the functions of a plugin's table

use crate::engine_sinks::{RunEnd, collect_runs, read_system, read_text};
use crate::engine_watch::{Ended, EngineLimits, watched};
use crate::plugin::Plugin;
use marsfm_plugin_api::abi::*;
use marsfm_plugin_api::engine::{Positions, positions_row};
use marsfm_plugin_api::engine_abi::*;
use marsfm_plugin_api::guard;
use marsfm_preparation as preparation;
use marsfm_preparation::{EngineError, Failure, Finished, Minimised, Progress, Started, System};
use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, TryLockError};

/// An engine of a plugin, bound to a system. Calls from several threads wait for nobody: the
/// second gets `Failure::Busy`.
pub struct PluginEngine {
    plugin: Arc<Plugin>,
    table: &'static EngineService,
    name: String,
    handle: Handle,
    system: System,
    limits: EngineLimits,
    /// Held during a call; `true` once the handle was abandoned.
    lost: Mutex<bool>,
}

/// A plugin's handle. Used by one thread at a time, except for `cancel`, as the contract says.
#[derive(Clone, Copy)]
struct Handle(*mut Engine);

// SAFETY: the contract binds a handle to one thread at a time, not to one thread; `PluginEngine`
// sees to that with its lock.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    fn get(self) -> *mut Engine {
        self.0
    }
}

fn failure_of(status: i32) -> Failure {
    match status {
        MARSFM_PLUGIN_INVALID => Failure::Invalid,
        MARSFM_PLUGIN_IO | MARSFM_PLUGIN_FORMAT => Failure::File,
        MARSFM_PLUGIN_UNSUPPORTED => Failure::Unsupported,
        MARSFM_PLUGIN_MISMATCH => Failure::AtomCount,
        MARSFM_PLUGIN_ENGINE_MISSING => Failure::Missing,
        MARSFM_PLUGIN_ENGINE_VERSION => Failure::Version,
        MARSFM_PLUGIN_DIVERGED => Failure::Diverged,
        MARSFM_PLUGIN_CANCELLED => Failure::Cancelled,
        MARSFM_PLUGIN_TIMEOUT => Failure::Timeout,
        MARSFM_PLUGIN_KILLED => Failure::Killed,
        MARSFM_PLUGIN_DISK_FULL => Failure::DiskFull,
        MARSFM_PLUGIN_BUSY => Failure::Busy,
        _ => Failure::Engine,
    }
}

fn error(engine: &str, failure: Failure, message: impl Into<String>) -> EngineError {
    EngineError { engine: engine.into(), failure, message: message.into() }
}

/// A status with the plugin's text, fetched on the thread of the failure.
fn status_of(plugin: &Plugin, engine: &str, status: i32) -> Result<(), EngineError> {
    match plugin.check(status, Path::new("")) {
        Ok(()) => Ok(()),
        Err(crate::HostError::Plugin { message, .. }) => {
            Err(error(engine, failure_of(status), message))
        }
        Err(other) => Err(error(engine, failure_of(status), other.to_string())),
    }
}

fn c_text(engine: &str, what: &str, bytes: &[u8]) -> Result<CString, EngineError> {
    CString::new(bytes)
        .map_err(|_| error(engine, Failure::Invalid, format!("{what} holds a NUL byte")))
}

/// Waits for a call that has no handle yet: describe and open.
fn without_handle<T: Send + 'static>(
    engine: &str,
    limits: EngineLimits,
    call: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    // These calls have no sign of life to give, so the limit is on the whole.
    match watched(limits, &mut |_, _| true, || (), move |_| call()) {
        Ended::Returned(value) => value,
        Ended::NoThread(why) => Err(error(engine, Failure::Engine, why)),
        Ended::Stopped | Ended::Silent(_) => Err(silent(engine, limits, "and was left behind")),
    }
}

fn silent(engine: &str, limits: EngineLimits, end: &str) -> EngineError {
    let seconds = limits.silence.as_secs_f64();
    let message = format!("no sign of life for {seconds} s {end}; raise the limit if it is busy");
    error(engine, Failure::Timeout, message)
}

/// Short name of the engine in a table.
pub(crate) fn name_of(table: &EngineService) -> String {
    if table.name.is_null() {
        return "unnamed".into();
    }
    // SAFETY: a string that lives with the plugin (contract).
    unsafe { CStr::from_ptr(table.name) }.to_string_lossy().into_owned()
}

/// What an engine plugin says about itself: the JSON object of the contract.
pub(crate) fn describe(
    plugin: &Arc<Plugin>,
    table: &'static EngineService,
    options: &str,
    limits: EngineLimits,
) -> Result<serde_json::Value, EngineError> {
    let name = name_of(table);
    let Some(describe) = table.describe else {
        return Err(error(&name, Failure::Unsupported, "it does not describe itself"));
    };
    let options = c_text(&name, "options", options.as_bytes())?;
    let (plugin, engine) = (plugin.clone(), name.clone());
    let text = without_handle(&name, limits, move || {
        read_text(|sink| status_of(&plugin, &engine, describe(options.as_ptr(), sink)))
    })?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| {
        error(&name, Failure::Engine, format!("its description is not JSON ({e}): {text}"))
    })?;
    match value.is_object() {
        true => Ok(value),
        false => Err(error(&name, Failure::Engine, "its description is no JSON object")),
    }
}

impl PluginEngine {
    /// Opens the engine of a plugin with options (a JSON object, see the contract).
    pub(crate) fn open(
        plugin: Arc<Plugin>,
        table: &'static EngineService,
        options: &str,
        limits: EngineLimits,
    ) -> Result<Self, EngineError> {
        let name = name_of(table);
        let (Some(open), Some(info), Some(read)) = (table.open, table.info, table.read_system)
        else {
            let text = "its table lacks open, info or read_system";
            return Err(error(&name, Failure::Unsupported, text));
        };
        let options = c_text(&name, "options", options.as_bytes())?;
        let (theirs, engine) = (plugin.clone(), name.clone());
        let close = table.close;
        let (handle, system) = without_handle(&name, limits, move || {
            let mut handle = std::ptr::null_mut();
            status_of(&theirs, &engine, open(options.as_ptr(), &mut handle))?;
            if handle.is_null() {
                let text = "open said OK and gave no handle";
                return Err(error(&engine, Failure::Engine, text));
            }
            let check = |status| status_of(&theirs, &engine, status);
            match read_system(&engine, handle, info, read, check) {
                Ok(system) => Ok((Handle(handle), system)),
                Err(e) => {
                    if let Some(close) = close {
                        close(handle);
                    }
                    Err(e)
                }
            }
        })?;
        Ok(Self { plugin, table, name, handle, system, limits, lost: Mutex::new(false) })
    }

    /// True if it takes several runs at once.
    pub fn runs_together(&self) -> bool {
        self.table.run_together.is_some()
    }

    fn fail(&self, failure: Failure, message: impl Into<String>) -> EngineError {
        error(&self.name, failure, message)
    }

    /// One call on the handle.
    fn call<T: Send + 'static>(
        &self,
        verb: &str,
        progress: Progress<'_>,
        body: impl FnOnce(*mut Engine, &EngineWatch) -> (i32, T) + Send + 'static,
    ) -> Result<T, EngineError> {
        let mut lost = match self.lost.try_lock() {
            Ok(lost) => lost,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(self.fail(Failure::Busy, "another thread is using it"));
            }
        };
        if *lost {
            let text = format!("{verb}: it did not return from an earlier call; open it anew");
            return Err(self.fail(Failure::Busy, text));
        }
        let (plugin, engine, handle) = (self.plugin.clone(), self.name.clone(), self.handle);
        let cancel = || {
            if let Some(cancel) = self.table.cancel {
                cancel(handle.get());
            }
        };
        let ended = watched(self.limits, progress, cancel, move |watch| {
            let (status, value) = body(handle.get(), watch);
            status_of(&plugin, &engine, status).map(|()| value)
        });
        match ended {
            Ended::Returned(result) => result,
            Ended::Stopped => Err(self.fail(Failure::Cancelled, format!("{verb} was stopped"))),
            Ended::NoThread(why) => {
                *lost = true;
                Err(self.fail(Failure::Engine, why))
            }
            Ended::Silent(left) => {
                *lost = left;
                let end = if left { "and does not return" } else { "and was stopped" };
                Err(silent(&self.name, self.limits, &format!("in {verb} {end}")))
            }
        }
    }

    /// The positions that cross, checked first, and kept alive by whoever gets them.
    fn given(
        &self,
        positions_nm: &[[f64; 3]],
        cell_nm: Option<[[f64; 3]; 3]>,
    ) -> Result<Given, EngineError> {
        let (got, want) = (positions_nm.len(), self.system.topology.len());
        if got != want {
            let text = format!("{got} positions for the {want} atoms of the engine's system");
            return Err(self.fail(Failure::AtomCount, text));
        }
        self.finite(positions_nm, "is not at a finite place; nothing was handed to the engine")?;
        if cell_nm.is_some_and(|c| !c.as_flattened().iter().all(|x| x.is_finite())) {
            return Err(self.fail(Failure::Invalid, "the cell is not finite"));
        }
        Ok(Given { positions_nm: positions_nm.to_vec(), cell_nm })
    }

    fn finite(&self, positions_nm: &[[f64; 3]], end: &str) -> Result<(), EngineError> {
        let bad = positions_nm.iter().position(|p| !p.iter().all(|x| x.is_finite()));
        bad.map_or(Ok(()), |atom| {
            let label = self.system.topology.atom_label(atom);
            Err(self.fail(Failure::Invalid, format!("{label} {end}")))
        })
    }

    fn folder(&self, folder: &Path) -> Result<CString, EngineError> {
        c_text(&self.name, "the folder's name", folder.as_os_str().as_bytes())
    }

    /// What a run left, checked.
    fn finished(&self, folder: &Path, got: &EngineFinished) -> Result<Finished, EngineError> {
        let name = file_name(&got.trajectory)
            .ok_or_else(|| self.fail(Failure::Engine, "it gave no usable name of a trajectory"))?;
        let trajectory = folder.join(&name);
        if !trajectory.is_file() {
            let text = format!("it said that it wrote {name}, but there is no such file");
            return Err(self.fail(Failure::Engine, text));
        }
        if !(got.frame_ps.is_finite() && got.frame_ps > 0.0) || got.head_frames > got.n_frames {
            let text = format!(
                "its time base is impossible: {} frames, {} of them head, every {} ps",
                got.n_frames, got.head_frames, got.frame_ps
            );
            return Err(self.fail(Failure::Engine, text));
        }
        Ok(Finished {
            trajectory,
            n_frames: got.n_frames,
            head_frames: got.head_frames,
            frame_ps: got.frame_ps,
            head_kj_mol: got.head_kj_mol,
            end_kj_mol: got.end_kj_mol,
            temperature_kelvin: got.temperature_kelvin,
        })
    }

    fn lacks(&self, verb: &str) -> EngineError {
        self.fail(Failure::Unsupported, format!("its table lacks {verb}"))
    }
}

/// Positions on their way into a call.
struct Given {
    positions_nm: Vec<[f64; 3]>,
    cell_nm: Option<[[f64; 3]; 3]>,
}

impl Given {
    fn row(&self) -> EnginePositions {
        positions_row(Positions { xyz_nm: &self.positions_nm, cell_nm: self.cell_nm })
    }
}

/// A request on its way into a call, with the text that it points to.
struct Asked {
    folder: CString,
    rng_seed: u64,
    head_steps: u64,
    steps: u64,
    frame_steps: u64,
}

impl Asked {
    fn new(request: &preparation::RunRequest<'_>, folder: CString) -> Self {
        let preparation::RunRequest { rng_seed, head_steps, steps, frame_steps, .. } = *request;
        Self { folder, rng_seed, head_steps, steps, frame_steps }
    }

    fn row(&self) -> EngineRunRequest {
        EngineRunRequest {
            struct_size: size_of::<EngineRunRequest>(),
            folder: self.folder.as_ptr(),
            rng_seed: self.rng_seed,
            head_steps: self.head_steps,
            steps: self.steps,
            frame_steps: self.frame_steps,
        }
    }
}

/// For a plugin to fill.
fn unfinished() -> EngineFinished {
    EngineFinished {
        struct_size: size_of::<EngineFinished>(),
        trajectory: [0; 64],
        n_frames: 0,
        head_frames: 0,
        frame_ps: f64::NAN,
        head_kj_mol: f64::NAN,
        end_kj_mol: f64::NAN,
        temperature_kelvin: f64::NAN,
    }
}

/// The cell of a row that a plugin filled.
pub(crate) fn cell_of(row: &EnginePositions) -> Option<[[f64; 3]; 3]> {
    let c = &row.cell_nm;
    (row.flags & MARSFM_PLUGIN_POSITIONS_HAVE_CELL != 0)
        .then(|| [[c[0], c[1], c[2]], [c[3], c[4], c[5]], [c[6], c[7], c[8]]])
}

impl preparation::Engine for PluginEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn system(&self) -> &System {
        &self.system
    }

    fn energy(
        &self,
        positions_nm: &[[f64; 3]],
        cell_nm: Option<[[f64; 3]; 3]>,
    ) -> Result<preparation::Energy, EngineError> {
        let energy = self.table.energy.ok_or_else(|| self.lacks("energy"))?;
        let given = self.given(positions_nm, cell_nm)?;
        let got = self.call("energy", &mut |_, _| true, move |engine, _| {
            let mut out = EngineEnergy {
                struct_size: size_of::<EngineEnergy>(),
                potential_kj_mol: f64::NAN,
                max_force_kj_mol_nm: f64::NAN,
                max_force_atom: 0,
            };
            (energy(engine, &given.row(), &mut out), out)
        })?;
        Ok(preparation::Energy {
            potential_kj_mol: got.potential_kj_mol,
            max_force_kj_mol_nm: got.max_force_kj_mol_nm,
            max_force_atom: got.max_force_atom as usize,
        })
    }

    fn minimise(
        &self,
        folder: &Path,
        rng_seed: u64,
        positions_nm: &[[f64; 3]],
        cell_nm: Option<[[f64; 3]; 3]>,
        progress: Progress<'_>,
    ) -> Result<Minimised, EngineError> {
        let minimise = self.table.minimise.ok_or_else(|| self.lacks("minimise"))?;
        let (given, folder) = (self.given(positions_nm, cell_nm)?, self.folder(folder)?);
        let got = self.call("minimise", progress, move |engine, watch| {
            let mut room = Given {
                positions_nm: vec![[f64::NAN; 3]; given.positions_nm.len()],
                cell_nm: None,
            };
            let mut row =
                EnginePositions { xyz_nm: room.positions_nm.as_mut_ptr().cast(), ..room.row() };
            let nan = f64::NAN;
            let mut out = EngineMinimised {
                struct_size: size_of::<EngineMinimised>(),
                positions: &mut row,
                before_kj_mol: nan,
                restrained_kj_mol: nan,
                after_kj_mol: nan,
                max_force_kj_mol_nm: nan,
                max_force_atom: 0,
            };
            let status = minimise(engine, folder.as_ptr(), rng_seed, &given.row(), watch, &mut out);
            let minimised = Minimised {
                cell_nm: cell_of(&row),
                positions_nm: room.positions_nm,
                before_kj_mol: out.before_kj_mol,
                restrained_kj_mol: out.restrained_kj_mol,
                after: preparation::Energy {
                    potential_kj_mol: out.after_kj_mol,
                    max_force_kj_mol_nm: out.max_force_kj_mol_nm,
                    max_force_atom: out.max_force_atom as usize,
                },
            };
            (status, minimised)
        })?;
        if let Err(e) = self.finite(&got.positions_nm, "is not finite after minimisation") {
            return Err(EngineError { failure: Failure::Diverged, ..e });
        }
        Ok(got)
    }

    fn start(
        &self,
        folder: &Path,
        rng_seed: u64,
        minimised: &Minimised,
        progress: Progress<'_>,
    ) -> Result<Started, EngineError> {
        let start = self.table.start.ok_or_else(|| self.lacks("start"))?;
        let given = self.given(&minimised.positions_nm, minimised.cell_nm)?;
        let folder = self.folder(folder)?;
        let got = self.call("start", progress, move |engine, watch| {
            let mut out = EngineStarted {
                struct_size: size_of::<EngineStarted>(),
                md_ps: f64::NAN,
                potential_kj_mol: f64::NAN,
                temperature_kelvin: f64::NAN,
            };
            (start(engine, folder.as_ptr(), rng_seed, &given.row(), watch, &mut out), out)
        })?;
        if !got.potential_kj_mol.is_finite() || !got.temperature_kelvin.is_finite() {
            return Err(self.fail(Failure::Diverged, "the energy of the start is not finite"));
        }
        Ok(Started {
            md_ps: got.md_ps,
            potential_kj_mol: got.potential_kj_mol,
            temperature_kelvin: got.temperature_kelvin,
        })
    }

    fn run(
        &self,
        request: &preparation::RunRequest<'_>,
        progress: Progress<'_>,
    ) -> Result<Finished, EngineError> {
        let run = self.table.run.ok_or_else(|| self.lacks("run"))?;
        let asked = Asked::new(request, self.folder(request.folder)?);
        let got = self.call("run", progress, move |engine, watch| {
            let mut out = unfinished();
            (run(engine, &asked.row(), watch, &mut out), out)
        })?;
        self.finished(request.folder, &got)
    }

    fn run_together(
        &self,
        folder: &Path,
        requests: &[preparation::RunRequest<'_>],
        progress: Progress<'_>,
    ) -> Result<Vec<Result<Finished, EngineError>>, EngineError> {
        let Some(run) = self.table.run_together else {
            return Err(self.fail(Failure::Unsupported, "it runs one seed at a time"));
        };
        let folder = self.folder(folder)?;
        let asked = requests.iter().map(|r| Ok(Asked::new(r, self.folder(r.folder)?)));
        let asked = asked.collect::<Result<Vec<_>, EngineError>>()?;
        let ended = self.call("run_together", progress, move |engine, watch| {
            let rows: Vec<_> = asked.iter().map(Asked::row).collect();
            collect_runs(rows.len(), |sink| {
                let rows: Vec<*const EngineRunRequest> =
                    rows.iter().map(std::ptr::from_ref).collect();
                run(engine, folder.as_ptr(), rows.as_ptr(), rows.len() as u64, watch, sink)
            })
        })?;
        let one = |(end, request): (Option<RunEnd>, &preparation::RunRequest<'_>)| match end {
            Some(Ok(got)) => self.finished(request.folder, &got),
            Some(Err((status, text))) => Err(self.fail(failure_of(status), text)),
            None => Err(self.fail(Failure::Engine, "it did not say what became of this run")),
        };
        Ok(ended.into_iter().zip(requests).map(one).collect())
    }
}

/// A plain file name out of a fixed array; `None` without a NUL, or with a path in it.
fn file_name(array: &[c_char; 64]) -> Option<String> {
    let end = array.iter().position(|c| *c == 0)?;
    let bytes: Vec<u8> = array[..end].iter().map(|c| c.to_ne_bytes()[0]).collect();
    let name = String::from_utf8(bytes).ok()?;
    (!name.is_empty() && !name.contains('/') && name != "." && name != "..").then_some(name)
}

impl Drop for PluginEngine {
    fn drop(&mut self) {
        let lost = *self.lost.get_mut().unwrap_or_else(|e| e.into_inner());
        // An abandoned call may still be using the handle.
        if let Some(close) = self.table.close.filter(|_| !lost) {
            guard(|| {
                close(self.handle.get());
                Ok(MARSFM_PLUGIN_OK)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &[u8]) -> Option<String> {
        let mut array = [0 as c_char; 64];
        for (to, from) in array.iter_mut().zip(text) {
            *to = from.cast_signed() as c_char;
        }
        file_name(&array)
    }

    #[test]
    fn a_trajectory_is_a_plain_name() {
        assert_eq!(name(b"md.xtc").as_deref(), Some("md.xtc"));
        for bad in [&b""[..], b"..", b"a/b.xtc", b"/etc/x", &[b'a'; 64], b"\xff.xtc"] {
            assert_eq!(name(bad), None, "{bad:?}");
        }
    }
}
