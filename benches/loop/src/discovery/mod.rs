//! Benches B and C: how much MD until the states of a peptide are found, by strategy.
//! Paired repeats, the first ones of all peptides first; stop it at any time. What has a row is not
//! made again, also where the state of the machine that made it is gone.

pub mod arms;
pub mod own;
mod reach;
pub mod reference;
pub mod rows;
pub mod tables;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use marsfm::Host;
use marsfm::adaptive::{self, Ended, Limits};
use marsfm_adaptive::{Stopwatch, Store};

use crate::finished::Rows;
use arms::{Arm, TEMPERATURE_KELVIN};
use reach::{Reached, reached};
use reference::Reference;
use rows::{Known, Row};

/// The engine of all loops on peptides, in TOML: it runs OpenMM's Systems, all runs of an epoch for
/// the price of one.
pub const ENGINE: &str = "[engine]\nname = \"gbsa\"\ntogether = 16\n";

/// Share of the reference states that is asked for.
pub const SHARE: f64 = 0.8;

/// A bench: its strategies, the first of which the others are measured by.
pub struct Bench {
    /// Of its rows and folders.
    pub letter: &'static str,
    pub strategies: &'static [&'static str],
    /// All MD of an arm, ps.
    pub budget_ps: f64,
    /// Begins an arm's loop in a folder's `loop`.
    pub begin: fn(&Arm<'_>, &Host, &Request, &Path) -> Result<()>,
    /// MD, ps, and CPU time, s, that an arm spent outside of its loop.
    pub charged: fn(&Arm<'_>, &Request) -> Result<[f64; 2]>,
}

/// Where things are.
pub struct Request {
    /// Loops and references; kept, so that a bench that was stopped goes on.
    pub state: PathBuf,
    /// Folders with one folder per peptide; the first has templates and the manifest, all of them
    /// have reference MD.
    pub data: Vec<PathBuf>,
    /// Raw rows.
    pub rows: PathBuf,
    /// Paired repeats.
    pub repeats: usize,
    /// Peptides.
    pub systems: Vec<String>,
}

/// States asked for, of so many.
pub fn wanted(states: usize) -> usize {
    (SHARE * states as f64).ceil() as usize
}

/// Runs what is missing: all strategies and peptides of the first repeat, then of the second.
pub fn run(bench: &'static Bench, request: &Request) -> Result<()> {
    ensure!(!request.data.is_empty(), "--data is missing: a folder with one folder per peptide");
    let host = Host::with_default_paths();
    let mut rows = Rows::open(&request.rows)?;
    for repeat in 0..request.repeats {
        for system in &request.systems {
            if bench.strategies.iter().all(|s| rows.has(system, s, repeat)) {
                continue;
            }
            let reference = Reference::open(&host, request, system).context(system.clone())?;
            let known = Known { ns: reference.ns, states: reference.states() };
            rows.agree(system, &known)?;
            for strategy in bench.strategies {
                if rows.has(system, strategy, repeat) {
                    continue;
                }
                let arm = Arm { bench, system, strategy, repeat };
                let row = one(&host, request, &reference, &arm)
                    .with_context(|| format!("{system}, {strategy}, repeat {repeat}"))?;
                eprintln!(
                    "repeat {}: {system}, {strategy}: {} of {} states in {:.2} ns",
                    repeat + 1,
                    row.reached.len(),
                    row.states,
                    row.md_ns
                );
                rows.add(&row)?;
            }
        }
    }
    Ok(())
}

/// Stops a loop between epochs once enough states are found, so that no CPU is spent on what a
/// restricted mean does not ask.
struct Enough<'a> {
    folder: &'a Path,
    reference: &'a Reference,
    found: Cell<bool>,
    charged: [f64; 2],
}

impl adaptive::Watch for Enough<'_> {
    fn progress(&mut self, p: adaptive::Progress<'_>) -> bool {
        if p.stage == "choosing seeds" && p.epoch.0 > 0 {
            let found = |r: Vec<Reached>| r.len() >= wanted(self.reference.states());
            let done = adaptive::look(self.folder).ok().and_then(|mut store| {
                reached(&mut store, self.reference, None, self.charged).ok().map(found)
            });
            self.found.set(done == Some(true));
        }
        !self.found.get()
    }
}

