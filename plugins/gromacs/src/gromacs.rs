//! The verbs of an engine, on GROMACS.

use crate::find::{self, Program};
use crate::mdp::Mdp;
use crate::settings::Settings;
use crate::solvent::{self, Solvated};
use crate::steps::{Origin, Stage};
use crate::template::Template;
use crate::trr::{self, TrrFrame};
use crate::{child, describe, together, xtc};
use marsfm_plugin_api::engine::*;
use marsfm_plugin_api::{EnginePlugin, PluginError, file_error, stream_seed, write_whole};
use std::ffi::CStr;
use std::path::{Path, PathBuf};

/// Steps of steepest descent with the solute's heavy atoms restrained, and then free.
const RESTRAINED: u64 = 300;
const FREE: u64 = 200;
/// The same where solvent has to give way, too.
const SOLVATED: u64 = 1500;
/// Force at which a minimisation ends, kJ/mol/nm.
const TOLERANCE: f64 = 50.0;
/// The same in solvent, where steepest descent seldom gets below and its force swings: it ends at
/// the first quiet step.
const SOLVATED_TOLERANCE: f64 = 200.0;
/// Length and time constant of the first stretch of MD without solvent, ps.
const STRONG_PS: f64 = 2.0;
const STRONG_TAU: f64 = 0.05;
/// Equilibration of solvent around the restrained solute, ps, and its time constant.
const EQUILIBRATE_PS: f64 = 100.0;
const EQUILIBRATE_TAU: f64 = 0.5;
/// Below this number of atoms a second thread of mdrun costs more than it gives.
const SMALL: usize = 5000;

pub(crate) const START: &str = "start.trr";
const TRAJECTORY: &str = "md.xtc";

/// GROMACS bound to a template.
pub struct Gromacs {
    pub(crate) program: Program,
    pub(crate) settings: Settings,
    pub(crate) template: Template,
    pub(crate) threads: u32,
    /// Single-point energies are computed here.
    quiet: tempfile::TempDir,
    /// `point.tpr` is there.
    pointed: bool,
}

/// A working folder below a seed's, removed when the call is over.
pub(crate) struct Work {
    pub(crate) path: PathBuf,
    keep: bool,
}

impl Work {
    fn new(folder: &Path, name: &str, keep: bool) -> Result<Self, PluginError> {
        let path = folder.join(format!("{name}.work"));
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(|e| file_error(&path, &e))?;
        }
        std::fs::create_dir(&path).map_err(|e| file_error(&path, &e))?;
        Ok(Self { path, keep })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Gromacs {
    pub(crate) fn stage<'a>(&'a self, folder: &'a Path, watch: Option<&'a Watch<'a>>) -> Stage<'a> {
        let (program, template, threads) = (&self.program, &self.template, self.threads);
        Stage { program, template, folder, watch, threads }
    }

    pub(crate) fn work(&self, folder: &Path, name: &str) -> Result<Work, PluginError> {
        Work::new(folder, name, self.settings.keep_files.unwrap_or(false))
    }

    fn solvated(&self) -> bool {
        !self.template.tpr.solvent.is_empty()
    }

    fn steps(&self, ps: f64) -> u64 {
        (ps / self.template.step_ps).round() as u64
    }

    /// Steepest descent in the template's own force field.
    fn descent(&self, steps: u64) -> Mdp {
        let off = || "no".to_owned();
        let tolerance = if self.solvated() { SOLVATED_TOLERANCE } else { TOLERANCE };
        self.template.mdp.quiet(1).with([
            ("integrator", "steep".into()),
            ("nsteps", steps.to_string()),
            ("emtol", tolerance.to_string()),
            ("emstep", "0.005".into()),
            ("nstcalcenergy", "1".into()),
            ("tcoupl", off()),
            ("pcoupl", off()),
            ("gen-vel", off()),
            ("continuation", off()),
        ])
    }

    /// Langevin dynamics at the template's temperature and constant volume, with new velocities.
    fn settling(&self, steps: u64, tau_ps: f64, rng_seed: u64) -> Mdp {
        let mdp = &self.template.mdp;
        let groups = mdp.words("tc-grps").len();
        let every = steps.to_string();
        mdp.quiet(steps).with([
            ("integrator", "sd".into()),
            ("tcoupl", "no".into()),
            ("pcoupl", "no".into()),
            ("tau-t", vec![tau_ps.to_string(); groups].join(" ")),
            ("nsteps", every.clone()),
            ("nstxout", every.clone()),
            ("nstvout", every),
            ("nstcalcenergy", divisor(steps).to_string()),
            ("gen-vel", "yes".into()),
            ("gen-temp", self.template.temperature_kelvin.to_string()),
            ("gen-seed", stream_seed(rng_seed, 2).to_string()),
            ("ld-seed", stream_seed(rng_seed, 1).to_string()),
            ("continuation", "no".into()),
        ])
    }

    fn cell(&self, cell_nm: Option<[[f64; 3]; 3]>) -> [[f64; 3]; 3] {
        cell_nm.unwrap_or(self.template.gro.cell_nm)
    }
}

/// The largest divisor that is at most 100: how often energies are computed.
fn divisor(steps: u64) -> u64 {
    (1..=steps.clamp(1, 100)).rev().find(|d| steps.is_multiple_of(*d)).unwrap_or(1)
}

fn last(rows: &[Vec<f64>], term: usize) -> f64 {
    rows.last().and_then(|r| r.get(term)).copied().unwrap_or(f64::NAN)
}

impl EnginePlugin for Gromacs {
    const NAME: &'static CStr = c"gromacs";
    const RUNS_TOGETHER: bool = true;

