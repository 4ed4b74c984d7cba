//! A toy with exact answers: overdamped motion on a two-dimensional potential with several wells,
//! on a lattice. Reversible hops with the rates of the square-root approximation,
//! q_ij = D/h² exp(-(V_j - V_i)/2RT), have exactly the Boltzmann distribution; T = exp(Q t) gives
//! populations, timescales, passage times and jumps as exactly as wanted.

mod engine;
mod propose;

pub use engine::{Fault, ToyEngine};
pub use propose::{ToyProposer, proposer};

use marsfm_msm::estimate::reversible_eigenvalues;
use marsfm_msm::validate::mean_first_passage_times;
use marsfm_msm::{Matrix, MsmError};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::statistics::GAS_KJ_MOL_KELVIN;

/// Places (in lattice spacings) and depths (kJ/mol above the lowest) of the wells.
const WELLS: [([f64; 2], f64); 6] = [
    ([1.0, 1.0], 0.0),
    ([5.0, 1.0], 2.0),
    ([9.0, 1.0], 5.0),
    ([1.0, 5.0], 3.0),
    ([5.0, 5.0], 7.0),
    ([9.0, 5.0], 4.0),
];
const NX: usize = 11;
const NY: usize = 7;

/// Options of the toy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToyOptions {
    /// Temperature, K.
    pub kelvin: f64,
    /// Barrier half-way between two wells of equal depth, kJ/mol.
    pub barrier_kj_mol: f64,
    /// Hops per ps between sites of equal energy.
    pub hops_per_ps: f64,
    /// The microstates that the loop sees are squares of so many sites: 1 is Markovian, more is
    /// not, so that lag and head matter.
    pub blocks: usize,
    /// Hides the wells: microstates and macrostates are found from the MD, as for molecules.
    pub cluster: bool,
    /// A fault to inject, for tests: `crash`, `hang`, `nan`, `half` or `full`.
    pub fault: Option<Fault>,
    /// Seeds (in the order in which they are run) that it hits.
    pub fault_at: Vec<u64>,
}

impl Default for ToyOptions {
    fn default() -> Self {
        Self {
            kelvin: 300.0,
            barrier_kj_mol: 10.0,
            hops_per_ps: 0.5,
            blocks: 1,
            cluster: false,
            fault: None,
            fault_at: Vec::new(),
        }
    }
}

/// The toy's potential and dynamics; sites are numbered along x first.
#[derive(Clone, Debug)]
pub struct Toy {
    options: ToyOptions,
    pi: Vec<f64>,
    well: Vec<usize>,
    rates: Matrix,
    /// Time between frames, ps, and T of one frame.
    frame_ps: f64,
    t: Matrix,
    cumulative: Matrix,
}

/// Between neighbouring sites, nm.
pub const SPACING_NM: f64 = 0.1;

