//! Trees of jumps and rollouts from a frame of a system, what came of them, and the files they
//! become.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use marsfm_geometry::{Peptide, Topology};
use marsfm_host::{Device, Host};
pub use marsfm_sampling::RolloutSpec;
use marsfm_sampling::{
    Difference, Node, REASONS, Reason, RequestedDomain, TreeSpec, differences, grow, hybrid,
    idealise, rollout,
};
use marsfm_surrogate::{Solver, Surrogate};
use marsfm_trajectory::{Frame, FrameSink};
use serde::Serialize;

/// How jumps are integrated unless the caller says otherwise: `docs/decisions/0006-solver.md`.
pub const DEFAULT_SOLVER: Solver = Solver::Adams { steps: 16 };

/// A chain to sample: who its atoms are, where they start.
pub struct Start<'a> {
    /// Atoms in the caller's order.
    pub topology: &'a Topology,
    /// The chain among them.
    pub peptide: &'a Peptide,
    /// Start frame, whole, nm.
    pub positions_nm: &'a [[f32; 3]],
}

/// How many draws had which fate.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// All draws.
    pub draws: usize,
    /// Accepted draws.
    pub accepted: usize,
    /// Accepted draws that minimisation has to mend.
    pub need_repair: usize,
    /// Accepted draws whose chain was built again from their torsions.
    pub rebuilt: usize,
    /// Rejections by reason; a draw can have several.
    pub rejected: BTreeMap<Reason, usize>,
}

impl Tally {
    /// Counts nodes.
    pub fn of(nodes: &[Node]) -> Self {
        let mut tally = Self { draws: nodes.len(), ..Self::default() };
        for v in nodes.iter().map(|n| &n.verdict) {
            tally.accepted += usize::from(v.accepted());
            tally.need_repair += usize::from(v.accepted() && !v.repair.is_empty());
            tally.rebuilt += usize::from(v.accepted() && v.rebuilt);
            for reason in REASONS.iter().filter(|r| v.rejected.contains(r)) {
                *tally.rejected.entry(*reason).or_insert(0) += 1;
            }
        }
        tally
    }

    /// Share of draws accepted.
    pub fn acceptance(&self) -> f64 {
        self.accepted as f64 / self.draws.max(1) as f64
    }
}

/// Grows a tree from the start.
pub fn tree(
    surrogate: &Surrogate,
    start: &Start,
    spec: &TreeSpec,
    rng_seed: u64,
    solver: Solver,
    progress: impl FnMut(usize, usize) -> bool,
) -> Result<Vec<Node>> {
    let root = start.peptide.encode(start.positions_nm)?;
    Ok(grow(surrogate, start.peptide.types(), &[root], spec, rng_seed, solver, progress)?)
}

/// At most `n` of the points, each as far as possible from those before it (Gonzalez 1985), the
/// first being the one farthest from the mean: which samples to hand to an engine first.
pub fn spread(points: &[Vec<f64>], n: usize) -> Vec<usize> {
    let Some(width) = points.first().map(Vec::len) else { return Vec::new() };
    let square =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum() };
    let mean: Vec<f64> = (0..width)
        .map(|k| points.iter().map(|p| p[k]).sum::<f64>() / points.len() as f64)
        .collect();
    let mut distance: Vec<f64> = points.iter().map(|p| square(p, &mean)).collect();
    let mut chosen = Vec::new();
    while chosen.len() < n.min(points.len()) {
        let (at, far) = distance
            .iter()
            .copied()
            .enumerate()
            .fold((0, f64::NEG_INFINITY), |best, d| if d.1 > best.1 { d } else { best });
        if !chosen.is_empty() && far <= 0.0 {
            break; // only copies are left
        }
        for (d, p) in distance.iter_mut().zip(points) {
            let new = square(p, &points[at]);
            *d = if chosen.is_empty() { new } else { d.min(new) };
        }
        chosen.push(at);
    }
    chosen
}

/// The files of an ensemble.
#[derive(Clone, Debug, Serialize)]
pub struct EnsembleFiles {
    /// Accepted samples in draw order.
    pub trajectory: PathBuf,
    /// Their topology: the start frame.
    pub topology: PathBuf,
    /// Seeds, one model each.
    pub seeds: PathBuf,
    /// Every draw with parent, depth, noise stream and verdict.
    pub record: PathBuf,
}

