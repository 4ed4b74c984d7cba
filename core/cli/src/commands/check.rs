//! `marsfm check`: a verdict per frame; exit code 1 if any frame is rejected.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::Host;
use marsfm::check::check;

/// Arguments of `marsfm check`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Frames to judge.
    frames: PathBuf,
    /// Their topology; may be left out for formats that carry atoms.
    #[arg(long)]
    topology: Option<PathBuf>,
    /// Print every verdict as JSON.
    #[arg(long)]
    json: bool,
}

/// Judges.
pub fn run(host: &Host, a: &Arguments) -> anyhow::Result<ExitCode> {
    let verdicts = check(host, a.topology.as_ref().unwrap_or(&a.frames), &a.frames)?;
    let rejected = verdicts.iter().filter(|v| !v.accepted()).count();
    if a.json {
        super::print_json(&verdicts)?;
    } else {
        for (frame, v) in verdicts.iter().enumerate().filter(|(_, v)| !v.accepted()) {
            println!("frame {frame}: rejected, {:?}", v.rejected);
        }
        let repair = verdicts.iter().filter(|v| v.accepted() && !v.repair.is_empty()).count();
        println!("{} frames: {rejected} rejected, {repair} need repair", verdicts.len());
    }
    Ok(if rejected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