    fn describe(options: Option<&str>) -> Result<String, PluginError> {
        describe::describe(options)
    }

    fn open(options: &str) -> Result<Self, PluginError> {
        let settings = Settings::read(Some(options))?;
        let program = find::program(settings.program.as_deref())?;
        let template = Template::read(&program, &settings)?;
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let few = template.tpr.atoms.len() < SMALL;
        let threads = settings.threads.unwrap_or(if few { 1 } else { cores });
        let quiet = child::scratch()?;
        Ok(Self { program, settings, template, threads, quiet, pointed: false })
    }

    fn info(&self) -> RunsWhat {
        RunsWhat {
            n_atoms: self.template.tpr.atoms.len(),
            solvated: self.solvated(),
            periodic: true,
            step_ps: self.template.step_ps,
            temperature_kelvin: self.template.temperature_kelvin,
            friction_per_ps: self.template.friction_per_ps,
        }
    }

    fn system(&mut self) -> Result<SystemRecord, PluginError> {
        let p = &self.program;
        let mut notes = vec![format!("GROMACS {}, {} precision", p.version, p.precision)];
        if p.release > find::NEWEST {
            notes.push(format!("GROMACS {} is newer than the versions that were tried", p.version));
        }
        if self.solvated() {
            let ps = self.settings.equilibrate_ps.unwrap_or(EQUILIBRATE_PS);
            notes.push(format!(
                "{} waters: those in a seed's way are placed anew, then every seed costs {ps} ps \
                 of MD with its heavy atoms restrained before its head",
                self.template.tpr.waters
            ));
        }
        Ok(self.template.record(notes))
    }

    fn energy(&mut self, positions: Positions<'_>) -> Result<Energy, PluginError> {
        if !self.pointed {
            let off = || "no".to_owned();
            let mdp = self.template.mdp.quiet(1).with([
                ("integrator", "md".into()),
                ("nsteps", "0".into()),
                ("nstcalcenergy", "1".into()),
                ("nstfout", "1".into()),
                ("nstxout", "1".into()),
                ("tcoupl", off()),
                ("pcoupl", off()),
                ("gen-vel", off()),
            ]);
            self.stage(self.quiet.path(), None).grompp("point", &mdp, None, None)?;
            self.pointed = true;
        }
        let stage = self.stage(self.quiet.path(), None);
        let frame = TrrFrame {
            cell_nm: self.cell(positions.cell_nm),
            positions_nm: positions.xyz_nm.to_vec(),
            ..TrrFrame::default()
        };
        trr::write(&self.quiet.path().join("at.trr"), &[frame])?;
        stage.mdrun("point", 0, "-rerun at.trr")?;
        let potential_kj_mol = last(&stage.energies("point", &["Potential"])?, 0);
        let mut largest = (0.0, 0);
        for (i, f) in stage.last("point")?.forces.iter().enumerate() {
            let size = f.iter().map(|x| x * x).sum::<f64>().sqrt();
            // NaN counts as the largest.
            if self.template.tpr.masses[i] > 0.0 && (size > largest.0 || size.is_nan()) {
                largest = (size, i);
            }
        }
        Ok(Energy { potential_kj_mol, max_force_kj_mol_nm: largest.0, max_force_atom: largest.1 })
    }

