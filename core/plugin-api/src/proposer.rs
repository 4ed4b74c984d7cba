//! Proposer plugins as an ordinary Rust trait, and the table that carries them across.
#![allow(unsafe_code)] // implements the C functions of the table

use crate::abi::*;
use crate::error::{PluginError, guard};
use crate::proposer_abi::*;
use crate::records::*;
use std::ffi::{CStr, c_char};

/// A plugin that proposes structures to start MD from.
pub trait ProposerPlugin: Sized + 'static {
    /// Short name of the proposer.
    const NAME: &'static CStr;
    /// Binds to the atoms of an engine; `options` is a JSON object.
    fn open(atoms: &[AtomRecord], options: &str) -> Result<Self, PluginError>;
    /// At most as many proposals as are wanted. All randomness comes from the request's `rng_seed`.
    fn propose(&mut self, request: &Wanted<'_>) -> Result<Vec<Proposed>, PluginError>;
}

/// See [`ProposeRequest`]; lengths are checked, positions finite.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Proposals that there is room for.
    pub n: usize,
    /// Seed of all random numbers.
    pub rng_seed: u64,
    /// Number of the epoch, from 0.
    pub epoch: u64,
    /// Temperature of the MD, K.
    pub temperature_kelvin: f64,
    /// Frames to start from, one position (nm) per atom each; at least one frame.
    pub parents_nm: &'a [&'a [[f64; 3]]],
    /// Frames of MD in the microstate of each parent.
    pub parent_counts: &'a [u64],
}

/// A structure to start from.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// One position per atom, nm.
    pub positions_nm: Vec<[f64; 3]>,
    /// The parent that it was made from.
    pub parent: Option<usize>,
}

/// The table of a plugin type.
pub fn proposer_table<P: ProposerPlugin>() -> &'static ProposerService {
    &const {
        ProposerService {
            struct_size: size_of::<ProposerService>(),
            name: P::NAME.as_ptr(),
            open: Some(open::<P>),
            propose: Some(propose::<P>),
            close: Some(close::<P>),
        }
    }
}

struct Bound<P> {
    plugin: P,
    n_atoms: usize,
}

fn null(what: &str) -> PluginError {
    PluginError::invalid(format!("{what} is NULL"))
}

extern "C" fn open<P: ProposerPlugin>(
    topology: *const TopologyRows,
    options: *const c_char,
    proposer: *mut *mut Proposer,
) -> i32 {
    guard(|| {
        if proposer.is_null() {
            return Err(null("proposer"));
        }
        // SAFETY: NULL or valid for the call (contract).
        let atoms = unsafe { atoms_from_rows(topology) }?;
        // SAFETY: NULL or terminated (contract).
        let options = unsafe { text_from_c(options, "options") }?;
        let plugin = P::open(&atoms, &options)?;
        let made = Box::new(Bound { plugin, n_atoms: atoms.len() });
        // SAFETY: not NULL; the caller owns the place.
        unsafe { *proposer = Box::into_raw(made).cast() };
        Ok(MARSFM_PLUGIN_OK)
    })
}

/// Borrowed elements of the caller.
fn slice<'a, T>(from: *const T, n: usize, what: &str) -> Result<&'a [T], PluginError> {
    if n == 0 {
        return Ok(&[]);
    }
    if from.is_null() {
        return Err(null(what));
    }
    // SAFETY: not NULL, `n` elements, not written during the call (contract).
    Ok(unsafe { std::slice::from_raw_parts(from, n) })
}

fn doubles(n: usize, n_atoms: usize) -> Result<usize, PluginError> {
    let all = n.checked_mul(n_atoms).and_then(|n| n.checked_mul(3));
    all.filter(|n| *n <= isize::MAX as usize / 8)
        .ok_or_else(|| PluginError::invalid(format!("{n} frames of {n_atoms} atoms: impossible")))
}

