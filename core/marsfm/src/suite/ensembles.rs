//! The rows' ensembles: jumps, rollouts, hybrids, stored frames drawn from T, the residue library.
//! All start from the first frame of the first replica and have the same budget; rejected draws
//! count in it, accepted ones are scored.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use marsfm_geometry::Conformation;
use marsfm_host::Host;
use marsfm_sampling::{Node, ResidueLibrary, RolloutSpec, TreeSpec, grow, hybrid, judge, rollout};
use marsfm_trajectory::Frame;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::targets::Target;
use super::{Suite, SuiteRequest};
use crate::evaluate::record::Descent;
use crate::evaluate::{Detail, Molecule, Read, Reference, Sample};

/// Most frames of a trajectory that go into the residue library.
const LIBRARY_FRAMES: usize = 1000;

/// An ensemble and what it took.
pub struct Made {
    /// What is scored.
    pub sample: Sample,
    /// Draws, rejected ones counted.
    pub draws: usize,
    /// Accepted ones.
    pub accepted: usize,
    /// Wall time of drawing, s.
    pub seconds: f64,
    /// For MD.
    pub replica: Option<usize>,
}

impl Made {
    /// Frames that nothing was rejected of and that took no time here.
    pub fn frames(sample: Sample) -> Self {
        let n = sample.read.n_frames();
        Self { sample, draws: n, accepted: n, seconds: 0.0, replica: None }
    }

    /// A replica of MD as a competitor.
    pub fn md(sample: Sample, replica: usize) -> Self {
        Self { replica: Some(replica), ..Self::frames(sample) }
    }
}

/// Torsions seen in MD of other targets.
pub struct Libraries {
    /// By target that each is made of.
    parts: Vec<(String, ResidueLibrary)>,
    /// One for all, where no target is among them.
    whole: Option<ResidueLibrary>,
}

impl Libraries {
    /// The library for a target: of everything but itself. `None` if there is nothing.
    fn for_target(&self, name: &str) -> Option<&ResidueLibrary> {
        match &self.whole {
            Some(library) => Some(library),
            None => self.parts.iter().find(|(n, _)| n == name).map(|(_, l)| l),
        }
    }
}

/// Builds the null proposer from the training systems; in a suite of domains, for each from all the
/// others.
pub fn library(host: &Host, request: &SuiteRequest, notes: &mut Vec<String>) -> Result<Libraries> {
    let mut out = Libraries { parts: Vec::new(), whole: None };
    let among = |t: &Target| request.targets.iter().any(|x| x.name == t.name);
    let others: Vec<&Target> = request.library.iter().filter(|t| !among(t)).collect();
    if request.suite == Suite::Tetrapeptide {
        let mut whole = ResidueLibrary::new();
        let mut used = 0;
        for target in others {
            match add(host, target, &mut [&mut whole]) {
                Ok(()) => used += 1,
                Err(e) => notes.push(format!("residue library, {} left out: {e:#}", target.name)),
            }
        }
        out.whole = (used > 0).then_some(whole);
    } else if request.targets.len() > 1 {
        out.parts =
            request.targets.iter().map(|t| (t.name.clone(), ResidueLibrary::new())).collect();
        for target in &request.targets {
            let mut libraries: Vec<&mut ResidueLibrary> =
                out.parts.iter_mut().filter(|(n, _)| *n != target.name).map(|(_, l)| l).collect();
            if let Err(e) = add(host, target, &mut libraries) {
                notes.push(format!("residue library, {} left out: {e:#}", target.name));
            }
        }
    }
    Ok(out)
}

fn add(host: &Host, target: &Target, libraries: &mut [&mut ResidueLibrary]) -> Result<()> {
    let molecule = Molecule::read(host, &target.topology, Detail::All)?;
    for path in &target.reference {
        let mut source = host.open(path, Some(molecule.atoms_in_files))?;
        let n = source.n_frames().unwrap_or(LIBRARY_FRAMES);
        let (mut frame, stride) = (Frame::default(), n.div_ceil(LIBRARY_FRAMES).max(1));
        for index in (0..n).step_by(stride) {
            source.seek(index)?;
            if !source.read(&mut frame)? {
                break;
            }
            let encoded = encode(&molecule, &mut frame)
                .with_context(|| format!("{}, frame {index}", path.display()))?;
            libraries.iter_mut().for_each(|l| l.add(molecule.peptide.types(), &encoded));
        }
    }
    Ok(())
}

