//! Numbers of seeded data: populations, free energies, timescales and mean first passage times
//! with 95 % intervals, from the reversible microstate model of the MD behind the heads.
//!
//! Where seeds were put shifts what a histogram sees, and leaves the transitions from each
//! microstate as they were: so everything is read off T. A component that MD did not both enter
//! and leave has no population. Intervals are bootstraps over runs: frames of a run are not
//! independent, runs are; long runs are drawn in pieces. Every draw is fitted on the states that it
//! connects. Intervals are widened for states that rest on few runs; `docs/benchmarks/loop.md` tells
//! how often they hold the truth.

use marsfm_msm::{
    CountMatrix, CountMode, MarkovModel, MsmError, ReversibleMle, Warning, bootstrap,
    count_transitions, validate::mean_first_passage_times,
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
    /// Runs that are long enough to count, long ones in pieces.
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
    /// What the user should know of the model that the states are of, as data.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// How many timescales are told.
const TIMESCALES: usize = 3;
/// Pieces that all MD is cut into for the bootstrap, if runs are longer than that.
const PIECES: usize = 40;

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
    let parts = pieces(runs, q.lag);
    let draws = match q.draws {
        0 => Vec::new(),
        n => bootstrap(&parts, q.n_micro, q.lag, n, q.rng_seed, |m| numbers(m, q, n_macro))?,
    };
    let informed = informed(&parts, q.macro_of_micro, n_macro);
    let estimate = |k: usize, runs: usize| -> Option<Estimate> {
        let at = value[k];
        if !at.is_finite() {
            return None;
        }
        let seen: Vec<f64> =
            draws.iter().map(|d| d[k]).filter(|v| v.is_finite() && *v > 0.0).collect();
        let enough = !seen.is_empty() && 2 * seen.len() >= q.draws && at > 0.0;
        let interval = enough.then(|| widened(at, seen, runs)).flatten();
        Some(Estimate { value: at, low: interval.map(|i| i.0), high: interval.map(|i| i.1) })
    };
    let free = |e: Option<Estimate>| {
        let energy = |p: f64| -GAS_KJ_MOL_KELVIN * q.kelvin * p.ln();
        e.map(|e| Estimate {
            value: energy(e.value),
            low: e.high.map(energy),
            high: e.low.map(energy),
        })
    };
    let at_most_one = |e: Estimate| Estimate { high: e.high.map(|h| h.min(1.0)), ..e };
    let populations: Vec<Option<Estimate>> =
        (0..n_macro).map(|m| estimate(m, informed[m]).map(at_most_one)).collect();
    let first = n_macro + TIMESCALES;
    let mfpt_ps: Vec<Vec<Option<Estimate>>> = (0..n_macro)
        .map(|i| {
            let to = |j: usize| estimate(first + i * n_macro + j, informed[i].min(informed[j]));
            (0..n_macro).map(to).collect()
        })
        .collect();
    let unconnected: Vec<usize> = (0..n_macro)
        .filter(|m| populations[*m].is_none() && visited(&counts, q.macro_of_micro, *m))
        .collect();
    let long = parts.iter().filter(|r| r.len() > q.lag).count();
    Ok(Statistics {
        lag_ps: q.lag as f64 * q.frame_ps,
        runs: long,
        connected_frames: model.frame_fraction_active,
        free_energies_kj_mol: populations.iter().copied().map(free).collect(),
        timescales_ps: (n_macro..first).map_while(|k| estimate(k, informed[n_macro])).collect(),
        remarks: remarks(&unconnected, long, draws.len(), q),
        warnings: vec![],
        populations,
        mfpt_ps,
        unconnected,
    })
}

/// What is drawn with replacement: runs, and long runs in pieces of a fortieth of all MD or ten
/// lags. Pieces overlap by a lag, so that each transition is in exactly one of them.
fn pieces<D: AsRef<[i32]>>(runs: &[D], lag: usize) -> Vec<&[i32]> {
    let frames: usize = runs.iter().map(|r| r.as_ref().len()).sum();
    let length = (frames / PIECES).max(10 * lag).max(1);
    let mut out = Vec::new();
    for run in runs.iter().map(AsRef::as_ref) {
        let n = ((run.len().saturating_sub(lag)) / length).max(1);
        for k in 0..n {
            // The last piece takes what is left over.
            let end = if k + 1 == n { run.len() } else { (k + 1) * length + lag };
            out.push(&run[k * length..end]);
        }
    }
    out
}

