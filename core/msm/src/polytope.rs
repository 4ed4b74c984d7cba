//! Maximum of sum_ij A_ij^2/A_0j over the polytope {X A >= 0, A 1 = e_0}, the objective of PCCA+.
//!
//! Unknowns are the m*m entries of A, column by column. Phase 1: from a feasible point follow the
//! gradient projected on the constraints met so far until m*m of them are met (a vertex); the
//! objective is convex, so each step to the next wall gains. Phase 2: leave the vertex along the
//! edge of largest slope until the next wall (one pivot of the simplex method, with the inverse of
//! the active constraints updated in place); when no slope is positive, compare the objective at
//! the far ends of all edges; when none is larger, stop. Walls are moved outwards by tiny distinct
//! amounts, so that no two coincide.

use crate::Matrix;
use crate::pcca::objective;

/// Outward shift of walls, well below the accuracy asked of memberships.
const SHIFT: f64 = 1e-13;

pub(crate) struct Polytope<'a> {
    x: &'a Matrix,
    n: usize,
    m: usize,
    shift: Vec<f64>,
}

/// A vertex: which walls are met, and the inverse of their normals.
struct Vertex {
    /// Entries of A, column by column: `point[j * m + i]` = A_ij.
    point: Vec<f64>,
    /// Walls met; `None` marks the m equalities, which never leave.
    walls: Vec<Option<usize>>,
    /// Column e of the inverse is the edge along which only wall e is left (p x p, row-major).
    inverse: Matrix,
}

