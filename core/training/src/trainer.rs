//! The training loop: batch → velocity → loss → gradients → step, with validation of the averaged
//! weights on fixed samples, saved states and deterministic resume.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use marsfm_surrogate::candle_core::{DType, Device};
use marsfm_surrogate::{
    Backend, Batch, LossAndGradients, Network, Optimiser, Precision, gradients, params,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::{Recipe, RunRecipe};
use crate::state::{self, Progress};
use crate::{TrainingError, TrainingSet};

/// Streams of the validation batches lie far from any step, and so do those that say which steps
/// replay.
const VALIDATION_STREAM: u64 = 1 << 62;
const REPLAY_STREAM: u64 = 1 << 61;
/// Validation samples per network call.
const VALIDATION_BATCH: usize = 128;

/// What the caller learns while the run goes on.
#[derive(Clone, Debug)]
pub struct Status {
    /// Steps done.
    pub step: u64,
    /// Steps to do.
    pub steps: u64,
    /// Mean training loss since the last report.
    pub loss: f64,
    /// Latest validation loss, if there is one.
    pub validation: Option<f64>,
    /// Steps per second of this process.
    pub steps_per_second: f64,
}

/// What a run draws its batches from.
#[derive(Clone, Copy)]
pub struct Sets<'a> {
    /// Systems to learn from.
    pub train: &'a TrainingSet,
    /// Systems for the validation loss.
    pub validation: Option<&'a TrainingSet>,
    /// What was learned before, and the share of steps that repeat it, so that it is not forgotten.
    pub replay: Option<(&'a TrainingSet, f64)>,
}

impl<'a> Sets<'a> {
    /// The systems that a step of the run draws from: a function of seed and step alone.
    fn at(&self, rng_seed: u64, step: u64) -> &'a TrainingSet {
        let Some((replay, share)) = self.replay else { return self.train };
        let mut rng = ChaCha8Rng::seed_from_u64(rng_seed);
        rng.set_stream(REPLAY_STREAM + step);
        if rng.random_bool(share.clamp(0.0, 1.0)) { replay } else { self.train }
    }
}

/// A run: recipe, data, where its state is kept.
pub struct Trainer<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The data.
    pub sets: Sets<'a>,
    /// Hash of recipe and data.
    pub run_sha256: String,
    /// File of the state.
    pub state: PathBuf,
    /// Parameters to start from; fresh ones if `None`.
    pub start: Option<params::Values>,
    /// What computes losses and gradients, holding a checkpoint of the recipe's network; this
    /// process if `None`. Validation is always computed here.
    pub backend: Option<Arc<dyn Backend>>,
}

/// A finished run.
pub struct Trained {
    /// Averaged parameters: the model.
    pub values: params::Values,
    /// (step, mean training loss, validation loss).
    pub losses: Vec<(u64, f64, Option<f64>)>,
    /// Steps done.
    pub steps: u64,
}

