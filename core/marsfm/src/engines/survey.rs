//! What seeds of a surrogate are worth, over several peptides: beside them the same samples as
//! drawn, the residue library's, and frames of the MD, all prepared and run in the same way.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use marsfm_host::{Device, EngineLimits, Host};
use marsfm_sampling::{Node, ResidueLibrary, TreeSpec, judge};
use marsfm_surrogate::Surrogate;
use serde::Serialize;
use serde_json::{Map, Value};

use super::runner::{Lengths, Runner};
use super::trial::{
    Bench, Candidate, DemoSeed, Labels, double, evenly, frames, gate, percentile, same_states,
    single,
};
use super::{place, record};
use crate::benchmark;
use crate::markov::{self, MsmSettings};
use crate::sample::{self, DEFAULT_SOLVER, Start};
use crate::systems::{System, SystemFiles};

/// What to compare.
pub struct SurveyRequest<'a> {
    /// Folder with one folder per system: those surveyed and those the surrogate was trained on.
    pub data: &'a Path,
    /// Systems; none may be one that the surrogate was trained on.
    pub systems: &'a [String],
    /// Folder with the engine's template of each system in a folder of its name.
    pub templates: &'a Path,
    /// The surrogate.
    pub model: &'a Path,
    /// Where it computes.
    pub device: &'a Device,
    /// Name of the engine.
    pub engine: &'a str,
    /// Its options, without `template`.
    pub options: &'a Map<String, Value>,
    /// How long it may be silent.
    pub limits: EngineLimits,
    /// Frames of the MD to jump from, evenly spread.
    pub parents: usize,
    /// Seeds of each group and system, chosen without looking at them.
    pub seeds: usize,
    /// Groups of seeds to survey, of [`GROUPS`]; frames of the MD always stand beside them.
    pub groups: &'a [String],
    /// Frames of the MD that make the energy gate.
    pub before: usize,
    /// Lengths of the runs; only frames of the MD are run further than the head.
    pub lengths: Lengths,
    /// Random seed.
    pub rng_seed: u64,
    /// Folder to write into.
    pub out: &'a Path,
}

/// What became of seeds of one kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Group {
    /// Seeds prepared.
    pub seeds: usize,
    /// Number of each verdict.
    pub verdicts: BTreeMap<String, usize>,
    /// Number of each reason.
    pub reasons: BTreeMap<String, usize>,
    /// Move of the heavy atoms by closing the chain before the engine saw them, median, nm.
    pub idealised_nm: f64,
    /// Move of the heavy atoms in preparation, median, nm.
    pub moved_nm: f64,
    /// Of the seeds that ran, those whose energy after the head is below the 99th percentile of MD.
    pub quiet: (usize, usize),
    /// Of the seeds that are elsewhere than their parent and ran, those still in their state after
    /// the head; of frames of the MD, all.
    pub survived: (usize, usize),
    /// The same from the label after minimisation, before the strong-friction start.
    pub survived_from_minimised: (usize, usize),
    /// Of the seeds that after minimisation are elsewhere than their parent and ran, those that the
    /// strong-friction start left in their state; of frames of the MD, all.
    pub kept_by_start: (usize, usize),
}

impl Group {
    /// Share of seeds valid without repair.
    pub fn valid(&self) -> f64 {
        share((self.verdicts.get("valid").copied().unwrap_or(0), self.seeds))
    }

    fn of(seeds: &[&Trial]) -> Self {
        let mut group = Self { seeds: seeds.len(), ..Self::default() };
        let (mut moved, mut idealised) = (Vec::new(), Vec::new());
        let count = |(k, n): &mut (usize, usize), hit: bool| {
            *k += usize::from(hit);
            *n += 1;
        };
        for Trial { seed, p99, plain } in seeds {
            *group.verdicts.entry(seed.record.verdict.clone()).or_default() += 1;
            for reason in &seed.record.reasons {
                *group.reasons.entry(reason.clone()).or_default() += 1;
            }
            moved.extend(seed.record.rms_nm);
            idealised.push(seed.idealised_nm);
            if let (Some(energy), Some(p99)) = (seed.head_kj_mol, p99) {
                count(&mut group.quiet, energy <= *p99);
            }
            if let Some(hit) = seed.survived()
                && (*plain || seed.is_elsewhere(seed.prepared))
            {
                count(&mut group.survived, hit);
            }
            if let Some(hit) = seed.survived_from_minimised()
                && (*plain || seed.is_elsewhere(seed.minimised))
            {
                count(&mut group.survived_from_minimised, hit);
                let (from, to) = (seed.minimised, seed.prepared);
                count(&mut group.kept_by_start, from.map(|p| p.state) == to.map(|p| p.state));
            }
        }
        group.moved_nm = percentile(moved, 0.5).unwrap_or(f64::NAN);
        group.idealised_nm = percentile(idealised, 0.5).unwrap_or(f64::NAN);
        group
    }
}

