//! A residue's pose: rotation and translation, x ↦ R x + t.
//! From three points by Gram–Schmidt with ε = 1e-8 inside the square root (METHOD 2.1); quaternions
//! are (w, x, y, z), Hamilton, with w ≥ 0 on output (METHOD 2.4). Units: those of the points.

use crate::real::{Real, Vec3, add, cast, cross, dot, scale, sub};

/// Under the square root of every norm in METHOD 2.1 and 2.2.
pub(crate) const EPS: f64 = 1e-8;

/// Rotation (row-major, `rot[row][column]`) and translation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rigid<T> {
    /// Rotation matrix, row-major.
    pub rot: [[T; 3]; 3],
    /// Translation.
    pub trans: Vec3<T>,
}

impl<T: Real> Rigid<T> {
    /// No motion.
    pub fn identity() -> Self {
        let (o, l) = (T::ZERO, T::ONE);
        Self { rot: [[l, o, o], [o, l, o], [o, o, l]], trans: [o; 3] }
    }

    /// The frame at `origin` whose x axis points away from `neg_x`, with `xy` on the +y side.
    pub fn from_three_points(neg_x: Vec3<T>, origin: Vec3<T>, xy: Vec3<T>) -> Self {
        let e0 = unit(sub(origin, neg_x));
        let u = sub(xy, origin);
        let e1 = unit(sub(u, scale(e0, dot(e0, u))));
        Self::from_axes(e0, e1, cross(e0, e1), origin)
    }

    /// The backbone frame: x axis from CA to C, N on the y side (METHOD 2.1).
    pub fn from_backbone(n: Vec3<T>, ca: Vec3<T>, c: Vec3<T>) -> Self {
        let mut frame = Self::from_three_points(c, ca, n);
        for row in &mut frame.rot {
            row[0] = -row[0];
            row[2] = -row[2];
        }
        frame
    }

    /// The frame whose axes (matrix columns) are given.
    pub fn from_axes(x: Vec3<T>, y: Vec3<T>, z: Vec3<T>, trans: Vec3<T>) -> Self {
        Self { rot: [[x[0], y[0], z[0]], [x[1], y[1], z[1]], [x[2], y[2], z[2]]], trans }
    }

    /// From a quaternion of any non-zero length.
    pub fn from_quaternion(q: [T; 4], trans: Vec3<T>) -> Self {
        let n = (q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]).sqrt();
        Self { rot: quaternion_matrix(q.map(|x| x / n)), trans }
    }

    /// The unit quaternion of the rotation, w ≥ 0.
    pub fn quaternion(&self) -> [T; 4] {
        let r = &self.rot;
        let (l, four) = (T::ONE, [r[0][0], r[1][1], r[2][2]]);
        // 4 q_i^2 for i = w, x, y, z; the largest one divides best.
        let square = [
            l + four[0] + four[1] + four[2],
            l + four[0] - four[1] - four[2],
            l - four[0] + four[1] - four[2],
            l - four[0] - four[1] + four[2],
        ];
        let mut best = 0;
        for i in 1..4 {
            if square[i] > square[best] {
                best = i;
            }
        }
        let s = square[best];
        let mut q = match best {
            0 => [s, r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]],
            1 => [r[2][1] - r[1][2], s, r[0][1] + r[1][0], r[0][2] + r[2][0]],
            2 => [r[0][2] - r[2][0], r[0][1] + r[1][0], s, r[1][2] + r[2][1]],
            _ => [r[1][0] - r[0][1], r[0][2] + r[2][0], r[1][2] + r[2][1], s],
        };
        let n = (q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]).sqrt();
        let n = if q[0] < T::ZERO { -n } else { n };
        q = q.map(|x| x / n);
        q
    }

    /// R p + t.
    pub fn apply(&self, p: Vec3<T>) -> Vec3<T> {
        add(self.rotate(p), self.trans)
    }

    /// Rᵀ (p − t).
    pub fn apply_inverse(&self, p: Vec3<T>) -> Vec3<T> {
        self.rotate_inverse(sub(p, self.trans))
    }

    /// R v.
    pub fn rotate(&self, v: Vec3<T>) -> Vec3<T> {
        self.rot.map(|row| dot(row, v))
    }

    /// Rᵀ v.
    pub fn rotate_inverse(&self, v: Vec3<T>) -> Vec3<T> {
        let r = &self.rot;
        [0, 1, 2].map(|c| r[0][c] * v[0] + r[1][c] * v[1] + r[2][c] * v[2])
    }

    /// `self ∘ other`: first `other`, then `self`.
    pub fn compose(&self, other: &Self) -> Self {
        let (a, b) = (&self.rot, &other.rot);
        let rot = [0, 1, 2]
            .map(|i| [0, 1, 2].map(|j| a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j]));
        Self { rot, trans: self.apply(other.trans) }
    }

    /// (Rᵀ, −Rᵀ t).
    pub fn inverse(&self) -> Self {
        let r = &self.rot;
        let rot = [0, 1, 2].map(|c| [r[0][c], r[1][c], r[2][c]]);
        Self { rot, trans: self.rotate_inverse(self.trans).map(|x| -x) }
    }

    /// The same pose in another precision.
    pub fn cast<U: Real>(&self) -> Rigid<U> {
        Rigid { rot: self.rot.map(cast), trans: cast(self.trans) }
    }
}

/// The rotation formula of a quaternion taken as it is (a rotation only if it has unit length).
pub fn quaternion_matrix<T: Real>([w, x, y, z]: [T; 4]) -> [[T; 3]; 3] {
    let two = T::of(2.0);
    [
        [w * w + x * x - y * y - z * z, two * (x * y - w * z), two * (x * z + w * y)],
        [two * (x * y + w * z), w * w - x * x + y * y - z * z, two * (y * z - w * x)],
        [two * (x * z - w * y), two * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
}

fn unit<T: Real>(v: Vec3<T>) -> Vec3<T> {
    let n = (dot(v, v) + T::of(EPS)).sqrt();
    v.map(|x| x / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quaternions_of_half_turns_and_small_turns_come_back() {
        for q in [
            [1.0f64, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
            [0.5, -0.5, 0.5, -0.5],
            [0.02, 0.3, -0.7, 0.2],
            [0.9, 0.1, 0.2, -0.3],
        ] {
            let n = q.iter().map(|x| x * x).sum::<f64>().sqrt();
            let back = Rigid::from_quaternion(q, [0.0; 3]).quaternion();
            for (a, b) in back.iter().zip(q) {
                assert!((a - b / n).abs() < 1e-14, "{back:?} {q:?}");
            }
        }
    }

    #[test]
    fn inverse_undoes_and_compose_chains() {
        let a = Rigid::from_quaternion([0.3f64, -0.2, 0.5, 0.1], [1.0, -2.0, 3.0]);
        let b = Rigid::from_quaternion([0.1f64, 0.9, 0.5, -0.4], [-7.0, 0.5, 2.0]);
        let p = [0.3, 0.4, -5.0];
        let q = a.compose(&b).apply(p);
        let r = a.apply(b.apply(p));
        let back = a.compose(&b).inverse().apply(q);
        for k in 0..3 {
            assert!((q[k] - r[k]).abs() < 1e-13);
            assert!((back[k] - p[k]).abs() < 1e-13);
            assert!((a.inverse().apply(q)[k] - a.apply_inverse(q)[k]).abs() < 1e-13);
        }
    }
}
