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

/// Runs one after another, and three at once.
const TOGETHER: [usize; 2] = [1, 3];

/// What an undisturbed loop tells, for each number of runs at once: the same but for that number.
fn undisturbed(dir: &Path) -> [Vec<serde_json::Value>; 2] {
    let all = TOGETHER.map(|together| {
        let name = format!("{together}-quiet");
        run(dir, &name, &[], None);
        records(&dir.join(name))
    });
    assert_eq!(all[0][1..], all[1][1..]);
    all
}

/// Runs the program on the loop of this name, which begins with the number of runs at once; answers
/// the signal that ended it.
fn run(dir: &Path, name: &str, extra: &[&str], after: Option<Duration>) -> Option<i32> {
    let folder = dir.join(name);
    let together = format!("name = \"toy\"\ntogether = {}", &name[..1]);
    let text = toml("jump", 3, "").replace("name = \"toy\"", &together);
    std::fs::write(folder.with_extension("toml"), text).unwrap();
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
    for (together, expected) in TOGETHER.iter().zip(&expected) {
        for (point, n) in POINTS.iter().flat_map(|point| [(point, "1"), (point, "2")]) {
            let name = format!("{together}-{point}-{n}");
            let signal = run(dir.path(), &name, &[point, n], None);
            assert_eq!(signal, Some(9), "{point} was not passed {n} times");
            assert_eq!(run(dir.path(), &name, &[], None), None);
            assert_eq!(records(&dir.path().join(&name)), *expected, "{point}, {together} at once");
        }
    }
}

#[test]
fn two_hundred_random_moments() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Instant::now();
    let expected = undisturbed(dir.path());
    let whole = clock.elapsed().as_secs_f64() / 2.0;
    let mut rng = ChaCha8Rng::seed_from_u64(200);
    let (mut kills, mut loops) = (0, 0);
    while kills < 200 {
        let which = loops % 2;
        let name = format!("{}-loop-{loops}", TOGETHER[which]);
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
        assert_eq!(records(&dir.path().join(&name)), expected[which], "loop {loops}");
    }
    println!("{kills} kills in {loops} loops");
}
