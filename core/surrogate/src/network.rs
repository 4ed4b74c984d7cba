//! The velocity network of METHOD 3: embeddings, a conditioning stack of point-attention layers
//! that sees (start frame, residue types, t), a denoising stack of DiT layers that sees the latent,
//! and a modulated head. Parameter names are MDGen's.
//!
//! Tokens are rows: `[B·T·L, C]`, L fastest. Where many samples share a condition (children of one
//! parent) the conditioning stack runs once per parent, and where all share t the modulation
//! vectors are one row (METHOD 5). Both give the same numbers as one call per sample.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::kernels::{
    Attention, Axis, IpaKernel, Modulation, add_shared, affine_norm, gated_residual, modulated_norm,
};
use marsfm_geometry::LATENT;

use crate::layers::{FeedForward, Linear, Precision, SelfAttention};
use crate::modulation::{Memory, Modulations, Point, points};
use crate::params::Tensors;
use crate::{NetworkConfig, SurrogateError};

type Result<T> = std::result::Result<T, SurrogateError>;

/// ε of the parameter-free norms and of the conditioning stack's affine norm.
const EPS: f64 = 1e-6;
const IPA_EPS: f64 = 1e-5;

/// Kelvin per radian of the fastest angle that a temperature becomes: no temperature of an aqueous
/// protein is a whole turn from another, so that those between two that were learned lie between.
const KELVIN_PER_RADIAN: f64 = 100.0;

/// The condition of P parents of equal length L.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Residues L.
    pub residues: usize,
    /// Start frames, `[P·L]`: rotation (row-major), translation in Å.
    pub frames: Arc<Vec<([f64; 9], [f64; 3])>>,
    /// Residue types 0..=20, `[P·L]`.
    pub residue_types: Vec<u32>,
    /// Latents at conditioned tokens, else 0: `[P·T·L·21]`.
    pub x_cond: Vec<f64>,
    /// 1 at conditioned tokens, `[P·T·L]`.
    pub x_cond_mask: Vec<bool>,
    /// 1 = real residue, `[P·L]`; `None` if all are (no padding).
    pub mask: Option<Vec<bool>>,
    /// Temperatures, K, `[P]`, where the network takes one, else `None`.
    pub temperatures_kelvin: Option<Vec<f64>>,
}

impl Condition {
    /// Number of parents.
    pub fn parents(&self) -> usize {
        self.residue_types.len() / self.residues.max(1)
    }
}

/// Keeps named activations when asked to, for parity checks.
#[derive(Default)]
pub struct Tap(Option<BTreeMap<String, Tensor>>);

impl Tap {
    /// A tap that keeps everything.
    pub fn recording() -> Self {
        Self(Some(BTreeMap::new()))
    }

    /// What was kept, by module name.
    pub fn into_activations(self) -> BTreeMap<String, Tensor> {
        self.0.unwrap_or_default()
    }

    fn note(&mut self, name: impl FnOnce() -> String, value: &Tensor) {
        if let Some(kept) = &mut self.0 {
            kept.insert(name(), value.clone());
        }
    }

    /// h + gate × the map of x, in one go unless someone listens to the map's own result.
    fn gated(
        &mut self,
        name: impl FnOnce() -> String,
        map: &Linear,
        x: &Tensor,
        h: &Tensor,
        (mods, gate): (&Tensor, usize),
    ) -> Result<Tensor> {
        if self.0.is_none() {
            return map.gated(x, h, mods, gate);
        }
        let y = map.apply(x)?;
        self.note(name, &y);
        Ok(gated_residual(h, &y, mods, gate)?)
    }

    /// The same of two maps with a gelu between.
    fn fed_forward(
        &mut self,
        name: impl FnOnce() -> String,
        maps: &FeedForward,
        x: &Tensor,
        h: &Tensor,
        (mods, gate): (&Tensor, usize),
    ) -> Result<Tensor> {
        match self.0 {
            None => maps.gated(x, h, mods, gate),
            Some(_) => self.gated(name, &maps.fc2, &maps.hidden(x)?, h, (mods, gate)),
        }
    }
}

