//! `marsfm verify network|geometry|msm|observables`: exit code 1 beyond tolerance.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::verify::{Case, Report, geometry, msm, network, observables};
use marsfm::{Device, Host};

/// What to verify.
#[derive(clap::Subcommand)]
pub enum Command {
    /// The velocity network, its training step and its solvers.
    Network {
        /// Parameters (safetensors), or the word `recipe` to generate them from the case's seed.
        #[arg(long)]
        weights: PathBuf,
        /// Compute in double precision, with its tighter tolerances.
        #[arg(long)]
        double: bool,
        /// Where to compute: cpu, cuda, cuda:1, or auto. Elsewhere than on the CPU there are no
        /// activations to compare.
        #[arg(long, value_name = "DEVICE", default_value = "cpu", conflicts_with = "double")]
        device: Device,
        #[command(flatten)]
        case: CaseArguments,
    },
    /// Rigids, torsions, atoms, tables.
    Geometry(CaseArguments),
    /// TICA, k-means, counts, estimation, PCCA+.
    Msm(CaseArguments),
    /// Rg, RMSD, dihedrals, secondary structure.
    Observables(CaseArguments),
}

/// The stored case.
#[derive(clap::Args)]
pub struct CaseArguments {
    /// Reference numbers (safetensors, with their JSON beside them).
    #[arg(long)]
    case: PathBuf,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Verifies one case. Plugins are loaded only where one is needed.
pub fn run(
    host: impl FnOnce() -> anyhow::Result<Host>,
    command: &Command,
) -> anyhow::Result<ExitCode> {
    let load = |a: &CaseArguments| Case::load(&a.case);
    let (report, a): (Report, &CaseArguments) = match command {
        Command::Network { weights, double, device: Device::Cpu, case } => {
            (network::run(&load(case)?, weights, *double)?, case)
        }
        Command::Network { weights, device, case, .. } => {
            (network::run_on(&host()?, &load(case)?, weights, device)?, case)
        }
        Command::Geometry(a) => (geometry::run(&load(a)?)?, a),
        Command::Msm(a) => (msm::run(&load(a)?)?, a),
        Command::Observables(a) => (observables::run(&load(a)?)?, a),
    };
    if a.json {
        super::print_json(&report)?;
    } else {
        for (name, c) in &report.tensors {
            let mark = if c.err <= c.tol { "ok  " } else { "FAIL" };
            println!("{mark} {name:<48} {:>10.2e} of {:.0e} ({})", c.err, c.tol, c.kind);
        }
        let verdict = if report.ok { "all within tolerance" } else { "beyond tolerance" };
        println!("{}: {} numbers compared, {verdict}", a.case.display(), report.tensors.len());
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
