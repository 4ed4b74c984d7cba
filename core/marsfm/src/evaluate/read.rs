//! The frames of one side of a comparison as numbers. Files and frames that cannot be used are
//! named and left out; the rest counts. Frames are read in blocks and worked on in parallel.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use marsfm_host::Host;
use marsfm_metrics::validity::{ValiditySummary, Verdict as Fate};
use marsfm_sampling::{Reason, Verdict};
use marsfm_trajectory::{Frame, FrameSource};
use rayon::prelude::*;

use super::molecule::{Molecule, Observed};

/// Frames read ahead of the parallel work.
const BLOCK_FRAMES: usize = 512;
/// Bad frames of a file that are named one by one.
const MOST_NAMED: usize = 5;

/// Trajectories in numbers.
#[derive(Clone, Default)]
pub struct Read {
    /// Feature rows, one after the other.
    pub rows: Vec<f64>,
    /// Rg (nm), helix and strand fraction.
    pub shape: Vec<[f64; 3]>,
    /// Cα positions, nm.
    pub ca_nm: Vec<Vec<[f32; 3]>>,
    /// Frames that follow each other without a gap.
    pub segments: Vec<Range<usize>>,
    /// Files used, with their frames.
    pub files: Vec<(String, usize)>,
    /// Place of each frame in its file.
    pub place: Vec<usize>,
    /// What the acceptance checks say.
    pub fates: Vec<Fate<'static>>,
    /// Time between frames, if known.
    pub frame_ps: Option<f64>,
}

impl Read {
    /// Number of frames.
    pub fn n_frames(&self) -> usize {
        self.place.len()
    }

    /// The acceptance checks in numbers.
    pub fn validity(&self) -> ValiditySummary {
        ValiditySummary::of(self.fates.iter().copied())
    }

    /// Frames of each file, in one list.
    pub fn replicas(&self) -> Vec<Range<usize>> {
        let mut at = 0;
        let next = |f: &(String, usize)| {
            at += f.1;
            at - f.1..at
        };
        self.files.iter().map(next).collect()
    }

    /// Reads files. One that cannot be read is noted and left out; an error if none is left.
    pub fn files(
        host: &Host,
        molecule: &Molecule,
        files: &[PathBuf],
        frame_ps: Option<f64>,
        timed: bool,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let mut all = Self { frame_ps, ..Self::default() };
        for path in files {
            if let Err(e) = all.add_file(host, molecule, path, timed, notes) {
                notes.push(format!("left out: {e:#}"));
            }
        }
        ensure!(!all.files.is_empty(), "no file could be used: {}", notes.join("; "));
        Ok(all)
    }

    /// Conformations that are in memory, as the frames of one file called `name`.
    pub fn frames(molecule: &Molecule, name: &str, frames: &[Vec<[f32; 3]>]) -> Result<Self> {
        let mut all = Self::default();
        let observe = |positions_nm: &Vec<[f32; 3]>| {
            let positions_nm = positions_nm.clone();
            molecule.observe(Frame { positions_nm, cell_nm: None, time_ps: None })
        };
        let observed: Vec<Result<Observed>> = frames.par_iter().map(observe).collect();
        for (place, one) in observed.into_iter().enumerate() {
            all.push(one?, place);
        }
        all.files.push((name.into(), frames.len()));
        all.segments.extend((!frames.is_empty()).then_some(0..frames.len()));
        Ok(all)
    }

    fn push(&mut self, observed: Observed, place: usize) {
        self.rows.extend(observed.row);
        self.shape.push(observed.shape);
        self.ca_nm.push(observed.ca_nm);
        self.fates.push(fate(&observed.verdict));
        self.place.push(place);
    }

