//! Sixteen replicas of a system under Langevin dynamics.

use super::bonded::Bonded;
use super::constraints::Constraints;
use super::lanes::{LANES, Row};
use super::nonbonded::Nonbonded;
use super::random::Random;
use super::system::System;

/// Gas constant, kJ/mol/K.
const R: f64 = 0.008_314_462_618;

/// How to move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dynamics {
    /// Temperature, K.
    pub temperature_kelvin: f64,
    /// Friction, 1/ps.
    pub friction_per_ps: f64,
    /// Step, ps.
    pub step_ps: f64,
}

/// Positions and velocities of the replicas, and what moves them.
pub struct Replicas {
    masses: Vec<f64>,
    freedom: f64,
    stops_drift: bool,
    nonbonded: Nonbonded,
    bonded: Bonded,
    constraints: Constraints,
    /// Positions, nm.
    x: Vec<[Row; 3]>,
    /// Velocities, nm/ps.
    v: Vec<[Row; 3]>,
    forces: Vec<[Row; 3]>,
    /// Where a step came from.
    before: Vec<[Row; 3]>,
    energy: Row,
    random: Random,
    level: pulp::Arch,
}

/// A loop over steps, run with the widest instructions the processor has.
struct Steps<'a> {
    replicas: &'a mut Replicas,
    dynamics: Dynamics,
    n: u64,
}

impl pulp::NullaryFnOnce for Steps<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        self.replicas.steps(self.dynamics, self.n);
    }
}

/// Forces once.
struct Forces<'a>(&'a mut Replicas);

impl pulp::NullaryFnOnce for Forces<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        self.0.force();
    }
}

impl Replicas {
    /// Replicas of a system, all positions at zero.
    pub fn new(system: &System, seeds: &[u64; LANES]) -> Self {
        let rows = vec![[Row::ZERO; 3]; system.n_atoms()];
        Self {
            masses: system.masses.clone(),
            freedom: system.freedom(),
            stops_drift: system.stops_drift,
            nonbonded: Nonbonded::new(system),
            bonded: Bonded::new(system),
            constraints: Constraints::new(system),
            x: rows.clone(),
            v: rows.clone(),
            forces: rows.clone(),
            before: rows,
            energy: Row::ZERO,
            random: Random::new(seeds),
            level: pulp::Arch::new(),
        }
    }

    /// Puts a replica at positions, nm; what is fixed is not brought to its length.
    pub fn set_positions(&mut self, lane: usize, positions_nm: &[[f64; 3]]) {
        for (to, from) in self.x.iter_mut().zip(positions_nm) {
            for k in 0..3 {
                to[k][lane] = from[k] as f32;
            }
        }
    }

    /// Positions of a replica, nm.
    pub fn positions(&self, lane: usize) -> Vec<[f64; 3]> {
        self.x.iter().map(|x| std::array::from_fn(|k| f64::from(x[k][lane]))).collect()
    }

    /// Gives a replica velocities, nm/ps.
    pub fn set_velocities(&mut self, lane: usize, velocities_nm_ps: &[[f64; 3]]) {
        for (to, from) in self.v.iter_mut().zip(velocities_nm_ps) {
            for k in 0..3 {
                to[k][lane] = from[k] as f32;
            }
        }
    }

    /// Velocities of a replica, nm/ps.
    pub fn velocities(&self, lane: usize) -> Vec<[f64; 3]> {
        self.v.iter().map(|v| std::array::from_fn(|k| f64::from(v[k][lane]))).collect()
    }

    /// Forces of a replica where they were last computed, kJ/mol/nm.
    pub fn forces(&self, lane: usize) -> Vec<[f64; 3]> {
        self.forces.iter().map(|f| std::array::from_fn(|k| f64::from(f[k][lane]))).collect()
    }

    /// Brings the positions of all replicas to the fixed lengths.
    pub fn constrain(&mut self) {
        self.before.clone_from(&self.x);
        self.constraints.positions(&self.before, &mut self.x);
    }

    /// Potential energies, kJ/mol, of where the replicas are; forces with them.
    pub fn energies(&mut self) -> [f32; LANES] {
        self.level.dispatch(Forces(self));
        self.energy.0
    }

    /// Kinetic temperatures, K.
    pub fn temperatures(&self) -> [f64; LANES] {
        let mut twice = [0.0; LANES];
        for (v, m) in self.v.iter().zip(&self.masses) {
            for (l, to) in twice.iter_mut().enumerate() {
                *to += m * v.iter().map(|v| f64::from(v[l]).powi(2)).sum::<f64>();
            }
        }
        twice.map(|k| k / (self.freedom * R))
    }

