//! The network's 21 numbers per residue (METHOD 2.5): the target's rigid relative to the
//! reference's, as quaternion (w ≥ 0) and translation (Å, in the reference's frame), then seven
//! torsions (sin, cos).
//! Both directions are equivariant: moving reference and target together changes no latent.

use crate::conformation::Conformation;
use crate::real::Real;
use crate::rigid::Rigid;
use crate::torsion::N_TORSIONS;

/// Numbers per residue.
pub const LATENT: usize = 21;

/// Latents of `target` relative to `reference`, residue by residue.
pub fn encode<T: Real>(reference: &Conformation<T>, target: &Conformation<T>) -> Vec<[T; LATENT]> {
    let pairs = reference.rigids.iter().zip(&target.rigids).zip(&target.torsions);
    pairs
        .map(|((base, rigid), torsions)| {
            let offset = base.inverse().compose(rigid);
            let mut z = [T::ZERO; LATENT];
            z[..4].copy_from_slice(&offset.quaternion());
            z[4..7].copy_from_slice(&offset.trans);
            for (k, sc) in torsions.iter().enumerate() {
                z[7 + 2 * k..9 + 2 * k].copy_from_slice(sc);
            }
            z
        })
        .collect()
}

/// The conformation that `latents` describe relative to `reference`. Quaternions and torsions are
/// scaled to unit length; torsions of length zero (masked ones) stay zero.
pub fn decode<T: Real>(reference: &Conformation<T>, latents: &[[T; LATENT]]) -> Conformation<T> {
    let rigids = reference.rigids.iter().zip(latents).map(|(base, z)| {
        base.compose(&Rigid::from_quaternion([z[0], z[1], z[2], z[3]], [z[4], z[5], z[6]]))
    });
    let torsions = latents.iter().map(|z| {
        let mut out = [[T::ZERO; 2]; N_TORSIONS];
        for (k, sc) in out.iter_mut().enumerate() {
            let [s, c] = [z[7 + 2 * k], z[8 + 2 * k]];
            let n = (s * s + c * c).sqrt();
            if n != T::ZERO {
                *sc = [s / n, c / n];
            }
        }
        out
    });
    Conformation { rigids: rigids.collect(), torsions: torsions.collect() }
}
