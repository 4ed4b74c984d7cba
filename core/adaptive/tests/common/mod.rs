//! What the tests of the loop share.
#![allow(dead_code)] // each test uses its own part

use std::path::Path;

use marsfm_adaptive::toy::{ToyEngine, proposer};
use marsfm_adaptive::{Driver, Ended, Limits, LoopError, LoopSettings, Watch, read_journal};
use serde_json::Value;

/// Settings of a small loop on the toy.
pub fn toml(proposer: &str, epochs: usize, options: &str) -> String {
    format!(
        "rng_seed = 5\n[engine]\nname = \"toy\"\n[engine.options]\n{options}\n[budget]\n\
         epochs = {epochs}\nseeds = 4\nhead_ps = 10.0\nrun_ps = 200.0\nframe_ps = 1.0\n\
         free_mib = 1\n[model]\nmsm_lag_ps = 10.0\n[strategy]\nproposer = \"{proposer}\"\n\
         [statistics]\ndraws = 20\n"
    )
}

/// Looks on without a word.
pub struct Silent;
impl Watch for Silent {}

/// Begins or goes on with a loop; the engine is new each time, as after a restart.
pub fn go(folder: &Path, text: &str) -> Result<(Ended, Driver), LoopError> {
    go_with(folder, text, Limits::default(), &mut Silent)
}

/// The same with limits and an onlooker.
pub fn go_with(
    folder: &Path,
    text: &str,
    limits: Limits,
    watch: &mut dyn Watch,
) -> Result<(Ended, Driver), LoopError> {
    let settings = LoopSettings::parse(text)?;
    let mut engine = ToyEngine::open(&settings.engine.options, settings.budget.frame_ps)?;
    let mut driver = match folder.join("journal").exists() {
        true => Driver::open(folder)?,
        false => Driver::create(folder, &settings, &engine)?,
    };
    let mut proposer = proposer(&settings.strategy, engine.toy())?;
    let ended = driver.run(&mut engine, proposer.as_mut(), limits, watch)?;
    Ok((ended, driver))
}

/// The records of a loop without what a clock told.
pub fn records(folder: &Path) -> Vec<Value> {
    let (contents, _) = read_journal(&folder.join("journal")).unwrap();
    assert_eq!(contents.torn_bytes, 0);
    let mut all: Vec<Value> =
        contents.records.iter().map(|r| serde_json::from_slice(r).unwrap()).collect();
    all.iter_mut().for_each(|r| {
        assert!(r.as_object_mut().unwrap().remove("seconds").is_some() || r["kind"] == "begun");
    });
    all
}
