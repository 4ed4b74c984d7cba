//! The driver: one epoch after another, every stage a function of the journal and `rng_seed`.
//!
//! A run is made in a scratch folder, renamed when it is whole, then told to the journal. What the
//! journal does not know did not happen: a folder without its record is made again.

use std::path::{Path, PathBuf};
use std::time::Instant;

use marsfm_preparation::Failure;
use marsfm_trajectory::write_atomically;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::history::{EpochRecord, LostRecord, Plan, Record, RunRecord, SeedRecord};
use crate::model::RunRows;
use crate::propose::{Context, Proposal};
use crate::settings::structure_bytes;
use crate::settled::settled;
use crate::statistics::{Question, Statistics, statistics};
use crate::watch::{Ended, Limits, Progress, Watch};
use crate::{
    Engine, History, Job, Journal, Lock, LoopError, LoopSettings, Model, Proposer, Ran, Selector,
    Structure,
};

/// A loop's folder, locked.
pub struct Driver {
    folder: PathBuf,
    settings: LoopSettings,
    journal: Journal,
    history: History,
    /// Features of each run, as far as they were read.
    rows: Vec<RunRows>,
    /// When this process began to run, and how much was done then.
    begun: (Instant, f64),
    _lock: Lock,
}

const JOURNAL: &str = "journal";

