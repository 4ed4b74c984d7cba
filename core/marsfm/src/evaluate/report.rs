//! The page of an evaluation: the table, free-energy surfaces, torsion marginals, populations,
//! fluctuations, kinetics, memory. One file that needs nothing else.

use std::path::Path;

use anyhow::Result;
use marsfm_report::{
    BarChart, BarSeries, Column, KeyFigure, LinePlot, MatrixHeatMap, Report, Series, Table,
};

use super::kinetics::Kinetics;
use super::memory::Memory;
use super::protein::ProteinNumbers;
use super::{Evaluation, Reference, Scored};
use crate::pictures;

/// Writes the page; `name` is what the sample is called on it.
pub fn write(path: &Path, name: &str, reference: &Reference, scored: &Scored) -> Result<()> {
    let e = &scored.evaluation;
    let mut page = Report::new(format!("{name} against MD: {}", e.sequence));
    page.subtitle(format!(
        "{} frames of {} against {} frames of MD in {} replicas, {} ps apart.",
        e.sample.n_frames,
        name,
        e.reference.n_frames,
        e.reference.files.len(),
        reference.frame_ps
    ));
    page.key_figures(&key_figures(e));
    page.heading("Scores");
    page.table(&scores(e));
    page.paragraph(
        "Intervals: 95 %, MD resampled by replica and samples by tree or draw, moved so that the \
         median of the resamples falls on the value. Floor: two samples of the MD's own histograms \
         with as many independent frames. MD noise: each replica, cut to the sample's number of \
         frames, against the others.",
    );
    page.heading("Free energy");
    let (md, drawn) = (&reference.numbers, &scored.numbers);
    let titled = [
        (format!("MD, {} frames", md.n_frames()), md),
        (format!("sample, {} frames", drawn.n_frames()), drawn),
    ];
    match pictures::surfaces(&titled, e.settings.kelvin)? {
        Some(svg) => page.figure(
            &svg,
            "Over the first two TICA coordinates of the MD, on one colour scale. Places never \
             visited are empty.",
        ),
        None => page.paragraph("TICA kept fewer than two coordinates: no surface to draw."),
    };
    page.heading("Torsions");
    let (names, backbone) =
        (reference.model.features.torsion_names(), reference.model.features.is_backbone());
    let both = [("MD", md), ("sample", drawn)];
    let svg = pictures::torsions(names, &backbone, &both, |_| String::new())?;
    page.figure(&svg, "Densities of the torsions.");
    page.heading("States");
    page.figure(&populations(reference, scored), "Populations of the MD's macrostates.");
    if let Some(p) = &e.protein {
        page.heading("Fluctuations");
        let svg = pictures::fluctuations(&[("sample", p)]).unwrap_or_default();
        page.figure(&svg, "RMSF of each Cα about its ensemble's mean.");
        page.paragraph(&folding(p));
    }
    if let Some(k) = &e.kinetics {
        page.heading("Kinetics");
        page.figure_row(&[
            (matrix("MD", k, &k.reference.t), String::new()),
            (matrix("sample", k, &k.sample.t), "Rows sum to one; a dash: never left.".into()),
        ]);
        page.figure_row(&[
            (pictures::timescales(&[("sample", k)]).unwrap_or_default(), "MD lumped: of the MD's macrostates alone, what drawing frames anew inside a macrostate does to kinetics.".into()),
            (passages(k), "Mean first-passage times between macrostates; on the diagonal they agree.".into()),
        ]);
    }
    if !e.memory.is_empty() {
        page.heading("Memory");
        page.figure(&memory(&e.memory), "Decorrelation of the slowest torsion and of TICA-0.");
        page.table(&memory_table(&e.memory));
    }
    page.heading("How each number is computed");
    let definitions: Vec<String> =
        e.scores.iter().map(|s| format!("{}: {}", s.name, s.definition)).collect();
    page.list(&definitions);
    for note in &e.notes {
        page.note("Note:", note);
    }
    page.footer(format!("marsfm {} · seed {}", env!("CARGO_PKG_VERSION"), e.settings.rng_seed));
    Ok(page.write(path)?)
}

fn key_figures(e: &Evaluation) -> Vec<KeyFigure> {
    let key = |label: &str, value: String, detail: String| KeyFigure {
        label: label.into(),
        value,
        detail,
    };
    let mut out = Vec::new();
    for name in ["torsions (all)", "TICA-0,1", "macrostates"] {
        if let Some(s) = e.score(name) {
            let noise = s
                .md_noise
                .map_or("one replica only".into(), |n| format!("MD against itself {:.3}", n.mean));
            out.push(key(name, format!("{:.3}", s.interval.value), noise));
        }
    }
    out.push(key(
        "Pass the checks",
        format!("{:.1} %", 100.0 * e.sample.acceptance),
        e.sample.validity.sentence(),
    ));
    out.push(key(
        "Outside the reference",
        format!("{:.2} %", 100.0 * e.outside_fraction),
        format!("{} of {} microstates seen", e.microstates_visited.0, e.microstates_visited.1),
    ));
    out.push(key(
        "Independent frames",
        format!("{:.0}", e.sample.n_eff),
        format!("of {}; MD {:.0}", e.sample.n_frames, e.reference.n_eff),
    ));
    out
}

