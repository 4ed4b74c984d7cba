//! A plugin's proposer: asked for structures, and nothing of what it answers is believed.
#![allow(unsafe_code)] // calls the plugin's functions with memory of ours

use crate::error::HostError;
use crate::plugin::Plugin;
use crate::rows::records;
use marsfm_geometry::Topology;
use marsfm_plugin_api::abi::{
    MARSFM_PLUGIN_INVALID, MARSFM_PLUGIN_MISMATCH, MARSFM_PLUGIN_UNSUPPORTED,
};
use marsfm_plugin_api::proposer_abi::{
    self, MARSFM_PLUGIN_NO_PARENT, ProposeRequest, ProposerService,
};
use marsfm_plugin_api::{Proposed, RowsBuffer, Wanted};
use std::ffi::{CStr, CString};
use std::sync::Arc;

/// A proposer of a plugin, bound to the atoms of an engine.
pub struct PluginProposer {
    plugin: Arc<Plugin>,
    table: &'static ProposerService,
    handle: *mut proposer_abi::Proposer,
    n_atoms: usize,
}

// SAFETY: a handle may be used by any one thread at a time, and `propose` takes `&mut self`.
unsafe impl Send for PluginProposer {}

impl PluginProposer {
    /// Binds to `topology`; `options` is a JSON object.
    pub(crate) fn open(
        plugin: Arc<Plugin>,
        table: &'static ProposerService,
        topology: &Topology,
        options: &str,
    ) -> Result<Self, HostError> {
        let error = |what: &str, status| plugin.error(&plugin.path, what, status);
        let Some(open) = table.open.filter(|_| table.propose.is_some() && table.close.is_some())
        else {
            return Err(error("its proposer lacks a function", MARSFM_PLUGIN_UNSUPPORTED));
        };
        let options = CString::new(options)
            .map_err(|_| error("the options hold a NUL byte", MARSFM_PLUGIN_INVALID))?;
        let atoms = records(topology);
        let rows = RowsBuffer::new(&atoms).map_err(|e| error(&e.message, e.status))?;
        let mut handle = std::ptr::null_mut();
        plugin.check(open(&rows.as_rows(), options.as_ptr(), &mut handle), &plugin.path)?;
        Ok(Self { table, handle, n_atoms: atoms.len(), plugin })
    }

    /// Asks for proposals. An answer with a fault in it is an error that names it: what one wrong
    /// structure says about the others is not ours to guess.
    pub fn propose(&mut self, wanted: &Wanted<'_>) -> Result<Vec<Proposed>, HostError> {
        let error = |what: String, status| self.plugin.error(&self.plugin.path, what, status);
        let Some(propose) = self.table.propose else { return Ok(Vec::new()) };
        let (n_atoms, n_parents) = (self.n_atoms, wanted.parents_nm.len());
        let fits = wanted.parents_nm.iter().all(|p| p.len() == n_atoms);
        if !fits || wanted.parent_counts.len() != n_parents {
            return Err(error("the frames are not of its topology".into(), MARSFM_PLUGIN_MISMATCH));
        }
        let flat: Vec<f64> =
            wanted.parents_nm.iter().flat_map(|p| p.as_flattened()).copied().collect();
        let request = ProposeRequest {
            struct_size: size_of::<ProposeRequest>(),
            n_atoms,
            n_wanted: wanted.n,
            rng_seed: wanted.rng_seed,
            epoch: wanted.epoch,
            temperature_kelvin: wanted.temperature_kelvin,
            n_parents,
            parents_nm: flat.as_ptr(),
            parent_counts: wanted.parent_counts.as_ptr(),
        };
        // What it says it wrote and did not is not finite.
        let mut xyz = vec![f64::NAN; wanted.n * n_atoms * 3];
        let mut parents = vec![MARSFM_PLUGIN_NO_PARENT; wanted.n];
        let mut n = 0;
        let (to, of) = (xyz.as_mut_ptr(), parents.as_mut_ptr());
        let status = propose(self.handle, &request, to, of, &mut n);
        self.plugin.check(status, &self.plugin.path)?;
        if n > wanted.n {
            let message = format!("it claims {n} proposals, there is room for {}", wanted.n);
            return Err(error(message, MARSFM_PLUGIN_MISMATCH));
        }
        let one = |k: usize| {
            let positions_nm = xyz.as_chunks::<3>().0[k * n_atoms..(k + 1) * n_atoms].to_vec();
            let bad = positions_nm.iter().position(|p| !p.iter().all(|x| x.is_finite()));
            if let Some(atom) = bad {
                let message = format!("proposal {k} of {n}: atom {atom} is not finite");
                return Err(error(message, MARSFM_PLUGIN_INVALID));
            }
            let parent = match parents[k] {
                MARSFM_PLUGIN_NO_PARENT => None,
                p => {
                    let there = usize::try_from(p).ok().filter(|p| *p < n_parents);
                    Some(there.ok_or_else(|| {
                        let message = format!(
                            "proposal {k} of {n}: there is no frame {p}, only {n_parents} of them"
                        );
                        error(message, MARSFM_PLUGIN_INVALID)
                    })?)
                }
            };
            Ok(Proposed { positions_nm, parent })
        };
        (0..n).map(one).collect()
    }
}

impl Drop for PluginProposer {
    fn drop(&mut self) {
        if let Some(close) = self.table.close {
            close(self.handle);
        }
    }
}

/// The name that loops call a proposer by.
pub(crate) fn name_of(table: &ProposerService) -> String {
    if table.name.is_null() {
        return String::new();
    }
    // SAFETY: not NULL, a string that lives with the plugin (contract).
    unsafe { CStr::from_ptr(table.name) }.to_string_lossy().into_owned()
}
