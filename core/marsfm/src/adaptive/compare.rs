//! Loops side by side. All of them are seen in the states of one model over their pooled MD, or
//! in the engine's own where it knows them, so that equal numbers mean equal things.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use marsfm_adaptive::statistics::{Question, Statistics, statistics};
use marsfm_adaptive::{
    Drift, Engine, KnownStates, Model, RunRecord, RunRows, Stages, Store, Variant, variants,
};
use marsfm_msm::{CountMode, ReversibleMle, count_transitions};
use serde::Serialize;

use super::known;
use super::lesson::{Lesson, lessons};

/// A state counts as found when MD stays in it so long behind a head, ps.
pub const STAY_PS: f64 = 5.0;

/// Loops in the same states.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// How many states can be found: those that the pooled MD both entered and left.
    pub states: usize,
    /// Number of each of these among the model's macrostates.
    pub numbers: Vec<usize>,
    /// Where each of these is, in the first two coordinates.
    pub places: Vec<(f64, f64)>,
    /// Names of the two coordinates.
    pub axes: [String; 2],
    /// Temperature, K.
    pub temperature_kelvin: f64,
    /// The loops.
    pub loops: Vec<LoopNumbers>,
}

/// One loop.
#[derive(Clone, Debug, Serialize)]
pub struct LoopNumbers {
    /// Name of its folder.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// Proposer and selector.
    pub strategy: String,
    /// Engine and system in its own words.
    pub notes: Vec<String>,
    /// The settings, as TOML.
    pub settings: String,
    /// Epochs that are over.
    pub epochs: usize,
    /// MD.
    pub md: Md,
    /// Seeds.
    pub seeds: Seeds,
    /// Time by stage, s.
    pub stages: Stages,
    /// What its surrogate learned on the way.
    pub lessons: Vec<Lesson>,
    /// When each state was found.
    pub found: Vec<Found>,
    /// Numbers with intervals; in words if there are none.
    pub statistics: std::result::Result<Statistics, String>,
    /// The same under other heads, other lags, and without each class of seeds, in the loop's own
    /// model.
    pub variants: Vec<Variant>,
    /// How its own numbers moved from epoch to epoch.
    pub drift: Vec<Drift>,
    /// Every run.
    pub runs: Vec<RunNumbers>,
    /// First two coordinates and weight of frames behind the heads.
    #[serde(skip)]
    pub points: Vec<([f64; 2], f64)>,
}

/// MD by purpose, ns.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Md {
    /// All that is charged.
    pub total_ns: f64,
    /// Behind heads.
    pub counted_ns: f64,
    /// Heads.
    pub heads_ns: f64,
    /// Preparation.
    pub prepared_ns: f64,
    /// Lost on the way.
    pub lost_ns: f64,
    /// Made before the loop; not charged.
    pub imported_ns: f64,
}

/// What became of proposals.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Seeds {
    /// Made.
    pub proposed: usize,
    /// Of these could be started from.
    pub accepted: usize,
    /// Chosen, prepared without repair, run.
    pub valid: usize,
    /// Chosen, repaired, run.
    pub repaired: usize,
    /// Chosen and rejected in preparation.
    pub rejected: usize,
    /// Lost in MD.
    pub lost: usize,
    /// Ran from a place that some proposer chose.
    pub placed: usize,
    /// Of these were still in their state at the end of the head.
    pub stayed: usize,
}

/// A state was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Found {
    /// MD charged until then, ns.
    pub md_ns: f64,
    /// CPU time until then, s: MD, preparation, models, proposals.
    pub cpu_seconds: f64,
    /// States found by then.
    pub states: usize,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct RunNumbers {
    /// The run as recorded.
    #[serde(flatten)]
    pub record: RunRecord,
    /// What proposed its seed.
    pub class: String,
    /// First two coordinates of its first frame.
    pub at: [f64; 2],
    /// Macrostate of its first frame, at the end of its head, and at its end.
    pub states: [usize; 3],
}

