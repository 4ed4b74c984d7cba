//! `marsfm msm …` on real MD: every subcommand, and one build as many jobs.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{marsfm, root, run};

pub const PDB: &str = "examples/data/QLAQ/QLAQ.pdb";

/// Replicas of one peptide: those of the checkout.
pub fn replicas() -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(root().join("examples/data/QLAQ"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|x| x == "xtc"))
        .map(|p| p.to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// Settings that these tests build with: few states, so that it is quick.
pub const SETTINGS: [&str; 6] = ["--microstates", "40", "--macrostates", "4", "--rng-seed", "5"];

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

/// Runs a command that has to succeed; its standard output.
fn good(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = run(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&good(arguments)).unwrap()
}

fn build(trajectories: &[&str], out: &str) -> String {
    let mut arguments = vec!["msm", "build", "--topology", PDB, "--out", out];
    arguments.extend(SETTINGS);
    arguments.extend(trajectories);
    good(&arguments)
}

/// An XTC file, which may be cut between any two frames, and where its frames begin.
pub fn frames(file: &str) -> (Vec<u8>, Vec<usize>) {
    let whole = std::fs::read(root().join(file)).unwrap();
    // Every XTC frame begins with the magic number 1995 and the number of atoms.
    let head = &whole[..8];
    let starts = (0..whole.len() - 8).step_by(4).filter(|i| &whole[*i..*i + 8] == head).collect();
    (whole, starts)
}

/// The first replica as four trajectories.
fn pieces(folder: &Folder) -> Vec<String> {
    let (whole, starts) = frames(&replicas()[0]);
    let n = starts.len();
    let cuts = [0, starts[n / 4], starts[n / 2], starts[3 * n / 4], whole.len()];
    let write = |k: usize| {
        let path = folder.at(&format!("piece{k}.xtc"));
        std::fs::write(&path, &whole[cuts[k]..cuts[k + 1]]).unwrap();
        path
    };
    (0..4).map(write).collect()
}

fn words(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

#[test]
fn a_model_is_built_told_validated_and_used() {
    let folder = Folder::new();
    let (model, page, table) =
        (folder.at("m.safetensors"), folder.at("m.html"), folder.at("s.csv"));
    let pieces = pieces(&folder);
    let said = build(&words(&pieces), &model);
    assert!(said.contains("40 microstates"), "{said}");

    let info = json(&["msm", "info", &model, "--json"]);
    assert_eq!(info["features"], "torsions");
    assert_eq!(info["frame_ps"], 1.0);
    let rows = info["transition_matrix"].as_array().unwrap();
    assert_eq!(rows.len(), info["macrostates"].as_u64().unwrap() as usize);
    for row in rows {
        let sum: f64 = row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }
    assert!(good(&["msm", "info", &model]).contains("connected"));

    let mut validate =
        vec!["msm", "validate", &model, "--topology", PDB, "--samples", "20", "--report", &page];
    validate.push("--json");
    validate.extend(words(&pieces));
    let found = json(&validate);
    let at = &found["timescales"][0];
    let (t, ends) = (at["timescales_ps"][0].as_f64().unwrap(), &at["intervals_ps"][0]);
    assert!(ends[0].as_f64().unwrap() <= t * 1.5 && ends[1].as_f64().unwrap() >= t / 1.5);
    assert!(!found["verdicts"].as_array().unwrap().is_empty());
    let tests = found["chapman_kolmogorov"].as_array().unwrap();
    assert!(tests.len() > 1);
    for at in tests {
        for side in ["predicted", "estimated"] {
            let values = at[side].as_array().unwrap();
            let ends = at[format!("{side}_intervals")].as_array().unwrap();
            assert_eq!((values.len(), ends.len()), (4, 4));
            for end in ends {
                let (low, high) = (end[0].as_f64().unwrap(), end[1].as_f64().unwrap());
                assert!(0.0 <= low && low < high && high <= 1.0 + 1e-12, "{end}");
            }
        }
    }
    let told = good(&["msm", "validate", &model, "--samples", "20"]);
    assert!(told.contains("still in each macrostate, predicted | counted"), "{told}");
    let html = std::fs::read_to_string(&page).unwrap();
    for part in ["Implied timescales", "Chapman–Kolmogorov", "free energy", "Network of states"] {
        assert!(html.contains(part), "the page lacks {part}");
    }
    assert!(!html.contains("NaN") && !html.contains("src=\"http"));

    good(&["msm", "assign", &model, &pieces[1], "--topology", PDB, "--out", &table]);
    let text = std::fs::read_to_string(&table).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("trajectory,frame,time_ps,microstate,macrostate"));
    let n = lines.clone().count();
    for (i, line) in lines.enumerate() {
        let fields: Vec<&str> = line.rsplitn(5, ',').collect();
        assert_eq!(fields[3], i.to_string());
        let (micro, coarse): (i32, i32) = (fields[1].parse().unwrap(), fields[0].parse().unwrap());
        assert!((0..40).contains(&micro) && (-1..4).contains(&coarse), "{line}");
    }
    let whole = pieces.iter().map(|p| std::fs::metadata(p).unwrap().len()).sum::<u64>();
    assert!(n > 100 && whole > 0);
}

#[test]
fn the_order_of_trajectories_and_the_threads_change_no_bit() {
    let folder = Folder::new();
    let pieces = pieces(&folder);
    let turned = [&*pieces[2], &*pieces[0], &*pieces[3], &*pieces[1]];
    let (a, b) = (folder.at("a.safetensors"), folder.at("b.safetensors"));
    build(&words(&pieces), &a);
    let mut again = vec!["--threads", "1", "msm", "build", "--topology", PDB, "--out", &b];
    again.extend(SETTINGS);
    again.extend(turned);
    good(&again);
    let (a, b) = (json(&["msm", "info", &a, "--json"]), json(&["msm", "info", &b, "--json"]));
    for field in ["transition_matrix", "timescales_frames", "populations", "mean_self_transition"] {
        assert_eq!(a[field], b[field], "{field}");
    }
}

#[test]
fn update_adds_trajectories_and_refit_is_a_new_build() {
    let folder = Folder::new();
    let pieces = pieces(&folder);
    let first = words(&pieces[..3]);
    let (old, new, refit, whole) =
        (folder.at("old"), folder.at("new"), folder.at("refit"), folder.at("whole"));
    build(&first, &old);
    let update = |out: &str, extra: &[&str]| {
        let mut arguments = vec!["msm", "update", &old, &pieces[3], "--topology", PDB, "--json"];
        arguments.extend(["--out", out]);
        arguments.extend(extra);
        json(&arguments)
    };
    let drift = update(&new, &[]);
    let added = drift["frames_added"].as_u64().unwrap();
    let populations = |path: &str| -> u64 {
        let info = json(&["msm", "info", path, "--json"]);
        info["populations"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).sum()
    };
    assert_eq!(populations(&new), populations(&old) + added);
    assert!(drift["distance_ratio"].as_f64().unwrap() > 0.0);
    update(&refit, &["--refit"]);
    build(&words(&pieces), &whole);
    assert!(std::fs::read(&refit).unwrap() == std::fs::read(&whole).unwrap());
    // Another molecule is refused, and the old file stays as it was.
    let before = std::fs::read(&old).unwrap();
    let (code, _, stderr) = run(&[
        "msm",
        "update",
        &old,
        "examples/data/chignolin/r0.xtc",
        "--topology",
        "examples/data/chignolin/chignolin.pdb",
        "--out",
        &old,
    ]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("chignolin") && stderr.contains("molecule"), "{stderr}");
    assert!(std::fs::read(&old).unwrap() == before);
}

/// All passes of a build, each as parts made in any order; the parts' file names differ by pass.
fn in_parts(trajectories: &[&str], folder: &Path, of: usize) -> PathBuf {
    let mut stage: Option<PathBuf> = None;
    for pass in ["moments", "points", "states"] {
        let mut parts = Vec::new();
        for index in (1..=of).rev() {
            let (part, out) = (format!("{index}/{of}"), folder.join(format!("{pass}{index}")));
            let mut arguments = vec!["msm", "partial", "--topology", PDB, "--part", &part, "--out"];
            arguments.push(out.to_str().unwrap());
            let from = stage.as_ref().map(|s| s.to_str().unwrap().to_owned());
            from.iter().for_each(|s| arguments.extend(["--from", s]));
            arguments.extend(SETTINGS);
            arguments.extend(trajectories);
            good(&arguments);
            parts.push(out.to_str().unwrap().to_owned());
        }
        let out = folder.join(format!("after-{pass}"));
        let mut arguments = vec!["msm", "merge", "--out", out.to_str().unwrap()];
        let from = stage.as_ref().map(|s| s.to_str().unwrap().to_owned());
        from.iter().for_each(|s| arguments.extend(["--from", s]));
        arguments.extend(parts.iter().map(String::as_str));
        good(&arguments);
        stage = Some(out);
    }
    stage.unwrap()
}

#[test]
fn parts_merge_to_the_bits_of_one_run_and_wrong_parts_are_refused() {
    let folder = Folder::new();
    let pieces = pieces(&folder);
    let list = words(&pieces);
    let whole = folder.at("whole");
    build(&list, &whole);
    let merged = in_parts(&list, folder.0.path(), 3);
    assert!(std::fs::read(merged).unwrap() == std::fs::read(&whole).unwrap());

    let refused = |arguments: &[&str], expected: &str| {
        let out = folder.at("refused");
        let all: Vec<&str> = arguments.iter().copied().chain(["--out", &out]).collect();
        let (code, _, stderr) = run(&all);
        assert_eq!(code, Some(1));
        assert!(stderr.contains(expected), "{stderr:?} should say {expected:?}");
        assert!(!Path::new(&out).exists());
    };
    let at = |name: &str| folder.at(name);
    refused(&["msm", "merge", &at("moments1"), &at("moments3")], "missing");
    let twice =
        [&*at("moments1"), &at("moments2"), &at("moments3"), &at("moments1")].map(String::from);
    refused(&[&["msm", "merge"], &words(&twice)[..]].concat(), "another part too");
    refused(&["msm", "merge", &at("points1")], "points");
    refused(&["msm", "merge", &at("moments1"), "--from", &at("after-moments")], "moments");
    refused(&["msm", "merge", &at("states1"), "--from", &at("after-moments")], "states");
    refused(&["msm", "merge", &at("points1"), "--from", &at("after-points")], "points");
    refused(&["msm", "merge", PDB], "no file of");
    let other = ["msm", "partial", &*pieces[0], "--topology", PDB, "--part", "1/3"];
    refused(&[&other[..], &["--from", &at("after-moments")]].concat(), "settings");
    let (code, _, stderr) = run(&[&other[..6], &["4/3", "--out", "x"]].concat());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("3/8"), "{stderr}");
}

