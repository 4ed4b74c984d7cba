//! The page of a Markov model: trust first, then timescales, Chapman–Kolmogorov, free energy,
//! macrostates and the network between them.

use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result};
use marsfm_host::Host;
use marsfm_metrics::histogram::Bins;
use marsfm_msm::{Msm, Rows};
use marsfm_report::{
    Column, Flux, FreeEnergyPanel, FreeEnergySurfaces, KeyFigure, LinePlot, Marker, MatrixHeatMap,
    Point, PointGroup, Report, ScatterPlot, Series, State, StateNetwork, Table,
};

use super::auto::Choice;
use super::files::{FeatureFiles, Origin, TrajectoryFiles};
use super::validation::Validation;

const BINS: usize = 48;

/// Equilibrium weight over the first two coordinates, for the picture.
pub struct Surface {
    x: Bins,
    y: Bins,
    /// Free energy, units of kT, x outer.
    values: Vec<f64>,
}

/// Reads the trajectories once more: free energy of the model's equilibrium over TICA 1 and 2, in
/// kT. Each frame carries pi_i/n_i of its microstate, so seeded runs are weighted as they should
/// be. The coordinates of the frames wait in an unnamed file in `folder` until the range of all is
/// known. `None` if the projection has one coordinate.
pub fn surface(
    host: &Host,
    msm: &Msm,
    files: &TrajectoryFiles,
    folder: &Path,
) -> Result<Option<Surface>> {
    if msm.tica.n_kept < 2 {
        return Ok(None);
    }
    let opened = FeatureFiles::open_for(host, files, &Origin::of(msm)?)?;
    let weight: Vec<f64> = (0..msm.centers.n_rows())
        .map(|i| msm.micro.stationary_of(i) / msm.micro_populations[i].max(1) as f64)
        .collect();
    let unnamed = || format!("a temporary file in {}", folder.display());
    let mut waiting = BufWriter::new(tempfile::tempfile_in(folder).with_context(unnamed)?);
    let mut range = [(f64::INFINITY, f64::NEG_INFINITY); 2];
    let mut n = 0_usize;
    for number in 0..opened.n_trajectories() {
        let mut written = Ok(());
        opened.read(number, |rows| {
            let projected = msm.tica.transform(rows)?;
            let points = Rows::new(&projected, msm.tica.n_kept)?;
            let states = marsfm_msm::kmeans::assign(&msm.centers, &points)?;
            for (i, state) in states.iter().enumerate() {
                let at = [points.row(i)[0], points.row(i)[1]];
                for (r, v) in range.iter_mut().zip(at) {
                    *r = (r.0.min(v), r.1.max(v));
                }
                for number in [at[0], at[1], weight[*state as usize]] {
                    if written.is_ok() {
                        written = waiting.write_all(&number.to_le_bytes());
                    }
                }
            }
            n += states.len();
            Ok(())
        })?;
        written.with_context(unnamed)?;
    }
    let [xb, yb] = range.map(|(low, high)| Bins::new(low, high, BINS));
    let (xb, yb) = (xb?, yb?);
    let mut file = waiting.into_inner().map_err(|e| e.into_error()).with_context(unnamed)?;
    file.rewind().with_context(unnamed)?;
    let mut file = BufReader::new(file);
    let mut mass = vec![0.0; BINS * BINS];
    let mut bytes = [[0; 8]; 3];
    for _ in 0..n {
        file.read_exact(bytes.as_flattened_mut()).with_context(unnamed)?;
        let [x, y, w] = bytes.map(f64::from_le_bytes);
        if let (Some(i), Some(j)) = (xb.index(x), yb.index(y)) {
            mass[i * BINS + j] += w;
        }
    }
    let most = mass.iter().copied().fold(0.0, f64::max);
    let values = mass.iter().map(|m| if *m > 0.0 { -(m / most).ln() } else { f64::INFINITY });
    Ok(Some(Surface { x: xb, y: yb, values: values.collect() }))
}

