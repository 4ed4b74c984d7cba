//! The verbs of an engine.

use crate::md::lanes::LANES;
use crate::md::replicas::{Dynamics, Replicas};
use crate::md::system::System;
use crate::minimise::{Until, minimise};
use marsfm_plugin_api::engine::*;
use marsfm_plugin_api::{EnginePlugin, PluginError, file_error, stream_seed, write_whole};
use marsfm_plugin_kit::protocol::*;
use marsfm_plugin_kit::settings::Settings;
use marsfm_plugin_kit::template::Files;
use marsfm_plugin_kit::trajectory::Xtc;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ffi::CStr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Springs in the place of constraints while minimising, kJ/mol/nm²: as stiff as such bonds are.
const SPRING: f64 = 250_000.0;
/// A minimisation that gains less than this in ten iterations is over, kJ/mol.
const GAIN: f64 = 0.1;
const START: &str = "start.json";

/// The engine bound to a template.
pub struct Gbsa {
    settings: Settings,
    system: System,
    record: SystemRecord,
    /// Heavy atoms.
    restrained: Vec<usize>,
    /// For energies and minimisation; MD has replicas of its own.
    quiet: Replicas,
}

/// What `start` leaves for `run`.
#[derive(Serialize, Deserialize)]
struct Start {
    positions_nm: Vec<[f64; 3]>,
    velocities_nm_ps: Vec<[f64; 3]>,
}

impl Gbsa {
    fn dynamics(&self, friction_per_ps: f64) -> Dynamics {
        Dynamics {
            temperature_kelvin: self.settings.temperature_kelvin,
            friction_per_ps,
            step_ps: self.settings.step_ps,
        }
    }

    /// Energy and largest force of positions, as they are.
    fn measure(&mut self, positions_nm: &[[f64; 3]]) -> Energy {
        self.quiet.set_positions(0, positions_nm);
        let potential_kj_mol = f64::from(self.quiet.energies()[0]);
        let mut largest = (0.0, 0);
        for (i, f) in self.quiet.forces(0).iter().enumerate() {
            let size = f.iter().map(|x| x * x).sum::<f64>().sqrt();
            // NaN counts as the largest.
            if size > largest.0 || size.is_nan() {
                largest = (size, i);
            }
        }
        Energy { potential_kj_mol, max_force_kj_mol_nm: largest.0, max_force_atom: largest.1 }
    }

    fn constrained(&mut self, positions_nm: &[[f64; 3]]) -> Vec<[f64; 3]> {
        self.quiet.set_positions(0, positions_nm);
        self.quiet.constrain();
        self.quiet.positions(0)
    }

    /// Minimises with heavy atoms held at `places`, or free.
    fn descend(
        &mut self,
        from: &[[f64; 3]],
        places: Option<&[[f64; 3]]>,
        iterations: i32,
        watch: &Watch<'_>,
    ) -> Result<Vec<[f64; 3]>, PluginError> {
        let mut x = from.as_flattened().to_vec();
        let iterations = iterations as u64;
        let until = Until { rms_force: TOLERANCE, iterations, gain: GAIN };
        let Self { quiet, system, restrained, .. } = self;
        let mut positions = from.to_vec();
        let energy = |x: &[f64], gradient: &mut [f64]| {
            positions.as_flattened_mut().copy_from_slice(x);
            quiet.set_positions(0, &positions);
            let mut energy = f64::from(quiet.energies()[0]);
            for (to, force) in gradient.iter_mut().zip(quiet.forces(0).as_flattened()) {
                *to = -force;
            }
            for bond in &system.constraints {
                let [a, b] = bond.atoms;
                let d: [f64; 3] = std::array::from_fn(|k| positions[a][k] - positions[b][k]);
                let r = d.iter().map(|x| x * x).sum::<f64>().sqrt();
                energy += 0.5 * SPRING * (r - bond.length_nm).powi(2);
                for k in 0..3 {
                    let pull = SPRING * (r - bond.length_nm) * d[k] / r;
                    gradient[3 * a + k] += pull;
                    gradient[3 * b + k] -= pull;
                }
            }
            for i in restrained.iter().filter(|_| places.is_some()) {
                for k in 0..3 {
                    let off = positions[*i][k] - places.map_or(0.0, |p| p[*i][k]);
                    energy += 0.5 * RESTRAINT * off * off;
                    gradient[3 * i + k] += RESTRAINT * off;
                }
            }
            energy
        };
        minimise(&mut x, until, energy, |done| watch.step(done, iterations))?;
        let moved: Vec<[f64; 3]> = x.as_chunks().0.to_vec();
        Ok(self.constrained(&moved))
    }

