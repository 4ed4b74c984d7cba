//! `marsfm sample`: jumps or a tree from one frame.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::sample::{DEFAULT_SOLVER, SampleRequest, Shape, run as draw};

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
    /// Most seeds to write.
    #[arg(long, default_value_t = 20)]
    seeds: usize,
    /// Random seed.
    #[arg(long, default_value_t = 1)]
    rng_seed: u64,
    /// Print the tally and the verdict on the domain as JSON.
    #[arg(long)]
    json: bool,
    /// Folder to write into.
    #[arg(long, default_value = "samples")]
    out: PathBuf,
}

/// Draws and writes.
pub fn run(host: &Host, a: &Arguments) -> anyhow::Result<ExitCode> {
    let shape = match (a.jump, a.tree, a.chains) {
        (Some(n), _, _) => Shape::Jumps(n),
        (_, Some(n), _) => Shape::Exploration(n),
        (_, _, n) => Shape::Populations { draws: n.unwrap_or(1000), depth: a.depth },
    };
    let model = super::model(a.model.as_ref())?;
    let request = SampleRequest {
        model: &model,
        topology: &a.topology,
        start: a.start.as_deref().map(|path| (path, a.frame)),
        shape,
        seeds: a.seeds,
        rng_seed: a.rng_seed,
        solver: DEFAULT_SOLVER,
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
        println!("written to {}", a.out.display());
    }
    Ok(ExitCode::SUCCESS)
}
