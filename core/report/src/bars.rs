//! Grouped bars with intervals: macrostate populations, distances per method, times per stage.

use crate::axis::{Area, LegendEntry, Scale, legend, legend_height};
use crate::colour::fill;
use crate::svg::{Anchor, Svg, TextStyle, num, text_width};

/// One bar per category.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarSeries {
    /// Name in the legend.
    pub name: String,
    /// Heights, one per category; NaN leaves the place empty.
    pub values: Vec<f64>,
    /// Lower and upper end of an interval per category; empty for none.
    pub intervals: Vec<(f64, f64)>,
}

/// Categories side by side, one group of bars each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarChart {
    /// Title above; may be empty.
    pub title: String,
    /// What a category is; may be empty.
    pub x_label: String,
    /// Axis title with its unit.
    pub y_label: String,
    /// Names of the categories.
    pub categories: Vec<String>,
    /// The series; colours follow their order.
    pub series: Vec<BarSeries>,
}

impl BarChart {
    /// The picture, 540 pixels wide.
    pub fn svg(&self) -> String {
        let (width, inner) = (540.0, 540.0 - 68.0 - 18.0);
        let entries: Vec<LegendEntry> = self
            .series
            .iter()
            .enumerate()
            .filter(|(_, s)| !s.name.is_empty())
            .map(|(i, s)| LegendEntry { name: &s.name, colour: i, dashed: false, square: true })
            .collect();
        let top = if self.title.is_empty() { 14.0 } else { 36.0 };
        let used = if entries.is_empty() { 0.0 } else { legend_height(inner, &entries) + 4.0 };
        let area = Area { x: 68.0, y: top + used, w: inner, h: 260.0 };
        let group = inner / self.categories.len().max(1) as f64;
        let longest = self.categories.iter().map(|c| text_width(c, 11.5)).fold(0.0, f64::max);
        let slanted = longest > group - 4.0;
        let below = if slanted { (0.6 * longest).min(150.0) + 30.0 } else { 26.0 };
        let title_below = if self.x_label.is_empty() { 0.0 } else { 20.0 };
        let height = area.y + area.h + below + title_below;
        let mut svg = Svg::new(width, height, &format!("{}: {}", self.title, self.y_label));
        svg.text((area.x, 22.0), &self.title, TextStyle::TITLE.anchored(Anchor::Start));
        legend(&mut svg, area.x, top + 10.0, inner, &entries);
        let ends = self.series.iter().flat_map(|s| s.intervals.iter().flat_map(|i| [i.0, i.1]));
        let values = self.series.iter().flat_map(|s| s.values.iter().copied()).chain(ends);
        let known = values.filter(|v| v.is_finite());
        let (lo, hi) = known.fold((0.0_f64, 0.0_f64), |(a, b), v| (a.min(v), b.max(v)));
        if self.categories.is_empty() || lo == hi {
            svg.nothing(area.x, area.y, area.w, area.h, "no data to draw");
            return svg.finish();
        }
        let room = 0.05 * (hi - lo);
        let range =
            (if lo < 0.0 { lo - room } else { 0.0 }, if hi > 0.0 { hi + room } else { 0.0 });
        let y = Scale::new(range.0, range.1, false).onto(area.y + area.h, area.y);
        let zero = y.at(0.0).unwrap_or(area.y + area.h);
        for (v, label) in y.ticks(6) {
            let Some(py) = y.at(v) else { continue };
            let grid = "stroke=\"currentColor\" stroke-opacity=\"0.13\"";
            svg.line((area.x, py), (area.x + area.w, py), grid);
            svg.text((area.x - 7.0, py + 4.0), &label, TextStyle::TICK.anchored(Anchor::End));
        }
        svg.vertical_text((22.0, area.y + 0.5 * area.h), &self.y_label, TextStyle::LABEL);
        let bar = (0.76 * group / self.series.len().max(1) as f64).min(46.0);
        for (c, name) in self.categories.iter().enumerate() {
            let centre = area.x + (c as f64 + 0.5) * group;
            let first = centre - 0.5 * bar * self.series.len() as f64;
            for (i, s) in self.series.iter().enumerate() {
                let x = first + i as f64 * bar;
                let Some(py) = s.values.get(c).and_then(|v| y.at(*v)) else { continue };
                svg.rect(
                    x + 0.5,
                    py.min(zero),
                    bar - 1.0,
                    (py - zero).abs(),
                    &format!("rx=\"1.5\" {}", fill(i)),
                );
                if let Some((a, b)) =
                    s.intervals.get(c).and_then(|e| Some((y.at(e.0)?, y.at(e.1)?)))
                {
                    whisker(&mut svg, x + 0.5 * bar, a, b);
                }
            }
            let at = (centre, area.y + area.h + 17.0);
            if slanted {
                let turn = format!("transform=\"rotate(-35 {} {})\"", num(at.0), num(at.1));
                svg.text_with(at, name, TextStyle::TICK.anchored(Anchor::End), &turn);
            } else {
                svg.text(at, name, TextStyle::TICK);
            }
        }
        svg.line(
            (area.x, zero),
            (area.x + area.w, zero),
            "stroke=\"currentColor\" stroke-opacity=\"0.55\"",
        );
        if !self.x_label.is_empty() {
            svg.text((area.x + 0.5 * area.w, height - 5.0), &self.x_label, TextStyle::LABEL);
        }
        svg.finish()
    }
}

fn whisker(svg: &mut Svg, x: f64, a: f64, b: f64) {
    let d = format!(
        "M{x} {a}V{b}M{l} {a}H{r}M{l} {b}H{r}",
        x = num(x),
        a = num(a),
        b = num(b),
        l = num(x - 3.0),
        r = num(x + 3.0)
    );
    svg.path(
        &d,
        "fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.8\" stroke-width=\"1.3\"",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_follow_values_and_gaps_stay_empty() {
        let chart = BarChart {
            categories: vec!["1".into(), "2".into(), "3".into()],
            series: vec![BarSeries {
                name: "MD".into(),
                values: vec![0.5, f64::NAN, 0.25],
                intervals: vec![(0.4, 0.6), (f64::NAN, f64::NAN), (0.2, 0.3)],
            }],
            ..BarChart::default()
        };
        let svg = chart.svg();
        assert_eq!(svg.matches("class=\"f0\"").count(), 3, "two bars and a legend square");
        assert!(BarChart::default().svg().contains("no data"));
    }
}
