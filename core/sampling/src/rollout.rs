//! Trajectories of an MDGen surrogate (METHOD 6.1), and the hybrid of jumps with them (METHOD 9).
//!
//! A call gives K frames from one condition. Autoregressive: the last frame of a call, as atoms and
//! encoded again, is the next condition; parallel: every call starts from the input. All frames are
//! kept, frame 0 too, although it repeats its condition: that is how the reference counts. A frame
//! is judged like any sample; the chain goes on from what the network drew, not from what was
//! mended.

use marsfm_geometry::{Conformation, ResidueType};
use marsfm_surrogate::{JumpRequest, Solver, Surrogate};
use serde::{Deserialize, Serialize};

use crate::{Node, SamplingError, TreeSpec, grow, settle};

/// What to roll out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutSpec {
    /// Frames per call, K; `None`: those that the surrogate was trained on.
    pub frames: Option<usize>,
    /// Calls.
    pub calls: usize,
    /// Every call starts from the input, instead of from the last frame before it.
    pub parallel: bool,
}

impl RolloutSpec {
    fn frames(&self, surrogate: &Surrogate) -> usize {
        self.frames.unwrap_or(surrogate.card().network.frames)
    }
}

/// A conformation that went through its atoms: ideal geometry, masked torsions cleared. The
/// condition of the next call.
pub fn reencode(types: &[ResidueType], c: &Conformation<f32>) -> Conformation<f32> {
    let mut again = Conformation::from_atom14(types, &c.to_atom14(types));
    again.clear_masked(types);
    again
}

/// Rolls out from one start: `calls` windows of K frames, in order. Every node knows its call
/// (`depth`, from 1), its frame in the call, and, where a call before it made its condition, the
/// node of that condition. An autoregressive rollout ends early where a last frame is not finite.
/// Calls `progress(frames done, frames in all)`; answering false stops with what there is.
pub fn rollout(
    surrogate: &Surrogate,
    types: &[ResidueType],
    start: &Conformation<f32>,
    spec: &RolloutSpec,
    rng_seed: u64,
    solver: Solver,
    mut progress: impl FnMut(usize, usize) -> bool,
) -> Result<Vec<Node>, SamplingError> {
    if spec.calls == 0 {
        return Err(SamplingError::Request("a rollout has at least one call".into()));
    }
    let k = spec.frames(surrogate);
    let together = match spec.parallel {
        true => surrogate.draws_per_call(types.len(), k),
        false => 1,
    };
    let mut nodes: Vec<Node> = Vec::with_capacity(spec.calls * k);
    let mut condition = start.clone();
    let mut parent = None;
    for first in (0..spec.calls).step_by(together) {
        let request = JumpRequest {
            types,
            starts: std::slice::from_ref(&condition),
            children: together.min(spec.calls - first),
            rng_seed,
            first_id: first as u64,
            solver,
        };
        let mut last = None;
        for (i, window) in surrogate.windows(&request, k)?.into_iter().enumerate() {
            last = window.last().cloned();
            add(&mut nodes, types, window, parent, first + i + 1, (first + i) as u64);
        }
        if !progress(nodes.len(), spec.calls * k) {
            break;
        }
        if let (false, Some(last)) = (spec.parallel, last) {
            if !last.is_finite() {
                break;
            }
            (condition, parent) = (reencode(types, &last), Some(nodes.len() - 1));
        }
    }
    Ok(nodes)
}

/// Jumps, then one window of `frames` frames (`None`: as trained) from each accepted one: a tree of
/// M seeds gives up to M·K conformations. The nodes of the tree come first; every frame's parent is
/// the seed that it started from, its depth one more. Calls `progress(done, in all)` over draws and
/// then over frames.
pub fn hybrid(
    jumps: &Surrogate,
    mdgen: &Surrogate,
    types: &[ResidueType],
    roots_at: &[Conformation<f32>],
    tree: &TreeSpec,
    frames: Option<usize>,
    rng_seed: u64,
    solver: Solver,
    mut progress: impl FnMut(usize, usize) -> bool,
) -> Result<Vec<Node>, SamplingError> {
    let k = frames.unwrap_or(mdgen.card().network.frames);
    let mut nodes = grow(jumps, types, roots_at, tree, rng_seed, solver, &mut progress)?;
    let seeds: Vec<usize> = (0..nodes.len()).filter(|i| nodes[*i].verdict.accepted()).collect();
    // Streams of noise that no jump uses.
    let streams = tree.budget as u64;
    let total = seeds.len() * k;
    let together = mdgen.draws_per_call(types.len(), k);
    for (chunk, some) in seeds.chunks(together).enumerate() {
        let starts: Vec<Conformation<f32>> =
            some.iter().map(|i| reencode(types, &nodes[*i].conformation)).collect();
        let first_id = streams + (chunk * together) as u64;
        let request =
            JumpRequest { types, starts: &starts, children: 1, rng_seed, first_id, solver };
        for (window, (i, seed)) in mdgen.windows(&request, k)?.into_iter().zip((0..).zip(some)) {
            let depth = nodes[*seed].depth + 1;
            add(&mut nodes, types, window, Some(*seed), depth, first_id + i);
        }
        if !progress(((chunk + 1) * together * k).min(total), total) {
            break;
        }
    }
    Ok(nodes)
}

fn add(
    nodes: &mut Vec<Node>,
    types: &[ResidueType],
    window: Vec<Conformation<f32>>,
    parent: Option<usize>,
    depth: usize,
    id: u64,
) {
    for (frame, drawn) in window.into_iter().enumerate() {
        let (conformation, verdict) = settle(types, drawn);
        nodes.push(Node { parent, depth, frame: Some(frame), id, conformation, verdict });
    }
}
