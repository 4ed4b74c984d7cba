//! Numbers of seeded data: populations, free energies, timescales and mean first passage times
//! with 95 % intervals, from the reversible microstate model of the MD behind the heads.
//!
//! Where seeds were put shifts what a histogram sees, and leaves the transitions from each
//! microstate as they were: so everything is read off T. A component that MD did not both enter
//! and leave has no population. Intervals are bootstraps over runs: frames of a run are not
//! independent, runs are. Every draw is fitted on the states that it connects.

use marsfm_msm::{
    CountMatrix, CountMode, MarkovModel, MsmError, ReversibleMle, count_transitions,
    uncertainty::bootstrap, validate::mean_first_passage_times,
};
use serde::{Deserialize, Serialize};

/// Gas constant, kJ/mol/K.
pub const GAS_KJ_MOL_KELVIN: f64 = 0.008_314_462_618;

/// A value and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// From all data.
    pub value: f64,
    /// 2.5 % of the draws; `None` if the value exists in fewer than half of them.
    pub low: Option<f64>,
    /// 97.5 %.
    pub high: Option<f64>,
}

impl Estimate {
    /// Whether the interval exists and holds a number.
    pub fn covers(&self, truth: f64) -> Option<bool> {
        Some(self.low? <= truth && truth <= self.high?)
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Number of microstates.
    pub n_micro: usize,
    /// Macrostate of each microstate.
    pub macro_of_micro: &'a [usize],
    /// Lag in frames.
    pub lag: usize,
    /// Time between frames, ps.
    pub frame_ps: f64,
    /// Temperature, K.
    pub kelvin: f64,
    /// Bootstrap draws; 0 gives values without intervals.
    pub draws: usize,
    /// Of the bootstrap.
    pub rng_seed: u64,
}

/// The numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Lag, ps.
    pub lag_ps: f64,
    /// Runs that are long enough to count.
    pub runs: usize,
    /// Share of the counted frames in the connected set.
    pub connected_frames: f64,
    /// Population of each macrostate; `None` where MD did not both enter and leave.
    pub populations: Vec<Option<Estimate>>,
    /// -RT ln of the populations, kJ/mol.
    pub free_energies_kj_mol: Vec<Option<Estimate>>,
    /// Slowest implied timescales, ps.
    pub timescales_ps: Vec<Estimate>,
    /// Mean first passage times between macrostates, ps; `None` on the diagonal too.
    pub mfpt_ps: Vec<Vec<Option<Estimate>>>,
    /// Macrostates with frames and no population.
    pub unconnected: Vec<usize>,
    /// What the user should know.
    pub remarks: Vec<String>,
}

/// How many timescales are told.
const TIMESCALES: usize = 3;

/// Computes the numbers from microstates of runs without their heads (-1: no state).
pub fn statistics<D: AsRef<[i32]> + Sync>(
    runs: &[D],
    question: &Question<'_>,
) -> Result<Statistics, MsmError> {
    let q = question;
    let n_macro = q.macro_of_micro.iter().max().map_or(0, |m| m + 1);
    let counts = count_transitions(runs, q.n_micro, q.lag, CountMode::Sliding)?;
    let model = ReversibleMle::default().fit(&counts)?;
    let value = numbers(&model, q, n_macro)?;
    let draws = match q.draws {
        0 => Vec::new(),
        n => bootstrap(runs, q.n_micro, q.lag, n, q.rng_seed, |m| numbers(m, q, n_macro))?,
    };
    let estimate = |k: usize| -> Option<Estimate> {
        let at = value[k];
        if !at.is_finite() {
            return None;
        }
        let mut seen: Vec<f64> = draws.iter().map(|d| d[k]).filter(|v| v.is_finite()).collect();
        seen.sort_by(f64::total_cmp);
        let enough = !seen.is_empty() && 2 * seen.len() >= q.draws;
        let part = |p: f64| enough.then(|| percentile(&seen, p));
        Some(Estimate { value: at, low: part(0.025), high: part(0.975) })
    };
    let free = |e: Option<Estimate>| {
        let energy = |p: f64| -GAS_KJ_MOL_KELVIN * q.kelvin * p.ln();
        e.map(|e| Estimate {
            value: energy(e.value),
            low: e.high.map(energy),
            high: e.low.map(energy),
        })
    };
    let populations: Vec<Option<Estimate>> = (0..n_macro).map(estimate).collect();
    let first = n_macro + TIMESCALES;
    let mfpt_ps: Vec<Vec<Option<Estimate>>> = (0..n_macro)
        .map(|i| (0..n_macro).map(|j| estimate(first + i * n_macro + j)).collect())
        .collect();
    let unconnected: Vec<usize> = (0..n_macro)
        .filter(|m| populations[*m].is_none() && visited(&counts, q.macro_of_micro, *m))
        .collect();
    let long = runs.iter().filter(|r| r.as_ref().len() > q.lag).count();
    Ok(Statistics {
        lag_ps: q.lag as f64 * q.frame_ps,
        runs: long,
        connected_frames: model.frame_fraction_active,
        free_energies_kj_mol: populations.iter().copied().map(free).collect(),
        timescales_ps: (n_macro..first).map_while(estimate).collect(),
        remarks: remarks(&unconnected, long, draws.len(), q),
        populations,
        mfpt_ps,
        unconnected,
    })
}

