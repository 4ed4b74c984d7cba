//! Secondary structure after Kabsch and Sander (Biopolymers 22, 2577, 1983), as DSSP 2.2 assigns
//! it: eight classes H B E G I T S and space, and three (H = H G I, E = E B, C = the rest).
//!
//! A hydrogen bond N–H…O=C has E = 27.888 (1/ON + 1/CH − 1/OH − 1/CN) < −0.5 kcal/mol (Å), with H
//! 0.1 nm from N against the C=O before it. Chains break where C–N exceeds 0.25 nm, or, on request,
//! only where the chain identifier changes (MDTraj's way, which finds false bends at gaps).

use crate::real::{Vec3, add, cast, dot, norm, scale, sub};
use crate::residue::{ResidueType, canonical_atom};
use crate::topology::Topology;

const COUPLING: f64 = 2.7888; // kcal nm / mol
const BOND_ENERGY: f64 = -0.5;
const LOWEST_ENERGY: f64 = -9.9;
const NH: f64 = 0.1;
const CA_NEAR: f64 = 0.9;
const CHAIN_BREAK: f64 = 0.25;
const BEND: f64 = 70.0; // degrees

/// Where one chain ends and the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainBreaks {
    /// C–N distance above 0.25 nm, frame by frame.
    Geometry,
    /// A change of chain identifier only, as MDTraj does.
    ChainIds,
}

/// A backbone hydrogen bond; residues are indices into [`Dssp::residues`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HydrogenBond {
    /// Residue of the N–H.
    pub donor: usize,
    /// Residue of the C=O.
    pub acceptor: usize,
    /// Energy, kcal/mol, below −0.5.
    pub energy_kcal: f64,
}

/// The secondary structure of one frame: one DSSP letter per residue.
pub type Structure = Vec<u8>;

struct Backbone {
    n: usize,
    ca: usize,
    c: usize,
    o: usize,
    proline: bool,
}

/// An assigner for one topology.
pub struct Dssp {
    residues: Vec<usize>,
    backbone: Vec<Backbone>,
    chain_ids: Vec<usize>,
    breaks: ChainBreaks,
}

/// At most two acceptors per donor, strongest first.
type Bonds = Vec<[Option<(usize, f64)>; 2]>;

impl Dssp {
    /// Takes every residue that has N, CA, C and O.
    pub fn new(topology: &Topology, breaks: ChainBreaks) -> Self {
        let mut out =
            Self { residues: Vec::new(), backbone: Vec::new(), chain_ids: Vec::new(), breaks };
        let (mut chain, mut id) = (None, 0);
        for (r, residue) in topology.residues.iter().enumerate() {
            let kind = ResidueType::from_name(&residue.name).unwrap_or(ResidueType::X);
            let find = |name: &str| {
                residue
                    .atoms
                    .clone()
                    .find(|&a| canonical_atom(kind, &topology.atoms[a].name) == name)
            };
            let (Some(n), Some(ca), Some(c), Some(o)) =
                (find("N"), find("CA"), find("C"), find("O"))
            else {
                continue;
            };
            if chain.is_some_and(|c: &String| *c != residue.chain) {
                id += 1;
            }
            chain = Some(&residue.chain);
            out.residues.push(r);
            out.chain_ids.push(id);
            out.backbone.push(Backbone { n, ca, c, o, proline: kind == ResidueType::Pro });
        }
        out
    }

    /// The residues that get a letter, as indices into [`Topology::residues`].
    pub fn residues(&self) -> &[usize] {
        &self.residues
    }

    /// The DSSP letter of each of [`Dssp::residues`] in a frame (nm).
    pub fn assign(&self, positions_nm: &[[f32; 3]]) -> Structure {
        let chains = self.chains(positions_nm);
        let bonds = self.bonds(positions_nm, &chains);
        let mut out = vec![b' '; self.backbone.len()];
        strands(&bonds, &chains, &mut out);
        let bend = self.bends(positions_nm, &chains);
        helices_and_turns(&bonds, &chains, &bend, &mut out);
        out
    }

