//! The network in this process, on a device of the tensor library.
//!
//! Noise comes from a counter-based generator on the CPU, one stream per sample id, so a sample
//! depends on (model, start, rng_seed, id) and on nothing else; on one processor type it is
//! bit-equal for any number of threads. Other devices get the same noise and round differently.

use candle_core::{DType, Device, Tensor};
use marsfm_geometry::{Conformation, LATENT, latent};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::backend::{Backend, Batch, LossAndGradients};
use crate::params::Values;
use crate::{
    Condition, JumpRequest, Learner, MaskedTorsions, Network, NetworkConfig, Precision, Solver,
    SurrogateError, Tap, Window, condition_of, flow_loss, params, solve, upstream,
};

/// Tokens (samples × frames × residues) worth one network call on a CPU: large enough for the
/// matrix kernels, small enough to stay in cache.
const TOKENS_PER_CALL: usize = 2048;

/// The same on other devices, which want more to do at once.
const TOKENS_PER_DEVICE_CALL: usize = 65_536;

/// Most bytes of attention probabilities of one layer on other devices, which store them whole.
const DEVICE_ATTENTION_BYTES: usize = 1 << 29;

/// A network with f32 parameters on one device.
pub struct Local {
    device: String,
    precision: Precision,
    network: Network,
}

impl Local {
    /// Uploads parameters.
    pub fn new(
        config: &NetworkConfig,
        values: Values,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, SurrogateError> {
        let tensors = params::into_tensors(values, device)?;
        let name = match device.location() {
            candle_core::DeviceLocation::Cpu => "cpu".to_owned(),
            candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
            candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
        };
        let network = Network::consuming(config, tensors, precision)?;
        Ok(Self { device: name, precision, network })
    }

    fn tokens_per_call(&self, residues: usize) -> usize {
        if self.network.device().is_cpu() {
            return TOKENS_PER_CALL;
        }
        let per_token = self.network.config().mha_heads * (residues + 1) * size_of::<f32>();
        TOKENS_PER_DEVICE_CALL.min(DEVICE_ATTENTION_BYTES / per_token).max(residues)
    }

    fn call(
        &self,
        request: &JumpRequest,
        starts: &[Conformation<f32>],
        children: usize,
        first_id: u64,
        window: Window,
    ) -> Result<Vec<Vec<Conformation<f32>>>, SurrogateError> {
        let Window { frames, keep, temperature_kelvin } = window;
        let each: Vec<Conformation<f32>>;
        let (starts, children) = match request.solver {
            // Its samples have times of their own, so children cannot share their parent's stack.
            Solver::Dopri5 { .. } => {
                let own = |s: &Conformation<f32>| std::iter::repeat_n(s.clone(), children);
                each = starts.iter().flat_map(own).collect();
                (&each[..], 1)
            }
            _ => (starts, children),
        };
        let config = self.network.config();
        let l = request.types.len();
        let mut condition = condition_of(request.types, starts, frames);
        condition.temperatures_kelvin = temperature_kelvin.map(|k| vec![k; starts.len()]);
        if config.masked_torsions == MaskedTorsions::Upstream {
            let first = starts.iter().map(|s| upstream::first_torsions(request.types[0], s));
            for (own, torsions) in condition.x_cond.chunks_exact_mut(frames * l * LATENT).zip(first)
            {
                let values = torsions.into_iter().flatten().map(f64::from);
                own[7..11].iter_mut().zip(values).for_each(|(x, v)| *x = v);
            }
        }
        let width = l.max(config.padded_residues);
        let condition = upstream::padded(condition, width);
        let prepared = self.network.prepare(condition, frames, &mut Tap::default())?;
        let samples = starts.len() * children;
        let per_sample = frames * width * LATENT;
        let mut noise = vec![0.0f32; samples * per_sample];
        for (i, sample) in noise.chunks_exact_mut(per_sample).enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(request.rng_seed);
            rng.set_stream(first_id + i as u64);
            let chains = sample.chunks_exact_mut(width * LATENT).map(|f| &mut f[..l * LATENT]);
            chains.flatten().for_each(|v| *v = StandardNormal.sample(&mut rng));
        }
        let x0 = Tensor::from_vec(noise, (samples, per_sample), self.network.device())?;
        let solution = solve(request.solver, &x0, |t, x| {
            let x = x.reshape((samples * frames * width, LATENT))?;
            let v = self.network.velocity(&x, t, &prepared, &mut Tap::default())?;
            Ok(v.reshape((samples, per_sample))?)
        })?;
        let x = solution.x.flatten_all()?.to_vec1::<f32>()?;
        let decode = |(i, sample): (usize, &[f32])| {
            let frame = |rows: &[f32]| {
                let rows = rows[..l * LATENT].chunks_exact(LATENT);
                let rows: Vec<[f32; LATENT]> =
                    rows.map(|r| std::array::from_fn(|k| r[k])).collect();
                let mut c = latent::decode(&starts[i / children], &rows);
                c.clear_masked(request.types);
                c
            };
            sample[keep * width * LATENT..].chunks_exact(width * LATENT).map(frame).collect()
        };
        Ok(x.chunks_exact(per_sample).enumerate().map(decode).collect())
    }
}