/// Reads and compares loops of one system.
pub fn compare(folders: &[PathBuf]) -> Result<Comparison> {
    ensure!(!folders.is_empty(), "name at least one loop");
    let mut stores = folders.iter().map(|f| Ok(Store::read(f)?)).collect::<Result<Vec<_>>>()?;
    for store in &stores {
        let (a, b) = (stores[0].about(), store.about());
        let folder = store.folder().display();
        ensure!(
            a.features == b.features && (a.temperature_kelvin - b.temperature_kelvin).abs() < 0.01,
            "{folder}: has other features or another temperature than {}; only loops of one system \
             can be compared",
            stores[0].folder().display()
        );
        let (a, b) = (stores[0].settings().budget.frame_ps, store.settings().budget.frame_ps);
        ensure!(a == b, "{folder}: has frames every {b} ps, the first loop every {a} ps");
    }
    let engine = known(&stores[0])?;
    let states = engine.as_ref().and_then(|e| e.known_states());
    let mut pooled: Vec<RunRows> = Vec::new();
    let mut spans = Vec::new();
    for store in &mut stores {
        let folder = store.folder().display().to_string();
        let rows = store.rows()?;
        ensure!(!rows.is_empty(), "{folder}: holds no MD yet");
        spans.push(pooled.len()..pooled.len() + rows.len());
        pooled.extend_from_slice(rows);
    }
    let model = Model::build(&pooled, stores[0].settings(), states)?;
    let all = model.micro_trajectories();
    let question = Question { draws: 0, ..stores[0].question(&model) };
    let reference = statistics(&all, &question)?;
    let numbers: Vec<usize> =
        (0..reference.populations.len()).filter(|s| reference.populations[*s].is_some()).collect();
    let shared = Shared { model: &model, pooled: &pooled, numbers: &numbers };
    let loops = stores
        .iter_mut()
        .zip(&spans)
        .map(|(store, span)| {
            let name = store.folder().display().to_string();
            one(store, span.clone(), &shared, states).with_context(|| name)
        })
        .collect::<Result<Vec<_>>>()?;
    let dim = model.centres().first().map_or(0, Vec::len);
    let axis = |k: usize| match states {
        Some(_) => stores[0].about().features.get(k).cloned().unwrap_or_default(),
        None if k < dim => format!("TICA {}", k + 1),
        None => String::new(),
    };
    Ok(Comparison {
        states: numbers.len(),
        places: shared.places(),
        axes: [axis(0), axis(1)],
        temperature_kelvin: stores[0].about().temperature_kelvin,
        numbers,
        loops,
    })
}

/// What all loops are seen in.
struct Shared<'a> {
    model: &'a Model,
    pooled: &'a [RunRows],
    numbers: &'a [usize],
}

impl Shared<'_> {
    fn macrostate(&self, micro: i32) -> usize {
        self.model.macro_of_micro()[micro as usize]
    }

    /// Mean place of the frames of each state.
    fn places(&self) -> Vec<(f64, f64)> {
        let two = |c: &[f64], k: usize| c.get(k).copied().unwrap_or(0.0);
        let mean = |state: &usize| {
            let (mut sum, mut n) = ((0.0, 0.0), 0.0);
            let micros = (0..self.model.n_micro()).filter(|m| self.macrostate(*m as i32) == *state);
            for m in micros {
                let (count, centre) = (self.model.counts()[m] as f64, &self.model.centres()[m]);
                sum = (sum.0 + count * two(centre, 0), sum.1 + count * two(centre, 1));
                n += count;
            }
            (sum.0 / f64::max(n, 1.0), sum.1 / f64::max(n, 1.0))
        };
        self.numbers.iter().map(mean).collect()
    }

    fn two(&self, row: &[f64]) -> Result<[f64; 2]> {
        let c = self.model.coordinates(row)?;
        Ok([c.first().copied().unwrap_or(0.0), c.get(1).copied().unwrap_or(0.0)])
    }
}

