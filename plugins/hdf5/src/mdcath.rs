//! The layout of mdCATH (`mdcath-only-protein-v1.0`): `/DOMAIN/` holds per-atom datasets and PDB
//! texts, `/DOMAIN/450/2/` replica 2 at 450 K: coords (frames × atoms × 3, Å), box (nm), and
//! quantities made of them. One frame per ns.
//!
//! Atom names are CHARMM's, as in the PDB text; whoever reads them knows HSD and OT1. What the file
//! stores beside the coordinates is used to check them: numFrames, the shape of dssp, and the radius
//! of gyration frame by frame.

use crate::file::{Blocks, Opened};
use marsfm_plugin_api::{AtomRecord, FrameMut, PluginError, ReadFrames, TopologyFile};

const NM_PER_ANGSTROM: f32 = 0.1;
const PS_PER_FRAME: f64 = 1000.0;
/// Largest relative difference between the stored radius of gyration and that of the coordinates
/// (equal weights or masses, the files do not say): frames or units that do not belong together
/// differ by more.
const RG_TOLERANCE: f64 = 0.05;

/// Atoms with the structure of `pdbProteinAtoms`, checked against the per-atom datasets.
pub fn topology(opened: &Opened, domain: &str) -> Result<TopologyFile, PluginError> {
    let text = opened.text(&format!("/{domain}/pdbProteinAtoms"))?;
    let (mut atoms, mut positions) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("ATOM") || line.starts_with("HETATM") {
            let (atom, position) = atom(line).map_err(|e| {
                PluginError::format(format!("pdbProteinAtoms, line {}: {e}", number + 1))
            })?;
            atoms.push(atom);
            positions.push(position);
        }
    }
    let per_atom = |name: &str| opened.strings(&format!("/{domain}/{name}"));
    let (elements, residues, chains) =
        (per_atom("element")?, per_atom("resname")?, per_atom("chain")?);
    let numbers = opened.numbers(&format!("/{domain}/resid"))?;
    for (what, n) in [
        ("pdbProteinAtoms", atoms.len()),
        ("resname", residues.len()),
        ("chain", chains.len()),
        ("resid", numbers.len()),
    ] {
        if n != elements.len() {
            return Err(PluginError::format(format!(
                "{what} is of {n} atoms, element of {}: the file contradicts itself",
                elements.len()
            )));
        }
    }
    for (i, atom) in atoms.iter_mut().enumerate() {
        let number = numbers[i] as i32;
        if atom.residue_name != residues[i] || atom.residue_number != number {
            return Err(PluginError::format(format!(
                "atom {i} is {} of {}{} in pdbProteinAtoms and of {}{number} in resname and resid: \
                 the file contradicts itself",
                atom.name, atom.residue_name, atom.residue_number, residues[i]
            )));
        }
        atom.element = symbol(&elements[i]);
        atom.chain.clone_from(&chains[i]);
    }
    Ok(TopologyFile { atoms, positions_nm: Some(positions), cell_nm: None, notes: Vec::new() })
}

/// One trajectory.
pub struct Reader {
    coords: Blocks,
    cell_nm: Option<[[f32; 3]; 3]>,
    /// Stored radius of gyration per frame, nm, if there is one.
    gyration_nm: Vec<f64>,
    /// Per atom: mass of a heavy atom, 0 of a hydrogen.
    weights: Vec<f64>,
}

