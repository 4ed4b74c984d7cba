//! Is a proposed conformation one that an MD engine can start from?
//!
//! Hard limits reject: values that are not finite, a peptide bond longer than 2.0 Å or Cα–Cα beyond
//! 4.5 Å, heavy atoms of different residues closer than 1.0 Å (BioEmu's filter), an omega nearer to
//! 90° than to a plane, a D centre, a bond through an aromatic or proline ring. Between these and
//! what force fields like, the sample is accepted but marked: it needs repair by minimisation.

use marsfm_geometry::{ATOM14, Conformation, ResidueType, Vec3, tables};
use serde::{Deserialize, Serialize};

/// What is wrong with a sample; the numbers are stable and cross the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(i32)]
pub enum Reason {
    /// A coordinate is NaN or infinite.
    NotFinite = 1,
    /// C–N longer than 2.0 Å or Cα–Cα longer than 4.5 Å.
    BrokenChain = 2,
    /// omega nearer to 90° than to 0° or 180°.
    Omega = 3,
    /// Heavy atoms of different residues closer than 1.0 Å.
    Clash = 4,
    /// A mirrored centre.
    Chirality = 5,
    /// A bond passes through a ring.
    RingPierced = 6,
}

/// Every reason, in order of its code.
pub const REASONS: [Reason; 6] = [
    Reason::NotFinite,
    Reason::BrokenChain,
    Reason::Omega,
    Reason::Clash,
    Reason::Chirality,
    Reason::RingPierced,
];

/// The judgement of one sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Why it is rejected; empty if it is accepted.
    pub rejected: Vec<Reason>,
    /// What minimisation has to mend; only for accepted samples is this of use.
    pub repair: Vec<Reason>,
    /// True if the chain was built again from the sample's torsions, see [`crate::settle`].
    #[serde(default)]
    pub rebuilt: bool,
    /// Root-mean-square move of the heavy atoms by [`crate::idealise`], Å; 0 as drawn.
    #[serde(default)]
    pub idealised_angstrom: f32,
    /// Largest |C–N − 1.33 Å| of the chain, Å.
    pub worst_peptide_bond_angstrom: f32,
    /// Smallest distance of heavy atoms of different, not bonded residues, Å (∞ if none).
    pub closest_contact_angstrom: f32,
    /// Pairs of heavy atoms closer than 0.8 of their summed van der Waals radii.
    pub tight_contacts: u32,
}

impl Verdict {
    /// True if nothing rejects it.
    pub fn accepted(&self) -> bool {
        self.rejected.is_empty()
    }
}

/// C–N: rejected beyond, needs repair if it differs from 1.33 Å by more than the tolerance.
const LONGEST_C_N: f32 = 2.0;
const LONGEST_CA_CA: f32 = 4.5;
const IDEAL_C_N: f32 = 1.33;
const C_N_TOLERANCE: f32 = 0.1;
const CLASH: f32 = 1.0;
/// Contacts are tight below this share of the summed radii.
pub(crate) const TIGHT: f32 = 0.8;
/// Two of the largest van der Waals radii, those of sulphur, Å: nothing farther apart is tight.
pub(crate) const LARGEST_RADII: f32 = 3.6;
/// S–S of a disulphide is 2.05 Å: shorter than 0.8 of this is tight.
const DISULPHIDE: f32 = 2.3;

/// Judges a conformation of these residue types (Å).
pub fn judge(types: &[ResidueType], conformation: &Conformation<f32>) -> Verdict {
    judge_atoms(types, &conformation.to_atom14(types))
}

/// Judges heavy atoms by atom14 slot (Å).
pub fn judge_atoms(types: &[ResidueType], atoms: &[[Vec3<f32>; ATOM14]]) -> Verdict {
    let mut v = Verdict { closest_contact_angstrom: f32::INFINITY, ..Verdict::default() };
    let finite = types
        .iter()
        .zip(atoms)
        .all(|(t, a)| a[..t.n_atoms()].iter().flatten().all(|x| x.is_finite()));
    if !finite {
        v.rejected.push(Reason::NotFinite);
        return v;
    }
    chain(atoms, &mut v);
    overlaps(types, atoms, &mut v);
    let mirrored = |(t, a): (&ResidueType, &[Vec3<f32>; ATOM14])| is_mirrored(*t, a);
    if types.iter().zip(atoms).any(mirrored) {
        v.rejected.push(Reason::Chirality);
    }
    if pierced(types, atoms) {
        v.rejected.push(Reason::RingPierced);
    }
    v
}

