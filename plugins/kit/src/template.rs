//! A template folder: `system.xml`, a serialised OpenMM System, and `topology.pdb`. The System
//! knows masses, bonds and constraints, the PDB file names and positions; here it is checked that
//! they speak of the same atoms in the same order.

use marsfm_plugin_api::engine::SystemRecord;
use marsfm_plugin_api::{AtomRecord, PluginError, element};
use std::path::Path;

/// Longest bond of a template, nm.
const LONGEST_BOND: f64 = 0.25;
/// How far a mass may be from the element's, Da.
const MASS: f64 = 0.6;

/// What the two files say.
pub struct Files {
    /// system.xml.
    pub system_xml: String,
    /// Atoms of topology.pdb.
    pub atoms: Vec<AtomRecord>,
    /// Their positions, nm.
    pub positions_nm: Vec<[f64; 3]>,
}

impl Files {
    /// Reads the folder.
    pub fn read(folder: &Path) -> Result<Self, PluginError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|e| {
                PluginError::io(format!(
                    "{}: {e}; a template folder holds system.xml and topology.pdb (see \
                     plugins/openmm/tools/make_system.py)",
                    path.display()
                ))
            })
        };
        let (system_xml, pdb) = (read("system.xml")?, read("topology.pdb")?);
        let pdb_file = folder.join("topology.pdb").display().to_string();
        let (atoms, positions_nm) = atoms_of_pdb(&pdb, &pdb_file)?;
        Ok(Self { system_xml, atoms, positions_nm })
    }

    /// The engine's view, if the System, of which masses (Da) and bonds are given, is of these
    /// atoms.
    pub fn record(
        &self,
        masses: &[f64],
        mut bonds: Vec<[usize; 2]>,
    ) -> Result<SystemRecord, PluginError> {
        if masses.len() != self.atoms.len() {
            return Err(PluginError::mismatch(format!(
                "system.xml has {} particles, topology.pdb {} atoms; they must be of the same \
                 system",
                masses.len(),
                self.atoms.len()
            )));
        }
        for bond in &mut bonds {
            bond.sort_unstable();
        }
        bonds.sort_unstable();
        bonds.dedup();
        check(&self.atoms, masses, &bonds, &self.positions_nm)?;
        Ok(SystemRecord {
            atoms: self.atoms.clone(),
            positions_nm: self.positions_nm.clone(),
            cell_nm: None,
            bonds,
            notes: Vec::new(),
        })
    }
}

/// Atoms and positions of the first model.
fn atoms_of_pdb(text: &str, file: &str) -> Result<(Vec<AtomRecord>, Vec<[f64; 3]>), PluginError> {
    let (mut atoms, mut positions) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("ENDMDL") || line == "END" {
            break;
        }
        if !(line.starts_with("ATOM  ") || line.starts_with("HETATM")) {
            continue;
        }
        let field = |from: usize, to: usize| line.get(from..to.min(line.len())).unwrap_or("");
        let bad = |what: &str| PluginError::format(format!("{file}, line {}: {what}", number + 1));
        if !matches!(field(16, 17), " " | "A") {
            return Err(bad("an alternate location; a template has one place for each atom"));
        }
        let coordinate = |k: usize| {
            let text = field(30 + 8 * k, 38 + 8 * k).trim();
            text.parse::<f64>().map_err(|_| bad("the coordinates are no numbers"))
        };
        positions.push([coordinate(0)? / 10.0, coordinate(1)? / 10.0, coordinate(2)? / 10.0]);
        let (name, residue) = (field(12, 16), field(17, 21).trim());
        let left = !name.starts_with(' ');
        atoms.push(AtomRecord {
            element: element(field(76, 78), name.trim(), residue, left),
            name: name.trim().into(),
            residue_name: residue.into(),
            // Numbers of large systems may be hexadecimal; only their change matters there.
            residue_number: field(22, 26).trim().parse().unwrap_or(-1),
            insertion: field(26, 27).trim().into(),
            chain: field(21, 22).trim().into(),
        });
    }
    if atoms.is_empty() {
        return Err(PluginError::format(format!("{file}: no ATOM or HETATM line")));
    }
    Ok((atoms, positions))
}

