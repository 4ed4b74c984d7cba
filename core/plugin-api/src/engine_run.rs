//! The two functions of an engine's table that run MD: one start, and several together.
#![allow(unsafe_code)] // implements the C functions of the table

use crate::abi::*;
use crate::engine::{EnginePlugin, Finished, RunRequest, c_text, null, output, path, with};
use crate::engine_abi::*;
use crate::error::{PluginError, guard};
use std::ffi::c_char;

/// A caller's request, checked.
fn request<'a>(row: *const EngineRunRequest) -> Result<RunRequest<'a>, PluginError> {
    // SAFETY: NULL or valid for the call (contract).
    let row = unsafe { row.as_ref() }.ok_or_else(|| null("request"))?;
    if row.struct_size < size_of::<EngineRunRequest>() {
        return Err(PluginError::invalid("request: struct_size is too small"));
    }
    let &EngineRunRequest { rng_seed, head_steps, steps, frame_steps, .. } = row;
    let divides = |n: u64| frame_steps > 0 && n.is_multiple_of(frame_steps);
    let total = head_steps.checked_add(steps).filter(|n| *n > 0);
    if total.is_none() || !divides(head_steps) || !divides(steps) {
        return Err(PluginError::invalid(format!(
            "{head_steps} steps of head and {steps} after it, a frame every {frame_steps}: \
             both must be multiples, and one of them above 0"
        )));
    }
    Ok(RunRequest { folder: path(row.folder)?, rng_seed, head_steps, steps, frame_steps })
}

/// What a plugin gave, as a row; `struct_size` is the receiver's.
fn fill(out: &mut EngineFinished, got: &Finished) -> Result<(), PluginError> {
    let name = got.trajectory.as_bytes();
    if name.is_empty() || name.len() >= out.trajectory.len() || name.contains(&0) {
        let message = format!("the name of the trajectory is unusable: {:?}", got.trajectory);
        return Err(PluginError { status: MARSFM_PLUGIN_PANIC, message });
    }
    out.trajectory.fill(0);
    for (to, from) in out.trajectory.iter_mut().zip(name) {
        *to = from.cast_signed() as c_char;
    }
    out.n_frames = got.n_frames;
    out.head_frames = got.head_frames;
    out.frame_ps = got.frame_ps;
    out.head_kj_mol = got.head_kj_mol;
    out.end_kj_mol = got.end_kj_mol;
    out.temperature_kelvin = got.temperature_kelvin;
    Ok(())
}

pub(crate) extern "C" fn run<P: EnginePlugin>(
    engine: *mut Engine,
    request: *const EngineRunRequest,
    watch: *const EngineWatch,
    finished: *mut EngineFinished,
) -> i32 {
    guard(|| {
        let out = output(finished, |f: &EngineFinished| f.struct_size, "finished")?;
        let request = self::request(request)?;
        let got = with(engine, watch, |plugin: &mut P, watch| plugin.run(&request, watch))?;
        fill(out, &got)?;
        Ok(MARSFM_PLUGIN_OK)
    })
}

pub(crate) extern "C" fn run_together<P: EnginePlugin>(
    engine: *mut Engine,
    folder: *const c_char,
    requests: *const *const EngineRunRequest,
    n_requests: u64,
    watch: *const EngineWatch,
    sink: *const RunSink,
) -> i32 {
    guard(|| {
        // SAFETY: NULL or valid for the call (contract).
        let sink = unsafe { sink.as_ref() }.ok_or_else(|| null("sink"))?;
        let Some(tell) = sink.ended.filter(|_| sink.struct_size >= size_of::<RunSink>()) else {
            return Err(PluginError::invalid("sink: too small, or without `ended`"));
        };
        let n = usize::try_from(n_requests).unwrap_or(0);
        if requests.is_null() || n == 0 {
            return Err(PluginError::invalid("no requests"));
        }
        // SAFETY: that many pointers, valid for the call (contract).
        let rows = unsafe { std::slice::from_raw_parts(requests, n) };
        let all = rows.iter().map(|row| request(*row)).collect::<Result<Vec<_>, _>>()?;
        let folder = path(folder)?;
        let mut ended = |index: usize, result: Result<Finished, PluginError>| {
            let mut row = EngineFinished {
                struct_size: size_of::<EngineFinished>(),
                trajectory: [0; 64],
                n_frames: 0,
                head_frames: 0,
                frame_ps: f64::NAN,
                head_kj_mol: f64::NAN,
                end_kj_mol: f64::NAN,
                temperature_kelvin: f64::NAN,
            };
            let (user_data, index) = (sink.user_data, index as u64);
            let status = match result.and_then(|got| fill(&mut row, &got)) {
                Ok(()) => tell(user_data, index, MARSFM_PLUGIN_OK, &row, std::ptr::null()),
                Err(e) => {
                    let text = c_text(&e.message);
                    tell(user_data, index, e.status, std::ptr::null(), text.as_ptr())
                }
            };
            match status {
                MARSFM_PLUGIN_OK => Ok(()),
                _ => Err(PluginError { status, message: "the receiver stopped the runs".into() }),
            }
        };
        with(engine, watch, |plugin: &mut P, watch| {
            plugin.run_together(folder, &all, watch, &mut ended)
        })?;
        Ok(MARSFM_PLUGIN_OK)
    })
}
