//! States as a network: circles sized by population, arrows by flux. Positions may be given (for
//! instance the states' means over two TICA coordinates); otherwise a spring layout places
//! strongly connected states together. Deterministic: no random numbers.

use crate::colour::{fill, stroke};
use crate::svg::{Svg, TextStyle, num};

/// One state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Label in the circle.
    pub name: String,
    /// Population, any normalisation.
    pub population: f64,
    /// Position in any units; used only if every state has a finite one.
    pub at: Option<(f64, f64)>,
}

/// A directed flow between two states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flux {
    /// Index of the state it leaves.
    pub from: usize,
    /// Index of the state it enters.
    pub to: usize,
    /// Its size, any normalisation.
    pub flux: f64,
}

/// States and the flows between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateNetwork {
    /// Title above; may be empty.
    pub title: String,
    /// The states.
    pub states: Vec<State>,
    /// The flows; the 3 strongest per state on average are drawn
    /// and those that keep the picture connected, never those from a state to itself.
    pub fluxes: Vec<Flux>,
}

const WIDTH: f64 = 540.0;
const HEIGHT: f64 = 440.0;
/// Least distance between circles, room for an arrow.
const GAP: f64 = 52.0;

impl StateNetwork {
    /// The picture, 540 pixels wide.
    pub fn svg(&self) -> String {
        let top = if self.title.is_empty() { 0.0 } else { 28.0 };
        let label = format!("{}: network of {} states", self.title, self.states.len());
        let mut svg = Svg::new(WIDTH, HEIGHT + top, &label);
        let style = TextStyle::TITLE.anchored(crate::svg::Anchor::Start);
        svg.text((16.0, 20.0), &self.title, style);
        let largest = self.states.iter().map(|s| s.population).filter(|p| p.is_finite());
        let largest = largest.fold(0.0, f64::max);
        if self.states.is_empty() || largest <= 0.0 {
            svg.nothing(16.0, top + 10.0, WIDTH - 32.0, HEIGHT - 20.0, "no populated states");
            return svg.finish();
        }
        let radii: Vec<f64> = self
            .states
            .iter()
            .map(|s| 11.0 + 29.0 * (finite(s.population) / largest).sqrt())
            .collect();
        let n = self.states.len();
        let mut fluxes: Vec<Flux> = self
            .fluxes
            .iter()
            .copied()
            .filter(|f| f.from < n && f.to < n && f.from != f.to && finite(f.flux) > 0.0)
            .collect();
        let strongest = fluxes.iter().map(|f| f.flux).fold(0.0, f64::max);
        fluxes.sort_by(|a, b| a.flux.total_cmp(&b.flux));
        let at = self.layout(&radii, &fluxes, top);
        let drawn = drawn(n, &fluxes);
        for f in drawn.iter().rev() {
            arrow(
                &mut svg,
                (at[f.from], radii[f.from]),
                (at[f.to], radii[f.to]),
                f.flux / strongest,
            );
        }
        let total: f64 = self.states.iter().map(|s| finite(s.population)).sum();
        for ((s, p), r) in self.states.iter().zip(&at).zip(&radii) {
            let page = "class=\"page\" fill=\"#ffffff\"";
            svg.circle(*p, *r, page);
            let ring = format!("{} fill-opacity=\"0.22\"", fill(0));
            svg.circle(*p, *r, &ring);
            svg.circle(*p, *r, &format!("{} fill=\"none\" stroke-width=\"1.8\"", stroke(0)));
            let name = TextStyle { bold: true, opacity: 1.0, ..TextStyle::TICK };
            let percent = format!("{:.0} %", 100.0 * finite(s.population) / total);
            if *r > 21.0 {
                svg.text((p.0, p.1 - 1.0), &s.name, name.sized(13.0));
                svg.text((p.0, p.1 + 12.5), &percent, TextStyle::TICK.sized(10.5));
            } else {
                svg.text((p.0, p.1 + 4.0), &s.name, name);
            }
        }
        svg.finish()
    }