impl Backend for Local {
    fn device(&self) -> &str {
        &self.device
    }

    fn draws_per_call(&self, residues: usize, frames: usize) -> usize {
        (self.tokens_per_call(residues) / (frames * residues).max(1)).max(1)
    }

    fn draw(
        &self,
        request: &JumpRequest,
        window: Window,
    ) -> Result<Vec<Vec<Conformation<f32>>>, SurrogateError> {
        let (l, frames) = (request.types.len(), window.frames);
        if l == 0 || frames == 0 {
            return Err(SurrogateError::Input(format!("{frames} frames of {l} residues")));
        }
        if let Some(bad) = request.starts.iter().position(|s| s.len() != l) {
            return Err(SurrogateError::Input(format!(
                "start {bad} has {} residues, the chain has {l}",
                request.starts[bad].len()
            )));
        }
        if let Some(bad) = request.types.iter().position(|t| t.index() == 20) {
            return Err(SurrogateError::Input(format!("residue {} is of unknown type", bad + 1)));
        }
        let (n, tokens) = (request.children, self.tokens_per_call(l));
        let starts_per_call = (tokens / (n * frames * l).max(1)).max(1);
        let mut all = Vec::with_capacity(request.starts.len() * n);
        for (call, starts) in request.starts.chunks(starts_per_call).enumerate() {
            // One start with very many children is cut too, so memory stays bounded.
            let children_per_call = (tokens / (starts.len() * frames * l)).clamp(1, n.max(1));
            let first = (call * starts_per_call * n) as u64 + request.first_id;
            if starts.len() > 1 || children_per_call >= n {
                all.extend(self.call(request, starts, n, first, window)?);
                continue;
            }
            for from in (0..n).step_by(children_per_call) {
                let count = children_per_call.min(n - from);
                let first = first + from as u64;
                all.extend(self.call(request, starts, count, first, window)?);
            }
        }
        Ok(all)
    }

    fn velocity(
        &self,
        condition: &Condition,
        x: &[f64],
        t: &[f64],
    ) -> Result<Vec<f64>, SurrogateError> {
        let v = velocity(&self.network, condition, x, t)?;
        Ok(v.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
    }

    fn gradients(
        &self,
        parameters: &Values,
        batch: &Batch,
    ) -> Result<LossAndGradients, SurrogateError> {
        let (config, device) = (self.network.config(), self.network.device());
        Ok(gradients(config, parameters.clone(), batch, device, self.precision)?.0)
    }
}

fn velocity(
    network: &Network,
    condition: &Condition,
    x: &[f64],
    t: &[f64],
) -> Result<Tensor, SurrogateError> {
    let (samples, residues) = (condition.parents(), condition.residues);
    if t.len() != samples {
        let message = format!("{} times for {samples} conditions", t.len());
        return Err(SurrogateError::Input(message));
    }
    let frames = x.len() / (samples * residues * LATENT).max(1);
    let prepared = network.prepare(condition.clone(), frames, &mut Tap::default())?;
    network.velocity(&rows(x, network.device())?, t, &prepared, &mut Tap::default())
}

/// Latents `[rows, 21]` in single precision.
fn rows(data: &[f64], device: &Device) -> Result<Tensor, SurrogateError> {
    if !data.len().is_multiple_of(LATENT) {
        return Err(SurrogateError::Input(format!("{} numbers are no rows of 21", data.len())));
    }
    let narrow: Vec<f32> = data.iter().map(|v| *v as f32).collect();
    Ok(Tensor::from_vec(narrow, (data.len() / LATENT, LATENT), device)?)
}

/// Mean loss of a batch, a scalar tensor.
fn loss_of(network: &Network, batch: &Batch) -> Result<Tensor, SurrogateError> {
    if batch.u.len() != batch.x.len() || batch.weights.len() != batch.x.len() {
        return Err(SurrogateError::Input("x, u and weights differ in length".into()));
    }
    let v = velocity(network, &batch.condition, &batch.x, &batch.t)?;
    let u = rows(&batch.u, network.device())?;
    Ok(flow_loss(&v, &u, &batch.weights, batch.t.len())?.mean_all()?)
}

/// Mean loss of a batch.
pub fn loss(network: &Network, batch: &Batch) -> Result<f64, SurrogateError> {
    Ok(f64::from(loss_of(network, batch)?.to_scalar::<f32>()?))
}

/// Mean loss of a batch and the gradient of every parameter that takes part, at `values`, which are
/// given back.
pub fn gradients(
    config: &NetworkConfig,
    values: Values,
    batch: &Batch,
    device: &Device,
    precision: Precision,
) -> Result<(LossAndGradients, Values), SurrogateError> {
    let learner = Learner::new(config, values, DType::F32, device, precision)?;
    let (loss, gradients) = {
        let loss = loss_of(learner.network(), batch)?;
        (f64::from(loss.to_scalar::<f32>()?), learner.gradients(&loss)?)
    };
    Ok(((loss, gradients), learner.into_values()))
}
