//! A sample's chain closed and its tight contacts opened, by the smallest motion found.
//!
//! The network draws each residue's pose for itself, so that neighbours meet only as well as it
//! learned: C–N scatters by 0.09 Å where MD scatters by 0.03 Å, and now and then two side chains
//! overlap by a few tenths of an ångström. Minimisation would mend both, at the price of moving the
//! torsions around them.
//!
//! Method: rigid groups of atoms that share atoms. Every residue's backbone, every side-chain group
//! about its chi, and every peptide unit (ideal lengths and angles; omega as drawn, at most 15° out
//! of plane) are laid over the atoms by superposition; each atom goes to the mean of what its groups
//! say; atoms in tight contacts are pushed apart; again, until nothing moves. Groups hinge on shared
//! atoms, so only rotations about phi, psi and chi are left to give way. No random numbers.

use marsfm_geometry::real::{Vec3, add, cross, dot, norm, scale, sub};
use marsfm_geometry::tables::TEMPLATES;
use marsfm_geometry::{ATOM14, Conformation, ResidueType, superpose};

use crate::acceptance::{LARGEST_RADII, TIGHT, contacts};
use crate::{Verdict, judge};

/// Engh and Huber, as [`marsfm_geometry::build`].
const C_N: f64 = 1.329;
const CA_C_N: f64 = 116.2;
const C_N_CA: f64 = 121.7;
/// N–CD of proline, Å: the template does not close its ring.
const N_CD: f64 = 1.473;
/// Omega may stay this far out of plane, degrees.
const PLANE: f64 = 15.0;
/// Contacts are opened to this share of the radii above [`TIGHT`].
const MARGIN: f32 = 0.02;
const ROUNDS: usize = 400;
/// Largest move of an atom in a round at which it is over, Å.
const STILL: f64 = 2e-4;

/// A sample that had to move further than this is another one, Å.
const FURTHEST: f64 = 1.0;

/// An accepted sample with its chain closed and its contacts opened, and the verdict on that, which
/// says how far its heavy atoms moved. Where that would not make a better sample (its verdict asks
/// for more, or it would be another conformation), and for a rejected one, it stays as drawn.
pub fn idealise(
    types: &[ResidueType],
    sample: &Conformation<f32>,
    verdict: &Verdict,
) -> (Conformation<f32>, Verdict) {
    let as_drawn = || (sample.clone(), verdict.clone());
    if !verdict.accepted() {
        return as_drawn();
    }
    let Some((conformation, moved_angstrom)) = closed(types, sample) else { return as_drawn() };
    let mut after = judge(types, &conformation);
    let asks_for_more = after.repair.iter().any(|r| !verdict.repair.contains(r));
    if !after.accepted() || asks_for_more || moved_angstrom > FURTHEST {
        return as_drawn();
    }
    after.rebuilt = verdict.rebuilt;
    after.idealised_angstrom = moved_angstrom as f32;
    (conformation, after)
}

/// The closed chain and the root-mean-square move of its heavy atoms after superposition, Å.
fn closed(types: &[ResidueType], sample: &Conformation<f32>) -> Option<(Conformation<f32>, f64)> {
    let before = sample.cast::<f64>().to_atom14(types);
    let mut chain = Chain { types, groups: groups(types, &before), atoms: before.clone() };
    for _ in 0..ROUNDS {
        if chain.round()? < STILL {
            break;
        }
    }
    let mut conformation = Conformation::from_atom14(types, &chain.atoms);
    conformation.clear_masked(types);
    let after = conformation.to_atom14(types);
    let fit = superpose(&flat(types, &after), &flat(types, &before)).ok()?;
    Some((conformation.cast(), fit.rmsd))
}

fn flat(types: &[ResidueType], atoms: &[[Vec3<f64>; ATOM14]]) -> Vec<Vec3<f64>> {
    types.iter().zip(atoms).flat_map(|(t, a)| a[..t.n_atoms()].iter().copied()).collect()
}

/// (residue, slot).
type At = (usize, usize);

/// Atoms that keep their distances.
struct Group {
    atoms: Vec<At>,
    shape: Vec<Vec3<f64>>,
}

struct Chain<'a> {
    types: &'a [ResidueType],
    groups: Vec<Group>,
    atoms: Vec<[Vec3<f64>; ATOM14]>,
}

