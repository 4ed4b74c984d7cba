//! Markov models of MD: built from files or from trajectories in memory, saved, loaded, updated,
//! asked for states. What they say is in `msm_numbers`.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::path::{Path, PathBuf};

use marsfm_core::markov::MsmSettings;
use marsfm_core::markov::files::{FeatureChoice, Features, TrajectoryFiles};
use marsfm_core::session::{Recording, Start, StateModel, Update};

use crate::arguments::*;
use crate::library::host;
use crate::log::tell;
use crate::positions;
use crate::status::{Checked, Failure, guard};
use crate::topology::Topology;
use crate::trajectory::Trajectory;
use crate::types::*;

/// A Markov model, opaque. Immutable: share it between threads.
pub struct Msm(pub(crate) StateModel);

pub(crate) fn finished(model: StateModel) -> Msm {
    for warning in &model.msm().warnings {
        tell(MARSFM_LOG_WARNING, &format!("Markov model: {warning}"));
    }
    Msm(model)
}

/// Builds a Markov model of one molecule: features, TICA, k-means microstates, PCCA+ macrostates.
/// Long: seconds to minutes. Trajectories stay apart, no transition is counted between two files.
/// Frames are later assigned in the order of the topology file.
///
/// - topology_path: structure file that belongs to the trajectories (PDB, mmCIF ...), UTF-8.
/// - trajectory_paths: n_trajectories files (XTC ...), UTF-8; what can be read depends on the plugins.
/// - options: lags in ps, sizes, features; NULL for the defaults.
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
        let (topology, trajectories, options, features) = unsafe {
            let path = |i: usize| -> Checked<PathBuf> {
                let at = trajectory_paths.add(i).read_unaligned();
                Ok(text(at, &format!("trajectory_paths[{i}]"))?.into())
            };
            let options = read_options(options, "options")?;
            (
                text(topology_path, "topology_path")?,
                (0..n_trajectories).map(path).collect::<Checked<Vec<_>>>()?,
                options,
                features(&options)?,
            )
        };
        let (settings, frame_ps) = settings(&options)?;
        let files = TrajectoryFiles { topology: topology.into(), trajectories, frame_ps };
        let model = StateModel::from_files(&host(), files, &features, &settings)?;
        // SAFETY: checked above.
        unsafe { give(msm, finished(model)) };
        Ok(())
    })
}

/// Builds a Markov model of trajectories in memory, as marsfm_msm_build does of files. Frames are
/// later assigned in the order of the first trajectory's topology.
///
/// - trajectories: n_trajectories of them, of one molecule; they stay the caller's.
/// - options: frame_ps must be 0: the trajectories know it.
/// - msm: takes the new model; free it with marsfm_msm_free.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_BUSY or MARSFM_ERROR_MSM. [any thread]
///
/// Example: marsfm_msm_build_from_trajectories(runs, 4, NULL, &msm);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_build_from_trajectories(
    trajectories: *const *const Trajectory,
    n_trajectories: usize,
    options: *const MsmOptions,
    msm: *mut *mut Msm,
) -> Status {
    guard("marsfm_msm_build_from_trajectories", || {
        output(msm, "msm")?;
        // SAFETY: as the C contract.
        let (options, features) = unsafe {
            let options = read_options(options, "options")?;
            (options, features(&options)?)
        };
        let (settings, frame_ps) = settings(&options)?;
        if frame_ps.is_some() {
            return Err(Failure::argument("options.frame_ps must be 0: the trajectories know it"));
        }
        // SAFETY: as the C contract.
        let model = unsafe {
            with_recordings(trajectories, n_trajectories, |recordings| {
                Ok(StateModel::from_recordings(&host(), recordings, &features, &settings)?)
            })?
        };
        // SAFETY: checked above.
        unsafe { give(msm, finished(model)) };
        Ok(())
    })
}

/// Makes a model of an older one and new trajectories: projection and microstate centres stay,
/// counts grow, everything that follows from them is estimated anew. The older model stays.
///
/// - trajectories: n_trajectories runs of the model's molecule; names and numbers of its residues
///   must be the model's, the order of atoms need not.
/// - drift: takes how the new frames differ from the old ones; may be NULL.
/// - updated: takes the new model; free it with marsfm_msm_free.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_BUSY or MARSFM_ERROR_MSM (no frame left
/// after the head, another molecule, another time between frames). [any thread]
///
/// Example: marsfm_msm_update(msm, runs, 4, &drift, &updated);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_update(
    msm: *const Msm,
    trajectories: *const *const Trajectory,
    n_trajectories: usize,
    drift: *mut MsmDrift,
    updated: *mut *mut Msm,
) -> Status {
    guard("marsfm_msm_update", || {
        output(updated, "updated")?;
        // SAFETY: as the C contract.
        let update = unsafe {
            let msm = &handle(msm, "msm")?.0;
            with_recordings(trajectories, n_trajectories, |recordings| {
                Ok(msm.updated(&host(), recordings)?)
            })?
        };
        let Update { model, drift: d } = update;
        if !drift.is_null() {
            let value = MsmDrift {
                struct_size: 0,
                frames_before: d.frames_before as u64,
                frames_added: d.frames_added as u64,
                newly_connected: d.newly_connected as u64,
                distance_ratio: d.distance_ratio,
                population_distance: d.population_distance,
                centres_outgrown: d.centres_are_outgrown().into(),
                reserved: 0,
            };
            // SAFETY: not null.
            unsafe { write_record(drift, &value, "drift")? };
        }
        // SAFETY: checked above.
        unsafe { give(updated, finished(model)) };
        Ok(())
    })
}

