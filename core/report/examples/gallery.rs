//! Every kind of block and figure on one page, from made-up data:
//! `cargo run --release -p marsfm-report --example gallery -- report.html`

use std::path::PathBuf;

use marsfm_report::{
    BarChart, BarSeries, Column, Flux, FreeEnergyPanel, FreeEnergySurfaces, KeyFigure, LinePlot,
    MarginalCurve, MarginalPanel, Marginals, Marker, MatrixHeatMap, Report, Series, State,
    StateNetwork, Table,
};

/// A double-well-like free energy (kJ/mol) on 50 × 50 cells, empty above 25.
fn surface(depth: f64) -> Vec<f64> {
    let mut out = Vec::new();
    for i in 0..50 {
        for j in 0..50 {
            let (x, y) = (f64::from(i) / 12.5 - 2.0, f64::from(j) / 12.5 - 2.0);
            let well = |cx: f64, cy: f64, d: f64, w: f64| {
                d * (-((x - cx).powi(2) + (y - cy).powi(2)) / w).exp()
            };
            let f = 24.0 + 2.0 * (x * x + y * y) * 0.6
                - well(-1.0, 0.2, 26.0, 0.5)
                - well(1.0, 0.4, depth, 0.4)
                - well(0.1, -0.9, 20.0, 0.9);
            out.push(if f > 25.0 { f64::NAN } else { f.max(0.0) });
        }
    }
    out
}

fn circular(centres: &[(f64, f64, f64)]) -> Vec<f64> {
    (0..72)
        .map(|i| -180.0 + 5.0 * (f64::from(i) + 0.5))
        .map(|x| {
            let peak = |&(c, w, h): &(f64, f64, f64)| {
                let d = (x - c + 180.0).rem_euclid(360.0) - 180.0;
                h * (-0.5 * (d / w).powi(2)).exp()
            };
            centres.iter().map(peak).sum()
        })
        .collect()
}

fn marginals() -> Marginals {
    let names = ["phi PRO2", "psi PRO1", "phi VAL3", "psi PRO2", "phi GLN4", "psi VAL3"];
    let panel = |(i, name): (usize, &&str)| {
        let shift = 7.0 * i as f64;
        let curve = |name: &str, bins| MarginalCurve { name: name.into(), bins };
        MarginalPanel {
            title: (*name).into(),
            note: format!("JSD 0.{:02}", 5 + 3 * i),
            range: (-180.0, 180.0),
            curves: vec![
                curve("MD", circular(&[(-70.0, 18.0, 1.0), (150.0, 25.0, 0.6)])),
                curve("surrogate", circular(&[(-70.0 + shift, 22.0, 0.9), (150.0, 28.0, 0.75)])),
            ],
        }
    };
    let panels = names.iter().enumerate().map(panel).collect();
    Marginals { x_label: "angle (degrees)".into(), columns: 3, panels }
}

fn timescales() -> LinePlot {
    let lags = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
    let series = |i: usize, t: f64| {
        let y = |lag: f64| t * (1.0 - (-(lag + 3.0) / 9.0).exp());
        Series {
            name: format!("process {i}"),
            points: lags.iter().map(|&l| (l, y(l))).collect(),
            band: lags.iter().map(|&l| (0.85 * y(l), 1.18 * y(l))).collect(),
            dots: true,
            ..Series::default()
        }
    };
    LinePlot {
        title: "Implied timescales".into(),
        x_label: "lag time (ps)".into(),
        y_label: "timescale (ps)".into(),
        x_log: true,
        y_log: true,
        series: vec![series(1, 1900.0), series(2, 640.0), series(3, 210.0), series(4, 55.0)],
        shade_below_diagonal: true,
        marks: vec![(10.0, "chosen".into())],
    }
}

fn losses() -> LinePlot {
    let curve = |floor: f64, noise: f64| -> Vec<(f64, f64)> {
        (0..60)
            .map(|i| f64::from(i) * 500.0)
            .map(|s| (s, floor + 0.9 * (-s / 4000.0).exp() + noise * (s * 0.37).sin()))
            .collect()
    };
    let mut validation = Series::new("validation", curve(0.52, 0.006));
    validation.dashed = true;
    LinePlot {
        title: "Training".into(),
        x_label: "step".into(),
        y_label: "flow-matching loss".into(),
        series: vec![Series::new("training", curve(0.47, 0.02)), validation],
        ..LinePlot::default()
    }
}

