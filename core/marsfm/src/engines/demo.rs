//! From a peptide's MD to short MD on a real engine: jumps of a surrogate, prepared and judged,
//! run, read back and assigned to states, beside frames of the MD itself treated in the same way.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use marsfm_features::Featurizer;
use marsfm_geometry::Topology;
use marsfm_host::{EngineLimits, Host};
use marsfm_preparation::Engine;
use marsfm_sampling::TreeSpec;
use marsfm_surrogate::Surrogate;
use marsfm_trajectory::Frame;
use serde::Serialize;
use serde_json::{Map, Value};

use super::demo_report;
use super::place::{self, Placed, read_seeds};
use super::runner::{Lengths, Runner};
use super::{SeedRecord, Summary, record};
use crate::markov::{self, MsmSettings, SystemMsm};
use crate::sample::{self, DEFAULT_SOLVER, Start};
use crate::score::Reference;
use crate::systems::{System, SystemFiles};

/// What to show.
pub struct DemoRequest<'a> {
    /// The MD, in the engine's force field and temperature.
    pub files: &'a SystemFiles,
    /// The surrogate.
    pub model: &'a Path,
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

/// Where a structure is: macrostate, and place on the first two TICA coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Place {
    /// Macrostate; `None` if it belongs to none.
    pub state: Option<usize>,
    /// TICA coordinates 1 and 2 (0 if the model kept fewer).
    pub tica: (f64, f64),
}

/// One seed, or one frame of the MD treated as a seed.
#[derive(Clone, Debug, Serialize)]
pub struct DemoSeed {
    /// Its preparation.
    pub record: SeedRecord,
    /// Where its parent is (for a frame of the MD: where it is itself).
    pub parent: Place,
    /// Where it is as sampled.
    pub sampled: Place,
    /// After minimisation: the label that counts.
    pub prepared: Option<Place>,
    /// At the end of the head.
    pub head: Option<Place>,
    /// At the end of the run.
    pub end: Option<Place>,
    /// Potential energy at the end of the head, from the stored frame, kJ/mol.
    pub head_kj_mol: Option<f64>,
    /// Why it did not run to its end.
    pub lost: Option<String>,
}

impl DemoSeed {
    /// Still in the state of its preparation at the end of the head; `None` if it did not run, or
    /// never was in a state.
    pub fn survived(&self) -> Option<bool> {
        let state = self.prepared?.state?;
        Some(self.head?.state == Some(state))
    }
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
        let elsewhere = |s: &&DemoSeed| {
            s.prepared.is_some_and(|p| p.state.is_some() && p.state != s.parent.state)
        };
        let jumped: Vec<&DemoSeed> = self.jumped.iter().filter(elsewhere).collect();
        (count(jumped), count(self.controls.iter().collect()))
    }
}

/// The states of a Markov model for structures in its own order and in the engine's.
struct Labels<'a> {
    system: &'a System,
    model: &'a SystemMsm,
    back: place::Map<'a>,
}

impl Labels<'_> {
    fn own(&self, positions_nm: &[[f32; 3]]) -> Result<Place> {
        let mut row = vec![0.0; self.model.features.n_features()];
        self.model.features.compute(positions_nm, None, &mut row)?;
        let reference = Reference { system: self.system, model: self.model, kelvin: 300.0 };
        let numbers = reference.in_numbers(&row)?;
        let at = |k: usize| numbers.tica.get(k).map_or(0.0, |c| c[0]);
        let state =
            numbers.macrostates.first().copied().filter(|s| *s < self.model.msm.n_macrostates());
        Ok(Place { state, tica: (at(0), at(1)) })
    }

    fn engine(&self, frame: &Frame) -> Result<Place> {
        let placed = self.back.place(frame)?;
        let positions: Vec<[f32; 3]> =
            placed.positions_nm.iter().map(|p| p.map(|x| x as f32)).collect();
        self.own(&positions)
    }
}

fn double(positions_nm: &[[f32; 3]]) -> Vec<[f64; 3]> {
    positions_nm.iter().map(|p| p.map(f64::from)).collect()
}

fn single(positions_nm: &[[f64; 3]]) -> Frame {
    let positions_nm = positions_nm.iter().map(|p| p.map(|x| x as f32)).collect();
    Frame { positions_nm, cell_nm: None, time_ps: None }
}

