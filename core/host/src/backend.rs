//! A backend plugin as the surrogate's [`Backend`]. A handle of the plugin serves one thread at a
//! time, so calls wait for each other.
#![allow(unsafe_code)] // calls the plugin's functions with memory of ours

use crate::device::Device;
use crate::error::HostError;
use crate::plugin::Plugin;
use marsfm_geometry::{Conformation, Rigid};
use marsfm_plugin_api::abi::MARSFM_PLUGIN_OK;
use marsfm_plugin_api::backend_abi::*;
use marsfm_plugin_api::engine_abi::TextSink;
use marsfm_plugin_api::{residue_doubles, residue_parts};
use marsfm_surrogate::params::{self, Values};
use marsfm_surrogate::{
    Backend, Batch, Condition, JumpRequest, LossAndGradients, NetworkConfig, Precision,
    SurrogateError, Window,
};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::{Arc, Mutex};

const NUMBERS: usize = MARSFM_PLUGIN_RESIDUE_DOUBLES;

/// A checkpoint that a plugin holds on a device.
pub(crate) struct PluginModel {
    plugin: Arc<Plugin>,
    table: &'static BackendService,
    device: String,
    shapes: BTreeMap<String, Vec<usize>>,
    handle: Mutex<Handle>,
}

struct Handle(*mut BackendModel);

// SAFETY: a handle may be used by any one thread at a time; the mutex lends it to one.
unsafe impl Send for Handle {}

impl PluginModel {
    /// Loads the checkpoint in `bytes`, whose network is `config`, onto a device of the plugin.
    pub fn load(
        plugin: Arc<Plugin>,
        table: &'static BackendService,
        (index, precision): (u32, Precision),
        bytes: &[u8],
        config: &NetworkConfig,
    ) -> Result<Self, HostError> {
        let device = Device::Backend { name: name_of(table), index, precision }.to_string();
        let failed = |message: String| HostError::Device { device: device.clone(), message };
        let complete = table.draw.is_some()
            && table.draws_per_call.is_some()
            && table.velocity.is_some()
            && table.gradients.is_some()
            && table.free.is_some();
        let Some(load) = table.load.filter(|_| complete) else {
            return Err(failed(format!("the plugin {} lacks a function", plugin.name)));
        };
        if index >= MARSFM_PLUGIN_DEVICE_BF16 {
            return Err(failed(format!(
                "devices are numbered from 0 to {}",
                MARSFM_PLUGIN_DEVICE_BF16 - 1
            )));
        }
        let mut handle = std::ptr::null_mut();
        let place = match precision {
            Precision::F32 => index,
            Precision::Bf16 => index | MARSFM_PLUGIN_DEVICE_BF16,
        };
        let status = load(place, bytes.as_ptr().cast(), bytes.len(), &mut handle);
        if let Some(message) = plugin.failure(status) {
            return Err(failed(message));
        }
        let shapes = params::shapes(config);
        Ok(Self { plugin, table, device, shapes, handle: Mutex::new(Handle(handle)) })
    }

    /// Runs a verb with the handle to itself; its failure gets the plugin's text.
    fn call(&self, verb: impl FnOnce(*mut BackendModel) -> i32) -> Result<(), SurrogateError> {
        let handle = self.handle.lock().unwrap_or_else(|e| e.into_inner());
        match self.plugin.failure(verb(handle.0)) {
            None => Ok(()),
            Some(message) => Err(SurrogateError::Backend(format!("{}: {message}", self.device))),
        }
    }
}

impl Drop for PluginModel {
    fn drop(&mut self) {
        let handle = self.handle.get_mut().unwrap_or_else(|e| e.into_inner());
        if let Some(free) = self.table.free {
            free(handle.0);
        }
    }
}

fn lacks() -> SurrogateError {
    SurrogateError::Backend("the plugin lacks a function".into())
}

impl Backend for PluginModel {
    fn device(&self) -> &str {
        &self.device
    }

    fn draws_per_call(&self, residues: usize, frames: usize) -> usize {
        let mut draws = 0;
        let asked = self.call(|model| match self.table.draws_per_call {
            Some(ask) => ask(model, residues, frames, &mut draws),
            None => MARSFM_PLUGIN_OK,
        });
        asked.map_or(1, |()| draws.max(1))
    }

