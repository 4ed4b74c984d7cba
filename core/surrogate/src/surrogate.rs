//! A trained surrogate: draws from p_T(·|x) for conformations of one chain.
//!
//! It is a model card and a backend that computes: in this process ([`Local`]) or elsewhere.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use marsfm_geometry::{Conformation, LATENT, ResidueType, Rigid, latent};

use crate::backend::Backend;
use crate::card::ModelCard;
use crate::checkpoint::{self, Checkpoint};
use crate::{Condition, Layout, Local, Precision, Solver, SurrogateError, Window};

/// Frames of the longest window: attention over frames is quadratic.
const MOST_FRAMES: usize = 10_000;

/// A checkpoint ready to sample. Immutable: share it between threads. A clone is the same one.
#[derive(Clone)]
pub struct Surrogate {
    card: ModelCard,
    sha256: String,
    backend: Arc<dyn Backend>,
    /// Temperature of draws, K, where the network takes one.
    kelvin: Option<f64>,
}

/// What to draw.
#[derive(Clone, Debug)]
pub struct JumpRequest<'a> {
    /// Residue types of the chain.
    pub types: &'a [ResidueType],
    /// Start conformations, Å.
    pub starts: &'a [Conformation<f32>],
    /// Draws per start.
    pub children: usize,
    /// Random seed.
    pub rng_seed: u64,
    /// Stream of the first draw; draw k of start i uses `first_id + i·children + k`.
    pub first_id: u64,
    /// How to integrate.
    pub solver: Solver,
}

impl Surrogate {
    /// Loads a checkpoint for the CPU.
    pub fn load(path: &Path) -> Result<Self, SurrogateError> {
        Self::from_checkpoint(checkpoint::load(path)?)
    }

    /// Uses a checkpoint in memory, on the CPU.
    pub fn from_checkpoint(checkpoint: Checkpoint) -> Result<Self, SurrogateError> {
        Self::on(checkpoint, &Device::Cpu, Precision::F32)
    }

    /// Uses a checkpoint in memory, on a device of the tensor library.
    pub fn on(
        checkpoint: Checkpoint,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, SurrogateError> {
        let local = Local::new(&checkpoint.card.network, checkpoint.values, device, precision)?;
        Ok(Self::with_backend(checkpoint.card, checkpoint.sha256, Arc::new(local)))
    }

    /// Uses a checkpoint that a backend has loaded.
    pub fn with_backend(card: ModelCard, sha256: String, backend: Arc<dyn Backend>) -> Self {
        let kelvin = card.network.temperature.then_some(card.domain.temperature_kelvin);
        Self { card, sha256, backend, kelvin }
    }

    /// Temperature of draws, K, of a surrogate that takes one.
    pub fn temperature_kelvin(&self) -> Option<f64> {
        self.kelvin
    }

    /// The surrogate for a system at this temperature, K: one that takes a temperature draws at it,
    /// any other is what it is.
    pub fn matched_to(&self, kelvin: f64) -> Result<Self, SurrogateError> {
        match self.kelvin {
            Some(_) => self.at_temperature(kelvin),
            None => Ok(self.clone()),
        }
    }

    /// The same surrogate drawing at another temperature, K. Without this call one that takes a
    /// temperature draws at `card().domain.temperature_kelvin`; one that takes none refuses.
    pub fn at_temperature(&self, kelvin: f64) -> Result<Self, SurrogateError> {
        if !self.card.network.temperature {
            return Err(SurrogateError::Input(format!(
                "this surrogate has no temperature input: it draws at {} K, not at {kelvin} K",
                self.card.domain.temperature_kelvin
            )));
        }
        if !(kelvin.is_finite() && kelvin > 0.0) {
            return Err(SurrogateError::Input(format!("a temperature of {kelvin} K")));
        }
        Ok(Self { kelvin: Some(kelvin), ..self.clone() })
    }

    /// The model card.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// SHA-256 of the checkpoint file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What computes.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Draws `children` conformations from each start, in order: all of start 0, then start 1, …
    /// Samples are not checked; a caller must.
    pub fn jump(&self, request: &JumpRequest) -> Result<Vec<Conformation<f32>>, SurrogateError> {
        if self.card.network.layout == Layout::MdGen {
            return Err(SurrogateError::Input(
                "this surrogate draws windows of frames (MDGen layout), not jumps".into(),
            ));
        }
        // The last frame is the target, in either layout.
        let last = self.card.network.frames - 1;
        let windows = self.backend.draw(request, self.window(self.card.network.frames, last))?;
        Ok(windows.into_iter().flatten().collect())
    }

    /// Draws `children` windows of `frames` frames from each start, in the order of
    /// [`Surrogate::jump`]. Frame 0 is the network's own version of the start. The network was
    /// trained on `card().network.frames` frames; others are possible and untrained.
    pub fn windows(
        &self,
        request: &JumpRequest,
        frames: usize,
    ) -> Result<Vec<Vec<Conformation<f32>>>, SurrogateError> {
        if self.card.network.layout != Layout::MdGen {
            return Err(SurrogateError::Input(
                "this surrogate draws jumps, not windows of frames; a rollout needs one of MDGen \
                 layout"
                    .into(),
            ));
        }
        if !(2..=MOST_FRAMES).contains(&frames) {
            return Err(SurrogateError::Input(format!(
                "a window of {frames} frames; possible are 2 to {MOST_FRAMES}"
            )));
        }
        self.backend.draw(request, self.window(frames, 0))
    }

    fn window(&self, frames: usize, keep: usize) -> Window {
        Window { frames, keep, temperature_kelvin: self.kelvin }
    }

    /// Draws of `frames` frames for chains of `residues` residues that one network call takes.
    pub fn draws_per_call(&self, residues: usize, frames: usize) -> usize {
        self.backend.draws_per_call(residues, frames)
    }
}

/// The condition of jumps from these starts: frame 0 of `frames` carries the start's own latent.
pub fn condition_of(
    types: &[ResidueType],
    starts: &[Conformation<f32>],
    frames: usize,
) -> Condition {
    let l = types.len();
    let mut x_cond = Vec::with_capacity(starts.len() * frames * l * LATENT);
    let mut x_cond_mask = Vec::with_capacity(starts.len() * frames * l);
    for start in starts {
        let own = own_latent(types, start);
        x_cond.extend(own.iter().flatten().map(|v| f64::from(*v)));
        x_cond.resize(x_cond.len() + (frames - 1) * l * LATENT, 0.0);
        x_cond_mask.resize(x_cond_mask.len() + l, true);
        x_cond_mask.resize(x_cond_mask.len() + (frames - 1) * l, false);
    }
    Condition {
        residues: l,
        frames: Arc::new(starts.iter().flat_map(|s| s.rigids.iter().map(flat_frame)).collect()),
        residue_types: starts.iter().flat_map(|_| types.iter().map(|t| t.index() as u32)).collect(),
        x_cond,
        x_cond_mask,
        mask: None,
        temperatures_kelvin: None,
    }
}

/// A conformation relative to itself, masked torsions zero.
pub fn own_latent(types: &[ResidueType], start: &Conformation<f32>) -> Vec<[f32; LATENT]> {
    let mut clean = start.clone();
    clean.clear_masked(types);
    latent::encode(&clean, &clean)
}

fn flat_frame(r: &Rigid<f32>) -> ([f64; 9], [f64; 3]) {
    (std::array::from_fn(|k| f64::from(r.rot[k / 3][k % 3])), r.trans.map(f64::from))
}