#[test]
fn automatic_choices_are_told_with_their_reasons() {
    let folder = Folder::new();
    let (out, page) = (folder.at("auto"), folder.at("auto.html"));
    let mut arguments = vec!["msm", "build", "--topology", PDB, "--auto", "--json", "--out", &out];
    arguments.extend(["--report", &page, "--microstates", "40", "--features", "torsions"]);
    let replicas = replicas();
    arguments.extend(words(&replicas));
    let told = json(&arguments);
    let choices = told["choices"].as_array().unwrap();
    let what: Vec<&str> = choices.iter().map(|c| c["what"].as_str().unwrap()).collect();
    // The features were given: they are no choice.
    assert_eq!(what, ["TICA lag", "MSM lag", "macrostates", "pair lag"]);
    assert!(choices.iter().all(|c| !c["why"].as_str().unwrap().is_empty()));
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("What was chosen, and why"));

    let foreign = "examples/data/chignolin/r0.xtc";
    let (code, _, stderr) =
        run(&["msm", "build", "--topology", PDB, "--auto", "--out", &out, foreign]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains(foreign), "no features fit, and why is said: {stderr}");
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let folder = Folder::new();
    let model = folder.at("m");
    build(&words(&replicas()), &model);
    let mut child = marsfm()
        .args(["msm", "info", &model])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn damaged_and_foreign_models_are_refused() {
    let folder = Folder::new();
    let model = folder.at("m.safetensors");
    build(&words(&replicas()), &model);
    let bytes = std::fs::read(&model).unwrap();
    let cut = folder.at("cut.safetensors");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    for path in [&*cut, PDB, "none.safetensors"] {
        for command in [&["msm", "info", path][..], &["msm", "validate", path]] {
            let (code, _, stderr) = run(command);
            assert_eq!(code, Some(1));
            assert!(stderr.contains(path), "{stderr}");
        }
    }
}