/// Locks the trajectories for as long as `work` needs them.
unsafe fn with_recordings<T>(
    trajectories: *const *const Trajectory,
    n: usize,
    work: impl FnOnce(&[&Recording]) -> Checked<T>,
) -> Checked<T> {
    if trajectories.is_null() || n == 0 {
        return Err(Failure::argument("trajectories is NULL or n_trajectories is 0"));
    }
    let mut locks = Vec::new();
    for i in 0..n {
        // SAFETY: as the C contract: n pointers to trajectories.
        let one = unsafe {
            let at = trajectories.add(i).read_unaligned();
            handle(at, &format!("trajectories[{i}]"))?
        };
        locks.push(one.lock()?);
    }
    let recordings: Vec<&Recording> = locks.iter().map(|lock| &**lock).collect();
    work(&recordings)
}

/// Writes a model to a file, which appears when it is complete. The marsfm program reads it too.
///
/// - path: the file (.safetensors), UTF-8.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_FILE. [any thread]
///
/// Example: marsfm_msm_save(msm, "peptide.msm.safetensors");
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_save(msm: *const Msm, path: *const c_char) -> Status {
    guard("marsfm_msm_save", || {
        // SAFETY: as the C contract.
        unsafe { Ok(handle(msm, "msm")?.0.save(Path::new(text(path, "path")?))?) }
    })
}

/// Reads a model that marsfm wrote and binds it to the caller's atoms: frames are then assigned in
/// the order of this topology, whatever order the model was built in. Names and numbers of the
/// residues must be the model's.
///
/// - path: the file, UTF-8.
/// - xyz: positions of some frame, nm, in the order of the topology: they tell what is bonded.
/// - box_nm: as in marsfm_session_jump.
/// - msm: takes the new model; free it with marsfm_msm_free.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT, MARSFM_ERROR_NOT_FINITE,
/// MARSFM_ERROR_FILE or MARSFM_ERROR_MSM (of another molecule). [any thread]
///
/// Example: marsfm_msm_load("peptide.msm.safetensors", topology, &xyz, NULL, &msm);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_load(
    path: *const c_char,
    topology: *const Topology,
    xyz: *const XyzIn,
    box_nm: *const f64,
    msm: *mut *mut Msm,
) -> Status {
    guard("marsfm_msm_load", || {
        output(msm, "msm")?;
        // SAFETY: as the C contract.
        let (path, atoms) =
            unsafe { (text(path, "path")?, handle(topology, "topology")?.0.clone()) };
        // SAFETY: as the C contract.
        let (positions_nm, cell_nm) =
            unsafe { (positions::read(xyz, atoms.len())?, positions::cell(box_nm)) };
        let start = Start { positions_nm: &positions_nm, cell_nm };
        let model = StateModel::load(&host(), Path::new(path), atoms, &start)?;
        // SAFETY: checked above.
        unsafe { give(msm, Msm(model)) };
        Ok(())
    })
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
            let states = &handle(msm, "msm")?.0;
            let (model, frame_ps) = (states.msm(), states.frame_ps());
            let lag_ps = |frames: usize| frames as f64 * frame_ps;
            let value = MsmInfo {
                struct_size: 0,
                n_atoms: states.n_atoms() as u64,
                n_frames: model.micro_trajectories.total_frames() as u64,
                n_microstates: model.micro_populations.len() as u64,
                n_macrostates: model.n_macrostates() as u64,
                frame_ps,
                msm_lag_ps: lag_ps(model.settings.msm_lag),
                pair_lag_ps: lag_ps(model.settings.pair_lag),
                n_features: states.n_features() as u64,
            };
            write_record(info, &value, "info")
        }
    })
}

/// Tells the states of a frame.
///
/// - xyz: positions of all atoms, nm, in the order that the model is bound to: see how it was made.
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
        let (msm, positions_nm, cell_nm) = unsafe {
            let msm = &handle(msm, "msm")?.0;
            (msm, positions::read(xyz, msm.n_atoms())?, positions::cell(box_nm))
        };
        let (micro, coarse) = msm.assign(&Start { positions_nm: &positions_nm, cell_nm })?;
        for (at, state) in [(microstate, micro), (macrostate, coarse)] {
            if !at.is_null() {
                // SAFETY: not null.
                unsafe { at.write(state.map_or(-1, |s| s as i32)) };
            }
        }
        Ok(())
    })
}

pub(crate) fn settings(options: &MsmOptions) -> Checked<(MsmSettings, Option<f64>)> {
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

/// The choice of features, whose texts are the caller's.
unsafe fn features(options: &MsmOptions) -> Checked<Features> {
    // SAFETY: as the C contract: NULL or C strings.
    let (names, plugin) = unsafe {
        (
            optional_text(options.features, "options.features")?,
            optional_text(options.feature_plugin, "options.feature_plugin")?,
        )
    };
    if names.is_some() && plugin.is_some() {
        let why = "options.features and options.feature_plugin are both set: one of them is enough";
        return Err(Failure::argument(why));
    }
    let choice = names.map(|names| {
        names
            .parse::<FeatureChoice>()
            .map_err(|e| Failure::argument(format!("options.features: {e}")))
    });
    let plugin = plugin.map(Features::plugin_named);
    Ok(Features { choice: choice.transpose()?.unwrap_or_default(), plugin })
}