fn network_and_matrix() -> (StateNetwork, MatrixHeatMap) {
    let n = 10;
    let population = |i: usize| 0.42 * 0.68_f64.powi(i as i32);
    let states = (0..n)
        .map(|i| State { name: (i + 1).to_string(), population: population(i), at: None })
        .collect();
    let (mut fluxes, mut values) = (Vec::new(), vec![0.0; n * n]);
    for i in 0..n {
        for j in 0..n {
            let near = 0.4_f64.powi((i as i32 - j as i32).abs());
            let odd = if (i * 7 + j * 3) % 4 == 0 { 1.0_f64 } else { 0.25 };
            let flux =
                if i == j { 0.0 } else { near * odd.max(((j * 7 + i * 3) % 4) as f64 / 4.0) };
            let flux = flux * (population(i) * population(j)).sqrt();
            values[i * n + j] = flux / population(i) * 0.4;
            fluxes.push(Flux { from: i, to: j, flux });
        }
    }
    for i in 0..n {
        let left: f64 = values[i * n..(i + 1) * n].iter().sum();
        values[i * n + i] = (1.0 - left).max(0.0);
    }
    let names: Vec<String> = (1..=n).map(|i| i.to_string()).collect();
    let matrix = MatrixHeatMap {
        title: "Transition probabilities in 10 ps".into(),
        row_label: "from macrostate".into(),
        column_label: "to macrostate".into(),
        rows: names.clone(),
        columns: names,
        values,
        max: Some(1.0),
    };
    (StateNetwork { title: "States and fluxes".into(), states, fluxes }, matrix)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path =
        std::env::args_os().nth(1).map_or_else(|| PathBuf::from("gallery.html"), PathBuf::from);
    let marker = |x, y, label: &str| Marker { at: (x, y), label: label.into() };
    let surfaces = FreeEnergySurfaces {
        x_label: "TICA 1".into(),
        y_label: "TICA 2".into(),
        value_label: "free energy (kJ/mol)".into(),
        x_range: (-2.0, 2.0),
        y_range: (-2.0, 2.0),
        x_bins: 50,
        y_bins: 50,
        max: None,
        panels: vec![
            FreeEnergyPanel { title: "MD, 100 ns".into(), values: surface(22.0), markers: vec![] },
            FreeEnergyPanel {
                title: "Surrogate, 10 000 samples".into(),
                values: surface(18.0),
                markers: vec![marker(-1.0, 0.2, "start"), marker(0.9, 0.5, "")],
            },
        ],
    };
    let (network, matrix) = network_and_matrix();
    let bars = BarChart {
        title: "Macrostate populations".into(),
        x_label: "macrostate".into(),
        y_label: "fraction of frames".into(),
        categories: (1..=10).map(|i| i.to_string()).collect(),
        series: ["MD", "surrogate"]
            .iter()
            .enumerate()
            .map(|(k, name)| {
                let v: Vec<f64> =
                    (0..10).map(|i| 0.34 * (0.66 + 0.04 * k as f64).powi(i)).collect();
                BarSeries {
                    name: (*name).into(),
                    intervals: v.iter().map(|x| (0.85 * x, 1.15 * x)).collect(),
                    values: v,
                }
            })
            .collect(),
    };
    let key = |label: &str, value: &str, detail: &str| KeyFigure {
        label: label.into(),
        value: value.into(),
        detail: detail.into(),
    };
    let cells = |row: [&str; 4]| row.map(String::from).to_vec();
    let mut report = Report::new("State-to-state jumps of PPVQ");
    report
        .subtitle("Made-up data: every kind of figure that a report can hold, on one page.")
        .key_figures(&[
            key("Accepted samples", "812 of 1000", "130 need repair, 58 rejected"),
            key("TICA-0,1 distance", "0.21", "0.18–0.24; null proposer 0.37"),
            key("Macrostates visited", "9 of 10", "start frame in state 3"),
            key("Slowest timescale", "1.9 ns", "1.6–2.3 ns at a lag of 10 ps"),
        ])
        .note("Read with care.", "This page shows invented numbers & nothing was simulated.")
        .heading("Free energy")
        .figure(&surfaces.svg(), "Free energy over the first two TICA coordinates, MD on the left and the surrogate on the right, on one colour scale. Places never visited are empty.")
        .heading("Torsions")
        .figure(&marginals().svg(), "Backbone torsion densities. JSD is the Jensen–Shannon distance (natural logarithm, at most 0.83).")
        .heading("Kinetics")
        .figure_row(&[
            (matrix.svg(), "Rows sum to one; colour grows with the square root.".into()),
            (network.svg(), "Circle areas: populations. Arrow widths: equilibrium fluxes.".into()),
        ])
        .figure_row(&[
            (timescales().svg(), "Bands: 95 % intervals. Shaded: shorter than the lag.".into()),
            (losses().svg(), String::new()),
        ])
        .figure(&bars.svg(), "Whiskers: 95 % bootstrap intervals over blocks.")
        .heading("Numbers")
        .table(&Table {
            caption: "Distances to MD (lower is better)".into(),
            columns: vec![
                Column::text("method"),
                Column::number("torsions (all)"),
                Column::number("TICA-0,1"),
                Column::number("macrostates"),
            ],
            rows: vec![
                cells(["MD, second replica", "0.08", "0.20", "0.21"]),
                cells(["surrogate", "0.10", "0.21", "0.22"]),
                cells(["residue library (null)", "0.24", "0.37", "0.44"]),
            ],
            strong: vec![1],
        })
        .list(&["Samples that were rejected are counted.", "Intervals: bootstrap over blocks."])
        .code("marsfm sample --tree --topology PPVQ.pdb --out demo/")
        .footer("marsfm 0.1.0 · rng_seed 7");
    report.write(&path)?;
    println!("{}", path.display());
    Ok(())
}
