//! Markov models of a caller's own numbers: matrices in, states out, no atoms.
#![allow(unsafe_code)]

use marsfm_core::msm::Rows;
use marsfm_core::session::StateModel;

use crate::arguments::*;
use crate::msm::{Msm, finished, settings};
use crate::status::{Checked, Failure, guard};
use crate::types::*;

/// Builds a Markov model of a caller's own features: TICA, k-means microstates, PCCA+ macrostates.
/// Trajectories stay apart. Such a model has no atoms: states come from marsfm_msm_assign_rows.
///
/// - rows: n_trajectories matrices, row-major, n_features doubles to a frame.
/// - n_frames: frames of each of them.
/// - options: lags in ps and sizes; frame_ps must be set; features and feature_plugin must be NULL.
/// - msm: takes the new model; free it with marsfm_msm_free.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_MSM (a number that is not finite, with its
/// trajectory and frame; a lag longer than the data and the like). [any thread]
///
/// Example: marsfm_msm_build_from_rows(runs, lengths, 4, 12, &options, &msm);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_build_from_rows(
    rows: *const *const f64,
    n_frames: *const usize,
    n_trajectories: usize,
    n_features: usize,
    options: *const MsmOptions,
    msm: *mut *mut Msm,
) -> Status {
    guard("marsfm_msm_build_from_rows", || {
        output(msm, "msm")?;
        if rows.is_null() || n_frames.is_null() || n_trajectories == 0 {
            let why = "rows or n_frames is NULL, or n_trajectories is 0";
            return Err(Failure::argument(why));
        }
        // SAFETY: as the C contract.
        let options = unsafe { read_options(options, "options")? };
        if !(options.features.is_null() && options.feature_plugin.is_null()) {
            return Err(Failure::argument(
                "options.features and options.feature_plugin must be NULL: the rows are the features",
            ));
        }
        let (settings, frame_ps) = settings(&options)?;
        let frame_ps = frame_ps.ok_or_else(|| {
            Failure::argument("options.frame_ps is 0: rows do not know the time between them")
        })?;
        let matrix = |i: usize| -> Checked<Rows<'_, f64>> {
            // SAFETY: as the C contract: n_trajectories pointers and lengths.
            unsafe {
                let at = rows.add(i).read_unaligned();
                lent_rows(at, n_frames.add(i).read_unaligned(), n_features, &format!("rows[{i}]"))
            }
        };
        let trajectories = (0..n_trajectories).map(matrix).collect::<Checked<Vec<_>>>()?;
        let model = StateModel::from_rows(&trajectories, n_features, frame_ps, &settings)?;
        // SAFETY: checked above.
        unsafe { give(msm, finished(model)) };
        Ok(())
    })
}

/// Tells the states of rows of features, for any model: rows must be what it was built of.
///
/// - rows: n_frames x n_features doubles, row-major.
/// - microstates, macrostates: take n_frames states each, from 0; -1 for a frame of none. Either may
///   be NULL.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_MSM (another number of features, a number
/// that is not finite). [any thread]
///
/// Example: marsfm_msm_assign_rows(msm, rows, 1000, 12, NULL, macrostates);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_assign_rows(
    msm: *const Msm,
    rows: *const f64,
    n_frames: usize,
    n_features: usize,
    microstates: *mut i32,
    macrostates: *mut i32,
) -> Status {
    guard("marsfm_msm_assign_rows", || {
        // SAFETY: as the C contract.
        let (msm, rows) =
            unsafe { (&handle(msm, "msm")?.0, lent_rows(rows, n_frames, n_features, "rows")?) };
        let (micro, coarse) = msm.assign_rows(&rows)?;
        for (at, states) in [(microstates, micro), (macrostates, coarse)] {
            if !at.is_null() {
                // SAFETY: as the C contract: n_frames places, apart from what the library owns.
                unsafe { std::ptr::copy_nonoverlapping(states.as_ptr(), at, states.len()) };
            }
        }
        Ok(())
    })
}

/// A caller's matrix.
unsafe fn lent_rows<'a>(
    at: *const f64,
    n_frames: usize,
    n_features: usize,
    what: &str,
) -> Checked<Rows<'a, f64>> {
    let Some(len) = n_frames.checked_mul(n_features).filter(|n| *n <= isize::MAX as usize / 8)
    else {
        return Err(Failure::argument(format!("{what}: {n_frames} x {n_features} is too many")));
    };
    if at.is_null() || !at.is_aligned() {
        return Err(Failure::argument(format!("{what} is NULL or not aligned for doubles")));
    }
    // SAFETY: not null, aligned, and as the C contract `len` doubles long.
    let flat = unsafe { std::slice::from_raw_parts(at, len) };
    Rows::new(flat, n_features).map_err(|e| Failure::argument(format!("{what}: {e}")))
}
