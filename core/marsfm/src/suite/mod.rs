//! `marsfm benchmark --suite`: all rows of the paper's tables in one run, on targets that were never
//! trained on. Each row has the same budget of conformations; beside every number stand n_eff, the
//! floor at matched n and what MD of the same length scores. A target that fails is named, and the
//! table says of how many the rest is.

mod ensembles;
mod pictures;
pub mod published;
mod summary;
mod targets;
mod write;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use marsfm_host::Host;
use marsfm_surrogate::{Solver, Surrogate};
use serde::Serialize;

use crate::evaluate::{Detail, EvaluateSettings, Evaluation, Molecule, Reference, Scored, protein};
use ensembles::Source;
pub use pictures::TargetPictures;
pub use summary::{Comparison, Summary};
pub use targets::{Target, existing};
pub use write::write;

const BIOEMU: &str = "BioEmu";

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// Tetrapeptides (or any short chains) in folders of PDB and XTC.
    Tetrapeptide,
    /// Domains in mdCATH files.
    MdCath,
}

/// What to run.
pub struct SuiteRequest<'a> {
    /// Which table.
    pub suite: Suite,
    /// What to score on.
    pub targets: Vec<Target>,
    /// The jump surrogate, with the name of its row.
    pub surrogate: Option<(String, &'a Surrogate)>,
    /// Surrogates of MDGen layout, with their names: rows for autoregressive rollouts, parallel
    /// windows, and the hybrid with the jump surrogate.
    pub mdgen: Vec<(String, &'a Surrogate)>,
    /// Folder of BioEmu's output: NAME/topology.pdb and NAME/samples.xtc for each target.
    pub bioemu: Option<PathBuf>,
    /// MD that the residue library is made of.
    pub library: Vec<Target>,
    /// Conformations per row and target, rejected ones counted.
    pub budget: usize,
    /// Jumps per chain.
    pub depth: usize,
    /// How to integrate.
    pub solver: Solver,
    /// Seed of all draws.
    pub rng_seed: u64,
    /// Of the scores.
    pub settings: EvaluateSettings,
}

/// One score of one row.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Name of the score.
    pub name: String,
    /// Value.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Floor at matched n.
    pub floor: Option<f64>,
    /// MD of the same length against itself.
    pub md_noise: Option<f64>,
}

/// What correlations over targets are made of.
#[derive(Clone, Debug, Serialize)]
pub struct Fluctuation {
    /// MD, nm.
    pub rmsf_md_nm: Vec<f64>,
    /// Sample, nm.
    pub rmsf_nm: Vec<f64>,
    /// MD, nm.
    pub pairwise_rmsd_md_nm: f64,
    /// Sample, nm.
    pub pairwise_rmsd_nm: f64,
}

impl Fluctuation {
    fn of(p: &protein::ProteinNumbers) -> Self {
        Self {
            rmsf_md_nm: p.reference.rmsf_nm.clone(),
            rmsf_nm: p.sample.rmsf_nm.clone(),
            pairwise_rmsd_md_nm: p.reference.pairwise_rmsd_nm.value,
            pairwise_rmsd_nm: p.sample.pairwise_rmsd_nm.value,
        }
    }
}

/// One row of one target.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Target.
    pub target: String,
    /// Method.
    pub method: String,
    /// Replica, for MD as a competitor.
    pub replica: Option<usize>,
    /// Conformations drawn, rejected ones counted.
    pub draws: usize,
    /// Conformations scored.
    pub n_frames: usize,
    /// Effectively independent ones.
    pub n_eff: f64,
    /// Frames of MD that they are scored against.
    pub reference_frames: usize,
    /// Effectively independent ones.
    pub reference_n_eff: f64,
    /// Share of the draws that the checks accept.
    pub acceptance: f64,
    /// Share of the scored conformations outside the reference's microstates.
    pub outside: f64,
    /// Wall time of drawing, s; 0 for MD.
    pub seconds: f64,
    /// The scores.
    pub scores: Vec<Cell>,
    /// Fluctuations of proteins.
    pub fluctuation: Option<Fluctuation>,
}

