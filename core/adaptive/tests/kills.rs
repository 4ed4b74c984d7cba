//! kill -9 at 200 random moments and at every named point: nothing that was acknowledged is lost
//! or doubled, and the loop goes on as if it had not been killed.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{records, toml};
use marsfm_adaptive::POINTS;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let release = test.parent().and_then(Path::parent).unwrap();
    let path = release.join("examples/toy_loop");
    assert!(path.is_file(), "{}: cargo test builds it", path.display());
    path
}

/// A loop in its own folder, and the same loop undisturbed.
fn undisturbed(dir: &Path) -> Vec<serde_json::Value> {
    run(dir, "quiet", &[], None);
    records(&dir.join("quiet"))
}

/// Runs the program on the loop of this name; answers the signal that ended it.
fn run(dir: &Path, name: &str, extra: &[&str], after: Option<Duration>) -> Option<i32> {
    let folder = dir.join(name);
    std::fs::write(folder.with_extension("toml"), toml("jump", 3, "")).unwrap();
    let mut child =
        Command::new(program()).arg(&folder).args(extra).stderr(Stdio::piped()).spawn().unwrap();
    if let Some(after) = after {
        std::thread::sleep(after);
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || output.status.signal() == Some(9), "{words}");
    output.status.signal()
}

#[test]
fn every_named_point() {
    let dir = tempfile::tempdir().unwrap();
    let expected = undisturbed(dir.path());
    for point in POINTS {
        for n in ["1", "2"] {
            let name = format!("{point}-{n}");
            let signal = run(dir.path(), &name, &[point, n], None);
            assert_eq!(signal, Some(9), "{point} was not passed {n} times");
            assert_eq!(run(dir.path(), &name, &[], None), None);
            assert_eq!(records(&dir.path().join(&name)), expected, "{point}");
        }
    }
}

#[test]
fn two_hundred_random_moments() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Instant::now();
    let expected = undisturbed(dir.path());
    let whole = clock.elapsed().as_secs_f64();
    let mut rng = ChaCha8Rng::seed_from_u64(200);
    let (mut kills, mut loops) = (0, 0);
    while kills < 200 {
        let name = format!("loop-{loops}");
        loops += 1;
        // Killed five times on average, each time somewhere in what is left.
        loop {
            let after =
                (kills < 200).then(|| Duration::from_secs_f64(whole * rng.random_range(0.0..0.5)));
            match run(dir.path(), &name, &[], after) {
                Some(_) => kills += 1,
                None => break,
            }
        }
        assert_eq!(records(&dir.path().join(&name)), expected, "loop {loops}");
    }
    println!("{kills} kills in {loops} loops");
}