    /// The Kabsch–Sander hydrogen bonds of a frame, at most two per donor, by donor.
    pub fn hydrogen_bonds(&self, positions_nm: &[[f32; 3]]) -> Vec<HydrogenBond> {
        let bonds = self.bonds(positions_nm, &self.chains(positions_nm));
        let each = bonds.iter().enumerate().flat_map(|(donor, bonds)| {
            bonds.iter().flatten().map(move |&(acceptor, energy_kcal)| HydrogenBond {
                donor,
                acceptor,
                energy_kcal,
            })
        });
        each.collect()
    }

    /// A number per residue that is the same within an unbroken chain.
    fn chains(&self, xyz: &[[f32; 3]]) -> Vec<usize> {
        if self.breaks == ChainBreaks::ChainIds {
            return self.chain_ids.clone();
        }
        let mut id = 0;
        let mut out = Vec::with_capacity(self.backbone.len());
        for (i, b) in self.backbone.iter().enumerate() {
            if i > 0 {
                let c = xyz[self.backbone[i - 1].c];
                let apart: Vec3<f64> = sub(cast(c), cast(xyz[b.n]));
                let gap = dot(apart, apart) > CHAIN_BREAK * CHAIN_BREAK;
                id += usize::from(gap || self.chain_ids[i] != self.chain_ids[i - 1]);
            }
            out.push(id);
        }
        out
    }

    fn bonds(&self, xyz: &[[f32; 3]], chains: &[usize]) -> Bonds {
        let at = |atom: usize| cast::<f32, f64>(xyz[atom]);
        let n = self.backbone.len();
        let ca: [Vec<f64>; 3] =
            [0, 1, 2].map(|axis| self.backbone.iter().map(|b| at(b.ca)[axis]).collect());
        let donors: Vec<Donor> = (0..n).map(|i| self.donor(xyz, chains, i)).collect();
        let acceptors: Vec<Acceptor> =
            self.backbone.iter().map(|b| Acceptor::new(at(b.c), at(b.o))).collect();
        let mut bonds: Bonds = vec![[None; 2]; n];
        let mut add_bond = |donor: usize, acceptor: usize| {
            let (d, a) = (&donors[donor], &acceptors[acceptor]);
            if self.backbone[donor].proline || !a.reaches(d) {
                return;
            }
            let e = energy(d, a);
            if e < BOND_ENERGY {
                let two = &mut bonds[donor];
                if two[0].is_none_or(|b| e < b.1) {
                    *two = [Some((acceptor, e)), two[0]];
                } else if two[1].is_none_or(|b| e < b.1) {
                    two[1] = Some((acceptor, e));
                }
            }
        };
        let mut apart2 = vec![0.0; n];
        for i in 0..n {
            // Axis by axis for several partners at once; most are far away.
            let after = i + 1;
            let [x, y, z] = [0, 1, 2].map(|axis| (ca[axis][i], &ca[axis][after..]));
            for (((to, xj), yj), zj) in apart2.iter_mut().zip(x.1).zip(y.1).zip(z.1) {
                let d = [x.0 - xj, y.0 - yj, z.0 - zj];
                *to = dot(d, d);
            }
            for (j, d2) in (after..n).zip(&apart2) {
                if *d2 < CA_NEAR * CA_NEAR {
                    add_bond(i, j);
                    if j != i + 1 {
                        add_bond(j, i);
                    }
                }
            }
        }
        bonds
    }

    /// N–H of residue `i`. First residues have no H; put onto N it makes every energy zero.
    fn donor(&self, xyz: &[[f32; 3]], chains: &[usize], i: usize) -> Donor {
        let at = |atom: usize| cast::<f32, f64>(xyz[atom]);
        let n = at(self.backbone[i].n);
        let broken = self.breaks == ChainBreaks::Geometry && i > 0 && chains[i - 1] != chains[i];
        let h = if i == 0 || broken {
            n
        } else {
            let before = &self.backbone[i - 1];
            let co = sub(at(before.c), at(before.o));
            add(n, scale(co, NH / norm(co)))
        };
        Donor { n, h, middle: scale(add(n, h), 0.5) }
    }

