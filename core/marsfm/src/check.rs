//! `marsfm check`: a verdict for every frame of any ensemble.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use marsfm_geometry::Peptide;
use marsfm_host::Host;
use marsfm_sampling::{Verdict, judge_atoms};
use marsfm_trajectory::Frame;

/// Judges every frame of `frames` as it is (atoms are not rebuilt).
pub fn check(host: &Host, topology: &Path, frames: &Path) -> Result<Vec<Verdict>> {
    let (atoms, _) = host.read_topology(topology)?;
    let mut source = host.open(frames, Some(atoms.len()))?;
    let mut frame = Frame::default();
    let mut chain: Option<Peptide> = None;
    let mut verdicts = Vec::new();
    while source.read(&mut frame)? {
        let at = || format!("{}, frame {}", frames.display(), verdicts.len());
        let peptide = match chain.take() {
            Some(peptide) => peptide,
            None => match &frame.cell_nm {
                Some(cell) => Peptide::from_topology_in_cell(&atoms, &frame.positions_nm, cell),
                None => Peptide::from_topology(&atoms, &frame.positions_nm),
            }
            .with_context(at)?,
        };
        if let Some(cell) = frame.cell_nm {
            peptide.make_whole(&mut frame.positions_nm, &cell).with_context(at)?;
        }
        let heavy = peptide.atom14_angstrom(&frame.positions_nm).with_context(at)?;
        verdicts.push(judge_atoms(peptide.types(), &heavy));
        chain = Some(peptide);
    }
    ensure!(!verdicts.is_empty(), "{}: holds no frame", frames.display());
    Ok(verdicts)
}
