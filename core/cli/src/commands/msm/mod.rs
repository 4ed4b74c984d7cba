//! `marsfm msm …`: Markov models from trajectories, and what they are used for.

mod build;
mod parts;
mod serve;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use marsfm::Host;

/// The folder of a file that is to be written: temporary files go there, because the model that
/// comes of them must fit there too.
fn beside(out: &Path) -> PathBuf {
    match out.parent() {
        Some(folder) if folder != Path::new("") => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// What to do with a Markov model.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Builds a model: features, TICA, k-means, PCCA+, transition matrix.
    Build(build::Build),
    /// Says what a model holds.
    Info(show::Info),
    /// Says how far to trust a model: timescales with error bars, Chapman–Kolmogorov.
    Validate(show::Validate),
    /// States of other trajectories in a model.
    Assign(serve::Assign),
    /// Adds trajectories: projection and centres stay, counts grow, drift is told.
    Update(serve::Update),
    /// One job of a build that is spread over many: a pass over a part of the trajectories.
    Partial(parts::Partial),
    /// Puts the parts of one pass together: the next stage, or the model.
    Merge(parts::Merge),
}

/// The trajectories, their topology, their time base.
#[derive(clap::Args)]
pub struct Files {
    /// Trajectories, one per replica.
    #[arg(required = true)]
    trajectories: Vec<PathBuf>,
    /// Their topology.
    #[arg(long)]
    topology: PathBuf,
    /// Time between frames, ps, where the files cannot tell.
    #[arg(long)]
    frame_ps: Option<f64>,
}

impl Files {
    fn request(&self) -> marsfm::markov::files::TrajectoryFiles {
        marsfm::markov::files::TrajectoryFiles {
            topology: self.topology.clone(),
            trajectories: self.trajectories.clone(),
            frame_ps: self.frame_ps,
        }
    }
}

/// Runs the command.
pub fn run(host: &Host, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Build(arguments) => build::run(host, arguments),
        Command::Info(arguments) => show::info(arguments),
        Command::Validate(arguments) => show::validate(host, arguments),
        Command::Assign(arguments) => serve::assign(host, arguments),
        Command::Update(arguments) => serve::update(host, arguments),
        Command::Partial(arguments) => parts::partial(host, arguments),
        Command::Merge(arguments) => parts::merge(arguments),
    }
}