/// Writes the page.
pub fn write(
    path: &Path,
    msm: &Msm,
    validation: &Validation,
    surface: Option<&Surface>,
    choices: &[Choice],
) -> Result<()> {
    let origin = Origin::of(msm).ok();
    let unit = if validation.frame_ps.is_some() { "ps" } else { "frames" };
    let mut page = Report::new("Markov model");
    page.subtitle(format!(
        "{} trajectories, {} frames{}; MSM lag {} {unit}.",
        msm.micro_trajectories.len(),
        msm.micro_trajectories.total_frames(),
        origin.as_ref().map_or(String::new(), |o| format!(
            " of {} ps, features: {}",
            o.frame_ps,
            o.features
                .plugin
                .as_ref()
                .map_or_else(|| o.features.choice.to_string(), |p| p.0.clone())
        )),
        validation.lag_ps
    ));
    page.key_figures(&key_figures(msm, validation, unit));
    page.heading("How far to trust it");
    page.list(&validation.verdicts);
    if !choices.is_empty() {
        page.heading("What was chosen, and why");
        let line = |c: &Choice| format!("{}: {} – {}", c.what, c.value, c.why);
        page.list(&choices.iter().map(line).collect::<Vec<_>>());
    }
    page.heading("Timescales and Chapman–Kolmogorov");
    page.figure_row(&[
        (
            timescales(validation, unit),
            format!("Bands: 95 %, from the {}. Shaded: shorter than the lag, not resolved.", validation.error_bars),
        ),
        (
            kolmogorov(validation, unit),
            "Probability to be in the macrostate of the start. Dashed: predicted by the model; dots: counted at that lag. Bands and bars: 95 %.".into(),
        ),
    ]);
    page.heading("Free energy and macrostates");
    match surface {
        Some(s) => {
            let panel = FreeEnergyPanel {
                title: "Equilibrium of the model".into(),
                values: s.values.clone(),
                markers: validation
                    .macrostates
                    .iter()
                    .enumerate()
                    .filter(|(_, m)| m.center.len() > 1)
                    .map(|(i, m)| Marker { at: (m.center[0], m.center[1]), label: i.to_string() })
                    .collect(),
            };
            let range = |b: &Bins| (b.edge(0), b.edge(b.len()));
            let figure = FreeEnergySurfaces {
                x_label: "TICA 1".into(),
                y_label: "TICA 2".into(),
                value_label: "free energy (kT)".into(),
                x_range: range(&s.x),
                y_range: range(&s.y),
                x_bins: BINS,
                y_bins: BINS,
                max: None,
                panels: vec![panel],
            };
            page.figure_row(&[
                (
                    figure.svg(),
                    "Frames weighted by the stationary distribution; numbers mark the macrostates."
                        .into(),
                ),
                (
                    microstates(msm),
                    "Centres of the microstates, area by number of frames, colour by macrostate."
                        .into(),
                ),
            ]);
        }
        None => {
            page.paragraph(
                "No surface: name the trajectories too, and keep at least two TICA coordinates.",
            );
        }
    }
    page.table(&macrostates(validation, unit));
    page.heading("Network of states");
    page.figure_row(&[
        (network(validation), "Circles: equilibrium population. Arrows: equilibrium flux.".into()),
        (matrix(msm), "Row-normalised counts between macrostates at the pair lag.".into()),
    ]);
    if let Some((from, to, rate)) = validation.slowest {
        page.paragraph(&format!(
            "The slowest process lies between macrostates {from} and {to}: reactive flux from {from} \
             to {to} gives a rate of {rate:.3} per {}.",
            if validation.frame_ps.is_some() { "ns" } else { "1,000 frames" }
        ));
    }
    for warning in &msm.warnings {
        page.note("Note:", &warning.to_string());
    }
    page.footer(format!("marsfm {}", env!("CARGO_PKG_VERSION")));
    page.write(path).with_context(|| path.display().to_string())
}

fn microstates(msm: &Msm) -> String {
    let points = |set: usize| {
        let mine = (0..msm.centers.n_rows()).filter(move |i| msm.macro_of_micro[*i] == Some(set));
        mine.map(|i| Point {
            at: (msm.centers[(i, 0)], msm.centers[(i, 1)]),
            weight: msm.micro_populations[i] as f64,
        })
    };
    let group = |set: usize| PointGroup { name: set.to_string(), points: points(set).collect() };
    ScatterPlot {
        title: "Microstates".into(),
        x_label: "TICA 1".into(),
        y_label: "TICA 2".into(),
        groups: (0..msm.n_macrostates()).map(group).collect(),
    }
    .svg()
}

fn key_figures(msm: &Msm, v: &Validation, unit: &str) -> Vec<KeyFigure> {
    let at = v.timescales.iter().find(|t| (t.lag_ps - v.lag_ps).abs() <= 1e-6 * v.lag_ps);
    let slowest = at.and_then(|t| t.timescales_ps.first()).copied();
    let interval = at.and_then(|t| t.intervals_ps.first());
    let key = |label: &str, value: String, detail: String| KeyFigure {
        label: label.into(),
        value,
        detail,
    };
    vec![
        key(
            "Slowest timescale",
            slowest.map_or("–".into(), |t| format!("{t:.0} {unit}")),
            interval.map_or(String::new(), |(l, h)| format!("95 %: {l:.0} to {h:.0} {unit}")),
        ),
        key(
            "Microstates connected",
            format!("{} of {}", msm.micro.active.len(), msm.centers.n_rows()),
            format!("{:.1} % of the frames", 100.0 * v.connected),
        ),
        key(
            "Macrostates",
            msm.n_macrostates().to_string(),
            format!("mean T_ii {:.2}", msm.mean_self_transition),
        ),
        key(
            "Chapman–Kolmogorov",
            format!("{:.2}", v.largest_deviation),
            format!("largest deviation; {:.2} beyond the error bars", v.significant_deviation),
        ),
    ]
}

