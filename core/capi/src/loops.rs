//! The adaptive loop.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_void};
use std::path::{Path, PathBuf};

use marsfm_core::adaptive::{self, Ended, ImportRequest, Limits};

use crate::arguments::*;
use crate::library::host;
use crate::status::{Checked, Failure, guard};
use crate::types::*;

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(MARSFM_ERROR_LOOP, format!("{error:#}"))
}

/// Paths of a caller's array.
unsafe fn paths(at: *const *const c_char, n: usize, what: &str) -> Checked<Vec<PathBuf>> {
    if n == 0 || at.is_null() {
        return Err(Failure::argument(format!("{what}: there is none")));
    }
    // SAFETY: as the C contract: n texts.
    (0..n).map(|i| Ok(unsafe { text(*at.add(i), what)? }.into())).collect()
}

/// Begins an adaptive loop in a new folder: checks the settings (the TOML file of `marsfm loop
/// init`), opens engine and proposer, writes the journal. No MD is run.
///
/// - settings_path: the TOML file, UTF-8; paths in it are meant from its own folder.
/// - folder: the loop's folder, new or empty, UTF-8.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, or MARSFM_ERROR_LOOP with what to mend. [any thread]
///
/// Example: marsfm_loop_begin("loop.toml", "my-loop");
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_loop_begin(
    settings_path: *const c_char,
    folder: *const c_char,
) -> Status {
    guard("marsfm_loop_begin", || {
        // SAFETY: as the C contract.
        let (file, folder) =
            unsafe { (text(settings_path, "settings_path")?, text(folder, "folder")?) };
        adaptive::begin(&host(), Path::new(file), Path::new(folder)).map_err(failed)?;
        Ok(())
    })
}

struct Watched {
    progress: LoopProgress,
    user_data: *mut c_void,
}

impl adaptive::Watch for Watched {
    fn progress(&mut self, p: adaptive::Progress<'_>) -> bool {
        let Some(progress) = self.progress else { return true };
        let stage = CString::new(p.stage).unwrap_or_default();
        let (epoch, epochs) = (p.epoch.0 as u64, p.epoch.1 as u64);
        // SAFETY: as the C contract; the text lives for the call.
        unsafe { progress(self.user_data, stage.as_ptr(), epoch, epochs, p.done) == 0 }
    }
}

/// Runs a loop, or goes on with it, on the calling thread: as long as its MD takes. The process may
/// be killed at any time; calling again goes on.
///
/// - folder: the loop's folder, UTF-8. One process at a time runs a loop.
/// - max_epochs: stop after so many; 0 for all.
/// - max_seconds: stop before a run that would not fit into so much wall time; 0 for no limit.
/// - progress, user_data: told how far it is; NULL for silence.
/// - ended: takes why it came back, one of MARSFM_LOOP_...
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, or MARSFM_ERROR_LOOP (an engine that hangs, a full disk,
/// a missing file; nothing that was recorded is lost). [any thread]
///
/// Example: marsfm_loop_run("my-loop", 0, 3600.0, NULL, NULL, &ended);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_loop_run(
    folder: *const c_char,
    max_epochs: u64,
    max_seconds: f64,
    progress: LoopProgress,
    user_data: *mut c_void,
    ended: *mut i32,
) -> Status {
    guard("marsfm_loop_run", || {
        output(ended, "ended")?;
        // SAFETY: as the C contract.
        let folder = unsafe { text(folder, "folder")? };
        if max_seconds.is_nan() || max_seconds < 0.0 {
            return Err(Failure::argument("max_seconds must be 0 or a time in s"));
        }
        let limits = Limits {
            epochs: (max_epochs > 0).then_some(max_epochs as usize),
            seconds: (max_seconds > 0.0).then_some(max_seconds),
        };
        let mut watch = Watched { progress, user_data };
        let why =
            adaptive::go_on(&host(), Path::new(folder), limits, &mut watch).map_err(failed)?;
        let why = match why.0 {
            Ended::Complete => MARSFM_LOOP_COMPLETE,
            Ended::Budget => MARSFM_LOOP_BUDGET,
            Ended::Settled => MARSFM_LOOP_SETTLED,
            Ended::Limits => MARSFM_LOOP_LIMITS,
            Ended::Stopped => MARSFM_LOOP_STOPPED,
        };
        // SAFETY: checked above.
        unsafe { ended.write(why) };
        Ok(())
    })
}

