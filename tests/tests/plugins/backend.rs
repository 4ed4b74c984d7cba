//! The compute backend through its door: the plugin's CPU build gives what this process gives, to
//! the bit, so the CUDA build differs from it by the card alone; and what is refused, and how.

use crate::support::{error, library, release, xtc_library};
use marsfm::surrogate::card::{Domain, FORMAT, ModelCard, RESIDUE_TABLE};
use marsfm::surrogate::checkpoint::{self, Storage};
use marsfm::surrogate::{
    Batch, Condition, JumpRequest, Layout, NetworkConfig, Solver, Surrogate, params,
};
use marsfm::{Device, Host};
use marsfm_geometry::{Conformation, LATENT, ResidueType, build};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A host with the CPU build alone.
fn host() -> Host {
    let mut host = Host::new();
    host.load(library("backend_cpu")).expect("the CPU build of the backend loads");
    host
}

fn elsewhere() -> Device {
    "cpu-plugin".parse().unwrap()
}

fn network(layout: Layout, frames: usize) -> NetworkConfig {
    NetworkConfig {
        embed_dim: 32,
        num_layers: 2,
        mha_heads: 4,
        layout,
        frames,
        ..NetworkConfig::full()
    }
}

/// A checkpoint file of a network with arbitrary weights.
fn model(folder: &Path, network: &NetworkConfig) -> PathBuf {
    let card = ModelCard {
        format: FORMAT,
        residue_table: RESIDUE_TABLE.into(),
        network: network.clone(),
        domain: Domain {
            lag_ps: 10.0,
            temperature_kelvin: 300.0,
            temperatures_kelvin: Vec::new(),
            force_field: "none".into(),
            solvent: "none".into(),
            termini: "charged".into(),
            residues: (1, 100),
            residue_counts: Default::default(),
        },
        training: None,
        notes: vec![],
    };
    let values = params::from_recipe(network, "door");
    let path = folder.join("model.safetensors");
    std::fs::write(&path, checkpoint::encode(&card, &values, Storage::F32).unwrap()).unwrap();
    path
}

fn chain(psi: f64) -> (Vec<ResidueType>, Conformation<f32>) {
    let types = "AQLWK".chars().map(|l| ResidueType::from_letter(l).unwrap()).collect();
    let angles: Vec<[f64; 2]> = (0..5).map(|i| [-90.0, psi + 7.0 * f64::from(i)]).collect();
    (types, build::chain("AQLWK", &angles).unwrap().conformation)
}

#[test]
fn draws_through_the_door_are_this_processes_own_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let host = host();
    let ((types, first), (_, second)) = (chain(120.0), chain(-40.0));
    let starts = [first, second];
    for (layout, frames) in [(Layout::T1, 1), (Layout::T2, 2), (Layout::MdGen, 4)] {
        let path = model(folder.path(), &network(layout, frames));
        let here = Surrogate::load(&path).unwrap();
        let there = host.surrogate(&path, &elsewhere()).unwrap();
        assert_eq!((here.backend().device(), there.backend().device()), ("cpu", "cpu-plugin"));
        assert_eq!((here.sha256(), here.card()), (there.sha256(), there.card()));
        assert_eq!(here.draws_per_call(5, frames), there.draws_per_call(5, frames));
        for solver in
            [Solver::Midpoint { steps: 3 }, Solver::Dopri5Batch { rtol: 1e-2, atol: 1e-3 }]
        {
            let request = JumpRequest {
                types: &types,
                starts: &starts,
                children: 3,
                rng_seed: 11,
                first_id: 40,
                solver,
            };
            let draw = |s: &Surrogate| match layout {
                Layout::MdGen => s.windows(&request, 3).unwrap(),
                _ => s.jump(&request).unwrap().into_iter().map(|c| vec![c]).collect(),
            };
            let (a, b) = (draw(&here), draw(&there));
            assert_eq!((a.len(), a[0].len()), (6, if layout == Layout::MdGen { 3 } else { 1 }));
            assert_eq!(a, b, "{layout:?} {solver:?}");
            let other = JumpRequest { rng_seed: 12, ..request.clone() };
            if layout != Layout::MdGen {
                assert_ne!(there.jump(&other).unwrap(), there.jump(&request).unwrap());
            }
        }
    }
}