    /// Starts that are of the same length, sixteen at most.
    fn together(
        &self,
        requests: &[RunRequest<'_>],
        watch: &Watch<'_>,
    ) -> Result<Vec<Result<Finished, PluginError>>, PluginError> {
        let first = &requests[0];
        let of = |lane: usize| requests.get(lane).unwrap_or(first);
        let seed = |lane: usize| stream_seed(of(lane).rng_seed, 3) as u64;
        let mut replicas = Replicas::new(&self.system, &std::array::from_fn(seed));
        for lane in 0..LANES {
            let path = of(lane).folder.join(START);
            let text = std::fs::read_to_string(&path).map_err(|e| file_error(&path, &e))?;
            let start: Start = serde_json::from_str(&text)
                .map_err(|e| PluginError::format(format!("{}: {e}", path.display())))?;
            let n = self.system.n_atoms();
            if start.positions_nm.len() != n || start.velocities_nm_ps.len() != n {
                let message = format!("{} is not of {n} atoms", path.display());
                return Err(PluginError::mismatch(message));
            }
            replicas.set_positions(lane, &start.positions_nm);
            replicas.set_velocities(lane, &start.velocities_nm_ps);
        }
        let dynamics = self.dynamics(self.settings.friction_per_ps);
        let total = first.head_steps + first.steps;
        let (n_frames, head_frames) =
            (total / first.frame_steps, first.head_steps / first.frame_steps);
        let frame_ps = first.frame_steps as f64 * self.settings.step_ps;
        let mut runs = Vec::new();
        for (request, energy) in requests.iter().zip(replicas.energies()) {
            let head_kj_mol = f64::from(energy);
            let xtc = Xtc::create(&request.folder.join(TRAJECTORY))?;
            runs.push(Run {
                xtc: Some(xtc),
                lost: None,
                head_kj_mol,
                end_kj_mol: 0.0,
                kelvin: 0.0,
            });
        }
        let mut told = Instant::now();
        for frame in 1..=n_frames {
            for part in parts(first.frame_steps) {
                replicas.step(dynamics, part);
                if told.elapsed() > Duration::from_millis(200) {
                    watch.step((frame - 1) * first.frame_steps, total)?;
                    told = Instant::now();
                }
            }
            let (energies, kelvin) = (replicas.energies(), replicas.temperatures());
            for (lane, run) in runs.iter_mut().enumerate() {
                let counts = frame > head_frames || head_frames == n_frames;
                let now = (f64::from(energies[lane]), if counts { kelvin[lane] } else { 0.0 });
                run.frame(frame as f64 * frame_ps, &replicas.positions(lane), now)?;
                if frame == head_frames {
                    run.head_kj_mol = now.0;
                }
            }
        }
        let counted = if head_frames == n_frames { n_frames } else { n_frames - head_frames };
        let end = |run: Run| {
            if let Some(lost) = run.lost {
                return Ok(Err(lost));
            }
            run.xtc.map_or(Ok(()), Xtc::finish)?;
            Ok(Ok(Finished {
                trajectory: TRAJECTORY.into(),
                n_frames,
                head_frames,
                frame_ps,
                head_kj_mol: run.head_kj_mol,
                end_kj_mol: run.end_kj_mol,
                temperature_kelvin: run.kelvin / counted.max(1) as f64,
            }))
        };
        runs.into_iter().map(end).collect()
    }
}

/// Ten steps of two particles on a spring.
fn ten_steps() -> Result<(), String> {
    const SPRING: &str = r#"<System><Particles><Particle mass="12"/><Particle mass="12"/></Particles>
        <Forces><Force type="HarmonicBondForce"><Bonds><Bond d=".1" k="100000" p1="0" p2="1"/></Bonds>
        </Force></Forces></System>"#;
    let mut replicas = Replicas::new(&System::from_xml(SPRING)?, &[1; LANES]);
    for lane in 0..LANES {
        replicas.set_positions(lane, &[[0.0; 3], [0.11, 0.0, 0.0]]);
    }
    let dynamics = Dynamics { temperature_kelvin: 300.0, friction_per_ps: 1.0, step_ps: 0.001 };
    replicas.draw_velocities(300.0);
    replicas.step(dynamics, 10);
    let energies = replicas.energies();
    match energies.iter().all(|e| e.is_finite() && *e > 0.0) {
        true => Ok(()),
        false => Err(format!("ten steps gave no sensible energy: {energies:?}")),
    }
}

/// A run in a lane.
struct Run {
    /// Until it is lost.
    xtc: Option<Xtc>,
    lost: Option<PluginError>,
    head_kj_mol: f64,
    end_kj_mol: f64,
    /// Sum of temperatures, K.
    kelvin: f64,
}

impl Run {
    fn frame(
        &mut self,
        time_ps: f64,
        positions_nm: &[[f64; 3]],
        (potential, kelvin): (f64, f64),
    ) -> Result<(), PluginError> {
        let Some(xtc) = &mut self.xtc else { return Ok(()) };
        if !potential.is_finite() || !positions_nm.as_flattened().iter().all(|x| x.is_finite()) {
            self.lost = Some(diverged(format!("the energy is {potential} at {time_ps:.3} ps")));
            self.xtc = None;
            return Ok(());
        }
        self.end_kj_mol = potential;
        self.kelvin += kelvin;
        xtc.write(time_ps, positions_nm, None)
    }
}

/// A number of steps in parts that are short enough to look at the clock in between.
fn parts(steps: u64) -> impl Iterator<Item = u64> {
    const PART: u64 = 10;
    let whole = std::iter::repeat_n(PART, (steps / PART) as usize);
    whole.chain(std::iter::once(steps % PART).filter(|n| *n > 0))
}

impl EnginePlugin for Gbsa {
    const NAME: &'static CStr = c"gbsa";
    const RUNS_TOGETHER: bool = true;

