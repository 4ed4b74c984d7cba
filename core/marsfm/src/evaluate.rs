//! `marsfm evaluate`: any ensemble against reference MD, in the numbers of METHOD section 8 that
//! are functions of histograms: torsions, TICA, macrostates, Rg, secondary structure. Every number
//! comes with its bootstrap interval, the floor at matched n and what MD scores against itself.
//!
//! The Markov model is the reference's. Files and frames that cannot be used are named, left out,
//! and the rest is scored.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use marsfm_features::{Featurizer, RgSecondaryStructure, TorsionFeatures};
use marsfm_geometry::Peptide;
use marsfm_host::Host;
use marsfm_metrics::bootstrap::{Bootstrap, Interval, block_ranges};
use marsfm_metrics::decorrelation::effective_samples_of;
use marsfm_metrics::histogram::Bins;
use marsfm_metrics::marginals::{Marginal, MarginalScores, Noise, Statistic};
use marsfm_metrics::states::{Offset, OutsideRule};
use marsfm_metrics::torsion::{RAMACHANDRAN_PAIRS, UPSTREAM_PAIRS};
use marsfm_msm::{MsmBuilder, Rows};
use marsfm_sampling::judge_atoms;
use marsfm_trajectory::{Frame, lag_in_frames};
use serde::Serialize;

use crate::markov::{MsmSettings, SystemMsm};

/// Constants; the defaults are the reference scripts' where those are known.
#[derive(Clone, Debug, Serialize)]
pub struct EvaluateSettings {
    /// Lags and sizes of the reference's Markov model.
    pub msm: MsmSettings,
    /// Temperature of free energies, K.
    pub kelvin: f64,
    /// Bins of one coordinate.
    pub bins_1d: usize,
    /// Bins per axis of two.
    pub bins_2d: usize,
    /// Bins of Rg.
    pub rg_bins: usize,
    /// Added to every Rg bin's probability before the logarithm.
    pub rg_smoothing: f64,
    /// Frames farther from their centre than this share of the reference's are outside.
    pub outside_quantile: f64,
    /// Time between MD frames, ps, where the files cannot tell.
    pub frame_ps: Option<f64>,
    /// True if the samples are time series like MD; false if every frame is a draw of its own.
    pub samples_are_trajectories: bool,
    /// Bootstrap resamples.
    pub resamples: usize,
    /// Seed of bootstrap and floor.
    pub rng_seed: u64,
}

impl Default for EvaluateSettings {
    fn default() -> Self {
        Self {
            msm: MsmSettings::default(),
            kelvin: 350.0,
            bins_1d: 100,
            bins_2d: 50,
            rg_bins: 50,
            rg_smoothing: 1e-6,
            outside_quantile: 0.999,
            frame_ps: None,
            samples_are_trajectories: false,
            resamples: 200,
            rng_seed: 0,
        }
    }
}

/// One number of the comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Name.
    pub name: String,
    /// How it is computed.
    pub definition: String,
    /// Value and bootstrap interval.
    #[serde(flatten)]
    pub interval: Interval,
    /// What two samples of the reference's histograms with as many frames, all independent, would
    /// score; n_eff says how far the frames are from independent.
    pub floor: Interval,
    /// Each MD replica, cut to the sample's number of frames, against the other replicas.
    pub md_noise: Option<Noise>,
}

/// One side of the comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Files used, with their frames.
    pub files: Vec<(String, usize)>,
    /// Frames in all.
    pub n_frames: usize,
    /// Effectively independent frames (by the slowest TICA coordinate; draws count as they are).
    pub n_eff: f64,
    /// Share of frames that pass the checks for clashes, bonds and chirality.
    pub acceptance: f64,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// One letter per residue.
    pub sequence: String,
    /// The MD.
    pub reference: Side,
    /// The ensemble.
    pub sample: Side,
    /// Share of the sample outside the reference's microstates.
    pub outside_fraction: f64,
    /// Microstates of the reference that the sample visits, of those there are.
    pub microstates_visited: (usize, usize),
    /// The numbers.
    pub scores: Vec<Score>,
    /// Files and frames left out, and cautions.
    pub notes: Vec<String>,
    /// With what constants.
    pub settings: EvaluateSettings,
}

