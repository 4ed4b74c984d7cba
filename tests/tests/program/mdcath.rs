//! The recipe for data of mdCATH's size, on small files of its layout: prepared on disk or held in
//! memory, the same surrogate comes out.

use std::path::{Path, PathBuf};

use crate::support::{domain, domain_at, root, run};

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

/// Two temperatures of a domain in one surrogate: each is a system of its own, draws are at the one
/// that is asked for, and neither is let into a validation.
#[test]
fn several_temperatures_of_a_domain_are_learned_and_drawn() {
    const TEST: &str = "several_temperatures_of_a_domain_are_learned_and_drawn";
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for (name, kelvin) in [("1abcA00", [320, 450]), ("2defB01", [320, 413])] {
        if domain_at(folder.path(), name, &kelvin).is_none() {
            return marsfm_test_support::skip(TEST, "no Python with h5py and mdtraj");
        }
    }
    std::fs::create_dir(folder.path().join("split")).unwrap();
    std::fs::write(at("split/train.fasta"), ">1abcA00\nGYDPETGTWG\n").unwrap();
    std::fs::write(at("split/validation.fasta"), ">2defB01\nGYDPETGTWG\n").unwrap();
    let write = |name: &str, change: &dyn Fn(&mut toml::Table)| -> String {
        let text = std::fs::read_to_string(recipe(folder.path(), true)).unwrap();
        let mut recipe: toml::Table = text.parse().unwrap();
        change(&mut recipe);
        std::fs::write(at(name), recipe.to_string()).unwrap();
        at(name)
    };
    fn table<'a>(recipe: &'a mut toml::Table, name: &str) -> &'a mut toml::Table {
        recipe[name].as_table_mut().unwrap()
    }
    let both = |recipe: &mut toml::Table| {
        let kelvin = toml::Value::Array(vec![320.0.into(), 450.0.into()]);
        table(recipe, "data").insert("temperatures_kelvin".into(), kelvin);
    };
    let train = |recipe: &str, out: &str| {
        let data = folder.path().display().to_string();
        run(&["train", recipe, "--data", &data, "--out", &at(out)])
    };

    let (code, _, said) = train(&write("deaf.toml", &both), "deaf.safetensors");
    assert!(code != Some(0) && said.contains("network.temperature = true"), "{said}");
    let takes = |recipe: &mut toml::Table| {
        both(recipe);
        table(recipe, "network").insert("temperature".into(), true.into());
        table(recipe, "optimiser").insert("learning_rate".into(), 0.01.into());
        table(recipe, "optimiser").insert("warmup_steps".into(), 1.into());
        table(recipe, "optimiser").insert("ema_decay".into(), 0.0.into());
    };
    let recipe = write("two.toml", &takes);
    let (code, _, said) = train(&recipe, "two.safetensors");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("2defB01") && said.contains("450"),
        "a missing temperature is named: {said}"
    );
    let (_, card, _) = run(&["model", &at("two.safetensors")]);
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    assert_eq!(card["network"]["temperature"], true);
    assert_eq!(card["domain"]["temperatures_kelvin"], serde_json::json!([320.0, 450.0]));
    let systems: Vec<_> = card["training"]["systems"].as_object().unwrap().keys().collect();
    assert_eq!(systems, ["1abcA00@320K", "1abcA00@450K"]);
    assert_eq!(card["training"]["validation"], serde_json::json!(["2defB01@320K"]));

    // Drawn at the temperature asked for, or at the card's.
    let topology = super::support::root().join("examples/data/chignolin/chignolin.pdb");
    let sample = |model: &str, out: &str, kelvin: Option<&str>| {
        let (model, topology, out) = (at(model), topology.display().to_string(), at(out));
        let mut words = vec!["sample", "--model", &model, "--topology", &topology, "--jump", "2"];
        words.extend(["--out", &out, "--json"]);
        words.extend(kelvin.iter().flat_map(|k| ["--temperature", k]));
        let (code, said, error) = run(&words);
        let record = std::fs::read_to_string(format!("{out}/samples.json")).unwrap_or_default();
        (code, said + &error, record)
    };
    let (code, said, hot) = sample("two.safetensors", "hot", Some("450"));
    assert!(code == Some(0) && !said.contains("asked at"), "{said}");
    let (_, _, own) = sample("two.safetensors", "own", None);
    let (_, said, cold) = sample("two.safetensors", "cold", Some("300"));
    assert!(said.contains("asked at 300 K, trained at 320 to 450 K (-20 K)"), "{said}");
    assert!(hot == own && own != cold);
    assert!(own.contains("\"temperature_kelvin\":450"), "{own}");

    // A surrogate of one temperature has no such option.
    let one = write("one.toml", &|_| {});
    std::fs::write(at("split/validation.fasta"), "").unwrap();
    assert_eq!(train(&one, "one.safetensors").0, Some(0));
    let (code, said, _) = sample("one.safetensors", "refused", Some("450"));
    assert!(code != Some(0) && said.contains("no temperature input"), "{said}");

    // What was learned at one temperature is no validation at another.
    std::fs::write(at("split/train.fasta"), ">2defB01\nGYDPETGTWG\n").unwrap();
    std::fs::write(at("split/validation.fasta"), ">1abcA00\nGYDPETGTWG\n").unwrap();
    let on = write("on.toml", &|recipe| {
        takes(recipe);
        table(recipe, "run").insert("start_from".into(), at("two.safetensors").into());
    });
    let (code, _, said) = train(&on, "on.safetensors");
    assert!(code != Some(0) && said.contains("was trained on 1abcA00@320K"), "{said}");
}
