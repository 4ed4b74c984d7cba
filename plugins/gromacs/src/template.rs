//! A template folder: `conf.gro`, `topol.top`, `md.mdp`, and `index.ndx` if there is one. grompp
//! and `gmx dump` are asked what they make, so that the system is what mdrun will run.

use crate::child::{self, Job};
use crate::find::Program;
use crate::gro::{self, Gro};
use crate::mdp::Mdp;
use crate::settings::Settings;
use crate::solvent::Box3;
use crate::steps::Stage;
use crate::tpr::{self, Tpr};
use marsfm_plugin_api::PluginError;
use marsfm_plugin_api::engine::SystemRecord;
use std::path::PathBuf;

/// Longest bond in positions that are in the engine's order, nm.
const LONGEST_BOND: f64 = 0.3;

/// A template, read and checked.
pub struct Template {
    /// Its folder.
    pub folder: PathBuf,
    /// `md.mdp` with the caller's temperature, friction and step.
    pub mdp: Mdp,
    /// `conf.gro`.
    pub gro: Gro,
    /// What grompp made of it.
    pub tpr: Tpr,
    /// True for atoms with mass that are no hydrogens.
    pub heavy: Vec<bool>,
    /// Step, ps.
    pub step_ps: f64,
    /// Temperature of the first group, K.
    pub temperature_kelvin: f64,
    /// Friction of the first group, 1/ps; 0 without `sd`.
    pub friction_per_ps: f64,
}

impl Template {
    /// Reads the folder.
    pub fn read(program: &Program, settings: &Settings) -> Result<Self, PluginError> {
        let folder = settings.template.clone().ok_or_else(|| {
            PluginError::invalid("the option `template` is missing: the folder of topol.top")
        })?;
        for name in ["conf.gro", "topol.top", "md.mdp"] {
            let path = folder.join(name);
            if !path.is_file() {
                return Err(PluginError::io(format!(
                    "{} is missing; a template folder holds conf.gro, topol.top and md.mdp (see \
                     tools/make_template.sh of this plugin)",
                    path.display()
                )));
            }
        }
        let gro = gro::read(&folder.join("conf.gro"))?;
        let mdp = given(&Mdp::read(&folder.join("md.mdp"))?, settings)?;
        let first = |name: &str| mdp.words(name).first().and_then(|w| w.parse::<f64>().ok());
        let temperature_kelvin = first("ref-t").ok_or_else(|| {
            PluginError::invalid("md.mdp has no ref-t; set it, or the option temperature_kelvin")
        })?;
        let friction_per_ps = match mdp.get("integrator") {
            "sd" => first("tau-t").filter(|t| *t > 0.0).map_or(0.0, |t| 1.0 / t),
            _ => 0.0,
        };
        let step_ps = mdp.number("dt", 0.001)?;
        let mut made = Self {
            folder,
            mdp,
            gro,
            tpr: Tpr::default(),
            heavy: Vec::new(),
            step_ps,
            temperature_kelvin,
            friction_per_ps,
        };
        made.tpr = made.ask(program)?;
        made.check()?;
        let atoms = made.tpr.atoms.iter().zip(&made.tpr.masses);
        made.heavy = atoms.map(|(a, mass)| *mass > 0.0 && a.element != "H").collect();
        Ok(made)
    }

    /// Through grompp, with the restraints on, and back as text.
    fn ask(&self, program: &Program) -> Result<Tpr, PluginError> {
        let work = child::scratch()?;
        let stage = Stage { program, template: self, folder: work.path(), watch: None, threads: 1 };
        stage.grompp("template", &self.mdp.defining("-DPOSRES"), None, None)?;
        let job = Job::new(&program.path, work.path());
        let words = ["-quiet", "dump", "-s", "template.tpr"].map(str::to_owned);
        tpr::parse(&job.run(&words, None)?)
    }

    fn check(&self) -> Result<(), PluginError> {
        let (n, tpr) = (self.tpr.atoms.len(), &self.tpr);
        if self.gro.names.len() != n {
            let got = self.gro.names.len();
            let message = format!("conf.gro has {got} atoms, topol.top {n}");
            return Err(PluginError::mismatch(message));
        }
        for (i, (theirs, ours)) in self.gro.names.iter().zip(&tpr.atoms).enumerate() {
            // grompp warns of other names only up to a point.
            if *theirs != ours.name {
                return Err(PluginError::mismatch(format!(
                    "atom {} is {theirs} in conf.gro and {} in topol.top: bring them into one order",
                    i + 1,
                    self.label(i)
                )));
            }
        }
        if tpr.restrained.is_empty() {
            return Err(PluginError::invalid(
                "topol.top has no position restraints: seeds are minimised, and solvent is \
                 equilibrated, with the solute's heavy atoms held, so the topology must include \
                 some under #ifdef POSRES, as gmx pdb2gmx writes it (gmx genrestr makes them)",
            ));
        }
        self.bonded(&self.gro.positions_nm, &self.gro.cell_nm)
            .map_err(|e| PluginError { message: format!("conf.gro: {}", e.message), ..e })
    }

    /// Positions are in the engine's order: no bond is too long.
    pub fn bonded(&self, xyz: &[[f64; 3]], cell: &[[f64; 3]; 3]) -> Result<(), PluginError> {
        let cell = Box3(*cell);
        for &[a, b] in &self.tpr.bonds {
            let distance = cell.distance(xyz[a], xyz[b]);
            if distance > LONGEST_BOND {
                return Err(PluginError::mismatch(format!(
                    "{} and {} are bonded and {distance:.2} nm apart: the positions are not in \
                     the topology's order, or the molecule is torn",
                    self.label(a),
                    self.label(b)
                )));
            }
        }
        Ok(())
    }

    fn label(&self, i: usize) -> String {
        let a = &self.tpr.atoms[i];
        format!("{} of residue {}{} {}", a.name, a.residue_number, a.insertion, a.residue_name)
    }

    /// As the host is told.
    pub fn record(&self, notes: Vec<String>) -> SystemRecord {
        SystemRecord {
            atoms: self.tpr.atoms.clone(),
            positions_nm: self.gro.positions_nm.clone(),
            cell_nm: Some(self.gro.cell_nm),
            bonds: self.tpr.bonds.clone(),
            notes,
        }
    }
}

/// The caller's temperature, friction and step over those of the file.
fn given(mdp: &Mdp, settings: &Settings) -> Result<Mdp, PluginError> {
    if !matches!(mdp.get("integrator"), "sd" | "md" | "md-vv") {
        let found = mdp.get("integrator");
        let message = format!("md.mdp: integrator = {found}; expected sd, md or md-vv");
        return Err(PluginError::invalid(message));
    }
    let mut mdp = mdp.clone();
    if mdp.words("tc-grps").is_empty() {
        mdp = mdp.with([("tc-grps", "System".into())]);
    }
    let groups = mdp.words("tc-grps").len();
    let each = |value: f64| vec![value.to_string(); groups].join(" ");
    if let Some(kelvin) = settings.temperature_kelvin {
        mdp = mdp.with([("ref-t", each(kelvin))]);
    }
    if let Some(friction) = settings.friction_per_ps {
        let tau = each(1.0 / friction);
        mdp = mdp.with([("integrator", "sd".into()), ("tcoupl", "no".into()), ("tau-t", tau)]);
    }
    if let Some(step) = settings.step_ps {
        mdp = mdp.with([("dt", step.to_string())]);
    }
    Ok(mdp)
}
