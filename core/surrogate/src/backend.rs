//! Where a surrogate computes. A backend holds one loaded checkpoint and answers coarse questions:
//! draws, velocities, gradients; no tensor crosses. [`Local`](crate::Local) answers in this process;
//! a plugin's answers come through the host, and nothing behind this trait can tell.

use std::collections::BTreeMap;

use marsfm_geometry::Conformation;

use crate::params::Values;
use crate::{Condition, JumpRequest, SurrogateError};

/// Points on the path with what the network should answer there.
pub struct Batch {
    /// Conditions, one per sample.
    pub condition: Condition,
    /// Point on the path, `[samples·frames·L·21]`.
    pub x: Vec<f64>,
    /// Velocity to learn, like `x`.
    pub u: Vec<f64>,
    /// Times, one per sample.
    pub t: Vec<f64>,
    /// Loss weights, like `x`.
    pub weights: Vec<f64>,
}

impl Batch {
    /// The same samples in `n` batches of equal size (which divides their number), in order.
    pub fn parts(self, n: usize) -> impl Iterator<Item = Self> {
        let samples = self.t.len();
        assert!(n > 0 && samples.is_multiple_of(n), "{samples} samples in {n} equal parts");
        fn slice<T: Clone>(all: &[T], part: usize, n: usize) -> Vec<T> {
            let size = all.len() / n;
            all[part * size..][..size].to_vec()
        }
        (0..n).map(move |i| {
            let c = &self.condition;
            Self {
                condition: Condition {
                    residues: c.residues,
                    frames: slice(&c.frames, i, n).into(),
                    residue_types: slice(&c.residue_types, i, n),
                    x_cond: slice(&c.x_cond, i, n),
                    x_cond_mask: slice(&c.x_cond_mask, i, n),
                    mask: c.mask.as_ref().map(|m| slice(m, i, n)),
                    temperatures_kelvin: c.temperatures_kelvin.as_ref().map(|k| slice(k, i, n)),
                },
                x: slice(&self.x, i, n),
                u: slice(&self.u, i, n),
                t: slice(&self.t, i, n),
                weights: slice(&self.weights, i, n),
            }
        })
    }
}

/// Loss of a batch and the gradient of every parameter that takes part, by name.
pub type LossAndGradients = (f64, BTreeMap<String, Vec<f32>>);

/// The windows of a draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Frames of each.
    pub frames: usize,
    /// The first frame that is wanted.
    pub keep: usize,
    /// Temperature, K, where the network takes one.
    pub temperature_kelvin: Option<f64>,
}

/// One checkpoint on one device.
pub trait Backend: Send + Sync {
    /// The device, for people (`cpu`, `cuda:0`).
    fn device(&self) -> &str;

    /// Draws of `frames` frames for chains of `residues` residues that one call takes best.
    fn draws_per_call(&self, residues: usize, frames: usize) -> usize;

    /// Windows as [`Surrogate::windows`](crate::Surrogate::windows) orders them.
    fn draw(
        &self,
        request: &JumpRequest,
        window: Window,
    ) -> Result<Vec<Vec<Conformation<f32>>>, SurrogateError>;

    /// The velocity at `x` `[samples·frames·L·21]` and times `t`, one per sample.
    fn velocity(
        &self,
        condition: &Condition,
        x: &[f64],
        t: &[f64],
    ) -> Result<Vec<f64>, SurrogateError>;

    /// One step's worth of learning: mean loss and gradients of a batch, at `parameters`.
    fn gradients(
        &self,
        parameters: &Values,
        batch: &Batch,
    ) -> Result<LossAndGradients, SurrogateError>;
}
