//! Features by name: what a user types, what a model file remembers, and the featurizer it means.

use std::fmt;
use std::str::FromStr;

use marsfm_geometry::{ResidueType, Topology};
use marsfm_trajectory::Frame;
use serde::{Deserialize, Serialize};

use crate::distances::backbone_groups;
use crate::torsion_list::residue_name;
use crate::{
    Combined, FeatureError, Featurizer, PairDistances, PairScheme, RgSecondaryStructure,
    SecondaryStructureContent, TorsionFeatures,
};

/// Two residues closer than this touch (nm; closest heavy atoms).
const CONTACT_NM: f64 = 0.45;
/// Residues nearer in sequence than this are no pair of distances or contacts.
const SEPARATION: usize = 3;

/// One family of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureKind {
    /// cos/sin of backbone and side-chain torsions, the tetrapeptide features of METHOD 7.1.
    Torsions,
    /// cos/sin of phi and psi alone.
    Backbone,
    /// Cα–Cα distances (nm) of residues three or more apart (one or more in shorter chains).
    CaDistances,
    /// Closest heavy-atom distances (nm) of the same pairs.
    HeavyDistances,
    /// 1 where that distance is below 0.45 nm.
    Contacts,
    /// Radius of gyration (nm), helix fraction, strand fraction: the protein features of METHOD 7.1.
    RgSs,
    /// Fraction of the residues in each of DSSP's eight classes.
    Ss8,
}

impl FeatureKind {
    /// All, in the order in which they are explained.
    pub const ALL: [Self; 7] = [
        Self::Torsions,
        Self::Backbone,
        Self::CaDistances,
        Self::HeavyDistances,
        Self::Contacts,
        Self::RgSs,
        Self::Ss8,
    ];

    /// The name that a user types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Torsions => "torsions",
            Self::Backbone => "backbone",
            Self::CaDistances => "ca-distances",
            Self::HeavyDistances => "heavy-distances",
            Self::Contacts => "contacts",
            Self::RgSs => "rg-ss",
            Self::Ss8 => "ss8",
        }
    }

    fn featurizer(
        self,
        topology: &Topology,
        reference: &Frame,
    ) -> Result<Box<dyn Featurizer>, FeatureError> {
        let pairs = |scheme| {
            PairDistances::new(topology, scheme, SEPARATION)
                .or_else(|_| PairDistances::new(topology, scheme, 1))
        };
        Ok(match self {
            Self::Torsions => {
                side_chains_are_known(topology)?;
                Box::new(TorsionFeatures::new(topology, Some(reference))?)
            }
            Self::Backbone => {
                let all = TorsionFeatures::new(topology, Some(reference))?;
                let backbone = all.torsions().iter().filter(|t| t.kind.is_backbone());
                Box::new(TorsionFeatures::from_list(topology, backbone.copied().collect())?)
            }
            Self::CaDistances => Box::new(pairs(PairScheme::Ca)?),
            Self::HeavyDistances => Box::new(pairs(PairScheme::ClosestHeavy)?),
            Self::Contacts => Box::new(pairs(PairScheme::ClosestHeavy)?.contacts(CONTACT_NM)),
            Self::RgSs => Box::new(RgSecondaryStructure::new(topology)?),
            Self::Ss8 => Box::new(SecondaryStructureContent::new(topology)?),
        })
    }
}

/// A residue that is no amino acid known here would silently go without its side chain.
fn side_chains_are_known(topology: &Topology) -> Result<(), FeatureError> {
    let known = |r: usize| ResidueType::from_name(&topology.residues[r].name).is_some();
    let strange = backbone_groups(topology).into_iter().map(|(r, _)| r).find(|r| !known(*r));
    match strange {
        None => Ok(()),
        Some(r) => Err(FeatureError::Topology {
            feature: "side-chain torsions",
            message: format!(
                "residue {} is none of the 20 amino acids; rename it, or use other features \
                 (backbone, ca-distances, heavy-distances, a plugin)",
                residue_name(topology, r)
            ),
        }),
    }
}

/// Families side by side, in this order. Written `torsions` or `torsions,ca-distances`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureChoice(pub Vec<FeatureKind>);

impl Default for FeatureChoice {
    fn default() -> Self {
        Self(vec![FeatureKind::Torsions])
    }
}

impl FeatureChoice {
    /// The featurizer for a molecule; `reference` tells which residues are connected.
    pub fn featurizer(
        &self,
        topology: &Topology,
        reference: &Frame,
    ) -> Result<Box<dyn Featurizer>, FeatureError> {
        let mut parts = self
            .0
            .iter()
            .map(|k| k.featurizer(topology, reference))
            .collect::<Result<Vec<_>, _>>()?;
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(Box::new(Combined(parts))),
        }
    }
}

impl fmt::Display for FeatureChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|k| k.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for FeatureChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut kinds = Vec::new();
        for word in text.split(',').map(str::trim) {
            let known = FeatureKind::ALL.into_iter().find(|k| k.name() == word);
            let kind = known.ok_or_else(|| {
                let all: Vec<_> = FeatureKind::ALL.iter().map(|k| k.name()).collect();
                format!("`{word}` names no features; there are {}", all.join(", "))
            })?;
            if kinds.contains(&kind) {
                return Err(format!("`{word}` is named twice"));
            }
            kinds.push(kind);
        }
        Ok(Self(kinds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_strangers_are_refused() {
        for kind in FeatureKind::ALL {
            let choice: FeatureChoice = kind.name().parse().unwrap();
            assert_eq!(choice, FeatureChoice(vec![kind]));
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(json, format!("[\"{}\"]", kind.name()));
        }
        let both: FeatureChoice = "torsions, contacts".parse().unwrap();
        assert_eq!(both.to_string(), "torsions,contacts");
        assert!("".parse::<FeatureChoice>().unwrap_err().contains("there are torsions"));
        assert!("torsions,torsions".parse::<FeatureChoice>().unwrap_err().contains("twice"));
    }
}
