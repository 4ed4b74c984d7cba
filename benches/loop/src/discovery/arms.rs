//! Arms: a strategy on a peptide. Those of bench B, each a loop of the same MD.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use marsfm::Host;
use marsfm::adaptive::{self, ImportRequest};
use marsfm_trajectory::Frame;

use super::{Bench, ENGINE, Request, of_role, template};
use crate::root;

/// Runs of an epoch.
pub const PLACES: usize = 6;
/// Epochs.
pub const EPOCHS: usize = 6;
/// Paired repeats of bench B at most.
pub const REPEATS: usize = 6;
/// Heads and runs, ps.
pub const HEAD_PS: f64 = 10.0;
pub const RUN_PS: f64 = 200.0;
/// All MD of a strategy, ps; preparation, some 2 ps a run, comes on top and is charged.
pub const BUDGET_PS: f64 = (PLACES * EPOCHS) as f64 * (HEAD_PS + RUN_PS);
/// MD that was there before, ps: what an epoch costs, and charged as such.
pub const STORED_PS: f64 = PLACES as f64 * (HEAD_PS + RUN_PS);
/// Of the peptides' MD.
pub const TEMPERATURE_KELVIN: f64 = 350.0;

/// Bench B. The surrogate first: what the others are measured by.
pub static BENCH: Bench = Bench {
    letter: "b",
    strategies: &["tree", "library", "stored", "least-counts", "parallel", "long"],
    budget_ps: BUDGET_PS,
    begin,
    charged: |_, _| Ok([0.0; 2]),
};

/// One repeat of one strategy on one peptide.
#[derive(Clone, Copy)]
pub struct Arm<'a> {
    pub bench: &'static Bench,
    pub system: &'a str,
    pub strategy: &'a str,
    pub repeat: usize,
}

impl Arm<'_> {
    /// The folder of its loop in the bench's.
    pub fn name(&self) -> String {
        let Self { bench, system, strategy, repeat } = self;
        match self.run() {
            Some(_) => format!("{}/all/{system}/{strategy}", bench.letter),
            None => format!("{}/r{repeat}/{system}/{strategy}", bench.letter),
        }
    }

    /// The run that it is of its loop; none if it is all of it. Long runs of all repeats are the runs
    /// of one loop: each has random numbers of its own, and side by side they cost little more than
    /// one of them.
    pub fn run(&self) -> Option<usize> {
        (self.strategy == "long").then_some(self.repeat)
    }

    /// Repeats are paired: all strategies but the long run have the same first epoch.
    pub fn rng_seed(&self) -> u64 {
        rng_seed(self.system, self.run().map_or(self.repeat, |_| 0))
    }

    /// Settings of its loop.
    pub fn settings(
        &self,
        template: &Path,
        (proposer, options): (&str, &str),
        epochs: usize,
    ) -> String {
        let (seeds, run_ps) = match self.run() {
            Some(_) => (REPEATS, BUDGET_PS - HEAD_PS),
            None => (PLACES, RUN_PS),
        };
        format!(
            "rng_seed = {}\n{ENGINE}options = {{ template = {template:?} }}\n\
             [budget]\nepochs = {epochs}\nseeds = {seeds}\nhead_ps = {HEAD_PS:?}\n\
             run_ps = {run_ps:?}\nframe_ps = 1.0\n[model]\nmsm_lag_ps = 10.0\n\
             [statistics]\ndraws = 0\n[strategy]\nproposer = \"{proposer}\"\n\
             [strategy.options]\n{options}\n",
            self.rng_seed()
        )
    }
}

/// Of a repeat on a peptide.
pub fn rng_seed(system: &str, repeat: usize) -> u64 {
    let letters = system.bytes().fold(0, |h: u64, b| (h * 31 + u64::from(b)) % 100_000);
    letters * 100 + repeat as u64
}