    fn minimise(
        &mut self,
        folder: &Path,
        rng_seed: u64,
        seed: Positions<'_>,
        watch: &Watch<'_>,
    ) -> Result<Minimised, PluginError> {
        let mut cell_nm = self.cell(seed.cell_nm);
        self.template.bonded(seed.xyz_nm, &cell_nm)?;
        let mut positions_nm = seed.xyz_nm.to_vec();
        let mut steps = (RESTRAINED, FREE);
        if self.solvated() {
            cell_nm = self.template.gro.cell_nm;
            let system = Solvated {
                template_nm: &self.template.gro.positions_nm,
                cell_nm,
                heavy: &self.template.heavy,
                solvent: &self.template.tpr.solvent,
            };
            positions_nm = solvent::place(&system, seed.xyz_nm, rng_seed)?.0;
            steps = (SOLVATED, SOLVATED / 3);
        }
        let work = self.work(folder, "minimise")?;
        let stage = self.stage(&work.path, Some(watch));
        let from = TrrFrame { cell_nm, positions_nm, ..TrrFrame::default() };
        let held = self.descent(steps.0).defining("-DPOSRES");
        stage.grompp("held", &held, Some(Origin::Frame(&from)), Some(&from.positions_nm))?;
        stage.mdrun("held", steps.0, "")?;
        // In GROMACS's order: the restraints' energy, then the potential that includes it.
        let rows = stage.energies("held", &["Position", "Potential"])?;
        let without = |row: &[f64]| row[1] - row[0];
        let (before_kj_mol, restrained_kj_mol) =
            (without(&rows[0]), rows.last().map_or(f64::NAN, |r| without(r)));
        let from = stage.minimised("held", &from.positions_nm)?;
        stage.grompp("free", &self.descent(steps.1), Some(Origin::Frame(&from)), None)?;
        let said = stage.mdrun("free", steps.1, "")?;
        let (max_force_kj_mol_nm, max_force_atom) = stage.largest_force(&said);
        let potential_kj_mol = last(&stage.energies("free", &["Potential"])?, 0);
        let done = stage.minimised("free", &from.positions_nm)?;
        Ok(Minimised {
            positions_nm: done.positions_nm,
            cell_nm: Some(done.cell_nm),
            before_kj_mol,
            restrained_kj_mol,
            after: Energy { potential_kj_mol, max_force_kj_mol_nm, max_force_atom },
        })
    }

    fn start(
        &mut self,
        folder: &Path,
        rng_seed: u64,
        from: Positions<'_>,
        watch: &Watch<'_>,
    ) -> Result<Started, PluginError> {
        let frame = TrrFrame {
            cell_nm: self.cell(from.cell_nm),
            positions_nm: from.xyz_nm.to_vec(),
            ..TrrFrame::default()
        };
        self.template.bonded(&frame.positions_nm, &frame.cell_nm)?;
        let work = self.work(folder, "start")?;
        let stage = self.stage(&work.path, Some(watch));
        let equilibrate_ps = self.settings.equilibrate_ps.unwrap_or(EQUILIBRATE_PS);
        let water = self.solvated() && equilibrate_ps > 0.0;
        let (ps, tau) =
            if water { (equilibrate_ps, EQUILIBRATE_TAU) } else { (STRONG_PS, STRONG_TAU) };
        let steps = self.steps(ps).max(1);
        let mut mdp = self.settling(steps, tau, rng_seed);
        if water {
            mdp = mdp.defining("-DPOSRES");
        }
        stage.grompp("settle", &mdp, Some(Origin::Frame(&frame)), Some(&frame.positions_nm))?;
        stage.mdrun("settle", steps, "")?;
        // In GROMACS's order.
        let rows = stage.energies("settle", &["Potential", "Temperature"])?;
        let start = TrrFrame { time_ps: 0.0, ..stage.last("settle")? };
        trr::write(&folder.join(START), &[start])?;
        Ok(Started {
            md_ps: steps as f64 * self.template.step_ps,
            potential_kj_mol: last(&rows, 0),
            temperature_kelvin: last(&rows, 1),
        })
    }

