//! The tree of jumps (METHOD 9): breadth first, one batched integration per level, parent and depth
//! of every node. Wide and shallow explores; many chains of single children reach the depth that
//! populations need.

use marsfm_geometry::{Conformation, ResidueType};
use marsfm_surrogate::{JumpRequest, Solver, Surrogate};
use serde::{Deserialize, Serialize};

use crate::{SamplingError, Verdict, settle};

/// What to grow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreeSpec {
    /// Children of the root.
    pub roots: usize,
    /// Children of every later node.
    pub branching: usize,
    /// Levels below the root.
    pub depth: usize,
    /// Most draws, rejected ones counted.
    pub budget: usize,
    /// A draw that is rejected is repeated from the same parent at most this often.
    pub retries: usize,
}

impl TreeSpec {
    /// Seeds: wide and shallow, two levels, so that states two jumps away are seen.
    pub fn exploration(budget: usize) -> Self {
        let roots = (budget as f64).sqrt().ceil() as usize;
        Self { roots, branching: budget / roots.max(1), depth: 2, budget, retries: 0 }
    }

    /// Populations: `budget / depth` independent chains of `depth` jumps each. depth × lag should
    /// be at least three times the slowest implied timescale.
    pub fn populations(budget: usize, depth: usize) -> Self {
        let depth = depth.max(1);
        Self { roots: budget.div_ceil(depth), branching: 1, depth, budget, retries: 4 }
    }
}

/// One draw.
#[derive(Clone, Debug)]
pub struct Node {
    /// Index of the parent node; `None` for children of the root.
    pub parent: Option<usize>,
    /// 1 for children of the root.
    pub depth: usize,
    /// Which frame of an MDGen window it is; `None` for a jump.
    pub frame: Option<usize>,
    /// Stream of its noise: with the model, the start and `rng_seed` it reproduces the draw.
    pub id: u64,
    /// The conformation, Å.
    pub conformation: Conformation<f32>,
    /// Its judgement. Only accepted nodes have children.
    pub verdict: Verdict,
}

/// Grows trees from `roots_at` (each child of the root starts at one of them in turn). Calls
/// `progress(draws done, budget)`; answering false stops with what there is.
pub fn grow(
    surrogate: &Surrogate,
    types: &[ResidueType],
    roots_at: &[Conformation<f32>],
    spec: &TreeSpec,
    rng_seed: u64,
    solver: Solver,
    mut progress: impl FnMut(usize, usize) -> bool,
) -> Result<Vec<Node>, SamplingError> {
    if roots_at.is_empty() || spec.budget == 0 || spec.depth == 0 || spec.roots == 0 {
        return Err(SamplingError::Request(
            "a tree needs a start, a depth and a budget of at least one".into(),
        ));
    }
    let mut nodes: Vec<Node> = Vec::new();
    // What each draw of the next level starts from: a root conformation or an accepted node.
    let mut level: Vec<Origin> =
        (0..spec.roots).map(|i| Origin::Root(i % roots_at.len())).collect();
    for depth in 1..=spec.depth {
        let mut accepted = Vec::new();
        for _ in 0..=spec.retries {
            let room = spec.budget - nodes.len();
            level.truncate(room);
            if level.is_empty() {
                break;
            }
            let starts: Vec<Conformation<f32>> = level
                .iter()
                .map(|o| match o {
                    Origin::Root(i) => roots_at[*i].clone(),
                    Origin::Node(i) => nodes[*i].conformation.clone(),
                })
                .collect();
            let drawn =
                draw(surrogate, types, &starts, &level, nodes.len() as u64, rng_seed, solver)?;
            let mut again = Vec::new();
            for (origin, conformation) in level.iter().zip(drawn) {
                let (conformation, verdict) = settle(types, conformation);
                if verdict.accepted() {
                    accepted.push(nodes.len());
                } else {
                    again.push(*origin);
                }
                let parent = match origin {
                    Origin::Root(_) => None,
                    Origin::Node(i) => Some(*i),
                };
                let id = nodes.len() as u64;
                nodes.push(Node { parent, depth, frame: None, id, conformation, verdict });
            }
            if !progress(nodes.len(), spec.budget) {
                return Ok(nodes);
            }
            level = again;
        }
        level = accepted
            .iter()
            .flat_map(|i| std::iter::repeat_n(Origin::Node(*i), spec.branching))
            .collect();
    }
    Ok(nodes)
}

#[derive(Clone, Copy, PartialEq)]
enum Origin {
    Root(usize),
    Node(usize),
}

/// One level. Draws of the same origin are adjacent, so equal runs share their conditioning; a
/// level of unequal runs is one draw per start.
fn draw(
    surrogate: &Surrogate,
    types: &[ResidueType],
    starts: &[Conformation<f32>],
    origins: &[Origin],
    first_id: u64,
    rng_seed: u64,
    solver: Solver,
) -> Result<Vec<Conformation<f32>>, SamplingError> {
    let run = origins.iter().take_while(|o| **o == origins[0]).count();
    let even = origins.len().is_multiple_of(run)
        && origins.chunks(run).all(|c| c.iter().all(|o| *o == c[0]));
    let children = if even { run } else { 1 };
    let unique: Vec<Conformation<f32>> = starts.iter().step_by(children).cloned().collect();
    let request = JumpRequest { types, starts: &unique, children, rng_seed, first_id, solver };
    Ok(surrogate.jump(&request)?)
}
