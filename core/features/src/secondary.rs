//! Radius of gyration and secondary structure, the collective variables of METHOD section 7.1
//! 1(b): [Rg (nm), helix fraction (DSSP H, G, I), strand fraction (E, B)]; and the
//! fraction of each of DSSP's eight classes.
//!
//! Rg is that of the protein's heavy atoms with equal weights, Rg² = ⟨|r - ⟨r⟩|²⟩. The vector
//! the paper used is not published; standardise the columns over the pooled frames
//! ([`crate::Standardisation`]) before distances between rows are taken.

use std::borrow::Cow;

use marsfm_geometry::Topology;
use marsfm_geometry::observables::{ChainBreaks, Dssp, fraction, radius_of_gyration};

use crate::distances::{backbone_groups, members};
use crate::featurizer::{check_positions, check_row};
use crate::whole::{Group, cell_of, make_whole};
use crate::{FeatureError, Featurizer};

/// The protein of a topology, put together in every frame before it is looked at.
struct Protein {
    dssp: Dssp,
    groups: Vec<Group>,
    heavy: Vec<usize>,
    n_atoms: usize,
}

impl Protein {
    /// Every residue that has N, CA, C (and O for the secondary structure).
    fn new(topology: &Topology) -> Result<Self, FeatureError> {
        let groups: Vec<Group> = backbone_groups(topology).into_iter().map(|(_, g)| g).collect();
        let dssp = Dssp::new(topology, ChainBreaks::Geometry);
        if groups.is_empty() || dssp.residues().is_empty() {
            let message = "no residue has the atoms N, CA, C and O; is this topology a protein, \
                           and are its atom names PDB names?";
            let feature = "secondary structure";
            return Err(FeatureError::Topology { feature, message: message.into() });
        }
        let heavy = groups.iter().flat_map(members).collect();
        Ok(Self { dssp, groups, heavy, n_atoms: topology.len() })
    }

    /// Positions (nm) of a whole molecule.
    fn whole<'a>(
        &self,
        positions_nm: &'a [[f32; 3]],
        cell_nm: Option<&[[f32; 3]; 3]>,
    ) -> Result<Cow<'a, [[f32; 3]]>, FeatureError> {
        check_positions(self.n_atoms, positions_nm, self.heavy.iter().copied())?;
        Ok(match cell_of(cell_nm)? {
            None => Cow::Borrowed(positions_nm),
            cell => {
                let put_together = make_whole(positions_nm, cell.as_ref(), &self.groups);
                put_together.into_iter().map(|p| p.map(|x| x as f32)).collect()
            }
        })
    }
}

/// Three columns: Rg (nm), helix fraction, strand fraction.
pub struct RgSecondaryStructure(Protein);

impl RgSecondaryStructure {
    /// For every residue that has N, CA, C (and O for the secondary structure).
    pub fn new(topology: &Topology) -> Result<Self, FeatureError> {
        Protein::new(topology).map(Self)
    }
}

impl Featurizer for RgSecondaryStructure {
    fn n_features(&self) -> usize {
        3
    }

    fn names(&self) -> Vec<String> {
        ["Rg (nm)", "helix fraction", "strand fraction"].map(String::from).to_vec()
    }

    fn compute(
        &self,
        positions_nm: &[[f32; 3]],
        cell_nm: Option<&[[f32; 3]; 3]>,
        out: &mut [f64],
    ) -> Result<(), FeatureError> {
        check_row(3, out)?;
        let positions = self.0.whole(positions_nm, cell_nm)?;
        let structure = self.0.dssp.assign(&positions);
        out[0] = radius_of_gyration(&positions, &self.0.heavy);
        out[1] = fraction(&structure, b'H');
        out[2] = fraction(&structure, b'E');
        Ok(())
    }
}

/// The eight classes of DSSP, in the order of the columns.
const CLASSES: [u8; 8] = *b"HBEGITS ";

/// Eight columns: the fraction of residues in each class of DSSP.
pub struct SecondaryStructureContent(Protein);

impl SecondaryStructureContent {
    /// For every residue that has N, CA, C and O.
    pub fn new(topology: &Topology) -> Result<Self, FeatureError> {
        Protein::new(topology).map(Self)
    }
}

impl Featurizer for SecondaryStructureContent {
    fn n_features(&self) -> usize {
        CLASSES.len()
    }

    fn names(&self) -> Vec<String> {
        let name = |c: &u8| if *c == b' ' { '-' } else { char::from(*c) };
        CLASSES.iter().map(|c| format!("DSSP {} fraction", name(c))).collect()
    }

    fn compute(
        &self,
        positions_nm: &[[f32; 3]],
        cell_nm: Option<&[[f32; 3]; 3]>,
        out: &mut [f64],
    ) -> Result<(), FeatureError> {
        check_row(CLASSES.len(), out)?;
        let structure = self.0.dssp.assign(&self.0.whole(positions_nm, cell_nm)?);
        for (place, class) in out.iter_mut().zip(&CLASSES) {
            let n = structure.iter().filter(|l| *l == class).count();
            *place = n as f64 / structure.len().max(1) as f64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_an_ideal_helix() {
        let helix = marsfm_geometry::build::chain("AAAAAAAAAAAA", &[[-57.0, -47.0]; 12]).unwrap();
        let eight = SecondaryStructureContent::new(&helix.topology).unwrap();
        let three = RgSecondaryStructure::new(&helix.topology).unwrap();
        let (mut row, mut short) = ([0.0; 8], [0.0; 3]);
        eight.compute(&helix.positions_nm, None, &mut row).unwrap();
        three.compute(&helix.positions_nm, None, &mut short).unwrap();
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(row[0] > 0.7 && (row[0] + row[3] + row[4] - short[1]).abs() < 1e-12, "{row:?}");
        assert_eq!(eight.names()[7], "DSSP - fraction");
    }

    #[test]
    fn water_has_no_secondary_structure() {
        let mut top = Topology::new();
        top.push("O", "O", "HOH", 1, "", "W");
        let error = RgSecondaryStructure::new(&top).err().map(|e| e.to_string());
        assert!(error.is_some_and(|e| e.contains("N, CA, C and O")));
    }
}
