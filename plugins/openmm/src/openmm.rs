//! The verbs of an engine, on OpenMM.

use crate::guard::{Dynamics, Library, Platform, Simulation};
use crate::template::Template;
use crate::{describe, find};
use marsfm_plugin_api::engine::*;
use marsfm_plugin_api::{EnginePlugin, PluginError, file_error, stream_seed, write_whole};
use marsfm_plugin_kit::protocol::*;
use marsfm_plugin_kit::settings::Settings;
use marsfm_plugin_kit::trajectory::Xtc;
use std::ffi::CStr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Iterations between two signs of life.
const ITERATIONS: i32 = 50;
/// A minimisation that gains less than this in `ITERATIONS` steps is over, kJ/mol.
const GAIN: f64 = 0.5;
/// Gas constant, kJ/mol/K.
const R: f64 = 0.008_314_462_618;

const START: &str = "start.xml";

/// OpenMM bound to a template.
pub struct OpenMm {
    settings: Settings,
    template: Template,
    platform: Platform,
    /// With restraints, for energies and minimisation; MD has contexts of its own, so that the
    /// thermostat's random numbers depend on the seed alone.
    quiet: Simulation,
}

/// Steps between two looks at the clock, grown until a look comes about four times a second.
struct Pace {
    steps: u64,
}

impl Pace {
    fn run(
        &mut self,
        simulation: &mut Simulation,
        total: u64,
        watch: &Watch<'_>,
        done: (u64, u64),
    ) -> Result<(), PluginError> {
        let mut left = total;
        while left > 0 {
            let steps = self.steps.min(left);
            let begun = Instant::now();
            simulation.step(steps as i32)?;
            left -= steps;
            watch.step(done.0 + total - left, done.1)?;
            if begun.elapsed() < Duration::from_millis(120) {
                self.steps = (self.steps * 2).min(100_000);
            } else if begun.elapsed() > Duration::from_millis(400) {
                self.steps = (self.steps / 2).max(1);
            }
        }
        Ok(())
    }
}

impl OpenMm {
    fn dynamics(&self, friction_per_ps: f64, rng_seed: i32) -> Dynamics {
        Dynamics {
            temperature_kelvin: self.settings.temperature_kelvin,
            friction_per_ps,
            step_ps: self.settings.step_ps,
            rng_seed,
        }
    }

    /// A context of its own for MD.
    fn moving(&self, friction_per_ps: f64, rng_seed: i32) -> Result<Simulation, PluginError> {
        let mut simulation = Simulation::new(&self.template.system_xml)?;
        simulation.start(&self.platform, self.dynamics(friction_per_ps, rng_seed))?;
        Ok(simulation)
    }

    fn kelvin(&self, kinetic_kj_mol: f64) -> f64 {
        2.0 * kinetic_kj_mol / (self.template.freedom * R)
    }

    /// Energy and largest force of where `quiet` is, without restraints.
    fn measure(&mut self) -> Result<Energy, PluginError> {
        self.quiet.restraint_strength(0.0)?;
        let (potential_kj_mol, _) = self.quiet.energies()?;
        let mut largest = (0.0, 0);
        for (i, f) in self.quiet.forces()?.iter().enumerate() {
            let size = f.iter().map(|x| x * x).sum::<f64>().sqrt();
            // NaN counts as the largest.
            if self.template.masses[i] > 0.0 && (size > largest.0 || size.is_nan()) {
                largest = (size, i);
            }
        }
        Ok(Energy { potential_kj_mol, max_force_kj_mol_nm: largest.0, max_force_atom: largest.1 })
    }

    fn descend(&mut self, most: i32, watch: &Watch<'_>) -> Result<(), PluginError> {
        let (mut done, mut energy) = (0, self.quiet.energies()?.0);
        while done < most {
            let iterations = ITERATIONS.min(most - done);
            self.quiet.minimise(TOLERANCE, iterations)?;
            done += iterations;
            watch.step(done as u64, most as u64)?;
            let now = self.quiet.energies()?.0;
            if !now.is_finite() {
                return Err(diverged(format!("the energy is {now} after {done} iterations")));
            }
            if energy - now < GAIN {
                break;
            }
            energy = now;
        }
        Ok(())
    }

    fn finite_energy(
        &self,
        simulation: &Simulation,
        when: &str,
    ) -> Result<(f64, f64), PluginError> {
        let (potential, kinetic) = simulation.energies()?;
        if potential.is_finite() && kinetic.is_finite() {
            return Ok((potential, kinetic));
        }
        Err(diverged(format!("the energy is {potential} kJ/mol {when}")))
    }

