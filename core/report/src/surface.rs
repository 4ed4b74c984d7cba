//! Free-energy surfaces over two coordinates, side by side on one colour scale. Dark is low
//! (populated); places never visited stay empty. Contours at whole steps of the scale.

use crate::axis::{Area, Scale};
use crate::colour::viridis;
use crate::svg::{Svg, TextStyle, num};

/// Steps of the colour scale.
const LEVELS: usize = 12;

/// A point drawn on a surface, e.g. a start frame or an accepted seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// Coordinates in the units of the axes.
    pub at: (f64, f64),
    /// A label beside it; may be empty.
    pub label: String,
}

/// One surface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FreeEnergyPanel {
    /// Title, e.g. `MD, 100 ns`.
    pub title: String,
    /// Free energy per cell, `x_bins` rows of `y_bins` values (x outer); non-finite = unvisited.
    pub values: Vec<f64>,
    /// Points drawn on top.
    pub markers: Vec<Marker>,
}

/// Surfaces on shared axes and colours.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FreeEnergySurfaces {
    /// Axis title with its unit, e.g. `TICA 1`.
    pub x_label: String,
    /// Axis title with its unit.
    pub y_label: String,
    /// Title of the colour bar with its unit, e.g. `free energy (kJ/mol)`.
    pub value_label: String,
    /// Range of the x axis.
    pub x_range: (f64, f64),
    /// Range of the y axis.
    pub y_range: (f64, f64),
    /// Cells along x.
    pub x_bins: usize,
    /// Cells along y.
    pub y_bins: usize,
    /// Upper end of the colour scale (lower end 0); `None` for the largest finite value.
    pub max: Option<f64>,
    /// The surfaces.
    pub panels: Vec<FreeEnergyPanel>,
}

impl FreeEnergySurfaces {
    /// The picture, 960 pixels wide for two panels or more, 560 for one.
    pub fn svg(&self) -> String {
        let n = self.panels.len().max(1);
        let (left, right, gap, top) = (64.0, 92.0, 26.0, 34.0);
        let width = if n == 1 { 560.0 } else { 960.0 };
        let side = (width - left - right - gap * (n as f64 - 1.0)) / n as f64;
        let side_h = side.min(380.0);
        let label = format!("{} over {} and {}", self.value_label, self.x_label, self.y_label);
        let mut svg = Svg::new(width, top + side_h + 52.0, &label);
        let cells = self.x_bins * self.y_bins;
        let finite = self.panels.iter().flat_map(|p| &p.values).copied().filter(|v| v.is_finite());
        let largest = finite.fold(f64::NEG_INFINITY, f64::max);
        let ordered = |r: (f64, f64)| r.0.is_finite() && r.1.is_finite() && r.0 < r.1;
        let wrong = self.panels.iter().find(|p| p.values.len() != cells);
        let why = match wrong {
            _ if self.panels.is_empty() || cells == 0 || largest == f64::NEG_INFINITY => {
                Some("no frames to draw".into())
            }
            Some(p) => Some(format!("{cells} values expected, {} given", p.values.len())),
            None if !ordered(self.x_range) || !ordered(self.y_range) => {
                Some("the axes have no range".into())
            }
            None => None,
        };
        if let Some(why) = why {
            svg.nothing(left, top, width - left - right, side_h, &why);
            return svg.finish();
        }
        let max = self.max.filter(|m| *m > 0.0 && m.is_finite()).unwrap_or(largest).max(1e-9);
        let step = nice_step(max / LEVELS as f64);
        let levels = (max / step).ceil().max(1.0) as usize;
        for (i, panel) in self.panels.iter().enumerate() {
            let area = Area { x: left + i as f64 * (side + gap), y: top, w: side, h: side_h };
            self.draw(&mut svg, &area, panel, step, levels, i == 0);
        }
        self.colour_bar(&mut svg, width - right + 18.0, top, side_h, step, levels);
        svg.finish()
    }

