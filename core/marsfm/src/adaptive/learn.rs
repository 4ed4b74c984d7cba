//! A surrogate that learns the loop's own system between epochs: lessons.
//!
//! A lesson trains on all MD of the loop behind its heads, in pairs that are those of equilibrium
//! wherever runs were started, with old data repeated beside it. One run in five is never learned
//! from, and what was learned stays only if it is better on those. A lesson is a function of the
//! journal and `rng_seed`, so a loop that was killed in one ends up with the same surrogate.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use marsfm_adaptive::{
    Context, Engine, LoopError, LoopSettings, Model, Proposal, Proposer, Store, Visited,
};
use marsfm_geometry::{Conformation, Peptide};
use marsfm_host::Host;
use marsfm_msm::MsmError;
use marsfm_surrogate::card::Domain;
use marsfm_surrogate::{NetworkConfig, OptimiserConfig, Surrogate, checkpoint};
use marsfm_training::config::{DataRecipe, DomainRecipe, PairRecipe, RunRecipe};
use marsfm_training::{
    PairLevel, Recipe, Sets, System as TrainingSystem, TrainingSet, validation_loss,
};
use marsfm_trajectory::write_atomically;
use rand_chacha::ChaCha8Rng;

use super::chain::Jumps;
use super::lesson::{LESSONS, LearnSettings, Lesson, Start, lessons};
use super::md::frame_of;
use crate::pairs::LongJumps;
use crate::systems::{System, SystemFiles};
use crate::{small, train};

/// Of so many runs one is kept for judging.
const HELD_OUT: usize = 5;
/// Jumps of a surrogate that learns.
pub struct Learner {
    jumps: Jumps,
    learn: LearnSettings,
    /// Checkpoint that the first lesson starts from.
    base: Option<PathBuf>,
    network: NetworkConfig,
    domain: Domain,
    replay: Option<(TrainingSet, f64)>,
    folder: PathBuf,
    settings: LoopSettings,
    /// Epoch of the lesson whose surrogate jumps.
    taught: Option<usize>,
}

impl Learner {
    /// Checks the settings; `jumps` hold the surrogate to start from, a checkpoint at `base`. It
    /// also jumps until the first lesson.
    pub fn new(
        host: &Host,
        jumps: Jumps,
        base: PathBuf,
        learn: LearnSettings,
        settings: &LoopSettings,
        folder: &Path,
    ) -> Result<Self> {
        ensure!(learn.every > 0, "strategy.options.learn.every is 0; give at least 1");
        ensure!(
            learn.steps > 0 && learn.batch > 0,
            "strategy.options.learn: steps and batch are at least 1"
        );
        let mut domain = jumps.surrogate.card().domain.clone();
        let (network, base) = match learn.from {
            Start::Model => (jumps.surrogate.card().network.clone(), Some(base)),
            Start::Scratch => {
                domain.force_field = "that of the loop's engine".into();
                domain.solvent = domain.force_field.clone();
                (small::network(), None)
            }
        };
        if let Some(lag) = learn.pair_lag_ps {
            domain.lag_ps = lag;
        }
        let mut learner = Self {
            jumps,
            base,
            network,
            domain,
            replay: None,
            folder: folder.to_owned(),
            settings: settings.clone(),
            taught: None,
            learn,
        };
        learner.times(settings)?;
        if let Some(replay) = learner.learn.replay.clone() {
            ensure!(
                (0.0..1.0).contains(&replay.share),
                "strategy.options.learn.replay.share must be at least 0 and below 1"
            );
            let mut recipe = learner.recipe(0, None);
            recipe.pairs.tica_lag_ps = replay.lag_ps;
            recipe.pairs.msm_lag_ps = replay.lag_ps;
            recipe.pairs.level = PairLevel::Symmetric;
            let old = |name: &String| {
                let system = System::load(host, &SystemFiles::in_folder(&replay.data, name)?)?;
                train::prepare_system(&system, recipe.domain.temperature_kelvin, &recipe)
            };
            let systems: Vec<_> = replay.systems.iter().map(old).collect::<Result<_>>()?;
            learner.replay = Some((train::training_set(&recipe, systems)?, replay.share));
        }
        Ok(learner)
    }

    /// Lags of a loop's model in a jump.
    fn times(&self, settings: &LoopSettings) -> Result<usize> {
        let (jump, lag) = (self.domain.lag_ps, settings.model.msm_lag_ps);
        let times = (jump / lag).round();
        ensure!(
            times >= 1.0 && (times * lag - jump).abs() < 1e-6 * jump,
            "a jump of {jump} ps is no multiple of model.msm_lag_ps, {lag} ps; set \
             strategy.options.learn.pair_lag_ps or the lag"
        );
        Ok(times as usize)
    }