/// A share; NaN of nothing.
pub fn share((k, n): (usize, usize)) -> f64 {
    k as f64 / n as f64
}

/// All groups, over all systems and for each.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// The surrogate's file.
    pub model_sha256: String,
    /// What the engine says.
    pub notes: Vec<String>,
    /// Lengths of the runs.
    pub lengths: Lengths,
    /// Over all systems, by name of the group.
    pub pooled: Vec<(String, Group)>,
    /// For each system.
    pub systems: BTreeMap<String, Vec<(String, Group)>>,
    /// Wall time, s.
    pub seconds: f64,
}

/// The groups, in the order of the table.
pub const GROUPS: [&str; 4] = ["surrogate", "as_drawn", "library", "plain"];

/// A seed with what it is compared to.
struct Trial {
    seed: DemoSeed,
    p99: Option<f64>,
    plain: bool,
}

/// Runs the comparison; `event(stage, done, of)` tells where it is.
pub fn survey(
    host: &Host,
    request: &SurveyRequest,
    mut event: impl FnMut(&str, usize, usize),
) -> Result<Survey> {
    let clock = std::time::Instant::now();
    let surrogate = host.surrogate(request.model, request.device)?;
    let training = surrogate.card().training.clone();
    let seen: Vec<String> = training.map(|t| t.systems.into_keys().collect()).unwrap_or_default();
    if let Some(both) = request.systems.iter().find(|s| seen.contains(s)) {
        anyhow::bail!("the surrogate was trained on {both}: seeds of it prove nothing");
    }
    if let Some(bad) = request.groups.iter().find(|g| !GROUPS.contains(&g.as_str())) {
        anyhow::bail!("there is no group `{bad}`; there are {}", GROUPS.join(", "));
    }
    ensure!(
        request.groups.iter().any(|g| g == GROUPS[0]),
        "the group `{}` must be among those surveyed: frames of the MD are chosen for its states",
        GROUPS[0]
    );
    event("building the residue library", 0, 0);
    let (library, missing) =
        benchmark::training_library(host, &[request.data.to_path_buf()], &surrogate)?;
    let (mut all, mut notes) = (BTreeMap::new(), Vec::new());
    for name in request.systems {
        let (trials, said) = one(host, request, &surrogate, &library, name, &mut event)
            .with_context(|| format!("system {name}"))?;
        all.insert(name.clone(), trials);
        notes = said;
    }
    if !missing.is_empty() {
        notes.push(format!("the residue library lacks {}, not in the folder", missing.join(" ")));
    }
    let group = |name: &str, systems: &[&BTreeMap<&'static str, Vec<Trial>>]| {
        let mine: Vec<&Trial> = systems.iter().filter_map(|s| s.get(name)).flatten().collect();
        (name.to_owned(), Group::of(&mine))
    };
    let groups = |systems: &[&BTreeMap<&'static str, Vec<Trial>>]| {
        GROUPS.iter().map(|name| group(name, systems)).collect::<Vec<_>>()
    };
    let made = Survey {
        model_sha256: surrogate.sha256().to_owned(),
        notes,
        lengths: request.lengths,
        pooled: groups(&all.values().collect::<Vec<_>>()),
        systems: all.iter().map(|(name, trials)| (name.clone(), groups(&[trials]))).collect(),
        seconds: clock.elapsed().as_secs_f64(),
    };
    record::write(&request.out.join("survey.json"), &made)?;
    Ok(made)
}

type Trials = BTreeMap<&'static str, Vec<Trial>>;

