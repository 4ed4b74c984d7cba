//! The adaptive loop as a use-case: a TOML file in, a loop's folder that grows, words and reports
//! out.

mod chain;
mod compare;
mod learn;
mod lesson;
mod md;
mod page;
mod parts;
mod plugin;
mod slurm;
mod tables;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use marsfm_adaptive::statistics::Estimate;
use marsfm_adaptive::{Driver, Engine, Import, Store};
use marsfm_host::Host;
use marsfm_trajectory::{Clock, Frame};

pub use compare::{Comparison, LoopNumbers, STAY_PS, compare, default_out};
pub use lesson::{Lesson, lessons};
pub use marsfm_adaptive::{Ended, History, Limits, LoopSettings, Progress, Watch};
pub use page::write as write_report;
pub use slurm::task;

/// Options that are paths: in the file they are meant from its own folder.
const PATHS: [&str; 7] = ["template", "model", "mdgen", "data", "topology", "trajectories", "hot"];

/// Reads and checks a loop's TOML file; its paths become absolute.
pub fn read_settings(file: &Path) -> Result<LoopSettings> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{}: cannot be read", file.display()))?;
    let mut settings = LoopSettings::parse(&text).with_context(|| format!("{}", file.display()))?;
    let base = std::path::absolute(file)?.parent().map(Path::to_owned).unwrap_or_default();
    for table in [&mut settings.engine.options, &mut settings.strategy.options] {
        from(&base, table);
    }
    Ok(settings)
}

fn from(base: &Path, table: &mut toml::Table) {
    let absolute = |value: &mut toml::Value| {
        if let toml::Value::String(path) = value {
            *path = base.join(&*path).to_string_lossy().into_owned();
        }
    };
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => from(base, inner),
            toml::Value::Array(all) if PATHS.contains(&key.as_str()) => {
                all.iter_mut().for_each(absolute);
            }
            other if PATHS.contains(&key.as_str()) => absolute(other),
            _ => {}
        }
    }
}

/// What a loop will be.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The settings, paths absolute.
    pub settings: LoopSettings,
    /// What the engine says about itself, and where a surrogate is off its ground.
    pub notes: Vec<String>,
}

/// Checks settings as far as it can be done without MD: engine and proposer must open.
pub fn check(host: &Host, file: &Path) -> Result<Outlook> {
    let settings = read_settings(file)?;
    let parts =
        parts::open(host, &settings, None).with_context(|| format!("{}", file.display()))?;
    let mut notes = parts.engine.notes();
    notes.extend(parts.remarks);
    Ok(Outlook { settings, notes })
}

/// Begins a loop in a new folder.
pub fn begin(host: &Host, file: &Path, folder: &Path) -> Result<Outlook> {
    let settings = read_settings(file)?;
    let parts =
        parts::open(host, &settings, None).with_context(|| format!("{}", file.display()))?;
    Driver::create(folder, &settings, parts.engine.as_ref())?.check_disk()?;
    let mut notes = parts.engine.notes();
    notes.extend(parts.remarks);
    Ok(Outlook { settings, notes })
}

/// Goes on with a loop until its end or a limit.
pub fn go_on(
    host: &Host,
    folder: &Path,
    limits: Limits,
    watch: &mut dyn Watch,
) -> Result<(Ended, History)> {
    let mut driver = Driver::open(folder)?;
    let mut parts = parts::open_in(host, driver.settings(), folder)?;
    let ended = driver.run(parts.engine.as_mut(), parts.proposer.as_mut(), limits, watch)?;
    Ok((ended, driver.history().clone()))
}

/// What going on would do, in sentences; nothing is run.
pub fn rehearse(host: &Host, folder: &Path) -> Result<Vec<String>> {
    let driver = Driver::open(folder)?;
    let parts = parts::open_in(host, driver.settings(), folder)?;
    driver.check_disk()?;
    let (s, h) = (driver.settings(), driver.history());
    let (head, rest) = s.run_frames();
    let run_ps = (head + rest) as f64 * s.budget.frame_ps;
    let epochs = s.epochs().saturating_sub(h.epochs.len());
    let seeds = s.plain_runs().unwrap_or(s.budget.seeds);
    let open = h.plans.get(h.epochs.len()).map_or(0, |p| seeds - h.open_seeds(p).count());
    let runs = (epochs * seeds).saturating_sub(open);
    let mut out = vec![
        format!("engine {} and proposer {} open", parts.engine.name(), s.strategy.proposer),
        format!(
            "{runs} runs in {epochs} epochs are left, {:.2} ns of MD with heads",
            runs as f64 * run_ps / 1000.0
        ),
        format!("an epoch needs {} MiB, and the disk has them", driver.bytes_needed() >> 20),
    ];
    let own = || h.runs.iter().filter(|r| r.epoch.is_some());
    let seconds: f64 = own().map(|r| r.seconds[0]).sum();
    if own().count() > 0 {
        let each = seconds / own().count() as f64;
        out.push(format!("at {each:.1} s a run that takes {:.0} s", each * runs as f64));
    }
    Ok(out)
}

/// MD to take into a loop.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// Its trajectories, each unbiased and continuous.
    pub trajectories: Vec<PathBuf>,
    /// Its atoms, where they are not the engine's.
    pub topology: Option<PathBuf>,
    /// Time at the beginning of each that does not count, ps.
    pub head_ps: f64,
    /// Time between its frames, ps, where the files cannot tell.
    pub frame_ps: Option<f64>,
}