/// A seed before it is prepared.
struct Candidate {
    frame: Frame,
    parent: Place,
    sampled: Place,
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
    let (candidates, drawn, accepted) = jumps(request, &system, &labels, &md)?;
    ensure!(!candidates.is_empty(), "none of {drawn} draws was accepted: nothing to prepare");
    runner.write_topology(host, request.out)?;

    event("minimising frames of the MD for the energy gate", 0, 0);
    let placed = |frames: &[Frame]| runner.place(&system.topology, frames);
    let spread: Vec<Frame> = evenly(md.len(), request.before).map(|k| md[k].clone()).collect();
    let before = placed(&spread)?;
    let gate = runner.gate(&request.out.join("before"), &before, |_, _| true)?;

    let clock = std::time::Instant::now();
    let mut bench =
        Bench { host, request, runner: &runner, labels: &labels, gate, event: &mut event };
    let (seeds, jumped, run_a) = bench.all("seeds", &candidates, placed(&of(&candidates))?)?;
    let controls = same_states(&labels, &md, &jumped, request.rng_seed)?;
    let (plain, controls, run_b) = bench.all("plain", &controls, placed(&of(&controls))?)?;
    let running = run_a + run_b;
    let preparing = clock.elapsed().as_secs_f64() - running;

    let plain_p99_kj_mol = percentile(bench.energies(&controls)?, 0.99);
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

fn of(candidates: &[Candidate]) -> Vec<Frame> {
    candidates.iter().map(|c| c.frame.clone()).collect()
}

/// Every frame of the MD.
fn frames(system: &System) -> Vec<Frame> {
    let all = system.data.trajectories().iter().flat_map(|t| {
        (0..t.n_frames()).map(|f| Frame {
            positions_nm: t.positions_nm(f).to_vec(),
            cell_nm: t.cell_nm(f),
            time_ps: None,
        })
    });
    all.collect()
}

/// `n` indices spread over `0..len`.
fn evenly(len: usize, n: usize) -> impl Iterator<Item = usize> {
    (0..n.min(len)).map(move |k| (2 * k + 1) * len / (2 * n.min(len)))
}

/// Accepted samples of all parents, thinned to the most spread ones.
fn jumps(
    request: &DemoRequest,
    system: &System,
    labels: &Labels,
    md: &[Frame],
) -> Result<(Vec<Candidate>, usize, usize)> {
    let surrogate = Surrogate::load(request.model)?;
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
            let placed = system.peptide.place(positions_nm, &node.conformation)?;
            let sampled = labels.own(&placed)?;
            let frame = Frame { positions_nm: placed, cell_nm: None, time_ps: None };
            found.push(Candidate { frame, parent: from, sampled });
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

/// For each seed that is elsewhere than its parent, a frame of the MD of the state that the seed
/// has after preparation.
fn same_states(
    labels: &Labels,
    md: &[Frame],
    jumped: &[DemoSeed],
    rng_seed: u64,
) -> Result<Vec<Candidate>> {
    let wanted: Vec<usize> = jumped
        .iter()
        .filter(|s| s.head.is_some())
        .filter_map(|s| s.prepared?.state.filter(|x| Some(*x) != s.parent.state))
        .collect();
    let mut found = Vec::new();
    // Frames in a fixed pseudo-random order: a step that has no divisor with their number.
    let step = (md.len() as f64 * 0.618) as usize | 1;
    let step = (step..).find(|s| gcd(*s, md.len()) == 1).unwrap_or(1);
    let mut at = rng_seed as usize % md.len();
    for state in wanted {
        for _ in 0..md.len() {
            at = (at + step) % md.len();
            let here = labels.own(&md[at].positions_nm)?;
            if here.state == Some(state) {
                let frame = md[at].clone();
                found.push(Candidate { frame, parent: here, sampled: here });
                break;
            }
        }
    }
    Ok(found)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The value below which a share of the values lies.
fn percentile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = (share * (values.len() as f64 - 1.0)).round().max(0.0) as usize;
    values.get(at).copied()
}

/// The engine with everything that seeds go through.
struct Bench<'a, E> {
    host: &'a Host,
    request: &'a DemoRequest<'a>,
    runner: &'a Runner,
    labels: &'a Labels<'a>,
    gate: Option<marsfm_preparation::Gate>,
    event: &'a mut E,
}

impl<E: FnMut(&str, usize, usize)> Bench<'_, E> {
    /// Prepares, runs and labels; also the seconds of running.
    fn all(
        &mut self,
        name: &str,
        candidates: &[Candidate],
        placed: Vec<Placed>,
    ) -> Result<(Summary, Vec<DemoSeed>, f64)> {
        let out = self.request.out.join(name);
        let stage = format!("preparing {name}");
        let event = &mut *self.event;
        let prepared = self.runner.prepare(
            &out,
            &placed,
            self.gate.as_ref(),
            self.request.rng_seed,
            |done, of, _| {
                event(&stage, done, of);
                true
            },
        )?;
        let begun = std::time::Instant::now();
        let mut all = Vec::new();
        for ((candidate, record), minimised) in
            candidates.iter().zip(&prepared.summary.seeds).zip(&prepared.minimised)
        {
            (self.event)(&format!("running {name}"), record.seed, candidates.len());
            let mut seed = DemoSeed {
                record: record.clone(),
                parent: candidate.parent,
                sampled: candidate.sampled,
                prepared: None,
                head: None,
                end: None,
                head_kj_mol: None,
                lost: None,
            };
            if let Some(positions) = minimised {
                seed.prepared = Some(self.labels.engine(&single(positions))?);
            }
            if record.runs() {
                self.run(&out, record, &mut seed)?;
            }
            all.push(seed);
        }
        Ok((prepared.summary, all, begun.elapsed().as_secs_f64()))
    }

