//! Wall and CPU time of a stage.

use std::time::Instant;

/// Begun now.
pub struct Stopwatch {
    wall: Instant,
    cpu: f64,
}

impl Stopwatch {
    /// Starts.
    pub fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_seconds() }
    }

    /// Wall and CPU time since then, s.
    pub fn read(&self) -> [f64; 2] {
        [self.wall.elapsed().as_secs_f64(), cpu_seconds() - self.cpu]
    }
}

/// CPU time of this process and of its children that have ended, s.
fn cpu_seconds() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9 + children().unwrap_or(0.0)
}

/// Fields 16 and 17 of proc(5)'s stat, in ticks of 1/100 s (USER_HZ is 100 wherever Linux has it).
fn children() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks = rest.split_whitespace().skip(13).take(2).map(|w| w.parse::<f64>().ok());
    Some(ticks.sum::<Option<f64>>()? / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_that_ended_count() {
        let clock = Stopwatch::start();
        let mut child = std::process::Command::new("sh");
        child.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
        assert!(child.status().unwrap().success());
        let [wall, cpu] = clock.read();
        assert!(cpu > 0.03 && cpu < wall + 0.1, "{cpu} s of CPU in {wall} s");
    }
}
