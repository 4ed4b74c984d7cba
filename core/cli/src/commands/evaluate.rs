//! `marsfm evaluate`: any ensemble against reference MD.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::evaluate::{EvaluateSettings, evaluate};

/// Arguments of `marsfm evaluate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Atoms of all files, with coordinates (PDB, mmCIF).
    #[arg(long)]
    topology: PathBuf,
    /// Reference MD, one file per replica.
    #[arg(long, required = true, num_args = 1..)]
    reference: Vec<PathBuf>,
    /// The ensemble to score.
    #[arg(long, required = true, num_args = 1..)]
    samples: Vec<PathBuf>,
    /// The samples are time series (MD), not independent draws.
    #[arg(long)]
    samples_are_trajectories: bool,
    /// Lag of TICA, of the microstate model and of the macrostate matrix, ps.
    #[arg(long, default_value_t = 10.0)]
    lag: f64,
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
    let e = evaluate(host, &a.topology, &a.reference, &a.samples, &settings)?;
    if a.json {
        super::print_json(&e)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, s) in [("reference", &e.reference), ("sample", &e.sample)] {
        println!(
            "{name:<10} {:>7} frames in {} files, n_eff {:.0}, {:.1} % pass the checks",
            s.n_frames,
            s.files.len(),
            s.n_eff,
            100.0 * s.acceptance
        );
    }
    println!(
        "outside the reference {:.2} %; microstates visited {} of {}",
        100.0 * e.outside_fraction,
        e.microstates_visited.0,
        e.microstates_visited.1
    );
    println!("{:<44} {:>7}  {:<17} {:>7} {:>9}", "", "value", "95 % interval", "floor", "MD noise");
    for s in &e.scores {
        let noise = s.md_noise.map_or("–".into(), |n| format!("{:.3}", n.mean));
        let i = &s.interval;
        let interval = format!("{:.3} … {:.3}", i.low, i.high);
        let (value, floor) = (i.value, s.floor.value);
        println!("{:<44} {value:>7.3}  {interval:<17} {floor:>7.3} {noise:>9}", s.name);
    }
    for s in &e.scores {
        println!("  {}: {}", s.name, s.definition);
    }
    for note in &e.notes {
        eprintln!("note: {note}");
    }
    Ok(ExitCode::SUCCESS)
}
