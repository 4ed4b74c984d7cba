//! Torsion features: cos and sin of phi, psi and chi1–chi5 in PyEMMA's column order (METHOD
//! section 7.3), and the angles themselves for the metrics of section 8.1.
//!
//! With b1 = p1-p0, b2 = p2-p1, b3 = p3-p2: y = |b2| b1·(b2×b3), x = (b1×b2)·(b2×b3),
//! cos = x/√(x²+y²), sin = y/√(x²+y²), angle = atan2(y, x) in radians, IUPAC sign.

use marsfm_geometry::Topology;
use marsfm_trajectory::Frame;

use crate::featurizer::{check_positions, check_row};
use crate::torsion_list::{Torsion, backbone_and_sidechain};
use crate::whole::{cell_of, cross, difference, dot, norm};
use crate::{FeatureError, Featurizer};

/// cos/sin of a list of torsions, two columns each.
#[derive(Clone, Debug)]
pub struct TorsionFeatures {
    torsions: Vec<Torsion>,
    labels: Vec<String>,
    n_atoms: usize,
}

impl TorsionFeatures {
    /// Backbone phi/psi zipped, then chi1–chi5, of every protein residue. `reference` tells
    /// which residues are bonded (C–N < 0.2 nm): the first frame or the topology file's own
    /// coordinates. Without it the chain identifier does.
    pub fn new(topology: &Topology, reference: Option<&Frame>) -> Result<Self, FeatureError> {
        let list = match reference {
            None => backbone_and_sidechain(topology, None),
            Some(frame) => {
                check_positions(topology.len(), &frame.positions_nm, [])?;
                let cell = cell_of(frame.cell_nm.as_ref())?;
                backbone_and_sidechain(topology, Some((&frame.positions_nm, cell.as_ref())))
            }
        };
        Self::from_list(topology, list)
    }

    /// A list of one's own, columns in its order.
    pub fn from_list(topology: &Topology, torsions: Vec<Torsion>) -> Result<Self, FeatureError> {
        if torsions.is_empty() {
            let message = "no two bonded residues with N, CA, C and no side chain were found; \
                           is this topology a protein, and are its atom names PDB names?";
            return Err(FeatureError::Topology { feature: "torsions", message: message.into() });
        }
        let out = torsions.iter().flat_map(|t| t.atoms).find(|&a| a >= topology.len());
        if let Some(atom) = out {
            let message = format!("atom {atom} is beyond the topology's {} atoms", topology.len());
            return Err(FeatureError::Topology { feature: "torsions", message });
        }
        let labels = torsions.iter().map(|t| t.label(topology)).collect();
        Ok(Self { torsions, labels, n_atoms: topology.len() })
    }

    /// The torsions, one per pair of columns.
    pub fn torsions(&self) -> &[Torsion] {
        &self.torsions
    }

    /// `phi ALA2`, `chi1 LEU4`, …: one per torsion.
    pub fn torsion_names(&self) -> &[String] {
        &self.labels
    }

    /// Per torsion: true for phi and psi, false for chi.
    pub fn is_backbone(&self) -> Vec<bool> {
        self.torsions.iter().map(|t| t.kind.is_backbone()).collect()
    }

    /// The angles themselves, radians in [-pi, pi], one per torsion.
    pub fn torsion_angles(
        &self,
        positions_nm: &[[f32; 3]],
        cell_nm: Option<&[[f32; 3]; 3]>,
    ) -> Result<Vec<f64>, FeatureError> {
        let mut out = vec![0.0; self.torsions.len()];
        self.each(positions_nm, cell_nm, |i, x, y| out[i] = y.atan2(x))?;
        Ok(out)
    }

    /// Angles (radians) out of a feature row: atan2 of its (cos, sin) pairs.
    pub fn angles_of_row(row: &[f64]) -> Vec<f64> {
        row.chunks_exact(2).map(|pair| pair[1].atan2(pair[0])).collect()
    }

    /// Calls `put(torsion, x, y)` with unnormalised cosine and sine.
    fn each(
        &self,
        positions_nm: &[[f32; 3]],
        cell_nm: Option<&[[f32; 3]; 3]>,
        mut put: impl FnMut(usize, f64, f64),
    ) -> Result<(), FeatureError> {
        let used = self.torsions.iter().flat_map(|t| t.atoms);
        check_positions(self.n_atoms, positions_nm, used)?;
        let cell = cell_of(cell_nm)?;
        for (i, torsion) in self.torsions.iter().enumerate() {
            let [p0, p1, p2, p3] = torsion.atoms;
            let b1 = difference(positions_nm, p1, p0, cell.as_ref());
            let b2 = difference(positions_nm, p2, p1, cell.as_ref());
            let b3 = difference(positions_nm, p3, p2, cell.as_ref());
            let (c1, c2) = (cross(b2, b3), cross(b1, b2));
            put(i, dot(c1, c2), norm(b2) * dot(b1, c1));
        }
        Ok(())
    }
}

