//! Atoms of mmCIF files: the `_atom_site` loop of the first data block, first model, in the
//! author's numbering where it is given (Å).

use crate::altloc::RawAtom;
use crate::cell::vectors_nm;
use crate::pdb::{Model, topology};
use marsfm_plugin_api::{AtomRecord, PluginError, TopologyFile, element};
use std::path::Path;

/// Atoms and coordinates of the first model.
pub fn read_topology(path: &Path) -> Result<TopologyFile, PluginError> {
    let bytes = std::fs::read(path)?;
    parse(&String::from_utf8_lossy(&bytes))
}

fn parse(text: &str) -> Result<TopologyFile, PluginError> {
    let tokens = tokens(text)?;
    let mut model = Model::default();
    let (mut lengths, mut angles) = ([f64::NAN; 3], [f64::NAN; 3]);
    let mut models = 1;
    let mut i = 0;
    while i < tokens.len() {
        let token = &tokens[i];
        i += 1;
        if token.quoted {
            continue;
        }
        let word = token.text.to_ascii_lowercase();
        if let Some(item) = word.strip_prefix("_cell.") {
            let value = tokens.get(i).and_then(|t| t.text.parse().ok()).unwrap_or(f64::NAN);
            match item {
                "length_a" => lengths[0] = value,
                "length_b" => lengths[1] = value,
                "length_c" => lengths[2] = value,
                "angle_alpha" => angles[0] = value,
                "angle_beta" => angles[1] = value,
                "angle_gamma" => angles[2] = value,
                _ => {}
            }
        } else if word == "loop_" {
            let start = i;
            while tokens.get(i).is_some_and(|t| !t.quoted && t.text.starts_with('_')) {
                i += 1;
            }
            let names: Vec<String> =
                tokens[start..i].iter().map(|t| t.text.to_ascii_lowercase()).collect();
            let rows = i;
            while tokens.get(i).is_some_and(|t| t.quoted || !is_keyword(&t.text)) {
                i += 1;
            }
            if names.first().is_some_and(|n| n.starts_with("_atom_site.")) {
                models = atom_site(&names, &tokens[rows..i], &mut model)?;
            }
        } else if word.starts_with("data_") && !model.atoms.is_empty() {
            break;
        }
    }
    if model.atoms.is_empty() {
        return Err(PluginError::format("no _atom_site loop: is this an mmCIF structure file?"));
    }
    model.cell_nm = vectors_nm(lengths, angles);
    let mut file = topology(model);
    if models > 1 {
        file.notes.push(format!("{models} models, the first is used"));
    }
    Ok(file)
}

fn is_keyword(text: &str) -> bool {
    let lower = text.get(..5).unwrap_or(text).to_ascii_lowercase();
    text.starts_with('_') || lower == "loop_" || lower == "data_" || lower == "save_"
}

fn atom_site(
    names: &[String],
    values: &[Token<'_>],
    model: &mut Model,
) -> Result<usize, PluginError> {
    let column = |item: &str| names.iter().position(|n| &n["_atom_site.".len()..] == item);
    if names.iter().any(|n| !n.starts_with("_atom_site.")) {
        return Err(PluginError::format("the _atom_site loop mixes categories"));
    }
    let either = |auth: &str, label: &str| {
        column(auth).or_else(|| column(label)).ok_or_else(|| {
            PluginError::format(format!("the _atom_site loop has neither {auth} nor {label}"))
        })
    };
    let need = |item: &str| {
        column(item)
            .ok_or_else(|| PluginError::format(format!("the _atom_site loop has no {item}")))
    };
    let name = either("auth_atom_id", "label_atom_id")?;
    let residue = either("auth_comp_id", "label_comp_id")?;
    let chain = either("auth_asym_id", "label_asym_id")?;
    let number = either("auth_seq_id", "label_seq_id")?;
    let xyz = [need("cartn_x")?, need("cartn_y")?, need("cartn_z")?];
    let (altloc, insertion) = (column("label_alt_id"), column("pdbx_pdb_ins_code"));
    let (symbol, occupancy) = (column("type_symbol"), column("occupancy"));
    let model_column = column("pdbx_pdb_model_num");
    if !values.len().is_multiple_of(names.len()) {
        return Err(PluginError::format(format!(
            "the _atom_site loop is cut off: {} values are no multiple of {} columns",
            values.len(),
            names.len()
        )));
    }
    let mut models: Vec<&str> = Vec::new();
    for (k, row) in values.chunks_exact(names.len()).enumerate() {
        let text = |c: usize| row[c].value();
        let optional = |c: Option<usize>| c.map(text).unwrap_or("");
        let this = optional(model_column);
        if !models.contains(&this) {
            models.push(this);
        }
        if models.len() > 1 && models[0] != this {
            continue;
        }
        let mut xyz_angstrom = [0.0; 3];
        for (value, &c) in xyz_angstrom.iter_mut().zip(&xyz) {
            *value = text(c).parse().map_err(|_| {
                PluginError::format(format!("atom {k}: `{}` is no coordinate", text(c)))
            })?;
        }
        let residue_number = match text(number) {
            "" => 0, // waters without a number
            n => n.parse().map_err(|_| {
                PluginError::format(format!("atom {k}: `{n}` is no residue number"))
            })?,
        };
        model.atoms.push(RawAtom {
            record: AtomRecord {
                element: element(optional(symbol), text(name), text(residue), true),
                name: text(name).into(),
                residue_name: text(residue).into(),
                residue_number,
                insertion: optional(insertion).into(),
                chain: text(chain).into(),
            },
            altloc: optional(altloc).into(),
            occupancy: optional(occupancy).parse().unwrap_or(1.0),
            xyz_angstrom,
        });
    }
    Ok(models.len())
}

struct Token<'a> {
    text: std::borrow::Cow<'a, str>,
    quoted: bool,
}