fn encode(molecule: &Molecule, frame: &mut Frame) -> Result<Conformation<f32>> {
    if let Some(cell) = frame.cell_nm.take() {
        molecule.peptide.make_whole(&mut frame.positions_nm, &cell)?;
    }
    Ok(molecule.peptide.encode(&frame.positions_nm)?)
}

/// The first frame of a trajectory as a conformation.
pub fn start(host: &Host, reference: &Reference, path: &Path) -> Result<Conformation<f32>> {
    stored(host, reference, path, 0)
}

/// One frame of a trajectory as a conformation.
pub fn stored(
    host: &Host,
    reference: &Reference,
    path: &Path,
    index: usize,
) -> Result<Conformation<f32>> {
    let mut source = host.open(path, Some(reference.molecule.atoms_in_files))?;
    let mut frame = Frame::default();
    source.seek(index)?;
    ensure!(source.read(&mut frame)?, "{}: there is no frame {index}", path.display());
    encode(&reference.molecule, &mut frame)
        .with_context(|| format!("{}, frame {index}", path.display()))
}

/// Everything that draws for one target.
pub struct Source<'a> {
    /// The run.
    pub request: &'a SuiteRequest<'a>,
    /// The target.
    pub target: &'a Target,
    /// Its MD.
    pub reference: &'a Reference,
    /// Where all start.
    pub start: Conformation<f32>,
}

