//! `marsfm train`: from a recipe to a checkpoint with its model card.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use marsfm_host::{Device, Host};
use marsfm_surrogate::card::{Domain, FORMAT, ModelCard, RESIDUE_TABLE, TrainingRecord};
use marsfm_surrogate::checkpoint::{self, Checkpoint, Storage};
use marsfm_surrogate::{Backend, NetworkConfig, params};
pub use marsfm_training::Status;
use marsfm_training::{
    Frames, PairLevel, Recipe, Sets, System as TrainingSystem, Trainer, TrainingSet,
};
use sha2::{Digest, Sha256};

use crate::systems::{System, SystemFiles};
use crate::{pairs, prepared};

/// A training request.
pub struct TrainRequest<'a> {
    /// The recipe (TOML).
    pub recipe: &'a Path,
    /// Folder of the systems, instead of the recipe's `data.root`.
    pub data: Option<&'a Path>,
    /// Ends the run after this step of the recipe's schedule, as if it were the last; the card
    /// says so.
    pub stop_at: Option<u64>,
    /// Where losses and gradients are computed; optimiser and validation stay on the CPU.
    pub device: &'a Device,
    /// The checkpoint to write. Its state while training is kept beside it, as `OUT.state`.
    pub out: &'a Path,
}

/// What the caller is told.
pub enum TrainEvent<'a> {
    /// A system was read and its Markov model built.
    Prepared {
        /// Its name.
        name: &'a str,
        /// Systems prepared so far, and in all.
        done: (usize, usize),
    },
    /// Something about a system that the user should know.
    Note(&'a str),
    /// A step was done.
    Step(&'a Status),
}

/// Reads a recipe; errors name the key.
pub fn read_recipe(path: &Path) -> Result<Recipe> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot read the recipe", path.display()))?;
    let recipe: Recipe = toml::from_str(&text)
        .with_context(|| format!("{}: is no training recipe", path.display()))?;
    recipe.check().with_context(|| format!("{}", path.display()))?;
    Ok(recipe)
}

/// Trains, or goes on with an interrupted run. `event` may stop it by answering false; what is
/// trained so far stays in the state file and no checkpoint is written.
pub fn train(
    host: &Host,
    request: &TrainRequest,
    mut event: impl FnMut(TrainEvent) -> bool,
) -> Result<Option<ModelCard>> {
    let mut recipe = read_recipe(request.recipe)?;
    let folder = request.recipe.parent().unwrap_or(Path::new("."));
    recipe.run.start_from = recipe.run.start_from.map(|start| folder.join(start));
    let root: PathBuf = match request.data {
        Some(data) => data.into(),
        None => folder.join(&recipe.data.root),
    };
    take_names(&mut recipe, folder)?;
    let prepared = recipe.data.prepared.take().map(|p| folder.join(p));
    if let Some(both) = recipe.data.train.iter().find(|n| recipe.data.validation.contains(n)) {
        bail!("{}: {both} is listed for training and for validation", request.recipe.display());
    }
    let total = recipe.data.train.len() + recipe.data.validation.len();
    let mut done = 0;
    let mut prepare = |names: &[String]| -> Result<Vec<TrainingSystem>> {
        let mut all = Vec::new();
        for name in names {
            let (systems, missing) = SystemFiles::of_recipe(host, &root, name, &recipe)?;
            for (files, kelvin) in systems {
                all.push(match &prepared {
                    Some(folder) => prepared::system(host, &files, kelvin, &recipe, folder)?,
                    None => prepare_system(&System::load(host, &files)?, kelvin, &recipe)?,
                });
            }
            done += 1;
            for why in missing {
                event(TrainEvent::Note(&format!("{name}, a replica left out: {why}")));
            }
            event(TrainEvent::Prepared { name, done: (done, total) });
        }
        Ok(all)
    };
    let (train, validation) = (prepare(&recipe.data.train)?, prepare(&recipe.data.validation)?);
    let (train, validation) = (training_set(&recipe, train)?, held_out(&recipe, validation)?);
    let sets = Sets { train: &train, validation: validation.as_ref(), replay: None };
    let backend = backend_of(host, &recipe, request.device)?;
    run(&recipe, sets, backend, request.stop_at, request.out, |status| {
        event(TrainEvent::Step(status))
    })
}

/// Adds the names of the recipe's files of names to its lists.
fn take_names(recipe: &mut Recipe, folder: &Path) -> Result<()> {
    let data = &mut recipe.data;
    let lists = [
        (&mut data.train, data.train_file.take()),
        (&mut data.validation, data.validation_file.take()),
    ];
    for (list, file) in lists {
        let Some(file) = file.map(|f| folder.join(f)) else { continue };
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("{}: cannot read the names of systems", file.display()))?;
        list.extend(names(&text));
    }
    Ok(())
}