fn one(
    store: &mut Store,
    span: std::ops::Range<usize>,
    shared: &Shared<'_>,
    states: Option<&dyn KnownStates>,
) -> Result<LoopNumbers> {
    let own = store.model(states)?;
    let draws = store.settings().statistics.draws;
    let variants = variants(store, &own, draws.min(40));
    let all = &shared.model.micro_trajectories()[span.clone()];
    let question = store.question(shared.model);
    let warnings = shared.model.warnings().to_vec();
    let statistics =
        statistics(all, &question).map(|s| Statistics { warnings, ..s }).map_err(|e| e.to_string());
    let history = store.history();
    let mut seeds = Seeds {
        proposed: history.plans.iter().map(|p| p.proposed).sum(),
        accepted: history.plans.iter().map(|p| p.accepted).sum(),
        rejected: history.lost.iter().filter(|l| l.how == "rejected").count(),
        lost: history.lost.iter().filter(|l| l.how == "lost").count(),
        ..Seeds::default()
    };
    let mut runs = Vec::new();
    for (i, record) in history.runs.iter().enumerate() {
        let states = &shared.model.with_heads()[span.start + i];
        let at = |k: usize| shared.macrostate(states[k.min(states.len() - 1)]);
        let head = (record.head_frames as usize).saturating_sub(1);
        let run = RunNumbers {
            record: record.clone(),
            class: history.class(record).to_owned(),
            at: shared.two(&shared.pooled[span.start + i].rows[0])?,
            states: [at(0), at(head), at(states.len() - 1)],
        };
        match run.record.verdict.as_str() {
            "valid" => seeds.valid += 1,
            "repaired" => seeds.repaired += 1,
            _ => {}
        }
        if !matches!(run.class.as_str(), "template" | "plain" | "imported") {
            seeds.placed += 1;
            seeds.stayed += usize::from(run.states[0] == run.states[1]);
        }
        runs.push(run);
    }
    let s = store.settings();
    let proposer = match s.strategy.proposer.as_str() {
        plain @ ("long" | "parallel") => plain.to_owned(),
        other => format!("{other} × {}", s.strategy.selector.name()),
    };
    let name = store.folder().file_name().map_or("loop".into(), |n| n.to_string_lossy().into());
    Ok(LoopNumbers {
        name,
        folder: store.folder().to_owned(),
        strategy: proposer,
        notes: store.about().notes.clone(),
        settings: history.settings.clone(),
        epochs: history.epochs.len(),
        md: md(store),
        seeds,
        stages: store.stages(),
        lessons: lessons(store.folder())?,
        found: found(store, all, shared),
        points: points(&shared.pooled[span], all, shared, question.lag)?,
        statistics,
        variants,
        drift: history.epochs.last().map_or(Vec::new(), |e| e.drift.clone()),
        runs,
    })
}

fn md(store: &Store) -> Md {
    let (h, frame_ps) = (store.history(), store.settings().budget.frame_ps);
    let mut md = Md { total_ns: h.md_ps(frame_ps) / 1000.0, ..Md::default() };
    for run in &h.runs {
        let ns = |frames: u64| frames as f64 * frame_ps / 1000.0;
        if run.epoch.is_none() {
            md.imported_ns += ns(run.frames);
            continue;
        }
        md.heads_ns += ns(run.head_frames);
        md.counted_ns += ns(run.frames - run.head_frames);
        md.prepared_ns += run.prepare_ps / 1000.0;
    }
    md.lost_ns = h.lost.iter().map(|l| l.md_ps).sum::<f64>() / 1000.0;
    md
}

