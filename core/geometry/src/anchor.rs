//! Local frames that carried atoms ride on: a hydrogen, OXT or cap atom keeps its place relative
//! to the heavy atom that it is bonded to and to that atom's heavy neighbours.

use crate::real::{Vec3, add, norm, scale, sub};
use crate::residue::{ATOM14, ResidueType};
use crate::rigid::Rigid;
use crate::tables::bonds;

/// A frame at one heavy atom. Atoms are numbered `14 * residue + slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    at: usize,
    /// Two bonded neighbours of `at`, or one neighbour and a neighbour of that.
    a: usize,
    b: usize,
    fork: bool,
}

impl Anchor {
    /// The frame at slot `slot` of residue `residue`. It turns with every torsion that moves the
    /// atom's other substituents: at N it holds on to the residue before, at C to O.
    pub(crate) fn new(types: &[ResidueType], residue: usize, slot: usize) -> Self {
        let kind = types[residue];
        let number = |s: usize| residue * ATOM14 + s;
        let at = number(slot);
        let mut near: Vec<usize> = neighbours(kind, slot).into_iter().map(number).collect();
        if slot == 0 && residue > 0 {
            near.push((residue - 1) * ATOM14 + 2);
        }
        if let [a, b, ..] = near[..] {
            return Self { at, a, b, fork: true };
        }
        // Every heavy atom has a heavy neighbour, and that one (CA, C or a side-chain atom on the
        // way to CA) has another.
        let stem = near.first().map_or(1, |a| a - residue * ATOM14);
        let beyond = neighbours(kind, stem).into_iter().find(|&s| s != slot).unwrap_or(2);
        Self { at, a: number(stem), b: number(beyond), fork: false }
    }

    /// The frame for these atom14 positions.
    pub(crate) fn frame(&self, atom14: &[[Vec3<f32>; ATOM14]]) -> Rigid<f32> {
        let p = |i: usize| atom14[i / ATOM14][i % ATOM14];
        let (x, a, b) = (p(self.at), p(self.a), p(self.b));
        if self.fork {
            // Between the neighbours, so that an error of their angle is shared by both sides.
            let (u, v) = (sub(a, x), sub(b, x));
            let back = add(scale(u, 1.0 / norm(u)), scale(v, 1.0 / norm(v)));
            Rigid::from_three_points(add(x, back), x, a)
        } else {
            Rigid::from_three_points(a, x, b)
        }
    }
}

/// Heavy neighbours of a slot inside its residue, ascending.
fn neighbours(kind: ResidueType, slot: usize) -> Vec<usize> {
    let other = |(a, b): (usize, usize)| match slot {
        s if s == a => Some(b),
        s if s == b => Some(a),
        _ => None,
    };
    let mut out: Vec<usize> = bonds(kind).into_iter().filter_map(other).collect();
    out.sort_unstable();
    out
}
