//! The demonstration's page: surfaces side by side, torsion marginals, T, timescales, numbers.

use anyhow::Result;
use marsfm_metrics::Ensemble;
use marsfm_metrics::histogram::Bins;
use marsfm_metrics::surface::free_energy_2d;
use marsfm_report::{
    Column, FreeEnergyPanel, FreeEnergySurfaces, KeyFigure, LinePlot, MarginalCurve, MarginalPanel,
    Marginals, MatrixHeatMap, Report, Series, Table,
};
use marsfm_surrogate::Surrogate;

use crate::demo::DemoOutcome;
use crate::score::Reference;

const SURFACE_BINS: usize = 40;
const TORSION_BINS: usize = 60;

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
    match surfaces(reference, md, samples)? {
        Some(svg) => {
            page.figure(&svg, "Free energy over the first two TICA coordinates of the MD, on one colour scale. Places never visited are empty.");
        }
        None => {
            page.paragraph("TICA kept fewer than two coordinates: there is no surface to draw.");
        }
    }
    page.heading("Torsions");
    page.figure(&torsions(outcome, reference, md, samples)?, "Densities of the torsions. JSD is the Jensen–Shannon distance (natural logarithm, at most 0.83).");
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

fn surfaces(reference: &Reference, md: &Ensemble, samples: &Ensemble) -> Result<Option<String>> {
    if md.tica.len() < 2 {
        return Ok(None);
    }
    let bins = |k: usize| -> Result<Bins> {
        // Without accepted samples the MD alone decides the range.
        let other = samples.tica.get(k).unwrap_or(&md.tica[k]);
        Ok(Bins::joint(&md.tica[k], other, SURFACE_BINS)?)
    };
    let (x, y) = (bins(0)?, bins(1)?);
    let panel = |title: String, e: &Ensemble| -> Result<FreeEnergyPanel> {
        let values = free_energy_2d(&e.tica[0], &e.tica[1], x, y, reference.kelvin)?;
        Ok(FreeEnergyPanel { title, values: values.kj_mol, markers: vec![] })
    };
    let mut panels = vec![panel(format!("MD, {} frames", md.n_frames()), md)?];
    if samples.n_frames() > 0 {
        panels.push(panel(format!("Surrogate, {} samples", samples.n_frames()), samples)?);
    }
    let range = |b: &Bins| (b.edge(0), b.edge(b.len()));
    let figure = FreeEnergySurfaces {
        x_label: "TICA 1".into(),
        y_label: "TICA 2".into(),
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

/// Longest list of torsion panels worth a page; a longer chain shows its backbone only.
const MOST_PANELS: usize = 24;

fn torsions(
    o: &DemoOutcome,
    reference: &Reference,
    md: &Ensemble,
    samples: &Ensemble,
) -> Result<String> {
    let names = reference.model.features.torsion_names();
    let backbone = reference.model.features.is_backbone();
    let all: Vec<usize> =
        (0..names.len()).filter(|i| names.len() <= MOST_PANELS || backbone[*i]).collect();
    let degrees = |angles: Option<&Vec<f64>>| -> Result<Vec<f64>> {
        let bins = Bins::new(-180.0, 180.0, TORSION_BINS)?;
        let angles: Vec<f64> = angles.into_iter().flatten().map(|a| a.to_degrees()).collect();
        Ok(bins.count(&angles))
    };
    let panel = |i: usize| -> Result<MarginalPanel> {
        let mut curves =
            vec![MarginalCurve { name: "MD".into(), bins: degrees(md.torsions.get(i))? }];
        if samples.n_frames() > 0 {
            curves.push(MarginalCurve {
                name: "surrogate".into(),
                bins: degrees(samples.torsions.get(i))?,
            });
        }
        let note = o.scores.as_ref().and_then(|s| s.torsions.per_torsion.get(i));
        Ok(MarginalPanel {
            title: names[i].clone(),
            note: note.map_or(String::new(), |v| format!("JSD {v:.2}")),
            range: (-180.0, 180.0),
            curves,
        })
    };
    let panels = all.into_iter().take(MOST_PANELS).map(panel).collect::<Result<_>>()?;
    Ok(Marginals { x_label: "angle (degrees)".into(), columns: 3, panels }.svg())
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
