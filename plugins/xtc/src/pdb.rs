//! Atoms of PDB files, by columns (Å). One model is what stands before `ENDMDL`, or before `END`
//! in files that separate frames so.

use crate::altloc::{RawAtom, choose};
use crate::cell::vectors_nm;
use marsfm_plugin_api::{AtomRecord, PluginError, TopologyFile, element};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// One model as read.
#[derive(Debug, Default)]
pub struct Model {
    pub atoms: Vec<RawAtom>,
    pub cell_nm: Option<[[f32; 3]; 3]>,
}

/// Reads the next model into `model`; its cell stays if the model has none. `Ok(false)` at the
/// end. `line` counts lines for messages.
pub fn next_model(
    file: &mut impl BufRead,
    line: &mut usize,
    model: &mut Model,
) -> Result<bool, PluginError> {
    model.atoms.clear();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if file.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(!model.atoms.is_empty());
        }
        *line += 1;
        let end = bytes.trim_ascii_end().len();
        let text = &bytes[..end];
        match text.get(..6).unwrap_or(text) {
            b"ATOM  " | b"HETATM" => {
                let atom = atom(text)
                    .map_err(|what| PluginError::format(format!("line {}: {what}", *line)))?;
                model.atoms.push(atom);
            }
            b"CRYST1" => {
                let number = |from, to| field(text, from, to).parse::<f64>().unwrap_or(f64::NAN);
                model.cell_nm = vectors_nm(
                    [number(6, 15), number(15, 24), number(24, 33)],
                    [number(33, 40), number(40, 47), number(47, 54)],
                );
            }
            b"ENDMDL" | b"END" if !model.atoms.is_empty() => return Ok(true),
            _ => {}
        }
    }
}

/// Atoms and coordinates of the first model.
pub fn read_topology(path: &Path) -> Result<TopologyFile, PluginError> {
    let mut file = BufReader::new(File::open(path)?);
    let (mut line, mut model) = (0, Model::default());
    if !next_model(&mut file, &mut line, &mut model)? {
        return Err(PluginError::format("no ATOM or HETATM line: is this a PDB file?"));
    }
    Ok(topology(model))
}

/// One conformer of a model, with notes.
pub fn topology(model: Model) -> TopologyFile {
    let (keep, notes) = choose(&model.atoms);
    let mut atoms = Vec::with_capacity(keep.len());
    let mut positions = Vec::with_capacity(keep.len());
    for i in keep {
        positions.push(model.atoms[i].xyz_nm());
        atoms.push(model.atoms[i].record.clone());
    }
    TopologyFile { atoms, positions_nm: Some(positions), cell_nm: model.cell_nm, notes }
}

fn atom(line: &[u8]) -> Result<RawAtom, String> {
    let name = field(line, 12, 16);
    // Column 21 is blank in the standard; four-letter residue names use it.
    let residue = field(line, 17, 21);
    let number = residue_number(&field(line, 22, 26))?;
    let chain = field(line, 21, 22);
    let chain = if chain.is_empty() { field(line, 72, 76) } else { chain };
    let mut xyz = [0.0; 3];
    for (k, axis) in ["x", "y", "z"].iter().enumerate() {
        let text = field(line, 30 + 8 * k, 38 + 8 * k);
        xyz[k] = text.parse().map_err(|_| format!("{axis} coordinate `{text}` is no number"))?;
    }
    let left = line.get(12).is_some_and(|b| *b != b' ');
    let record = AtomRecord {
        element: element(&field(line, 76, 78), &name, &residue, left),
        residue_number: number,
        insertion: field(line, 26, 27),
        name,
        residue_name: residue,
        chain,
    };
    let occupancy = field(line, 54, 60).parse().unwrap_or(1.0);
    Ok(RawAtom { record, altloc: field(line, 16, 17), occupancy, xyz_angstrom: xyz })
}

fn field(line: &[u8], from: usize, to: usize) -> String {
    let part = line.get(from..to.min(line.len()).max(from)).unwrap_or(b"");
    String::from_utf8_lossy(part).trim().to_owned()
}

/// Decimal, or hybrid-36 (`A000` = 10000) in large systems; blank is 0.
fn residue_number(text: &str) -> Result<i32, String> {
    if text.is_empty() {
        return Ok(0);
    }
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let hybrid = (text.len() == 4 && text.as_bytes()[0].is_ascii_alphabetic())
        .then(|| i32::from_str_radix(text, 36).ok())
        .flatten()
        .map(|n| n - 10 * 36_i32.pow(3) + 10_000);
    hybrid.ok_or_else(|| format!("residue number `{text}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\
CRYST1   30.000   40.000   50.000  90.00  90.00  90.00 P 1           1
MODEL        1
ATOM      1  N   ALA A   1      -1.009   0.647  -0.033  1.00  0.00           N
ATOM      2  CA AALA A   1A      1.000   2.000   3.000  0.60  0.00           C
ATOM      3  CA BALA A   1A      9.000   9.000   9.000  0.40  0.00           C
HETATM    4 CA    CA B2000     -10.000  20.000 -30.000
ENDMDL
MODEL        2
ATOM      1  N   ALA A   1       1.000   1.000   1.000
ENDMDL
END
";

    #[test]
    fn columns_models_altlocs_and_insertion_codes() {
        let mut text = TWO.as_bytes();
        let (mut line, mut model) = (0, Model::default());
        assert!(next_model(&mut text, &mut line, &mut model).unwrap());
        let top = topology(std::mem::take(&mut model));
        assert_eq!(top.atoms.len(), 3);
        assert_eq!(top.atoms[1].insertion, "A");
        assert_eq!(top.atoms[2].element, "Ca");
        assert_eq!(top.atoms[2].residue_number, 2000);
        assert_eq!(top.positions_nm.unwrap()[2], [-1.0, 2.0, -3.0]);
        assert_eq!(top.cell_nm.unwrap()[1][1], 4.0);
        assert_eq!(top.notes.len(), 1);
        assert!(next_model(&mut text, &mut line, &mut model).unwrap());
        assert_eq!(model.atoms.len(), 1);
        assert!(!next_model(&mut text, &mut line, &mut model).unwrap());
    }

    #[test]
    fn a_bad_coordinate_names_its_line() {
        let bad = TWO.replace("9.000   9.000   9.000", "9.000   oops!   9.000");
        let error = next_model(&mut bad.as_bytes(), &mut 0, &mut Model::default()).unwrap_err();
        assert!(error.message.contains("line 5: y coordinate `oops!`"), "{error}");
    }

    #[test]
    fn residue_numbers_beyond_9999() {
        assert_eq!(residue_number("A000"), Ok(10_000));
        assert_eq!(residue_number("-12"), Ok(-12));
        assert!(residue_number("1.5").is_err());
    }
}
