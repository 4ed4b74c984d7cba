//! The driver: one epoch after another, every stage a function of the journal and `rng_seed`.
//!
//! A run is made in a scratch folder, renamed when it is whole, then told to the journal. What the
//! journal does not know did not happen: a folder without its record is made again.

mod import;
mod plan;
mod seed;

pub use import::Import;

use std::path::{Path, PathBuf};
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::clock::Stopwatch;
use crate::drift::drift;
use crate::history::{About, EpochRecord, Record};
use crate::settled::settled;
use crate::store::{JOURNAL, Store};
use crate::watch::{Ended, Limits, Progress, Watch};
use crate::{Engine, History, Journal, Lock, LoopError, LoopSettings, Model, Proposer};

/// Wall time since the end of the last epoch or the begin of this process, and the part of it that
/// stages account for; wall and CPU time of calibrating the engine, s.
struct Spent {
    since: Instant,
    staged: f64,
    calibrated: [f64; 2],
}

impl Spent {
    fn nothing() -> Self {
        Self { since: Instant::now(), staged: 0.0, calibrated: [0.0; 2] }
    }
}

/// A loop's folder, locked.
pub struct Driver {
    store: Store,
    journal: Journal,
    /// When this process began to run, how much was done then, and runs since.
    begun: (Instant, f64, usize),
    /// What this process has spent on the epoch at hand.
    spent: Spent,
    _lock: Lock,
}

impl Driver {
    /// Begins a loop in a new or empty folder.
    pub fn create(
        folder: &Path,
        settings: &LoopSettings,
        engine: &dyn Engine,
    ) -> Result<Self, LoopError> {
        std::fs::create_dir_all(folder).map_err(|e| LoopError::io(folder, &e))?;
        let lock = Lock::take(folder)?;
        let path = folder.join(JOURNAL);
        if path.exists() {
            return Err(LoopError::new(
                folder,
                "holds a loop already; run it, or take another folder",
            ));
        }
        let about = About {
            temperature_kelvin: engine.temperature_kelvin(),
            features: engine.feature_names(),
            notes: engine.notes(),
        };
        let version = env!("CARGO_PKG_VERSION").into();
        let begun = Record::Begun { version, settings: settings.to_text(), about };
        // The first record comes with the file: a journal without settings cannot exist.
        let partial = folder.join("journal.partial");
        let _ = std::fs::remove_file(&partial);
        let mut journal = Journal::create(&partial)?;
        journal.append(&begun.bytes(), &|_| ())?;
        std::fs::rename(&partial, &path).map_err(|e| LoopError::io(&path, &e))?;
        sync(folder)?;
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
        let store = Store::of(folder, &contents.records)?;
        let (begun, spent) = ((Instant::now(), 0.0, 0), Spent::nothing());
        Ok(Self { store, journal, begun, spent, _lock: lock })
    }

    /// What lies on the disk.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The settings it began with.
    pub fn settings(&self) -> &LoopSettings {
        self.store.settings()
    }

    /// What happened so far.
    pub fn history(&self) -> &History {
        self.store.history()
    }

    /// The model of all runs so far.
    pub fn model(&mut self, engine: &dyn Engine) -> Result<Model, LoopError> {
        self.store.model(engine.known_states())
    }

