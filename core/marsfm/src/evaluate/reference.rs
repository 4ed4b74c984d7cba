//! Reference MD with its Markov model, and the scoring of any sample against it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use marsfm_features::Featurizer;
use marsfm_host::Host;
use marsfm_metrics::Ensemble;
use marsfm_metrics::bootstrap::{Bootstrap, block_ranges};
use marsfm_metrics::decorrelation::effective_samples_of;
use marsfm_metrics::folding::{FoldingOptions, NativeContacts};
use marsfm_metrics::states::OutsideRule;
use marsfm_msm::{MsmBuilder, Rows};
use marsfm_trajectory::lag_in_frames;
use serde::Serialize;

use super::kinetics::{Hops, Kinetics, States};
use super::molecule::{Molecule, check_same_chain};
use super::protein::{self, FEWEST_RESIDUES, ProteinNumbers, Spread};
use super::read::Read;
use super::sample::{Kind, Sample, replica_blocks, segments_by};
use super::table::{Columns, table};
use super::{Better, Diversity, EvaluateSettings, Evaluation, Score, Side, memory};
use crate::markov::SystemMsm;

/// Rounds of the floor.
const FLOOR_ROUNDS: usize = 40;

/// MD in numbers, with its model.
pub struct Reference {
    /// Who the atoms are.
    pub molecule: Arc<Molecule>,
    /// The model, of all MD.
    pub model: Arc<SystemMsm>,
    /// The frames that samples are compared with.
    pub md: Read,
    /// The same in the model's numbers.
    pub numbers: Ensemble,
    /// Microstates of the frames.
    pub micro: Vec<usize>,
    /// Time between frames, ps.
    pub frame_ps: f64,
    /// With what constants.
    pub settings: EvaluateSettings,
    name: String,
    rule: OutsideRule,
    states: States,
    /// Cα of the structure that frames are superposed on, nm.
    structure: Vec<[f32; 3]>,
    native: Option<NativeContacts>,
    notes: Vec<String>,
}

/// The states of every frame, for analyses of one's own.
#[derive(Clone, Debug, Serialize)]
pub struct FrameStates {
    /// Time between MD frames, ps.
    pub frame_ps: f64,
    /// Macrostate of each microstate.
    pub macro_of_micro: Vec<Option<usize>>,
    /// The macrostates between which the reactive flux is.
    pub ends: (usize, usize),
    /// MD frames that follow each other without a gap.
    pub reference_segments: Vec<Range<usize>>,
    /// Microstate of every MD frame.
    pub reference_micro: Vec<usize>,
    /// Macrostate of every MD frame.
    pub reference_macro: Vec<usize>,
    /// The same of the sample.
    pub sample_segments: Vec<Range<usize>>,
    /// Microstate of every frame of the sample.
    pub sample_micro: Vec<usize>,
    /// Macrostate of every frame of the sample.
    pub sample_macro: Vec<usize>,
}

/// A scored sample.
pub struct Scored {
    /// The numbers.
    pub evaluation: Evaluation,
    /// The sample in the model's numbers.
    pub numbers: Ensemble,
    /// Its microstates.
    pub micro: Vec<usize>,
    /// Its frames that follow each other without a gap.
    pub segments: Vec<Range<usize>>,
}

