//! AdamW with gradient clipping and an exponential moving average of the parameters, over flat
//! buffers whose state can be saved and restored bit for bit. (candle's own optimiser keeps its
//! moments private.) The arithmetic per element is fixed, so threads do not change the result.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::params::Values;

/// Hyperparameters of one run. Defaults are the reference's (METHOD 4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimiserConfig {
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Final learning rate as a fraction of the first, reached along half a cosine; 1 = constant.
    pub final_fraction: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to √v.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global gradient norm; larger gradients are scaled down to it.
    pub clip_norm: f64,
    /// Decay of the moving average of the parameters, which is what is saved as the model.
    pub ema_decay: f64,
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-4,
            warmup_steps: 0,
            final_fraction: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
            ema_decay: 0.999,
        }
    }
}

/// State of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Shape of the parameter.
    pub shape: Vec<usize>,
    /// Current value.
    pub value: Vec<f32>,
    /// First moment.
    pub m: Vec<f32>,
    /// Second moment.
    pub v: Vec<f32>,
    /// Moving average of the value.
    pub ema: Vec<f32>,
}

/// All parameters with their optimiser state.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimiser {
    /// Hyperparameters.
    pub config: OptimiserConfig,
    /// Steps done.
    pub step: u64,
    /// Parameters by name.
    pub slots: BTreeMap<String, Slot>,
}

impl Optimiser {
    /// Starts from the given parameters.
    pub fn new(config: OptimiserConfig, values: Values) -> Self {
        let slot = |(name, (shape, value)): (String, (Vec<usize>, Vec<f32>))| {
            let zeros = vec![0.0; value.len()];
            (name, Slot { shape, m: zeros.clone(), v: zeros, ema: value.clone(), value })
        };
        Self { config, step: 0, slots: values.into_iter().map(slot).collect() }
    }

    /// The current parameters.
    pub fn values(&self) -> Values {
        self.slots.iter().map(|(n, s)| (n.clone(), (s.shape.clone(), s.value.clone()))).collect()
    }

    /// The current parameters themselves; until they are given back there are none here.
    pub fn lend(&mut self) -> Values {
        let lent = |(n, s): (&String, &mut Slot)| {
            (n.clone(), (s.shape.clone(), std::mem::take(&mut s.value)))
        };
        self.slots.iter_mut().map(lent).collect()
    }

    /// Takes lent parameters back.
    pub fn give_back(&mut self, values: Values) {
        for (name, (_, value)) in values {
            if let Some(slot) = self.slots.get_mut(&name) {
                slot.value = value;
            }
        }
    }

    /// The averaged parameters.
    pub fn averaged(&self) -> Values {
        self.slots.iter().map(|(n, s)| (n.clone(), (s.shape.clone(), s.ema.clone()))).collect()
    }

    /// Learning rate of the next step of a run of `total` steps.
    pub fn rate(&self, total: u64) -> f64 {
        let c = &self.config;
        let warm = ((self.step + 1) as f64 / c.warmup_steps.max(1) as f64).min(1.0);
        let past = self.step.saturating_sub(c.warmup_steps) as f64;
        let span = total.saturating_sub(c.warmup_steps).max(1) as f64;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * (past / span).min(1.0)).cos());
        c.learning_rate * warm * (c.final_fraction + (1.0 - c.final_fraction) * cosine)
    }

    /// One step along the gradients (a parameter without one stays). Returns the global gradient
    /// norm before clipping; a norm that is not finite changes nothing but the step count.
    pub fn step(&mut self, gradients: &BTreeMap<String, Vec<f32>>, total: u64) -> f64 {
        let squares: Vec<f64> = gradients
            .par_iter()
            .map(|(_, g)| g.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>())
            .collect();
        let norm = squares.into_iter().sum::<f64>().sqrt();
        let rate = self.rate(total);
        self.step += 1;
        if !norm.is_finite() {
            return norm;
        }
        let c = self.config.clone();
        let scale = if norm > c.clip_norm { c.clip_norm / norm } else { 1.0 } as f32;
        let (b1, b2) = (c.beta1 as f32, c.beta2 as f32);
        let (a1, a2) = ((1.0 - c.beta1) as f32, (1.0 - c.beta2) as f32);
        let correct1 = 1.0 - c.beta1.powi(self.step.min(1 << 30) as i32);
        let correct2 = 1.0 - c.beta2.powi(self.step.min(1 << 30) as i32);
        let size = (rate / correct1) as f32;
        let root = (1.0 / correct2.sqrt()) as f32;
        let (eps, decay) = (c.eps as f32, (rate * c.weight_decay) as f32);
        // The average starts fast, so that it forgets the random start.
        let keep = c.ema_decay.min((1.0 + self.step as f64) / (10.0 + self.step as f64)) as f32;
        self.slots.par_iter_mut().for_each(|(name, slot)| {
            let Some(g) = gradients.get(name) else { return };
            for i in 0..slot.value.len() {
                let g = g[i] * scale;
                slot.m[i] = b1 * slot.m[i] + a1 * g;
                slot.v[i] = b2 * slot.v[i] + a2 * g * g;
                let step = size * slot.m[i] / (slot.v[i].sqrt() * root + eps);
                slot.value[i] -= step + decay * slot.value[i];
                slot.ema[i] = keep * slot.ema[i] + (1.0 - keep) * slot.value[i];
            }
        });
        norm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_steps_are_adams() {
        // Gradient 1 everywhere: the bias-corrected step is exactly the learning rate.
        let values = Values::from([("w".into(), (vec![2], vec![0.5, -0.5]))]);
        let config = OptimiserConfig { learning_rate: 0.1, clip_norm: 1e9, ..Default::default() };
        let mut optimiser = Optimiser::new(config, values);
        let gradients = BTreeMap::from([("w".to_string(), vec![1.0, 1.0])]);
        for k in 1..=3 {
            optimiser.step(&gradients, 100);
            let expected = 0.5 - 0.1 * k as f32;
            assert!((optimiser.slots["w"].value[0] - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn clipping_bounds_the_gradient_and_nan_changes_nothing() {
        let values = Values::from([("w".into(), (vec![1], vec![0.0]))]);
        let mut optimiser = Optimiser::new(OptimiserConfig::default(), values);
        assert_eq!(optimiser.step(&BTreeMap::from([("w".into(), vec![300.0])]), 10), 300.0);
        assert!((optimiser.slots["w"].m[0] - 0.1).abs() < 1e-7);
        let before = optimiser.slots.clone();
        assert!(optimiser.step(&BTreeMap::from([("w".into(), vec![f32::NAN])]), 10).is_nan());
        assert_eq!(before, optimiser.slots);
    }

    #[test]
    fn the_rate_warms_up_and_ends_low() {
        let config =
            OptimiserConfig { warmup_steps: 10, final_fraction: 0.1, ..Default::default() };
        let mut optimiser = Optimiser::new(config, Values::new());
        assert!((optimiser.rate(110) - 1e-5).abs() < 1e-12);
        optimiser.step = 10;
        assert!((optimiser.rate(110) - 1e-4).abs() < 1e-12);
        optimiser.step = 110;
        assert!((optimiser.rate(110) - 1e-5).abs() < 1e-12);
    }
}
