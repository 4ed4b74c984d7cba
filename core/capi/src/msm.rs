//! Markov models of MD trajectories.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::path::PathBuf;

use marsfm_core::Host;
use marsfm_core::assign::assign;
use marsfm_core::markov::{self, MsmSettings, SystemMsm};
use marsfm_core::systems::{System, SystemFiles};

use crate::arguments::*;
use crate::positions;
use crate::status::{Checked, Failure, guard};
use crate::types::*;

/// A Markov model, opaque. Immutable: share it between threads.
pub struct Msm {
    model: SystemMsm,
    n_atoms: usize,
    frame_ps: f64,
}

/// Builds a Markov model of one molecule: torsions, TICA, k-means microstates, PCCA+ macrostates.
/// Long: seconds to minutes. Trajectories stay apart, no transition is counted between two files.
///
/// - topology_path: structure file that belongs to the trajectories (PDB, mmCIF ...), UTF-8.
/// - trajectory_paths: n_trajectories files (XTC ...), UTF-8; what can be read depends on the plugins.
/// - options: lags in ps and sizes; NULL for the defaults.
/// - msm: takes the new model; free it with marsfm_msm_free.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_FILE (names file and frame) or
/// MARSFM_ERROR_MSM (lag longer than the data and the like). [any thread]
///
/// Example: marsfm_msm_build("peptide.pdb", files, 4, NULL, &msm);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_build(
    topology_path: *const c_char,
    trajectory_paths: *const *const c_char,
    n_trajectories: usize,
    options: *const MsmOptions,
    msm: *mut *mut Msm,
) -> Status {
    guard("marsfm_msm_build", || {
        output(msm, "msm")?;
        if trajectory_paths.is_null() || n_trajectories == 0 {
            return Err(Failure::argument("trajectory_paths is NULL or n_trajectories is 0"));
        }
        // SAFETY: as the C contract: n_trajectories pointers to C strings.
        let (topology, trajectories, options) = unsafe {
            let path = |i: usize| -> Checked<PathBuf> {
                let at = trajectory_paths.add(i).read_unaligned();
                Ok(text(at, &format!("trajectory_paths[{i}]"))?.into())
            };
            (
                text(topology_path, "topology_path")?,
                (0..n_trajectories).map(path).collect::<Checked<Vec<_>>>()?,
                read_options(options, "options")?,
            )
        };
        let (settings, frame_ps) = settings(&options)?;
        let name = PathBuf::from(topology);
        let name = name.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let files = SystemFiles { name, topology: topology.into(), trajectories, frame_ps };
        let system = System::load(&Host::with_default_paths(), &files)
            .map_err(|e| Failure::new(MARSFM_ERROR_FILE, format!("{e:#}")))?;
        let model = markov::build(&system, &settings)
            .map_err(|e| Failure::new(MARSFM_ERROR_MSM, format!("{e:#}")))?;
        let (n_atoms, frame_ps) = (system.topology.len(), system.data.frame_ps());
        // SAFETY: checked above.
        unsafe { give(msm, Msm { model, n_atoms, frame_ps }) };
        Ok(())
    })
}

fn settings(options: &MsmOptions) -> Checked<(MsmSettings, Option<f64>)> {
    let positive = |what: &str, value: f64| match value {
        0.0 => Ok(None),
        v if v.is_finite() && v > 0.0 => Ok(Some(v)),
        v => Err(Failure::argument(format!("options.{what} is {v}"))),
    };
    let default = MsmSettings::default();
    let count = |what: &str, value: u64, default: usize| match value {
        0 => Ok(default),
        1..=100_000 => Ok(value as usize),
        _ => Err(Failure::argument(format!("options.{what} is {value}; at most 100000"))),
    };
    let lag = |what: &str, value: f64, default: f64| {
        positive(what, value).map(|lag| lag.unwrap_or(default))
    };
    let settings = MsmSettings {
        tica_lag_ps: lag("tica_lag_ps", options.tica_lag_ps, default.tica_lag_ps)?,
        msm_lag_ps: lag("msm_lag_ps", options.msm_lag_ps, default.msm_lag_ps)?,
        pair_lag_ps: lag("pair_lag_ps", options.pair_lag_ps, default.pair_lag_ps)?,
        microstates: count("n_microstates", options.n_microstates, default.microstates)?,
        macrostates: count("n_macrostates", options.n_macrostates, default.macrostates)?,
        rng_seed: if options.rng_seed == 0 { default.rng_seed } else { options.rng_seed },
    };
    Ok((settings, positive("frame_ps", options.frame_ps)?))
}

/// Frees a Markov model; NULL is fine. [any thread]
///
/// Example: marsfm_msm_free(msm);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn marsfm_msm_free(msm: *mut Msm) {
    // SAFETY: as the C contract: made by this library, freed once.
    unsafe { free(msm) };
}

