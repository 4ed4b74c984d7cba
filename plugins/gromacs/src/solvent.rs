//! Explicit solvent around a solute that has jumped. The box, the number of waters and ions and
//! their shapes stay: molecules in the solute's new place are moved, each to the emptiest of many
//! random places (most go where the solute was).

use marsfm_plugin_api::engine_abi::MARSFM_PLUGIN_DIVERGED;
use marsfm_plugin_api::{PluginError, stream_seed};
use std::ops::Range;

/// Nearer heavy atoms of solvent than this to one of the solute are in its way, nm.
const TOO_NEAR: f64 = 0.24;
/// A place farther than this from everything is as good as any, nm; also the width of a bin.
const FAR: f64 = 0.30;
/// The emptiest place must be as far as this from everything, nm; minimisation does the rest.
const NEAREST: f64 = 0.17;
/// Random places tried for each molecule.
const TRIES: usize = 3000;
/// Solvent that must fit between the solute and its own image, nm.
const ROOM: f64 = 0.8;

/// A box, its vectors as rows (GROMACS's lower triangle), nm.
pub struct Box3(pub [[f64; 3]; 3]);

impl Box3 {
    fn fractions(&self, p: [f64; 3]) -> [f64; 3] {
        let [a, b, c] = self.0;
        let z = p[2] / c[2];
        let y = (p[1] - z * c[1]) / b[1];
        [(p[0] - z * c[0] - y * b[0]) / a[0], y, z]
    }

    fn point(&self, f: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|k| (0..3).map(|row| f[row] * self.0[row][k]).sum())
    }

    /// From one point to the nearest image of another.
    fn displacement(&self, a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
        let mut d: [f64; 3] = std::array::from_fn(|k| b[k] - a[k]);
        for row in [2, 1, 0] {
            let shift = (d[row] / self.0[row][row]).round();
            for k in 0..3 {
                d[k] -= shift * self.0[row][k];
            }
        }
        d
    }

    /// Distance to the nearest image.
    pub fn distance(&self, a: [f64; 3], b: [f64; 3]) -> f64 {
        self.displacement(a, b).iter().map(|x| x * x).sum::<f64>().sqrt()
    }

    /// The image of a point that is nearest to another.
    pub fn image_near(&self, near: [f64; 3], p: [f64; 3]) -> [f64; 3] {
        let d = self.displacement(near, p);
        std::array::from_fn(|k| near[k] + d[k])
    }
}

/// Points in bins of at least `FAR`.
struct Bins {
    cell: Box3,
    n: [usize; 3],
    bins: Vec<Vec<[f64; 3]>>,
}

impl Bins {
    fn new(cell: [[f64; 3]; 3]) -> Self {
        // The diagonal bounds the heights of a lower-triangular box from above; half of it is safe
        // for every box that GROMACS accepts.
        let n = [0, 1, 2].map(|k| {
            let height = if cell[1][0] == 0.0 && cell[2][0] == 0.0 && cell[2][1] == 0.0 {
                cell[k][k]
            } else {
                0.5 * cell[k][k]
            };
            ((height / FAR) as usize).clamp(1, 200)
        });
        Self { cell: Box3(cell), n, bins: vec![Vec::new(); n.iter().product()] }
    }

    fn at(&self, p: [f64; 3]) -> [usize; 3] {
        let f = self.cell.fractions(p);
        std::array::from_fn(|k| {
            let wrapped = f[k] - f[k].floor();
            ((wrapped * self.n[k] as f64) as usize).min(self.n[k] - 1)
        })
    }

    fn index(&self, [i, j, k]: [usize; 3]) -> usize {
        (i * self.n[1] + j) * self.n[2] + k
    }

    fn add(&mut self, p: [f64; 3]) {
        let at = self.index(self.at(p));
        self.bins[at].push(p);
    }