impl Reader {
    /// Opens the trajectory that the path names, or the only one there is.
    pub fn open(opened: &Opened, domain: &str) -> Result<Self, PluginError> {
        let group = format!("/{domain}/{}", chosen(opened, domain)?);
        let (_, inside) = opened.members(&group)?;
        let has = |name: &str| inside.iter().any(|d| d == name);
        if !has("coords") {
            return Err(PluginError::format(format!("{group}: it holds no coords")));
        }
        let coords = Blocks::new(opened, &format!("{group}/coords"))?;
        let elements = opened.strings(&format!("/{domain}/element"))?;
        let differ = |what: &str, found: usize, expected: usize| {
            Err(PluginError::format(format!(
                "{group}: {what} is {found}, coords say {expected}: the file is incomplete or \
                 contradicts itself"
            )))
        };
        if elements.len() != coords.n_atoms() {
            return differ("the number of atoms of the domain", elements.len(), coords.n_atoms());
        }
        if let Some(n) = opened.attribute(&group, "numFrames").map(|n| n as usize)
            && n != coords.n_frames()
        {
            return differ("numFrames", n, coords.n_frames());
        }
        for name in ["dssp", "gyrationRadius"].into_iter().filter(|n| has(n)) {
            let set = opened.dataset(&format!("{group}/{name}"))?;
            let frames = set.shape().first().map_or(0, |n| *n as usize);
            if frames != coords.n_frames() {
                return differ(&format!("the length of {name}"), frames, coords.n_frames());
            }
        }
        let gyration_nm = match has("gyrationRadius") {
            true => opened.numbers(&format!("{group}/gyrationRadius"))?,
            false => Vec::new(),
        };
        let cell_nm = match has("box") {
            true => cell(&opened.numbers(&format!("{group}/box"))?),
            false => None,
        };
        let weights = elements.iter().map(|e| mass(&symbol(e))).collect();
        Ok(Self { coords, cell_nm, gyration_nm, weights })
    }

    fn check(&self, frame: usize, positions_nm: &[[f32; 3]]) -> Result<(), PluginError> {
        let Some(&stored) = self.gyration_nm.get(frame).filter(|r| r.is_finite()) else {
            return Ok(());
        };
        let [plain, by_mass] = self.gyration(positions_nm);
        let near = |r: f64| (r - stored).abs() <= RG_TOLERANCE * stored;
        // A frame that is not finite is the host's to refuse.
        if !plain.is_finite() || near(plain) || near(by_mass) {
            return Ok(());
        }
        Err(PluginError::format(format!(
            "frame {frame}: its radius of gyration is {plain:.3} nm, the file stores {stored:.3} nm \
             for it: coordinates and stored quantities do not belong together"
        )))
    }

    /// Of the heavy atoms, with equal weights and by mass.
    fn gyration(&self, positions_nm: &[[f32; 3]]) -> [f64; 2] {
        let of = |weight: fn(f64) -> f64| {
            let (mut total, mut centre, mut square) = (0.0, [0.0; 3], 0.0);
            for (p, w) in positions_nm.iter().zip(&self.weights).filter(|(_, w)| **w > 0.0) {
                let w = weight(*w);
                total += w;
                for k in 0..3 {
                    centre[k] += w * f64::from(p[k]);
                    square += w * f64::from(p[k]) * f64::from(p[k]);
                }
            }
            let mean: f64 = centre.iter().map(|c| (c / total) * (c / total)).sum();
            let variance = square / total - mean;
            // NaN stays NaN.
            if variance < 0.0 { 0.0 } else { variance.sqrt() }
        };
        [of(|_| 1.0), of(|m| m)]
    }
}

impl ReadFrames for Reader {
    fn n_atoms(&self) -> usize {
        self.coords.n_atoms()
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.coords.n_frames() as u64)
    }

    fn read(&mut self, frame: &mut FrameMut<'_>) -> Result<bool, PluginError> {
        let index = self.coords.next();
        if !self.coords.read(NM_PER_ANGSTROM, frame.positions_nm)? {
            return Ok(false);
        }
        self.check(index, frame.positions_nm)?;
        frame.cell_nm = self.cell_nm;
        frame.time_ps = Some(index as f64 * PS_PER_FRAME);
        frame.time_is_trusted = true;
        Ok(true)
    }

    fn seek(&mut self, index: u64) -> Result<(), PluginError> {
        self.coords.seek(index)
    }
}