    fn run(&self, out: &Path, record: &SeedRecord, seed: &mut DemoSeed) -> Result<()> {
        match self.runner.run(out, record, self.request.lengths, |_, _| true)? {
            Err(lost) => seed.lost = Some(lost),
            Ok(finished) => {
                let (_, frames) = self.read(out, record)?;
                ensure!(
                    frames.len() as u64 == finished.n_frames,
                    "{}: {} frames read back, {} announced",
                    finished.trajectory.display(),
                    frames.len(),
                    finished.n_frames
                );
                let head = (finished.head_frames as usize).max(1) - 1;
                seed.head = Some(self.labels.engine(&frames[head])?);
                seed.end = Some(self.labels.engine(&frames[frames.len() - 1])?);
                seed.head_kj_mol = Some(self.energy(&frames[head])?);
            }
        }
        Ok(())
    }

    /// The run's frames, through a reader.
    fn read(&self, out: &Path, record: &SeedRecord) -> Result<(Topology, Vec<Frame>)> {
        let trajectory = out.join(&record.folder).join("md.xtc");
        read_seeds(self.host, &self.request.out.join("topology.pdb"), &trajectory)
            .context("reading a run back")
    }

    fn energy(&self, frame: &Frame) -> Result<f64> {
        let cell = frame.cell_nm.map(|c| c.map(|row| row.map(f64::from)));
        let energy = self.runner.engine().energy(&double(&frame.positions_nm), cell)?;
        Ok(energy.potential_kj_mol)
    }

    /// Energies of all stored frames behind the heads.
    fn energies(&self, seeds: &[DemoSeed]) -> Result<Vec<f64>> {
        let skip = (self.request.lengths.head_ps / self.request.lengths.frame_ps).round() as usize;
        let mut all = Vec::new();
        for seed in seeds.iter().filter(|s| s.end.is_some()) {
            let (_, frames) = self.read(&self.request.out.join("plain"), &seed.record)?;
            for frame in frames.iter().skip(skip) {
                all.push(self.energy(frame)?);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spread_and_percentiles_ordered() {
        assert_eq!(evenly(100, 4).collect::<Vec<_>>(), [12, 37, 62, 87]);
        assert_eq!(evenly(2, 5).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(evenly(0, 5).count(), 0);
        assert_eq!(percentile((0..101).map(f64::from).collect(), 0.99), Some(99.0));
        assert_eq!(percentile(vec![], 0.99), None);
        assert_eq!(gcd(12, 18), 6);
    }
}
