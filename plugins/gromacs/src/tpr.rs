//! What `gmx dump -s` says of a run input: atoms in the engine's order, bonds, molecules,
//! restraints. The text has kept its form since GROMACS 2018.

use marsfm_plugin_api::{AtomRecord, PluginError, element, is_water};
use std::ops::Range;

/// Interactions that are bonds. SETTLE names a water's oxygen and its two hydrogens.
const BONDS: [&str; 6] = ["BONDS", "G96BONDS", "MORSE", "HARMONIC", "CONSTR", "SETTLE"];

/// A kind of molecule.
#[derive(Default)]
struct Kind {
    atoms: Vec<AtomRecord>,
    masses: Vec<f64>,
    residue_of: Vec<usize>,
    residues: Vec<(String, i32, String)>,
    bonds: Vec<[usize; 2]>,
    /// Atoms with position restraints.
    restrained: Vec<usize>,
}

/// A run input's system.
#[derive(Debug, Default)]
pub struct Tpr {
    /// Atoms in order.
    pub atoms: Vec<AtomRecord>,
    /// Masses, Da; 0 for a virtual site.
    pub masses: Vec<f64>,
    /// Bonds, constrained ones included.
    pub bonds: Vec<[usize; 2]>,
    /// Atoms that `-DPOSRES` restrains.
    pub restrained: Vec<usize>,
    /// Atoms of each molecule of solvent: water, and molecules of one atom (ions).
    pub solvent: Vec<Range<usize>>,
    /// How many of them are water.
    pub waters: usize,
}

/// Reads the text of a dump.
pub fn parse(text: &str) -> Result<Tpr, PluginError> {
    let bad = || PluginError::format("gmx dump: its text has another form than this plugin knows");
    let (mut kinds, mut blocks): (Vec<Kind>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
    let mut names_are_next = false;
    for line in text.lines() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("moltype ").map(str::trim) {
            // `moltype              = 0 "Protein"` belongs to a block, `moltype (0):` begins a kind.
            match rest.strip_prefix('=') {
                Some(of) => {
                    let index = of.split_whitespace().next().and_then(|w| w.parse().ok());
                    blocks.push((index.ok_or_else(bad)?, 0));
                }
                None => kinds.push(Kind::default()),
            }
        } else if let Some(rest) = line.strip_prefix("#molecules") {
            let count = rest.trim().trim_start_matches('=').trim().parse().ok();
            blocks.last_mut().ok_or_else(bad)?.1 = count.ok_or_else(bad)?;
        } else if let Some(kind) = kinds.last_mut() {
            if line.starts_with("atom (") {
                // Numbers first, then names.
                names_are_next = !kind.atoms.is_empty();
            } else if line.starts_with("atom[") && !names_are_next {
                let mass = value(line, " m=").and_then(|v| v.parse().ok()).ok_or_else(bad)?;
                let residue = value(line, "resind=").and_then(|v| v.parse().ok());
                let z: i32 = value(line, "atomnumber=").and_then(|v| v.parse().ok()).unwrap_or(-1);
                kind.masses.push(mass);
                kind.residue_of.push(residue.ok_or_else(bad)?);
                kind.atoms.push(AtomRecord {
                    element: symbol(z).into(),
                    name: String::new(),
                    residue_name: String::new(),
                    residue_number: 0,
                    insertion: String::new(),
                    chain: String::new(),
                });
            } else if line.starts_with("atom[") {
                let index: usize = index(line).ok_or_else(bad)?;
                let name = quoted(line).ok_or_else(bad)?;
                kind.atoms.get_mut(index).ok_or_else(bad)?.name = name.into();
            } else if line.starts_with("residue[") {
                let number = value(line, "nr=").and_then(|v| v.parse().ok()).ok_or_else(bad)?;
                let code = line.split("ic='").nth(1).and_then(|t| t.chars().next());
                let code = code.filter(|c| c.is_ascii_alphanumeric());
                let name = quoted(line).ok_or_else(bad)?.to_owned();
                kind.residues.push((name, number, code.map_or(String::new(), String::from)));
            } else if let Some((name, atoms)) = interaction(line) {
                if BONDS.iter().any(|b| name.starts_with(b)) && atoms.len() >= 2 {
                    kind.bonds.extend(atoms[1..].iter().map(|a| [atoms[0], *a]));
                } else if name == "POSRES" && !atoms.is_empty() {
                    kind.restrained.push(atoms[0]);
                }
            }
        }
    }
    let mut all = Tpr::default();
    let mut chains = 0;
    for (index, count) in blocks {
        let kind = kinds.get(index).ok_or_else(bad)?;
        for copy in 0..count {
            all.add(kind, copy, &mut chains).ok_or_else(bad)?;
        }
    }
    if all.atoms.is_empty() { Err(bad()) } else { Ok(all) }
}

