//! What a Markov model says: matrices, weights, timescales, warnings.
#![allow(unsafe_code)]

use std::ffi::c_char;

use crate::arguments::*;
use crate::msm::Msm;
use crate::status::{Failure, guard};
use crate::types::*;

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
            let t = &handle(msm, "msm")?.0.msm().macro_t;
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
        unsafe {
            let pi = &handle(msm, "msm")?.0.msm().macro_pi;
            write_numbers(pi, buffer, capacity, needed)
        }
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
            let msm = &handle(msm, "msm")?.0;
            let frames = msm.msm().micro.timescales(10);
            let frames = frames.map_err(|e| Failure::new(MARSFM_ERROR_MSM, e.to_string()))?;
            let ps: Vec<f64> = frames.iter().map(|t| t * msm.frame_ps()).collect();
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
            let warnings = &handle(msm, "msm")?.0.msm().warnings;
            let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            write_text(&lines.join("\n"), buffer, capacity, needed)
        }
    })
}

/// Copies the number of frames of each state: where MD has been, and where it has not.
///
/// - level: MARSFM_MICROSTATES or MARSFM_MACROSTATES.
/// - buffer, capacity, needed: as in marsfm_msm_transition_matrix.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
///
/// Example: marsfm_msm_populations(msm, MARSFM_MICROSTATES, frames, n_microstates, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_msm_populations(
    msm: *const Msm,
    level: i32,
    buffer: *mut f64,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_msm_populations", || {
        // SAFETY: as the C contract.
        unsafe {
            let msm = handle(msm, "msm")?.0.msm();
            let frames = match level {
                MARSFM_MICROSTATES => &msm.micro_populations,
                MARSFM_MACROSTATES => &msm.macro_populations,
                other => return Err(Failure::argument(format!("level is {other}"))),
            };
            let frames: Vec<f64> = frames.iter().map(|n| *n as f64).collect();
            write_numbers(&frames, buffer, capacity, needed)
        }
    })
}