    fn draw(
        &self,
        request: &JumpRequest,
        Window { frames, keep, temperature_kelvin }: Window,
    ) -> Result<Vec<Vec<Conformation<f32>>>, SurrogateError> {
        let draw = self.table.draw.ok_or_else(lacks)?;
        let l = request.types.len();
        if let Some(bad) = request.starts.iter().position(|s| s.len() != l) {
            let message = format!("start {bad} does not have the chain's {l} residues");
            return Err(SurrogateError::Input(message));
        }
        let draws = request.starts.len() * request.children;
        if draws == 0 || l == 0 {
            return Ok(Vec::new());
        }
        // A jump's only frame is the last; the plugin leaves out what is not kept.
        let kept = frames - keep;
        let types: Vec<u8> = request.types.iter().map(|t| t.index() as u8).collect();
        let residues = request.starts.iter().flat_map(|s| s.rigids.iter().zip(&s.torsions));
        let starts: Vec<f64> =
            residues.flat_map(|(r, t)| residue_doubles(r.rot, r.trans, *t)).collect();
        let solver = serde_json::to_string(&request.solver)
            .map_err(|e| SurrogateError::Input(e.to_string()))?;
        let solver = CString::new(solver).map_err(|e| SurrogateError::Input(e.to_string()))?;
        let row = DrawRequest {
            struct_size: size_of::<DrawRequest>(),
            n_residues: l,
            residue_types: types.as_ptr(),
            n_starts: request.starts.len(),
            starts: starts.as_ptr(),
            n_children: request.children,
            n_frames: if keep > 0 || frames == 1 { 0 } else { frames },
            rng_seed: request.rng_seed,
            first_id: request.first_id,
            solver: solver.as_ptr(),
            temperature_kelvin: temperature_kelvin.unwrap_or(0.0),
        };
        let mut out = vec![0.0f64; draws * kept * l * NUMBERS];
        self.call(|model| draw(model, &row, out.as_mut_ptr(), out.len()))?;
        let residue = |row: &[f64]| {
            let row: &[f64; NUMBERS] = row.try_into().expect("cut into rows");
            let (rot, trans, torsions) = residue_parts(row);
            (Rigid { rot, trans }, torsions)
        };
        let frame = |rows: &[f64]| {
            let (rigids, torsions) = rows.chunks_exact(NUMBERS).map(residue).unzip();
            Conformation { rigids, torsions }
        };
        let window = |rows: &[f64]| rows.chunks_exact(l * NUMBERS).map(frame).collect();
        Ok(out.chunks_exact(kept * l * NUMBERS).map(window).collect())
    }

    fn velocity(
        &self,
        condition: &Condition,
        x: &[f64],
        t: &[f64],
    ) -> Result<Vec<f64>, SurrogateError> {
        let velocity = self.table.velocity.ok_or_else(lacks)?;
        let lent = Lent::new(condition, x, t)?;
        let mut v = vec![0.0; x.len()];
        self.call(|model| velocity(model, &lent.row(), v.as_mut_ptr(), v.len()))?;
        Ok(v)
    }

    fn gradients(
        &self,
        parameters: &Values,
        batch: &Batch,
    ) -> Result<LossAndGradients, SurrogateError> {
        let gradients = self.table.gradients.ok_or_else(lacks)?;
        if batch.u.len() != batch.x.len() || batch.weights.len() != batch.x.len() {
            return Err(SurrogateError::Input("x, u and weights differ in length".into()));
        }
        let lent = Lent::new(&batch.condition, &batch.x, &batch.t)?;
        let flat: Vec<f32> = parameters.values().flat_map(|(_, v)| v.iter().copied()).collect();
        let lesson = BackendLesson {
            struct_size: size_of::<BackendLesson>(),
            u: batch.u.as_ptr(),
            weights: batch.weights.as_ptr(),
            n_parameters: flat.len(),
            parameters: flat.as_ptr(),
        };
        let (mut loss, mut slope) = (0.0, vec![0.0f32; flat.len()]);
        self.call(|model| gradients(model, &lent.row(), &lesson, &mut loss, slope.as_mut_ptr()))?;
        let mut rest = slope.as_slice();
        let mut by_name = BTreeMap::new();
        for (name, shape) in &self.shapes {
            let (own, others) = rest.split_at(shape.iter().product());
            by_name.insert(name.clone(), own.to_vec());
            rest = others;
        }
        Ok((loss, by_name))
    }
}

