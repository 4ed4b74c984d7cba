//! A session: one surrogate bound to a caller's atoms. Positions go in and come out in the
//! caller's own order; every sample is judged, none is hidden.
//!
//! The chain is recognised anew in every request, so a result depends on the model, the positions,
//! the seed and the sample's number, and on nothing that happened before. Lengths are nm.

mod atoms;
mod batch;
mod recording;
mod states;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use marsfm_geometry::{Conformation, GeometryError, Peptide};
use marsfm_sampling::{Node, RequestedDomain, SamplingError, differences, grow, idealise, settle};
use marsfm_surrogate::{JumpRequest, SurrogateError};
use marsfm_trajectory::Frame;

pub use crate::sample::DEFAULT_SOLVER;
pub use atoms::{AtomRow, Atoms};
pub use batch::{Batch, Quality};
pub use marsfm_sampling::{REASONS, Reason, TreeSpec, Verdict};
pub use marsfm_surrogate::{Solver, Surrogate};
pub use recording::Recording;
pub use states::{StateModel, Update};

/// Most draws of one request.
pub const MOST_DRAWS: usize = 1_000_000;

/// Draws of a watched request between two looks at its progress.
const WATCHED: usize = 16;

/// The default surrogate, below a `models` folder.
const DEFAULT_MODEL: &str = "tetrapeptide/tetrapeptide.safetensors";

/// What a session cannot do, by the kind of thing to mend.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The request makes no sense.
    #[error("{0}")]
    Request(String),
    /// Another number of positions than of atoms.
    #[error("{got} positions for a topology of {expected} atoms")]
    Count {
        /// Atoms of the topology.
        expected: usize,
        /// Positions given.
        got: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error("atom {index} (counted from 0): position is not finite")]
    NotFinite {
        /// Index in the caller's order.
        index: usize,
    },
    /// The atoms are no chain that can be sampled.
    #[error("{0}")]
    Topology(String),
    /// A file could not be read.
    #[error("{0}")]
    File(String),
    /// No Markov model can be made, or used, like this.
    #[error("{0}")]
    Msm(String),
    /// The model is unusable, for this request or at all.
    #[error(transparent)]
    Model(#[from] SurrogateError),
    /// The caller stopped the work.
    #[error("stopped by the caller after {done} of at most {budget} draws")]
    Stopped {
        /// Draws done.
        done: usize,
        /// Draws allowed.
        budget: usize,
    },
}

impl From<SamplingError> for SessionError {
    fn from(error: SamplingError) -> Self {
        match error {
            SamplingError::Request(message) => Self::Request(message),
            SamplingError::Surrogate(error) => Self::Model(error),
            SamplingError::Geometry(error) => Self::Topology(error.to_string()),
        }
    }
}

/// What a session knows beside its atoms.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSettings {
    /// The caller's system, as far as it is known; compared with the surrogate's training domain.
    pub domain: RequestedDomain,
    /// How to integrate.
    pub solver: Solver,
    /// Leave samples as the network drew them, instead of closing their chains.
    pub as_drawn: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { domain: RequestedDomain::default(), solver: DEFAULT_SOLVER, as_drawn: false }
    }
}

/// A start in the caller's order.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Positions of all atoms, nm.
    pub positions_nm: &'a [[f64; 3]],
    /// Cell vectors as rows, nm; `None` (or all zero) without periodicity.
    pub cell_nm: Option<[[f64; 3]; 3]>,
}

impl Start<'_> {
    /// The cell, if there is one.
    fn cell(&self) -> Option<[[f32; 3]; 3]> {
        let given = self.cell_nm.filter(|c| *c != [[0.0; 3]; 3]);
        given.map(|c| c.map(|row| row.map(|x| x as f32)))
    }

    /// Positions residue by residue and the cell, both finite.
    fn frame(&self, atoms: &Atoms) -> Result<Frame, SessionError> {
        let positions_nm = atoms.gather(self.positions_nm)?;
        let cell_nm = self.cell();
        if cell_nm.is_some_and(|c| !c.as_flattened().iter().all(|x| x.is_finite())) {
            return Err(SessionError::Request("the cell is not finite".into()));
        }
        Ok(Frame { positions_nm, cell_nm, time_ps: None })
    }
}

