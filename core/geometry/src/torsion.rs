//! The seven torsions of a residue as (sin, cos), METHOD 2.2:
//! pre-omega, phi, psi (built on O, shifted by 180° so that it is the usual psi), chi1–chi4.
//! Each is read as the fourth atom in the frame of the first three; masked entries are zero.

use crate::real::{Real, Vec3};
use crate::residue::{ATOM14, ResidueType};
use crate::rigid::{EPS, Rigid};

/// Torsions per residue.
pub const N_TORSIONS: usize = 7;

/// (sin, cos) of each torsion of a residue.
pub type Torsions<T> = [[T; 2]; N_TORSIONS];

/// (sin, cos) of the dihedral of four points, with ε = 1e-8 under the root.
pub fn dihedral_sin_cos<T: Real>(p: [Vec3<T>; 4]) -> [T; 2] {
    let q = Rigid::from_three_points(p[1], p[2], p[0]).apply_inverse(p[3]);
    let n = (q[2] * q[2] + q[1] * q[1] + T::of(EPS)).sqrt();
    [q[2] / n, q[1] / n]
}

/// Which torsions exist: the first residue has neither pre-omega nor phi, psi is always there.
pub fn torsion_mask(types: &[ResidueType]) -> Vec<[bool; N_TORSIONS]> {
    types
        .iter()
        .enumerate()
        .map(|(i, kind)| {
            let [a, b, c, d] = kind.chi_mask();
            [i > 0, i > 0, true, a, b, c, d]
        })
        .collect()
}

/// The torsions of every residue of a chain from its atom14 positions.
pub fn torsions<T: Real>(types: &[ResidueType], atom14: &[[Vec3<T>; ATOM14]]) -> Vec<Torsions<T>> {
    let mut out = vec![[[T::ZERO; 2]; N_TORSIONS]; types.len()];
    for (i, (kind, atoms)) in types.iter().zip(atom14).enumerate() {
        let [n, ca, c, o] = [atoms[0], atoms[1], atoms[2], atoms[3]];
        if i > 0 {
            let before = &atom14[i - 1];
            out[i][0] = dihedral_sin_cos([before[1], before[2], n, ca]);
            out[i][1] = dihedral_sin_cos([before[2], n, ca, c]);
        }
        out[i][2] = dihedral_sin_cos([n, ca, c, o]).map(|x| -x);
        for k in 0..4 {
            if let Some(quad) = kind.chi(k) {
                out[i][3 + k] = dihedral_sin_cos(quad.map(|slot| atoms[slot]));
            }
        }
    }
    out
}
