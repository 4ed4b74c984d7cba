//! Should a model be trusted? Timescales over lags with error bars, Chapman–Kolmogorov, populations
//! and passage times with intervals, and what all of it means in words.

use anyhow::Result;
use marsfm_msm::kolmogorov::Interval;
use marsfm_msm::uncertainty::Spread;
use marsfm_msm::validate::{mean_first_passage_time, reactive_flux};
use marsfm_msm::{ErrorBars, Matrix, Msm, Resampling, Warning};
use serde::Serialize;

use super::files::Origin;

/// Fewer trajectories than this cannot be drawn from with replacement: the posterior of the counts
/// is used instead.
const BOOTSTRAP_TRAJECTORIES: usize = 5;
/// Timescales shown.
const TIMESCALES: usize = 4;

/// Timescales at one lag.
#[derive(Clone, Debug, Serialize)]
pub struct TimescalesAtLag {
    /// Lag, ps.
    pub lag_ps: f64,
    /// Maximum-likelihood timescales, ps, slowest first.
    pub timescales_ps: Vec<f64>,
    /// Ends of their 95 % intervals, ps; empty where there is no spread to take.
    pub intervals_ps: Vec<(f64, f64)>,
}

/// One multiple of the lag in the Chapman–Kolmogorov test.
#[derive(Clone, Debug, Serialize)]
pub struct KolmogorovAt {
    /// Lag, ps.
    pub lag_ps: f64,
    /// Probability to be still (or again) in each macrostate, by the model.
    pub predicted: Vec<f64>,
    /// Ends of their 95 % intervals: of models that the data could have given as well.
    pub predicted_intervals: Vec<(f64, f64)>,
    /// The same probability counted at this lag.
    pub estimated: Vec<f64>,
    /// Ends of their 95 % intervals.
    pub estimated_intervals: Vec<(f64, f64)>,
}

/// One macrostate.
#[derive(Clone, Debug, Serialize)]
pub struct MacrostateSummary {
    /// Frames in it.
    pub frames: u64,
    /// Trajectories that visit it.
    pub visitors: usize,
    /// Equilibrium population by the reversible microstate model.
    pub population: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
    /// Place in the projection: mean over the equilibrium of its microstates' centres.
    pub center: Vec<f64>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// Time between frames, ps; lags and times are in frames if the model does not say it.
    pub frame_ps: Option<f64>,
    /// Lag of the microstate model, ps.
    pub lag_ps: f64,
    /// Where the error bars come from.
    pub error_bars: String,
    /// Timescales over lags.
    pub timescales: Vec<TimescalesAtLag>,
    /// Chapman–Kolmogorov test on the macrostates.
    pub chapman_kolmogorov: Vec<KolmogorovAt>,
    /// Its largest deviation, between any two macrostates.
    pub largest_deviation: f64,
    /// The largest where the 95 % intervals of both sides do not overlap.
    pub significant_deviation: f64,
    /// The macrostates.
    pub macrostates: Vec<MacrostateSummary>,
    /// Equilibrium flux between macrostates, pi_I T_IJ per lag, row-major.
    pub exchange: Vec<f64>,
    /// Mean first passage times between macrostates, ps, row-major (0 on the diagonal).
    pub passage_ps: Vec<f64>,
    /// The slowest process: from which macrostate to which, rate in 1/ns.
    pub slowest: Option<(usize, usize, f64)>,
    /// Share of the frames in the connected set.
    pub connected: f64,
    /// How far to trust it, in words; the first says it in short.
    pub verdicts: Vec<String>,
    /// What the model warned of when it was built, as data.
    pub warnings: Vec<Warning>,
}

