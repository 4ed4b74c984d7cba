//! Fused operations with analytic backward for candle's CPU device, beside their obvious forms
//! composed of candle's own operations (which other devices run and tests compare with).
//!
//! Why: candle's fused norms and softmax have no gradient and say nothing about it, and about
//! nine tenths of its CPU training time is element-wise work outside the matrix products.

mod activation;
mod add;
mod attention;
mod ipa;
mod ipa_composed;
mod learning;
mod linear;
mod norm;
mod op;
mod packed;
mod real;
mod small;
#[cfg(test)]
mod tests;
mod tile;

pub use activation::{gated_residual, gelu};
pub use add::add_shared;
pub use attention::{Attention, Axis};
pub use ipa::{IpaKernel, IpaShape};
pub use learning::Learning;
pub use linear::{linear, linear_of_halves};
pub use norm::{Modulation, affine_norm, modulated_norm};
#[cfg(test)]
pub use op::composed;
pub use packed::Packed;
