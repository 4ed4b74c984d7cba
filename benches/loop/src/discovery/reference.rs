//! What is there to find: core sets of a Markov model of long MD that at least two replicas entered.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use marsfm::Host;
use marsfm::adaptive::{self, ImportRequest, STAY_PS};
use marsfm_adaptive::statistics::{Question, Statistics, statistics};
use marsfm_adaptive::{Model, Store};
use marsfm_trajectory::Frame;

use super::{ENGINE, Request, template};

/// A microstate is of its state's core if MD that is in it is mostly in the same state a lag later.
const CORE: f64 = 0.5;
/// Replicas that must have stayed in a state.
const REPLICAS: usize = 2;

/// The states of a peptide.
pub struct Reference {
    store: Store,
    model: Model,
    /// State of each microstate; `None` outside of cores and in states that do not count.
    state_of: Vec<Option<usize>>,
    states: usize,
    /// MD that it was made from, ns.
    pub ns: f64,
}

impl Reference {
    /// The reference of a peptide. Its MD is that which was there when it was first asked for: rows
    /// of one bench are about the same states.
    pub fn open(host: &Host, request: &Request, system: &str) -> Result<Self> {
        let folder = request.state.join("references").join(system);
        if !folder.join("journal").exists() {
            make(host, request, system, &folder)?;
        }
        let mut store = adaptive::look(&folder)?;
        let frames: u64 = store.history().runs.iter().map(|r| r.frames).sum();
        let model = store.model(None)?;
        let (state_of, states) = cores(&store, &model);
        ensure!(states >= 2, "the reference has fewer than two states that two replicas entered");
        let ns = frames as f64 * store.settings().budget.frame_ps / 1000.0;
        Ok(Self { store, model, state_of, states, ns })
    }

    /// Microstate of each row of features.
    pub fn micro(&self, rows: &[Vec<f64>]) -> Result<Vec<i32>> {
        rows.iter().map(|row| Ok(self.model.candidate(row.clone())?.micro as i32)).collect()
    }

    /// Numbers of runs of microstates, in this reference's states.
    pub fn numbers(&self, runs: &[&[i32]], draws: usize, rng_seed: u64) -> Result<Statistics> {
        let question = Question { draws, rng_seed, ..self.store.question(&self.model) };
        Ok(statistics(runs, &question)?)
    }

    /// Numbers of the reference's own MD.
    pub fn truth(&self, draws: usize) -> Result<Statistics> {
        self.numbers(&self.model.micro_trajectories(), draws, 1)
    }

    /// Writes the frames of its rarest set that two replicas stayed in.
    pub fn write_rarest(&self, host: &Host, topology: &Path, to: &Path) -> Result<()> {
        let sets = self.model.macro_of_micro();
        let frames = |state: usize| -> u64 {
            let micros = (0..sets.len()).filter(|m| self.state_of[*m] == Some(state));
            micros.map(|m| self.model.counts()[m]).sum()
        };
        let rarest = (0..self.states).min_by_key(|s| frames(*s)).context("a state")?;
        let (atoms, _) = host.read_topology(topology)?;
        let mut sink = host.create(to, &atoms)?;
        let all = self.store.trajectories().into_iter().zip(self.model.with_heads());
        for (path, micros) in all {
            let (mut source, mut frame) = (host.open(&path, Some(atoms.len()))?, Frame::default());
            for micro in micros {
                ensure!(source.read(&mut frame)?, "{}: is too short", path.display());
                if self.state_of[*micro as usize] == Some(rarest) {
                    sink.write(&frame)?;
                }
            }
        }
        sink.finish().context("frames of the rarest state")
    }

    /// How many there are.
    pub fn states(&self) -> usize {
        self.states
    }

    /// State of each row of features.
    pub fn assign(&self, rows: &[Vec<f64>]) -> Result<Vec<Option<usize>>> {
        let one = |row: &Vec<f64>| Ok(self.state_of[self.model.candidate(row.clone())?.micro]);
        rows.iter().map(one).collect()
    }
}