    fn draw(
        &self,
        svg: &mut Svg,
        area: &Area,
        panel: &FreeEnergyPanel,
        step: f64,
        levels: usize,
        first: bool,
    ) {
        svg.text((area.x + 0.5 * area.w, area.y - 11.0), &panel.title, TextStyle::TITLE);
        svg.rect(area.x, area.y, area.w, area.h, "class=\"plot\" fill=\"#f3f4f6\"");
        let (cw, ch) = (area.w / self.x_bins as f64, area.h / self.y_bins as f64);
        let level = |x: usize, y: usize| -> Option<usize> {
            let v = panel.values[x * self.y_bins + y];
            v.is_finite().then(|| ((v / step).floor().max(0.0) as usize).min(levels - 1))
        };
        // Cells of equal level in a row share one rectangle.
        svg.raw("<g shape-rendering=\"crispEdges\">");
        for y in 0..self.y_bins {
            let mut x = 0;
            while x < self.x_bins {
                let here = level(x, y);
                let mut end = x + 1;
                while end < self.x_bins && level(end, y) == here {
                    end += 1;
                }
                if let Some(l) = here {
                    let at = (area.x + x as f64 * cw, area.y + area.h - (y as f64 + 1.0) * ch);
                    let fill = format!("fill=\"{}\"", level_colour(l, levels));
                    svg.rect(at.0, at.1, (end - x) as f64 * cw, ch, &fill);
                }
                x = end;
            }
        }
        svg.raw("</g>");
        let x = Scale::new(self.x_range.0, self.x_range.1, false);
        let y = Scale::new(self.y_range.0, self.y_range.1, false);
        let (x, y) = area.lay(x, y);
        let axis = "stroke=\"currentColor\" stroke-opacity=\"0.55\" fill=\"none\"";
        svg.rect(area.x, area.y, area.w, area.h, axis);
        let bottom = area.y + area.h;
        for (v, label) in x.ticks(5) {
            let Some(px) = x.at(v) else { continue };
            svg.line((px, bottom), (px, bottom + 4.0), axis);
            svg.text((px, bottom + 17.0), &label, TextStyle::TICK);
        }
        for (v, label) in y.ticks(5) {
            let Some(py) = y.at(v) else { continue };
            svg.line((area.x - 4.0, py), (area.x, py), axis);
            if first {
                let style = TextStyle::TICK.anchored(crate::svg::Anchor::End);
                svg.text((area.x - 7.0, py + 4.0), &label, style);
            }
        }
        svg.text((area.x + 0.5 * area.w, bottom + 38.0), &self.x_label, TextStyle::LABEL);
        if first {
            let at = (area.x - 44.0, area.y + 0.5 * area.h);
            svg.vertical_text(at, &self.y_label, TextStyle::LABEL);
        }
        for marker in &panel.markers {
            let Some((px, py)) = x.at(marker.at.0).zip(y.at(marker.at.1)) else { continue };
            let (px, py) = (px.clamp(area.x, area.x + area.w), py.clamp(area.y, bottom));
            let ring = "fill=\"#ffffff\" stroke=\"#10202e\" stroke-width=\"1.4\"";
            svg.circle((px, py), 4.2, ring);
            let halo =
                "fill=\"#10202e\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\"";
            let style = TextStyle { opacity: 1.0, ..TextStyle::TICK };
            let style = style.anchored(crate::svg::Anchor::Start);
            svg.text_with((px + 8.0, py + 4.0), &marker.label, style, halo);
        }
    }

    fn colour_bar(&self, svg: &mut Svg, x: f64, y: f64, h: f64, step: f64, levels: usize) {
        let each = h / levels as f64;
        for l in 0..levels {
            let top = y + h - (l as f64 + 1.0) * each;
            let fill = format!("fill=\"{}\"", level_colour(l, levels));
            svg.rect(x, top, 14.0, each + 0.3, &fill);
        }
        let scale = Scale::new(0.0, step * levels as f64, false).onto(y + h, y);
        for (v, label) in scale.ticks(6) {
            let Some(py) = scale.at(v) else { continue };
            let (from, to) = ((x + 14.0, py), (x + 18.0, py));
            svg.line(from, to, "stroke=\"currentColor\" stroke-opacity=\"0.55\"");
            let style = TextStyle::TICK.anchored(crate::svg::Anchor::Start);
            svg.text((x + 21.0, py + 4.0), &label, style);
        }
        svg.vertical_text((x + 62.0, y + 0.5 * h), &self.value_label, TextStyle::LABEL);
        let note = format!("M{} {}h14", num(x), num(y));
        svg.path(&note, "stroke=\"none\" fill=\"none\"");
    }
}

fn level_colour(level: usize, levels: usize) -> String {
    viridis((level as f64 + 0.5) / levels as f64)
}

/// The smallest of 1, 2, 2.5, 5 × 10^k not below `raw`.
fn nice_step(raw: f64) -> f64 {
    let power = 10_f64.powf(raw.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw).unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surfaces(values: Vec<f64>) -> FreeEnergySurfaces {
        FreeEnergySurfaces {
            x_range: (0.0, 1.0),
            y_range: (0.0, 1.0),
            x_bins: 2,
            y_bins: 2,
            panels: vec![FreeEnergyPanel { values, ..FreeEnergyPanel::default() }],
            ..FreeEnergySurfaces::default()
        }
    }

    #[test]
    fn unvisited_cells_stay_empty() {
        let svg = surfaces(vec![0.0, f64::INFINITY, f64::NAN, 12.0]).svg();
        let cells = svg.split("crispEdges").nth(1).unwrap().split("</g>").next().unwrap();
        assert_eq!(cells.matches("<rect").count(), 2);
    }

    #[test]
    fn wrong_input_is_said_in_the_picture() {
        assert!(surfaces(vec![0.0]).svg().contains("4 values expected, 1 given"));
        assert!(surfaces(vec![f64::NAN; 4]).svg().contains("no frames"));
        assert!(FreeEnergySurfaces::default().svg().contains("no frames"));
        let mut flat = surfaces(vec![0.0; 4]);
        assert!(flat.svg().contains("crispEdges"));
        flat.x_range = (1.0, 1.0);
        assert!(flat.svg().contains("no range"));
    }
}
