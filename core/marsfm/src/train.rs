//! `marsfm train`: from a recipe to a checkpoint with its model card.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use marsfm_host::Host;
use marsfm_msm::{Msm, PairSampler};
use marsfm_surrogate::card::{Domain, FORMAT, ModelCard, RESIDUE_TABLE, TrainingRecord};
use marsfm_surrogate::checkpoint::{self, Storage};
pub use marsfm_training::Status;
use marsfm_training::{
    Pair, PairLevel, PairSource, Recipe, System as TrainingSystem, Trainer, TrainingSet,
};
use rand::{Rng, RngExt};
use sha2::{Digest, Sha256};

use crate::markov::{self, MsmSettings};
use crate::systems::{System, SystemFiles};

/// A training request.
pub struct TrainRequest<'a> {
    /// The recipe (TOML).
    pub recipe: &'a Path,
    /// Folder of the systems, instead of the recipe's `data.root`.
    pub data: Option<&'a Path>,
    /// Ends the run after this step of the recipe's schedule, as if it were the last; the card
    /// says so.
    pub stop_at: Option<u64>,
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
    /// A step was done.
    Step(&'a Status),
}

/// Reads a recipe; errors name the key.
pub fn read_recipe(path: &Path) -> Result<Recipe> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot read the recipe", path.display()))?;
    let recipe: Recipe = toml::from_str(&text)
        .with_context(|| format!("{}: is no training recipe", path.display()))?;
    recipe.network.check().with_context(|| format!("{}", path.display()))?;
    Ok(recipe)
}

/// Trains, or goes on with an interrupted run. `event` may stop it by answering false; what is
/// trained so far stays in the state file and no checkpoint is written.
pub fn train(
    host: &Host,
    request: &TrainRequest,
    mut event: impl FnMut(TrainEvent) -> bool,
) -> Result<Option<ModelCard>> {
    let recipe = read_recipe(request.recipe)?;
    let root: PathBuf = match request.data {
        Some(data) => data.into(),
        None => request.recipe.parent().unwrap_or(Path::new(".")).join(&recipe.data.root),
    };
    if let Some(both) = recipe.data.train.iter().find(|n| recipe.data.validation.contains(n)) {
        bail!("{}: {both} is listed for training and for validation", request.recipe.display());
    }
    let total = recipe.data.train.len() + recipe.data.validation.len();
    let mut done = 0;
    let mut prepare = |names: &[String]| -> Result<Vec<TrainingSystem>> {
        let one = |name: &String| {
            let system = System::load(host, &SystemFiles::in_folder(&root, name)?)?;
            let prepared = prepare_system(&system, &recipe)?;
            done += 1;
            event(TrainEvent::Prepared { name, done: (done, total) });
            Ok(prepared)
        };
        names.iter().map(one).collect()
    };
    let (train, validation) = (prepare(&recipe.data.train)?, prepare(&recipe.data.validation)?);
    run(&recipe, train, validation, request.stop_at, request.out, |status| {
        event(TrainEvent::Step(status))
    })
}

