//! Topologies: who a caller's atoms are.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

use marsfm_core::session::{AtomRow, Atoms};

use crate::arguments::*;
use crate::library::host;
use crate::status::{Checked, Failure, guard};
use crate::types::*;

/// Names and order of a caller's atoms, opaque. Immutable: share it between threads.
pub struct Topology(pub(crate) Arc<Atoms>);

/// Makes a topology of atoms in the caller's own order; every later list of positions is in that
/// order. Atoms of one amino acid or cap share chain, number, insertion code and name but need not
/// be neighbours; residues are taken in the order in which they appear first.
///
/// - atoms: n_atoms of them, borrowed for the call.
/// - topology: takes the new topology; free it with marsfm_topology_free.
///
/// Returns MARSFM_OK; MARSFM_ERROR_ARGUMENT names the atom that has a NULL or unreadable name;
/// MARSFM_ERROR_TOPOLOGY: no amino acid among the atoms. What is bonded to what is seen from
/// positions, so incomplete residues, gaps and second chains are reported by the first jump.
/// [any thread]
///
/// Example: marsfm_topology_new_from_atoms(atoms, n_atoms, &topology);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_topology_new_from_atoms(
    atoms: *const Atom,
    n_atoms: usize,
    topology: *mut *mut Topology,
) -> Status {
    guard("marsfm_topology_new_from_atoms", || {
        output(topology, "topology")?;
        if n_atoms == 0 {
            return Err(Failure::argument("n_atoms is 0"));
        }
        // SAFETY: as the C contract: n_atoms structs, all of the size that the first one tells.
        let stride = unsafe {
            read_record(atoms, "atoms")?;
            atoms.cast::<usize>().read_unaligned()
        };
        if stride.checked_mul(n_atoms).is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(Failure::argument(format!("{n_atoms} atoms exceed the address space")));
        }
        let row = |i: usize| -> Checked<AtomRow<'_>> {
            let what = |field: &str| format!("atoms[{i}].{field}");
            // SAFETY: atom i is there, see above; its texts are NULL or C strings.
            unsafe {
                let atom = read_record(atoms.byte_add(i * stride), &format!("atoms[{i}]"))?;
                Ok(AtomRow {
                    name: text(atom.name, &what("name"))?.trim(),
                    element: optional_text(atom.element, &what("element"))?.unwrap_or("").trim(),
                    residue: text(atom.residue_name, &what("residue_name"))?.trim(),
                    number: atom.residue_number,
                    insertion: optional_text(atom.insertion, &what("insertion"))?
                        .unwrap_or("")
                        .trim(),
                    chain: optional_text(atom.chain, &what("chain"))?.unwrap_or("").trim(),
                })
            }
        };
        let rows = (0..n_atoms).map(row).collect::<Checked<Vec<_>>>()?;
        let atoms = Atoms::new(rows)?;
        // SAFETY: checked above.
        unsafe { give(topology, Topology(Arc::new(atoms))) };
        Ok(())
    })
}

/// Reads a topology from a structure file (PDB, mmCIF and what else the installed plugins read);
/// positions are then in the order of that file.
///
/// - path: the file, UTF-8.
/// - topology: takes the new topology; free it with marsfm_topology_free.
///
/// Returns MARSFM_OK; MARSFM_ERROR_FILE: no such file, no plugin for it, or a damaged file;
/// MARSFM_ERROR_TOPOLOGY: no amino acid in it. [any thread]
///
/// Example: marsfm_topology_new_from_file("peptide.pdb", &topology);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_topology_new_from_file(
    path: *const c_char,
    topology: *mut *mut Topology,
) -> Status {
    guard("marsfm_topology_new_from_file", || {
        output(topology, "topology")?;
        // SAFETY: as the C contract.
        let path = unsafe { text(path, "path")? };
        let atoms = Atoms::from_file(&host(), Path::new(path))?;
        // SAFETY: checked above.
        unsafe { give(topology, Topology(Arc::new(atoms))) };
        Ok(())
    })
}

/// Frees a topology; NULL is fine. Sessions made of it go on. [any thread]
///
/// Example: marsfm_topology_free(topology);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn marsfm_topology_free(topology: *mut Topology) {
    // SAFETY: as the C contract: made by this library, freed once.
    unsafe { free(topology) };
}

/// Tells what a topology holds.
///
/// Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
///
/// Example: info.struct_size = sizeof info; marsfm_topology_info(topology, &info);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_topology_info(
    topology: *const Topology,
    info: *mut TopologyInfo,
) -> Status {
    guard("marsfm_topology_info", || {
        // SAFETY: as the C contract.
        unsafe {
            let atoms = &handle(topology, "topology")?.0;
            let value = TopologyInfo {
                struct_size: 0,
                n_atoms: atoms.len() as u64,
                n_residues: atoms.sequence().len() as u64,
            };
            write_record(info, &value, "info")
        }
    })
}

/// Copies the sequence, one letter per amino acid. For buffer, capacity and needed see
/// marsfm_last_error_message.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
///
/// Example: marsfm_topology_sequence(topology, letters, sizeof letters, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_topology_sequence(
    topology: *const Topology,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_topology_sequence", || {
        // SAFETY: as the C contract.
        unsafe {
            let atoms = &handle(topology, "topology")?.0;
            write_text(&atoms.sequence(), buffer, capacity, needed)
        }
    })
}
