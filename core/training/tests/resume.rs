//! A run that is stopped anywhere and resumed ends bit-equal to one that was never stopped.

use marsfm_geometry::{Conformation, ResidueType, Rigid};
use marsfm_surrogate::{NetworkConfig, OptimiserConfig, Path};
use marsfm_training::config::{DataRecipe, DomainRecipe, PairRecipe, RunRecipe};
use marsfm_training::{Pair, PairLevel, PairSource, Recipe, Sets, System, Trainer, TrainingSet};
use rand::{Rng, RngExt};

struct Any(usize);

impl PairSource for Any {
    fn draw(&self, rng: &mut dyn Rng) -> Pair {
        ((0, rng.random_range(0..self.0)), (0, rng.random_range(0..self.0)))
    }
}

fn recipe(steps: u64) -> Recipe {
    let network = NetworkConfig {
        embed_dim: 32,
        num_layers: 1,
        mha_heads: 4,
        ipa_heads: 2,
        ipa_head_dim: 8,
        ipa_qk: 4,
        ipa_v: 4,
        ..NetworkConfig::full()
    };
    Recipe {
        domain: DomainRecipe {
            temperature_kelvin: 300.0,
            force_field: "none".into(),
            solvent: "none".into(),
            termini: "charged".into(),
        },
        pairs: PairRecipe {
            tica_lag_ps: 1.0,
            msm_lag_ps: 1.0,
            pair_lag_ps: 1.0,
            microstates: 2,
            macrostates: 2,
            level: PairLevel::Macro,
            features: "torsions".into(),
        },
        data: DataRecipe::default(),
        network,
        optimiser: OptimiserConfig { learning_rate: 3e-3, ..OptimiserConfig::default() },
        run: RunRecipe {
            steps,
            batch: 16,
            accumulate: 1,
            rng_seed: 5,
            validate_every: 20,
            validation_samples: 128,
            save_every_seconds: 3600,
            hide_residue_types: 0.2,
            mosaics: 0.3,
            mosaic_cut: 0.5,
            crop: 256,
            start_from: None,
        },
    }
}

/// Four residues that flip between two shapes.
fn set() -> TrainingSet {
    let types: Vec<ResidueType> =
        "AGSV".chars().map(|c| ResidueType::from_letter(c).unwrap()).collect();
    let frame = |k: usize| {
        let sign = if k.is_multiple_of(2) { 1.0 } else { -1.0 };
        let rigids = (0..4).map(|i| Rigid {
            rot: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            trans: [3.8 * i as f32, sign * (i % 2) as f32, 0.01 * k as f32],
        });
        Conformation { rigids: rigids.collect(), torsions: vec![[[0.6 * sign, 0.8]; 7]; 4] }
    };
    let system = System {
        name: "AGSV".into(),
        types,
        frames: vec![(0..10).map(frame).collect()].into(),
        pairs: Box::new(Any(10)),
        nanoseconds: 0.01,
        temperature_kelvin: 300.0,
    };
    TrainingSet::new(vec![system], 1, 256, Path::Gvp)
        .unwrap()
        .hiding_residue_types(0.2)
        .with_mosaics(0.3, 0.5)
}

#[test]
fn a_stopped_and_resumed_run_ends_bit_equal_and_learns() {
    let (folder, set, recipe) = (tempfile::tempdir().unwrap(), set(), recipe(60));
    let trainer = |name: &str| Trainer {
        recipe: &recipe,
        sets: Sets { train: &set, validation: Some(&set), replay: Some((&set, 0.5)) },
        run_sha256: "x".into(),
        state: folder.path().join(name),
        start: None,
        backend: None,
    };
    let whole = trainer("whole").run(|_| true).unwrap();
    // Stopped after 7 steps, after 33, then left to finish.
    trainer("parts").run(|s| s.step < 7).unwrap();
    trainer("parts").run(|s| s.step < 33).unwrap();
    let parts = trainer("parts").run(|_| true).unwrap();
    assert_eq!(whole.values, parts.values);
    assert_eq!(whole.losses, parts.losses);
    let (first, last) = (whole.losses[0].2.unwrap(), whole.losses[2].2.unwrap());
    assert!(last < 0.8 * first, "validation loss {first} -> {last}");
    assert!(whole.values.values().all(|(_, v)| v.iter().all(|v| v.is_finite())));
}

/// A step in parts is the whole step up to rounding, and as reproducible.
#[test]
fn a_batch_in_parts_is_the_same_step() {
    let (folder, set, whole) = (tempfile::tempdir().unwrap(), set(), recipe(12));
    let mut parts = whole.clone();
    parts.run.accumulate = 4;
    let train = |recipe: &Recipe, name: &str, stop: u64| {
        let trainer = Trainer {
            recipe,
            sets: Sets { train: &set, validation: None, replay: None },
            run_sha256: "x".into(),
            state: folder.path().join(name),
            start: None,
            backend: None,
        };
        let mut losses = Vec::new();
        let report = |s: &marsfm_training::Status| {
            losses.push(s.loss);
            s.step < stop
        };
        (trainer.run(report).unwrap().values, losses)
    };
    let (a, first) = train(&whole, "whole", u64::MAX);
    let (b, second) = train(&parts, "parts", u64::MAX);
    for (x, y) in first.iter().zip(&second) {
        assert!((x - y).abs() < 1e-4 * x, "losses {x} and {y}");
    }
    let changed = a.iter().any(|(name, (_, x))| *x != b[name].1);
    assert!(changed, "four parts give the very bits of one: were they computed as one?");
    train(&parts, "stopped", 5);
    assert_eq!(train(&parts, "stopped", u64::MAX).0, b, "resumed in the middle");
    for bad in [0, 5, 32] {
        parts.run.accumulate = bad;
        let error = parts.check().unwrap_err().to_string();
        assert!(error.contains("accumulate"), "{error}");
    }
}

#[test]
fn one_thread_and_two_threads_give_the_same_bits() {
    let (folder, set, recipe) = (tempfile::tempdir().unwrap(), set(), recipe(8));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let trainer = Trainer {
            recipe: &recipe,
            sets: Sets { train: &set, validation: None, replay: None },
            run_sha256: "x".into(),
            state: folder.path().join(format!("{threads}")),
            start: None,
            backend: None,
        };
        pool.install(|| trainer.run(|_| true)).unwrap().values
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn a_state_of_another_run_is_refused() {
    let (folder, set, recipe) = (tempfile::tempdir().unwrap(), set(), recipe(2));
    let trainer = |hash: &str| Trainer {
        recipe: &recipe,
        sets: Sets { train: &set, validation: None, replay: None },
        run_sha256: hash.into(),
        state: folder.path().join("state"),
        start: None,
        backend: None,
    };
    trainer("a").run(|_| true).unwrap();
    let error = trainer("b").run(|_| true).err().unwrap().to_string();
    assert!(error.contains("another run"), "{error}");
}