    /// Distance to the nearest point, `FAR` if none is nearer.
    fn nearest(&self, p: [f64; 3]) -> f64 {
        let at = self.at(p);
        let near = |k: usize| -> Vec<usize> {
            let mut all: Vec<usize> =
                [self.n[k] - 1, 0, 1].map(|shift| (at[k] + shift) % self.n[k]).to_vec();
            all.sort_unstable();
            all.dedup();
            all
        };
        let (xs, ys, zs) = (near(0), near(1), near(2));
        let mut least = FAR;
        for i in &xs {
            for j in &ys {
                for k in &zs {
                    for q in &self.bins[self.index([*i, *j, *k])] {
                        least = least.min(self.cell.distance(p, *q));
                    }
                }
            }
        }
        least
    }
}

/// Random numbers in 0..1 of one seed.
struct Random(u64, u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.1 += 1;
        f64::from(stream_seed(self.0, self.1)) / f64::from(i32::MAX)
    }
}

/// What a placement needs to know.
pub struct Solvated<'a> {
    /// The equilibrated template, whole molecules, nm.
    pub template_nm: &'a [[f64; 3]],
    /// Its box.
    pub cell_nm: [[f64; 3]; 3],
    /// True for atoms with mass that are no hydrogens.
    pub heavy: &'a [bool],
    /// Molecules of solvent.
    pub solvent: &'a [Range<usize>],
}

/// Positions with the solute of `seed_nm` where the template's was, and how many molecules moved.
pub fn place(
    system: &Solvated<'_>,
    seed_nm: &[[f64; 3]],
    rng_seed: u64,
) -> Result<(Vec<[f64; 3]>, usize), PluginError> {
    let mut is_solvent = vec![false; seed_nm.len()];
    system.solvent.iter().flat_map(Clone::clone).for_each(|i| is_solvent[i] = true);
    let solute: Vec<usize> =
        (0..seed_nm.len()).filter(|i| !is_solvent[*i] && system.heavy[*i]).collect();
    let centre = |xyz: &[[f64; 3]]| -> [f64; 3] {
        std::array::from_fn(|k| {
            solute.iter().map(|i| xyz[*i][k]).sum::<f64>() / solute.len().max(1) as f64
        })
    };
    let (from, to) = (centre(seed_nm), centre(system.template_nm));
    let mut out = system.template_nm.to_vec();
    for i in (0..out.len()).filter(|i| !is_solvent[*i]) {
        out[i] = std::array::from_fn(|k| seed_nm[i][k] - from[k] + to[k]);
    }
    fits(&solute, &out, &system.cell_nm)?;
    let mut bins = Bins::new(system.cell_nm);
    solute.iter().for_each(|i| bins.add(out[*i]));
    let heavy_of = |molecule: &Range<usize>| molecule.clone().filter(|i| system.heavy[*i]);
    let (moved, kept): (Vec<_>, Vec<_>) = system
        .solvent
        .iter()
        .partition(|molecule| heavy_of(molecule).any(|i| bins.nearest(out[i]) < TOO_NEAR));
    kept.iter().flat_map(|m| heavy_of(m)).for_each(|i| bins.add(out[i]));
    let mut random = Random(rng_seed, 1 << 20);
    for molecule in &moved {
        let mut best = (0.0, [0.0; 3]);
        for _ in 0..TRIES {
            let point = bins.cell.point([random.next(), random.next(), random.next()]);
            let distance = bins.nearest(point);
            if distance > best.0 {
                best = (distance, point);
            }
            if distance >= FAR {
                break;
            }
        }
        if best.0 < NEAREST {
            let message = format!(
                "no place for a molecule of solvent that the seed displaces: the emptiest is \
                 {:.2} nm from its neighbours; use a larger box",
                best.0
            );
            return Err(PluginError { status: MARSFM_PLUGIN_DIVERGED, message });
        }
        let Some(first) = heavy_of(molecule).next() else { continue };
        let shift: [f64; 3] = std::array::from_fn(|k| best.1[k] - out[first][k]);
        for i in (*molecule).clone() {
            out[i] = std::array::from_fn(|k| out[i][k] + shift[k]);
        }
        heavy_of(molecule).for_each(|i| bins.add(out[i]));
    }
    Ok((out, moved.len()))
}

