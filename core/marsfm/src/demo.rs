//! The main job on one peptide, end to end: MD → Markov model → surrogate → tree of jumps → atoms
//! rebuilt and checked → ensemble, seeds and a report that says how far to trust it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use marsfm_host::{Device, Host};
use marsfm_metrics::{Ensemble, PeptideScores};
use marsfm_sampling::{Difference, RequestedDomain, TreeSpec, differences};
use marsfm_surrogate::Surrogate;
use marsfm_training::config::{DataRecipe, DomainRecipe, PairRecipe, RunRecipe};
use marsfm_training::{PairLevel, Recipe, Sets, Status};

use crate::markov::{self, MsmSettings};
use crate::sample::{self, DEFAULT_SOLVER, EnsembleFiles, Start, Tally};
use crate::score::Reference;
use crate::systems::{System, SystemFiles};
use crate::{demo_report, small, train};

/// What to show.
pub struct DemoRequest<'a> {
    /// The MD.
    pub files: &'a SystemFiles,
    /// A trained surrogate; `None` trains a small one on this MD first.
    pub model: Option<&'a Path>,
    /// Lags and sizes of the Markov model; `None` chooses by the time between frames.
    pub msm: Option<MsmSettings>,
    /// Temperature, K, for free energies and the small surrogate's card.
    pub kelvin: f64,
    /// Draws, rejected ones counted.
    pub budget: usize,
    /// Jumps per chain.
    pub depth: usize,
    /// Most seeds to write.
    pub seeds: usize,
    /// Random seed.
    pub rng_seed: u64,
    /// Where jumps, and the training of a small surrogate, are computed.
    pub device: &'a Device,
    /// Folder to write into.
    pub out: &'a Path,
}

