//! How cost grows: one log-log picture per axis (frames, features, states, trajectories).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use marsfm_report::{LinePlot, Series};
use serde_json::Value;

/// Draws `scaling-AXIS.svg` into `folder` from the rows of `results` that have an `axis`.
pub fn draw(results: &Path, folder: &Path) -> Result<()> {
    let text = std::fs::read_to_string(results).with_context(|| results.display().to_string())?;
    // axis → curve → points
    let mut axes: BTreeMap<String, BTreeMap<String, BTreeMap<u64, f64>>> = BTreeMap::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let row: Value = serde_json::from_str(line)?;
        let (Some(axis), Some(at)) = (row["axis"].as_str(), row["at"].as_u64()) else { continue };
        let case = row["kind"].as_str().unwrap_or("");
        for (side, name) in [("ours", "marsfm"), ("theirs", row["peer"].as_str().unwrap_or(""))] {
            if let Some(cpu) = row[side]["cpu_s"].as_f64() {
                let curves = axes.entry(axis.into()).or_default();
                curves.entry(format!("{case}, {name}")).or_default().insert(at, cpu);
            }
        }
    }
    for (axis, curves) in &axes {
        // Both sides of a case in one colour.
        let case = |name: &str| name.split(", ").next().unwrap_or("").to_string();
        let mut cases: Vec<String> = curves.keys().map(|name| case(name)).collect();
        cases.dedup();
        let series = curves
            .iter()
            .map(|(name, points)| Series {
                dots: true,
                dashed: !name.ends_with(", marsfm"),
                colour: cases.iter().position(|c| *c == case(name)),
                ..Series::new(name, points.iter().map(|(x, y)| (*x as f64, *y)).collect())
            })
            .collect();
        let plot = LinePlot {
            title: format!("Cost over {axis}"),
            x_label: axis.clone(),
            y_label: "processor time of one run, one thread (s)".into(),
            x_log: true,
            y_log: true,
            series,
            ..LinePlot::default()
        };
        let path = folder.join(format!("scaling-{axis}.svg"));
        std::fs::write(&path, plot.svg()).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
