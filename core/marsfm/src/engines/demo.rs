//! From a peptide's MD to short MD on a real engine: jumps of a surrogate, prepared and judged,
//! run, read back and assigned to states, beside frames of the MD itself treated in the same way.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use marsfm_host::{Device, EngineLimits, Host};
use marsfm_sampling::TreeSpec;
use marsfm_trajectory::Frame;
use serde::Serialize;
use serde_json::{Map, Value};

use super::runner::{Lengths, Runner};
use super::trial::{
    Bench, Candidate, DemoSeed, Labels, double, evenly, frames, gate, percentile, same_states,
    single,
};
use super::{Summary, demo_report, place, record};
use crate::markov::{self, MsmSettings};
use crate::sample::{self, DEFAULT_SOLVER, Start};
use crate::score::Reference;
use crate::systems::{System, SystemFiles};

/// What to show.
pub struct DemoRequest<'a> {
    /// The MD, in the engine's force field and temperature.
    pub files: &'a SystemFiles,
    /// The surrogate.
    pub model: &'a Path,
    /// Where it computes.
    pub device: &'a Device,
    /// Name of the engine.
    pub engine: &'a str,
    /// Its options, `template` among them.
    pub options: &'a Map<String, Value>,
    /// How long it may be silent.
    pub limits: EngineLimits,
    /// Lags and sizes of the Markov model.
    pub msm: MsmSettings,
    /// Frames of the MD to jump from, evenly spread.
    pub parents: usize,
    /// Draws from each.
    pub draws: usize,
    /// Most seeds to prepare.
    pub seeds: usize,
    /// Frames of the MD that make the energy gate.
    pub before: usize,
    /// Length of the runs.
    pub lengths: Lengths,
    /// Random seed.
    pub rng_seed: u64,
    /// Folder to write into.
    pub out: &'a Path,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct DemoOutcome {
    /// Name of the system.
    pub name: String,
    /// What the engine says.
    pub notes: Vec<String>,
    /// Draws, and how many were accepted.
    pub draws: (usize, usize),
    /// Preparation of the surrogate's seeds.
    pub seeds: Summary,
    /// Preparation of frames of the MD.
    pub plain: Summary,
    /// The surrogate's seeds.
    pub jumped: Vec<DemoSeed>,
    /// Frames of the MD, one for each seed that ran, of the same state.
    pub controls: Vec<DemoSeed>,
    /// 99th percentile of the energies of plain MD behind the head, kJ/mol.
    pub plain_p99_kj_mol: Option<f64>,
    /// Lengths of the runs.
    pub lengths: Lengths,
    /// Wall time of preparing and running, s.
    pub seconds: (f64, f64),
    /// Simulated time: starts, heads, and what counts, ps.
    pub md_ps: (f64, f64, f64),
    /// The page.
    pub report: PathBuf,
}

impl DemoOutcome {
    /// Of the seeds whose state is not their parent's: how many survived, of how many; then the
    /// same of the frames of the MD that stand beside them.
    pub fn survival(&self) -> ((usize, usize), (usize, usize)) {
        let count = |all: Vec<&DemoSeed>| {
            let known: Vec<bool> = all.iter().filter_map(|s| s.survived()).collect();
            (known.iter().filter(|s| **s).count(), known.len())
        };
        let elsewhere = |s: &&DemoSeed| s.is_elsewhere(s.prepared);
        let jumped: Vec<&DemoSeed> = self.jumped.iter().filter(elsewhere).collect();
        (count(jumped), count(self.controls.iter().collect()))
    }
}