    fn run(
        &mut self,
        request: &RunRequest<'_>,
        watch: &Watch<'_>,
    ) -> Result<Finished, PluginError> {
        let start = trr::read_last(&request.folder.join(START))?;
        let work = self.work(request.folder, "run")?;
        let stage = self.stage(&work.path, Some(watch));
        stage.grompp("md", &self.production(request), Some(Origin::Frame(&start)), None)?;
        stage.mdrun("md", request.head_steps + request.steps, "-noconfout")?;
        self.harvest(&stage, request)
    }

    fn run_together(
        &mut self,
        folder: &Path,
        requests: &[RunRequest<'_>],
        watch: &Watch<'_>,
        ended: &mut dyn FnMut(usize, Result<Finished, PluginError>) -> Result<(), PluginError>,
    ) -> Result<(), PluginError> {
        together::run(self, folder, requests, watch, ended)
    }
}

impl Gromacs {
    /// Parameters of a run.
    pub(crate) fn production(&self, request: &RunRequest<'_>) -> Mdp {
        let (steps, every) = (request.head_steps + request.steps, request.frame_steps);
        self.template.mdp.quiet(every).with([
            ("nsteps", steps.to_string()),
            ("nstxout-compressed", every.to_string()),
            ("nstcalcenergy", divisor(every).to_string()),
            ("gen-vel", "no".into()),
            ("continuation", "yes".into()),
            ("ld-seed", stream_seed(request.rng_seed, 3).to_string()),
            ("tinit", "0".into()),
            ("init-step", "0".into()),
        ])
    }

    /// What `md.tpr` left in a stage's folder, brought to the run's.
    pub(crate) fn harvest(
        &self,
        stage: &Stage<'_>,
        request: &RunRequest<'_>,
    ) -> Result<Finished, PluginError> {
        let (steps, every) = (request.head_steps + request.steps, request.frame_steps);
        let rows = stage.energies("md", &["Potential", "Temperature"])?;
        let n_frames =
            xtc::without_first(&stage.folder.join(TRAJECTORY), &request.folder.join(TRAJECTORY))?;
        let head_frames = request.head_steps / every;
        if n_frames != steps / every || rows.len() as u64 != n_frames + 1 {
            let message = format!(
                "mdrun wrote {n_frames} frames and {} energies for {steps} steps, a frame every \
                 {every}: it ended early",
                rows.len()
            );
            let _ = std::fs::remove_file(request.folder.join(TRAJECTORY));
            let status = marsfm_plugin_api::engine_abi::MARSFM_PLUGIN_KILLED;
            return Err(PluginError { status, message });
        }
        let log = stage.folder.join("md.log");
        if let Some(speed) = std::fs::read_to_string(&log).ok().as_deref().and_then(performance) {
            let text = format!("{{\"ns_per_day\": {speed}}}\n");
            write_whole(&request.folder.join("speed.json"), text.as_bytes())?;
        }
        // Row 0 is the start.
        let (head, all) = (head_frames as usize, n_frames as usize);
        let counted = if head < all { &rows[head + 1..] } else { &rows[1..] };
        let kelvin = counted.iter().map(|r| r[1]).sum::<f64>() / counted.len().max(1) as f64;
        Ok(Finished {
            trajectory: TRAJECTORY.into(),
            n_frames,
            head_frames,
            frame_ps: every as f64 * self.template.step_ps,
            head_kj_mol: rows[head][0],
            end_kj_mol: rows[all][0],
            temperature_kelvin: kelvin,
        })
    }
}

/// ns/day out of md.log.
fn performance(log: &str) -> Option<f64> {
    let line = log.lines().rev().find(|l| l.starts_with("Performance:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energies_are_computed_when_they_are_stored() {
        assert_eq!([1, 50, 250, 500, 101, 0].map(divisor), [1, 50, 50, 100, 1, 1]);
        let log = "               Core t (s)\nPerformance:     6995.123        0.003\nFinished\n";
        assert_eq!(performance(log), Some(6995.123));
        assert_eq!(performance(""), None);
    }
}