impl Reference {
    /// Reads MD and builds its model. `native`: the structure that contacts and superposition refer
    /// to, instead of the molecule's own.
    pub fn new(
        host: &Host,
        name: &str,
        molecule: Molecule,
        native: Option<&Molecule>,
        files: &[PathBuf],
        settings: &EvaluateSettings,
    ) -> Result<Self> {
        let mut notes = Vec::new();
        let md = Read::files(host, &molecule, files, settings.frame_ps, true, &mut notes)?;
        let frame_ps = settings.frame_ps.or(md.frame_ps).with_context(|| {
            format!("{}: no trustworthy times; give --frame-ps", files[0].display())
        })?;
        if md.files.len() < 2 {
            notes.push(
                "one MD replica only: its stretches are resampled, and there is no MD noise".into(),
            );
        }
        let mut settings = settings.clone();
        if let Some(jump_ps) = settings.jump_ps {
            let longest = md.segments.iter().map(Range::len).max().unwrap_or(0);
            match lag_in_frames(jump_ps, frame_ps) {
                Ok(jump) if jump < longest => settings.msm.pair_lag_ps = jump_ps,
                _ => notes.push(format!(
                    "MD has no frames or no stretch for jumps of {jump_ps} ps: MD's kinetics and \
                     stored frames are at {} ps",
                    settings.msm.pair_lag_ps
                )),
            }
        }
        let width = molecule.torsions.n_features();
        let frames = |lag_ps: f64| lag_in_frames(lag_ps, frame_ps);
        let builder = MsmBuilder {
            tica_lag: frames(settings.msm.tica_lag_ps)?,
            msm_lag: frames(settings.msm.msm_lag_ps)?,
            pair_lag: frames(settings.msm.pair_lag_ps)?,
            n_microstates: settings.msm.microstates,
            n_macrostates: settings.msm.macrostates,
            rng_seed: settings.msm.rng_seed,
            ..MsmBuilder::new(1)
        };
        let rows_of = |s: &Range<usize>| Rows::new(&md.rows[s.start * width..s.end * width], width);
        let views = md.segments.iter().map(rows_of).collect::<Result<Vec<_>, _>>()?;
        let msm = builder.build(&views).context("Markov model of the reference")?;
        notes.extend(msm.warnings.iter().map(|w| format!("reference model: {w}")));
        let model = SystemMsm { features: molecule.torsions.clone(), rows: vec![], msm };
        let numbers = model.in_numbers(name, &md.rows)?;
        let (micro, far) = nearest(&model, &Rows::new(&md.rows, width)?)?;
        let n_micro = model.msm.centers.n_rows();
        let rule = OutsideRule::fit(&micro, &far, n_micro, settings.outside_quantile)?;
        let states = States {
            macro_of_micro: model.msm.macro_of_micro.clone(),
            n_macro: model.msm.n_macrostates(),
            ends: ends(&numbers, model.msm.n_macrostates()),
        };
        if let Some(native) = native {
            check_same_chain(&molecule, native)?;
        }
        let structure = native.unwrap_or(&molecule).reference_ca_nm();
        let native = (molecule.peptide.len() >= FEWEST_RESIDUES)
            .then(|| NativeContacts::new(&structure, FoldingOptions::default()))
            .and_then(|n| n.map_err(|e| notes.push(format!("no ΔG of folding: {e}"))).ok());
        Ok(Self {
            molecule: Arc::new(molecule),
            model: Arc::new(model),
            md,
            numbers,
            micro,
            frame_ps,
            settings,
            name: name.into(),
            rule,
            states,
            structure,
            native,
            notes,
        })
    }

    /// Microstates and macrostates of every frame of both sides, and which frames follow each other.
    pub fn states_of(&self, scored: &Scored) -> FrameStates {
        FrameStates {
            frame_ps: self.frame_ps,
            macro_of_micro: self.states.macro_of_micro.clone(),
            ends: self.states.ends,
            reference_segments: self.md.segments.clone(),
            reference_micro: self.micro.clone(),
            reference_macro: self.numbers.macrostates.clone(),
            sample_segments: scored.segments.clone(),
            sample_micro: scored.micro.clone(),
            sample_macro: scored.numbers.macrostates.clone(),
        }
    }

    /// Features per frame.
    pub fn width(&self) -> usize {
        self.molecule.torsions.n_features()
    }

    /// The same reference without one of its replicas (the model stays that of all), and that
    /// replica's first `frames` frames: MD as a competitor, never scored against itself.
    pub fn hold_out(&self, replica: usize, frames: usize) -> Result<(Self, Sample)> {
        let (replicas, width) = (self.md.replicas(), self.width());
        let held =
            replicas.get(replica).with_context(|| format!("there is no replica {replica}"))?;
        let stretch = held.start..held.end.min(held.start + frames);
        let mut md = Read { frame_ps: self.md.frame_ps, ..Read::default() };
        for (r, range) in replicas.iter().enumerate().filter(|(r, _)| *r != replica) {
            let start = md.n_frames();
            let one = self.md.stretch(range.clone(), width);
            md.rows.extend(one.rows);
            md.shape.extend(one.shape);
            md.ca_nm.extend(one.ca_nm);
            md.place.extend(one.place);
            md.fates.extend(one.fates);
            md.segments.extend(one.segments.iter().map(|s| s.start + start..s.end + start));
            md.files.push(self.md.files[r].clone());
        }
        let (micro, _) = nearest(&self.model, &Rows::new(&md.rows, width)?)?;
        let others = Self {
            numbers: self.model.in_numbers(&self.name, &md.rows)?,
            molecule: self.molecule.clone(),
            model: self.model.clone(),
            micro,
            frame_ps: self.frame_ps,
            settings: self.settings.clone(),
            name: self.name.clone(),
            rule: self.rule.clone(),
            states: self.states.clone(),
            structure: self.structure.clone(),
            native: self.native.clone(),
            notes: self.notes.clone(),
            md,
        };
        let mut one = self.md.stretch(stretch, width);
        one.files[0].0 = self.md.files[replica].0.clone();
        Ok((others, Sample::series(one)))
    }

