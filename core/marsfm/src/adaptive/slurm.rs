//! The seeds of an epoch as a Slurm array: tasks run where Slurm puts them, results are picked up
//! from the loop's folder, which all nodes must see. Slurm schedules; this file submits, waits, and
//! submits again what ended without a result, a few times.
//!
//! A task writes into a folder of its own and renames it when it is whole, so a task that ran twice
//! counts once, and a loop that was killed while its tasks went on picks them up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use marsfm_adaptive::{
    Engine, Finished, Go, Job, KnownStates, Ran, SlurmSettings, Store, Structure,
};
use marsfm_host::Host;
use marsfm_preparation::{EngineError, Failure};
use serde::{Deserialize, Serialize};

use super::parts;

/// What a task tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Finished { trajectory: String, verdict: String, prepare_ps: f64, cpu_seconds: f64 },
    Rejected(String),
    Lost(String),
}

/// A task's answer, in its folder.
const RESULT: &str = "result.json";
/// How long files may take to appear after their task has left the queue.
const GRACE: Duration = Duration::from_secs(15);

fn task_folder(folder: &Path, epoch: usize, seed: usize) -> PathBuf {
    folder.join(format!("epoch_{epoch:03}/task_{seed:03}"))
}

/// Runs one seed of an epoch's plan, as a task: `marsfm loop task`.
pub fn task(host: &Host, folder: &Path, epoch: usize, seed: usize) -> Result<()> {
    let store = Store::read(folder)?;
    let settings = store.settings();
    let plan = store.history().plans.get(epoch);
    let plan = plan.with_context(|| format!("{}: epoch {epoch} has no plan", folder.display()))?;
    let starts = store.starts(plan)?;
    let start = starts.get(seed).with_context(|| format!("epoch {epoch} has no seed {seed}"))?;
    let out = task_folder(folder, epoch, seed);
    if out.exists() {
        return Ok(());
    }
    let scratch =
        folder.join(format!("epoch_{epoch:03}/.partial-task_{seed:03}-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)
        .with_context(|| format!("{}: cannot create the folder", scratch.display()))?;
    let mut engine = parts::engine(host, settings)?;
    // The gate was made before the task was submitted, if there is one.
    engine.calibrate(folder, &[], &mut |_| true)?;
    let (head_frames, frames) = settings.run_frames();
    let job = Job {
        folder: &scratch,
        start,
        rng_seed: plan.seeds[seed].rng_seed,
        head_frames,
        frames,
        frame_ps: settings.budget.frame_ps,
        place: (epoch, seed),
    };
    let clock = marsfm_adaptive::Stopwatch::start();
    let told = match engine.run(&job, &mut |_| true) {
        Ok(Ran::Finished(f)) => Told::Finished {
            trajectory: f.trajectory.file_name().unwrap_or_default().to_string_lossy().into(),
            verdict: f.verdict,
            prepare_ps: f.prepare_ps,
            cpu_seconds: clock.read()[1],
        },
        Ok(Ran::Rejected(reason)) => Told::Rejected(reason),
        Ok(Ran::Lost(reason)) => Told::Lost(reason),
        Err(e) if e.failure.costs_only_the_seed() => Told::Lost(e.message),
        Err(e) => {
            let _ = std::fs::remove_dir_all(&scratch);
            return Err(e.into());
        }
    };
    marsfm_trajectory::write_atomically(scratch.join(RESULT), &serde_json::to_vec(&told)?)?;
    // Whoever was first has told the same.
    if std::fs::rename(&scratch, &out).is_err() {
        let _ = std::fs::remove_dir_all(&scratch);
        ensure!(out.exists(), "{}: cannot be renamed to {}", scratch.display(), out.display());
    }
    Ok(())
}

/// An engine whose runs are tasks.
pub struct Slurm<'h> {
    inner: Box<dyn Engine + 'h>,
    settings: SlurmSettings,
    folder: PathBuf,
    /// The program that tasks run, and its plugins.
    line: String,
    /// Job and attempts of each seed of the epoch at hand.
    tasks: BTreeMap<usize, (String, usize)>,
}

impl<'h> Slurm<'h> {
    /// Tasks of this program and its plugins, for the loop in `folder`.
    pub fn new(
        host: &Host,
        inner: Box<dyn Engine + 'h>,
        settings: SlurmSettings,
        folder: &Path,
    ) -> Result<Self> {
        let folder = std::path::absolute(folder)?;
        let mut line = quoted(&std::env::current_exe()?.to_string_lossy());
        for plugin in host.report().iter().filter(|p| p.refused.is_none()) {
            line += &format!(" --plugin {}", quoted(&plugin.path));
        }
        line += &format!(" loop task {}", quoted(&folder.to_string_lossy()));
        Ok(Self { inner, settings, folder, line, tasks: BTreeMap::new() })
    }

    fn failed(&self, failure: Failure, message: String) -> EngineError {
        EngineError { engine: self.inner.name().into(), failure, message }
    }

    fn log(&self, epoch: usize, seed: &str) -> String {
        self.folder.join(format!("epoch_{epoch:03}/slurm-{seed}.log")).to_string_lossy().into()
    }

    /// Submits seeds as one array; answers the job.
    fn submit(&self, epoch: usize, seeds: &[usize]) -> Result<String, EngineError> {
        let list: Vec<String> = seeds.iter().map(usize::to_string).collect();
        let line = format!("{} --epoch {epoch} --seed $SLURM_ARRAY_TASK_ID", self.line);
        let mut sbatch = Command::new("sbatch");
        sbatch.args(["--parsable", "--job-name=marsfm-loop"]);
        sbatch.arg(format!("--array={}", list.join(",")));
        sbatch.arg(format!("--output={}", self.log(epoch, "%a")));
        sbatch.args(&self.settings.sbatch).arg(format!("--wrap={line}"));
        let output = sbatch.output().map_err(|e| {
            self.failed(Failure::Missing, format!("sbatch cannot be started ({e}); is Slurm here?"))
        })?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(self.failed(Failure::Engine, format!("sbatch refused: {words}")));
        }
        // ID or ID;CLUSTER.
        let id = String::from_utf8_lossy(&output.stdout);
        let id = id.trim().split(';').next().unwrap_or_default().to_owned();
        // For a driver that comes after this one; if it is not written, tasks run twice, no more.
        let known: String = seeds.iter().map(|seed| format!("{seed} {id}\n")).collect();
        let file = std::fs::File::options().create(true).append(true).open(self.jobs(epoch));
        let _ = file.and_then(|mut f| std::io::Write::write_all(&mut f, known.as_bytes()));
        Ok(id)
    }

    fn jobs(&self, epoch: usize) -> PathBuf {
        self.folder.join(format!("epoch_{epoch:03}/slurm-jobs"))
    }

    /// The last job of each seed that was submitted, by this driver or one before it, and how
    /// often it was.
    fn submitted(&self, epoch: usize) -> BTreeMap<usize, (String, usize)> {
        let mut out: BTreeMap<usize, (String, usize)> = BTreeMap::new();
        for line in std::fs::read_to_string(self.jobs(epoch)).unwrap_or_default().lines() {
            if let Some((seed, id)) = line.split_once(' ')
                && let Ok(seed) = seed.parse()
            {
                let attempts = out.get(&seed).map_or(0, |t| t.1);
                out.insert(seed, (id.to_owned(), attempts + 1));
            }
        }
        out
    }

    /// Whether a task waits or runs; `None` if Slurm does not answer.
    fn queued(&self, job: &str, seed: usize) -> Option<bool> {
        let mut squeue = Command::new("squeue");
        let output = squeue.args(["-h", "-r", "-o", "%K", "-j", job]).output().ok()?;
        let words = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            // A job that ended a while ago is no longer known.
            return words.contains("Invalid job id").then_some(false);
        }
        let seed = seed.to_string();
        Some(String::from_utf8_lossy(&output.stdout).lines().any(|l| l.trim() == seed))
    }
}