#[test]
fn temperatures_cross_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let config = NetworkConfig { temperature: true, ..network(Layout::T2, 2) };
    let path = model(folder.path(), &config);
    let here = Surrogate::load(&path).unwrap();
    let there = host().surrogate(&path, &elsewhere()).unwrap();
    let (types, start) = chain(120.0);
    let request = JumpRequest {
        types: &types,
        starts: &[start],
        children: 2,
        rng_seed: 1,
        first_id: 0,
        solver: Solver::Midpoint { steps: 2 },
    };
    let draw = |s: &Surrogate, kelvin| s.at_temperature(kelvin).unwrap().jump(&request).unwrap();
    assert_eq!(draw(&here, 320.0), draw(&there, 320.0));
    assert_eq!(here.jump(&request).unwrap(), draw(&there, 300.0));
    assert_ne!(draw(&there, 320.0), draw(&there, 450.0));
    let mut b = batch();
    let refused = error(there.backend().velocity(&b.condition, &b.x, &b.t));
    assert!(refused.contains("takes a temperature"), "{refused}");
    b.condition.temperatures_kelvin = Some(vec![320.0, 450.0]);
    let v = |s: &Surrogate| s.backend().velocity(&b.condition, &b.x, &b.t).unwrap();
    assert_eq!(v(&here), v(&there));
    let values = params::from_recipe(&config, "another");
    let learned = |s: &Surrogate| s.backend().gradients(&values, &b).unwrap();
    assert_eq!(learned(&here), learned(&there));
}

/// Two samples of two frames, the second with a padded residue.
fn batch() -> Batch {
    let wave = |k: usize| (0.37 * k as f64).sin();
    let frame = |i: usize| {
        let (s, c) = (i as f64).sin_cos();
        ([c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0], [3.8 * i as f64, wave(i), 1.0])
    };
    let n = 2 * 2 * 4 * LATENT;
    Batch {
        condition: Condition {
            residues: 4,
            frames: Arc::new((0..8).map(frame).collect()),
            residue_types: (0..8).collect(),
            x_cond: (0..n).map(wave).collect(),
            x_cond_mask: (0..16).map(|i| i / 4 % 2 == 0).collect(),
            mask: Some((0..8).map(|i| i != 7).collect()),
            temperatures_kelvin: None,
        },
        x: (0..n).map(|k| wave(3 * k)).collect(),
        u: (0..n).map(|k| wave(5 * k + 1)).collect(),
        t: vec![0.2, 0.9],
        weights: (0..n).map(|k| f64::from(u8::from(k % 3 != 0))).collect(),
    }
}

#[test]
fn velocities_and_gradients_are_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = network(Layout::T2, 2);
    let path = model(folder.path(), &config);
    let here = Surrogate::load(&path).unwrap();
    let there = host().surrogate(&path, &elsewhere()).unwrap();
    let b = batch();
    let v = |s: &Surrogate| s.backend().velocity(&b.condition, &b.x, &b.t).unwrap();
    assert_eq!(v(&here), v(&there));
    // Other parameters than the checkpoint's, as in training.
    let values = params::from_recipe(&config, "another");
    let (loss, gradients) = here.backend().gradients(&values, &b).unwrap();
    let (same_loss, same) = there.backend().gradients(&values, &b).unwrap();
    assert!(loss > 0.0 && loss == same_loss, "{loss} {same_loss}");
    assert_eq!(gradients, same);
    assert!(gradients.len() == values.len() && gradients["layers.0.fc1.weight"][3] != 0.0);
    // What does not fit together is refused on the way in.
    let mut short = batch();
    short.t.pop();
    let refused = error(there.backend().gradients(&values, &short));
    assert!(refused.contains("differ in length"), "{refused}");
    let mut few = values.clone();
    few.remove("layers.0.fc1.weight");
    let refused = error(there.backend().gradients(&few, &b));
    assert!(refused.contains("parameters given, the network has"), "{refused}");
    let mut nan = batch();
    nan.x[5] = f64::NAN;
    let refused = error(there.backend().velocity(&nan.condition, &nan.x, &nan.t));
    assert!(refused.contains("batch.x: number 5 is not finite"), "{refused}");
}

