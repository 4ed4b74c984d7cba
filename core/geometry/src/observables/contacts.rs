//! Contacts: pairs of chosen atoms nearer than a cut-off (nm, strictly).

use crate::real::{cast, dot, sub};

/// Pairs (i, j) of indices *into `atoms`*, i + `separation` ≤ j, nearer than `cutoff_nm`.
/// With CA atoms, `separation` 4 and 1.0 nm these are the native contacts of METHOD 8.2.
pub fn contacts(
    positions_nm: &[[f32; 3]],
    atoms: &[usize],
    separation: usize,
    cutoff_nm: f64,
) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    each(positions_nm, atoms, separation, cutoff_nm, |i, j| out.push((i, j)));
    out
}

/// How many pairs [`contacts`] finds.
pub fn n_contacts(
    positions_nm: &[[f32; 3]],
    atoms: &[usize],
    separation: usize,
    cutoff_nm: f64,
) -> usize {
    let mut n = 0;
    each(positions_nm, atoms, separation, cutoff_nm, |_, _| n += 1);
    n
}

fn each(
    positions_nm: &[[f32; 3]],
    atoms: &[usize],
    separation: usize,
    cutoff_nm: f64,
    mut found: impl FnMut(usize, usize),
) {
    let cutoff = cutoff_nm * cutoff_nm;
    let points: Vec<[f64; 3]> = atoms.iter().map(|&a| cast(positions_nm[a])).collect();
    for i in 0..points.len() {
        for j in i + separation.max(1)..points.len() {
            let d = sub(points[i], points[j]);
            if dot(d, d) < cutoff {
                found(i, j);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_pairs_far_along_the_chain() {
        let xyz = [[0.0; 3], [0.3, 0.0, 0.0], [0.6, 0.0, 0.0], [0.2, 0.1, 0.0]];
        let atoms = [0, 1, 2, 3];
        assert_eq!(contacts(&xyz, &atoms, 1, 0.35), [(0, 1), (0, 3), (1, 2), (1, 3)]);
        assert_eq!(contacts(&xyz, &atoms, 3, 0.35), [(0, 3)]);
        assert_eq!(n_contacts(&xyz, &atoms, 2, 0.35), 2);
    }
}
