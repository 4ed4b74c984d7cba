//! `marsfm msm build` on real MD beside deeptime and MDTraj (`tests/reference/markov.py`).

use marsfm::msm::Msm;
use serde_json::Value;

use super::msm::{PDB, SETTINGS, replicas};
use crate::support::{root, run};

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Largest difference of two equally long lists.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |worst, (x, y)| worst.max((x - y).abs()))
}

/// Tolerances: TICA 1e-4 (MDTraj's angles are f32, and so are the frames), counts exactly, T and pi
/// 1e-9, timescales 1e-6 relative, PCCA+ an objective as large as theirs.
#[test]
fn a_model_of_real_md_is_that_of_deeptime() {
    let python = std::env::var("MARSFM_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let imports = ["-c", "import mdtraj, deeptime"];
    let there = std::process::Command::new(&python).args(imports).output();
    if !there.is_ok_and(|o| o.status.success()) {
        let why = "no Python with mdtraj and deeptime (set MARSFM_TEST_PYTHON)";
        return marsfm_test_support::skip("a_model_of_real_md_is_that_of_deeptime", why);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let file = path.display().to_string();
    let replicas = replicas();
    let mut arguments = vec!["msm", "build", "--topology", PDB, "--out", &file];
    arguments.extend(SETTINGS);
    arguments.extend(replicas.iter().map(String::as_str));
    let (code, _, error) = run(&arguments);
    assert_eq!(code, Some(0), "{error}");
    let msm = Msm::load(&path).unwrap();
    let (tica_lag, msm_lag) = (msm.settings.tica_lag, msm.settings.msm_lag);
    assert_eq!(msm.settings.pair_lag, msm_lag);

    let output = std::process::Command::new(&python)
        .arg(root().join("tests/reference/markov.py"))
        .args([&file, PDB])
        .args([tica_lag, msm_lag, msm.pcca.weights.len()].map(|n| n.to_string()))
        .args(&replicas)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();

    let eigenvalues = numbers(&theirs["tica_eigenvalues"]);
    let shared = eigenvalues.len().min(msm.tica.eigenvalues.len());
    assert!(shared >= 10, "{shared}");
    let tica = apart(&msm.tica.eigenvalues[..shared], &eigenvalues[..shared]);
    assert!(tica < 1e-4, "TICA eigenvalues differ by {tica:e}");
    assert_eq!(msm.tica.n_kept as u64, theirs["tica_kept"].as_u64().unwrap());

    let active: Vec<f64> = msm.micro.active.iter().map(|s| *s as f64).collect();
    assert_eq!(active, numbers(&theirs["active"]));
    assert_eq!(msm.macro_counts.as_slice(), numbers(&theirs["macro_counts"]));
    let t = apart(msm.micro.t.as_slice(), &numbers(&theirs["t"]));
    let pi = apart(&msm.micro.pi, &numbers(&theirs["pi"]));
    assert!(t < 1e-9 && pi < 1e-9, "T differs by {t:e}, pi by {pi:e}");

    assert!(msm.implied_timescales.len() >= 5);
    for at in &msm.implied_timescales {
        let expected = theirs["slowest"][at.lag.to_string()].as_f64().unwrap();
        let found = at.timescales[0];
        let relative = (found / expected - 1.0).abs();
        assert!(relative < 1e-6, "lag {}: {found}, theirs {expected}", at.lag);
    }
    let objective = theirs["pcca_objective"].as_f64().unwrap();
    assert!(msm.pcca.objective >= objective * (1.0 - 1e-6), "{} {objective}", msm.pcca.objective);
}
