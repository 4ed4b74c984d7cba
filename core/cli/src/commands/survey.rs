//! `marsfm engine survey`: what the surrogate's seeds are worth on a real engine, over several
//! peptides, beside samples as drawn, the residue library and frames of the MD.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use marsfm::Host;
use marsfm::engines::{GROUPS, Group, Lengths, SurveyRequest, share, survey};

use super::engine::{limits, parse};
use crate::progress::Progress;

/// Arguments of `marsfm engine survey`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Systems; none may be one that the surrogate was trained on.
    #[arg(required = true)]
    systems: Vec<String>,
    /// Folder with one folder per system: those surveyed and those the surrogate was trained on.
    #[arg(long)]
    data: PathBuf,
    /// Folder with the engine's template of each system, in a folder of its name.
    #[arg(long)]
    templates: PathBuf,
    /// Name of the engine.
    #[arg(long, default_value = "openmm")]
    engine: String,
    /// Option of the engine, KEY=VALUE; can be repeated.
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Give the engine up after so many seconds without a sign of life.
    #[arg(long, default_value_t = 300.0)]
    timeout_s: f64,
    /// Surrogate, instead of the default one.
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    device: super::DeviceArgument,
    /// Frames of the MD to jump from.
    #[arg(long, default_value_t = 5)]
    parents: usize,
    /// Seeds of each kind and system.
    #[arg(long, default_value_t = 20)]
    seeds: usize,
    /// Kinds of seeds beside frames of the MD: surrogate (always), as_drawn, library.
    #[arg(long, value_delimiter = ',', default_values_t = GROUPS.map(String::from))]
    groups: Vec<String>,
    /// Frames of the MD that make the energy gate.
    #[arg(long, default_value_t = 12)]
    before: usize,
    /// Head, ps; frames of the MD run for as long behind it.
    #[arg(long, default_value_t = 10.0)]
    head_ps: f64,
    /// Random seed.
    #[arg(long, default_value_t = 1)]
    rng_seed: u64,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
    /// Folder to write into.
    #[arg(long, default_value = "survey")]
    out: PathBuf,
}

/// Does it.
pub fn run(host: &Host, a: &Arguments) -> Result<ExitCode> {
    let model = super::model(a.model.as_ref())?;
    let options = parse(&a.options)?;
    let request = SurveyRequest {
        data: &a.data,
        systems: &a.systems,
        templates: &a.templates,
        model: &model,
        device: &a.device.device,
        engine: &a.engine,
        options: &options,
        limits: limits(a.timeout_s)?,
        parents: a.parents,
        seeds: a.seeds,
        groups: &a.groups,
        before: a.before,
        lengths: Lengths { head_ps: a.head_ps, ps: a.head_ps, frame_ps: 1.0 },
        rng_seed: a.rng_seed,
        out: &a.out,
    };
    let mut progress = Progress::new();
    let made = survey(host, &request, progress.in_stages("seeds"))?;
    progress.clear();
    if a.json {
        super::print_json(&made)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{:<8} {:<10} {:>5} {:>6} {:>8} {:>8} {:>9} {:>8} {:>9} {:>9} {:>9}",
        "peptide",
        "seeds of",
        "n",
        "valid",
        "repaired",
        "rejected",
        "closed by",
        "moved",
        "quiet",
        "kept",
        "survived"
    );
    for (system, groups) in &made.systems {
        groups.iter().for_each(|(name, group)| line(system, name, group));
    }
    made.pooled.iter().for_each(|(name, group)| line("all", name, group));
    for (name, group) in made.pooled.iter().filter(|(_, group)| group.seeds > 0) {
        let reasons: Vec<String> = group.reasons.iter().map(|(r, n)| format!("{r} {n}")).collect();
        println!("reasons, {name}: {}", reasons.join(", "));
    }
    println!("{:.0} s; written to {}", made.seconds, a.out.display());
    Ok(ExitCode::SUCCESS)
}

fn line(system: &str, name: &str, g: &Group) {
    if g.seeds == 0 {
        return; // a kind that was not asked for
    }
    let count = |word: &str| g.verdicts.get(word).copied().unwrap_or(0);
    let of = |(k, n): (usize, usize)| if n == 0 { "–".into() } else { format!("{k}/{n}") };
    println!(
        "{system:<8} {name:<10} {:>5} {:>5.0}% {:>8} {:>8} {:>6.3} nm {:>5.3} nm {:>9} {:>9} {:>9}",
        g.seeds,
        100.0 * share((count("valid"), g.seeds)),
        count("repaired"),
        count("rejected"),
        g.idealised_nm,
        g.moved_nm,
        of(g.quiet),
        of(g.kept_by_start),
        of(g.survived),
    );
}
