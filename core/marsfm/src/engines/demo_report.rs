//! The page of the engine demonstration: where each seed went.

use anyhow::Result;
use marsfm_metrics::histogram::Bins;
use marsfm_metrics::surface::free_energy_2d;
use marsfm_report::{Column, FreeEnergyPanel, KeyFigure, Marker, Report, Table};

use super::demo::DemoOutcome;
use super::trial::{DemoSeed, Place};
use crate::pictures::tica_surfaces;
use crate::score::Reference;

const BINS: usize = 40;

/// Writes the page.
pub fn write(o: &DemoOutcome, reference: &Reference) -> Result<()> {
    let mut page = Report::new(format!("Seeds of {} on a real engine", o.name));
    page.subtitle(o.notes.join(" · "));
    page.key_figures(&key_figures(o));
    page.heading("Where each seed went");
    if let Some(svg) = surfaces(o, reference)? {
        page.figure(
            &svg,
            "Free energy of the MD over its first two TICA coordinates. Numbers are seeds: as the \
             surrogate drew them, after preparation, and at the end of their runs.",
        );
    } else {
        page.paragraph("TICA kept fewer than two coordinates: there is no surface to draw.");
    }
    page.table(&table(
        "Seeds of the surrogate. States are macrostates of the MD's Markov model, counted from 1.",
        &o.jumped,
    ));
    page.heading("Frames of the MD, treated in the same way");
    page.paragraph(
        "One for each seed that arrived elsewhere than its parent: a frame of the MD of the state \
         that the seed has after preparation.",
    );
    page.table(&table("Frames of the MD.", &o.controls));
    page.heading("Displacements in preparation");
    page.table(&histogram(o));
    page.note(
        "Not an equilibrium ensemble:",
        "MD + jump + minimisation + new velocities does not satisfy detailed balance. Count only \
         the runs, each without its head, in a Markov model; never a histogram of everything.",
    );
    page.footer(format!("marsfm {}", env!("CARGO_PKG_VERSION")));
    Ok(page.write(&o.report)?)
}

fn key_figures(o: &DemoOutcome) -> Vec<KeyFigure> {
    let key = |label: &str, value: String, detail: String| KeyFigure {
        label: label.into(),
        value,
        detail,
    };
    let count = |word: &str| o.seeds.verdicts.get(word).copied().unwrap_or(0);
    let ((lived, of), (plain, plain_of)) = o.survival();
    let rms = o.seeds.median_rms_nm.map_or("–".into(), |r| format!("{r:.3} nm"));
    let plain_rms = o.plain.median_rms_nm.map_or("–".into(), |r| format!("{r:.3} nm"));
    vec![
        key(
            "Valid without repair",
            format!("{} of {}", count("valid"), o.jumped.len()),
            format!("{} repaired, {} rejected", count("repaired"), count("rejected")),
        ),
        key("Heavy atoms moved (median)", rms, format!("frames of the MD: {plain_rms}")),
        key(
            "Survived the head",
            format!("{lived} of {of}"),
            format!("frames of the MD: {plain} of {plain_of}"),
        ),
        key(
            "MD spent",
            format!("{:.0} ps", o.md_ps.0 + o.md_ps.1 + o.md_ps.2),
            format!("{:.0} ps of it count", o.md_ps.2),
        ),
    ]
}

/// Where a seed stands at one stage, if it got there.
type PlaceOf = fn(&DemoSeed) -> Option<Place>;

fn surfaces(o: &DemoOutcome, reference: &Reference) -> Result<Option<String>> {
    let md = reference.md(0..reference.model.rows.len())?;
    if md.tica.len() < 2 {
        return Ok(None);
    }
    let stages: [(&str, PlaceOf); 3] = [
        ("as sampled", |s| Some(s.sampled)),
        ("after preparation", |s| s.prepared),
        ("at the end of the run", |s| s.end),
    ];
    let places: Vec<(f64, f64)> = stages
        .iter()
        .flat_map(|(_, at)| o.jumped.iter().filter_map(move |s| Some(at(s)?.tica)))
        .collect();
    let bins = |values: &[f64], other: Vec<f64>| Bins::joint(values, &other, BINS);
    let x = bins(&md.tica[0], places.iter().map(|p| p.0).collect())?;
    let y = bins(&md.tica[1], places.iter().map(|p| p.1).collect())?;
    let values = free_energy_2d(&md.tica[0], &md.tica[1], x, y, reference.kelvin)?.kj_mol;
    let panel = |(title, at): &(&str, fn(&DemoSeed) -> Option<Place>)| FreeEnergyPanel {
        title: (*title).into(),
        values: values.clone(),
        markers: o
            .jumped
            .iter()
            .filter_map(|s| {
                Some(Marker { at: at(s)?.tica, label: (s.record.seed + 1).to_string() })
            })
            .collect(),
    };
    Ok(Some(tica_surfaces(&x, &y, stages.iter().map(panel).collect())))
}

fn table(caption: &str, seeds: &[DemoSeed]) -> Table {
    let state = |p: Option<Place>| match p {
        None => "–".into(),
        Some(p) => p.state.map_or("none".to_owned(), |s| (s + 1).to_string()),
    };
    let row = |s: &DemoSeed| {
        let r = &s.record;
        let number =
            |x: Option<f64>, digits: usize| x.map_or("–".to_owned(), |x| format!("{x:.digits$}"));
        let mut reasons = r.reasons.join(", ");
        if let Some(lost) = &s.lost {
            reasons = format!("{reasons} {lost}");
        }
        vec![
            (r.seed + 1).to_string(),
            r.verdict.clone(),
            reasons,
            number(r.rms_nm, 3),
            number(r.max_torsion_degrees, 0),
            state(Some(s.parent)),
            state(Some(s.sampled)),
            state(s.minimised),
            state(s.prepared),
            state(s.head),
            state(s.end),
            number(s.head_kj_mol, 0),
        ]
    };
    Table {
        caption: caption.into(),
        columns: vec![
            Column::number("seed"),
            Column::text("verdict"),
            Column::text("reasons"),
            Column::number("rms move (nm)"),
            Column::number("largest torsion (°)"),
            Column::number("parent's state"),
            Column::number("sampled"),
            Column::number("minimised"),
            Column::number("prepared"),
            Column::number("end of head"),
            Column::number("end"),
            Column::number("energy (kJ/mol)"),
        ],
        rows: seeds.iter().map(row).collect(),
        strong: Vec::new(),
    }
}

fn histogram(o: &DemoOutcome) -> Table {
    let (a, b) = (&o.seeds, &o.plain);
    let name = |k: usize, from: f64| {
        if k + 1 == a.torsions.from_degrees.len() {
            format!("{from} and more")
        } else {
            format!("{from} to {}", from + 5.0)
        }
    };
    let rows = a.torsions.from_degrees.iter().enumerate().map(|(k, from)| {
        let counts = [&a.torsions, &b.torsions, &a.largest_torsions, &b.largest_torsions];
        let mut row = vec![name(k, *from)];
        row.extend(counts.map(|h| h.counts[k].to_string()));
        row
    });
    Table {
        caption:
            "Displacement of backbone torsions by minimisation; beyond 30° a seed is rejected."
                .into(),
        columns: vec![
            Column::text("degrees"),
            Column::number("torsions of seeds"),
            Column::number("torsions of MD frames"),
            Column::number("largest of each seed"),
            Column::number("largest of each MD frame"),
        ],
        rows: rows.collect(),
        strong: Vec::new(),
    }
}
