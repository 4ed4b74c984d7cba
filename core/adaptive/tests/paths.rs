//! What a loop on molecules goes through, on the toy: clustered states, settling, import, a disk
//! that is too small, several proposers at once, numbers under changed heads and lags.

mod common;

use common::{Silent, go, records, toml};
use marsfm_adaptive::toy::{ToyEngine, ToyProposer};
use marsfm_adaptive::{
    Bandit, Driver, Ended, Import, Limits, LoopSettings, Proposer, Store, Visited, variants,
};

/// TICA, k-means and PCCA+ instead of known states: the populations still come out.
#[test]
fn states_found_from_the_md_have_the_populations_of_the_wells() {
    let dir = tempfile::tempdir().unwrap();
    let text = toml("jump", 20, "cluster = true")
        .replace("seeds = 4", "seeds = 8")
        .replace("run_ps = 200.0", "run_ps = 400.0")
        .replace("[strategy]", "microstates = 40\nmacrostates = 6\n[strategy]");
    let (ended, mut driver) = go(dir.path(), &text).unwrap();
    assert_eq!(ended, Ended::Complete);
    let settings = LoopSettings::parse(&text).unwrap();
    let engine = ToyEngine::open(&settings.engine.options, 1.0).unwrap();
    let model = driver.model(&engine).unwrap();
    assert!(model.n_micro() > 20 && model.centres()[0].len() <= 2);
    // Which well a macrostate is: the one of most of its frames.
    let toy = engine.toy();
    let n_macro = model.macro_of_micro().iter().max().unwrap() + 1;
    let mut frames = vec![vec![0usize; toy.n_wells()]; n_macro];
    let mut store = Store::read(dir.path()).unwrap();
    for (run, states) in store.rows().unwrap().iter().zip(model.with_heads()) {
        assert_eq!(run.rows.len(), states.len());
        for (row, micro) in run.rows.iter().zip(states) {
            let well = toy.wells()[toy.site([row[0], row[1], 0.0]).unwrap()];
            frames[model.macro_of_micro()[*micro as usize]][well] += 1;
        }
    }
    let s = store.statistics(&model, &|_| true).unwrap();
    let mut got = vec![0.0; toy.n_wells()];
    for (state, p) in s.populations.iter().enumerate() {
        let well = (0..toy.n_wells()).max_by_key(|w| frames[state][*w]).unwrap();
        got[well] += p.map_or(0.0, |p| p.value);
    }
    let truth = toy.well_populations();
    let off: f64 = got.iter().zip(&truth).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
    println!("populations {got:.3?}, exact {truth:.3?}, off by {off:.3}");
    assert!(off < 0.08, "{off}: {got:?} {truth:?}");
    let exact = toy.timescales_ps(1).unwrap()[0];
    let slowest = s.timescales_ps[0].value;
    assert!((slowest / exact - 1.0).abs() < 0.25, "{slowest} ps, exact {exact} ps");
}

#[test]
fn a_loop_that_settles_stops_and_one_that_may_not_goes_on() {
    let (stops, goes_on) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let text = toml("visited", 60, "").replace("seeds = 4", "seeds = 16");
    let rule = text.replace("draws = 20", "draws = 0\nstop_when_settled = true");
    let (ended, driver) = go(stops.path(), &rule).unwrap();
    let epochs = driver.history().epochs.len();
    assert_eq!(ended, Ended::Settled);
    assert!((4..60).contains(&epochs), "settled after {epochs} epochs");
    let drift = &driver.history().epochs[epochs - 1].drift;
    assert!(drift.len() >= 4 && drift.last().unwrap().unseen == 0.0);
    drop(driver);
    // It stays where it is, and the rule is what stopped it.
    assert_eq!(go(stops.path(), &rule).unwrap().0, Ended::Settled);
    let few = text.replace("epochs = 60", "epochs = 12").replace("draws = 20", "draws = 0");
    assert_eq!(go(goes_on.path(), &few).unwrap().0, Ended::Complete);
}

#[test]
fn a_disk_that_is_too_small_stops_the_loop_before_the_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let text = toml("visited", 2, "");
    let huge = text.replace("free_mib = 1", "free_mib = 1000000000");
    let error = go(dir.path(), &huge).err().unwrap();
    assert!(error.can_go_on() && error.to_string().contains("make room"), "{error}");
    let store = Store::read(dir.path()).unwrap();
    assert!(store.history().plans.is_empty() && store.history().runs.is_empty());
    // With room the same loop runs.
    let roomy = tempfile::tempdir().unwrap();
    assert_eq!(go(roomy.path(), &text).unwrap().0, Ended::Complete);
}

