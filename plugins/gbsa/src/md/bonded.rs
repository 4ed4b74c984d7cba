//! Bonds, angles and torsions.

use super::lanes::{LANES, Row, acos};
use super::system::System;

#[derive(Clone, Copy, Debug)]
struct BondTerm {
    atoms: [usize; 2],
    length: f32,
    k: f32,
}

#[derive(Clone, Copy, Debug)]
struct AngleTerm {
    atoms: [usize; 3],
    angle: f32,
    k: f32,
}

#[derive(Clone, Copy, Debug)]
struct TorsionTerm {
    atoms: [usize; 4],
    constant: f32,
    cos: [f32; 6],
    sin: [f32; 6],
}

/// The terms, single precision.
pub struct Bonded {
    bonds: Vec<BondTerm>,
    angles: Vec<AngleTerm>,
    torsions: Vec<TorsionTerm>,
}

/// A vector of one lane.
type V = [f32; 3];

#[inline(always)]
fn dot(a: V, b: V) -> f32 {
    a[2].mul_add(b[2], a[1].mul_add(b[1], a[0] * b[0]))
}

#[inline(always)]
fn cross(a: V, b: V) -> V {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[inline(always)]
fn between(a: &[Row; 3], b: &[Row; 3], l: usize) -> V {
    [a[0][l] - b[0][l], a[1][l] - b[1][l], a[2][l] - b[2][l]]
}

#[inline(always)]
fn add(forces: &mut [[Row; 3]], atom: usize, f: &[Row; 3]) {
    for k in 0..3 {
        for l in 0..LANES {
            forces[atom][k][l] += f[k][l];
        }
    }
}

impl Bonded {
    /// Of a system.
    pub fn new(system: &System) -> Self {
        let bond = |b: &super::system::Bond| BondTerm {
            atoms: b.atoms,
            length: b.length_nm as f32,
            k: b.k as f32,
        };
        let angle = |a: &super::system::Angle| AngleTerm {
            atoms: a.atoms,
            angle: a.angle as f32,
            k: a.k as f32,
        };
        let torsion = |t: &super::system::Torsion| TorsionTerm {
            atoms: t.atoms,
            constant: t.constant as f32,
            cos: t.cos.map(|x| x as f32),
            sin: t.sin.map(|x| x as f32),
        };
        Self {
            bonds: system.bonds.iter().map(bond).collect(),
            angles: system.angles.iter().map(angle).collect(),
            torsions: system.torsions.iter().map(torsion).collect(),
        }
    }

    /// Adds the forces to `forces` (kJ/mol/nm) and the energies to `energy` (kJ/mol).
    #[inline(always)]
    pub fn add(&self, x: &[[Row; 3]], forces: &mut [[Row; 3]], energy: &mut Row) {
        for bond in &self.bonds {
            Self::bond(bond, x, forces, energy);
        }
        for angle in &self.angles {
            Self::angle(angle, x, forces, energy);
        }
        for torsion in &self.torsions {
            Self::torsion(torsion, x, forces, energy);
        }
    }

    #[inline(always)]
    fn bond(t: &BondTerm, x: &[[Row; 3]], forces: &mut [[Row; 3]], energy: &mut Row) {
        let [a, b] = t.atoms;
        let (xa, xb) = (&x[a], &x[b]);
        let (mut fa, mut fb) = ([Row::ZERO; 3], [Row::ZERO; 3]);
        for l in 0..LANES {
            let d = between(xa, xb, l);
            let r = dot(d, d).sqrt();
            let stretch = r - t.length;
            energy[l] += 0.5 * t.k * stretch * stretch;
            let scale = -t.k * stretch / r;
            for k in 0..3 {
                fa[k][l] = scale * d[k];
                fb[k][l] = -scale * d[k];
            }
        }
        add(forces, a, &fa);
        add(forces, b, &fb);
    }

    #[inline(always)]
    fn angle(t: &AngleTerm, x: &[[Row; 3]], forces: &mut [[Row; 3]], energy: &mut Row) {
        let [a, b, c] = t.atoms;
        let (xa, xb, xc) = (&x[a], &x[b], &x[c]);
        let mut f = [[Row::ZERO; 3]; 3];
        for l in 0..LANES {
            let (u, v) = (between(xa, xb, l), between(xc, xb, l));
            let (iu, iv) = (1.0 / dot(u, u).sqrt(), 1.0 / dot(v, v).sqrt());
            let (u, v) = (u.map(|x| x * iu), v.map(|x| x * iv));
            let cos = dot(u, v);
            let bend = acos(cos) - t.angle;
            energy[l] += 0.5 * t.k * bend * bend;
            let sin2 = 1.0 - cos * cos;
            let sin = if sin2 > 1e-8 { sin2 } else { 1e-8 }.sqrt();
            // dE/dcos = -dE/dangle / sin.
            let scale = t.k * bend / sin;
            for k in 0..3 {
                let fa = scale * iu * (v[k] - cos * u[k]);
                let fc = scale * iv * (u[k] - cos * v[k]);
                f[0][k][l] = fa;
                f[1][k][l] = -fa - fc;
                f[2][k][l] = fc;
            }
        }
        for (atom, f) in t.atoms.iter().zip(&f) {
            add(forces, *atom, f);
        }
    }

    /// The forces by the gradient of the dihedral angle: Blondel and Karplus 1996.
    #[inline(always)]
    fn torsion(t: &TorsionTerm, x: &[[Row; 3]], forces: &mut [[Row; 3]], energy: &mut Row) {
        let [a, b, c, d] = t.atoms;
        let (xa, xb, xc, xd) = (&x[a], &x[b], &x[c], &x[d]);
        let mut f = [[Row::ZERO; 3]; 4];
        for l in 0..LANES {
            let (u, v, w) = (between(xa, xb, l), between(xb, xc, l), between(xd, xc, l));
            let (m, n) = (cross(u, v), cross(w, v));
            let (m2, n2, v2) = (dot(m, m), dot(n, n), dot(v, v));
            let length = v2.sqrt();
            let norm = 1.0 / (m2 * n2).sqrt();
            let cos = dot(m, n) * norm;
            let sin = dot(cross(n, m), v) * norm / length;
            // cos and sin of n phi, one n after another.
            let (mut cn, mut sn) = (cos, sin);
            let (mut e, mut slope) = (t.constant, 0.0f32);
            for (order, (kc, ks)) in t.cos.iter().zip(&t.sin).enumerate() {
                e += kc * cn + ks * sn;
                slope += (order + 1) as f32 * (ks * cn - kc * sn);
                (cn, sn) = (cn * cos - sn * sin, sn * cos + cn * sin);
            }
            energy[l] += e;
            let (im, inn, iv) = (slope * length / m2, slope * length / n2, 1.0 / v2);
            let (uv, wv) = (dot(u, v) * iv, dot(w, v) * iv);
            for k in 0..3 {
                let fa = im * m[k];
                let fd = -inn * n[k];
                let shift = uv * fa + wv * fd;
                f[0][k][l] = fa;
                f[1][k][l] = -shift - fa;
                f[2][k][l] = shift - fd;
                f[3][k][l] = fd;
            }
        }
        for (atom, f) in t.atoms.iter().zip(&f) {
            add(forces, *atom, f);
        }
    }
}
