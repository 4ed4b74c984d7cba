//! Bench C: does a network beat stored frames? Arms that begin with 5 ns of the system's own MD, at
//! its temperature or hotter: a surrogate of this system alone learns from it, or its frames are
//! started from; beside them the default surrogate and least counts, which spend those 5 ns on the
//! loop. Everything is charged.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use marsfm::Host;
use marsfm::adaptive::{self, Ended, ImportRequest, Limits};

use super::arms::{Arm, HEAD_PS, PLACES, RUN_PS, TEMPERATURE_KELVIN};
use super::{Bench, ENGINE, Request, template};
use crate::root;

/// Own data: runs, and the length of each with its head, ps.
const RUNS: usize = 5;
const EACH_PS: f64 = 1000.0;
/// Of hot MD.
const HOT_KELVIN: f64 = 450.0;
/// Epochs of a loop that has own data; the others get as many more as the data cost.
const EPOCHS: usize = 4;
/// MD of an epoch, ps.
const EPOCH_PS: f64 = PLACES as f64 * (HEAD_PS + RUN_PS);
/// All MD of an arm, ps; preparation comes on top and is charged.
const BUDGET_PS: f64 = EPOCHS as f64 * EPOCH_PS + RUNS as f64 * EACH_PS;
/// Steps of a surrogate that is trained on own data.
const STEPS: usize = 1500;

/// The bench. Stored frames first: what the others are measured by.
pub static BENCH: Bench = Bench {
    letter: "c",
    strategies: &["stored-cold", "stored-hot", "own-cold", "own-hot", "default", "least-counts"],
    budget_ps: BUDGET_PS,
    begin,
    charged,
};

/// Own data of an arm, if it has any: `cold` or `hot`.
fn kind<'a>(arm: &Arm<'a>) -> Option<&'a str> {
    arm.strategy.split_once('-').map(|(_, kind)| kind).filter(|k| matches!(*k, "cold" | "hot"))
}

/// The loop that is an arm's own data; all arms of a repeat share it.
fn data_folder(request: &Request, arm: &Arm<'_>, kind: &str) -> PathBuf {
    request.state.join(format!("c/r{}/{}/data-{kind}", arm.repeat, arm.system))
}

/// Makes own data: plain MD, as a loop that goes on where it was stopped.
fn data(host: &Host, request: &Request, arm: &Arm<'_>, kind: &str) -> Result<PathBuf> {
    struct Silent;
    impl adaptive::Watch for Silent {}
    let folder = data_folder(request, arm, kind);
    if !folder.join("journal").exists() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.parent().context("a folder has a parent")?)?;
        let template = template(request, arm.system)?;
        let kelvin = if kind == "hot" { HOT_KELVIN } else { TEMPERATURE_KELVIN };
        let text = format!(
            "rng_seed = {}\n{ENGINE}[engine.options]\ntemplate = {template:?}\ntemperature_kelvin = {kelvin:?}\n[budget]\nepochs = 1\nseeds = {RUNS}\n\
             head_ps = {HEAD_PS:?}\nrun_ps = {:?}\nframe_ps = 1.0\n[model]\nmsm_lag_ps = 10.0\n\
             [statistics]\ndraws = 0\n[strategy]\nproposer = \"parallel\"\n",
            arm.rng_seed() + 50,
            EACH_PS - HEAD_PS
        );
        let file = folder.with_extension("toml");
        std::fs::write(&file, text)?;
        adaptive::begin(host, &file, &folder)?;
    }
    let (ended, history) = adaptive::go_on(host, &folder, Limits::default(), &mut Silent)?;
    ensure!(matches!(ended, Ended::Complete | Ended::Budget), "{}: {ended:?}", folder.display());
    ensure!(history.runs.len() > 1, "{}: too few runs survived", folder.display());
    Ok(folder)
}

/// Hot MD is in no number of a loop, so its cost is told here: MD, ps, and CPU time, s. Cold MD is
/// imported and charged as the loop's own.
fn charged(arm: &Arm<'_>, request: &Request) -> Result<[f64; 2]> {
    if kind(arm) != Some("hot") {
        return Ok([0.0; 2]);
    }
    let store = adaptive::look(&data_folder(request, arm, "hot"))?;
    Ok([store.history().md_ps(1.0), store.stages().cpu])
}