extern "C" fn propose<P: ProposerPlugin>(
    proposer: *mut Proposer,
    request: *const ProposeRequest,
    xyz_nm: *mut f64,
    parents: *mut i64,
    n_proposed: *mut usize,
) -> i32 {
    guard(|| {
        // SAFETY: NULL or made by `open::<P>` and not yet closed, one thread at a time (contract).
        let bound = unsafe { proposer.cast::<Bound<P>>().as_mut() };
        let bound = bound.ok_or_else(|| null("proposer"))?;
        // SAFETY: NULL or valid for the call (contract).
        let r = unsafe { request.as_ref() }.ok_or_else(|| null("request"))?;
        if r.struct_size < size_of::<ProposeRequest>() {
            return Err(PluginError::invalid("request: struct_size is too small"));
        }
        if r.n_atoms != bound.n_atoms {
            let (got, want) = (r.n_atoms, bound.n_atoms);
            let message = format!("request of {got} atoms, topology has {want}");
            return Err(PluginError::mismatch(message));
        }
        if n_proposed.is_null() || (r.n_wanted > 0 && (xyz_nm.is_null() || parents.is_null())) {
            return Err(null("xyz_nm, parents or n_proposed"));
        }
        doubles(r.n_wanted, r.n_atoms)?;
        let flat = slice(r.parents_nm, doubles(r.n_parents, r.n_atoms)?, "parents_nm")?;
        if r.n_parents == 0 || !flat.iter().all(|x| x.is_finite()) {
            return Err(PluginError::invalid("parents: there are none, or one is not finite"));
        }
        let frames: Vec<&[[f64; 3]]> =
            flat.as_chunks::<3>().0.chunks_exact(r.n_atoms.max(1)).collect();
        let wanted = Wanted {
            n: r.n_wanted,
            rng_seed: r.rng_seed,
            epoch: r.epoch,
            temperature_kelvin: r.temperature_kelvin,
            parents_nm: &frames,
            parent_counts: slice(r.parent_counts, r.n_parents, "parent_counts")?,
        };
        let made = bound.plugin.propose(&wanted)?;
        check(&made, &wanted, bound.n_atoms)?;
        // The caller's memory is written on success only.
        for (k, proposal) in made.iter().enumerate() {
            let xyz = proposal.positions_nm.as_flattened();
            let parent = proposal.parent.map_or(MARSFM_PLUGIN_NO_PARENT, |p| p as i64);
            // SAFETY: k < n_wanted, and the caller has room for n_wanted proposals (contract).
            unsafe {
                std::ptr::copy_nonoverlapping(xyz.as_ptr(), xyz_nm.add(k * xyz.len()), xyz.len());
                *parents.add(k) = parent;
            }
        }
        // SAFETY: not NULL; the caller owns the place.
        unsafe { *n_proposed = made.len() };
        Ok(MARSFM_PLUGIN_OK)
    })
}

/// What does not fit into the caller's memory never gets there.
fn check(made: &[Proposed], wanted: &Wanted<'_>, n_atoms: usize) -> Result<(), PluginError> {
    if made.len() > wanted.n {
        let message = format!("{} proposals were made, {} are wanted", made.len(), wanted.n);
        return Err(PluginError::mismatch(message));
    }
    for (k, proposal) in made.iter().enumerate() {
        let got = proposal.positions_nm.len();
        if got != n_atoms {
            let message = format!("proposal {k} has {got} atoms, the topology has {n_atoms}");
            return Err(PluginError::mismatch(message));
        }
        let frames = wanted.parents_nm.len();
        if let Some(parent) = proposal.parent.filter(|p| *p >= frames) {
            let message = format!("proposal {k} comes from frame {parent} of {frames}");
            return Err(PluginError::invalid(message));
        }
    }
    Ok(())
}

extern "C" fn close<P: ProposerPlugin>(proposer: *mut Proposer) {
    guard(|| {
        if !proposer.is_null() {
            // SAFETY: made by `open::<P>`, closed once (contract).
            drop(unsafe { Box::from_raw(proposer.cast::<Bound<P>>()) });
        }
        Ok(MARSFM_PLUGIN_OK)
    });
}
