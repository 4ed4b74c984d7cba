//! Bad input: a clear error that names what is wrong, exit code ≠ 0, nothing half-written.

use std::path::Path;

use crate::support::{marsfm, root, run};

/// Runs `marsfm msm build` on these files and returns the error; the model file must not exist.
fn msm_error(topology: &str, trajectories: &[&str], extra: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model.safetensors");
    let mut arguments =
        vec!["msm", "build", "--topology", topology, "--out", out.to_str().unwrap()];
    arguments.extend(extra);
    arguments.extend(trajectories);
    let (code, _, stderr) = run(&arguments);
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was written");
    stderr
}

fn says(error: &str, expected: &[&str]) {
    for part in expected {
        assert!(error.contains(part), "{error:?} should say {part:?}");
    }
}

const PDB: &str = "examples/data/QLAQ/QLAQ.pdb";
const XTC: &str = "examples/data/QLAQ/r0.xtc";

/// The committed PDB with a change, as a file.
fn changed_pdb(folder: &Path, change: impl Fn(&str) -> String) -> String {
    let text = std::fs::read_to_string(root().join(PDB)).unwrap();
    let path = folder.join("changed.pdb");
    std::fs::write(&path, change(&text)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_missing_or_wrong_topology_is_named() {
    says(&msm_error("none.pdb", &[XTC], &[]), &["none.pdb"]);
    let other = "examples/data/chignolin/chignolin.pdb";
    says(&msm_error(other, &[XTC], &[]), &["r0.xtc", "atoms"]);
    says(&msm_error(XTC, &[XTC], &[]), &["r0.xtc"]);
    says(&msm_error(PDB, &["none.xtc"], &[]), &["none.xtc"]);
}

#[test]
fn a_truncated_or_empty_trajectory_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let whole = std::fs::read(root().join(XTC)).unwrap();
    std::fs::write(path("cut.xtc"), &whole[..whole.len() - 37]).unwrap();
    says(&msm_error(PDB, &[&path("cut.xtc")], &[]), &["cut.xtc", "1499"]);
    std::fs::write(path("empty.xtc"), b"").unwrap();
    says(&msm_error(PDB, &[&path("empty.xtc")], &[]), &["empty.xtc"]);
}

#[test]
fn an_unknown_residue_two_chains_and_a_missing_atom_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = changed_pdb(folder.path(), |t| t.replace("LEU", "XYZ"));
    says(&msm_error(&unknown, &[XTC], &[]), &["XYZ"]);
    // Residues 3 and 4 moved 10 nm away: no peptide bond joins them to the rest.
    let apart = changed_pdb(folder.path(), |t| {
        let far = |l: &str| match l.get(22..26).and_then(|n| n.trim().parse::<i32>().ok()) {
            Some(3..) if l.starts_with("ATOM") => format!("{} 500.000{}\n", &l[..30], &l[38..]),
            _ => format!("{l}\n"),
        };
        t.lines().map(far).collect()
    });
    let out = folder.path().join("samples");
    let (code, _, stderr) = run(&["check", &apart, "--topology", &apart]);
    assert_eq!(code, Some(1));
    says(&stderr, &["changed.pdb"]);
    assert!(!out.exists());
}

#[test]
fn not_finite_coordinates_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let nan = changed_pdb(folder.path(), |t| {
        let mut first = true;
        let bad = |l: &str| {
            if l.starts_with("ATOM") && std::mem::take(&mut first) {
                format!("{}     nan{}\n", &l[..30], &l[38..])
            } else {
                format!("{l}\n")
            }
        };
        t.lines().map(bad).collect()
    });
    let (code, _, stderr) = run(&["check", &nan]);
    assert_eq!(code, Some(1));
    says(&stderr, &["changed.pdb"]);
}

#[test]
fn lags_and_sizes_that_do_not_fit_are_explained() {
    says(
        &msm_error(PDB, &[XTC], &["--msm-lag", "5000", "--tica-lag", "5000", "--pair-lag", "5000"]),
        &["5000"],
    );
    says(&msm_error(PDB, &[XTC], &["--msm-lag", "0.3"]), &["0.3"]);
    says(&msm_error(PDB, &[XTC], &["--msm-lag", "0"]), &["0"]);
}

#[test]
fn fewer_frames_than_microstates_is_a_warning_and_a_smaller_model() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("m.safetensors");
    let arguments =
        ["msm", "build", XTC, "--topology", PDB, "--microstates", "5000", "--json", "--out"];
    let mut arguments = arguments.to_vec();
    arguments.push(out.to_str().unwrap());
    let (code, stdout, stderr) = run(&arguments);
    assert_eq!(code, Some(0), "{stderr}");
    let info: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(info["microstates"].as_u64().unwrap() <= 1500);
    let warnings = info["warnings"].to_string();
    assert!(warnings.contains("instead of 5000"), "{warnings}");
}

#[test]
fn a_file_that_is_no_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("samples");
    let sample = |model: &str| {
        let out = out.to_str().unwrap();
        run(&["sample", "--model", model, "--topology", PDB, "--jump", "2", "--out", out])
    };
    for (model, expected) in [(PDB, "no marsfm checkpoint"), ("none.safetensors", "cannot open")] {
        let (code, _, stderr) = sample(model);
        assert_eq!(code, Some(1));
        says(&stderr, &[model, expected]);
        assert!(!out.exists(), "something was written");
    }
}

#[test]
fn a_recipe_with_a_wrong_key_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("train.toml");
    let text = std::fs::read_to_string(root().join("examples/models/tetrapeptide/train.toml"));
    std::fs::write(&recipe, text.unwrap().replace("pair_lag_ps", "pear_lag_ps")).unwrap();
    let out = folder.path().join("m.safetensors");
    let (code, _, stderr) =
        run(&["train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    says(&stderr, &["train.toml", "pear_lag_ps"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// In a process of its own: a second OpenMM in one process is refused for that alone.
#[test]
fn a_library_that_is_no_openmm_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libOpenMM.so");
    // Any other library will do.
    let plugin = Path::new(marsfm().get_program()).with_file_name("libmarsfm_plugin_xtc.so");
    std::fs::copy(plugin, &library).unwrap();
    let option = format!("library={}", library.display());
    let arguments = ["engine", "doctor", "--engine", "openmm", "--option", &option];
    let (_, stdout, stderr) = run(&arguments);
    says(&(stdout + &stderr), &["does not work", "libOpenMM.so lacks", "older than OpenMM 8.1"]);
}

#[test]
fn a_device_that_is_not_there_is_named_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let data = ["--data", "examples/data"];
    let benchmark = [&["benchmark", "QLAQ"][..], &data].concat();
    let suite = [&benchmark[..], &["--suite", "tetrapeptide", "--out", &out]].concat();
    let price = ["break-even", "QLAQ", "--md-cpu-seconds-per-ns", "10"];
    let break_even = [&price[..], &data].concat();
    for command in [benchmark, suite, break_even] {
        let (code, _, error) = run(&[&command[..], &["--device", "tpu"]].concat());
        assert!(code == Some(1), "{error}");
        says(&error, &["no tpu device"]);
    }
    assert!(!folder.path().join("out").exists(), "something was written");
}
