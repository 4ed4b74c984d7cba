//! Kabsch superposition: the rotation (never a reflection) and translation that bring one set of
//! points closest to another, in f64 whatever the input. Any length unit; the result is in it.

use nalgebra::{Matrix3, SVD};

use crate::error::GeometryError;
use crate::real::{Real, Vec3, add, cross, dot, scale, sub};
use crate::rigid::Rigid;

/// How one set of points fits another.
#[derive(Clone, Copy, Debug)]
pub struct Superposition {
    /// Motion that puts the mobile points onto the target.
    pub motion: Rigid<f64>,
    /// Root mean square distance after that motion.
    pub rmsd: f64,
}

/// Superposes `mobile` on `target`, all points with equal weight. Errors if the numbers of points
/// differ or are zero.
pub fn superpose<T: Real>(
    mobile: &[Vec3<T>],
    target: &[Vec3<T>],
) -> Result<Superposition, GeometryError> {
    let (a, b) = (Centred::new(mobile), Centred::new(target));
    let (Some(a), Some(b)) = (a, b) else {
        return Err(GeometryError::PointCount { mobile: mobile.len(), target: target.len() });
    };
    if a.points.len() != b.points.len() {
        return Err(GeometryError::PointCount { mobile: mobile.len(), target: target.len() });
    }
    let rot = rotation(&a.covariance(&b));
    let turn = Rigid { rot, trans: [0.0; 3] };
    let trans = sub(b.centre, turn.rotate(a.centre));
    // The residual itself, not a difference of large sums: exact zero stays zero.
    let square: f64 = a
        .points
        .iter()
        .zip(&b.points)
        .map(|(p, q)| {
            let d = sub(turn.rotate(*p), *q);
            dot(d, d)
        })
        .sum();
    let rmsd = (square / a.points.len() as f64).sqrt();
    Ok(Superposition { motion: Rigid { rot, trans }, rmsd })
}

/// Points about their centre, in f64.
pub(crate) struct Centred {
    pub(crate) points: Vec<Vec3<f64>>,
    pub(crate) centre: Vec3<f64>,
    /// Σ |p|².
    pub(crate) spread: f64,
}

impl Centred {
    /// `None` if there is no point.
    pub(crate) fn new<T: Real>(points: &[Vec3<T>]) -> Option<Self> {
        if points.is_empty() {
            return None;
        }
        let mut points: Vec<Vec3<f64>> = points.iter().map(|p| crate::real::cast(*p)).collect();
        let sum = points.iter().fold([0.0; 3], |s, p| add(s, *p));
        let centre = scale(sum, 1.0 / points.len() as f64);
        for p in &mut points {
            *p = sub(*p, centre);
        }
        let spread = points.iter().map(|p| dot(*p, *p)).sum();
        Some(Self { points, centre, spread })
    }

    /// Σ p qᵀ.
    pub(crate) fn covariance(&self, other: &Self) -> Matrix3<f64> {
        let mut h = [[0.0; 3]; 3];
        for (p, q) in self.points.iter().zip(&other.points) {
            for i in 0..3 {
                for j in 0..3 {
                    h[i][j] += p[i] * q[j];
                }
            }
        }
        Matrix3::from_fn(|i, j| h[i][j])
    }

    /// RMSD after superposition, from singular values alone.
    pub(crate) fn rmsd(&self, other: &Self) -> f64 {
        let h = self.covariance(other);
        let h = [0, 1, 2].map(|i| [0, 1, 2].map(|j| h[(i, j)]));
        let square = self.spread + other.spread - 2.0 * overlap(&h);
        let square = square / self.points.len() as f64;
        square.max(0.0).sqrt()
    }
}

/// The largest tr(R H) of a rotation R: the sum of the singular values of H, the smallest taken
/// away instead if H mirrors. It is the largest root of x^4 - 2 p x^2 - 8 det(H) x + 2 q - p^2 with p
/// and q the sums of second and fourth powers of the singular values (Theobald, Acta Cryst. A61, 478,
/// 2005), which Newton's steps reach from above; where roots nearly meet, as for points on a line,
/// it has fewer digits, and the singular values are computed.
pub(crate) fn overlap(h: &[[f64; 3]; 3]) -> f64 {
    let column = |i: usize| [h[0][i], h[1][i], h[2][i]];
    let squares = [0, 1, 2].map(|i| [0, 1, 2].map(|j| dot(column(i), column(j))));
    let p = squares[0][0] + squares[1][1] + squares[2][2];
    let q: f64 = squares.iter().map(|row| dot(*row, *row)).sum();
    let det = dot(column(0), cross(column(1), column(2)));
    let mut x = (3.0 * p).sqrt();
    for _ in 0..40 {
        let square = x * x;
        let value = (square - 2.0 * p) * square - 8.0 * det * x + 2.0 * q - p * p;
        let slope = 4.0 * ((square - p) * x - 2.0 * det);
        if slope <= 0.05 * square * x {
            break;
        }
        let step = value / slope;
        x -= step;
        if step.abs() <= 1e-10 * x {
            return x;
        }
    }
    overlap_by_singular_values(h)
}