/// `450/2`: what the path names, or the only trajectory of the file.
fn chosen(opened: &Opened, domain: &str) -> Result<String, PluginError> {
    let (temperatures, _) = opened.members(&format!("/{domain}"))?;
    let mut all: Vec<String> = Vec::new();
    for t in temperatures.iter().filter(|t| t.parse::<f64>().is_ok()) {
        let (replicas, _) = opened.members(&format!("/{domain}/{t}"))?;
        all.extend(replicas.iter().map(|r| format!("{t}/{r}")));
    }
    let list = if all.is_empty() { "none".into() } else { all.join(", ") };
    match (&opened.part, all.as_slice()) {
        (Some(part), _) if all.contains(part) => Ok(part.clone()),
        (Some(part), _) => Err(PluginError::format(format!(
            "it has no trajectory {part} (temperature in K / replica); it has: {list}"
        ))),
        (None, [one]) => Ok(one.clone()),
        (None, _) => Err(PluginError::invalid(format!(
            "which trajectory is meant? add #TEMPERATURE/REPLICA to the file's name; it has: {list}"
        ))),
    }
}

/// Diagonal or full 3 × 3, nm; `None` for an empty box.
fn cell(numbers: &[f64]) -> Option<[[f32; 3]; 3]> {
    let rows: [f64; 9] = numbers.try_into().ok()?;
    let finite = rows.iter().all(|x| x.is_finite());
    let volume = rows[0] * rows[4] * rows[8];
    (finite && volume > 0.0).then(|| [0, 1, 2].map(|i| [0, 1, 2].map(|j| rows[3 * i + j] as f32)))
}

/// Name, residue and position (nm) of an ATOM line; element and chain come from elsewhere.
fn atom(line: &str) -> Result<(AtomRecord, [f32; 3]), String> {
    let field = |from: usize, to: usize| line.get(from..to.min(line.len())).unwrap_or("").trim();
    let number = |what: &str, from: usize, to: usize| -> Result<f32, String> {
        let text = field(from, to);
        text.parse().map_err(|_| format!("{what} `{text}` is no number"))
    };
    let xyz = [number("x", 30, 38)?, number("y", 38, 46)?, number("z", 46, 54)?];
    let residue = field(22, 26);
    let record = AtomRecord {
        name: field(12, 16).into(),
        element: String::new(),
        residue_name: field(17, 21).into(),
        residue_number: residue
            .parse()
            .map_err(|_| format!("residue number `{residue}` is no number"))?,
        insertion: field(26, 27).into(),
        chain: String::new(),
    };
    Ok((record, xyz.map(|x| x * NM_PER_ANGSTROM)))
}

/// `CL` and `cl` are `Cl`.
fn symbol(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters.map(|c| c.to_ascii_lowercase())).collect()
}

/// Of the heavy elements of proteins, u; 0 of hydrogen.
fn mass(element: &str) -> f64 {
    match element {
        "H" | "D" => 0.0,
        "N" => 14.007,
        "O" => 15.999,
        "S" => 32.06,
        _ => 12.011,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charmm_lines_are_read_by_column() {
        let line = "ATOM      1 HD11AILE A  12A    -10.100  20.000   0.500  1.00  0.00           H";
        let (a, x) = atom(line).unwrap();
        assert_eq!((a.name.as_str(), a.residue_name.as_str()), ("HD11", "ILE"));
        assert_eq!((a.residue_number, a.insertion.as_str()), (12, "A"));
        assert!((x[0] + 1.01).abs() < 1e-6 && (x[2] - 0.05).abs() < 1e-6);
        assert!(atom(&line.replace("20.000", "oops!!")).unwrap_err().contains("y `oops!!`"));
        assert!(atom("ATOM").is_err());
    }

    #[test]
    fn boxes_and_elements() {
        let diagonal = [6.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 8.0];
        assert_eq!(cell(&diagonal).unwrap()[1], [0.0, 7.0, 0.0]);
        assert_eq!(cell(&[0.0; 9]), None);
        assert_eq!(cell(&[1.0; 3]), None);
        assert_eq!((symbol("CL").as_str(), symbol("c").as_str()), ("Cl", "C"));
        assert_eq!((mass("H"), mass("C")), (0.0, 12.011));
    }
}
