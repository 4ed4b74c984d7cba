//! From settings to what a loop runs with: its engine and its proposer, by name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use marsfm_adaptive::toy::{self, ToyEngine};
use marsfm_adaptive::{Bandit, Engine, LoopSettings, Proposer, StrategySettings, Visited};
use marsfm_geometry::Topology;
use marsfm_host::{Device, Host};
use marsfm_surrogate::Surrogate;
use serde::Deserialize;

use super::chain::{Frames, Jumps, Library, Shape};
use super::learn::Learner;
use super::lesson::LearnSettings;
use super::md::MdEngine;
use super::plugin::{self, Plugged};
use super::slurm::Slurm;
use crate::benchmark;
use crate::session::default_model;

/// An engine and a proposer, and what the user should know about them.
pub struct Parts<'h> {
    /// The engine.
    pub engine: Box<dyn Engine + 'h>,
    /// The proposer.
    pub proposer: Box<dyn Proposer>,
    /// Where this system is unlike what a surrogate was trained on.
    pub remarks: Vec<String>,
}

/// The engine alone.
pub fn engine<'h>(host: &'h Host, settings: &LoopSettings) -> Result<Box<dyn Engine + 'h>> {
    Ok(match settings.engine.name.as_str() {
        "toy" => Box::new(toy_engine(settings)?),
        _ => Box::new(MdEngine::open(host, settings)?),
    })
}

/// Opens both, for the loop in a folder: there runs may be tasks of Slurm.
pub fn open_in<'h>(host: &'h Host, settings: &LoopSettings, folder: &Path) -> Result<Parts<'h>> {
    let parts = open(host, settings, Some(folder))?;
    let Some(slurm) = settings.slurm.clone() else { return Ok(parts) };
    let engine = Box::new(Slurm::new(host, parts.engine, slurm, folder)?);
    Ok(Parts { engine, ..parts })
}

/// Opens both; without the loop's folder for looking only: a surrogate that learns keeps what it
/// learned there.
pub fn open<'h>(
    host: &'h Host,
    settings: &LoopSettings,
    folder: Option<&Path>,
) -> Result<Parts<'h>> {
    if settings.engine.name == "toy" {
        let engine = toy_engine(settings)?;
        let proposer = named(&settings.strategy, &|s| match plugin::name_of(&s.proposer) {
            Some(name) => Ok(Box::new(Plugged::open(host, name, &walker(), s)?)),
            None => Ok(toy::proposer(s, engine.toy())?),
        })?;
        return Ok(Parts { engine: Box::new(engine), proposer, remarks: Vec::new() });
    }
    let engine = MdEngine::open(host, settings)?;
    let remarks = std::cell::RefCell::new(Vec::new());
    let place = folder.unwrap_or(Path::new(""));
    let proposer =
        named(&settings.strategy, &|s| chain(host, &engine, s, &remarks, (settings, place)))?;
    Ok(Parts { engine: Box::new(engine), proposer, remarks: remarks.into_inner() })
}

/// The toy's atoms, for plugins.
fn walker() -> Topology {
    let mut atoms = Topology::new();
    atoms.push("X", "", "TOY", 1, "", "A");
    atoms
}

/// The toy of a loop's settings.
pub fn toy_engine(settings: &LoopSettings) -> Result<ToyEngine> {
    Ok(ToyEngine::open(&settings.engine.options, settings.budget.frame_ps)?)
}

type Make<'a> = &'a dyn Fn(&StrategySettings) -> Result<Box<dyn Proposer>>;

/// A proposer of its own, or several as a bandit.
fn named(strategy: &StrategySettings, make: Make<'_>) -> Result<Box<dyn Proposer>> {
    if strategy.proposer != "bandit" {
        return make(strategy);
    }
    #[derive(Deserialize)]
    struct Options {
        arms: Vec<String>,
        #[serde(default = "one")]
        exploration: f64,
    }
    fn one() -> f64 {
        1.0
    }
    let Options { arms, exploration } = options(strategy)?;
    let known = |k: &String| arms.contains(k) || k == "arms" || k == "exploration";
    if let Some(strange) = strategy.options.keys().find(|k| !known(k)) {
        bail!("strategy.options.{strange}: a bandit has arms, exploration, and a table per arm");
    }
    ensure!(
        exploration >= 0.0 && exploration.is_finite(),
        "strategy.options.exploration must not be negative"
    );
    let distinct: std::collections::BTreeSet<&String> = arms.iter().collect();
    ensure!(
        arms.len() >= 2 && distinct.len() == arms.len(),
        "strategy.options.arms: name at least two different proposers"
    );
    let arm = |name: &String| -> Result<Box<dyn Proposer>> {
        ensure!(
            !matches!(name.as_str(), "bandit" | "long" | "parallel"),
            "strategy.options.arms: {name} cannot share"
        );
        let own = strategy.options.get(name).and_then(|t| t.as_table()).cloned();
        let settings = StrategySettings {
            proposer: name.clone(),
            options: own.unwrap_or_default(),
            ..strategy.clone()
        };
        make(&settings).with_context(|| format!("strategy.options.{name}"))
    };
    Ok(Box::new(Bandit::new(arms.iter().map(arm).collect::<Result<_>>()?, exploration)))
}