struct IpaLayer {
    modulation: Linear,
    norm_weight: Tensor,
    norm_bias: Tensor,
    projection: Linear,
    head_weights: Tensor,
    out: Linear,
    mha_l: SelfAttention,
    ffn: FeedForward,
}

struct DitLayer {
    modulation: Linear,
    mha_l: SelfAttention,
    mha_t: SelfAttention,
    ffn: FeedForward,
}

/// The network with its parameters as tensors of one type on one device.
pub struct Network {
    config: NetworkConfig,
    dtype: DType,
    device: Device,
    latent_to_emb: Linear,
    cond_to_emb: Linear,
    mask_to_emb: Tensor,
    aatype_to_emb: Tensor,
    time: (Linear, Linear),
    temperature: Option<(Linear, Linear)>,
    ipa_layers: Vec<IpaLayer>,
    layers: Vec<DitLayer>,
    head_modulation: Linear,
    head: Linear,
    memory: Memory,
}

/// Where a network's parameters come from, by name.
pub(crate) trait Parameters {
    /// A tensor.
    fn tensor(&self, name: &str) -> Result<Tensor>;

    /// Linear maps of one input as one layer.
    fn linear(&self, names: &[String], precision: Precision) -> Result<Linear> {
        Linear::new(&self.maps(names)?, precision)
    }

    /// The weights and biases of linear maps.
    fn maps(&self, names: &[String]) -> Result<Vec<(Tensor, Tensor)>> {
        let one = |name: &String| {
            Ok((self.tensor(&format!("{name}.weight"))?, self.tensor(&format!("{name}.bias"))?))
        };
        names.iter().map(one).collect()
    }
}

impl<F: Fn(&str) -> Option<Tensor>> Parameters for F {
    fn tensor(&self, name: &str) -> Result<Tensor> {
        self(name).ok_or_else(|| SurrogateError::Input(format!("parameter {name} is missing")))
    }
}

/// What of a condition does not depend on t: computed once per ODE (METHOD 5.3).
pub struct Prepared {
    condition: Condition,
    /// Residue embeddings `[P·L, C]`.
    residues: Tensor,
    /// cond_to_emb(x_cond) + mask_to_emb + positions, `[P·T·L, C]`.
    tokens: Tensor,
    kernel: IpaKernel,
    token_mask: Option<Arc<Vec<bool>>>,
}

impl Prepared {
    /// Number of parents.
    pub fn parents(&self) -> usize {
        self.condition.parents()
    }
}

impl Network {
    /// Assembles a network from named tensors (all of one type, on one device). Joint projections
    /// are concatenated here, so gradients flow back to the named parameters.
    pub fn new(config: &NetworkConfig, tensors: &Tensors) -> Result<Self> {
        Self::assemble(config, &|name: &str| tensors.get(name).cloned(), Precision::F32)
    }

    /// The same of tensors that nobody else needs: each is given up as soon as it is laid out, so
    /// that the parameters are hardly ever held twice.
    pub(crate) fn consuming(
        config: &NetworkConfig,
        tensors: Tensors,
        precision: Precision,
    ) -> Result<Self> {
        let tensors = RefCell::new(tensors);
        Self::assemble(config, &|name: &str| tensors.borrow_mut().remove(name), precision)
    }