/// What the caller is told while it works.
pub enum DemoEvent<'a> {
    /// A stage begins.
    Stage(&'a str),
    /// A training step was done.
    Training(&'a Status),
    /// Draws done and wanted.
    Drawing(usize, usize),
}

/// What came out.
pub struct DemoOutcome {
    /// Name of the system and its sequence.
    pub name: String,
    /// One-letter sequence.
    pub sequence: String,
    /// Fates of the draws.
    pub tally: Tally,
    /// Surrogate against MD; `None` if nothing was accepted.
    pub scores: Option<PeptideScores>,
    /// Each replica against the others (TICA-0,1 JSD, macrostate JSD): the noise of the MD itself.
    pub noise: Vec<(f64, f64)>,
    /// What of the request lies outside the surrogate's training.
    pub differences: Vec<Difference>,
    /// Macrostates that accepted samples reached, and all.
    pub reached: (usize, usize),
    /// Slowest implied timescale, ps, and depth × lag of the chains, ps.
    pub slowest_ps: Option<f64>,
    /// depth × lag, ps.
    pub chain_ps: f64,
    /// True if the surrogate learned from the very MD it is compared with.
    pub trained_on_this: bool,
    /// Files of the ensemble.
    pub files: EnsembleFiles,
    /// The report.
    pub report: PathBuf,
    /// Seconds of drawing.
    pub drawing_seconds: f64,
}

/// Runs the demonstration.
pub fn run(
    host: &Host,
    request: &DemoRequest,
    mut event: impl FnMut(DemoEvent),
) -> Result<DemoOutcome> {
    event(DemoEvent::Stage("reading the trajectories"));
    let system = System::load(host, request.files)?;
    let settings = match &request.msm {
        Some(settings) => settings.clone(),
        None => settings_for(&system),
    };
    event(DemoEvent::Stage("building the Markov model"));
    let model = markov::build(&system, &settings)?;
    std::fs::create_dir_all(request.out)
        .with_context(|| format!("{}: cannot create the folder", request.out.display()))?;
    let surrogate = match request.model {
        Some(path) => host.surrogate(path, request.device)?.matched_to(request.kelvin)?,
        None => {
            event(DemoEvent::Stage("training a small surrogate on this MD"));
            train_small(host, &system, &settings, request, &mut event)?
        }
    };

    event(DemoEvent::Stage("growing a tree of jumps"));
    let start = Start {
        topology: &system.topology,
        peptide: &system.peptide,
        positions_nm: &system.reference.positions_nm,
    };
    let spec = TreeSpec::populations(request.budget, request.depth);
    let began = std::time::Instant::now();
    let nodes =
        sample::tree(&surrogate, &start, &spec, request.rng_seed, DEFAULT_SOLVER, |n, of| {
            event(DemoEvent::Drawing(n, of));
            true
        })?;
    let drawing_seconds = began.elapsed().as_secs_f64();
    event(DemoEvent::Stage("comparing with the MD and writing"));
    let tally = Tally::of(&nodes);
    let reference = Reference { system: &system, model: &model, kelvin: request.kelvin };
    let md = reference.md(0..model.rows.len())?;
    let accepted: Vec<usize> = (0..nodes.len()).filter(|i| nodes[*i].verdict.accepted()).collect();
    let (samples, scores, seeds) = if accepted.is_empty() {
        (Ensemble::default(), None, vec![])
    } else {
        let all: Vec<_> = accepted.iter().map(|i| nodes[*i].conformation.clone()).collect();
        let samples = reference.conformations(&all)?;
        let scores = reference.score(&md, &samples)?;
        let points: Vec<Vec<f64>> =
            (0..all.len()).map(|i| samples.tica.iter().map(|c| c[i]).collect()).collect();
        let seeds = sample::spread(&points, request.seeds).into_iter().map(|i| accepted[i]);
        (samples, Some(scores), seeds.collect())
    };
    let files =
        sample::write(host, request.out, &start, &surrogate, &nodes, &seeds, request.rng_seed)?;
    let lag_ps = surrogate.card().domain.lag_ps;
    let outcome = DemoOutcome {
        name: system.name.clone(),
        sequence: system.peptide.sequence(),
        scores,
        noise: noise(&reference)?,
        differences: differences(
            &surrogate.card().domain,
            system.peptide.types(),
            &RequestedDomain {
                temperature_kelvin: Some(request.kelvin),
                capped: Some(system.peptide.is_capped()),
                bystanders: Some(system.peptide.n_bystanders()),
                ..RequestedDomain::default()
            },
        ),
        reached: reached(&samples, model.msm.n_macrostates()),
        slowest_ps: model
            .msm
            .implied_timescales
            .iter()
            .find(|t| t.lag == model.msm.settings.msm_lag)
            .or(model.msm.implied_timescales.last())
            .and_then(|t| t.timescales.first())
            .map(|t| t * system.data.frame_ps()),
        chain_ps: lag_ps * spec.depth as f64,
        trained_on_this: request.model.is_none(),
        tally,
        files,
        report: request.out.join("report.html"),
        drawing_seconds,
    };
    demo_report::write(&outcome, &reference, &md, &samples, &surrogate)?;
    Ok(outcome)
}

/// 10 ps where frames are that dense, else one frame; pairs at five times that lag, and never so
/// long that the trajectories hold fewer than ten lags.
pub fn settings_for(system: &System) -> MsmSettings {
    let frame_ps = system.data.frame_ps();
    let longest = system.data.trajectories().iter().map(|t| t.n_frames()).max().unwrap_or(1);
    let lag = ((10.0 / frame_ps).round().max(1.0) as usize).min((longest / 10).max(1));
    let pair = (5 * lag).min((longest / 10).max(1));
    MsmSettings {
        tica_lag_ps: lag as f64 * frame_ps,
        msm_lag_ps: lag as f64 * frame_ps,
        pair_lag_ps: pair as f64 * frame_ps,
        ..MsmSettings::default()
    }
}

/// (TICA-0,1 JSD, macrostate JSD) of each replica against all others.
fn noise(reference: &Reference) -> Result<Vec<(f64, f64)>> {
    let n = reference.model.rows.len();
    if n < 2 {
        return Ok(vec![]);
    }
    let one = |out: usize| -> Result<(f64, f64)> {
        let others = reference.md((0..n).filter(|t| *t != out))?;
        let scores = reference.score(&others, &reference.md([out])?)?;
        Ok((scores.tica_01.unwrap_or(f64::NAN), scores.macrostates))
    };
    (0..n).map(one).collect()
}

fn reached(samples: &Ensemble, states: usize) -> (usize, usize) {
    let mut seen = vec![false; states];
    samples.macrostates.iter().filter(|s| **s < states).for_each(|s| seen[*s] = true);
    (seen.iter().filter(|s| **s).count(), states)
}

/// Steps of the small surrogate: minutes on two cores.
const SMALL_STEPS: u64 = 3000;

fn train_small(
    host: &Host,
    system: &System,
    settings: &MsmSettings,
    request: &DemoRequest,
    event: &mut impl FnMut(DemoEvent),
) -> Result<Surrogate> {
    let crop = small::crop(system.peptide.len());
    let recipe = Recipe {
        domain: DomainRecipe {
            temperature_kelvin: request.kelvin,
            force_field: "that of the given MD".into(),
            solvent: "that of the given MD".into(),
            termini: if system.peptide.is_capped() { "capped" } else { "charged" }.into(),
        },
        pairs: PairRecipe {
            tica_lag_ps: settings.tica_lag_ps,
            msm_lag_ps: settings.msm_lag_ps,
            pair_lag_ps: settings.pair_lag_ps,
            microstates: settings.microstates,
            macrostates: settings.macrostates,
            level: PairLevel::Macro,
            features: "torsions".into(),
        },
        data: DataRecipe { train: vec![system.name.clone()], ..DataRecipe::default() },
        network: small::network(),
        optimiser: small::optimiser(),
        run: RunRecipe {
            start_from: None,
            steps: SMALL_STEPS,
            batch: small::batch(crop),
            accumulate: 1,
            rng_seed: request.rng_seed,
            validate_every: 100,
            validation_samples: 0,
            save_every_seconds: 30,
            hide_residue_types: 0.0,
            mosaics: 0.0,
            mosaic_cut: 1.0,
            crop,
        },
    };
    let out = request.out.join("surrogate.safetensors");
    let prepared = train::prepare_system(system, request.kelvin, &recipe)?;
    let set = train::training_set(&recipe, vec![prepared])?;
    let sets = Sets { train: &set, validation: None, replay: None };
    let backend = train::backend_of(host, &recipe, request.device)?;
    let trained = train::run(&recipe, sets, backend, None, &out, |status| {
        event(DemoEvent::Training(status));
        true
    })?;
    if trained.is_none() {
        bail!("training was interrupted; run the same command again to go on");
    }
    Ok(host.surrogate(&out, request.device)?)
}

impl DemoOutcome {
    /// What was found and how far to trust it, in sentences.
    pub fn in_words(&self) -> Vec<String> {
        let t = &self.tally;
        let mut words = vec![format!(
            "{} ({}): {} draws in {:.1} s, {} accepted ({:.0} %), {} of them need repair by minimisation, {} were rebuilt from their torsions.",
            self.name,
            self.sequence,
            t.draws,
            self.drawing_seconds,
            t.accepted,
            100.0 * t.acceptance(),
            t.need_repair,
            t.rebuilt
        )];
        if !t.rejected.is_empty() {
            let reasons: Vec<String> =
                t.rejected.iter().map(|(r, n)| format!("{r:?} {n}")).collect();
            words.push(format!("Rejected for: {}.", reasons.join(", ")));
        }
        let (reached, all) = self.reached;
        words.push(format!(
            "From one start frame the jumps reached {reached} of the MD's {all} macrostates."
        ));
        match (&self.scores, self.noise.is_empty()) {
            (None, _) => words.push("Nothing was accepted: this surrogate is of no use here.".into()),
            (Some(s), false) => {
                let n = self.noise.len() as f64;
                let tica = self.noise.iter().map(|x| x.0).sum::<f64>() / n;
                let states = self.noise.iter().map(|x| x.1).sum::<f64>() / n;
                words.push(format!(
                    "Distance to the MD (√JSD, 0 is equal, 0.83 disjoint): {:.2} over the first two TICA coordinates, {:.2} over macrostates. One MD replica against the others: {tica:.2} and {states:.2}.",
                    s.tica_01.unwrap_or(f64::NAN), s.macrostates
                ));
            }
            (Some(s), true) => words.push(format!(
                "Distance to the MD (√JSD): {:.2} over the first two TICA coordinates, {:.2} over macrostates; with one replica the noise of the MD itself is unknown.",
                s.tica_01.unwrap_or(f64::NAN), s.macrostates
            )),
        }
        if self.trained_on_this {
            words.push("The surrogate was trained on this very MD, so the comparison shows how well it fits, not how well it predicts.".into());
        }
        if let Some(slowest) = self.slowest_ps {
            let verdict = if self.chain_ps >= 3.0 * slowest {
                "long enough for populations"
            } else {
                "shorter than three times that, so populations still remember the start"
            };
            words.push(format!(
                "Each chain of jumps spans {:.0} ps; the slowest process of the MD takes about {slowest:.0} ps: {verdict}.",
                self.chain_ps
            ));
        }
        for d in &self.differences {
            words.push(format!("Outside the surrogate's training ({}): {}.", d.what, d.message));
        }
        words.push("Seeds are starting structures, not samples of an equilibrium: take populations and rates from MD started there, through a Markov model.".into());
        words
    }
}
