//! `marsfm msm build`, and the settings that `partial` shares with it.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::markov::MsmSettings;
use marsfm::markov::auto::{self, Choice, Fixed};
use marsfm::markov::files::Features;
use marsfm::markov::passes::{self, FilesRequest};
use marsfm::markov::{report, validation};
use marsfm::msm::Scaling;

use super::{Files, show};
use crate::progress::Progress;

/// The paper's lags, by data set.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Preset {
    /// Tetrapeptides: all lags 100 ps.
    Tetrapeptides,
    /// mdCATH domains: all lags 50 ns.
    Mdcath,
}

/// Scaling of the projection.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
pub enum ScalingName {
    /// Coordinate times eigenvalue: distances are kinetic distances at the lag.
    #[default]
    KineticMap,
    /// Coordinate times the root of half its timescale: commute distances.
    CommuteMap,
    /// Unit variance.
    None,
}

/// What a model is built of; the defaults are the paper's sizes.
#[derive(clap::Args)]
pub struct Settings {
    /// Features, separated by commas: torsions, backbone, ca-distances, heavy-distances, contacts,
    /// rg-ss, ss8 [default: torsions].
    #[arg(long)]
    features: Option<marsfm::markov::files::FeatureChoice>,
    /// Featurizer plugin instead of them: NAME or NAME=OPTIONS.
    #[arg(long, conflicts_with = "features")]
    feature_plugin: Option<String>,
    /// All three lags as in the paper.
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Lag of TICA, ps [default: 10].
    #[arg(long)]
    tica_lag: Option<f64>,
    /// Lag of the microstate model, ps [default: 10].
    #[arg(long)]
    msm_lag: Option<f64>,
    /// Lag of the macrostate matrix, ps [default: 10].
    #[arg(long)]
    pair_lag: Option<f64>,
    /// k-means microstates [default: 100].
    #[arg(long)]
    microstates: Option<usize>,
    /// PCCA+ macrostates [default: 10].
    #[arg(long)]
    macrostates: Option<usize>,
    /// Fraction of the kinetic variance that TICA keeps.
    #[arg(long, default_value_t = 0.95)]
    var_cutoff: f64,
    /// Scaling of the projection.
    #[arg(long, value_enum, default_value_t)]
    scaling: ScalingName,
    /// Random seed of k-means.
    #[arg(long, default_value_t = 137)]
    rng_seed: u64,
}

impl Settings {
    /// As the library takes it.
    pub fn request(&self, files: &Files) -> FilesRequest {
        let lag = match self.preset {
            None => 10.0,
            Some(Preset::Tetrapeptides) => 100.0,
            Some(Preset::Mdcath) => 50_000.0,
        };
        let plugin = self.feature_plugin.as_deref().map(Features::plugin_named);
        FilesRequest {
            files: files.request(),
            features: Features { choice: self.features.clone().unwrap_or_default(), plugin },
            settings: MsmSettings {
                tica_lag_ps: self.tica_lag.unwrap_or(lag),
                msm_lag_ps: self.msm_lag.unwrap_or(lag),
                pair_lag_ps: self.pair_lag.unwrap_or(lag),
                microstates: self.microstates.unwrap_or(100),
                macrostates: self.macrostates.unwrap_or(10),
                rng_seed: self.rng_seed,
            },
            var_cutoff: self.var_cutoff,
            scaling: match self.scaling {
                ScalingName::KineticMap => Scaling::KineticMap,
                ScalingName::CommuteMap => Scaling::CommuteMap,
                ScalingName::None => Scaling::None,
            },
            mini_batch: false,
            spill: None,
        }
    }

    fn fixed(&self) -> Fixed {
        let lags = self.preset.is_some();
        Fixed {
            features: self.features.is_some() || self.feature_plugin.is_some(),
            microstates: self.microstates.is_some(),
            tica_lag: lags || self.tica_lag.is_some(),
            msm_lag: lags || self.msm_lag.is_some(),
            pair_lag: lags || self.pair_lag.is_some(),
            macrostates: self.macrostates.is_some(),
        }
    }
}

/// Arguments of `marsfm msm build`.
#[derive(clap::Args)]
pub struct Build {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    settings: Settings,
    /// Choose features, lags and numbers of states from the data; what is given is kept.
    #[arg(long)]
    auto: bool,
    /// After k-means on a subsample, one more pass: mini-batches of all frames move the centres.
    #[arg(long)]
    mini_batch: bool,
    /// Page with timescales, Chapman–Kolmogorov, free energy and the network of states.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print what came out as JSON.
    #[arg(long)]
    json: bool,
    /// Model file to write (safetensors with a JSON header).
    #[arg(long)]
    out: PathBuf,
}

/// Builds, saves, tells.
pub fn run(host: &Host, a: &Build) -> anyhow::Result<ExitCode> {
    let mut request = FilesRequest {
        mini_batch: a.mini_batch,
        spill: Some(super::beside(&a.out)),
        ..a.settings.request(&a.files)
    };
    let mut progress = Progress::new();
    let mut choices: Vec<Choice> = Vec::new();
    if a.auto {
        choices =
            auto::choose(host, &mut request, a.settings.fixed(), |stage| progress.stage(stage))?;
    }
    progress.clear();
    let mut passes = Passes::new(request.files.trajectories.len(), a.mini_batch);
    let msm = passes::build(host, &request, |pass, done| passes.at(pass, done))?;
    passes.clear();
    msm.save(&a.out)?;
    if let Some(page) = &a.report {
        progress.stage("report");
        let validation = validation::validate(&msm, show::SAMPLES, a.settings.rng_seed)?;
        let surface = report::surface(host, &msm, &request.files, &super::beside(page))?;
        report::write(page, &msm, &validation, surface.as_ref(), &choices)?;
        progress.clear();
    }
    if !a.json {
        for choice in &choices {
            println!("{}: {} ({})", choice.what, choice.value, choice.why);
        }
    }
    show::tell(&msm, &choices, a.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Progress of the passes of a build.
pub struct Passes {
    progress: Progress,
    running: usize,
    trajectories: u64,
    names: Vec<&'static str>,
}

impl Passes {
    /// Over so many trajectories.
    pub fn new(trajectories: usize, mini_batch: bool) -> Self {
        let mut names = vec!["moments", "points for k-means", "states"];
        if mini_batch {
            names.insert(2, "mini-batches");
        }
        Self { progress: Progress::new(), running: 0, trajectories: trajectories as u64, names }
    }

    /// Trajectories done of a pass.
    pub fn at(&mut self, pass: usize, done: usize) {
        if pass != self.running {
            self.progress.stage(self.names[pass - 1]);
            self.running = pass;
        }
        self.progress.at(done as u64, self.trajectories, "trajectories".into());
    }

    /// Removes what is shown.
    pub fn clear(&mut self) {
        self.progress.clear();
    }
}
