//! Bonds of fixed length: SHAKE for positions, RATTLE for velocities.
//!
//! A lane that satisfies its constraints is left alone, however long its neighbours take, so that
//! what happens to a replica does not depend on which others run beside it.

use super::lanes::{LANES, Row};
use super::system::System;

/// Relative tolerance of a length, as OpenMM's default.
const TOLERANCE: f32 = 1e-5;
/// Sweeps before a set of constraints is given up: the replica has blown up, and its energy will
/// say so.
const SWEEPS: usize = 150;

#[derive(Clone, Copy, Debug)]
struct Constraint {
    atoms: [usize; 2],
    square: f32,
    /// Inverse masses, and the inverse of twice their sum.
    inverse: [f32; 2],
    half: f32,
}

/// Constraints in groups that share atoms: a heavy atom and its hydrogens, as a rule.
pub struct Constraints {
    groups: Vec<Vec<Constraint>>,
}

impl Constraints {
    /// Of a system.
    pub fn new(system: &System) -> Self {
        let mut groups: Vec<Vec<Constraint>> = Vec::new();
        for bond in &system.constraints {
            let [a, b] = bond.atoms;
            let inverse = [1.0 / system.masses[a], 1.0 / system.masses[b]];
            let made = Constraint {
                atoms: [a, b],
                square: (bond.length_nm * bond.length_nm) as f32,
                inverse: inverse.map(|x| x as f32),
                half: (0.5 / (inverse[0] + inverse[1])) as f32,
            };
            // Every group that holds one of the atoms becomes one.
            let shares = |group: &Vec<Constraint>| {
                group.iter().any(|c| c.atoms.contains(&a) || c.atoms.contains(&b))
            };
            let (touched, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(shares);
            groups = apart;
            let mut joined: Vec<Constraint> = touched.into_iter().flatten().collect();
            joined.push(made);
            groups.push(joined);
        }
        Self { groups }
    }

    /// Brings `x` to the fixed lengths, moving along the bonds of `from`, where they hold.
    #[inline(always)]
    pub fn positions(&self, from: &[[Row; 3]], x: &mut [[Row; 3]]) {
        for group in &self.groups {
            for _ in 0..SWEEPS {
                let mut moved = 0u32;
                for c in group {
                    let [a, b] = c.atoms;
                    let (fa, fb) = (&from[a], &from[b]);
                    let (mut xa, mut xb) = (x[a], x[b]);
                    for l in 0..LANES {
                        let d: [f32; 3] = std::array::from_fn(|k| xa[k][l] - xb[k][l]);
                        let old: [f32; 3] = std::array::from_fn(|k| fa[k][l] - fb[k][l]);
                        let d2 = d[2].mul_add(d[2], d[1].mul_add(d[1], d[0] * d[0]));
                        let along = d[0] * old[0] + d[1] * old[1] + d[2] * old[2];
                        let off = c.square - d2;
                        let act = off.abs() > 2.0 * TOLERANCE * c.square;
                        let g = if act { c.half * off / along } else { 0.0 };
                        moved |= u32::from(act);
                        for k in 0..3 {
                            xa[k][l] += g * c.inverse[0] * old[k];
                            xb[k][l] -= g * c.inverse[1] * old[k];
                        }
                    }
                    (x[a], x[b]) = (xa, xb);
                }
                if moved == 0 {
                    break;
                }
            }
        }
    }

    /// Takes the velocities along the fixed bonds out of `v` (nm/ps).
    #[inline(always)]
    pub fn velocities(&self, x: &[[Row; 3]], v: &mut [[Row; 3]]) {
        for group in &self.groups {
            for _ in 0..SWEEPS {
                let mut moved = 0u32;
                for c in group {
                    let [a, b] = c.atoms;
                    let (xa, xb) = (&x[a], &x[b]);
                    let (mut va, mut vb) = (v[a], v[b]);
                    for l in 0..LANES {
                        let d: [f32; 3] = std::array::from_fn(|k| xa[k][l] - xb[k][l]);
                        let w: [f32; 3] = std::array::from_fn(|k| va[k][l] - vb[k][l]);
                        let rate = d[0] * w[0] + d[1] * w[1] + d[2] * w[2];
                        // 1/ps times nm²: a relative rate of 10 tolerances per ps.
                        let act = rate.abs() > 10.0 * TOLERANCE * c.square;
                        let g = if act { -2.0 * c.half * rate / c.square } else { 0.0 };
                        moved |= u32::from(act);
                        for k in 0..3 {
                            va[k][l] += g * c.inverse[0] * d[k];
                            vb[k][l] -= g * c.inverse[1] * d[k];
                        }
                    }
                    (v[a], v[b]) = (va, vb);
                }
                if moved == 0 {
                    break;
                }
            }
        }
    }
}
