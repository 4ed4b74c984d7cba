//! A surrogate of MDGen layout, trained on windows of the committed MD: its rollout, and the hybrid
//! of the default surrogate with it.

use std::path::Path;

use crate::support::{root, run};

/// Four frames per call, 2 ps apart: a tiny network for a few steps.
fn recipe(folder: &Path) -> String {
    let text = format!(
        r#"
        [domain]
        temperature_kelvin = 350.0
        force_field = "amber14-all (ff14SB)"
        solvent = "OBC2 implicit (GBSAOBCForce)"
        termini = "charged"
        [pairs]
        level = "window"
        pair_lag_ps = 2.0
        [data]
        root = "{}"
        train = ["QLAQ"]
        [network]
        embed_dim = 16
        num_layers = 1
        mha_heads = 2
        ipa_heads = 1
        ipa_head_dim = 4
        ipa_qk = 2
        ipa_v = 2
        layout = "mdgen"
        frames = 4
        path = "gvp"
        [run]
        steps = 40
        batch = 4
        rng_seed = 1
        validate_every = 20
        "#,
        root().join("examples/data").display()
    );
    let path = folder.join("window.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn ok(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = run(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout
}

fn record(folder: &str) -> serde_json::Value {
    let text = std::fs::read(Path::new(folder).join("samples.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn train_roll_out_and_go_on_from_jumps() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let model = at("mdgen.safetensors");
    ok(&["train", &recipe(folder.path()), "--out", &model]);
    let card: serde_json::Value = serde_json::from_str(&ok(&["model", &model])).unwrap();
    assert_eq!(card["domain"]["lag_ps"], 2.0);
    assert_eq!(card["notes"][0], "Windows of 4 frames, 2 ps apart.");
    let losses = card["training"]["losses"].as_array().unwrap();
    assert!(losses[1][1].as_f64().unwrap() < losses[0][1].as_f64().unwrap(), "{losses:?}");

    let pdb = "examples/data/QLAQ/QLAQ.pdb";
    let sample = |out: &str, more: &[&str]| {
        let mut arguments = vec!["sample", "--topology", pdb, "--out", out, "--json"];
        arguments.extend(more);
        let drawn: serde_json::Value = serde_json::from_str(&ok(&arguments)).unwrap();
        (drawn, record(out))
    };
    let (drawn, chain) =
        sample(&at("chain"), &["--model", &model, "--rollout", "0", "--calls", "3"]);
    assert_eq!(drawn["tally"]["draws"], 12);
    let draws = chain["draws"].as_array().unwrap();
    let field = |key: &str| draws.iter().map(|d| d[key].clone()).collect::<Vec<_>>();
    assert_eq!(field("frame"), [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
    assert_eq!(field("depth"), [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
    let parents: Vec<Option<u64>> = draws.iter().map(|d| d["parent"].as_u64()).collect();
    assert_eq!(parents[..4], [None; 4]);
    assert_eq!(parents[4..8], [Some(3); 4]);
    assert_eq!(parents[8..], [Some(7); 4]);

    let more = ["--model", &model, "--rollout", "6", "--calls", "2", "--parallel"];
    let (drawn, parallel) = sample(&at("parallel"), &more);
    assert!(parallel["draws"].as_array().unwrap().iter().all(|d| d["parent"].is_null()));
    assert_eq!(drawn["tally"]["draws"], 12);
    let differences = drawn["differences"].to_string();
    assert!(differences.contains("6 frames per call, trained on 4"), "{differences}");

    let (drawn, hybrid) = sample(&at("hybrid"), &["--jump", "3", "--hybrid", "--mdgen", &model]);
    let accepted_jumps = (drawn["tally"]["draws"].as_u64().unwrap() - 3) / 4;
    assert!((1..=3).contains(&accepted_jumps));
    assert_ne!(hybrid["mdgen_sha256"], hybrid["model_sha256"]);
    let frames = hybrid["draws"].as_array().unwrap().iter().skip(3);
    assert!(frames.clone().all(|d| d["parent"].as_u64().is_some_and(|p| p < 3) && d["depth"] == 2));
}

/// No parameter depends on how many frames a window has.
#[test]
fn longer_windows_go_on_from_shorter_ones() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let short = recipe(folder.path());
    ok(&["train", &short, "--out", &at("short.safetensors")]);
    let text = std::fs::read_to_string(&short).unwrap();
    let text = text.replace("frames = 4", "frames = 7");
    std::fs::write(at("long.toml"), text + "\nstart_from = \"short.safetensors\"").unwrap();
    ok(&["train", &at("long.toml"), "--out", &at("long.safetensors")]);
    let card = ok(&["model", &at("long.safetensors")]);
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    assert!(card["notes"].to_string().contains("Windows of 7 frames, 2 ps apart."), "{card}");
    assert_eq!(card["training"]["steps"], 80);
}

#[test]
fn layouts_are_not_mixed_up() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let pdb = "examples/data/QLAQ/QLAQ.pdb";
    let fails = |more: &[&str], says: &str| {
        let mut arguments = vec!["sample", "--topology", pdb, "--out", out];
        arguments.extend(more);
        let (code, _, stderr) = run(&arguments);
        assert_ne!(code, Some(0));
        assert!(stderr.contains(says), "{stderr:?} should say {says:?}");
        assert!(!Path::new(out).exists(), "something was written");
    };
    fails(&["--rollout", "4"], "a rollout needs one of MDGen layout");
    fails(&["--hybrid"], "--mdgen");
    let default = "examples/models/tetrapeptide/tetrapeptide.safetensors";
    fails(&["--jump", "2", "--hybrid", "--mdgen", default], "MDGen layout");
}