    /// Pixel positions: given or by springs, fitted to the page, circles pushed apart.
    fn layout(&self, radii: &[f64], fluxes: &[Flux], top: f64) -> Vec<(f64, f64)> {
        let n = self.states.len();
        let given: Option<Vec<(f64, f64)>> = self
            .states
            .iter()
            .map(|s| s.at.filter(|p| p.0.is_finite() && p.1.is_finite()))
            .map(|p| p.map(|(x, y)| (x, -y)))
            .collect();
        let raw = given.unwrap_or_else(|| springs(n, fluxes));
        let margin = 52.0;
        let (min_x, max_x) = extent(raw.iter().map(|p| p.0));
        let (min_y, max_y) = extent(raw.iter().map(|p| p.1));
        let fit = |v: f64, lo: f64, hi: f64, from: f64, to: f64| {
            if hi - lo > 1e-12 {
                from + (v - lo) / (hi - lo) * (to - from)
            } else {
                0.5 * (from + to)
            }
        };
        let mut at: Vec<(f64, f64)> = raw
            .iter()
            .map(|p| {
                (
                    fit(p.0, min_x, max_x, margin, WIDTH - margin),
                    fit(p.1, min_y, max_y, top + margin, top + HEIGHT - margin),
                )
            })
            .collect();
        for _ in 0..200 {
            for i in 0..n {
                for j in 0..i {
                    let (dx, dy) = (at[i].0 - at[j].0, at[i].1 - at[j].1);
                    let d = dx.hypot(dy);
                    let short = radii[i] + radii[j] + GAP - d;
                    if short > 0.0 {
                        // Coinciding states part along a direction of their own.
                        let angle = (i * n + j) as f64;
                        let (ux, uy) =
                            if d > 1e-9 { (dx / d, dy / d) } else { (angle.cos(), angle.sin()) };
                        at[i] = (at[i].0 + 0.5 * short * ux, at[i].1 + 0.5 * short * uy);
                        at[j] = (at[j].0 - 0.5 * short * ux, at[j].1 - 0.5 * short * uy);
                    }
                }
            }
            for (p, r) in at.iter_mut().zip(radii) {
                p.0 = p.0.clamp(r + 6.0, WIDTH - r - 6.0);
                p.1 = p.1.clamp(top + r + 6.0, top + HEIGHT - r - 6.0);
            }
        }
        at
    }
}

/// The arrows worth drawing, strongest first: the 3 strongest per state on average, and a tree of
/// the strongest links that keeps the picture as connected as the network is.
fn drawn(n: usize, fluxes_rising: &[Flux]) -> Vec<Flux> {
    let strongest = fluxes_rising.last().map_or(0.0, |f| f.flux);
    let mut part: Vec<usize> = (0..n).collect();
    let mut links = Vec::new();
    let mut out = Vec::new();
    for (rank, f) in fluxes_rising.iter().rev().enumerate() {
        let link = (f.from.min(f.to), f.from.max(f.to));
        let (a, b) = (part[f.from], part[f.to]);
        if a != b {
            part.iter_mut().filter(|p| **p == a).for_each(|p| *p = b);
            links.push(link);
        }
        if (rank < 3 * n && f.flux >= 0.003 * strongest) || links.contains(&link) {
            out.push(*f);
        }
    }
    out
}

/// Fruchterman–Reingold in the unit square from a circle; springs weighted by flux.
fn springs(n: usize, fluxes: &[Flux]) -> Vec<(f64, f64)> {
    let mut at: Vec<(f64, f64)> = (0..n)
        .map(|i| (2.0 * std::f64::consts::PI * i as f64 / n as f64).sin_cos())
        .map(|(s, c)| (c, s))
        .collect();
    let ideal = 1.6 / (n as f64).sqrt();
    let strongest = fluxes.iter().map(|f| f.flux).fold(f64::MIN_POSITIVE, f64::max);
    for round in 0..300 {
        let mut push = vec![(0.0, 0.0); n];
        for i in 0..n {
            for j in 0..n {
                if i != j {
                    let (dx, dy) = (at[i].0 - at[j].0, at[i].1 - at[j].1);
                    let d2 = (dx * dx + dy * dy).max(1e-6);
                    push[i].0 += ideal * ideal * dx / d2;
                    push[i].1 += ideal * ideal * dy / d2;
                }
            }
            // A weak pull to the middle keeps disconnected states on the page.
            push[i].0 -= 0.4 * at[i].0;
            push[i].1 -= 0.4 * at[i].1;
        }
        for f in fluxes {
            let (dx, dy) = (at[f.from].0 - at[f.to].0, at[f.from].1 - at[f.to].1);
            let pull = dx.hypot(dy) / ideal * (0.15 + 0.85 * (f.flux / strongest).sqrt());
            for (i, sign) in [(f.from, -1.0), (f.to, 1.0)] {
                push[i].0 += sign * pull * dx * 0.5;
                push[i].1 += sign * pull * dy * 0.5;
            }
        }
        let most = 0.12 * (1.0 - f64::from(round) / 300.0);
        for (p, (x, y)) in at.iter_mut().zip(push) {
            let size = x.hypot(y).max(1e-12);
            p.0 += x / size * size.min(most);
            p.1 += y / size * size.min(most);
        }
    }
    at
}

