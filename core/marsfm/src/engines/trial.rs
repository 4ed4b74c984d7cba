//! Seeds put to the test: placed, prepared, run through their heads, read back, and assigned to the
//! states of a Markov model; and the frames of the MD that stand beside them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use marsfm_features::Featurizer;
use marsfm_geometry::Topology;
use marsfm_host::Host;
use marsfm_preparation::{Engine, Gate};
use marsfm_sampling::{Node, idealise};
use marsfm_trajectory::Frame;
use serde::Serialize;

use super::place::{self, read_seeds};
use super::runner::{Lengths, Runner};
use super::{SeedRecord, Summary};
use crate::markov::SystemMsm;
use crate::score::Reference;
use crate::systems::System;

/// Where a structure is: macrostate, and place on the first two TICA coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Place {
    /// Macrostate; `None` if it belongs to none.
    pub state: Option<usize>,
    /// TICA coordinates 1 and 2 (0 if the model kept fewer).
    pub tica: (f64, f64),
}

/// One seed, or one frame of the MD treated as a seed.
#[derive(Clone, Debug, Serialize)]
pub struct DemoSeed {
    /// Its preparation.
    pub record: SeedRecord,
    /// Where its parent is (for a frame of the MD: where it is itself).
    pub parent: Place,
    /// Where it is as sampled.
    pub sampled: Place,
    /// How far the sample's chain was moved to close it before the engine saw it, nm.
    pub idealised_nm: f64,
    /// After minimisation.
    pub minimised: Option<Place>,
    /// After preparation, which ends with the strong-friction start: the label that counts. Read
    /// one step after it.
    pub prepared: Option<Place>,
    /// At the end of the head.
    pub head: Option<Place>,
    /// At the end of the run.
    pub end: Option<Place>,
    /// Potential energy at the end of the head, from the stored frame, kJ/mol.
    pub head_kj_mol: Option<f64>,
    /// Why it did not run to its end.
    pub lost: Option<String>,
}

impl DemoSeed {
    /// Still in the state of its preparation at the end of the head; `None` if it did not run, or
    /// never was in a state.
    pub fn survived(&self) -> Option<bool> {
        self.kept(self.prepared)
    }

    /// The same from the label after minimisation: losses of the strong-friction start count, too.
    pub fn survived_from_minimised(&self) -> Option<bool> {
        self.kept(self.minimised)
    }

    fn kept(&self, from: Option<Place>) -> Option<bool> {
        let state = from?.state?;
        Some(self.head?.state == Some(state))
    }

    /// In a state at this stage, and not in its parent's.
    pub fn is_elsewhere(&self, at: Option<Place>) -> bool {
        at.is_some_and(|p| p.state.is_some() && p.state != self.parent.state)
    }
}

/// The states of a Markov model for structures in its own order and in the engine's.
pub(super) struct Labels<'a> {
    pub(super) system: &'a System,
    pub(super) model: &'a SystemMsm,
    pub(super) back: place::Map<'a>,
}

impl Labels<'_> {
    /// A draw from a start, its chain closed if asked for.
    pub(super) fn candidate(
        &self,
        start_nm: &[[f32; 3]],
        parent: Place,
        node: &Node,
        close: bool,
    ) -> Result<Candidate> {
        let peptide = &self.system.peptide;
        let sampled = self.own(&peptide.place(start_nm, &node.conformation)?)?;
        let (shape, verdict) = match close {
            true => idealise(peptide.types(), &node.conformation, &node.verdict),
            false => (node.conformation.clone(), node.verdict.clone()),
        };
        let positions_nm = peptide.place(start_nm, &shape)?;
        let frame = Frame { positions_nm, cell_nm: None, time_ps: None };
        let idealised_nm = f64::from(verdict.idealised_angstrom) / 10.0;
        Ok(Candidate { frame, parent, sampled, idealised_nm })
    }

    pub(super) fn own(&self, positions_nm: &[[f32; 3]]) -> Result<Place> {
        let mut row = vec![0.0; self.model.features.n_features()];
        self.model.features.compute(positions_nm, None, &mut row)?;
        let reference = Reference { system: self.system, model: self.model, kelvin: 300.0 };
        let numbers = reference.in_numbers(&row)?;
        let at = |k: usize| numbers.tica.get(k).map_or(0.0, |c| c[0]);
        let state =
            numbers.macrostates.first().copied().filter(|s| *s < self.model.msm.n_macrostates());
        Ok(Place { state, tica: (at(0), at(1)) })
    }

    pub(super) fn engine(&self, frame: &Frame) -> Result<Place> {
        let placed = self.back.place(frame)?;
        let positions: Vec<[f32; 3]> =
            placed.positions_nm.iter().map(|p| p.map(|x| x as f32)).collect();
        self.own(&positions)
    }
}

