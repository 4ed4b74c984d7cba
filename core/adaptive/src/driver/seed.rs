//! Running the seeds of a plan.

use std::path::{Path, PathBuf};

use marsfm_preparation::Failure;
use marsfm_trajectory::write_atomically;

use super::{Driver, relative, sync};
use crate::clock::Stopwatch;
use crate::history::{LostRecord, Plan, Record, RunRecord};
use crate::store::{FEATURES, sha256};
use crate::watch::Watch;
use crate::{Engine, Finished, Job, LoopError, Ran, Structure};

type Rows = Vec<Vec<f64>>;

impl Driver {
    /// Runs some seeds together; false if the onlooker stopped them.
    pub(super) fn run_seeds(
        &mut self,
        plan: &Plan,
        seeds: &[usize],
        starts: &[Structure],
        engine: &mut dyn Engine,
        watch: &mut dyn Watch,
    ) -> Result<bool, LoopError> {
        let epoch = plan.epoch;
        let mut folders = Vec::new();
        for seed in seeds {
            folders.push(fresh(&self.epoch_folder(epoch), &format!("seed_{seed:03}"))?);
        }
        watch.point("run-begins");
        let (head_frames, frames) = self.settings().run_frames();
        let frame_ps = self.settings().budget.frame_ps;
        let mut jobs = Vec::new();
        for (seed, (scratch, _)) in seeds.iter().zip(&folders) {
            let (start, rng_seed) = (&starts[*seed], plan.seeds[*seed].rng_seed);
            let place = (epoch, *seed);
            jobs.push(Job {
                folder: scratch,
                start,
                rng_seed,
                head_frames,
                frames,
                frame_ps,
                place,
            });
        }
        let clock = Stopwatch::start();
        let (mut half, mut stopped) = (false, false);
        let ran = {
            let mut go = |part: f64| {
                if part >= 0.5 && !std::mem::replace(&mut half, true) {
                    watch.point("run-half");
                }
                stopped = !watch.progress(self.at("MD", part * seeds.len() as f64));
                !stopped
            };
            engine.run_together(&jobs, &mut go)
        };
        let md = clock.read().map(|s| s / seeds.len() as f64);
        let all = match ran {
            Ok(all) => all,
            Err(e) if stopped && e.failure == Failure::Cancelled => return Ok(false),
            Err(e) => {
                let which: Vec<String> = seeds.iter().map(usize::to_string).collect();
                let text = format!(
                    "epoch {epoch}, seed {}: {e}. Nothing is lost: mend it and run the loop again",
                    which.join(", ")
                );
                return Err(LoopError::words(text).stopped());
            }
        };
        watch.point("run-finished");
        for ((ran, seed), (scratch, folder)) in all.into_iter().zip(seeds).zip(&folders) {
            self.end((epoch, *seed), ran, (scratch, folder), (md, &*engine), watch)?;
        }
        Ok(true)
    }

    /// Keeps and records what became of a seed, with its share of the wall and CPU time of MD.
    fn end(
        &mut self,
        (epoch, seed): (usize, usize),
        ran: Ran,
        (scratch, folder): (&Path, &Path),
        (md, engine): ([f64; 2], &dyn Engine),
        watch: &mut dyn Watch,
    ) -> Result<(), LoopError> {
        let clock = Stopwatch::start();
        let (head_frames, frames) = self.settings().run_frames();
        let (all, frame_ps) = (head_frames + frames, self.settings().budget.frame_ps);
        let ran = match ran {
            Ran::Finished(finished) => match whole(engine, &finished.trajectory, all) {
                Ok(rows) => Ok((finished, rows)),
                Err(reason) => Err(("lost", reason)),
            },
            Ran::Rejected(reason) => Err(("rejected", reason)),
            Ran::Lost(reason) => Err(("lost", reason)),
        };
        let record = match ran {
            Err((how, reason)) => {
                let _ = std::fs::remove_dir_all(scratch);
                let md_ps = if how == "lost" { all as f64 * frame_ps } else { 0.0 };
                let [wall, cpu] = clock.read();
                let (how, seconds) = (how.into(), [md[0] + wall, md[1] + cpu]);
                self.spent.staged += seconds[0];
                Record::Lost(LostRecord { epoch, seed, how, reason, md_ps, seconds })
            }
            Ok((finished, rows)) => {
                let told = (Some(epoch), seed, head_frames);
                let mut run = self.keep(scratch, folder, &finished, &rows, told)?;
                watch.point("run-renamed");
                let [wall, cpu] = clock.read();
                run.seconds = [md[0], finished.cpu_seconds.unwrap_or(md[1] + cpu), wall];
                self.spent.staged += md[0] + wall;
                Record::Ran(run)
            }
        };
        self.record(record, watch)?;
        watch.point("run-recorded");
        Ok(())
    }

    /// Gives a whole run its features and its name; what is left is to record it.
    pub(super) fn keep(
        &self,
        scratch: &Path,
        folder: &Path,
        finished: &Finished,
        rows: &Rows,
        (epoch, seed, head_frames): (Option<usize>, usize, u64),
    ) -> Result<RunRecord, LoopError> {
        let content: Vec<u8> = rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
        let file = scratch.join(FEATURES);
        write_atomically(&file, &content).map_err(|e| LoopError::io(&file, &e))?;
        std::fs::rename(scratch, folder).map_err(|e| LoopError::io(folder, &e))?;
        sync(folder.parent().unwrap_or(folder))?;
        Ok(RunRecord {
            epoch,
            seed,
            folder: relative(self.store.folder(), folder),
            trajectory: relative(scratch, &finished.trajectory),
            rows_sha256: sha256(&content),
            head_frames,
            frames: rows.len() as u64,
            verdict: finished.verdict.clone(),
            prepare_ps: finished.prepare_ps,
            seconds: [0.0; 3],
        })
    }
}

/// An empty scratch folder, and the name that it will get; what is left of an earlier try is
/// removed, since the journal does not know it.
pub(super) fn fresh(parent: &Path, name: &str) -> Result<(PathBuf, PathBuf), LoopError> {
    let (scratch, folder) = (parent.join(format!(".partial-{name}")), parent.join(name));
    for old in [&scratch, &folder] {
        if old.exists() {
            std::fs::remove_dir_all(old).map_err(|e| LoopError::io(old, &e))?;
        }
    }
    std::fs::create_dir_all(&scratch).map_err(|e| LoopError::io(&scratch, &e))?;
    Ok((scratch, folder))
}

/// Features of a trajectory, if it is whole and finite.
fn whole(engine: &dyn Engine, path: &Path, frames: u64) -> Result<Rows, String> {
    let rows = engine.rows(path)?;
    if rows.len() as u64 != frames {
        return Err(format!("its trajectory has {} of {frames} frames", rows.len()));
    }
    match rows.iter().position(|r| !r.iter().all(|v| v.is_finite())) {
        Some(frame) => Err(format!("frame {frame} holds numbers that are not finite")),
        None => Ok(rows),
    }
}