    /// Residues where the chain turns by more than 70° between CA(i−2), CA(i), CA(i+2).
    fn bends(&self, xyz: &[[f32; 3]], chains: &[usize]) -> Vec<bool> {
        let ca = |i: usize| cast::<f32, f64>(xyz[self.backbone[i].ca]);
        let n = self.backbone.len();
        let straightest = BEND.to_radians().cos();
        (0..n)
            .map(|i| {
                if i < 2 || i + 2 >= n || chains[i - 2] != chains[i + 2] {
                    return false;
                }
                let (u, v) = (sub(ca(i), ca(i - 2)), sub(ca(i + 2), ca(i)));
                dot(u, v) < straightest * (dot(u, u) * dot(v, v)).sqrt()
            })
            .collect()
    }
}

/// N–H of a residue.
struct Donor {
    n: Vec3<f64>,
    h: Vec3<f64>,
    middle: Vec3<f64>,
}

/// C=O of a residue.
struct Acceptor {
    c: Vec3<f64>,
    o: Vec3<f64>,
    middle: Vec3<f64>,
    /// Square of the distance of middles beyond which no bond is possible.
    reach2: f64,
}

impl Acceptor {
    /// E/27.888 is f(O) − f(C) with f(P) = 1/PN − 1/PH, so |E|/27.888 ≤ CO · NH · 2/ρ³, where ρ is
    /// the least distance between the segments CO and NH, not less than that of their middles minus
    /// half of both lengths.
    fn new(c: Vec3<f64>, o: Vec3<f64>) -> Self {
        let length: f64 = norm(sub(o, c));
        // A little above −0.5, for rounding.
        let least = (2.0 * COUPLING * NH * length / (0.98 * -BOND_ENERGY)).cbrt();
        let reach = least + 0.5 * (length + NH);
        Self { c, o, middle: scale(add(c, o), 0.5), reach2: reach * reach }
    }

    fn reaches(&self, d: &Donor) -> bool {
        let apart = sub(self.middle, d.middle);
        let distance2: f64 = dot(apart, apart);
        // What is not a number reaches nothing.
        distance2 <= self.reach2
    }
}

fn energy(d: &Donor, a: &Acceptor) -> f64 {
    // The four together: roots and divisions of two at a time.
    let apart = [sub(d.n, a.o), sub(d.h, a.c), sub(d.h, a.o), sub(d.n, a.c)];
    let inverse = apart.map(|v| dot(v, v)).map(f64::sqrt).map(f64::recip);
    let sum = inverse[0] + inverse[1] - inverse[2] - inverse[3];
    (COUPLING * sum).max(LOWEST_ENERGY)
}

fn bonded(bonds: &Bonds, donor: usize, acceptor: usize) -> bool {
    bonds[donor].iter().flatten().any(|b| b.0 == acceptor)
}

/// A ladder of bridges: residues `i.0..=i.1` opposite `j.0..=j.1`.
struct Ladder {
    parallel: bool,
    i: (usize, usize),
    j: (usize, usize),
    single: bool,
}

fn bridge(bonds: &Bonds, chains: &[usize], i: usize, j: usize) -> Option<bool> {
    let n = chains.len();
    if i == 0 || j == 0 || i + 1 >= n || j + 1 >= n {
        return None;
    }
    if chains[i - 1] != chains[i + 1] || chains[j - 1] != chains[j + 1] {
        return None;
    }
    let b = |donor: usize, acceptor: usize| bonded(bonds, donor, acceptor);
    if (b(i + 1, j) && b(j, i - 1)) || (b(j + 1, i) && b(i, j - 1)) {
        Some(true)
    } else if (b(i + 1, j - 1) && b(j + 1, i - 1)) || (b(j, i) && b(i, j)) {
        Some(false)
    } else {
        None
    }
}