/// A curved arrow from circle to circle; its opposite curves the other way.
fn arrow(svg: &mut Svg, from: ((f64, f64), f64), to: ((f64, f64), f64), strength: f64) {
    let ((a, ra), (b, rb)) = (from, to);
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let d = dx.hypot(dy).max(1e-9);
    let (ux, uy) = (dx / d, dy / d);
    let width = 0.9 + 4.6 * strength.sqrt();
    let free = (d - ra - rb).max(12.0);
    let head = (5.0 + 1.5 * width).min(0.5 * free);
    let bend = (0.10 * d).min(26.0) + 0.5 * width;
    let control = (0.5 * (a.0 + b.0) - uy * bend, 0.5 * (a.1 + b.1) + ux * bend);
    // Leave and enter along the direction to the control point.
    let toward = |p: (f64, f64), q: (f64, f64), by: f64| {
        let l = (q.0 - p.0).hypot(q.1 - p.1).max(1e-9);
        (p.0 + (q.0 - p.0) / l * by, p.1 + (q.1 - p.1) / l * by)
    };
    let start = toward(a, control, ra + 1.0);
    let tip = toward(b, control, rb + 2.0);
    let neck = toward(b, control, rb + 2.0 + head);
    let ink = "currentColor";
    let opacity = num(0.28 + 0.34 * strength.sqrt());
    svg.path(
        &format!(
            "M{} {}Q{} {} {} {}",
            num(start.0),
            num(start.1),
            num(control.0),
            num(control.1),
            num(neck.0),
            num(neck.1)
        ),
        &format!(
            "fill=\"none\" stroke=\"{ink}\" stroke-opacity=\"{opacity}\" stroke-width=\"{}\"",
            num(width)
        ),
    );
    let (hx, hy) = ((tip.0 - neck.0) / head, (tip.1 - neck.1) / head);
    let half = 0.5 * width + 2.6;
    svg.path(
        &format!(
            "M{} {}L{} {}L{} {}Z",
            num(tip.0),
            num(tip.1),
            num(neck.0 - hy * half),
            num(neck.1 + hx * half),
            num(neck.0 + hy * half),
            num(neck.1 - hx * half)
        ),
        &format!("fill=\"{ink}\" fill-opacity=\"{opacity}\" stroke=\"none\""),
    );
}

fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
}

fn finite(v: f64) -> f64 {
    if v.is_finite() { v.max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(population: f64, at: Option<(f64, f64)>) -> State {
        State { name: "s".into(), population, at }
    }

    #[test]
    fn circles_do_not_overlap_even_if_states_coincide() {
        let network = StateNetwork {
            states: (0..10).map(|i| state(1.0 + f64::from(i), Some((0.0, 0.0)))).collect(),
            ..StateNetwork::default()
        };
        let radii = vec![40.0; 10];
        let at = network.layout(&radii, &[], 0.0);
        for i in 0..10 {
            for j in 0..i {
                let d = (at[i].0 - at[j].0).hypot(at[i].1 - at[j].1);
                assert!(d > 78.0, "{i} {j}: {d}");
            }
        }
    }

    #[test]
    fn odd_fluxes_are_left_out() {
        let flux = |from, to, flux| Flux { from, to, flux };
        let network = StateNetwork {
            states: vec![state(1.0, None), state(f64::NAN, None), state(0.5, None)],
            fluxes: vec![
                flux(0, 2, 1.0),
                flux(0, 0, 5.0),
                flux(0, 9, 1.0),
                flux(1, 2, f64::NAN),
                flux(2, 1, 1e-6),
            ],
            ..StateNetwork::default()
        };
        assert_eq!(network.svg().matches('Q').count(), 2, "0 to 2, and the only one of state 1");
        assert!(StateNetwork::default().svg().contains("no populated states"));
    }
}
