//! Seeds that run together: one archive, one launch under MPI, and each seed's fate its own.

use crate::support::*;
use marsfm::engines::{Lengths, Runner, SeedRecord};
use marsfm::preparation::{EngineError, Failure, Finished};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const LENGTHS: Lengths = Lengths { head_ps: 0.2, ps: 0.4, frame_ps: 0.1 };

/// The peptide's own structure as several seeds, prepared in vacuum.
fn prepared(folder: &Path, n: usize, more: Value) -> (Runner, Vec<SeedRecord>) {
    let (host, template) = (host(), folder.join("template"));
    gromacs_template(&peptide(), &template, &[]);
    let runner = open(&host, "gromacs", &template, more);
    let frames = vec![own_frame(&runner); n];
    let seeds = runner.place(&runner.system().topology, &frames).unwrap();
    let made = runner.prepare(&folder.join("out"), &seeds, None, 7, |_, _, _| true).unwrap();
    assert!(made.summary.seeds.iter().all(SeedRecord::runs));
    (runner, made.summary.seeds)
}

/// What `gmx dump` says of the frames of an archive: (time, velocities or positions of atom 0).
fn dumped(trr: &Path) -> String {
    let output = Command::new("gmx").args(["-quiet", "dump", "-f"]).arg(trr).output().unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs each seed by itself, keeps what came out, and removes it from its folder.
fn each_alone(runner: &Runner, seeds: &[SeedRecord], out: &Path) -> Vec<(Finished, Vec<u8>)> {
    let one = |seed: &SeedRecord| {
        let finished = runner.run(out, seed, LENGTHS, |_, _| true).unwrap().unwrap();
        let folder = out.join(&seed.folder);
        let xtc = std::fs::read(folder.join("md.xtc")).unwrap();
        std::fs::remove_file(folder.join("md.xtc")).unwrap();
        std::fs::remove_file(folder.join("run.json")).unwrap();
        (finished, xtc)
    };
    seeds.iter().map(one).collect()
}

#[test]
fn seeds_in_one_launch_give_the_runs_that_each_gives_alone() {
    if !has_gromacs_mpi("seeds_in_one_launch_give_the_runs_that_each_gives_alone") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (runner, seeds) = prepared(folder.path(), 3, json!({}));
    let out = folder.path().join("out");
    let trajectory = |seed: &SeedRecord| out.join(&seed.folder).join("md.xtc");
    let alone = each_alone(&runner, &seeds, &out);
    let group: Vec<&SeedRecord> = seeds.iter().collect();
    let together = runner.run_together(&out, &group, LENGTHS, |_, _| true).unwrap();
    assert_eq!(together.len(), 3);
    for ((seed, (finished, xtc)), got) in seeds.iter().zip(&alone).zip(&together) {
        assert_eq!(got.as_ref(), Ok(finished));
        assert!(std::fs::read(trajectory(seed)).unwrap() == *xtc, "{}", seed.folder);
        assert!(out.join(&seed.folder).join("run.json").is_file());
    }
    // Different seeds of velocities, so three different runs.
    assert!(alone[0].1 != alone[1].1 && alone[1].1 != alone[2].1);
    // One archive of all starts, a frame of each seed at its place, with velocities.
    let text = dumped(&out.join("together_000/starts.trr"));
    let times: Vec<&str> = text.lines().filter(|l| l.contains("time=")).collect();
    assert_eq!(times.len(), 3, "{times:?}");
    assert!(times[2].contains("time=2.0000000e+00"), "{times:?}");
    assert_eq!(text.matches("v (66x3)").count(), 3);
    let left = std::fs::read_dir(out.join("together_000")).unwrap().count();
    assert_eq!(left, 1, "working folders are removed");
}

#[test]
fn a_seed_that_blows_up_among_others_costs_itself_only() {
    if !has_gromacs_mpi("a_seed_that_blows_up_among_others_costs_itself_only") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (runner, seeds) = prepared(folder.path(), 2, json!({}));
    let out = folder.path().join("out");
    // The last velocity of the second start: far beyond what any constraint can hold.
    let start = out.join(&seeds[1].folder).join("start.trr");
    let mut bytes = std::fs::read(&start).unwrap();
    let at = bytes.len() - 12;
    bytes[at..at + 4].copy_from_slice(&1e6f32.to_be_bytes());
    std::fs::write(&start, bytes).unwrap();
    let group: Vec<&SeedRecord> = seeds.iter().collect();
    let ends = runner.run_together(&out, &group, LENGTHS, |_, _| true).unwrap();
    assert_eq!(ends[0].as_ref().map(|f| f.n_frames), Ok(6));
    let why = ends[1].as_ref().unwrap_err();
    assert!(why.contains("blew up"), "{why}");
    assert!(!out.join(&seeds[1].folder).join("md.xtc").exists());
    assert!(out.join(&seeds[0].folder).join("run.json").is_file());
    assert!(!out.join(&seeds[1].folder).join("run.json").exists());
}

/// The engine's error of a group of two.
fn refused(runner: &Runner, out: &Path, seeds: &[SeedRecord]) -> EngineError {
    let group: Vec<&SeedRecord> = seeds.iter().collect();
    let error = runner.run_together(out, &group, LENGTHS, |_, _| true).unwrap_err();
    error.downcast_ref::<EngineError>().expect("the engine's error").clone()
}

#[test]
fn a_launcher_that_is_missing_and_a_program_of_another_version_are_named() {
    let test = "a_launcher_that_is_missing_and_a_program_of_another_version_are_named";
    if !has_gromacs_mpi(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (runner, seeds) = prepared(folder.path(), 2, json!({"launcher": "/nowhere/mpirun"}));
    let error = refused(&runner, &folder.path().join("out"), &seeds);
    assert_eq!(error.failure, Failure::Missing, "{error}");
    assert!(error.message.contains("/nowhere/mpirun"), "{error}");
    let says = "echo 'GROMACS version:    2024.1'; echo 'MPI library:        MPI'; exit 0";
    for (says, what) in [(says, "2024.1"), ("exec gmx \"$@\"", "not built against an MPI")] {
        let gmx_mpi = faulty_gmx(folder.path(), "--version", says);
        let template = folder.path().join("template");
        let runner = open(&host(), "gromacs", &template, json!({"mpi_program": gmx_mpi}));
        let error = refused(&runner, &folder.path().join("out"), &seeds);
        assert_eq!(error.failure, Failure::Version, "{error}");
        assert!(error.message.contains(what), "{error}");
    }
}

#[test]
fn an_engine_without_it_says_so() {
    let test = "an_engine_without_it_says_so";
    if !has_openmm(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template");
    openmm_template(&peptide(), &template);
    let runner = open(&host(), "openmm", &template, json!({}));
    let seeds = runner.place(&runner.system().topology, &[own_frame(&runner)]).unwrap();
    let made = runner.prepare(folder.path(), &seeds, None, 5, |_, _, _| true).unwrap();
    let error = refused(&runner, folder.path(), &made.summary.seeds);
    assert_eq!(error.failure, Failure::Unsupported, "{error}");
    assert!(error.message.contains("one seed at a time"), "{error}");
}

#[test]
fn the_command_runs_seeds_together_and_the_rest_by_one() {
    if !has_gromacs_mpi("the_command_runs_seeds_together_and_the_rest_by_one") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (runner, seeds) = prepared(folder.path(), 3, json!({}));
    let out = folder.path().join("out");
    let trajectory = |seed: &SeedRecord| out.join(&seed.folder).join("md.xtc");
    let alone = each_alone(&runner, &seeds, &out);
    let command = |together: &str| {
        let mut command = Command::new(program());
        command.args(["engine", "run", "--engine", "gromacs", "--together", together]);
        command.args(["--head-ps", "0.2", "--ps", "0.4", "--frame-ps", "0.1", "--template"]);
        command.arg(folder.path().join("template")).arg("--out").arg(&out);
        let output = command.output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.code(), said)
    };
    let (code, said) = command("0");
    assert!(code == Some(2) && said.contains("--together"), "{code:?} {said}");
    let (code, said) = command("2");
    assert_eq!(code, Some(0), "{said}");
    // Two in one launch, the third by itself; all as each alone.
    assert!(out.join("together_000/starts.trr").is_file(), "{said}");
    assert!(!out.join("together_002").exists());
    for (seed, (_, xtc)) in seeds.iter().zip(&alone) {
        assert!(std::fs::read(trajectory(seed)).unwrap() == *xtc, "{}: {said}", seed.folder);
        assert!(out.join(&seed.folder).join("run.json").is_file());
    }
    let (code, said) = command("2");
    assert!(code == Some(0) && said.contains("nothing to run"), "{said}");
}
