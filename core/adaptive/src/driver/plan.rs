//! Choosing the seeds of an epoch.

use std::cell::RefCell;
use std::collections::BTreeMap;

use marsfm_trajectory::write_atomically;

use super::{Driver, mix, relative};
use crate::clock::Stopwatch;
use crate::history::{Plan, Record, SeedRecord};
use crate::propose::{Context, Proposal};
use crate::settings::structure_bytes;
use crate::store::sha256;
use crate::watch::Watch;
use crate::{Candidate, Engine, LoopError, Proposer, Selector};

/// Frames of earlier MD that an engine is calibrated with.
const CALIBRATION: usize = 12;

/// What was chosen, and what it cost.
struct Chosen {
    proposals: Vec<Proposal>,
    proposed: usize,
    accepted: usize,
    weights: Vec<f64>,
    /// Wall time of model, proposals and choice, s.
    seconds: [f64; 3],
}

impl Driver {
    /// A plan for the epoch, into its file and the journal.
    pub(super) fn plan(
        &mut self,
        epoch: usize,
        engine: &dyn Engine,
        proposer: &mut dyn Proposer,
        watch: &mut dyn Watch,
    ) -> Result<(), LoopError> {
        let n = self.settings().plain_runs().unwrap_or(self.settings().budget.seeds);
        let clock = Stopwatch::start();
        let chosen = if self.history().runs.is_empty() {
            let plain = self.settings().plain_runs().is_some();
            let class = if plain { "plain" } else { "template" }.to_owned();
            let one = Proposal { structure: engine.template(), parent: None, class };
            let (weights, seconds) = (Vec::new(), [0.0; 3]);
            Chosen { proposals: vec![one; n], proposed: n, accepted: n, weights, seconds }
        } else {
            self.choose(epoch, n, engine, proposer, watch)?
        };
        let folder = self.epoch_folder(epoch);
        std::fs::create_dir_all(&folder).map_err(|e| LoopError::io(&folder, &e))?;
        let file = folder.join("seeds.f64");
        let structures = chosen.proposals.iter().map(|p| &p.structure);
        let content: Vec<u8> = structures.flat_map(structure_bytes).collect();
        write_atomically(&file, &content).map_err(|e| LoopError::io(&file, &e))?;
        watch.point("seeds-written");
        let seeds = chosen.proposals.iter().enumerate().map(|(seed, p)| SeedRecord {
            class: p.class.clone(),
            parent: p.parent,
            rng_seed: mix(self.settings().rng_seed, epoch as u64, seed as u64),
        });
        let [model, propose, choose] = chosen.seconds;
        let plan = Plan {
            epoch,
            seeds: seeds.collect(),
            structures: relative(self.store.folder(), &file),
            sha256: sha256(&content),
            proposed: chosen.proposed,
            accepted: chosen.accepted,
            weights: chosen.weights,
            seconds: [model, propose, choose, clock.read()[1]],
        };
        self.spent.staged += model + propose + choose;
        self.record(Record::Planned(plan), watch)?;
        watch.point("plan-recorded");
        Ok(())
    }