/// A batch as plain numbers, lent for one call.
struct Lent<'a> {
    dims: (usize, usize, usize),
    frames: Vec<f64>,
    residue_types: Vec<u8>,
    x_cond_mask: Vec<u8>,
    mask: Option<Vec<u8>>,
    condition: &'a Condition,
    x: &'a [f64],
    t: &'a [f64],
}

impl<'a> Lent<'a> {
    fn new(c: &'a Condition, x: &'a [f64], t: &'a [f64]) -> Result<Self, SurrogateError> {
        let (p, l) = (c.parents(), c.residues);
        let frames = c.x_cond_mask.len() / (p * l).max(1);
        let tokens = p * frames * l;
        let fits = c.frames.len() == p * l
            && c.residue_types.len() == p * l
            && c.x_cond_mask.len() == tokens
            && c.x_cond.len() == tokens * MARSFM_PLUGIN_LATENT_DOUBLES
            && x.len() == tokens * MARSFM_PLUGIN_LATENT_DOUBLES
            && c.mask.as_ref().is_none_or(|m| m.len() == p * l)
            && c.temperatures_kelvin.as_ref().is_none_or(|k| k.len() == p)
            && t.len() == p;
        if !fits {
            return Err(SurrogateError::Input("the parts of a batch differ in length".into()));
        }
        let bytes = |flags: &[bool]| -> Vec<u8> { flags.iter().map(|f| u8::from(*f)).collect() };
        Ok(Self {
            dims: (p, frames, l),
            frames: c.frames.iter().flat_map(|(r, t)| r.iter().chain(t)).copied().collect(),
            residue_types: c.residue_types.iter().map(|t| *t as u8).collect(),
            x_cond_mask: bytes(&c.x_cond_mask),
            mask: c.mask.as_deref().map(bytes),
            condition: c,
            x,
            t,
        })
    }

    fn row(&self) -> BackendBatch {
        let kelvin = self.condition.temperatures_kelvin.as_ref();
        BackendBatch {
            struct_size: size_of::<BackendBatch>(),
            n_samples: self.dims.0,
            n_frames: self.dims.1,
            n_residues: self.dims.2,
            frames: self.frames.as_ptr(),
            residue_types: self.residue_types.as_ptr(),
            x_cond: self.condition.x_cond.as_ptr(),
            x_cond_mask: self.x_cond_mask.as_ptr(),
            mask: self.mask.as_ref().map_or(std::ptr::null(), |m| m.as_ptr()),
            x: self.x.as_ptr(),
            t: self.t.as_ptr(),
            temperatures_kelvin: kelvin.map_or(std::ptr::null(), |k| k.as_ptr()),
        }
    }
}

/// The kind of device that a backend has.
pub(crate) fn name_of(table: &BackendService) -> String {
    if table.name.is_null() {
        return String::new();
    }
    // SAFETY: not NULL, a string that lives with the plugin (contract).
    unsafe { CStr::from_ptr(table.name) }.to_string_lossy().into_owned()
}

/// Names of a backend's devices and why there are not more.
pub(crate) fn describe(plugin: &Plugin, table: &BackendService) -> (Vec<String>, Vec<String>) {
    let Some(ask) = table.describe else { return (Vec::new(), vec!["it tells nothing".into()]) };
    extern "C" fn take(user_data: *mut c_void, text: *const c_char) -> i32 {
        // SAFETY: the String below and a terminated text, both valid for the call.
        unsafe {
            *user_data.cast::<String>() = CStr::from_ptr(text).to_string_lossy().into_owned();
        }
        MARSFM_PLUGIN_OK
    }
    let mut text = String::new();
    let sink = TextSink {
        struct_size: size_of::<TextSink>(),
        user_data: (&raw mut text).cast(),
        text: Some(take),
    };
    if let Some(message) = plugin.failure(ask(&sink)) {
        return (Vec::new(), vec![message]);
    }
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let strings = |key: &str, of: &dyn Fn(&serde_json::Value) -> Option<String>| -> Vec<String> {
        answer[key].as_array().into_iter().flatten().filter_map(of).collect()
    };
    let name = |d: &serde_json::Value| {
        let memory = d["memory_bytes"].as_u64().map(|b| format!(", {} MiB", b >> 20));
        Some(format!("{}{}", d["name"].as_str()?, memory.unwrap_or_default()))
    };
    (strings("devices", &name), strings("failures", &|f| f.as_str().map(str::to_owned)))
}
