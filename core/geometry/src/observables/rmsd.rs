//! RMSD after optimal superposition (Kabsch, no reflection) and RMSF about the ensemble's mean, nm.

use crate::error::GeometryError;
use crate::real::{add, cast, dot, scale, sub};
use crate::superpose::{Centred, overlap, superpose};

/// RMSD of two sets of points after superposition, nm. Errors as [`superpose`].
pub fn rmsd(a_nm: &[[f32; 3]], b_nm: &[[f32; 3]]) -> Result<f64, GeometryError> {
    Ok(superpose(a_nm, b_nm)?.rmsd)
}

/// RMSD of many frames to one set of points, which is prepared once.
pub struct RmsdTo {
    n_points: usize,
    /// The points about their centre, flat, three times: coordinate k of a point stands where
    /// coordinate k − s does in copy s, so that products with a flat frame give Σ p qᵀ.
    turned: [Vec<f64>; 3],
    /// Σ |q|².
    spread: f64,
}

/// Coordinates taken at a time: two points.
const STEP: usize = 6;

impl RmsdTo {
    /// Errors without points.
    pub fn new(reference_nm: &[[f32; 3]]) -> Result<Self, GeometryError> {
        let n_points = reference_nm.len();
        let Some(centred) = Centred::new(reference_nm) else {
            return Err(GeometryError::PointCount { mobile: 0, target: 0 });
        };
        let turned = [0, 1, 2].map(|s| {
            centred.points.iter().flat_map(|q| [0, 1, 2].map(|k| q[(k + s) % 3])).collect()
        });
        Ok(Self { n_points, turned, spread: centred.spread })
    }

    /// RMSD of a frame after superposition, nm. Errors if it has another number of points.
    pub fn rmsd(&self, frame_nm: &[[f32; 3]]) -> Result<f64, GeometryError> {
        if frame_nm.len() != self.n_points {
            let (mobile, target) = (frame_nm.len(), self.n_points);
            return Err(GeometryError::PointCount { mobile, target });
        }
        // About the first point, which keeps digits at an offset.
        let origin: [f64; STEP] = std::array::from_fn(|k| f64::from(frame_nm[0][k % 3]));
        let (pairs, last) = frame_nm.as_flattened().as_chunks::<STEP>();
        let (mut sum, mut square) = ([0.0; STEP], [0.0; STEP]);
        let mut tail = [0.0; STEP]; // an odd last point, the other half stays on the origin
        for ((t, x), o) in tail.iter_mut().zip(last).zip(&origin) {
            *t = f64::from(*x) - o;
        }
        for pair in pairs {
            for k in 0..STEP {
                let x = f64::from(pair[k]) - origin[k];
                sum[k] += x;
                square[k] += x * x;
            }
        }
        for k in 0..STEP {
            sum[k] += tail[k];
            square[k] += tail[k] * tail[k];
        }
        let [(a, a1), (b, b1), (c, c1)] = self.turned.each_ref().map(|t| t.as_chunks::<STEP>());
        let mut product = [[0.0; STEP]; 3];
        for (((pair, a), b), c) in pairs.iter().zip(a).zip(b).zip(c) {
            for k in 0..STEP {
                let x = f64::from(pair[k]) - origin[k];
                product[0][k] += x * a[k];
                product[1][k] += x * b[k];
                product[2][k] += x * c[k];
            }
        }
        for (product, turned) in product.iter_mut().zip([a1, b1, c1]) {
            product.iter_mut().zip(&tail).zip(turned).for_each(|((p, x), q)| *p += x * q);
        }
        let fold = |v: &[f64; STEP], k: usize| v[k] + v[k + 3];
        let mut covariance = [[0.0; 3]; 3];
        for k in 0..3 {
            for s in 0..3 {
                covariance[k][(k + s) % 3] = fold(&product[s], k);
            }
        }
        let n = self.n_points as f64;
        let spread: f64 =
            (0..3).map(|k| fold(&square, k) - fold(&sum, k) * fold(&sum, k) / n).sum();
        let squared = (spread + self.spread - 2.0 * overlap(&covariance)) / n;
        // NaN stays NaN.
        Ok(if squared < 0.0 { 0.0 } else { squared.sqrt() })
    }
}

