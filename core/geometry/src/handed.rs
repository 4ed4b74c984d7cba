//! Handedness of a residue's tetrahedral centres. Real centres (CA; CB of ILE and THR) must be
//! those of the L amino acids. At prochiral ones (CG of LEU, CB of VAL) the two branches are
//! chemically equal and programs disagree on which is "1": then the slots are exchanged, so that
//! the template's geometry fits. The two NH of ARG likewise (NH1 is cis to CD).

use crate::real::{Vec3, cross, dot, sub};
use crate::residue::ResidueType;

/// What to do with a residue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As in the template.
    Fits,
    /// Exchange these two slots.
    Exchange(usize, usize),
    /// The mirror image of the template at this atom.
    Mirrored(&'static str),
}

/// Judges heavy atoms by atom14 slot (any unit); `at` gives a position relative to CA.
pub(crate) fn judge(kind: ResidueType, at: impl Fn(usize) -> Vec3<f64>) -> Verdict {
    use ResidueType::*;
    // (centre, three neighbours): the sign of the volume they span is what the template has.
    let volume = |[o, a, b, c]: [usize; 4]| {
        let o = at(o);
        dot(cross(sub(at(a), o), sub(at(b), o)), sub(at(c), o))
    };
    if kind != Gly && kind != X && volume([1, 0, 2, 4]) < 0.0 {
        return Verdict::Mirrored("CA");
    }
    match kind {
        Ile | Thr if volume([4, 1, 5, 6]) < 0.0 => Verdict::Mirrored("CB"),
        Val if volume([4, 1, 5, 6]) > 0.0 => Verdict::Exchange(5, 6),
        Leu if volume([5, 4, 6, 7]) > 0.0 => Verdict::Exchange(6, 7),
        Arg => {
            let (ne, cz) = (at(7), at(8));
            let towards = sub(at(6), ne);
            let axis = sub(cz, ne);
            let side = |slot: usize| {
                let arm = sub(at(slot), cz);
                dot(arm, towards) - dot(arm, axis) * dot(towards, axis) / dot(axis, axis)
            };
            if side(10) > side(9) { Verdict::Exchange(9, 10) } else { Verdict::Fits }
        }
        _ => Verdict::Fits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformation::Conformation;
    use crate::rigid::Rigid;

    #[test]
    fn the_templates_fit_and_their_mirror_images_do_not() {
        for kind in &ResidueType::ALL[..20] {
            let shape = Conformation {
                rigids: vec![Rigid::<f64>::identity()],
                torsions: vec![[[0.8, 0.6]; 7]],
            };
            let atoms = shape.to_atom14(&[*kind]).remove(0);
            assert_eq!(judge(*kind, |s| atoms[s]), Verdict::Fits, "{kind:?}");
            let mirror = judge(*kind, |s| [-atoms[s][0], atoms[s][1], atoms[s][2]]);
            let glycine = *kind == ResidueType::Gly;
            assert_eq!(mirror == Verdict::Fits, glycine, "{kind:?}");
            for (named, slots) in [
                (ResidueType::Val, (5, 6)),
                (ResidueType::Leu, (6, 7)),
                (ResidueType::Arg, (9, 10)),
            ] {
                if *kind == named {
                    let swapped = |s| match s {
                        s if s == slots.0 => atoms[slots.1],
                        s if s == slots.1 => atoms[slots.0],
                        s => atoms[s],
                    };
                    assert_eq!(judge(*kind, swapped), Verdict::Exchange(slots.0, slots.1));
                }
            }
        }
    }
}
