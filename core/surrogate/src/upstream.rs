//! Habits of the reference code that marsfm does not share, for checkpoints trained with them
//! (METHOD 2.2 and 3.3): torsions of the first residue that no atoms define, and chains padded to
//! one length.

use marsfm_geometry::{Conformation, LATENT, ResidueType, dihedral_sin_cos};

use crate::Condition;

/// Pre-omega and phi of the first residue as the reference computes them: the residue before it
/// has its atoms at the origin of coordinates. Pre-omega is rounding noise there, and phi depends
/// on where the chain stands, so samples do, too.
pub fn first_torsions(kind: ResidueType, start: &Conformation<f32>) -> [[f32; 2]; 2] {
    let atoms = start.to_atom14(&[kind])[0];
    let ([n, ca, c], origin) = ([atoms[0], atoms[1], atoms[2]], [0.0; 3]);
    [dihedral_sin_cos([origin, origin, n, ca]), dihedral_sin_cos([origin, n, ca, c])]
}

/// The condition with every chain padded to `width` residues, which are masked.
pub fn padded(c: Condition, width: usize) -> Condition {
    let l = c.residues;
    if width <= l {
        return c;
    }
    fn widen<T: Clone>(rows: &[T], from: usize, to: usize, fill: T) -> Vec<T> {
        let row = |r: &[T]| {
            r.iter()
                .cloned()
                .chain(std::iter::repeat_n(fill.clone(), to - from))
                .collect::<Vec<T>>()
        };
        rows.chunks_exact(from).flat_map(row).collect()
    }
    let identity = ([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], [0.0; 3]);
    let all = vec![true; c.residue_types.len()];
    Condition {
        residues: width,
        frames: std::sync::Arc::new(widen(&c.frames, l, width, identity)),
        residue_types: widen(&c.residue_types, l, width, 0),
        x_cond: widen(&c.x_cond, l * LATENT, width * LATENT, 0.0),
        x_cond_mask: widen(&c.x_cond_mask, l, width, false),
        mask: Some(widen(c.mask.as_deref().unwrap_or(&all), l, width, false)),
        temperatures_kelvin: c.temperatures_kelvin,
    }
}
