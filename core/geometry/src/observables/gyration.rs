//! Radius of gyration, Rg² = Σ w |r − c|² / Σ w (nm), with c the weighted centre.

use crate::real::{add, cast, dot, scale, sub};

/// Rg of some atoms with equal weights, nm; NaN if `atoms` is empty.
pub fn radius_of_gyration(positions_nm: &[[f32; 3]], atoms: &[usize]) -> f64 {
    gyration(atoms.iter().map(|&a| (positions_nm[a], 1.0)))
}

/// Rg of some atoms weighted by `weights` (one per atom of the system, for instance masses), nm.
pub fn radius_of_gyration_weighted(
    positions_nm: &[[f32; 3]],
    atoms: &[usize],
    weights: &[f64],
) -> f64 {
    gyration(atoms.iter().map(|&a| (positions_nm[a], weights[a])))
}

fn gyration(points: impl Iterator<Item = ([f32; 3], f64)> + Clone) -> f64 {
    let (mut centre, mut total) = ([0.0; 3], 0.0);
    for (p, w) in points.clone() {
        centre = add(centre, scale(cast(p), w));
        total += w;
    }
    let centre = scale(centre, 1.0 / total);
    let square: f64 = points
        .map(|(p, w)| {
            let d = sub(cast(p), centre);
            w * dot(d, d)
        })
        .sum();
    (square / total).sqrt()
}

/// Mass of an element in u, for the elements of proteins, solvents and their ions.
pub fn atomic_mass(element: &str) -> Option<f64> {
    Some(match element.to_ascii_uppercase().as_str() {
        "H" => 1.008,
        "D" => 2.014,
        "LI" => 6.94,
        "C" => 12.011,
        "N" => 14.007,
        "O" => 15.999,
        "F" => 18.998,
        "NA" => 22.990,
        "MG" => 24.305,
        "P" => 30.974,
        "S" => 32.06,
        "CL" => 35.45,
        "K" => 39.098,
        "CA" => 40.078,
        "MN" => 54.938,
        "FE" => 55.845,
        "CU" => 63.546,
        "ZN" => 65.38,
        "SE" => 78.971,
        "BR" => 79.904,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_one_apart() {
        let xyz = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [9.0, 9.0, 9.0]];
        assert!((radius_of_gyration(&xyz, &[0, 1]) - 0.5).abs() < 1e-15);
        let rg = radius_of_gyration_weighted(&xyz, &[0, 1], &[3.0, 1.0, 7.0]);
        assert!((rg - (3.0f64 / 16.0).sqrt()).abs() < 1e-15);
        assert!(radius_of_gyration(&xyz, &[]).is_nan());
        assert_eq!(atomic_mass("Cl"), Some(35.45));
    }
}
