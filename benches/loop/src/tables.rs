//! Tables of the rows, in Markdown.

use std::fmt::Write;

use marsfm_adaptive::statistics::GAS_KJ_MOL_KELVIN;
use marsfm_adaptive::toy::Toy;

use crate::rows::{Row, State};

/// kJ/mol.
const KCAL: f64 = 4.184;
/// States rarer than this are told, and not judged.
const RARE: f64 = 0.01;

/// Coverage and errors of one case.
struct Judged {
    repeats: usize,
    /// Share of intervals of states above 1 % that hold the truth; none counts as missed.
    coverage: f64,
    /// The same for all states.
    coverage_all: f64,
    /// Mean |error| of each state above 1 %, and the error of its population pooled over repeats,
    /// largest over states, kcal/mol.
    error: f64,
    shift: f64,
    /// States without a number, share.
    missing: f64,
    /// Mean ratio of the slowest timescale to the exact one, and coverage of its interval.
    timescale: (f64, f64),
}

fn covers(s: &State, truth: f64) -> bool {
    matches!(s, [_, Some(low), Some(high)] if *low <= truth && truth <= *high)
}

fn judge(rows: &[&Row], toy: &Toy) -> Judged {
    let rt = GAS_KJ_MOL_KELVIN * toy.options().kelvin;
    let populations = toy.well_populations();
    let truth: Vec<f64> = populations.iter().map(|p| -rt * p.ln()).collect();
    let n = rows.len() as f64;
    let share = |which: &dyn Fn(usize) -> bool| {
        let states: Vec<usize> = (0..truth.len()).filter(|s| which(*s)).collect();
        let hit = |r: &&&Row| states.iter().filter(|s| covers(&r.states[**s], truth[**s])).count();
        rows.iter().map(|r| hit(&r)).sum::<usize>() as f64 / (n * states.len() as f64)
    };
    let common = |s: usize| populations[s] >= RARE;
    let (mut error, mut shift, mut missing) = (0.0f64, 0.0f64, 0);
    for s in (0..truth.len()).filter(|s| common(*s)) {
        let off: Vec<f64> = rows.iter().filter_map(|r| Some(r.states[s][0]? - truth[s])).collect();
        missing += rows.len() - off.len();
        let m = off.len().max(1) as f64;
        // Of the mean population: the mean of logarithms would be off by half their variance.
        let part = |r: &&Row| r.states[s][0].map(|f| (-f / rt).exp());
        let mean = -rt * (rows.iter().filter_map(part).sum::<f64>() / m).ln() - truth[s];
        let absolute = off.iter().map(|v| v.abs()).sum::<f64>() / m;
        error = error.max(absolute / KCAL);
        if mean.abs() / KCAL > shift.abs() {
            shift = mean / KCAL;
        }
    }
    let exact = toy.timescales_ps(1).map_or(f64::NAN, |t| t[0]);
    let ratios: Vec<f64> = rows.iter().filter_map(|r| Some(r.timescale[0]? / exact)).collect();
    Judged {
        repeats: rows.len(),
        coverage: share(&common),
        coverage_all: share(&|_| true),
        error,
        shift,
        missing: missing as f64 / (n * (0..truth.len()).filter(|s| common(*s)).count() as f64),
        timescale: (
            ratios.iter().sum::<f64>() / ratios.len().max(1) as f64,
            rows.iter().filter(|r| covers(&r.timescale, exact)).count() as f64 / n,
        ),
    }
}

/// The table of all cases that have rows.
pub fn markdown(rows: &[Row], toy: &Toy) -> String {
    let mut out = String::from(
        "| seeds | head (ps) | lag (ps) | run (ps) | repeats | coverage, states above 1 % | \
         coverage, all | largest mean \\|ΔF\\| error (kcal/mol) | largest shift of pooled ΔF (kcal/mol) | \
         no number | slowest timescale, mean of exact | its coverage |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let key = |r: &Row| format!("{} | {} | {} | {}", r.proposer, r.head_ps, r.lag_ps, r.run_ps);
    let mut keys: Vec<String> = Vec::new();
    for row in rows {
        if !keys.contains(&key(row)) {
            keys.push(key(row));
        }
    }
    for k in keys {
        let mine: Vec<&Row> = rows.iter().filter(|r| key(r) == k).collect();
        let j = judge(&mine, toy);
        let _ = writeln!(
            out,
            "| {k} | {} | {:.3} | {:.3} | {:.2} | {:+.2} | {:.3} | {:.2} | {:.2} |",
            j.repeats,
            j.coverage,
            j.coverage_all,
            j.error,
            j.shift,
            j.missing,
            j.timescale.0,
            j.timescale.1
        );
    }
    out
}

/// Puts text between the two marks of a bench in a page.
pub fn into_page(page: &str, bench: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- bench {bench}: begin -->\n");
    let end = format!("<!-- bench {bench}: end -->");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{text}{end}{after}"))
}