    fn add_file(
        &mut self,
        host: &Host,
        molecule: &Molecule,
        path: &Path,
        timed: bool,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let mut source = host.open(path, Some(molecule.atoms_in_files))?;
        let (first, mut part) = (self.n_frames(), Self::default());
        let (mut start, mut bad, mut index, mut times) = (first, 0, 0, Vec::new());
        let mut go_on = true;
        while go_on {
            let mut block: Vec<Result<Frame>> = Vec::with_capacity(BLOCK_FRAMES);
            while block.len() < BLOCK_FRAMES && go_on {
                go_on = next(source.as_mut(), index + block.len(), &mut block, notes);
            }
            times.extend(
                block.iter().flatten().filter_map(|f| f.time_ps).take(2 - times.len().min(2)),
            );
            let observe = |frame: Result<Frame>| molecule.observe(frame?);
            let observed: Vec<Result<Observed>> = block.into_par_iter().map(observe).collect();
            for one in observed {
                match one {
                    Ok(observed) => part.push(observed, index),
                    Err(error) => {
                        bad += 1;
                        if bad <= MOST_NAMED {
                            notes.push(format!(
                                "frame left out: {}, frame {index}: {error:#}",
                                path.display()
                            ));
                        }
                        let now = first + part.n_frames();
                        part.segments.extend((now > start).then_some(start..now));
                        start = now;
                    }
                }
                index += 1;
            }
        }
        if bad > MOST_NAMED {
            notes.push(format!("{}: {bad} frames left out in all", path.display()));
        }
        let now = first + part.n_frames();
        ensure!(now > first, "{}: no frame could be used", path.display());
        part.segments.extend((now > start).then_some(start..now));
        if let ([a, b], true) = (times.as_slice(), timed) {
            let step = ((b - a) * 1e3).round() / 1e3;
            let known = *self.frame_ps.get_or_insert(step);
            ensure!(
                (step - known).abs() <= 1e-3 * known,
                "{}: its frames are {step} ps apart, the others {known} ps",
                path.display()
            );
        }
        self.files.push((path.display().to_string(), now - first));
        self.take(part);
        Ok(())
    }

    fn take(&mut self, mut part: Self) {
        self.rows.append(&mut part.rows);
        self.shape.append(&mut part.shape);
        self.ca_nm.append(&mut part.ca_nm);
        self.segments.append(&mut part.segments);
        self.place.append(&mut part.place);
        self.fates.append(&mut part.fates);
    }

    /// The frames in another order (indices into the present one; some may be left out). They are
    /// no time series any more: every frame is a segment of its own.
    pub fn reordered(&self, order: &[usize], width: usize) -> Self {
        let mut out = Self {
            files: vec![(self.files[0].0.clone(), order.len())],
            segments: (0..order.len()).map(|i| i..i + 1).collect(),
            frame_ps: None,
            ..Self::default()
        };
        for &i in order {
            out.rows.extend_from_slice(&self.rows[i * width..(i + 1) * width]);
            out.shape.push(self.shape[i]);
            out.ca_nm.push(self.ca_nm[i].clone());
            out.place.push(self.place[i]);
            out.fates.push(self.fates[i]);
        }
        out
    }

    /// Some frames that follow each other, as one replica.
    pub fn stretch(&self, frames: Range<usize>, width: usize) -> Self {
        let mut out = self.reordered(&frames.clone().collect::<Vec<_>>(), width);
        let cut = |s: &Range<usize>| {
            let (a, b) = (s.start.max(frames.start), s.end.min(frames.end));
            (a < b).then(|| a - frames.start..b - frames.start)
        };
        out.segments = self.segments.iter().filter_map(cut).collect();
        out.frame_ps = self.frame_ps;
        out
    }
}

/// Reads one more frame into `block`; false at the end. A frame that cannot be read stands there as
/// its error if the reader can go on behind it.
fn next(
    source: &mut dyn FrameSource,
    index: usize,
    block: &mut Vec<Result<Frame>>,
    notes: &mut Vec<String>,
) -> bool {
    let mut frame = Frame::default();
    match source.read(&mut frame) {
        Ok(false) => false,
        Ok(true) => {
            block.push(Ok(frame));
            true
        }
        Err(e) => {
            let error = anyhow::Error::from(e);
            if source.seek(index + 1).is_err() {
                // The last frame, or a reader that cannot go on.
                notes.push(format!("frame left out: {error:#}"));
                return false;
            }
            block.push(Err(error));
            true
        }
    }
}

/// The word for a reason, as in the C ABI.
pub fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::NotFinite => "not finite",
        Reason::BrokenChain => "broken chain",
        Reason::Omega => "twisted peptide bond",
        Reason::Clash => "clash",
        Reason::Chirality => "mirrored centre",
        Reason::RingPierced => "pierced ring",
    }
}

fn fate(verdict: &Verdict) -> Fate<'static> {
    match (verdict.rejected.first(), verdict.repair.first()) {
        (Some(reason), _) => Fate::Rejected(reason_name(*reason)),
        (None, Some(reason)) => Fate::NeedsRepair(reason_name(*reason)),
        (None, None) => Fate::Accepted,
    }
}
