//! The flow-matching loss (METHOD 4).

use candle_core::Tensor;

use marsfm_geometry::LATENT;

use crate::SurrogateError;

/// Per-sample Σ w (v − u)² / Σ w, `[samples]`. v and u are `[rows, 21]`, weights `[rows·21]`.
pub fn flow_loss(
    v: &Tensor,
    u: &Tensor,
    weights: &[f64],
    samples: usize,
) -> Result<Tensor, SurrogateError> {
    let (rows, _) = v.dims2()?;
    let per_sample = rows * LATENT / samples;
    let totals: Vec<f64> =
        weights.chunks(per_sample).map(|w| w.iter().sum::<f64>().max(1e-30)).collect();
    let scaled: Vec<f64> =
        weights.iter().enumerate().map(|(i, w)| w / totals[i / per_sample]).collect();
    let w = Tensor::from_vec(scaled, (samples, per_sample), v.device())?.to_dtype(v.dtype())?;
    let square = (v - u)?.sqr()?.reshape((samples, per_sample))?;
    Ok((square * w)?.sum(1)?)
}