    fn choose(
        &mut self,
        epoch: usize,
        n: usize,
        engine: &dyn Engine,
        proposer: &mut dyn Proposer,
        watch: &mut dyn Watch,
    ) -> Result<Chosen, LoopError> {
        let mut weights = self.history().plans.last().map_or(Vec::new(), |p| p.weights.clone());
        let clock = Stopwatch::start();
        let model = self.model(engine)?;
        let modelled = clock.read()[0];
        let trajectories = self.store.trajectories();
        let history = self.store.history();
        let watch = RefCell::new(watch);
        let go = |stage: &str| watch.borrow_mut().progress(self.at(stage, 0.0));
        let context =
            Context { engine, model: &model, trajectories: &trajectories, history, go: &go };
        let mut rng = self.stream(epoch, 0);
        let ask = n * self.settings().strategy.proposals_per_seed;
        let proposals = proposer.propose(&context, ask, &mut rng)?;
        let proposed = clock.read()[0];
        let (mut kept, mut candidates) = (Vec::new(), Vec::new());
        for proposal in &proposals {
            let Ok(row) = engine.row(&proposal.structure) else { continue };
            if row.iter().all(|v| v.is_finite()) {
                candidates.push(model.candidate(row)?);
                kept.push(proposal);
            }
        }
        if kept.is_empty() {
            return Err(LoopError::words(format!(
                "epoch {epoch}: none of {} proposals of {} can be started from",
                proposals.len(),
                proposer.class()
            )));
        }
        let selector = Selector(self.settings().strategy.selector.clone());
        let shares = proposer.shares(&context, n).unwrap_or_default();
        let mut rng = self.stream(epoch, 1);
        let mut chosen = Vec::new();
        for (which, n) in parts(&kept, &shares, n) {
            let some: Vec<Candidate> = which.iter().map(|i| candidates[*i].clone()).collect();
            let (picked, new) = selector.choose(&model, &some, n, &weights, &mut rng)?;
            weights = new;
            chosen.extend(picked.into_iter().map(|i| which[i]));
        }
        let seconds = [modelled, proposed - modelled, clock.read()[0] - proposed];
        Ok(Chosen {
            proposals: chosen.into_iter().map(|i| kept[i].clone()).collect(),
            proposed: proposals.len(),
            accepted: kept.len(),
            weights,
            seconds,
        })
    }

    /// Shows the engine frames of MD that nobody seeded from far away: imported MD, or the first
    /// epoch's. Which ones does not depend on where the loop was stopped.
    pub(super) fn calibrate(
        &mut self,
        engine: &mut dyn Engine,
        watch: &mut dyn Watch,
    ) -> Result<(), LoopError> {
        let h = self.history();
        let of = |epoch: Option<usize>| -> Vec<usize> {
            (0..h.runs.len()).filter(|i| h.runs[*i].epoch == epoch).collect()
        };
        let runs = match of(None) {
            none if none.is_empty() && !h.epochs.is_empty() => of(Some(0)),
            imported => imported,
        };
        if runs.is_empty() {
            return Ok(());
        }
        let trajectories = self.store.trajectories();
        let mut frames = Vec::new();
        for k in 0..CALIBRATION {
            let at = runs[k * runs.len() / CALIBRATION];
            let r = &h.runs[at];
            let counted = r.frames - r.head_frames;
            let frame = r.head_frames + (2 * k as u64 + 1) * counted / (2 * CALIBRATION as u64);
            let frame = engine.frame(&trajectories[at], frame as usize);
            frames.push(frame.map_err(LoopError::words)?);
        }
        let mut go = |_: f64| watch.progress(self.at("calibrating the engine", 0.0));
        engine
            .calibrate(self.store.folder(), &frames, &mut go)
            .map_err(|e| LoopError::words(e.to_string()).stopped())
    }
}

/// Numbers of the proposals of each class, and how many of them to run: all together unless the
/// proposer wants shares. What a class without proposals leaves free goes to the others.
fn parts(
    kept: &[&Proposal],
    shares: &BTreeMap<String, usize>,
    n: usize,
) -> Vec<(Vec<usize>, usize)> {
    if shares.is_empty() {
        return vec![((0..kept.len()).collect(), n)];
    }
    let of = |class: &str| (0..kept.len()).filter(|i| kept[*i].class == class).collect();
    let mut out: Vec<(Vec<usize>, usize)> = shares.iter().map(|(c, n)| (of(c), *n)).collect();
    out.retain(|(which, _)| !which.is_empty());
    let mut left = n.saturating_sub(out.iter().map(|(w, n)| (*n).min(w.len())).sum());
    for (which, n) in &mut out {
        *n = (*n).min(which.len());
        let more = (which.len() - *n).min(left);
        *n += more;
        left -= more;
    }
    out.retain(|(_, n)| *n > 0);
    out
}