/// One system.
fn one(
    host: &Host,
    request: &SurveyRequest,
    surrogate: &Surrogate,
    library: &ResidueLibrary,
    name: &str,
    event: &mut impl FnMut(&str, usize, usize),
) -> Result<(Trials, Vec<String>)> {
    event(&format!("{name}: building the Markov model"), 0, 0);
    let system = System::load(host, &SystemFiles::in_folder(request.data, name)?)?;
    let model = markov::build(&system, &MsmSettings::default())?;
    let mut options = request.options.clone();
    let template = std::path::absolute(request.templates.join(name))?;
    options.insert("template".into(), template.to_string_lossy().into());
    let runner = Runner::open(host, request.engine, &options, request.limits)?;
    let engine_top = runner.system().topology.clone();
    let engine_reference = single(&runner.system().positions_nm);
    let own_reference = double(&system.reference.positions_nm);
    let own = (&system.topology, &system.peptide, &own_reference[..]);
    let back = place::Map::new(own, &engine_top, &engine_reference)?;
    let labels = Labels { system: &system, model: &model, back };
    let md = frames(&system);
    let out = &request.out.join(name);
    runner.write_topology(host, out)?;

    event(&format!("{name}: drawing"), 0, 0);
    let mut candidates: BTreeMap<&'static str, Vec<Candidate>> = BTreeMap::new();
    for (k, parent) in evenly(md.len(), request.parents).enumerate() {
        let start_nm = &md[parent].positions_nm;
        let from = labels.own(start_nm)?;
        let each = request.seeds * (k + 1) / request.parents - request.seeds * k / request.parents;
        let rng_seed = request.rng_seed.wrapping_add(k as u64);
        let drawn = jumps(surrogate, &system, start_nm, each, rng_seed)?;
        for node in &drawn {
            for (group, close) in [("surrogate", true), ("as_drawn", false)] {
                let candidate = labels.candidate(start_nm, from, node, close)?;
                candidates.entry(group).or_default().push(candidate);
            }
        }
        for node in independent(library, &system, each, rng_seed)? {
            let candidate = labels.candidate(start_nm, from, &node, false)?;
            candidates.entry("library").or_default().push(candidate);
        }
    }

    event(&format!("{name}: minimising frames of the MD for the energy gate"), 0, 0);
    let gate = gate(&runner, &system, &md, request.before, &out.join("before"))?;
    let mut stage =
        |what: &str, done: usize, of: usize| event(&format!("{name}: {what}"), done, of);
    let (labels, runner, rng_seed) = (&labels, &runner, request.rng_seed);
    let mut bench = Bench { host, out, runner, labels, gate, rng_seed, event: &mut stage };
    let mut done: BTreeMap<&'static str, Vec<DemoSeed>> = BTreeMap::new();
    let head = Lengths { ps: 0.0, ..request.lengths };
    for (group, candidates) in &candidates {
        if !request.groups.iter().any(|g| g == group) {
            continue;
        }
        done.insert(group, bench.all(group, candidates, head)?.1);
    }
    let of_surrogate = done.get("surrogate").map_or(&[][..], Vec::as_slice);
    let controls = same_states(labels, &md, of_surrogate, rng_seed)?;
    let plain = bench.all("plain", &controls, request.lengths)?.1;
    let p99 = percentile(bench.energies("plain", &plain, request.lengths)?, 0.99);
    done.insert("plain", plain);
    record::write(&out.join("trials.json"), &done)?;
    let trials = done.into_iter().map(|(group, seeds)| {
        let trial = |seed: DemoSeed| Trial { seed, p99, plain: group == "plain" };
        (group, seeds.into_iter().map(trial).collect())
    });
    Ok((trials.collect(), runner.system().notes.clone()))
}

/// The first `n` accepted of at most four times as many draws.
fn jumps(
    surrogate: &Surrogate,
    system: &System,
    positions_nm: &[[f32; 3]],
    n: usize,
    rng_seed: u64,
) -> Result<Vec<Node>> {
    let start = Start { topology: &system.topology, peptide: &system.peptide, positions_nm };
    let spec = TreeSpec { roots: n, branching: 0, depth: 1, budget: 4 * n, retries: 3 };
    let nodes = sample::tree(surrogate, &start, &spec, rng_seed, DEFAULT_SOLVER, |_, _| true)?;
    let accepted: Vec<Node> = nodes.into_iter().filter(|n| n.verdict.accepted()).take(n).collect();
    ensure!(accepted.len() == n, "only {} of {} draws are accepted", accepted.len(), 4 * n);
    Ok(accepted)
}

/// As many accepted draws of the residue library.
fn independent(
    library: &ResidueLibrary,
    system: &System,
    n: usize,
    rng_seed: u64,
) -> Result<Vec<Node>> {
    let types = system.peptide.types();
    let mut nodes = Vec::new();
    for id in 0..100 * n as u64 {
        if nodes.len() == n {
            break;
        }
        let conformation = library.draw(types, rng_seed, id)?;
        let verdict = judge(types, &conformation);
        if verdict.accepted() {
            nodes.push(Node { parent: None, depth: 1, frame: None, id, conformation, verdict });
        }
    }
    ensure!(nodes.len() == n, "the residue library gave only {} accepted draws", nodes.len());
    Ok(nodes)
}
