//! `marsfm msm partial|merge`: one build as many jobs.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::markov::passes::{self, Merged, Share};

use super::build::Settings;
use super::{Files, show};
use crate::progress::Progress;

/// Arguments of `marsfm msm partial`. All jobs of a build get the same files and settings.
#[derive(clap::Args)]
pub struct Partial {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    settings: Settings,
    /// This job's share of the trajectories, such as 3/8.
    #[arg(long)]
    part: Share,
    /// What `msm merge` made of the pass before; none for the first pass.
    #[arg(long, value_name = "STAGE")]
    from: Option<PathBuf>,
    /// Part file to write.
    #[arg(long)]
    out: PathBuf,
}

/// Arguments of `marsfm msm merge`.
#[derive(clap::Args)]
pub struct Merge {
    /// Part files of one pass, in any order.
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// The stage that these parts were started from; none for the first pass.
    #[arg(long, value_name = "STAGE")]
    from: Option<PathBuf>,
    /// The next stage, or after the third pass the model.
    #[arg(long)]
    out: PathBuf,
}

/// `marsfm msm partial`.
pub fn partial(host: &Host, a: &Partial) -> anyhow::Result<ExitCode> {
    let request = a.settings.request(&a.files);
    let mut progress = Progress::new();
    progress.stage("one pass");
    passes::partial(host, &request, a.part, a.from.as_deref(), &a.out, |done, all| {
        progress.at(done as u64, all as u64, "trajectories".into());
    })?;
    progress.clear();
    Ok(ExitCode::SUCCESS)
}

/// `marsfm msm merge`.
pub fn merge(a: &Merge) -> anyhow::Result<ExitCode> {
    match passes::merge(&a.parts, a.from.as_deref(), &a.out)? {
        Merged::Projection => println!("projection written; next: partial --from it, for points"),
        Merged::Centers => println!("centres written; next: partial --from them, for states"),
        Merged::Model(msm) => show::tell(&msm, &[], false)?,
    }
    Ok(ExitCode::SUCCESS)
}
