//! Coulomb, Lennard-Jones and generalised Born forces between all pairs of atoms.
//!
//! GBSA-OBC2 as in Onufriev, Bashford and Case, Proteins 55, 383 (2004), with the constants and
//! the cut of OpenMM's `GBSAOBCForce` and its ACE surface term (Schaefer, Bartels and Karplus 1998).
//!
//! Three passes over the pairs. The first sums the descreening of each atom and keeps what the
//! third needs: the derivative of the descreening depends on the distance alone, so that the
//! logarithm is taken once. The second has the energies and forces at fixed Born radii, and the
//! derivatives by these radii; the third sends these back to the atoms.

use super::lanes::{LANES, Row, exp, ln};
use super::system::{COULOMB, System};

/// What is taken off a radius inside the Born integral, nm.
const OFFSET: f64 = 0.009;
/// OBC2: alpha, beta, gamma.
const OBC: [f32; 3] = [1.0, 0.8, 4.85];
/// Radius of a solvent molecule in the surface term, nm.
const PROBE: f64 = 0.14;

/// Parameters of a pair, single precision.
#[derive(Clone, Copy, Debug)]
struct PairTerms {
    coulomb: f32,
    c12: f32,
    c6: f32,
    born: f32,
}

/// Parameters of an atom in the Born force.
#[derive(Clone, Copy, Debug, Default)]
struct AtomTerms {
    /// Radius, nm.
    radius: f32,
    /// Radius less the offset, nm.
    inner: f32,
    /// The latter, scaled: what descreens others, nm.
    screen: f32,
    /// Half the self energy times the radius, kJ nm/mol.
    own: f32,
    /// Surface energy where the Born radius is the radius, kJ/mol.
    surface: f32,
}

/// The force field between atoms, and room to compute in.
pub struct Nonbonded {
    pairs: Vec<PairTerms>,
    atoms: Vec<AtomTerms>,
    solvent: bool,
    /// Of each pair: 1/r, and the descreening's derivative both ways, over r.
    inverse: Vec<Row>,
    chain: Vec<[Row; 2]>,
    /// Of each atom: descreening, then derivative of the energy by the Born radius.
    sums: Vec<Row>,
    radii: Vec<Row>,
    inverse_radii: Vec<Row>,
    /// Derivative of a Born radius by the descreening.
    slope: Vec<Row>,
}

/// Descreening of an atom of radius `inner` by one of radius `screen` at distance r, and minus half
/// its derivative by r.
#[inline(always)]
fn descreen(inner: f32, screen: f32, r: f32, inverse: f32) -> (f32, f32) {
    let far = r + screen;
    let gap = (r - screen).abs();
    let near = if gap > inner { gap } else { inner };
    let both = 1.0 / (near * far);
    let (l, u) = (far * both, near * both);
    let (l2, u2) = (l * l, u * u);
    let log = ln(near * u);
    let s2 = screen * screen;
    let difference = l2 - u2;
    let term = l - u + 0.25 * difference * s2.mul_add(inverse, -r) + 0.5 * inverse * log;
    // The atom is inside the other.
    let term = if inner < screen - r { 2.0f32.mul_add(1.0 / inner - l, term) } else { term };
    let i2 = inverse * inverse;
    let half = 0.125 * difference * s2.mul_add(i2, 1.0) + 0.25 * log * i2;
    if inner < far { (term, half) } else { (0.0, 0.0) }
}

