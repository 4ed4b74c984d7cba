//! Colours that people with colour-vision deficiencies can tell apart: series after Okabe and
//! Ito, maps ordered by lightness.

/// Series colours on light paper; the page restates them for dark screens by class `s0` … `s6`.
pub(crate) const SERIES: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#b8589a", "#c98a00", "#3d9bd6", "#6b7280"];
/// The same on dark screens.
pub(crate) const SERIES_DARK: [&str; 7] =
    ["#4fb0ee", "#ff8a3c", "#2fcea2", "#e59acb", "#f0b93f", "#9ad4ff", "#a6adb8"];

/// `class="s1" stroke="#d55e00"` for series `i`.
pub(crate) fn stroke(i: usize) -> String {
    let i = i % SERIES.len();
    format!("class=\"s{i}\" stroke=\"{}\"", SERIES[i])
}

/// `class="f1" fill="#d55e00"` for series `i`.
pub(crate) fn fill(i: usize) -> String {
    let i = i % SERIES.len();
    format!("class=\"f{i}\" fill=\"{}\"", SERIES[i])
}

/// From deep blue (low) to pale yellow (high), after ColorBrewer's YlGnBu: lightness alone
/// orders it.
const DEPTHS: [[f64; 3]; 8] = [
    [15., 24., 80.],
    [35., 55., 145.],
    [33., 100., 172.],
    [34., 148., 192.],
    [73., 182., 190.],
    [130., 204., 182.],
    [196., 231., 184.],
    [244., 248., 208.],
];

/// Blues from nearly white to dark.
const BLUES: [[f64; 3]; 6] = [
    [243., 247., 251.],
    [208., 225., 242.],
    [148., 196., 223.],
    [74., 152., 201.],
    [23., 100., 171.],
    [8., 48., 107.],
];

/// The colour of a free energy at `t` in [0, 1].
pub(crate) fn depths(t: f64) -> String {
    hex(ramp(&DEPTHS, t))
}

/// A blue at `t` in [0, 1], and black or white, whichever reads better on it.
pub(crate) fn blues(t: f64) -> (String, &'static str) {
    let rgb = ramp(&BLUES, t);
    let [r, g, b] = rgb;
    let light = 0.299 * r + 0.587 * g + 0.114 * b;
    (hex(rgb), if light > 140.0 { "#10202e" } else { "#ffffff" })
}

fn ramp(stops: &[[f64; 3]], t: f64) -> [f64; 3] {
    let at = t.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let i = (at.floor() as usize).min(stops.len() - 2);
    let f = at - i as f64;
    let mut out = [0.0; 3];
    for k in 0..3 {
        out[k] = stops[i][k] + f * (stops[i + 1][k] - stops[i][k]);
    }
    out
}

fn hex([r, g, b]: [f64; 3]) -> String {
    format!("#{:02x}{:02x}{:02x}", r.round() as u8, g.round() as u8, b.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramps_end_at_their_ends() {
        assert_eq!(depths(-1.0), "#0f1850");
        assert_eq!(depths(2.0), "#f4f8d0");
        assert_eq!(blues(0.0).1, "#10202e");
        assert_eq!(blues(1.0).1, "#ffffff");
        assert_eq!(depths(f64::NAN).len(), 7);
    }
}
