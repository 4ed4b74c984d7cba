//! Points in groups, one colour each, sized by weight: for instance microstates over two TICA
//! coordinates, coloured by macrostate. The heaviest point of a group carries its name, so that
//! groups can be told apart where colours repeat.

use crate::axis::{Area, LegendEntry, Scale, legend, legend_height};
use crate::colour::{fill, stroke};
use crate::svg::{Anchor, Svg, TextStyle};

/// One point.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Coordinates in the units of the axes.
    pub at: (f64, f64),
    /// Its area is proportional to this.
    pub weight: f64,
}

/// Points that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointGroup {
    /// Name in the legend and at the heaviest point.
    pub name: String,
    /// The points; non-finite ones are left out.
    pub points: Vec<Point>,
}

/// Groups of points on shared axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScatterPlot {
    /// Title above the plot; may be empty.
    pub title: String,
    /// Axis title with its unit.
    pub x_label: String,
    /// Axis title with its unit.
    pub y_label: String,
    /// The groups; colours follow their order.
    pub groups: Vec<PointGroup>,
}

const WIDTH: f64 = 540.0;
/// Radii of the lightest and the heaviest point.
const RADII: (f64, f64) = (2.5, 12.0);

impl ScatterPlot {
    /// The picture, 540 pixels wide.
    pub fn svg(&self) -> String {
        let names: Vec<String> = self.groups.iter().map(|g| format!("state {}", g.name)).collect();
        let entry = |(i, name)| LegendEntry { name, colour: i, dashed: false, square: true };
        let entries: Vec<LegendEntry> =
            names.iter().map(String::as_str).enumerate().map(entry).collect();
        let inner = WIDTH - 68.0 - 18.0;
        let top = if self.title.is_empty() { 14.0 } else { 36.0 };
        let y = top + legend_height(inner, &entries) + 6.0;
        let area = Area { x: 68.0, y, w: inner, h: 330.0 };
        let label = format!("{}: {} groups of points", self.title, self.groups.len());
        let mut svg = Svg::new(WIDTH, area.y + area.h + 48.0, &label);
        let style = TextStyle::TITLE.anchored(Anchor::Start);
        svg.text((area.x, 22.0), &self.title, style);
        legend(&mut svg, area.x, top + 10.0, inner, &entries);
        let sound = |p: &&Point| p.at.0.is_finite() && p.at.1.is_finite() && p.weight > 0.0;
        let points = || self.groups.iter().flat_map(|g| &g.points).filter(sound);
        let x = Scale::of(points().map(|p| p.at.0), false);
        let y = Scale::of(points().map(|p| p.at.1), false);
        let (Some(x), Some(y)) = (x, y) else {
            svg.nothing(area.x, area.y, area.w, area.h, "no points to draw");
            return svg.finish();
        };
        let (x, y) = area.lay(x.padded(0.06), y.padded(0.06));
        area.axes(&mut svg, &x, &y, [&self.x_label, &self.y_label], [6, 6]);
        let most = points().map(|p| p.weight).fold(0.0, f64::max);
        let place = |p: &Point| Some((x.at(p.at.0)?, y.at(p.at.1)?));
        for (i, group) in self.groups.iter().enumerate() {
            for point in group.points.iter().filter(sound) {
                let Some(at) = place(point) else { continue };
                let r = RADII.0 + (RADII.1 - RADII.0) * (point.weight / most).sqrt();
                svg.circle(at, r, &format!("{} fill-opacity=\"0.55\"", fill(i)));
                svg.circle(at, r, &format!("{} fill=\"none\" stroke-width=\"1\"", stroke(i)));
            }
        }
        for group in &self.groups {
            let sound = group.points.iter().filter(sound);
            let heaviest = sound.max_by(|a, b| a.weight.total_cmp(&b.weight));
            let Some((px, py)) = heaviest.and_then(place) else { continue };
            let halo =
                "fill=\"#10202e\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\"";
            let style = TextStyle { bold: true, opacity: 1.0, ..TextStyle::TICK };
            svg.text_with((px, py + 4.0), &group.name, style, halo);
        }
        svg.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<Point>) -> String {
        let group = PointGroup { name: "7".into(), points };
        ScatterPlot { title: "States".into(), groups: vec![group], ..ScatterPlot::default() }.svg()
    }

    #[test]
    fn areas_follow_weights_and_the_heaviest_is_named() {
        let at = |x, weight| Point { at: (x, 0.0), weight };
        let svg = plot(vec![at(0.0, 1.0), at(1.0, 4.0), at(f64::NAN, 9.0), at(2.0, 0.0)]);
        assert_eq!(svg.matches("<circle").count(), 4); // two points, each filled and ringed
        let radius = |circle: &str| -> f64 {
            circle.split("r=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        let radii: Vec<f64> = svg.split("<circle").skip(1).step_by(2).map(radius).collect();
        assert!((radii[1] - 12.0).abs() < 0.01 && (radii[0] - 7.25).abs() < 0.01, "{radii:?}");
        assert!(svg.contains(">7</text>") && svg.contains(">state 7</text>"));
    }

    #[test]
    fn nothing_to_draw_is_said() {
        assert!(plot(vec![]).contains("no points to draw"));
    }
}
