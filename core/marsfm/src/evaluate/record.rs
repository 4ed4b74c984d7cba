//! Where the frames of a sampled ensemble came from: which root (trees are resampled whole) and
//! which jump (transitions, for kinetics).

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use marsfm_sampling::{Node, Reason};
use serde::Deserialize;

/// What a record tells of one draw.
#[derive(Clone, Debug, Deserialize)]
struct Draw {
    parent: Option<usize>,
    #[serde(default)]
    frame: Option<usize>,
    id: u64,
    verdict: Fate,
}

/// The part of a verdict that matters here.
#[derive(Clone, Debug, Default, Deserialize)]
struct Fate {
    rejected: Vec<Reason>,
}

#[derive(Deserialize)]
struct RecordFile {
    #[serde(default)]
    lag_ps: Option<f64>,
    #[serde(default)]
    mdgen_sha256: Option<String>,
    draws: Vec<Draw>,
}

/// How long one step of the draws is and how long transitions should be, ps.
#[derive(Clone, Copy)]
struct Step {
    lag_ps: Option<f64>,
    wanted_ps: f64,
}

impl Step {
    /// Steps in a transition: 1 where the wanted time is no multiple of a step.
    fn steps(&self) -> usize {
        let Some(lag_ps) = self.lag_ps.filter(|l| *l > 0.0) else { return 1 };
        let steps = (self.wanted_ps / lag_ps).round();
        let fits = steps >= 1.0 && (steps * lag_ps - self.wanted_ps).abs() < 1e-6 * self.wanted_ps;
        if fits { steps as usize } else { 1 }
    }
}

/// The descent of the frames of an ensemble.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Descent {
    /// Root of each frame: any number that frames of one tree share.
    pub root: Vec<usize>,
    /// Transitions between frames, (from, to).
    pub hops: Vec<(usize, usize)>,
    /// Time that a transition takes, ps.
    pub lag_ps: Option<f64>,
}

impl Descent {
    /// From the record that `marsfm sample` writes beside its ensemble. Where `wanted_ps` is a
    /// multiple of what one step takes, transitions are that long.
    pub fn read(path: &Path, wanted_ps: f64) -> Result<Self> {
        let at = || format!("{}: no record of `marsfm sample`", path.display());
        let text =
            std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let record: RecordFile = serde_json::from_slice(&text).with_context(at)?;
        let step = Step { lag_ps: record.lag_ps, wanted_ps };
        Self::of(&record.draws, record.mdgen_sha256.is_some(), step).with_context(at)
    }

    /// Of draws in memory; `windows_only`: the ensemble is the frames that followed the tree's
    /// nodes (the hybrid). A step takes `lag_ps`; see [`Descent::read`] for `wanted_ps`.
    pub fn of_nodes(
        nodes: &[Node],
        windows_only: bool,
        lag_ps: f64,
        wanted_ps: f64,
    ) -> Result<Self> {
        let draw = |n: &Node| Draw {
            parent: n.parent,
            frame: n.frame,
            id: n.id,
            verdict: Fate { rejected: n.verdict.rejected.clone() },
        };
        let draws: Vec<Draw> = nodes.iter().map(draw).collect();
        Self::of(&draws, windows_only, Step { lag_ps: Some(lag_ps), wanted_ps })
    }

    fn of(draws: &[Draw], windows_only: bool, step: Step) -> Result<Self> {
        let mut roots: Vec<usize> = Vec::with_capacity(draws.len());
        // Frames of an autoregressive rollout descend from each other and frames of one window
        // belong together; windows are known by their stream of noise.
        let mut windows: HashMap<u64, usize> = HashMap::new();
        for (i, draw) in draws.iter().enumerate() {
            let root = match draw.parent {
                Some(parent) => *roots.get(parent).filter(|_| parent < i).with_context(|| {
                    format!("draw {i} names draw {parent} as its parent, which comes later or not")
                })?,
                None if draw.frame.is_some() => *windows.entry(draw.id).or_insert(i),
                None => i,
            };
            roots.push(root);
        }
        let counts =
            |d: &Draw| d.verdict.rejected.is_empty() && (!windows_only || d.frame.is_some());
        // What a draw came from, and the steps between. Frame 0 of a window repeats its condition.
        let before = |i: usize| match draws[i].frame {
            None => draws[i].parent.map(|p| (p, 1)),
            Some(0) => draws[i].parent.filter(|_| !windows_only).map(|p| (p, 0)),
            Some(k) => i
                .checked_sub(1)
                .filter(|&b| draws[b].id == draws[i].id && draws[b].frame == Some(k - 1))
                .map(|b| (b, 1)),
        };
        let ancestor = |mut i: usize, mut steps: usize| {
            while steps > 0 {
                let (b, taken) = before(i)?;
                (i, steps) = (b, steps - taken);
            }
            Some(i)
        };
        let steps = step.steps();
        let mut frame_of = vec![None; draws.len()];
        let lag_ps = step.lag_ps.map(|lag| lag * steps as f64);
        let mut out = Self { lag_ps, ..Self::default() };
        for (i, draw) in draws.iter().enumerate().filter(|(_, d)| counts(d)) {
            frame_of[i] = Some(out.root.len());
            out.root.push(roots[i]);
            // A repeated frame would count what led to its condition twice.
            let from = ancestor(i, steps).filter(|_| draw.frame != Some(0));
            if let Some(from) = from.and_then(|b| frame_of[b]) {
                out.hops.push((from, out.root.len() - 1));
            }
        }
        ensure!(!out.root.is_empty(), "it holds no accepted draw");
        Ok(out)
    }

