//! Small panels of 1-D densities: MD against surrogate, per torsion or coordinate.

use crate::axis::{Area, LegendEntry, Scale, legend};
use crate::colour::{fill, stroke};
use crate::svg::{Anchor, Svg, TextStyle, num};

/// One density on a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct MarginalCurve {
    /// Name in the legend, e.g. `MD`.
    pub name: String,
    /// Heights of equal bins over the panel's range; any normalisation, each curve is scaled to
    /// area 1.
    pub bins: Vec<f64>,
}

/// One coordinate.
#[derive(Clone, Debug, PartialEq)]
pub struct MarginalPanel {
    /// Title, e.g. `phi ALA2`.
    pub title: String,
    /// A short number beside the title, e.g. `JSD 0.08`; may be empty.
    pub note: String,
    /// Range of the axis.
    pub range: (f64, f64),
    /// The curves, the reference first (drawn filled).
    pub curves: Vec<MarginalCurve>,
}

/// Panels in rows of `columns`.
#[derive(Clone, Debug, PartialEq)]
pub struct Marginals {
    /// Axis title with unit, shared by all panels, e.g. `angle (degrees)`.
    pub x_label: String,
    /// Panels per row; 0 counts as 3.
    pub columns: usize,
    /// The panels.
    pub panels: Vec<MarginalPanel>,
}

impl Marginals {
    /// The picture, 960 pixels wide.
    pub fn svg(&self) -> String {
        let columns = if self.columns == 0 { 3 } else { self.columns };
        let (width, cell_h) = (960.0, 168.0);
        let cell_w = width / columns as f64;
        let rows = self.panels.len().div_ceil(columns);
        let label = format!("Marginal densities of {} coordinates", self.panels.len());
        let mut names: Vec<&str> = Vec::new();
        for curve in self.panels.iter().flat_map(|p| &p.curves) {
            if !names.contains(&curve.name.as_str()) {
                names.push(&curve.name);
            }
        }
        if self.panels.is_empty() {
            let mut svg = Svg::new(width, 120.0, &label);
            svg.nothing(10.0, 10.0, width - 20.0, 100.0, "no coordinates to draw");
            return svg.finish();
        }
        let mut svg = Svg::new(width, 30.0 + rows as f64 * cell_h + 22.0, &label);
        let entries: Vec<LegendEntry> = names
            .iter()
            .enumerate()
            .map(|(i, name)| LegendEntry { name, colour: i, dashed: false, square: false })
            .collect();
        legend(&mut svg, 14.0, 16.0, width - 28.0, &entries);
        for (i, panel) in self.panels.iter().enumerate() {
            let (column, row) = ((i % columns) as f64, (i / columns) as f64);
            let area = Area {
                x: column * cell_w + 14.0,
                y: 30.0 + row * cell_h + 26.0,
                w: cell_w - 28.0,
                h: cell_h - 56.0,
            };
            draw_panel(&mut svg, &area, panel, &names);
        }
        let bottom = 30.0 + rows as f64 * cell_h + 12.0;
        svg.text((0.5 * width, bottom), &self.x_label, TextStyle::LABEL);
        svg.finish()
    }
}

fn draw_panel(svg: &mut Svg, area: &Area, panel: &MarginalPanel, names: &[&str]) {
    let title = TextStyle::TITLE.sized(12.5).anchored(Anchor::Start);
    svg.text((area.x, area.y - 8.0), &panel.title, title);
    let note = TextStyle::TICK.anchored(Anchor::End);
    svg.text((area.x + area.w, area.y - 8.0), &panel.note, note);
    let densities: Vec<(usize, Vec<f64>)> = panel
        .curves
        .iter()
        .filter_map(|c| Some((names.iter().position(|n| *n == c.name)?, normalised(&c.bins)?)))
        .collect();
    let (lo, hi) = panel.range;
    let top = densities.iter().flat_map(|d| &d.1).copied().fold(0.0, f64::max);
    if densities.is_empty() || !(lo < hi && lo.is_finite() && hi.is_finite()) || top <= 0.0 {
        svg.nothing(area.x, area.y, area.w, area.h, "no data");
        return;
    }
    let (x, y) = area.lay(Scale::new(lo, hi, false), Scale::new(0.0, 1.05 * top, false));
    let bottom = area.y + area.h;
    let axis = "stroke=\"currentColor\" stroke-opacity=\"0.5\"";
    for (v, label) in x.ticks(4) {
        let Some(px) = x.at(v) else { continue };
        svg.line((px, bottom), (px, bottom + 4.0), axis);
        let half = 0.5 * crate::svg::text_width(&label, 11.0);
        let inside = px.clamp(area.x + half - 8.0, area.x + area.w - half + 8.0);
        svg.text((inside, bottom + 16.0), &label, TextStyle::TICK.sized(11.0));
    }
    svg.line((area.x, bottom), (area.x + area.w, bottom), axis);
    for (order, (colour, density)) in densities.iter().enumerate() {
        let n = density.len() as f64;
        let mut steps = Vec::with_capacity(2 * density.len());
        for (i, d) in density.iter().enumerate() {
            let edge = |k: f64| area.x + area.w * k / n;
            let py = y.at(*d).unwrap_or(bottom);
            steps.push((edge(i as f64), py));
            steps.push((edge(i as f64 + 1.0), py));
        }
        if order == 0 {
            let mut d = format!("M{} {}", num(area.x), num(bottom));
            for p in &steps {
                d += &format!("L{} {}", num(p.0), num(p.1));
            }
            d += &format!("L{} {}Z", num(area.x + area.w), num(bottom));
            svg.path(&d, &format!("{} fill-opacity=\"0.18\" stroke=\"none\"", fill(*colour)));
        }
        svg.polyline(&[steps], &format!("{} stroke-width=\"1.7\"", stroke(*colour)));
    }
}

/// Heights scaled to sum 1 per bin width of 1/n; `None` without a positive finite sum.
fn normalised(bins: &[f64]) -> Option<Vec<f64>> {
    let clean: Vec<f64> =
        bins.iter().map(|b| if b.is_finite() { b.max(0.0) } else { 0.0 }).collect();
    let sum: f64 = clean.iter().sum();
    let n = clean.len() as f64;
    (sum > 0.0).then(|| clean.iter().map(|b| b * n / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(bins: Vec<f64>) -> MarginalPanel {
        MarginalPanel {
            title: "phi <2>".into(),
            note: String::new(),
            range: (-180.0, 180.0),
            curves: vec![MarginalCurve { name: "MD".into(), bins }],
        }
    }

    #[test]
    fn titles_are_escaped_and_empty_panels_say_so() {
        let m = |panels| Marginals { x_label: "angle".into(), columns: 3, panels };
        let svg = m(vec![panel(vec![1.0, 2.0]), panel(vec![0.0]), panel(vec![f64::NAN])]).svg();
        assert!(svg.contains("phi &lt;2&gt;") && !svg.contains("phi <2>"));
        assert_eq!(svg.matches("no data").count(), 2);
        assert!(m(vec![]).svg().contains("no coordinates"));
    }
}
