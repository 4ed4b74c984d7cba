//! Curves over a common axis: implied timescales over lag, losses over steps, decorrelation.

use crate::axis::{Area, LegendEntry, Scale, legend, legend_height};
use crate::colour::{fill, stroke};
use crate::svg::{Anchor, Svg, TextStyle, num};

/// One curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Name in the legend; an empty name is not listed.
    pub name: String,
    /// Points (x, y); non-finite ones leave a gap.
    pub points: Vec<(f64, f64)>,
    /// Lower and upper bound of y at each point, drawn as a band; empty for none.
    pub band: Vec<(f64, f64)>,
    /// These bounds as a bar at each point instead, and no line between the points.
    pub bars: bool,
    /// Dashed instead of solid.
    pub dashed: bool,
    /// A dot at every point.
    pub dots: bool,
    /// The number of its colour, for curves that belong together; `None`: its place in the order.
    pub colour: Option<usize>,
}

impl Series {
    /// A plain curve.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, ..Self::default() }
    }
}

/// Several curves on shared axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinePlot {
    /// Title above the plot; may be empty.
    pub title: String,
    /// Axis title with its unit, e.g. `lag time (ps)`.
    pub x_label: String,
    /// Axis title with its unit.
    pub y_label: String,
    /// Logarithmic x axis.
    pub x_log: bool,
    /// Logarithmic y axis.
    pub y_log: bool,
    /// The curves; colours follow their order.
    pub series: Vec<Series>,
    /// Shades y < x: timescales shorter than the lag cannot be resolved.
    pub shade_below_diagonal: bool,
    /// Vertical reference lines with a label, e.g. the chosen lag.
    pub marks: Vec<(f64, String)>,
}

impl LinePlot {
    /// The picture, 540 pixels wide.
    pub fn svg(&self) -> String {
        let width = 540.0;
        let entries: Vec<LegendEntry> = self
            .series
            .iter()
            .enumerate()
            .filter(|(_, s)| !s.name.is_empty())
            .map(|(i, s)| {
                let colour = s.colour.unwrap_or(i);
                LegendEntry { name: &s.name, colour, dashed: s.dashed, square: false }
            })
            .collect();
        let inner = width - 68.0 - 18.0;
        let top = if self.title.is_empty() { 14.0 } else { 36.0 };
        let legend_height =
            if entries.is_empty() { 0.0 } else { legend_height(inner, &entries) + 4.0 };
        let marks = if self.marks.is_empty() { 0.0 } else { 16.0 };
        let area = Area { x: 68.0, y: top + legend_height + marks, w: inner, h: 280.0 };
        let mut svg = Svg::new(width, area.y + area.h + 48.0, &self.describe());
        if !self.title.is_empty() {
            let style = TextStyle::TITLE.anchored(Anchor::Start);
            svg.text((area.x, 22.0), &self.title, style);
        }
        legend(&mut svg, area.x, top + 10.0, inner, &entries);
        let points = || self.series.iter().flat_map(|s| &s.points);
        let bands = || self.series.iter().flat_map(|s| &s.band).flat_map(|b| [b.0, b.1]);
        let drawable = |p: &&(f64, f64)| {
            let ok = |v: f64, log: bool| v.is_finite() && (!log || v > 0.0);
            ok(p.0, self.x_log) && ok(p.1, self.y_log)
        };
        let x = Scale::of(points().filter(drawable).map(|p| p.0), self.x_log);
        let y = Scale::of(points().filter(drawable).map(|p| p.1).chain(bands()), self.y_log);
        let (Some(x), Some(y)) = (x, y) else {
            svg.nothing(area.x, area.y, area.w, area.h, "no finite data to draw");
            return svg.finish();
        };
        let (x, y) = area.lay(x.padded(0.02), y.padded(0.06));
        if self.shade_below_diagonal {
            self.shade(&mut svg, &area, &x, &y);
        }
        area.axes(&mut svg, &x, &y, [&self.x_label, &self.y_label], [7, 6]);
        for (at, label) in &self.marks {
            let Some(px) = x.at(*at).filter(|p| (area.x..=area.x + area.w).contains(p)) else {
                continue;
            };
            let style = "stroke=\"currentColor\" stroke-opacity=\"0.6\" stroke-dasharray=\"2 3\"";
            svg.line((px, area.y), (px, area.y + area.h), style);
            svg.text((px, area.y - 5.0), label, TextStyle::TICK);
        }
        for (place, s) in self.series.iter().enumerate() {
            let i = s.colour.unwrap_or(place);
            if s.band.len() == s.points.len() {
                if s.bars {
                    bars(&mut svg, &x, &y, s, i);
                } else {
                    band(&mut svg, &x, &y, s, i);
                }
            }
            let runs = runs(&s.points, |p| Some((x.at(p.0)?, y.at(p.1)?)));
            let dash = if s.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
            if !s.bars {
                svg.polyline(&runs, &format!("{} stroke-width=\"2.2\"{dash}", stroke(i)));
            }
            if s.dots || s.bars || s.points.len() == 1 {
                for p in runs.iter().flatten() {
                    svg.circle(*p, 3.2, &fill(i));
                }
            }
        }
        svg.finish()
    }

