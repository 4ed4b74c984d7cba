//! Proposers for real chains: what a surrogate draws, what a residue library draws, and frames
//! that somebody has.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use marsfm_adaptive::{Context, FrameAt, LoopError, Proposal, Proposer, Structure};
use marsfm_geometry::{Peptide, Topology};
use marsfm_host::Host;
use marsfm_sampling::{
    Difference, Node, RequestedDomain, ResidueLibrary, TreeSpec, differences, grow, hybrid,
    idealise, settle,
};
use marsfm_surrogate::Surrogate;
use marsfm_trajectory::Frame;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::md::{MdEngine, double, frame_of};
use crate::engines::place::Map;
use crate::sample::DEFAULT_SOLVER;

fn failed(error: impl std::fmt::Display) -> LoopError {
    LoopError::words(format!("the proposer failed: {error:#}"))
}

/// How a surrogate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One jump from each of many frames.
    Jump,
    /// A wide tree of two levels.
    Tree,
    /// A tree, then a window of frames of a surrogate of MDGen layout from each of its nodes.
    Hybrid,
}

/// Draws of a surrogate from frames of the loop's MD.
pub struct Jumps {
    /// How.
    pub shape: Shape,
    /// What jumps.
    pub surrogate: Surrogate,
    /// What goes on from a jump.
    pub mdgen: Option<Surrogate>,
    /// Whose draws.
    pub peptide: Peptide,
    /// Draws from each frame.
    pub draws_per_parent: usize,
}

impl Jumps {
    /// What of this system is unlike the surrogate's training.
    pub fn differences(&self, engine: &dyn marsfm_adaptive::Engine) -> Vec<Difference> {
        let asked = RequestedDomain {
            temperature_kelvin: Some(engine.temperature_kelvin()),
            capped: Some(self.peptide.is_capped()),
            ..RequestedDomain::default()
        };
        differences(&self.surrogate.card().domain, self.peptide.types(), &asked)
    }

    fn spec(&self, n: usize) -> TreeSpec {
        match self.shape {
            Shape::Jump => TreeSpec { roots: n, branching: 0, depth: 1, budget: n, retries: 0 },
            Shape::Tree | Shape::Hybrid => TreeSpec::exploration(n),
        }
    }
}

impl Proposer for Jumps {
    fn class(&self) -> &str {
        match self.shape {
            Shape::Jump => "jump",
            Shape::Tree => "tree",
            Shape::Hybrid => "hybrid",
        }
    }

    fn propose(
        &mut self,
        context: &Context<'_>,
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Proposal>, LoopError> {
        let spec = self.spec(n);
        let count = n.div_ceil(self.draws_per_parent.max(1)).min(spec.roots).max(1);
        let parents = context.parents(count, rng)?;
        let frames: Vec<Vec<[f32; 3]>> =
            parents.iter().map(|(_, s)| frame_of(s).positions_nm).collect();
        let roots: Vec<_> = frames
            .iter()
            .map(|f| self.peptide.encode(f))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let (rng_seed, types) = (rng.random(), self.peptide.types());
        let (first, solver) = (&self.surrogate, DEFAULT_SOLVER);
        let go = |_, _| true;
        let nodes = match &self.mdgen {
            None => grow(first, types, &roots, &spec, rng_seed, solver, go),
            Some(m) => hybrid(first, m, types, &roots, &spec, None, rng_seed, solver, go),
        };
        let nodes = nodes.map_err(failed)?;
        let taken = |node: &&(usize, &Node)| {
            node.1.verdict.accepted() && (self.mdgen.is_none() || node.1.frame.is_some())
        };
        let all: Vec<(usize, &Node)> = nodes.iter().enumerate().collect();
        all.iter()
            .filter(taken)
            .map(|(i, node)| {
                let parent = root(&nodes, *i) % roots.len();
                // As seeds of `marsfm sample`: the chain closed, which the network is only near to.
                let (closed, _) = idealise(types, &node.conformation, &node.verdict);
                let placed = self.peptide.place(&frames[parent], &closed);
                Ok(Proposal {
                    structure: double(&placed.map_err(failed)?),
                    parent: Some(parents[parent].0),
                    class: self.class().into(),
                })
            })
            .collect()
    }
}

/// The child of the root that a node descends from; without retries it is the number of its draw.
fn root(nodes: &[Node], mut node: usize) -> usize {
    while let Some(parent) = nodes[node].parent {
        node = parent;
    }
    node
}

/// Torsions of MD by residue type, independent of neighbours and start: the null proposer.
pub struct Library {
    /// The torsions.
    pub library: ResidueLibrary,
    /// Whose draws.
    pub peptide: Peptide,
}

impl Proposer for Library {
    fn class(&self) -> &str {
        "library"
    }

    fn propose(
        &mut self,
        context: &Context<'_>,
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Proposal>, LoopError> {
        let template = frame_of(&context.engine.template()).positions_nm;
        let (rng_seed, types) = (rng.random(), self.peptide.types());
        let mut out = Vec::new();
        for id in 0..n as u64 {
            let drawn = self.library.draw(types, rng_seed, id).map_err(failed)?;
            let (drawn, verdict) = settle(types, drawn);
            if verdict.accepted() {
                let placed = self.peptide.place(&template, &drawn).map_err(failed)?;
                let class = self.class().into();
                out.push(Proposal { structure: double(&placed), parent: None, class });
            }
        }
        Ok(out)
    }
}

/// Frames that are there already: of the user's own MD (`stored`) or of any ensemble (`imported`).
pub struct Frames {
    class: &'static str,
    places: Vec<Structure>,
}

impl Frames {
    /// Reads all frames and places them into the engine's atoms.
    pub fn read(
        class: &'static str,
        host: &Host,
        engine: &MdEngine<'_>,
        topology: &Path,
        files: &[PathBuf],
    ) -> Result<Self> {
        ensure!(!files.is_empty(), "strategy.options.trajectories is empty; name at least one");
        let (atoms, _): (Topology, _) = host.read_topology(topology)?;
        let (mut places, mut frame) = (Vec::new(), Frame::default());
        let template = marsfm_adaptive::Engine::template(engine);
        for file in files {
            let mut source = host.open(file, Some(atoms.len()))?;
            let mut map = None;
            while source.read(&mut frame)? {
                if map.is_none() {
                    let own = (engine.topology(), engine.peptide(), &template[..]);
                    map = Some(
                        Map::new(own, &atoms, &frame)
                            .with_context(|| file.display().to_string())?,
                    );
                }
                let map = map.as_ref().context("a map")?;
                let at = || format!("{}, frame {}", file.display(), places.len());
                places.push(map.place(&frame).with_context(at)?.positions_nm);
            }
        }
        ensure!(!places.is_empty(), "{}: holds no frame", files[0].display());
        Ok(Self { class, places })
    }
}

impl Proposer for Frames {
    fn class(&self) -> &str {
        self.class
    }

    fn propose(
        &mut self,
        _: &Context<'_>,
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Proposal>, LoopError> {
        // No frame twice in one epoch: the head of a shuffle.
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        let n = n.min(order.len());
        for k in 0..n {
            let other = rng.random_range(k..order.len());
            order.swap(k, other);
        }
        let parent: Option<FrameAt> = None;
        let take = |k: &usize| Proposal {
            structure: self.places[*k].clone(),
            parent,
            class: self.class.into(),
        };
        Ok(order[..n].iter().map(take).collect())
    }
}