impl<'a> Polytope<'a> {
    pub fn new(x: &'a Matrix) -> Self {
        let (n, m) = (x.n_rows(), x.n_cols());
        let shift = (0..n * m)
            .map(|w| {
                let mut z = (w as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                z = (z ^ (z >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                SHIFT * (1.0 + (z >> 40) as f64 / (1u64 << 24) as f64)
            })
            .collect();
        Self { x, n, m, shift }
    }

    /// A local maximum over vertices and their neighbours, reached from the feasible `start`.
    pub fn climb(&self, start: &Matrix) -> Matrix {
        let mut point = self.flatten(start);
        let best = match self.to_vertex(&mut point) {
            Some(vertex) => self.walk(vertex),
            None => point,
        };
        self.unflatten(&best)
    }

    fn flatten(&self, a: &Matrix) -> Vec<f64> {
        (0..self.m * self.m).map(|q| a[(q % self.m, q / self.m)]).collect()
    }

    fn unflatten(&self, point: &[f64]) -> Matrix {
        let mut a = Matrix::zeros(self.m, self.m);
        for (q, v) in point.iter().enumerate() {
            a[(q % self.m, q / self.m)] = *v;
        }
        a
    }

    fn value(&self, point: &[f64]) -> f64 {
        objective(&self.unflatten(point))
    }

    fn gradient(&self, point: &[f64]) -> Vec<f64> {
        let m = self.m;
        let mut g = vec![0.0; m * m];
        for j in 0..m {
            let a = &point[j * m..(j + 1) * m];
            if a[0] <= 1e-14 {
                continue;
            }
            let squares: f64 = a.iter().map(|v| v * v).sum();
            for i in 0..m {
                g[j * m + i] = 2.0 * a[i] / a[0];
            }
            g[j * m] -= squares / (a[0] * a[0]);
        }
        g
    }

    /// Normal of wall w = (state k, set j) dotted with a direction: the change of membership.
    #[inline(always)]
    fn along(&self, k: usize, j: usize, direction: &[f64]) -> f64 {
        let m = self.m;
        self.x.row(k).iter().zip(&direction[j * m..(j + 1) * m]).map(|(a, b)| a * b).sum()
    }

    /// How far one can go, and the wall met there.
    fn reach(&self, point: &[f64], direction: &[f64]) -> Option<(f64, usize)> {
        let size = direction.iter().fold(0.0_f64, |s, v| s.max(v.abs()));
        let m = self.m;
        let mut found: Option<(f64, usize)> = None;
        for j in 0..m {
            if direction[j * m..(j + 1) * m].iter().all(|v| v.abs() <= 1e-13 * size) {
                continue;
            }
            for k in 0..self.n {
                let rate = self.along(k, j, direction);
                if rate < -1e-10 * size {
                    let w = k * m + j;
                    let slack = (self.along(k, j, point) + self.shift[w]).max(0.0);
                    let step = slack / -rate;
                    if found.is_none_or(|(s, _)| step < s) {
                        found = Some((step, w));
                    }
                }
            }
        }
        found
    }

    fn normal(&self, wall: usize) -> Vec<f64> {
        let m = self.m;
        let mut v = vec![0.0; m * m];
        v[wall % m * m..(wall % m + 1) * m].copy_from_slice(self.x.row(wall / m));
        v
    }

    /// Phase 1.
    fn to_vertex(&self, point: &mut [f64]) -> Option<Vertex> {
        let m = self.m;
        let p = m * m;
        let mut walls: Vec<Option<usize>> = vec![None; m];
        let mut normals: Vec<Vec<f64>> = (0..m)
            .map(|i| {
                let mut v = vec![0.0; p];
                (0..m).for_each(|j| v[j * m + i] = 1.0);
                v
            })
            .collect();
        let mut basis: Vec<Vec<f64>> = Vec::new();
        for v in normals.clone() {
            orthonormalise(&mut basis, v);
        }
        while walls.len() < p {
            let mut direction = self.gradient(point);
            remove(&basis, &mut direction);
            if norm(&direction) < 1e-9 {
                // Flat here: any direction that is left will do.
                direction = (0..p)
                    .map(|q| {
                        let mut e = vec![0.0; p];
                        e[q] = 1.0;
                        remove(&basis, &mut e);
                        e
                    })
                    .max_by(|a, b| norm(a).total_cmp(&norm(b)))?;
            }
            let length = norm(&direction);
            direction.iter_mut().for_each(|v| *v /= length);
            let (step, wall) = self.reach(point, &direction)?;
            point.iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
            let normal = self.normal(wall);
            if !orthonormalise(&mut basis, normal.clone()) {
                return None;
            }
            normals.push(normal);
            walls.push(Some(wall));
        }
        let rows = Matrix::from_vec(p, p, normals.concat()).ok()?;
        let inverse = crate::matrix::lu_solve(rows, Matrix::identity(p)).ok()?;
        Some(Vertex { point: point.to_vec(), walls, inverse })
    }

    /// Phase 2.
    fn walk(&self, mut v: Vertex) -> Vec<f64> {
        let p = self.m * self.m;
        let mut value = self.value(&v.point);
        let mut best = v.point.clone();
        for _ in 0..60 * p {
            let gradient = self.gradient(&v.point);
            // Slope along edge e: gradient . inverse[:, e].
            let mut slopes = vec![0.0; p];
            for (row, g) in v.inverse.as_slice().chunks_exact(p).zip(&gradient) {
                slopes.iter_mut().zip(row).for_each(|(s, r)| *s += g * r);
            }
            let steepest = (self.m..p)
                .filter(|&e| slopes[e] > 1e-9)
                .max_by(|&a, &b| slopes[a].total_cmp(&slopes[b]).then(b.cmp(&a)));
            let edge = match steepest {
                Some(e) => e,
                None => match self.better_neighbour(&v, value) {
                    Some(e) => e,
                    None => break,
                },
            };
            if !self.pivot(&mut v, edge) {
                break;
            }
            let now = self.value(&v.point);
            if now > value {
                best.clone_from(&v.point);
            }
            value = value.max(now);
        }
        best
    }

    /// The edge whose far end has the largest objective, if larger than `value`.
    fn better_neighbour(&self, v: &Vertex, value: f64) -> Option<usize> {
        let p = self.m * self.m;
        let mut found = None;
        let mut highest = value + 1e-9;
        for e in self.m..p {
            let direction = v.inverse.column(e);
            if let Some((step, _)) = self.reach(&v.point, &direction) {
                let end: Vec<f64> =
                    v.point.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
                let there = self.value(&end);
                if there > highest {
                    highest = there;
                    found = Some(e);
                }
            }
        }
        found
    }

    /// Leaves wall `edge` for the next wall along its edge.
    fn pivot(&self, v: &mut Vertex, edge: usize) -> bool {
        let p = self.m * self.m;
        let direction = v.inverse.column(edge);
        let Some((step, wall)) = self.reach(&v.point, &direction) else { return false };
        v.point.iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
        v.walls[edge] = Some(wall);
        // Row `edge` of the normals becomes `normal`: Sherman-Morrison.
        let normal = self.normal(wall);
        let mut products = vec![0.0; p]; // normal' inverse
        for (row, g) in v.inverse.as_slice().chunks_exact(p).zip(&normal) {
            if *g != 0.0 {
                products.iter_mut().zip(row).for_each(|(s, r)| *s += g * r);
            }
        }
        let pivot = products[edge];
        if pivot.abs() < 1e-12 {
            return false;
        }
        products[edge] -= 1.0;
        for (row, d) in v.inverse.as_mut_slice().chunks_exact_mut(p).zip(&direction) {
            let f = d / pivot;
            if f != 0.0 {
                row.iter_mut().zip(&products).for_each(|(r, s)| *r -= f * s);
            }
        }
        true
    }
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Removes the components along `basis`, twice against rounding.
fn remove(basis: &[Vec<f64>], v: &mut [f64]) {
    for _ in 0..2 {
        for b in basis {
            let dot: f64 = b.iter().zip(v.iter()).map(|(x, y)| x * y).sum();
            v.iter_mut().zip(b).for_each(|(x, y)| *x -= dot * y);
        }
    }
}

/// Adds `v` to the basis; false if it depends on it.
fn orthonormalise(basis: &mut Vec<Vec<f64>>, mut v: Vec<f64>) -> bool {
    let before = norm(&v);
    remove(basis, &mut v);
    let after = norm(&v);
    if !(after > 1e-11 * before) {
        return false;
    }
    v.iter_mut().for_each(|x| *x /= after);
    basis.push(v);
    true
}
