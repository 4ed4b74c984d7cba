//! The adaptive loop as a use-case: a TOML file in, a loop's folder that grows, words out.

use std::path::Path;

use anyhow::{Context, Result, bail};
use marsfm_adaptive::statistics::Estimate;
use marsfm_adaptive::toy::{ToyEngine, proposer};
use marsfm_adaptive::{Driver, Engine, Proposer, read_journal, replay};

pub use marsfm_adaptive::{Ended, History, Limits, LoopSettings, Progress, Watch};

/// Reads and checks a loop's TOML file.
pub fn read_settings(file: &Path) -> Result<LoopSettings> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{}: cannot be read", file.display()))?;
    LoopSettings::parse(&text).with_context(|| format!("{}", file.display()))
}

/// Begins a loop in a new folder; the engine and the proposer must open.
pub fn begin(file: &Path, folder: &Path) -> Result<LoopSettings> {
    let settings = read_settings(file)?;
    parts(&settings).with_context(|| format!("{}", file.display()))?;
    Driver::create(folder, &settings)?;
    Ok(settings)
}

/// Goes on with a loop until its end or a limit.
pub fn go_on(folder: &Path, limits: Limits, watch: &mut dyn Watch) -> Result<(Ended, History)> {
    let mut driver = Driver::open(folder)?;
    let (mut engine, mut proposer) = parts(driver.settings())?;
    let ended = driver.run(engine.as_mut(), proposer.as_mut(), limits, watch)?;
    Ok((ended, driver.history().clone()))
}

/// What happened so far; reads only, also while the loop is running.
pub fn look(folder: &Path) -> Result<(LoopSettings, History)> {
    let path = folder.join("journal");
    let (contents, _) = read_journal(&path)?;
    let history = replay(&path, &contents.records)?;
    Ok((LoopSettings::parse(&history.settings)?, history))
}

fn parts(settings: &LoopSettings) -> Result<(Box<dyn Engine>, Box<dyn Proposer>)> {
    match settings.engine.name.as_str() {
        "toy" => {
            let engine = ToyEngine::open(&settings.engine.options, settings.budget.frame_ps)?;
            let proposer = proposer(&settings.strategy, engine.toy())?;
            Ok((Box::new(engine), proposer))
        }
        other => bail!("engine.name is {other:?}; the loop runs on the engine \"toy\" so far"),
    }
}

/// A loop in sentences.
pub fn in_words(settings: &LoopSettings, history: &History) -> Vec<String> {
    let frame_ps = settings.budget.frame_ps;
    let mut out = vec![format!(
        "epoch {} of {}, {} runs, {} seeds lost, {:.2} ns of MD with heads and preparation",
        history.epochs.len(),
        settings.epochs(),
        history.runs.len(),
        history.lost.len(),
        history.md_ps(frame_ps) / 1000.0
    )];
    let Some(last) = history.epochs.last() else { return out };
    match &last.statistics {
        Err(reason) => out.push(format!("no model yet: {reason}")),
        Ok(s) => {
            let percent = |e: Estimate| Estimate {
                value: 100.0 * e.value,
                low: e.low.map(|v| 100.0 * v),
                high: e.high.map(|v| 100.0 * v),
            };
            for (i, p) in s.populations.iter().enumerate() {
                let words = p.map(|p| format!("{} %", interval(percent(p))));
                let words = words.unwrap_or_else(|| "no population".into());
                out.push(format!("state {}: {words}", i + 1));
            }
            for t in &s.timescales_ps {
                out.push(format!("timescale: {} ps", interval(*t)));
            }
            out.extend(s.remarks.iter().cloned());
        }
    }
    out
}

fn interval(e: Estimate) -> String {
    match (e.low, e.high) {
        (Some(low), Some(high)) => format!("{:.1} ({low:.1} to {high:.1})", e.value),
        _ => format!("{:.1} (no interval)", e.value),
    }
}
