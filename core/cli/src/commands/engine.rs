//! `marsfm engine doctor|prepare|run|demo|survey`: seeds on a real engine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use marsfm::engines::{
    DemoRequest, Lengths, Runner, SeedRecord, Summary, demo, doctor, read_seeds, read_summary,
};
use marsfm::markov::MsmSettings;
use marsfm::systems::SystemFiles;
use marsfm::{EngineLimits, Host};
use serde_json::{Map, Value};

use crate::progress::Progress;

/// What to do with an engine.
#[derive(clap::Subcommand)]
pub enum Command {
    /// What works here and, if something does not, what to install.
    Doctor {
        /// One engine; all that have a plugin if not given.
        #[arg(long)]
        engine: Option<String>,
        /// Option of the engine, KEY=VALUE; can be repeated.
        #[arg(long = "option", value_name = "KEY=VALUE")]
        options: Vec<String>,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Minimise and judge seeds, and make runnable starts of those that pass.
    Prepare(Prepare),
    /// Run prepared seeds; those that were run before are left alone.
    Run(Run),
    /// From a peptide's MD to prepared seeds, short runs and a report.
    Demo(Demo),
    /// What the surrogate's seeds are worth over several peptides, beside samples as drawn, the
    /// residue library and frames of the MD.
    Survey(super::survey::Arguments),
}

/// Which engine, and how.
#[derive(clap::Args)]
pub struct Which {
    /// Name of the engine.
    #[arg(long, default_value = "openmm")]
    engine: String,
    /// Folder with the engine's system.
    #[arg(long)]
    template: PathBuf,
    /// Option of the engine, KEY=VALUE (temperature_kelvin, platform, …); can be repeated.
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Give the engine up after so many seconds without a sign of life.
    #[arg(long, default_value_t = 300.0)]
    timeout_s: f64,
}

impl Which {
    fn options(&self) -> Result<Map<String, Value>> {
        let mut options = parse(&self.options)?;
        let template = std::path::absolute(&self.template)?;
        options.insert("template".into(), template.to_string_lossy().into());
        Ok(options)
    }

    fn open(&self, host: &Host) -> Result<Runner> {
        Runner::open(host, &self.engine, &self.options()?, limits(self.timeout_s)?)
    }
}

/// How long an engine may be silent.
pub fn limits(timeout_s: f64) -> Result<EngineLimits> {
    let silence = Duration::try_from_secs_f64(timeout_s)
        .with_context(|| format!("--timeout-s {timeout_s}"))?;
    Ok(EngineLimits { silence, ..EngineLimits::default() })
}

/// `KEY=VALUE` words; a value that reads as JSON is JSON, any other is text.
pub fn parse(words: &[String]) -> Result<Map<String, Value>> {
    let mut options = Map::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            bail!("--option {word}: expected KEY=VALUE");
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        options.insert(key.into(), value);
    }
    Ok(options)
}

/// Arguments of `marsfm engine prepare`.
#[derive(clap::Args)]
pub struct Prepare {
    #[command(flatten)]
    which: Which,
    /// Seeds: models of a PDB file, or frames of a trajectory.
    #[arg(long)]
    seeds: PathBuf,
    /// Atoms of the seeds, where their file does not name them.
    #[arg(long)]
    topology: Option<PathBuf>,
    /// MD before the jump, with the atoms of --topology (or of --seeds): its minimised energies
    /// are the gate that a seed must pass.
    #[arg(long, value_name = "TRAJECTORY")]
    before: Option<PathBuf>,
    /// Frames of --before to minimise, evenly spread.
    #[arg(long, default_value_t = 12)]
    before_frames: usize,
    /// Random seed of velocities and thermostats.
    #[arg(long, default_value_t = 1)]
    rng_seed: u64,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
    /// Folder to write into.
    #[arg(long, default_value = "prepared")]
    out: PathBuf,
}

/// Arguments of `marsfm engine run`.
#[derive(clap::Args)]
pub struct Run {
    #[command(flatten)]
    which: Which,
    /// Folder that `marsfm engine prepare` wrote.
    #[arg(long, default_value = "prepared")]
    out: PathBuf,
    /// Length behind the head, ps.
    #[arg(long, default_value_t = 100.0)]
    ps: f64,
    /// Head, ps: kept, not to be counted.
    #[arg(long, default_value_t = 10.0)]
    head_ps: f64,
    /// Time between frames, ps.
    #[arg(long, default_value_t = 1.0)]
    frame_ps: f64,
    /// Seeds in one launch: with GROMACS, ranks of one `mpirun gmx_mpi mdrun -multidir`. By
    /// default every seed is a process of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    together: u32,
}

