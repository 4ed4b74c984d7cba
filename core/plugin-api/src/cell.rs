//! Cells of files that store lengths and angles.

/// Row vectors a (along x), b (in the xy plane), c in nm from lengths (nm) and angles (degrees: b^c,
/// a^c, a^b). `None` for cells that cannot be, such as those of files without one.
pub fn cell_vectors_nm(lengths_nm: [f64; 3], angles: [f64; 3]) -> Option<[[f32; 3]; 3]> {
    let [a, b, c] = lengths_nm;
    if !lengths_nm.iter().all(|&l| l > 0.0) {
        return None;
    }
    let cos = angles.map(|d| if d == 90.0 { 0.0 } else { d.to_radians().cos() });
    let sin_g = if angles[2] == 90.0 { 1.0 } else { angles[2].to_radians().sin() };
    let cx = c * cos[1];
    let cy = c * (cos[0] - cos[1] * cos[2]) / sin_g;
    let cz2 = c * c - cx * cx - cy * cy;
    if sin_g.abs() < 1e-6 || cz2.is_nan() || cz2 <= 0.0 {
        return None;
    }
    let rows = [[a, 0.0, 0.0], [b * cos[2], b * sin_g, 0.0], [cx, cy, cz2.sqrt()]];
    Some(rows.map(|r| r.map(|x| x as f32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triclinic_cell_has_its_lengths_and_angles() {
        let v = cell_vectors_nm([3.1, 4.2, 5.3], [70.5, 81.0, 95.0]).unwrap();
        let dot = |i: usize, j: usize| (0..3).map(|k| f64::from(v[i][k] * v[j][k])).sum::<f64>();
        let length = [0, 1, 2].map(|i| dot(i, i).sqrt());
        for (l, expected) in length.iter().zip([3.1, 4.2, 5.3]) {
            assert!((l - expected).abs() < 1e-5, "{length:?}");
        }
        for (i, j, angle) in [(1, 2, 70.5), (0, 2, 81.0), (0, 1, 95.0_f64)] {
            let cos = dot(i, j) / (length[i] * length[j]);
            assert!((cos - angle.to_radians().cos()).abs() < 1e-5);
        }
        assert_eq!(cell_vectors_nm([0.0, 1.0, 1.0], [90.0; 3]), None);
        assert_eq!(cell_vectors_nm([f64::NAN, 1.0, 2.0], [90.0; 3]), None);
    }
}