    fn describe(options: Option<&str>) -> Result<String, PluginError> {
        Settings::read(options)?;
        let tried = ten_steps();
        let mut platform = json!({ "name": "CPU", "usable": tried.is_ok() });
        if let Err(e) = &tried {
            platform["why"] = e.clone().into();
        }
        Ok(json!({
            "engine": "gbsa",
            "version": env!("CARGO_PKG_VERSION"),
            "usable": tried.is_ok(),
            "location": "inside the plugin",
            "platforms": [platform],
            "failures": [],
            "advice": [],
        })
        .to_string())
    }

    fn open(options: &str) -> Result<Self, PluginError> {
        let settings = Settings::read(Some(options))?;
        let folder = settings.template.clone().ok_or_else(|| {
            PluginError::invalid("the option `template` is missing: the folder of system.xml")
        })?;
        let files = Files::read(&folder)?;
        let system = System::from_xml(&files.system_xml).map_err(|e| {
            PluginError::unsupported(format!("{}: {e}", folder.join("system.xml").display()))
        })?;
        let bonds = system.bonds.iter().chain(&system.constraints).map(|b| b.atoms).collect();
        let mut record = files.record(&system.masses, bonds)?;
        let heavy = |i: &usize| record.atoms[*i].element != "H";
        let restrained = (0..system.n_atoms()).filter(heavy).collect();
        if system.solvent.is_none() {
            record.notes.push("system.xml has no GBSAOBCForce: this is MD in vacuum".into());
        }
        let quiet = Replicas::new(&system, &[1; LANES]);
        Ok(Self { settings, system, record, restrained, quiet })
    }

