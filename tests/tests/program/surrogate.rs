//! The committed default surrogate: what it saw, that it reproduces itself, that it beats nothing
//! by accident.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::{root, run};

fn recipe() -> toml::Table {
    let path = root().join("examples/models/tetrapeptide/train.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn names(recipe: &toml::Table, key: &str) -> BTreeSet<String> {
    let list = recipe["data"][key].as_array().unwrap();
    list.iter().map(|n| n.as_str().unwrap().to_string()).collect()
}

fn card() -> serde_json::Value {
    let (code, stdout, stderr) = run(&["model"]);
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn it_saw_the_training_list_and_nothing_of_the_validation_list() {
    let (recipe, card) = (recipe(), card());
    let (train, validation) = (names(&recipe, "train"), names(&recipe, "validation"));
    let seen: BTreeSet<String> =
        card["training"]["systems"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(seen, train);
    assert!(seen.is_disjoint(&validation), "{:?}", seen.intersection(&validation));
    assert!(!seen.contains("QLAQ"), "the demo's peptide was trained on");
    let losses = card["training"]["losses"].as_array().unwrap();
    let validation = |i: usize| losses[i][2].as_f64().unwrap();
    let (first, last) = (validation(0), validation(losses.len() - 1));
    assert!(last < 0.8 * first, "validation loss {first} -> {last}");
}

#[test]
fn the_same_seed_gives_the_same_bits_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let draw = |threads: &str, seed: &str, name: &str| {
        let out = folder.path().join(name);
        let arguments = [
            "--threads",
            threads,
            "sample",
            "--topology",
            "examples/data/QLAQ/QLAQ.pdb",
            "--tree",
            "40",
            "--rng-seed",
            seed,
            "--out",
            out.to_str().unwrap(),
        ];
        let (code, _, stderr) = run(&arguments);
        assert_eq!(code, Some(0), "{stderr}");
        ["ensemble.xtc", "seeds.pdb", "samples.json"].map(|f| std::fs::read(out.join(f)).unwrap())
    };
    let one = draw("1", "5", "a");
    assert!(one == draw("3", "5", "b"), "threads changed the result");
    assert!(one != draw("1", "6", "c"), "the seed changes nothing");
}

/// `marsfm benchmark` of the default surrogate: its exit code and what it prints. The library is made
/// of all training MD, the shared peptides and the committed ones.
fn benchmark(shared: &std::path::Path, more: &[&str]) -> (Option<i32>, String) {
    let folders = [
        root().join("examples/data/validation"),
        root().join("examples/data/tetrapeptides"),
        shared.join("data/tetrapeptides"),
    ];
    let mut arguments = vec!["benchmark"];
    for folder in &folders {
        arguments.extend(["--data", folder.to_str().unwrap()]);
    }
    arguments.extend(more);
    let (code, stdout, stderr) = run(&arguments);
    (code, stdout + &stderr)
}

#[test]
fn the_trained_weights_beat_the_residue_library() {
    let Some(shared) = marsfm_test_support::shared_or_skip("trained weights win") else { return };
    let peptides = ["ATVV", "IMCP", "NEEE", "NGDS"];
    let short = ["--budget", "1000", "--depth", "20"];
    let (code, said) = benchmark(&shared, &[&short[..], &peptides[..]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("does NOT beat"), "{said}");
}

#[test]
fn random_weights_lose_to_the_residue_library() {
    let Some(shared) = marsfm_test_support::shared_or_skip("random weights lose") else { return };
    let arguments = ["--budget", "400", "--depth", "4", "--random-weights", "NGDS"];
    let (code, said) = benchmark(&shared, &arguments);
    assert!(said.contains("does NOT beat"), "{said}");
    assert_eq!(code, Some(1), "{said}");
}

/// The mdCATH recipe as it is committed, on two small files of that layout: only names, sizes, lags
/// and lengths are changed; stopped by a kill of the schedule, resumed, sampled from.
#[test]
fn the_mdcath_recipe_trains_on_files_of_that_layout() {
    let test = "the_mdcath_recipe_trains_on_files_of_that_layout";
    let python = std::env::var("MARSFM_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let there = Command::new(&python).args(["-c", "import h5py, mdtraj"]).output();
    if !there.is_ok_and(|o| o.status.success()) {
        return marsfm_test_support::skip(test, "no Python with h5py and mdtraj");
    }
    let folder = tempfile::tempdir().unwrap();
    let data = |name: &str| root().join("examples/data/chignolin").join(name).display().to_string();
    for domain in ["1abcA00", "2defB01"] {
        let path = folder.path().join(format!("mdcath_dataset_{domain}.h5"));
        let written = Command::new(&python)
            .arg(root().join("tests/reference/write_hdf5.py"))
            .args(["mdcath", domain, &data("chignolin.pdb")])
            .arg(path)
            .args([format!("450/0={}", data("r0.xtc")), format!("450/1={}", data("r1.xtc"))])
            .output()
            .unwrap();
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    }
    let committed = root().join("examples/models/mdcath/train.toml");
    let mut recipe: toml::Table = std::fs::read_to_string(committed).unwrap().parse().unwrap();
    let mut set = |section: &str, values: &str| {
        let values: toml::Table = values.parse().unwrap();
        recipe[section].as_table_mut().unwrap().extend(values);
    };
    set("data", "train = [\"1abcA00\"]\nvalidation = [\"2defB01\"]");
    set("pairs", "tica_lag_ps = 2000.0\nmsm_lag_ps = 2000.0\npair_lag_ps = 2000.0");
    set("pairs", "microstates = 20\nmacrostates = 4");
    set("network", "embed_dim = 32\nnum_layers = 1\nmha_heads = 4\nipa_head_dim = 8");
    set("run", "steps = 6\nvalidation_samples = 4\ncrop = 8");
    let file = folder.path().join("train.toml");
    std::fs::write(&file, recipe.to_string()).unwrap();
    let out = folder.path().join("mdcath.safetensors").display().to_string();
    let file = file.display().to_string();
    let data = folder.path().display().to_string();
    let arguments = ["train", &file, "--data", &data, "--out", &out];
    let (code, _, stderr) = run(&arguments);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stdout, stderr) = run(&["model", &out]);
    assert_eq!(code, Some(0), "{stderr}");
    let card: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(card["domain"]["temperature_kelvin"], 450.0);
    assert_eq!(card["training"]["steps"], 6);
    assert_eq!(card["training"]["validation"][0], "2defB01");
    let nanoseconds = card["training"]["systems"]["1abcA00"].as_f64().unwrap();
    assert!(nanoseconds > 0.0, "both replicas were read: {nanoseconds} ns");
    let plot = folder.path().join("losses.svg");
    let (code, _, stderr) = run(&["model", &out, "--losses", &plot.display().to_string()]);
    assert_eq!(code, Some(0), "{stderr}");
    let svg = std::fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("training") && svg.contains("validation"));
}

/// The break-even adds up: prices scale with MD's price, heads and refusals are not counted as
/// conformations, independence is never more than there is.
#[test]
fn the_break_even_is_told_with_both_sides_and_adds_up() {
    let of = |price: &str| -> serde_json::Value {
        let arguments = ["break-even", "QLAQ", "--data", "examples/data", "--json"];
        let rest = ["--md-cpu-seconds-per-ns", price, "--chains", "6", "--depth", "12"];
        let (code, stdout, stderr) = run(&[&arguments[..], &rest[..]].concat());
        assert_eq!(code, Some(0), "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    };
    let (cheap, dear) = (of("10"), of("20"));
    let number = |v: &serde_json::Value, side: &str, key: &str| v[side][key].as_f64().unwrap();
    let per = |v: &serde_json::Value| number(v, "md", "cpu_seconds_per_effective");
    assert!((per(&dear) / per(&cheap) - 2.0).abs() < 1e-9);
    for side in ["md", "surrogate"] {
        let (n, worth) = (number(&cheap, side, "conformations"), number(&cheap, side, "effective"));
        let measured = number(&cheap, side, "effective_as_measured");
        assert!(worth >= 1.0 && worth <= measured && measured <= n, "{side}: {worth} of {n}");
    }
    let counted = number(&cheap, "surrogate", "conformations");
    assert!(counted <= 6.0 * 9.0, "{counted}: heads of three jumps were counted");
    let ratio = per(&cheap) / number(&cheap, "surrogate", "cpu_seconds_per_effective");
    assert!((cheap["ratio_effective"].as_f64().unwrap() / ratio - 1.0).abs() < 1e-9);
    assert!(cheap["training_md_ns"].as_f64().unwrap() > 0.0);
    let free = ["break-even", "QLAQ", "--data", "examples/data", "--md-cpu-seconds-per-ns", "0"];
    let (code, _, stderr) = run(&free);
    assert!(code != Some(0) && stderr.contains("no price"), "{stderr}");
}
