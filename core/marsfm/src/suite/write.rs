//! Result files of a suite: everything as JSON, one line per number as CSV, the tables as Markdown
//! and as a page.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use marsfm_report::{BarChart, BarSeries, Column, Report, Table};
use marsfm_trajectory::write_atomically;

use super::published::{self, CAVEAT};
use super::summary::{Summary, goals};
use super::{Suite, SuiteResult};

/// Writes `results.json`, `results.csv`, `table.md` and `report.html` into a folder.
pub fn write(folder: &Path, result: &SuiteResult, surrogate: Option<&str>) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot create the folder", folder.display()))?;
    let paths = ["results.json", "results.csv", "table.md"].map(|n| folder.join(n));
    let json = serde_json::to_vec_pretty(result)?;
    let texts = [json, csv(result).into_bytes(), markdown(result, surrogate).into_bytes()];
    for (path, text) in paths.iter().zip(texts) {
        write_atomically(path, &text)
            .with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    let page = folder.join("report.html");
    report(result, surrogate).write(&page)?;
    Ok(paths.into_iter().chain([page]).collect())
}

fn csv(r: &SuiteResult) -> String {
    let mut out = String::from(
        "target,method,replica,score,value,low,high,floor,md_noise,n_frames,n_eff,acceptance\n",
    );
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let optional = |v: Option<f64>| v.map_or(String::new(), |v| v.to_string());
    for row in &r.rows {
        for c in &row.scores {
            let _ = writeln!(
                out,
                "{},{},{},{},{},{},{},{},{},{},{},{}",
                quoted(&row.target),
                quoted(&row.method),
                row.replica.map_or(String::new(), |r| r.to_string()),
                quoted(&c.name),
                c.value,
                c.low,
                c.high,
                optional(c.floor),
                optional(c.md_noise),
                row.n_frames,
                row.n_eff,
                row.acceptance
            );
        }
    }
    out
}

/// The columns of the paper, and what goes beyond it.
fn columns(r: &SuiteResult) -> Vec<&str> {
    let mut out = published::columns(r.suite).to_vec();
    let more: &[&str] = match r.suite {
        Suite::Tetrapeptide => &["TICA-0,1", "state-to-state T", "implied timescales (|log10|)"],
        Suite::MdCath => &["global RMSF r"],
    };
    out.extend(more);
    out
}

fn cell(s: &Summary, column: &str) -> String {
    s.scores.iter().find(|m| m.name == column).map_or("–".into(), |m| {
        let i = &m.interval;
        format!("{:.2} ({:.2} … {:.2})", i.value, i.low, i.high)
    })
}

/// Rows of the main table: method, n, accepted, n_eff, seconds, the columns.
fn table_rows(r: &SuiteResult) -> Vec<Vec<String>> {
    let row = |s: &Summary| {
        let mut out = vec![
            s.method.clone(),
            s.n.to_string(),
            format!("{:.1} %", 100.0 * s.acceptance),
            format!("{:.0}", s.n_eff),
            format!("{:.1}", s.seconds),
        ];
        out.extend(columns(r).iter().map(|c| cell(s, c)));
        out
    };
    r.summary.iter().map(row).collect()
}

/// Floor and MD noise under the columns, of the row with the most of them.
fn beside(r: &SuiteResult) -> Vec<Vec<String>> {
    let of = |name: &str, pick: fn(&super::summary::Mean) -> Option<f64>| {
        let value = |column: &&str| {
            let means = r.summary.iter().filter(|s| s.method != super::summary::ORACLE);
            let found = means.flat_map(|s| &s.scores).find(|m| m.name == **column);
            found.and_then(pick).map_or("–".into(), |v| format!("{v:.2}"))
        };
        let mut out =
            vec![name.to_string(), String::new(), String::new(), String::new(), String::new()];
        out.extend(columns(r).iter().map(value));
        out
    };
    vec![
        of("floor at matched n", |m| m.floor),
        of("MD of the same length against itself", |m| m.md_noise),
    ]
}

fn headings(r: &SuiteResult) -> Vec<String> {
    let first = ["row", "n", "accepted", "n_eff", "s per target"].map(String::from);
    first.into_iter().chain(columns(r).into_iter().map(String::from)).collect()
}

fn published_rows(r: &SuiteResult) -> Vec<Vec<String>> {
    let row = |(name, values): &published::PublishedRow| {
        let value = |v: &Option<f64>| v.map_or("–".into(), |v| format!("{v:.2}"));
        std::iter::once((*name).to_string()).chain(values.iter().map(value)).collect()
    };
    published::rows(r.suite, r.budget).iter().map(row).collect()
}

