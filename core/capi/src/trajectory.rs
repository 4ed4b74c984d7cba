//! Trajectories that come back from an engine: frames out of its memory, or a file.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, TryLockError};

use marsfm_core::session::{Recording, Start};

use crate::arguments::*;
use crate::library::host;
use crate::positions;
use crate::status::{Checked, Failure, guard};
use crate::topology::Topology;
use crate::types::*;

/// Frames of one run, opaque. One thread at a time.
pub struct Trajectory(Mutex<Recording>);

impl Trajectory {
    pub(crate) fn lock(&self) -> Checked<MutexGuard<'_, Recording>> {
        match self.0.try_lock() {
            Ok(recording) => Ok(recording),
            Err(TryLockError::Poisoned(broken)) => Ok(broken.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(MARSFM_ERROR_BUSY, "the trajectory is in use by another thread"))
            }
        }
    }
}

/// Makes an empty trajectory for the frames of one uninterrupted run. Begin a new one after every
/// jump: no transition may be counted across it, and the head of a run is not in equilibrium.
///
/// - name: for messages, and kept in the model; NULL for none.
/// - frame_ps: time between frames, ps.
/// - discard_ps: frames within this time of the first one are taken and not counted; 0 keeps all.
/// - trajectory: takes the new trajectory; free it with marsfm_trajectory_free.
///
/// Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
///
/// Example: marsfm_trajectory_new(topology, "run 7", 1.0, 10.0, &trajectory);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_trajectory_new(
    topology: *const Topology,
    name: *const c_char,
    frame_ps: f64,
    discard_ps: f64,
    trajectory: *mut *mut Trajectory,
) -> Status {
    guard("marsfm_trajectory_new", || {
        output(trajectory, "trajectory")?;
        // SAFETY: as the C contract.
        let (topology, name) =
            unsafe { (handle(topology, "topology")?, optional_text(name, "name")?) };
        let name = name.unwrap_or("frames from memory");
        let recording = Recording::new(topology.0.clone(), name, frame_ps, discard_ps)?;
        // SAFETY: checked above.
        unsafe { give(trajectory, Trajectory(Mutex::new(recording))) };
        Ok(())
    })
}

/// Reads a trajectory file (XTC and what else the installed plugins read) whose atoms are those of
/// the topology, in its order.
///
/// - path: the file, UTF-8.
/// - frame_ps: time between frames, ps, for files that cannot tell; 0 to go by the file.
/// - discard_ps, trajectory: as in marsfm_trajectory_new.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_FILE (names file and frame).
/// [any thread]
///
/// Example: marsfm_trajectory_read(topology, "run7.xtc", 0.0, 10.0, &trajectory);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_trajectory_read(
    topology: *const Topology,
    path: *const c_char,
    frame_ps: f64,
    discard_ps: f64,
    trajectory: *mut *mut Trajectory,
) -> Status {
    guard("marsfm_trajectory_read", || {
        output(trajectory, "trajectory")?;
        // SAFETY: as the C contract.
        let (topology, path) = unsafe { (handle(topology, "topology")?, text(path, "path")?) };
        let frame_ps = (frame_ps != 0.0).then_some(frame_ps);
        let atoms = topology.0.clone();
        let read = Recording::from_file(&host(), atoms, Path::new(path), frame_ps, discard_ps)?;
        // SAFETY: checked above.
        unsafe { give(trajectory, Trajectory(Mutex::new(read))) };
        Ok(())
    })
}

/// Takes the next frame, which is copied.
///
/// - xyz: positions of all atoms, nm, in the order of the topology.
/// - box_nm: as in marsfm_session_jump.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT, MARSFM_ERROR_NOT_FINITE or
/// MARSFM_ERROR_BUSY; a frame that is refused is not counted. [one thread per trajectory]
///
/// Example: marsfm_trajectory_append(trajectory, &xyz, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_trajectory_append(
    trajectory: *mut Trajectory,
    xyz: *const XyzIn,
    box_nm: *const f64,
) -> Status {
    guard("marsfm_trajectory_append", || {
        // SAFETY: as the C contract.
        let mut recording = unsafe { handle(trajectory, "trajectory")? }.lock()?;
        // SAFETY: as the C contract.
        let (positions_nm, cell_nm) =
            unsafe { (positions::read(xyz, recording.atoms().len())?, positions::cell(box_nm)) };
        Ok(recording.append(&Start { positions_nm: &positions_nm, cell_nm })?)
    })
}

/// Tells how many frames a trajectory has taken and keeps.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_BUSY. [one thread per trajectory]
///
/// Example: info.struct_size = sizeof info; marsfm_trajectory_info(trajectory, &info);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_trajectory_info(
    trajectory: *const Trajectory,
    info: *mut TrajectoryInfo,
) -> Status {
    guard("marsfm_trajectory_info", || {
        // SAFETY: as the C contract.
        unsafe {
            let recording = handle(trajectory, "trajectory")?.lock()?;
            let value = TrajectoryInfo {
                struct_size: 0,
                n_seen: recording.n_seen() as u64,
                n_kept: recording.n_kept() as u64,
                n_atoms: recording.atoms().len() as u64,
                frame_ps: recording.frame_ps(),
            };
            write_record(info, &value, "info")
        }
    })
}

/// Frees a trajectory; NULL is fine. [not while it is in use]
///
/// Example: marsfm_trajectory_free(trajectory);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn marsfm_trajectory_free(trajectory: *mut Trajectory) {
    // SAFETY: as the C contract: made by this library, freed once.
    unsafe { free(trajectory) };
}