/// Arguments of `marsfm engine demo`.
#[derive(clap::Args)]
pub struct Demo {
    #[command(flatten)]
    which: Which,
    /// Folder of systems.
    #[arg(long, default_value = "examples/data")]
    data: PathBuf,
    /// System: a folder with NAME.pdb and trajectories in the engine's force field.
    #[arg(long, default_value = "QLAQ")]
    system: String,
    /// Surrogate, instead of the default one.
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    device: super::DeviceArgument,
    /// Frames of the MD to jump from.
    #[arg(long, default_value_t = 5)]
    parents: usize,
    /// Draws from each.
    #[arg(long, default_value_t = 20)]
    draws: usize,
    /// Most seeds to prepare.
    #[arg(long, default_value_t = 12)]
    seeds: usize,
    /// Frames of the MD that make the energy gate.
    #[arg(long, default_value_t = 12)]
    before: usize,
    /// Length behind the head, ps.
    #[arg(long, default_value_t = 10.0)]
    ps: f64,
    /// Head, ps.
    #[arg(long, default_value_t = 10.0)]
    head_ps: f64,
    /// Random seed.
    #[arg(long, default_value_t = 1)]
    rng_seed: u64,
    /// Folder to write into.
    #[arg(long, default_value = "demo-engine")]
    out: PathBuf,
}

/// Does it.
pub fn run(host: &Host, command: &Command) -> Result<ExitCode> {
    match command {
        Command::Doctor { engine, options, json } => {
            see(host, engine.as_deref(), &parse(options)?, *json)
        }
        Command::Prepare(a) => prepare(host, a),
        Command::Run(a) => run_all(host, a),
        Command::Demo(a) => show(host, a),
        Command::Survey(a) => super::survey::run(host, a),
    }
}