    /// Scores a sample.
    pub fn score(&self, sample: &Sample) -> Result<Scored> {
        let (md, drawn, settings) = (&self.md, &sample.read, &self.settings);
        let numbers = self.model.in_numbers(&self.name, &drawn.rows)?;
        let (micro, far) = nearest(&self.model, &Rows::new(&drawn.rows, self.width())?)?;
        let is_outside: Vec<bool> =
            micro.iter().zip(&far).map(|(c, d)| self.rule.is_outside(*c, *d)).collect();
        let n_states = self.states.n_macro;
        let marked = |(s, out): (&usize, &bool)| if *out { n_states } else { *s };
        let with_outside: Vec<usize> =
            numbers.macrostates.iter().zip(&is_outside).map(marked).collect();
        let reference = Columns {
            numbers: &self.numbers,
            with_outside: &self.numbers.macrostates,
            shape: &md.shape,
        };
        let columns =
            Columns { numbers: &numbers, with_outside: &with_outside, shape: &drawn.shape };
        let backbone = self.model.features.is_backbone();
        let has_shape = self.molecule.has_shape();
        let (table, names) = table(&reference, &columns, &backbone, n_states, has_shape, settings)?;
        let bootstrap = Bootstrap {
            resamples: settings.resamples,
            rng_seed: settings.rng_seed,
            ..Bootstrap::default()
        };
        let (md_blocks, sample_blocks) = (replica_blocks(md), &sample.blocks);
        let intervals = table.intervals(&md_blocks, sample_blocks, &bootstrap)?;
        let (n, m) = (md.n_frames(), drawn.n_frames());
        let floors = table.floor(n, m, FLOOR_ROUNDS, settings.rng_seed)?;
        let noise = table.noise(&md.replicas(), m)?;
        let mut scores: Vec<Score> = names
            .into_iter()
            .zip(intervals)
            .zip(floors.into_iter().zip(noise))
            .map(|(((name, definition), interval), (floor, md_noise))| {
                let floor = Some(floor);
                Score { name, definition, better: Better::Lower, interval, floor, md_noise }
            })
            .collect();
        let mut notes = self.notes.clone();
        let protein = self.protein(sample, &md_blocks, &bootstrap, &mut scores)?;
        let kinetics = self.kinetics(sample, &micro, &md_blocks, &mut scores, &mut notes)?;
        let memory = self.memory(sample, &numbers, &mut scores)?;
        let visited = |micro: &[usize]| micro.iter().copied().collect::<BTreeSet<usize>>();
        let (there, seen) = (visited(&self.micro), visited(&micro));
        let side = |s: &Read, n_eff: f64, blocks: usize| {
            let validity = s.validity();
            Side {
                files: s.files.clone(),
                n_frames: s.n_frames(),
                n_eff,
                blocks,
                acceptance: 1.0 - validity.rejected as f64 / validity.total.max(1) as f64,
                validity,
            }
        };
        let n_micro = self.model.msm.centers.n_rows();
        let macrostates: BTreeSet<usize> =
            numbers.macrostates.iter().copied().filter(|s| *s < n_states).collect();
        let sample_eff = match &sample.kind {
            Kind::Draws => m as f64,
            Kind::Series => n_eff(&numbers, &drawn.segments)?,
            Kind::Trees { .. } => n_eff(&numbers, sample_blocks)?,
        };
        let evaluation = Evaluation {
            sequence: self.molecule.sequence.clone(),
            detail: self.molecule.detail,
            reference: side(md, n_eff(&self.numbers, &md.segments)?, md_blocks.len()),
            sample: side(drawn, sample_eff, sample_blocks.len()),
            outside_fraction: is_outside.iter().filter(|o| **o).count() as f64 / m as f64,
            microstates_visited: (there.intersection(&seen).count(), there.len()),
            diversity: Diversity {
                effective_microstates: effective_states(&micro, n_micro),
                effective_microstates_md: effective_states(&self.micro, n_micro),
                macrostates_visited: (macrostates.len(), n_states),
            },
            scores,
            protein,
            kinetics,
            memory,
            notes,
            settings: settings.clone(),
        };
        Ok(Scored { evaluation, numbers, micro, segments: drawn.segments.clone() })
    }

