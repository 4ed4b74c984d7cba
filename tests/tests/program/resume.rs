//! `marsfm train`, killed with SIGKILL again and again, ends bit-equal to a run left alone.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{marsfm, root};

/// A tiny recipe on the committed MD that saves its state after every step.
fn recipe(folder: &Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(root().join("examples/models/tetrapeptide/train-1.toml"));
    let mut recipe: toml::Table = text.unwrap().parse().unwrap();
    let mut set = |table: &str, key: &str, value: toml::Value| {
        recipe[table].as_table_mut().unwrap().insert(key.into(), value);
    };
    let names = |n: &str| toml::Value::Array(vec![n.into()]);
    set("data", "root", root().join("examples/data").to_str().unwrap().into());
    set("data", "train", names("QLAQ"));
    set("data", "validation", names("chignolin"));
    for key in ["embed_dim", "mha_heads", "num_layers", "ipa_heads"] {
        let value = if key == "embed_dim" { 16 } else { 1 };
        set("network", key, value.into());
    }
    for (key, value) in [
        ("steps", 300),
        ("batch", 8),
        ("save_every_seconds", 0),
        ("validate_every", 100),
        ("validation_samples", 8),
    ] {
        set("run", key, value.into());
    }
    let path = folder.join("train.toml");
    std::fs::write(&path, recipe.to_string()).unwrap();
    path
}

#[test]
fn killed_training_ends_bit_equal() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path());
    let train = |out: &Path| {
        let mut command = marsfm();
        command.arg("train").arg(&recipe).arg("--out").arg(out);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    let alone = folder.path().join("alone.safetensors");
    let output = train(&alone).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let killed = folder.path().join("killed.safetensors");
    let mut kills = 0;
    // Growing patience, so that kills fall into reading, training and saving, and it ends.
    for milliseconds in (100..).step_by(30) {
        let mut child = train(&killed).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        if child.try_wait().unwrap().is_some_and(|s| s.success()) {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        assert!(kills < 400, "the run makes no progress between kills");
    }
    assert!(kills >= 3, "only {kills} kills landed");
    assert_eq!(std::fs::read(&alone).unwrap(), std::fs::read(&killed).unwrap());
}

#[test]
fn a_run_goes_on_from_a_checkpoint_of_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str, start: Option<&str>, heads: i64| {
        let path = recipe(folder.path());
        let mut table: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let run = table["run"].as_table_mut().unwrap();
        run.insert("steps".into(), 20.into());
        if let Some(start) = start {
            run.insert("start_from".into(), start.into());
        }
        table["network"].as_table_mut().unwrap().insert("mha_heads".into(), heads.into());
        std::fs::write(&path, table.to_string()).unwrap();
        let out = folder.path().join(name);
        let words = ["train", path.to_str().unwrap(), "--out", out.to_str().unwrap()];
        crate::support::run(&words)
    };
    let (code, _, stderr) = with("first.safetensors", None, 1);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, _, stderr) = with("second.safetensors", Some("first.safetensors"), 1);
    assert_eq!(code, Some(0), "{stderr}");
    let second = folder.path().join("second.safetensors");
    let (_, card, _) = crate::support::run(&["model", second.to_str().unwrap()]);
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    assert_eq!(card["training"]["steps"], 40);
    assert_eq!(card["training"]["losses"].as_array().unwrap().len(), 2);
    assert!(card["training"]["started_from"].is_string());
    let (code, _, stderr) = with("third.safetensors", Some("first.safetensors"), 2);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("run.start_from") && stderr.contains("another network"), "{stderr}");
}
