//! RMSD after optimal superposition (Kabsch, no reflection) and RMSF about the ensemble's mean, nm.

use crate::error::GeometryError;
use crate::real::{add, cast, dot, scale, sub};
use crate::superpose::{Centred, superpose};

/// RMSD of two sets of points after superposition, nm. Errors as [`superpose`].
pub fn rmsd(a_nm: &[[f32; 3]], b_nm: &[[f32; 3]]) -> Result<f64, GeometryError> {
    Ok(superpose(a_nm, b_nm)?.rmsd)
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
        let mut bad = frames.clone();
        bad[2].pop();
        assert!(rmsd_matrix(&bad).is_err());
        assert!(rmsf(&bad, &chain).is_err());
    }
}