impl Featurizer for TorsionFeatures {
    fn n_features(&self) -> usize {
        2 * self.torsions.len()
    }

    fn names(&self) -> Vec<String> {
        self.labels.iter().flat_map(|l| [format!("cos({l})"), format!("sin({l})")]).collect()
    }

    fn compute(
        &self,
        positions_nm: &[[f32; 3]],
        cell_nm: Option<&[[f32; 3]; 3]>,
        out: &mut [f64],
    ) -> Result<(), FeatureError> {
        check_row(self.n_features(), out)?;
        self.each(positions_nm, cell_nm, |i, x, y| {
            let r = x.hypot(y);
            // Three atoms on a line have no torsion: the angle counts as 0, as atan2(0, 0) does.
            let (cos, sin) = if r > 0.0 { (x / r, y / r) } else { (1.0, 0.0) };
            out[2 * i] = cos;
            out[2 * i + 1] = sin;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torsion_list::TorsionKind;

    /// Four atoms with the torsion `angle` about z: an analytic case.
    fn four(angle: f64) -> (Topology, Vec<[f32; 3]>) {
        let mut top = Topology::new();
        top.push("C", "C", "GLY", 1, "", "A");
        for name in ["N", "CA", "C"] {
            top.push(name, "", "GLY", 2, "", "A");
        }
        let (s, c) = angle.sin_cos();
        let first = [0.1, 0.0, -0.05];
        let last = [(0.1 * c) as f32, (0.1 * s) as f32, 0.2];
        (top, vec![first, [0.0; 3], [0.0, 0.0, 0.15], last])
    }

    #[test]
    fn analytic_angles_have_the_iupac_sign() {
        for degrees in [-179.0, -120.0, -60.0, 0.0, 35.0, 90.0, 180.0] {
            let angle = f64::to_radians(degrees);
            // Looking from atom 2 to atom 3 (along +z), clockwise (x to y) is positive.
            let (top, positions) = four(angle);
            let features = TorsionFeatures::new(&top, None).unwrap();
            assert_eq!(features.torsions()[0].kind, TorsionKind::Phi);
            let found = features.torsion_angles(&positions, None).unwrap()[0];
            let mut row = [0.0; 2];
            features.compute(&positions, None, &mut row).unwrap();
            assert!((row[0] - angle.cos()).abs() < 1e-6, "{degrees}: {row:?}");
            assert!((row[1] - angle.sin()).abs() < 1e-6, "{degrees}: {row:?}");
            assert!((found - row[1].atan2(row[0])).abs() < 1e-12);
        }
    }

    #[test]
    fn a_molecule_cut_by_the_box_has_the_same_torsions() {
        let (top, mut positions) = four(1.0);
        let features = TorsionFeatures::new(&top, None).unwrap();
        let whole = features.torsion_angles(&positions, None).unwrap()[0];
        let cell = [[2.0, 0.0, 0.0], [1.0, 1.8, 0.0], [0.5, 0.5, 1.7]];
        for k in 0..3 {
            positions[0][k] += cell[1][k] - cell[2][k];
            positions[3][k] -= cell[0][k];
        }
        let cut = features.torsion_angles(&positions, Some(&cell)).unwrap()[0];
        assert!((whole - cut).abs() < 1e-5);
    }

    #[test]
    fn bad_input_is_explained() {
        let (top, mut positions) = four(1.0);
        let features = TorsionFeatures::new(&top, None).unwrap();
        let mut row = [0.0; 2];
        let short = features.compute(&positions[..3], None, &mut row).unwrap_err().to_string();
        assert!(short.contains("3 atoms but the topology has 4"), "{short}");
        positions[2][1] = f32::INFINITY;
        let nan = features.compute(&positions, None, &mut row).unwrap_err().to_string();
        assert!(nan.contains("atom 2"), "{nan}");
        assert!(TorsionFeatures::new(&Topology::new(), None).is_err());
    }

    #[test]
    fn names_say_function_torsion_and_residue() {
        let (top, _) = four(0.0);
        let names = TorsionFeatures::new(&top, None).unwrap().names();
        assert_eq!(names, ["cos(phi GLY2)", "sin(phi GLY2)"]);
    }
}