impl Row {
    fn new(target: &str, method: &str, made: &ensembles::Made, e: &Evaluation) -> Self {
        let cell = |s: &crate::evaluate::Score| Cell {
            name: s.name.clone(),
            value: s.interval.value,
            low: s.interval.low,
            high: s.interval.high,
            floor: s.floor.map(|f| f.value),
            md_noise: s.md_noise.map(|n| n.mean),
        };
        Self {
            target: target.into(),
            method: method.into(),
            replica: made.replica,
            draws: made.draws,
            n_frames: e.sample.n_frames,
            n_eff: e.sample.n_eff,
            reference_frames: e.reference.n_frames,
            reference_n_eff: e.reference.n_eff,
            acceptance: made.accepted as f64 / made.draws.max(1) as f64,
            outside: e.outside_fraction,
            seconds: made.seconds,
            scores: e.scores.iter().map(cell).collect(),
            fluctuation: e.protein.as_ref().map(Fluctuation::of),
        }
    }

    /// A score by its name.
    pub fn score(&self, name: &str) -> Option<&Cell> {
        self.scores.iter().find(|s| s.name == name)
    }
}

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub struct SuiteResult {
    /// Which table.
    pub suite: Suite,
    /// Conformations per row and target.
    pub budget: usize,
    /// Seed of all draws.
    pub rng_seed: u64,
    /// SHA-256 of the models, by row name.
    pub models: Vec<(String, String)>,
    /// Targets that were scored.
    pub targets: Vec<String>,
    /// Every row of every target.
    pub rows: Vec<Row>,
    /// Means over targets.
    pub summary: Vec<Summary>,
    /// Rows against each other, target by target.
    pub comparisons: Vec<Comparison>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// Constants of the scores.
    pub settings: EvaluateSettings,
    /// What the targets look like; on the page only.
    #[serde(skip)]
    pub pictures: Vec<TargetPictures>,
}

