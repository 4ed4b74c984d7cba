//! `marsfm msm build|info`.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::markov::{self, MsmSettings};
use marsfm::msm::Msm;
use marsfm::systems::{System, SystemFiles};
use serde::Serialize;

/// What to do with a Markov model.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Builds a model: torsions, TICA, k-means, PCCA+, transition matrix.
    Build(Build),
    /// Says what a model holds and how far to trust it.
    Info {
        /// A model written by `msm build`.
        file: PathBuf,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `marsfm msm build`.
#[derive(clap::Args)]
pub struct Build {
    /// Trajectories, one per replica.
    #[arg(required = true)]
    trajectories: Vec<PathBuf>,
    /// Their topology.
    #[arg(long)]
    topology: PathBuf,
    /// Time between frames, ps, where the files cannot tell.
    #[arg(long)]
    frame_ps: Option<f64>,
    /// Lag of TICA, ps.
    #[arg(long, default_value_t = 10.0)]
    tica_lag: f64,
    /// Lag of the microstate model, ps.
    #[arg(long, default_value_t = 10.0)]
    msm_lag: f64,
    /// Lag of the macrostate matrix, ps.
    #[arg(long, default_value_t = 10.0)]
    pair_lag: f64,
    /// k-means microstates.
    #[arg(long, default_value_t = 100)]
    microstates: usize,
    /// PCCA+ macrostates.
    #[arg(long, default_value_t = 10)]
    macrostates: usize,
    /// Random seed of k-means.
    #[arg(long, default_value_t = 137)]
    rng_seed: u64,
    /// Print what came out as JSON.
    #[arg(long)]
    json: bool,
    /// Model file to write (safetensors with a JSON header).
    #[arg(long)]
    out: PathBuf,
}

#[derive(Serialize)]
struct Info {
    microstates: usize,
    active_microstates: usize,
    macrostates: usize,
    populations: Vec<u64>,
    mean_self_transition: f64,
    tica_kept: usize,
    timescales_frames: Vec<f64>,
    transition_matrix: Vec<Vec<f64>>,
    warnings: Vec<String>,
}

/// Builds or shows.
pub fn run(host: &Host, command: &Command) -> anyhow::Result<ExitCode> {
    let (msm, json) = match command {
        Command::Info { file, json } => (Msm::load(file)?, *json),
        Command::Build(a) => {
            let files = SystemFiles {
                name: a.topology.display().to_string(),
                topology: a.topology.clone(),
                trajectories: a.trajectories.clone(),
                frame_ps: a.frame_ps,
            };
            let settings = MsmSettings {
                tica_lag_ps: a.tica_lag,
                msm_lag_ps: a.msm_lag,
                pair_lag_ps: a.pair_lag,
                microstates: a.microstates,
                macrostates: a.macrostates,
                rng_seed: a.rng_seed,
            };
            let msm = markov::build(&System::load(host, &files)?, &settings)?.msm;
            msm.save(&a.out)?;
            (msm, a.json)
        }
    };
    let info = info(&msm);
    if json {
        super::print_json(&info)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} microstates, {} connected; {} macrostates with {:?} frames; TICA kept {}",
        info.microstates,
        info.active_microstates,
        info.macrostates,
        info.populations,
        info.tica_kept
    );
    println!("slowest timescales, frames: {:.0?}", info.timescales_frames);
    println!("mean T_ii {:.3}; transition matrix:", info.mean_self_transition);
    for row in &info.transition_matrix {
        println!("  {}", row.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(" "));
    }
    for warning in &info.warnings {
        println!("note: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}

fn info(msm: &Msm) -> Info {
    let n = msm.n_macrostates();
    let slowest = msm.implied_timescales.iter().find(|t| t.lag == msm.settings.msm_lag);
    Info {
        microstates: msm.micro_populations.len(),
        active_microstates: msm.micro_populations.len() - msm.orphans.len(),
        macrostates: n,
        populations: msm.macro_populations.clone(),
        mean_self_transition: msm.mean_self_transition,
        tica_kept: msm.tica.n_kept,
        timescales_frames: slowest.map_or(vec![], |t| t.timescales.clone()),
        transition_matrix: msm.macro_t.as_slice().chunks(n.max(1)).map(<[f64]>::to_vec).collect(),
        warnings: msm.warnings.iter().map(ToString::to_string).collect(),
    }
}