/// The solute must not meet its own image.
fn fits(solute: &[usize], xyz: &[[f64; 3]], cell: &[[f64; 3]; 3]) -> Result<(), PluginError> {
    let least = [0, 1, 2].map(|k| cell[k][k]).into_iter().fold(f64::INFINITY, f64::min);
    let mut longest = 0.0f64;
    for (n, i) in solute.iter().enumerate() {
        for j in &solute[..n] {
            let square: f64 = (0..3).map(|k| (xyz[*i][k] - xyz[*j][k]).powi(2)).sum();
            longest = longest.max(square);
        }
    }
    let longest = longest.sqrt();
    if longest + ROOM > least {
        let message = format!(
            "the seed is {longest:.2} nm long and would meet its image in a box of {least:.2} nm; \
             use a larger box"
        );
        return Err(PluginError { status: MARSFM_PLUGIN_DIVERGED, message });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lattice of one-atom solvent with a hole in the middle, in which a solute of two atoms is.
    fn lattice() -> (Vec<[f64; 3]>, Vec<Range<usize>>) {
        let mut xyz = vec![[1.5, 1.5, 1.5], [1.65, 1.5, 1.5]];
        for i in 0..1000usize {
            let p = [i % 10, i / 10 % 10, i / 100].map(|k| 0.15 + 0.3 * k as f64);
            let near = |q: &[f64; 3]| {
                Box3([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]]).distance(p, *q) < 0.3
            };
            if !xyz[..2].iter().any(near) {
                xyz.push(p);
            }
        }
        let solvent = (2..xyz.len()).map(|i| i..i + 1).collect();
        (xyz, solvent)
    }

    const CELL: [[f64; 3]; 3] = [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]];

    #[test]
    fn displaced_solvent_finds_a_place_and_nothing_else_moves() {
        let (template, solvent) = lattice();
        let heavy = vec![true; template.len()];
        let system =
            Solvated { template_nm: &template, cell_nm: CELL, heavy: &heavy, solvent: &solvent };
        // The solute turned by 90 degrees and stretched out of its hole, given somewhere else.
        let mut seed = template.clone();
        (seed[0], seed[1]) = ([9.0, 9.0, 9.0], [9.0, 9.9, 9.0]);
        let (placed, moved) = place(&system, &seed, 7).unwrap();
        assert_eq!(place(&system, &seed, 7).unwrap().0, placed, "the same for the same rng_seed");
        let middle: [f64; 3] = std::array::from_fn(|k| 0.5 * (placed[0][k] + placed[1][k]));
        assert!((0..3).all(|k| (middle[k] - [1.575, 1.5, 1.5][k]).abs() < 1e-9), "{middle:?}");
        let cell = Box3(CELL);
        for i in 2..placed.len() {
            for j in 0..2 {
                assert!(cell.distance(placed[i], placed[j]) >= NEAREST);
            }
        }
        let changed = (2..placed.len()).filter(|i| placed[*i] != template[*i]).count();
        assert!(moved > 0 && changed == moved, "{moved} {changed}");
    }

    #[test]
    fn a_seed_longer_than_the_box_is_refused() {
        let (template, solvent) = lattice();
        let heavy = vec![true; template.len()];
        let system =
            Solvated { template_nm: &template, cell_nm: CELL, heavy: &heavy, solvent: &solvent };
        let mut seed = template.clone();
        seed[1] = [4.0, 1.5, 1.5];
        let error = place(&system, &seed, 7).unwrap_err();
        assert!(error.message.contains("2.50 nm long"), "{error}");
    }

    #[test]
    fn bins_agree_with_a_plain_search() {
        let cell = [[3.0, 0.0, 0.0], [1.0, 2.8, 0.0], [-0.9, 1.2, 2.6]];
        let mut bins = Bins::new(cell);
        let mut random = Random(3, 0);
        let mut draw = || [random.next(), random.next(), random.next()];
        let points: Vec<[f64; 3]> = (0..200).map(|_| Box3(cell).point(draw())).collect();
        points.iter().for_each(|p| bins.add(*p));
        for _ in 0..200 {
            let p = Box3(cell).point(draw());
            let plain = points.iter().map(|q| Box3(cell).distance(p, *q)).fold(FAR, f64::min);
            assert!((bins.nearest(p) - plain).abs() < 1e-12);
        }
    }
}