impl Toy {
    /// The potential with its dynamics at frames of `frame_ps`.
    pub fn new(options: ToyOptions, frame_ps: f64) -> Result<Self, MsmError> {
        for (what, value) in [
            ("kelvin", options.kelvin),
            ("barrier_kj_mol", options.barrier_kj_mol),
            ("hops_per_ps", options.hops_per_ps),
            ("blocks", options.blocks as f64),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                let got = format!("engine.options.{what} = {value}");
                return Err(MsmError::Parameter { what: "toy", got, expected: "above 0".into() });
            }
        }
        let n = NX * NY;
        let rt = GAS_KJ_MOL_KELVIN * options.kelvin;
        let stiffness = options.barrier_kj_mol / 2.0; // V(2 spacings) = barrier
        let well_energy = |site: usize, k: usize| {
            let ([x, y], depth) = WELLS[k];
            let (dx, dy) = ((site % NX) as f64 - x, (site / NX) as f64 - y);
            depth + 0.5 * stiffness * (dx * dx + dy * dy)
        };
        let softness = 1.0; // kJ/mol, rounds the ridges between wells
        let energy: Vec<f64> = (0..n)
            .map(|s| {
                let sum: f64 =
                    (0..WELLS.len()).map(|k| (-well_energy(s, k) / softness).exp()).sum();
                -softness * sum.ln()
            })
            .collect();
        let nearest = |s: usize| {
            let order = |a: &usize, b: &usize| well_energy(s, *a).total_cmp(&well_energy(s, *b));
            (0..WELLS.len()).min_by(order).expect("there are wells")
        };
        let well = (0..n).map(nearest).collect();
        let weight: Vec<f64> = energy.iter().map(|e| (-e / rt).exp()).collect();
        let sum: f64 = weight.iter().sum();
        let pi: Vec<f64> = weight.iter().map(|w| w / sum).collect();
        let mut rates = Matrix::zeros(n, n);
        for i in 0..n {
            for j in neighbours(i) {
                rates[(i, j)] = options.hops_per_ps * ((energy[i] - energy[j]) / (2.0 * rt)).exp();
                rates[(i, i)] -= rates[(i, j)];
            }
        }
        let t = exponential(&rates, frame_ps);
        let mut cumulative = t.clone();
        for i in 0..n {
            let mut sum = 0.0;
            cumulative.row_mut(i).iter_mut().for_each(|v| {
                sum += *v;
                *v = sum;
            });
        }
        Ok(Self { options, pi, well, rates, frame_ps, t, cumulative })
    }

    /// Its options.
    pub fn options(&self) -> &ToyOptions {
        &self.options
    }

    /// Number of sites.
    pub fn n_sites(&self) -> usize {
        self.pi.len()
    }

    /// Number of wells.
    pub fn n_wells(&self) -> usize {
        WELLS.len()
    }

    /// Well of each site.
    pub fn wells(&self) -> &[usize] {
        &self.well
    }

    /// Exact population of each site.
    pub fn pi(&self) -> &[f64] {
        &self.pi
    }

    /// Exact population of each well.
    pub fn well_populations(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.n_wells()];
        self.pi.iter().zip(&self.well).for_each(|(p, w)| out[*w] += p);
        out
    }

    /// Exact transition matrix of a time.
    pub fn transitions(&self, ps: f64) -> Matrix {
        exponential(&self.rates, ps)
    }

    /// Exact timescales, ps, slowest first.
    pub fn timescales_ps(&self, k: usize) -> Result<Vec<f64>, MsmError> {
        let eigenvalues = reversible_eigenvalues(&self.t, &self.pi)?;
        Ok(eigenvalues[1..].iter().take(k).map(|v| -self.frame_ps / v.ln()).collect())
    }

    /// Exact mean first passage time between wells for a walker seen every `ps`, ps.
    pub fn mfpt_ps(&self, from: usize, to: usize, ps: f64) -> Result<f64, MsmError> {
        let members = |w: usize| (0..self.n_sites()).filter(move |s| self.well[*s] == w);
        let target: Vec<usize> = members(to).collect();
        let times = mean_first_passage_times(&self.transitions(ps), 1, &target)?;
        let weight: f64 = members(from).map(|s| self.pi[s]).sum();
        Ok(members(from).map(|s| self.pi[s] * times[s]).sum::<f64>() / weight * ps)
    }

    /// The site one frame later.
    pub fn step(&self, site: usize, rng: &mut impl Rng) -> usize {
        draw(self.cumulative.row(site), rng)
    }

    /// Where a site is, nm.
    pub fn place(&self, site: usize) -> [f64; 3] {
        [(site % NX) as f64 * SPACING_NM, (site / NX) as f64 * SPACING_NM, 0.0]
    }

    /// The site of a place; `None` beyond the lattice or off its plane.
    pub fn site(&self, [x, y, z]: [f64; 3]) -> Option<usize> {
        let (x, y) = ((x / SPACING_NM).round(), (y / SPACING_NM).round());
        let inside = x >= 0.0 && y >= 0.0 && x < NX as f64 && y < NY as f64 && z.abs() < 1e-9;
        inside.then_some(y as usize * NX + x as usize)
    }

    /// One step down the steepest slope, or the same site.
    fn downhill(&self, site: usize) -> usize {
        neighbours(site)
            .chain([site])
            .max_by(|a, b| self.pi[*a].total_cmp(&self.pi[*b]))
            .unwrap_or(site)
    }

    /// Microstate of a site, as the loop sees it.
    fn block(&self, site: usize) -> usize {
        let b = self.options.blocks;
        (site / NX / b) * NX.div_ceil(b) + site % NX / b
    }

    fn n_blocks(&self) -> usize {
        NX.div_ceil(self.options.blocks) * NY.div_ceil(self.options.blocks)
    }
}