/// Copies what a loop has found, as a JSON object: words (an array of sentences), epochs (how many
/// are over), runs, md_ns (all MD, heads and preparation included), and last, the last epoch's
/// record with populations, free energies (kJ/mol), timescales and passage times (ps), each with its
/// 95 % interval; null before the first. Works while another process runs the loop. For buffer,
/// capacity and needed see marsfm_last_error_message.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_SIZE or MARSFM_ERROR_LOOP. [any thread]
///
/// Example: marsfm_loop_status("my-loop", json, sizeof json, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_loop_status(
    folder: *const c_char,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_loop_status", || {
        // SAFETY: as the C contract.
        let folder = unsafe { text(folder, "folder")? };
        let store = adaptive::look(Path::new(folder)).map_err(failed)?;
        let history = store.history();
        let status = serde_json::json!({
            "words": adaptive::in_words(&store),
            "epochs": history.epochs.len(),
            "runs": history.runs.len(),
            "md_ns": history.md_ps(store.settings().budget.frame_ps) / 1000.0,
            "last": history.epochs.last(),
        });
        // SAFETY: as the C contract.
        unsafe { write_text(&status.to_string(), buffer, capacity, needed) }
    })
}

/// Takes unbiased MD of the same system into a loop, as runs that cost nothing.
///
/// - trajectory_paths: n_trajectories files, each continuous, UTF-8.
/// - topology_path: their atoms, where they are not the engine's; else NULL.
/// - head_ps: time at the beginning of each that does not count.
/// - frame_ps: time between their frames, where the files cannot tell; else 0.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_LOOP. [any thread]
///
/// Example: marsfm_loop_import("my-loop", files, 2, NULL, 10.0, 0.0);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_loop_import(
    folder: *const c_char,
    trajectory_paths: *const *const c_char,
    n_trajectories: usize,
    topology_path: *const c_char,
    head_ps: f64,
    frame_ps: f64,
) -> Status {
    guard("marsfm_loop_import", || {
        // SAFETY: as the C contract.
        let (folder, trajectories, topology) = unsafe {
            (
                text(folder, "folder")?,
                paths(trajectory_paths, n_trajectories, "trajectory_paths")?,
                optional_text(topology_path, "topology_path")?,
            )
        };
        if [head_ps, frame_ps].iter().any(|ps| ps.is_nan() || *ps < 0.0) {
            return Err(Failure::argument("head_ps and frame_ps must not be negative"));
        }
        let request = ImportRequest {
            trajectories,
            topology: topology.map(PathBuf::from),
            head_ps,
            frame_ps: (frame_ps > 0.0).then_some(frame_ps),
        };
        adaptive::import(&host(), Path::new(folder), &request).map_err(failed)?;
        Ok(())
    })
}

/// Writes a report of loops on one system side by side: report.html, JSON and CSV, all offline.
///
/// - folders: n_folders folders of loops, UTF-8.
/// - out: folder to write into, UTF-8; NULL for `report` in the first loop's folder.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_LOOP. [any thread]
///
/// Example: marsfm_loop_report(folders, 2, "report");
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_loop_report(
    folders: *const *const c_char,
    n_folders: usize,
    out: *const c_char,
) -> Status {
    guard("marsfm_loop_report", || {
        // SAFETY: as the C contract.
        let (folders, out) =
            unsafe { (paths(folders, n_folders, "folders")?, optional_text(out, "out")?) };
        let out = out.map_or_else(|| adaptive::default_out(&folders), PathBuf::from);
        let comparison = adaptive::compare(&folders).map_err(failed)?;
        adaptive::write_report(&comparison, &out).map_err(failed)?;
        Ok(())
    })
}