/// One surrogate, one topology. Immutable: what it answers depends on the request alone.
pub struct Session {
    surrogate: Arc<Surrogate>,
    atoms: Arc<Atoms>,
    settings: SessionSettings,
}

/// A start that is recognised: the chain, whole, and its rigids and torsions.
struct Recognised {
    peptide: Peptide,
    whole_nm: Vec<[f32; 3]>,
    conformation: Conformation<f32>,
}

impl Session {
    /// Binds a surrogate to atoms. One that takes a temperature draws at that of the settings' domain.
    pub fn new(
        surrogate: Arc<Surrogate>,
        atoms: Arc<Atoms>,
        settings: SessionSettings,
    ) -> Result<Self, SessionError> {
        let steps = match settings.solver {
            Solver::Adams { steps }
            | Solver::Euler { steps }
            | Solver::Midpoint { steps }
            | Solver::Heun { steps }
            | Solver::Rk4 { steps } => steps,
            Solver::Dopri5Batch { rtol, atol } | Solver::Dopri5 { rtol, atol } => {
                usize::from(rtol > 0.0 && atol > 0.0 && rtol < 1.0 && atol < 1.0)
            }
        };
        if steps == 0 || steps > 10_000 {
            return Err(SessionError::Request(format!(
                "solver {:?}: steps must be 1 to 10000, tolerances above 0 and below 1",
                settings.solver
            )));
        }
        let surrogate = match settings.domain.temperature_kelvin {
            Some(kelvin) => Arc::new(surrogate.matched_to(kelvin)?),
            None => surrogate,
        };
        Ok(Self { surrogate, atoms, settings })
    }

    /// The atoms, in the caller's order.
    pub fn atoms(&self) -> &Arc<Atoms> {
        &self.atoms
    }

    /// Draws `n` jumps from one start.
    pub fn jump(&self, start: &Start, n: usize, rng_seed: u64) -> Result<Batch, SessionError> {
        self.draw(start, n, rng_seed, n, |_, _| true)
    }

    /// The same draws; between some of them `progress(draws done, draws to do)` may answer false
    /// to stop, which is an error: nothing partial is handed out.
    pub fn jump_watched(
        &self,
        start: &Start,
        n: usize,
        rng_seed: u64,
        progress: impl FnMut(usize, usize) -> bool,
    ) -> Result<Batch, SessionError> {
        self.draw(start, n, rng_seed, WATCHED, progress)
    }

    fn draw(
        &self,
        start: &Start,
        n: usize,
        rng_seed: u64,
        at_once: usize,
        mut progress: impl FnMut(usize, usize) -> bool,
    ) -> Result<Batch, SessionError> {
        let n = draws("n", n)?;
        let recognised = self.recognise(start)?;
        let types = recognised.peptide.types();
        let mut nodes = Vec::with_capacity(n);
        while nodes.len() < n {
            let done = nodes.len();
            if !progress(done, n) {
                return Err(SessionError::Stopped { done, budget: n });
            }
            let drawn = self.surrogate.jump(&JumpRequest {
                types,
                starts: std::slice::from_ref(&recognised.conformation),
                children: at_once.min(n - done),
                rng_seed,
                first_id: done as u64,
                solver: self.settings.solver,
            })?;
            let node = |(id, conformation): (u64, Conformation<f32>)| {
                let (conformation, verdict) = settle(types, conformation);
                Node { parent: None, depth: 1, frame: None, id, conformation, verdict }
            };
            nodes.extend((done as u64..).zip(drawn).map(node));
        }
        Ok(self.batch(start, recognised, nodes))
    }

