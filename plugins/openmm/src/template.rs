//! A template folder, its System asked through OpenMM.

use crate::guard::Simulation;
use marsfm_plugin_api::engine::SystemRecord;
use marsfm_plugin_api::{AtomRecord, PluginError, is_water};
use marsfm_plugin_kit::template::Files;
use std::path::Path;

/// A template, read and checked.
pub struct Template {
    /// system.xml.
    pub system_xml: String,
    /// Names, positions, bonds.
    pub record: SystemRecord,
    /// Mass of each particle, Da.
    pub masses: Vec<f64>,
    /// Heavy atoms of everything but water.
    pub restrained: Vec<usize>,
    /// Degrees of freedom of the kinetic energy.
    pub freedom: f64,
    /// Residues of water.
    pub waters: usize,
    /// The System is periodic.
    pub periodic: bool,
}

impl Template {
    /// Reads the folder. OpenMM must be loaded: the System is asked through it.
    pub fn read(folder: &Path) -> Result<Self, PluginError> {
        let files = Files::read(folder)?;
        let system = Simulation::new(&files.system_xml)
            .map_err(|e| PluginError { message: format!("system.xml: {}", e.message), ..e })?;
        let (particles, n_constraints, periodic) = system.counts()?;
        let masses = system.masses()?;
        let mut bonds = bonds_of_xml(&files.system_xml, particles)?;
        bonds.extend(system.constraints()?);
        let mut record = files.record(&masses, bonds)?;
        let atoms = &record.atoms;
        let is_water = |a: &AtomRecord| is_water(&a.residue_name);
        let restrained = (0..particles)
            .filter(|i| masses[*i] > 0.0 && atoms[*i].element != "H" && !is_water(&atoms[*i]))
            .collect();
        let waters = atoms.iter().filter(|a| is_water(a) && a.element == "O").count();
        let moving = masses.iter().filter(|m| **m > 0.0).count();
        let drift = if files.system_xml.contains("type=\"CMMotionRemover\"") { 3.0 } else { 0.0 };
        if periodic {
            record.cell_nm = Some(system.default_cell()?);
        }
        if waters > 0 {
            let note = format!("{waters} waters: jumps inside explicit solvent are not offered");
            record.notes.push(note);
        }
        Ok(Self {
            freedom: (3 * moving) as f64 - n_constraints as f64 - drift,
            system_xml: files.system_xml,
            record,
            masses,
            restrained,
            waters,
            periodic,
        })
    }
}

/// Bonds of every HarmonicBondForce in the System's XML.
fn bonds_of_xml(xml: &str, n_atoms: usize) -> Result<Vec<[usize; 2]>, PluginError> {
    let mut bonds = Vec::new();
    for force in xml.split("<Force ").skip(1) {
        let head = force.split('>').next().unwrap_or("");
        if !head.contains("type=\"HarmonicBondForce\"") {
            continue;
        }
        let body = force.split("</Force>").next().unwrap_or("");
        for bond in body.split("<Bond ").skip(1) {
            let end = |name: &str| {
                let value = bond.split(name).nth(1)?.split('"').next()?;
                value.parse::<usize>().ok().filter(|i| *i < n_atoms)
            };
            match (end(" p1=\"").or_else(|| end("p1=\"")), end(" p2=\"").or_else(|| end("p2=\""))) {
                (Some(a), Some(b)) if a != b => bonds.push([a, b]),
                _ => return Err(PluginError::format("system.xml: a bond of unknown atoms")),
            }
        }
    }
    Ok(bonds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bonds_come_from_bond_forces_only() {
        let xml = "<Forces><Force type=\"HarmonicBondForce\" name=\"x\"><Bonds>\
            <Bond d=\".1\" k=\"3\" p1=\"0\" p2=\"1\"/><Bond d=\".1\" k=\"3\" p1=\"1\" p2=\"2\"/>\
            </Bonds></Force><Force type=\"CustomBondForce\"><Bonds><Bond p1=\"0\" p2=\"2\"/>\
            </Bonds></Force></Forces>";
        assert_eq!(bonds_of_xml(xml, 3).unwrap(), [[0, 1], [1, 2]]);
        assert!(bonds_of_xml(xml, 2).is_err());
    }
}