#[derive(Serialize)]
struct Record<'a> {
    model_sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mdgen_sha256: Option<&'a str>,
    /// Time of one jump, or between two frames of a window.
    lag_ps: f64,
    /// Temperature of the draws, K, of a surrogate that takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature_kelvin: Option<f64>,
    rng_seed: u64,
    tally: Tally,
    seeds: &'a [usize],
    /// Of each seed: how far closing its chain moved its heavy atoms, Å.
    seeds_idealised_angstrom: Vec<f32>,
    draws: Vec<Draw<'a>>,
}

#[derive(Serialize)]
struct Draw<'a> {
    parent: Option<usize>,
    depth: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<usize>,
    id: u64,
    verdict: &'a marsfm_sampling::Verdict,
}

/// Writes accepted samples (XTC + PDB), the seeds among them (indices into `nodes`; PDB) and the
/// record of all draws (JSON) into a folder.
pub fn write(
    host: &Host,
    folder: &Path,
    start: &Start,
    surrogate: &Surrogate,
    nodes: &[Node],
    seeds: &[usize],
    rng_seed: u64,
) -> Result<EnsembleFiles> {
    write_ensemble(
        host,
        folder,
        start,
        &Origin { surrogate, mdgen: None, frame_ps: 1.0, as_drawn: false },
        nodes,
        seeds,
        rng_seed,
    )
}

/// Which models an ensemble is of.
struct Origin<'a> {
    surrogate: &'a Surrogate,
    /// The one that made the windows of a hybrid.
    mdgen: Option<&'a Surrogate>,
    /// What the trajectory's clock says between two samples; only a rollout's means time.
    frame_ps: f64,
    /// Seeds are written as drawn.
    as_drawn: bool,
}

/// [`write`], for all shapes. Where a tree's nodes were followed by windows of frames, the ensemble
/// is those frames.
fn write_ensemble(
    host: &Host,
    folder: &Path,
    start: &Start,
    origin: &Origin,
    nodes: &[Node],
    seeds: &[usize],
    rng_seed: u64,
) -> Result<EnsembleFiles> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot create the folder", folder.display()))?;
    ensure!(
        seeds.iter().all(|s| nodes.get(*s).is_some_and(|n| n.verdict.accepted())),
        "a seed is not an accepted draw"
    );
    let files = EnsembleFiles {
        trajectory: folder.join("ensemble.xtc"),
        topology: folder.join("ensemble.pdb"),
        seeds: folder.join("seeds.pdb"),
        record: folder.join("samples.json"),
    };
    let frame = |positions_nm: Vec<[f32; 3]>, time_ps: f64| Frame {
        positions_nm,
        cell_nm: None,
        time_ps: Some(time_ps),
    };
    let mut topology = host.create(&files.topology, start.topology)?;
    topology.write(&frame(start.positions_nm.to_vec(), 0.0))?;
    topology.finish()?;
    let write_all = |mut sink: Box<dyn FrameSink>,
                     which: &mut dyn Iterator<Item = (f64, &Node)>|
     -> Result<()> {
        for (time, node) in which {
            let placed = start.peptide.place(start.positions_nm, &node.conformation)?;
            sink.write(&frame(placed, time * origin.frame_ps))?;
        }
        Ok(sink.finish()?)
    };
    let windows_only = origin.mdgen.is_some();
    let ensemble: Vec<&Node> =
        nodes.iter().filter(|n| !windows_only || n.frame.is_some()).collect();
    let closed: Vec<Node> = seeds.iter().map(|s| as_seed(start, &nodes[*s], origin)).collect();
    // A rollout's frames keep their times where one between them was rejected.
    let timed = ensemble.iter().all(|n| n.frame.is_some()) && !windows_only;
    let accepted = ensemble.iter().copied().enumerate().filter(|(_, n)| n.verdict.accepted());
    let times = accepted.clone().enumerate();
    let mut timed_nodes =
        times.map(|(i, (place, n))| (if timed { place as f64 } else { i as f64 }, n)).peekable();
    if timed_nodes.peek().is_some() {
        write_all(host.create(&files.trajectory, start.topology)?, &mut timed_nodes)?;
        let mut chosen = closed.iter().enumerate().map(|(i, n)| (i as f64, n));
        write_all(host.create(&files.seeds, start.topology)?, &mut chosen)?;
    }
    let record = Record {
        model_sha256: origin.surrogate.sha256(),
        mdgen_sha256: origin.mdgen.map(Surrogate::sha256),
        lag_ps: origin.mdgen.unwrap_or(origin.surrogate).card().domain.lag_ps,
        temperature_kelvin: origin.surrogate.temperature_kelvin(),
        rng_seed,
        tally: Tally::of(nodes),
        seeds,
        seeds_idealised_angstrom: closed.iter().map(|n| n.verdict.idealised_angstrom).collect(),
        draws: nodes
            .iter()
            .map(|n| Draw {
                parent: n.parent,
                depth: n.depth,
                frame: n.frame,
                id: n.id,
                verdict: &n.verdict,
            })
            .collect(),
    };
    let text = serde_json::to_vec(&record)?;
    marsfm_trajectory::write_atomically(&files.record, &text)
        .with_context(|| format!("{}: cannot write", files.record.display()))?;
    Ok(files)
}

