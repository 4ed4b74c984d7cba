//! `marsfm break-even`: what an effectively independent conformation costs, from MD and from a
//! surrogate, in processor seconds on one machine.
//!
//! Both sides are judged by the slowest coordinate of the system's own MD (TICA 1): neighbouring
//! frames of MD are alike, and so are neighbouring jumps of a chain, so what counts is n_eff
//! (Geyer's initial positive sequence over all replicas, or chains), not how many there are. A
//! surrogate whose chains forget faster than MD does is not credited for it: its n_eff is at most that
//! of as much MD as its jumps stand for (their number × the lag). What training cost, and the MD
//! behind it, is counted apart: it is paid once.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use cpu_time::ProcessTime;
use marsfm_host::Host;
use marsfm_metrics::decorrelation::effective_samples_of;
use marsfm_sampling::{Node, TreeSpec, grow};
use marsfm_surrogate::{Solver, Surrogate};
use serde::Serialize;

use crate::markov::{self, MsmSettings};
use crate::score::Reference;
use crate::systems::{System, SystemFiles};

/// Time between the MD frames that a single draw is compared with, ps.
const FRAME_PS: f64 = 100.0;
/// Share of a chain's jumps that are not counted: they still know where the chain began.
const HEAD: f64 = 0.25;

/// What to compare.
pub struct BreakEvenRequest<'a> {
    /// Folders with one folder per system.
    pub data: &'a [PathBuf],
    /// A system the surrogate was not trained on, with its MD.
    pub system: &'a str,
    /// The surrogate.
    pub surrogate: &'a Surrogate,
    /// What the MD costs on this machine, processor seconds per simulated ns.
    pub md_cpu_seconds_per_ns: f64,
    /// What training cost, processor seconds, where it is known.
    pub training_cpu_seconds: Option<f64>,
    /// Independent chains of jumps.
    pub chains: usize,
    /// Jumps per chain.
    pub depth: usize,
    /// Seed of all draws.
    pub rng_seed: u64,
    /// How to integrate.
    pub solver: Solver,
}

/// One side.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Conformations: frames, or accepted draws that count.
    pub conformations: usize,
    /// How many independent ones they are worth.
    pub effective: f64,
    /// The same before a surrogate that forgets faster than MD is held to MD's pace.
    pub effective_as_measured: f64,
    /// Processor seconds of all of it.
    pub cpu_seconds: f64,
    /// The same per effectively independent conformation.
    pub cpu_seconds_per_effective: f64,
}

impl Side {
    /// Of series of one coordinate; worth `most` at most.
    fn new(series: &[Vec<f64>], cpu_seconds: f64, most: f64) -> Result<Self> {
        let series: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
        let measured = effective_samples_of(&series)?;
        let effective = measured.min(most);
        Ok(Self {
            effective_as_measured: measured,
            conformations: series.iter().map(|s| s.len()).sum(),
            effective,
            cpu_seconds,
            cpu_seconds_per_effective: cpu_seconds / effective,
        })
    }
}

/// The comparison.
#[derive(Clone, Debug, Serialize)]
pub struct BreakEven {
    /// The system.
    pub system: String,
    /// SHA-256 of the surrogate.
    pub model_sha256: String,
    /// Its MD.
    pub md: Side,
    /// The surrogate's chains, their heads and rejected draws paid for and not counted.
    pub surrogate: Side,
    /// Share of draws accepted.
    pub acceptance: f64,
    /// How many times cheaper an effectively independent conformation is from the surrogate.
    pub ratio_effective: f64,
    /// Processor seconds of MD for 100 ps over those of one accepted draw.
    pub ratio_per_frame_of_100_ps: f64,
    /// MD that the surrogate was trained on, ns, and its price at this system's price per ns.
    pub training_md_ns: f64,
    /// The same in processor seconds.
    pub training_md_cpu_seconds: f64,
    /// Of training itself, where it was told.
    pub training_cpu_seconds: Option<f64>,
    /// Effectively independent conformations after which training (if told) and its MD have paid
    /// for themselves; `None` if they never do.
    pub break_even_conformations: Option<f64>,
}

