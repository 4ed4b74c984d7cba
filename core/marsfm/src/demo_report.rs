//! The demonstration's page: surfaces side by side, torsion marginals, T, timescales, numbers.

use anyhow::Result;
use marsfm_metrics::Ensemble;
use marsfm_report::{Column, KeyFigure, LinePlot, MatrixHeatMap, Report, Series, Table};
use marsfm_surrogate::Surrogate;

use crate::demo::DemoOutcome;
use crate::pictures;
use crate::score::Reference;

/// Writes the page.
pub fn write(
    outcome: &DemoOutcome,
    reference: &Reference,
    md: &Ensemble,
    samples: &Ensemble,
    surrogate: &Surrogate,
) -> Result<()> {
    let mut page = Report::new(format!("State-to-state jumps of {}", outcome.name));
    page.subtitle(format!(
        "{} residues ({}), {:.1} ns of MD in {} replicas, surrogate lag {} ps.",
        outcome.sequence.len(),
        outcome.sequence,
        reference.system.nanoseconds(),
        reference.model.rows.len(),
        surrogate.card().domain.lag_ps
    ));
    page.key_figures(&key_figures(outcome));
    page.list(&outcome.in_words());
    page.heading("Free energy");
    let titled = [
        (format!("MD, {} frames", md.n_frames()), md),
        (format!("Surrogate, {} samples", samples.n_frames()), samples),
    ];
    match pictures::surfaces(&titled, reference.kelvin)? {
        Some(svg) => {
            page.figure(&svg, "Free energy over the first two TICA coordinates of the MD, on one colour scale. Places never visited are empty.");
        }
        None => {
            page.paragraph("TICA kept fewer than two coordinates: there is no surface to draw.");
        }
    }
    page.heading("Torsions");
    let features = &reference.model.features;
    let both = [("MD", md), ("surrogate", samples)];
    let note = |i: usize| {
        let of = outcome.scores.as_ref().and_then(|s| s.torsions.per_torsion.get(i));
        of.map_or(String::new(), |v| format!("JSD {v:.2}"))
    };
    let svg = pictures::torsions(features.torsion_names(), &features.is_backbone(), &both, note)?;
    page.figure(&svg, "Densities of the torsions. JSD is the Jensen–Shannon distance (natural logarithm, at most 0.83).");
    page.heading("Kinetics of the MD");
    page.figure_row(&[
        (matrix(reference), "Row-normalised counts between macrostates; rows sum to one.".into()),
        (
            timescales(reference),
            "Reversible microstate model. Shaded: shorter than the lag, not resolved.".into(),
        ),
    ]);
    for warning in &reference.model.msm.warnings {
        page.note("Markov model:", &warning.to_string());
    }
    page.heading("Numbers");
    page.table(&numbers(outcome));
    if let Some(training) = &surrogate.card().training {
        page.heading("The surrogate");
        page.figure(&losses(&training.losses), "Flow-matching loss; validation is on peptides never trained on, with averaged weights.");
        page.paragraph(&format!(
            "Trained for {} steps of {} samples on {} systems ({:.0} ns): {}.",
            training.steps,
            training.batch,
            training.systems.len(),
            training.systems.values().sum::<f64>(),
            training.systems.keys().cloned().collect::<Vec<_>>().join(" ")
        ));
    }
    page.footer(format!(
        "marsfm {} · model {}",
        env!("CARGO_PKG_VERSION"),
        &surrogate.sha256()[..12.min(surrogate.sha256().len())]
    ));
    Ok(page.write(&outcome.report)?)
}