/// The names in a list of one a line, or in the headings of a FASTA file.
fn names(text: &str) -> Vec<String> {
    let first = |line: &str| line.split_whitespace().next().map(String::from);
    if text.lines().any(|l| l.starts_with('>')) {
        text.lines().filter_map(|l| first(l.strip_prefix('>')?)).collect()
    } else {
        text.lines().filter(|l| !l.starts_with('#')).filter_map(first).collect()
    }
}

/// The recipe's network on a device; `None`: this process.
pub fn backend_of(
    host: &Host,
    recipe: &Recipe,
    device: &Device,
) -> Result<Option<Arc<dyn Backend>>> {
    if *device == Device::Cpu {
        return Ok(None);
    }
    // Every step brings its own parameters: these only tell the shapes.
    let values = params::initial(&recipe.network, 0);
    let bytes = checkpoint::untrained(&recipe.network, &values)?;
    Ok(host.backend(&bytes, &recipe.network, device)?)
}

/// Systems to learn from, with what the recipe does to samples.
pub fn training_set(recipe: &Recipe, systems: Vec<TrainingSystem>) -> Result<TrainingSet> {
    let (n, r) = (&recipe.network, &recipe.run);
    Ok(TrainingSet::new(systems, n.frames, r.crop, n.path)?
        .hiding_residue_types(r.hide_residue_types)
        .with_mosaics(r.mosaics, r.mosaic_cut)
        .telling_temperatures(n.temperature))
}

/// Systems to validate on, as they are; `None` of none.
pub fn held_out(recipe: &Recipe, systems: Vec<TrainingSystem>) -> Result<Option<TrainingSet>> {
    if systems.is_empty() {
        return Ok(None);
    }
    let n = &recipe.network;
    let set = TrainingSet::new(systems, n.frames, recipe.run.crop, n.path)?;
    Ok(Some(set.telling_temperatures(n.temperature)))
}

/// Trains on sets that are already in memory; the recipe's `start_from` is a path as it stands.
/// `backend` holds the recipe's network (`None`: this process).
pub fn run(
    recipe: &Recipe,
    sets: Sets<'_>,
    backend: Option<Arc<dyn Backend>>,
    stop_at: Option<u64>,
    out: &Path,
    mut report: impl FnMut(&Status) -> bool,
) -> Result<Option<ModelCard>> {
    recipe.check()?;
    let seen: Vec<&TrainingSystem> =
        sets.train.systems().iter().chain(sets.replay.iter().flat_map(|r| r.0.systems())).collect();
    let data_sha256 = hash_data(&seen);
    let mut domain = domain_of(recipe, &seen);
    let mut systems: BTreeMap<String, f64> =
        seen.iter().map(|s| (s.name.clone(), s.nanoseconds)).collect();
    let held_out = sets.validation.iter().flat_map(|s| s.systems());
    let validation_names: Vec<String> = held_out.map(|s| s.name.clone()).collect();
    let start = recipe.run.start_from.as_deref().map(|p| start_of(p, recipe)).transpose()?;
    let before = start.as_ref().and_then(|s| s.card.training.as_ref());
    if let Some(both) = validation_names.iter().find(|v| before.is_some_and(|t| t.saw(v))) {
        bail!("run.start_from: that surrogate was trained on {both}, a validation system here");
    }
    for (name, ns) in before.iter().flat_map(|t| &t.systems) {
        systems.entry(name.clone()).or_insert(*ns);
    }
    let mut state = out.as_os_str().to_owned();
    state.push(".state");
    let trainer = Trainer {
        recipe,
        sets,
        run_sha256: run_hash(recipe, start.as_ref(), &data_sha256)?,
        state: state.into(),
        start: start.as_ref().map(|s| s.values.clone()),
        backend,
    };
    let last = stop_at.unwrap_or(u64::MAX).min(recipe.run.steps);
    let trained = trainer.run(|status| report(status) && status.step < last)?;
    if trained.steps < last {
        return Ok(None);
    }
    let stopped = (trained.steps < recipe.run.steps).then(|| {
        format!("Stopped at step {} of the recipe's {}.", trained.steps, recipe.run.steps)
    });
    domain.lag_ps = recipe.pairs.pair_lag_ps;
    if let Some(before) = &start {
        domain.temperatures_kelvin.extend(&before.card.domain.temperatures_kelvin);
        ascending(&mut domain.temperatures_kelvin);
    }
    // A run that went on from another one has that one's history.
    let steps_before = before.map_or(0, |t| t.steps);
    let mut losses = before.map_or_else(Vec::new, |t| t.losses.clone());
    losses.extend(trained.losses.into_iter().map(|(step, a, b)| (step + steps_before, a, b)));
    let earlier = start.iter().flat_map(|s| {
        let steps = format!("Went on after {steps_before} steps of an earlier run.");
        s.card.notes.iter().cloned().chain([steps])
    });
    let earlier: Vec<String> = earlier.collect();
    let card = ModelCard {
        format: FORMAT,
        residue_table: RESIDUE_TABLE.into(),
        network: recipe.network.clone(),
        domain,
        training: Some(TrainingRecord {
            systems,
            validation: validation_names,
            steps: trained.steps + steps_before,
            batch: recipe.run.batch,
            rng_seed: recipe.run.rng_seed,
            losses,
            data_sha256,
            started_from: start.map(|s| s.sha256),
        }),
        notes: earlier.into_iter().chain(stopped).chain([pairs_in_words(recipe)]).collect(),
    };
    let bytes = checkpoint::encode(&card, &trained.values, Storage::F16)?;
    marsfm_trajectory::write_atomically(out, &bytes)
        .with_context(|| format!("{}: cannot write the checkpoint", out.display()))?;
    Ok(Some(card))
}

