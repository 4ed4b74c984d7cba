//! Molecules as sticks, each from two sides: what is nearer is drawn over what is farther, thicker
//! and stronger.

use crate::colour::stroke;
use crate::svg::{Svg, TextStyle, num};

/// One conformation.
#[derive(Clone, Debug, PartialEq)]
pub struct StickPanel {
    /// Title, e.g. `macrostate 2, 31 %`.
    pub title: String,
    /// Positions: x to the right, y upwards, z towards the reader; any unit.
    pub positions: Vec<[f64; 3]>,
}

/// Conformations of one molecule, on one scale.
#[derive(Clone, Debug, PartialEq)]
pub struct StickModels {
    /// Chemical element of each atom by its letter.
    pub elements: Vec<char>,
    /// Pairs of atoms; those of atoms that are not there are left out.
    pub bonds: Vec<(usize, usize)>,
    /// The conformations.
    pub panels: Vec<StickPanel>,
}

const WIDTH: f64 = 960.0;
const COLUMNS: usize = 4;
const TITLE: f64 = 24.0;
const SIDE: f64 = WIDTH / (2 * COLUMNS) as f64;

impl StickModels {
    /// The picture, 960 pixels wide: four conformations in a row, each as it is and turned by a
    /// quarter about the vertical axis.
    pub fn svg(&self) -> String {
        let label = format!("{} conformations from two sides", self.panels.len());
        let panels: Vec<(&StickPanel, Vec<[f64; 3]>)> = self
            .panels
            .iter()
            .filter(|p| p.positions.len() == self.elements.len())
            .filter_map(|p| Some((p, centred(&p.positions)?)))
            .collect();
        let reach = panels
            .iter()
            .flat_map(|(_, p)| p.iter().flatten())
            .fold(0.0, |m: f64, x| m.max(x.abs()));
        if panels.is_empty() || reach <= 0.0 {
            let mut svg = Svg::new(WIDTH, 120.0, &label);
            svg.nothing(10.0, 10.0, WIDTH - 20.0, 100.0, "no conformations to draw");
            return svg.finish();
        }
        let rows = panels.len().div_ceil(COLUMNS);
        let up = panels.iter().flat_map(|(_, p)| p).fold(0.0, |m: f64, p| m.max(p[1].abs()));
        let height = SIDE * (up / reach).max(0.3);
        let mut svg = Svg::new(WIDTH, rows as f64 * (height + TITLE), &label);
        for (k, (panel, positions)) in panels.iter().enumerate() {
            let x = (k % COLUMNS) as f64 * 2.0 * SIDE;
            let y = (k / COLUMNS) as f64 * (height + TITLE) + TITLE;
            svg.text((x + SIDE, y - 8.0), &panel.title, TextStyle::TITLE.sized(12.5));
            let turned: Vec<[f64; 3]> = positions.iter().map(|p| [p[2], p[1], -p[0]]).collect();
            for (side, view) in [positions, &turned].into_iter().enumerate() {
                let centre = (x + (side as f64 + 0.5) * SIDE, y + 0.5 * height);
                self.view(&mut svg, centre, reach, view);
            }
        }
        svg.finish()
    }

    /// Every bond as two halves in the colours of their atoms, the farthest first.
    fn view(&self, svg: &mut Svg, centre: (f64, f64), reach: f64, positions: &[[f64; 3]]) {
        let middle =
            |a: [f64; 3], b: [f64; 3]| -> [f64; 3] { std::array::from_fn(|i| 0.5 * (a[i] + b[i])) };
        let mut halves = Vec::new();
        for &(a, b) in &self.bonds {
            let (Some(&p), Some(&q)) = (positions.get(a), positions.get(b)) else { continue };
            let m = middle(p, q);
            halves.push((p, m, self.elements[a]));
            halves.push((q, m, self.elements[b]));
        }
        halves.sort_by(|x, y| (x.0[2] + x.1[2]).total_cmp(&(y.0[2] + y.1[2])));
        let scale = 0.46 * SIDE / reach;
        let at = |p: [f64; 3]| (centre.0 + scale * p[0], centre.1 - scale * p[1]);
        for (from, to, element) in halves {
            // 0 for the farthest, 1 for the nearest.
            let near = 0.5 + 0.25 * (from[2] + to[2]) / reach;
            let thick = 2.0 + 3.0 * near;
            let halo =
                format!("style=\"stroke:var(--page,#fff)\" stroke-width=\"{}\"", num(thick + 2.0));
            svg.line(at(from), at(to), &halo);
            let ink = format!(
                "{} stroke-width=\"{}\" stroke-opacity=\"{}\" stroke-linecap=\"round\"",
                stroke(colour(element)),
                num(thick),
                num(0.55 + 0.45 * near)
            );
            svg.line(at(from), at(to), &ink);
        }
    }
}

/// Carbon grey, nitrogen blue, oxygen red, sulphur yellow, all else purple.
fn colour(element: char) -> usize {
    match element {
        'C' => 6,
        'N' => 0,
        'O' => 1,
        'S' => 4,
        _ => 3,
    }
}

/// About the middle of their extent; `None` without atoms or with a number that is not finite.
fn centred(positions: &[[f64; 3]]) -> Option<Vec<[f64; 3]>> {
    if positions.is_empty() || !positions.iter().flatten().all(|x| x.is_finite()) {
        return None;
    }
    let ends =
        |i: usize, f: fn(f64, f64) -> f64, from: f64| positions.iter().map(|p| p[i]).fold(from, f);
    let middle: [f64; 3] = std::array::from_fn(|i| {
        0.5 * (ends(i, f64::min, f64::INFINITY) + ends(i, f64::max, f64::NEG_INFINITY))
    });
    Some(positions.iter().map(|p| std::array::from_fn(|i| p[i] - middle[i])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(positions: Vec<[f64; 3]>) -> StickModels {
        StickModels {
            elements: vec!['N', 'C', 'O'],
            bonds: vec![(0, 1), (1, 2), (1, 9)],
            panels: vec![StickPanel { title: "state <1>".into(), positions }],
        }
    }

    #[test]
    fn each_bond_is_two_halves_in_both_views_and_the_nearest_comes_last() {
        let svg = models(vec![[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [2.0, 0.0, 1.0]]).svg();
        assert_eq!(svg.matches("stroke-linecap").count(), 8);
        assert!(svg.contains("state &lt;1&gt;"));
        let (n, o) = (svg.find("class=\"s0\""), svg.find("class=\"s1\""));
        assert!(n.is_some() && n < o, "in the first view nitrogen is behind oxygen");
    }

    #[test]
    fn nothing_to_draw_says_so() {
        for positions in [vec![], vec![[f64::NAN; 3]; 3], vec![[1.0; 3]; 3]] {
            assert!(models(positions).svg().contains("no conformations to draw"));
        }
    }
}
