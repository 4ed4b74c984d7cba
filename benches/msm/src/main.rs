//! One side of `./x bench-msm`: runs a case of marsfm on stored inputs when told to, and times it.
//!
//! `marsfm-bench-msm work CASE FOLDER THREADS` loads the case's inputs from FOLDER, answers `ready`,
//! then reads one line at a time: `first` runs once and answers with the peak memory and the
//! fingerprint of the result, `time N` runs N times and answers with the seconds of one run.
//! `peer.py` speaks the same words for the other side, so that `bench.py` can take turns.
//! `marsfm-bench-msm plot RESULTS FOLDER` draws the scaling plots.

mod measure;
mod models;
mod npy;
mod plot;
mod structures;

use std::io::{BufRead, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// What a run leaves behind.
pub struct Outcome {
    /// Bytes of the result arrays, which are not extra memory.
    pub bytes: usize,
    /// Numbers that two sides with the same answer share.
    pub fingerprint: Box<dyn FnOnce() -> Value>,
}

/// A case with its inputs in memory; each call is one run.
pub type Job = Box<dyn FnMut() -> Result<Outcome> + Send>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["work", case, folder, threads] => {
            let threads = threads.parse().context("THREADS is a whole number")?;
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            pool.install(|| work(case, Path::new(folder)))
        }
        ["plot", results, folder] => plot::draw(Path::new(results), Path::new(folder)),
        _ => bail!("usage: marsfm-bench-msm work CASE FOLDER THREADS | plot RESULTS FOLDER"),
    }
}

fn work(case: &str, folder: &Path) -> Result<()> {
    let text = std::fs::read_to_string(folder.join("parameters.json"))
        .with_context(|| format!("parameters of {case}"))?;
    let parameters: Value = serde_json::from_str(&text)?;
    let mut job = match models::job(case, folder, &parameters)? {
        Some(job) => job,
        None => structures::job(case, folder, &parameters)?
            .with_context(|| format!("there is no case '{case}'"))?,
    };
    answer(&json!({ "ready": true }))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["first"] => {
                let before = measure::reset_peak()?;
                let outcome = job()?;
                let peak = measure::peak()?.saturating_sub(before);
                let extra = peak.saturating_sub(outcome.bytes);
                let megabytes = |bytes: usize| bytes as f64 / 1e6;
                answer(&json!({
                    "peak_extra_mb": megabytes(extra),
                    "output_mb": megabytes(outcome.bytes),
                    "fingerprint": (outcome.fingerprint)(),
                }))?;
            }
            ["time", n] => {
                let n: usize = n.parse().context("a number of runs")?;
                let start = measure::Clock::now();
                for _ in 0..n {
                    std::hint::black_box(job()?);
                }
                let spent = start.elapsed();
                let each = |seconds: f64| seconds / n as f64;
                answer(&json!({
                    "wall_s": each(spent.wall),
                    "cpu_s": each(spent.cpu),
                    "busiest_thread_s": each(spent.busiest),
                }))?;
            }
            _ => bail!("unknown order '{line}'"),
        }
    }
    Ok(())
}

fn answer(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()?;
    Ok(())
}
