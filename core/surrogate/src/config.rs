//! Sizes and layout of the network (METHOD 3, defaults of MDGen's `parsing.py`).

use serde::{Deserialize, Serialize};

use crate::SurrogateError;
use crate::kernels::IpaShape;

/// The probability path between noise (t = 0) and data (t = 1), METHOD 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// α = sin(πt/2), σ = cos(πt/2).
    Gvp,
    /// α = t, σ = 1 − t.
    Linear,
}

/// How the frames of one call are laid out (METHOD 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One token per residue: the target; the condition enters through `x_cond`.
    T1,
    /// Two tokens per residue: the condition (frame 0) and the target (frame 1).
    T2,
    /// MDGen: `frames` consecutive frames, frame 0 the condition.
    MdGen,
}

/// What the condition holds where a chain has no torsion: pre-omega and phi of the first residue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskedTorsions {
    /// Zero.
    #[default]
    Clean,
    /// What the reference code computes there (METHOD 2.2), for checkpoints trained by it.
    Upstream,
}

/// Everything that decides shapes and meaning of the parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Width C of every token.
    pub embed_dim: usize,
    /// Conditioning (IPA) layers and denoising (DiT) layers, each this many.
    pub num_layers: usize,
    /// Attention heads; C must be an even multiple.
    pub mha_heads: usize,
    /// Point-attention heads.
    pub ipa_heads: usize,
    /// Scalar channels per point-attention head.
    pub ipa_head_dim: usize,
    /// Query points per point-attention head.
    pub ipa_qk: usize,
    /// Value points per point-attention head.
    pub ipa_v: usize,
    /// Layout of one call.
    pub layout: Layout,
    /// Frames T of one call: 1 for T1, 2 for T2, K for MDGen.
    pub frames: usize,
    /// Fixed sin/cos residue positions, for chains of exactly `crop` residues.
    #[serde(default)]
    pub abs_pos_emb: bool,
    /// Residues the fixed positions are made for.
    #[serde(default)]
    pub crop: usize,
    /// Probability path.
    pub path: Path,
    /// Undefined torsions of the condition.
    #[serde(default, skip_serializing_if = "is_default")]
    pub masked_torsions: MaskedTorsions,
    /// Shorter chains are padded to so many residues, as the reference does in training; the
    /// learned bias key then stands behind the padding (METHOD 3.3). 0: never, chains go in as
    /// long as they are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padded_residues: usize,
    /// The temperature of the simulation is an input, embedded beside the time and seen by every
    /// modulation. MDGen has none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub temperature: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl NetworkConfig {
    /// MDGen's full configuration (34.15 M parameters) with one target token.
    pub fn full() -> Self {
        Self {
            embed_dim: 384,
            num_layers: 5,
            mha_heads: 16,
            ipa_heads: 4,
            ipa_head_dim: 32,
            ipa_qk: 8,
            ipa_v: 8,
            layout: Layout::T1,
            frames: 1,
            abs_pos_emb: false,
            crop: 0,
            path: Path::Gvp,
            masked_torsions: MaskedTorsions::Clean,
            padded_residues: 0,
            temperature: false,
        }
    }

    /// Refuses sizes that no network can have, before anything is allocated.
    pub fn check(&self) -> Result<(), SurrogateError> {
        let bad = |why: String| Err(SurrogateError::Config(why));
        let positive = [
            ("embed_dim", self.embed_dim, 4096),
            ("num_layers", self.num_layers, 64),
            ("mha_heads", self.mha_heads, 256),
            ("ipa_heads", self.ipa_heads, 64),
            ("ipa_head_dim", self.ipa_head_dim, 512),
            ("ipa_qk", self.ipa_qk, 64),
            ("ipa_v", self.ipa_v, 64),
            ("frames", self.frames, 10_000),
        ];
        for (name, value, most) in positive {
            if value == 0 || value > most {
                return bad(format!("{name} = {value} is outside 1..={most}"));
            }
        }
        if !self.embed_dim.is_multiple_of(2 * self.mha_heads) {
            return bad(format!(
                "embed_dim = {} is not an even multiple of mha_heads = {}",
                self.embed_dim, self.mha_heads
            ));
        }
        match (self.layout, self.frames) {
            (Layout::T1, 1) | (Layout::T2, 2) => {}
            (Layout::MdGen, 2..) => {}
            (layout, frames) => {
                return bad(format!("layout {layout:?} does not have frames = {frames}"));
            }
        }
        if self.padded_residues > 10_000 {
            return bad(format!("padded_residues = {} is more than 10000", self.padded_residues));
        }
        if self.abs_pos_emb && self.crop == 0 {
            return bad("abs_pos_emb needs crop, the chain length it is made for".into());
        }
        Ok(())
    }

    pub(crate) fn ipa(&self) -> IpaShape {
        IpaShape {
            heads: self.ipa_heads,
            channels: self.ipa_head_dim,
            query_points: self.ipa_qk,
            value_points: self.ipa_v,
        }
    }
}
