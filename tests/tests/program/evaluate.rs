//! `marsfm evaluate` on the example MD: symmetric cases, and bad files named and left out.

use crate::support::{root, run};

fn evaluate(samples: &[&str]) -> serde_json::Value {
    let folder = root().join("examples/data/QLAQ");
    let path = |name: &str| folder.join(name).display().to_string();
    let (topology, r): (String, Vec<String>) =
        (path("QLAQ.pdb"), (0..4).map(|k| path(&format!("r{k}.xtc"))).collect());
    let mut arguments = vec!["evaluate", "--json", "--resamples", "20", "--topology", &topology];
    arguments.push("--reference");
    arguments.extend(r.iter().map(String::as_str));
    arguments.push("--samples");
    let given: Vec<String> =
        samples.iter().map(|s| if s.contains('/') { s.to_string() } else { path(s) }).collect();
    arguments.extend(given.iter().map(String::as_str));
    let (code, out, error) = run(&arguments);
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn md_against_itself_is_exactly_zero() {
    let e = evaluate(&["r0.xtc", "r1.xtc", "r2.xtc", "r3.xtc"]);
    let scores = e["scores"].as_array().unwrap();
    assert!(scores.len() >= 12, "{scores:?}");
    for s in scores.iter().filter(|s| s["name"] != "macrostates, outside counted") {
        assert_eq!(s["value"].as_f64(), Some(0.0), "{s}");
        assert!(s["md_noise"]["mean"].as_f64().unwrap() >= 0.0, "{s}");
    }
    assert!(e["outside_fraction"].as_f64().unwrap() < 0.01);
    assert!(e["reference"]["acceptance"].as_f64().unwrap() > 0.999);
}

#[test]
fn a_cut_file_and_another_molecule_are_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(root().join("examples/data/QLAQ/r0.xtc")).unwrap();
    let cut = folder.path().join("cut.xtc");
    std::fs::write(&cut, &whole[..whole.len() - 10]).unwrap();
    let other = root().join("examples/data/chignolin/r0.xtc");
    let e = evaluate(&["r1.xtc", &cut.display().to_string(), &other.display().to_string()]);
    assert_eq!(e["sample"]["files"].as_array().unwrap().len(), 1);
    assert_eq!(e["sample"]["n_frames"], 1500);
    let notes = e["notes"].to_string();
    assert!(notes.contains("cut.xtc") && notes.contains("cut off"), "{notes}");
    assert!(notes.contains("chignolin") && notes.contains("77 atoms"), "{notes}");
}

/// MDTraj and SciPy on frames as XTC has them; theirs are f32 angles, so that a frame at the edge of
/// a bin may fall on its other side.
#[test]
fn scores_are_those_of_mdtraj_and_scipy() {
    let python = std::env::var("MARSFM_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let there = std::process::Command::new(&python).args(["-c", "import mdtraj, scipy"]).output();
    if !there.is_ok_and(|o| o.status.success()) {
        let why = "no Python with mdtraj and scipy (set MARSFM_TEST_PYTHON)";
        marsfm_test_support::skip("scores_are_those_of_mdtraj_and_scipy", why);
        return;
    }
    let folder = root().join("examples/data/QLAQ");
    let path = |name: &str| folder.join(name).display().to_string();
    let reference: Vec<String> = (0..4).map(|k| path(&format!("r{k}.xtc"))).collect();
    let output = std::process::Command::new(&python)
        .arg(root().join("tests/reference/metrics.py"))
        .args([path("QLAQ.pdb"), reference.join(","), path("r3.xtc")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let ours = evaluate(&["r3.xtc"]);
    let mut compared = 0;
    for s in ours["scores"].as_array().unwrap() {
        let Some(expected) = theirs[s["name"].as_str().unwrap()].as_f64() else { continue };
        let value = s["value"].as_f64().unwrap();
        assert!((value - expected).abs() < 2e-3, "{}: {value}, theirs {expected}", s["name"]);
        compared += 1;
    }
    assert_eq!(compared, 7);
}
