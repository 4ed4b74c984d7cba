//! The report of loops: one offline page, the numbers as JSON and CSV beside it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use marsfm_adaptive::statistics::Estimate;
use marsfm_metrics::histogram::Bins;
use marsfm_metrics::surface::free_energy;
use marsfm_report::{
    BarChart, BarSeries, Column, Flux, FreeEnergyPanel, FreeEnergySurfaces, LinePlot, Marker,
    Report, Series, State, StateNetwork, Table,
};

use super::compare::{Comparison, Found, LoopNumbers, STAY_PS, names};
use super::{interval, tables};

const BINS: usize = 30;
/// Loops whose pictures stand side by side.
const PICTURES: usize = 3;
/// Seeds drawn into one surface.
const MARKERS: usize = 40;

/// Writes `report.html`, `report.json` and the CSV tables; answers the page.
pub fn write(comparison: &Comparison, folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot create the folder", folder.display()))?;
    let path = folder.join("report.json");
    let json = serde_json::to_vec_pretty(comparison)?;
    marsfm_trajectory::write_atomically(&path, &json)
        .with_context(|| format!("{}: cannot write", path.display()))?;
    tables::write(comparison, folder)?;
    let path = folder.join("report.html");
    page(comparison)?.write(&path)?;
    Ok(path)
}

fn page(c: &Comparison) -> Result<Report> {
    let names = names(c);
    let title = match &names[..] {
        [one] => format!("The loop {one}"),
        many => format!("{} loops on one system", many.len()),
    };
    let mut page = Report::new(title);
    page.subtitle(c.loops[0].notes.join(" · "));
    page.heading("What was done");
    page.table(&summary(c, &names));
    page.heading("States found");
    page.figure_row(&[
        (
            curves(c, &names, "MD, heads and preparation included (ns)", |f| f.md_ns),
            format!(
                "A state counts when MD stays {STAY_PS} ps in it behind a head. There are {} that \
                 the MD of all loops together both entered and left.",
                c.states
            ),
        ),
        (
            curves(c, &names, "CPU time of everything (s)", |f| f.cpu_seconds),
            "The same against CPU time: MD, preparation, models, proposals.".into(),
        ),
    ]);
    page.heading("Populations, free energies, times");
    page.figure_row(&[
        (populations(c, &names), "Populations with 95 % intervals.".into()),
        (stages(c, &names), "Wall time by stage.".into()),
    ]);
    page.table(&free_energies(c, &names));
    page.table(&times(c, &names));
    page.note(
        "Where these numbers come from:",
        "the reversible microstate model of the MD behind the heads, never from proposals. \
         Intervals are bootstraps over pieces of MD. A state that MD did not both enter and leave \
         has no number.",
    );
    page.heading("Where seeds went");
    match surfaces(c, &names)? {
        Some(svg) => page.figure(
            &svg,
            "Free energy (kJ/mol) of the MD behind the heads with the weights of its Markov model. \
             Numbers are epochs, where their seeds began.",
        ),
        None => page.paragraph("There are fewer than two coordinates: no surface can be drawn."),
    };
    page.heading("States and rates");
    let networks = c.loops.iter().zip(&names).take(PICTURES);
    let networks: Vec<(String, String)> = networks.map(|(l, n)| network(c, l, n)).collect();
    page.figure_row(&networks);
    for (l, name) in c.loops.iter().zip(&names) {
        page.heading(&format!("Is {name} biased, is it settled?"));
        page.table(&bias(l));
        page.figure(
            &drift(l),
            "Populations from the MD up to each epoch, in the states of the loop's newest model. \
             Lines that still move are not settled.",
        );
        if !l.lessons.is_empty() {
            page.table(&lessons(l));
        }
        if let Ok(s) = &l.statistics {
            let warnings = s.warnings.iter().map(ToString::to_string);
            for note in s.remarks.iter().cloned().chain(warnings) {
                page.note("Note:", &note);
            }
        }
        if let Err(why) = &l.statistics {
            page.note("No numbers:", why);
        }
    }
    page.footer(format!("marsfm {}", env!("CARGO_PKG_VERSION")));
    Ok(page)
}