    fn protein(
        &self,
        sample: &Sample,
        md_blocks: &[Range<usize>],
        bootstrap: &Bootstrap,
        scores: &mut Vec<Score>,
    ) -> Result<Option<ProteinNumbers>> {
        if self.molecule.peptide.len() < FEWEST_RESIDUES {
            return Ok(None);
        }
        let (structure, native) = (&self.structure, self.native.as_ref());
        let md = Spread::new(&self.md.ca_nm, structure, native, md_blocks)?;
        let drawn = Spread::new(&sample.read.ca_nm, structure, native, &sample.blocks)?;
        let cut = |r: &Range<usize>| {
            let end = r.end.min(r.start + sample.read.n_frames());
            let some = &self.md.ca_nm[r.start..end];
            Spread::new(some, structure, native, &block_ranges(&[some.len()], some.len()))
        };
        let replicas = match self.md.files.len() {
            1 => vec![],
            _ => self.md.replicas().iter().map(cut).collect::<Result<Vec<_>>>()?,
        };
        let names = self.molecule.residue_names();
        let contacts = native.map_or(0, NativeContacts::n_contacts);
        let (numbers, more) =
            protein::scores(names, contacts, &md, &replicas, &drawn, &self.settings, bootstrap)?;
        scores.extend(more);
        Ok(Some(numbers))
    }

