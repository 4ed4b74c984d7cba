//! `marsfm loop` on the toy engine, as a user runs it: killed again and again, reported, refused.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use marsfm_adaptive::read_journal;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::support::{marsfm, root, run};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The example's settings with changes.
fn settings(folder: &Path, name: &str, changes: &[(&str, &str)]) -> std::path::PathBuf {
    let mut toml = std::fs::read_to_string(root().join("examples/loop/toy.toml")).unwrap();
    for (from, to) in changes {
        assert!(toml.contains(from), "examples/loop/toy.toml does not hold {from:?}");
        toml = toml.replace(from, to);
    }
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, toml).unwrap();
    path
}

fn begun(folder: &Path, name: &str, changes: &[(&str, &str)]) -> std::path::PathBuf {
    let (file, out) = (settings(folder, name, changes), folder.join(name));
    let (code, _, errors) = run(&["loop", "init", text(&file), "--out", text(&out)]);
    assert_eq!(code, Some(0), "{errors}");
    out
}

/// The records of a journal without what a clock told.
fn records(folder: &Path) -> Vec<Value> {
    let (contents, _) = read_journal(&folder.join("journal")).unwrap();
    let read = |r: &Vec<u8>| {
        let mut record: Value = serde_json::from_slice(r).unwrap();
        record.as_object_mut().unwrap().remove("seconds");
        record
    };
    contents.records.iter().map(read).collect()
}

#[test]
fn the_program_killed_at_random_goes_on_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let quiet = begun(dir.path(), "quiet", &[]);
    let clock = Instant::now();
    let (code, said, errors) = run(&["loop", "run", text(&quiet)]);
    let whole = clock.elapsed();
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains("complete") && said.contains("epoch 10 of 10, 40 runs"), "{said}");
    let expected = records(&quiet);
    let (mut kills, mut loops) = (0, 0);
    while kills < 12 {
        let out = begun(dir.path(), &format!("loop-{loops}"), &[]);
        loops += 1;
        loop {
            let mut child = marsfm();
            child.args(["loop", "run"]).arg(&out).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = child.spawn().unwrap();
            // Steps of the golden ratio: spread over half the time that a run takes.
            let part = 0.5 * (f64::from(kills + 3 * loops) * 0.618_033_988_7).fract();
            std::thread::sleep(whole.mul_f64(part).max(Duration::from_millis(20)));
            if child.try_wait().unwrap().is_some_and(|s| s.success()) {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            assert!(kills < 400, "the loop makes no progress between kills");
            if kills >= 12 {
                assert_eq!(run(&["loop", "run", text(&out)]).0, Some(0));
                break;
            }
        }
        assert_eq!(records(&out), expected, "loop {loops}");
    }
}

#[test]
fn loops_are_reported_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let visited =
        [("proposer = \"jump\" ", "proposer = \"visited\" "), ("options =", "# options =")];
    let long = [("proposer = \"jump\" ", "proposer = \"long\" "), ("options =", "# options =")];
    let loops: Vec<_> = [("jump", &[][..]), ("visited", &visited), ("long", &long)]
        .map(|(name, changes)| begun(dir.path(), name, changes))
        .to_vec();
    for folder in &loops {
        let (code, _, errors) = run(&["loop", "run", text(folder)]);
        assert_eq!(code, Some(0), "{errors}");
    }
    let out = dir.path().join("report");
    let all: Vec<&str> = loops.iter().map(|p| text(p)).collect();
    let arguments = [&["loop", "report", "--out", text(&out), "--compare"], &all[..]].concat();
    let (code, said, errors) = run(&arguments);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains("jump: 6 of 6 states in 8.48"), "{said}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    for piece in ["jump × least-counts", "visited × least-counts", "states found", "<svg"] {
        assert!(page.contains(piece), "{piece} is not on the page");
    }
    for outside in ["<script", "<link", "src=\"http", "href=\"http", "@import"] {
        assert!(!page.contains(outside), "the page is not offline: {outside}");
    }
    let json: Value =
        serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(json["states"], 6);
    for (l, md) in json["loops"].as_array().unwrap().iter().zip([8.48, 8.472, 8.402]) {
        let total = l["md"]["total_ns"].as_f64().unwrap();
        assert!((total - md).abs() < 0.01, "{total} ns of {md}");
        // What was found never shrinks, and costs what was charged.
        let found = l["found"].as_array().unwrap();
        let at = |k: usize, what: &str| found[k][what].as_f64().unwrap();
        for k in 1..found.len() {
            assert!(["states", "md_ns", "cpu_seconds"].iter().all(|w| at(k, w) >= at(k - 1, w)));
        }
        assert!((at(found.len() - 1, "md_ns") - total).abs() < 1e-9);
        let p = l["statistics"]["Ok"]["populations"].as_array().unwrap();
        let sum: f64 = p.iter().filter_map(|p| p["value"].as_f64()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }
    for file in ["found", "states", "timescales", "bias", "drift", "runs", "stages"] {
        let csv = std::fs::read_to_string(out.join(format!("{file}.csv"))).unwrap();
        let fields = csv.lines().next().unwrap().split(',').count();
        assert!(csv.lines().count() > 3, "{file}.csv");
        assert!(csv.lines().all(|l| l.split(',').count() == fields), "{file}.csv");
    }
    let runs = std::fs::read_to_string(out.join("runs.csv")).unwrap();
    assert_eq!(runs.lines().count(), 1 + 40 + 40 + 1);
}