/// Pieces that tell something about each macrostate: those with frames both in it and out of it.
/// Last, the pieces that are in more than one macrostate.
fn informed(parts: &[&[i32]], macro_of_micro: &[usize], n_macro: usize) -> Vec<usize> {
    let mut out = vec![0; n_macro + 1];
    for part in parts {
        let mut seen = vec![false; n_macro];
        part.iter().filter(|m| **m >= 0).for_each(|m| seen[macro_of_micro[*m as usize]] = true);
        if seen.iter().filter(|s| **s).count() > 1 {
            out[n_macro] += 1;
            seen.iter().zip(&mut out).filter(|(s, _)| **s).for_each(|(_, n)| *n += 1);
        }
    }
    out
}

/// The percentile interval of positive draws, stretched about the value on a logarithmic scale by
/// what Student's t with so few runs has over the normal distribution (expanded percentiles,
/// Hesterberg 2015): a rare state rests on a handful of runs, whatever the number of all runs is.
/// `None` if it rests on one.
fn widened(value: f64, mut draws: Vec<f64>, runs: usize) -> Option<(f64, f64)> {
    if runs < 2 {
        return None;
    }
    draws.iter_mut().for_each(|v| *v = v.ln());
    draws.sort_by(f64::total_cmp);
    let n = runs as f64;
    let stretch = student(runs - 1) * (n / (n - 1.0)).sqrt() / NORMAL;
    let centre = value.ln();
    // A value outside its own draws keeps them inside.
    let end = |p: f64| {
        let at = percentile(&draws, p);
        (at, centre + stretch * (at - centre))
    };
    let ((l, low), (h, high)) = (end(0.025), end(0.975));
    Some((low.min(l).exp(), high.max(h).exp()))
}

/// 97.5 % of the normal distribution.
const NORMAL: f64 = 1.959_964;

/// 97.5 % of Student's t (Cornish–Fisher; exact for one and two degrees of freedom).
fn student(freedom: usize) -> f64 {
    match freedom {
        0 => f64::INFINITY,
        1 => 12.706_205,
        2 => 4.302_653,
        n => {
            let (n, z) = (n as f64, NORMAL);
            let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
            z + (z3 + z) / (4.0 * n)
                + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n * n)
                + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * n.powi(3))
        }
    }
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
    fn long_runs_are_cut_and_no_transition_is_lost_or_doubled() {
        let long: Vec<i32> = (0..1000).map(|k| (k * k) % 7).collect();
        let short = [1; 50];
        for lag in [1, 3, 20] {
            let runs = [&long[..], &short[..]];
            let cut = pieces(&runs, lag);
            assert!(cut.len() > 4 || lag == 20, "{} pieces at lag {lag}", cut.len());
            let count = |runs: &[&[i32]]| count_transitions(runs, 7, lag, CountMode::Sliding);
            let (whole, parts) = (count(&runs).unwrap(), count(&cut).unwrap());
            assert_eq!(whole.counts, parts.counts, "lag {lag}");
        }
        assert_eq!(pieces(&[&short[..]], 60), [&short[..]]);
    }

    #[test]
    fn few_runs_widen_an_interval_and_one_gives_none() {
        for (freedom, t) in [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (30, 2.042)] {
            assert!((student(freedom) / t - 1.0).abs() < 0.01, "{freedom}: {}", student(freedom));
        }
        let draws: Vec<f64> =
            (0..=1000).map(|k| 0.2 * (0.001 * f64::from(k - 500)).exp()).collect();
        let plain = 0.475f64;
        for runs in [3, 10, 1000] {
            let (low, high) = widened(0.2, draws.clone(), runs).unwrap();
            let n = runs as f64;
            let wide = plain * student(runs - 1) * (n / (n - 1.0)).sqrt() / NORMAL;
            assert!((high / 0.2).ln() / wide - 1.0 < 1e-9 && (0.2 / low).ln() / wide - 1.0 < 1e-9);
            assert!(wide >= plain);
        }
        assert_eq!(widened(0.2, draws.clone(), 1), None);
        // A value beyond its draws.
        let (low, high) = widened(0.9, draws, 50).unwrap();
        assert!(low < 0.13 && high > 0.32, "{low} {high}");
        assert_eq!(informed(&[&[0, 0, 1], &[2, 2], &[1, 3]], &[0, 0, 1, 2], 3), [1, 0, 1, 1]);
    }

    #[test]
    fn percentiles_lie_between() {
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(percentile(&[5.0], 0.9), 5.0);
    }
}