fn sub(a: Vec3<f32>, b: Vec3<f32>) -> Vec3<f32> {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: Vec3<f32>, b: Vec3<f32>) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Vec3<f32>, b: Vec3<f32>) -> Vec3<f32> {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn distance(a: Vec3<f32>, b: Vec3<f32>) -> f32 {
    let d = sub(a, b);
    dot(d, d).sqrt()
}

/// Peptide bonds and omegas.
fn chain(atoms: &[[Vec3<f32>; ATOM14]], v: &mut Verdict) {
    let (mut broken, mut strained, mut twisted, mut bent) = (false, false, false, false);
    for pair in atoms.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        let c_n = distance(a[2], b[0]);
        v.worst_peptide_bond_angstrom = v.worst_peptide_bond_angstrom.max((c_n - IDEAL_C_N).abs());
        broken |= c_n > LONGEST_C_N || distance(a[1], b[1]) > LONGEST_CA_CA;
        strained |= (c_n - IDEAL_C_N).abs() > C_N_TOLERANCE;
        // CA–C–N–CA: nearer to 90° than to a plane means |cos ω| < cos 45°.
        let (u, w, x) = (sub(a[2], a[1]), sub(b[0], a[2]), sub(b[1], b[0]));
        let (n1, n2) = (cross(u, w), cross(w, x));
        let cos = dot(n1, n2) / (dot(n1, n1) * dot(n2, n2)).sqrt().max(1e-12);
        twisted |= cos.abs() < std::f32::consts::FRAC_1_SQRT_2;
        bent |= cos.abs() < 0.866; // more than 30° out of plane
    }
    if broken {
        v.rejected.push(Reason::BrokenChain);
    } else if strained {
        v.repair.push(Reason::BrokenChain);
    }
    if twisted {
        v.rejected.push(Reason::Omega);
    } else if bent {
        v.repair.push(Reason::Omega);
    }
}

/// Van der Waals radius of a heavy atom by the first letter of its name, Å (Bondi).
pub(crate) fn radius(name: &str) -> f32 {
    match name.as_bytes().first() {
        Some(b'N') => 1.55,
        Some(b'O') => 1.52,
        Some(b'S') => 1.80,
        _ => 1.70,
    }
}

/// Calls `each((residue, slot), (residue, slot), distance, summed radii)`, Å, for pairs of heavy atoms
/// of residues at least two apart, and of neighbours beyond the atoms that the peptide bond holds
/// close (N, CA, C, O, CB). Sulphurs, which may be a disulphide, count with the length of one.
/// `each` answers how far atoms may be to be of interest from there on: residues that are farther
/// from each other are passed over.
pub(crate) fn contacts(
    types: &[ResidueType],
    atoms: &[[Vec3<f32>; ATOM14]],
    mut each: impl FnMut((usize, usize), (usize, usize), f32, f32) -> f32,
) {
    let residues: Vec<(Vec<(f32, bool)>, f32)> = types
        .iter()
        .zip(atoms)
        .map(|(t, a)| {
            let kinds: Vec<_> = t.atom14_names().map(|n| (radius(n), n.starts_with('S'))).collect();
            let extent = a[..kinds.len()].iter().map(|p| distance(*p, a[1])).fold(0.0, f32::max);
            (kinds, extent)
        })
        .collect();
    let mut reach = f32::INFINITY;
    for (i, (of_i, extent_i)) in residues.iter().enumerate() {
        for (j, (of_j, extent_j)) in residues.iter().enumerate().skip(i + 1) {
            // A thousandth of an Å for rounding.
            if distance(atoms[i][1], atoms[j][1]) - extent_i - extent_j > reach + 1e-3 {
                continue;
            }
            for (a, (radius_a, sulphur_a)) in of_i.iter().enumerate() {
                for (b, (radius_b, sulphur_b)) in of_j.iter().enumerate() {
                    let bonded = j == i + 1 && a <= 4 && b <= 4;
                    // Proline's ring closes on its own N, next to the previous C and O.
                    let ring = j == i + 1 && types[j] == ResidueType::Pro && a <= 4;
                    if bonded || ring {
                        continue;
                    }
                    let disulphide = *sulphur_a && *sulphur_b;
                    let radii = if disulphide { DISULPHIDE } else { radius_a + radius_b };
                    reach = each((i, a), (j, b), distance(atoms[i][a], atoms[j][b]), radii);
                }
            }
        }
    }
}

