//! `marsfm msm assign|update`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::markov::serve;
use marsfm::msm::Msm;

use super::Files;
use super::build::Passes;

/// Arguments of `marsfm msm assign`.
#[derive(clap::Args)]
pub struct Assign {
    /// A model written by `msm build`.
    model: PathBuf,
    #[command(flatten)]
    files: Files,
    /// CSV to write: trajectory, frame, time since its first frame in ps, microstate, macrostate;
    /// -1 is no state.
    #[arg(long)]
    out: PathBuf,
}

/// Arguments of `marsfm msm update`.
#[derive(clap::Args)]
pub struct Update {
    /// A model written by `msm build`.
    model: PathBuf,
    #[command(flatten)]
    files: Files,
    /// Build everything anew of the old and the new trajectories, with the old settings.
    #[arg(long)]
    refit: bool,
    /// Print the drift as JSON.
    #[arg(long)]
    json: bool,
    /// Model file to write; may be the old one.
    #[arg(long)]
    out: PathBuf,
}

/// `marsfm msm assign`.
pub fn assign(host: &Host, a: &Assign) -> anyhow::Result<ExitCode> {
    let msm = Msm::load(&a.model)?;
    let mut table = std::io::BufWriter::new(marsfm::AtomicFile::create(&a.out)?);
    writeln!(table, "trajectory,frame,time_ps,microstate,macrostate")?;
    let (mut frames, mut lost) = (0, 0);
    serve::assign_files(host, &msm, &a.files.request(), |t, frame_ps| {
        let name = match t.name.contains([',', '"', '\n']) {
            true => format!("\"{}\"", t.name.replace('"', "\"\"")),
            false => t.name.clone(),
        };
        for (i, (micro, coarse)) in t.micro.iter().zip(&t.coarse).enumerate() {
            writeln!(table, "{name},{i},{},{micro},{coarse}", i as f64 * frame_ps)?;
            lost += usize::from(*coarse < 0);
        }
        frames += t.micro.len();
        Ok(())
    })?;
    table.into_inner().map_err(|e| e.into_error())?.commit()?;
    println!("{frames} frames, {lost} in no macrostate; written to {}", a.out.display());
    Ok(ExitCode::SUCCESS)
}

/// `marsfm msm update`.
pub fn update(host: &Host, a: &Update) -> anyhow::Result<ExitCode> {
    let old = Msm::load(&a.model)?;
    let files = a.files.request();
    let (mut new, drift) = serve::update(host, &old, &files)?;
    if a.refit {
        let all = new.micro_trajectories.len();
        let mut passes = Passes::new(all, old.settings.mini_batch);
        let spill = super::beside(&a.out);
        let tell = |pass, done| passes.at(pass, done);
        new = serve::refit(host, &old, &files, Some(&spill), tell)?;
        passes.clear();
    }
    new.save(&a.out)?;
    if a.json {
        super::super::print_json(&drift)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} frames added to {}; {} microstates newly connected",
        drift.frames_added, drift.frames_before, drift.newly_connected
    );
    println!(
        "new frames lie {:.2} times as far from their centres (mean square); microstate \
         distributions differ by {:.2} (0 to 0.83)",
        drift.distance_ratio, drift.population_distance
    );
    println!(
        "slowest timescales, frames: {:.0?} before, {:.0?} now",
        drift.timescales_before, drift.timescales_after
    );
    if a.refit {
        println!("built anew of all {} trajectories:", new.micro_trajectories.len());
        return super::show::tell(&new, &[], false).map(|()| ExitCode::SUCCESS);
    }
    if drift.centres_are_outgrown() {
        println!("note: the centres do not fit the new frames; --refit builds everything anew");
    }
    Ok(ExitCode::SUCCESS)
}
