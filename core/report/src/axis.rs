//! Scales, ticks and frames of plots.

use crate::svg::{Anchor, Svg, TextStyle};

/// A linear or logarithmic map from data to pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub lo: f64,
    pub hi: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Scale {
    /// From the range of the data, widened to something drawable; `None` without finite data.
    pub(crate) fn of(values: impl Iterator<Item = f64>, log: bool) -> Option<Self> {
        let usable = values.filter(|v| v.is_finite() && (!log || *v > 0.0));
        let (mut lo, mut hi) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in usable {
            lo = lo.min(v);
            hi = hi.max(v);
        }
        (lo <= hi).then(|| Self::new(lo, hi, log))
    }

    /// On a given range.
    pub(crate) fn new(lo: f64, hi: f64, log: bool) -> Self {
        let (lo, hi) = if log {
            if hi / lo > 1.05 { (lo, hi) } else { (lo / 1.5, hi * 1.5) }
        } else if hi - lo > 1e-12 * (lo.abs() + hi.abs()) {
            (lo, hi)
        } else {
            let half = if lo == 0.0 { 1.0 } else { 0.1 * lo.abs() };
            (lo - half, hi + half)
        };
        Self { lo, hi, log, from: 0.0, to: 1.0 }
    }

    /// A little room beyond the data.
    pub(crate) fn padded(mut self, fraction: f64) -> Self {
        if self.log {
            let f = (self.hi / self.lo).powf(fraction);
            (self.lo, self.hi) = (self.lo / f, self.hi * f);
        } else {
            let d = fraction * (self.hi - self.lo);
            (self.lo, self.hi) = (self.lo - d, self.hi + d);
        }
        self
    }

    /// With its pixel ends.
    pub(crate) fn onto(mut self, from: f64, to: f64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    /// The pixel of a value; `None` if it cannot be drawn.
    pub(crate) fn at(&self, v: f64) -> Option<f64> {
        let t = if self.log {
            (v > 0.0).then(|| (v / self.lo).ln() / (self.hi / self.lo).ln())?
        } else {
            (v - self.lo) / (self.hi - self.lo)
        };
        t.is_finite().then_some(self.from + t * (self.to - self.from))
    }

    /// Values and labels of the ticks inside the range, about `target` of them.
    pub(crate) fn ticks(&self, target: usize) -> Vec<(f64, String)> {
        if self.log { self.log_ticks() } else { self.linear_ticks(target) }
    }

    fn linear_ticks(&self, target: usize) -> Vec<(f64, String)> {
        let raw = (self.hi - self.lo) / target.max(2) as f64;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|s| *s >= raw * 0.999)
            .unwrap_or(10.0 * power);
        // A full turn in degrees is divided into quarters.
        let turn = (self.hi - self.lo - 360.0).abs() < 1e-6;
        let step = if turn { 90.0 } else { step };
        let first = (self.lo / step - 1e-9).ceil() as i64;
        let last = (self.hi / step + 1e-9).floor() as i64;
        (first..=last)
            .take(100)
            .map(|i| i as f64 * step)
            .map(|v| (v, tick_label(v, step)))
            .collect()
    }

    fn log_ticks(&self) -> Vec<(f64, String)> {
        let (first, last) = (self.lo.log10().floor() as i32, self.hi.log10().ceil() as i32);
        let decades = last - first;
        let factors: &[f64] =
            if (self.hi / self.lo).log10() < 2.6 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let stride = (decades / 8 + 1).max(1);
        let mut out = Vec::new();
        for exponent in (first..=last).step_by(stride as usize) {
            for f in factors {
                let v = f * 10_f64.powi(exponent);
                if v >= self.lo * 0.999 && v <= self.hi * 1.001 {
                    out.push((v, log_label(v, exponent, *f)));
                }
            }
        }
        out
    }
}

fn tick_label(v: f64, step: f64) -> String {
    let largest = v.abs().max(step);
    if largest >= 1e6 || step < 1e-4 {
        return minus(&format!("{v:.1e}"));
    }
    let mut decimals = 0;
    while decimals < 6 && ((step * 10_f64.powi(decimals)).fract() - 0.5).abs() < 0.4999 {
        decimals += 1;
    }
    grouped(&minus(&format!("{:.*}", decimals as usize, if v == 0.0 { 0.0 } else { v })))
}

/// Thin spaces between groups of three digits from 10 000 on.
fn grouped(s: &str) -> String {
    let whole = s.find('.').unwrap_or(s.len());
    let digits = s[..whole].chars().filter(char::is_ascii_digit).count();
    if digits < 5 {
        return s.into();
    }
    let sign = s[..whole].chars().count() - digits;
    let mut out = String::new();
    for (i, c) in s[..whole].chars().enumerate() {
        if i > sign && (digits + sign - i).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(c);
    }
    out + &s[whole..]
}

fn log_label(v: f64, exponent: i32, factor: f64) -> String {
    if (-3..=4).contains(&exponent) {
        return format!("{:.*}", (-exponent).max(0) as usize, v);
    }
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let power: String = exponent
        .to_string()
        .chars()
        .map(|c| c.to_digit(10).map_or('⁻', |d| digits[d as usize]))
        .collect();
    if factor == 1.0 { format!("10{power}") } else { format!("{factor}·10{power}") }
}

