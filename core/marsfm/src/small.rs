//! A surrogate of one system, small enough to be trained in minutes on two cores.

use marsfm_surrogate::{NetworkConfig, OptimiserConfig};

/// Residues in one training step.
const TOKENS: usize = 512;

/// Its network.
pub(crate) fn network() -> NetworkConfig {
    NetworkConfig {
        embed_dim: 64,
        num_layers: 3,
        mha_heads: 4,
        ipa_heads: 4,
        ipa_head_dim: 16,
        ipa_qk: 4,
        ipa_v: 4,
        ..NetworkConfig::full()
    }
}

/// How it is trained.
pub(crate) fn optimiser() -> OptimiserConfig {
    OptimiserConfig {
        learning_rate: 2e-3,
        warmup_steps: 100,
        final_fraction: 0.02,
        ema_decay: 0.99,
        ..OptimiserConfig::default()
    }
}

/// Longest stretch of residues in a sample.
pub(crate) fn crop(residues: usize) -> usize {
    residues.min(128)
}

/// Samples per step, for samples of so many residues.
pub(crate) fn batch(crop: usize) -> usize {
    (TOKENS / crop.max(1)).clamp(4, 128)
}