/// Looks at a model; `samples` for error bars (100 is plenty).
pub fn validate(msm: &Msm, samples: usize, rng_seed: u64) -> Result<Validation> {
    let frame_ps = Origin::of(msm).ok().map(|o| o.frame_ps);
    let ps = frame_ps.unwrap_or(1.0);
    let by_run = msm.micro_trajectories.len() >= BOOTSTRAP_TRAJECTORIES;
    let by = if by_run { Resampling::Trajectories } else { Resampling::Posterior };
    let bars = ErrorBars { by, n_samples: samples, rng_seed };
    let timescales = msm
        .implied_timescales
        .iter()
        .map(|at| {
            let count = at.timescales.len().min(TIMESCALES);
            let spread = spread_at(msm, at.lag, &at.timescales[..count], &bars)?;
            let ends = spread.low.iter().zip(&spread.high);
            let intervals = ends.take_while(|(low, _)| !low.is_nan());
            Ok(TimescalesAtLag {
                lag_ps: at.lag as f64 * ps,
                timescales_ps: at.timescales[..count].iter().map(|t| t * ps).collect(),
                intervals_ps: intervals.map(|(l, h)| (l * ps, h * ps)).collect(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let kolmogorov = kolmogorov(msm, ps, &bars)?;
    let sets = sets(msm);
    let lag = msm.micro.lag;
    let n = sets.len();
    let mut passage_ps = vec![0.0; n * n];
    for (i, from) in sets.iter().enumerate() {
        for (j, to) in sets.iter().enumerate() {
            if i != j && !from.is_empty() && !to.is_empty() {
                let frames = mean_first_passage_time(&msm.micro.t, &msm.micro.pi, lag, from, to)?;
                passage_ps[i * n + j] = frames * ps;
            }
        }
    }
    let exchange =
        (0..n * n).map(|k| msm.macro_pi[k / n] * msm.macro_t_reversible[(k / n, k % n)]).collect();
    let slowest = slowest(msm, &sets)?.map(|(a, b, per_frame)| (a, b, per_frame / ps * 1000.0));
    let mut found = Validation {
        frame_ps,
        lag_ps: lag as f64 * ps,
        error_bars: if by_run {
            format!("bootstrap over {} trajectories", msm.micro_trajectories.len())
        } else {
            "posterior of the independent counts (too few trajectories to draw from)".into()
        },
        timescales,
        chapman_kolmogorov: kolmogorov.at,
        largest_deviation: kolmogorov.largest,
        significant_deviation: kolmogorov.significant,
        macrostates: macrostates(msm, &sets, &bars)?,
        exchange,
        passage_ps,
        slowest,
        connected: msm.micro.frame_fraction_active,
        verdicts: vec![],
        warnings: msm.warnings.clone(),
    };
    found.verdicts = verdicts(msm, &found);
    Ok(found)
}

/// Spread of the timescales at a lag.
fn spread_at(msm: &Msm, lag: usize, most_likely: &[f64], bars: &ErrorBars) -> Result<Spread> {
    let count = most_likely.len();
    let n = msm.centers.n_rows();
    let draws = bars.values(&msm.micro_trajectories, n, lag, |m| m.timescales(count))?;
    let spread = Spread::of_most(&draws, bars.n_samples);
    Ok(match bars.by {
        Resampling::Trajectories => spread,
        Resampling::Posterior => around(spread, most_likely),
    })
}

/// The spread laid around the most likely values instead of its own mean. Few effective counts make
/// every sample slower than the estimate; how far samples lie apart is what is wanted here.
fn around(mut spread: Spread, most_likely: &[f64]) -> Spread {
    for (i, value) in most_likely.iter().enumerate().take(spread.mean.len()) {
        let scale = value / spread.mean[i];
        for column in [&mut spread.mean, &mut spread.std, &mut spread.low, &mut spread.high] {
            column[i] *= scale;
        }
    }
    spread
}

/// Rows of the microstate matrix in each macrostate.
fn sets(msm: &Msm) -> Vec<Vec<usize>> {
    let mut sets = vec![Vec::new(); msm.n_macrostates()];
    for (row, micro) in msm.micro.active.iter().enumerate() {
        if let Some(set) = msm.macro_of_micro[*micro] {
            sets[set].push(row);
        }
    }
    sets
}

struct Kolmogorov {
    at: Vec<KolmogorovAt>,
    largest: f64,
    significant: f64,
}

fn kolmogorov(msm: &Msm, ps: f64, bars: &ErrorBars) -> Result<Kolmogorov> {
    let longest = msm.micro_trajectories.lengths().max().unwrap_or(0);
    let multiples: Vec<usize> =
        (1..=5).filter(|k| k * msm.micro.lag < longest.div_ceil(2)).collect();
    let tests = msm.chapman_kolmogorov(&multiples)?;
    let multiples: Vec<usize> = tests.iter().map(|t| t.multiple).collect();
    let bars = match bars.n_samples {
        0 => vec![],
        _ => msm.kolmogorov_bars(&multiples, bars)?,
    };
    let stay = |m: &Matrix| -> Vec<f64> { (0..m.n_rows()).map(|i| m[(i, i)]).collect() };
    let ends = |at: Option<&Interval>| {
        at.map_or(vec![], |i| stay(&i.low).into_iter().zip(stay(&i.high)).collect())
    };
    let at = tests.iter().enumerate().map(|(i, t)| KolmogorovAt {
        lag_ps: (t.multiple * msm.micro.lag) as f64 * ps,
        predicted: stay(&t.predicted),
        predicted_intervals: ends(bars.get(i).map(|b| &b.predicted)),
        estimated: stay(&t.estimated),
        estimated_intervals: ends(bars.get(i).map(|b| &b.estimated)),
    });
    let significant = tests.iter().zip(&bars).map(|(t, b)| t.significant_deviation(b));
    Ok(Kolmogorov {
        at: at.collect(),
        largest: tests.iter().map(|t| t.max_deviation()).fold(0.0, f64::max),
        significant: significant.fold(0.0, f64::max),
    })
}

fn macrostates(msm: &Msm, sets: &[Vec<usize>], bars: &ErrorBars) -> Result<Vec<MacrostateSummary>> {
    let n = msm.centers.n_rows();
    let draws = bars.values(&msm.micro_trajectories, n, msm.micro.lag, |m| {
        Ok(m.populations(sets.len(), |micro| msm.macro_of_micro[micro]))
    })?;
    let spread = (!draws.is_empty()).then(|| Spread::of_most(&draws, bars.n_samples));
    let summary = |(i, rows): (usize, &Vec<usize>)| {
        let weight: f64 = rows.iter().map(|r| msm.micro.pi[*r]).sum();
        let mut center = vec![0.0; msm.centers.n_cols()];
        for row in rows {
            let at = msm.centers.row(msm.micro.active[*row]);
            for (sum, x) in center.iter_mut().zip(at) {
                *sum += msm.micro.pi[*row] / weight * x;
            }
        }
        MacrostateSummary {
            frames: msm.macro_populations[i],
            visitors: msm.macro_visitors[i],
            population: msm.macro_pi[i],
            interval: match &spread {
                Some(s) if !s.low[i].is_nan() => (s.low[i], s.high[i]),
                _ => (0.0, 1.0),
            },
            center,
        }
    };
    Ok(sets.iter().enumerate().map(summary).collect())
}

/// The two macrostates that the slowest process lies between, and the rate from the first to the
/// second per frame.
fn slowest(msm: &Msm, sets: &[Vec<usize>]) -> Result<Option<(usize, usize, f64)>> {
    if msm.micro.pi.len() < 2 {
        return Ok(None);
    }
    let right = msm.micro.spectrum()?.right;
    let mean = |rows: &Vec<usize>| -> Option<f64> {
        let weight: f64 = rows.iter().map(|r| msm.micro.pi[*r]).sum();
        let sum: f64 = rows.iter().map(|r| msm.micro.pi[*r] * right[(*r, 1)]).sum();
        (weight > 0.0).then(|| sum / weight)
    };
    let means: Vec<(usize, f64)> =
        sets.iter().enumerate().filter_map(|(i, rows)| Some((i, mean(rows)?))).collect();
    let low = means.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let high = means.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let (Some((a, _)), Some((b, _))) = (low, high) else { return Ok(None) };
    if a == b {
        return Ok(None);
    }
    // From the rarer to the more populated one: the direction that is told is the faster one.
    let (from, to) = if msm.macro_pi[*a] < msm.macro_pi[*b] { (*a, *b) } else { (*b, *a) };
    let flux = reactive_flux(&msm.micro.t, &msm.micro.pi, msm.micro.lag, &sets[from], &sets[to])?;
    Ok(Some((from, to, flux.rate / msm.micro.lag as f64)))
}

fn verdicts(msm: &Msm, v: &Validation) -> Vec<String> {
    let mut doubts = Vec::new();
    if v.connected < 0.9 {
        doubts.push(format!(
            "Only {:.0} % of the frames are in states that were seen to reach each other.",
            100.0 * v.connected
        ));
    }
    if v.significant_deviation > 0.1 {
        doubts.push(format!(
            "Chapman–Kolmogorov: the model is off by up to {:.2}, more than its error bars; the \
             process remembers more than {} ps, or states are too coarse. Try a longer lag or more \
             microstates.",
            v.significant_deviation, v.lag_ps
        ));
    } else if v.largest_deviation > 0.1 {
        doubts.push(format!(
            "Chapman–Kolmogorov: the model is off by up to {:.2}, within its error bars: the data \
             are too few to say whether it holds.",
            v.largest_deviation
        ));
    }
    let slowest = |at: &TimescalesAtLag| at.timescales_ps.first().copied();
    let at_lag = v.timescales.iter().find(|t| (t.lag_ps - v.lag_ps).abs() < 1e-6 * v.lag_ps);
    let longer = v.timescales.iter().filter(|t| t.lag_ps >= 1.9 * v.lag_ps).find_map(slowest);
    match (at_lag.and_then(slowest), longer) {
        (Some(now), Some(then)) if then > 1.25 * now => doubts.push(format!(
            "The slowest timescale still grows with the lag ({now:.0} ps, then {then:.0} ps): it is \
             a lower bound."
        )),
        (Some(now), _) if now < v.lag_ps => doubts.push(format!(
            "The slowest timescale ({now:.0} ps) is shorter than the lag of {} ps: nothing slow is \
             left to model.",
            v.lag_ps
        )),
        _ => {}
    }
    if let Some(at) = at_lag
        && let (Some(t), Some((low, high))) = (slowest(at), at.intervals_ps.first())
        && high - low > t
    {
        doubts.push(format!(
            "The slowest timescale is known to {low:.0}–{high:.0} ps only: more or longer \
             trajectories are needed."
        ));
    }
    let single = v.macrostates.iter().filter(|m| m.visitors < 2).count();
    if single > 0 && msm.micro_trajectories.len() > 1 {
        doubts.push(format!(
            "{single} of {} macrostates were visited by one trajectory only: their populations \
             rest on it.",
            v.macrostates.len()
        ));
    }
    let short = match doubts.len() {
        0 => "Nothing speaks against this model.",
        1 => "Use this model with the doubt below in mind.",
        _ => "Do not read populations or rates off this model; as a map of states it may do.",
    };
    std::iter::once(short.into()).chain(doubts).collect()
}
