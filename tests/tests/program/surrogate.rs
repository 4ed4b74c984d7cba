//! The committed default surrogate: what it saw, that it reproduces itself, that it beats nothing
//! by accident.

use std::collections::BTreeSet;

use crate::support::{root, run};

/// The recipes of all runs, one going on from the other.
fn recipes() -> Vec<toml::Table> {
    let folder = std::fs::read_dir(root().join("examples/models/tetrapeptide")).unwrap();
    let files = folder.map(|f| f.unwrap().path());
    let recipes = files.filter(|f| f.extension().is_some_and(|e| e == "toml"));
    recipes.map(|f| std::fs::read_to_string(f).unwrap().parse().unwrap()).collect()
}

fn names(recipes: &[toml::Table], key: &str) -> BTreeSet<String> {
    let lists = recipes.iter().flat_map(|r| r["data"][key].as_array().unwrap());
    lists.map(|n| n.as_str().unwrap().to_string()).collect()
}

fn card() -> serde_json::Value {
    let (code, stdout, stderr) = run(&["model"]);
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn it_saw_the_training_lists_and_nothing_of_the_validation_lists() {
    let (recipes, card) = (recipes(), card());
    assert!(recipes.len() > 1);
    let (train, validation) = (names(&recipes, "train"), names(&recipes, "validation"));
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
    let draw = |threads: &str, seed: &str, name: &str, more: &[&str]| {
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
        let arguments = [arguments.as_slice(), more].concat();
        let (code, _, stderr) = run(&arguments);
        assert_eq!(code, Some(0), "{stderr}");
        ["ensemble.xtc", "seeds.pdb", "samples.json"].map(|f| std::fs::read(out.join(f)).unwrap())
    };
    let one = draw("1", "5", "a", &[]);
    assert!(one == draw("3", "5", "b", &[]), "threads changed the result");
    assert!(one != draw("1", "6", "c", &[]), "the seed changes nothing");
    assert!(one == draw("1", "5", "d", &["--steps", "16"]), "16 steps are the default");
    assert!(one[0] != draw("1", "5", "e", &["--steps", "8"])[0], "--steps changes nothing");
}

/// `marsfm benchmark` of the default surrogate: its exit code and what it prints. The library is made
/// of what is here of the training MD, the shared peptides and the committed ones.
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
fn a_library_of_nothing_is_refused() {
    let arguments = ["benchmark", "--data", "examples/data/validation", "NGDS"];
    let (code, _, stderr) = run(&arguments);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("none of the 418 systems"), "{stderr}");
}

#[test]
fn random_weights_lose_to_the_residue_library() {
    let Some(shared) = marsfm_test_support::shared_or_skip("random weights lose") else { return };
    let arguments = ["--budget", "400", "--depth", "4", "--random-weights", "NGDS"];
    let (code, said) = benchmark(&shared, &arguments);
    assert!(said.contains("does NOT beat"), "{said}");
    assert_eq!(code, Some(1), "{said}");
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