    /// Draws velocities.
    pub fn draw_velocities(&mut self, temperature_kelvin: f64) {
        for (v, m) in self.v.iter_mut().zip(&self.masses) {
            let scale = (R * temperature_kelvin / m).sqrt() as f32;
            let ([a, b], [c, _]) = (self.random.normal(), self.random.normal());
            *v = [a, b, c].map(|row| Row(row.0.map(|x| scale * x)));
        }
        self.constraints.velocities(&self.x, &mut self.v);
    }

    /// Moves on by `n` steps.
    pub fn step(&mut self, dynamics: Dynamics, n: u64) {
        let level = self.level;
        level.dispatch(Steps { replicas: self, dynamics, n });
    }

    #[inline(always)]
    fn force(&mut self) {
        self.forces.fill([Row::ZERO; 3]);
        self.energy = self.nonbonded.add(&self.x, &mut self.forces);
        self.bonded.add(&self.x, &mut self.forces, &mut self.energy);
    }

    /// OpenMM's LangevinMiddleIntegrator (Zhang et al., J. Phys. Chem. A 123, 6056 (2019)): kick,
    /// half a drift, friction and noise, half a drift, constraints.
    #[inline(always)]
    fn steps(&mut self, dynamics: Dynamics, n: u64) {
        let dt = dynamics.step_ps as f32;
        let half = 0.5 * dt;
        let keep = (-dynamics.friction_per_ps * dynamics.step_ps).exp();
        let heat = R * dynamics.temperature_kelvin * (1.0 - keep * keep);
        let keep = keep as f32;
        let back = 1.0 / dt;
        for _ in 0..n {
            if self.stops_drift {
                self.stop_drift();
            }
            self.force();
            for (i, m) in self.masses.iter().enumerate() {
                let kick = (dynamics.step_ps / m) as f32;
                for k in 0..3 {
                    for l in 0..LANES {
                        self.v[i][k][l] += kick * self.forces[i][k][l];
                    }
                }
            }
            self.constraints.velocities(&self.x, &mut self.v);
            self.before.copy_from_slice(&self.x);
            for (i, m) in self.masses.iter().enumerate() {
                let noise = (heat / m).sqrt() as f32;
                let ([a, b], [c, _]) = (self.random.normal(), self.random.normal());
                let random = [a, b, c];
                for k in 0..3 {
                    for l in 0..LANES {
                        let v = self.v[i][k][l];
                        let after = keep * v + noise * random[k][l];
                        self.v[i][k][l] = after;
                        self.x[i][k][l] += half * (v + after);
                    }
                }
            }
            // `forces` is free until the next step: it holds where the drift led.
            self.forces.copy_from_slice(&self.x);
            self.constraints.positions(&self.before, &mut self.x);
            for i in 0..self.masses.len() {
                for k in 0..3 {
                    for l in 0..LANES {
                        self.v[i][k][l] += back * (self.x[i][k][l] - self.forces[i][k][l]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn stop_drift(&mut self) {
        let total = 1.0 / self.masses.iter().sum::<f64>();
        for k in 0..3 {
            let mut mean = Row::ZERO;
            for (v, m) in self.v.iter().zip(&self.masses) {
                let share = (m * total) as f32;
                for l in 0..LANES {
                    mean[l] += share * v[k][l];
                }
            }
            for v in &mut self.v {
                for l in 0..LANES {
                    v[k][l] -= mean[l];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let xml = include_str!("../../tests/alanine/system.xml");
        let reference: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/alanine/reference.json")).unwrap();
        let start: Vec<[f64; 3]> =
            serde_json::from_value(reference["cases"][1]["positions_nm"].clone()).unwrap();
        let system = System::from_xml(xml).unwrap();
        let dynamics = Dynamics { temperature_kelvin: 350.0, friction_per_ps: 1.0, step_ps: 0.004 };
        let run = |level: pulp::Arch| {
            let mut replicas = Replicas::new(&system, &std::array::from_fn(|l| l as u64));
            replicas.level = level;
            (0..LANES).for_each(|lane| replicas.set_positions(lane, &start));
            replicas.constrain();
            replicas.draw_velocities(350.0);
            replicas.step(dynamics, 50);
            (replicas.energies(), replicas.x, replicas.v)
        };
        let widest = run(pulp::Arch::new());
        assert!(widest.0.iter().all(|e| e.is_finite()));
        assert!(widest == run(pulp::Arch::Scalar), "the plain way gives other bits");
    }
}
