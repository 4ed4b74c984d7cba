//! `marsfm evaluate`: the scores of any ensemble against reference MD.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::evaluate::{EvaluateSettings, Evaluation, Sources, evaluate, report};

/// Arguments of `marsfm evaluate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Atoms of reference and samples, with coordinates (PDB, mmCIF).
    #[arg(long)]
    topology: PathBuf,
    /// Reference MD, one file per replica.
    #[arg(long, required = true, num_args = 1..)]
    reference: Vec<PathBuf>,
    /// The ensemble to score.
    #[arg(long, required = true, num_args = 1..)]
    samples: Vec<PathBuf>,
    /// Atoms of the samples where they are others than the reference's, with coordinates: another
    /// order, without hydrogens, or backbones alone (BioEmu's topology.pdb).
    #[arg(long, value_name = "FILE")]
    samples_topology: Option<PathBuf>,
    /// Structure that native contacts and superposition refer to, instead of --topology's.
    #[arg(long, value_name = "FILE")]
    native: Option<PathBuf>,
    /// The samples are time series (MD), not independent draws.
    #[arg(long)]
    samples_are_trajectories: bool,
    /// The samples.json that `marsfm sample` wrote beside its ensemble: trees are resampled whole,
    /// and their jumps are compared with the MD's kinetics.
    #[arg(long, value_name = "FILE", conflicts_with = "samples_are_trajectories")]
    record: Option<PathBuf>,
    /// Lag of TICA, of the microstate model and of the macrostate matrix, ps.
    #[arg(long, default_value_t = 10.0)]
    lag: f64,
    /// Microstates of the reference's model.
    #[arg(long, default_value_t = 100)]
    microstates: usize,
    /// Macrostates of the reference's model.
    #[arg(long, default_value_t = 10)]
    macrostates: usize,
    /// Time between MD frames, ps, where the files cannot tell.
    #[arg(long)]
    frame_ps: Option<f64>,
    /// Temperature, K.
    #[arg(long, default_value_t = 350.0)]
    kelvin: f64,
    /// Bins of one coordinate.
    #[arg(long, default_value_t = 100)]
    bins: usize,
    /// Bins per axis of two coordinates.
    #[arg(long, default_value_t = 50)]
    bins_2d: usize,
    /// Bins of Rg.
    #[arg(long, default_value_t = 50)]
    rg_bins: usize,
    /// Added to the probability of every Rg bin.
    #[arg(long, default_value_t = 1e-6)]
    rg_smoothing: f64,
    /// Bootstrap resamples.
    #[arg(long, default_value_t = 200)]
    resamples: usize,
    /// Random seed of bootstrap and floor.
    #[arg(long, default_value_t = 0)]
    rng_seed: u64,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
    /// Write a page with table and pictures; the numbers go beside it as JSON.
    #[arg(long, value_name = "R.html")]
    report: Option<PathBuf>,
    /// Write microstate and macrostate of every frame of both sides as JSON.
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
}

/// Scores.
pub fn run(host: &Host, a: &Arguments) -> anyhow::Result<ExitCode> {
    let mut settings = EvaluateSettings {
        kelvin: a.kelvin,
        bins_1d: a.bins,
        bins_2d: a.bins_2d,
        rg_bins: a.rg_bins,
        rg_smoothing: a.rg_smoothing,
        frame_ps: a.frame_ps,
        samples_are_trajectories: a.samples_are_trajectories,
        resamples: a.resamples,
        rng_seed: a.rng_seed,
        ..EvaluateSettings::default()
    };
    let msm = &mut settings.msm;
    (msm.tica_lag_ps, msm.msm_lag_ps, msm.pair_lag_ps) = (a.lag, a.lag, a.lag);
    (msm.microstates, msm.macrostates) = (a.microstates, a.macrostates);
    let sources = Sources {
        topology: &a.topology,
        reference: &a.reference,
        samples: &a.samples,
        sample_topology: a.samples_topology.as_deref(),
        native: a.native.as_deref(),
        record: a.record.as_deref(),
    };
    let (reference, scored) = evaluate(host, &sources, &settings)?;
    let e = &scored.evaluation;
    if let Some(path) = &a.report {
        let name = a.samples[0].file_stem().unwrap_or_default().to_string_lossy();
        report::write(path, &name, &reference, &scored)?;
        let beside = path.with_extension("json");
        marsfm::write_atomically(&beside, &serde_json::to_vec_pretty(e)?)?;
        eprintln!("written {} and {}", path.display(), beside.display());
    }
    if let Some(path) = &a.states {
        marsfm::write_atomically(path, &serde_json::to_vec(&reference.states_of(&scored))?)?;
    }
    match a.json {
        true => super::print_json(e)?,
        false => tell(e),
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(e: &Evaluation) {
    for (name, s) in [("reference", &e.reference), ("sample", &e.sample)] {
        println!(
            "{name:<10} {:>7} frames in {} files, n_eff {:.0}; checks: {}",
            s.n_frames,
            s.files.len(),
            s.n_eff,
            s.validity.sentence()
        );
    }
    println!(
        "outside the reference {:.2} %; microstates visited {} of {}; effective microstates {:.1}, \
         MD {:.1}",
        100.0 * e.outside_fraction,
        e.microstates_visited.0,
        e.microstates_visited.1,
        e.diversity.effective_microstates,
        e.diversity.effective_microstates_md
    );
    println!("{:<46} {:>7}  {:<17} {:>7} {:>9}", "", "value", "95 % interval", "floor", "MD noise");
    for s in &e.scores {
        let noise = s.md_noise.map_or("–".into(), |n| format!("{:.3}", n.mean));
        let floor = s.floor.map_or("–".into(), |f| format!("{:.3}", f.value));
        let (i, name) = (&s.interval, &s.name);
        let interval = format!("{:.3} … {:.3}", i.low, i.high);
        println!("{name:<46} {:>7.3}  {interval:<17} {floor:>7} {noise:>9}", i.value);
    }
    for s in &e.scores {
        println!("  {}: {}", s.name, s.definition);
    }
    for note in &e.notes {
        eprintln!("note: {note}");
    }
}