fn see(
    host: &Host,
    engine: Option<&str>,
    options: &Map<String, Value>,
    json: bool,
) -> Result<ExitCode> {
    let all = doctor(host, engine, options, EngineLimits::default());
    let usable = |a: &Value| a["usable"] == Value::Bool(true);
    let works = all.iter().any(|d| d.answer.as_ref().is_ok_and(usable));
    if json {
        super::print_json(&all)?;
    } else {
        for d in &all {
            match &d.answer {
                Err(why) => println!("{}: {why}", d.engine),
                Ok(answer) => tell(&d.engine, answer),
            }
        }
        if all.is_empty() {
            println!("no plugin for an engine is loaded (see marsfm plugins list)");
        }
    }
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(engine: &str, answer: &Value) {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let works = if answer["usable"] == Value::Bool(true) { "works" } else { "does not work" };
    match answer["version"].as_str() {
        Some(version) => println!("{engine}: {works}, version {version}"),
        None => println!("{engine}: {works}"),
    }
    if let Some(location) = answer["location"].as_str() {
        println!("  {location}");
    }
    for p in answer["platforms"].as_array().into_iter().flatten() {
        match p["usable"] == Value::Bool(true) {
            true => println!("  platform {}: ten steps ran", text(&p["name"])),
            false => println!("  platform {}: {}", text(&p["name"]), text(&p["why"])),
        }
    }
    for f in answer["failures"].as_array().into_iter().flatten() {
        println!("  did not load: {}", text(f));
    }
    for a in answer["advice"].as_array().into_iter().flatten() {
        println!("  advice: {}", text(a));
    }
}

fn prepare(host: &Host, a: &Prepare) -> Result<ExitCode> {
    let runner = a.which.open(host)?;
    let atoms = a.topology.as_deref().unwrap_or(&a.seeds);
    let (topology, frames) = read_seeds(host, atoms, &a.seeds)?;
    let seeds = runner.place(&topology, &frames)?;
    runner.write_topology(host, &a.out)?;
    let mut progress = Progress::new();
    let gate = match &a.before {
        None => None,
        Some(path) => {
            progress.stage("minimising frames from before the jump");
            let (topology, frames) = read_seeds(host, atoms, path)?;
            let n = a.before_frames.clamp(1, frames.len());
            let spread: Vec<_> = (0..n).map(|k| frames[k * frames.len() / n].clone()).collect();
            let placed = runner.place(&topology, &spread)?;
            let gate = runner.gate(&a.out.join("before"), &placed, |done, of| {
                progress.at(done as u64, of as u64, "frames".into());
                true
            })?;
            ensure!(gate.is_some(), "{}: no frame of it could be minimised", path.display());
            gate
        }
    };
    progress.stage("preparing");
    let prepared = runner.prepare(&a.out, &seeds, gate.as_ref(), a.rng_seed, |done, of, _| {
        progress.at(done as u64, of as u64, "seeds".into());
        true
    })?;
    progress.clear();
    if a.json {
        super::print_json(&prepared.summary)?;
    } else {
        summarise(&prepared.summary, &a.out);
    }
    Ok(ExitCode::SUCCESS)
}

fn summarise(summary: &Summary, out: &Path) {
    for note in &summary.notes {
        println!("{note}");
    }
    let verdicts: Vec<String> = summary.verdicts.iter().map(|(k, n)| format!("{n} {k}")).collect();
    println!("{} seeds: {}", summary.seeds.len(), verdicts.join(", "));
    for (reason, n) in &summary.reasons {
        println!("  {reason}: {n}");
    }
    if let Some(rms) = summary.median_rms_nm {
        println!("heavy atoms moved {rms:.3} nm (median of the root mean squares)");
    }
    let h = &summary.largest_torsions;
    let bins: Vec<String> =
        h.from_degrees.iter().zip(&h.counts).map(|(d, n)| format!("{d}°+ {n}")).collect();
    println!("largest torsion displacement: {}", bins.join(", "));
    if summary.gate_structures == 0 {
        println!("no energy gate: give --before for one");
    }
    println!("written to {}", out.display());
}

fn run_all(host: &Host, a: &Run) -> Result<ExitCode> {
    let summary = read_summary(&a.out)?;
    let lengths = Lengths { head_ps: a.head_ps, ps: a.ps, frame_ps: a.frame_ps };
    let done = |s: &SeedRecord| a.out.join(&s.folder).join("run.json").is_file();
    let open: Vec<&SeedRecord> = summary.seeds.iter().filter(|s| s.runs() && !done(s)).collect();
    if open.is_empty() {
        println!("nothing to run: every seed was rejected or has been run");
        return Ok(ExitCode::SUCCESS);
    }
    let runner = a.which.open(host)?;
    let mut progress = Progress::new();
    let (mut lost, mut done) = (0, 0);
    for group in open.chunks(a.together as usize) {
        let names: Vec<&str> = group.iter().map(|s| s.folder.as_str()).collect();
        progress.stage(&format!("running {} ({done} of {} done)", names.join(", "), open.len()));
        let tell = |done, of| {
            progress.at(done, of, "steps".into());
            true
        };
        let results = match group {
            [seed] => vec![runner.run(&a.out, seed, lengths, tell)?],
            _ => runner.run_together(&a.out, group, lengths, tell)?,
        };
        progress.clear();
        done += group.len();
        for (name, result) in names.iter().zip(results) {
            match result {
                Ok(f) => println!(
                    "{}: {} frames, the first {} are head; {:.0} K",
                    f.trajectory.display(),
                    f.n_frames,
                    f.head_frames,
                    f.temperature_kelvin
                ),
                Err(why) => {
                    lost += 1;
                    println!("{name}: lost: {why}");
                }
            }
        }
    }
    println!("{} run, {lost} lost; count their frames without the heads", open.len() - lost);
    Ok(ExitCode::SUCCESS)
}

fn show(host: &Host, a: &Demo) -> Result<ExitCode> {
    let model = super::model(a.model.as_ref())?;
    let files = SystemFiles::in_folder(&a.data, &a.system)?;
    let options = a.which.options()?;
    let request = DemoRequest {
        files: &files,
        model: &model,
        device: &a.device.device,
        engine: &a.which.engine,
        options: &options,
        limits: limits(a.which.timeout_s)?,
        msm: MsmSettings::default(),
        parents: a.parents,
        draws: a.draws,
        seeds: a.seeds,
        before: a.before,
        lengths: Lengths { head_ps: a.head_ps, ps: a.ps, frame_ps: 1.0 },
        rng_seed: a.rng_seed,
        out: &a.out,
    };
    let mut progress = Progress::new();
    let o = demo(host, &request, progress.in_stages("seeds"))?;
    progress.clear();
    println!("{} draws, {} accepted", o.draws.0, o.draws.1);
    println!("-- seeds of the surrogate");
    summarise(&o.seeds, &a.out.join("seeds"));
    println!("-- frames of the MD, treated in the same way");
    summarise(&o.plain, &a.out.join("plain"));
    let ((lived, of), (plain, plain_of)) = o.survival();
    println!("survived the head, of those elsewhere than their parent: {lived} of {of}");
    println!("of the frames of the MD in the same states: {plain} of {plain_of}");
    if let Some(p99) = o.plain_p99_kj_mol {
        let heads: Vec<f64> = o.jumped.iter().filter_map(|s| s.head_kj_mol).collect();
        let below = heads.iter().filter(|e| **e <= p99).count();
        let n = heads.len();
        println!(
            "energy after the head below the 99th percentile of MD ({p99:.0} kJ/mol): {below} of {n}"
        );
    }
    println!("preparing took {:.0} s, running {:.0} s", o.seconds.0, o.seconds.1);
    println!("report: {}", o.report.display());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_json_or_text() {
        let words = ["threads=2", "platform=CPU", "x=a=b"].map(str::to_owned);
        let options = parse(&words).unwrap();
        assert_eq!((&options["threads"], &options["platform"]), (&2.into(), &"CPU".into()));
        assert_eq!(options["x"], Value::from("a=b"));
        assert!(parse(&["threads".to_owned()]).is_err());
    }
}
