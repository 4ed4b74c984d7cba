//! `marsfm loop init|run|status`.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::adaptive::{self, Ended, Limits};

use crate::progress::Progress;

/// What to do with a loop.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Checks a TOML file and begins a loop in a new folder.
    Init {
        /// The loop's settings.
        file: PathBuf,
        /// Folder of the loop.
        #[arg(long)]
        out: PathBuf,
        /// Only check, and say how much MD it would be.
        #[arg(long)]
        dry_run: bool,
    },
    /// Runs a loop, or goes on with it; killing it at any time is safe.
    Run {
        /// Folder of the loop.
        folder: PathBuf,
        /// Stop after so many epochs.
        #[arg(long)]
        max_epochs: Option<usize>,
        /// Stop after so much wall time, hours.
        #[arg(long)]
        max_hours: Option<f64>,
    },
    /// Says how far a loop is and what it found; also while it runs.
    Status {
        /// Folder of the loop.
        folder: PathBuf,
        /// Print the last epoch as JSON.
        #[arg(long)]
        json: bool,
    },
}

struct Bar(Progress);

impl adaptive::Watch for Bar {
    fn progress(&mut self, p: adaptive::Progress<'_>) -> bool {
        let left = p.seconds_left.map_or(String::new(), |s| format!(", {s:.0} s left"));
        let words = format!("‰: epoch {} of {}, {}{left}", p.epoch.0 + 1, p.epoch.1, p.stage);
        self.0.at((1000.0 * p.done) as u64, 1000, words);
        true
    }
}

/// Begins, runs or tells.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init { file, out, dry_run } => {
            let s = match dry_run {
                true => adaptive::read_settings(file)?,
                false => adaptive::begin(file, out)?,
            };
            let b = &s.budget;
            let ns = (b.head_ps + b.run_ps) * (b.epochs * b.seeds) as f64 / 1000.0;
            println!("{} runs, {ns:.2} ns of MD with heads", b.epochs * b.seeds);
            if !dry_run {
                println!("run it with: marsfm loop run {}", out.display());
            }
        }
        Command::Run { folder, max_epochs, max_hours } => {
            let seconds = max_hours.map(|h| h * 3600.0);
            let limits = Limits { epochs: *max_epochs, seconds };
            let mut bar = Bar(Progress::new());
            let (ended, history) = adaptive::go_on(folder, limits, &mut bar)?;
            bar.0.clear();
            let (settings, _) = adaptive::look(folder)?;
            adaptive::in_words(&settings, &history).iter().for_each(|line| println!("{line}"));
            println!(
                "{}",
                match ended {
                    Ended::Complete => "complete",
                    Ended::Budget => "the MD budget is spent",
                    Ended::Settled => "the model has settled",
                    Ended::Limits | Ended::Stopped => "stopped at a limit; run it again to go on",
                }
            );
        }
        Command::Status { folder, json } => {
            let (settings, history) = adaptive::look(folder)?;
            match json {
                true => super::print_json(&history.epochs.last())?,
                false => {
                    let words = adaptive::in_words(&settings, &history);
                    words.iter().for_each(|line| println!("{line}"));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
