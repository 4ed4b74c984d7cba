//! `marsfm msm info|validate`: a model in words, JSON or as a page.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::markov::auto::Choice;
use marsfm::markov::files::{Origin, TrajectoryFiles};
use marsfm::markov::report;
use marsfm::markov::validation::{self, Validation};
use marsfm::msm::{Msm, Warning};
use serde::Serialize;

/// Samples behind error bars.
pub const SAMPLES: usize = 100;

/// Arguments of `marsfm msm info`.
#[derive(clap::Args)]
pub struct Info {
    /// A model written by `msm build`.
    file: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `marsfm msm validate`.
#[derive(clap::Args)]
pub struct Validate {
    /// A model written by `msm build`.
    file: PathBuf,
    /// Its trajectories, for the free-energy surface of the page.
    #[arg(requires = "topology")]
    trajectories: Vec<PathBuf>,
    /// Their topology.
    #[arg(long, requires = "trajectories")]
    topology: Option<PathBuf>,
    /// Time between frames, ps, where the files cannot tell.
    #[arg(long)]
    frame_ps: Option<f64>,
    /// Samples behind the error bars.
    #[arg(long, default_value_t = SAMPLES)]
    samples: usize,
    /// Random seed of the error bars.
    #[arg(long, default_value_t = 1)]
    rng_seed: u64,
    /// Page to write.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    microstates: usize,
    active_microstates: usize,
    macrostates: usize,
    populations: Vec<u64>,
    mean_self_transition: f64,
    tica_kept: usize,
    frame_ps: Option<f64>,
    features: Option<String>,
    timescales_frames: Vec<f64>,
    transition_matrix: Vec<Vec<f64>>,
    warnings: Vec<String>,
    /// The same as data, in their order.
    warning_data: &'a [Warning],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    choices: &'a [Choice],
}

/// Prints what a model holds.
pub fn tell(msm: &Msm, choices: &[Choice], json: bool) -> anyhow::Result<()> {
    let n = msm.n_macrostates();
    let slowest = msm.implied_timescales.iter().find(|t| t.lag == msm.settings.msm_lag);
    let origin = Origin::of(msm).ok();
    let told = Told {
        microstates: msm.micro_populations.len(),
        active_microstates: msm.micro.active.len(),
        macrostates: n,
        populations: msm.macro_populations.clone(),
        mean_self_transition: msm.mean_self_transition,
        tica_kept: msm.tica.n_kept,
        frame_ps: origin.as_ref().map(|o| o.frame_ps),
        features: origin.map(|o| {
            o.features.plugin.map_or_else(|| o.features.choice.to_string(), |(name, _)| name)
        }),
        timescales_frames: slowest.map_or(vec![], |t| t.timescales.clone()),
        transition_matrix: msm.macro_t.as_slice().chunks(n.max(1)).map(<[f64]>::to_vec).collect(),
        warnings: msm.warnings.iter().map(ToString::to_string).collect(),
        warning_data: &msm.warnings,
        choices,
    };
    if json {
        return super::super::print_json(&told);
    }
    println!(
        "{} microstates, {} connected; {} macrostates with {:?} frames; TICA kept {}",
        told.microstates,
        told.active_microstates,
        told.macrostates,
        told.populations,
        told.tica_kept
    );
    match told.frame_ps {
        Some(ps) => {
            let times: Vec<f64> = told.timescales_frames.iter().map(|t| t * ps).collect();
            println!("slowest timescales, ps: {times:.0?}");
        }
        None => println!("slowest timescales, frames: {:.0?}", told.timescales_frames),
    }
    println!("mean T_ii {:.3}; transition matrix:", told.mean_self_transition);
    for row in &told.transition_matrix {
        println!("  {}", row.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(" "));
    }
    for warning in &told.warnings {
        println!("note: {warning}");
    }
    Ok(())
}

/// `marsfm msm info`.
pub fn info(a: &Info) -> anyhow::Result<ExitCode> {
    tell(&Msm::load(&a.file)?, &[], a.json)?;
    Ok(ExitCode::SUCCESS)
}

/// `marsfm msm validate`.
pub fn validate(host: &Host, a: &Validate) -> anyhow::Result<ExitCode> {
    let msm = Msm::load(&a.file)?;
    let found = validation::validate(&msm, a.samples, a.rng_seed)?;
    if let Some(page) = &a.report {
        let surface = match &a.topology {
            Some(topology) => {
                let files = TrajectoryFiles {
                    topology: topology.clone(),
                    trajectories: a.trajectories.clone(),
                    frame_ps: a.frame_ps,
                };
                report::surface(host, &msm, &files, &super::beside(page))?
            }
            None => None,
        };
        report::write(page, &msm, &found, surface.as_ref(), &[])?;
    }
    if a.json {
        super::super::print_json(&found)?;
    } else {
        print(&found);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(v: &Validation) {
    let unit = if v.frame_ps.is_some() { "ps" } else { "frames" };
    for line in &v.verdicts {
        println!("{line}");
    }
    println!("\ntimescales in {unit}, 95 % intervals from the {}:", v.error_bars);
    for at in &v.timescales {
        let cell = |(k, t): (usize, &f64)| match at.intervals_ps.get(k) {
            Some((low, high)) => format!("{t:.1} ({low:.1} to {high:.1})"),
            None => format!("{t:.1}"),
        };
        let cells: Vec<_> = at.timescales_ps.iter().enumerate().map(cell).collect();
        println!("  lag {:>8.1}: {}", at.lag_ps, cells.join("  "));
    }
    println!(
        "Chapman–Kolmogorov: largest deviation {:.3}, {:.3} beyond the error bars",
        v.largest_deviation, v.significant_deviation
    );
    for at in &v.chapman_kolmogorov {
        println!("  {:>8.1} {unit}, still in each macrostate, predicted | counted:", at.lag_ps);
        let cell = |p: f64, ends: Option<&(f64, f64)>| match ends {
            Some((low, high)) => format!("{p:.3} ({low:.3} to {high:.3})"),
            None => format!("{p:.3}"),
        };
        for (i, (predicted, estimated)) in at.predicted.iter().zip(&at.estimated).enumerate() {
            println!(
                "    {i:>3}  {} | {}",
                cell(*predicted, at.predicted_intervals.get(i)),
                cell(*estimated, at.estimated_intervals.get(i))
            );
        }
    }
    println!("macrostate, frames, trajectories, population, 95 %:");
    for (i, m) in v.macrostates.iter().enumerate() {
        println!(
            "  {i:>3} {:>9} {:>4}  {:.3}  {:.3} to {:.3}",
            m.frames, m.visitors, m.population, m.interval.0, m.interval.1
        );
    }
    if let Some((from, to, rate)) = v.slowest {
        let per = if v.frame_ps.is_some() { "ns" } else { "1000 frames" };
        println!("slowest process: {from} to {to}, {rate:.3} per {per} (reactive flux)");
    }
}