fn summary(c: &Comparison, names: &[String]) -> Table {
    let rows = [
        "strategy",
        "epochs",
        "MD charged (ns)",
        "of it counted / heads / preparation / lost",
        "imported MD (ns)",
        "proposals, of which usable",
        "seeds run without repair / repaired",
        "seeds rejected / lost",
        "placed seeds that stayed in their state over the head",
        "states found",
        "MD until all of them (ns)",
        "CPU time (s)",
        "wall time of MD and preparation / proposals / all else (s)",
        "all else, % of the wall time",
    ];
    let values = |l: &LoopNumbers| -> Vec<String> {
        let (m, s, t) = (&l.md, &l.seeds, &l.stages);
        let found = l.found.last().map_or(0, |f| f.states);
        let first = l.found.iter().find(|f| f.states == c.states).filter(|_| c.states > 0);
        vec![
            l.strategy.clone(),
            l.epochs.to_string(),
            format!("{:.3}", m.total_ns),
            format!(
                "{:.3} / {:.3} / {:.3} / {:.3}",
                m.counted_ns, m.heads_ns, m.prepared_ns, m.lost_ns
            ),
            format!("{:.3}", m.imported_ns),
            format!("{}, {}", s.proposed, s.accepted),
            format!("{} / {}", s.valid, s.repaired),
            format!("{} / {}", s.rejected, s.lost),
            format!("{} of {}", s.stayed, s.placed),
            format!("{found} of {}", c.states),
            first.map_or("not found".into(), |f| format!("{:.3}", f.md_ns)),
            format!("{:.1}", t.cpu),
            format!("{:.1} / {:.1} / {:.1}", t.md, t.propose, t.read + t.model + t.choose + t.rest),
            format!("{:.2}", 100.0 * t.overhead()),
        ]
    };
    let columns: Vec<Vec<String>> = c.loops.iter().map(values).collect();
    let rows = rows.iter().enumerate().map(|(i, name)| {
        let mut row = vec![(*name).to_owned()];
        row.extend(columns.iter().map(|column| column[i].clone()));
        row
    });
    Table { rows: rows.collect(), columns: columns_of("", names), ..Table::default() }
}

fn columns_of(first: &str, names: &[String]) -> Vec<Column> {
    let mut columns = vec![Column::text(first)];
    columns.extend(names.iter().map(Column::number));
    columns
}

fn curves(c: &Comparison, names: &[String], x_label: &str, x: impl Fn(&Found) -> f64) -> String {
    let steps = |l: &LoopNumbers| {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for f in &l.found {
            if let Some(last) = points.last().copied() {
                points.push((x(f), last.1));
            }
            points.push((x(f), f.states as f64));
        }
        points
    };
    let series = c.loops.iter().zip(names).map(|(l, n)| Series::new(n, steps(l)));
    LinePlot {
        x_label: x_label.into(),
        y_label: "states found".into(),
        series: series.collect(),
        ..LinePlot::default()
    }
    .svg()
}

fn populations(c: &Comparison, names: &[String]) -> String {
    let series = c.loops.iter().zip(names).map(|(l, name)| {
        let of = |state: &usize| -> Option<Estimate> {
            l.statistics.as_ref().ok()?.populations.get(*state).copied().flatten()
        };
        let all: Vec<Option<Estimate>> = c.numbers.iter().map(of).collect();
        let ends = |e: &Option<Estimate>| {
            let e = e.as_ref();
            let end = |v: Option<f64>| v.unwrap_or(f64::NAN);
            (end(e.and_then(|e| e.low)), end(e.and_then(|e| e.high)))
        };
        BarSeries {
            name: name.clone(),
            values: all.iter().map(|e| e.map_or(f64::NAN, |e| e.value)).collect(),
            intervals: all.iter().map(ends).collect(),
        }
    });
    BarChart {
        x_label: "state".into(),
        y_label: "population".into(),
        categories: c.numbers.iter().map(|s| (s + 1).to_string()).collect(),
        series: series.collect(),
        ..BarChart::default()
    }
    .svg()
}

fn stages(c: &Comparison, names: &[String]) -> String {
    let series = c.loops.iter().zip(names).map(|(l, name)| {
        let t = &l.stages;
        let values = vec![t.md, t.propose, t.read, t.model, t.choose, t.rest];
        BarSeries { name: name.clone(), values, intervals: Vec::new() }
    });
    let categories =
        ["MD and preparation", "proposals", "reading back", "models", "choice", "rest"];
    BarChart {
        y_label: "wall time (s)".into(),
        categories: categories.map(str::to_owned).to_vec(),
        series: series.collect(),
        ..BarChart::default()
    }
    .svg()
}