    fn describe(&self) -> String {
        let names: Vec<&str> = self.series.iter().map(|s| s.name.as_str()).collect();
        let title = if self.title.is_empty() { &self.y_label } else { &self.title };
        format!("{title}: {} over {} for {}", self.y_label, self.x_label, names.join(", "))
    }

    /// The region y < x as one polygon (also on log axes, where the border is curved if only
    /// one axis is logarithmic).
    fn shade(&self, svg: &mut Svg, area: &Area, x: &Scale, y: &Scale) {
        let bottom = area.y + area.h;
        let border: Vec<(f64, f64)> = (0..=80)
            .filter_map(|i| {
                let t = f64::from(i) / 80.0;
                let v = if self.x_log {
                    x.lo * (x.hi / x.lo).powf(t)
                } else {
                    x.lo + t * (x.hi - x.lo)
                };
                let py = if v <= y.lo { bottom } else { y.at(v)? };
                Some((x.at(v)?, py.clamp(area.y, bottom)))
            })
            .collect();
        let mut d = format!("M{} {}", num(area.x), num(bottom));
        for p in &border {
            d += &format!("L{} {}", num(p.0), num(p.1));
        }
        d += &format!("L{} {}Z", num(area.x + area.w), num(bottom));
        svg.path(&d, "fill=\"currentColor\" fill-opacity=\"0.08\" stroke=\"none\"");
    }
}

/// Unbroken runs of drawable points, in pixels.
fn runs(
    points: &[(f64, f64)],
    place: impl Fn(&(f64, f64)) -> Option<(f64, f64)>,
) -> Vec<Vec<(f64, f64)>> {
    let mut out: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for p in points {
        match (place(p), out.last_mut()) {
            (Some(q), Some(run)) => run.push(q),
            _ => out.push(Vec::new()),
        }
    }
    out.retain(|r| !r.is_empty());
    out
}

/// A bar between the bounds of every point, with caps.
fn bars(svg: &mut Svg, x: &Scale, y: &Scale, s: &Series, colour: usize) {
    let style = format!("{} stroke-width=\"1.4\"", stroke(colour));
    for (point, bound) in s.points.iter().zip(&s.band) {
        let (Some(px), Some(low), Some(high)) = (x.at(point.0), y.at(bound.0), y.at(bound.1))
        else {
            continue;
        };
        svg.line((px, low), (px, high), &style);
        for end in [low, high] {
            svg.line((px - 3.5, end), (px + 3.5, end), &style);
        }
    }
}

fn band(svg: &mut Svg, x: &Scale, y: &Scale, s: &Series, colour: usize) {
    let edges: Vec<[f64; 3]> = s
        .points
        .iter()
        .zip(&s.band)
        .filter_map(|(p, b)| Some([x.at(p.0)?, y.at(b.0)?, y.at(b.1)?]))
        .collect();
    if edges.len() < 2 {
        return;
    }
    let lower = edges.iter().map(|e| (e[0], e[1]));
    let upper = edges.iter().rev().map(|e| (e[0], e[2]));
    let mut d = String::new();
    for (i, p) in lower.chain(upper).enumerate() {
        d += &format!("{}{} {}", if i == 0 { 'M' } else { 'L' }, num(p.0), num(p.1));
    }
    svg.path(&(d + "Z"), &format!("{} fill-opacity=\"0.16\" stroke=\"none\"", fill(colour)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_split_a_curve() {
        let plot = LinePlot {
            y_log: true,
            series: vec![Series::new(
                "loss",
                vec![(0., 1.), (1., -1.), (2., 1.), (3., f64::NAN), (4., 2.), (5., 2.)],
            )],
            ..LinePlot::default()
        };
        let svg = plot.svg();
        let path = svg.lines().find(|l| l.contains("class=\"s0\"") && l.contains("<path")).unwrap();
        assert_eq!(path.matches('M').count(), 3, "{path}");
    }

    #[test]
    fn bounds_are_a_band_or_bars() {
        let plot = |bars| LinePlot {
            series: vec![Series {
                band: vec![(0.0, 2.0), (1.0, 3.0)],
                bars,
                ..Series::new("p", vec![(0., 1.), (1., 2.)])
            }],
            ..LinePlot::default()
        };
        let count = |bars, class: &str, what: &str| {
            let svg = plot(bars).svg();
            svg.lines().filter(|l| l.contains(class) && l.contains(what)).count()
        };
        let drawn = |bars, what| count(bars, "class=\"s0\"", what);
        // A band and a curve; or two bars with two caps each, and no curve.
        assert_eq!((drawn(false, "<path"), drawn(false, "stroke-width=\"1.4\"")), (1, 0));
        assert_eq!((drawn(true, "<path"), drawn(true, "stroke-width=\"1.4\"")), (0, 6));
        let dots = |bars| count(bars, "class=\"f0\"", "<circle");
        assert_eq!(dots(true), dots(false) + 2);
    }

    #[test]
    fn nothing_to_draw_is_said() {
        assert!(LinePlot::default().svg().contains("no finite data"));
        let nan = Series::new("x", vec![(f64::NAN, 1.0)]);
        assert!(LinePlot { series: vec![nan], ..LinePlot::default() }.svg().contains("no finite"));
    }
}
