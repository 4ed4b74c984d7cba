//! Proposers: structures that MD could be started from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{Engine, FrameAt, History, LoopError, Model, Structure};

/// A structure that was proposed.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Positions in the engine's order, nm.
    pub structure: Structure,
    /// The frame it was made from.
    pub parent: Option<FrameAt>,
    /// What proposed it.
    pub class: String,
}

/// What a proposer may look at.
pub struct Context<'a> {
    /// The engine, for frames and features.
    pub engine: &'a dyn Engine,
    /// The model of all MD so far.
    pub model: &'a Model,
    /// Trajectory of each run.
    pub trajectories: &'a [PathBuf],
    /// What happened so far.
    pub history: &'a History,
    /// Told what takes long; false stops the loop, and the same command goes on.
    pub go: &'a dyn Fn(&str) -> bool,
}

impl Context<'_> {
    /// Frames to start from, spread over the microstates: each is a random frame of a random
    /// visited microstate, behind the heads.
    pub fn parents(
        &self,
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<(FrameAt, Structure)>, LoopError> {
        let visited: Vec<usize> = self.model.visited().collect();
        if visited.is_empty() {
            return Err(LoopError::words("there is no MD to propose from yet"));
        }
        let pick = |_| {
            let frames = self.model.frames_of(visited[rng.random_range(0..visited.len())]);
            frames[rng.random_range(0..frames.len())]
        };
        let at: Vec<FrameAt> = (0..n).map(pick).collect();
        at.into_iter().map(|at| Ok((at, self.structure(at)?))).collect()
    }

    /// The structure of a frame.
    pub fn structure(&self, at: FrameAt) -> Result<Structure, LoopError> {
        self.engine.frame(&self.trajectories[at.run], at.frame).map_err(LoopError::words)
    }
}

/// Proposes structures to start from.
pub trait Proposer {
    /// The class of its seeds, in comparisons with and without them.
    fn class(&self) -> &str;
    /// About `n` proposals. All randomness comes from `rng`.
    fn propose(
        &mut self,
        context: &Context<'_>,
        n: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Proposal>, LoopError>;
    /// How many of `n` seeds each class of proposals gets; `None` leaves it to the selector.
    fn shares(&mut self, _context: &Context<'_>, _n: usize) -> Option<BTreeMap<String, usize>> {
        None
    }
}

/// Frames of the loop's own MD: what adaptive sampling without a surrogate starts from. One frame
/// of every visited microstate, whatever was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visited;

impl Proposer for Visited {
    fn class(&self) -> &str {
        "visited"
    }

    fn propose(
        &mut self,
        context: &Context<'_>,
        _: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Proposal>, LoopError> {
        let mut out = Vec::new();
        for micro in context.model.visited() {
            let frames = context.model.frames_of(micro);
            let at = frames[rng.random_range(0..frames.len())];
            let structure = context.structure(at)?;
            out.push(Proposal { structure, parent: Some(at), class: self.class().into() });
        }
        Ok(out)
    }
}