impl Tpr {
    fn add(&mut self, kind: &Kind, copy: usize, chains: &mut usize) -> Option<()> {
        let at = self.atoms.len();
        let water = kind.residues.first().is_some_and(|r| is_water(&r.0));
        let solvent = water || kind.atoms.len() == 1;
        let chain = if solvent { String::new() } else { letter(*chains) };
        *chains += usize::from(!solvent);
        for (i, atom) in kind.atoms.iter().enumerate() {
            let (name, number, insertion) = kind.residues.get(kind.residue_of[i])?;
            let mut atom = atom.clone();
            if atom.element.is_empty() && kind.masses[i] > 0.0 {
                atom.element = element("", &atom.name, name, false);
            }
            atom.residue_name = name.clone();
            // Copies of a molecule carry the same number in the file.
            atom.residue_number = if solvent { copy as i32 + 1 } else { *number };
            atom.insertion = insertion.clone();
            atom.chain = chain.clone();
            self.atoms.push(atom);
        }
        self.masses.extend(&kind.masses);
        self.restrained.extend(kind.restrained.iter().map(|a| at + a));
        let n = kind.atoms.len();
        for [a, b] in &kind.bonds {
            if *a >= n || *b >= n {
                return None;
            }
            let (a, b) = (at + a, at + b);
            self.bonds.push([a.min(b), a.max(b)]);
        }
        if solvent {
            self.solvent.push(at..at + n);
            self.waters += usize::from(water);
        }
        Some(())
    }
}

/// Chain A, B, … as GROMACS itself names molecules.
fn letter(k: usize) -> String {
    char::from(b'A' + (k % 26) as u8).into()
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.split(key).nth(1)?.trim_start();
    Some(rest.split([',', '}']).next()?.trim())
}

fn quoted(line: &str) -> Option<&str> {
    line.split('"').nth(1)
}

fn index(line: &str) -> Option<usize> {
    line.split('[').nth(1)?.split(']').next()?.trim().parse().ok()
}

/// `3 type=65 (BONDS)   6   9` as name and atoms.
fn interaction(line: &str) -> Option<(&str, Vec<usize>)> {
    let (head, rest) = line.split_once(" (")?;
    if !head.contains("type=") || !head.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (name, atoms) = rest.split_once(')')?;
    Some((name, atoms.split_whitespace().map_while(|w| w.parse().ok()).collect()))
}

/// Element of an atomic number, empty if it is not known here.
fn symbol(z: i32) -> &'static str {
    match z {
        1 => "H",
        3 => "Li",
        6 => "C",
        7 => "N",
        8 => "O",
        9 => "F",
        11 => "Na",
        12 => "Mg",
        15 => "P",
        16 => "S",
        17 => "Cl",
        19 => "K",
        20 => "Ca",
        26 => "Fe",
        30 => "Zn",
        34 => "Se",
        35 => "Br",
        53 => "I",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = r#"
topology:
   molblock (0):
      moltype              = 0 "Protein_chain_A"
      #molecules                     = 1
   molblock (1):
      moltype              = 1 "SOL"
      #molecules                     = 2
   moltype (0):
      name="Protein_chain_A"
      atoms:
         atom (3):
            atom[     0]={type=  0, typeB=  0, ptype=    Atom, m= 1.40100e+01, q= 1.49300e-01, mB= 1.40100e+01, qB= 1.49300e-01, resind=    0, atomnumber=  7}
            atom[     1]={type=  1, typeB=  1, ptype=    Atom, m= 1.00800e+00, q= 1.99600e-01, mB= 1.00800e+00, qB= 1.99600e-01, resind=    0, atomnumber=  1}
            atom[     2]={type=  1, typeB=  1, ptype=    Atom, m= 1.20100e+01, q= 1.99600e-01, mB= 1.00800e+00, qB= 1.99600e-01, resind=    1, atomnumber= -1}
         atom (3):
            atom[0]={name="N"}
            atom[1]={name="H1"}
            atom[2]={name="CA"}
         type (3):
            type[0]={name="N3",nameB="N3"}
         residue (2):
            residue[0]={name="GLN", nr=10, ic='A'}
            residue[1]={name="LEU", nr=11, ic=' '}
      Bond:
         nr: 3
         iatoms:
            0 type=64 (BONDS)   0   2
      Position Rest.:
            0 type=68 (POSRES)   0
      Constraint:
            0 type=138 (CONSTR)   0   1
   moltype (1):
      name="SOL"
      atoms:
         atom (3):
            atom[     0]={type=  0, ptype= Atom, m= 1.60000e+01, q= 0, resind=    0, atomnumber=  8}
            atom[     1]={type=  1, ptype= Atom, m= 1.00800e+00, q= 0, resind=    0, atomnumber=  1}
            atom[     2]={type=  1, ptype= Atom, m= 1.00800e+00, q= 0, resind=    0, atomnumber=  1}
         atom (3):
            atom[0]={name="OW"}
            atom[1]={name="HW1"}
            atom[2]={name="HW2"}
         residue (1):
            residue[0]={name="SOL", nr=1, ic=' '}
      Settle:
            0 type=9 (SETTLE)   0   1   2
"#;

    #[test]
    fn molecules_are_laid_out_one_after_another() {
        let tpr = parse(DUMP).unwrap();
        assert_eq!((tpr.atoms.len(), tpr.waters), (9, 2));
        assert_eq!(tpr.solvent, [3..6, 6..9]);
        assert_eq!(tpr.bonds, [[0, 2], [0, 1], [3, 4], [3, 5], [6, 7], [6, 8]]);
        assert_eq!(tpr.restrained, [0]);
        let first = &tpr.atoms[0];
        assert_eq!((first.name.as_str(), first.residue_number), ("N", 10));
        assert_eq!((first.insertion.as_str(), first.chain.as_str()), ("A", "A"));
        assert_eq!(tpr.atoms[2].element, "C", "guessed from the name");
        assert_eq!((tpr.atoms[6].residue_number, tpr.atoms[6].chain.as_str()), (2, ""));
        assert!(parse("nothing").is_err());
    }
}