fn key_figures(o: &DemoOutcome) -> Vec<KeyFigure> {
    let key = |label: &str, value: String, detail: String| KeyFigure {
        label: label.into(),
        value,
        detail,
    };
    let mean = |f: fn(&(f64, f64)) -> f64| {
        o.noise.iter().map(f).sum::<f64>() / o.noise.len().max(1) as f64
    };
    let noise = |v: f64| {
        if o.noise.is_empty() {
            "one replica only".into()
        } else {
            format!("one MD replica: {v:.2}")
        }
    };
    let mut keys = vec![
        key(
            "Accepted samples",
            format!("{} of {}", o.tally.accepted, o.tally.draws),
            format!("{} need repair", o.tally.need_repair),
        ),
        key(
            "Macrostates reached",
            format!("{} of {}", o.reached.0, o.reached.1),
            "from one start frame".into(),
        ),
    ];
    if let Some(s) = &o.scores {
        let tica = s.tica_01.map_or("–".into(), |v| format!("{v:.2}"));
        keys.push(key("TICA-0,1 distance", tica, noise(mean(|x| x.0))));
        keys.push(key(
            "Macrostate distance",
            format!("{:.2}", s.macrostates),
            noise(mean(|x| x.1)),
        ));
    }
    keys
}

fn matrix(reference: &Reference) -> String {
    let msm = &reference.model.msm;
    let names: Vec<String> = (1..=msm.n_macrostates()).map(|i| i.to_string()).collect();
    let lag = msm.settings.pair_lag as f64 * reference.system.data.frame_ps();
    MatrixHeatMap {
        title: format!("Transition probabilities in {lag} ps"),
        row_label: "from macrostate".into(),
        column_label: "to macrostate".into(),
        rows: names.clone(),
        columns: names,
        values: msm.macro_t.as_slice().to_vec(),
        max: Some(1.0),
    }
    .svg()
}

fn timescales(reference: &Reference) -> String {
    let (msm, ps) = (&reference.model.msm, reference.system.data.frame_ps());
    let series = |k: usize| {
        let at = |t: &marsfm_msm::estimate::ImpliedTimescales| {
            Some((t.lag as f64 * ps, t.timescales.get(k)? * ps))
        };
        let points =
            msm.implied_timescales.iter().filter_map(at).filter(|p| p.1.is_finite()).collect();
        Series { dots: true, ..Series::new(format!("process {}", k + 1), points) }
    };
    LinePlot {
        title: "Implied timescales".into(),
        x_label: "lag time (ps)".into(),
        y_label: "timescale (ps)".into(),
        x_log: true,
        y_log: true,
        series: (0..4).map(series).collect(),
        shade_below_diagonal: true,
        marks: vec![(msm.settings.msm_lag as f64 * ps, "MSM".into())],
    }
    .svg()
}

fn losses(history: &[(u64, f64, Option<f64>)]) -> String {
    let training = history.iter().map(|l| (l.0 as f64, l.1)).collect();
    let validation: Vec<(f64, f64)> =
        history.iter().filter_map(|l| Some((l.0 as f64, l.2?))).collect();
    let mut series = vec![Series::new("training", training)];
    if !validation.is_empty() {
        series.push(Series { dashed: true, ..Series::new("validation", validation) });
    }
    LinePlot {
        title: "Training".into(),
        x_label: "step".into(),
        y_label: "flow-matching loss".into(),
        series,
        ..LinePlot::default()
    }
    .svg()
}

fn numbers(o: &DemoOutcome) -> Table {
    let cell = |v: Option<f64>| v.map_or("–".into(), |v| format!("{v:.3}"));
    let mut rows = Vec::new();
    if let Some(s) = &o.scores {
        rows.push(vec![
            "surrogate".into(),
            format!("{:.0} %", 100.0 * o.tally.acceptance()),
            cell(Some(s.torsions.all)),
            cell(s.tica_01),
            cell(Some(s.macrostates)),
        ]);
    }
    for (i, (tica, states)) in o.noise.iter().enumerate() {
        rows.push(vec![
            format!("MD replica {} against the others", i + 1),
            "–".into(),
            "–".into(),
            cell(Some(*tica)),
            cell(Some(*states)),
        ]);
    }
    Table {
        caption: "Distances to the MD (√JSD, natural logarithm; lower is better)".into(),
        columns: vec![
            Column::text("ensemble"),
            Column::number("accepted"),
            Column::number("torsions"),
            Column::number("TICA-0,1"),
            Column::number("macrostates"),
        ],
        rows,
        strong: vec![0],
    }
}
