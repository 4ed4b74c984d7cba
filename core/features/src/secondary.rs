//! Radius of gyration and secondary structure, the collective variables of METHOD section 7.1
//! 1(b): [Rg (nm), helix fraction (DSSP H, G, I), strand fraction (E, B)].
//!
//! Rg is that of the protein's heavy atoms with equal weights, Rg² = ⟨|r - ⟨r⟩|²⟩. The vector
//! the paper used is not published; standardise the columns over the pooled frames
//! ([`crate::Standardisation`]) before distances between rows are taken.

use marsfm_geometry::Topology;
use marsfm_geometry::observables::{ChainBreaks, Dssp, fraction, radius_of_gyration};

use crate::distances::{backbone_groups, members};
use crate::featurizer::{check_positions, check_row};
use crate::whole::{Group, cell_of, make_whole};
use crate::{FeatureError, Featurizer};

/// Three columns: Rg (nm), helix fraction, strand fraction.
pub struct RgSecondaryStructure {
    dssp: Dssp,
    groups: Vec<Group>,
    heavy: Vec<usize>,
    n_atoms: usize,
}

impl RgSecondaryStructure {
    /// For every residue that has N, CA, C (and O for the secondary structure).
    pub fn new(topology: &Topology) -> Result<Self, FeatureError> {
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
        check_positions(self.n_atoms, positions_nm, self.heavy.iter().copied())?;
        let whole: Vec<[f32; 3]>;
        let positions = match cell_of(cell_nm)? {
            None => positions_nm,
            cell => {
                let put_together = make_whole(positions_nm, cell.as_ref(), &self.groups);
                whole = put_together.into_iter().map(|p| p.map(|x| x as f32)).collect();
                &whole
            }
        };
        let structure = self.dssp.assign(positions);
        out[0] = radius_of_gyration(positions, &self.heavy);
        out[1] = fraction(&structure, b'H');
        out[2] = fraction(&structure, b'E');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn water_has_no_secondary_structure() {
        let mut top = Topology::new();
        top.push("O", "O", "HOH", 1, "", "W");
        let error = RgSecondaryStructure::new(&top).err().map(|e| e.to_string());
        assert!(error.is_some_and(|e| e.contains("N, CA, C and O")));
    }
}
