//! Pictures of ensembles side by side that several pages show: free energies over the first two TICA
//! coordinates, densities of the torsions, implied timescales, fluctuations.

use anyhow::Result;
use marsfm_metrics::Ensemble;
use marsfm_metrics::histogram::Bins;
use marsfm_metrics::surface::free_energy_2d;
use marsfm_report::{
    BarChart, BarSeries, FreeEnergyPanel, FreeEnergySurfaces, LinePlot, MarginalCurve,
    MarginalPanel, Marginals, Series,
};

use crate::evaluate::kinetics::{Estimate, Kinetics, TIMESCALES};
use crate::evaluate::protein::ProteinNumbers;

const SURFACE_BINS: usize = 40;
const TORSION_BINS: usize = 60;
/// Longest list of torsion panels worth a page; a longer chain shows its backbone only.
const MOST_PANELS: usize = 24;

/// Free energies on one colour scale and one grid; ensembles without frames are left out. `None` if
/// TICA kept fewer than two coordinates.
pub(crate) fn surfaces(all: &[(String, &Ensemble)], kelvin: f64) -> Result<Option<String>> {
    let all: Vec<_> = all.iter().filter(|(_, e)| e.n_frames() > 0).collect();
    if all.is_empty() || all.iter().any(|(_, e)| e.tica.len() < 2) {
        return Ok(None);
    }
    let bins = |k: usize| {
        let joined: Vec<f64> = all.iter().flat_map(|(_, e)| e.tica[k].iter().copied()).collect();
        Bins::joint(&joined, &joined, SURFACE_BINS)
    };
    let (x, y) = (bins(0)?, bins(1)?);
    let panel = |(title, e): &&(String, &Ensemble)| -> Result<FreeEnergyPanel> {
        let values = free_energy_2d(&e.tica[0], &e.tica[1], x, y, kelvin)?;
        Ok(FreeEnergyPanel { title: title.clone(), values: values.kj_mol, markers: vec![] })
    };
    let panels = all.iter().map(panel).collect::<Result<_>>()?;
    Ok(Some(tica_surfaces(&x, &y, panels)))
}

/// Panels on the grid of the first two TICA coordinates.
pub(crate) fn tica_surfaces(x: &Bins, y: &Bins, panels: Vec<FreeEnergyPanel>) -> String {
    let range = |b: &Bins| (b.edge(0), b.edge(b.len()));
    let figure = FreeEnergySurfaces {
        x_label: "TICA 1".into(),
        y_label: "TICA 2".into(),
        value_label: "free energy (kJ/mol)".into(),
        x_range: range(x),
        y_range: range(y),
        x_bins: x.len(),
        y_bins: y.len(),
        max: None,
        panels,
    };
    figure.svg()
}

/// One small density per torsion; `note` says what stands beside its name.
pub(crate) fn torsions(
    names: &[String],
    backbone: &[bool],
    all: &[(&str, &Ensemble)],
    note: impl Fn(usize) -> String,
) -> Result<String> {
    let bins = Bins::new(-180.0, 180.0, TORSION_BINS)?;
    let degrees = |e: &Ensemble, i: usize| -> Vec<f64> {
        let angles = e.torsions.get(i).into_iter().flatten().map(|a| a.to_degrees());
        bins.count(&angles.collect::<Vec<_>>())
    };
    let panel = |i: usize| MarginalPanel {
        title: names[i].clone(),
        note: note(i),
        range: (-180.0, 180.0),
        curves: all
            .iter()
            .filter(|(_, e)| e.n_frames() > 0)
            .map(|(name, e)| MarginalCurve { name: (*name).into(), bins: degrees(e, i) })
            .collect(),
    };
    let shown = (0..names.len()).filter(|i| names.len() <= MOST_PANELS || backbone[*i]);
    let panels = shown.take(MOST_PANELS).map(panel).collect();
    Ok(Marginals { x_label: "angle (degrees)".into(), columns: 3, panels }.svg())
}

/// Implied timescales of the MD, of the MD lumped, and of ensembles beside it by name. `None` of none.
pub(crate) fn timescales(all: &[(&str, &Kinetics)]) -> Option<String> {
    let (_, first) = all.first()?;
    let series = |name: &str, e: &Estimate| BarSeries {
        name: name.into(),
        values: (0..TIMESCALES)
            .map(|i| e.timescales_ps.get(i).copied().unwrap_or(f64::NAN))
            .collect(),
        intervals: vec![],
    };
    let md = [series("MD", &first.reference), series("MD, lumped", &first.lumped)];
    let chart = BarChart {
        title: "Implied timescales".into(),
        x_label: "process".into(),
        y_label: "timescale (ps)".into(),
        categories: (1..=TIMESCALES).map(|i| i.to_string()).collect(),
        series: md.into_iter().chain(all.iter().map(|(name, k)| series(name, &k.sample))).collect(),
    };
    Some(chart.svg())
}

/// RMSF of the MD and of ensembles beside it by name. `None` of none.
pub(crate) fn fluctuations(all: &[(&str, &ProteinNumbers)]) -> Option<String> {
    let (_, first) = all.first()?;
    let curve = |name: &str, values: &[f64]| {
        Series::new(name, values.iter().enumerate().map(|(i, v)| (i as f64 + 1.0, *v)).collect())
    };
    let samples = all.iter().map(|(name, p)| curve(name, &p.sample.rmsf_nm));
    let plot = LinePlot {
        title: "RMSF".into(),
        x_label: "residue".into(),
        y_label: "RMSF (nm)".into(),
        series: std::iter::once(curve("MD", &first.reference.rmsf_nm)).chain(samples).collect(),
        ..LinePlot::default()
    };
    Some(plot.svg())
}