/// Optimally superposed RMSD of every pair of frames, nm: F × F, row-major, symmetric, zero
/// diagonal. Errors if frames are empty or differ in their number of points.
pub fn rmsd_matrix<F: AsRef<[[f32; 3]]>>(frames_nm: &[F]) -> Result<Vec<f64>, GeometryError> {
    let n = frames_nm.len();
    let first = frames_nm.first().map_or(0, |f| f.as_ref().len());
    let mut centred = Vec::with_capacity(n);
    for frame in frames_nm {
        let frame = frame.as_ref();
        match Centred::new(frame) {
            Some(c) if frame.len() == first => centred.push(c),
            _ => return Err(GeometryError::PointCount { mobile: frame.len(), target: first }),
        }
    }
    let mut out = vec![0.0; n * n];
    for i in 0..n {
        for j in i + 1..n {
            let d = centred[i].rmsd(&centred[j]);
            out[i * n + j] = d;
            out[j * n + i] = d;
        }
    }
    Ok(out)
}

/// RMSF of each point, nm: every frame superposed on `reference`, then the root mean square
/// deviation from the mean position. Errors as [`superpose`]; empty without frames.
pub fn rmsf<F: AsRef<[[f32; 3]]>>(
    frames_nm: &[F],
    reference_nm: &[[f32; 3]],
) -> Result<Vec<f64>, GeometryError> {
    let n = reference_nm.len();
    let mut moved = Vec::with_capacity(frames_nm.len());
    for frame in frames_nm {
        let motion = superpose(frame.as_ref(), reference_nm)?.motion;
        moved.push(frame.as_ref().iter().map(|p| motion.apply(cast(*p))).collect::<Vec<_>>());
    }
    if moved.is_empty() {
        return Ok(Vec::new());
    }
    let per_frame = 1.0 / moved.len() as f64;
    let point = |k: usize| {
        let mean = moved.iter().fold([0.0; 3], |s, f| add(s, scale(f[k], per_frame)));
        let square: f64 = moved
            .iter()
            .map(|f| {
                let d = sub(f[k], mean);
                dot(d, d)
            })
            .sum();
        (square * per_frame).sqrt()
    };
    Ok((0..n).map(point).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::extended;
    use crate::rigid::Rigid;

    /// Bent frames, at an offset, with odd and even numbers of points.
    #[test]
    fn many_to_one_is_one_to_one() {
        let chain = extended("MKTWC").unwrap().positions_nm;
        for n in [1, 2, 3, 6, 7, chain.len() - 1, chain.len()] {
            let to = RmsdTo::new(&chain[..n]).unwrap();
            for k in 0..6 {
                let bend = |(i, p): (usize, &[f32; 3])| {
                    let w = 0.05 * ((i * (k + 3)) as f32).sin();
                    [50.0 - p[1] + w, p[0] * (1.0 + w), p[2] - w - 20.0]
                };
                let frame: Vec<[f32; 3]> = chain[..n].iter().enumerate().map(bend).collect();
                let (got, want) = (to.rmsd(&frame).unwrap(), rmsd(&frame, &chain[..n]).unwrap());
                assert!((got - want).abs() < 1e-7, "{n} {k}: {got} {want}");
            }
        }
    }

    #[test]
    fn moved_copies_have_no_rmsd_and_no_rmsf() {
        let chain = extended("MKTW").unwrap().positions_nm;
        let frames: Vec<Vec<[f32; 3]>> = (0..4)
            .map(|k| {
                let k = k as f32;
                let m = Rigid::from_quaternion([1.0, k, -0.3 * k, 0.5], [k, 2.0 - k, 0.1]);
                chain.iter().map(|p| m.apply(*p)).collect()
            })
            .collect();
        assert!(rmsd_matrix(&frames).unwrap().iter().all(|d| *d < 1e-6));
        assert!(rmsf(&frames, &chain).unwrap().iter().all(|d| *d < 1e-6));
        let to = RmsdTo::new(&chain).unwrap();
        for (k, frame) in frames.iter().enumerate() {
            assert!(to.rmsd(frame).unwrap() < 1e-6, "{k}");
        }
        assert!(to.rmsd(&chain[1..]).is_err());
        assert!(RmsdTo::new(&[]).is_err());
        let mut bad = frames.clone();
        bad[2].pop();
        assert!(rmsd_matrix(&bad).is_err());
        assert!(rmsf(&bad, &chain).is_err());
    }
}