fn markdown(r: &SuiteResult, surrogate: Option<&str>) -> String {
    let mut out = String::new();
    let line = |out: &mut String, cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|c| c.replace('|', "\\|")).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    };
    let rule = |n: usize| vec!["---".to_string(); n];
    let n = r.targets.len();
    let _ = writeln!(
        out,
        "{} conformations per row and target, {n} targets ({}), seed {}. Mean over targets (95 % of \
         resampled targets).\n",
        r.budget,
        r.targets.join(" "),
        r.rng_seed
    );
    line(&mut out, &headings(r));
    line(&mut out, &rule(headings(r).len()));
    table_rows(r).iter().chain(&beside(r)).for_each(|cells| line(&mut out, cells));
    let _ = writeln!(out, "\nPublished. {CAVEAT}\n");
    let names: Vec<String> = std::iter::once("row".to_string())
        .chain(published::columns(r.suite).iter().map(|c| (*c).to_string()))
        .collect();
    line(&mut out, &names);
    line(&mut out, &rule(names.len()));
    published_rows(r).iter().for_each(|cells| line(&mut out, cells));
    let words = surrogate.map(|s| goals(&r.comparisons, s)).unwrap_or_default();
    if !words.is_empty() {
        let _ = writeln!(out, "\nGoals:\n");
        words.iter().for_each(|w| _ = writeln!(out, "- {w}"));
    }
    if !r.notes.is_empty() {
        let _ = writeln!(out, "\nLeft out and noted:\n");
        r.notes.iter().for_each(|w| _ = writeln!(out, "- {w}"));
    }
    out
}

fn report(r: &SuiteResult, surrogate: Option<&str>) -> Report {
    let mut page = Report::new(match r.suite {
        Suite::Tetrapeptide => "Benchmark: tetrapeptides",
        Suite::MdCath => "Benchmark: mdCATH domains",
    });
    page.subtitle(format!(
        "{} conformations per row and target, {} targets, seed {}.",
        r.budget,
        r.targets.len(),
        r.rng_seed
    ));
    let numbers = |names: Vec<String>| -> Vec<Column> {
        let column =
            |(i, n): (usize, String)| if i == 0 { Column::text(n) } else { Column::number(n) };
        names.into_iter().enumerate().map(column).collect()
    };
    page.heading("This run");
    page.table(&Table {
        caption: "Mean over targets (95 % of resampled targets)".into(),
        columns: numbers(headings(r)),
        rows: table_rows(r).into_iter().chain(beside(r)).collect(),
        strong: vec![],
    });
    for column in published::columns(r.suite) {
        page.figure(&bars(r, column), "");
    }
    if let Some(name) = surrogate {
        page.heading("Goals");
        page.list(&goals(&r.comparisons, name));
    }
    page.heading("Published");
    page.paragraph(CAVEAT);
    let names = std::iter::once("row".to_string())
        .chain(published::columns(r.suite).iter().map(|c| (*c).to_string()));
    page.table(&Table {
        caption: String::new(),
        columns: numbers(names.collect()),
        rows: published_rows(r),
        strong: vec![],
    });
    page.heading("Target by target");
    page.table(&by_target(r));
    for target in &r.pictures {
        page.heading(&target.target);
        target.figures.iter().for_each(|(svg, caption)| _ = page.figure(svg, caption));
    }
    if !r.notes.is_empty() {
        page.heading("Left out and noted");
        page.list(&r.notes);
    }
    let models: Vec<String> =
        r.models.iter().map(|(n, s)| format!("{n} {}", &s[..12.min(s.len())])).collect();
    page.footer(format!("marsfm {} · {}", env!("CARGO_PKG_VERSION"), models.join(", ")));
    page
}

fn bars(r: &SuiteResult, column: &str) -> String {
    let of = |s: &Summary| s.scores.iter().find(|m| m.name == column).map(|m| m.interval);
    let intervals: Vec<_> = r.summary.iter().map(of).collect();
    BarChart {
        title: column.into(),
        x_label: String::new(),
        y_label: column.into(),
        categories: r.summary.iter().map(|s| s.method.clone()).collect(),
        series: vec![BarSeries {
            name: String::new(),
            values: intervals.iter().map(|i| i.map_or(f64::NAN, |i| i.value)).collect(),
            intervals: intervals
                .iter()
                .map(|i| i.map_or((f64::NAN, f64::NAN), |i| (i.low, i.high)))
                .collect(),
        }],
    }
    .svg()
}

fn by_target(r: &SuiteResult) -> Table {
    let names: Vec<&str> = r.rows.iter().flat_map(|x| &x.scores).map(|c| c.name.as_str()).fold(
        Vec::new(),
        |mut all, n| {
            if !all.contains(&n) {
                all.push(n);
            }
            all
        },
    );
    let row = |x: &super::Row| {
        let method = x.replica.map_or(x.method.clone(), |k| format!("{}, replica {k}", x.method));
        let mut out =
            vec![x.target.clone(), method, x.n_frames.to_string(), format!("{:.0}", x.n_eff)];
        out.extend(names.iter().map(|n| {
            x.score(n)
                .map_or("–".into(), |c| format!("{:.3} ({:.3} … {:.3})", c.value, c.low, c.high))
        }));
        out
    };
    let first = ["target", "row", "frames", "n_eff"].map(Column::text);
    Table {
        caption: "With bootstrap intervals: MD by replica, samples by tree".into(),
        columns: first.into_iter().chain(names.iter().map(|n| Column::number(*n))).collect(),
        rows: r.rows.iter().map(row).collect(),
        strong: vec![],
    }
}