impl Source<'_> {
    /// The rows that this run can make, by name; a row that fails says why.
    pub fn all(&self, libraries: &Libraries) -> Result<Vec<(String, Result<Made>)>> {
        let request = self.request;
        let mut out = vec![("stored frames from T".to_string(), self.stored())];
        if let Some(library) = libraries.for_target(&self.target.name) {
            out.push(("residue library".into(), self.library(library)));
        }
        let types = self.reference.molecule.peptide.types();
        let (seed, solver) = (request.rng_seed, request.solver);
        let starts = std::slice::from_ref(&self.start);
        if let Some((name, surrogate)) = &request.surrogate {
            let spec = TreeSpec::populations(request.budget, request.depth);
            let lag_ps = surrogate.card().domain.lag_ps;
            let made = self.timed(false, lag_ps, || {
                Ok(grow(surrogate, types, starts, &spec, seed, solver, |_, _| true)?)
            });
            out.push((name.clone(), made));
        }
        for (name, mdgen) in &request.mdgen {
            let k = mdgen.card().network.frames;
            let lag_ps = mdgen.card().domain.lag_ps;
            for parallel in [false, true] {
                let calls = request.budget.div_ceil(k);
                let spec = RolloutSpec { frames: None, calls, parallel };
                let made = self.timed(false, lag_ps, || {
                    let mut nodes =
                        rollout(mdgen, types, &self.start, &spec, seed, solver, |_, _| true)?;
                    nodes.truncate(request.budget);
                    Ok(nodes)
                });
                let how = if parallel { " parallel" } else { "" };
                out.push((format!("{name}-{k}{how}"), made));
            }
            if let Some((jumps, surrogate)) = &request.surrogate {
                let seeds = (request.budget / k).max(1);
                let spec = TreeSpec::populations(seeds, request.depth.min(seeds));
                let made = self.timed(true, lag_ps, || {
                    let nodes = hybrid(
                        surrogate,
                        mdgen,
                        types,
                        starts,
                        &spec,
                        None,
                        seed,
                        solver,
                        |_, _| true,
                    )?;
                    Ok(nodes)
                });
                out.push((format!("{jumps} => {name}-{k}"), made));
            }
        }
        Ok(out)
    }

    fn timed(
        &self,
        windows_only: bool,
        lag_ps: f64,
        draw: impl FnOnce() -> Result<Vec<Node>>,
    ) -> Result<Made> {
        let began = Instant::now();
        let nodes = draw()?;
        let seconds = began.elapsed().as_secs_f64();
        let counted = |n: &&Node| !windows_only || n.frame.is_some();
        let draws = nodes.iter().filter(counted).count();
        let accepted: Vec<&Conformation<f32>> = nodes
            .iter()
            .filter(counted)
            .filter(|n| n.verdict.accepted())
            .map(|n| &n.conformation)
            .collect();
        ensure!(!accepted.is_empty(), "none of {draws} draws was accepted");
        let wanted_ps = self.reference.settings.msm.pair_lag_ps;
        let descent = Descent::of_nodes(&nodes, windows_only, lag_ps, wanted_ps)?;
        let read = self.read(&accepted)?;
        let sample = Sample::trees(&read, &descent, self.reference.width())?;
        Ok(Made { sample, draws, accepted: accepted.len(), seconds, replica: None })
    }

    fn read(&self, conformations: &[&Conformation<f32>]) -> Result<Read> {
        let molecule = &self.reference.molecule;
        let place = |c: &&Conformation<f32>| {
            Ok(molecule.peptide.place(&molecule.reference.positions_nm, c)?)
        };
        let positions = conformations.par_iter().map(place).collect::<Result<Vec<_>>>()?;
        Read::frames(molecule, "draws", &positions)
    }

    fn library(&self, library: &ResidueLibrary) -> Result<Made> {
        let types = self.reference.molecule.peptide.types();
        let began = Instant::now();
        let draw = |id: u64| -> Result<Option<Conformation<f32>>> {
            let c = library.draw(types, self.request.rng_seed, id)?;
            let accepted = judge(types, &c).accepted();
            Ok(accepted.then_some(c))
        };
        let n = self.request.budget;
        let all = (0..n as u64).into_par_iter().map(draw).collect::<Result<Vec<_>>>()?;
        let seconds = began.elapsed().as_secs_f64();
        let accepted: Vec<&Conformation<f32>> = all.iter().flatten().collect();
        ensure!(!accepted.is_empty(), "none of {n} draws was accepted");
        let read = self.read(&accepted)?;
        let accepted = accepted.len();
        Ok(Made { sample: Sample::draws(read), draws: n, accepted, seconds, replica: None })
    }

    /// The method without a network: macrostates by T, a stored frame of each at random. What it
    /// scores worse than MD is the lumping's doing, what a surrogate scores worse than it the
    /// network's.
    fn stored(&self) -> Result<Made> {
        let (reference, request) = (self.reference, self.request);
        let msm = &reference.model.msm;
        let n_states = msm.n_macrostates();
        let mut members = vec![Vec::new(); n_states];
        for (frame, state) in reference.numbers.macrostates.iter().enumerate() {
            if let Some(list) = members.get_mut(*state) {
                list.push(frame);
            }
        }
        let first = reference.numbers.macrostates.first().copied().unwrap_or(0);
        ensure!(first < n_states, "the first frame is in no macrostate");
        let depth = request.depth.max(1);
        let (mut order, mut root, mut hops) = (Vec::new(), Vec::new(), Vec::new());
        for chain in 0..request.budget.div_ceil(depth) {
            let mut rng = ChaCha8Rng::seed_from_u64(request.rng_seed);
            rng.set_stream(chain as u64);
            let mut state = first;
            for step in 0..depth.min(request.budget - order.len()) {
                state = drawn(&mut rng, msm.macro_t.row(state));
                let list = &members[state];
                ensure!(!list.is_empty(), "macrostate {state} has no frame");
                if step > 0 {
                    hops.push((order.len() - 1, order.len()));
                }
                order.push(list[rng.random_range(0..list.len())]);
                root.push(chain);
            }
        }
        let width = reference.width();
        let mut read = reference.md.reordered(&order, width);
        read.files[0].0 = "stored frames".into();
        read.place = (0..order.len()).collect();
        let lag_ps = Some(reference.settings.msm.pair_lag_ps);
        let sample = Sample::trees(&read, &Descent { root, hops, lag_ps }, width)?;
        Ok(Made::frames(sample))
    }
}

/// A state drawn from a row of T.
fn drawn(rng: &mut ChaCha8Rng, row: &[f64]) -> usize {
    let mut left = rng.random::<f64>() * row.iter().sum::<f64>();
    for (state, p) in row.iter().enumerate() {
        left -= p;
        if left < 0.0 {
            return state;
        }
    }
    row.iter().rposition(|p| *p > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_drawn_as_often_as_t_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut counts = [0; 3];
        (0..30_000).for_each(|_| counts[drawn(&mut rng, &[0.2, 0.0, 0.8])] += 1);
        assert_eq!(counts[1], 0);
        assert!((counts[0] as f64 / 30_000.0 - 0.2).abs() < 0.01, "{counts:?}");
    }
}
