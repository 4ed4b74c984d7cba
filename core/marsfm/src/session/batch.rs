//! The answer to a request: samples with their verdicts, and positions in the caller's order.

use std::path::Path;
use std::sync::Arc;

use marsfm_geometry::Peptide;
use marsfm_host::Host;
use marsfm_preparation::{Gate, Judge, Minimised, Seed, Verdict};
use marsfm_sampling::{Difference, Node, Reason};
use marsfm_trajectory::Frame;

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
    /// The start's cell, nm.
    pub(super) cell_nm: Option<[[f32; 3]; 3]>,
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
    /// Writes samples, one frame each, with the caller's own names in the caller's order and the
    /// start's cell, through the plugin that writes files of this extension. The file appears when
    /// it is complete. Rejected samples are no seeds: asking for one is an error.
    pub fn write(&self, host: &Host, path: &Path, samples: &[usize]) -> Result<(), SessionError> {
        if samples.is_empty() {
            return Err(SessionError::Request("there is no sample to write".into()));
        }
        for &i in samples {
            if self.quality(i) == Some(Quality::Rejected) {
                let message = format!("sample {i} is rejected: an engine must not start from it");
                return Err(SessionError::Request(message));
            }
        }
        let file = |e: &dyn std::fmt::Display| SessionError::File(e.to_string());
        let topology = self.atoms.in_callers_order();
        let positions = samples.iter().map(|i| self.positions_nm(*i));
        let positions = positions.collect::<Result<Vec<_>, _>>()?;
        let mut sink = host.create(path, &topology).map_err(|e| file(&e))?;
        for (i, positions_nm) in positions.into_iter().enumerate() {
            let single = |p: [f64; 3]| p.map(|x| x as f32);
            let positions_nm = positions_nm.into_iter().map(single).collect();
            let frame = Frame { positions_nm, cell_nm: self.cell_nm, time_ps: Some(i as f64) };
            sink.write(&frame).map_err(|e| file(&e))?;
        }
        sink.finish().map_err(|e| file(&e))
    }

    /// Judges sample `i` after an engine has minimised it: whether it is still the conformation
    /// that was asked for, and whether its energy is like those of `ensemble`, frames from before
    /// the jump that were minimised in the same way (none: energies are not judged). Positions are
    /// in the caller's order.
    pub fn judge(
        &self,
        i: usize,
        minimised: Minimised,
        ensemble: &[Minimised],
    ) -> Result<Verdict, SessionError> {
        let sample_nm = self.positions_nm(i)?;
        let place = |positions_nm: &[[f64; 3]]| -> Result<Vec<[f64; 3]>, SessionError> {
            let gathered = self.atoms.gather(positions_nm)?;
            Ok(gathered.into_iter().map(|p| p.map(f64::from)).collect())
        };
        let whole_nm: Vec<_> = self.whole_nm.iter().map(|p| p.map(f64::from)).collect();
        let judge = Judge::new(self.atoms.topology(), &whole_nm);
        let judge = judge.map_err(|e| self.atoms.explain(e))?;
        let sample_nm = place(&sample_nm)?;
        let minimised = Minimised { positions_nm: place(&minimised.positions_nm)?, ..minimised };
        let gate = Gate::from_ensemble(ensemble, self.n_residues());
        if gate.is_none() && !ensemble.is_empty() {
            return Err(SessionError::Request("an energy of the ensemble is not finite".into()));
        }
        let needs_repair = self.quality(i) == Some(Quality::NeedsRepair);
        let seed = Seed { positions_nm: &sample_nm, cell_nm: None, needs_repair, rng_seed: 0 };
        Ok(Verdict::of(&seed, &minimised, &judge, gate.as_ref()))
    }
}
