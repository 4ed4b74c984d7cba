//! Whatever an engine does, the caller gets a status and lives.

use crate::support::*;
use marsfm::EngineLimits;
use marsfm::engines::{Lengths, Runner};
use marsfm::preparation::{Engine, EngineError, Failure};
use marsfm_test_support::skip;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn cannot_open(engine: &str, options: &serde_json::Map<String, serde_json::Value>) -> EngineError {
    let limits = EngineLimits { silence: Duration::from_secs(2), grace: Duration::from_secs(1) };
    match Runner::open(&host(), engine, options, limits) {
        Ok(_) => panic!("{engine} opens"),
        Err(e) => match e.downcast_ref::<EngineError>() {
            Some(error) => error.clone(),
            None => panic!("not the engine's error: {e:#}"),
        },
    }
}

#[test]
fn engines_that_are_missing_too_old_or_silent() {
    let folder = tempfile::tempdir().unwrap();
    let with = |program: &Path| options(folder.path(), json!({"program": program}));
    let error = cannot_open("gromacs", &with(Path::new("/nowhere/gmx")));
    assert_eq!(error.failure, Failure::Missing, "{error}");
    let error = cannot_open("openmm", &options(folder.path(), json!({"library": "/nowhere"})));
    assert_eq!(error.failure, Failure::Missing, "{error}");
    let old = faulty_gmx(folder.path(), "--version", "echo 'GROMACS version:    2019.6'; exit 0");
    let error = cannot_open("gromacs", &with(&old));
    assert_eq!(error.failure, Failure::Version, "{error}");
    assert!(error.message.contains("2019.6"), "{error}");
    let begun = Instant::now();
    let hanging = faulty_gmx(folder.path(), "--version", "exec sleep 40");
    let error = cannot_open("gromacs", &with(&hanging));
    assert_eq!(error.failure, Failure::Timeout, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// Wrong positions, and then right ones on the same engine.
fn bad_positions(engine: &str, template: &Path) {
    let runner = open(&host(), engine, template, json!({}));
    let good = runner.system().positions_nm.clone();
    let mut bad = good.clone();
    bad[7][1] = f64::NAN;
    let error = runner.engine().energy(&bad, None).unwrap_err();
    assert_eq!(error.failure, Failure::Invalid, "{error}");
    assert!(error.message.contains("index 7"), "{error}");
    let error = runner.engine().energy(&good[1..], None).unwrap_err();
    assert_eq!(error.failure, Failure::AtomCount, "{error}");
    assert!(runner.engine().energy(&good, runner.system().cell_nm).is_ok());
}

#[test]
fn nan_and_wrong_counts_are_refused_by_both_engines() {
    let folder = tempfile::tempdir().unwrap();
    let template = |name: &str| folder.path().join(name);
    if has_gromacs("nan_and_wrong_counts_are_refused_by_both_engines") {
        gromacs_template(&peptide(), &template("g"), &[]);
        bad_positions("gromacs", &template("g"));
    }
    if has_openmm("nan_and_wrong_counts_are_refused_by_both_engines") {
        openmm_template(&peptide(), &template("o"));
        bad_positions("openmm", &template("o"));
    }
}

#[test]
fn mdrun_that_is_killed_hangs_or_finds_no_room() {
    if !has_gromacs("mdrun_that_is_killed_hangs_or_finds_no_room") {
        return;
    }
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let template = folder.path().join("template");
    gromacs_template(&peptide(), &template, &[]);
    let cases = [
        ("kill -9 $$", Failure::Killed),
        ("exec sleep 60", Failure::Timeout),
        ("echo 'write: No space left on device' >&2; exit 1", Failure::DiskFull),
        ("echo 'Fatal error:'; echo 'Too many LINCS warnings (1001)'; exit 1", Failure::Diverged),
    ];
    for (script, failure) in cases {
        let gmx = faulty_gmx(folder.path(), "mdrun", script);
        let limits =
            EngineLimits { silence: Duration::from_secs(3), grace: Duration::from_secs(10) };
        let all = options(&template, json!({"program": gmx}));
        let runner = Runner::open(&host, "gromacs", &all, limits).unwrap();
        let system = runner.system();
        let out = folder.path().join("seed");
        std::fs::create_dir_all(&out).unwrap();
        let begun = Instant::now();
        let positions = &system.positions_nm;
        let result = runner.engine().minimise(&out, 1, positions, system.cell_nm, &mut |_, _| true);
        let error = result.unwrap_err();
        assert_eq!(error.failure, failure, "{script}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{script}");
        let left = std::fs::read_dir(&out).unwrap().count();
        assert_eq!(left, 0, "{script}: the working folder is removed");
        // Stopped on request.
        if failure == Failure::Timeout {
            let result =
                runner.engine().minimise(&out, 1, positions, system.cell_nm, &mut |_, _| false);
            assert_eq!(result.unwrap_err().failure, Failure::Cancelled);
        }
    }
}

/// A file system of half a megabyte, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|o| o.status.success());
        mounted.then(|| Self(folder))
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.path().join("fill")).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 512]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_that_is_really_full() {
    let test = "a_disk_that_is_really_full";
    for engine in ["gromacs", "openmm"] {
        if !(if engine == "gromacs" { has_gromacs(test) } else { has_openmm(test) }) {
            continue;
        }
        let Some(disk) = SmallDisk::mount() else {
            return skip(test, "no small file system can be mounted (needs root)");
        };
        let (folder, host) = (tempfile::tempdir().unwrap(), host());
        let template = folder.path().join("template");
        match engine {
            "gromacs" => gromacs_template(&peptide(), &template, &[]),
            _ => openmm_template(&peptide(), &template),
        }
        let runner = open(&host, engine, &template, json!({}));
        let seeds = runner.place(&runner.system().topology, &[own_frame(&runner)]).unwrap();
        // Room for the preparation is in the other folder; the run's is the full one.
        let prepared = runner.prepare(folder.path(), &seeds, None, 5, |_, _, _| true).unwrap();
        let record = &prepared.summary.seeds[0];
        let full = disk.0.path().join(&record.folder);
        std::fs::create_dir_all(&full).unwrap();
        for entry in std::fs::read_dir(folder.path().join(&record.folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, full.join(path.file_name().unwrap())).unwrap();
            }
        }
        disk.fill();
        let lengths = Lengths { head_ps: 0.2, ps: 0.2, frame_ps: 0.1 };
        let error = runner.run(disk.0.path(), record, lengths, |_, _| true).unwrap_err();
        let failure = error.downcast_ref::<EngineError>().expect("the engine's error").failure;
        assert_eq!(failure, Failure::DiskFull, "{engine}: {error:#}");
        assert!(!full.join("md.xtc").exists(), "{engine}: half a trajectory is left");
        // Another folder, and it runs.
        assert!(runner.run(folder.path(), record, lengths, |_, _| true).unwrap().is_ok());
    }
}
