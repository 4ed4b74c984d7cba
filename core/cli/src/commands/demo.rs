//! `marsfm demo`: the committed peptide, or with `--own` the user's MD.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use marsfm::Host;
use marsfm::demo::{DemoEvent, DemoRequest, run as run_demo};
use marsfm::systems::SystemFiles;

use crate::progress::Progress;

/// Arguments of `marsfm demo`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Your own MD (one file per replica); a small surrogate is trained on it first.
    #[arg(long, num_args = 1.., value_name = "MD", requires = "topology")]
    own: Vec<PathBuf>,
    /// Topology of your own MD (PDB, mmCIF, …).
    #[arg(long)]
    topology: Option<PathBuf>,
    /// Time between frames, ps, where the files cannot tell.
    #[arg(long)]
    frame_ps: Option<f64>,
    /// Temperature of the MD, K.
    #[arg(long, default_value_t = 350.0)]
    temperature: f64,
    /// Folder of the committed peptide.
    #[arg(long, default_value = "examples/data/QLAQ")]
    example: PathBuf,
    /// Surrogate for the committed peptide, instead of the default one.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Draws, rejected ones counted.
    #[arg(long, default_value_t = 3000)]
    budget: usize,
    /// Jumps per chain.
    #[arg(long, default_value_t = 30)]
    depth: usize,
    /// Most seeds to write.
    #[arg(long, default_value_t = 20)]
    seeds: usize,
    /// Random seed.
    #[arg(long, default_value_t = 1)]
    rng_seed: u64,
    #[command(flatten)]
    device: super::DeviceArgument,
    /// Folder to write into.
    #[arg(long, default_value = "demo")]
    out: PathBuf,
}

/// Runs the demonstration and says what came out.
pub fn run(host: &Host, a: &Arguments) -> anyhow::Result<ExitCode> {
    let files = match (a.own.is_empty(), &a.topology) {
        (true, _) => {
            let (Some(root), Some(name)) = (a.example.parent(), a.example.file_name()) else {
                bail!("--example {} is no folder", a.example.display());
            };
            SystemFiles::in_folder(root, &name.to_string_lossy())?
        }
        (false, Some(topology)) => SystemFiles {
            name: topology.file_stem().map_or("own".into(), |s| s.to_string_lossy().into_owned()),
            topology: topology.clone(),
            trajectories: a.own.clone(),
            frame_ps: a.frame_ps,
        },
        (false, None) => bail!("--own needs --topology"),
    };
    let model = match a.own.is_empty() {
        true => Some(super::model(a.model.as_ref())?),
        false => None,
    };
    let request = DemoRequest {
        files: &files,
        model: model.as_deref(),
        msm: None,
        kelvin: a.temperature,
        budget: a.budget,
        depth: a.depth,
        seeds: a.seeds,
        rng_seed: a.rng_seed,
        device: &a.device.device,
        out: &a.out,
    };
    let mut progress = Progress::new();
    let outcome = run_demo(host, &request, |event| match event {
        DemoEvent::Stage(name) => progress.stage(name),
        DemoEvent::Training(s) => progress.at(s.step, s.steps, super::train::words(s)),
        DemoEvent::Drawing(n, of) => progress.at(n as u64, of as u64, "draws".into()),
    })?;
    progress.clear();
    for sentence in outcome.in_words() {
        println!("{sentence}");
    }
    println!();
    println!("report    {}", outcome.report.display());
    // Nothing accepted, nothing written: then there is no such file to name.
    if outcome.tally.accepted > 0 {
        println!(
            "ensemble  {} with {}",
            outcome.files.trajectory.display(),
            outcome.files.topology.display()
        );
        println!("seeds     {}", outcome.files.seeds.display());
    }
    println!("record    {}", outcome.files.record.display());
    Ok(ExitCode::SUCCESS)
}