fn remarks(unconnected: &[usize], runs: usize, used: usize, q: &Question<'_>) -> Vec<String> {
    let mut out = Vec::new();
    if !unconnected.is_empty() {
        let states: Vec<String> = unconnected.iter().map(|s| (s + 1).to_string()).collect();
        out.push(format!(
            "state {} was seen, but MD did not both enter and leave it: no population",
            states.join(", ")
        ));
    }
    if runs < 8 {
        out.push(format!("{runs} runs are few to resample: intervals are too narrow"));
    }
    if used < q.draws {
        out.push(format!("{} of {} bootstrap draws have no model", q.draws - used, q.draws));
    }
    out
}

fn visited(counts: &CountMatrix, macro_of_micro: &[usize], state: usize) -> bool {
    let frames = counts.populations.iter().zip(macro_of_micro);
    frames.filter(|(_, m)| **m == state).any(|(n, _)| *n > 0)
}

/// Populations, timescales (ps) and mean first passage times (ps) in one row; NaN is "none".
fn numbers(model: &MarkovModel, q: &Question<'_>, n_macro: usize) -> Result<Vec<f64>, MsmError> {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); n_macro];
    for (row, state) in model.active.iter().enumerate() {
        members[q.macro_of_micro[*state]].push(row);
    }
    let mut out: Vec<f64> = members
        .iter()
        .map(
            |rows| if rows.is_empty() { f64::NAN } else { rows.iter().map(|r| model.pi[*r]).sum() },
        )
        .collect();
    let timescales = match model.active.len() {
        1 => Vec::new(),
        n => model.timescales(TIMESCALES.min(n - 1))?,
    };
    out.extend(
        (0..TIMESCALES).map(|k| {
            timescales.get(k).filter(|t| t.is_finite()).map_or(f64::NAN, |t| t * q.frame_ps)
        }),
    );
    let mut passages = vec![f64::NAN; n_macro * n_macro];
    for (j, to) in members.iter().enumerate().filter(|(_, to)| !to.is_empty()) {
        let times = mean_first_passage_times(&model.t, model.lag, to)?;
        for (i, from) in members.iter().enumerate().filter(|(i, f)| *i != j && !f.is_empty()) {
            let weight: f64 = from.iter().map(|r| model.pi[*r]).sum();
            let frames: f64 = from.iter().map(|r| model.pi[*r] * times[*r]).sum();
            passages[i * n_macro + j] = frames / weight * q.frame_ps;
        }
    }
    out.extend(passages);
    Ok(out)
}

/// Linear between order statistics.
pub fn percentile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + part * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(macro_of_micro: &[usize]) -> Question<'_> {
        Question {
            n_micro: macro_of_micro.len(),
            macro_of_micro,
            lag: 1,
            frame_ps: 2.0,
            kelvin: 300.0,
            draws: 50,
            rng_seed: 3,
        }
    }

    #[test]
    fn a_state_that_md_only_entered_or_only_left_has_no_population() {
        // 0 <-> 1; a run enters 2 and stays; a run seeded in 3 leaves it for good.
        let macros = [0, 1, 2, 3];
        let mixed: Vec<i32> = (0..200).map(|k| i32::from(k % 7 < 3)).collect();
        let enters: Vec<i32> = [&mixed[..50], &[2; 50]].concat();
        let leaves: Vec<i32> = [&[3; 50], &mixed[..50]].concat();
        let s = statistics(&[&mixed[..], &mixed, &enters, &leaves], &question(&macros)).unwrap();
        assert!(s.populations[0].is_some() && s.populations[1].is_some());
        assert_eq!(s.populations[2..], [None, None]);
        assert_eq!(s.unconnected, [2, 3]);
        assert!(s.remarks.iter().any(|r| r.contains("state 3, 4")), "{:?}", s.remarks);
        let sum: f64 = s.populations.iter().flatten().map(|e| e.value).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        assert!(s.mfpt_ps[0][2].is_none() && s.mfpt_ps[0][1].is_some());
    }

    #[test]
    fn percentiles_lie_between() {
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(percentile(&[5.0], 0.9), 5.0);
    }
}