/// When states were found, in the order of the journal; within a run MD and CPU time pass evenly.
fn found(store: &Store, all: &[&[i32]], shared: &Shared<'_>) -> Vec<Found> {
    let (h, frame_ps) = (store.history(), store.settings().budget.frame_ps);
    let stay = (STAY_PS / frame_ps).ceil().max(1.0) as usize;
    let mut seen = std::collections::BTreeSet::new();
    let (mut md_ps, mut cpu) = (0.0, 0.0);
    let mut out = vec![Found { md_ns: 0.0, cpu_seconds: 0.0, states: 0 }];
    let mut epoch_before = None;
    for (run, states) in h.runs.iter().zip(all) {
        if let Some(epoch) = run.epoch.filter(|e| epoch_before != Some(*e)) {
            let lost = || h.lost.iter().filter(|l| l.epoch == epoch);
            md_ps += lost().map(|l| l.md_ps).sum::<f64>();
            cpu += h.plans[epoch].seconds[3] + lost().map(|l| l.seconds[1]).sum::<f64>();
            epoch_before = Some(epoch);
        }
        let charged = if run.epoch.is_some() { 1.0 } else { 0.0 };
        md_ps += charged * run.prepare_ps;
        let (mut streak, mut before) = (0, usize::MAX);
        for (f, micro) in states.iter().enumerate() {
            let state = shared.macrostate(*micro);
            streak = if state == before { streak + 1 } else { 1 };
            before = state;
            if streak == stay && shared.numbers.contains(&state) && seen.insert(state) {
                let done = run.head_frames as f64 + f as f64 + 1.0;
                out.push(Found {
                    md_ns: (md_ps + charged * done * frame_ps) / 1000.0,
                    cpu_seconds: cpu + charged * run.seconds[1] * done / run.frames as f64,
                    states: seen.len(),
                });
            }
        }
        md_ps += charged * run.frames as f64 * frame_ps;
        cpu += charged * run.seconds[1];
    }
    let stages = store.stages();
    let md_ns = h.md_ps(frame_ps) / 1000.0;
    out.push(Found { md_ns, cpu_seconds: stages.cpu, states: seen.len() });
    out
}

/// Frames with the weights that make them an equilibrium: pi of the microstate over its frames.
fn points(
    rows: &[RunRows],
    all: &[&[i32]],
    shared: &Shared<'_>,
    lag: usize,
) -> Result<Vec<([f64; 2], f64)>> {
    let n = shared.model.n_micro();
    let counts = count_transitions(all, n, lag, CountMode::Sliding)?;
    let Ok(fitted) = ReversibleMle::default().fit(&counts) else { return Ok(Vec::new()) };
    let mut pi = vec![0.0; n];
    fitted.active.iter().zip(&fitted.pi).for_each(|(m, p)| pi[*m] = *p);
    let mut frames = vec![0.0f64; n];
    all.iter().flat_map(|t| t.iter()).for_each(|m| frames[*m as usize] += 1.0);
    let mut out = Vec::new();
    for (run, states) in rows.iter().zip(all) {
        for (row, micro) in run.rows.iter().skip(run.head_frames).zip(*states) {
            let weight = pi[*micro as usize] / frames[*micro as usize].max(1.0);
            if weight > 0.0 {
                out.push((shared.two(row)?, weight));
            }
        }
    }
    Ok(out)
}

/// Names of loops for tables: their folders' names, with numbers where two are the same.
pub fn names(comparison: &Comparison) -> Vec<String> {
    let all: Vec<&str> = comparison.loops.iter().map(|l| l.name.as_str()).collect();
    let same = |name: &str| all.iter().filter(|n| **n == name).count();
    let one = |(i, name): (usize, &&str)| match same(name) {
        1 => (*name).to_owned(),
        _ => format!("{name} ({})", i + 1),
    };
    all.iter().enumerate().map(one).collect()
}

/// Where the report of some loops goes unless the user says otherwise: into the first of them.
pub fn default_out(folders: &[PathBuf]) -> PathBuf {
    folders.first().map_or_else(|| Path::new("report").into(), |f| f.join("report"))
}