impl Trainer<'_> {
    /// Runs to the end of the recipe, or until `report` answers false (the state is saved and
    /// what is trained so far is returned).
    pub fn run(&self, mut report: impl FnMut(&Status) -> bool) -> Result<Trained, TrainingError> {
        let RunRecipe { steps, batch, rng_seed, validate_every, save_every_seconds, .. } =
            self.recipe.run;
        let loaded = state::load(&self.state, &self.recipe.optimiser, &self.run_sha256)?;
        let (mut optimiser, mut progress) = match loaded {
            Some(found) => found,
            None => {
                let fresh = || params::initial(&self.recipe.network, rng_seed);
                let first = self.start.clone().unwrap_or_else(fresh);
                let progress =
                    Progress { run_sha256: self.run_sha256.clone(), ..Progress::default() };
                (Optimiser::new(self.recipe.optimiser.clone(), first), progress)
            }
        };
        let (began, first, mut saved) = (Instant::now(), optimiser.step, Instant::now());
        let mut recent = (0.0, 0u64);
        let mut go_on = true;
        while optimiser.step < steps && go_on {
            let step = optimiser.step;
            let data = self.sets.at(rng_seed, step).batch(batch, rng_seed, step)?;
            let (loss, gradients) = self.gradients(&mut optimiser, data)?;
            if !loss.is_finite() {
                return Err(TrainingError::Diverged { step, loss });
            }
            optimiser.step(&gradients, steps);
            progress.step = optimiser.step;
            progress.loss_sum_bits = (f64::from_bits(progress.loss_sum_bits) + loss).to_bits();
            progress.loss_count += 1;
            recent = (recent.0 + loss, recent.1 + 1);
            let last = optimiser.step == steps;
            if optimiser.step % validate_every == 0 || last {
                let mean =
                    f64::from_bits(progress.loss_sum_bits) / progress.loss_count.max(1) as f64;
                progress.losses.push((optimiser.step, mean, self.validate(&optimiser)?));
                (progress.loss_sum_bits, progress.loss_count) = (0, 0);
            }
            if last || saved.elapsed() >= Duration::from_secs(save_every_seconds) {
                state::save(&self.state, &optimiser, &progress)?;
                saved = Instant::now();
            }
            let seconds = began.elapsed().as_secs_f64().max(1e-9);
            go_on = report(&Status {
                step: optimiser.step,
                steps,
                loss: recent.0 / recent.1 as f64,
                validation: progress.losses.last().and_then(|l| l.2),
                steps_per_second: (optimiser.step - first) as f64 / seconds,
            });
            if recent.1 >= 50 {
                recent = (0.0, 0);
            }
        }
        if !go_on {
            state::save(&self.state, &optimiser, &progress)?;
        }
        Ok(Trained { values: optimiser.averaged(), losses: progress.losses, steps: optimiser.step })
    }

    /// Loss and gradients of a batch, in as many parts as the recipe says: the mean over the parts
    /// (of equal size), summed in their order.
    fn gradients(
        &self,
        optimiser: &mut Optimiser,
        batch: Batch,
    ) -> Result<LossAndGradients, TrainingError> {
        let network = &self.recipe.network;
        let mut of = |part: &Batch| -> Result<LossAndGradients, TrainingError> {
            if let Some(backend) = &self.backend {
                return Ok(backend.gradients(&optimiser.values(), part)?);
            }
            let values = optimiser.lend();
            let (found, values) = gradients(network, values, part, &Device::Cpu, Precision::F32)?;
            optimiser.give_back(values);
            Ok(found)
        };
        let parts = self.recipe.run.accumulate;
        if parts == 1 {
            return of(&batch);
        }
        let share = 1.0 / parts as f64;
        let (mut loss, mut sum) = (0.0, BTreeMap::<String, Vec<f32>>::new());
        for part in batch.parts(parts) {
            let (own, gradients) = of(&part)?;
            loss += own * share;
            for (name, gradient) in gradients {
                let sum = sum.entry(name).or_insert_with(|| vec![0.0; gradient.len()]);
                sum.iter_mut().zip(gradient).for_each(|(s, g)| *s += g * share as f32);
            }
        }
        Ok((loss, sum))
    }

    fn validate(&self, optimiser: &Optimiser) -> Result<Option<f64>, TrainingError> {
        let Some(set) = self.sets.validation else { return Ok(None) };
        validation_loss(self.recipe, &optimiser.averaged(), set).map(Some)
    }
}

/// Mean loss of weights on the recipe's validation samples, the same for any weights.
pub fn validation_loss(
    recipe: &Recipe,
    values: &params::Values,
    set: &TrainingSet,
) -> Result<f64, TrainingError> {
    let tensors = params::tensors(values, DType::F32, &Device::Cpu)?;
    let network = Network::new(&recipe.network, &tensors)?;
    // Windows hold many frames: fewer of them per call, so that memory stays bounded.
    let frames = recipe.network.frames;
    let samples = if frames > 2 { (VALIDATION_BATCH / frames).max(1) } else { VALIDATION_BATCH };
    let calls = recipe.run.validation_samples.div_ceil(samples).max(1);
    let mut sum = 0.0;
    for call in 0..calls {
        let batch = set.batch(samples, recipe.run.rng_seed, VALIDATION_STREAM + call as u64)?;
        sum += marsfm_surrogate::loss(&network, &batch)?;
    }
    Ok(sum / calls as f64)
}
