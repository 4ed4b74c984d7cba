//! Modulation vectors: what the network makes of the time alone (METHOD 5.2).
//!
//! Shift, scale and gate of every layer are linear in the embedded time. On a fixed grid all draws
//! of all chains ask for the same few times, so a network remembers the last ones it was asked for;
//! at batch 1 that saves reading a third of the parameters per evaluation. The numbers are the
//! same bits either way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use candle_core::Tensor;

use crate::SurrogateError;

/// Times remembered: more than any fixed grid here has.
const REMEMBERED: usize = 128;

/// Modulation of every layer for some times, one row each.
pub(crate) struct Modulations {
    /// The embedded times, `[n, C]`.
    pub time: Tensor,
    /// Of the conditioning layers, `[n, 6C]`.
    pub ipa: Vec<Tensor>,
    /// Of the denoising layers, `[n, 9C]`.
    pub dit: Vec<Tensor>,
    /// Of the head, `[n, 2C]`.
    pub head: Tensor,
}

/// The last single times a network was asked for, oldest first.
#[derive(Default)]
pub(crate) struct Memory(Mutex<VecDeque<(u64, Arc<Modulations>)>>);

impl Memory {
    /// The modulations of `t`, computed if there are none yet. A batch with a time per sample (in
    /// training) is never remembered.
    pub fn at(
        &self,
        t: &[f64],
        compute: impl FnOnce() -> Result<Modulations, SurrogateError>,
    ) -> Result<Arc<Modulations>, SurrogateError> {
        let [one] = t else { return Ok(Arc::new(compute()?)) };
        // A panic elsewhere leaves the list whole: it is changed in one step.
        let lock = || self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, known)) = lock().iter().find(|(bits, _)| *bits == one.to_bits()) {
            return Ok(known.clone());
        }
        let fresh = Arc::new(compute()?);
        let mut list = lock();
        if list.len() == REMEMBERED {
            list.pop_front();
        }
        list.push_back((one.to_bits(), fresh.clone()));
        Ok(fresh)
    }
}