    pub(crate) fn assemble(
        config: &NetworkConfig,
        parameters: &impl Parameters,
        precision: Precision,
    ) -> Result<Self> {
        let get = |name: &str| parameters.tensor(name);
        let layer = |name: &str| parameters.linear(&[name.to_owned()], precision);
        // What latents come in and velocities go out by is small, and rounding it costs most.
        let exact = |name: &str| parameters.linear(&[name.to_owned()], Precision::F32);
        let joint = |names: &[String]| parameters.linear(names, precision);
        let c = config.embed_dim;
        let attention = |name: String| -> Result<SelfAttention> {
            let part = |p: &str| format!("{name}.attn.{p}");
            let bias = [get(&part("bias_k"))?, get(&part("bias_v"))?];
            let bias = Tensor::cat(&[bias[0].reshape((1, c))?, bias[1].reshape((1, c))?], 0)?;
            let qkv = joint(&[part("q_proj"), part("k_proj"), part("v_proj")])?;
            Ok(SelfAttention { qkv, bias, out: layer(&part("out_proj"))? })
        };
        let ffn = |name: String| -> Result<FeedForward> {
            Ok(FeedForward {
                fc1: layer(&format!("{name}.fc1"))?,
                fc2: layer(&format!("{name}.fc2"))?,
            })
        };
        let ipa_layer = |i: usize| -> Result<IpaLayer> {
            let at = |rest: &str| format!("ipa_layers.{i}.{rest}");
            let maps = ["linear_q", "linear_kv", "linear_q_points", "linear_kv_points"];
            Ok(IpaLayer {
                modulation: layer(&at("adaLN_modulation.1"))?,
                norm_weight: get(&at("ipa_norm.weight"))?,
                norm_bias: get(&at("ipa_norm.bias"))?,
                projection: joint(&maps.map(|p| at(&format!("ipa.{p}"))))?,
                head_weights: get(&at("ipa.head_weights"))?,
                out: layer(&at("ipa.linear_out"))?,
                mha_l: attention(at("mha_l"))?,
                ffn: ffn(format!("ipa_layers.{i}"))?,
            })
        };
        let dit_layer = |i: usize| -> Result<DitLayer> {
            Ok(DitLayer {
                modulation: layer(&format!("layers.{i}.adaLN_modulation.1"))?,
                mha_l: attention(format!("layers.{i}.mha_l"))?,
                mha_t: attention(format!("layers.{i}.mha_t"))?,
                ffn: ffn(format!("layers.{i}"))?,
            })
        };
        let types = get("aatype_to_emb.weight")?;
        Ok(Self {
            dtype: types.dtype(),
            device: types.device().clone(),
            latent_to_emb: exact("latent_to_emb")?,
            cond_to_emb: exact("cond_to_emb")?,
            mask_to_emb: get("mask_to_emb.weight")?,
            aatype_to_emb: types,
            time: (exact("t_embedder.mlp.0")?, exact("t_embedder.mlp.2")?),
            temperature: match config.temperature {
                false => None,
                true => Some((
                    exact("temperature_embedder.mlp.0")?,
                    exact("temperature_embedder.mlp.2")?,
                )),
            },
            ipa_layers: (0..config.num_layers).map(ipa_layer).collect::<Result<_>>()?,
            layers: (0..config.num_layers).map(dit_layer).collect::<Result<_>>()?,
            head_modulation: layer("emb_to_latent.adaLN_modulation.1")?,
            head: exact("emb_to_latent.linear")?,
            memory: Memory::default(),
            config: config.clone(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Element type of the parameters.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the parameters are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Checks a condition and computes what does not depend on t. `frames` is the number of
    /// tokens per residue (the configuration's, unless a caller checks another layout).
    pub fn prepare(&self, condition: Condition, frames: usize, tap: &mut Tap) -> Result<Prepared> {
        let (p, t, l) = (condition.parents(), frames, condition.residues);
        check_condition(&condition, p, t, l)?;
        check_temperatures(condition.temperatures_kelvin.as_deref(), p, self.config.temperature)?;
        if self.config.abs_pos_emb && l != self.config.crop {
            return Err(SurrogateError::Input(format!(
                "this surrogate has fixed positions for {} residues, the chain has {l}",
                self.config.crop
            )));
        }
        let c = self.config.embed_dim;
        let cond = Tensor::from_vec(condition.x_cond.clone(), (p * t * l, LATENT), &self.device)?;
        let cond = self.cond_to_emb.apply(&cond.to_dtype(self.dtype)?)?;
        tap.note(|| "cond_to_emb".into(), &cond);
        let flags: Vec<u32> = condition.x_cond_mask.iter().map(|m| u32::from(*m)).collect();
        let flags = Tensor::from_vec(flags, p * t * l, &self.device)?;
        let flags = self.mask_to_emb.index_select(&flags, 0)?;
        tap.note(|| "mask_to_emb".into(), &flags);
        let mut tokens = add_shared(&cond, &flags, 1)?;
        if self.config.abs_pos_emb {
            let table = Tensor::from_vec(position_table(l, c), (1, l, c), &self.device)?;
            tokens = tokens
                .reshape((p * t, l, c))?
                .broadcast_add(&table.to_dtype(self.dtype)?)?
                .reshape((p * t * l, c))?;
        }
        let types = Tensor::from_slice(&condition.residue_types, p * l, &self.device)?;
        let residues = self.aatype_to_emb.index_select(&types, 0)?;
        let mask = condition.mask.clone().map(Arc::new);
        let kernel = IpaKernel {
            dims: (p, l),
            shape: self.config.ipa(),
            frames: condition.frames.clone(),
            mask: mask.clone(),
        };
        let token_mask = mask.map(|m| {
            let row = |i: usize| (0..t).flat_map(move |_| i * l..(i + 1) * l);
            Arc::new((0..p).flat_map(row).map(|i| m[i]).collect::<Vec<bool>>())
        });
        Ok(Prepared { condition, residues, tokens, kernel, token_mask })
    }

    /// Velocity at x `[P·n·T·L, 21]` (n children per parent, children of a parent adjacent) and
    /// times t: one for all, or one per sample (then n must be 1, and so it must where parents
    /// differ in temperature).
    pub fn velocity(
        &self,
        x: &Tensor,
        t: &[f64],
        prepared: &Prepared,
        tap: &mut Tap,
    ) -> Result<Tensor> {
        let (p, l) = (prepared.parents(), prepared.condition.residues);
        let frames = prepared.tokens.dim(0)? / (p * l);
        let (rows, _) = x.dims2()?;
        if !rows.is_multiple_of(p * frames * l) || !(t.len() == 1 || t.len() * frames * l == rows) {
            return Err(SurrogateError::Input(format!(
                "{rows} latent rows and {} times do not fit {p} conditions of {frames} frames and {l} residues",
                t.len()
            )));
        }
        let children = rows / (p * frames * l);
        let points = points(t, prepared.condition.temperatures_kelvin.as_deref());
        if points.len() > 1 && children > 1 {
            return Err(SurrogateError::Input(
                "children of one parent share one time and all parents one temperature".into(),
            ));
        }
        let mods = self.memory.at(&points, || self.modulations(&points))?;
        tap.note(|| "t_embedder".into(), &mods.time);
        let y = self.condition_stack(&mods, prepared, tap)?;
        self.denoise(x, &mods, &y, prepared, (p, children, frames, l), tap)
    }

    /// What depends on times and temperatures alone.
    fn modulations(&self, points: &[Point]) -> Result<Modulations> {
        let angles: Vec<f64> = points.iter().map(|p| 100.0 * p.time).collect();
        let time = self.embed(&self.time, &angles)?;
        let te = match &self.temperature {
            None => time.silu()?,
            Some(layers) => {
                let angles: Vec<f64> =
                    points.iter().map(|p| p.kelvin / KELVIN_PER_RADIAN).collect();
                (&time + self.embed(layers, &angles)?)?.silu()?
            }
        };
        Ok(Modulations {
            ipa: self.ipa_layers.iter().map(|l| l.modulation.apply(&te)).collect::<Result<_>>()?,
            dit: self.layers.iter().map(|l| l.modulation.apply(&te)).collect::<Result<_>>()?,
            head: self.head_modulation.apply(&te)?,
            time,
        })
    }

    /// cos and sin of angles, and of them slowed down, through a two-layer perceptron, `[n, C]`.
    fn embed(&self, layers: &(Linear, Linear), angles: &[f64]) -> Result<Tensor> {
        let half = 128;
        let mut features = Vec::with_capacity(angles.len() * 2 * half);
        for a in angles {
            let angle = |k: usize| a * (-(10_000f64.ln()) * k as f64 / half as f64).exp();
            features.extend((0..half).map(|k| angle(k).cos()));
            features.extend((0..half).map(|k| angle(k).sin()));
        }
        let x = Tensor::from_vec(features, (angles.len(), 2 * half), &self.device)?
            .to_dtype(self.dtype)?;
        layers.1.apply(&layers.0.apply(&x)?.silu()?)
    }

    /// The conditioning stack, `[P·L, C]`: once per parent and time (METHOD 5.1).
    fn condition_stack(
        &self,
        mods: &Modulations,
        prepared: &Prepared,
        tap: &mut Tap,
    ) -> Result<Tensor> {
        let mut y = prepared.residues.clone();
        let mask = prepared.kernel.mask.clone();
        let (p, l) = prepared.kernel.dims;
        let how =
            Attention { dims: (p, 1, l), heads: self.config.mha_heads, axis: Axis::Residues, mask };
        for (i, (layer, mods)) in self.ipa_layers.iter().zip(&mods.ipa).enumerate() {
            let at = |rest: &'static str| move || format!("ipa_layers.{i}{rest}");
            tap.note(at(".adaLN_modulation"), mods);
            let normed = affine_norm(&y, &layer.norm_weight, &layer.norm_bias, IPA_EPS)?;
            tap.note(at(".ipa_norm"), &normed);
            let points =
                prepared.kernel.forward(&layer.projection.apply(&normed)?, &layer.head_weights)?;
            let points = layer.out.apply(&points)?;
            tap.note(at(".ipa"), &points);
            y = add_shared(&y, &points, 1)?;
            let normed = modulated_norm(&y, mods, Modulation { shift: 0, scale: 1, eps: EPS })?;
            let heads = layer.mha_l.heads(&normed, &how)?;
            y = tap.gated(at(".mha_l"), &layer.mha_l.out, &heads, &y, (mods, 2))?;
            let normed = modulated_norm(&y, mods, Modulation { shift: 3, scale: 4, eps: EPS })?;
            y = tap.fed_forward(at(".fc2"), &layer.ffn, &normed, &y, (mods, 5))?;
            tap.note(at(""), &y);
        }
        Ok(y)
    }

    fn denoise(
        &self,
        x: &Tensor,
        mods: &Modulations,
        y: &Tensor,
        prepared: &Prepared,
        (p, n, t, l): (usize, usize, usize, usize),
        tap: &mut Tap,
    ) -> Result<Tensor> {
        let b = p * n;
        let embedded = self.latent_to_emb.apply(x)?;
        tap.note(|| "latent_to_emb".into(), &embedded);
        // Condition tokens [P, T, L, C] + conditioning stack [P, 1, L, C], shared by n children.
        let context = add_shared(&prepared.tokens, y, p)?;
        let mut h = add_shared(&embedded, &context, p)?;
        let mask = prepared.token_mask.as_ref().map(|m| {
            let row = |i: usize| (0..n).flat_map(move |_| i * t * l..(i + 1) * t * l);
            Arc::new((0..p).flat_map(row).map(|i| m[i]).collect::<Vec<bool>>())
        });
        let heads = self.config.mha_heads;
        let over = |axis| Attention { dims: (b, t, l), heads, axis, mask: mask.clone() };
        for (i, (layer, mods)) in self.layers.iter().zip(&mods.dit).enumerate() {
            let at = |rest: &'static str| move || format!("layers.{i}{rest}");
            tap.note(at(".adaLN_modulation"), mods);
            let normed = modulated_norm(&h, mods, Modulation { shift: 0, scale: 1, eps: EPS })?;
            let heads = layer.mha_l.heads(&normed, &over(Axis::Residues))?;
            h = tap.gated(at(".mha_l"), &layer.mha_l.out, &heads, &h, (mods, 2))?;
            let normed = modulated_norm(&h, mods, Modulation { shift: 3, scale: 4, eps: EPS })?;
            let heads = layer.mha_t.heads(&normed, &over(Axis::Frames))?;
            h = tap.gated(at(".mha_t"), &layer.mha_t.out, &heads, &h, (mods, 5))?;
            let normed = modulated_norm(&h, mods, Modulation { shift: 6, scale: 7, eps: EPS })?;
            h = tap.fed_forward(at(".fc2"), &layer.ffn, &normed, &h, (mods, 8))?;
            tap.note(at(""), &h);
        }
        tap.note(|| "emb_to_latent.adaLN_modulation".into(), &mods.head);
        let normed = modulated_norm(&h, &mods.head, Modulation { shift: 0, scale: 1, eps: EPS })?;
        let v = self.head.apply(&normed)?;
        tap.note(|| "emb_to_latent".into(), &v);
        Ok(v)
    }
}

fn check_condition(c: &Condition, p: usize, t: usize, l: usize) -> Result<()> {
    let bad = |what: &str, got: usize, want: usize| {
        Err(SurrogateError::Input(format!("{what} has {got} entries, expected {want}")))
    };
    if p == 0 || l == 0 {
        return Err(SurrogateError::Input("an empty chain".into()));
    }
    if c.residue_types.len() != p * l {
        return bad("residue_types", c.residue_types.len(), p * l);
    }
    if c.frames.len() != p * l {
        return bad("frames", c.frames.len(), p * l);
    }
    if c.x_cond.len() != p * t * l * LATENT {
        return bad("x_cond", c.x_cond.len(), p * t * l * LATENT);
    }
    if c.x_cond_mask.len() != p * t * l {
        return bad("x_cond_mask", c.x_cond_mask.len(), p * t * l);
    }
    if c.mask.as_ref().is_some_and(|m| m.len() != p * l) {
        return bad("mask", c.mask.as_ref().map_or(0, Vec::len), p * l);
    }
    if let Some(i) = c.residue_types.iter().position(|a| *a > 20) {
        return Err(SurrogateError::Input(format!("residue {i} has type {}", c.residue_types[i])));
    }
    let finite = |f: &([f64; 9], [f64; 3])| f.0.iter().chain(&f.1).all(|v| v.is_finite());
    if let Some(i) = c.frames.iter().position(|f| !finite(f)) {
        return Err(SurrogateError::Input(format!("the frame of residue {i} is not finite")));
    }
    if !c.x_cond.iter().all(|v| v.is_finite()) {
        return Err(SurrogateError::Input("x_cond is not finite".into()));
    }
    Ok(())
}

/// Temperatures are there exactly where the network takes them, and are temperatures.
fn check_temperatures(kelvin: Option<&[f64]>, p: usize, wanted: bool) -> Result<()> {
    let bad = |message: String| Err(SurrogateError::Input(message));
    match kelvin {
        None if wanted => bad("this surrogate takes a temperature, and none was given".into()),
        Some(_) if !wanted => bad("this surrogate has no temperature input".into()),
        Some(all) if all.len() != p => {
            bad(format!("{} temperatures for {p} conditions", all.len()))
        }
        Some(all) => match all.iter().find(|k| !(k.is_finite() && **k > 0.0)) {
            Some(k) => bad(format!("a temperature of {k} K")),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

/// Fixed positions, all sines first (METHOD 3), `[l, c]`.
fn position_table(l: usize, c: usize) -> Vec<f64> {
    let half = c / 2;
    let angle = |p: usize, k: usize| p as f64 * 10_000f64.powf(-(k as f64) / half as f64);
    (0..l)
        .flat_map(|p| {
            let sines = (0..half).map(move |k| angle(p, k).sin());
            sines.chain((0..half).map(move |k| angle(p, k).cos()))
        })
        .collect()
}
