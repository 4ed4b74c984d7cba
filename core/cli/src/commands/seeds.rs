//! `marsfm seeds import`: any PDB + XTC ensemble as seeds for `marsfm engine prepare`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use marsfm::Host;
use marsfm::benchmark::library;
use marsfm::import::{ImportRequest, import};

use crate::progress::Progress;

/// What to do with seeds.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Frames of any ensemble (of another model, of hot MD, of metadynamics): side chains that are
    /// missing are rebuilt, and every frame gets the verdict that a draw would get.
    Import(Import),
}

/// Arguments of `marsfm seeds import`.
#[derive(clap::Args)]
pub struct Import {
    /// Atoms of the frames (PDB, mmCIF, …); its models are the frames if no trajectory is given.
    #[arg(long)]
    topology: PathBuf,
    /// Trajectory with those atoms (XTC, …).
    #[arg(long)]
    trajectory: Option<PathBuf>,
    /// Take every so many-th frame.
    #[arg(long, default_value_t = 1)]
    stride: usize,
    /// Chain to take, where the file holds several.
    #[arg(long)]
    chain: Option<String>,
    /// Folder of systems with MD to draw side chains from, given the backbone; without it chis are
    /// staggered, each as likely as the others.
    #[arg(long, value_name = "DATA", requires = "from")]
    library: Option<PathBuf>,
    /// Systems of --library; can be repeated.
    #[arg(long, value_name = "SYSTEM", requires = "library")]
    from: Vec<String>,
    /// Close the accepted chains and open their contacts, as is done with the surrogate's seeds.
    #[arg(long)]
    close: bool,
    /// Random seed of the side chains.
    #[arg(long, default_value_t = 1)]
    rng_seed: u64,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
    /// Folder to write into.
    #[arg(long, default_value = "imported")]
    out: PathBuf,
}

/// Does it.
pub fn run(host: &Host, command: &Command) -> Result<ExitCode> {
    let Command::Import(a) = command;
    let folder = |data| library(host, std::slice::from_ref(data), &a.from);
    let drawn_from = a.library.as_ref().map(folder).transpose()?;
    let request = ImportRequest {
        topology: &a.topology,
        frames: a.trajectory.as_deref(),
        stride: a.stride,
        chain: a.chain.as_deref(),
        library: drawn_from.as_ref(),
        close: a.close,
        rng_seed: a.rng_seed,
        out: &a.out,
    };
    let mut progress = Progress::new();
    progress.stage("importing");
    let made = import(host, &request)?;
    progress.clear();
    if a.json {
        super::print_json(&made)?;
    } else {
        println!("{}; side chains: {}", made.sequence, made.side_chains);
        println!(
            "{} frames, {} accepted, {} of them need repair",
            made.frames.len(),
            made.accepted,
            made.need_repair
        );
        for (reason, n) in &made.rejected {
            println!("  rejected {n}: {reason:?}");
        }
        match &made.seeds {
            Some(seeds) => println!("next: marsfm engine prepare --seeds {}", seeds.display()),
            None => println!("no frame can start MD"),
        }
    }
    Ok(if made.accepted > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