impl Nonbonded {
    /// For a system.
    pub fn new(system: &System) -> Self {
        let n = system.n_atoms();
        let mut atoms = vec![AtomTerms::default(); n];
        let mut pairs: Vec<PairTerms> = Vec::with_capacity(system.pairs.len());
        let solvent = system.solvent.as_ref();
        let factor = solvent.map_or(0.0, |s| -COULOMB * (1.0 / s.solute - 1.0 / s.solvent));
        let charge = |i: usize| solvent.map_or(0.0, |s| s.atoms[i].charge);
        let mut given = system.pairs.iter();
        for i in 0..n {
            for j in i + 1..n {
                let pair = given.next().copied().unwrap_or_default();
                pairs.push(PairTerms {
                    coulomb: pair.coulomb as f32,
                    c12: pair.c12 as f32,
                    c6: pair.c6 as f32,
                    born: (factor * charge(i) * charge(j)) as f32,
                });
            }
        }
        if let Some(solvent) = solvent {
            for (to, born) in atoms.iter_mut().zip(&solvent.atoms) {
                let inner = born.radius_nm - OFFSET;
                let area = 4.0 * std::f64::consts::PI * (born.radius_nm + PROBE).powi(2);
                *to = AtomTerms {
                    radius: born.radius_nm as f32,
                    inner: inner as f32,
                    screen: (inner * born.scale) as f32,
                    own: (0.5 * factor * born.charge * born.charge) as f32,
                    surface: (solvent.surface * area) as f32,
                };
            }
        }
        let rows = |n: usize| vec![Row::ZERO; n];
        Self {
            inverse: rows(pairs.len()),
            chain: vec![[Row::ZERO; 2]; pairs.len()],
            pairs,
            atoms,
            solvent: solvent.is_some(),
            sums: rows(n),
            radii: rows(n),
            inverse_radii: rows(n),
            slope: rows(n),
        }
    }

    /// Adds the forces to `forces` (kJ/mol/nm); gives the energies (kJ/mol).
    #[inline(always)]
    pub fn add(&mut self, x: &[[Row; 3]], forces: &mut [[Row; 3]]) -> Row {
        self.first(x);
        let mut energy = self.born_radii();
        self.second(x, forces, &mut energy);
        if self.solvent {
            self.third(x, forces);
        }
        energy
    }

    #[inline(always)]
    fn first(&mut self, x: &[[Row; 3]]) {
        self.sums.fill(Row::ZERO);
        let mut p = 0;
        for i in 0..x.len() {
            let (xi, own) = (x[i], self.atoms[i]);
            let mut sum = Row::ZERO;
            for j in i + 1..x.len() {
                let (xj, other) = (&x[j], self.atoms[j]);
                let (inverse, chain) = (&mut self.inverse[p], &mut self.chain[p]);
                let to = &mut self.sums[j];
                let [chain_i, chain_j] = chain;
                for l in 0..LANES {
                    let d = [xi[0][l] - xj[0][l], xi[1][l] - xj[1][l], xi[2][l] - xj[2][l]];
                    let r2 = d[2].mul_add(d[2], d[1].mul_add(d[1], d[0] * d[0]));
                    let inv = 1.0 / r2.sqrt();
                    let r = r2 * inv;
                    let (a, half_a) = descreen(own.inner, other.screen, r, inv);
                    let (b, half_b) = descreen(other.inner, own.screen, r, inv);
                    inverse[l] = inv;
                    chain_i[l] = half_a * inv;
                    chain_j[l] = half_b * inv;
                    sum[l] += a;
                    to[l] += b;
                }
                p += 1;
            }
            for l in 0..LANES {
                self.sums[i][l] += sum[l];
            }
        }
    }

    /// Radii out of the sums, which become the derivatives of the atoms' own energies.
    #[inline(always)]
    fn born_radii(&mut self) -> Row {
        let mut energy = Row::ZERO;
        if !self.solvent {
            return energy;
        }
        let [alpha, beta, gamma] = OBC;
        let Self { atoms, sums, radii, inverse_radii, slope, .. } = self;
        let rows = sums.iter_mut().zip(slope).zip(radii.iter_mut().zip(inverse_radii));
        for (a, ((sum, slope), (radius, inverse_radius))) in atoms.iter().zip(rows) {
            for l in 0..LANES {
                let s = 0.5 * a.inner * sum[l];
                let y = s * gamma.mul_add(s, -beta).mul_add(s, alpha);
                let e = exp(-2.0 * y.abs());
                let t = (1.0 - e) / (1.0 + e);
                let tanh = if y < 0.0 { -t } else { t };
                let inverse = 1.0 / a.inner - tanh / a.radius;
                let born = 1.0 / inverse;
                let rise = (3.0 * gamma * s).mul_add(s, alpha - 2.0 * beta * s);
                slope[l] = born * born * a.inner * rise * (1.0 - tanh * tanh) / a.radius;
                radius[l] = born;
                inverse_radius[l] = inverse;
                let ratio = a.radius * inverse;
                let r3 = ratio * ratio * ratio;
                let surface = a.surface * r3 * r3;
                let own = a.own * inverse;
                energy[l] += own + surface;
                sum[l] = -(6.0f32.mul_add(surface, own)) * inverse;
            }
        }
        energy
    }

