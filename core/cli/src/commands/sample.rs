//! `marsfm sample`: jumps, a tree, a rollout or the hybrid of both from one frame.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::sample::{RolloutSpec, SampleRequest, Shape, run as draw};

use crate::progress::Progress;

/// Arguments of `marsfm sample`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Surrogate, instead of the default one.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Atoms of the system (PDB, mmCIF, …); its coordinates are the start unless --start is given.
    #[arg(long)]
    topology: PathBuf,
    /// Trajectory to take the start frame from.
    #[arg(long)]
    start: Option<PathBuf>,
    /// Frame of --start.
    #[arg(long, default_value_t = 0)]
    frame: usize,
    /// So many single jumps from the start.
    #[arg(long, value_name = "N", conflicts_with_all = ["tree", "chains"])]
    jump: Option<usize>,
    /// A wide and shallow tree of so many draws, for exploration.
    #[arg(long, value_name = "N", conflicts_with = "chains")]
    tree: Option<usize>,
    /// Chains of jumps, so many draws in all, for populations.
    #[arg(long, value_name = "N")]
    chains: Option<usize>,
    /// Jumps per chain.
    #[arg(long, default_value_t = 30)]
    depth: usize,
    /// A trajectory: --calls windows of so many frames, from a surrogate of MDGen layout (0: as many
    /// as it was trained on).
    #[arg(long, value_name = "K", conflicts_with_all = ["jump", "tree", "chains", "hybrid"])]
    rollout: Option<usize>,
    /// Windows of the rollout.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "rollout")]
    calls: usize,
    /// Every window of the rollout starts from the input, not from the frame before it.
    #[arg(long, requires = "rollout")]
    parallel: bool,
    /// Goes on from every accepted jump with one window of the surrogate --mdgen; the ensemble is
    /// those frames.
    #[arg(long, requires = "mdgen")]
    hybrid: bool,
    /// Surrogate of MDGen layout for --hybrid.
    #[arg(long, value_name = "FILE", requires = "hybrid")]
    mdgen: Option<PathBuf>,
    /// Frames per window of --hybrid, instead of as many as --mdgen was trained on.
    #[arg(long, value_name = "K", requires = "hybrid")]
    window: Option<usize>,
    /// Most seeds to write.
    #[arg(long, default_value_t = 20)]
    seeds: usize,
    /// Write the seeds as they were drawn, instead of closing their chains. The ensemble always is
    /// as drawn.
    #[arg(long)]
    as_drawn: bool,
    /// Random seed.
    #[arg(long, default_value_t = 1)]
    rng_seed: u64,
    #[command(flatten)]
    steps: super::StepsArgument,
    #[command(flatten)]
    device: super::DeviceArgument,
    /// Temperature, K, for a surrogate that takes one; without it, the one its card names.
    #[arg(long, value_name = "KELVIN")]
    temperature: Option<f64>,
    /// Print the tally and the verdict on the domain as JSON.
    #[arg(long)]
    json: bool,
    /// Folder to write into.
    #[arg(long, default_value = "samples")]
    out: PathBuf,
}

/// Draws and writes.
pub fn run(host: &Host, a: &Arguments) -> anyhow::Result<ExitCode> {
    let shape = match (a.rollout, a.jump, a.tree, a.chains) {
        (Some(k), ..) => {
            let frames = (k > 0).then_some(k);
            Shape::Rollout(RolloutSpec { frames, calls: a.calls, parallel: a.parallel })
        }
        (_, Some(n), ..) => Shape::Jumps(n),
        (_, _, Some(n), _) => Shape::Exploration(n),
        (.., n) => Shape::Populations { draws: n.unwrap_or(1000), depth: a.depth },
    };
    let model = super::model(a.model.as_ref())?;
    let request = SampleRequest {
        model: &model,
        topology: &a.topology,
        start: a.start.as_deref().map(|path| (path, a.frame)),
        shape,
        mdgen: a.mdgen.as_deref().map(|path| (path, a.window)),
        seeds: a.seeds,
        as_drawn: a.as_drawn,
        rng_seed: a.rng_seed,
        solver: a.steps.solver(),
        device: &a.device.device,
        temperature_kelvin: a.temperature,
        out: &a.out,
    };
    let mut progress = Progress::new();
    progress.stage("drawing");
    let drawn = draw(host, &request, |n, of| {
        progress.at(n as u64, of as u64, "draws".into());
        true
    })?;
    progress.clear();
    if a.json {
        super::print_json(&drawn)?;
    } else {
        let t = &drawn.tally;
        println!(
            "{} draws, {} accepted, {} of them need repair ({} rebuilt from their torsions)",
            t.draws, t.accepted, t.need_repair, t.rebuilt
        );
        for (reason, n) in &t.rejected {
            println!("  rejected {n}: {reason:?}");
        }
        for d in &drawn.differences {
            println!("  outside the training ({}): {}", d.what, d.message);
        }
        println!("computed on {}; written to {}", drawn.device, a.out.display());
    }
    Ok(ExitCode::SUCCESS)
}
