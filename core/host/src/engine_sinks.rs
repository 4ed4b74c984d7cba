//! What a plugin tells through sinks: the engine's system, texts, and the ends of runs.
#![allow(unsafe_code)] // receives C callbacks

use crate::engine::cell_of;
use marsfm_geometry::Topology;
use marsfm_plugin_api::abi::*;
use marsfm_plugin_api::engine_abi::*;
use marsfm_plugin_api::{PluginError, atom_from_row, guard, text_from_c};
use marsfm_preparation::{EngineError, Failure, System};
use std::ffi::{c_char, c_void};

type Info = extern "C" fn(*mut Engine, *mut EngineInfo) -> i32;
type ReadSystem = extern "C" fn(*mut Engine, *const SystemSink) -> i32;

#[derive(Default)]
struct Taken {
    topology: Topology,
    positions_nm: Vec<[f64; 3]>,
    cell_nm: Option<[[f64; 3]; 3]>,
    bonds: Vec<[usize; 2]>,
    notes: Vec<String>,
}

/// Runs the body of a callback on the value being filled. Nothing unwinds into the plugin.
fn fill<T>(user_data: *mut c_void, body: impl FnOnce(&mut T) -> Result<(), PluginError>) -> i32 {
    guard(|| {
        // SAFETY: the readers below pass locals of this type, which outlive the call.
        let taken = unsafe { user_data.cast::<T>().as_mut() };
        body(taken.ok_or_else(|| PluginError::invalid("user_data is NULL"))?)?;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn take_atom(user_data: *mut c_void, atom: *const AtomRow) -> i32 {
    fill(user_data, |taken: &mut Taken| {
        // SAFETY: NULL or valid for the call (contract).
        let a = unsafe { atom_from_row(atom) }?;
        let residue = (&*a.residue_name, a.residue_number, &*a.insertion, &*a.chain);
        let (name, number, insertion, chain) = residue;
        taken.topology.push(&a.name, &a.element, name, number, insertion, chain);
        Ok(())
    })
}

extern "C" fn take_positions(user_data: *mut c_void, row: *const EnginePositions) -> i32 {
    fill(user_data, |taken: &mut Taken| {
        // SAFETY: NULL or valid for the call (contract).
        let row = unsafe { row.as_ref() };
        let row = row.filter(|r| r.struct_size >= size_of::<EnginePositions>());
        let row = row.ok_or_else(|| PluginError::invalid("positions: NULL or too small"))?;
        if row.xyz_nm.is_null() || row.n_atoms != taken.topology.len() {
            let (got, want) = (row.n_atoms, taken.topology.len());
            return Err(PluginError::mismatch(format!("{got} positions for {want} atoms")));
        }
        // SAFETY: as many rows of three doubles as the row says (contract).
        let xyz = unsafe { std::slice::from_raw_parts(row.xyz_nm.cast::<[f64; 3]>(), row.n_atoms) };
        taken.positions_nm = xyz.to_vec();
        taken.cell_nm = cell_of(row);
        Ok(())
    })
}

extern "C" fn take_bond(user_data: *mut c_void, first: u64, second: u64) -> i32 {
    fill(user_data, |taken: &mut Taken| {
        let n = taken.topology.len() as u64;
        if first >= n || second >= n || first == second {
            let text = format!("a bond of atoms {first} and {second} among {n} atoms");
            return Err(PluginError::invalid(text));
        }
        taken.bonds.push([first as usize, second as usize]);
        Ok(())
    })
}

extern "C" fn take_note(user_data: *mut c_void, text: *const c_char) -> i32 {
    fill(user_data, |taken: &mut Taken| {
        // SAFETY: NULL or NUL-terminated (contract).
        taken.notes.push(unsafe { text_from_c(text, "note") }?);
        Ok(())
    })
}

extern "C" fn take_text(user_data: *mut c_void, text: *const c_char) -> i32 {
    fill(user_data, |taken: &mut String| {
        // SAFETY: NULL or NUL-terminated (contract).
        *taken = unsafe { text_from_c(text, "text") }?;
        Ok(())
    })
}

/// How a run ended: what it left, or a status with its text.
pub(crate) type RunEnd = Result<EngineFinished, (i32, String)>;

extern "C" fn take_end(
    user_data: *mut c_void,
    index: u64,
    status: i32,
    finished: *const EngineFinished,
    text: *const c_char,
) -> i32 {
    fill(user_data, |ends: &mut Vec<Option<RunEnd>>| {
        let n = ends.len();
        let free = usize::try_from(index).ok().and_then(|i| ends.get_mut(i));
        let Some(free) = free.filter(|end| end.is_none()) else {
            let text = format!("an end of run {index} of {n}, or a second one");
            return Err(PluginError::invalid(text));
        };
        *free = Some(match status {
            MARSFM_PLUGIN_OK => {
                // SAFETY: NULL or valid for the call (contract).
                let row = unsafe { finished.as_ref() };
                let row = row.filter(|r| r.struct_size >= size_of::<EngineFinished>());
                Ok(*row.ok_or_else(|| PluginError::invalid("finished: NULL or too small"))?)
            }
            // SAFETY: NULL or NUL-terminated (contract).
            status => Err((status, unsafe { text_from_c(text, "text") }?)),
        });
        Ok(())
    })
}

/// Collects the ends of `n` runs while `run` runs them; also its status.
pub(crate) fn collect_runs(
    n: usize,
    run: impl FnOnce(&RunSink) -> i32,
) -> (i32, Vec<Option<RunEnd>>) {
    let mut ends: Vec<Option<RunEnd>> = Vec::new();
    ends.resize_with(n, || None);
    let sink = RunSink {
        struct_size: size_of::<RunSink>(),
        user_data: std::ptr::from_mut(&mut ends).cast(),
        ended: Some(take_end),
    };
    let status = run(&sink);
    (status, ends)
}

/// Asks for one text.
pub(crate) fn read_text(
    ask: impl FnOnce(&TextSink) -> Result<(), EngineError>,
) -> Result<String, EngineError> {
    let mut text = String::new();
    let sink = TextSink {
        struct_size: size_of::<TextSink>(),
        user_data: std::ptr::from_mut(&mut text).cast(),
        text: Some(take_text),
    };
    ask(&sink)?;
    Ok(text)
}

/// Asks an opened engine for its system, and checks that it makes sense.
pub(crate) fn read_system(
    engine: &str,
    handle: *mut Engine,
    info: Info,
    read: ReadSystem,
    check: impl Fn(i32) -> Result<(), EngineError>,
) -> Result<System, EngineError> {
    let nan = f64::NAN;
    let mut what = EngineInfo {
        struct_size: size_of::<EngineInfo>(),
        n_atoms: 0,
        flags: 0,
        reserved: 0,
        step_ps: nan,
        temperature_kelvin: nan,
        friction_per_ps: nan,
    };
    check(info(handle, &mut what))?;
    let mut taken = Taken::default();
    let sink = SystemSink {
        struct_size: size_of::<SystemSink>(),
        user_data: std::ptr::from_mut(&mut taken).cast(),
        atom: Some(take_atom),
        positions: Some(take_positions),
        bond: Some(take_bond),
        note: Some(take_note),
    };
    check(read(handle, &sink))?;
    let bad = |message: String| EngineError {
        engine: engine.into(),
        failure: Failure::Engine,
        message: format!("its system makes no sense: {message}"),
    };
    let n = taken.topology.len();
    if n == 0 || what.n_atoms != n as u64 {
        return Err(bad(format!("{} atoms announced, {n} named", what.n_atoms)));
    }
    if taken.positions_nm.len() != n {
        return Err(bad(format!("{} positions for {n} atoms", taken.positions_nm.len())));
    }
    if let Some(atom) = taken.positions_nm.iter().position(|p| !p.iter().all(|x| x.is_finite())) {
        return Err(bad(format!("{} is not at a finite place", taken.topology.atom_label(atom))));
    }
    if !(what.step_ps > 0.0 && what.step_ps.is_finite()) {
        return Err(bad(format!("a step of {} ps", what.step_ps)));
    }
    Ok(System {
        topology: taken.topology,
        positions_nm: taken.positions_nm,
        cell_nm: taken.cell_nm,
        bonds: taken.bonds,
        notes: taken.notes,
        solvated: what.flags & MARSFM_PLUGIN_ENGINE_SOLVATED != 0,
        step_ps: what.step_ps,
        temperature_kelvin: what.temperature_kelvin,
        friction_per_ps: what.friction_per_ps,
    })
}