/// Root mean square of the differences over that of the numbers.
fn relative(a: &[f64], b: &[f64]) -> f64 {
    let square = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>();
    let difference = square(&mut a.iter().zip(b).map(|(x, y)| x - y));
    (difference / square(&mut a.iter().copied())).sqrt()
}

#[test]
fn products_of_halves_are_close_and_their_gradients_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = network(Layout::T2, 2);
    let path = model(folder.path(), &config);
    let host = host();
    let full = host.surrogate(&path, &elsewhere()).unwrap();
    let half = host.surrogate(&path, &"cpu-plugin/bf16".parse().unwrap()).unwrap();
    assert_eq!(half.backend().device(), "cpu-plugin/bf16");
    let b = batch();
    let v = |s: &Surrogate| s.backend().velocity(&b.condition, &b.x, &b.t).unwrap();
    // bfloat16 has 8 bits: 0.2 % a factor at most, with signs that mostly cancel.
    let error = relative(&v(&full), &v(&half));
    assert!(error > 1e-4 && error < 5e-3, "velocities differ by {error}");
    let values = params::from_recipe(&config, "another");
    let learned = |s: &Surrogate| s.backend().gradients(&values, &b).unwrap();
    let ((loss, exact), (near, rounded)) = (learned(&full), learned(&half));
    assert!((loss / near - 1.0).abs() < 5e-3, "{loss} {near}");
    assert!(exact.keys().eq(rounded.keys()));
    let flat = |g: &std::collections::BTreeMap<String, Vec<f32>>| -> Vec<f64> {
        g.values().flatten().map(|x| f64::from(*x)).collect()
    };
    let error = relative(&flat(&exact), &flat(&rounded));
    assert!(error > 1e-4 && error < 1e-2, "gradients differ by {error}");
}

#[test]
fn what_a_backend_cannot_do_is_an_error_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let config = network(Layout::T1, 1);
    let path = model(folder.path(), &config);
    let host = host();
    let ask = |device: &str| error(host.surrogate(&path, &device.parse().unwrap()));
    assert!(ask("tpu").contains("no tpu device: no plugin for it is loaded; loaded: cpu-plugin"));
    assert!(ask("cpu-plugin:3").contains("there is no processor 3"));
    // Not device 0 in bfloat16, whose flag has this number.
    assert!(ask("cpu-plugin:65536").contains("devices are numbered from 0 to 65535"));
    let refused = error(host.backend(b"not a checkpoint at all", &config, &elsewhere()));
    assert!(refused.contains("is no marsfm checkpoint"), "{refused}");
    let there = host.surrogate(&path, &elsewhere()).unwrap();
    let (mut types, start) = chain(120.0);
    types[1] = ResidueType::X;
    let request = JumpRequest {
        types: &types,
        starts: &[start],
        children: 1,
        rng_seed: 1,
        first_id: 0,
        solver: Solver::Euler { steps: 1 },
    };
    let refused = error(there.jump(&request));
    assert!(refused.contains("residue 2 is of unknown type"), "{refused}");
    assert!(error(there.windows(&request, 4)).contains("draws jumps, not windows"));
}

#[test]
fn stored_cases_pass_through_the_door() {
    let Some(shared) = marsfm_test_support::shared_or_skip("network cases through a backend")
    else {
        return;
    };
    let host = host();
    for (case, gradients) in [("case_a_small_T2_L4", 124), ("case_mdgen_small_T8_L4", 0)] {
        let path = shared.join("fixtures").join(format!("{case}.f32.safetensors"));
        let case = marsfm::verify::Case::load(&path).unwrap();
        let report =
            marsfm::verify::network::run_on(&host, &case, Path::new("recipe"), &elsewhere())
                .unwrap();
        let bad: Vec<_> = report.tensors.iter().filter(|(_, c)| c.err > c.tol).collect();
        assert!(report.ok, "{bad:#?}");
        let compared = report.tensors.keys().filter(|n| n.starts_with("grad.")).count();
        assert_eq!(compared, gradients);
        for name in ["fwd.velocity", "t1.velocity", "train.loss", "ode.euler50", "ode.dopri5"] {
            assert!(report.tensors.contains_key(name), "{name} was not compared");
        }
    }
}