/// A typographic minus.
fn minus(s: &str) -> String {
    s.replace('-', "\u{2212}")
}

/// The inside of a plot, in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl Area {
    /// The two scales laid onto this area.
    pub(crate) fn lay(&self, x: Scale, y: Scale) -> (Scale, Scale) {
        (x.onto(self.x, self.x + self.w), y.onto(self.y + self.h, self.y))
    }

    /// Grid lines, tick labels, axis lines and titles.
    pub(crate) fn axes(
        &self,
        svg: &mut Svg,
        x: &Scale,
        y: &Scale,
        labels: [&str; 2],
        ticks: [usize; 2],
    ) {
        let grid = "stroke=\"currentColor\" stroke-opacity=\"0.13\"";
        let axis = "stroke=\"currentColor\" stroke-opacity=\"0.55\"";
        let (right, bottom) = (self.x + self.w, self.y + self.h);
        for (v, label) in y.ticks(ticks[1]) {
            let Some(py) = y.at(v) else { continue };
            svg.line((self.x, py), (right, py), grid);
            svg.text((self.x - 7.0, py + 4.0), &label, TextStyle::TICK.anchored(Anchor::End));
        }
        let mut free_from = f64::NEG_INFINITY;
        for (v, label) in x.ticks(ticks[0]) {
            let Some(px) = x.at(v) else { continue };
            svg.line((px, bottom), (px, bottom + 4.0), axis);
            let half = 0.5 * crate::svg::text_width(&label, TextStyle::TICK.size);
            if px - half >= free_from {
                svg.text((px, bottom + 17.0), &label, TextStyle::TICK);
                free_from = px + half + 5.0;
            }
        }
        svg.line((self.x, bottom), (right, bottom), axis);
        svg.text((self.x + 0.5 * self.w, bottom + 36.0), labels[0], TextStyle::LABEL);
        svg.vertical_text((self.x - 46.0, self.y + 0.5 * self.h), labels[1], TextStyle::LABEL);
    }
}

/// One entry of a legend.
pub(crate) struct LegendEntry<'a> {
    pub name: &'a str,
    pub colour: usize,
    pub dashed: bool,
    /// A filled square (bars) instead of a line.
    pub square: bool,
}

/// A legend in one or more rows from `(x, y)`, at most `width` wide; returns its height.
pub(crate) fn legend(svg: &mut Svg, x: f64, y: f64, width: f64, entries: &[LegendEntry]) -> f64 {
    let (mut at, mut row) = (x, y);
    for e in entries {
        let needed = 26.0 + crate::svg::text_width(e.name, 12.5) + 18.0;
        if at > x && at + needed > x + width + 18.0 {
            at = x;
            row += 19.0;
        }
        if e.square {
            svg.rect(
                at,
                row - 9.5,
                12.0,
                12.0,
                &format!("rx=\"2\" {}", crate::colour::fill(e.colour)),
            );
        } else {
            let dash = if e.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
            let style = format!("{} stroke-width=\"2.4\"{dash}", crate::colour::stroke(e.colour));
            svg.line((at, row - 4.0), (at + 20.0, row - 4.0), &style);
        }
        let style = TextStyle::LABEL.sized(12.5).anchored(Anchor::Start);
        svg.text((at + if e.square { 18.0 } else { 26.0 }, row), e.name, style);
        at += needed;
    }
    row - y + 19.0
}

/// Height that [`legend`] will take.
pub(crate) fn legend_height(width: f64, entries: &[LegendEntry]) -> f64 {
    legend(&mut Svg::new(1.0, 1.0, ""), 0.0, 0.0, width, entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let labels = |lo, hi| -> Vec<String> {
            Scale::new(lo, hi, false).ticks(5).into_iter().map(|t| t.1).collect()
        };
        assert_eq!(labels(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(-3.2, 3.2), ["\u{2212}2", "0", "2"]);
        assert_eq!(labels(0.0, 0.5), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(labels(-180.0, 180.0), ["\u{2212}180", "\u{2212}90", "0", "90", "180"]);
        assert_eq!(labels(-2e4, 2e4)[0], "\u{2212}20\u{2009}000");
        assert_eq!(labels(0.0, 12.5), ["0.0", "2.5", "5.0", "7.5", "10.0", "12.5"]);
    }

    #[test]
    fn log_ticks_are_decades() {
        let labels = |lo, hi| -> Vec<String> {
            Scale::new(lo, hi, true).ticks(5).into_iter().map(|t| t.1).collect()
        };
        assert_eq!(labels(1.0, 1000.0), ["1", "10", "100", "1000"]);
        assert_eq!(labels(0.02, 1.0), ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
        assert!(labels(1e-9, 1e6).iter().any(|l| l == "10⁻⁹"));
    }

    #[test]
    fn odd_ranges_are_drawable() {
        assert!(Scale::of([f64::NAN].into_iter(), false).is_none());
        assert!(Scale::of([-1.0, 0.0].into_iter(), true).is_none());
        for (v, log) in [(0.0, false), (5.0, false), (5.0, true), (1e-300, true)] {
            let s = Scale::of([v].into_iter(), log).unwrap();
            assert!(s.lo < s.hi && s.at(v).is_some());
            assert!(s.ticks(5).len() < 200);
        }
        assert_eq!(Scale::new(1.0, 10.0, true).at(-1.0), None);
    }
}
