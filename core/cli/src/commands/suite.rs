//! `marsfm benchmark --suite`: one run, all rows, result files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use marsfm::Host;
use marsfm::evaluate::EvaluateSettings;
use marsfm::suite::{self, Row, SuiteRequest, Target};
use marsfm::surrogate::Surrogate;

use super::benchmark::Arguments;

/// Which table.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Suite {
    /// Short chains in the folders of --data.
    Tetrapeptide,
    /// mdCATH files.
    Mdcath,
}

/// Arguments of the suites.
#[derive(clap::Args)]
pub struct SuiteArguments {
    /// All rows of the paper's tables on the systems named, with result files, instead of the verdict
    /// on the residue library.
    #[arg(long, value_enum)]
    pub suite: Option<Suite>,
    /// A surrogate of MDGen layout: rows for its rollouts, parallel windows and the hybrid. Can be
    /// repeated.
    #[arg(long, value_name = "FILE", requires = "suite")]
    mdgen: Vec<PathBuf>,
    /// Folder of BioEmu's output: NAME/topology.pdb and NAME/samples.xtc.
    #[arg(long, value_name = "FOLDER", requires = "suite")]
    bioemu: Option<PathBuf>,
    /// Temperature, K: which MD of an mdCATH file, and that of free energies; 350 for peptides, 450
    /// for domains unless given.
    #[arg(long, requires = "suite")]
    kelvin: Option<u32>,
    /// Lag of the Markov models, ps; the jump's for peptides, 50,000 for domains unless given.
    /// Kinetics of peptides are compared over the jump all the same, where the MD allows it.
    #[arg(long, requires = "suite")]
    lag: Option<f64>,
    /// Microstates.
    #[arg(long, default_value_t = 100, requires = "suite")]
    microstates: usize,
    /// Macrostates.
    #[arg(long, default_value_t = 10, requires = "suite")]
    macrostates: usize,
    /// Bootstrap resamples.
    #[arg(long, default_value_t = 100, requires = "suite")]
    resamples: usize,
    /// Folder for results.json, results.csv, table.md and report.html.
    #[arg(long, default_value = "benchmark", requires = "suite")]
    out: PathBuf,
}

/// Name of the jump surrogate's row.
const JUMPS: &str = "MarS-FM";

/// Runs a suite.
pub fn run(host: &Host, which: Suite, a: &Arguments) -> anyhow::Result<ExitCode> {
    let s = &a.suite;
    let mut notes = Vec::new();
    let load = |path: &Path| Ok::<_, anyhow::Error>(host.surrogate(path, &a.device.device)?);
    // The default surrogate knows peptides; on domains a surrogate must be named.
    let model = match (which, &a.model) {
        (Suite::Mdcath, None) => None,
        (_, named) => Some(load(&super::model(named.as_ref())?)?),
    };
    let mdgen = s.mdgen.iter().map(|path| load(path));
    let mdgen = mdgen.collect::<anyhow::Result<Vec<_>>>()?;
    let kelvin = s.kelvin.unwrap_or(match which {
        Suite::Tetrapeptide => 350,
        Suite::Mdcath => 450,
    });
    let (suite, targets) = match which {
        Suite::Tetrapeptide => {
            anyhow::ensure!(!a.data.is_empty(), "--data FOLDER is needed: where the MD is");
            let all = a.systems.iter().map(|name| Target::in_folders(&a.data, name));
            (suite::Suite::Tetrapeptide, suite::existing(all, &mut notes)?)
        }
        Suite::Mdcath => {
            let mut missing = Vec::new();
            let all: Vec<_> = a
                .systems
                .iter()
                .map(|file| Target::in_mdcath(host, file.as_ref(), kelvin, &mut missing))
                .collect();
            let targets = suite::existing(all, &mut notes)?;
            notes.extend(missing);
            (suite::Suite::MdCath, targets)
        }
    };
    let library = match suite {
        suite::Suite::Tetrapeptide => training_systems(model.as_ref(), &a.data, &mut notes),
        suite::Suite::MdCath => vec![],
    };
    let mut settings = EvaluateSettings {
        kelvin: f64::from(kelvin),
        resamples: s.resamples,
        rng_seed: a.rng_seed,
        ..EvaluateSettings::default()
    };
    let msm = &mut settings.msm;
    let jump = model.as_ref().map(|m| m.card().domain.lag_ps);
    let lag = s.lag.unwrap_or(match suite {
        suite::Suite::Tetrapeptide => jump.unwrap_or(msm.pair_lag_ps),
        suite::Suite::MdCath => 50_000.0,
    });
    (msm.tica_lag_ps, msm.msm_lag_ps, msm.pair_lag_ps) = (lag, lag, lag);
    (msm.microstates, msm.macrostates) = (s.microstates, s.macrostates);
    // Kinetics are compared over a jump, and stored frames jump as far as the surrogate does.
    settings.jump_ps = jump.filter(|_| suite == suite::Suite::Tetrapeptide);
    let request = SuiteRequest {
        suite,
        targets,
        surrogate: model.as_ref().map(|m| (JUMPS.to_string(), m)),
        mdgen: mdgen.iter().map(|m| ("MDGen".to_string(), m)).collect(),
        bioemu: s.bioemu.clone(),
        library,
        budget: a.budget,
        depth: a.depth,
        solver: a.steps.solver(),
        rng_seed: a.rng_seed,
        settings,
    };
    let mut result = suite::run(host, &request, |row| eprintln!("{}", line(row)))?;
    result.notes.splice(0..0, notes);
    let name = request.surrogate.as_ref().map(|s| s.0.as_str());
    let files = suite::write(&s.out, &result, name)?;
    if a.json {
        super::print_json(&result)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", std::fs::read_to_string(&files[2])?);
    let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    println!("written: {}", names.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// The systems that a surrogate was trained on, as far as they are in the folders.
fn training_systems(
    model: Option<&Surrogate>,
    data: &[PathBuf],
    notes: &mut Vec<String>,
) -> Vec<Target> {
    let Some(training) = model.and_then(|m| m.card().training.as_ref()) else { return vec![] };
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in training.systems.keys() {
        match Target::in_folders(data, name) {
            Ok(target) => found.push(target),
            Err(_) => missing.push(name.as_str()),
        }
    }
    if !missing.is_empty() {
        notes.push(format!(
            "residue library: {} of {} training systems are not in the folders of --data: {}",
            missing.len(),
            training.systems.len(),
            missing.join(" ")
        ));
    }
    found
}

fn line(row: &Row) -> String {
    let value = |name: &str| row.score(name).map_or("–".into(), |c| format!("{:.3}", c.value));
    let method = row.replica.map_or(row.method.clone(), |r| format!("{}, replica {r}", row.method));
    format!(
        "{:<10} {method:<30} {:>6} frames, {:>5.1} % accepted, torsions {}, TICA-0,1 {}, states {}, \
         {:.1} s",
        row.target,
        row.n_frames,
        100.0 * row.acceptance,
        value("torsions (all)"),
        value("TICA-0,1"),
        value("macrostates"),
        row.seconds
    )
}