/// Which proposer, with which options, in TOML; `own` is the folder of own data and its trajectories.
fn strategy(
    arm: &Arm<'_>,
    topology: &Path,
    own: Option<(&Path, &[PathBuf])>,
) -> Result<(&'static str, String)> {
    let model = root().join("examples/models/tetrapeptide/tetrapeptide.safetensors");
    let model = format!("model = {:?}", std::path::absolute(model)?);
    let learn = |more: String| {
        format!(
            "{model}\nlearn = {{ from = \"scratch\", every = 1000, steps = {STEPS}, pair_lag_ps = \
             100.0{more} }}"
        )
    };
    Ok(match (arm.strategy, own) {
        ("stored-cold" | "stored-hot", Some((_, frames))) => {
            ("stored", format!("topology = {topology:?}\ntrajectories = {frames:?}"))
        }
        ("own-cold", Some(_)) => ("tree", learn(String::new())),
        ("own-hot", Some((folder, _))) => ("tree", learn(format!(", hot = {folder:?}"))),
        ("default", None) => ("tree", model),
        ("least-counts", None) => ("visited", String::new()),
        (other, _) => bail!("there is no strategy {other}"),
    })
}

fn begin(arm: &Arm<'_>, host: &Host, request: &Request, folder: &Path) -> Result<()> {
    let template = template(request, arm.system)?;
    let own = kind(arm).map(|k| data(host, request, arm, k)).transpose()?;
    let frames = match &own {
        Some(own) => adaptive::look(own)?.trajectories(),
        None => Vec::new(),
    };
    let own = own.as_deref().map(|folder| (folder, &frames[..]));
    let (proposer, options) = strategy(arm, &template.join("topology.pdb"), own)?;
    let epochs = match own {
        Some(_) => EPOCHS,
        None => (BUDGET_PS / EPOCH_PS).round() as usize,
    };
    let text = arm.settings(&template, (proposer, &options), epochs);
    let file = folder.join("loop.toml");
    std::fs::write(&file, text)?;
    // The journal appears under its name when the loop is whole, imported MD included.
    let partial = folder.join("partial");
    adaptive::begin(host, &file, &partial)?;
    if kind(arm) == Some("cold") {
        let import = ImportRequest {
            trajectories: frames,
            topology: None,
            head_ps: HEAD_PS,
            frame_ps: Some(1.0),
        };
        adaptive::import(host, &partial, &import)?;
    }
    Ok(std::fs::rename(&partial, folder.join("loop"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_cost_the_same_with_and_without_own_data() {
        let epochs = (BUDGET_PS / EPOCH_PS).round();
        assert!((epochs * EPOCH_PS / BUDGET_PS - 1.0).abs() < 0.02, "{epochs} epochs");
        let arm = |strategy| Arm { bench: &BENCH, system: "AAAAAAAA", strategy, repeat: 0 };
        let kinds: Vec<Option<&str>> = BENCH
            .strategies
            .iter()
            .map(|s| kind(&arm(s)).map(|_| s.split_once('-').unwrap().1))
            .collect();
        let (cold, hot) = (Some("cold"), Some("hot"));
        assert_eq!(kinds, [cold, hot, cold, hot, None, None]);
        for (strategy, kind) in BENCH.strategies.iter().zip(kinds) {
            let frames = [PathBuf::from("/own/trajectory.xtc")];
            let own = kind.map(|_| (Path::new("/own"), &frames[..]));
            let (proposer, options) =
                super::strategy(&arm(strategy), Path::new("/t"), own).unwrap();
            let text = arm(strategy).settings(Path::new("/template"), (proposer, &options), 10);
            let settings = adaptive::LoopSettings::parse(&text).unwrap();
            assert_eq!(settings.strategy.proposer, proposer);
            let learns = settings.strategy.options.get("learn").is_some();
            assert_eq!(learns, strategy.starts_with("own"), "{strategy}");
        }
    }
}