/// Residues that may be in a bridge with `i` before them, rising: each kind of [`bridge`] needs a
/// bond from N–H of `i` or `i + 1` to one of them or to the residue before.
fn opposite(bonds: &Bonds, i: usize) -> impl Iterator<Item = usize> + use<> {
    const NONE: usize = usize::MAX;
    let mut found = [NONE; 8];
    let acceptors = bonds[i..=i + 1].iter().flatten().flatten().map(|b| b.0);
    found.iter_mut().zip(acceptors.flat_map(|a| [a, a + 1])).for_each(|(to, j)| *to = j);
    found.sort_unstable();
    let repeated = move |at: usize| at > 0 && found[at] == found[at - 1];
    (0..8).filter(move |&at| found[at] != NONE && !repeated(at)).map(move |at| found[at])
}

/// Bridges (B) and strands (E), ladders joined over bulges.
fn strands(bonds: &Bonds, chains: &[usize], out: &mut [u8]) {
    let n = chains.len();
    let mut ladders: Vec<Ladder> = Vec::new();
    for i in 1..n.saturating_sub(4) {
        for j in opposite(bonds, i).filter(|j| (i + 3..n - 1).contains(j)) {
            let Some(parallel) = bridge(bonds, chains, j, i) else { continue };
            let next = ladders.iter_mut().find(|l| {
                let grows = if parallel { l.j.1 + 1 == j } else { l.j.0 == j + 1 };
                l.parallel == parallel && l.i.1 + 1 == i && grows
            });
            match next {
                Some(l) => {
                    l.i.1 = i;
                    if parallel {
                        l.j.1 = j
                    } else {
                        l.j.0 = j
                    }
                    l.single = false;
                }
                None => ladders.push(Ladder { parallel, i: (i, i), j: (j, j), single: true }),
            }
        }
    }
    ladders.sort_by_key(|l| (chains[l.i.0], l.i.0));
    let mut first = 0;
    while first < ladders.len() {
        let mut second = first + 1;
        while second < ladders.len() {
            if joins(&ladders[first], &ladders[second], chains) {
                let other = ladders.remove(second);
                let l = &mut ladders[first];
                l.i.1 = other.i.1;
                if l.parallel {
                    l.j.1 = other.j.1
                } else {
                    l.j.0 = other.j.0
                }
                l.single = false;
            } else {
                second += 1;
            }
        }
        first += 1;
    }
    for l in &ladders {
        let letter = if l.single { b'B' } else { b'E' };
        for r in (l.i.0..=l.i.1).chain(l.j.0..=l.j.1) {
            if out[r] != b'E' {
                out[r] = letter;
            }
        }
    }
}

/// Whether two ladders are one with a bulge: at most one extra residue on one strand and four on
/// the other.
fn joins(a: &Ladder, b: &Ladder, chains: &[usize]) -> bool {
    let gap = |from: usize, to: usize| to as i64 - from as i64;
    let whole = |p: (usize, usize), q: (usize, usize)| chains[p.0.min(q.0)] == chains[p.1.max(q.1)];
    let apart = gap(a.i.1, b.i.0);
    let overlap = a.i.1 >= b.i.0 && a.i.0 <= b.i.1;
    if a.parallel != b.parallel || !whole(a.i, b.i) || !whole(a.j, b.j) || apart >= 6 || overlap {
        return false;
    }
    let (onward, other) = if a.parallel {
        (b.j.0 > a.j.0, gap(a.j.1, b.j.0))
    } else {
        (b.j.0 < a.j.0, gap(b.j.1, a.j.0))
    };
    onward && ((other < 6 && apart < 3) || other < 3)
}

/// Helices H (i→i+4), G (i→i+3), I (i→i+5, preferred over H), then turns and bends.
fn helices_and_turns(bonds: &Bonds, chains: &[usize], bend: &[bool], out: &mut [u8]) {
    let n = chains.len();
    // starts[s - 3][i]: an s-turn begins at residue i.
    let starts: [Vec<bool>; 3] = [3, 4, 5].map(|s| {
        (0..n).map(|i| i + s < n && bonded(bonds, i + s, i) && chains[i] == chains[i + s]).collect()
    });
    for (stride, letter, over) in
        [(4, b'H', None), (3, b'G', Some(&b" G"[..])), (5, b'I', Some(&b" IH"[..]))]
    {
        let start = &starts[stride - 3];
        for i in 1..n.saturating_sub(stride) {
            let span = i..i + stride;
            let free = over.is_none_or(|o| out[span.clone()].iter().all(|l| o.contains(l)));
            if start[i] && start[i - 1] && free {
                out[span].fill(letter);
            }
        }
    }
    for i in 1..n.saturating_sub(1) {
        if out[i] == b' ' {
            let turn = (3..=5).any(|s| (1..s).any(|k| i >= k && starts[s - 3][i - k]));
            if turn {
                out[i] = b'T';
            } else if bend[i] {
                out[i] = b'S';
            }
        }
    }
}