/// The two files speak of the same atoms: bonds are short in the PDB's positions; a heavy atom and
/// its hydrogens together weigh what the element says (hydrogen mass repartitioning moves mass
/// inside such a group only).
fn check(
    atoms: &[AtomRecord],
    masses: &[f64],
    bonds: &[[usize; 2]],
    positions_nm: &[[f64; 3]],
) -> Result<(), PluginError> {
    let label = |i: usize| {
        let a = &atoms[i];
        format!("{} of residue {}{} {}", a.name, a.residue_number, a.insertion, a.residue_name)
    };
    let hint = "topology.pdb must list the System's atoms in the System's order";
    let mut group = masses.to_vec();
    let mut expected: Vec<Option<f64>> = atoms.iter().map(|a| weight(&a.element)).collect();
    for &[a, b] in bonds {
        let d: f64 = (0..3).map(|k| (positions_nm[a][k] - positions_nm[b][k]).powi(2)).sum();
        if d.sqrt() > LONGEST_BOND {
            return Err(PluginError::mismatch(format!(
                "system.xml bonds {} and {}, which are {:.2} nm apart in topology.pdb; {hint}",
                label(a),
                label(b),
                d.sqrt()
            )));
        }
        for (h, heavy) in [(a, b), (b, a)] {
            if atoms[h].element == "H" && atoms[heavy].element != "H" {
                group[heavy] += masses[h];
                expected[heavy] = expected[heavy].map(|w| w + 1.008);
            }
        }
    }
    for i in 0..atoms.len() {
        let Some(expected) = expected[i].filter(|_| masses[i] > 0.0) else { continue };
        let light = atoms[i].element == "H";
        let fits = if light { masses[i] < 5.0 } else { (group[i] - expected).abs() < MASS };
        if !fits {
            return Err(PluginError::mismatch(format!(
                "{} is {} in topology.pdb, but system.xml gives it (with its hydrogens) {:.2} Da \
                 and not {expected:.2}; {hint}",
                label(i),
                atoms[i].element,
                group[i]
            )));
        }
    }
    Ok(())
}

/// Standard atomic weight, Da.
fn weight(element: &str) -> Option<f64> {
    Some(match element {
        "H" => 1.008,
        "C" => 12.011,
        "N" => 14.007,
        "O" => 15.999,
        "P" => 30.974,
        "S" => 32.06,
        "Se" => 78.971,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PDB: &str = "\
ATOM      1  N   GLY A   1       0.000   0.000   0.000  1.00  0.00           N
ATOM      2  H   GLY A   1       1.010   0.000   0.000  1.00  0.00           H
ATOM      3  CA  GLY A   1      -0.700   1.260   0.000  1.00  0.00           C
";

    fn atoms() -> (Vec<AtomRecord>, Vec<[f64; 3]>) {
        atoms_of_pdb(PDB, "t.pdb").unwrap()
    }

    #[test]
    fn names_elements_and_nanometres_are_read() {
        let (atoms, positions) = atoms();
        assert_eq!((atoms.len(), atoms[2].name.as_str()), (3, "CA"));
        assert_eq!((atoms[1].element.as_str(), atoms[1].residue_name.as_str()), ("H", "GLY"));
        assert!((positions[2][1] - 0.126).abs() < 1e-12);
        let error = atoms_of_pdb("REMARK\n", "t.pdb").unwrap_err();
        assert!(error.message.contains("no ATOM"));
        let broken = PDB.replace("-0.700", "   x  ");
        assert!(atoms_of_pdb(&broken, "t.pdb").unwrap_err().message.contains("line 3"));
    }

    #[test]
    fn another_order_is_found_by_mass_and_by_bonds() {
        let (atoms, positions) = atoms();
        let bonds = [[0, 1], [0, 2]];
        // Plain and repartitioned hydrogens.
        check(&atoms, &[14.007, 1.008, 12.011], &bonds, &positions).unwrap();
        check(&atoms, &[12.015, 3.0, 12.011], &bonds, &positions).unwrap();
        let error = check(&atoms, &[12.011, 1.008, 14.007], &bonds, &positions).unwrap_err();
        assert!(error.message.contains("N of residue 1 GLY is N"), "{error}");
        let far = vec![positions[0], positions[1], [0.9, 0.0, 0.0]];
        let error = check(&atoms, &[14.007, 1.008, 12.011], &bonds, &far).unwrap_err();
        assert!(error.message.contains("0.90 nm apart"), "{error}");
    }
}