/// `marsfm ARGUMENTS` with a driver made of C `text` in front of the system's, and with no plugin but
/// xtc, whatever else has been built.
fn with_driver(text: &str, arguments: &[&str]) -> (bool, String) {
    // Beside the program, so that links will do: a fresh copy may still be open for writing in the
    // child of another test's thread, and then it cannot be started.
    let folder = tempfile::tempdir_in(release()).unwrap();
    let library = crate::support::compile_text(folder.path(), "cuda", text);
    std::fs::rename(library, folder.path().join("libcuda.so.1")).unwrap();
    let program = folder.path().join("marsfm");
    std::fs::hard_link(release().join("marsfm"), &program).expect("the built program");
    std::fs::hard_link(xtc_library(), folder.path().join("libmarsfm_plugin_xtc.so")).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .env("LD_LIBRARY_PATH", folder.path())
        .env_remove("MARSFM_PLUGIN_PATH")
        .output()
        .expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// A driver of so many cards, whose `cuInit` answers `init`.
fn driver(init: i32, cards: i32) -> String {
    format!(
        "#define EXPORT __attribute__((visibility(\"default\")))\n\
         EXPORT int cuInit(unsigned f);\nEXPORT int cuInit(unsigned f) {{ (void)f; return {init}; }}\n\
         EXPORT int cuDriverGetVersion(int *v);\n\
         EXPORT int cuDriverGetVersion(int *v) {{ *v = 13000; return 0; }}\n\
         EXPORT int cuDeviceGetCount(int *n);\n\
         EXPORT int cuDeviceGetCount(int *n) {{ *n = {cards}; return 0; }}\n\
         EXPORT int cuGetErrorName(int e, const char **t);\n\
         EXPORT int cuGetErrorName(int e, const char **t) {{ (void)e; *t = \"CUDA_ERROR_NO_DEVICE\"; return 0; }}\n"
    )
}

#[test]
fn the_program_says_why_there_is_no_cuda_device() {
    for (init, cards, reason) in [
        (100, 0, "the driver's cuInit failed: CUDA_ERROR_NO_DEVICE (100)"),
        (0, 0, "the driver finds no card"),
        (0, 1, "there is a card, but the plugin `cuda` is not loaded; build it"),
    ] {
        let (ok, text) = with_driver(&driver(init, cards), &["devices"]);
        assert!(ok && text.contains(&format!("no CUDA device: {reason}")), "{text}");
    }
    let (ok, text) = with_driver("int nothing;\n", &["devices"]);
    assert!(ok && text.contains("libcuda.so.1 is no driver of NVIDIA"), "{text}");
    // The same through a use-case: an ordinary error, nothing written.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let topology = root.join("examples/data/QLAQ/QLAQ.pdb");
    let model = model(folder.path(), &network(Layout::T1, 1));
    let [topology, model, out_text] = [&topology, &model, &out].map(|p| p.to_str().unwrap());
    let sample = |device: &str| {
        let arguments = ["sample", "--topology", topology, "--model", model, "--out", out_text];
        let arguments = [arguments.as_slice(), &["--jump", "3", "--device", device]].concat();
        with_driver(&driver(0, 0), &arguments)
    };
    let (ok, text) = sample("cuda");
    assert!(!ok && text.contains("no CUDA device: the driver finds no card"), "{text}");
    assert!(!out.exists(), "something was written");
    let (ok, text) = sample("gpu:x");
    assert!(!ok && text.contains("possible are cpu, cuda"), "{text}");
    let (ok, text) = sample("auto");
    assert!(ok && text.contains("computed on cpu;"), "{text}");
}
