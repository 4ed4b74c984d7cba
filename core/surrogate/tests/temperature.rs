//! Temperature as an input of the network: its gradients, what it changes, and where it is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use marsfm_geometry::LATENT;
use marsfm_surrogate::candle_core::{DType, Device, Tensor, Var};
use marsfm_surrogate::{Condition, Network, NetworkConfig, Tap, params};

fn small(temperature: bool) -> NetworkConfig {
    NetworkConfig {
        embed_dim: 16,
        num_layers: 2,
        mha_heads: 2,
        ipa_heads: 2,
        ipa_head_dim: 4,
        ipa_qk: 2,
        ipa_v: 3,
        temperature,
        ..NetworkConfig::full()
    }
}

/// Two chains of five residues.
fn condition(temperatures_kelvin: Option<Vec<f64>>) -> Condition {
    let wave = |k: usize| (0.37 * k as f64).sin();
    let frame = |i: usize| {
        let (s, c) = (i as f64).sin_cos();
        ([c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0], [3.8 * i as f64, wave(i), -wave(3 * i)])
    };
    Condition {
        residues: 5,
        frames: Arc::new((0..10).map(frame).collect()),
        residue_types: (0..10).collect(),
        x_cond: (0..10 * LATENT).map(wave).collect(),
        x_cond_mask: vec![true; 10],
        mask: None,
        temperatures_kelvin,
    }
}

fn tensors(values: &params::Values) -> params::Tensors {
    params::tensors(values, DType::F64, &Device::Cpu).unwrap()
}

/// The velocity of both chains in double precision, at a time for each or one for both.
fn velocity(
    config: &NetworkConfig,
    tensors: &params::Tensors,
    t: &[f64],
    kelvin: Option<[f64; 2]>,
) -> Tensor {
    let network = Network::new(config, tensors).unwrap();
    let x: Vec<f64> = (0..10 * LATENT).map(|k| (0.11 * k as f64).cos()).collect();
    let x = Tensor::from_vec(x, (10, LATENT), &Device::Cpu).unwrap();
    let prepared = network.prepare(condition(kelvin.map(Vec::from)), 1, &mut Tap::default());
    network.velocity(&x, t, &prepared.unwrap(), &mut Tap::default()).unwrap()
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest difference, as a share of the largest number.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = a.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    a.iter().zip(b).fold(0.0f64, |m, (x, y)| m.max((x - y).abs())) / scale
}

/// The slope of the mean square velocity with single numbers of the temperature embedding, by
/// differences in double precision, two samples at two temperatures.
#[test]
fn the_gradients_of_the_temperature_embedding_are_slopes() {
    let config = small(true);
    let tensors = tensors(&params::from_recipe(&config, "temperature"));
    let square = |tensors: &params::Tensors| -> Tensor {
        let v = velocity(&config, tensors, &[0.3, 0.8], Some([320.0, 450.0]));
        v.sqr().unwrap().mean_all().unwrap()
    };
    let vars: BTreeMap<&String, Var> =
        tensors.iter().map(|(n, t)| (n, Var::from_tensor(t).unwrap())).collect();
    let tracked = vars.iter().map(|(n, v)| (n.to_string(), v.as_tensor().clone())).collect();
    let store = square(&tracked).backward().unwrap();
    let own: Vec<&String> = tensors.keys().filter(|n| n.starts_with("temperature")).collect();
    assert_eq!(own.len(), 4);
    for name in own {
        let gradient = numbers(store.get(vars[name].as_tensor()).expect("a gradient"));
        let scale = gradient.iter().fold(0.0f64, |m, g| m.max(g.abs()));
        assert!(scale > 1e-5, "{name}: {scale}");
        let n = gradient.len();
        for k in (0..n).step_by(n.div_ceil(12)) {
            let moved = |by: f64| -> f64 {
                let mut all = numbers(&tensors[name]);
                all[k] += by;
                let moved = Tensor::from_vec(all, tensors[name].shape(), &Device::Cpu).unwrap();
                let mut tensors = tensors.clone();
                tensors.insert(name.clone(), moved);
                square(&tensors).to_scalar().unwrap()
            };
            let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
            let apart = (slope - gradient[k]).abs() / scale;
            assert!(apart < 1e-5, "{name}[{k}]: {slope} by differences, {}", gradient[k]);
        }
    }
}

#[test]
fn a_temperature_changes_the_velocity_smoothly_once_it_says_something() {
    let config = small(true);
    let mut values = params::from_recipe(&config, "temperature");
    let at = |values: &params::Values, kelvin: [f64; 2]| {
        numbers(&velocity(&config, &tensors(values), &[0.3], Some(kelvin)))
    };
    // Where two samples differ in temperature, each has the velocity of its own.
    let (cold, hot) = (at(&values, [350.0, 350.0]), at(&values, [400.0, 400.0]));
    let (mixed, half) = (at(&values, [350.0, 400.0]), cold.len() / 2);
    assert!(apart(&mixed[..half], &cold[..half]) < 1e-12);
    assert!(apart(&mixed[half..], &hot[half..]) < 1e-12);
    assert!(apart(&cold, &hot) > 1e-3);
    let near = apart(&cold, &at(&values, [350.001, 350.001]));
    assert!(near > 0.0 && near < 1e-4, "{near}");
    // As a run starts, the embedding is zero: the network without a temperature, to the bit.
    for (name, value) in params::initial(&config, 1) {
        if name.starts_with("temperature") {
            values.insert(name, value);
        }
    }
    let without = small(false);
    let plain = tensors(&params::from_recipe(&without, "temperature"));
    let plain = numbers(&velocity(&without, &plain, &[0.3], None));
    assert_eq!(at(&values, [320.0, 320.0]), plain);
    assert!(apart(&at(&values, [320.0, 450.0]), &plain) < 1e-12);
}

#[test]
fn a_temperature_is_given_exactly_where_the_network_takes_one() {
    let refused = |temperature: bool, kelvin: Option<Vec<f64>>| -> String {
        let config = small(temperature);
        let network = Network::new(&config, &tensors(&params::initial(&config, 1))).unwrap();
        let answer = network.prepare(condition(kelvin), 1, &mut Tap::default());
        answer.err().expect("an error").to_string()
    };
    assert!(refused(true, None).contains("takes a temperature"));
    assert!(refused(false, Some(vec![300.0; 2])).contains("no temperature input"));
    assert!(refused(true, Some(vec![300.0])).contains("1 temperatures for 2"));
    assert!(refused(true, Some(vec![300.0, -1.0])).contains("-1 K"));
    assert!(refused(true, Some(vec![f64::NAN, 300.0])).contains("NaN"));
}
