//! Wall and processor time, of threads too, and the peak of resident memory (Linux).

use std::time::Instant;

use anyhow::{Context, Result};
use cpu_time::{ProcessTime, ThreadTime};

/// A moment on all clocks.
pub struct Clock {
    wall: Instant,
    cpu: ProcessTime,
    threads: Vec<f64>,
}

/// Seconds since some moment.
pub struct Elapsed {
    /// On the wall.
    pub wall: f64,
    /// Processor time of all threads.
    pub cpu: f64,
    /// Processor time of the thread of the pool that worked most: how long a run lasts where no other
    /// load takes the processors away.
    pub busiest: f64,
}

/// Processor seconds of every thread of the pool.
fn threads() -> Vec<f64> {
    rayon::broadcast(|_| ThreadTime::now().as_duration().as_secs_f64())
}

impl Clock {
    /// This moment.
    pub fn now() -> Self {
        Self { threads: threads(), wall: Instant::now(), cpu: ProcessTime::now() }
    }

    /// Since then.
    pub fn elapsed(&self) -> Elapsed {
        let (wall, cpu) = (self.wall.elapsed(), self.cpu.elapsed());
        let worked = threads().into_iter().zip(&self.threads).map(|(now, before)| now - before);
        Elapsed {
            wall: wall.as_secs_f64(),
            cpu: cpu.as_secs_f64(),
            busiest: worked.fold(0.0, f64::max),
        }
    }
}

/// Forgets the peak so far; returns the bytes resident now.
pub fn reset_peak() -> Result<usize> {
    std::fs::write("/proc/self/clear_refs", "5").context("resetting the peak of memory")?;
    status("VmRSS:")
}

/// Most bytes that were resident since the last reset.
pub fn peak() -> Result<usize> {
    status("VmHWM:")
}

fn status(field: &str) -> Result<usize> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|l| l.strip_prefix(field)).context("memory in /proc")?;
    let kilobytes: usize = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(1024 * kilobytes)
}
