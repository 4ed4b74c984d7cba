//! The rows of the tables as ordinary Rust values, and the checks on the way in and out.
#![allow(unsafe_code)] // reads C structs and strings

use crate::abi::*;
use crate::error::PluginError;
use std::ffi::{CStr, CString, c_char};

/// One atom as a file names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtomRecord {
    /// Atom name (`CA`).
    pub name: String,
    /// Element symbol, or empty.
    pub element: String,
    /// Residue name.
    pub residue_name: String,
    /// Residue number as in the file.
    pub residue_number: i32,
    /// Insertion code, or empty.
    pub insertion: String,
    /// Chain identifier, or empty.
    pub chain: String,
}

/// A frame that a reader fills: memory of the host.
pub struct FrameMut<'a> {
    /// One position per atom, nm.
    pub positions_nm: &'a mut [[f32; 3]],
    /// Cell vectors a, b, c as rows, nm.
    pub cell_nm: Option<[[f32; 3]; 3]>,
    /// Time, ps.
    pub time_ps: Option<f64>,
    /// True if `time_ps` is known to be ps of simulated time.
    pub time_is_trusted: bool,
}

/// A frame that a writer or featurizer gets.
#[derive(Clone, Copy)]
pub struct FrameRef<'a> {
    /// One position per atom, nm.
    pub positions_nm: &'a [[f32; 3]],
    /// Cell vectors a, b, c as rows, nm.
    pub cell_nm: Option<[[f32; 3]; 3]>,
    /// Time, ps.
    pub time_ps: Option<f64>,
}