fn timescales(v: &Validation, unit: &str) -> String {
    let most = v.timescales.iter().map(|t| t.timescales_ps.len()).max().unwrap_or(0);
    let series = (0..most).map(|k| {
        let at: Vec<_> = v.timescales.iter().filter(|t| t.timescales_ps.len() > k).collect();
        let all_have = at.iter().all(|t| t.intervals_ps.len() > k);
        Series {
            name: format!("process {}", k + 1),
            points: at.iter().map(|t| (t.lag_ps, t.timescales_ps[k])).collect(),
            band: if all_have { at.iter().map(|t| t.intervals_ps[k]).collect() } else { vec![] },
            dots: true,
            ..Series::default()
        }
    });
    LinePlot {
        title: "Implied timescales".into(),
        x_label: format!("lag ({unit})"),
        y_label: format!("timescale ({unit})"),
        x_log: true,
        y_log: true,
        series: series.collect(),
        shade_below_diagonal: true,
        marks: vec![(v.lag_ps, "MSM lag".into())],
    }
    .svg()
}

fn kolmogorov(v: &Validation, unit: &str) -> String {
    let shown = v.macrostates.len().min(5);
    let all = &v.chapman_kolmogorov;
    let prediction = |i: usize| Series {
        name: format!("state {i}"),
        points: all.iter().map(|t| (t.lag_ps, t.predicted[i])).collect(),
        band: all.iter().filter_map(|t| t.predicted_intervals.get(i).copied()).collect(),
        dashed: true,
        colour: Some(i),
        ..Series::default()
    };
    let estimate = |i: usize| Series {
        points: all.iter().map(|t| (t.lag_ps, t.estimated[i])).collect(),
        band: all.iter().filter_map(|t| t.estimated_intervals.get(i).copied()).collect(),
        bars: true,
        colour: Some(i),
        ..Series::default()
    };
    LinePlot {
        title: "Chapman–Kolmogorov".into(),
        x_label: format!("time ({unit})"),
        y_label: "probability to be there".into(),
        series: (0..shown).flat_map(|i| [prediction(i), estimate(i)]).collect(),
        ..LinePlot::default()
    }
    .svg()
}

fn macrostates(v: &Validation, unit: &str) -> Table {
    let n = v.macrostates.len();
    let row = |(i, m): (usize, &super::validation::MacrostateSummary)| {
        let out: Vec<f64> = (0..n)
            .filter(|j| *j != i)
            .map(|j| v.passage_ps[i * n + j])
            .filter(|t| *t > 0.0)
            .collect();
        let nearest = out.iter().copied().fold(f64::INFINITY, f64::min);
        vec![
            i.to_string(),
            m.frames.to_string(),
            m.visitors.to_string(),
            format!("{:.3}", m.population),
            format!("{:.3} – {:.3}", m.interval.0, m.interval.1),
            if nearest.is_finite() { format!("{nearest:.0}") } else { "–".into() },
        ]
    };
    Table {
        caption: format!(
            "Macrostates; populations of the reversible microstate model, 95 % intervals from the {}.",
            v.error_bars
        ),
        columns: vec![
            Column::text("state"),
            Column::number("frames"),
            Column::number("trajectories"),
            Column::number("population"),
            Column::number("95 %"),
            Column::number(format!("shortest passage to another ({unit})")),
        ],
        rows: v.macrostates.iter().enumerate().map(row).collect(),
        strong: vec![],
    }
}

fn network(v: &Validation) -> String {
    let n = v.macrostates.len();
    let state = |(i, m): (usize, &super::validation::MacrostateSummary)| State {
        name: i.to_string(),
        population: m.population,
        at: (m.center.len() > 1).then(|| (m.center[0], m.center[1])),
    };
    let fluxes = (0..n * n).filter(|k| k / n != k % n && v.exchange[*k] > 0.0);
    StateNetwork {
        title: "Macrostates".into(),
        states: v.macrostates.iter().enumerate().map(state).collect(),
        fluxes: fluxes.map(|k| Flux { from: k / n, to: k % n, flux: v.exchange[k] }).collect(),
    }
    .svg()
}

fn matrix(msm: &Msm) -> String {
    let names: Vec<String> = (0..msm.n_macrostates()).map(|i| i.to_string()).collect();
    MatrixHeatMap {
        title: "Transition matrix".into(),
        row_label: "from".into(),
        column_label: "to".into(),
        rows: names.clone(),
        columns: names,
        values: msm.macro_t.as_slice().to_vec(),
        max: Some(1.0),
    }
    .svg()
}
