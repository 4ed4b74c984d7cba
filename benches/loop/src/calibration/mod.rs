//! Bench A on peptides: do the intervals of seeded MD hold what long MD says, wherever seeds were put?
//! Loops of one budget on peptides with a reference, their runs read in the reference's states.

pub mod rows;
pub mod tables;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use marsfm::Host;
use marsfm::adaptive::{self, Ended, Limits};
use marsfm_adaptive::statistics::Estimate;

use crate::discovery::arms::{TEMPERATURE_KELVIN, beginning, rng_seed};
use crate::discovery::reference::Reference;
use crate::discovery::{ENGINE, Request, of_role, template};
use crate::finished::Rows;
use crate::root;
use rows::{Nanoseconds, Row, State};

/// Where seeds come from, `plain` is parallel MD; after a `*`, how many times the MD.
pub const SEEDS: [&str; 8] = [
    "surrogate",
    "library",
    "stored",
    "adversarial",
    "plain",
    "surrogate*4",
    "adversarial*4",
    "plain*4",
];
/// Epochs, and runs of each.
const EPOCHS: usize = 5;
const PLACES: usize = 16;
/// Bootstrap draws.
const DRAWS: usize = 100;

/// AVDA, and a peptide whose Pro-Ile bond is slow.
pub fn systems() -> Vec<String> {
    ["AVDA", "PIQV"].map(String::from).to_vec()
}

/// The kinds of seeds on a system: more MD where 16.8 ns are few of its slowest timescales.
fn seeds_of(system: &str) -> impl Iterator<Item = &'static str> {
    SEEDS.into_iter().filter(move |s| system == "PIQV" || !s.contains('*'))
}

/// Runs what is missing, the first repeats of all systems and seeds first.
pub fn run(request: &Request) -> Result<()> {
    ensure!(!request.data.is_empty(), "--data is missing: a folder with one folder per peptide");
    let host = Host::with_default_paths();
    let mut rows = Rows::open(&request.rows)?;
    for repeat in 0..request.repeats {
        for system in &request.systems {
            if seeds_of(system).all(|s| rows.has(system, s, repeat)) {
                continue;
            }
            let reference = Reference::open(&host, request, system).context(system.clone())?;
            rows.agree(system, &Nanoseconds(reference.ns))?;
            for seeds in seeds_of(system) {
                if rows.has(system, seeds, repeat) {
                    continue;
                }
                let row = one(&host, request, &reference, (system, seeds, repeat))
                    .with_context(|| format!("{system}, {seeds}, repeat {repeat}"))?;
                eprintln!("repeat {}: {system}, {seeds}: {:.2} ns", repeat + 1, row.md_ns);
                rows.add(&row)?;
            }
        }
    }
    Ok(())
}

/// Which proposer, with which options, in TOML.
fn strategy(
    host: &Host,
    request: &Request,
    reference: &Reference,
    folder: &Path,
    (system, seeds, repeat): (&str, &str, usize),
) -> Result<(&'static str, String)> {
    let template = template(request, system)?;
    Ok(match seeds {
        "surrogate" => {
            let model = root().join("examples/models/tetrapeptide/tetrapeptide.safetensors");
            ("jump", format!("model = {:?}", std::path::absolute(model)?))
        }
        "library" => {
            let mut systems = of_role(&request.data[0], "train")?;
            systems.retain(|s| s != system);
            ("library", format!("data = {:?}\nsystems = {systems:?}", request.data[0]))
        }
        "stored" => {
            let from = request.data[0].join(system);
            let (topology, path) = (from.join(format!("{system}.pdb")), folder.join("stored.xtc"));
            beginning(host, &topology, &from.join(format!("r{}.xtc", repeat % 2)), &path)?;
            ("stored", format!("topology = {topology:?}\ntrajectories = [{path:?}]"))
        }
        "adversarial" => {
            let (topology, path) = (template.join("topology.pdb"), folder.join("rarest.xtc"));
            reference.write_rarest(host, &topology, &path)?;
            ("imported", format!("topology = {topology:?}\ntrajectories = [{path:?}]"))
        }
        _ => ("parallel", String::new()),
    })
}

fn begin(
    host: &Host,
    request: &Request,
    reference: &Reference,
    folder: &Path,
    (system, seeds, repeat): (&str, &str, usize),
) -> Result<()> {
    let (kind, epochs) = match seeds.split_once('*') {
        Some((kind, times)) => (kind, times.parse::<usize>()? * EPOCHS),
        None => (seeds, EPOCHS),
    };
    let (proposer, options) = strategy(host, request, reference, folder, (system, kind, repeat))?;
    let template = template(request, system)?;
    let text = format!(
        "rng_seed = {}\n{ENGINE}options = {{ template = {template:?} }}\n\
         [budget]\nepochs = {epochs}\nseeds = {PLACES}\nhead_ps = 10.0\nrun_ps = 200.0\n\
         frame_ps = 1.0\n[model]\nmsm_lag_ps = 10.0\n[statistics]\ndraws = 0\n[strategy]\n\
         proposer = \"{proposer}\"\n[strategy.options]\n{options}\n",
        rng_seed(system, repeat)
    );
    let file = folder.join("loop.toml");
    std::fs::write(&file, text)?;
    let partial = folder.join("partial");
    adaptive::begin(host, &file, &partial)?;
    Ok(std::fs::rename(&partial, folder.join("loop"))?)
}

/// One loop from its begin to its row.
fn one(
    host: &Host,
    request: &Request,
    reference: &Reference,
    (system, seeds, repeat): (&str, &str, usize),
) -> Result<Row> {
    struct Silent;
    impl adaptive::Watch for Silent {}
    let folder = request.state.join(format!("a/r{repeat}/{system}/{seeds}"));
    if !folder.join("loop/journal").exists() {
        // Half a beginning: nothing was spent on it.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        begin(host, request, reference, &folder, (system, seeds, repeat))?;
    }
    let folder = folder.join("loop");
    let (ended, _) = adaptive::go_on(host, &folder, Limits::default(), &mut Silent)?;
    if !matches!(ended, Ended::Complete | Ended::Budget) {
        bail!("{}: ended early: {ended:?}", folder.display());
    }
    let mut store = adaptive::look(&folder)?;
    let rows = store.rows()?.to_vec();
    let micro: Vec<Vec<i32>> = rows
        .iter()
        .map(|run| reference.micro(&run.rows[run.head_frames..]))
        .collect::<Result<_>>()?;
    let runs: Vec<&[i32]> = micro.iter().map(Vec::as_slice).collect();
    let settings = store.settings();
    // MD that gives no model is an answer, too: no state has a number.
    let numbers = reference.numbers(&runs, DRAWS, settings.rng_seed).ok();
    let truth = reference.truth(DRAWS)?;
    let three = |e: Option<Estimate>| match e {
        None => [None; 3],
        Some(e) => [Some(e.value), e.low, e.high],
    };
    let state = |s: usize| State {
        truth: three(truth.free_energies_kj_mol[s]),
        found: three(numbers.as_ref().and_then(|n| n.free_energies_kj_mol[s])),
    };
    Ok(Row {
        system: system.into(),
        seeds: seeds.into(),
        repeat,
        rng_seed: settings.rng_seed,
        kelvin: TEMPERATURE_KELVIN,
        reference_ns: reference.ns,
        md_ns: store.history().md_ps(settings.budget.frame_ps) / 1000.0,
        lost: store.history().lost.len(),
        cpu_s: store.stages().cpu,
        states: (0..truth.free_energies_kj_mol.len()).map(state).collect(),
    })
}
