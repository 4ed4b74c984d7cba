//! grompp, mdrun and energy in a working folder.

use crate::child::Job;
use crate::find::Program;
use crate::mdp::Mdp;
use crate::solvent::Box3;
use crate::template::Template;
use crate::trr::{self, TrrFrame};
use crate::{gro, said};
use marsfm_plugin_api::engine::Watch;
use marsfm_plugin_api::engine_abi::MARSFM_PLUGIN_DIVERGED;
use marsfm_plugin_api::{PluginError, file_error};
use std::path::Path;

/// Where the stages of one call run.
pub struct Stage<'a> {
    /// GROMACS.
    pub program: &'a Program,
    /// The system.
    pub template: &'a Template,
    /// The working folder.
    pub folder: &'a Path,
    /// Who watches.
    pub watch: Option<&'a Watch<'a>>,
    /// OpenMP threads.
    pub threads: u32,
}

/// Where a run input takes its positions and velocities from.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// This frame, which is written beside the run input.
    Frame(&'a TrrFrame),
    /// The frame at a time, ps, of an archive.
    Archive(&'a Path, f64),
}

pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Stage<'_> {
    fn job(&self, steps: u64) -> Job<'_> {
        Job { watch: self.watch, steps, ..Job::new(&self.program.path, self.folder) }
    }

    /// `NAME.tpr` from parameters, the frame to start at (the template's own if none), and where
    /// restraints pull to (the template's positions if nothing is said). Never with `-maxwarn`.
    pub fn grompp(
        &self,
        name: &str,
        mdp: &Mdp,
        from: Option<Origin<'_>>,
        restraints: Option<&[[f64; 3]]>,
    ) -> Result<(), PluginError> {
        mdp.write(&self.folder.join(format!("{name}.mdp")))?;
        let template = std::path::absolute(&self.template.folder)?;
        let at = |file: &str| template.join(file).to_string_lossy().into_owned();
        let mut all =
            words(&format!("-quiet grompp -f {name}.mdp -po {name}.used.mdp -o {name}.tpr"));
        all.extend(["-c".into(), at("conf.gro"), "-p".into(), at("topol.top"), "-r".into()]);
        match restraints {
            None => all.push(at("conf.gro")),
            Some(positions) => {
                let file = format!("{name}.held.gro");
                let (names, cell) = (&self.template.gro.names, &self.template.gro.cell_nm);
                let cell = match &from {
                    Some(Origin::Frame(frame)) => &frame.cell_nm,
                    _ => cell,
                };
                gro::write(&self.folder.join(&file), names, positions, cell)?;
                all.push(file);
            }
        }
        if template.join("index.ndx").is_file() {
            all.extend(["-n".into(), at("index.ndx")]);
        }
        let (file, time_ps) = match from {
            None => (None, 0.0),
            Some(Origin::Archive(path, time_ps)) => {
                (Some(std::path::absolute(path)?.to_string_lossy().into_owned()), time_ps)
            }
            Some(Origin::Frame(frame)) => {
                let file = format!("{name}.from.trr");
                trr::write(&self.folder.join(&file), std::slice::from_ref(frame))?;
                (Some(file), frame.time_ps)
            }
        };
        if let Some(file) = file {
            all.extend(["-t".into(), file, "-time".into(), time_ps.to_string()]);
        }
        self.job(0).run(&all, None).map(drop)
    }

    /// Runs `NAME.tpr`; what mdrun said. A failure is explained with the end of its log, too.
    pub fn mdrun(&self, name: &str, steps: u64, more: &str) -> Result<String, PluginError> {
        let ranks = if self.program.mpi { "" } else { "-ntmpi 1" };
        self.job(steps).run(&words(&self.line(name, &format!("{ranks} {more}"))), None)
    }

    /// Words of mdrun for `NAME.tpr`.
    pub fn line(&self, name: &str, more: &str) -> String {
        let threads = self.threads;
        format!(
            "-quiet mdrun -s {name}.tpr -deffnm {name} -ntomp {threads} -pin off -v -stepout 100 \
             -cpt -1 {more}"
        )
    }

    /// Rows of `NAME.edr`: the asked-for terms, in GROMACS's order, at each stored step.
    pub fn energies(&self, name: &str, terms: &[&str]) -> Result<Vec<Vec<f64>>, PluginError> {
        let line = format!("-quiet energy -f {name}.edr -o {name}.xvg -xvg none");
        let input = format!("{}\n\n", terms.join("\n"));
        self.job(0).run(&words(&line), Some(&input))?;
        let path = self.folder.join(format!("{name}.xvg"));
        let text = std::fs::read_to_string(&path).map_err(|e| file_error(&path, &e))?;
        let mut rows = Vec::new();
        for line in text.lines() {
            let row: Option<Vec<f64>> =
                line.split_whitespace().skip(1).map(|w| w.parse().ok()).collect();
            match row {
                Some(row) if row.len() == terms.len() => rows.push(row),
                _ => {
                    let message =
                        format!("gmx energy: expected {} and got {line}", terms.join(", "));
                    return Err(PluginError::format(message));
                }
            }
        }
        if let Some(k) = rows.iter().position(|r| !r.iter().all(|x| x.is_finite())) {
            let message = format!("the energy is not finite at stored step {k} of {name}");
            return Err(PluginError { status: MARSFM_PLUGIN_DIVERGED, message });
        }
        if rows.is_empty() {
            return Err(PluginError::format(format!("gmx energy: {name}.edr holds no frame")));
        }
        Ok(rows)
    }

    /// The last positions (and velocities) that a stage wrote.
    pub fn last(&self, name: &str) -> Result<TrrFrame, PluginError> {
        let frame = trr::read_last(&self.folder.join(format!("{name}.trr")))?;
        let (got, want) = (frame.positions_nm.len(), self.template.tpr.atoms.len());
        if got != want {
            let message = format!("{name}.trr holds {got} atoms, the system {want}");
            return Err(PluginError::mismatch(message));
        }
        if !frame.positions_nm.as_flattened().iter().all(|x| x.is_finite()) {
            let message = format!("positions are not finite after {name}");
            return Err(PluginError { status: MARSFM_PLUGIN_DIVERGED, message });
        }
        Ok(frame)
    }

    /// The positions of a minimisation. mdrun puts atoms into the box, which tears molecules:
    /// each is taken at the image nearest to where it was before.
    pub fn minimised(&self, name: &str, before: &[[f64; 3]]) -> Result<TrrFrame, PluginError> {
        let mut frame = self.last(name)?;
        let cell = Box3(frame.cell_nm);
        for (after, before) in frame.positions_nm.iter_mut().zip(before) {
            *after = cell.image_near(*before, *after);
        }
        frame.time_ps = 0.0;
        Ok(frame)
    }

    /// Largest force of a minimisation, its atom counted from 0.
    pub fn largest_force(&self, said: &str) -> (f64, usize) {
        said::largest_force(said).unwrap_or((f64::NAN, 0))
    }
}
