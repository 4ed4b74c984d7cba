//! A training run on disk: parameters, optimiser moments, average, step and loss history in one
//! safetensors file, replaced atomically. Whatever moment a run is killed at, the file is either
//! the old state or the new one.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use marsfm_surrogate::{Optimiser, OptimiserConfig, Slot};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::TrainingError;

const KEY: &str = "marsfm-training";
const FORMAT: u32 = 1;

/// What the run remembers beside the optimiser.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Layout version of the file.
    pub format: u32,
    /// Hash of recipe and data: a state resumes only the run it belongs to.
    pub run_sha256: String,
    /// Optimiser steps done.
    pub step: u64,
    /// Training loss summed since the last entry of `losses`, as bits of an f64.
    pub loss_sum_bits: u64,
    /// Steps in that sum.
    pub loss_count: u64,
    /// (step, mean training loss, validation loss).
    pub losses: Vec<(u64, f64, Option<f64>)>,
}

fn file_error(path: &Path, message: impl ToString) -> TrainingError {
    TrainingError::File { file: path.display().to_string(), message: message.to_string() }
}

/// Saves the state.
pub fn save(path: &Path, optimiser: &Optimiser, progress: &Progress) -> Result<(), TrainingError> {
    let fail = |e: &dyn ToString| file_error(path, e.to_string());
    let mut parts: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (name, slot) in &optimiser.slots {
        for (kind, data) in
            [("value", &slot.value), ("m", &slot.m), ("v", &slot.v), ("ema", &slot.ema)]
        {
            let bytes = data.iter().flat_map(|v| v.to_le_bytes()).collect();
            parts.insert(format!("{kind}:{name}"), (slot.shape.clone(), bytes));
        }
    }
    let views: Vec<(&String, TensorView)> = parts
        .iter()
        .map(|(name, (shape, bytes))| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|v| (name, v))
        })
        .collect::<Result<_, _>>()
        .map_err(|e| fail(&e))?;
    let progress = Progress { format: FORMAT, ..progress.clone() };
    let text = serde_json::to_string(&progress).map_err(|e| fail(&e))?;
    let bytes = safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), text)])))
        .map_err(|e| fail(&e))?;
    marsfm_trajectory::write_atomically(path, &bytes).map_err(|e| fail(&e))
}

/// Loads a state if there is one and it belongs to this run.
pub fn load(
    path: &Path,
    config: &OptimiserConfig,
    run_sha256: &str,
) -> Result<Option<(Optimiser, Progress)>, TrainingError> {
    if !path.exists() {
        return Ok(None);
    }
    let fail = |message: &dyn ToString| file_error(path, message.to_string());
    let bytes = std::fs::read(path).map_err(|e| fail(&e))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| fail(&e))?;
    let text = header.metadata().as_ref().and_then(|m| m.get(KEY));
    let text = text.ok_or_else(|| fail(&"is no training state"))?;
    let progress: Progress = serde_json::from_str(text).map_err(|e| fail(&e))?;
    if progress.format != FORMAT {
        return Err(fail(&format!(
            "has state format {}, this build reads {FORMAT}",
            progress.format
        )));
    }
    if progress.run_sha256 != run_sha256 {
        return Err(fail(
            &"belongs to another run (recipe or data changed); remove it to start again",
        ));
    }
    let file = SafeTensors::deserialize(&bytes).map_err(|e| fail(&e))?;
    let mut slots: BTreeMap<String, Slot> = BTreeMap::new();
    for (key, view) in file.tensors() {
        let (kind, name) =
            key.split_once(':').ok_or_else(|| fail(&format!("tensor {key} is unexpected")))?;
        let data: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]]))
            .collect();
        let slot = slots.entry(name.to_string()).or_insert_with(|| Slot {
            shape: view.shape().to_vec(),
            value: vec![],
            m: vec![],
            v: vec![],
            ema: vec![],
        });
        match kind {
            "value" => slot.value = data,
            "m" => slot.m = data,
            "v" => slot.v = data,
            "ema" => slot.ema = data,
            _ => return Err(fail(&format!("tensor {key} is unexpected"))),
        }
    }
    let optimiser = Optimiser { config: config.clone(), step: progress.step, slots };
    Ok(Some((optimiser, progress)))
}
