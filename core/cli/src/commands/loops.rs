//! `marsfm loop init|run|status|report|import`.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::adaptive::{self, Ended, ImportRequest, Limits, Outlook};

use crate::progress::Progress;

/// What to do with a loop.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Checks a TOML file and begins a loop in a new folder.
    Init {
        /// The loop's settings; `examples/loop` has some to begin with.
        file: PathBuf,
        /// Folder of the loop.
        #[arg(long, required_unless_present = "dry_run")]
        out: Option<PathBuf>,
        /// Only check: engine and proposer must open; say how much MD it would be.
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
        /// Stop before a run that would not fit into so much wall time, hours.
        #[arg(long)]
        max_hours: Option<f64>,
        /// Only check, and say what is left to do.
        #[arg(long)]
        dry_run: bool,
    },
    /// Says how far a loop is and what it found; also while it runs.
    Status {
        /// Folder of the loop.
        folder: PathBuf,
        /// Print the last epoch as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Writes a report of a loop, or of several side by side: one offline page, JSON and CSV.
    Report {
        /// Folders of loops on one system.
        #[arg(required_unless_present = "compare")]
        folders: Vec<PathBuf>,
        /// More of them.
        #[arg(long, num_args = 1.., value_name = "FOLDER")]
        compare: Vec<PathBuf>,
        /// Folder to write into; `report` in the first loop's folder if not given.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Runs one seed of the epoch at hand, as a Slurm array does.
    #[command(hide = true)]
    Task {
        /// Folder of the loop.
        folder: PathBuf,
        /// Epoch, from 0.
        #[arg(long)]
        epoch: usize,
        /// Seed of its plan, from 0.
        #[arg(long)]
        seed: usize,
    },
    /// Takes unbiased MD of the same system into a loop.
    Import {
        /// Folder of the loop.
        folder: PathBuf,
        /// Trajectories.
        #[arg(required = true)]
        trajectories: Vec<PathBuf>,
        /// Their atoms, where they are not the engine's.
        #[arg(long)]
        topology: Option<PathBuf>,
        /// Time at the beginning of each that does not count, ps.
        #[arg(long, default_value_t = 0.0)]
        head_ps: f64,
        /// Time between their frames, ps, where the files cannot tell.
        #[arg(long)]
        frame_ps: Option<f64>,
    },
}

struct Bar(Progress);

impl adaptive::Watch for Bar {
    fn progress(&mut self, p: adaptive::Progress<'_>) -> bool {
        let left = p.seconds_left.map_or(String::new(), |s| format!(", {} left", lasting(s)));
        let words = format!("‰: epoch {} of {}, {}{left}", p.epoch.0 + 1, p.epoch.1, p.stage);
        self.0.at((1000.0 * p.done) as u64, 1000, words);
        true
    }
}

fn lasting(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Does it.
pub fn run(host: &Host, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init { file, out, dry_run } => match out.as_ref().filter(|_| !dry_run) {
            None => outlook(&adaptive::check(host, file)?),
            Some(out) => {
                outlook(&adaptive::begin(host, file, out)?);
                println!("run it with: marsfm loop run {}", out.display());
            }
        },
        Command::Run { folder, dry_run: true, .. } => {
            adaptive::rehearse(host, folder)?.iter().for_each(|line| println!("{line}"));
        }
        Command::Run { folder, max_epochs, max_hours, .. } => {
            let seconds = max_hours.map(|h| h * 3600.0);
            let limits = Limits { epochs: *max_epochs, seconds };
            let mut bar = Bar(Progress::new());
            let ended = adaptive::go_on(host, folder, limits, &mut bar);
            bar.0.clear();
            let (ended, _) = ended?;
            tell(folder)?;
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
        Command::Status { folder, json: true } => {
            super::print_json(&adaptive::look(folder)?.history().epochs.last())?;
        }
        Command::Status { folder, json: false } => tell(folder)?,
        Command::Report { folders, compare, out } => {
            let all: Vec<PathBuf> = folders.iter().chain(compare).cloned().collect();
            let out = out.clone().unwrap_or_else(|| adaptive::default_out(&all));
            let comparison = adaptive::compare(&all)?;
            let page = adaptive::write_report(&comparison, &out)?;
            for l in &comparison.loops {
                let found = l.found.last().map_or(0, |f| f.states);
                println!(
                    "{}: {found} of {} states in {:.3} ns of MD ({})",
                    l.name, comparison.states, l.md.total_ns, l.strategy
                );
            }
            println!("report: {}", page.display());
        }
        Command::Task { folder, epoch, seed } => adaptive::task(host, folder, *epoch, *seed)?,
        Command::Import { folder, trajectories, topology, head_ps, frame_ps } => {
            let request = ImportRequest {
                trajectories: trajectories.clone(),
                topology: topology.clone(),
                head_ps: *head_ps,
                frame_ps: *frame_ps,
            };
            let taken = adaptive::import(host, folder, &request)?;
            for (path, frames) in trajectories.iter().zip(taken) {
                println!("{}: {frames} frames", path.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(folder: &std::path::Path) -> anyhow::Result<()> {
    let store = adaptive::look(folder)?;
    adaptive::in_words(&store).iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn outlook(o: &Outlook) {
    o.notes.iter().for_each(|note| println!("{note}"));
    let (s, b) = (&o.settings, &o.settings.budget);
    let runs = s.epochs() * s.plain_runs().unwrap_or(b.seeds);
    let (head, rest) = s.run_frames();
    let ns = (head + rest) as f64 * b.frame_ps * runs as f64 / 1000.0;
    println!("{runs} runs, {ns:.2} ns of MD with heads");
}
