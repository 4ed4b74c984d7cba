//! Periodic cells (nm): the shift that brings a displacement to its minimum image, triclinic too.

use crate::error::GeometryError;

/// Three cell vectors (rows, nm) and their inverse.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    rows: [[f64; 3]; 3],
    inverse: [[f64; 3]; 3],
    /// A displacement shorter than this is its own minimum image: (half the least width)².
    surely: f64,
}

impl Cell {
    /// From cell vectors as rows, nm. Errors if the volume is zero or an entry is not finite.
    pub fn new(vectors: &[[f32; 3]; 3]) -> Result<Self, GeometryError> {
        let rows = vectors.map(|v| v.map(f64::from));
        let [a, b, c] = rows;
        let bc = crate::real::cross(b, c);
        let ca = crate::real::cross(c, a);
        let ab = crate::real::cross(a, b);
        let volume = crate::real::dot(a, bc);
        let size = rows.iter().flatten().fold(0.0f64, |m, x| m.max(x.abs()));
        if volume.abs() <= 1e-9 * size.powi(3) || !volume.is_finite() {
            return Err(GeometryError::BadCell);
        }
        // Fractional coordinate k of d is d · (reciprocal vector k).
        let inverse = [bc, ca, ab].map(|v| v.map(|x| x / volume));
        let rectangular = (0..3).all(|i| (0..3).all(|j| i == j || rows[i][j] == 0.0));
        // Every lattice vector is at least as long as the least distance of opposite faces.
        let widths = inverse.map(|r| 0.25 / crate::real::dot(r, r));
        let least = widths.into_iter().fold(f64::INFINITY, f64::min);
        Ok(Self { rows, inverse, surely: if rectangular { f64::INFINITY } else { least } })
    }

    /// The lattice vector to add to `d` so that it becomes as short as possible.
    pub fn shift_to_minimum(&self, d: [f64; 3]) -> [f64; 3] {
        use crate::real::{add, dot, scale};
        let nearest = self.inverse.map(|r| -dot(r, d).round());
        let lattice = |n: [f64; 3]| {
            let s = add(scale(self.rows[0], n[0]), scale(self.rows[1], n[1]));
            add(s, scale(self.rows[2], n[2]))
        };
        let length = |n: [f64; 3]| {
            let v = add(d, lattice(n));
            dot(v, v)
        };
        // Rounding is exact in a rectangular cell; in a skewed one a neighbour may be nearer.
        let mut best = nearest;
        let mut shortest = length(nearest);
        if shortest <= self.surely {
            return lattice(nearest);
        }
        for i in -1..=1 {
            for j in -1..=1 {
                for k in -1..=1 {
                    let n = add(nearest, [f64::from(i), f64::from(j), f64::from(k)]);
                    let l = length(n);
                    if l < shortest * (1.0 - 1e-9) {
                        (best, shortest) = (n, l);
                    }
                }
            }
        }
        lattice(best)
    }
}

/// `to - from` (nm), as its minimum image if there is a cell.
pub(crate) fn displacement(from: [f32; 3], to: [f32; 3], cell: Option<&Cell>) -> [f64; 3] {
    let d = [0, 1, 2].map(|k| f64::from(to[k]) - f64::from(from[k]));
    match cell {
        None => d,
        Some(cell) => crate::real::add(d, cell.shift_to_minimum(d)),
    }
}

/// Length of [`displacement`], nm.
pub(crate) fn separation(a: [f32; 3], b: [f32; 3], cell: Option<&Cell>) -> f64 {
    crate::real::norm(displacement(a, b, cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shift_is_the_best_of_many_images() {
        best_of_many([[3.0, 0.0, 0.0], [1.5, 2.6, 0.0], [-1.4, 0.9, 2.4]]);
        best_of_many([[3.0, 0.0, 0.0], [0.0, 2.6, 0.0], [0.0, 0.0, 2.4]]);
        assert!(Cell::new(&[[0.0; 3]; 3]).is_err());
        assert!(Cell::new(&[[f32::NAN; 3]; 3]).is_err());
    }

    fn best_of_many(rows: [[f32; 3]; 3]) {
        let cell = Cell::new(&rows).unwrap();
        for step in 0..500 {
            let d = [0.37, 0.91, 0.53].map(|f: f64| (f * f64::from(step)).sin() * 7.0);
            let s = cell.shift_to_minimum(d);
            let got = crate::real::norm(crate::real::add(d, s));
            let mut best = f64::INFINITY;
            for i in -6..=6 {
                for j in -6..=6 {
                    for k in -6..=6 {
                        let n = [f64::from(i), f64::from(j), f64::from(k)];
                        let v = [0, 1, 2].map(|x| {
                            d[x] + (0..3).map(|r| n[r] * f64::from(rows[r][x])).sum::<f64>()
                        });
                        best = best.min(crate::real::norm(v));
                    }
                }
            }
            assert!((got - best).abs() < 1e-9, "{step}: {got} {best}");
        }
    }
}