/// An estimate in words, or why there is none.
fn told(e: Option<Estimate>) -> String {
    e.map_or("–".into(), interval)
}

fn free_energies(c: &Comparison, names: &[String]) -> Table {
    let rows = c.numbers.iter().map(|state| {
        let mut row = vec![format!("state {}", state + 1)];
        row.extend(c.loops.iter().map(|l| {
            let all = l.statistics.as_ref().ok().map(|s| &s.free_energies_kj_mol);
            told(all.and_then(|all| all.get(*state).copied().flatten()))
        }));
        row
    });
    Table {
        caption: "Free energies -RT ln p (kJ/mol) with 95 % intervals.".into(),
        columns: columns_of("", names),
        rows: rows.collect(),
        ..Table::default()
    }
}

/// Timescales, then passage times between the states.
fn times(c: &Comparison, names: &[String]) -> Table {
    let most = |l: &LoopNumbers| l.statistics.as_ref().map_or(0, |s| s.timescales_ps.len());
    let mut rows: Vec<Vec<String>> = Vec::new();
    for k in 0..c.loops.iter().map(most).max().unwrap_or(0) {
        let mut row = vec![format!("timescale {}", k + 1)];
        row.extend(c.loops.iter().map(|l| {
            told(l.statistics.as_ref().ok().and_then(|s| s.timescales_ps.get(k).copied()))
        }));
        rows.push(row);
    }
    for from in &c.numbers {
        for to in c.numbers.iter().filter(|to| *to != from) {
            let mut row = vec![format!("passage {} → {}", from + 1, to + 1)];
            row.extend(c.loops.iter().map(|l| {
                let all = l.statistics.as_ref().ok().map(|s| &s.mfpt_ps);
                let one = all.and_then(|m| m.get(*from)?.get(*to).copied().flatten());
                told(one)
            }));
            rows.push(row);
        }
    }
    Table {
        caption: "Implied timescales and mean first passage times (ps) with 95 % intervals.".into(),
        columns: columns_of("", names),
        rows,
        ..Table::default()
    }
}

fn surfaces(c: &Comparison, names: &[String]) -> Result<Option<String>> {
    let shown: Vec<&LoopNumbers> = c.loops.iter().take(PICTURES).collect();
    let axis = |k: usize| -> Vec<f64> {
        shown.iter().flat_map(|l| l.points.iter().map(move |p| p.0[k])).collect()
    };
    let seeds = |k: usize| -> Vec<f64> {
        shown.iter().flat_map(|l| l.runs.iter().map(move |r| r.at[k])).collect()
    };
    if c.axes[1].is_empty() || axis(0).is_empty() {
        return Ok(None);
    }
    let x = Bins::joint(&axis(0), &seeds(0), BINS)?;
    let y = Bins::joint(&axis(1), &seeds(1), BINS)?;
    let range = |b: &Bins| (b.edge(0), b.edge(b.len()));
    let cell = |b: &Bins, v: f64| {
        let (low, high) = range(b);
        (((v - low) / (high - low) * b.len() as f64) as usize).min(b.len() - 1)
    };
    let mut panels = Vec::new();
    for (l, name) in shown.iter().zip(names) {
        let mut weights = vec![0.0; x.len() * y.len()];
        for ([a, b], w) in &l.points {
            weights[cell(&x, *a) * y.len() + cell(&y, *b)] += w;
        }
        let values = match l.points.is_empty() {
            true => vec![f64::INFINITY; weights.len()],
            false => free_energy(&weights, c.temperature_kelvin)?,
        };
        let placed: Vec<_> =
            l.runs.iter().filter(|r| r.record.epoch.is_some_and(|e| e > 0)).collect();
        let step = placed.len().div_ceil(MARKERS).max(1);
        let marker = |r: &&super::compare::RunNumbers| Marker {
            at: (r.at[0], r.at[1]),
            label: r.record.epoch.map_or(String::new(), |e| (e + 1).to_string()),
        };
        let markers = placed.iter().step_by(step).map(marker).collect();
        panels.push(FreeEnergyPanel { title: name.clone(), values, markers });
    }
    let figure = FreeEnergySurfaces {
        x_label: c.axes[0].clone(),
        y_label: c.axes[1].clone(),
        value_label: "free energy (kJ/mol)".into(),
        x_range: range(&x),
        y_range: range(&y),
        x_bins: x.len(),
        y_bins: y.len(),
        max: None,
        panels,
    };
    Ok(Some(figure.svg()))
}