/// Takes MD into a loop; answers the frames taken of each trajectory.
pub fn import(host: &Host, folder: &Path, request: &ImportRequest) -> Result<Vec<u64>> {
    struct Silent;
    impl Watch for Silent {}
    let mut driver = Driver::open(folder)?;
    let settings = driver.settings().clone();
    let wanted = settings.budget.frame_ps;
    let toy = settings.engine.name == "toy";
    let engine: Box<dyn Engine> = match toy {
        true => Box::new(parts::toy_engine(&settings)?),
        false => {
            let engine = md::MdEngine::open(host, &settings)?;
            match &request.topology {
                None => Box::new(engine),
                Some(path) => Box::new(engine.with_foreign(host.read_topology(path)?.0)),
            }
        }
    };
    let mut taken = Vec::new();
    for path in &request.trajectories {
        let at = || format!("{}", path.display());
        let frame_ps = match (request.frame_ps, toy) {
            (Some(ps), _) => ps,
            (None, true) => wanted,
            (None, false) => spacing(host, path).with_context(at)?,
        };
        let stride = (wanted / frame_ps).round();
        ensure!(
            stride >= 1.0 && (stride * frame_ps - wanted).abs() < 1e-3 * wanted,
            "{}: frames are {frame_ps} ps apart, and budget.frame_ps, {wanted} ps, is no multiple \
             of that",
            path.display()
        );
        let head_frames = (request.head_ps / wanted).ceil() as u64;
        let import = Import { trajectory: path, head_frames, stride: stride as usize };
        taken.push(driver.import(engine.as_ref(), &import, &Silent)?);
    }
    Ok(taken)
}

/// Time between the frames of a file, ps, by its first frames.
fn spacing(host: &Host, path: &Path) -> Result<f64> {
    let mut source = host.open(path, None)?;
    let (mut clock, mut frame) = (Clock::new(None)?, Frame::default());
    let name = path.display().to_string();
    for index in 0..8 {
        if !source.read(&mut frame)? {
            break;
        }
        clock.see(&name, index, frame.time_ps)?;
    }
    Ok(clock.frame_ps()?)
}

/// What happened so far; reads only, also while the loop is running.
pub fn look(folder: &Path) -> Result<Store> {
    Ok(Store::read(folder)?)
}

/// A loop in sentences.
pub fn in_words(store: &Store) -> Vec<String> {
    let (settings, history) = (store.settings(), store.history());
    let own = history.runs.iter().filter(|r| r.epoch.is_some()).count();
    let mut out = vec![format!(
        "epoch {} of {}, {own} runs, {} seeds lost, {:.2} ns of MD with heads and preparation",
        history.epochs.len(),
        settings.epochs(),
        history.lost.len(),
        history.md_ps(settings.budget.frame_ps) / 1000.0
    )];
    if own < history.runs.len() {
        out.push(format!("{} trajectories were imported", history.runs.len() - own));
    }
    let Some(last) = history.epochs.last() else { return out };
    out.push(format!(
        "{:.1} % of the wall time was neither MD nor proposals",
        100.0 * store.stages().overhead()
    ));
    match &last.statistics {
        Err(reason) => out.push(format!("no model yet: {reason}")),
        Ok(s) => {
            let percent = |e: Estimate| Estimate {
                value: 100.0 * e.value,
                low: e.low.map(|v| 100.0 * v),
                high: e.high.map(|v| 100.0 * v),
            };
            for (i, p) in s.populations.iter().enumerate() {
                if let Some(p) = p {
                    out.push(format!("state {}: {} %", i + 1, interval(percent(*p))));
                }
            }
            for t in &s.timescales_ps {
                out.push(format!("timescale: {} ps", interval(*t)));
            }
            out.extend(s.remarks.iter().cloned());
            out.extend(s.warnings.iter().map(ToString::to_string));
        }
    }
    out
}

/// A value with its interval.
pub(crate) fn interval(e: Estimate) -> String {
    let digits = if e.value.abs() < 10.0 { 2 } else { 1 };
    match (e.low, e.high) {
        (Some(low), Some(high)) => {
            format!("{:.digits$} ({low:.digits$} to {high:.digits$})", e.value)
        }
        _ => format!("{:.digits$} (no interval)", e.value),
    }
}

/// The states that are known beforehand, if a loop has such.
fn known(store: &Store) -> Result<Option<marsfm_adaptive::toy::ToyEngine>> {
    match store.settings().engine.name.as_str() {
        "toy" => Ok(Some(parts::toy_engine(store.settings())?)),
        "" => bail!("engine.name is empty"),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_meant_from_the_file() {
        let mut table: toml::Table = "template = \"t\"\nthreads = 2\ntrajectories = [\"a.xtc\", \
            \"/b.xtc\"]\nname = \"t\"\n[jump]\nmodel = \"m\"\n"
            .parse()
            .unwrap();
        from(Path::new("/here"), &mut table);
        assert_eq!(table["template"].as_str(), Some("/here/t"));
        assert_eq!(table["trajectories"][0].as_str(), Some("/here/a.xtc"));
        assert_eq!(table["trajectories"][1].as_str(), Some("/b.xtc"));
        assert_eq!(table["jump"]["model"].as_str(), Some("/here/m"));
        assert_eq!(table["name"].as_str(), Some("t"));
    }
}
