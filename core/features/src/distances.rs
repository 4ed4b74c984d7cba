//! Residue-pair distances (nm) and contacts: Cα–Cα or closest heavy atoms, pairs (i, j) with
//! j - i ≥ a smallest sequence separation, i outer and j inner. Chains are made whole first.

use marsfm_geometry::Topology;

use crate::featurizer::{check_positions, check_row};
use crate::torsion_list::residue_name;
use crate::whole::{Group, cell_of, make_whole};
use crate::{FeatureError, Featurizer};

/// Which atoms stand for a residue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairScheme {
    /// Cα to Cα.
    Ca,
    /// The closest pair of heavy atoms.
    ClosestHeavy,
}

/// One column per residue pair: the distance in nm or, after [`PairDistances::contacts`], 1 if
/// it is below the cutoff and 0 otherwise.
#[derive(Clone, Debug)]
pub struct PairDistances {
    groups: Vec<Group>,
    labels: Vec<String>,
    /// Pairs of indices into `groups`.
    pairs: Vec<(usize, usize)>,
    scheme: PairScheme,
    cutoff_nm: Option<f64>,
    n_atoms: usize,
}

impl PairDistances {
    /// All pairs of residues that have a Cα, at least `min_separation` residues apart (≥ 1).
    pub fn new(
        topology: &Topology,
        scheme: PairScheme,
        min_separation: usize,
    ) -> Result<Self, FeatureError> {
        let residues = backbone_groups(topology);
        let labels = residues.iter().map(|(r, _)| residue_name(topology, *r)).collect();
        let mut groups: Vec<Group> = residues.into_iter().map(|(_, g)| g).collect();
        if scheme == PairScheme::Ca {
            groups.iter_mut().for_each(|g| g.atoms.clear());
        }
        let apart = min_separation.max(1);
        let n = groups.len();
        let pairs: Vec<_> = (0..n).flat_map(|i| (i + apart..n).map(move |j| (i, j))).collect();
        if pairs.is_empty() {
            let message = format!(
                "{n} residues with a CA atom, and no two of them are {apart} or more apart"
            );
            return Err(FeatureError::Topology { feature: "residue pairs", message });
        }
        Ok(Self { groups, labels, pairs, scheme, cutoff_nm: None, n_atoms: topology.len() })
    }

    /// Turns distances into contacts (1 below `cutoff_nm`, else 0).
    #[must_use]
    pub fn contacts(mut self, cutoff_nm: f64) -> Self {
        self.cutoff_nm = Some(cutoff_nm);
        self
    }

    fn distance(&self, whole: &[[f64; 3]], i: usize, j: usize) -> f64 {
        let (a, b) = (&self.groups[i], &self.groups[j]);
        let mut least = squared(whole[a.anchor], whole[b.anchor]);
        if self.scheme == PairScheme::ClosestHeavy {
            for p in members(a) {
                for q in members(b) {
                    least = least.min(squared(whole[p], whole[q]));
                }
            }
        }
        least.sqrt()
    }
}

impl Featurizer for PairDistances {
    fn n_features(&self) -> usize {
        self.pairs.len()
    }

    fn names(&self) -> Vec<String> {
        let what = if self.cutoff_nm.is_some() { "contact" } else { "distance" };
        let atoms = match self.scheme {
            PairScheme::Ca => "CA",
            PairScheme::ClosestHeavy => "heavy",
        };
        self.pairs
            .iter()
            .map(|&(i, j)| format!("{what}({atoms} {}, {})", self.labels[i], self.labels[j]))
            .collect()
    }