#[test]
fn imported_md_counts_and_is_not_charged() {
    let (donor, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, driver) = go(donor.path(), &toml("long", 10, "")).unwrap();
    let md = driver.store().trajectories()[0].clone();
    let text = toml("jump", 2, "");
    let settings = LoopSettings::parse(&text).unwrap();
    let engine = ToyEngine::open(&settings.engine.options, 1.0).unwrap();
    let mut driver = Driver::create(dir.path(), &settings, &engine).unwrap();
    let import = Import { trajectory: &md, head_frames: 10, stride: 1 };
    let frames = driver.import(&engine, &import, &Silent).unwrap();
    assert_eq!((frames, driver.history().md_ps(1.0)), (8400, 0.0));
    // The donor is no longer needed.
    drop(donor);
    let error = driver.import(&engine, &import, &Silent).err().unwrap().to_string();
    assert!(error.contains("trajectory.toy"), "{error}");
    let short = dir.path().join("short.toy");
    std::fs::write(&short, [0u8; 80]).unwrap();
    let import = Import { trajectory: &short, head_frames: 0, stride: 1 };
    let error = driver.import(&engine, &import, &Silent).err().unwrap().to_string();
    assert!(error.contains("holds 40 frames") && error.contains("10 x"), "{error}");
    drop(driver);
    let (ended, driver) = go(dir.path(), &text).unwrap();
    let h = driver.history();
    // Its first epoch starts from the imported MD already.
    assert_eq!(
        (ended, h.runs.len(), h.plans[0].seeds[0].class.as_str()),
        (Ended::Complete, 9, "jump")
    );
    assert!(h.plans[0].seeds.iter().all(|s| s.parent.is_some_and(|p| p.run == 0)));
    assert_eq!(h.class(&h.runs[0]), "imported");
    assert_eq!(h.md_ps(1.0), 8.0 * 212.0);
}

#[test]
fn a_bandit_takes_seeds_from_an_arm_that_misleads() {
    let dir = tempfile::tempdir().unwrap();
    let text = toml("bandit", 12, "").replace("draws = 20", "draws = 0");
    let settings = LoopSettings::parse(&text).unwrap();
    let run = |limit: Option<usize>| {
        let mut engine = ToyEngine::open(&settings.engine.options, 1.0).unwrap();
        let toy = engine.toy().clone();
        // Its jumps go to the rarest well, and nowhere else, again and again.
        let liar: Box<dyn Proposer> = Box::new(ToyProposer::Adversarial(toy));
        let mut bandit = Bandit::new(vec![liar, Box::new(Visited)], 0.3);
        let mut driver = match dir.path().join("journal").exists() {
            true => Driver::open(dir.path()).unwrap(),
            false => Driver::create(dir.path(), &settings, &engine).unwrap(),
        };
        let limits = Limits { epochs: limit, ..Limits::default() };
        driver.run(&mut engine, &mut bandit, limits, &mut Silent).unwrap();
        driver.history().clone()
    };
    run(Some(5));
    let h = run(None);
    let share = |epochs: std::ops::Range<usize>, class: &str| {
        let seeds = h.plans[epochs].iter().flat_map(|p| &p.seeds);
        seeds.filter(|s| s.class == class).count()
    };
    let (liar, honest) = (share(1..12, "adversarial"), share(1..12, "visited"));
    assert_eq!(liar + honest, 44);
    assert!(liar >= 2 && honest > liar, "{liar} seeds of the liar, {honest} of the other");
}

#[test]
fn numbers_under_other_heads_and_lags_and_without_a_class() {
    let dir = tempfile::tempdir().unwrap();
    let (_, driver) = go(dir.path(), &toml("jump", 8, "")).unwrap();
    drop(driver);
    let mut store = Store::read(dir.path()).unwrap();
    let settings = store.settings().clone();
    let engine = ToyEngine::open(&settings.engine.options, 1.0).unwrap();
    let known = marsfm_adaptive::Engine::known_states(&engine);
    let model = store.model(known).unwrap();
    let all = variants(&store, &model, 10);
    let told: Vec<(String, bool)> =
        all.iter().map(|v| (format!("{} {}", v.kind, v.value), v.short)).collect();
    for (name, short) in [
        ("as set ", false),
        ("head 0 ps", false),
        ("head 5 ps", false),
        ("head 20 ps", false),
        ("lag 5 ps", false),
        ("lag 40 ps", true),
        ("without jump", false),
        ("without template", false),
    ] {
        assert!(told.contains(&(name.to_owned(), short)), "{name}: {told:?}");
    }
    let value = |name: &str| {
        let v = all.iter().find(|v| format!("{} {}", v.kind, v.value) == name).unwrap();
        v.statistics.as_ref().unwrap().clone()
    };
    assert_eq!(value("as set ").runs, 32);
    assert_eq!(value("without template").runs, 28);
    assert_eq!(value("lag 5 ps").lag_ps, 5.0);
    assert_ne!(value("head 0 ps").populations, value("as set ").populations);
    assert_eq!(records(dir.path()).len(), 1 + 8 + 32 + 8);
}
