//! The program `marsfm-gbsa`: the same job gives the same files, cooling ends where the job's temperature is, and a job
//! that is wrong is refused by name.

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

/// A job of sixteen alanine dipeptides, 100 frames of 0.04 ps, after `heat`.
fn job(folder: &Path, heat: Value) -> Value {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alanine");
    let reference: Value =
        serde_json::from_str(&std::fs::read_to_string(manifest.join("reference.json")).unwrap())
            .unwrap();
    let replicas: Vec<Value> = (0..16)
        .map(|k| json!({"start": 0, "seed": k, "xtc": folder.join(format!("r{k}.xtc"))}))
        .collect();
    json!({
        "system": manifest.join("system.xml"), "starts": [reference["cases"][0]["positions_nm"]],
        "replicas": replicas, "atoms": [0, 1, 4], "temperature_kelvin": 350.0, "friction_per_ps": 1.0,
        "step_ps": 0.004, "heat": heat, "drop_steps": 0, "frame_steps": 10, "frames": 100,
    })
}

fn run(folder: &Path, job: &Value) -> Output {
    let file = folder.join("job.json");
    std::fs::write(&file, job.to_string()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_marsfm-gbsa")).arg(file).output().unwrap()
}

/// First replica's file and the temperature over all sixteen, K.
fn of(heat: Value) -> (Vec<u8>, f64) {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &job(folder.path(), heat));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done.len(), 16);
    let sum: f64 = done.iter().map(|d| d["mean_temperature_kelvin"].as_f64().unwrap()).sum();
    (std::fs::read(folder.path().join("r0.xtc")).unwrap(), sum / 16.0)
}

#[test]
fn cooling_ends_at_the_temperature_of_the_job() {
    let heat = |kelvin: f64, cool: u64| json!({"temperature_kelvin": kelvin, "steps": 500, "cool_steps": cool});
    let (cooled, kelvin) = of(heat(600.0, 2550));
    // 4 ps of sixteen molecules, in which a thermostat of 1 per ps keeps some of what was there before.
    assert!((kelvin - 350.0).abs() < 25.0, "{kelvin} K");
    assert!(cooled == of(heat(600.0, 2550)).0, "the same job, other bytes");
    assert!(cooled != of(heat(600.0, 2450)).0, "the length of cooling changes nothing");
    // At one temperature there is nothing to cool: heating longer is the same.
    let longer = json!({"temperature_kelvin": 350.0, "steps": 750});
    assert!(of(heat(350.0, 250)).0 == of(longer).0, "a fall of 0 K is no fall");
}

#[test]
fn a_wrong_job_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (field, value, said) in [
        ("atoms", json!([22]), "22 atoms"),
        ("starts", json!([]), "without its start"),
        ("heat", json!({"temperature_kelvin": 500.0}), "steps"),
        ("heat", json!({"temperature_kelvin": -500.0, "steps": 10}), "temperature"),
        ("step_ps", json!(0.0), "step_ps"),
    ] {
        let mut job = job(folder.path(), Value::Null);
        job[field] = value;
        let output = run(folder.path(), &job);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && words.contains(said), "{field}: {words}");
        assert!(words.contains("job.json"), "{field}: {words}");
    }
}

#[test]
fn nowhere_to_write_to_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.json");
    let job = job(folder.path(), json!({"temperature_kelvin": 350.0, "steps": 1}));
    std::fs::write(&file, job.to_string()).unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_marsfm-gbsa"));
    let output = program.arg(file).stdout(full).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && words.starts_with("marsfm-gbsa: standard output"),
        "{words}"
    );
}
