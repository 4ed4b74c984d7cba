//! The `marsfm` program: arguments in, use-cases called, words and files out. No science here.

#[macro_use]
mod output;

mod commands;
mod progress;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// State-to-state jumps for molecular dynamics.
#[derive(Parser)]
#[command(name = "marsfm", version, about, max_term_width = 100)]
struct Arguments {
    /// Threads to use; results do not depend on it.
    #[arg(long, global = true)]
    threads: Option<usize>,
    /// A plugin to load, beside those in the plugin folders; can be repeated.
    #[arg(long, global = true, value_name = "FILE")]
    plugin: Vec<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The main job on one peptide, end to end, into a folder with a report.
    Demo(commands::demo::Arguments),
    /// Build and look at Markov state models.
    #[command(subcommand)]
    Msm(commands::msm::Command),
    /// Train a surrogate from a recipe; a killed run goes on where it was.
    Train(commands::train::Arguments),
    /// Draw conformations from a surrogate, starting at a frame of a trajectory or a structure.
    Sample(commands::sample::Arguments),
    /// Judge every frame of an ensemble: can MD start from it?
    Check(commands::check::Arguments),
    /// Score any ensemble against reference MD.
    Evaluate(commands::evaluate::Arguments),
    /// Compare surrogates with MD and null proposers on systems they never saw.
    Benchmark(commands::benchmark::Arguments),
    /// What an independent conformation costs, from MD and from a surrogate.
    BreakEven(commands::break_even::Arguments),
    /// Split sequences into sets that are not alike, with MMseqs2, and prove it.
    Split(commands::split::Arguments),
    /// Show a surrogate's model card.
    Model(commands::model::Arguments),
    /// Check this machine's numbers against stored reference numbers.
    #[command(subcommand)]
    Verify(commands::verify::Command),
    /// Seeds on a real engine: what works here, prepare, run.
    #[command(subcommand)]
    Engine(commands::engine::Command),
    /// MD, Markov model, jumps, seeds, again: the adaptive loop.
    #[command(subcommand)]
    Loop(commands::loops::Command),
    /// Seeds from other ensembles than the surrogate's.
    #[command(subcommand)]
    Seeds(commands::seeds::Command),
    /// What there is to compute on: the CPU, CUDA cards, and why not.
    Devices(commands::devices::Arguments),
    /// What plugins were found, what was refused and why.
    #[command(subcommand)]
    Plugins(commands::plugins::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    marsfm::use_threads(arguments.threads)?;
    let host = || -> anyhow::Result<marsfm::Host> {
        let mut host = marsfm::Host::with_default_paths();
        for path in &arguments.plugin {
            host.load(path)?;
        }
        Ok(host)
    };
    match arguments.command {
        Command::Demo(a) => commands::demo::run(&host()?, &a),
        Command::Msm(c) => commands::msm::run(&host()?, &c),
        Command::Train(a) => commands::train::run(&host()?, &a),
        Command::Sample(a) => commands::sample::run(&host()?, &a),
        Command::Check(a) => commands::check::run(&host()?, &a),
        Command::Benchmark(a) => commands::benchmark::run(&host()?, &a),
        Command::BreakEven(a) => commands::break_even::run(&host()?, &a),
        Command::Evaluate(a) => commands::evaluate::run(&host()?, &a),
        Command::Split(a) => commands::split::run(&a),
        Command::Model(a) => commands::model::run(&a),
        Command::Verify(c) => commands::verify::run(host, &c),
        Command::Engine(c) => commands::engine::run(&host()?, &c),
        Command::Loop(c) => commands::loops::run(&host()?, &c),
        Command::Seeds(c) => commands::seeds::run(&host()?, &c),
        Command::Devices(a) => commands::devices::run(&host()?, &a),
        Command::Plugins(c) => commands::plugins::run(&host()?, &c),
    }
}