/// Trains on systems that are already in memory.
pub fn run(
    recipe: &Recipe,
    train: Vec<TrainingSystem>,
    validation: Vec<TrainingSystem>,
    stop_at: Option<u64>,
    out: &Path,
    mut report: impl FnMut(&Status) -> bool,
) -> Result<Option<ModelCard>> {
    let data_sha256 = hash_data(&train);
    let mut domain = domain_of(recipe, &train);
    let systems = train.iter().map(|s| (s.name.clone(), s.nanoseconds)).collect();
    let validation_names = validation.iter().map(|s| s.name.clone()).collect();
    let (frames, crop, path) = (recipe.network.frames, recipe.run.crop, recipe.network.path);
    let (hide, mosaics) = (recipe.run.hide_residue_types, recipe.run.mosaics);
    let cut = recipe.run.mosaic_cut;
    for (key, value) in [("hide_residue_types", hide), ("mosaics", mosaics), ("mosaic_cut", cut)] {
        if !(0.0..=1.0).contains(&value) {
            bail!("run.{key} = {value} is no probability");
        }
    }
    let set = TrainingSet::new(train, frames, crop, path)?
        .hiding_residue_types(hide)
        .with_mosaics(mosaics, cut);
    let held_out = match validation.is_empty() {
        true => None,
        false => Some(TrainingSet::new(validation, frames, crop, path)?),
    };
    let mut state = out.as_os_str().to_owned();
    state.push(".state");
    let trainer = Trainer {
        recipe,
        train: &set,
        validation: held_out.as_ref(),
        run_sha256: run_hash(recipe, &data_sha256)?,
        state: state.into(),
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
    let card = ModelCard {
        format: FORMAT,
        residue_table: RESIDUE_TABLE.into(),
        network: recipe.network.clone(),
        domain,
        training: Some(TrainingRecord {
            systems,
            validation: validation_names,
            steps: trained.steps,
            batch: recipe.run.batch,
            rng_seed: recipe.run.rng_seed,
            losses: trained.losses,
            data_sha256,
        }),
        notes: stopped
            .into_iter()
            .chain([format!(
                "Pairs at {} level, lags: TICA {} ps, MSM {} ps, pairs {} ps.",
                match recipe.pairs.level {
                    PairLevel::Macro => "macrostate",
                    PairLevel::Micro => "microstate",
                    PairLevel::Lagged => "trajectory",
                },
                recipe.pairs.tica_lag_ps,
                recipe.pairs.msm_lag_ps,
                recipe.pairs.pair_lag_ps
            )])
            .collect(),
    };
    let bytes = checkpoint::encode(&card, &trained.values, Storage::F16)?;
    marsfm_trajectory::write_atomically(out, &bytes)
        .with_context(|| format!("{}: cannot write the checkpoint", out.display()))?;
    Ok(Some(card))
}

/// Frames encoded, Markov model built, pairs ready.
pub fn prepare_system(system: &System, recipe: &Recipe) -> Result<TrainingSystem> {
    let p = &recipe.pairs;
    let settings = MsmSettings {
        tica_lag_ps: p.tica_lag_ps,
        msm_lag_ps: p.msm_lag_ps,
        pair_lag_ps: p.pair_lag_ps,
        microstates: p.microstates,
        macrostates: p.macrostates,
        ..MsmSettings::default()
    };
    let msm = markov::build(system, &settings)?.msm;
    Ok(TrainingSystem {
        name: system.name.clone(),
        types: system.peptide.types().to_vec(),
        frames: system.encoded()?,
        pairs: pair_source(&msm, p.level, recipe.run.rng_seed)?,
        nanoseconds: system.nanoseconds(),
    })
}

fn pair_source(msm: &Msm, level: PairLevel, rng_seed: u64) -> Result<Box<dyn PairSource>> {
    Ok(match level {
        PairLevel::Macro => Box::new(Counted(msm.pair_sampler(rng_seed)?)),
        PairLevel::Micro => Box::new(Counted(msm.micro_pair_sampler(rng_seed)?)),
        PairLevel::Lagged => Box::new(LaggedFromStates::new(msm)?),
    })
}

/// The Markov model's sampler, addressed by a random counter.
struct Counted(PairSampler);

impl PairSource for Counted {
    fn draw(&self, rng: &mut dyn Rng) -> Pair {
        self.0.draw(rng.random())
    }
}

/// Starts uniform over macrostates, the target the frame one pair lag later.
struct LaggedFromStates {
    by_state: Vec<Vec<(usize, usize)>>,
    lag: usize,
}

impl LaggedFromStates {
    fn new(msm: &Msm) -> Result<Self> {
        let lag = msm.settings.pair_lag;
        let mut by_state = vec![Vec::new(); msm.n_macrostates()];
        for (t, states) in msm.macro_trajectories.iter().enumerate() {
            for (f, state) in states.iter().enumerate().take(states.len().saturating_sub(lag)) {
                if let Ok(state) = usize::try_from(*state) {
                    by_state[state].push((t, f));
                }
            }
        }
        by_state.retain(|s| !s.is_empty());
        if by_state.is_empty() {
            bail!("no trajectory is longer than the pair lag of {lag} frames");
        }
        Ok(Self { by_state, lag })
    }
}

impl PairSource for LaggedFromStates {
    fn draw(&self, rng: &mut dyn Rng) -> Pair {
        let state = &self.by_state[rng.random_range(0..self.by_state.len())];
        let (t, f) = state[rng.random_range(0..state.len())];
        ((t, f), (t, f + self.lag))
    }
}

fn domain_of(recipe: &Recipe, systems: &[TrainingSystem]) -> Domain {
    let mut residue_counts = BTreeMap::new();
    for t in systems.iter().flat_map(|s| &s.types) {
        *residue_counts.entry(t.letter()).or_insert(0) += 1;
    }
    let lengths = || systems.iter().map(|s| s.types.len());
    Domain {
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

fn hash_data(systems: &[TrainingSystem]) -> String {
    let mut hash = Sha256::new();
    for s in systems {
        hash.update(s.name.as_bytes());
        hash.update(s.types.iter().map(|t| t.index() as u8).collect::<Vec<_>>());
        for c in s.frames.iter().flatten() {
            let rigid = c.rigids.iter().flat_map(|r| r.rot.as_flattened().iter().chain(&r.trans));
            let all = rigid.chain(c.torsions.as_flattened().as_flattened());
            hash.update(all.flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        }
    }
    hex(hash.finalize())
}

/// A state resumes only the run it belongs to: everything in the recipe counts, except where the
/// data lies and how often the run is saved.
fn run_hash(recipe: &Recipe, data_sha256: &str) -> Result<String> {
    let mut recipe = recipe.clone();
    recipe.data.root = PathBuf::new();
    recipe.run.save_every_seconds = 0;
    let text = serde_json::to_string(&recipe)? + data_sha256;
    Ok(hex(Sha256::digest(text.as_bytes())))
}
