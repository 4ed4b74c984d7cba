//! Engines that fail: the loop goes on, or stops with words and then goes on. And: limits, locks,
//! damage.

mod common;

use common::{Silent, go, go_with, records, toml};
use marsfm_adaptive::{Driver, Ended, Limits, Progress, Watch};

/// An injected fault at the second and the sixth run of each process.
fn faulty(fault: &str) -> String {
    toml("visited", 3, &format!("fault = \"{fault}\"\nfault_at = [1, 5]"))
}

#[test]
fn a_lost_seed_costs_the_seed_only() {
    for (fault, words) in
        [("crash", "signal 11"), ("nan", "not finite"), ("half", "105 of 210 frames")]
    {
        let dir = tempfile::tempdir().unwrap();
        let (ended, driver) = go(dir.path(), &faulty(fault)).unwrap();
        assert_eq!(ended, Ended::Complete);
        let h = driver.history();
        assert_eq!((h.runs.len(), h.lost.len()), (10, 2), "{fault}");
        assert!(h.lost.iter().all(|l| l.reason.contains(words)), "{:?}", h.lost);
        // The budget is charged for what was lost.
        assert_eq!(h.md_ps(1.0), 12.0 * 210.0 + 10.0 * 2.0);
        let left = std::fs::read_dir(dir.path().join("epoch_000")).unwrap();
        assert!(left.flatten().all(|e| !e.file_name().to_string_lossy().starts_with('.')));
    }
}

#[test]
fn a_full_disk_and_a_silent_engine_stop_the_loop_and_it_goes_on() {
    let quiet = tempfile::tempdir().unwrap();
    go(quiet.path(), &toml("visited", 3, "")).unwrap();
    for (fault, words) in [("full", "no space left"), ("hang", "no sign of life")] {
        let dir = tempfile::tempdir().unwrap();
        let mut stops = 0;
        loop {
            match go(dir.path(), &faulty(fault)) {
                Ok((ended, _)) => {
                    assert_eq!(ended, Ended::Complete);
                    break;
                }
                Err(e) => {
                    assert!(e.can_go_on() && e.to_string().contains(words), "{e}");
                    stops += 1;
                }
            }
        }
        assert!(stops >= 2, "{stops}");
        // Apart from the settings, the same loop.
        assert_eq!(records(dir.path())[1..], records(quiet.path())[1..], "{fault}");
    }
}

#[test]
fn an_epoch_without_any_run_is_an_error_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let text = toml("visited", 2, "fault = \"nan\"\nfault_at = [0, 1, 2, 3]");
    let error = go(dir.path(), &text).err().unwrap().to_string();
    assert!(
        error.contains("epoch 0: every seed was lost") && error.contains("not finite"),
        "{error}"
    );
}

#[test]
fn limits_stop_and_the_next_call_goes_on() {
    struct Stop(usize);
    impl Watch for Stop {
        fn progress(&mut self, p: Progress<'_>) -> bool {
            assert!((0.0..=1.0).contains(&p.done));
            self.0 -= 1;
            self.0 > 0
        }
    }
    let (quiet, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let text = toml("jump", 3, "");
    go(quiet.path(), &text).unwrap();
    let one = Limits { epochs: Some(1), ..Limits::default() };
    let (ended, driver) = go_with(dir.path(), &text, one, &mut Silent).unwrap();
    assert_eq!((ended, driver.history().epochs.len()), (Ended::Limits, 1));
    drop(driver);
    let none = Limits { seconds: Some(0.0), ..Limits::default() };
    assert_eq!(go_with(dir.path(), &text, none, &mut Silent).unwrap().0, Ended::Limits);
    let stopped = go_with(dir.path(), &text, Limits::default(), &mut Stop(7)).unwrap();
    assert_eq!(stopped.0, Ended::Stopped);
    drop(stopped);
    assert_eq!(go(dir.path(), &text).unwrap().0, Ended::Complete);
    assert_eq!(records(dir.path()), records(quiet.path()));
}

#[test]
fn a_loop_is_run_by_one_process_and_what_was_changed_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let text = toml("jump", 2, "");
    let (_, driver) = go(dir.path(), &text).unwrap();
    let folder = driver.history().runs[0].folder.clone();
    let error = Driver::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("is being run by process"), "{error}");
    drop(driver);
    let file = dir.path().join(folder).join("features.f64");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[8] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let mut driver = Driver::open(dir.path()).unwrap();
    let toy = marsfm_adaptive::toy::Toy::new(Default::default(), 1.0).unwrap();
    let engine = marsfm_adaptive::toy::ToyEngine::new(toy);
    let error = driver.model(&engine).err().unwrap().to_string();
    assert!(error.contains("features.f64") && error.contains("not what the journal"), "{error}");
    let nothing = tempfile::tempdir().unwrap();
    let error = Driver::open(nothing.path()).err().unwrap().to_string();
    assert!(error.contains("holds no loop"), "{error}");
}
