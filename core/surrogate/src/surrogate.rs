//! A trained surrogate: draws from p_T(·|x) for conformations of one chain.
//!
//! Noise comes from a counter-based generator, one stream per sample id, so a sample depends on
//! (model, start, rng_seed, id) and on nothing else; on one processor type it is bit-equal for any
//! number of threads.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use marsfm_geometry::{Conformation, LATENT, ResidueType, Rigid, latent};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::card::ModelCard;
use crate::checkpoint::{self, Checkpoint};
use crate::{
    Condition, Layout, MaskedTorsions, Network, Solver, SurrogateError, Tap, params, solve,
    upstream,
};

/// Tokens (samples × frames × residues) worth one network call: large enough for the matrix
/// kernels, small enough to stay in cache.
const TOKENS_PER_CALL: usize = 2048;

/// Frames of the longest window: attention over frames is quadratic.
const MOST_FRAMES: usize = 10_000;

/// A checkpoint ready to sample. Immutable: share it between threads.
pub struct Surrogate {
    card: ModelCard,
    sha256: String,
    network: Network,
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

    /// Uses a checkpoint in memory.
    pub fn from_checkpoint(checkpoint: Checkpoint) -> Result<Self, SurrogateError> {
        let tensors = params::tensors(&checkpoint.values, DType::F32, &Device::Cpu)?;
        let network = Network::new(&checkpoint.card.network, &tensors)?;
        Ok(Self { card: checkpoint.card, sha256: checkpoint.sha256, network })
    }

    /// The model card.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// SHA-256 of the checkpoint file.
    pub fn sha256(&self) -> &str {
        &self.sha256
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
        let windows = self.draw(request, self.card.network.frames, last)?;
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
        self.draw(request, frames, 0)
    }

    /// Draws of `frames` frames for chains of `residues` residues that one network call takes.
    pub fn draws_per_call(&self, residues: usize, frames: usize) -> usize {
        (TOKENS_PER_CALL / (frames * residues).max(1)).max(1)
    }

    /// The frames from `keep` on of every draw.
    fn draw(
        &self,
        request: &JumpRequest,
        frames: usize,
        keep: usize,
    ) -> Result<Vec<Vec<Conformation<f32>>>, SurrogateError> {
        let l = request.types.len();
        if let Some(bad) = request.starts.iter().position(|s| s.len() != l) {
            return Err(SurrogateError::Input(format!(
                "start {bad} has {} residues, the chain has {l}",
                request.starts[bad].len()
            )));
        }
        if let Some(bad) = request.types.iter().position(|t| t.index() == 20) {
            return Err(SurrogateError::Input(format!("residue {} is of unknown type", bad + 1)));
        }
        let n = request.children;
        let starts_per_call = (TOKENS_PER_CALL / (n * frames * l).max(1)).max(1);
        let mut all = Vec::with_capacity(request.starts.len() * n);
        for (call, starts) in request.starts.chunks(starts_per_call).enumerate() {
            // One start with very many children is cut too, so memory stays bounded.
            let children_per_call =
                (TOKENS_PER_CALL / (starts.len() * frames * l)).clamp(1, n.max(1));
            let first = (call * starts_per_call * n) as u64 + request.first_id;
            if starts.len() > 1 || children_per_call >= n {
                all.extend(self.call(request, starts, n, first, (frames, keep))?);
                continue;
            }
            for from in (0..n).step_by(children_per_call) {
                let count = children_per_call.min(n - from);
                let first = first + from as u64;
                all.extend(self.call(request, starts, count, first, (frames, keep))?);
            }
        }
        Ok(all)
    }

    fn call(
        &self,
        request: &JumpRequest,
        starts: &[Conformation<f32>],
        children: usize,
        first_id: u64,
        (frames, keep): (usize, usize),
    ) -> Result<Vec<Vec<Conformation<f32>>>, SurrogateError> {
        let config = &self.card.network;
        let l = request.types.len();
        let mut condition = condition_of(request.types, starts, frames);
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