fn options<'a, T: Deserialize<'a>>(strategy: &StrategySettings) -> Result<T> {
    let parsed = strategy.options.clone().try_into();
    parsed.map_err(|e: toml::de::Error| anyhow::anyhow!("strategy.options: {}", e.message()))
}

/// A proposer of a real chain.
fn chain(
    host: &Host,
    engine: &MdEngine<'_>,
    strategy: &StrategySettings,
    remarks: &std::cell::RefCell<Vec<String>>,
    (settings, folder): (&LoopSettings, &Path),
) -> Result<Box<dyn Proposer>> {
    #[derive(Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Drawn {
        model: Option<PathBuf>,
        mdgen: Option<PathBuf>,
        draws_per_parent: Option<usize>,
        device: Option<String>,
        learn: Option<LearnSettings>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Residues {
        data: PathBuf,
        #[serde(default)]
        systems: Vec<String>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Files {
        topology: PathBuf,
        trajectories: Vec<PathBuf>,
    }
    if let Some(name) = plugin::name_of(&strategy.proposer) {
        return Ok(Box::new(Plugged::open(host, name, engine.topology(), strategy)?));
    }
    let peptide = engine.peptide().clone();
    let drawn = |shape: Shape| -> Result<Box<dyn Proposer>> {
        let o: Drawn = options(strategy)?;
        let model = match &o.model {
            Some(path) => path.clone(),
            None => default_model(std::env::current_exe().ok().as_deref())?,
        };
        let device: Device = match &o.device {
            None => Device::Cpu,
            Some(_) if o.learn.is_some() => {
                bail!("strategy.options.device: a surrogate that learns is computed on the CPU")
            }
            Some(word) => {
                word.parse().map_err(|e| anyhow::anyhow!("strategy.options.device: {e}"))?
            }
        };
        let load = |path: &Path| -> Result<Surrogate> {
            Ok(host.surrogate(path, &device)?.matched_to(engine.temperature_kelvin())?)
        };
        let surrogate = load(&model)?;
        let mdgen = match (shape, &o.mdgen) {
            (Shape::Hybrid, None) => {
                bail!("strategy.options.mdgen: hybrid needs a second surrogate")
            }
            (Shape::Hybrid, Some(path)) => Some(load(path)?),
            (_, Some(_)) => bail!("strategy.options.mdgen: only hybrid has one"),
            (_, None) => None,
        };
        let draws_per_parent = o.draws_per_parent.unwrap_or(4);
        let jumps = Jumps { shape, surrogate, mdgen, peptide: peptide.clone(), draws_per_parent };
        let unlike = jumps.differences(engine);
        remarks
            .borrow_mut()
            .extend(unlike.into_iter().map(|d| format!("surrogate: {}", d.message)));
        Ok(match o.learn {
            None => Box::new(jumps),
            Some(learn) => Box::new(Learner::new(host, jumps, model, learn, settings, folder)?),
        })
    };
    let files = |class: &'static str| -> Result<Box<dyn Proposer>> {
        let o: Files = options(strategy)?;
        Ok(Box::new(Frames::read(class, host, engine, &o.topology, &o.trajectories)?))
    };
    Ok(match strategy.proposer.as_str() {
        "visited" | "long" | "parallel" => Box::new(Visited),
        "jump" => drawn(Shape::Jump)?,
        "tree" => drawn(Shape::Tree)?,
        "hybrid" => drawn(Shape::Hybrid)?,
        "stored" => files("stored")?,
        "imported" => files("imported")?,
        "library" => {
            let o: Residues = options(strategy)?;
            let names = if o.systems.is_empty() { folders(&o.data)? } else { o.systems };
            let library = benchmark::library(host, std::slice::from_ref(&o.data), &names)?;
            Box::new(Library { library, peptide })
        }
        other => bail!(
            "strategy.proposer is {other:?}; there are jump, tree, hybrid, stored, imported, \
             library, visited, parallel, long, plugin:NAME, and bandit over several of them"
        ),
    })
}

/// Names of the systems in a folder.
fn folders(data: &Path) -> Result<Vec<String>> {
    let at = || format!("{}: cannot list the systems in it", data.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(data).with_context(at)? {
        let entry = entry.with_context(at)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().join(format!("{name}.pdb")).is_file() {
            names.push(name);
        }
    }
    names.sort();
    ensure!(!names.is_empty(), "{}: holds no folder NAME with NAME.pdb", data.display());
    Ok(names)
}