    fn recipe(&self, epoch: usize, start: Option<PathBuf>) -> Recipe {
        let (d, learn, model) = (&self.domain, &self.learn, &self.settings.model);
        let rate = learn.learning_rate;
        let optimiser = match learn.from {
            Start::Scratch => small::optimiser(),
            Start::Model => OptimiserConfig {
                learning_rate: 2e-4,
                warmup_steps: 20,
                final_fraction: 0.1,
                ema_decay: 0.98,
                ..OptimiserConfig::default()
            },
        };
        let crop = small::crop(self.jumps.peptide.len());
        Recipe {
            domain: DomainRecipe {
                temperature_kelvin: d.temperature_kelvin,
                force_field: d.force_field.clone(),
                solvent: d.solvent.clone(),
                termini: d.termini.clone(),
            },
            pairs: PairRecipe {
                tica_lag_ps: model.tica_lag_ps,
                msm_lag_ps: model.msm_lag_ps,
                pair_lag_ps: d.lag_ps,
                microstates: model.microstates,
                macrostates: model.macrostates,
                level: PairLevel::Reweighted,
                features: "torsions".into(),
            },
            data: DataRecipe::default(),
            network: self.network.clone(),
            optimiser: OptimiserConfig {
                learning_rate: rate.unwrap_or(optimiser.learning_rate),
                ..optimiser
            },
            run: RunRecipe {
                start_from: start,
                steps: learn.steps,
                batch: learn.batch.min(small::batch(crop)),
                accumulate: 1,
                rng_seed: self.settings.rng_seed.wrapping_add(epoch as u64),
                validate_every: learn.steps,
                validation_samples: 512,
                save_every_seconds: 20,
                hide_residue_types: 0.0,
                mosaics: 0.0,
                mosaic_cut: 1.0,
                crop,
            },
        }
    }

    fn file(&self, epoch: usize, extension: &str) -> PathBuf {
        self.folder.join(LESSONS).join(format!("epoch_{epoch:03}.{extension}"))
    }

    /// The lesson that is due, if one is; then the surrogate that the last good one gave.
    fn learn(&mut self, context: &Context<'_>) -> Result<()> {
        let epoch = context.history.epochs.len();
        let mut all = lessons(&self.folder)?;
        let due = all.last().is_none_or(|l| epoch >= l.epoch + self.learn.every);
        if due && context.history.runs.len() >= 2 {
            let start = all.iter().rev().find(|l| l.kept).map(|l| l.epoch);
            let start = start.map(|e| self.file(e, "safetensors")).or_else(|| self.base.clone());
            all.extend(self.lesson(epoch, start, context)?);
        }
        let best = all.iter().rev().find(|l| l.kept).map(|l| l.epoch);
        if best != self.taught
            && let Some(lesson) = best
        {
            let taught = Surrogate::load(&self.file(lesson, "safetensors"))?;
            self.jumps.surrogate = taught.matched_to(context.engine.temperature_kelvin())?;
            self.taught = best;
        }
        Ok(())
    }

    /// `None` where the MD so far holds no jumps to learn or to judge by: runs that never left one
    /// microstate, or judges that share none with the rest. Later epochs bring more.
    fn lesson(
        &self,
        epoch: usize,
        start: Option<PathBuf>,
        context: &Context<'_>,
    ) -> Result<Option<Lesson>> {
        let clock = Instant::now();
        let recipe = self.recipe(epoch, start);
        let (own, judged, runs) = match self.own(&recipe, context) {
            Err(e) if e.is::<MsmError>() => return Ok(None),
            other => other?,
        };
        let mut systems = vec![own];
        if let Some(hot) = &self.learn.hot {
            let system = self.hot(hot, &recipe, context.engine);
            systems.push(system.with_context(|| hot.display().to_string())?);
        }
        let set = train::training_set(&recipe, systems)?;
        let held_out = train::held_out(&recipe, vec![judged])?.context("a system to judge on")?;
        let before = match &recipe.run.start_from {
            None => None,
            Some(path) => {
                let values = checkpoint::load(path)?.values;
                Some(validation_loss(&recipe, &values, &held_out)?)
            }
        };
        let out = self.file(epoch, "safetensors");
        std::fs::create_dir_all(self.folder.join(LESSONS))?;
        let sets = Sets {
            train: &set,
            validation: Some(&held_out),
            replay: self.replay.as_ref().map(|(set, share)| (set, *share)),
        };
        let stopped = Cell::new(false);
        let card = train::run(&recipe, sets, None, None, &out, |s| {
            let go = (context.go)(&format!("the surrogate learns, step {} of {}", s.step, s.steps));
            stopped.set(!go);
            go
        })?;
        let losses = card.and_then(|c| c.training).map(|t| t.losses).unwrap_or_default();
        let (false, Some((_, _, Some(after)))) = (stopped.get(), losses.last().copied()) else {
            bail!(LoopError::words(
                "stopped while the surrogate was learning; run it again to go on"
            ));
        };
        let lesson = Lesson {
            epoch,
            runs,
            steps: recipe.run.steps,
            before,
            after,
            kept: before.is_none_or(|b| after < b),
            seconds: clock.elapsed().as_secs_f64(),
        };
        let path = self.file(epoch, "json");
        write_atomically(&path, &serde_json::to_vec_pretty(&lesson)?)?;
        // The optimiser's state is of no use once the lesson is over.
        let _ = std::fs::remove_file(self.file(epoch, "safetensors.state"));
        Ok(Some(lesson))
    }