    /// Constraints exchange angles with energies; positions are checked where they are written.
    fn cell(&self, cell_nm: [[f64; 3]; 3]) -> Option<[[f64; 3]; 3]> {
        self.template.periodic.then_some(cell_nm)
    }
}

/// The platform that was asked for, or the fastest on which the system runs.
fn choose(
    library: &Library,
    settings: &Settings,
    mut try_it: impl FnMut(&Platform) -> Result<Simulation, PluginError>,
) -> Result<(Platform, Simulation), PluginError> {
    let configure = |platform: &Platform| {
        let set = |names: [&str; 1], value: Option<String>, what: &str| {
            let Some(value) = value else { return Ok(()) };
            let known = platform.properties.iter().find(|p| names.contains(&p.as_str()));
            match known {
                Some(property) => platform.set(property, &value),
                // Asked of a platform by name, it is a mistake; of any, it is a wish.
                None if settings.platform.is_some() => Err(PluginError::invalid(format!(
                    "platform {} has no choice of {what}; it has: {}",
                    platform.name,
                    platform.properties.join(", ")
                ))),
                None => Ok(()),
            }
        };
        set(["Precision"], settings.precision.clone(), "precision")?;
        set(["Threads"], settings.threads.map(|n| n.to_string()), "threads")
    };
    if let Some(name) = &settings.platform {
        let platform = library.platform(name)?;
        configure(platform)?;
        return Ok((platform.clone(), try_it(platform)?));
    }
    let mut platforms: Vec<&Platform> = library.platforms.iter().collect();
    platforms.sort_by(|a, b| b.speed.total_cmp(&a.speed));
    let mut reasons = library.failures.clone();
    for platform in platforms {
        match configure(platform).and_then(|()| try_it(platform)) {
            Ok(simulation) => return Ok((platform.clone(), simulation)),
            Err(e) => reasons.push(format!("{}: {}", platform.name, e.message)),
        }
    }
    let message = format!("no platform of OpenMM can run this System: {}", reasons.join("; "));
    Err(PluginError::invalid(message))
}

impl EnginePlugin for OpenMm {
    const NAME: &'static CStr = c"openmm";

    fn describe(options: Option<&str>) -> Result<String, PluginError> {
        describe::describe(options)
    }

    fn open(options: &str) -> Result<Self, PluginError> {
        let settings = Settings::read(Some(options))?;
        let folder = settings.template.clone().ok_or_else(|| {
            PluginError::invalid("the option `template` is missing: the folder of system.xml")
        })?;
        let library = Library::load(&find::library(settings.library.as_deref())?)?;
        let template = Template::read(&folder)?;
        let dynamics = Dynamics {
            temperature_kelvin: settings.temperature_kelvin,
            friction_per_ps: settings.friction_per_ps,
            step_ps: settings.step_ps,
            rng_seed: 1,
        };
        let (platform, quiet) = choose(&library, &settings, |platform| {
            let mut simulation = Simulation::new(&template.system_xml)?;
            simulation.add_restraint(&template.restrained)?;
            simulation.start(platform, dynamics)?;
            let record = &template.record;
            simulation.set_positions(&record.positions_nm, record.cell_nm)?;
            simulation.energies()?;
            Ok(simulation)
        })?;
        let mut made = Self { settings, template, platform, quiet };
        let version = &library.version;
        let notes = &mut made.template.record.notes;
        notes.push(format!("OpenMM {version}, platform {}", made.platform.name));
        if library.is_untried() {
            notes.push(format!("OpenMM {version} is newer than the versions that were tried"));
        }
        Ok(made)
    }

    fn info(&self) -> RunsWhat {
        RunsWhat {
            n_atoms: self.template.record.atoms.len(),
            solvated: self.template.waters > 0,
            periodic: self.template.periodic,
            step_ps: self.settings.step_ps,
            temperature_kelvin: self.settings.temperature_kelvin,
            friction_per_ps: self.settings.friction_per_ps,
        }
    }

    fn system(&mut self) -> Result<SystemRecord, PluginError> {
        Ok(self.template.record.clone())
    }

    fn energy(&mut self, positions: Positions<'_>) -> Result<Energy, PluginError> {
        self.quiet.set_positions(positions.xyz_nm, positions.cell_nm)?;
        self.measure()
    }