pub(super) fn double(positions_nm: &[[f32; 3]]) -> Vec<[f64; 3]> {
    positions_nm.iter().map(|p| p.map(f64::from)).collect()
}

pub(super) fn single(positions_nm: &[[f64; 3]]) -> Frame {
    let positions_nm = positions_nm.iter().map(|p| p.map(|x| x as f32)).collect();
    Frame { positions_nm, cell_nm: None, time_ps: None }
}

/// A seed before it is prepared.
pub(super) struct Candidate {
    pub(super) frame: Frame,
    pub(super) parent: Place,
    pub(super) sampled: Place,
    /// How far [`marsfm_sampling::idealise`] moved it, nm; 0 as drawn.
    pub(super) idealised_nm: f64,
}

/// Every frame of the MD.
pub(super) fn frames(system: &System) -> Vec<Frame> {
    let all = system.data.trajectories().iter().flat_map(|t| {
        (0..t.n_frames()).map(|f| Frame {
            positions_nm: t.positions_nm(f).to_vec(),
            cell_nm: t.cell_nm(f),
            time_ps: None,
        })
    });
    all.collect()
}

/// `n` indices spread over `0..len`.
pub(super) fn evenly(len: usize, n: usize) -> impl Iterator<Item = usize> {
    (0..n.min(len)).map(move |k| (2 * k + 1) * len / (2 * n.min(len)))
}

/// For each seed that is elsewhere than its parent, a frame of the MD of the state that the seed
/// has after preparation.
pub(super) fn same_states(
    labels: &Labels,
    md: &[Frame],
    jumped: &[DemoSeed],
    rng_seed: u64,
) -> Result<Vec<Candidate>> {
    let wanted: Vec<usize> = jumped
        .iter()
        .filter(|s| s.head.is_some())
        .filter_map(|s| s.prepared?.state.filter(|x| Some(*x) != s.parent.state))
        .collect();
    let mut found = Vec::new();
    // Frames in a fixed pseudo-random order: a step that has no divisor with their number.
    let step = (md.len() as f64 * 0.618) as usize | 1;
    let step = (step..).find(|s| gcd(*s, md.len()) == 1).unwrap_or(1);
    let mut at = rng_seed as usize % md.len();
    for state in wanted {
        for _ in 0..md.len() {
            at = (at + step) % md.len();
            let here = labels.own(&md[at].positions_nm)?;
            if here.state == Some(state) {
                let frame = md[at].clone();
                found.push(Candidate { frame, parent: here, sampled: here, idealised_nm: 0.0 });
                break;
            }
        }
    }
    Ok(found)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The value below which a share of the values lies.
pub(super) fn percentile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = (share * (values.len() as f64 - 1.0)).round().max(0.0) as usize;
    values.get(at).copied()
}

/// The engine with everything that seeds go through.
pub(super) struct Bench<'a, E> {
    pub(super) host: &'a Host,
    /// Folder to write into; `topology.pdb` is there.
    pub(super) out: &'a Path,
    pub(super) runner: &'a Runner,
    pub(super) labels: &'a Labels<'a>,
    pub(super) gate: Option<Gate>,
    pub(super) rng_seed: u64,
    pub(super) event: &'a mut E,
}

