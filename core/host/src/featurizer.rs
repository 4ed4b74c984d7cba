//! A plugin's featurizer as a [`Featurizer`]. A handle of the plugin serves one thread at a
//! time, so each thread that computes borrows one from a pool that grows to their number.
#![allow(unsafe_code)] // calls the plugin's functions with memory of ours

use crate::error::HostError;
use crate::plugin::Plugin;
use crate::rows::records;
use marsfm_features::{FeatureError, Featurizer};
use marsfm_geometry::Topology;
use marsfm_plugin_api::abi::{self, FeaturizerService, MARSFM_PLUGIN_UNSUPPORTED};
use marsfm_plugin_api::{AtomRecord, FrameRef, RowsBuffer, frame_row};
use std::ffi::CString;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A featurizer plugin bound to a topology.
pub(crate) struct PluginFeaturizer {
    plugin: Arc<Plugin>,
    table: &'static FeaturizerService,
    atoms: Vec<AtomRecord>,
    options: Option<CString>,
    names: Vec<String>,
    idle: Mutex<Vec<Handle>>,
}

struct Handle(*mut abi::Featurizer);

// SAFETY: a handle may be used by any one thread at a time; the pool lends it to one.
unsafe impl Send for Handle {}

impl PluginFeaturizer {
    /// Binds to `topology`; `options` is text for the plugin.
    pub fn open(
        plugin: Arc<Plugin>,
        topology: &Topology,
        options: Option<&str>,
    ) -> Result<Self, HostError> {
        let unsupported = |what: &str| plugin.error(&plugin.path, what, MARSFM_PLUGIN_UNSUPPORTED);
        let Some(table) = plugin.featurizer else {
            return Err(unsupported("it offers no featurizer"));
        };
        if table.compute.is_none() || table.close.is_none() {
            return Err(unsupported("its featurizer cannot compute or close"));
        }
        let Some(n_features) = table.n_features else {
            return Err(unsupported("its featurizer does not tell its number of features"));
        };
        let options = options
            .map(CString::new)
            .transpose()
            .map_err(|_| unsupported("the options hold a NUL byte"))?;
        let mut made = Self {
            plugin: plugin.clone(),
            table,
            atoms: records(topology),
            options,
            names: Vec::new(),
            idle: Mutex::default(),
        };
        let handle = made.handle()?;
        let mut n = 0;
        let status = n_features(handle.0, &mut n);
        if status == abi::MARSFM_PLUGIN_OK {
            made.names = (0..n).map(|i| name(table, &handle, i)).collect();
        }
        made.give_back(handle);
        plugin.check(status, &plugin.path)?;
        Ok(made)
    }

    fn handle(&self) -> Result<Handle, HostError> {
        let idle = self.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
        if let Some(handle) = idle {
            return Ok(handle);
        }
        let file: &Path = &self.plugin.path;
        let Some(open) = self.table.open else {
            return Err(self.plugin.error(file, "cannot be opened", MARSFM_PLUGIN_UNSUPPORTED));
        };
        let rows = RowsBuffer::new(&self.atoms)
            .map_err(|e| self.plugin.error(file, e.message, e.status))?;
        let options = self.options.as_ref().map_or(std::ptr::null(), |o| o.as_ptr());
        let mut handle = std::ptr::null_mut();
        self.plugin.check(open(&rows.as_rows(), options, &mut handle), file)?;
        Ok(Handle(handle))
    }

    fn give_back(&self, handle: Handle) {
        self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(handle);
    }
}

fn name(table: &FeaturizerService, handle: &Handle, index: usize) -> String {
    let Some(feature_name) = table.feature_name else { return format!("feature {index}") };
    let need = feature_name(handle.0, index, std::ptr::null_mut(), 0).min(1 << 16);
    let mut buffer = vec![0u8; need.max(1)];
    feature_name(handle.0, index, buffer.as_mut_ptr().cast(), buffer.len());
    let end = buffer.iter().position(|b| *b == 0).unwrap_or(buffer.len());
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}

impl Featurizer for PluginFeaturizer {
    fn n_features(&self) -> usize {
        self.names.len()
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn compute(
        &self,
        positions_nm: &[[f32; 3]],
        cell_nm: Option<&[[f32; 3]; 3]>,
        out: &mut [f64],
    ) -> Result<(), FeatureError> {
        let (expected, found) = (self.atoms.len(), positions_nm.len());
        if found != expected {
            return Err(FeatureError::AtomCount { expected, found });
        }
        if out.len() != self.names.len() {
            let (expected, found) = (self.names.len(), out.len());
            return Err(FeatureError::RowLength { expected, found });
        }
        let Some(compute) = self.table.compute else { return Ok(()) };
        let handle = self.handle().map_err(|e| FeatureError::Read(e.into_trajectory()))?;
        let frame = frame_row(FrameRef { positions_nm, cell_nm: cell_nm.copied(), time_ps: None });
        let mut row = vec![0.0f32; out.len()];
        let status = compute(handle.0, &frame, row.as_mut_ptr(), row.len());
        let result = self.plugin.check(status, &self.plugin.path);
        self.give_back(handle);
        result.map_err(|e| FeatureError::Read(e.into_trajectory()))?;
        if let Some(i) = row.iter().position(|x| !x.is_finite()) {
            let message = format!("feature {i} ({}) is {}, not finite", self.names[i], row[i]);
            let error = self.plugin.error(&self.plugin.path, message, 0);
            return Err(FeatureError::Read(error.into_trajectory()));
        }
        for (to, from) in out.iter_mut().zip(row) {
            *to = f64::from(from);
        }
        Ok(())
    }
}

impl Drop for PluginFeaturizer {
    fn drop(&mut self) {
        let idle = self.idle.get_mut().unwrap_or_else(|e| e.into_inner());
        for handle in idle.drain(..) {
            if let Some(close) = self.table.close {
                close(handle.0);
            }
        }
    }
}
