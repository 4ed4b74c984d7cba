//! The verbs of a compute backend, for whatever device a [`Place`] has: numbers of the tables to
//! the types of the surrogate and back. The network is the surrogate's own; nothing is computed
//! here.

use marsfm_geometry::{Conformation, ResidueType, Rigid};
use marsfm_plugin_api::backend::{Draw, Lesson, Points};
use marsfm_plugin_api::backend_abi::*;
use marsfm_plugin_api::{BackendPlugin, PluginError, residue_doubles, residue_parts};
use marsfm_surrogate::candle_core::Device;
use marsfm_surrogate::params::{self, Values};
use marsfm_surrogate::{
    Batch, Condition, JumpRequest, Layout, Precision, Solver, Surrogate, SurrogateError, checkpoint,
};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

/// Where a backend computes.
pub trait Place: Send + 'static {
    /// Kind of device.
    const NAME: &'static CStr;
    /// What is here: `devices` and `failures`.
    fn describe() -> serde_json::Value;
    /// Opens a device.
    fn device(index: u32) -> Result<Device, PluginError>;
}

/// A checkpoint on a device of `P`.
pub struct Compute<P> {
    surrogate: Surrogate,
    shapes: BTreeMap<String, Vec<usize>>,
    place: PhantomData<P>,
}

/// A device that is not there.
pub fn missing(message: impl Into<String>) -> PluginError {
    PluginError { status: MARSFM_PLUGIN_DEVICE_MISSING, message: message.into() }
}

fn failed(error: SurrogateError) -> PluginError {
    let message = error.to_string();
    match error {
        SurrogateError::Checkpoint { .. } | SurrogateError::Config(_) => {
            PluginError { status: MARSFM_PLUGIN_MODEL, message }
        }
        SurrogateError::Input(_) => PluginError::invalid(message),
        SurrogateError::Tensor(_) if message.to_lowercase().contains("out of memory") => {
            let advice = "the device has not enough memory for this call; draw fewer at once";
            let message = format!("{advice} ({message})");
            PluginError { status: MARSFM_PLUGIN_DEVICE_MEMORY, message }
        }
        SurrogateError::Tensor(_) | SurrogateError::Backend(_) => {
            PluginError { status: MARSFM_PLUGIN_DEVICE_MISSING, message }
        }
    }
}

impl<P: Place> BackendPlugin for Compute<P> {
    const NAME: &'static CStr = P::NAME;

    fn describe() -> Result<String, PluginError> {
        Ok(P::describe().to_string())
    }

    fn load(index: u32, bytes: &[u8]) -> Result<Self, PluginError> {
        let checkpoint = checkpoint::parse(bytes, Path::new("the checkpoint")).map_err(failed)?;
        let shapes = params::shapes(&checkpoint.card.network);
        let device = P::device(index & !MARSFM_PLUGIN_DEVICE_BF16)?;
        let precision = match index & MARSFM_PLUGIN_DEVICE_BF16 {
            0 => Precision::F32,
            _ => Precision::Bf16,
        };
        let surrogate = Surrogate::on(checkpoint, &device, precision).map_err(failed)?;
        Ok(Self { surrogate, shapes, place: PhantomData })
    }

    fn n_parameters(&self) -> usize {
        self.shapes.values().map(|s| s.iter().product::<usize>()).sum()
    }

    fn draws_per_call(&mut self, n_residues: usize, n_frames: usize) -> usize {
        self.surrogate.draws_per_call(n_residues, n_frames)
    }