fn make(host: &Host, request: &Request, system: &str, folder: &PathBuf) -> Result<()> {
    let template = template(request, system)?;
    let text = format!(
        "rng_seed = 1\n{ENGINE}options = {{ template = {template:?} }}\n\
         [budget]\nepochs = 1\nseeds = 1\nhead_ps = 0.0\nrun_ps = 200.0\nframe_ps = 1.0\n\
         [model]\nmsm_lag_ps = 10.0\nmicrostates = 100\nmacrostates = 8\n\
         [strategy]\nproposer = \"long\"\n"
    );
    let (partial, file) = (folder.with_extension("partial"), folder.with_extension("toml"));
    let _ = std::fs::remove_dir_all(&partial);
    std::fs::create_dir_all(folder.parent().context("a folder has a parent")?)?;
    std::fs::write(&file, text)?;
    adaptive::begin(host, &file, &partial)?;
    for data in &request.data {
        let own = data.join(system);
        let replica = |k: usize| Some(own.join(format!("r{k}.xtc"))).filter(|p| p.is_file());
        let import = ImportRequest {
            trajectories: (0..).map_while(replica).collect(),
            topology: Some(own.join(format!("{system}.pdb"))),
            head_ps: 0.0,
            frame_ps: Some(1.0),
        };
        if !import.trajectories.is_empty() {
            adaptive::import(host, &partial, &import)?;
        }
    }
    Ok(std::fs::rename(&partial, folder)?)
}

/// State of each microstate, and how many states there are.
fn cores(store: &Store, model: &Model) -> (Vec<Option<usize>>, usize) {
    let (sets, runs) = (model.macro_of_micro(), model.micro_trajectories());
    let lag = store.settings().lag_frames();
    let (mut stay, mut all) = (vec![0u64; sets.len()], vec![0u64; sets.len()]);
    for run in &runs {
        for (a, b) in run.iter().zip(run.iter().skip(lag)) {
            all[*a as usize] += 1;
            stay[*a as usize] += u64::from(sets[*a as usize] == sets[*b as usize]);
        }
    }
    let core = |m: usize| all[m] > 0 && stay[m] as f64 >= CORE * all[m] as f64;
    let of = |m: usize| core(m).then_some(sets[m]);
    let frames = (STAY_PS / store.settings().budget.frame_ps).ceil() as usize;
    let n = sets.iter().max().map_or(0, |m| m + 1);
    let mut entered = vec![0usize; n];
    for run in &runs {
        let run: Vec<Option<usize>> = run.iter().map(|m| of(*m as usize)).collect();
        stays(&run, frames).iter().for_each(|(set, _)| entered[*set] += 1);
    }
    let good: Vec<usize> = (0..n).filter(|s| entered[*s] >= REPLICAS).collect();
    let number = |m: usize| of(m).and_then(|set| good.iter().position(|g| *g == set));
    ((0..sets.len()).map(number).collect(), good.len())
}

/// The first stay in each state that is long enough: the state, and the frame at which it was.
pub fn stays(states: &[Option<usize>], frames: usize) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = Vec::new();
    let (mut streak, mut before) = (0, None);
    for (at, state) in states.iter().enumerate() {
        streak = if *state == before { streak + 1 } else { 1 };
        before = *state;
        if let Some(s) = state
            && streak >= frames
            && !out.iter().any(|(seen, _)| seen == s)
        {
            out.push((*s, at));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stay_is_unbroken_and_outside_of_cores_is_nowhere() {
        let (a, b) = (Some(0), Some(1));
        let run = [a, a, None, a, a, a, b, b, b, b, None, None, None, a, a, a];
        assert_eq!(stays(&run, 3), [(0, 5), (1, 8)]);
        assert_eq!(stays(&run, 5), []);
        assert_eq!(stays(&run, 1), [(0, 0), (1, 6)]);
    }
}