/// Runs the demonstration; `event(stage, done, of)` tells where it is.
pub fn demo(
    host: &Host,
    request: &DemoRequest,
    mut event: impl FnMut(&str, usize, usize),
) -> Result<DemoOutcome> {
    event("reading the MD and building its Markov model", 0, 0);
    let system = System::load(host, request.files)?;
    let model = markov::build(&system, &request.msm)?;
    let runner = Runner::open(host, request.engine, request.options, request.limits)?;
    let engine_top = runner.system().topology.clone();
    let engine_reference = single(&runner.system().positions_nm);
    let own_reference = double(&system.reference.positions_nm);
    let own = (&system.topology, &system.peptide, &own_reference[..]);
    let back = place::Map::new(own, &engine_top, &engine_reference)?;
    let labels = Labels { system: &system, model: &model, back };

    event("drawing jumps", 0, 0);
    let md = frames(&system);
    let (candidates, drawn, accepted) = jumps(host, request, &system, &labels, &md)?;
    ensure!(!candidates.is_empty(), "none of {drawn} draws was accepted: nothing to prepare");
    runner.write_topology(host, request.out)?;

    event("minimising frames of the MD for the energy gate", 0, 0);
    let out = request.out;
    let gate = gate(&runner, &system, &md, request.before, &out.join("before"))?;

    let clock = std::time::Instant::now();
    let (lengths, rng_seed) = (request.lengths, request.rng_seed);
    let (runner, labels, event) = (&runner, &labels, &mut event);
    let mut bench = Bench { host, out, runner, labels, gate, rng_seed, event };
    let (seeds, jumped, run_a) = bench.all("seeds", &candidates, lengths)?;
    let controls = same_states(labels, &md, &jumped, rng_seed)?;
    let (plain, controls, run_b) = bench.all("plain", &controls, lengths)?;
    let running = run_a + run_b;
    let preparing = clock.elapsed().as_secs_f64() - running;

    let plain_p99_kj_mol = percentile(bench.energies("plain", &controls, lengths)?, 0.99);
    let runs = jumped.iter().chain(&controls).filter(|s| s.end.is_some()).count() as f64;
    let starts: f64 = jumped.iter().chain(&controls).map(|s| s.record.start_md_ps).sum();
    let outcome = DemoOutcome {
        name: system.name.clone(),
        notes: runner.system().notes.clone(),
        draws: (drawn, accepted),
        seeds,
        plain,
        jumped,
        controls,
        plain_p99_kj_mol,
        lengths: request.lengths,
        seconds: (preparing, running),
        md_ps: (starts, runs * request.lengths.head_ps, runs * request.lengths.ps),
        report: request.out.join("report.html"),
    };
    let reference =
        Reference { system: &system, model: &model, kelvin: runner.system().temperature_kelvin };
    record::write(&request.out.join("outcome.json"), &outcome)?;
    demo_report::write(&outcome, &reference)?;
    Ok(outcome)
}

/// Accepted samples of all parents, thinned to the most spread ones.
fn jumps(
    host: &Host,
    request: &DemoRequest,
    system: &System,
    labels: &Labels,
    md: &[Frame],
) -> Result<(Vec<Candidate>, usize, usize)> {
    let surrogate = host.surrogate(request.model, request.device)?;
    let spec = TreeSpec {
        roots: request.draws,
        branching: 0,
        depth: 1,
        budget: request.draws,
        retries: 0,
    };
    let (mut found, mut drawn) = (Vec::new(), 0);
    for (k, parent) in evenly(md.len(), request.parents).enumerate() {
        let positions_nm = &md[parent].positions_nm;
        let start = Start { topology: &system.topology, peptide: &system.peptide, positions_nm };
        let rng_seed = request.rng_seed.wrapping_add(k as u64);
        let nodes = sample::tree(&surrogate, &start, &spec, rng_seed, DEFAULT_SOLVER, |_, _| true)?;
        drawn += nodes.len();
        let from = labels.own(positions_nm)?;
        for node in nodes.iter().filter(|n| n.verdict.accepted()) {
            found.push(labels.candidate(positions_nm, from, node, true)?);
        }
    }
    let accepted = found.len();
    let points: Vec<Vec<f64>> =
        found.iter().map(|c| vec![c.sampled.tica.0, c.sampled.tica.1]).collect();
    let mut chosen = sample::spread(&points, request.seeds);
    chosen.sort_unstable();
    let mut kept = Vec::new();
    for (i, candidate) in found.into_iter().enumerate() {
        if chosen.binary_search(&i).is_ok() {
            kept.push(candidate);
        }
    }
    Ok((kept, drawn, accepted))
}
