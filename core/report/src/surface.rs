//! Free-energy surfaces over two coordinates, side by side on one colour scale. Dark is low
//! (populated); places never visited stay empty. Colours change at whole steps of the scale.

use crate::axis::{Area, Scale};
use crate::colour::depths;
use crate::svg::{Svg, TextStyle, num};

/// Steps of the colour scale.
const LEVELS: usize = 12;
/// Each cell is drawn as this many by this many interpolated ones.
const REFINE: usize = 3;

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
        let levels_of = self.levels(&panel.values, step, levels);
        let (nx, ny) = (REFINE * self.x_bins, REFINE * self.y_bins);
        // One path per level, in units of the refined grid, y upwards; runs share a rectangle.
        svg.raw(&format!(
            "<g class=\"cells\" shape-rendering=\"crispEdges\" transform=\"translate({} {}) \
             scale({:.5} {:.5})\">",
            num(area.x),
            num(area.y + area.h),
            area.w / nx as f64,
            -area.h / ny as f64
        ));
        let mut paths = vec![String::new(); levels];
        for y in 0..ny {
            let mut x = 0;
            while x < nx {
                let here = levels_of[x * ny + y];
                let mut end = x + 1;
                while end < nx && levels_of[end * ny + y] == here {
                    end += 1;
                }
                if let Some(l) = here {
                    paths[l] += &format!("M{x} {y}h{w}v1h-{w}z", w = end - x);
                }
                x = end;
            }
        }
        for (l, d) in paths.iter().enumerate().filter(|(_, d)| !d.is_empty()) {
            svg.path(d, &format!("fill=\"{}\"", level_colour(l, levels)));
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

    /// The level of every refined cell, x outer: bilinear between cell centres, where a
    /// neighbour was never visited the cell's own value; unvisited cells stay empty.
    fn levels(&self, values: &[f64], step: f64, levels: usize) -> Vec<Option<usize>> {
        let (nx, ny) = (self.x_bins, self.y_bins);
        let between = |i: usize, n: usize| {
            let at = (i as f64 + 0.5) / REFINE as f64 - 0.5;
            let low = at.floor();
            let clamp = |v: f64| v.clamp(0.0, n as f64 - 1.0) as usize;
            (clamp(low), clamp(low + 1.0), at - low)
        };
        let mut out = Vec::with_capacity(nx * ny * REFINE * REFINE);
        for i in 0..nx * REFINE {
            let (x0, x1, fx) = between(i, nx);
            for j in 0..ny * REFINE {
                let (y0, y1, fy) = between(j, ny);
                let own = values[i / REFINE * ny + j / REFINE];
                let v = |x: usize, y: usize| {
                    let v = values[x * ny + y];
                    if v.is_finite() { v } else { own }
                };
                let value = (1.0 - fx) * ((1.0 - fy) * v(x0, y0) + fy * v(x0, y1))
                    + fx * ((1.0 - fy) * v(x1, y0) + fy * v(x1, y1));
                let level = || ((value / step).floor().max(0.0) as usize).min(levels - 1);
                out.push(own.is_finite().then(level));
            }
        }
        out
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
    }
}

fn level_colour(level: usize, levels: usize) -> String {
    depths((level as f64 + 0.5) / levels as f64)
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
        let cells = svg.split("class=\"cells\"").nth(1).unwrap().split("</g>").next().unwrap();
        // Two cells of 3 × 3, each in its own rows; nothing is drawn in the other two.
        let drawn: usize = cells
            .split('h')
            .skip(1)
            .filter_map(|t| t.split('v').next().and_then(|w| w.parse::<usize>().ok()))
            .sum();
        assert_eq!(drawn, 18, "{cells}");
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
