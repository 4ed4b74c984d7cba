//! `marsfm break-even`: what an effectively independent conformation costs from MD and from a
//! surrogate, and when training has paid for itself.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::break_even::{BreakEvenRequest, Side, run as compare};

/// Arguments of `marsfm break-even`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A peptide with MD that the surrogate was not trained on.
    system: String,
    /// Folder with one folder per peptide (NAME/NAME.pdb, NAME/*.xtc). Can be repeated.
    #[arg(long, required = true)]
    data: Vec<PathBuf>,
    /// What its MD costs on this machine with your engine: processor seconds per simulated ns.
    #[arg(long, value_name = "SECONDS")]
    md_cpu_seconds_per_ns: f64,
    /// What training the surrogate cost, processor seconds.
    #[arg(long, value_name = "SECONDS")]
    training_cpu_seconds: Option<f64>,
    /// Surrogate, instead of the default one.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Independent chains of jumps.
    #[arg(long, default_value_t = 64)]
    chains: usize,
    /// Jumps per chain; the first quarter is paid for and not counted.
    #[arg(long, default_value_t = 40)]
    depth: usize,
    /// Random seed.
    #[arg(long, default_value_t = 1)]
    rng_seed: u64,
    #[command(flatten)]
    steps: super::StepsArgument,
    #[command(flatten)]
    device: super::DeviceArgument,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// Compares and tells.
pub fn run(host: &Host, a: &Arguments) -> anyhow::Result<ExitCode> {
    let surrogate = host.surrogate(&super::model(a.model.as_ref())?, &a.device.device)?;
    let result = compare(
        host,
        &BreakEvenRequest {
            data: &a.data,
            system: &a.system,
            surrogate: &surrogate,
            md_cpu_seconds_per_ns: a.md_cpu_seconds_per_ns,
            training_cpu_seconds: a.training_cpu_seconds,
            chains: a.chains,
            depth: a.depth,
            rng_seed: a.rng_seed,
            solver: a.steps.solver(),
        },
    )?;
    if a.json {
        super::print_json(&result)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{:<10} {:>13} {:>11} {:>12} {:>22}",
        result.system, "conformations", "independent", "processor s", "s per independent one"
    );
    let tell = |name: &str, s: &Side| {
        println!(
            "{name:<10} {:>13} {:>11.1} {:>12.2} {:>22.4}",
            s.conformations, s.effective, s.cpu_seconds, s.cpu_seconds_per_effective
        );
    };
    tell("MD", &result.md);
    tell("surrogate", &result.surrogate);
    println!("accepted: {:.1} % of draws", 100.0 * result.acceptance);
    println!("per independent conformation: {:.1} times cheaper than MD", result.ratio_effective);
    println!(
        "one accepted draw against 100 ps of MD: {:.0} times cheaper",
        result.ratio_per_frame_of_100_ps
    );
    let training = result
        .training_cpu_seconds
        .map_or("not told (--training-cpu-seconds)".into(), |s| format!("{s:.0} s"));
    println!(
        "paid once: {:.1} ns of MD to learn from, {:.0} s at this price per ns; training {training}",
        result.training_md_ns, result.training_md_cpu_seconds
    );
    match result.break_even_conformations {
        Some(n) => println!("paid back after {n:.0} independent conformations"),
        None => println!("never paid back: MD is cheaper here"),
    }
    Ok(ExitCode::SUCCESS)
}
