//! The compute backend on the CPU. It is no use to anybody who has marsfm, whose own process does
//! the same; it shows that everything of the CUDA plugin but the card works: the same `backend.rs`
//! behind the same door. `gpu/` builds the other one.

mod backend;

use marsfm_plugin_api::PluginError;
use marsfm_surrogate::candle_core::Device;
use std::ffi::CStr;

/// This processor.
struct Cpu;

impl backend::Place for Cpu {
    const NAME: &'static CStr = c"cpu-plugin";

    fn describe() -> serde_json::Value {
        serde_json::json!({ "devices": [{ "index": 0, "name": "this processor" }], "failures": [] })
    }

    fn device(index: u32) -> Result<Device, PluginError> {
        match index {
            0 => Ok(Device::Cpu),
            _ => Err(backend::missing(format!("there is no processor {index}, only 0"))),
        }
    }
}

marsfm_plugin_api::export_plugin! {
    name: c"backend-cpu",
    version: marsfm_plugin_api::package_version!(),
    backend: backend::Compute<Cpu>,
}