/// A site drawn from rising sums.
fn draw(cumulative: &[f64], rng: &mut impl Rng) -> usize {
    let u = rng.random::<f64>() * cumulative[cumulative.len() - 1];
    cumulative.partition_point(|c| *c <= u).min(cumulative.len() - 1)
}

fn neighbours(site: usize) -> impl Iterator<Item = usize> {
    let (x, y) = (site % NX, site / NX);
    let left = (x > 0).then(|| site - 1);
    let right = (x + 1 < NX).then(|| site + 1);
    let down = (y > 0).then(|| site - NX);
    let up = (y + 1 < NY).then(|| site + NX);
    [left, right, down, up].into_iter().flatten()
}

/// exp(Q t) by a Taylor series of a small part, squared.
fn exponential(rates: &Matrix, ps: f64) -> Matrix {
    let n = rates.n_rows();
    let fastest = (0..n).map(|i| -rates[(i, i)]).fold(0.0, f64::max) * ps;
    let squarings = (fastest / 0.1).log2().ceil().max(0.0) as i32;
    let scale = ps / 2f64.powi(squarings);
    let (mut sum, mut term) = (Matrix::identity(n), Matrix::identity(n));
    for k in 1..=12 {
        term = term.times(rates);
        let factor = scale / f64::from(k);
        for i in 0..n {
            term.row_mut(i).iter_mut().for_each(|v| *v *= factor);
            for j in 0..n {
                sum[(i, j)] += term[(i, j)];
            }
        }
    }
    for _ in 0..squarings {
        sum = sum.times(&sum);
    }
    for i in 0..n {
        let row = sum.row_mut(i);
        row.iter_mut().for_each(|v| *v = v.max(0.0));
        let total: f64 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= total);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_msm::estimate::{check_stochastic, detailed_balance_violation};

    #[test]
    fn the_exact_answers_agree_with_each_other() {
        let toy = Toy::new(ToyOptions::default(), 1.0).unwrap();
        check_stochastic(&toy.t).unwrap();
        assert!(detailed_balance_violation(&toy.t, &toy.pi) < 1e-12);
        // Chapman-Kolmogorov: ten frames are one step of ten.
        let mut ten = Matrix::identity(toy.n_sites());
        (0..10).for_each(|_| ten = ten.times(&toy.t));
        let direct = toy.transitions(10.0);
        let far = ten.as_slice().iter().zip(direct.as_slice()).map(|(a, b)| (a - b).abs());
        assert!(far.fold(0.0, f64::max) < 1e-12);
        // The spectrum does not depend on the frame.
        let other = Toy::new(ToyOptions::default(), 5.0).unwrap();
        for (a, b) in toy.timescales_ps(5).unwrap().iter().zip(other.timescales_ps(5).unwrap()) {
            assert!((a / b - 1.0).abs() < 1e-8, "{a} {b}");
        }
        let p = toy.well_populations();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12 && p.iter().all(|p| *p > 0.005));
        assert!(Toy::new(ToyOptions { kelvin: -1.0, ..ToyOptions::default() }, 1.0).is_err());
    }

    #[test]
    fn sites_and_places_belong_together() {
        let toy = Toy::new(ToyOptions::default(), 1.0).unwrap();
        for site in 0..toy.n_sites() {
            assert_eq!(toy.site(toy.place(site)), Some(site));
        }
        assert_eq!(toy.site([-0.2, 0.0, 0.0]), None);
        assert_eq!(toy.site([0.0, 0.0, 0.3]), None);
        assert_eq!(toy.site([f64::NAN, 0.0, 0.0]), None);
    }
}
