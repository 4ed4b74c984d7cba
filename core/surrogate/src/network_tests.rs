//! The whole network as another device computes it (nothing fused) against the fused one, on the
//! CPU: velocity and the gradient of every parameter.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use marsfm_geometry::LATENT;

use crate::kernels::composed;
use crate::{Condition, Layout, Learner, Network, NetworkConfig, Precision, Tap, params};

/// Two chains of five residues, the second one residue shorter.
fn condition(frames: usize) -> Condition {
    let wave = |k: usize| (0.37 * k as f64).sin();
    let frame = |i: usize| {
        let (s, c) = (i as f64).sin_cos();
        ([c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0], [3.8 * i as f64, wave(i), -wave(3 * i)])
    };
    Condition {
        residues: 5,
        frames: Arc::new((0..10).map(frame).collect()),
        residue_types: (0..10).map(|i| i % 20).collect(),
        x_cond: (0..10 * frames * LATENT).map(wave).collect(),
        x_cond_mask: (0..10 * frames).map(|i| i / 5 % frames == 0).collect(),
        mask: Some((0..10).map(|i| i != 9).collect()),
        temperatures_kelvin: None,
    }
}

/// The velocity of a network at some times and temperatures.
fn velocity(network: &Network, t: &[f64], kelvin: Option<[f64; 2]>) -> Tensor {
    let (frames, dtype) = (network.config().frames, network.dtype());
    let rows = 10 * frames;
    let x: Vec<f64> = (0..rows * LATENT).map(|k| (0.11 * k as f64).cos()).collect();
    let x = Tensor::from_vec(x, (rows, LATENT), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    let condition = Condition { temperatures_kelvin: kelvin.map(Vec::from), ..condition(frames) };
    let prepared = network.prepare(condition, frames, &mut Tap::default()).unwrap();
    network.velocity(&x, t, &prepared, &mut Tap::default()).unwrap()
}

fn run(config: &NetworkConfig, dtype: DType) -> (Vec<f64>, BTreeMap<String, Vec<f64>>) {
    let values = params::from_recipe(config, "devices");
    let tensors = params::tensors(&values, dtype, &Device::Cpu).unwrap();
    let vars: BTreeMap<String, Var> =
        tensors.iter().map(|(n, t)| (n.clone(), Var::from_tensor(t).unwrap())).collect();
    let tensors = vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
    let kelvin = config.temperature.then_some([320.0, 450.0]);
    let v = velocity(&Network::new(config, &tensors).unwrap(), &[0.3, 0.8], kelvin);
    let store = v.sqr().unwrap().mean_all().unwrap().backward().unwrap();
    let wide = |t: &Tensor| -> Vec<f64> {
        t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let gradients = vars.iter().map(|(n, v)| {
        let g = store.get(v.as_tensor()).unwrap_or_else(|| panic!("{n} got no gradient"));
        (n.clone(), wide(g))
    });
    (wide(&v), gradients.collect())
}

/// The same by a network whose layers keep their own gradients, and the parameters it gives back.
fn learned(config: &NetworkConfig) -> (Vec<f64>, BTreeMap<String, Vec<f64>>, params::Values) {
    let values = params::from_recipe(config, "devices");
    let learner = Learner::new(config, values, DType::F32, &Device::Cpu, Precision::F32).unwrap();
    let kelvin = config.temperature.then_some([320.0, 450.0]);
    let v = velocity(learner.network(), &[0.3, 0.8], kelvin);
    let gradients = learner.gradients::<f32>(&v.sqr().unwrap().mean_all().unwrap()).unwrap();
    let wide = |g: Vec<f32>| g.into_iter().map(f64::from).collect();
    let v = wide(v.flatten_all().unwrap().to_vec1().unwrap());
    let gradients = gradients.into_iter().map(|(n, g)| (n, wide(g))).collect();
    (v, gradients, learner.into_values())
}

#[test]
fn a_learner_computes_and_learns_what_the_network_does() {
    for temperature in [false, true] {
        let config = NetworkConfig { temperature, ..small() };
        let (v, gradients, values) = learned(&config);
        let plain = run(&config, DType::F32);
        assert!(apart(&v, &plain.0) < 2e-5);
        assert!(gradients.keys().eq(plain.1.keys()), "every parameter has a gradient");
        for (name, g) in &gradients {
            let g = apart(g, &plain.1[name]);
            assert!(g < 2e-4, "{name} {g:.1e}");
        }
        assert_eq!(values, params::from_recipe(&config, "devices"));
    }
}

/// Largest difference, as a share of the largest number.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = a.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    a.iter().zip(b).fold(0.0f64, |m, (x, y)| m.max((x - y).abs())) / scale
}

fn small() -> NetworkConfig {
    NetworkConfig {
        embed_dim: 16,
        num_layers: 2,
        mha_heads: 2,
        ipa_heads: 2,
        ipa_head_dim: 4,
        ipa_qk: 2,
        ipa_v: 3,
        ..NetworkConfig::full()
    }
}

#[test]
fn the_network_of_other_devices_is_the_fused_one() {
    let cases = [
        (Layout::T1, 1, false),
        (Layout::T1, 1, true),
        (Layout::T2, 2, false),
        (Layout::MdGen, 3, false),
    ];
    for (layout, frames, temperature) in cases {
        let config = NetworkConfig { layout, frames, temperature, ..small() };
        // The tensor library's erf is good to 1e-7 even in double precision.
        for (dtype, tolerance) in [(DType::F64, 1e-6), (DType::F32, 2e-5)] {
            let fused = run(&config, dtype);
            let plain = composed(|| run(&config, dtype));
            let v = apart(&fused.0, &plain.0);
            assert!(v < tolerance, "{layout:?} {dtype:?}: velocity {v:.1e}");
            assert!(fused.0.iter().all(|v| v.is_finite()));
            for (name, g) in &fused.1 {
                let g = apart(g, &plain.1[name]);
                assert!(g < 10.0 * tolerance, "{layout:?} {dtype:?}: {name} {g:.1e}");
            }
        }
    }
}