    fn compute(
        &self,
        positions_nm: &[[f32; 3]],
        cell_nm: Option<&[[f32; 3]; 3]>,
        out: &mut [f64],
    ) -> Result<(), FeatureError> {
        check_row(self.n_features(), out)?;
        check_positions(self.n_atoms, positions_nm, self.groups.iter().flat_map(members))?;
        let cell = cell_of(cell_nm)?;
        let whole = make_whole(positions_nm, cell.as_ref(), &self.groups);
        for (place, &(i, j)) in out.iter_mut().zip(&self.pairs) {
            let d = self.distance(&whole, i, j);
            *place = self.cutoff_nm.map_or(d, |cutoff| f64::from(u8::from(d < cutoff)));
        }
        Ok(())
    }
}

/// Every residue with N, CA and C (a calcium ion is called CA too): its index and its heavy
/// atoms, the Cα as anchor.
pub(crate) fn backbone_groups(topology: &Topology) -> Vec<(usize, Group)> {
    let group = |(residue, r): (usize, &marsfm_geometry::Residue)| {
        let find = |name: &str| r.atoms.clone().find(|&a| topology.atoms[a].name == name);
        let (anchor, _, _) = (find("CA")?, find("N")?, find("C")?);
        let heavy = |&a: &usize| a != anchor && is_heavy(topology, a);
        Some((residue, Group { anchor, atoms: r.atoms.clone().filter(heavy).collect() }))
    };
    topology.residues.iter().enumerate().filter_map(group).collect()
}

/// Not hydrogen, by element or, where the file tells none, by name.
fn is_heavy(topology: &Topology, a: usize) -> bool {
    let atom = &topology.atoms[a];
    if atom.element.is_empty() {
        !atom.name.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['H', 'D'])
    } else {
        !matches!(atom.element.as_str(), "H" | "D" | "h" | "d")
    }
}

pub(crate) fn members(group: &Group) -> impl Iterator<Item = usize> + '_ {
    std::iter::once(group.anchor).chain(group.atoms.iter().copied())
}

fn squared(p: [f64; 3], q: [f64; 3]) -> f64 {
    (0..3).map(|k| (p[k] - q[k]) * (p[k] - q[k])).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> (Topology, Vec<[f32; 3]>) {
        let mut top = Topology::new();
        let mut positions = Vec::new();
        for i in 0..4 {
            for (k, name) in ["N", "CA", "C", "CB", "HB1"].iter().enumerate() {
                top.push(name, "", "ALA", i + 1, "", "A");
                positions.push([0.38 * i as f32, 0.05 * k as f32, 0.0]);
            }
        }
        (top, positions)
    }

    #[test]
    fn ca_distances_of_a_line() {
        let (top, positions) = chain();
        let f = PairDistances::new(&top, PairScheme::Ca, 2).unwrap();
        assert_eq!(f.names()[0], "distance(CA ALA1, ALA3)");
        let mut row = vec![0.0; f.n_features()];
        f.compute(&positions, None, &mut row).unwrap();
        for (d, expected) in row.iter().zip([0.76, 1.14, 0.76]) {
            assert!((d - expected).abs() < 1e-6);
        }
        f.contacts(0.8).compute(&positions, None, &mut row).unwrap();
        assert_eq!(row, [1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_chain_longer_than_half_the_box_is_made_whole() {
        let (top, mut positions) = chain();
        let f = PairDistances::new(&top, PairScheme::ClosestHeavy, 1).unwrap();
        let mut whole = vec![0.0; f.n_features()];
        f.compute(&positions, None, &mut whole).unwrap();
        for p in &mut positions {
            p[0] %= 1.0;
        }
        let cell = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let mut cut = vec![0.0; f.n_features()];
        f.compute(&positions, Some(&cell), &mut cut).unwrap();
        for (a, b) in whole.iter().zip(&cut) {
            assert!((a - b).abs() < 1e-5, "{whole:?} {cut:?}");
        }
    }

    #[test]
    fn a_calcium_ion_is_no_residue() {
        let mut top = Topology::new();
        top.push("CA", "Ca", "CA", 1, "", "A");
        top.push("CA", "Ca", "CA", 2, "", "A");
        assert!(PairDistances::new(&top, PairScheme::Ca, 1).is_err());
    }
}
