//! A matrix as a heat map with its numbers: transition probabilities between states.

use crate::colour::blues;
use crate::svg::{Anchor, Svg, TextStyle};

/// Largest matrix whose cells carry numbers.
const MAX_NUMBERED: usize = 16;

/// A square or rectangular matrix; rows are "from", columns "to" by custom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatrixHeatMap {
    /// Title above; may be empty.
    pub title: String,
    /// What a row is, e.g. `from state`.
    pub row_label: String,
    /// What a column is, e.g. `to state`.
    pub column_label: String,
    /// Names of the rows; their number is the number of rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Row-major values; NaN is drawn as a dash.
    pub values: Vec<f64>,
    /// Upper end of the colour scale; `None` for the largest value. The lower end is 0.
    pub max: Option<f64>,
}

impl MatrixHeatMap {
    /// The picture, about 500 pixels wide.
    pub fn svg(&self) -> String {
        let (n, m) = (self.rows.len(), self.columns.len());
        let label = format!("{}: matrix of {n} rows and {m} columns", self.title);
        let longest = |names: &[String]| {
            names.iter().map(|r| crate::svg::text_width(r, 12.0)).fold(0.0, f64::max)
        };
        let left = 34.0 + longest(&self.rows).clamp(12.0, 130.0);
        let top = if self.title.is_empty() { 44.0 } else { 66.0 };
        let size = (430.0 / n.max(m).max(1) as f64).clamp(4.0, 46.0);
        let (w, h) = (size * m as f64, size * n as f64);
        let mut svg = Svg::new(left + w.max(300.0) + 16.0, top + h.max(60.0) + 14.0, &label);
        svg.text((left, 20.0), &self.title, TextStyle::TITLE.anchored(Anchor::Start));
        if n == 0 || m == 0 || self.values.len() != n * m {
            let why = match n * m {
                0 => "no states to draw".into(),
                need => format!("{need} values expected, {} given", self.values.len()),
            };
            svg.nothing(left, top, w.max(300.0), h.max(50.0), &why);
            return svg.finish();
        }
        let largest = self.values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
        let max = self.max.filter(|m| m.is_finite() && *m > 0.0).unwrap_or(largest.max(1e-300));
        svg.text((left + 0.5 * w, top - 26.0), &self.column_label, TextStyle::LABEL.sized(12.5));
        svg.vertical_text((16.0, top + 0.5 * h), &self.row_label, TextStyle::LABEL.sized(12.5));
        // Names only where they fit.
        let every = (13.0 / size).ceil().max(1.0) as usize;
        for (i, name) in self.rows.iter().enumerate().step_by(every) {
            let at = (left - 7.0, top + (i as f64 + 0.5) * size + 4.0);
            svg.text(at, name, TextStyle::TICK.anchored(Anchor::End));
        }
        for (j, name) in self.columns.iter().enumerate().step_by(every) {
            let at = (left + (j as f64 + 0.5) * size, top - 7.0);
            svg.text(at, name, TextStyle::TICK);
        }
        let numbered = n.max(m) <= MAX_NUMBERED && size >= 26.0;
        let gap = if size > 12.0 { 1.0 } else { 0.0 };
        for i in 0..n {
            for j in 0..m {
                let v = self.values[i * m + j];
                let (x, y) = (left + j as f64 * size, top + i as f64 * size);
                let centre = (x + 0.5 * size, y + 0.5 * size + 4.0);
                if !v.is_finite() {
                    let quiet = "fill=\"currentColor\" fill-opacity=\"0.05\"";
                    svg.rect(x, y, size - gap, size - gap, quiet);
                    if numbered {
                        svg.text(centre, "–", TextStyle::TICK);
                    }
                    continue;
                }
                // Square root: small probabilities stay visible.
                let (colour, ink) = blues((v / max).max(0.0).sqrt());
                let round = if gap > 0.0 { "rx=\"2\" " } else { "" };
                svg.rect(x, y, size - gap, size - gap, &format!("{round}fill=\"{colour}\""));
                if numbered {
                    let style = TextStyle { opacity: 1.0, ..TextStyle::TICK }
                        .sized(if size > 38.0 { 11.5 } else { 10.0 });
                    svg.text_with(centre, &cell_text(v, max), style, &format!("fill=\"{ink}\""));
                }
            }
        }
        svg.finish()
    }
}

/// Two decimals without the leading zero for probabilities, three digits otherwise.
fn cell_text(v: f64, max: f64) -> String {
    if max <= 1.0 {
        match v {
            0.0 => "0".into(),
            v if v.abs() < 0.005 => {
                if v > 0.0 {
                    "<.01".into()
                } else {
                    format!("{v:.2}")
                }
            }
            v => format!("{v:.2}").replacen("0.", ".", 1),
        }
    } else if max < 100.0 {
        format!("{v:.1}")
    } else {
        format!("{v:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(values: Vec<f64>) -> MatrixHeatMap {
        let names = vec!["A".to_string(), "B".to_string()];
        MatrixHeatMap { rows: names.clone(), columns: names, values, ..MatrixHeatMap::default() }
    }

    #[test]
    fn cells_carry_numbers_and_gaps_a_dash() {
        let svg = matrix(vec![0.875, 0.125, f64::NAN, 0.001]).svg();
        for text in [">.88<", ">.12<", ">–<", ">&lt;.01<"] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
    }

    #[test]
    fn a_wrong_shape_is_said_in_the_picture() {
        assert!(matrix(vec![1.0]).svg().contains("4 values expected, 1 given"));
        assert!(MatrixHeatMap::default().svg().contains("no states"));
        assert!(matrix(vec![f64::NAN; 4]).svg().contains("<rect"));
    }
}