fn network(c: &Comparison, l: &LoopNumbers, name: &str) -> (String, String) {
    let s = l.statistics.as_ref().ok();
    let population = |state: usize| -> f64 {
        s.and_then(|s| s.populations.get(state).copied().flatten()).map_or(0.0, |e| e.value)
    };
    let states = c.numbers.iter().zip(&c.places).map(|(state, at)| State {
        name: (state + 1).to_string(),
        population: population(*state),
        at: Some(*at),
    });
    let mut fluxes = Vec::new();
    for (i, from) in c.numbers.iter().enumerate() {
        for (j, to) in c.numbers.iter().enumerate().filter(|(j, _)| *j != i) {
            let time = s.and_then(|s| s.mfpt_ps.get(*from)?.get(*to).copied().flatten());
            if let Some(time) = time.filter(|t| t.value > 0.0) {
                fluxes.push(Flux { from: i, to: j, flux: population(*from) / time.value });
            }
        }
    }
    let picture = StateNetwork { title: name.into(), states: states.collect(), fluxes };
    let caption = "Circles by population, arrows by population over mean first passage time.";
    (picture.svg(), caption.into())
}

fn bias(l: &LoopNumbers) -> Table {
    let named: Vec<usize> = l
        .variants
        .first()
        .and_then(|v| v.statistics.as_ref().ok())
        .map(|s| (0..s.populations.len()).filter(|k| s.populations[*k].is_some()).collect())
        .unwrap_or_default();
    let mut columns = vec![Column::text("changed"), Column::text("to")];
    columns.extend(named.iter().map(|s| Column::number(format!("p({})", s + 1))));
    columns.push(Column::number("slowest timescale (ps)"));
    let row = |v: &marsfm_adaptive::Variant| {
        let short = if v.short { " (runs shorter than 10 lags)" } else { "" };
        let mut row = vec![v.kind.clone(), format!("{}{short}", v.value)];
        match &v.statistics {
            Ok(s) => {
                row.extend(named.iter().map(|k| told(s.populations.get(*k).copied().flatten())));
                row.push(told(s.timescales_ps.first().copied()));
            }
            Err(_) => row.extend(std::iter::repeat_n("no model".to_owned(), named.len() + 1)),
        }
        row
    };
    Table {
        caption: "The same runs with other heads, other lags, and without each class of seeds \
                  (states of this loop's own model)."
            .into(),
        columns,
        rows: l.variants.iter().map(row).collect(),
        ..Table::default()
    }
}

fn lessons(l: &LoopNumbers) -> Table {
    let columns = ["before epoch", "runs learned from", "runs judged on", "steps"];
    let losses = ["loss before", "loss after", "wall time (s)"];
    let row = |s: &super::Lesson| {
        vec![
            (s.epoch + 1).to_string(),
            s.runs[0].to_string(),
            s.runs[1].to_string(),
            s.steps.to_string(),
            s.before.map_or("none".into(), |b| format!("{b:.4}")),
            format!("{:.4}", s.after),
            format!("{:.0}", s.seconds),
            if s.kept { "yes" } else { "no" }.into(),
        ]
    };
    Table {
        caption: "What the surrogate learned from the loop's own MD; it jumps with it only where \
                  the loss on runs that it never learned from fell."
            .into(),
        columns: columns
            .into_iter()
            .chain(losses)
            .map(Column::number)
            .chain([Column::text("kept")])
            .collect(),
        rows: l.lessons.iter().map(row).collect(),
        ..Table::default()
    }
}

fn drift(l: &LoopNumbers) -> String {
    let states = l.drift.last().map_or(0, |d| d.populations.len());
    let line = |k: usize| -> Vec<(f64, f64)> {
        let at = |d: &marsfm_adaptive::Drift| {
            Some((d.epoch as f64 + 1.0, d.populations.get(k).copied()?))
        };
        l.drift.iter().filter_map(at).collect()
    };
    // States that never had a population are no lines.
    let lines = (0..states).map(|k| (k, line(k))).filter(|(_, p)| p.iter().any(|p| p.1 > 0.0));
    let series =
        lines.map(|(k, p)| Series { dots: true, ..Series::new(format!("state {}", k + 1), p) });
    LinePlot {
        x_label: "epoch".into(),
        y_label: "population".into(),
        series: series.collect(),
        ..LinePlot::default()
    }
    .svg()
}