/// A draw as it is handed to an engine.
fn as_seed(start: &Start, node: &Node, origin: &Origin) -> Node {
    let mut seed = node.clone();
    if !origin.as_drawn {
        (seed.conformation, seed.verdict) =
            idealise(start.peptide.types(), &node.conformation, &node.verdict);
    }
    seed
}

/// What to draw from one start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// So many single jumps.
    Jumps(usize),
    /// A wide and shallow tree of so many draws.
    Exploration(usize),
    /// Chains of jumps.
    Populations {
        /// Draws in all, rejected ones counted.
        draws: usize,
        /// Jumps per chain.
        depth: usize,
    },
    /// Windows of frames, from a surrogate of MDGen layout.
    Rollout(RolloutSpec),
}

impl Shape {
    /// The tree it means, if it is one.
    pub fn tree(self) -> Option<TreeSpec> {
        Some(match self {
            Self::Jumps(n) => TreeSpec { roots: n, branching: 0, depth: 1, budget: n, retries: 0 },
            Self::Exploration(n) => TreeSpec::exploration(n),
            Self::Populations { draws, depth } => TreeSpec::populations(draws, depth),
            Self::Rollout(_) => return None,
        })
    }
}

/// A request of `marsfm sample`.
pub struct SampleRequest<'a> {
    /// Surrogate file.
    pub model: &'a Path,
    /// Topology file; its coordinates are the start if `start` is `None`.
    pub topology: &'a Path,
    /// Trajectory and frame to start from.
    pub start: Option<(&'a Path, usize)>,
    /// What to draw.
    pub shape: Shape,
    /// Hybrid: a surrogate of MDGen layout that goes on from each accepted draw with one window of
    /// so many frames (`None`: as trained).
    pub mdgen: Option<(&'a Path, Option<usize>)>,
    /// Most seeds to write.
    pub seeds: usize,
    /// Leave the seeds as they were drawn, instead of closing their chains.
    pub as_drawn: bool,
    /// Random seed.
    pub rng_seed: u64,
    /// How to integrate.
    pub solver: Solver,
    /// Where to compute.
    pub device: &'a Device,
    /// Temperature, K, for surrogates that take one; `None`: that of the card.
    pub temperature_kelvin: Option<f64>,
    /// Folder to write into.
    pub out: &'a Path,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Drawn {
    /// Fates of the draws.
    pub tally: Tally,
    /// Where it was computed.
    pub device: String,
    /// What of the request lies outside the surrogate's training.
    pub differences: Vec<Difference>,
    /// Files written.
    pub files: EnsembleFiles,
}

/// Draws from one start and writes ensemble, seeds and record. Seeds are spread over the torsions.
pub fn run(
    host: &Host,
    request: &SampleRequest,
    progress: impl FnMut(usize, usize) -> bool,
) -> Result<Drawn> {
    let load = |path: &Path| -> Result<Surrogate> {
        let surrogate = host.surrogate(path, request.device)?;
        match request.temperature_kelvin {
            None => Ok(surrogate),
            Some(kelvin) => surrogate
                .at_temperature(kelvin)
                .with_context(|| format!("{}: --temperature", path.display())),
        }
    };
    let surrogate = load(request.model)?;
    let (topology, own) = host.read_topology(request.topology)?;
    let mut frame = match request.start {
        None => own.with_context(|| {
            format!(
                "{}: has no coordinates to start from; give --start",
                request.topology.display()
            )
        })?,
        Some((path, index)) => read_frame(host, path, topology.len(), index)?,
    };
    let at = || format!("{}", request.topology.display());
    let peptide = match frame.cell_nm {
        Some(cell) => {
            let peptide = Peptide::from_topology_in_cell(&topology, &frame.positions_nm, &cell);
            let peptide = peptide.with_context(at)?;
            peptide.make_whole(&mut frame.positions_nm, &cell)?;
            peptide
        }
        None => Peptide::from_topology(&topology, &frame.positions_nm).with_context(at)?,
    };
    let start = Start { topology: &topology, peptide: &peptide, positions_nm: &frame.positions_nm };
    let types = peptide.types();
    let root = peptide.encode(start.positions_nm)?;
    let (seed, solver) = (request.rng_seed, request.solver);
    let mdgen = request.mdgen.map(|(path, _)| load(path)).transpose()?;
    let (nodes, window) = match (request.shape, &mdgen) {
        (Shape::Rollout(_), Some(_)) => bail!("a hybrid goes on from jumps, not from a rollout"),
        (Shape::Rollout(spec), None) => {
            let nodes = rollout(&surrogate, types, &root, &spec, seed, solver, progress)?;
            (nodes, spec.frames.zip(Some(surrogate.card().network.frames)))
        }
        (shape, Some(mdgen)) => {
            let spec = shape.tree().context("a rollout is no tree")?;
            let frames = request.mdgen.and_then(|m| m.1);
            let nodes =
                hybrid(&surrogate, mdgen, types, &[root], &spec, frames, seed, solver, progress)?;
            (nodes, frames.zip(Some(mdgen.card().network.frames)))
        }
        (shape, None) => {
            let spec = shape.tree().context("a rollout is no tree")?;
            (grow(&surrogate, types, &[root], &spec, seed, solver, progress)?, None)
        }
    };
    let counts = |n: &Node| n.verdict.accepted() && (mdgen.is_none() || n.frame.is_some());
    let accepted: Vec<usize> = (0..nodes.len()).filter(|i| counts(&nodes[*i])).collect();
    let torsions = |i: &usize| -> Vec<f64> {
        nodes[*i].conformation.torsions.iter().flatten().flatten().map(|v| f64::from(*v)).collect()
    };
    let points: Vec<Vec<f64>> = accepted.iter().map(torsions).collect();
    let seeds: Vec<usize> =
        spread(&points, request.seeds).into_iter().map(|i| accepted[i]).collect();
    let frame_ps = match request.shape {
        Shape::Rollout(_) => surrogate.card().domain.lag_ps,
        _ => 1.0,
    };
    let as_drawn = request.as_drawn;
    let origin = Origin { surrogate: &surrogate, mdgen: mdgen.as_ref(), frame_ps, as_drawn };
    let files = write_ensemble(host, request.out, &start, &origin, &nodes, &seeds, seed)?;
    let asked = RequestedDomain {
        temperature_kelvin: request.temperature_kelvin,
        capped: Some(peptide.is_capped()),
        bystanders: Some(peptide.n_bystanders()),
        window,
        ..RequestedDomain::default()
    };
    let mut all = differences(&surrogate.card().domain, types, &asked);
    if let Some(model) = &mdgen {
        for d in differences(&model.card().domain, types, &asked) {
            if !all.contains(&d) {
                all.push(d);
            }
        }
    }
    let device = surrogate.backend().device().to_owned();
    Ok(Drawn { tally: Tally::of(&nodes), device, differences: all, files })
}

/// Frame `index` of a trajectory.
fn read_frame(host: &Host, path: &Path, n_atoms: usize, index: usize) -> Result<Frame> {
    let mut source = host.open(path, Some(n_atoms))?;
    source.seek(index)?;
    let mut frame = Frame::default();
    if !source.read(&mut frame)? {
        bail!("{}: has no frame {index}", path.display());
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_takes_the_corners_first_and_no_copies() {
        let points: Vec<Vec<f64>> =
            [[0.0, 0.0], [0.1, 0.0], [5.0, 0.0], [5.0, 0.0], [0.0, 3.0]].map(Vec::from).to_vec();
        assert_eq!(spread(&points, 3), [4, 2, 1]);
        assert_eq!(spread(&points, 9).len(), 4);
        assert!(spread(&[], 3).is_empty());
    }
}