/// The scores as a table.
pub fn scores(e: &Evaluation) -> Table {
    let row = |s: &super::Score| {
        vec![
            s.name.clone(),
            format!("{:.3}", s.interval.value),
            format!("{:.3} … {:.3}", s.interval.low, s.interval.high),
            s.floor.map_or("–".into(), |f| format!("{:.3}", f.value)),
            s.md_noise.map_or("–".into(), |n| format!("{:.3}", n.mean)),
            format!("{:?}", s.better).to_lowercase(),
        ]
    };
    Table {
        caption: String::new(),
        columns: vec![
            Column::text("score"),
            Column::number("value"),
            Column::number("95 % interval"),
            Column::number("floor"),
            Column::number("MD noise"),
            Column::text("better"),
        ],
        rows: e.scores.iter().map(row).collect(),
        strong: vec![],
    }
}

fn populations(reference: &Reference, scored: &Scored) -> String {
    let n = reference.model.msm.n_macrostates();
    let of = |name: &str, states: &[usize]| {
        let share = |s: usize| {
            states.iter().filter(|x| **x == s).count() as f64 / states.len().max(1) as f64
        };
        BarSeries { name: name.into(), values: (0..n).map(share).collect(), intervals: vec![] }
    };
    BarChart {
        title: "Macrostates".into(),
        x_label: "macrostate".into(),
        y_label: "population".into(),
        categories: (1..=n).map(|i| i.to_string()).collect(),
        series: vec![
            of("MD", &reference.numbers.macrostates),
            of("sample", &scored.numbers.macrostates),
        ],
    }
    .svg()
}

fn folding(p: &ProteinNumbers) -> String {
    let spread = format!(
        "Mean pairwise Cα RMSD: MD {:.3} nm, sample {:.3} nm.",
        p.reference.pairwise_rmsd_nm.value, p.sample.pairwise_rmsd_nm.value
    );
    match (&p.reference.folding, &p.sample.folding) {
        (Some(a), Some(b)) => format!(
            "{spread} Folded by BioEmu's definition ({} native contacts): MD {:.1} %, sample \
             {:.1} %; ΔG {:.2} and {:.2} kcal/mol.",
            p.native_contacts,
            100.0 * a.p_folded,
            100.0 * b.p_folded,
            a.delta_g_kcal_mol,
            b.delta_g_kcal_mol
        ),
        _ => format!("{spread} The structure has no native contacts to speak of folding."),
    }
}

fn matrix(title: &str, k: &Kinetics, t: &[f64]) -> String {
    let n = (t.len() as f64).sqrt() as usize;
    let names: Vec<String> = (1..=n).map(|i| i.to_string()).collect();
    let empty = |row: usize| t[row * n..(row + 1) * n].iter().sum::<f64>() <= 0.0;
    let values = t.iter().enumerate().map(|(i, v)| if empty(i / n) { f64::NAN } else { *v });
    MatrixHeatMap {
        title: format!("T in {} ps, {title}", k.lag_ps),
        row_label: "from macrostate".into(),
        column_label: "to macrostate".into(),
        rows: names.clone(),
        columns: names,
        values: values.collect(),
        max: Some(1.0),
    }
    .svg()
}

fn passages(k: &Kinetics) -> String {
    let pairs = |e: &super::kinetics::Estimate| -> Vec<(f64, f64)> {
        let both = k.reference.mfpt_ps.iter().zip(&e.mfpt_ps);
        let mut points: Vec<(f64, f64)> =
            both.map(|(a, b)| (*a, *b)).filter(|p| p.0.is_finite() && p.1.is_finite()).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let known = || k.reference.mfpt_ps.iter().copied().filter(|t| t.is_finite());
    let ends = (known().fold(f64::INFINITY, f64::min), known().fold(0.0, f64::max));
    LinePlot {
        title: "First-passage times".into(),
        x_label: "MD (ps)".into(),
        y_label: "sample (ps)".into(),
        x_log: true,
        y_log: true,
        series: vec![
            Series { dots: true, ..Series::new("sample", pairs(&k.sample)) },
            Series { dots: true, ..Series::new("MD, lumped", pairs(&k.lumped)) },
            Series {
                dashed: true,
                ..Series::new("equal", vec![(ends.0, ends.0), (ends.1, ends.1)])
            },
        ],
        ..LinePlot::default()
    }
    .svg()
}

fn memory(all: &[Memory]) -> String {
    let slowest = all
        .iter()
        .filter(|m| m.name != "TICA-0")
        .max_by(|a, b| a.reference_ps.unwrap_or(0.0).total_cmp(&b.reference_ps.unwrap_or(0.0)));
    let tica = all.iter().find(|m| m.name == "TICA-0");
    let curves = slowest.into_iter().chain(tica).flat_map(|m| {
        [
            Series::new(format!("{}, MD", m.name), m.reference_curve.clone()),
            Series {
                dashed: true,
                ..Series::new(format!("{}, sample", m.name), m.sample_curve.clone())
            },
        ]
    });
    LinePlot {
        title: "Decorrelation".into(),
        x_label: "lag (ps)".into(),
        y_label: "correlation left".into(),
        series: curves.collect(),
        ..LinePlot::default()
    }
    .svg()
}

fn memory_table(all: &[Memory]) -> Table {
    let cell = |t: Option<f64>| t.map_or("longer".into(), |t| format!("{t:.1}"));
    Table {
        caption: "Time until a curve first falls below 1/e".into(),
        columns: vec![
            Column::text("coordinate"),
            Column::number("MD (ps)"),
            Column::number("sample (ps)"),
        ],
        rows: all
            .iter()
            .map(|m| vec![m.name.clone(), cell(m.reference_ps), cell(m.sample_ps)])
            .collect(),
        strong: vec![],
    }
}