impl Driver {
    /// Begins a loop in a new or empty folder.
    pub fn create(folder: &Path, settings: &LoopSettings) -> Result<Self, LoopError> {
        std::fs::create_dir_all(folder).map_err(|e| LoopError::io(folder, &e))?;
        let lock = Lock::take(folder)?;
        let path = folder.join(JOURNAL);
        if path.exists() {
            return Err(LoopError::new(
                folder,
                "holds a loop already; run it, or take another folder",
            ));
        }
        let text = settings.to_text();
        let begun = Record::Begun { version: env!("CARGO_PKG_VERSION").into(), settings: text };
        // The first record comes with the file: a journal without settings cannot exist.
        let partial = folder.join("journal.partial");
        let _ = std::fs::remove_file(&partial);
        let mut journal = Journal::create(&partial)?;
        journal.append(&bytes(&begun), &|_| ())?;
        std::fs::rename(&partial, &path).map_err(|e| LoopError::io(&path, &e))?;
        std::fs::File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| LoopError::io(folder, &e))?;
        Self::with(folder, lock)
    }

    /// Opens a loop to go on with it.
    pub fn open(folder: &Path) -> Result<Self, LoopError> {
        if !folder.join(JOURNAL).exists() {
            return Err(LoopError::new(folder, "holds no loop; begin one with `marsfm loop init`"));
        }
        let lock = Lock::take(folder)?;
        Self::with(folder, lock)
    }

    fn with(folder: &Path, lock: Lock) -> Result<Self, LoopError> {
        let (journal, contents) = Journal::open(&folder.join(JOURNAL))?;
        let history = replay(&folder.join(JOURNAL), &contents.records)?;
        let settings = LoopSettings::parse(&history.settings)?;
        let folder = folder.into();
        let (rows, begun) = (Vec::new(), (Instant::now(), 0.0));
        Ok(Self { folder, settings, journal, history, rows, begun, _lock: lock })
    }

    /// The settings it began with.
    pub fn settings(&self) -> &LoopSettings {
        &self.settings
    }

    /// What happened so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Goes on until the end or a limit.
    pub fn run(
        &mut self,
        engine: &mut dyn Engine,
        proposer: &mut dyn Proposer,
        limits: Limits,
        watch: &mut dyn Watch,
    ) -> Result<Ended, LoopError> {
        self.begun = (Instant::now(), self.at("", 0.0).done);
        let first = self.history.epochs.len();
        let hours = self.settings.budget.wall_hours.map(|h| h * 3600.0);
        let seconds = [limits.seconds, hours].into_iter().flatten().fold(f64::INFINITY, f64::min);
        while self.history.epochs.len() < self.settings.epochs() {
            let epoch = self.history.epochs.len();
            if limits.epochs.is_some_and(|n| epoch - first >= n) {
                return Ok(Ended::Limits);
            }
            let spent = self.history.md_ps(self.settings.budget.frame_ps) / 1000.0;
            let planned = self.history.plans.len() > epoch;
            if !planned && self.settings.budget.md_ns.is_some_and(|ns| spent >= ns) {
                return Ok(Ended::Budget);
            }
            if !planned && self.settings.statistics.stop_when_settled && settled(&self.history) {
                return Ok(Ended::Settled);
            }
            if !planned {
                self.check_disk()?;
                watch.point("epoch-begins");
                if !watch.progress(self.at("choosing seeds", 0.0)) {
                    return Ok(Ended::Stopped);
                }
                self.plan(epoch, engine, proposer, watch)?;
            }
            let plan = self.history.plans[epoch].clone();
            let starts = self.starts(&plan)?;
            for seed in self.history.open_seeds(&plan).collect::<Vec<_>>() {
                if self.begun.0.elapsed().as_secs_f64() > seconds {
                    return Ok(Ended::Limits);
                }
                if !self.run_seed(&plan, seed, &starts[seed], engine, watch)? {
                    return Ok(Ended::Stopped);
                }
            }
            self.close(epoch, engine, watch)?;
        }
        Ok(Ended::Complete)
    }

    /// A plan for the epoch, into its file and the journal.
    fn plan(
        &mut self,
        epoch: usize,
        engine: &dyn Engine,
        proposer: &mut dyn Proposer,
        watch: &dyn Watch,
    ) -> Result<(), LoopError> {
        let n = self.settings.plain_runs().unwrap_or(self.settings.budget.seeds);
        let clock = Instant::now();
        let mut seconds = [0.0; 3];
        let mut weights = self.history.plans.last().map_or(Vec::new(), |p| p.weights.clone());
        let (chosen, proposed, accepted) = if self.history.runs.is_empty() {
            let class = if self.settings.plain_runs().is_some() { "plain" } else { "template" };
            let one = Proposal { structure: engine.template(), parent: None, class: class.into() };
            (vec![one; n], n, n)
        } else {
            let model = self.model(engine)?;
            seconds[0] = clock.elapsed().as_secs_f64();
            let trajectories = self.trajectories();
            let context = Context { engine, model: &model, trajectories: &trajectories };
            let mut rng = self.stream(epoch, 0);
            let ask = n * self.settings.strategy.proposals_per_seed;
            let proposals = proposer.propose(&context, ask, &mut rng)?;
            seconds[1] = clock.elapsed().as_secs_f64() - seconds[0];
            let (mut kept, mut candidates) = (Vec::new(), Vec::new());
            for proposal in &proposals {
                let Ok(row) = engine.row(&proposal.structure) else { continue };
                if row.iter().all(|v| v.is_finite()) {
                    candidates.push(model.candidate(row)?);
                    kept.push(proposal.clone());
                }
            }
            if kept.is_empty() {
                return Err(LoopError::words(format!(
                    "epoch {epoch}: none of {} proposals of {} can be started from",
                    proposals.len(),
                    proposer.class()
                )));
            }
            let selector = Selector(self.settings.strategy.selector.clone());
            let mut rng = self.stream(epoch, 1);
            let (chosen, new) = selector.choose(&model, &candidates, n, &weights, &mut rng)?;
            weights = new;
            seconds[2] = clock.elapsed().as_secs_f64() - seconds[0] - seconds[1];
            let chosen: Vec<Proposal> = chosen.into_iter().map(|i| kept[i].clone()).collect();
            (chosen, proposals.len(), kept.len())
        };
        let folder = self.epoch_folder(epoch);
        std::fs::create_dir_all(&folder).map_err(|e| LoopError::io(&folder, &e))?;
        let file = folder.join("seeds.f64");
        let content: Vec<u8> = chosen.iter().flat_map(|p| structure_bytes(&p.structure)).collect();
        write_atomically(&file, &content).map_err(|e| LoopError::io(&file, &e))?;
        watch.point("seeds-written");
        let seeds = chosen.iter().enumerate().map(|(seed, p)| SeedRecord {
            class: p.class.clone(),
            parent: p.parent,
            rng_seed: mix(self.settings.rng_seed, epoch as u64, seed as u64),
        });
        let plan = Plan {
            epoch,
            seeds: seeds.collect(),
            structures: relative(&self.folder, &file),
            sha256: sha256(&content),
            proposed,
            accepted,
            weights,
            seconds,
        };
        self.record(Record::Planned(plan), watch)?;
        watch.point("plan-recorded");
        Ok(())
    }

    /// The structures of a plan.
    fn starts(&self, plan: &Plan) -> Result<Vec<Structure>, LoopError> {
        let path = self.folder.join(&plan.structures);
        let content = std::fs::read(&path).map_err(|e| LoopError::io(&path, &e))?;
        if sha256(&content) != plan.sha256 {
            return Err(LoopError::new(&path, "is not what the journal says it was"));
        }
        let numbers: Vec<f64> = content
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes")))
            .collect();
        let atoms = numbers.len() / 3 / plan.seeds.len().max(1);
        let places: Vec<[f64; 3]> = numbers.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
        Ok(places.chunks_exact(atoms.max(1)).map(<[_]>::to_vec).collect())
    }

    /// Runs one seed; false if the onlooker stopped it.
    fn run_seed(
        &mut self,
        plan: &Plan,
        seed: usize,
        start: &Structure,
        engine: &mut dyn Engine,
        watch: &mut dyn Watch,
    ) -> Result<bool, LoopError> {
        let epoch = plan.epoch;
        let name = format!("seed_{seed:03}");
        let scratch = self.epoch_folder(epoch).join(format!(".partial-{name}"));
        let folder = self.epoch_folder(epoch).join(&name);
        for old in [&scratch, &folder] {
            if old.exists() {
                std::fs::remove_dir_all(old).map_err(|e| LoopError::io(old, &e))?;
            }
        }
        std::fs::create_dir_all(&scratch).map_err(|e| LoopError::io(&scratch, &e))?;
        watch.point("run-begins");
        let (head_frames, frames) = self.settings.run_frames();
        let frame_ps = self.settings.budget.frame_ps;
        let rng_seed = plan.seeds[seed].rng_seed;
        let job = Job { folder: &scratch, start, rng_seed, head_frames, frames, frame_ps };
        let clock = Instant::now();
        let cpu = cpu_seconds();
        let (mut half, mut stopped) = (false, false);
        let ran = {
            let mut go = |part: f64| {
                if part >= 0.5 && !std::mem::replace(&mut half, true) {
                    watch.point("run-half");
                }
                stopped = !watch.progress(self.at("MD", part));
                !stopped
            };
            engine.run(&job, &mut go)
        };
        let all = head_frames + frames;
        let ran = match ran {
            Ok(Ran::Finished(finished)) => match whole(engine, &finished.trajectory, all) {
                Ok(rows) => Ok((finished, rows)),
                Err(reason) => Err(("lost", reason)),
            },
            Ok(Ran::Rejected(reason)) => Err(("rejected", reason)),
            Ok(Ran::Lost(reason)) => Err(("lost", reason)),
            Err(e) if stopped && e.failure == Failure::Cancelled => return Ok(false),
            Err(e) if e.failure.costs_only_the_seed() => Err(("lost", e.message)),
            Err(e) => {
                let text = format!(
                    "epoch {epoch}, seed {seed}: {e}. Nothing is lost: mend it and run the loop \
                     again"
                );
                return Err(LoopError::words(text).stopped());
            }
        };
        watch.point("run-finished");
        let seconds = clock.elapsed().as_secs_f64();
        let record = match ran {
            Err((how, reason)) => {
                let _ = std::fs::remove_dir_all(&scratch);
                let lost_ps = if how == "lost" { all as f64 * frame_ps } else { 0.0 };
                Record::Lost(LostRecord {
                    epoch,
                    seed,
                    how: how.into(),
                    reason,
                    md_ps: lost_ps,
                    seconds,
                })
            }
            Ok((finished, rows)) => {
                let content: Vec<u8> =
                    rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
                let file = scratch.join("features.f64");
                write_atomically(&file, &content).map_err(|e| LoopError::io(&file, &e))?;
                std::fs::rename(&scratch, &folder).map_err(|e| LoopError::io(&folder, &e))?;
                let parent = self.epoch_folder(epoch);
                std::fs::File::open(&parent)
                    .and_then(|f| f.sync_all())
                    .map_err(|e| LoopError::io(&parent, &e))?;
                watch.point("run-renamed");
                Record::Ran(RunRecord {
                    epoch: Some(epoch),
                    seed,
                    folder: relative(&self.folder, &folder),
                    trajectory: relative(&scratch, &finished.trajectory),
                    rows_sha256: sha256(&content),
                    head_frames,
                    frames: all,
                    verdict: finished.verdict,
                    prepare_ps: finished.prepare_ps,
                    seconds: [seconds, cpu_seconds() - cpu],
                })
            }
        };
        self.record(record, watch)?;
        watch.point("run-recorded");
        Ok(true)
    }

    /// Model and numbers at the end of an epoch.
    fn close(
        &mut self,
        epoch: usize,
        engine: &dyn Engine,
        watch: &mut dyn Watch,
    ) -> Result<(), LoopError> {
        let ran = self.history.runs.iter().filter(|r| r.epoch == Some(epoch)).count();
        if ran == 0 {
            let lost = self.history.lost.iter().rev().find(|l| l.epoch == epoch);
            let reason = lost.map_or("", |l| &l.reason);
            return Err(LoopError::words(format!(
                "epoch {epoch}: every seed was lost; the last one because: {reason}. Look at the \
                 template and the engine (`marsfm engine doctor`) before anything else"
            )));
        }
        watch.progress(self.at("estimating", 0.0));
        let clock = Instant::now();
        let numbers = self.model(engine).and_then(|model| {
            let s = self.statistics(&model, engine.temperature_kelvin(), &|_| true);
            s.map(|s| (s, model.visited().count()))
        });
        let (statistics, microstates) = match numbers {
            Ok((s, n)) => (Ok(s), n),
            Err(e) => (Err(e.to_string()), 0),
        };
        let md_ps = self.history.md_ps(self.settings.budget.frame_ps);
        let seconds = clock.elapsed().as_secs_f64();
        let record = EpochRecord { epoch, md_ps, microstates, statistics, seconds };
        self.record(Record::Epoch(record), watch)?;
        watch.point("epoch-recorded");
        Ok(())
    }

    /// The model of all runs so far.
    pub fn model(&mut self, engine: &dyn Engine) -> Result<Model, LoopError> {
        for run in &self.history.runs[self.rows.len()..] {
            let path = self.folder.join(&run.folder).join("features.f64");
            let content = std::fs::read(&path).map_err(|e| LoopError::io(&path, &e))?;
            if sha256(&content) != run.rows_sha256 {
                return Err(LoopError::new(&path, "is not what the journal says it was"));
            }
            let width = content.len() / 8 / run.frames.max(1) as usize;
            let numbers: Vec<f64> = content
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes")))
                .collect();
            let rows = numbers.chunks_exact(width.max(1)).map(<[_]>::to_vec).collect();
            self.rows.push(RunRows { rows, head_frames: run.head_frames as usize });
        }
        Model::build(&self.rows, &self.settings, engine.known_states())
    }

    /// Numbers of the runs that `take` (by number) wants.
    pub fn statistics(
        &self,
        model: &Model,
        kelvin: f64,
        take: &dyn Fn(usize) -> bool,
    ) -> Result<Statistics, LoopError> {
        let runs: Vec<&[i32]> = model
            .micro_trajectories()
            .iter()
            .enumerate()
            .filter(|(i, _)| take(*i))
            .map(|(_, t)| &t[..])
            .collect();
        let question = Question {
            n_micro: model.n_micro(),
            macro_of_micro: model.macro_of_micro(),
            lag: self.settings.lag_frames(),
            frame_ps: self.settings.budget.frame_ps,
            kelvin,
            draws: self.settings.statistics.draws,
            rng_seed: self.settings.rng_seed,
        };
        Ok(statistics(&runs, &question)?)
    }

    fn record(&mut self, record: Record, watch: &dyn Watch) -> Result<(), LoopError> {
        let content = bytes(&record);
        // The state must accept it before the disk does.
        let mut history = self.history.clone();
        history.add(record)?;
        self.journal.append(&content, &|name| watch.point(name))?;
        self.history = history;
        Ok(())
    }

    fn at<'a>(&self, stage: &'a str, part: f64) -> Progress<'a> {
        let per_epoch = self.history.plans.last().map_or(1, |p| p.seeds.len()).max(1);
        let settled = self.history.runs.len() + self.history.lost.len();
        let total = (self.settings.epochs() * per_epoch) as f64;
        let done = ((settled as f64 + part) / total).min(1.0);
        let (seconds, new) = (self.begun.0.elapsed().as_secs_f64(), done - self.begun.1);
        let seconds_left = (new > 0.01).then(|| seconds / new * (1.0 - done));
        let epoch = (self.history.epochs.len(), self.settings.epochs());
        Progress { stage, epoch, done, seconds_left }
    }

    fn check_disk(&self) -> Result<(), LoopError> {
        let last = self.history.runs.last().map(|r| self.folder.join(&r.folder));
        let one: u64 = last.and_then(|f| folder_bytes(&f).ok()).unwrap_or(0);
        let need = self.settings.budget.free_mib * (1 << 20)
            + one * self.settings.budget.seeds as u64 * 3 / 2;
        let stat = rustix::fs::statvfs(&self.folder)
            .map_err(|e| LoopError::io(&self.folder, &e.into()))?;
        let free = stat.f_bavail * stat.f_frsize;
        if free < need {
            let text = format!(
                "the disk has {} MiB left and an epoch needs {} MiB (budget.free_mib is {}). \
                 Nothing is lost: make room and run the loop again",
                free >> 20,
                need >> 20,
                self.settings.budget.free_mib
            );
            return Err(LoopError::new(&self.folder, &text).stopped());
        }
        Ok(())
    }

    fn epoch_folder(&self, epoch: usize) -> PathBuf {
        self.folder.join(format!("epoch_{epoch:03}"))
    }

    fn trajectories(&self) -> Vec<PathBuf> {
        let of = |r: &RunRecord| self.folder.join(&r.folder).join(&r.trajectory);
        self.history.runs.iter().map(of).collect()
    }

    fn stream(&self, epoch: usize, stage: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(mix(self.settings.rng_seed, epoch as u64, u64::MAX - stage))
    }
}

