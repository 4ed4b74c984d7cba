//! `marsfm-gbsa JOB.json`: MD of many replicas of a peptide, one XTC file each.
//!
//! What a job holds is written at [`Job`]; the answer, on standard output, is a JSON array with one
//! [`Done`] per replica. A file appears under its name when it is whole.

use marsfm_plugin_gbsa::md::lanes::LANES;
use marsfm_plugin_gbsa::md::replicas::{Dynamics, Replicas};
use marsfm_plugin_gbsa::md::system::System;
use marsfm_plugin_kit::trajectory::Xtc;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Steps at one temperature while it falls.
const COOL_STRIDE: usize = 100;

/// What to run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    /// File of the serialised OpenMM System.
    system: PathBuf,
    /// Positions to start from, nm, of all atoms.
    starts: Vec<Vec<[f64; 3]>>,
    replicas: Vec<Replica>,
    /// Atoms that are written.
    atoms: Vec<usize>,
    temperature_kelvin: f64,
    friction_per_ps: f64,
    step_ps: f64,
    /// A hotter stretch before everything else, so that replicas forget the start.
    heat: Option<Heat>,
    /// Steps that are thrown away first.
    drop_steps: u64,
    /// Steps from frame to frame.
    frame_steps: u64,
    frames: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Heat {
    temperature_kelvin: f64,
    steps: u64,
    /// Steps in which the temperature then falls evenly to the job's; at once if there are none.
    #[serde(default)]
    cool_steps: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replica {
    /// Place in `starts`.
    start: usize,
    seed: u64,
    xtc: PathBuf,
}

#[derive(Serialize)]
struct Done {
    mean_temperature_kelvin: f64,
    mean_potential_kj_mol: f64,
}

fn main() -> ExitCode {
    match std::env::args()
        .nth(1)
        .ok_or("usage: marsfm-gbsa JOB.json".to_owned())
        .and_then(|p| run(&p))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("marsfm-gbsa: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &str) -> Result<(), String> {
    let read = |path: &std::path::Path| {
        std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
    };
    let job: Job =
        serde_json::from_str(&read(path.as_ref())?).map_err(|e| format!("{path}: {e}"))?;
    let system = System::from_xml(&read(&job.system)?)
        .map_err(|e| format!("{}: {e}", job.system.display()))?;
    let n = system.n_atoms();
    if job.starts.iter().any(|s| s.len() != n) || job.atoms.iter().any(|a| *a >= n) {
        return Err(format!("{path}: starts and atoms must be of the {n} atoms of the System"));
    }
    if job.replicas.iter().any(|r| r.start >= job.starts.len()) || job.frame_steps == 0 {
        return Err(format!("{path}: a replica without its start, or frame_steps is 0"));
    }
    let heat = job.heat.as_ref().map(|h| ("heat.temperature_kelvin", h.temperature_kelvin));
    let positive = [
        ("temperature_kelvin", job.temperature_kelvin),
        ("friction_per_ps", job.friction_per_ps),
        ("step_ps", job.step_ps),
    ];
    if let Some((field, value)) =
        positive.into_iter().chain(heat).find(|(_, v)| !(v.is_finite() && *v > 0.0))
    {
        return Err(format!("{path}: {field} = {value} must be positive"));
    }
    let mut done = Vec::new();
    for batch in job.replicas.chunks(LANES) {
        done.extend(together(&job, &system, batch)?);
    }
    let line = serde_json::to_string(&done).map_err(|e| e.to_string())?;
    // Not println!, which panics where the reader went away.
    writeln!(std::io::stdout(), "{line}").map_err(|e| format!("standard output: {e}"))
}

/// Up to sixteen replicas; lanes that are left over repeat the first and are not looked at.
fn together(job: &Job, system: &System, batch: &[Replica]) -> Result<Vec<Done>, String> {
    let of = |lane: usize| batch.get(lane).unwrap_or(&batch[0]);
    let mut replicas = Replicas::new(system, &std::array::from_fn(|lane| of(lane).seed));
    for lane in 0..LANES {
        replicas.set_positions(lane, &job.starts[of(lane).start]);
    }
    let dynamics = Dynamics {
        temperature_kelvin: job.temperature_kelvin,
        friction_per_ps: job.friction_per_ps,
        step_ps: job.step_ps,
    };
    replicas.constrain();
    if let Some(heat) = &job.heat {
        replicas.draw_velocities(heat.temperature_kelvin);
        let at = |kelvin| Dynamics { temperature_kelvin: kelvin, ..dynamics };
        replicas.step(at(heat.temperature_kelvin), heat.steps);
        let fall = heat.temperature_kelvin - job.temperature_kelvin;
        for done in (0..heat.cool_steps).step_by(COOL_STRIDE) {
            let left = 1.0 - done as f64 / heat.cool_steps as f64;
            let steps = (heat.cool_steps - done).min(COOL_STRIDE as u64);
            replicas.step(at(job.temperature_kelvin + left * fall), steps);
        }
    }
    replicas.draw_velocities(job.temperature_kelvin);
    replicas.step(dynamics, job.drop_steps);
    let text = |e: marsfm_plugin_api::PluginError| e.message;
    let mut files =
        batch.iter().map(|r| Xtc::create(&r.xtc)).collect::<Result<Vec<_>, _>>().map_err(text)?;
    let mut sums = vec![[0.0; 2]; batch.len()];
    for frame in 1..=job.frames {
        replicas.step(dynamics, job.frame_steps);
        let (energies, temperatures) = (replicas.energies(), replicas.temperatures());
        for (lane, file) in files.iter_mut().enumerate() {
            let time_ps = (frame * job.frame_steps) as f64 * job.step_ps;
            if !energies[lane].is_finite() {
                return Err(format!(
                    "{}: energy not finite at {time_ps} ps",
                    batch[lane].xtc.display()
                ));
            }
            sums[lane][0] += temperatures[lane];
            sums[lane][1] += f64::from(energies[lane]);
            let all = replicas.positions(lane);
            let kept: Vec<[f64; 3]> = job.atoms.iter().map(|a| all[*a]).collect();
            file.write(time_ps, &kept, None).map_err(text)?;
        }
    }
    files.into_iter().try_for_each(Xtc::finish).map_err(text)?;
    let mean = |sum: f64| sum / job.frames.max(1) as f64;
    Ok(sums
        .iter()
        .map(|s| Done { mean_temperature_kelvin: mean(s[0]), mean_potential_kj_mol: mean(s[1]) })
        .collect())
}
