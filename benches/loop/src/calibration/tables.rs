//! The table of bench A on peptides, in Markdown.

use std::fmt::Write;

use marsfm_adaptive::statistics::GAS_KJ_MOL_KELVIN;
use marsfm_metrics::validity::wilson;

use super::SEEDS;
use super::rows::{Row, Three};

/// kJ/mol.
const KCAL: f64 = 4.184;
/// States rarer than this by the reference are not judged.
const RARE: f64 = 0.01;
/// Nor states whose interval by the reference's own MD is wider, kJ/mol: 1 kcal/mol to each side.
const UNKNOWN: f64 = 2.0 * KCAL;

fn holds(interval: &Three, value: f64) -> bool {
    matches!(interval, [_, Some(low), Some(high)] if *low <= value && value <= *high)
}

fn meet(a: &Three, b: &Three) -> bool {
    matches!((a, b), ([_, Some(al), Some(ah)], [_, Some(bl), Some(bh)]) if al <= bh && bl <= ah)
}

/// Whether the reference is sure enough of a state to judge loops by it.
fn known(truth: &Three, rt: f64) -> bool {
    let [Some(value), Some(low), Some(high)] = *truth else { return false };
    (-value / rt).exp() >= RARE && high - low <= UNKNOWN
}

/// A share, with Wilson's interval.
fn share(of: usize, all: usize) -> String {
    match wilson(of, all) {
        Some(i) => format!("{:.2} ({:.2} to {:.2})", i.value, i.low, i.high),
        None => "–".into(),
    }
}

/// One line: all loops of a system with the same kind of seeds.
fn judged(rows: &[&Row]) -> String {
    let rt = GAS_KJ_MOL_KELVIN * rows[0].kelvin;
    let truth: Vec<Three> = rows[0].states.iter().map(|s| s.truth).collect();
    let common: Vec<usize> = (0..truth.len()).filter(|s| known(&truth[*s], rt)).collect();
    let all = common.len() * rows.len();
    let (mut held, mut met, mut missing) = (0, 0, 0);
    let (mut error, mut shift) = (0.0f64, 0.0f64);
    for s in &common {
        let exact = truth[*s][0].unwrap_or(f64::NAN);
        held += rows.iter().filter(|r| holds(&r.states[*s].found, exact)).count();
        met += rows.iter().filter(|r| meet(&r.states[*s].found, &truth[*s])).count();
        let found: Vec<f64> = rows.iter().filter_map(|r| r.states[*s].found[0]).collect();
        missing += rows.len() - found.len();
        if found.is_empty() {
            continue;
        }
        let n = found.len() as f64;
        error = error.max(found.iter().map(|f| (f - exact).abs()).sum::<f64>() / n / KCAL);
        // Of the mean population: the mean of logarithms would be off by half their variance.
        let mean = found.iter().map(|f| (-f / rt).exp()).sum::<f64>() / n;
        let off = (-rt * mean.ln() - exact) / KCAL;
        if off.abs() > shift.abs() {
            shift = off;
        }
    }
    let mean = |f: &dyn Fn(&Row) -> f64| rows.iter().map(|r| f(r)).sum::<f64>() / rows.len() as f64;
    format!(
        "{:.1} | {} | {} | {:.2} | {} | {} | {error:.2} | {shift:+.2} | {:.2} | {:.0} |",
        rows[0].reference_ns,
        common.len(),
        rows.len(),
        mean(&|r| r.md_ns),
        share(held, all),
        share(met, all),
        missing as f64 / all.max(1) as f64,
        mean(&|r| r.cpu_s),
    )
}

/// The table of all rows.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = format!("{} loops.\n", rows.len());
    if rows.is_empty() {
        return out;
    }
    out.push_str(
        "\n| system | seeds | reference (ns) | states judged | loops | MD of each (ns) | holds the \
         reference's value | meets the reference's interval | largest mean \\|ΔF\\| error (kcal/mol) | \
         largest shift of pooled ΔF (kcal/mol) | no number | CPU-s of each |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let systems: std::collections::BTreeSet<&String> = rows.iter().map(|r| &r.system).collect();
    for system in systems {
        for seeds in SEEDS {
            let mine: Vec<&Row> =
                rows.iter().filter(|r| r.system == *system && r.seeds == seeds).collect();
            if !mine.is_empty() {
                let _ = writeln!(out, "| {system} | {seeds} | {}", judged(&mine));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::rows::State;
    use super::*;

    #[test]
    fn coverage_error_and_shift_are_those_of_common_states() {
        let truth = [Some(2.0), Some(1.5), Some(2.5)];
        let rare = State { truth: [Some(20.0), Some(18.0), Some(22.0)], found: [None; 3] };
        let unknown = State { truth: [Some(3.0), Some(0.0), Some(60.0)], found: [None; 3] };
        let row = |repeat, found| Row {
            system: "AVDA".into(),
            seeds: "stored".into(),
            repeat,
            rng_seed: 1,
            kelvin: 350.0,
            reference_ns: 80.0,
            md_ns: 4.0,
            lost: 0,
            cpu_s: 100.0,
            states: vec![State { truth, found }, rare, unknown],
        };
        let near = row(0, [Some(2.0), Some(1.0), Some(3.0)]);
        let far = row(1, [Some(2.0 + 2.0 * KCAL), Some(2.4), Some(15.0)]);
        let none = row(2, [None; 3]);
        let text = markdown(&[near.clone(), far, none]);
        // One of three holds 2.0, two of three meet 1.5 to 2.5; the error is the mean of 0 and 2.
        let rt = GAS_KJ_MOL_KELVIN * 350.0;
        let pooled = 0.5 * ((-2.0f64 / rt).exp() + (-(2.0 + 2.0 * KCAL) / rt).exp());
        let shift = (-rt * pooled.ln() - 2.0) / KCAL;
        let line = format!(
            "| AVDA | stored | 80.0 | 1 | 3 | 4.00 | 0.33 (0.06 to 0.79) | 0.67 (0.21 to 0.94) | 1.00 | {shift:+.2} | 0.33 |"
        );
        assert!(text.contains(&line), "{text} should hold {line}");
        assert!(markdown(&[near]).contains("| 1.00 (0.21 to 1.00) | 0.00 | +0.00 |"));
    }
}
