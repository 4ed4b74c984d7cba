//! Models: trained surrogates.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use marsfm_core::session::{Surrogate, default_model};
use marsfm_core::{Device, HostError};

use crate::arguments::*;
use crate::library::{host, own_file};
use crate::log::tell;
use crate::status::{Failure, guard};
use crate::types::*;

/// A trained surrogate, opaque. Immutable: share it between threads.
pub struct Model(pub(crate) Arc<Surrogate>);

/// Tells where the default model is: the environment variable MARSFM_MODEL, else the installed one
/// (share/marsfm/models beside the library's folder), else the one of the checkout that the library
/// was built in. For buffer, capacity and needed see marsfm_last_error_message.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_SIZE, or MARSFM_ERROR_FILE if there is
/// none. [any thread]
///
/// Example: marsfm_default_model_path(path, sizeof path, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_default_model_path(
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_default_model_path", || {
        let path = default_model(own_file().as_deref())?;
        // SAFETY: as the C contract.
        unsafe { write_text(&path.to_string_lossy(), buffer, capacity, needed) }
    })
}

/// Loads a model (a .safetensors file written by marsfm). A file of another kind is refused before
/// anything is allocated for it.
///
/// - path: the file, UTF-8; NULL for the default model (see marsfm_default_model_path).
/// - options: NULL for the defaults.
/// - model: takes the new model; free it with marsfm_model_free.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_FILE (no default model),
/// MARSFM_ERROR_MODEL (no such file, not a model, damaged) or MARSFM_ERROR_DEVICE. [any thread]
///
/// Example: marsfm_model_load(NULL, NULL, &model);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_model_load(
    path: *const c_char,
    options: *const ModelOptions,
    model: *mut *mut Model,
) -> Status {
    guard("marsfm_model_load", || {
        output(model, "model")?;
        // SAFETY: as the C contract.
        let (path, device) = unsafe {
            let options = read_options(options, "options")?;
            let device = optional_text(options.device, "options.device")?;
            (optional_text(path, "path")?, device.unwrap_or("cpu"))
        };
        let device: Device = device.parse().map_err(Failure::argument)?;
        let path: PathBuf = match path {
            Some(path) => Path::new(path).into(),
            None => default_model(own_file().as_deref())?,
        };
        // Plugins are looked for only where one is needed.
        let loaded = match device {
            Device::Cpu => Surrogate::load(&path).map_err(HostError::from),
            ref other => host().surrogate(&path, other),
        };
        let surrogate = loaded.map_err(|e| {
            let code = match e {
                HostError::Device { .. } => MARSFM_ERROR_DEVICE,
                _ => MARSFM_ERROR_MODEL,
            };
            Failure::new(code, e.to_string())
        })?;
        let sha256 = surrogate.sha256();
        tell(MARSFM_LOG_INFO, &format!("model {} (sha256 {sha256})", path.display()));
        // SAFETY: checked above.
        unsafe { give(model, Model(Arc::new(surrogate))) };
        Ok(())
    })
}

/// Frees a model; NULL is fine. Sessions made of it go on. [any thread]
///
/// Example: marsfm_model_free(model);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn marsfm_model_free(model: *mut Model) {
    // SAFETY: as the C contract: made by this library, freed once.
    unsafe { free(model) };
}

/// Tells what a model was trained to reproduce.
///
/// Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
///
/// Example: info.struct_size = sizeof info; marsfm_model_info(model, &info);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_model_info(model: *const Model, info: *mut ModelInfo) -> Status {
    guard("marsfm_model_info", || {
        // SAFETY: as the C contract.
        unsafe {
            let card = handle(model, "model")?.0.card();
            let domain = &card.domain;
            let one = domain.temperature_kelvin;
            let (low, high) =
                (domain.temperatures_kelvin.first(), domain.temperatures_kelvin.last());
            let value = ModelInfo {
                struct_size: 0,
                lag_ps: domain.lag_ps,
                temperature_kelvin: domain.temperature_kelvin,
                min_residues: domain.residues.0 as u64,
                max_residues: domain.residues.1 as u64,
                takes_temperature: u32::from(card.network.temperature),
                reserved: 0,
                min_temperature_kelvin: low.copied().unwrap_or(one),
                max_temperature_kelvin: high.copied().unwrap_or(one),
            };
            write_record(info, &value, "info")
        }
    })
}

/// Copies one of a model's texts. For buffer, capacity and needed see marsfm_last_error_message.
///
/// - which: one of MARSFM_MODEL_...
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
///
/// Example: marsfm_model_text(model, MARSFM_MODEL_SHA256, hash, sizeof hash, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_model_text(
    model: *const Model,
    which: i32,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_model_text", || {
        // SAFETY: as the C contract.
        unsafe {
            let surrogate = &handle(model, "model")?.0;
            let domain = &surrogate.card().domain;
            let text = match which {
                MARSFM_MODEL_SHA256 => surrogate.sha256(),
                MARSFM_MODEL_FORCE_FIELD => &domain.force_field,
                MARSFM_MODEL_SOLVENT => &domain.solvent,
                MARSFM_MODEL_TERMINI => &domain.termini,
                other => return Err(Failure::argument(format!("there is no text {other}"))),
            };
            write_text(text, buffer, capacity, needed)
        }
    })
}
