//! Feature rows for Markov models: geometry over trajectories.
//!
//! A [`Featurizer`] turns one frame (positions in nm, optional cell) into one row of numbers;
//! [`compute_all`] and [`compute_source`] turn a trajectory into one [`FeatureMatrix`].
//! Trajectories stay separate, so no lag time ever crosses a seam.
//!
//! * [`TorsionFeatures`]: cos/sin of backbone and side-chain torsions in PyEMMA's column order.
//! * [`PairDistances`]: Cα or closest heavy-atom distances of residue pairs, or contacts.
//! * [`RgSecondaryStructure`]: radius of gyration, helix and strand fraction.
//! * [`SecondaryStructureContent`]: fraction of each of DSSP's eight classes.
//! * [`Combined`]: several featurizers side by side; [`FeatureChoice`] names them in words.
//! * [`Standardisation`]: mean 0 and deviation 1 over pooled trajectories.
//!
//! Periodic images: torsions use minimum-image bond vectors, everything else is computed on
//! coordinates that were put together first.

mod choice;
mod distances;
mod error;
mod featurizer;
mod secondary;
mod standardise;
mod torsion_list;
mod torsions;
mod whole;

pub use choice::{FeatureChoice, FeatureKind};
pub use distances::{PairDistances, PairScheme};
pub use error::FeatureError;
pub use featurizer::{
    Combined, FeatureMatrix, Featurizer, compute_all, compute_source, stream_source,
};
pub use secondary::{RgSecondaryStructure, SecondaryStructureContent};
pub use standardise::Standardisation;
pub use torsion_list::{Torsion, TorsionKind, backbone_and_sidechain, torsions_of_kind};
pub use torsions::TorsionFeatures;