/// Scores `samples` against `reference`; both have the atoms of `topology`.
pub fn evaluate(
    host: &Host,
    topology: &Path,
    reference: &[PathBuf],
    samples: &[PathBuf],
    settings: &EvaluateSettings,
) -> Result<Evaluation> {
    let mut notes = Vec::new();
    let observer = Observer::new(host, topology)?;
    let md = observer.read_all(reference, settings.frame_ps, true, &mut notes)?;
    let drawn = observer.read_all(
        samples,
        settings.frame_ps,
        settings.samples_are_trajectories,
        &mut notes,
    )?;
    let frame_ps = settings.frame_ps.or(md.frame_ps).with_context(|| {
        format!("{}: no trustworthy times; give --frame-ps", reference[0].display())
    })?;
    let width = observer.torsions.n_features();
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
    let model = SystemMsm { features: observer.torsions.clone(), rows: vec![], msm };
    let name = topology.display().to_string();
    let (a, b) = (model.in_numbers(&name, &md.rows)?, model.in_numbers(&name, &drawn.rows)?);

    let near = |rows: &[f64]| nearest(&model, &Rows::new(rows, width)?);
    let ((micro, far), (sample_micro, sample_far)) = (near(&md.rows)?, near(&drawn.rows)?);
    let n_micro = model.msm.centers.n_rows();
    let rule = OutsideRule::fit(&micro, &far, n_micro, settings.outside_quantile)?;
    let is_outside: Vec<bool> =
        sample_micro.iter().zip(&sample_far).map(|(c, d)| rule.is_outside(*c, *d)).collect();
    let seen = |micro: &[usize]| -> Vec<bool> {
        (0..n_micro).map(|c| micro.contains(&c)).collect::<Vec<_>>()
    };
    let (there, visited) = (seen(&micro), seen(&sample_micro));
    let both = there.iter().zip(&visited).filter(|(t, v)| **t && **v).count();

    let n_states = model.msm.n_macrostates();
    let with_outside: Vec<usize> = b
        .macrostates
        .iter()
        .zip(&is_outside)
        .map(|(s, out)| if *out { n_states } else { *s })
        .collect();
    let mut table = MarginalScores::default();
    let mut names: Vec<(String, String)> = Vec::new();
    let mut add = |table: &mut MarginalScores, name: &str, how: String, s: Statistic| {
        table.statistic(s);
        names.push((name.into(), how));
    };
    let (n1, n2) = (settings.bins_1d, settings.bins_2d);
    let angle = |t: usize, n: usize| Marginal::angle(&a.torsions[t], &b.torsions[t], n);
    let torsions: Vec<usize> =
        (0..a.torsions.len()).map(|t| Ok(table.marginal(angle(t, n1)?))).collect::<Result<_>>()?;
    let backbone = model.features.is_backbone();
    for (name, keep) in [("all", None), ("backbone", Some(true)), ("side chain", Some(false))] {
        let which: Vec<usize> = torsions
            .iter()
            .zip(&backbone)
            .filter(|(_, is)| keep.is_none_or(|k| k == **is))
            .map(|(t, _)| *t)
            .collect();
        if !which.is_empty() {
            let how =
                format!("mean √JSD (natural logarithm) of 1-D marginals, {n1} bins on (-π, π)");
            add(&mut table, &format!("torsions ({name})"), how, Statistic::MeanJsd(which));
        }
    }
    let n_backbone = backbone.iter().filter(|is| **is).count();
    for (name, pairs) in [
        ("torsion pairs (columns 1,2 and 3,4)", UPSTREAM_PAIRS),
        ("torsion pairs (phi, psi of inner residues)", RAMACHANDRAN_PAIRS),
    ] {
        if n_backbone == 6 {
            let mut which = Vec::new();
            for (x, y) in pairs {
                which.push(table.marginal(Marginal::product(&angle(x, n2)?, &angle(y, n2)?)?));
            }
            let how = format!("mean √JSD of 2-D marginals, {n2} × {n2} bins on (-π, π)²");
            add(&mut table, name, how, Statistic::MeanJsd(which));
        }
    }
    if !a.tica.is_empty() {
        let one = table.marginal(Marginal::joint(&a.tica[0], &b.tica[0], n1)?);
        let how = format!("√JSD, {n1} bins between the joint extremes");
        add(&mut table, "TICA-0", how, Statistic::MeanJsd(vec![one]));
    }
    if a.tica.len() > 1 {
        let axis = |k: usize| Marginal::joint(&a.tica[k], &b.tica[k], n2);
        let plane = table.marginal(Marginal::product(&axis(0)?, &axis(1)?)?);
        let how = format!("√JSD, {n2} × {n2} bins between the joint extremes");
        add(&mut table, "TICA-0,1", how, Statistic::MeanJsd(vec![plane]));
    }
    let plain = table.marginal(Marginal::states(&a.macrostates, &b.macrostates, n_states));
    let outside = table.marginal(Marginal::states(&a.macrostates, &with_outside, n_states));
    add(
        &mut table,
        "macrostates",
        "√JSD of the populations, every frame in the state of its nearest centre".into(),
        Statistic::StatesJsd(plain),
    );
    add(
        &mut table,
        "macrostates, outside counted",
        format!(
            "the same with one more class: frames farther from their centre than {} of the \
             reference's",
            settings.outside_quantile
        ),
        Statistic::MeanJsd(vec![outside]),
    );
    add(
        &mut table,
        "macrostate MAE (kcal/mol)",
        format!(
            "mean |ΔF - mean ΔF|, F = -kT ln p at {} K over states of the reference, p at least \
             1/(2n); the paper's definition is not published",
            settings.kelvin
        ),
        Statistic::StatesMae { of: plain, kelvin: settings.kelvin, offset: Offset::Mean },
    );
    if observer.shape.is_some() {
        let column = |s: &Read, k: usize| s.shape.iter().map(|x| x[k]).collect::<Vec<f64>>();
        let rg = Marginal::joint(&column(&md, 0), &column(&drawn, 0), settings.rg_bins)?;
        let (of, smoothing) = (table.marginal(rg), settings.rg_smoothing);
        let how = format!(
            "KL(MD ‖ sample), {} bins over the joint range, {smoothing} added to every bin; the \
             paper's definition is not published and the value depends on it",
            settings.rg_bins
        );
        add(&mut table, "Rg KL", how, Statistic::Kl { of, smoothing });
        let unit = Bins::new(0.0, 1.0, marsfm_metrics::protein::SS_BINS)?;
        let part = |k: usize| Marginal::on(unit, &column(&md, k), &column(&drawn, k));
        let which = vec![table.marginal(part(1)), table.marginal(part(2))];
        let how = "mean over helix and strand of √JSD of 20-bin histograms of the fraction per \
                   frame (DSSP in three classes); the paper's definition is not published";
        add(&mut table, "secondary structure", how.into(), Statistic::MeanJsd(which));
    }

    let n_eff = |s: &Read, tica: &[Vec<f64>]| -> Result<f64> {
        let Some(slow) = tica.first() else { return Ok(s.n_frames() as f64) };
        let series: Vec<&[f64]> = s.segments.iter().map(|r| &slow[r.clone()]).collect();
        Ok(effective_samples_of(&series)?)
    };
    let md_n = n_eff(&md, &a.tica)?;
    let sample_n = match settings.samples_are_trajectories {
        true => n_eff(&drawn, &b.tica)?,
        false => drawn.n_frames() as f64,
    };
    let sample_blocks = match settings.samples_are_trajectories {
        true => blocks(&drawn.files),
        false => block_ranges(&[drawn.n_frames()], drawn.n_frames().div_ceil(200)),
    };
    if md.files.len() < 2 {
        notes.push(
            "one MD replica only: its stretches are resampled, and there is no MD noise".into(),
        );
    }
    let bootstrap = Bootstrap {
        resamples: settings.resamples,
        rng_seed: settings.rng_seed,
        ..Bootstrap::default()
    };
    let intervals = table.intervals(&blocks(&md.files), &sample_blocks, &bootstrap)?;
    let floors = table.floor(md.n_frames(), drawn.n_frames(), 40, settings.rng_seed)?;
    let noise = table.noise(&ranges(&md.files), drawn.n_frames())?;
    let scores = names.into_iter().zip(intervals).zip(floors.into_iter().zip(noise));
    let side = |s: &Read, n_eff: f64| Side {
        files: s.files.clone(),
        n_frames: s.n_frames(),
        n_eff,
        acceptance: s.accepted as f64 / s.n_frames() as f64,
    };
    Ok(Evaluation {
        sequence: observer.peptide.sequence(),
        reference: side(&md, md_n),
        sample: side(&drawn, sample_n),
        outside_fraction: is_outside.iter().filter(|o| **o).count() as f64
            / drawn.n_frames() as f64,
        microstates_visited: (both, there.iter().filter(|t| **t).count()),
        scores: scores
            .map(|(((name, definition), interval), (floor, md_noise))| Score {
                name,
                definition,
                interval,
                floor,
                md_noise,
            })
            .collect(),
        notes,
        settings: settings.clone(),
    })
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

/// Frames of each file, in one list.
fn ranges(files: &[(String, usize)]) -> Vec<Range<usize>> {
    let mut at = 0;
    let next = |f: &(String, usize)| {
        at += f.1;
        at - f.1..at
    };
    files.iter().map(next).collect()
}

/// What is resampled: replicas, or ten stretches of a single one.
fn blocks(files: &[(String, usize)]) -> Vec<Range<usize>> {
    match files {
        [one] => block_ranges(&[one.1], one.1.div_ceil(10)),
        _ => ranges(files),
    }
}

/// Trajectories in numbers.
#[derive(Default)]
struct Read {
    rows: Vec<f64>,
    /// Rg (nm), helix and strand fraction.
    shape: Vec<[f64; 3]>,
    /// Frames that follow each other without a gap.
    segments: Vec<Range<usize>>,
    files: Vec<(String, usize)>,
    accepted: usize,
    frame_ps: Option<f64>,
}

impl Read {
    fn n_frames(&self) -> usize {
        self.files.iter().map(|f| f.1).sum()
    }
}

/// Turns frames of one molecule into numbers.
struct Observer<'a> {
    host: &'a Host,
    peptide: Peptide,
    torsions: TorsionFeatures,
    shape: Option<RgSecondaryStructure>,
    n_atoms: usize,
}

