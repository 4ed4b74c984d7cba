//! The recipe for data of mdCATH's size, on small files of its layout: prepared on disk or held in
//! memory, the same surrogate comes out.

use std::path::{Path, PathBuf};

use crate::support::{domain, root, run};

const TEST: &str = "the_recipe_of_mdcath_trains_from_disk_as_from_memory";

/// The committed recipe with a small network and a short run.
fn recipe(folder: &Path, prepared: bool) -> PathBuf {
    let committed = root().join("examples/models/mdcath/train.toml");
    let mut recipe: toml::Table = std::fs::read_to_string(committed).unwrap().parse().unwrap();
    let mut set = |table: &str, key: &str, value: toml::Value| {
        recipe[table].as_table_mut().unwrap().insert(key.into(), value);
    };
    for (key, value) in [("embed_dim", 16), ("mha_heads", 1), ("num_layers", 1), ("ipa_heads", 1)] {
        set("network", key, value.into());
    }
    for (key, value) in
        [("steps", 6), ("batch", 16), ("validate_every", 3), ("validation_samples", 8)]
    {
        set("run", key, value.into());
    }
    if !prepared {
        recipe["data"].as_table_mut().unwrap().remove("prepared");
    }
    let path = folder.join(if prepared { "disk.toml" } else { "memory.toml" });
    std::fs::write(&path, recipe.to_string()).unwrap();
    path
}

#[test]
fn the_recipe_of_mdcath_trains_from_disk_as_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["1abcA00", "2defB01"] {
        if domain(folder.path(), name).is_none() {
            return marsfm_test_support::skip(TEST, "no Python with h5py and mdtraj");
        }
    }
    std::fs::create_dir(at("split")).unwrap();
    std::fs::write(at("split/train.fasta"), ">1abcA00 a domain\nGYDPETGTWG\n").unwrap();
    std::fs::write(at("split/validation.fasta"), ">2defB01\nGYDPETGTWG\n").unwrap();
    let train = |recipe: &Path, out: &str| {
        let data = folder.path().display().to_string();
        let words = ["train", recipe.to_str().unwrap(), "--data", &data, "--out", out];
        let (code, _, error) = run(&words);
        assert_eq!(code, Some(0), "{error}");
        (std::fs::read(out).unwrap(), error)
    };
    let out = |name: &str| at(name).display().to_string();
    let (memory, said) = train(&recipe(folder.path(), false), &out("memory.safetensors"));
    assert!(
        said.contains("1abcA00") && said.contains("450/2"),
        "a missing replica is named: {said}"
    );
    let disk_recipe = recipe(folder.path(), true);
    let (disk, _) = train(&disk_recipe, &out("disk.safetensors"));
    assert!(memory == disk, "from disk another model comes");

    // The card says what was learned from, and the losses can be drawn.
    let (code, card, error) = run(&["model", &out("disk.safetensors")]);
    assert_eq!(code, Some(0), "{error}");
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    assert_eq!(card["domain"]["temperature_kelvin"], 450.0);
    assert_eq!(card["training"]["validation"][0], "2defB01");
    assert!(card["training"]["systems"]["1abcA00"].as_f64().unwrap() > 0.0, "{card}");
    let plot = out("losses.svg");
    let (code, _, error) = run(&["model", &out("disk.safetensors"), "--losses", &plot]);
    assert_eq!(code, Some(0), "{error}");
    let svg = std::fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("training") && svg.contains("validation"));

    // What is prepared is used again, and made again where it is damaged or its source has changed.
    let kept = at("prepared/1abcA00.frames.safetensors");
    let changed = || kept.metadata().unwrap().modified().unwrap();
    let first = changed();
    assert!(train(&disk_recipe, &out("again.safetensors")).0 == memory);
    assert_eq!(changed(), first);
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &bytes[..bytes.len() / 2]).unwrap();
    assert!(train(&disk_recipe, &out("mended.safetensors")).0 == memory);
    assert!(std::fs::read(&kept).unwrap() == bytes, "mended to other bytes");
    let mended = changed();
    domain(folder.path(), "1abcA00").unwrap();
    assert!(train(&disk_recipe, &out("anew.safetensors")).0 == memory);
    assert_ne!(changed(), mended);
}
