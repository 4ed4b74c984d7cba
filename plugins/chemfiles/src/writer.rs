//! Writes XTC, TRR, GRO, PDB and Amber NetCDF through chemfiles. Frames without a time get their index.

use crate::plugin::{failed, known};
use crate::warnings;
use chemfiles::{Atom, Frame, Residue, Trajectory, UnitCell};
use marsfm_plugin_api::{AtomRecord, FrameRef, PluginError, WriteFrames};
use std::path::Path;

/// A trajectory being written.
pub struct Writer {
    trajectory: Trajectory,
    frame: Frame,
    written: usize,
}

const POLYMER: &str = " ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP \
TYR VAL HID HIE HIP HSD HSE HSP CYX CYM ASH GLH LYN ACE NME NMA NH2 ";

impl Writer {
    /// Creates the file.
    pub fn create(path: &Path, atoms: &[AtomRecord]) -> Result<Self, PluginError> {
        warnings::keep();
        let known = known(path)?;
        let trajectory = Trajectory::open_with_format(path, 'w', known.name)
            .map_err(|e| failed("cannot be created", &e))?;
        Ok(Self { trajectory, frame: frame_of(atoms)?, written: 0 })
    }
}

/// A frame with names and residues and all positions zero.
fn frame_of(atoms: &[AtomRecord]) -> Result<Frame, PluginError> {
    let mut frame = Frame::new();
    let mut residue: Option<(usize, Residue)> = None;
    let key = |a: &AtomRecord| {
        (a.chain.clone(), a.residue_number, a.insertion.clone(), a.residue_name.clone())
    };
    let add = |frame: &mut Frame, residue: &Residue| {
        frame.add_residue(residue).map_err(|e| failed("residue", &e))
    };
    for (i, record) in atoms.iter().enumerate() {
        let mut atom = Atom::new(record.name.as_str());
        atom.set_atomic_type(record.element.as_str());
        frame.add_atom(&atom, [0.0; 3], None);
        if residue.as_ref().is_none_or(|(first, _)| key(&atoms[*first]) != key(record)) {
            if let Some((_, done)) = &residue {
                add(&mut frame, done)?;
            }
            let name = record.residue_name.as_str();
            let mut next = Residue::with_id(name, i64::from(record.residue_number));
            next.set("chainid", record.chain.as_str());
            next.set("chainname", record.chain.as_str());
            next.set("is_standard_pdb", POLYMER.contains(&format!(" {name} ")));
            if !record.insertion.is_empty() {
                next.set("insertion_code", record.insertion.as_str());
            }
            residue = Some((i, next));
        }
        if let Some((_, residue)) = &mut residue {
            residue.add_atom(i);
        }
    }
    if let Some((_, done)) = &residue {
        add(&mut frame, done)?;
    }
    Ok(frame)
}

/// chemfiles' cell (Å, vectors as columns) from rows in nm.
fn unit_cell(rows: &[[f32; 3]; 3]) -> Result<UnitCell, PluginError> {
    let r = rows.map(|v| v.map(|x| f64::from(x) * 10.0));
    if r[0][1] != 0.0 || r[0][2] != 0.0 || r[1][2] != 0.0 {
        return Err(PluginError::invalid(
            "the cell is not in the usual orientation (a along x, b in the xy plane); rotate it",
        ));
    }
    if !(r[0][0] > 0.0 && r[1][1] > 0.0 && r[2][2] > 0.0) {
        return Err(PluginError::invalid("the cell has no volume"));
    }
    Ok(UnitCell::from_matrix([0, 1, 2].map(|row| [r[0][row], r[1][row], r[2][row]])))
}

impl WriteFrames for Writer {
    fn write(&mut self, frame: FrameRef<'_>) -> Result<(), PluginError> {
        let cell = match &frame.cell_nm {
            Some(rows) => unit_cell(rows)?,
            None => UnitCell::infinite(),
        };
        self.frame.set_cell(&cell);
        for (to, from) in self.frame.positions_mut().iter_mut().zip(frame.positions_nm) {
            *to = from.map(|x| f64::from(x) * 10.0);
        }
        self.frame.set_step(self.written);
        self.frame.set("time", frame.time_ps.unwrap_or(self.written as f64));
        self.trajectory
            .write(&self.frame)
            .map_err(|e| failed(&format!("frame {}", self.written), &e))?;
        self.written += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), PluginError> {
        // Dropping the handle closes the file.
        drop(self);
        Ok(())
    }
}