fn groups(types: &[ResidueType], atoms: &[[Vec3<f64>; ATOM14]]) -> Vec<Group> {
    let mut all = Vec::new();
    let mut as_drawn = |members: Vec<At>| {
        let shape = members.iter().map(|(i, a)| atoms[*i][*a]).collect();
        all.push(Group { atoms: members, shape });
    };
    for (i, kind) in types.iter().enumerate() {
        let template = TEMPLATES[kind.index()];
        let last = i + 1 == types.len();
        let of = |group: usize| {
            template.iter().enumerate().filter(move |t| t.1.group == group).map(move |t| (i, t.0))
        };
        as_drawn(of(0).collect());
        if last {
            // No peptide unit holds the last O: its psi turns it about CA–C.
            as_drawn([(i, 1), (i, 2)].into_iter().chain(of(3)).collect());
        }
        for k in 0..4 {
            if let Some(quad) = kind.chi(k) {
                as_drawn([(i, quad[1]), (i, quad[2])].into_iter().chain(of(4 + k)).collect());
            }
        }
    }
    for i in 1..types.len() {
        let (a, b) = (&atoms[i - 1], &atoms[i]);
        let members = vec![(i - 1, 1), (i - 1, 2), (i - 1, 3), (i, 0), (i, 1)];
        all.push(Group { atoms: members, shape: peptide_unit(omega_degrees(a, b)).to_vec() });
    }
    all
}

/// CA, C, O, N, CA with ideal lengths and angles (Å).
fn peptide_unit(omega_degrees: f64) -> [Vec3<f64>; 5] {
    let polar = |length: f64, degrees: f64| {
        let (s, c) = degrees.to_radians().sin_cos();
        [length * c, length * s, 0.0]
    };
    // C at the origin, N along x; CA and O on either side of it.
    let ca = polar(1.526, CA_C_N);
    let o = polar(1.231, -(360.0 - CA_C_N - 120.4));
    let n = [C_N, 0.0, 0.0];
    let (s, c) = omega_degrees.to_radians().sin_cos();
    let arm = polar(1.461, 180.0 - C_N_CA);
    [ca, [0.0; 3], o, n, [n[0] + arm[0], arm[1] * c, arm[1] * s]]
}

/// Omega as drawn, but no further out of plane than [`PLANE`].
fn omega_degrees(a: &[Vec3<f64>; ATOM14], b: &[Vec3<f64>; ATOM14]) -> f64 {
    let (u, v, w) = (sub(a[2], a[1]), sub(b[0], a[2]), sub(b[1], b[0]));
    let (n1, n2) = (cross(u, v), cross(v, w));
    let omega = (dot(cross(n1, n2), v) / norm(v)).atan2(dot(n1, n2)).to_degrees();
    let plane = if omega.abs() < 90.0 { 0.0 } else { 180.0_f64.copysign(omega) };
    plane + (omega - plane).clamp(-PLANE, PLANE)
}