/// Begins an arm of bench B.
fn begin(arm: &Arm<'_>, host: &Host, request: &Request, folder: &Path) -> Result<()> {
    let template = template(request, arm.system)?;
    let (mut proposer, mut options) = (arm.strategy, String::new());
    let mut epochs = EPOCHS;
    ensure!(arm.repeat < REPEATS, "there are {REPEATS} repeats");
    match arm.strategy {
        "tree" => {
            let model = root().join("examples/models/tetrapeptide/tetrapeptide.safetensors");
            options = format!("model = {:?}", std::path::absolute(model)?);
        }
        "library" => {
            let systems = of_role(&request.data[0], "train")?;
            ensure!(!systems.iter().any(|s| s == arm.system), "it is a training peptide");
            options = format!("data = {:?}\nsystems = {systems:?}", request.data[0]);
        }
        "stored" => {
            let from = request.data[0].join(arm.system);
            let topology = from.join(format!("{}.pdb", arm.system));
            let path = folder.join("stored.xtc");
            let replica = from.join(format!("r{}.xtc", arm.repeat % 4));
            beginning(host, &topology, &replica, &path)?;
            options = format!("topology = {topology:?}\ntrajectories = [{path:?}]");
            epochs -= 1;
        }
        "least-counts" => proposer = "visited",
        "long" => (proposer, epochs) = ("parallel", 1),
        _ => {}
    }
    let text = arm.settings(&template, (proposer, &options), epochs);
    let file = folder.join("loop.toml");
    std::fs::write(&file, text)?;
    // The journal appears under its name when the loop is whole, stored MD included.
    let partial = folder.join("partial");
    adaptive::begin(host, &file, &partial)?;
    if arm.strategy == "stored" {
        let own = request.data[0].join(arm.system);
        let import = ImportRequest {
            trajectories: vec![folder.join("stored.xtc")],
            topology: Some(own.join(format!("{}.pdb", arm.system))),
            head_ps: 0.0,
            frame_ps: Some(1.0),
        };
        adaptive::import(host, &partial, &import)?;
    }
    Ok(std::fs::rename(&partial, folder.join("loop"))?)
}

/// Copies the first frames of a replica: MD that a user has.
pub fn beginning(host: &Host, topology: &Path, from: &Path, to: &Path) -> Result<()> {
    let (atoms, _) = host.read_topology(topology)?;
    let mut source = host.open(from, Some(atoms.len()))?;
    let mut sink = host.create(to, &atoms)?;
    let mut frame = Frame::default();
    for index in 0..STORED_PS as usize {
        let more = source.read(&mut frame)?;
        ensure!(more, "{}: has {index} of {STORED_PS} frames", from.display());
        sink.write(&frame)?;
    }
    sink.finish().context("stored.xtc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_have_random_numbers_of_their_own() {
        let mut all = std::collections::BTreeSet::new();
        for system in super::super::scoring() {
            for repeat in 0..REPEATS {
                let arm = Arm { bench: &BENCH, system: &system, strategy: "tree", repeat };
                let other = Arm { strategy: "library", ..arm };
                assert_eq!(arm.rng_seed(), other.rng_seed());
                assert!(all.insert(arm.rng_seed()), "{system} {repeat}");
            }
        }
    }

    #[test]
    fn every_strategy_has_the_same_md() {
        for strategy in BENCH.strategies {
            let arm = Arm { bench: &BENCH, system: "TPCR", strategy, repeat: 3 };
            let long = *strategy == "long";
            let (proposer, epochs, runs) =
                if long { ("parallel", 1, 1) } else { ("visited", EPOCHS, EPOCHS * PLACES) };
            let text = arm.settings(Path::new("/template"), (proposer, ""), epochs);
            let settings = adaptive::LoopSettings::parse(&text).unwrap();
            let (head, rest) = settings.run_frames();
            assert_eq!(runs as f64 * (head + rest) as f64, BUDGET_PS, "{strategy}");
        }
    }
}