    /// An order of the frames in which every tree is together, and the trees in it as ranges; hops
    /// are renumbered. `kept`: the frames that are there (places in the file).
    pub fn by_root(&self, kept: &[usize]) -> Result<Grouped> {
        if let Some(beyond) = kept.iter().find(|k| **k >= self.root.len()) {
            let n = self.root.len();
            anyhow::bail!("the record knows {n} accepted draws, the ensemble has a frame {beyond}");
        }
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_by_key(|i| self.root[kept[*i]]);
        let mut place = vec![None; self.root.len()];
        order.iter().enumerate().for_each(|(new, old)| place[kept[*old]] = Some(new));
        let mut trees: Vec<std::ops::Range<usize>> = Vec::new();
        for (new, old) in order.iter().enumerate() {
            let same = new > 0 && self.root[kept[*old]] == self.root[kept[order[new - 1]]];
            match trees.last_mut().filter(|_| same) {
                Some(tree) => tree.end = new + 1,
                None => trees.push(new..new + 1),
            }
        }
        let hops = self.hops.iter().filter_map(|(a, b)| Some((place[*a]?, place[*b]?))).collect();
        Ok(Grouped { order, trees, hops })
    }
}

/// Frames tree by tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grouped {
    /// Present place of each frame of the new order.
    pub order: Vec<usize>,
    /// The trees, in the new order.
    pub trees: Vec<std::ops::Range<usize>>,
    /// Transitions, in the new order.
    pub hops: Vec<(usize, usize)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(parent: Option<usize>, frame: Option<usize>, id: u64) -> Draw {
        Draw { parent, frame, id, verdict: Fate::default() }
    }

    /// Transitions of one step.
    const ONE: Step = Step { lag_ps: None, wanted_ps: 10.0 };

    #[test]
    fn two_chains_and_a_rejected_draw() {
        let mut draws = vec![draw(None, None, 0), draw(None, None, 1), draw(Some(0), None, 2)];
        draws.extend([draw(Some(1), None, 3), draw(Some(2), None, 4)]);
        draws[3].verdict.rejected.push(Reason::Clash);
        let d = Descent::of(&draws, false, Step { lag_ps: Some(10.0), wanted_ps: 15.0 }).unwrap();
        assert_eq!(d.root, [0, 1, 0, 0]);
        assert_eq!(d.hops, [(0, 2), (2, 3)]);
        let g = d.by_root(&[0, 1, 2, 3]).unwrap();
        assert_eq!(
            (g.order, g.trees, g.hops),
            (vec![0, 2, 3, 1], vec![0..3, 3..4], vec![(0, 1), (1, 2)])
        );
        // Frame 2 of the file could not be read.
        let g = d.by_root(&[0, 1, 3]).unwrap();
        assert_eq!((g.order, g.hops), (vec![0, 2, 1], vec![]));
        assert!(d.by_root(&[9]).is_err());
    }

    #[test]
    fn windows_go_on_from_seeds_or_from_each_other() {
        // A hybrid: two seeds, two frames from each.
        let mut draws = vec![draw(None, None, 0), draw(None, None, 1)];
        draws.extend([draw(Some(0), Some(0), 7), draw(Some(0), Some(1), 7)]);
        draws.extend([draw(Some(1), Some(0), 8), draw(Some(1), Some(1), 8)]);
        let d = Descent::of(&draws, true, ONE).unwrap();
        assert_eq!((d.root, d.hops), (vec![0, 0, 1, 1], vec![(0, 1), (2, 3)]));
        // A rollout: the second window starts at the last frame of the first.
        let mut draws = vec![draw(None, Some(0), 0), draw(None, Some(1), 0)];
        draws.extend([draw(Some(1), Some(0), 1), draw(Some(1), Some(1), 1)]);
        let d = Descent::of(&draws, false, ONE).unwrap();
        assert_eq!((d.root, d.hops), (vec![0; 4], vec![(0, 1), (2, 3)]));
        // Parallel windows are trees of their own.
        let draws = vec![draw(None, Some(0), 0), draw(None, Some(1), 0), draw(None, Some(0), 1)];
        assert_eq!(Descent::of(&draws, false, ONE).unwrap().root, [0, 0, 2]);
        assert!(Descent::of(&[draw(Some(3), None, 0)], false, ONE).is_err());
    }

    #[test]
    fn transitions_of_several_steps_go_through_windows_and_rejected_draws() {
        // Three windows of three frames, each going on from the last of the one before.
        let mut draws: Vec<Draw> = (0..9)
            .map(|i: usize| draw((i == 3 || i == 6).then(|| i - 1), Some(i % 3), i as u64 / 3))
            .collect();
        let two = Step { lag_ps: Some(5.0), wanted_ps: 10.0 };
        let d = Descent::of(&draws, false, two).unwrap();
        assert_eq!(d.lag_ps, Some(10.0));
        // Frame 3 repeats frame 2, frame 6 frame 5: two steps before 4 is 1, before 5 is 3.
        assert_eq!(d.hops, [(0, 2), (1, 4), (3, 5), (4, 7), (6, 8)]);
        // In a hybrid nothing goes beyond a window.
        let d = Descent::of(&draws, true, two).unwrap();
        assert_eq!(d.hops, [(0, 2), (3, 5), (6, 8)]);
        draws[1].verdict.rejected.push(Reason::Clash);
        let d = Descent::of(&draws, false, two).unwrap();
        assert_eq!(d.hops, [(0, 1), (2, 4), (3, 6), (5, 7)]);
        // Windows that are too short have none; 12 ps are no multiple of 5.
        let long = Step { wanted_ps: 50.0, ..two };
        assert_eq!(Descent::of(&draws, false, long).unwrap().hops, []);
        assert_eq!(
            Descent::of(&draws, false, Step { wanted_ps: 12.0, ..two }).unwrap().lag_ps,
            Some(5.0)
        );
    }
}