/// Clashes and tight contacts.
fn overlaps(types: &[ResidueType], atoms: &[[Vec3<f32>; ATOM14]], v: &mut Verdict) {
    contacts(types, atoms, |_, _, d, radii| {
        v.closest_contact_angstrom = v.closest_contact_angstrom.min(d);
        v.tight_contacts += u32::from(d < TIGHT * radii);
        v.closest_contact_angstrom.max(TIGHT * LARGEST_RADII)
    });
    if v.closest_contact_angstrom < CLASH {
        v.rejected.push(Reason::Clash);
    } else if v.tight_contacts > 0 {
        v.repair.push(Reason::Clash);
    }
}

/// True if CA, or CB of ILE and THR, is the mirror image of the L amino acid's.
fn is_mirrored(kind: ResidueType, a: &[Vec3<f32>; ATOM14]) -> bool {
    let volume = |o: usize, p: usize, q: usize, r: usize| {
        dot(cross(sub(a[p], a[o]), sub(a[q], a[o])), sub(a[r], a[o]))
    };
    let has_cb = kind != ResidueType::Gly && kind != ResidueType::X;
    (has_cb && volume(1, 0, 2, 4) < 0.0)
        || (matches!(kind, ResidueType::Ile | ResidueType::Thr) && volume(4, 1, 5, 6) < 0.0)
}

/// Rings by atom14 slot.
fn rings(kind: ResidueType) -> &'static [&'static [&'static str]] {
    match kind {
        ResidueType::Phe | ResidueType::Tyr => &[&["CG", "CD1", "CE1", "CZ", "CE2", "CD2"]],
        ResidueType::His => &[&["CG", "ND1", "CE1", "NE2", "CD2"]],
        ResidueType::Trp => {
            &[&["CG", "CD1", "NE1", "CE2", "CD2"], &["CD2", "CE2", "CZ2", "CH2", "CZ3", "CE3"]]
        }
        ResidueType::Pro => &[&["N", "CA", "CB", "CG", "CD"]],
        _ => &[],
    }
}

/// True if a bond of another residue (or a peptide bond) crosses the inside of a ring.
fn pierced(types: &[ResidueType], atoms: &[[Vec3<f32>; ATOM14]]) -> bool {
    let mut bonds: Vec<((usize, usize), (usize, usize))> = Vec::new();
    for (i, t) in types.iter().enumerate() {
        bonds.extend(tables::bonds(*t).into_iter().map(|(a, b)| ((i, a), (i, b))));
        if i + 1 < types.len() {
            bonds.push(((i, 2), (i + 1, 0)));
        }
    }
    let at = |(i, a): (usize, usize)| atoms[i][a];
    for (i, t) in types.iter().enumerate() {
        for names in rings(*t) {
            let ring: Vec<Vec3<f32>> =
                names.iter().filter_map(|n| t.slot(n)).map(|s| atoms[i][s]).collect();
            let centre: Vec3<f32> =
                std::array::from_fn(|x| ring.iter().map(|p| p[x]).sum::<f32>() / ring.len() as f32);
            for &(p, q) in &bonds {
                // Bonds that touch the ring's own residue lie beside it, not through it.
                if p.0 == i || q.0 == i || distance(at(p), centre) > 4.0 {
                    continue;
                }
                let fan = (0..ring.len()).map(|k| [centre, ring[k], ring[(k + 1) % ring.len()]]);
                if fan.into_iter().any(|t| crosses(at(p), at(q), t)) {
                    return true;
                }
            }
        }
    }
    false
}