    /// Goes on until the end or a limit.
    pub fn run(
        &mut self,
        engine: &mut dyn Engine,
        proposer: &mut dyn Proposer,
        limits: Limits,
        watch: &mut dyn Watch,
    ) -> Result<Ended, LoopError> {
        self.begun = (Instant::now(), self.at("", 0.0).done, 0);
        self.spent = Spent::nothing();
        let first = self.history().epochs.len();
        let hours = self.settings().budget.wall_hours.map(|h| h * 3600.0);
        let seconds = [limits.seconds, hours].into_iter().flatten().fold(f64::INFINITY, f64::min);
        let mut calibrated = false;
        while self.history().epochs.len() < self.settings().epochs() {
            let epoch = self.history().epochs.len();
            if limits.epochs.is_some_and(|n| epoch - first >= n) {
                return Ok(Ended::Limits);
            }
            let budget = &self.settings().budget;
            let spent = self.history().md_ps(budget.frame_ps) / 1000.0;
            let planned = self.history().plans.len() > epoch;
            if !planned && budget.md_ns.is_some_and(|ns| spent >= ns) {
                return Ok(Ended::Budget);
            }
            let rule = self.settings().statistics.stop_when_settled;
            if !planned && rule && settled(self.history()) {
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
            if !std::mem::replace(&mut calibrated, true) {
                let clock = Stopwatch::start();
                self.calibrate(engine, watch)?;
                self.spent.calibrated = clock.read();
                self.spent.staged += self.spent.calibrated[0];
            }
            let plan = self.history().plans[epoch].clone();
            let starts = self.store.starts(&plan)?;
            let open: Vec<usize> = self.history().open_seeds(&plan).collect();
            let announced = engine.announce(epoch, &open);
            announced.map_err(|e| LoopError::words(e.to_string()).stopped())?;
            for some in open.chunks(self.settings().engine.together) {
                let expected = self.mean_run_seconds() * some.len() as f64;
                if self.begun.0.elapsed().as_secs_f64() + expected > seconds {
                    return Ok(Ended::Limits);
                }
                if !self.run_seeds(&plan, some, &starts, engine, watch)? {
                    return Ok(Ended::Stopped);
                }
                self.begun.2 += some.len();
            }
            self.close(epoch, engine, watch)?;
            calibrated = epoch > 0;
        }
        Ok(Ended::Complete)
    }

    /// Wall time of a run at the pace of this process; 0 before its first.
    fn mean_run_seconds(&self) -> f64 {
        match self.begun.2 {
            0 => 0.0,
            n => self.begun.0.elapsed().as_secs_f64() / n as f64,
        }
    }

    /// Model and numbers at the end of an epoch.
    fn close(
        &mut self,
        epoch: usize,
        engine: &dyn Engine,
        watch: &mut dyn Watch,
    ) -> Result<(), LoopError> {
        let ran = self.history().runs.iter().filter(|r| r.epoch == Some(epoch)).count();
        if ran == 0 {
            let lost = self.history().lost.iter().rev().find(|l| l.epoch == epoch);
            let reason = lost.map_or("", |l| &l.reason);
            return Err(LoopError::words(format!(
                "epoch {epoch}: every seed was lost; the last one because: {reason}. Look at the \
                 template and the engine (`marsfm engine doctor`) before anything else"
            )));
        }
        watch.progress(self.at("estimating", 0.0));
        let clock = Stopwatch::start();
        let numbers = self.model(engine).and_then(|model| {
            let statistics = self.store.statistics(&model, &|_| true)?;
            Ok((statistics, model.visited().count(), drift(&self.store, &model)?))
        });
        let (statistics, microstates, drift) = match numbers {
            Ok((s, n, d)) => (Ok(s), n, d),
            Err(e) => (Err(e.to_string()), 0, Vec::new()),
        };
        let md_ps = self.history().md_ps(self.settings().budget.frame_ps);
        let [wall, cpu] = clock.read();
        let spent = std::mem::replace(&mut self.spent, Spent::nothing());
        let [calibrated, of_cpu] = spent.calibrated;
        let rest = spent.since.elapsed().as_secs_f64() - spent.staged - wall;
        let seconds = [wall, cpu + of_cpu, calibrated, rest.max(0.0)];
        let record = EpochRecord { epoch, md_ps, microstates, statistics, drift, seconds };
        self.record(Record::Epoch(record), watch)?;
        watch.point("epoch-recorded");
        Ok(())
    }

    fn record(&mut self, record: Record, watch: &dyn Watch) -> Result<(), LoopError> {
        let content = record.bytes();
        // The state must accept it before the disk does.
        let mut history = self.history().clone();
        history.add(record)?;
        self.journal.append(&content, &|name| watch.point(name))?;
        self.store.history = history;
        Ok(())
    }

    fn at<'a>(&self, stage: &'a str, part: f64) -> Progress<'a> {
        let h = self.history();
        let per_epoch = h.plans.last().map_or(1, |p| p.seeds.len()).max(1);
        let ran = h.runs.iter().filter(|r| r.epoch.is_some()).count() + h.lost.len();
        let total = (self.settings().epochs() * per_epoch) as f64;
        let done = ((ran as f64 + part) / total).min(1.0);
        let (seconds, new) = (self.begun.0.elapsed().as_secs_f64(), done - self.begun.1);
        let seconds_left = (new > 0.01).then(|| seconds / new * (1.0 - done));
        let epoch = (h.epochs.len(), self.settings().epochs());
        Progress { stage, epoch, done, seconds_left }
    }

    /// Bytes that an epoch needs: the reserve, and half as much again as its runs took last time.
    pub fn bytes_needed(&self) -> u64 {
        let own = self.history().runs.iter().rev().find(|r| r.epoch.is_some());
        let last = own.map(|r| self.store.folder().join(&r.folder));
        let one: u64 = last.and_then(|f| folder_bytes(&f).ok()).unwrap_or(0);
        let budget = &self.settings().budget;
        budget.free_mib * (1 << 20) + one * budget.seeds as u64 * 3 / 2
    }

    /// An error if the disk is too small for an epoch.
    pub fn check_disk(&self) -> Result<(), LoopError> {
        let (need, folder) = (self.bytes_needed(), self.store.folder());
        let stat = rustix::fs::statvfs(folder).map_err(|e| LoopError::io(folder, &e.into()))?;
        let free = stat.f_bavail * stat.f_frsize;
        if free < need {
            let text = format!(
                "the disk has {} MiB left and an epoch needs {} MiB (budget.free_mib is {}). \
                 Nothing is lost: make room and run the loop again",
                free >> 20,
                need >> 20,
                self.settings().budget.free_mib
            );
            return Err(LoopError::new(folder, &text).stopped());
        }
        Ok(())
    }

    fn epoch_folder(&self, epoch: usize) -> PathBuf {
        self.store.folder().join(format!("epoch_{epoch:03}"))
    }

    fn stream(&self, epoch: usize, stage: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(mix(self.settings().rng_seed, epoch as u64, u64::MAX - stage))
    }
}

/// Makes a folder's entries last.
fn sync(folder: &Path) -> Result<(), LoopError> {
    let opened = std::fs::File::open(folder);
    opened.and_then(|f| f.sync_all()).map_err(|e| LoopError::io(folder, &e))
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