/// Runs a suite; `report` is told each row as it is done.
pub fn run(
    host: &Host,
    request: &SuiteRequest,
    mut report: impl FnMut(&Row),
) -> Result<SuiteResult> {
    let mut notes = Vec::new();
    refuse_training_targets(request)?;
    let library = ensembles::library(host, request, &mut notes)?;
    let (mut rows, mut scored, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
    for target in &request.targets {
        match score_target(host, request, target, &library, &mut notes) {
            Ok((found, drawn)) => {
                found.iter().for_each(&mut report);
                rows.extend(found);
                pictures.push(drawn);
                scored.push(target.name.clone());
            }
            Err(e) => notes.push(format!("target {} left out: {e:#}", target.name)),
        }
    }
    ensure!(!rows.is_empty(), "no target could be scored: {}", notes.join("; "));
    let models = request.surrogate.iter().chain(&request.mdgen);
    Ok(SuiteResult {
        suite: request.suite,
        budget: request.budget,
        rng_seed: request.rng_seed,
        models: models.map(|(name, s)| (name.clone(), s.sha256().to_string())).collect(),
        summary: summary::summarise(request.suite, &rows, request.rng_seed),
        comparisons: summary::compare(&rows, request.rng_seed),
        targets: scored,
        rows,
        notes,
        settings: request.settings.clone(),
        pictures,
    })
}

fn refuse_training_targets(request: &SuiteRequest) -> Result<()> {
    for (name, surrogate) in request.surrogate.iter().chain(&request.mdgen) {
        let Some(training) = &surrogate.card().training else { continue };
        if let Some(t) = request.targets.iter().find(|t| training.saw(&t.name)) {
            anyhow::bail!("{name} was trained on {}: it cannot be scored on it", t.name);
        }
    }
    Ok(())
}

fn score_target(
    host: &Host,
    request: &SuiteRequest,
    target: &Target,
    library: &ensembles::Libraries,
    notes: &mut Vec<String>,
) -> Result<(Vec<Row>, TargetPictures)> {
    let molecule = Molecule::read(host, &target.topology, Detail::All)?;
    let native = target.native.as_deref().map(|p| Molecule::read_own(host, p)).transpose()?;
    let reference = Reference::new(
        host,
        &target.name,
        molecule,
        native.as_ref(),
        &target.reference,
        &request.settings,
    )?;
    let start = ensembles::start(host, &reference, &target.reference[0])?;
    let source = Source { request, target, reference: &reference, start };
    let mut found: Vec<(String, Result<(ensembles::Made, Scored)>)> = Vec::new();
    let replicas = match reference.md.files.len() {
        1 => 0,
        n => n,
    };
    for held_out in 0..replicas {
        let (others, sample) = reference.hold_out(held_out, request.budget)?;
        let made = ensembles::Made::md(sample, held_out);
        let scored = others.score(&made.sample)?;
        found.push((summary::ORACLE.into(), Ok((made, scored))));
    }
    for (method, made) in source.all(library)? {
        let scored = made.and_then(|made| {
            let scored = reference.score(&made.sample)?;
            Ok((made, scored))
        });
        found.push((method, scored));
    }
    if let Some(folder) = &request.bioemu {
        let scored = bioemu(host, request, target, &folder.join(&target.name));
        found.push((BIOEMU.into(), scored));
    }
    // BioEmu's backbones are in the numbers of a model of their own.
    let drawn: Vec<(&str, &Scored)> = found
        .iter()
        .filter(|(method, _)| method != BIOEMU)
        .filter_map(|(method, s)| Some((method.as_str(), &s.as_ref().ok()?.1)))
        .collect();
    let pictures = pictures::of_target(host, target, &reference, &drawn)?;
    let mut rows = Vec::new();
    for (method, scored) in found {
        match scored {
            Err(e) => notes.push(format!("{}, {method}: {e:#}", target.name)),
            Ok((made, scored)) => {
                rows.push(Row::new(&target.name, &method, &made, &scored.evaluation));
                // What the reference's model says is the same for every row.
                let own = scored.evaluation.notes.into_iter();
                for note in own.filter(|n| !n.starts_with("reference model")) {
                    let note = format!("{}: {note}", target.name);
                    if !notes.contains(&note) {
                        notes.push(note);
                    }
                }
            }
        }
    }
    ensure!(!rows.is_empty(), "no row could be scored");
    Ok((rows, pictures))
}

/// BioEmu's files: backbones with a topology of their own, the first `budget` of them.
fn bioemu(
    host: &Host,
    request: &SuiteRequest,
    target: &Target,
    folder: &Path,
) -> Result<(ensembles::Made, Scored)> {
    let own = Molecule::read_own(host, &folder.join("topology.pdb"))?;
    let molecule = Molecule::read(host, &target.topology, own.detail)?;
    crate::evaluate::molecule::check_same(&molecule, &own)?;
    let mut notes = Vec::new();
    let samples = [folder.join("samples.xtc")];
    let read = crate::evaluate::Read::files(host, &own, &samples, None, false, &mut notes)?;
    let n = read.n_frames().min(request.budget);
    let some: Vec<usize> = (0..n).collect();
    let width = 2 * molecule.torsions.torsions().len();
    let native = target.native.as_deref().map(|p| Molecule::read_own(host, p)).transpose()?;
    let (name, files) = (&target.name, &target.reference);
    let reference =
        Reference::new(host, name, molecule, native.as_ref(), files, &request.settings)?;
    let sample = crate::evaluate::Sample::draws(read.reordered(&some, width));
    let scored = reference.score(&sample)?;
    let accepted = n - scored.evaluation.sample.validity.rejected;
    Ok((ensembles::Made { accepted, ..ensembles::Made::frames(sample) }, scored))
}