    fn draw(&mut self, request: &Draw<'_>) -> Result<Vec<f64>, PluginError> {
        let types: Vec<ResidueType> = request
            .residue_types
            .iter()
            .map(|i| ResidueType::from_index(usize::from(*i)))
            .collect::<Option<_>>()
            .ok_or_else(|| PluginError::invalid("request.residue_types: a type above 20"))?;
        let solver: Solver = serde_json::from_str(request.solver)
            .map_err(|e| PluginError::invalid(format!("request.solver: {e}")))?;
        let starts: Vec<Conformation<f32>> =
            request.starts.chunks(types.len().max(1)).map(conformation).collect();
        let jump = JumpRequest {
            types: &types,
            starts: &starts,
            children: request.n_children,
            rng_seed: request.rng_seed,
            first_id: request.first_id,
            solver,
        };
        let warmed = request.temperature_kelvin.map(|k| self.surrogate.at_temperature(k));
        let warmed = warmed.transpose().map_err(failed)?;
        let surrogate = warmed.as_ref().unwrap_or(&self.surrogate);
        let windows = match (request.n_frames, surrogate.card().network.layout) {
            // One frame per draw of a surrogate of windows is the window's only frame.
            (0, _) | (1, Layout::T1 | Layout::T2) => {
                surrogate.jump(&jump).map_err(failed)?.into_iter().map(|c| vec![c]).collect()
            }
            (frames, _) => surrogate.windows(&jump, frames).map_err(failed)?,
        };
        let residues = windows.iter().flatten().flat_map(|c| c.rigids.iter().zip(&c.torsions));
        Ok(residues.flat_map(|(r, t)| residue_doubles(r.rot, r.trans, *t)).collect())
    }

    fn velocity(&mut self, batch: &Points<'_>) -> Result<Vec<f64>, PluginError> {
        self.surrogate.backend().velocity(&condition(batch), batch.x, batch.t).map_err(failed)
    }

    fn gradients(
        &mut self,
        batch: &Points<'_>,
        lesson: &Lesson<'_>,
    ) -> Result<(f64, Vec<f32>), PluginError> {
        let mut rest = lesson.parameters;
        let mut values = Values::new();
        for (name, shape) in &self.shapes {
            let (own, others) = rest.split_at(shape.iter().product());
            values.insert(name.clone(), (shape.clone(), own.to_vec()));
            rest = others;
        }
        let batch = Batch {
            condition: condition(batch),
            x: batch.x.to_vec(),
            u: lesson.u.to_vec(),
            t: batch.t.to_vec(),
            weights: lesson.weights.to_vec(),
        };
        let (loss, by_name) =
            self.surrogate.backend().gradients(&values, &batch).map_err(failed)?;
        let mut flat = Vec::with_capacity(lesson.parameters.len());
        for (name, shape) in &self.shapes {
            match by_name.get(name) {
                Some(g) => flat.extend_from_slice(g),
                None => flat.resize(flat.len() + shape.iter().product::<usize>(), 0.0),
            }
        }
        Ok((loss, flat))
    }
}

fn conformation(rows: &[[f64; MARSFM_PLUGIN_RESIDUE_DOUBLES]]) -> Conformation<f32> {
    let parts = rows.iter().map(residue_parts);
    let (rigids, torsions) =
        parts.map(|(rot, trans, torsions)| (Rigid { rot, trans }, torsions)).unzip();
    Conformation { rigids, torsions }
}

fn condition(batch: &Points<'_>) -> Condition {
    let split = |f: &[f64; 12]| {
        (std::array::from_fn::<f64, 9, _>(|k| f[k]), std::array::from_fn::<f64, 3, _>(|k| f[9 + k]))
    };
    let flags = |m: &[u8]| -> Vec<bool> { m.iter().map(|v| *v != 0).collect() };
    Condition {
        residues: batch.dims.2,
        frames: Arc::new(batch.frames.iter().map(split).collect()),
        residue_types: batch.residue_types.iter().map(|t| u32::from(*t)).collect(),
        x_cond: batch.x_cond.to_vec(),
        x_cond_mask: flags(batch.x_cond_mask),
        mask: batch.mask.map(flags),
        temperatures_kelvin: batch.temperatures_kelvin.map(<[f64]>::to_vec),
    }
}