impl Token<'_> {
    /// The value, empty for CIF's `.` (not applicable) and `?` (unknown).
    fn value(&self) -> &str {
        if !self.quoted && (self.text == "." || self.text == "?") { "" } else { &self.text }
    }
}

/// Words, quoted strings, and text fields between lines that begin with a semicolon.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, PluginError> {
    let mut tokens = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(first) = line.strip_prefix(';') {
            let mut value = first.to_owned();
            loop {
                let Some((_, next)) = lines.next() else {
                    let message = format!("line {}: text field without end", number + 1);
                    return Err(PluginError::format(message));
                };
                if next.starts_with(';') {
                    break;
                }
                value.push('\n');
                value.push_str(next);
            }
            tokens.push(Token { text: value.into(), quoted: true });
            continue;
        }
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next().filter(|c| *c != '#') {
            let end;
            if first == '\'' || first == '"' {
                // The quote ends where a blank or the end of the line follows it.
                let inner = &rest[1..];
                let close = inner
                    .match_indices(first)
                    .map(|(at, _)| at)
                    .find(|at| inner[at + 1..].chars().next().is_none_or(char::is_whitespace));
                let Some(close) = close else {
                    let message = format!("line {}: quote without end", number + 1);
                    return Err(PluginError::format(message));
                };
                tokens.push(Token { text: inner[..close].into(), quoted: true });
                end = close + 2;
            } else {
                end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                tokens.push(Token { text: rest[..end].into(), quoted: false });
            }
            rest = rest[end..].trim_start();
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIF: &str = "\
data_TEST
_cell.length_a 30.0
_cell.length_b 40.0
_cell.length_c 50.0
_cell.angle_alpha 90
_cell.angle_beta 90
_cell.angle_gamma 90
_struct.title
;a text with loop_ and _atom_site.x
;
loop_
_atom_site.group_PDB
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.auth_asym_id
_atom_site.label_seq_id
_atom_site.auth_seq_id
_atom_site.pdbx_PDB_ins_code
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.pdbx_PDB_model_num
ATOM N N . ALA X A 1 7 ? -1.009 0.647 -0.033 1.0 1
ATOM C CA A ALA X A 1 7 B 1 2 3 0.3 1
ATOM C CA B ALA X A 1 7 B 4 5 6 0.7 1
HETATM O \"O5'\" . LIG Y B . 9 ? 0 0 0 1.0 1
ATOM N N . ALA X A 1 7 ? 9 9 9 1.0 2
# the end
";

    #[test]
    fn the_atom_site_loop_in_author_numbering() {
        let top = parse(CIF).unwrap();
        assert_eq!(top.atoms.len(), 3);
        assert_eq!((top.atoms[0].chain.as_str(), top.atoms[0].residue_number), ("A", 7));
        assert_eq!(top.atoms[1].insertion, "B");
        assert_eq!(top.positions_nm.as_ref().unwrap()[1], [0.4, 0.5, 0.6]);
        assert_eq!((top.atoms[2].name.as_str(), top.atoms[2].element.as_str()), ("O5'", "O"));
        assert_eq!(top.cell_nm.unwrap()[2][2], 5.0);
        assert_eq!(top.notes.len(), 2, "altloc and models: {:?}", top.notes);
    }

    #[test]
    fn damaged_files_are_errors() {
        assert!(parse("data_x\n").is_err());
        assert!(parse(&CIF.replace(" 1.0 2", "")).unwrap_err().message.contains("cut off"));
        assert!(parse(&CIF.replace("_atom_site.Cartn_y", "_atom_site.foo")).is_err());
        assert!(parse("data_x\n_a 'b\n").unwrap_err().message.contains("line 2"));
        assert!(parse("data_x\n_a\n;b\n").unwrap_err().message.contains("line 3"));
    }
}
