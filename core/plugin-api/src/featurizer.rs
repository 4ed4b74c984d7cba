//! Featurizer plugins as an ordinary Rust trait, and the table that carries them across.
#![allow(unsafe_code)] // implements the C functions of the table

use crate::abi::*;
use crate::error::{PluginError, copy_text, guard};
use crate::records::*;
use std::ffi::{CStr, c_char};

/// A plugin that turns a frame into a row of numbers.
pub trait FeaturizerPlugin: Sized + 'static {
    /// Short name of the features.
    const NAME: &'static CStr;
    /// Binds to a topology; `options` is the user's text, if any.
    fn open(atoms: &[AtomRecord], options: Option<&str>) -> Result<Self, PluginError>;
    /// A name for each number of a row; their count is the length of a row.
    fn names(&self) -> &[String];
    /// Computes one row.
    fn compute(&mut self, frame: FrameRef<'_>, row: &mut [f32]) -> Result<(), PluginError>;
}

/// The table of a plugin type.
pub fn featurizer_table<P: FeaturizerPlugin>() -> &'static FeaturizerService {
    &const {
        FeaturizerService {
            struct_size: size_of::<FeaturizerService>(),
            name: P::NAME.as_ptr(),
            open: Some(open::<P>),
            n_features: Some(n_features::<P>),
            feature_name: Some(feature_name::<P>),
            compute: Some(compute::<P>),
            close: Some(close::<P>),
        }
    }
}

struct Bound<P> {
    plugin: P,
    n_atoms: usize,
}

fn bound<'a, P>(featurizer: *mut Featurizer) -> Result<&'a mut Bound<P>, PluginError> {
    // SAFETY: NULL or made by `open::<P>` and not yet closed, one thread at a time (contract).
    unsafe { featurizer.cast::<Bound<P>>().as_mut() }
        .ok_or_else(|| PluginError::invalid("featurizer is NULL"))
}

extern "C" fn open<P: FeaturizerPlugin>(
    topology: *const TopologyRows,
    options: *const c_char,
    featurizer: *mut *mut Featurizer,
) -> i32 {
    guard(|| {
        if featurizer.is_null() {
            return Err(PluginError::invalid("featurizer is NULL"));
        }
        // SAFETY: NULL or valid for the call by the contract.
        let atoms = unsafe { atoms_from_rows(topology) }?;
        let options = if options.is_null() {
            None
        } else {
            // SAFETY: not NULL, terminated by the contract.
            Some(unsafe { text_from_c(options, "options") }?)
        };
        let plugin = P::open(&atoms, options.as_deref())?;
        let made = Box::new(Bound { plugin, n_atoms: atoms.len() });
        // SAFETY: not NULL; the caller owns the place.
        unsafe { *featurizer = Box::into_raw(made).cast() };
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn n_features<P: FeaturizerPlugin>(
    featurizer: *mut Featurizer,
    count: *mut usize,
) -> i32 {
    guard(|| {
        let n = bound::<P>(featurizer)?.plugin.names().len();
        // SAFETY: NULL or valid for the call by the contract.
        *unsafe { count.as_mut() }.ok_or_else(|| PluginError::invalid("count is NULL"))? = n;
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn feature_name<P: FeaturizerPlugin>(
    featurizer: *mut Featurizer,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    let mut length = 0;
    guard(|| {
        if let Some(name) = bound::<P>(featurizer)?.plugin.names().get(index) {
            length = copy_text(name, buffer, capacity);
        }
        Ok(MARSFM_PLUGIN_OK)
    });
    length
}

extern "C" fn compute<P: FeaturizerPlugin>(
    featurizer: *mut Featurizer,
    frame: *const FrameRow,
    row: *mut f32,
    n_row: usize,
) -> i32 {
    guard(|| {
        let bound = bound::<P>(featurizer)?;
        // SAFETY: NULL or valid for the call by the contract.
        let frame = unsafe { frame_from_row(frame) }?;
        if frame.positions_nm.len() != bound.n_atoms {
            let (got, want) = (frame.positions_nm.len(), bound.n_atoms);
            let message = format!("frame of {got} atoms, topology has {want}");
            return Err(PluginError::mismatch(message));
        }
        let n = bound.plugin.names().len();
        if n_row != n || (row.is_null() && n > 0) {
            let message = format!("row of {n_row} numbers given, {n} needed");
            return Err(PluginError::invalid(message));
        }
        // The caller's row is written on success only.
        let mut values = vec![0.0; n];
        bound.plugin.compute(frame, &mut values)?;
        if n > 0 {
            // SAFETY: the caller's row has room for n_row = n floats.
            unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), row, n) };
        }
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn close<P: FeaturizerPlugin>(featurizer: *mut Featurizer) {
    guard(|| {
        if !featurizer.is_null() {
            // SAFETY: made by `open::<P>`, closed once (contract).
            drop(unsafe { Box::from_raw(featurizer.cast::<Bound<P>>()) });
        }
        Ok(MARSFM_PLUGIN_OK)
    });
}
