//! MDTraj's HDF5 layout: `coordinates` (frames × atoms × 3, nm), `topology` (JSON), and, where they
//! are known, `time` (ps), `cell_lengths` (nm) and `cell_angles` (degrees).

use crate::file::{Blocks, Opened};
use marsfm_plugin_api::{
    AtomRecord, FrameMut, PluginError, ReadFrames, TopologyFile, cell_vectors_nm,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Topology {
    chains: Vec<Chain>,
}

#[derive(Deserialize)]
struct Chain {
    index: i64,
    residues: Vec<Residue>,
}

#[derive(Deserialize)]
struct Residue {
    name: String,
    #[serde(rename = "resSeq")]
    number: i32,
    atoms: Vec<Atom>,
}

#[derive(Deserialize)]
struct Atom {
    index: usize,
    name: String,
    #[serde(default)]
    element: String,
}

/// Atoms, with the first frame as coordinates.
pub fn topology(opened: &Opened) -> Result<TopologyFile, PluginError> {
    let text = opened.text("/topology")?;
    let read: Topology = serde_json::from_str(&text)
        .map_err(|e| PluginError::format(format!("/topology is no topology of MDTraj: {e}")))?;
    let mut atoms = Vec::new();
    for chain in read.chains {
        // MDTraj numbers chains; other programs name them.
        let name = u8::try_from(chain.index).ok().filter(|i| *i < 26).map(|i| (b'A' + i) as char);
        let name = name.map_or_else(|| chain.index.to_string(), String::from);
        for residue in chain.residues {
            for atom in residue.atoms {
                if atom.index != atoms.len() {
                    return Err(PluginError::format(format!(
                        "/topology: atom {} ({}) stands at place {}: atoms out of order are not \
                         supported",
                        atom.index,
                        atom.name,
                        atoms.len()
                    )));
                }
                atoms.push(AtomRecord {
                    name: atom.name,
                    // Virtual sites have no element.
                    element: if atom.element == "VS" { String::new() } else { atom.element },
                    residue_name: residue.name.clone(),
                    residue_number: residue.number,
                    insertion: String::new(),
                    chain: name.clone(),
                });
            }
        }
    }
    let mut reader = Reader::open(opened)?;
    if reader.n_atoms() != atoms.len() {
        return Err(PluginError::format(format!(
            "/topology has {} atoms, /coordinates {}",
            atoms.len(),
            reader.n_atoms()
        )));
    }
    let mut positions = vec![[0.0; 3]; atoms.len()];
    let mut frame = FrameMut {
        positions_nm: &mut positions,
        cell_nm: None,
        time_ps: None,
        time_is_trusted: false,
    };
    reader.read(&mut frame)?;
    let cell_nm = frame.cell_nm;
    Ok(TopologyFile { atoms, positions_nm: Some(positions), cell_nm, notes: Vec::new() })
}

/// The trajectory.
pub struct Reader {
    coordinates: Blocks,
    times_ps: Vec<f64>,
    lengths_nm: Vec<f64>,
    angles: Vec<f64>,
}

impl Reader {
    /// Opens it; what goes with every frame must be there for every frame.
    pub fn open(opened: &Opened) -> Result<Self, PluginError> {
        if let Some(part) = &opened.part {
            return Err(PluginError::invalid(format!(
                "a file of MDTraj holds one trajectory; there is no `{part}` in it"
            )));
        }
        let coordinates = Blocks::new(opened, "/coordinates")?;
        let (_, there) = opened.members("/")?;
        let optional = |name: &str, per_frame: usize| -> Result<Vec<f64>, PluginError> {
            if !there.iter().any(|d| d == name) {
                return Ok(Vec::new());
            }
            let values = opened.numbers(&format!("/{name}"))?;
            if values.len() != per_frame * coordinates.n_frames() {
                return Err(PluginError::format(format!(
                    "/{name} has {} numbers, {} frames need {}: the file was not closed properly",
                    values.len(),
                    coordinates.n_frames(),
                    per_frame * coordinates.n_frames()
                )));
            }
            Ok(values)
        };
        let times_ps = optional("time", 1)?;
        let (lengths_nm, angles) = (optional("cell_lengths", 3)?, optional("cell_angles", 3)?);
        Ok(Self { coordinates, times_ps, lengths_nm, angles })
    }
}

impl ReadFrames for Reader {
    fn n_atoms(&self) -> usize {
        self.coordinates.n_atoms()
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.coordinates.n_frames() as u64)
    }

    fn read(&mut self, frame: &mut FrameMut<'_>) -> Result<bool, PluginError> {
        let index = self.coordinates.next();
        if !self.coordinates.read(1.0, frame.positions_nm)? {
            return Ok(false);
        }
        let three = |list: &[f64]| -> Option<[f64; 3]> {
            list.get(3 * index..3 * index + 3)?.try_into().ok()
        };
        frame.cell_nm = three(&self.lengths_nm)
            .zip(three(&self.angles))
            .and_then(|(lengths, angles)| cell_vectors_nm(lengths, angles));
        frame.time_ps = self.times_ps.get(index).copied();
        frame.time_is_trusted = frame.time_ps.is_some();
        Ok(true)
    }

    fn seek(&mut self, index: u64) -> Result<(), PluginError> {
        self.coordinates.seek(index)
    }
}