/// The records of a journal, added up.
pub fn replay(path: &Path, records: &[Vec<u8>]) -> Result<History, LoopError> {
    let mut history = History::default();
    for (i, content) in records.iter().enumerate() {
        let record: Record = serde_json::from_slice(content)
            .map_err(|e| LoopError::new(path, &format!("record {i}: {e}")))?;
        history.add(record)?;
    }
    if history.settings.is_empty() {
        return Err(LoopError::new(path, "holds no settings"));
    }
    Ok(history)
}

/// Features of a trajectory, if it is whole and finite.
fn whole(engine: &dyn Engine, path: &Path, frames: u64) -> Result<Vec<Vec<f64>>, String> {
    let rows = engine.rows(path)?;
    if rows.len() as u64 != frames {
        return Err(format!("its trajectory has {} of {frames} frames", rows.len()));
    }
    match rows.iter().position(|r| !r.iter().all(|v| v.is_finite())) {
        Some(frame) => Err(format!("frame {frame} holds numbers that are not finite")),
        None => Ok(rows),
    }
}

fn bytes(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are plain data")
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect()
}

fn relative(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
}

fn folder_bytes(folder: &Path) -> std::io::Result<u64> {
    std::fs::read_dir(folder)?.map(|e| Ok(e?.metadata()?.len())).sum()
}

/// One seed from three numbers (SplitMix64's mixing).
pub(crate) fn mix(rng_seed: u64, a: u64, b: u64) -> u64 {
    [a, b].iter().fold(rng_seed, |state, word| {
        let mut z = state
            .wrapping_add(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(word.wrapping_mul(0xd134_2543_de82_ef95));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// CPU time of this process, s.
fn cpu_seconds() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}