fn overlap_by_singular_values(h: &[[f64; 3]; 3]) -> f64 {
    let h = Matrix3::from_fn(|i, j| h[i][j]);
    let s = SVD::new(h, false, false).singular_values;
    if h.determinant() < 0.0 { s.sum() - 2.0 * s.min() } else { s.sum() }
}

/// The rotation R that maximises tr(R H) for H = Σ p qᵀ.
fn rotation(h: &Matrix3<f64>) -> [[f64; 3]; 3] {
    let svd = SVD::new(*h, true, true);
    let (Some(u), Some(v_t)) = (svd.u, svd.v_t) else { return Rigid::<f64>::identity().rot };
    let mut v = v_t.transpose();
    if (v * u.transpose()).determinant() < 0.0 {
        let weakest = svd.singular_values.imin();
        v.column_mut(weakest).neg_mut();
    }
    let r = v * u.transpose();
    [0, 1, 2].map(|i| [0, 1, 2].map(|j| r[(i, j)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::extended;
    use crate::peptide::Peptide;

    #[test]
    fn a_moved_chain_comes_back_and_its_mirror_image_does_not() {
        let chain = extended("AWKE").unwrap();
        let points = &chain.positions_nm;
        let motion = Rigid::from_quaternion([0.2f32, 0.5, -0.7, 0.3], [3.0, -1.0, 2.0]);
        let moved: Vec<_> = points.iter().map(|p| motion.apply(*p)).collect();
        let fit = superpose(&moved, points).unwrap();
        assert!(fit.rmsd < 1e-6);
        let mirrored: Vec<_> = points.iter().map(|p| [-p[0], p[1], p[2]]).collect();
        let fit = superpose(&mirrored, points).unwrap();
        assert!(fit.rmsd > 0.05, "a reflection is no motion");
        let (a, b) = (Centred::new(&mirrored).unwrap(), Centred::new(points).unwrap());
        assert!((a.rmsd(&b) - fit.rmsd).abs() < 1e-9);
        assert!(superpose(&points[1..], points).is_err());
        assert!(superpose::<f32>(&[], &[]).is_err());
    }

    #[test]
    fn roots_and_singular_values_overlap_alike() {
        let mut state = 7_u64;
        let mut number = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        for case in 0..3000 {
            // General, mirrored or not; nearly flat; nearly on a line; exactly so; of any size.
            let thin = [1.0, 1e-3, 1e-6, 1e-9, 0.0][case % 5];
            let scale = [1.0, 1e-12, 1e9][case % 3];
            let mut h = [[0.0; 3]; 3];
            for weight in [scale, if case % 2 == 0 { scale } else { scale * thin }, scale * thin] {
                let (u, v) = ([number(), number(), number()], [number(), number(), number()]);
                for i in 0..3 {
                    for j in 0..3 {
                        h[i][j] += weight * u[i] * v[j];
                    }
                }
            }
            let (fast, want) = (overlap(&h), overlap_by_singular_values(&h));
            assert!((fast - want).abs() <= 5e-14 * want, "{case}: {fast} {want}");
        }
        assert_eq!(overlap(&[[0.0; 3]; 3]), 0.0);
    }

    #[test]
    fn the_motion_of_atoms_moves_a_conformation_alike() {
        let chain = extended("GAV").unwrap();
        let peptide = Peptide::from_topology(&chain.topology, &chain.positions_nm).unwrap();
        let atoms = |shape: &crate::Conformation<f32>| {
            let all = shape.to_atom14(peptide.types());
            all.iter().flat_map(|a| a[..4].to_vec()).collect::<Vec<_>>()
        };
        let motion = Rigid::from_quaternion([0.9f32, 0.5, -0.7, 0.3], [3.0, -1.0, 20.0]);
        let away = chain.conformation.moved(&motion);
        let fit = superpose(&atoms(&away), &atoms(&chain.conformation)).unwrap();
        let back = away.moved(&fit.motion.cast());
        let shift = superpose(&atoms(&back), &atoms(&chain.conformation)).unwrap();
        assert!(shift.motion.trans.iter().all(|x| x.abs() < 1e-4), "{shift:?}");
    }
}