impl<'a> Observer<'a> {
    fn new(host: &'a Host, path: &Path) -> Result<Self> {
        let (topology, own) = host.read_topology(path)?;
        let at = || path.display().to_string();
        let frame =
            own.with_context(|| format!("{}: has no coordinates; give a PDB", path.display()))?;
        let peptide = match &frame.cell_nm {
            Some(cell) => Peptide::from_topology_in_cell(&topology, &frame.positions_nm, cell),
            None => Peptide::from_topology(&topology, &frame.positions_nm),
        };
        Ok(Self {
            host,
            peptide: peptide.with_context(at)?,
            torsions: TorsionFeatures::new(&topology, Some(&frame)).with_context(at)?,
            shape: RgSecondaryStructure::new(&topology).ok(),
            n_atoms: topology.len(),
        })
    }

    /// Files that cannot be read are noted and left out; an error if none is left.
    fn read_all(
        &self,
        files: &[PathBuf],
        frame_ps: Option<f64>,
        timed: bool,
        notes: &mut Vec<String>,
    ) -> Result<Read> {
        let mut all = Read { frame_ps, ..Read::default() };
        for path in files {
            if let Err(e) = self.read(path, timed, &mut all, notes) {
                notes.push(format!("left out: {e:#}"));
            }
        }
        ensure!(!all.files.is_empty(), "no file could be used: {}", notes.join("; "));
        Ok(all)
    }

