//! The residue library: the null proposer. Every residue takes (phi, psi, chi) jointly from a
//! random MD frame of its own residue type, independently of its neighbours and of the start. A
//! trained surrogate must beat it to be worth its name.

use marsfm_geometry::{Conformation, N_TYPES, ResidueType, build, torsion_mask};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::SamplingError;

/// Seven torsions as (sin, cos), and which of them the residue had.
type Entry = ([[f32; 2]; 7], [bool; 7]);

/// phi and psi have to come from a residue that has both where the chain needs both.
const BACKBONE: [usize; 2] = [1, 2];

/// Torsions seen in MD, by residue type.
#[derive(Clone, Debug, Default)]
pub struct ResidueLibrary {
    entries: Vec<Vec<Entry>>,
}

impl ResidueLibrary {
    /// An empty library.
    pub fn new() -> Self {
        Self { entries: vec![Vec::new(); N_TYPES] }
    }

    /// Adds one MD frame of a chain.
    pub fn add(&mut self, types: &[ResidueType], frame: &Conformation<f32>) {
        for ((t, torsions), mask) in types.iter().zip(&frame.torsions).zip(torsion_mask(types)) {
            self.entries[t.index()].push((*torsions, mask));
        }
    }

    /// Number of stored residues of a type.
    pub fn count(&self, kind: ResidueType) -> usize {
        self.entries[kind.index()].len()
    }

    /// Draw `id` for a chain of these types.
    pub fn draw(
        &self,
        types: &[ResidueType],
        rng_seed: u64,
        id: u64,
    ) -> Result<Conformation<f32>, SamplingError> {
        let mut rng = ChaCha8Rng::seed_from_u64(rng_seed);
        rng.set_stream(id);
        let masks = torsion_mask(types);
        let mut chosen = Vec::with_capacity(types.len());
        for (t, mask) in types.iter().zip(&masks) {
            chosen.push(self.pick(*t, mask, &mut rng)?);
        }
        let degrees = |[s, c]: [f32; 2]| f64::from(s.atan2(c)).to_degrees();
        let phi_psi: Vec<[f64; 2]> =
            chosen.iter().map(|t| [degrees(t[1]), degrees(t[2])]).collect();
        let sequence: String = types.iter().map(|t| t.letter()).collect();
        let mut c = build::chain(&sequence, &phi_psi)?.conformation;
        for (torsions, new) in c.torsions.iter_mut().zip(&chosen) {
            torsions[2..].copy_from_slice(&new[2..]);
        }
        c.clear_masked(types);
        Ok(c)
    }

    /// Chis of a residue of this type whose phi and psi are among the `n` nearest to these; `None`
    /// if the type was never seen inside a chain.
    pub(crate) fn chis_near(
        &self,
        kind: ResidueType,
        phi_psi: [[f32; 2]; 2],
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<[[f32; 2]; 4]> {
        let inner = |e: &&Entry| BACKBONE.iter().all(|k| e.1[*k]);
        let mut near: Vec<(f32, &Entry)> = self.entries[kind.index()]
            .iter()
            .filter(inner)
            .map(|e| {
                let dot = |k: usize| {
                    let (a, b) = (e.0[BACKBONE[k]], phi_psi[k]);
                    a[0] * b[0] + a[1] * b[1]
                };
                (-dot(0) - dot(1), e)
            })
            .collect();
        if near.is_empty() {
            return None;
        }
        let n = n.min(near.len());
        near.select_nth_unstable_by(n - 1, |a, b| a.0.total_cmp(&b.0));
        let chosen = near[rng.random_range(0..n)].1;
        Some([3, 4, 5, 6].map(|k| chosen.0[k]))
    }

    /// An entry of this type that has every torsion the place needs; if the type was never seen in
    /// such a place, its chi from any entry and its backbone from any residue that has one.
    fn pick(
        &self,
        kind: ResidueType,
        mask: &[bool; 7],
        rng: &mut ChaCha8Rng,
    ) -> Result<[[f32; 2]; 7], SamplingError> {
        let fits = |e: &&Entry| BACKBONE.iter().all(|k| e.1[*k] || !mask[*k]);
        let own = &self.entries[kind.index()];
        if own.is_empty() {
            return Err(SamplingError::Request(format!(
                "the residue library has never seen {}",
                kind.name()
            )));
        }
        // Rejection keeps this O(1): most entries fit.
        for _ in 0..64 {
            let e = &own[rng.random_range(0..own.len())];
            if fits(&e) {
                return Ok(e.0);
            }
        }
        let any: Vec<&Entry> = self.entries.iter().flatten().filter(fits).collect();
        let Some(backbone) = any.get(rng.random_range(0..any.len().max(1))) else {
            return Err(SamplingError::Request("the residue library has no inner residue".into()));
        };
        let mut torsions = own[rng.random_range(0..own.len())].0;
        BACKBONE.iter().for_each(|k| torsions[*k] = backbone.0[*k]);
        Ok(torsions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge;

    #[test]
    fn draws_have_the_torsions_they_were_given() {
        let types: Vec<ResidueType> =
            "AVDF".chars().map(|l| ResidueType::from_letter(l).unwrap()).collect();
        let frame =
            build::chain("AVDF", &[[-60.0, 140.0], [-70.0, -40.0], [60.0, 30.0], [-120.0, 130.0]]);
        let frame = frame.unwrap().conformation;
        let mut library = ResidueLibrary::new();
        library.add(&types, &frame);
        let drawn = library.draw(&types, 1, 0).unwrap();
        // One entry per type: the draw is that frame again.
        let again = Conformation::from_atom14(&types, &drawn.to_atom14(&types));
        for (a, b) in
            again.torsions.iter().flatten().flatten().zip(frame.torsions.iter().flatten().flatten())
        {
            assert!((a - b).abs() < 2e-3, "{a} {b}");
        }
        assert!(judge(&types, &drawn).accepted());
        assert!(library.draw(&[ResidueType::from_letter('W').unwrap()], 1, 0).is_err());
    }
}
