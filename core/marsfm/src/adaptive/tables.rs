//! The numbers of a comparison as CSV files, one row per thing.

use std::path::Path;

use anyhow::{Context, Result};
use marsfm_adaptive::statistics::{Estimate, Statistics};

use super::compare::{Comparison, names};

/// Writes `found.csv`, `states.csv`, `timescales.csv`, `bias.csv`, `drift.csv`, `runs.csv` and
/// `stages.csv`.
pub fn write(comparison: &Comparison, folder: &Path) -> Result<()> {
    let names = names(comparison);
    let loops = || comparison.loops.iter().zip(&names);
    let mut found = Csv::new("loop,md_ns,cpu_seconds,states");
    let mut states = Csv::new("loop,state,what,value,low,high");
    let mut timescales = Csv::new("loop,number,ps,low,high");
    let mut bias = Csv::new("loop,kind,value,short,what,number,estimate,low,high");
    let mut drift = Csv::new("loop,epoch,what,number,value");
    let mut stages = Csv::new("loop,stage,wall_s");
    let mut runs = Csv::new(
        "loop,run,epoch,seed,class,verdict,head_frames,frames,prepare_ps,md_wall_s,cpu_s,\
         first_state,head_state,end_state",
    );
    for (l, name) in loops() {
        let t = &l.stages;
        for (stage, seconds) in [
            ("md", t.md),
            ("propose", t.propose),
            ("read", t.read),
            ("model", t.model),
            ("choose", t.choose),
            ("rest", t.rest),
        ] {
            stages.row(name, &[stage.into(), seconds.to_string()]);
        }
        for f in &l.found {
            let row = [f.md_ns.to_string(), f.cpu_seconds.to_string(), f.states.to_string()];
            found.row(name, &row);
        }
        if let Ok(s) = &l.statistics {
            for state in &comparison.numbers {
                for (what, all) in [
                    ("population", &s.populations),
                    ("free_energy_kj_mol", &s.free_energies_kj_mol),
                ] {
                    let row = [(state + 1).to_string(), what.to_owned()];
                    let estimate = all.get(*state).copied().flatten();
                    states.row(name, &[&row[..], &numbers(estimate)].concat());
                }
            }
            for (k, t) in s.timescales_ps.iter().enumerate() {
                timescales.row(name, &[&[(k + 1).to_string()][..], &numbers(Some(*t))].concat());
            }
        }
        for v in &l.variants {
            let head = [v.kind.clone(), v.value.clone(), v.short.to_string()];
            for (what, number, e) in v.statistics.iter().flat_map(told) {
                let row = [what.to_owned(), number.to_string()];
                bias.row(name, &[&head[..], &row, &numbers(Some(e))].concat());
            }
        }
        for d in &l.drift {
            let row = |what: &str, number: usize, value: f64| {
                [d.epoch.to_string(), what.into(), number.to_string(), value.to_string()]
            };
            for (state, p) in d.populations.iter().enumerate() {
                drift.row(name, &row("population", state + 1, *p));
            }
            d.timescale_ps.iter().for_each(|t| drift.row(name, &row("timescale_ps", 1, *t)));
            drift.row(name, &row("unseen", 0, d.unseen));
        }
        for (i, run) in l.runs.iter().enumerate() {
            let r = &run.record;
            let epoch = r.epoch.map_or(String::new(), |e| e.to_string());
            let state = |k: usize| (run.states[k] + 1).to_string();
            runs.row(
                name,
                &[
                    i.to_string(),
                    epoch,
                    r.seed.to_string(),
                    run.class.clone(),
                    r.verdict.clone(),
                    r.head_frames.to_string(),
                    r.frames.to_string(),
                    r.prepare_ps.to_string(),
                    r.seconds[0].to_string(),
                    r.seconds[1].to_string(),
                    state(0),
                    state(1),
                    state(2),
                ],
            );
        }
    }
    for (file, csv) in [
        ("found.csv", found),
        ("states.csv", states),
        ("timescales.csv", timescales),
        ("bias.csv", bias),
        ("drift.csv", drift),
        ("runs.csv", runs),
        ("stages.csv", stages),
    ] {
        let path = folder.join(file);
        marsfm_trajectory::write_atomically(&path, csv.0.as_bytes())
            .with_context(|| format!("{}: cannot write", path.display()))?;
    }
    Ok(())
}

/// Populations and timescales, each with its number from 1.
fn told(s: &Statistics) -> Vec<(&'static str, usize, Estimate)> {
    let populations = s.populations.iter().enumerate();
    let populations = populations.filter_map(|(k, p)| Some(("population", k + 1, (*p)?)));
    let timescales = s.timescales_ps.iter().enumerate().map(|(k, t)| ("timescale_ps", k + 1, *t));
    populations.chain(timescales).collect()
}

/// Value and interval; empty fields where there is none.
fn numbers(e: Option<Estimate>) -> [String; 3] {
    let text = |v: Option<f64>| v.map_or(String::new(), |v| v.to_string());
    [text(e.map(|e| e.value)), text(e.and_then(|e| e.low)), text(e.and_then(|e| e.high))]
}

/// Lines of fields.
struct Csv(String);

impl Csv {
    fn new(header: &str) -> Self {
        Self(format!("{header}\n"))
    }

    fn row(&mut self, name: &str, fields: &[String]) {
        let all = std::iter::once(name).chain(fields.iter().map(String::as_str));
        let quoted: Vec<String> = all.map(quote).collect();
        self.0 += &quoted.join(",");
        self.0.push('\n');
    }
}

/// RFC 4180: quotes around fields with commas, quotes or line ends.
fn quote(field: &str) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must() {
        let mut csv = Csv::new("loop,a");
        csv.row("a, b", &["say \"x\"".into()]);
        assert_eq!(csv.0, "loop,a\n\"a, b\",\"say \"\"x\"\"\"\n");
    }
}