    /// Grows a tree of jumps from one start. `progress(draws done, budget)` may answer false to
    /// stop, which is an error: nothing partial is handed out.
    pub fn tree(
        &self,
        start: &Start,
        spec: &TreeSpec,
        rng_seed: u64,
        mut progress: impl FnMut(usize, usize) -> bool,
    ) -> Result<Batch, SessionError> {
        draws("budget", spec.budget)?;
        draws("roots", spec.roots)?;
        draws("branching", spec.branching)?;
        let recognised = self.recognise(start)?;
        let mut stopped = None;
        let nodes = grow(
            &self.surrogate,
            recognised.peptide.types(),
            std::slice::from_ref(&recognised.conformation),
            spec,
            rng_seed,
            self.settings.solver,
            |done, budget| {
                let go_on = progress(done, budget);
                if !go_on {
                    stopped = Some(SessionError::Stopped { done, budget });
                }
                go_on
            },
        )?;
        match stopped {
            Some(error) => Err(error),
            None => Ok(self.batch(start, recognised, nodes)),
        }
    }

    fn recognise(&self, start: &Start) -> Result<Recognised, SessionError> {
        let named = |error: GeometryError| self.atoms.explain(error);
        let Frame { positions_nm: mut whole_nm, cell_nm: cell, .. } = start.frame(&self.atoms)?;
        let topology = self.atoms.topology();
        let peptide = match &cell {
            Some(cell) => Peptide::from_topology_in_cell(topology, &whole_nm, cell),
            None => Peptide::from_topology(topology, &whole_nm),
        }
        .map_err(named)?;
        if let Some(cell) = &cell {
            peptide.make_whole(&mut whole_nm, cell).map_err(named)?;
        }
        let conformation = peptide.encode(&whole_nm).map_err(named)?;
        Ok(Recognised { peptide, whole_nm, conformation })
    }

    fn batch(&self, start: &Start, recognised: Recognised, mut nodes: Vec<Node>) -> Batch {
        let Recognised { peptide, whole_nm, .. } = recognised;
        let request = RequestedDomain {
            capped: Some(peptide.is_capped()),
            bystanders: Some(peptide.n_bystanders()),
            ..self.settings.domain.clone()
        };
        if !self.settings.as_drawn {
            // Only now: children were drawn from what the network gave.
            for node in &mut nodes {
                (node.conformation, node.verdict) =
                    idealise(peptide.types(), &node.conformation, &node.verdict);
            }
        }
        let differences = differences(&self.surrogate.card().domain, peptide.types(), &request);
        Batch {
            atoms: self.atoms.clone(),
            peptide,
            whole_nm,
            start_nm: start.positions_nm.to_vec(),
            cell_nm: start.cell(),
            nodes,
            differences,
        }
    }
}

fn draws(what: &str, n: usize) -> Result<usize, SessionError> {
    match n {
        1..=MOST_DRAWS => Ok(n),
        _ => Err(SessionError::Request(format!("{what} is {n}; expected 1 to {MOST_DRAWS}"))),
    }
}

/// Where the default surrogate is: `MARSFM_MODEL`, else `../share/marsfm/models` beside the folder
/// of `binary` (the library or program that asks), else `examples/models` of the checkout in which
/// `binary` was built.
pub fn default_model(binary: Option<&Path>) -> Result<PathBuf, SessionError> {
    if let Some(path) = std::env::var_os("MARSFM_MODEL").filter(|p| !p.is_empty()) {
        return Ok(path.into());
    }
    let mut places = Vec::new();
    if let Some(folder) = binary.and_then(Path::parent) {
        places.push(folder.join("../share/marsfm/models").join(DEFAULT_MODEL));
        let above = folder.ancestors().take(5);
        places.extend(above.map(|f| f.join("examples/models").join(DEFAULT_MODEL)));
    }
    match places.iter().find(|p| p.is_file()) {
        Some(path) => Ok(path.canonicalize().unwrap_or_else(|_| path.clone())),
        None => Err(SessionError::File(format!(
            "the default surrogate ({DEFAULT_MODEL}) is neither installed nor in a checkout; \
             set MARSFM_MODEL to a checkpoint"
        ))),
    }
}

#[cfg(test)]
mod tests;
