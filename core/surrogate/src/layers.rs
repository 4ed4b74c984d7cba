//! The network's layers that hold weights: linear maps, self-attention, feed-forward. Weights
//! that learn stay tensors; constant ones are laid out for the processor once, where it pays.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::SurrogateError;
use crate::kernels::{Attention, Learning, Packed, gated_residual, gelu, linear, linear_of_halves};

type Result<T> = std::result::Result<T, SurrogateError>;

/// How matrices are multiplied with weights. Everything else is in the parameters' own type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// In the parameters' type.
    #[default]
    F32,
    /// Factors rounded to bfloat16, sums in single precision: what matrix units of GPUs do fastest.
    Bf16,
}

/// y = x Wᵀ + b.
pub(crate) enum Linear {
    /// Weight `[out, in]` and bias `[out]`, possibly variables.
    Tensors(Tensor, Tensor),
    /// Constants, laid out.
    Packed(Arc<Packed>),
    /// Weights that learn and keep their own gradients.
    Learning(Arc<Learning>),
    /// Weight in bfloat16, bias as it was.
    Half(Tensor, Tensor),
}

impl Linear {
    /// Of one or several maps of one input, one after the other: weights `[out, in]`, biases `[out]`.
    pub fn new(maps: &[(Tensor, Tensor)], precision: Precision) -> Result<Self> {
        let (weight, bias) = match maps {
            [(weight, bias)] => (weight.clone(), bias.clone()),
            _ => {
                let (weights, biases): (Vec<&Tensor>, Vec<&Tensor>) =
                    maps.iter().map(|(w, b)| (w, b)).unzip();
                (Tensor::cat(&weights, 0)?, Tensor::cat(&biases, 0)?)
            }
        };
        if precision == Precision::Bf16 {
            return Ok(Self::Half(weight.to_dtype(DType::BF16)?, bias));
        }
        Ok(match Packed::new(&weight, &bias)? {
            Some(packed) => Self::Packed(packed),
            None => Self::Tensors(weight, bias),
        })
    }

    /// The map.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Tensors(w, b) => linear(x, w, b)?,
            Self::Packed(packed) => packed.apply(x)?,
            Self::Learning(layer) => layer.apply(x)?,
            Self::Half(w, b) => linear_of_halves(x, w, b)?,
        })
    }

    fn apply_gelu(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Packed(packed) => packed.apply_gelu(x)?,
            Self::Tensors(..) | Self::Learning(_) | Self::Half(..) => gelu(&self.apply(x)?)?,
        })
    }

    /// h + chunk `gate` of mods × the map of x.
    pub fn gated(&self, x: &Tensor, h: &Tensor, mods: &Tensor, gate: usize) -> Result<Tensor> {
        Ok(match self {
            Self::Packed(packed) => packed.gated(x, h, mods, gate)?,
            Self::Tensors(..) | Self::Learning(_) | Self::Half(..) => {
                gated_residual(h, &self.apply(x)?, mods, gate)?
            }
        })
    }
}

/// Multi-head attention with its projections.
pub(crate) struct SelfAttention {
    /// Joint projection to q, k and v.
    pub qkv: Linear,
    /// Bias key and value, `[2, C]`.
    pub bias: Tensor,
    /// Projection of the heads' results.
    pub out: Linear,
}

impl SelfAttention {
    /// What goes into `out`.
    pub fn heads(&self, x: &Tensor, how: &Attention) -> Result<Tensor> {
        Ok(how.forward(&self.qkv.apply(x)?, &self.bias)?)
    }
}

/// Two maps with a gelu between.
pub(crate) struct FeedForward {
    /// To 4C.
    pub fc1: Linear,
    /// Back to C.
    pub fc2: Linear,
}

impl FeedForward {
    /// What goes into `fc2`.
    pub fn hidden(&self, x: &Tensor) -> Result<Tensor> {
        self.fc1.apply_gelu(x)
    }

    /// h + chunk `gate` of mods × the maps of x.
    pub fn gated(&self, x: &Tensor, h: &Tensor, mods: &Tensor, gate: usize) -> Result<Tensor> {
        match (&self.fc1, &self.fc2) {
            (Linear::Packed(one), Linear::Packed(two)) => {
                Ok(one.gelu_gated(two, x, h, mods, gate)?)
            }
            _ => self.fc2.gated(&self.hidden(x)?, h, mods, gate),
        }
    }
}