    /// The loop's own MD: runs to learn from, runs kept for judging, and how many of each.
    fn own(
        &self,
        recipe: &Recipe,
        context: &Context<'_>,
    ) -> Result<(TrainingSystem, TrainingSystem, [usize; 2])> {
        let heads: Vec<u64> = context.history.runs.iter().map(|r| r.head_frames).collect();
        let trajectories = context.trajectories;
        let source = Source::of(
            encoded(context.engine, &self.jumps.peptide, trajectories, &heads)?,
            context.engine.temperature_kelvin(),
            context.model,
            self.settings.lag_frames(),
            self.times(&self.settings)?,
        )?;
        let (name, judges) = (self.jumps.peptide.sequence(), |i: usize| i % HELD_OUT == 1);
        let own = self.system(&name, &source, recipe, &|i| !judges(i))?;
        let judged = format!("{name}, runs kept for judging");
        let judged = self.system(&judged, &source, recipe, &judges)?;
        let runs = [own.frames.lengths().len(), judged.frames.lengths().len()];
        Ok((own, judged, runs))
    }

    /// The MD of another loop of the same system.
    fn hot(&self, folder: &Path, recipe: &Recipe, engine: &dyn Engine) -> Result<TrainingSystem> {
        let mut store = Store::read(folder)?;
        ensure!(
            store.about().features == engine.feature_names(),
            "its features are not those of this loop: it must be of the same system"
        );
        let model = store.model(None)?;
        let heads: Vec<u64> = store.history().runs.iter().map(|r| r.head_frames).collect();
        let source = Source::of(
            encoded(engine, &self.jumps.peptide, &store.trajectories(), &heads)?,
            store.about().temperature_kelvin,
            &model,
            store.settings().lag_frames(),
            self.times(store.settings())?,
        )?;
        let name = format!("{}, another loop's", self.jumps.peptide.sequence());
        self.system(&name, &source, recipe, &|_| true)
    }

    /// The runs of a source that `take` wants, by number.
    fn system(
        &self,
        name: &str,
        source: &Source,
        recipe: &Recipe,
        take: &dyn Fn(usize) -> bool,
    ) -> Result<TrainingSystem> {
        let runs: Vec<usize> = (0..source.frames.len()).filter(|i| take(*i)).collect();
        let micro: Vec<&Vec<i32>> = runs.iter().map(|i| &source.micro[*i]).collect();
        let frames: Vec<_> = runs.iter().map(|i| source.frames[*i].clone()).collect();
        let all: usize = frames.iter().map(Vec::len).sum();
        Ok(TrainingSystem {
            name: name.into(),
            types: self.jumps.peptide.types().to_vec(),
            frames: frames.into(),
            pairs: source.jumps.pairs(&micro, recipe.run.rng_seed)?,
            nanoseconds: all as f64 * self.settings.budget.frame_ps / 1000.0,
            temperature_kelvin: source.kelvin,
        })
    }
}

/// MD behind heads, and the jumps in it.
struct Source {
    frames: Vec<Vec<Conformation<f32>>>,
    micro: Vec<Vec<i32>>,
    jumps: LongJumps,
    /// Temperature, K.
    kelvin: f64,
}

impl Source {
    fn of(
        frames: Vec<Vec<Conformation<f32>>>,
        kelvin: f64,
        model: &Model,
        lag: usize,
        times: usize,
    ) -> Result<Self> {
        let micro = model.micro_trajectories();
        let jumps = LongJumps::of(&micro, model.n_micro(), lag, times)?;
        Ok(Self { frames, micro: micro.into_iter().map(<[_]>::to_vec).collect(), jumps, kelvin })
    }
}

fn encoded(
    engine: &dyn Engine,
    peptide: &Peptide,
    trajectories: &[PathBuf],
    heads: &[u64],
) -> Result<Vec<Vec<Conformation<f32>>>> {
    let one = |(path, head): (&PathBuf, &u64)| {
        let frames = engine.frames(path).map_err(LoopError::words)?;
        let behind = frames.iter().skip(*head as usize);
        behind.map(|f| Ok(peptide.encode(&frame_of(f).positions_nm)?)).collect()
    };
    trajectories.iter().zip(heads).map(one).collect()
}

impl Proposer for Learner {
    fn class(&self) -> &str {
        self.jumps.class()
    }

    fn propose(
        &mut self,
        context: &Context<'_>,
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Proposal>, LoopError> {
        self.learn(context).map_err(|e| match e.downcast::<LoopError>() {
            Ok(stopped) => stopped.stopped(),
            Err(e) => LoopError::words(format!("a lesson failed: {e:#}")),
        })?;
        let drawn = self.jumps.propose(context, n, rng)?;
        // A surrogate that has learned too little to draw a whole chain yields to frames of MD.
        if drawn.is_empty() { Visited.propose(context, n, rng) } else { Ok(drawn) }
    }
}
