//! The parameters by name: which exist for a configuration (the names are MDGen's and so the
//! checkpoint format, METHOD 3.7), how they start (METHOD 3.6), and the exact recipe of the
//! parity fixtures.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use marsfm_geometry::LATENT;

use crate::{NetworkConfig, SurrogateError};

/// Named parameter values, row-major f32.
pub type Values = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Named parameters as tensors.
pub type Tensors = BTreeMap<String, Tensor>;

/// Every parameter of a network of this configuration, in name order.
pub fn shapes(config: &NetworkConfig) -> BTreeMap<String, Vec<usize>> {
    let c = config.embed_dim;
    let mut all = BTreeMap::new();
    let mut put = |name: String, shape: &[usize]| {
        all.insert(name, shape.to_vec());
    };
    let mut linear = |name: &str, n_out: usize, n_in: usize| {
        put(format!("{name}.weight"), &[n_out, n_in]);
        put(format!("{name}.bias"), &[n_out]);
    };
    linear("latent_to_emb", c, LATENT);
    linear("cond_to_emb", c, LATENT);
    linear("t_embedder.mlp.0", c, 256);
    linear("t_embedder.mlp.2", c, c);
    if config.temperature {
        linear("temperature_embedder.mlp.0", c, 256);
        linear("temperature_embedder.mlp.2", c, c);
    }
    linear("emb_to_latent.adaLN_modulation.1", 2 * c, c);
    linear("emb_to_latent.linear", LATENT, c);
    let ipa = config.ipa();
    let (h, ch, pq, pv) = (ipa.heads, ipa.channels, ipa.query_points, ipa.value_points);
    for i in 0..config.num_layers {
        let block = |rest: &str| format!("ipa_layers.{i}.{rest}");
        linear(&block("adaLN_modulation.1"), 6 * c, c);
        linear(&block("ipa.linear_q"), h * ch, c);
        linear(&block("ipa.linear_kv"), 2 * h * ch, c);
        linear(&block("ipa.linear_q_points"), 3 * h * pq, c);
        linear(&block("ipa.linear_kv_points"), 3 * h * (pq + pv), c);
        linear(&block("ipa.linear_out"), c, ipa.output());
        linear(&format!("layers.{i}.adaLN_modulation.1"), 9 * c, c);
        for (stack, attention) in
            [("ipa_layers", "mha_l"), ("layers", "mha_l"), ("layers", "mha_t")]
        {
            for which in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                linear(&format!("{stack}.{i}.{attention}.attn.{which}"), c, c);
            }
        }
        for stack in ["ipa_layers", "layers"] {
            linear(&format!("{stack}.{i}.fc1"), 4 * c, c);
            linear(&format!("{stack}.{i}.fc2"), c, 4 * c);
        }
    }
    put("mask_to_emb.weight".into(), &[2, c]);
    put("aatype_to_emb.weight".into(), &[21, c]);
    for i in 0..config.num_layers {
        put(format!("ipa_layers.{i}.ipa_norm.weight"), &[c]);
        put(format!("ipa_layers.{i}.ipa_norm.bias"), &[c]);
        put(format!("ipa_layers.{i}.ipa.head_weights"), &[h]);
        for (stack, attention) in
            [("ipa_layers", "mha_l"), ("layers", "mha_l"), ("layers", "mha_t")]
        {
            for which in ["bias_k", "bias_v"] {
                put(format!("{stack}.{i}.{attention}.attn.{which}"), &[1, 1, c]);
            }
        }
    }
    all
}

