//! When a loop's MD reached each state. The runs of an epoch are meant side by side, as they would
//! be run by who has the machines: parallel MD is not judged by the order of its runs.

use anyhow::Result;
use marsfm::adaptive::STAY_PS;
use marsfm_adaptive::{RunRecord, Store};

use super::reference::{Reference, stays};

/// A state was reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    pub state: usize,
    /// All MD until then, ns: preparation, heads, lost seeds, stored MD.
    pub ns: f64,
    /// All CPU time until then, s.
    pub cpu_s: f64,
}

/// MD that was there before the loop, ps.
pub fn stored_ps(store: &Store) -> f64 {
    let imported = store.history().runs.iter().filter(|r| r.epoch.is_none());
    imported.map(|r| r.frames as f64 * store.settings().budget.frame_ps).sum()
}

/// MD of a run, ps.
pub fn length(run: &RunRecord, frame_ps: f64) -> f64 {
    run.prepare_ps + run.frames as f64 * frame_ps
}

/// What MD that was there before would have cost: this loop's own CPU time per ps, s.
pub fn stored_cpu_s(store: &Store) -> f64 {
    stored_ps(store) * pace(store)
}

fn pace(store: &Store) -> f64 {
    let own = || store.history().runs.iter().filter(|r| r.epoch.is_some());
    let ps: f64 = own().map(|r| length(r, store.settings().budget.frame_ps)).sum();
    own().map(|r| r.seconds[1]).sum::<f64>() / ps.max(1.0)
}

/// What was reached, in order, by all runs or by one alone; MD (ps) and CPU time (s) that were spent
/// before come on top.
pub fn reached(
    store: &mut Store,
    reference: &Reference,
    only: Option<usize>,
    [before_ps, before_s]: [f64; 2],
) -> Result<Vec<Reached>> {
    let rows = store.rows()?.to_vec();
    let frame_ps = store.settings().budget.frame_ps;
    let frames = (STAY_PS / frame_ps).ceil() as usize;
    let h = store.history();
    let pace = pace(store);
    let mut out: Vec<Reached> = Vec::new();
    let (mut ps, mut cpu) = (before_ps, before_s);
    for epoch in std::iter::once(None).chain((0..h.plans.len()).map(Some)) {
        let counts = |i: &usize| h.runs[*i].epoch == epoch && only.is_none_or(|run| run == *i);
        let runs: Vec<usize> = (0..h.runs.len()).filter(counts).collect();
        if let Some(e) = epoch {
            cpu += h.plans[e].seconds[3];
        }
        let spent = |r: &RunRecord| match epoch {
            Some(_) => r.seconds[1],
            None => length(r, frame_ps) * pace,
        };
        let seconds: f64 = runs.iter().map(|i| spent(&h.runs[*i])).sum();
        let total: f64 = runs.iter().map(|i| length(&h.runs[*i], frame_ps)).sum();
        for i in &runs {
            let (run, head) = (&h.runs[*i], rows[*i].head_frames);
            let states = reference.assign(&rows[*i].rows[head..])?;
            for (state, at) in stays(&states, frames) {
                let done = run.prepare_ps + (head + at + 1) as f64 * frame_ps;
                let part = (done * runs.len() as f64).min(total);
                let ns = (ps + part) / 1000.0;
                out.push(Reached { state, ns, cpu_s: cpu + seconds * part / total.max(1e-9) });
            }
        }
        let lost = h.lost.iter().filter(|l| Some(l.epoch) == epoch);
        ps += total + lost.clone().map(|l| l.md_ps).sum::<f64>();
        cpu += seconds + lost.map(|l| l.seconds[1]).sum::<f64>();
        cpu += epoch.and_then(|e| h.epochs.get(e)).map_or(0.0, |e| e.seconds[1]);
    }
    out.sort_by(|a, b| a.ns.total_cmp(&b.ns));
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|r| seen.insert(r.state));
    Ok(out)
}
