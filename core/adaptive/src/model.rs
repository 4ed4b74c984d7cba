//! The model that seeds are chosen by: microstates of all MD so far, without heads.

use marsfm_msm::{CountMode, Pcca, ReversibleMle, count_transitions};
use marsfm_msm::{KMeans, KMeansModel, Matrix, MsmError, Rows, Tica, TicaModel, Warning};

use crate::{FrameAt, KnownStates, LoopError, LoopSettings};

/// Features of one run, with its head.
#[derive(Clone, Debug)]
pub struct RunRows {
    /// One row per frame.
    pub rows: Vec<Vec<f64>>,
    /// Frames of the head.
    pub head_frames: usize,
}

/// A proposal as the selectors see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Features.
    pub row: Vec<f64>,
    /// Coordinates in which distances are meant.
    pub coordinates: Vec<f64>,
    /// Nearest microstate.
    pub micro: usize,
    /// True if it is farther from its microstate than MD ever was.
    pub novel: bool,
}

enum Space {
    /// Features are coordinates.
    Known,
    /// TICA coordinates.
    Tica(Box<TicaModel>),
}

/// Microstates of all MD behind the heads.
pub struct Model {
    space: Space,
    /// Microstate of each frame of each run, head included.
    micro: Vec<Vec<i32>>,
    head_frames: Vec<usize>,
    members: Vec<Vec<FrameAt>>,
    centres: Vec<Vec<f64>>,
    counts: Vec<u64>,
    macro_of_micro: Vec<usize>,
    reach: Vec<f64>,
    warnings: Vec<Warning>,
}

impl Model {
    /// Builds the model.
    pub fn build(
        runs: &[RunRows],
        settings: &LoopSettings,
        known: Option<&dyn KnownStates>,
    ) -> Result<Self, LoopError> {
        let head_frames: Vec<usize> = runs.iter().map(|r| r.head_frames).collect();
        match known {
            Some(states) => Ok(Self::known(runs, states, head_frames)),
            None => Self::clustered(runs, settings, head_frames),
        }
    }

    fn known(runs: &[RunRows], states: &dyn KnownStates, head_frames: Vec<usize>) -> Self {
        let of = |r: &RunRows| -> Vec<i32> {
            r.rows.iter().map(|row| states.micro_of(row) as i32).collect()
        };
        let micro: Vec<Vec<i32>> = runs.iter().map(of).collect();
        let n = states.n_micro();
        let counts = tally(&behind_heads(&micro, &head_frames), n);
        Self {
            space: Space::Known,
            members: members(&micro, &head_frames, n),
            micro,
            head_frames,
            centres: (0..n).map(|k| states.centre(k)).collect(),
            counts,
            macro_of_micro: states.macro_of_micro(),
            reach: vec![f64::INFINITY; n],
            warnings: vec![],
        }
    }