impl Chain<'_> {
    /// One round; the largest move, Å. `None` if a superposition fails.
    fn round(&mut self) -> Option<f64> {
        let start = self.atoms.clone();
        self.push();
        let mut sum = vec![[[0.0; 3]; ATOM14]; self.atoms.len()];
        let mut count = vec![[0.0; ATOM14]; self.atoms.len()];
        for group in &self.groups {
            let target: Vec<Vec3<f64>> =
                group.atoms.iter().map(|(i, a)| self.atoms[*i][*a]).collect();
            let motion = superpose(&group.shape, &target).ok()?.motion;
            for ((i, a), p) in group.atoms.iter().zip(&group.shape) {
                sum[*i][*a] = add(sum[*i][*a], motion.apply(*p));
                count[*i][*a] += 1.0;
            }
        }
        let mut largest = 0.0f64;
        for (i, kind) in self.types.iter().enumerate() {
            for a in 0..kind.n_atoms() {
                self.atoms[i][a] = scale(sum[i][a], 1.0 / count[i][a]);
                largest = largest.max(norm(sub(self.atoms[i][a], start[i][a])));
            }
        }
        Some(largest)
    }

    /// Moves the atoms of tight contacts apart, and those of open proline rings together.
    fn push(&mut self) {
        let atoms: Vec<[Vec3<f32>; ATOM14]> =
            self.atoms.iter().map(|r| r.map(|p| p.map(|x| x as f32))).collect();
        let mut wanted: Vec<(At, At, f64)> = Vec::new();
        contacts(self.types, &atoms, |a, b, distance, radii| {
            if distance < (TIGHT + MARGIN) * radii {
                wanted.push((a, b, f64::from((TIGHT + MARGIN) * radii)));
            }
            (TIGHT + MARGIN) * LARGEST_RADII
        });
        let proline = |t: &(usize, &ResidueType)| *t.1 == ResidueType::Pro;
        for (i, _) in self.types.iter().enumerate().filter(proline) {
            if let Some(cd) = ResidueType::Pro.slot("CD") {
                wanted.push(((i, 0), (i, cd), N_CD));
            }
        }
        for ((i, a), (j, b), length) in wanted {
            let d = sub(self.atoms[j][b], self.atoms[i][a]);
            let now = norm(d);
            if now > f64::EPSILON {
                let half = scale(d, 0.5 * (length - now) / now);
                self.atoms[i][a] = sub(self.atoms[i][a], half);
                self.atoms[j][b] = add(self.atoms[j][b], half);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_geometry::build;
    use rand::{RngExt, SeedableRng};

    fn types(sequence: &str) -> Vec<ResidueType> {
        sequence.chars().map(|l| ResidueType::from_letter(l).unwrap()).collect()
    }

    /// The chain with every pose turned and shifted by chance, as a network draws it.
    fn loose(sequence: &str, angles: &[[f64; 2]], rng_seed: u64) -> Conformation<f32> {
        let mut c = build::chain(sequence, angles).unwrap().conformation;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(rng_seed);
        let mut noise = |size: f32| size * (rng.random::<f32>() - 0.5);
        for rigid in &mut c.rigids {
            let q = [1.0, noise(0.06), noise(0.06), noise(0.06)];
            let turn = marsfm_geometry::Rigid::from_quaternion(q, [0.0; 3]);
            rigid.rot = rigid.compose(&turn).rot;
            rigid.trans.iter_mut().for_each(|x| *x += noise(0.25));
        }
        c
    }

    #[test]
    fn a_loose_chain_is_closed_by_a_small_move_and_a_closed_one_stays() {
        let sequence = "QLAWPIKF";
        let (types, angles) = (types(sequence), vec![[-75.0, 130.0]; 8]);
        for rng_seed in 0..20 {
            let sample = loose(sequence, &angles, rng_seed);
            let before = judge(&types, &sample);
            assert!(before.repair.contains(&crate::Reason::BrokenChain), "{before:?}");
            let (closed, after) = idealise(&types, &sample, &before);
            assert!(after.repair.is_empty() && after.accepted(), "{after:?}");
            assert!(after.worst_peptide_bond_angstrom < 0.02, "{after:?}");
            // The poses were turned by up to 3° and shifted by up to 0.2 Å, each for itself.
            assert!((0.01..0.5).contains(&after.idealised_angstrom), "{after:?}");
            // Carbonyl oxygens lie in their peptide planes.
            let atoms = closed.to_atom14(&types);
            for pair in atoms.windows(2) {
                let far = |a: Vec3<f32>, b: Vec3<f32>| norm(sub(a, b).map(f64::from));
                assert!((far(pair[0][3], pair[1][0]) - 2.25).abs() < 0.05);
            }
            // Once closed it stays; a second look finds nothing to do.
            let (_, again) = idealise(&types, &closed, &after);
            assert!(again.idealised_angstrom < 0.01, "{again:?}");
        }
    }

    #[test]
    fn overlapping_side_chains_are_turned_apart() {
        // Phe2 and Phe4 on the same side of a strand, their rings pushed into each other.
        let (sequence, types) = ("AFAFA", types("AFAFA"));
        let mut found = 0;
        for k in 0..36 {
            let mut c = build::chain(sequence, &[[-110.0, 120.0]; 5]).unwrap().conformation;
            for (i, degrees) in [(1, 180.0), (3, 10.0 * k as f32)] {
                c.torsions[i][3] = [degrees.to_radians().sin(), degrees.to_radians().cos()];
            }
            let before = judge(&types, &c);
            if before.accepted() && before.repair == [crate::Reason::Clash] {
                found += 1;
                let (_, after) = idealise(&types, &c, &before);
                // Rings that lie in each other (more than eight tight pairs) may keep a contact.
                let most = if before.tight_contacts > 8 { 2 } else { 0 };
                assert!(after.tight_contacts <= most, "{before:?} {after:?}");
                assert!(after.idealised_angstrom < 0.6, "{after:?}");
            }
        }
        assert!(found > 0, "no chi gives a tight contact: the test tests nothing");
    }

    #[test]
    fn hands_stay_and_what_is_rejected_stays_as_drawn() {
        let (sequence, types) = ("ITCV", types("ITCV"));
        let sample = loose(sequence, &[[-75.0, 130.0]; 4], 3);
        let (closed, after) = idealise(&types, &sample, &judge(&types, &sample));
        assert!(after.idealised_angstrom > 0.0 && judge(&types, &closed).accepted());
        let mut broken = sample.clone();
        broken.rigids[2].trans[0] = f32::NAN;
        let verdict = judge(&types, &broken);
        let (_, after) = idealise(&types, &broken, &verdict);
        assert_eq!(after, verdict);
        let mut far = sample;
        far.rigids[3].trans[1] += 9.0;
        let verdict = judge(&types, &far);
        let (same, after) = idealise(&types, &far, &verdict);
        assert!(same == far && after == verdict && !verdict.accepted());
    }
}
