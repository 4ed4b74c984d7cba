//! A chain's shape as the network sees it: one rigid and seven torsions per residue (Å).
//! Eight rigid groups per residue place the heavy atoms at ideal local geometry (METHOD 2.3).

use crate::real::{Real, Vec3};
use crate::residue::{ATOM14, ResidueType};
use crate::rigid::Rigid;
use crate::tables::TEMPLATES;
use crate::torsion::{N_TORSIONS, Torsions, torsions};

/// Rigids (Å) and torsions (sin, cos) of a chain of L residues.
#[derive(Clone, Debug, PartialEq)]
pub struct Conformation<T> {
    /// Backbone frame of each residue, Å.
    pub rigids: Vec<Rigid<T>>,
    /// (sin, cos) of pre-omega, phi, psi, chi1–chi4 of each residue; zero where masked.
    pub torsions: Vec<Torsions<T>>,
}

impl<T: Real> Conformation<T> {
    /// Number of residues.
    pub fn len(&self) -> usize {
        self.rigids.len()
    }

    /// True if there is no residue.
    pub fn is_empty(&self) -> bool {
        self.rigids.is_empty()
    }

    /// From atom14 positions in Å; every heavy atom of each type has to be there.
    pub fn from_atom14(types: &[ResidueType], atom14: &[[Vec3<T>; ATOM14]]) -> Self {
        let rigids = atom14.iter().map(|a| Rigid::from_backbone(a[0], a[1], a[2])).collect();
        Self { rigids, torsions: torsions(types, atom14) }
    }

    /// Heavy atoms in Å with ideal bond lengths and angles; empty slots are zero.
    /// Torsions need not have unit length; one of length zero counts as (0, 1).
    pub fn to_atom14(&self, types: &[ResidueType]) -> Vec<[Vec3<T>; ATOM14]> {
        let tables = T::tables();
        let residues = types.iter().zip(&self.rigids).zip(&self.torsions);
        residues
            .map(|((kind, rigid), torsions)| {
                let groups = group_frames(*kind, rigid, torsions);
                let mut out = [[T::ZERO; 3]; ATOM14];
                for (slot, atom) in TEMPLATES[kind.index()].iter().enumerate() {
                    out[slot] = groups[atom.group].apply(tables.positions[kind.index()][slot]);
                }
                out
            })
            .collect()
    }

    /// Sets every torsion to zero that the chain of these types does not have.
    pub fn clear_masked(&mut self, types: &[ResidueType]) {
        let mask = crate::torsion::torsion_mask(types);
        for (torsions, mask) in self.torsions.iter_mut().zip(mask) {
            for k in 0..N_TORSIONS {
                if !mask[k] {
                    torsions[k] = [T::ZERO; 2];
                }
            }
        }
    }

    /// The whole chain moved by `motion` (Å).
    pub fn moved(&self, motion: &Rigid<T>) -> Self {
        let rigids = self.rigids.iter().map(|r| motion.compose(r)).collect();
        Self { rigids, torsions: self.torsions.clone() }
    }

    /// True if every number is finite.
    pub fn is_finite(&self) -> bool {
        let rigid = |r: &Rigid<T>| r.rot.iter().flatten().chain(&r.trans).all(|x| x.is_finite());
        self.rigids.iter().all(rigid)
            && self.torsions.iter().flatten().flatten().all(|x| x.is_finite())
    }

    /// The same conformation in another precision.
    pub fn cast<U: Real>(&self) -> Conformation<U> {
        Conformation {
            rigids: self.rigids.iter().map(Rigid::cast).collect(),
            torsions: self
                .torsions
                .iter()
                .map(|t| t.map(|sc| sc.map(|x| U::of(x.f64()))))
                .collect(),
        }
    }
}

/// (sin, cos) scaled to unit length without ε; (0, 1) if its length is zero.
fn unit_torsion<T: Real>([s, c]: [T; 2]) -> [T; 2] {
    let n = (s * s + c * c).sqrt();
    if n == T::ZERO { [T::ZERO, T::ONE] } else { [s / n, c / n] }
}

/// Global frames of the eight rigid groups of one residue.
fn group_frames<T: Real>(
    kind: ResidueType,
    rigid: &Rigid<T>,
    torsions: &Torsions<T>,
) -> [Rigid<T>; 8] {
    let frames = &T::tables().frames[kind.index()];
    let mut out = [*rigid; 8];
    for group in 1..8 {
        let [s, c] = unit_torsion(torsions[group - 1]);
        let (o, l) = (T::ZERO, T::ONE);
        let turn = Rigid { rot: [[l, o, o], [o, c, -s], [o, s, c]], trans: [o; 3] };
        // chi2–chi4 ride on the chi before; all else on the backbone.
        let parent = if group > 4 { out[group - 1] } else { *rigid };
        out[group] = parent.compose(&frames[group].compose(&turn));
    }
    out
}
