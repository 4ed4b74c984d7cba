//! Wall and processor time, and the peak of resident memory (Linux).

use std::time::Instant;

use anyhow::{Context, Result};
use cpu_time::ProcessTime;

/// A moment on both clocks.
pub struct Clock {
    wall: Instant,
    cpu: ProcessTime,
}

impl Clock {
    /// This moment.
    pub fn now() -> Self {
        Self { wall: Instant::now(), cpu: ProcessTime::now() }
    }

    /// Wall and processor seconds (all threads) since then.
    pub fn elapsed(&self) -> (f64, f64) {
        (self.wall.elapsed().as_secs_f64(), self.cpu.elapsed().as_secs_f64())
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