/// Compares.
pub fn run(host: &Host, request: &BreakEvenRequest) -> Result<BreakEven> {
    let r = request;
    ensure!(
        r.md_cpu_seconds_per_ns.is_finite() && r.md_cpu_seconds_per_ns > 0.0,
        "the price of MD, {} s per ns, is no price",
        r.md_cpu_seconds_per_ns
    );
    ensure!(r.chains > 0 && r.depth >= 4, "at least one chain of four jumps is needed");
    let card = r.surrogate.card();
    let training = card.training.as_ref();
    ensure!(
        !training.is_some_and(|t| t.saw(r.system)),
        "the surrogate was trained on {}: what it draws there is no gain",
        r.system
    );
    let system = System::load(host, &SystemFiles::in_folders(r.data, r.system)?)?;
    let model = markov::build(&system, &MsmSettings::default())?;
    let reference =
        Reference { system: &system, model: &model, kelvin: card.domain.temperature_kelvin };
    let slowest = |mut tica: Vec<Vec<f64>>| -> Result<Vec<f64>> {
        ensure!(!tica.is_empty(), "{}: TICA kept no coordinate", r.system);
        Ok(tica.swap_remove(0))
    };
    let replicas = (0..model.rows.len())
        .map(|t| slowest(reference.md([t])?.tica))
        .collect::<Result<Vec<_>>>()?;
    let md_ns = system.nanoseconds();
    let md = Side::new(&replicas, md_ns * r.md_cpu_seconds_per_ns, f64::INFINITY)?;

    let start = system.peptide.encode(&system.reference.positions_nm)?;
    let spec = TreeSpec::populations(r.chains * r.depth, r.depth);
    let began = ProcessTime::now();
    let types = system.peptide.types();
    let nodes = grow(r.surrogate, types, &[start], &spec, r.rng_seed, r.solver, |_, _| true)?;
    let cpu = began.elapsed().as_secs_f64();
    let accepted = nodes.iter().filter(|n| n.verdict.accepted()).count();
    let head = (HEAD * r.depth as f64).ceil() as usize;
    let chains = chains(&nodes, head)
        .into_iter()
        .map(|chain| {
            let all: Vec<_> = chain.iter().map(|i| nodes[*i].conformation.clone()).collect();
            slowest(reference.conformations(&all)?.tica)
        })
        .collect::<Result<Vec<_>>>()?;
    ensure!(
        !chains.is_empty(),
        "{}: no chain outlived its head; were all draws refused?",
        r.system
    );
    let jumps: usize = chains.iter().map(Vec::len).sum();
    let as_md = jumps as f64 * card.domain.lag_ps / 1000.0 * md.effective / md_ns;
    let drawn = Side::new(&chains, cpu, as_md.max(1.0)).context("the surrogate's chains")?;

    let training_md_ns: f64 = training.iter().flat_map(|t| t.systems.values()).sum();
    let training_md_cpu_seconds = training_md_ns * r.md_cpu_seconds_per_ns;
    let gain = md.cpu_seconds_per_effective - drawn.cpu_seconds_per_effective;
    let paid = training_md_cpu_seconds + r.training_cpu_seconds.unwrap_or(0.0);
    Ok(BreakEven {
        system: r.system.into(),
        model_sha256: r.surrogate.sha256().into(),
        acceptance: accepted as f64 / nodes.len() as f64,
        ratio_effective: md.cpu_seconds_per_effective / drawn.cpu_seconds_per_effective,
        ratio_per_frame_of_100_ps: r.md_cpu_seconds_per_ns * FRAME_PS
            / 1000.0
            / (cpu / accepted.max(1) as f64),
        training_md_ns,
        training_md_cpu_seconds,
        training_cpu_seconds: r.training_cpu_seconds,
        break_even_conformations: (gain > 0.0).then(|| paid / gain),
        md,
        surrogate: drawn,
    })
}

/// The accepted nodes of every chain below its head, in order.
fn chains(nodes: &[Node], head: usize) -> Vec<Vec<usize>> {
    let mut of = vec![usize::MAX; nodes.len()];
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for (i, node) in nodes.iter().enumerate().filter(|(_, n)| n.verdict.accepted()) {
        of[i] = node.parent.map_or_else(
            || {
                chains.push(Vec::new());
                chains.len() - 1
            },
            |parent| of[parent],
        );
        if node.depth > head {
            chains[of[i]].push(i);
        }
    }
    chains.retain(|c| !c.is_empty());
    chains
}