/// The three-class letter (H, E or C) of an eight-class one.
pub fn class3(letter: u8) -> u8 {
    match letter {
        b'H' | b'G' | b'I' => b'H',
        b'E' | b'B' => b'E',
        _ => b'C',
    }
}

/// The fraction of residues whose three-class letter is `class` (`b'H'`, `b'E'`, `b'C'`); 0 for none.
pub fn fraction(structure: &[u8], class: u8) -> f64 {
    let n = structure.iter().filter(|&&l| class3(l) == class).count();
    if structure.is_empty() { 0.0 } else { n as f64 / structure.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::chain;

    /// What the shortcuts leave out, by looking at every pair of residues.
    #[test]
    fn no_bond_and_no_bridge_is_passed_over() {
        let mut turn = 0.1_f64;
        let angles: Vec<[f64; 2]> = (0..60)
            .map(|_| {
                turn = (turn * 37.17).fract();
                [-170.0 + 130.0 * turn, -60.0 + 230.0 * (turn * 7.3).fract()]
            })
            .collect();
        let built = chain(&"A".repeat(60), &angles).unwrap();
        let dssp = Dssp::new(&built.topology, ChainBreaks::Geometry);
        let (mut found, mut skipped) = (0, 0);
        // Squeezed, so that there are many bonds, strange ones among them.
        for squeeze in [1.0, 0.8, 0.6] {
            let xyz: Vec<[f32; 3]> =
                built.positions_nm.iter().map(|p| p.map(|x| squeeze * x)).collect();
            let chains = vec![0; 60];
            let at = |a: usize| cast::<f32, f64>(xyz[a]);
            for d in (0..60).map(|i| dssp.donor(&xyz, &chains, i)) {
                for b in &dssp.backbone {
                    let a = Acceptor::new(at(b.c), at(b.o));
                    let bond = energy(&d, &a) < BOND_ENERGY;
                    assert!(a.reaches(&d) || !bond);
                    found += usize::from(bond);
                    skipped += usize::from(!a.reaches(&d));
                }
            }
            let bonds = dssp.bonds(&xyz, &chains);
            for i in 1..56 {
                let near = opposite(&bonds, i).collect::<Vec<_>>();
                for j in i + 3..59 {
                    let bridged = bridge(&bonds, &chains, j, i).is_some();
                    assert!(!bridged || near.contains(&j), "{i} {j}");
                }
            }
        }
        assert!(found > 50 && skipped > 3000, "{found} {skipped}");
    }

    #[test]
    fn ideal_helices_and_strands() {
        for (angles, inner) in [
            ([-57.0, -47.0], b'H'),
            ([-49.0, -26.0], b'G'),
            ([-57.0, -70.0], b'I'),
            ([-135.0, 135.0], b' '),
        ] {
            let built = chain("AAAAAAAAAAAA", &[angles; 12]).unwrap();
            for breaks in [ChainBreaks::Geometry, ChainBreaks::ChainIds] {
                let dssp = Dssp::new(&built.topology, breaks);
                let got = dssp.assign(&built.positions_nm);
                let text = String::from_utf8(got.clone()).unwrap();
                assert!(got[3..9].iter().all(|l| *l == inner), "{angles:?}: '{text}'");
            }
        }
        assert_eq!(fraction(b"HGIEBTS ", b'H'), 0.375);
        assert_eq!(fraction(b"HGIEBTS ", b'E'), 0.25);
        assert_eq!(fraction(b"", b'E'), 0.0);
        let nothing = Dssp::new(&Topology::new(), ChainBreaks::Geometry);
        assert!(nothing.assign(&[]).is_empty());
    }
}