/// One loop from its begin to its row.
fn one(host: &Host, request: &Request, reference: &Reference, arm: &Arm<'_>) -> Result<Row> {
    let folder = request.state.join(arm.name());
    if !folder.join("loop/journal").exists() {
        // Half a beginning: nothing was spent on it.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        (arm.bench.begin)(arm, host, request, &folder)?;
    }
    let folder = folder.join("loop");
    let (clock, fresh) = (Stopwatch::start(), adaptive::look(&folder)?.history().plans.is_empty());
    let charged = (arm.bench.charged)(arm, request)?;
    let mut watch = Enough { folder: &folder, reference, found: Cell::new(false), charged };
    let (ended, _) = adaptive::go_on(host, &folder, Limits::default(), &mut watch)?;
    let found = watch.found.get();
    if !(found || matches!(ended, Ended::Complete | Ended::Budget)) {
        bail!("{}: ended early: {ended:?}", folder.display());
    }
    let spent = clock.read();
    let mut store = adaptive::look(&folder)?;
    let reached = reached(&mut store, reference, arm.run(), charged)?;
    let mut row = row(&store, reference, arm, (reached, charged));
    if let Some(run) = arm.run() {
        one_run(&mut row, &store, run).with_context(|| folder.display().to_string())?;
    } else if fresh {
        row.spent = Some(spent);
    }
    Ok(row)
}

/// Of a loop whose runs are repeats, what one of them cost.
fn one_run(row: &mut Row, store: &Store, run: usize) -> Result<()> {
    let h = store.history();
    ensure!(h.lost.is_empty(), "a run was lost");
    let run = h.runs.get(run).context("a run is missing")?;
    row.md_ns = reach::length(run, store.settings().budget.frame_ps) / 1000.0;
    row.cpu_md_s = run.seconds[1];
    row.cpu_propose_s /= h.runs.len() as f64;
    row.cpu_model_s /= h.runs.len() as f64;
    Ok(())
}

fn row(
    store: &Store,
    reference: &Reference,
    arm: &Arm<'_>,
    (reached, charged): (Vec<Reached>, [f64; 2]),
) -> Row {
    let h = store.history();
    let frame_ps = store.settings().budget.frame_ps;
    let runs: f64 = h.runs.iter().filter(|r| r.epoch.is_some()).map(|r| r.seconds[1]).sum();
    let lost: f64 = h.lost.iter().map(|l| l.seconds[1]).sum();
    // A plan knows the CPU time of its three parts together; they share it as they share the wall.
    let propose = |p: &marsfm_adaptive::Plan| {
        let wall: f64 = p.seconds[..3].iter().sum();
        if wall > 0.0 { p.seconds[3] * p.seconds[1] / wall } else { 0.0 }
    };
    let propose: f64 = h.plans.iter().map(propose).sum();
    Row {
        system: arm.system.into(),
        strategy: arm.strategy.into(),
        repeat: arm.repeat,
        rng_seed: store.settings().rng_seed,
        reference_ns: reference.ns,
        states: reference.states(),
        budget_ns: arm.bench.budget_ps / 1000.0,
        md_ns: (h.md_ps(frame_ps) + reach::stored_ps(store) + charged[0]) / 1000.0,
        lost: h.lost.len(),
        cpu_md_s: runs + lost + charged[1] + reach::stored_cpu_s(store),
        cpu_propose_s: propose,
        cpu_model_s: store.stages().cpu - runs - lost - propose,
        spent: None,
        reached: reached.into_iter().map(|r| (r.state, r.ns, r.cpu_s)).collect(),
    }
}

/// The six peptides that the default surrogate never saw.
pub fn scoring() -> Vec<String> {
    ["TPCR", "TIET", "FSAF", "QLAQ", "WMAS", "PPVQ"].map(String::from).to_vec()
}

/// Names of the peptides of a manifest with a role.
pub fn of_role(data: &Path, role: &str) -> Result<Vec<String>> {
    let path = data.join("manifest.json");
    let at = || format!("{}", path.display());
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).with_context(at)?).with_context(at)?;
    let all = manifest["peptides"].as_array().with_context(at)?;
    let named = all.iter().filter(|p| p["role"] == role).filter_map(|p| p["name"].as_str());
    Ok(named.map(String::from).collect())
}

/// The template folder of a peptide: the system that its reference MD was made with.
pub fn template(request: &Request, system: &str) -> Result<PathBuf> {
    let folder = request.state.join("templates").join(system);
    if !folder.join("settings.json").is_file() {
        let from = request.data[0].join(system);
        std::fs::create_dir_all(&folder)?;
        for (name, to) in [("system.xml", "system.xml"), ("full.pdb", "topology.pdb")] {
            let path = from.join(format!("{system}_{name}"));
            std::fs::copy(&path, folder.join(to)).with_context(|| format!("{}", path.display()))?;
        }
        let text = format!(
            "{{\"temperature_kelvin\": {TEMPERATURE_KELVIN}, \"friction_per_ps\": 0.3, \
             \"step_ps\": 0.004}}\n"
        );
        std::fs::write(folder.join("settings.json"), text)?;
    }
    Ok(folder)
}