/// Tells what a Markov model holds.
///
/// Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
///
/// Example: info.struct_size = sizeof info; marsfm_msm_info(msm, &info);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_info(msm: *const Msm, info: *mut MsmInfo) -> Status {
    guard("marsfm_msm_info", || {
        // SAFETY: as the C contract.
        unsafe {
            let msm = handle(msm, "msm")?;
            let model = &msm.model.msm;
            let lag_ps = |frames: usize| frames as f64 * msm.frame_ps;
            let value = MsmInfo {
                struct_size: 0,
                n_atoms: msm.n_atoms as u64,
                n_frames: model.micro_trajectories.iter().map(|t| t.len() as u64).sum(),
                n_microstates: model.micro_populations.len() as u64,
                n_macrostates: model.n_macrostates() as u64,
                frame_ps: msm.frame_ps,
                msm_lag_ps: lag_ps(model.settings.msm_lag),
                pair_lag_ps: lag_ps(model.settings.pair_lag),
            };
            write_record(info, &value, "info")
        }
    })
}

/// Copies the transition matrix between macrostates at the pair lag: n x n probabilities, rows
/// (from) one after the other, n being n_macrostates. Capacity and needed count doubles.
///
/// - capacity: 0 only asks for the size; buffer may then be NULL.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
///
/// Example: marsfm_msm_transition_matrix(msm, t, sizeof t / sizeof *t, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_transition_matrix(
    msm: *const Msm,
    buffer: *mut f64,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_msm_transition_matrix", || {
        // SAFETY: as the C contract.
        unsafe {
            let t = &handle(msm, "msm")?.model.msm.macro_t;
            let n = t.n_rows();
            let flat: Vec<f64> = (0..n).flat_map(|i| t.row(i).to_vec()).collect();
            write_numbers(&flat, buffer, capacity, needed)
        }
    })
}

/// Copies the stationary probability of each macrostate. Capacity and needed count doubles, as in
/// marsfm_msm_transition_matrix.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
///
/// Example: marsfm_msm_stationary(msm, pi, n_macrostates, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_stationary(
    msm: *const Msm,
    buffer: *mut f64,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_msm_stationary", || {
        // SAFETY: as the C contract.
        unsafe { write_numbers(&handle(msm, "msm")?.model.msm.macro_pi, buffer, capacity, needed) }
    })
}

/// Copies the implied timescales of the microstate model at its lag, ps, slowest first, at most
/// ten. Capacity and needed count doubles, as in marsfm_msm_transition_matrix.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_SIZE or MARSFM_ERROR_MSM. [any thread]
///
/// Example: marsfm_msm_timescales(msm, ps, 10, &n);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_timescales(
    msm: *const Msm,
    buffer: *mut f64,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_msm_timescales", || {
        // SAFETY: as the C contract.
        unsafe {
            let msm = handle(msm, "msm")?;
            let frames = msm.model.msm.micro.timescales(10);
            let frames = frames.map_err(|e| Failure::new(MARSFM_ERROR_MSM, e.to_string()))?;
            let ps: Vec<f64> = frames.iter().map(|t| t * msm.frame_ps).collect();
            write_numbers(&ps, buffer, capacity, needed)
        }
    })
}

/// Copies what a user should know about a Markov model (states left out, no metastability and the
/// like), one line each; empty if there is nothing. For buffer, capacity and needed see
/// marsfm_last_error_message.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
///
/// Example: marsfm_msm_warnings(msm, text, sizeof text, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_warnings(
    msm: *const Msm,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_msm_warnings", || {
        // SAFETY: as the C contract.
        unsafe {
            let warnings = &handle(msm, "msm")?.model.msm.warnings;
            let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            write_text(&lines.join("\n"), buffer, capacity, needed)
        }
    })
}

/// Tells the states of a frame.
///
/// - xyz: positions of all atoms, nm, in the order of the model's topology file.
/// - box_nm: as in marsfm_session_jump.
/// - microstate, macrostate: take the states, from 0; -1 if the frame belongs to none. Either may
///   be NULL.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT, MARSFM_ERROR_NOT_FINITE or
/// MARSFM_ERROR_MSM. [any thread]
///
/// Example: marsfm_msm_assign(msm, &xyz, NULL, NULL, &macrostate);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_assign(
    msm: *const Msm,
    xyz: *const XyzIn,
    box_nm: *const f64,
    microstate: *mut i32,
    macrostate: *mut i32,
) -> Status {
    guard("marsfm_msm_assign", || {
        // SAFETY: as the C contract.
        let (msm, positions_nm, cell) = unsafe {
            let msm = handle(msm, "msm")?;
            (msm, positions::read(xyz, msm.n_atoms)?, positions::cell(box_nm))
        };
        let single = |x: f64| x as f32;
        let positions_nm: Vec<[f32; 3]> = positions_nm.into_iter().map(|p| p.map(single)).collect();
        if let Some(i) = positions_nm.iter().position(|p| !p.iter().all(|x| x.is_finite())) {
            let message = format!("atom {i} (counted from 0): position is not finite");
            return Err(Failure::new(MARSFM_ERROR_NOT_FINITE, message));
        }
        let cell = cell.map(|c| c.map(|row| row.map(single))).filter(|c| *c != [[0.0; 3]; 3]);
        let (micro, coarse) = assign(&msm.model, &positions_nm, cell.as_ref())
            .map_err(|e| Failure::new(MARSFM_ERROR_MSM, format!("{e:#}")))?;
        for (at, state) in [(microstate, micro), (macrostate, coarse)] {
            if !at.is_null() {
                // SAFETY: not null.
                unsafe { at.write(state.map_or(-1, |s| s as i32)) };
            }
        }
        Ok(())
    })
}
