//! A small SVG writer: shapes with presentation attributes, so that a picture also works outside
//! the page. Ink is `currentColor`; coloured strokes and fills carry a class (`s0`, `s1`, …) that
//! the page's style sheet may restate for dark screens. No ids: pictures can share a page.

use std::fmt::Write;

/// Text with the five XML specials replaced and characters XML forbids removed.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

/// A coordinate with at most two decimals.
pub(crate) fn num(x: f64) -> String {
    let x = if x.is_finite() { x } else { 0.0 };
    let mut s = format!("{x:.2}");
    while s.ends_with('0') {
        s.pop();
    }
    if s.ends_with('.') {
        s.pop();
    }
    if s == "-0" { "0".into() } else { s }
}

/// Where a text hangs on its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextStyle {
    pub size: f64,
    pub anchor: Anchor,
    pub opacity: f64,
    pub bold: bool,
}

impl TextStyle {
    /// Tick labels.
    pub(crate) const TICK: Self =
        Self { size: 11.5, anchor: Anchor::Middle, opacity: 0.75, bold: false };
    /// Axis titles and legends.
    pub(crate) const LABEL: Self =
        Self { size: 13.0, anchor: Anchor::Middle, opacity: 0.95, bold: false };
    /// Panel titles.
    pub(crate) const TITLE: Self =
        Self { size: 13.5, anchor: Anchor::Middle, opacity: 1.0, bold: true };

    pub(crate) fn anchored(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(crate) fn sized(self, size: f64) -> Self {
        Self { size, ..self }
    }
}

/// One picture under construction. Units are CSS pixels, y downwards.
pub(crate) struct Svg {
    width: f64,
    height: f64,
    label: String,
    body: String,
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64, label: &str) -> Self {
        Self { width, height, label: label.into(), body: String::new() }
    }

    /// Any element with attributes already escaped.
    pub(crate) fn raw(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    pub(crate) fn rect(&mut self, x: f64, y: f64, w: f64, h: f64, attributes: &str) {
        let (x, y, w, h) = (num(x), num(y), num(w.max(0.0)), num(h.max(0.0)));
        let _ = writeln!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" {attributes}/>"
        );
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), attributes: &str) {
        let (x1, y1, x2, y2) = (num(from.0), num(from.1), num(to.0), num(to.1));
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" {attributes}/>"
        );
    }

    pub(crate) fn circle(&mut self, at: (f64, f64), r: f64, attributes: &str) {
        let (x, y, r) = (num(at.0), num(at.1), num(r));
        let _ = writeln!(self.body, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" {attributes}/>");
    }

    pub(crate) fn path(&mut self, d: &str, attributes: &str) {
        let _ = writeln!(self.body, "<path d=\"{d}\" {attributes}/>");
    }

    /// A path through points; several runs where the data have gaps.
    pub(crate) fn polyline(&mut self, runs: &[Vec<(f64, f64)>], attributes: &str) {
        let mut d = String::new();
        for run in runs {
            for (i, p) in run.iter().enumerate() {
                let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, num(p.0), num(p.1));
            }
        }
        if !d.is_empty() {
            let plain = "fill=\"none\" stroke-linejoin=\"round\" stroke-linecap=\"round\"";
            self.path(&d, &format!("{plain} {attributes}"));
        }
    }

    pub(crate) fn text(&mut self, at: (f64, f64), text: &str, style: TextStyle) {
        self.text_with(at, text, style, "");
    }

    /// Text with further attributes, e.g. a transform or a fill.
    pub(crate) fn text_with(
        &mut self,
        at: (f64, f64),
        text: &str,
        style: TextStyle,
        attributes: &str,
    ) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if style.bold { " font-weight=\"600\"" } else { "" };
        let fill = if attributes.contains("fill=") { "" } else { " fill=\"currentColor\"" };
        let _ = writeln!(
            self.body,
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"{anchor}\" \
             fill-opacity=\"{}\"{weight}{fill} {attributes}>{}</text>",
            num(at.0),
            num(at.1),
            num(style.size),
            num(style.opacity),
            escape(text)
        );
    }

    /// Text turned by -90°, centred on `at`.
    pub(crate) fn vertical_text(&mut self, at: (f64, f64), text: &str, style: TextStyle) {
        let turn = format!("transform=\"rotate(-90 {} {})\"", num(at.0), num(at.1));
        self.text_with(at, text, style, &turn);
    }

    /// A quiet box that says why there is no picture.
    pub(crate) fn nothing(&mut self, x: f64, y: f64, w: f64, h: f64, why: &str) {
        self.rect(
            x,
            y,
            w,
            h,
            "rx=\"4\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.3\" \
             stroke-dasharray=\"4 4\"",
        );
        let style = TextStyle { opacity: 0.7, ..TextStyle::LABEL };
        self.text((x + 0.5 * w, y + 0.5 * h + 4.0), why, style);
    }

    pub(crate) fn finish(self) -> String {
        let label = escape(&self.label);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" \
             height=\"{h}\" role=\"img\" aria-label=\"{label}\" font-family=\"ui-sans-serif, \
             system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif\" \
             style=\"font-variant-numeric:tabular-nums\">\n<title>{label}</title>\n{body}</svg>\n",
            w = num(self.width),
            h = num(self.height),
            body = self.body
        )
    }
}

/// Width of a text, roughly, at a font size: good enough to place legends and labels.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    let units: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'l' | 'j' | 'I' | '.' | ',' | ':' | '|' | '\'' | ' ' | 't' | 'f' | 'r' => 0.32,
            'm' | 'w' | 'M' | 'W' => 0.86,
            c if c.is_uppercase() => 0.66,
            _ => 0.55,
        })
        .sum();
    units * size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specials_are_escaped_and_controls_dropped() {
        assert_eq!(escape("a<b & \"c\"\u{1}'"), "a&lt;b &amp; &quot;c&quot;&#39;");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(num(1.0), "1");
        assert_eq!(num(-0.001), "0");
        assert_eq!(num(2.346), "2.35");
        assert_eq!(num(f64::NAN), "0");
    }
}