    fn clustered(
        runs: &[RunRows],
        settings: &LoopSettings,
        head_frames: Vec<usize>,
    ) -> Result<Self, LoopError> {
        let width = runs.iter().flat_map(|r| r.rows.first()).map(Vec::len).next().unwrap_or(0);
        let flat: Vec<Vec<f64>> = runs
            .iter()
            .map(|r| r.rows.iter().skip(r.head_frames).flatten().copied().collect())
            .collect();
        let rows: Vec<Rows<f64>> =
            flat.iter().map(|f| Rows::new(f, width)).collect::<Result<_, _>>()?;
        // Seeds are not at equilibrium: pairs are weighted towards it where that can be done.
        let plain = Tica::new(settings.tica_frames()).var_cutoff(0.95);
        let tica = match plain.clone().reweighted(true).fit(&rows) {
            Ok(tica) => tica,
            Err(e) => {
                let mut tica = plain.fit(&rows)?;
                tica.warnings.push(Warning::NotReweighted { reason: e.to_string() });
                tica
            }
        };
        let projected: Vec<Vec<f64>> =
            rows.iter().map(|r| tica.transform(r)).collect::<Result<_, _>>()?;
        let dim = tica.n_kept;
        let views: Vec<Rows<f64>> =
            projected.iter().map(|p| Rows::new(p, dim)).collect::<Result<_, _>>()?;
        let frames: usize = views.iter().map(Rows::n_rows).sum();
        // Twenty frames per microstate at least, or counts say nothing.
        let k = settings.model.microstates.min(frames / 20).max(2);
        let kmeans: KMeansModel = KMeans::new(k, settings.rng_seed).fit(&views)?;
        let counted: Vec<Vec<i32>> =
            views.iter().map(|v| kmeans.assign(v)).collect::<Result<_, _>>()?;
        let n = kmeans.centers.n_rows();
        let centres: Vec<Vec<f64>> = (0..n).map(|i| kmeans.centers.row(i).to_vec()).collect();
        let mut reach = vec![0.0f64; n];
        for (view, states) in views.iter().zip(&counted) {
            for (f, s) in states.iter().enumerate() {
                let far = distance(view.row(f), &centres[*s as usize]);
                reach[*s as usize] = reach[*s as usize].max(far);
            }
        }
        let macro_of_micro = metastable(&counted, n, settings)?;
        let counts = tally(&counted, n);
        // Heads shape nothing, but it is worth knowing where they were.
        let mut micro = Vec::with_capacity(runs.len());
        for (run, behind) in runs.iter().zip(counted) {
            let mut states = Vec::new();
            let head: Vec<f64> = run.rows.iter().take(run.head_frames).flatten().copied().collect();
            if !head.is_empty() {
                let projected = tica.transform(&Rows::new(&head, width)?)?;
                states = kmeans.assign(&Rows::new(&projected, dim)?)?;
            }
            states.extend(behind);
            micro.push(states);
        }
        let warnings = [&*tica.warnings, &kmeans.warnings].concat();
        let space = Space::Tica(Box::new(tica));
        let members = members(&micro, &head_frames, n);
        Ok(Self {
            space,
            micro,
            head_frames,
            members,
            centres,
            counts,
            macro_of_micro,
            reach,
            warnings,
        })
    }

    /// What the user should know of its coordinates and microstates.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Microstates of each run without its head.
    pub fn micro_trajectories(&self) -> Vec<&[i32]> {
        behind_heads(&self.micro, &self.head_frames)
    }

    /// Microstates of each frame of each run, heads included.
    pub fn with_heads(&self) -> &[Vec<i32>] {
        &self.micro
    }

    /// Macrostate of each microstate.
    pub fn macro_of_micro(&self) -> &[usize] {
        &self.macro_of_micro
    }

    /// Number of microstates.
    pub fn n_micro(&self) -> usize {
        self.centres.len()
    }

    /// Frames of each microstate.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Coordinates of each microstate.
    pub fn centres(&self) -> &[Vec<f64>] {
        &self.centres
    }

    /// Microstates with frames.
    pub fn visited(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.n_micro()).filter(|m| self.counts[*m] > 0)
    }

    /// The counted frames of a microstate.
    pub fn frames_of(&self, micro: usize) -> &[FrameAt] {
        &self.members[micro]
    }

    /// A row of features in coordinates.
    pub fn coordinates(&self, row: &[f64]) -> Result<Vec<f64>, LoopError> {
        match &self.space {
            Space::Known => Ok(row.to_vec()),
            Space::Tica(tica) => Ok(tica.transform(&Rows::new(row, row.len())?)?),
        }
    }

    /// A proposal as the selectors see it.
    pub fn candidate(&self, row: Vec<f64>) -> Result<Candidate, LoopError> {
        let coordinates = self.coordinates(&row)?;
        let far: Vec<f64> = self.centres.iter().map(|c| distance(c, &coordinates)).collect();
        let micro = (0..far.len()).min_by(|a, b| far[*a].total_cmp(&far[*b])).unwrap_or(0);
        let novel = self.counts[micro] == 0 || far[micro] > self.reach[micro];
        Ok(Candidate { row, coordinates, micro, novel })
    }
}

pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
}

fn behind_heads<'a>(micro: &'a [Vec<i32>], head_frames: &[usize]) -> Vec<&'a [i32]> {
    micro.iter().zip(head_frames).map(|(t, head)| &t[(*head).min(t.len())..]).collect()
}

/// The counted frames of each microstate.
fn members(micro: &[Vec<i32>], head_frames: &[usize], n: usize) -> Vec<Vec<FrameAt>> {
    let mut out = vec![Vec::new(); n];
    for (run, states) in micro.iter().enumerate() {
        for (frame, s) in states.iter().enumerate().skip(head_frames[run]) {
            out[*s as usize].push(FrameAt { run, frame });
        }
    }
    out
}

fn tally<D: AsRef<[i32]>>(micro: &[D], n: usize) -> Vec<u64> {
    let mut counts = vec![0; n];
    micro.iter().flat_map(|t| t.as_ref()).for_each(|s| counts[*s as usize] += 1);
    counts
}

/// PCCA+ sets of the connected microstates, as many as there are; each other microstate is a
/// state of its own, so that it never lends its frames to one.
fn metastable(
    micro: &[Vec<i32>],
    n: usize,
    settings: &LoopSettings,
) -> Result<Vec<usize>, LoopError> {
    let counts = count_transitions(micro, n, settings.lag_frames(), CountMode::Sliding)?;
    let model = ReversibleMle::default().fit(&counts)?;
    let (mut out, mut next) = (vec![usize::MAX; n], 0);
    if let Some(sets) = sets(&model.t, &model.pi, settings.model.macrostates)? {
        let mut used: Vec<usize> = sets.clone();
        used.sort_unstable();
        used.dedup();
        for (row, set) in sets.iter().enumerate() {
            out[model.active[row]] = used.binary_search(set).unwrap_or(0);
        }
        next = used.len();
    }
    for state in out.iter_mut().filter(|s| **s == usize::MAX) {
        *state = next;
        next += 1;
    }
    Ok(out)
}

fn sets(t: &Matrix, pi: &[f64], most: usize) -> Result<Option<Vec<usize>>, MsmError> {
    for m in (2..=most.min(pi.len())).rev() {
        match Pcca::new(m).fit(t, pi) {
            Ok(model) if model.empty_sets.is_empty() => return Ok(Some(model.assignments)),
            _ => {}
        }
    }
    Ok((!pi.is_empty()).then(|| vec![0; pi.len()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fall_back_to_plain_tica_is_told() {
        let settings: LoopSettings = toml::from_str(
            "rng_seed = 1\nengine = { name = \"x\" }\nstrategy = { proposer = \"visited\" }\n\
             budget = { epochs = 1, seeds = 1, head_ps = 0, run_ps = 9, frame_ps = 1 }\n\
             model = { msm_lag_ps = 1, tica_lag_ps = 5 }",
        )
        .unwrap();
        let noise = |k: usize| (k as f64 * 12.9898).sin() * 43758.5453 % 1.0;
        let run = |r: usize, n: usize| RunRows {
            rows: (0..n)
                .map(|t| match t {
                    0 => vec![0.0, 0.0],
                    t => vec![noise(100 * r + t), noise(7777 + 100 * r + t)],
                })
                .collect(),
            head_frames: 0,
        };
        let build = |n: usize| {
            let runs: Vec<RunRows> = (0..40).map(|r| run(r, n)).collect();
            Model::build(&runs, &settings, None).unwrap().warnings().to_vec()
        };
        // All runs start in one place; of six frames, only the first is five before another.
        let is = |w: &Warning| matches!(w, Warning::NotReweighted { reason } if reason.contains("constant"));
        assert!(build(6).iter().any(is), "{:?}", build(6));
        assert!(!build(12).iter().any(|w| matches!(w, Warning::NotReweighted { .. })));
    }
}
