//! The cell of a PDB or mmCIF file: lengths in Å and angles in degrees against row vectors in nm
//! with a along x and b in the xy plane.

/// Vectors a, b, c in nm from lengths (Å) and angles (degrees: b^c, a^c, a^b). `None` for the
/// 1 × 1 × 1 dummy of files without a cell and for impossible cells.
pub fn vectors_nm(lengths: [f64; 3], angles: [f64; 3]) -> Option<[[f32; 3]; 3]> {
    if lengths.iter().all(|l| (l - 1.0).abs() < 1e-6) {
        return None;
    }
    marsfm_plugin_api::cell_vectors_nm(lengths.map(|l| l / 10.0), angles)
}

/// Lengths (Å) and angles (degrees) of row vectors in nm.
pub fn lengths_angles(cell_nm: &[[f32; 3]; 3]) -> ([f64; 3], [f64; 3]) {
    let v = cell_nm.map(|r| r.map(f64::from));
    let dot = |p: [f64; 3], q: [f64; 3]| p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
    let length = v.map(|r| dot(r, r).sqrt());
    let angle = |i: usize, j: usize| {
        (dot(v[i], v[j]) / (length[i] * length[j])).clamp(-1.0, 1.0).acos().to_degrees()
    };
    (length.map(|l| l * 10.0), [angle(1, 2), angle(0, 2), angle(0, 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triclinic_cell_goes_to_vectors_and_back() {
        let (l, a) = ([31.0, 42.0, 53.0], [70.5, 81.0, 95.0]);
        let (l2, a2) = lengths_angles(&vectors_nm(l, a).unwrap());
        for i in 0..3 {
            assert!((l[i] - l2[i]).abs() < 1e-4 && (a[i] - a2[i]).abs() < 1e-4, "{l2:?} {a2:?}");
        }
    }

    #[test]
    fn a_dummy_or_impossible_cell_is_none() {
        assert_eq!(vectors_nm([1.0; 3], [90.0; 3]), None);
        assert_eq!(vectors_nm([10.0; 3], [10.0, 90.0, 150.0]), None);
        assert_eq!(vectors_nm([f64::NAN, 1.0, 2.0], [90.0; 3]), None);
    }
}