    fn kinetics(
        &self,
        sample: &Sample,
        micro: &[usize],
        md_blocks: &[Range<usize>],
        scores: &mut Vec<Score>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Kinetics>> {
        let wanted_ps = self.settings.msm.pair_lag_ps;
        let (hops, lag_ps) = match &sample.kind {
            Kind::Draws => return Ok(None),
            Kind::Series => {
                let frame_ps = sample.read.frame_ps.unwrap_or(self.frame_ps);
                let Ok(lag) = lag_in_frames(wanted_ps, frame_ps) else {
                    notes.push(format!(
                        "no kinetics: the samples are {frame_ps} ps apart, which a lag of \
                         {wanted_ps} ps is no multiple of"
                    ));
                    return Ok(None);
                };
                let segments = &sample.read.segments;
                (Hops::of_series(micro, segments, lag, &sample.blocks), wanted_ps)
            }
            Kind::Trees { hops, lag_ps } => {
                let Some(lag_ps) = *lag_ps else {
                    notes.push("no kinetics: the record does not say how long a jump is".into());
                    return Ok(None);
                };
                (Hops::of_pairs(micro, hops, &sample.blocks), lag_ps)
            }
        };
        let Ok(lag) = lag_in_frames(lag_ps, self.frame_ps) else {
            notes.push(format!(
                "no kinetics: a jump of {lag_ps} ps is no multiple of the {} ps between MD frames",
                self.frame_ps
            ));
            return Ok(None);
        };
        let md = Hops::of_series(&self.micro, &self.md.segments, lag, md_blocks);
        if hops.total() == 0 || md.total() == 0 {
            notes.push(format!(
                "no kinetics at {lag_ps} ps where samples (windows of MDGen, say) or MD have no \
                 stretch that long"
            ));
            return Ok(None);
        }
        let of = |s: usize| self.numbers.macrostates.iter().filter(|x| **x == s).count() as f64;
        let populations: Vec<f64> = (0..self.states.n_macro).map(of).collect();
        let bootstrap = Bootstrap {
            resamples: self.settings.kinetics_resamples,
            rng_seed: self.settings.rng_seed,
            ..Bootstrap::default()
        };
        let (kinetics, more) = self.states.compare(&md, &hops, &populations, lag_ps, &bootstrap)?;
        scores.extend(more);
        Ok(Some(kinetics))
    }

    fn memory(
        &self,
        sample: &Sample,
        numbers: &Ensemble,
        scores: &mut Vec<Score>,
    ) -> Result<Vec<memory::Memory>> {
        if !matches!(sample.kind, Kind::Series) {
            return Ok(vec![]);
        }
        let md = memory::Series {
            numbers: &self.numbers,
            replicas: &segments_by(&self.md.replicas(), &self.md.segments),
            frame_ps: self.frame_ps,
        };
        let drawn = memory::Series {
            numbers,
            replicas: &segments_by(&sample.read.replicas(), &sample.read.segments),
            frame_ps: sample.read.frame_ps.unwrap_or(self.frame_ps),
        };
        let bootstrap = Bootstrap {
            resamples: self.settings.kinetics_resamples,
            rng_seed: self.settings.rng_seed,
            ..Bootstrap::default()
        };
        let names = self.model.features.torsion_names();
        let (memory, score) = memory::compare(names, &md, &drawn, &bootstrap)?;
        scores.extend(score);
        Ok(memory)
    }
}

/// Nearest centre of every row and the distance to it.
fn nearest(model: &SystemMsm, rows: &Rows<'_, f64>) -> Result<(Vec<usize>, Vec<f64>)> {
    let msm = &model.msm;
    let (projected, (micro, _)) = (msm.tica.transform(rows)?, msm.assign(rows)?);
    let micro: Vec<usize> = micro.iter().map(|m| usize::try_from(*m).unwrap_or(0)).collect();
    let distance = |(point, c): (&[f64], &usize)| -> f64 {
        let square = point.iter().zip(msm.centers.row(*c)).map(|(x, y)| (x - y) * (x - y));
        square.sum::<f64>().sqrt()
    };
    let far = projected.chunks_exact(msm.tica.n_kept).zip(&micro).map(distance).collect();
    Ok((micro, far))
}

/// Effectively independent frames by the slowest TICA coordinate of series.
fn n_eff(numbers: &Ensemble, series: &[Range<usize>]) -> Result<f64> {
    let Some(slow) = numbers.tica.first() else { return Ok(numbers.n_frames() as f64) };
    let cut: Vec<&[f64]> = series.iter().map(|r| &slow[r.clone()]).collect();
    Ok(effective_samples_of(&cut)?)
}

/// exp(entropy) of the populations of microstates.
fn effective_states(micro: &[usize], n: usize) -> f64 {
    let mut counts = vec![0.0; n];
    micro.iter().for_each(|m| counts[*m] += 1.0);
    let total = micro.len() as f64;
    let term = |c: &f64| if *c > 0.0 { -(c / total) * (c / total).ln() } else { 0.0 };
    counts.iter().map(term).sum::<f64>().exp()
}

/// The macrostates with the lowest and the highest mean of the first TICA coordinate.
fn ends(numbers: &Ensemble, n_states: usize) -> (usize, usize) {
    let Some(x) = numbers.tica.first() else { return (0, 0) };
    let (mut sums, mut counts) = (vec![0.0; n_states], vec![0.0; n_states]);
    for (s, v) in numbers.macrostates.iter().zip(x).filter(|(s, _)| **s < n_states) {
        sums[*s] += v;
        counts[*s] += 1.0;
    }
    let mean = |s: &usize| sums[*s] / counts[*s];
    let known = || (0..n_states).filter(|s| counts[*s] > 0.0);
    let lowest = known().min_by(|a, b| mean(a).total_cmp(&mean(b)));
    let highest = known().max_by(|a, b| mean(a).total_cmp(&mean(b)));
    (lowest.unwrap_or(0), highest.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_spread_and_ends() {
        assert!((effective_states(&[0, 1, 2, 3], 6) - 4.0).abs() < 1e-12);
        assert_eq!(effective_states(&[2, 2], 3), 1.0);
        let numbers = Ensemble {
            torsions: vec![],
            tica: vec![vec![0.0, 5.0, -1.0, 4.0]],
            macrostates: vec![0, 1, 2, 1],
        };
        assert_eq!(ends(&numbers, 3), (2, 1));
    }
}