/// A C string as text; NULL is an error, bytes that are not UTF-8 are replaced.
///
/// # Safety
/// `text` is NULL or NUL-terminated and stays so while this runs.
pub unsafe fn text_from_c(text: *const c_char, what: &str) -> Result<String, PluginError> {
    if text.is_null() {
        return Err(PluginError::invalid(format!("{what} is NULL")));
    }
    // SAFETY: not NULL, terminated by the caller's promise.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Atoms out of the caller's rows.
///
/// # Safety
/// `rows` is NULL or points to a valid [`TopologyRows`].
pub unsafe fn atoms_from_rows(rows: *const TopologyRows) -> Result<Vec<AtomRecord>, PluginError> {
    if rows.is_null() {
        return Err(PluginError::invalid("topology is NULL"));
    }
    // SAFETY: valid by the caller's promise.
    let rows = unsafe { &*rows };
    if rows.struct_size < size_of::<TopologyRows>() {
        return Err(PluginError::invalid("topology: struct_size is too small"));
    }
    if rows.n_atoms > 0 && rows.atoms.is_null() {
        return Err(PluginError::invalid("topology: atoms is NULL"));
    }
    let mut atoms = Vec::with_capacity(rows.n_atoms);
    for i in 0..rows.n_atoms {
        // SAFETY: element 0 exists; its struct_size is the step to the others.
        atoms.push(unsafe {
            let step = (*rows.atoms).struct_size;
            atom_from_row(rows.atoms.byte_add(step * i))?
        });
    }
    Ok(atoms)
}

/// One atom out of a row.
///
/// # Safety
/// `row` is NULL or points to a valid [`AtomRow`].
pub unsafe fn atom_from_row(row: *const AtomRow) -> Result<AtomRecord, PluginError> {
    if row.is_null() {
        return Err(PluginError::invalid("atom is NULL"));
    }
    // SAFETY: valid by the caller's promise; strings likewise.
    unsafe {
        if (*row).struct_size < size_of::<AtomRow>() {
            return Err(PluginError::invalid("atom: struct_size is too small"));
        }
        let row = &*row;
        Ok(AtomRecord {
            name: text_from_c(row.name, "atom name")?,
            element: text_from_c(row.element, "element")?,
            residue_name: text_from_c(row.residue_name, "residue name")?,
            residue_number: row.residue_number,
            insertion: text_from_c(row.insertion, "insertion code")?,
            chain: text_from_c(row.chain, "chain")?,
        })
    }
}

/// Owns the strings of rows while a call lasts.
pub struct RowsBuffer {
    _texts: Vec<[CString; 5]>,
    rows: Vec<AtomRow>,
}

impl RowsBuffer {
    /// Rows for `atoms`. A NUL inside a name is an error that names the atom.
    pub fn new(atoms: &[AtomRecord]) -> Result<Self, PluginError> {
        let mut texts = Vec::with_capacity(atoms.len());
        for (i, a) in atoms.iter().enumerate() {
            let c = |text: &str| {
                CString::new(text)
                    .map_err(|_| PluginError::invalid(format!("atom {i}: a name holds a NUL byte")))
            };
            texts.push([
                c(&a.name)?,
                c(&a.element)?,
                c(&a.residue_name)?,
                c(&a.insertion)?,
                c(&a.chain)?,
            ]);
        }
        let rows = texts
            .iter()
            .zip(atoms)
            .map(|(t, a)| AtomRow {
                struct_size: size_of::<AtomRow>(),
                name: t[0].as_ptr(),
                element: t[1].as_ptr(),
                residue_name: t[2].as_ptr(),
                insertion: t[3].as_ptr(),
                chain: t[4].as_ptr(),
                residue_number: a.residue_number,
                reserved: 0,
            })
            .collect();
        Ok(Self { _texts: texts, rows })
    }

    /// The rows, valid as long as this buffer.
    pub fn as_rows(&self) -> TopologyRows {
        TopologyRows {
            struct_size: size_of::<TopologyRows>(),
            n_atoms: self.rows.len(),
            atoms: self.rows.as_ptr(),
        }
    }

    /// Row `i`, valid as long as this buffer.
    pub fn row(&self, i: usize) -> *const AtomRow {
        &self.rows[i]
    }
}

/// A frame row over borrowed positions, for functions that only read it.
pub fn frame_row(frame: FrameRef<'_>) -> FrameRow {
    let mut row = FrameRow {
        struct_size: size_of::<FrameRow>(),
        n_atoms: frame.positions_nm.len(),
        xyz_nm: frame.positions_nm.as_ptr() as *mut f32,
        cell_nm: [0.0; 9],
        flags: 0,
        time_ps: 0.0,
    };
    if let Some(cell) = frame.cell_nm {
        row.flags |= MARSFM_PLUGIN_HAS_CELL;
        row.cell_nm.copy_from_slice(cell.as_flattened());
    }
    if let Some(time) = frame.time_ps {
        row.flags |= MARSFM_PLUGIN_HAS_TIME;
        row.time_ps = time;
    }
    row
}

/// The cell of a row, if it has one.
pub fn cell_of(row: &FrameRow) -> Option<[[f32; 3]; 3]> {
    let c = &row.cell_nm;
    (row.flags & MARSFM_PLUGIN_HAS_CELL != 0)
        .then(|| [[c[0], c[1], c[2]], [c[3], c[4], c[5]], [c[6], c[7], c[8]]])
}

fn check_frame(row: &FrameRow) -> Result<(), PluginError> {
    if row.struct_size < size_of::<FrameRow>() {
        return Err(PluginError::invalid("frame: struct_size is too small"));
    }
    if row.xyz_nm.is_null() && row.n_atoms > 0 {
        return Err(PluginError::invalid("frame: xyz_nm is NULL"));
    }
    if row.n_atoms > isize::MAX as usize / 12 {
        return Err(PluginError::invalid("frame: n_atoms is absurd"));
    }
    Ok(())
}

/// A frame to read from, out of the caller's row.
///
/// # Safety
/// `row` is NULL or points to a valid [`FrameRow`] that outlives `'a`.
pub unsafe fn frame_from_row<'a>(row: *const FrameRow) -> Result<FrameRef<'a>, PluginError> {
    if row.is_null() {
        return Err(PluginError::invalid("frame is NULL"));
    }
    // SAFETY: valid by the caller's promise.
    let row = unsafe { &*row };
    check_frame(row)?;
    let positions_nm = if row.n_atoms == 0 {
        &[][..]
    } else {
        // SAFETY: n_atoms rows of three floats by the contract; not written during the call.
        unsafe { std::slice::from_raw_parts(row.xyz_nm.cast::<[f32; 3]>(), row.n_atoms) }
    };
    let time_ps = (row.flags & MARSFM_PLUGIN_HAS_TIME != 0).then_some(row.time_ps);
    Ok(FrameRef { positions_nm, cell_nm: cell_of(row), time_ps })
}

/// Lets `fill` write a frame into the caller's row; sets cell, time and flags only on success.
///
/// # Safety
/// `row` is NULL or points to a valid [`FrameRow`] with room for its atoms.
pub(crate) unsafe fn fill_row(
    row: *mut FrameRow,
    fill: impl FnOnce(&mut FrameMut<'_>) -> Result<bool, PluginError>,
) -> Result<i32, PluginError> {
    if row.is_null() {
        return Err(PluginError::invalid("frame is NULL"));
    }
    // SAFETY: valid and exclusively ours during the call, by the caller's promise.
    let row = unsafe { &mut *row };
    check_frame(row)?;
    let positions_nm = if row.n_atoms == 0 {
        &mut [][..]
    } else {
        // SAFETY: room for n_atoms rows of three floats by the contract.
        unsafe { std::slice::from_raw_parts_mut(row.xyz_nm.cast::<[f32; 3]>(), row.n_atoms) }
    };
    let mut frame = FrameMut { positions_nm, cell_nm: None, time_ps: None, time_is_trusted: false };
    if !fill(&mut frame)? {
        return Ok(MARSFM_PLUGIN_END);
    }
    let FrameMut { cell_nm, time_ps, time_is_trusted, .. } = frame;
    row.flags = 0;
    if let Some(cell) = cell_nm {
        row.flags |= MARSFM_PLUGIN_HAS_CELL;
        row.cell_nm.copy_from_slice(cell.as_flattened());
    }
    if let Some(time) = time_ps {
        row.flags |= MARSFM_PLUGIN_HAS_TIME;
        row.time_ps = time;
        if time_is_trusted {
            row.flags |= MARSFM_PLUGIN_TIME_IS_TRUSTED;
        }
    }
    Ok(MARSFM_PLUGIN_OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atoms_survive_the_way_through_the_rows() {
        let atoms = vec![
            AtomRecord { name: "CA".into(), residue_number: -3, ..AtomRecord::default() },
            AtomRecord { name: "CB".into(), chain: "ä".into(), ..AtomRecord::default() },
        ];
        let buffer = RowsBuffer::new(&atoms).unwrap();
        let rows = buffer.as_rows();
        // SAFETY: the buffer lives.
        assert_eq!(unsafe { atoms_from_rows(&rows) }.unwrap(), atoms);
        let bad = vec![AtomRecord { name: "C\0A".into(), ..AtomRecord::default() }];
        assert!(RowsBuffer::new(&bad).is_err());
    }

    #[test]
    fn a_frame_row_of_an_older_size_or_without_memory_is_refused() {
        let positions = [[1.0f32, 2.0, 3.0]];
        let frame = FrameRef { positions_nm: &positions, cell_nm: None, time_ps: Some(2.0) };
        let mut row = frame_row(frame);
        // SAFETY: valid rows.
        unsafe {
            let back = frame_from_row(&row).unwrap();
            assert_eq!((back.positions_nm, back.time_ps), (&positions[..], Some(2.0)));
            row.struct_size = 8;
            assert!(frame_from_row(&row).is_err());
            row.struct_size = size_of::<FrameRow>();
            row.xyz_nm = std::ptr::null_mut();
            assert!(frame_from_row(&row).is_err());
            assert!(frame_from_row(std::ptr::null()).is_err());
        }
    }
}
