//! The paper's numbers: how close an ensemble is to reference MD (METHOD section 8).
//!
//! Pure functions on slices; nothing here reads files or knows a network. Comparing an ensemble
//! with itself gives exactly 0 (or 1 for correlations). Constants and bin counts default to the
//! reference scripts' and can be changed; where the paper leaves a definition open, the doc of
//! the function states the one used.
//!
//! * [`histogram`], [`jsd`]: histograms as NumPy makes them, Jensen–Shannon distances as SciPy's.
//! * [`torsion`], [`peptide`]: torsion marginals and the whole tetrapeptide score.
//! * [`marginals`]: scores of histograms with interval, floor and MD noise, in one go.
//! * [`states`]: macrostate populations, their distance and the free-energy MAE.
//! * [`surface`]: free energies over one or two coordinates, for pictures.
//! * [`kinetics`]: timescales, passage times and transition matrices side by side.
//! * [`decorrelation`]: autocovariances, decorrelation, effective sample size.
//! * [`protein`], [`folding`]: RMSF, pairwise RMSD, Rg, secondary structure, ΔG of folding;
//!   [`fluctuations`]: the same for resamples.
//! * [`bootstrap`], [`floor`]: intervals, and what finite sampling alone would give.
//! * [`validity`]: how many samples were accepted, and why the others were not.

pub mod bootstrap;
pub mod decorrelation;
mod error;
pub mod floor;
pub mod fluctuations;
pub mod folding;
pub mod histogram;
pub mod jsd;
pub mod kinetics;
pub mod marginals;
pub mod peptide;
pub mod protein;
pub mod states;
pub mod surface;
pub mod torsion;
pub mod validity;

pub use bootstrap::Interval;
pub use error::MetricError;
pub use jsd::{jsd, jsd_joint_1d, jsd_joint_2d};
pub use peptide::{Ensemble, PeptideScores};
