//! `marsfm benchmark`: surrogates against the residue library on peptides they never saw; exit
//! code 1 if the first surrogate does not beat it in both distances. With `--suite`, all rows of the
//! paper's tables instead ([`super::suite`]).

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use marsfm::Host;
use marsfm::benchmark::{
    BenchmarkRequest, Row, randomised, run as compare, summary, training_library,
};
use serde::Serialize;

/// Arguments of `marsfm benchmark`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Surrogate to judge, instead of the default one.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Folders with one folder per peptide: those scored on and those the model was trained on. Can
    /// be repeated; the first that has a peptide is taken.
    #[arg(long)]
    pub data: Vec<PathBuf>,
    /// Peptides to score on (mdCATH files with --suite mdcath); none may be one the surrogate was
    /// trained on.
    #[arg(required = true)]
    pub systems: Vec<String>,
    #[command(flatten)]
    pub suite: super::suite::SuiteArguments,
    /// Judge the same network with random weights instead: it must lose.
    #[arg(long)]
    pub random_weights: bool,
    /// Draws per peptide and proposer, rejected ones counted.
    #[arg(long, default_value_t = 10_000)]
    pub budget: usize,
    /// Jumps per chain.
    #[arg(long, default_value_t = 40)]
    pub depth: usize,
    #[command(flatten)]
    pub steps: super::StepsArgument,
    /// Random seed.
    #[arg(long, default_value_t = 1)]
    pub rng_seed: u64,
    #[command(flatten)]
    pub device: super::DeviceArgument,
    /// Print rows and summary as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Output {
    model_sha256: String,
    beats_library: bool,
    summary: Vec<Line>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Line {
    proposer: String,
    rows: usize,
    acceptance: f64,
    torsion_jsd: f64,
    tica_01_jsd: f64,
    macrostate_jsd: f64,
}

/// Compares.
pub fn run(host: &Host, a: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(suite) = a.suite.suite {
        return super::suite::run(host, suite, a);
    }
    ensure!(!a.data.is_empty(), "--data FOLDER is needed: where the peptides' MD is");
    let model = super::model(a.model.as_ref())?;
    let trained = host.surrogate(&model, &a.device.device)?;
    eprintln!("building the residue library from the training peptides");
    let (library, missing) = training_library(host, &a.data, &trained)?;
    if !missing.is_empty() {
        eprintln!("without {}, which are not in the folders of --data", missing.join(" "));
    }
    let judged = if a.random_weights {
        randomised(host, &trained, a.rng_seed, &a.device.device)?
    } else {
        trained
    };
    let name = if a.random_weights { "random weights" } else { "trained" };
    let request = BenchmarkRequest {
        data: &a.data,
        systems: &a.systems,
        surrogates: &[(name.to_string(), &judged)],
        budget: a.budget,
        depth: a.depth,
        rng_seed: a.rng_seed,
        solver: a.steps.solver(),
    };
    if !a.json {
        println!(
            "{:<10} {:<28} {:>7} {:>9} {:>9} {:>9} {:>9} {:>8}",
            "peptide", "proposer", "draws", "accepted", "torsions", "TICA-0,1", "states", "seconds"
        );
    }
    let show = |system: &str,
                proposer: &str,
                draws: usize,
                acceptance: f64,
                h: [f64; 3],
                seconds: f64| {
        println!(
            "{system:<10} {proposer:<28} {draws:>7} {:>8.1}% {:>9.3} {:>9.3} {:>9.3} {seconds:>8.1}",
            100.0 * acceptance,
            h[0],
            h[1],
            h[2]
        );
    };
    let rows = compare(host, &request, &library, |r| {
        if !a.json {
            show(&r.system, &r.proposer, r.draws, r.acceptance, r.headline(), r.seconds);
        }
    })?;
    let means = summary(&rows);
    let of = |prefix: &str| means.iter().find(|m| m.0.starts_with(prefix)).map(|m| m.3);
    let beats = match (of("surrogate"), of("residue library")) {
        (Some(s), Some(l)) => s[1] < l[1] && s[2] < l[2],
        _ => false,
    };
    if a.json {
        let line = |(proposer, rows, acceptance, h): (String, usize, f64, [f64; 3])| Line {
            proposer,
            rows,
            acceptance,
            torsion_jsd: h[0],
            tica_01_jsd: h[1],
            macrostate_jsd: h[2],
        };
        let summary = means.into_iter().map(line).collect();
        super::print_json(&Output {
            model_sha256: judged.sha256().into(),
            beats_library: beats,
            summary,
            rows,
        })?;
    } else {
        println!("means");
        for (proposer, n, acceptance, h) in &means {
            show(&format!("n={n}"), proposer, 0, *acceptance, *h, 0.0);
        }
        let verdict = if beats { "beats" } else { "does NOT beat" };
        println!("the surrogate {verdict} the residue library in TICA-0,1 and macrostate JSD");
    }
    Ok(if beats { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