    fn read(
        &self,
        path: &Path,
        timed: bool,
        all: &mut Read,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let mut source = self.host.open(path, Some(self.n_atoms))?;
        let (mut frame, mut index, mut times) = (Frame::default(), 0, Vec::new());
        let (first, mut start, mut bad) = (all.n_frames(), all.n_frames(), 0);
        let (mut now, mut part) = (first, Read::default());
        loop {
            let failed = match source.read(&mut frame) {
                Ok(false) => break,
                Ok(true) => {
                    times.extend(frame.time_ps.filter(|_| index < 2));
                    self.observe(&mut frame, &mut part).err()
                }
                Err(e) => {
                    let error = anyhow::Error::from(e);
                    if source.seek(index + 1).is_err() {
                        // The last frame, or a reader that cannot go on.
                        notes.push(format!("frame left out: {error:#}"));
                        break;
                    }
                    Some(error)
                }
            };
            index += 1;
            match failed {
                None => now += 1,
                Some(error) => {
                    bad += 1;
                    if bad <= 5 {
                        notes.push(format!("frame left out: {error:#} ({})", path.display()));
                    }
                    if now > start {
                        part.segments.push(start..now);
                    }
                    start = now;
                }
            }
        }
        if bad > 5 {
            notes.push(format!("{}: {bad} frames left out in all", path.display()));
        }
        ensure!(now > first, "{}: no frame could be used", path.display());
        if now > start {
            part.segments.push(start..now);
        }
        if let ([a, b], true) = (times.as_slice(), timed) {
            let step = ((b - a) * 1e3).round() / 1e3;
            let known = *all.frame_ps.get_or_insert(step);
            ensure!(
                (step - known).abs() <= 1e-3 * known,
                "{}: its frames are {step} ps apart, the others {known} ps",
                path.display()
            );
        }
        all.files.push((path.display().to_string(), now - first));
        all.rows.append(&mut part.rows);
        all.shape.append(&mut part.shape);
        all.segments.append(&mut part.segments);
        all.accepted += part.accepted;
        Ok(())
    }

    fn observe(&self, frame: &mut Frame, part: &mut Read) -> Result<()> {
        if let Some(cell) = frame.cell_nm.take() {
            self.peptide.make_whole(&mut frame.positions_nm, &cell)?;
        }
        let heavy = self.peptide.atom14_angstrom(&frame.positions_nm)?;
        let mut row = vec![0.0; self.torsions.n_features()];
        self.torsions.compute(&frame.positions_nm, None, &mut row)?;
        let mut shape = [0.0; 3];
        if let Some(featurizer) = &self.shape {
            featurizer.compute(&frame.positions_nm, None, &mut shape)?;
        }
        part.accepted += usize::from(judge_atoms(self.peptide.types(), &heavy).accepted());
        part.rows.extend(row);
        part.shape.push(shape);
        Ok(())
    }
}