    fn minimise(
        &mut self,
        _folder: &Path,
        _rng_seed: u64,
        given: Positions<'_>,
        watch: &Watch<'_>,
    ) -> Result<Minimised, PluginError> {
        if self.template.waters > 0 {
            return Err(PluginError::unsupported(format!(
                "the system holds {} waters, and a jump inside explicit solvent needs them placed \
                 anew, which this version does not do with OpenMM; use a System with implicit \
                 solvent, or the gromacs engine",
                self.template.waters
            )));
        }
        watch.step(0, 0)?;
        self.quiet.restraint_strength(0.0)?;
        self.quiet.set_positions(given.xyz_nm, given.cell_nm)?;
        self.quiet.constrain()?;
        let before_kj_mol = self.quiet.energies()?.0;
        self.quiet.restrain(given.xyz_nm)?;
        self.quiet.restraint_strength(RESTRAINT)?;
        self.descend(self.settings.restrained_iterations, watch)?;
        let restrained_kj_mol = self.measure()?.potential_kj_mol;
        self.descend(self.settings.free_iterations, watch)?;
        let after = self.measure()?;
        let (positions_nm, cell_nm) = self.quiet.positions()?;
        if !positions_nm.as_flattened().iter().all(|x| x.is_finite()) {
            return Err(diverged("positions are not finite after minimisation".into()));
        }
        let cell_nm = self.cell(cell_nm);
        Ok(Minimised { positions_nm, cell_nm, before_kj_mol, restrained_kj_mol, after })
    }

    fn start(
        &mut self,
        folder: &Path,
        rng_seed: u64,
        from: Positions<'_>,
        watch: &Watch<'_>,
    ) -> Result<Started, PluginError> {
        let mut simulation = self.moving(STRONG_FRICTION, stream_seed(rng_seed, 1))?;
        simulation.set_positions(from.xyz_nm, from.cell_nm)?;
        simulation.constrain()?;
        simulation.velocities(self.settings.temperature_kelvin, stream_seed(rng_seed, 2))?;
        let steps = (STRONG_PS / self.settings.step_ps).round() as u64;
        Pace { steps: 20 }.run(&mut simulation, steps, watch, (0, steps))?;
        let (potential_kj_mol, kinetic) =
            self.finite_energy(&simulation, "after the strong friction")?;
        write_whole(&folder.join(START), simulation.state_xml()?.as_bytes())?;
        Ok(Started {
            md_ps: steps as f64 * self.settings.step_ps,
            potential_kj_mol,
            temperature_kelvin: self.kelvin(kinetic),
        })
    }

    fn run(
        &mut self,
        request: &RunRequest<'_>,
        watch: &Watch<'_>,
    ) -> Result<Finished, PluginError> {
        let path = request.folder.join(START);
        let state = std::fs::read_to_string(&path).map_err(|e| file_error(&path, &e))?;
        let friction = self.settings.friction_per_ps;
        let mut simulation = self.moving(friction, stream_seed(request.rng_seed, 3))?;
        simulation.set_state_xml(&state)?;
        let mut xtc = Xtc::create(&request.folder.join(TRAJECTORY))?;
        let total = request.head_steps + request.steps;
        let frame_ps = request.frame_steps as f64 * self.settings.step_ps;
        let head_frames = request.head_steps / request.frame_steps;
        let n_frames = total / request.frame_steps;
        let (mut head_kj_mol, mut end_kj_mol) =
            (self.finite_energy(&simulation, "at the start")?.0, 0.0);
        let (mut kelvin, mut counted) = (0.0, 0u64);
        let mut pace = Pace { steps: 20 };
        for frame in 1..=n_frames {
            let done = ((frame - 1) * request.frame_steps, total);
            pace.run(&mut simulation, request.frame_steps, watch, done)?;
            let time_ps = frame as f64 * frame_ps;
            let (potential, kinetic) =
                self.finite_energy(&simulation, &format!("at {time_ps:.3} ps"))?;
            let (positions_nm, cell_nm) = simulation.positions()?;
            xtc.write(time_ps, &positions_nm, self.cell(cell_nm))?;
            if frame == head_frames {
                head_kj_mol = potential;
            }
            end_kj_mol = potential;
            if frame > head_frames || head_frames == n_frames {
                kelvin += self.kelvin(kinetic);
                counted += 1;
            }
        }
        xtc.finish()?;
        Ok(Finished {
            trajectory: TRAJECTORY.into(),
            n_frames,
            head_frames,
            frame_ps,
            head_kj_mol,
            end_kj_mol,
            temperature_kelvin: kelvin / counted.max(1) as f64,
        })
    }
}