/// Does the segment p–q cross the triangle? (Möller & Trumbore 1997)
fn crosses(p: Vec3<f32>, q: Vec3<f32>, t: [Vec3<f32>; 3]) -> bool {
    let (along, e1, e2) = (sub(q, p), sub(t[1], t[0]), sub(t[2], t[0]));
    let h = cross(along, e2);
    let det = dot(e1, h);
    if det.abs() < 1e-9 {
        return false;
    }
    let s = sub(p, t[0]);
    let u = dot(s, h) / det;
    let k = cross(s, e1);
    let w = dot(along, k) / det;
    let x = dot(e2, k) / det;
    u >= 0.0 && w >= 0.0 && u + w <= 1.0 && (0.0..=1.0).contains(&x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_geometry::build;

    fn extended(sequence: &str) -> (Vec<ResidueType>, Vec<[Vec3<f32>; ATOM14]>) {
        let c = build::extended(sequence).unwrap().conformation;
        let types: Vec<ResidueType> =
            sequence.chars().map(|l| ResidueType::from_letter(l).unwrap()).collect();
        let atoms = c.to_atom14(&types);
        (types, atoms)
    }

    fn rejections(change: impl Fn(&mut Vec<[Vec3<f32>; ATOM14]>)) -> Vec<Reason> {
        let (types, mut atoms) = extended("AFTWGIK");
        change(&mut atoms);
        judge_atoms(&types, &atoms).rejected
    }

    #[test]
    fn ideal_chains_of_all_residues_pass() {
        for sequence in ["ARNDCQEGHILKMFPSTWYV", "GG", "AFTWGIK", "PPPP"] {
            let (types, atoms) = extended(sequence);
            let v = judge_atoms(&types, &atoms);
            assert!(v.accepted(), "{sequence}: {v:?}");
        }
    }

    #[test]
    fn each_fault_has_its_reason() {
        assert_eq!(rejections(|_| {}), []);
        assert_eq!(rejections(|a| a[2][1][0] = f32::NAN), [Reason::NotFinite]);
        let pulled = rejections(|a| {
            a[3..].iter_mut().flatten().for_each(|p| p[0] += 3.0);
        });
        assert!(pulled.contains(&Reason::BrokenChain), "{pulled:?}");
        let clash = rejections(|a| a[5][4] = a[0][4].map(|x| x + 0.3));
        assert!(clash.contains(&Reason::Clash), "{clash:?}");
        let mirror = rejections(|a| {
            a.iter_mut().flatten().for_each(|p| p[2] = -p[2]);
        });
        assert_eq!(mirror, [Reason::Chirality]);
        // CB–CG1 of Ile6 drawn through the ring of Phe2.
        let pierced = rejections(|a| {
            let ring: Vec<usize> = rings(ResidueType::Phe)[0]
                .iter()
                .map(|n| ResidueType::Phe.slot(n).unwrap())
                .collect();
            let centre: Vec3<f32> =
                std::array::from_fn(|x| ring.iter().map(|s| a[1][*s][x]).sum::<f32>() / 6.0);
            let normal =
                cross(sub(a[1][ring[0]], centre), sub(a[1][ring[1]], centre)).map(|x| x * 0.4);
            a[5][4] = std::array::from_fn(|x| centre[x] + normal[x] * 1.0);
            a[5][5] = std::array::from_fn(|x| centre[x] - normal[x] * 1.0);
        });
        assert!(pierced.contains(&Reason::RingPierced), "{pierced:?}");
    }

    #[test]
    fn a_twisted_peptide_bond_is_rejected_and_a_bent_one_needs_repair() {
        let twist = |degrees: f32| {
            let (types, mut atoms) = extended("AAAA");
            // Turn residues 2.. about the C–N bond of residues 1 and 2.
            let (o, n) = (atoms[1][2], atoms[2][0]);
            let axis = sub(n, o);
            let axis = axis.map(|x| x / dot(axis, axis).sqrt());
            let (s, c) = degrees.to_radians().sin_cos();
            for p in atoms[2..].iter_mut().flatten() {
                let v = sub(*p, o);
                let (k, d) = (cross(axis, v), dot(axis, v));
                *p = std::array::from_fn(|x| o[x] + v[x] * c + k[x] * s + axis[x] * d * (1.0 - c));
            }
            judge_atoms(&types, &atoms)
        };
        assert!(twist(0.0).repair.is_empty());
        assert_eq!(twist(38.0).repair, [Reason::Omega]);
        assert_eq!(twist(80.0).rejected, [Reason::Omega]);
    }
}