/// The checkpoint to start from; its network has to be the recipe's.
fn start_of(path: &Path, recipe: &Recipe) -> Result<Checkpoint> {
    let start = checkpoint::load(path).context("run.start_from")?;
    // No parameter depends on how many frames a window has.
    let of_these_frames =
        NetworkConfig { frames: recipe.network.frames, ..start.card.network.clone() };
    if of_these_frames != recipe.network {
        bail!(
            "run.start_from: {} holds another network than [network] describes: {:?}",
            path.display(),
            start.card.network
        );
    }
    Ok(start)
}

/// Frames encoded, Markov model built (where pairs need one), pairs ready, of MD at `kelvin`.
pub fn prepare_system(system: &System, kelvin: f64, recipe: &Recipe) -> Result<TrainingSystem> {
    let of_system = || format!("system {}", system.name);
    let frames = Frames::from(system.encoded()?);
    let lag = system.data.lag_frames(recipe.pairs.pair_lag_ps).with_context(of_system)?;
    let msm = pairs::model(system, recipe)?;
    Ok(TrainingSystem {
        name: system.name.clone(),
        types: system.peptide.types().to_vec(),
        pairs: pairs::of(msm.as_ref(), &frames.lengths(), lag, recipe).with_context(of_system)?,
        frames,
        nanoseconds: system.nanoseconds(),
        temperature_kelvin: kelvin,
    })
}

fn pairs_in_words(recipe: &Recipe) -> String {
    let p = &recipe.pairs;
    let level = match p.level {
        PairLevel::Macro => "macrostate",
        PairLevel::Symmetric => "macrostate (both directions of time)",
        PairLevel::Micro => "microstate",
        PairLevel::Reweighted => "microstate (reversible, by stationary weights)",
        PairLevel::Lagged => "trajectory",
        PairLevel::Window => {
            let frames = recipe.network.frames;
            return format!("Windows of {frames} frames, {} ps apart.", p.pair_lag_ps);
        }
    };
    format!(
        "Pairs at {level} level, lags: TICA {} ps, MSM {} ps, pairs {} ps.",
        p.tica_lag_ps, p.msm_lag_ps, p.pair_lag_ps
    )
}

fn ascending(temperatures: &mut Vec<f64>) {
    temperatures.sort_by(f64::total_cmp);
    temperatures.dedup();
}

fn domain_of(recipe: &Recipe, systems: &[&TrainingSystem]) -> Domain {
    let mut residue_counts = BTreeMap::new();
    for t in systems.iter().flat_map(|s| &s.types) {
        *residue_counts.entry(t.letter()).or_insert(0) += 1;
    }
    let lengths = || systems.iter().map(|s| s.types.len());
    let mut temperatures_kelvin: Vec<f64> = match recipe.network.temperature {
        true => systems.iter().map(|s| s.temperature_kelvin).collect(),
        false => Vec::new(),
    };
    ascending(&mut temperatures_kelvin);
    Domain {
        temperatures_kelvin,
        lag_ps: recipe.pairs.pair_lag_ps,
        temperature_kelvin: recipe.domain.temperature_kelvin,
        force_field: recipe.domain.force_field.clone(),
        solvent: recipe.domain.solvent.clone(),
        termini: recipe.domain.termini.clone(),
        residues: (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0)),
        residue_counts,
    }
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn hash_data(systems: &[&TrainingSystem]) -> String {
    let mut hash = Sha256::new();
    for s in systems {
        hash.update(s.name.as_bytes());
        hash.update(s.types.iter().map(|t| t.index() as u8).collect::<Vec<_>>());
        hash.update(s.frames.sha256());
    }
    hex(hash.finalize())
}

/// A state resumes only the run it belongs to: everything in the recipe counts, except where the
/// data lies and how often the run is saved.
fn run_hash(recipe: &Recipe, start: Option<&Checkpoint>, data_sha256: &str) -> Result<String> {
    let mut recipe = recipe.clone();
    recipe.data.root = PathBuf::new();
    recipe.run.save_every_seconds = 0;
    recipe.run.start_from = None;
    let start = start.map_or("", |s| s.sha256.as_str());
    let text = serde_json::to_string(&recipe)? + data_sha256 + start;
    Ok(hex(Sha256::digest(text.as_bytes())))
}