    fn info(&self) -> RunsWhat {
        RunsWhat {
            n_atoms: self.system.n_atoms(),
            solvated: false,
            periodic: false,
            step_ps: self.settings.step_ps,
            temperature_kelvin: self.settings.temperature_kelvin,
            friction_per_ps: self.settings.friction_per_ps,
        }
    }

    fn system(&mut self) -> Result<SystemRecord, PluginError> {
        Ok(self.record.clone())
    }

    fn energy(&mut self, positions: Positions<'_>) -> Result<Energy, PluginError> {
        Ok(self.measure(positions.xyz_nm))
    }

    fn minimise(
        &mut self,
        _folder: &Path,
        _rng_seed: u64,
        given: Positions<'_>,
        watch: &Watch<'_>,
    ) -> Result<Minimised, PluginError> {
        watch.step(0, 0)?;
        let start = self.constrained(given.xyz_nm);
        let before_kj_mol = self.measure(&start).potential_kj_mol;
        let most = self.settings.restrained_iterations;
        let held = self.descend(&start, Some(given.xyz_nm), most, watch)?;
        let restrained_kj_mol = self.measure(&held).potential_kj_mol;
        let positions_nm = self.descend(&held, None, self.settings.free_iterations, watch)?;
        let after = self.measure(&positions_nm);
        if !positions_nm.as_flattened().iter().all(|x| x.is_finite()) {
            return Err(diverged("positions are not finite after minimisation".into()));
        }
        Ok(Minimised { positions_nm, cell_nm: None, before_kj_mol, restrained_kj_mol, after })
    }

    fn start(
        &mut self,
        folder: &Path,
        rng_seed: u64,
        from: Positions<'_>,
        watch: &Watch<'_>,
    ) -> Result<Started, PluginError> {
        let mut replicas = Replicas::new(&self.system, &[stream_seed(rng_seed, 1) as u64; LANES]);
        for lane in 0..LANES {
            replicas.set_positions(lane, from.xyz_nm);
        }
        replicas.constrain();
        replicas.draw_velocities(self.settings.temperature_kelvin);
        let steps = (STRONG_PS / self.settings.step_ps).round() as u64;
        let dynamics = self.dynamics(STRONG_FRICTION);
        let mut done = 0;
        for part in parts(steps) {
            replicas.step(dynamics, part);
            done += part;
            watch.step(done, steps)?;
        }
        let potential_kj_mol = f64::from(replicas.energies()[0]);
        if !potential_kj_mol.is_finite() {
            let message = format!("the energy is {potential_kj_mol} after the strong friction");
            return Err(diverged(message));
        }
        let start =
            Start { positions_nm: replicas.positions(0), velocities_nm_ps: replicas.velocities(0) };
        let text = serde_json::to_string(&start).map_err(|e| PluginError::format(e.to_string()))?;
        write_whole(&folder.join(START), text.as_bytes())?;
        Ok(Started {
            md_ps: steps as f64 * self.settings.step_ps,
            potential_kj_mol,
            temperature_kelvin: replicas.temperatures()[0],
        })
    }

    fn run(
        &mut self,
        request: &RunRequest<'_>,
        watch: &Watch<'_>,
    ) -> Result<Finished, PluginError> {
        self.together(&[*request], watch)?.remove(0)
    }

    fn run_together(
        &mut self,
        _folder: &Path,
        requests: &[RunRequest<'_>],
        watch: &Watch<'_>,
        ended: &mut dyn FnMut(usize, Result<Finished, PluginError>) -> Result<(), PluginError>,
    ) -> Result<(), PluginError> {
        let shape = |r: &RunRequest<'_>| (r.head_steps, r.steps, r.frame_steps);
        let mut begin = 0;
        for like in requests.chunk_by(|a, b| shape(a) == shape(b)) {
            for batch in like.chunks(LANES) {
                for (k, end) in self.together(batch, watch)?.into_iter().enumerate() {
                    ended(begin + k, end)?;
                }
                begin += batch.len();
            }
        }
        Ok(())
    }
}