#[test]
fn what_is_wrong_is_said_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for (name, from, to, says) in [
        ("engine", "name = \"toy\"", "name = \"nowhere\"", "no plugin for this engine is loaded"),
        ("template", "name = \"toy\"", "name = \"openmm\"", "engine.options.template is missing"),
        ("proposer", "\"jump\"", "\"leap\"", "strategy.proposer is \"leap\""),
        ("option", "validity", "valdity", "strategy.options: unknown field `valdity`"),
        ("selector", "least-counts", "fewest", "unknown variant `fewest`"),
        ("short", "run_ps = 200.0", "run_ps = 50.0", "10 x model.msm_lag_ps = 100 ps"),
        ("typo", "head_ps", "had_ps", "unknown field `had_ps`"),
    ] {
        let file = settings(dir.path(), name, &[(from, to)]);
        let (code, _, errors) = run(&["loop", "init", text(&file), "--out", text(&out)]);
        let missing_template = name == "engine" && errors.contains("template is missing");
        assert_eq!(code, Some(1), "{name}");
        assert!(errors.contains(says) || missing_template, "{name}: {errors}");
        assert!(errors.contains(&format!("{name}.toml")), "{errors}");
        assert!(!out.exists(), "{name}");
    }
    let good = settings(dir.path(), "good", &[]);
    let (code, said, _) = run(&["loop", "init", text(&good), "--dry-run"]);
    assert!(code == Some(0) && said.contains("40 runs, 8.40 ns"), "{said}");
    let (code, _, errors) = run(&["loop", "run", text(dir.path())]);
    assert!(code == Some(1) && errors.contains("begin one with `marsfm loop init`"), "{errors}");
    let folder = begun(dir.path(), "once", &[("epochs = 10", "epochs = 1")]);
    let (code, said, errors) = run(&["loop", "run", text(&folder), "--dry-run"]);
    assert!(code == Some(0) && said.contains("4 runs in 1 epochs are left"), "{said} {errors}");
    assert_eq!(records(&folder).len(), 1, "a rehearsal leaves no record");
    let (code, _, errors) = run(&["loop", "init", text(&good), "--out", text(&folder)]);
    assert!(code == Some(1) && errors.contains("holds a loop already"), "{errors}");
}

const ON_SLURM: &str = "seeds_of_an_epoch_are_an_array_on_slurm";

#[test]
fn seeds_of_an_epoch_are_an_array_on_slurm() {
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => return marsfm_test_support::skip(ON_SLURM, &why),
    };
    let dir = tempfile::tempdir().unwrap();
    let few = ("epochs = 10", "epochs = 3");
    let quiet = begun(dir.path(), "quiet", &[few]);
    assert_eq!(run(&["loop", "run", text(&quiet)]).0, Some(0));
    let go = |folder: &Path| {
        let mut command = marsfm();
        command.args(["loop", "run"]).arg(folder).env("SLURM_CONF", cluster.at("slurm.conf"));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    let array = "\n[slurm]\npoll_s = 0.2\nsbatch = [\"--ntasks=1\"]\n[engine]";
    let spread = begun(dir.path(), "spread", &[few, ("\n[engine]", array)]);
    // The driver is killed while its tasks run; they go on, and are picked up.
    let mut child = go(&spread).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let _ = child.kill();
    child.wait().unwrap();
    let output = go(&spread).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Settings apart, the same loop as in one process.
    assert_eq!(records(&spread)[1..], records(&quiet)[1..]);
    // Tasks that end without a result are given up after two attempts, and the loop says why.
    let options = "\n[engine.options]\nfault = \"hang\"\nfault_at = [0]\n\n[budget]";
    let broken =
        begun(dir.path(), "broken", &[few, ("\n[engine]", array), ("\n[budget]", options)]);
    let output = go(&broken).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(words.contains("every seed was lost") && words.contains("ended 2 times"), "{words}");
    let log = std::fs::read_to_string(broken.join("epoch_000/slurm-0.log")).unwrap();
    assert!(log.contains("no sign of life"), "{log}");
}
