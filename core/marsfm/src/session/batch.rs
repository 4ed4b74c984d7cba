//! The answer to a request: samples with their verdicts, and positions in the caller's order.

use std::sync::Arc;

use marsfm_geometry::Peptide;
use marsfm_sampling::{Difference, Node, Reason};

use super::{Atoms, SessionError};

/// What may be done with a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// An engine can start from it.
    Accepted,
    /// Accepted, but something is strained: minimise first.
    NeedsRepair,
    /// Not to be used.
    Rejected,
}

/// Samples of one request.
pub struct Batch {
    pub(super) atoms: Arc<Atoms>,
    pub(super) peptide: Peptide,
    /// The start, whole, residue by residue, nm.
    pub(super) whole_nm: Vec<[f32; 3]>,
    /// The start as given, in the caller's order, nm.
    pub(super) start_nm: Vec<[f64; 3]>,
    pub(super) nodes: Vec<Node>,
    pub(super) differences: Vec<Difference>,
}

impl Batch {
    /// The samples, rejected ones included.
    pub fn samples(&self) -> &[Node] {
        &self.nodes
    }

    /// What may be done with sample `i`; `None` if there is no such sample.
    pub fn quality(&self, i: usize) -> Option<Quality> {
        let verdict = &self.nodes.get(i)?.verdict;
        Some(match (verdict.accepted(), verdict.repair.is_empty()) {
            (false, _) => Quality::Rejected,
            (true, true) => Quality::Accepted,
            (true, false) => Quality::NeedsRepair,
        })
    }

    /// Samples that are not rejected.
    pub fn n_accepted(&self) -> usize {
        self.nodes.iter().filter(|n| n.verdict.accepted()).count()
    }

    /// Atoms of the caller.
    pub fn n_atoms(&self) -> usize {
        self.atoms.len()
    }

    /// Residues of the chain.
    pub fn n_residues(&self) -> usize {
        self.peptide.len()
    }

    /// Atoms beside the chain, which stay where they are in every sample.
    pub fn n_bystanders(&self) -> usize {
        self.peptide.n_bystanders()
    }

    /// How the request differs from what the surrogate was trained on.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// Positions of sample `i`, nm, in the caller's order: heavy atoms rebuilt, hydrogens, OXT and
    /// caps on the frames they are bonded to, all others exactly as given.
    pub fn positions_nm(&self, i: usize) -> Result<Vec<[f64; 3]>, SessionError> {
        let n = self.nodes.len();
        let node = self.nodes.get(i).ok_or_else(|| {
            SessionError::Request(format!("there is no sample {i}; the batch has {n}"))
        })?;
        if node.verdict.rejected.contains(&Reason::NotFinite) {
            return Err(SessionError::Request(format!(
                "sample {i} was rejected because it is not finite: it has no positions"
            )));
        }
        let placed = self
            .peptide
            .place(&self.whole_nm, &node.conformation)
            .map_err(|e| self.atoms.explain(e))?;
        let mut out = self.start_nm.clone();
        for atom in self.peptide.molecule_indices() {
            out[self.atoms.caller_index(atom)] = placed[atom].map(f64::from);
        }
        Ok(out)
    }
}
