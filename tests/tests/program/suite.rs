//! `marsfm benchmark --suite`: rows, files and what is left out, on small budgets.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{domain, root, run};

fn read(path: &Path) -> serde_json::Value {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

fn methods(result: &serde_json::Value) -> Vec<String> {
    let all = result["summary"].as_array().unwrap().iter();
    all.map(|s| s["method"].as_str().unwrap().to_string()).collect()
}

#[test]
fn tetrapeptides_have_all_rows_and_bad_targets_are_named() {
    let out = tempfile::tempdir().unwrap();
    let data = root().join("examples/data");
    let folders = [data.display().to_string(), data.join("tetrapeptides").display().to_string()];
    let folder = out.path().join("results");
    // A peptide whose only file is damaged.
    let broken = out.path().join("bad/XXXX");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::copy(data.join("QLAQ/QLAQ.pdb"), broken.join("XXXX.pdb")).unwrap();
    std::fs::write(broken.join("r0.xtc"), b"damaged").unwrap();
    let bad = out.path().join("bad").display().to_string();
    let to = folder.display().to_string();
    let arguments = [
        "benchmark",
        "--suite",
        "tetrapeptide",
        "--data",
        &folders[0],
        "--data",
        &folders[1],
        "--data",
        &bad,
        "--budget",
        "60",
        "--depth",
        "6",
        "--resamples",
        "5",
        "--out",
        &to,
        "QLAQ",
        "XXXX",
        "NONE",
    ];
    let (code, text, error) = run(&arguments);
    assert_eq!(code, Some(0), "{error}");
    let r = read(&folder.join("results.json"));
    assert_eq!(r["targets"], serde_json::json!(["QLAQ"]));
    let rows = methods(&r);
    for expected in ["MD (oracle)", "stored frames from T", "residue library", "MarS-FM"] {
        assert!(rows.iter().any(|m| m == expected), "{rows:?}");
    }
    let md = r["rows"].as_array().unwrap().iter().filter(|x| x["method"] == "MD (oracle)");
    assert_eq!(md.count(), 4, "each replica is held out once");
    let surrogate =
        r["rows"].as_array().unwrap().iter().find(|x| x["method"] == "MarS-FM").unwrap();
    assert_eq!(surrogate["draws"].as_u64(), Some(60));
    let scores = surrogate["scores"].as_array().unwrap();
    assert!(scores.iter().any(|s| s["name"] == "state-to-state T"), "{scores:?}");
    for s in scores {
        let at = |k: &str| s[k].as_f64().unwrap();
        assert!(at("low") <= at("value") && at("value") <= at("high"), "{s}");
    }
    let notes = r["notes"].to_string();
    assert!(notes.contains("XXXX") && notes.contains("NONE"), "{notes}");
    assert!(text.contains("Published") && text.contains("MD of the same length"), "{text}");
    let csv = std::fs::read_to_string(folder.join("results.csv")).unwrap();
    assert!(csv.lines().count() > 60 && csv.contains("\"QLAQ\",\"MarS-FM\""), "{csv}");
    assert!(
        std::fs::read_to_string(folder.join("report.html")).unwrap().contains("Target by target")
    );
    // A peptide that the model was trained on is refused.
    let (code, _, error) =
        run(&["benchmark", "--suite", "tetrapeptide", "--data", &folders[1], "--out", &to, "AEAN"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("was trained on AEAN"), "{error}");
}

#[test]
fn replicas_shorter_than_a_jump_are_scored_at_the_lag() {
    let out = tempfile::tempdir().unwrap();
    let (data, short) = (root().join("examples/data/QLAQ"), out.path().join("QLAQ"));
    std::fs::create_dir(&short).unwrap();
    std::fs::copy(data.join("QLAQ.pdb"), short.join("QLAQ.pdb")).unwrap();
    for name in ["r0.xtc", "r1.xtc"] {
        // 150 frames, 1 ps apart: every frame begins with the same eight bytes (format, atoms).
        let bytes = std::fs::read(data.join(name)).unwrap();
        let begin = |at: &usize| bytes[*at..].starts_with(&bytes[..8]);
        let end = (0..bytes.len()).step_by(4).filter(begin).nth(150).unwrap();
        std::fs::write(short.join(name), &bytes[..end]).unwrap();
    }
    let (folder, to) = (out.path().display().to_string(), out.path().join("results"));
    let written = to.display().to_string();
    let more = root().join("examples/data/tetrapeptides").display().to_string();
    let arguments = format!(
        "benchmark --suite tetrapeptide --data {folder} --data {more} --lag 10 --budget 60 --depth 6 \
         --microstates 20 --macrostates 4 --resamples 5 --out {written} QLAQ"
    );
    let (code, _, error) = run(&arguments.split(' ').collect::<Vec<_>>());
    assert_eq!(code, Some(0), "{error}");
    let r = read(&to.join("results.json"));
    for expected in ["MD (oracle)", "stored frames from T", "residue library", "MarS-FM"] {
        assert!(methods(&r).iter().any(|m| m == expected), "{r}");
    }
    let notes = r["notes"].to_string();
    assert!(notes.contains("no stretch for jumps of 200 ps"), "{notes}");
}

/// Value and interval by method, replica and score, of one target.
fn numbers(csv: &str, target: &str) -> BTreeMap<(String, String, String), [f64; 3]> {
    let mut reader = csv.lines();
    assert!(
        reader.next().is_some_and(|l| l.starts_with("target,method,replica,score,value,low,high"))
    );
    let fields = |line: &str| -> Vec<String> {
        // Quoted fields hold commas ("TICA-0,1"), but no quotes.
        let parts = line.split('"').enumerate();
        let flat: Vec<String> = parts
            .map(|(i, p)| if i % 2 == 1 { p.replace(',', "\u{1}") } else { p.into() })
            .collect();
        flat.concat().split(',').map(|f| f.replace('\u{1}', ",")).collect()
    };
    let number = |text: &String| text.parse::<f64>().unwrap();
    reader
        .map(fields)
        .filter(|f| f[0] == target)
        .map(|f| {
            let key = (f[1].clone(), f[2].clone(), f[3].clone());
            (key, [number(&f[4]), number(&f[5]), number(&f[6])])
        })
        .collect()
}

/// The committed table, of one of its targets: the same rows and the same numbers on a processor like
/// that which made it, or within their intervals. Where vectors are of another width chains of jumps
/// and rollouts end elsewhere, so a 95 % interval may be missed now and then, but never by its width.
#[test]
fn the_committed_table_is_made_again() {
    let Some(shared) = marsfm_test_support::shared_or_skip("the_committed_table_is_made_again")
    else {
        return;
    };
    let committed = root().join("benches/evaluate/results/tetrapeptide/results.csv");
    let committed = numbers(&std::fs::read_to_string(committed).unwrap(), "TPCR");
    let out = tempfile::tempdir().unwrap();
    let to = out.path().display().to_string();
    let md = shared.join("data/tetrapeptides").display().to_string();
    let more = root().join("examples/data/tetrapeptides").display().to_string();
    let mdgen = "examples/models/mdgen20/mdgen20.safetensors";
    let arguments = format!(
        "benchmark --suite tetrapeptide --data {md} --data {more} --mdgen {mdgen} --lag 10 \
         --budget 1000 --depth 40 --rng-seed 1 --out {to} TPCR"
    );
    let (code, _, error) = run(&arguments.split(' ').collect::<Vec<_>>());
    assert_eq!(code, Some(0), "{error}");
    let now = numbers(&std::fs::read_to_string(out.path().join("results.csv")).unwrap(), "TPCR");
    assert!(now.len() > 140, "{}", now.len());
    assert_eq!(now.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
    let mut missed = 0;
    for (key, [value, ..]) in &now {
        let [was, low, high] = committed[key];
        let width = high - low;
        let near = (low - width..=high + width).contains(value);
        assert!(near, "{key:?}: {value}, was {was} ({low} … {high})");
        missed += usize::from(!(low..=high).contains(value));
    }
    assert!(missed * 10 <= now.len(), "{missed} of {} numbers left their intervals", now.len());
}

#[test]
fn domains_come_from_mdcath_files_and_missing_replicas_are_named() {
    let out = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for name in ["1abcA00", "2defB01"] {
        let Some(path) = domain(out.path(), name) else {
            let test = "domains_come_from_mdcath_files_and_missing_replicas_are_named";
            return marsfm_test_support::skip(test, "no Python with h5py and mdtraj");
        };
        files.push(path.display().to_string());
    }
    let short = out.path().join("mdcath_dataset_3cut.h5");
    let whole = std::fs::read(&files[0]).unwrap();
    std::fs::write(&short, &whole[..whole.len() / 3]).unwrap();
    files.push(short.display().to_string());
    let to = out.path().join("results");
    let folder = to.display().to_string();
    let mut arguments = vec![
        "benchmark",
        "--suite",
        "mdcath",
        "--budget",
        "50",
        "--depth",
        "5",
        "--lag",
        "2000",
        "--microstates",
        "20",
        "--macrostates",
        "4",
        "--resamples",
        "5",
        "--out",
        &folder,
    ];
    arguments.extend(files.iter().map(String::as_str));
    let (code, text, error) = run(&arguments);
    assert_eq!(code, Some(0), "{error}");
    let r = read(&to.join("results.json"));
    assert_eq!(r["targets"], serde_json::json!(["1abcA00", "2defB01"]));
    let rows = methods(&r);
    for expected in ["MD (oracle)", "stored frames from T", "residue library"] {
        assert!(rows.iter().any(|m| m == expected), "{rows:?} {text}");
    }
    let notes = r["notes"].to_string();
    assert!(notes.contains("450/4") && notes.contains("3cut"), "{notes}");
    assert!(text.contains("per-target RMSF r (median)") && text.contains("0.84"), "{text}");
    assert_eq!(r["settings"]["kelvin"].as_f64(), Some(450.0));
}