impl Engine for Slurm<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn temperature_kelvin(&self) -> f64 {
        self.inner.temperature_kelvin()
    }
    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }
    fn template(&self) -> Structure {
        self.inner.template()
    }
    fn feature_names(&self) -> Vec<String> {
        self.inner.feature_names()
    }
    fn rows(&self, trajectory: &Path) -> Result<Vec<Vec<f64>>, String> {
        self.inner.rows(trajectory)
    }
    fn row(&self, structure: &[[f64; 3]]) -> Result<Vec<f64>, String> {
        self.inner.row(structure)
    }
    fn frame(&self, trajectory: &Path, index: usize) -> Result<Structure, String> {
        self.inner.frame(trajectory, index)
    }
    fn frames(&self, trajectory: &Path) -> Result<Vec<Structure>, String> {
        self.inner.frames(trajectory)
    }
    fn copy(&self, trajectory: &Path, folder: &Path, stride: usize) -> Result<PathBuf, String> {
        self.inner.copy(trajectory, folder, stride)
    }
    fn calibrate(
        &mut self,
        folder: &Path,
        frames: &[Structure],
        go: Go<'_>,
    ) -> Result<(), EngineError> {
        self.inner.calibrate(folder, frames, go)
    }
    fn known_states(&self) -> Option<&dyn KnownStates> {
        self.inner.known_states()
    }

    /// Submits what has no result yet and removes what was picked up.
    fn announce(&mut self, epoch: usize, seeds: &[usize]) -> Result<(), EngineError> {
        if let Some(before) = epoch.checked_sub(1) {
            self.tasks.keys().for_each(|seed| {
                let _ = std::fs::remove_dir_all(task_folder(&self.folder, before, *seed));
            });
        }
        self.tasks = self.submitted(epoch);
        let there = |seed: &usize| task_folder(&self.folder, epoch, *seed).exists();
        let missing: Vec<usize> =
            seeds.iter().filter(|s| !there(s) && !self.tasks.contains_key(s)).copied().collect();
        if !missing.is_empty() {
            let job = self.submit(epoch, &missing)?;
            self.tasks.extend(missing.into_iter().map(|seed| (seed, (job.clone(), 1))));
        }
        Ok(())
    }

    /// Waits for the seed's task and picks its files up.
    fn run(&mut self, job: &Job<'_>, go: Go<'_>) -> Result<Ran, EngineError> {
        let (epoch, seed) = job.place;
        let from = task_folder(&self.folder, epoch, seed);
        let mut gone: Option<Instant> = None;
        while !from.exists() {
            if !go(0.0) {
                let words = "stopped; its tasks go on and will be picked up";
                return Err(self.failed(Failure::Cancelled, words.into()));
            }
            let Some((id, attempts)) = self.tasks.get(&seed).cloned() else {
                self.tasks.insert(seed, (self.submit(epoch, &[seed])?, 1));
                continue;
            };
            match self.queued(&id, seed) {
                Some(false) => {
                    let since = *gone.get_or_insert_with(Instant::now);
                    if since.elapsed()
                        > GRACE.min(Duration::from_secs_f64(3.0 * self.settings.poll_s))
                    {
                        gone = None;
                        let log = self.log(epoch, &seed.to_string());
                        if attempts >= self.settings.attempts {
                            return Ok(Ran::Lost(format!(
                                "its Slurm task ended {attempts} times without a result; {log} \
                                 has its last words"
                            )));
                        }
                        self.tasks.insert(seed, (self.submit(epoch, &[seed])?, attempts + 1));
                    }
                }
                _ => gone = None,
            }
            std::thread::sleep(Duration::from_secs_f64(self.settings.poll_s));
        }
        let file =
            |e: std::io::Error| self.failed(Failure::File, format!("{}: {e}", from.display()));
        let told = std::fs::read(from.join(RESULT)).map_err(file)?;
        let told: Told = serde_json::from_slice(&told)
            .map_err(|e| self.failed(Failure::File, format!("{}: {e}", from.display())))?;
        match told {
            Told::Rejected(reason) => Ok(Ran::Rejected(reason)),
            Told::Lost(reason) => Ok(Ran::Lost(reason)),
            Told::Finished { trajectory, verdict, prepare_ps, cpu_seconds } => {
                for entry in std::fs::read_dir(&from).map_err(file)? {
                    let entry = entry.map_err(file)?;
                    let to = job.folder.join(entry.file_name());
                    // Linked, not moved: if this process is killed now, the task's files remain.
                    if std::fs::hard_link(entry.path(), &to).is_err() {
                        std::fs::copy(entry.path(), &to).map_err(file)?;
                    }
                }
                let trajectory = job.folder.join(trajectory);
                let cpu_seconds = Some(cpu_seconds);
                Ok(Ran::Finished(Finished { trajectory, verdict, prepare_ps, cpu_seconds }))
            }
        }
    }
}

/// A word of a shell's line.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_survive_a_shell() {
        let word = "it's $HOME `x` \"y\"";
        let line = format!("printf %s {}", super::quoted(word));
        let out = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
    }
}
