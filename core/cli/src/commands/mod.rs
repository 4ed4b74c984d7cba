//! One module per command: its arguments and how its result is told.

pub mod benchmark;
pub mod break_even;
pub mod check;
pub mod demo;
pub mod devices;
pub mod engine;
pub mod evaluate;
pub mod loops;
pub mod model;
pub mod msm;
pub mod plugins;
pub mod sample;
pub mod seeds;
pub mod split;
pub mod suite;
pub mod survey;
pub mod train;
pub mod verify;

use std::path::PathBuf;

use marsfm::Device;
use marsfm::sample::DEFAULT_SOLVER;
use marsfm::surrogate::Solver;
use serde::Serialize;

/// `--device`, of every command that draws.
#[derive(clap::Args)]
pub struct DeviceArgument {
    /// Where to compute: cpu, cuda, cuda:1 (the second card), cuda/bf16 (matrix products in bfloat16),
    /// or auto (CUDA if there is any).
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: Device,
}

/// `--steps`, of commands whose draws may be cheaper or more exact.
#[derive(clap::Args)]
pub struct StepsArgument {
    /// Network evaluations per draw, instead of 16: fewer are faster, more are closer to the solution.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    steps: Option<u16>,
}

impl StepsArgument {
    /// The default solver, in so many steps.
    pub fn solver(&self) -> Solver {
        self.steps.map_or(DEFAULT_SOLVER, |steps| Solver::Adams { steps: steps.into() })
    }
}

/// The surrogate that was named, or the default one: `MARSFM_MODEL`, installed, or of a checkout.
pub fn model(named: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    match named {
        Some(path) => Ok(path.clone()),
        None => Ok(marsfm::session::default_model(std::env::current_exe().ok().as_deref())?),
    }
}

/// Prints a value as indented JSON.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
