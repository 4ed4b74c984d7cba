//! The surrogate on CUDA, as a plugin. CUDA's libraries are opened when a device is asked for; on a
//! machine without them every call answers with a reason.
//!
//! The tensor library panics where a CUDA library is missing, so each way in is tried inside
//! `catch_unwind`, in the order in which a user would mend it: driver, card, cuBLAS, cuRAND.
#![allow(unsafe_code)] // asks whether libraries can be opened

#[path = "../../src/backend.rs"]
mod backend;

use candle_core::Device;
use candle_core::cuda_backend::cudarc::{cublas, cublaslt, curand, driver};
use marsfm_plugin_api::PluginError;
use std::ffi::CStr;
use std::panic::catch_unwind;

/// NVIDIA cards.
struct Cuda;

/// The text of a panic of the layers below.
fn caught<T>(what: &str, body: impl FnOnce() -> T + std::panic::UnwindSafe) -> Result<T, String> {
    catch_unwind(body).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        format!("{what}: {}", text.lines().next().unwrap_or_default())
    })
}

/// Number of cards, or why none can be used.
fn cards() -> Result<i32, String> {
    // SAFETY: only tries to open a library by its usual names.
    let present = |what: &'static str, there: unsafe fn() -> bool| {
        match caught(what, move || unsafe { there() })? {
            true => Ok(()),
            false => Err(what.to_owned()),
        }
    };
    present("NVIDIA's driver (libcuda.so.1) was not found", driver::sys::is_culib_present)?;
    let n = caught("the driver failed", driver::CudaContext::device_count)?
        .map_err(|e| format!("the driver answers {e}"))?;
    if n == 0 {
        return Err("the driver finds no card".into());
    }
    const ADVICE: &str = "install CUDA 13's libraries and let LD_LIBRARY_PATH name their folder";
    let library = |name: &str, found: Result<(), String>| {
        found.map_err(|_| format!("{name} was not found; {ADVICE}"))
    };
    library("libcublas.so.13", present("cuBLAS", cublas::sys::is_culib_present))?;
    library("libcublasLt.so.13", present("cuBLASLt", cublaslt::sys::is_culib_present))?;
    library("libcurand.so.10", present("cuRAND", curand::sys::is_culib_present))?;
    Ok(n)
}

/// Name and memory of a card.
fn card(index: i32) -> Result<(String, usize), String> {
    let asked = caught("the driver failed", move || {
        let card = driver::CudaContext::new(index as usize)?;
        Ok::<_, driver::DriverError>((card.name()?, card.total_mem()?))
    })?;
    asked.map_err(|e| format!("card {index}: {e}"))
}

impl backend::Place for Cuda {
    const NAME: &'static CStr = c"cuda";

    fn describe() -> serde_json::Value {
        let (mut devices, mut failures) = (Vec::new(), Vec::new());
        match cards() {
            Err(why) => failures.push(why),
            Ok(n) => {
                for index in 0..n {
                    match card(index) {
                        Err(why) => failures.push(why),
                        Ok((name, bytes)) => devices.push(serde_json::json!({
                            "index": index, "name": name, "memory_bytes": bytes,
                        })),
                    }
                }
            }
        }
        serde_json::json!({ "devices": devices, "failures": failures })
    }

    fn device(index: u32) -> Result<Device, PluginError> {
        let n = cards().map_err(backend::missing)?;
        if i64::from(index) >= i64::from(n) {
            return Err(backend::missing(format!("there is no card {index}, only 0 to {}", n - 1)));
        }
        // A stream of the device's own: the default one is another for each thread.
        let opened = caught("the device cannot be opened", move || {
            Device::new_cuda_with_stream(index as usize)
        });
        opened
            .map_err(backend::missing)?
            .map_err(|e| backend::missing(format!("the device cannot be opened: {e}")))
    }
}

marsfm_plugin_api::export_plugin! {
    name: c"cuda",
    version: marsfm_plugin_api::package_version!(),
    backend: backend::Compute<Cuda>,
}