/// Fresh parameters (METHOD 3.6). The velocity of a fresh network is exactly 0; its temperature says
/// nothing yet.
pub fn initial(config: &NetworkConfig, rng_seed: u64) -> Values {
    let value_of = |(index, (name, shape)): (usize, (String, Vec<usize>))| {
        let mut rng = ChaCha8Rng::seed_from_u64(rng_seed);
        rng.set_stream(index as u64);
        let n: usize = shape.iter().product();
        let normal = |rng: &mut ChaCha8Rng, sd: f64| -> Vec<f32> {
            let draw = |_| -> f32 {
                let z: f64 = StandardNormal.sample(rng);
                (sd * z) as f32
            };
            (0..n).map(draw).collect()
        };
        let zero = name.starts_with("emb_to_latent.")
            || name.contains("ipa.linear_out")
            || name.starts_with("temperature_embedder.mlp.2.")
            || (name.starts_with("layers.") && name.contains("adaLN_modulation"));
        let values = if zero {
            vec![0.0; n]
        } else if name.ends_with("head_weights") {
            vec![0.541_324_85; n]
        } else if name.ends_with("ipa_norm.weight") {
            vec![1.0; n]
        } else if name.ends_with("_to_emb.weight")
            && !name.starts_with("latent")
            && !name.starts_with("cond")
        {
            normal(&mut rng, 1.0)
        } else if name.ends_with("bias_k") || name.ends_with("bias_v") {
            // Xavier normal of a [1, 1, C] tensor: fan_in = fan_out = C.
            normal(&mut rng, (2.0 / (2.0 * n as f64)).sqrt())
        } else if name.ends_with("bias") {
            vec![0.0; n]
        } else if name.starts_with("t_embedder") || name.starts_with("temperature_embedder") {
            normal(&mut rng, 0.02)
        } else {
            let bound = (6.0 / (shape[0] + shape[1]) as f64).sqrt();
            (0..n).map(|_| (bound * rng.random_range(-1.0..1.0)) as f32).collect()
        };
        (name, (shape, values))
    };
    shapes(config).into_iter().enumerate().map(value_of).collect()
}

/// The parameters of the parity fixtures: a hash of `seed:name` starts a splitmix64 stream
/// (`fixtures/README.md`, "Weight recipe").
pub fn from_recipe(config: &NetworkConfig, seed: &str) -> Values {
    let value_of = |(name, shape): (String, Vec<usize>)| {
        let hash = format!("{seed}:{name}").bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
        });
        let draw = |k: u64| {
            let mut z = hash.wrapping_add((k + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            2.0 * ((z >> 11) as f64 / (1u64 << 53) as f64) - 1.0
        };
        let one = |r: f64| -> f64 {
            if name.ends_with("head_weights") {
                0.541_324_854_612_918 + 0.3 * r
            } else if name.ends_with("ipa_norm.weight") {
                1.0 + 0.2 * r
            } else if ["aatype_to_emb.weight", "mask_to_emb.weight"].contains(&name.as_str())
                || name.ends_with("bias_k")
                || name.ends_with("bias_v")
            {
                0.5 * r
            } else if shape.len() == 1 {
                0.1 * r
            } else {
                let gain = if name.contains("adaLN_modulation") { 0.5 } else { 1.0 };
                gain * (3.0 / shape[1] as f64).sqrt() * r
            }
        };
        let n: usize = shape.iter().product();
        let values = (0..n as u64).map(|k| one(draw(k)) as f32).collect();
        (name.clone(), (shape, values))
    };
    shapes(config).into_iter().map(value_of).collect()
}

/// Checks names and shapes against the configuration: missing, extra and misshapen parameters and
/// values that are not finite are named.
pub fn check(config: &NetworkConfig, values: &Values) -> Result<(), String> {
    let expected = shapes(config);
    if let Some(name) = expected.keys().find(|n| !values.contains_key(*n)) {
        return Err(format!("parameter {name} is missing"));
    }
    for (name, (shape, data)) in values {
        match expected.get(name) {
            None => return Err(format!("parameter {name} does not belong to this network")),
            Some(e) if e != shape => {
                return Err(format!("parameter {name} has shape {shape:?}, expected {e:?}"));
            }
            Some(_) => {}
        }
        if let Some(i) = data.iter().position(|v| !v.is_finite()) {
            return Err(format!("parameter {name}, element {i} is {}", data[i]));
        }
    }
    Ok(())
}

/// Uploads values as tensors of the given type.
pub fn tensors(values: &Values, dtype: DType, device: &Device) -> Result<Tensors, SurrogateError> {
    values
        .iter()
        .map(|(name, (shape, data))| {
            let t = Tensor::from_slice(data, shape.as_slice(), device)?.to_dtype(dtype)?;
            Ok((name.clone(), t))
        })
        .collect()
}

/// Values as tensors of single precision, without a copy on the CPU.
pub fn into_tensors(values: Values, device: &Device) -> Result<Tensors, SurrogateError> {
    let one = |(name, (shape, data)): (String, (Vec<usize>, Vec<f32>))| {
        Ok((name, Tensor::from_vec(data, shape, device)?))
    };
    values.into_iter().map(one).collect()
}