    #[inline(always)]
    fn second(&mut self, x: &[[Row; 3]], forces: &mut [[Row; 3]], energy: &mut Row) {
        let mut p = 0;
        for i in 0..x.len() {
            let xi = x[i];
            let (radius, inverse_radius) = (self.radii[i], self.inverse_radii[i]);
            let (mut f, mut sum, mut e_i) = ([Row::ZERO; 3], Row::ZERO, Row::ZERO);
            for j in i + 1..x.len() {
                let (xj, pair, inverse) = (&x[j], self.pairs[p], &self.inverse[p]);
                let (radius_j, inverse_j) = (&self.radii[j], &self.inverse_radii[j]);
                let (to, [fx, fy, fz]) = (&mut self.sums[j], &mut forces[j]);
                for l in 0..LANES {
                    let d = [xi[0][l] - xj[0][l], xi[1][l] - xj[1][l], xi[2][l] - xj[2][l]];
                    let inv = inverse[l];
                    let inv2 = inv * inv;
                    let inv6 = inv2 * inv2 * inv2;
                    let (lj6, lj12) = (pair.c6 * inv6, pair.c12 * inv6 * inv6);
                    let coulomb = pair.coulomb * inv;
                    let mut scale = (12.0f32.mul_add(lj12, -6.0 * lj6) + coulomb) * inv2;
                    let mut e = lj12 - lj6 + coulomb;
                    // Still's function; all zero in vacuum, where `born` is.
                    let r2 = d[2].mul_add(d[2], d[1].mul_add(d[1], d[0] * d[0]));
                    let product = radius[l] * radius_j[l];
                    let ratio = 0.25 * r2 * (inverse_radius[l] * inverse_j[l]);
                    let decay = exp(-ratio);
                    let f2 = product.mul_add(decay, r2);
                    let g_inv = 1.0 / f2.sqrt();
                    let g_inv2 = g_inv * g_inv;
                    let g = pair.born * g_inv;
                    scale += g * (-0.25f32).mul_add(decay, 1.0) * g_inv2;
                    e += g;
                    let by_product = -0.5 * g * decay * (1.0 + ratio) * g_inv2;
                    sum[l] += by_product * radius_j[l];
                    to[l] += by_product * radius[l];
                    e_i[l] += e;
                    f[0][l] += scale * d[0];
                    f[1][l] += scale * d[1];
                    f[2][l] += scale * d[2];
                    fx[l] -= scale * d[0];
                    fy[l] -= scale * d[1];
                    fz[l] -= scale * d[2];
                }
                p += 1;
            }
            self.gather(i, &f, &sum, forces);
            for l in 0..LANES {
                energy[l] += e_i[l];
            }
        }
    }

    #[inline(always)]
    fn gather(&mut self, i: usize, f: &[Row; 3], sum: &Row, forces: &mut [[Row; 3]]) {
        for k in 0..3 {
            for l in 0..LANES {
                forces[i][k][l] += f[k][l];
            }
        }
        for l in 0..LANES {
            self.sums[i][l] += sum[l];
        }
    }

    #[inline(always)]
    fn third(&mut self, x: &[[Row; 3]], forces: &mut [[Row; 3]]) {
        for (sum, slope) in self.sums.iter_mut().zip(&self.slope) {
            for l in 0..LANES {
                sum[l] *= slope[l];
            }
        }
        let mut p = 0;
        for i in 0..x.len() {
            let (xi, own) = (x[i], self.sums[i]);
            let mut f = [Row::ZERO; 3];
            for j in i + 1..x.len() {
                let (xj, other, [chain_i, chain_j]) = (&x[j], &self.sums[j], &self.chain[p]);
                let [fx, fy, fz] = &mut forces[j];
                for l in 0..LANES {
                    let scale = own[l] * chain_i[l] + other[l] * chain_j[l];
                    let d = [xi[0][l] - xj[0][l], xi[1][l] - xj[1][l], xi[2][l] - xj[2][l]];
                    f[0][l] += scale * d[0];
                    f[1][l] += scale * d[1];
                    f[2][l] += scale * d[2];
                    fx[l] -= scale * d[0];
                    fy[l] -= scale * d[1];
                    fz[l] -= scale * d[2];
                }
                p += 1;
            }
            self.gather(i, &f, &Row::ZERO, forces);
        }
    }
}