impl<E: FnMut(&str, usize, usize)> Bench<'_, E> {
    /// Prepares, runs and labels; also the seconds of running.
    pub(super) fn all(
        &mut self,
        name: &str,
        candidates: &[Candidate],
        lengths: Lengths,
    ) -> Result<(Summary, Vec<DemoSeed>, f64)> {
        let out = self.out.join(name);
        let frames: Vec<Frame> = candidates.iter().map(|c| c.frame.clone()).collect();
        let placed = self.runner.place(&self.labels.system.topology, &frames)?;
        let stage = format!("preparing {name}");
        let event = &mut *self.event;
        let prepared = self.runner.prepare(
            &out,
            &placed,
            self.gate.as_ref(),
            self.rng_seed,
            |done, of, _| {
                event(&stage, done, of);
                true
            },
        )?;
        let begun = std::time::Instant::now();
        let mut all = Vec::new();
        for ((candidate, record), minimised) in
            candidates.iter().zip(&prepared.summary.seeds).zip(&prepared.minimised)
        {
            (self.event)(&format!("running {name}"), record.seed, candidates.len());
            let mut seed = DemoSeed {
                record: record.clone(),
                parent: candidate.parent,
                sampled: candidate.sampled,
                idealised_nm: candidate.idealised_nm,
                minimised: None,
                prepared: None,
                head: None,
                end: None,
                head_kj_mol: None,
                lost: None,
            };
            if let Some(positions) = minimised {
                seed.minimised = Some(self.labels.engine(&single(positions))?);
            }
            if record.runs() {
                self.run(&out, record, lengths, &mut seed)?;
            }
            all.push(seed);
        }
        Ok((prepared.summary, all, begun.elapsed().as_secs_f64()))
    }

    fn run(
        &self,
        out: &Path,
        record: &SeedRecord,
        lengths: Lengths,
        seed: &mut DemoSeed,
    ) -> Result<()> {
        // Where the start is, through a run of one step: a start's file is the engine's own matter.
        let step_ps = self.runner.system().step_ps;
        let one = Lengths { head_ps: step_ps, ps: 0.0, frame_ps: step_ps };
        if self.runner.run(out, record, one, |_, _| true)?.is_ok() {
            let (_, frames) = self.read(out, record)?;
            seed.prepared = Some(self.labels.engine(frames.first().context("an empty run")?)?);
        }
        match self.runner.run(out, record, lengths, |_, _| true)? {
            Err(lost) => seed.lost = Some(lost),
            Ok(finished) => {
                let (_, frames) = self.read(out, record)?;
                ensure!(
                    frames.len() as u64 == finished.n_frames,
                    "{}: {} frames read back, {} announced",
                    finished.trajectory.display(),
                    frames.len(),
                    finished.n_frames
                );
                let head = (finished.head_frames as usize).max(1) - 1;
                seed.head = Some(self.labels.engine(&frames[head])?);
                seed.end = Some(self.labels.engine(&frames[frames.len() - 1])?);
                seed.head_kj_mol = Some(self.energy(&frames[head])?);
            }
        }
        Ok(())
    }

    /// The run's frames, through a reader.
    fn read(&self, out: &Path, record: &SeedRecord) -> Result<(Topology, Vec<Frame>)> {
        let trajectory = out.join(&record.folder).join("md.xtc");
        read_seeds(self.host, &self.out.join("topology.pdb"), &trajectory)
            .context("reading a run back")
    }

    fn energy(&self, frame: &Frame) -> Result<f64> {
        let cell = frame.cell_nm.map(|c| c.map(|row| row.map(f64::from)));
        let energy = self.runner.engine().energy(&double(&frame.positions_nm), cell)?;
        Ok(energy.potential_kj_mol)
    }

    /// Energies of all stored frames behind the heads of the runs in folder `name`.
    pub(super) fn energies(
        &self,
        name: &str,
        seeds: &[DemoSeed],
        lengths: Lengths,
    ) -> Result<Vec<f64>> {
        let skip = (lengths.head_ps / lengths.frame_ps).round() as usize;
        let mut all = Vec::new();
        for seed in seeds.iter().filter(|s| s.end.is_some()) {
            let (_, frames) = self.read(&self.out.join(name), &seed.record)?;
            for frame in frames.iter().skip(skip) {
                all.push(self.energy(frame)?);
            }
        }
        Ok(all)
    }
}

/// The gate of a system: some frames of its MD, evenly spread, minimised in `folder`.
pub(super) fn gate(
    runner: &Runner,
    system: &System,
    md: &[Frame],
    n: usize,
    folder: &Path,
) -> Result<Option<Gate>> {
    let spread: Vec<Frame> = evenly(md.len(), n).map(|k| md[k].clone()).collect();
    let before = runner.place(&system.topology, &spread)?;
    runner.gate(folder, &before, |_, _| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spread_and_percentiles_ordered() {
        assert_eq!(evenly(100, 4).collect::<Vec<_>>(), [12, 37, 62, 87]);
        assert_eq!(evenly(2, 5).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(evenly(0, 5).count(), 0);
        assert_eq!(percentile((0..101).map(f64::from).collect(), 0.99), Some(99.0));
        assert_eq!(percentile(vec![], 0.99), None);
        assert_eq!(gcd(12, 18), 6);
    }
}
