//! Periodic cells: minimum-image vectors and putting a chain together. Cell vectors a, b, c are
//! rows, nm; any triclinic cell will do.
//!
//! A vector d has fractional coordinates s = d · H⁻¹ (H: cell rows); subtracting round(s) · H
//! gives the nearest image whenever that image is shorter than half the smallest height of the
//! cell, which holds for bonds; for longer vectors the 26 neighbours are tried as well.

use crate::FeatureError;

/// A periodic cell and its inverse.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    rows: [[f64; 3]; 3],
    inverse: [[f64; 3]; 3],
    /// Half the smallest distance between opposite faces, nm.
    half_height: f64,
}

impl Cell {
    /// From cell vectors as rows, nm. A cell without volume is refused.
    pub fn new(cell_nm: &[[f32; 3]; 3]) -> Result<Self, FeatureError> {
        let rows = cell_nm.map(|r| r.map(f64::from));
        let [a, b, c] = rows;
        let (bc, ca, ab) = (cross(b, c), cross(c, a), cross(a, b));
        let volume = dot(a, bc);
        let scale = norm(a) * norm(b) * norm(c);
        if !volume.is_finite() || volume.abs() <= 1e-9 * scale || scale == 0.0 {
            return Err(FeatureError::FlatCell(*cell_nm));
        }
        let mut inverse = [[0.0; 3]; 3];
        for k in 0..3 {
            inverse[k] = [bc[k] / volume, ca[k] / volume, ab[k] / volume];
        }
        let heights = [bc, ca, ab].map(|n| volume.abs() / norm(n));
        let half_height = 0.5 * heights.into_iter().fold(f64::INFINITY, f64::min);
        Ok(Self { rows, inverse, half_height })
    }

    /// The shortest periodic image of `d`, nm.
    pub fn nearest(&self, d: [f64; 3]) -> [f64; 3] {
        let mut shift = [0.0; 3];
        for (k, s) in shift.iter_mut().enumerate() {
            *s = (0..3).map(|i| d[i] * self.inverse[i][k]).sum::<f64>().round();
        }
        let mut best = self.shifted(d, shift);
        if norm(best) > self.half_height {
            let from = best;
            for i in 0..27 {
                let step =
                    [f64::from(i % 3) - 1.0, f64::from(i / 3 % 3) - 1.0, f64::from(i / 9) - 1.0];
                let image = self.shifted(from, step);
                if norm(image) < norm(best) {
                    best = image;
                }
            }
        }
        best
    }

    fn shifted(&self, d: [f64; 3], n: [f64; 3]) -> [f64; 3] {
        let mut out = d;
        for k in 0..3 {
            for i in 0..3 {
                out[k] -= n[i] * self.rows[i][k];
            }
        }
        out
    }
}

/// `positions[i] - positions[j]` in nm, nearest image if there is a cell.
pub fn difference(positions_nm: &[[f32; 3]], i: usize, j: usize, cell: Option<&Cell>) -> [f64; 3] {
    let (p, q) = (positions_nm[i].map(f64::from), positions_nm[j].map(f64::from));
    let d = [p[0] - q[0], p[1] - q[1], p[2] - q[2]];
    cell.map_or(d, |c| c.nearest(d))
}

/// One group of atoms that belong together: an anchor (Cα) and the atoms around it.
#[derive(Clone, Debug)]
pub struct Group {
    /// The atom that is placed relative to the previous group's anchor.
    pub anchor: usize,
    /// The other atoms, placed relative to the anchor.
    pub atoms: Vec<usize>,
}

/// Coordinates (nm, f64) of all groups' atoms as whole neighbours: each anchor is the image
/// nearest to the anchor before it, each atom the image nearest to its anchor. The result is
/// indexed as `positions_nm`; atoms of no group keep their coordinates.
pub fn make_whole(
    positions_nm: &[[f32; 3]],
    cell: Option<&Cell>,
    groups: &[Group],
) -> Vec<[f64; 3]> {
    let mut out: Vec<[f64; 3]> = positions_nm.iter().map(|p| p.map(f64::from)).collect();
    let Some(cell) = cell else { return out };
    let mut previous: Option<usize> = None;
    for group in groups {
        if let Some(p) = previous {
            out[group.anchor] = near(cell, out[group.anchor], out[p]);
        }
        for &atom in &group.atoms {
            out[atom] = near(cell, out[atom], out[group.anchor]);
        }
        previous = Some(group.anchor);
    }
    out
}

fn near(cell: &Cell, p: [f64; 3], to: [f64; 3]) -> [f64; 3] {
    let d = cell.nearest([p[0] - to[0], p[1] - to[1], p[2] - to[2]]);
    [to[0] + d[0], to[1] + d[1], to[2] + d[2]]
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn norm(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_image_is_the_shortest_of_many() {
        let cell = Cell::new(&[[3.0, 0.0, 0.0], [1.4, 2.5, 0.0], [-1.2, 1.1, 2.2]]).unwrap();
        for i in 0..200 {
            let x = f64::from(i);
            let d = [(x * 0.37) % 5.0 - 2.5, (x * 0.73) % 7.0 - 3.5, (x * 0.11) % 4.0 - 2.0];
            let found = norm(cell.nearest(d));
            let mut least = f64::INFINITY;
            for n in 0..729 {
                let n = [n % 9, n / 9 % 9, n / 81].map(|v| f64::from(v) - 4.0);
                least = least.min(norm(cell.shifted(d, n)));
            }
            assert!((found - least).abs() < 1e-12, "{d:?}: {found} against {least}");
        }
    }

    #[test]
    fn a_cut_chain_is_put_together() {
        let cell = Cell::new(&[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]).unwrap();
        let whole: Vec<[f32; 3]> = (0..10).map(|i| [0.38 * i as f32, 0.1, 0.0]).collect();
        let cut: Vec<[f32; 3]> = whole.iter().map(|p| [p[0] % 2.0, p[1], p[2]]).collect();
        let groups: Vec<Group> =
            (0..5).map(|g| Group { anchor: 2 * g, atoms: vec![2 * g + 1] }).collect();
        let out = make_whole(&cut, Some(&cell), &groups);
        for (p, q) in out.iter().zip(&whole) {
            assert!((p[0] - f64::from(q[0])).abs() < 1e-5);
        }
    }

    #[test]
    fn a_flat_cell_is_refused() {
        assert!(Cell::new(&[[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).is_err());
        assert!(Cell::new(&[[0.0; 3]; 3]).is_err());
    }
}
