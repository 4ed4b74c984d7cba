//! A plugin's reader as a [`FrameSource`], and its writer as a [`FrameSink`]. Coordinates are
//! checked here, once for all formats.
#![allow(unsafe_code)] // calls the plugin's functions with memory of ours

use crate::error::HostError;
use crate::plugin::Plugin;
use crate::rows::{c_path, records};
use marsfm_geometry::Topology;
use marsfm_plugin_api::abi::*;
use marsfm_plugin_api::{FrameRef, RowsBuffer, cell_of, frame_row};
use marsfm_trajectory::{AtomicPath, Frame, FrameSink, FrameSource, TrajectoryError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A trajectory opened through a plugin.
pub(crate) struct PluginSource {
    plugin: Arc<Plugin>,
    table: &'static TrajectoryService,
    reader: *mut Reader,
    path: PathBuf,
    name: String,
    n_atoms: usize,
    n_frames: Option<usize>,
    next: usize,
}

// SAFETY: a reader may be used by any one thread at a time, and `&self` methods do not call it.
unsafe impl Send for PluginSource {}

impl PluginSource {
    /// Opens `path`, whose format `plugin` reads.
    pub fn open(plugin: Arc<Plugin>, path: &Path) -> Result<Self, HostError> {
        let (Some(table), text) = (plugin.trajectory, c_path(path)?) else {
            return Err(plugin.error(path, "no trajectory service", MARSFM_PLUGIN_UNSUPPORTED));
        };
        let (Some(open), Some(info)) = (table.open_reader, table.reader_info) else {
            return Err(plugin.error(path, "it reads no frames", MARSFM_PLUGIN_UNSUPPORTED));
        };
        let mut reader = std::ptr::null_mut();
        plugin.check(open(text.as_ptr(), &mut reader), path)?;
        let mut source = Self {
            plugin,
            table,
            reader,
            name: path.display().to_string(),
            path: path.into(),
            n_atoms: 0,
            n_frames: None,
            next: 0,
        };
        let mut row = ReaderInfo { struct_size: size_of::<ReaderInfo>(), n_atoms: 0, n_frames: -1 };
        source.plugin.check(info(source.reader, &mut row), path)?;
        source.n_atoms = usize::try_from(row.n_atoms)
            .ok()
            .filter(|n| *n < isize::MAX as usize / 12)
            .ok_or_else(|| source.plugin.error(path, "absurd atom count", MARSFM_PLUGIN_FORMAT))?;
        source.n_frames = usize::try_from(row.n_frames).ok();
        if source.n_frames == Some(0) || source.n_atoms == 0 {
            let message =
                if source.n_atoms == 0 { "it holds no atom" } else { "it holds no frame" };
            let message = format!("the trajectory is empty: {message}");
            return Err(HostError::File { file: source.name.clone(), message });
        }
        Ok(source)
    }

    fn failed(&self, error: HostError) -> TrajectoryError {
        match error {
            HostError::Plugin { file, plugin, message, .. } => {
                let message = of_frame(&message, self.next, &plugin);
                TrajectoryError::Frame { file, frame: self.next, message }
            }
            other => other.into_trajectory(),
        }
    }
}

impl FrameSource for PluginSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn n_atoms(&self) -> usize {
        self.n_atoms
    }

    fn n_frames(&self) -> Option<usize> {
        self.n_frames
    }

    fn read(&mut self, frame: &mut Frame) -> Result<bool, TrajectoryError> {
        let Some(read_frame) = self.table.read_frame else { return Ok(false) };
        frame.positions_nm.resize(self.n_atoms, [0.0; 3]);
        let mut row = FrameRow {
            struct_size: size_of::<FrameRow>(),
            n_atoms: self.n_atoms,
            xyz_nm: frame.positions_nm.as_mut_ptr().cast(),
            cell_nm: [0.0; 9],
            flags: 0,
            time_ps: 0.0,
        };
        let status = read_frame(self.reader, &mut row);
        if status == MARSFM_PLUGIN_END {
            return Ok(false);
        }
        self.plugin.check(status, &self.path).map_err(|e| self.failed(e))?;
        frame.cell_nm = cell_of(&row);
        let trusted = MARSFM_PLUGIN_HAS_TIME | MARSFM_PLUGIN_TIME_IS_TRUSTED;
        frame.time_ps = (row.flags & trusted == trusted).then_some(row.time_ps);
        let bad = |message: String| TrajectoryError::Frame {
            file: self.name.clone(),
            frame: self.next,
            message,
        };
        if let Some(atom) = not_finite(&frame.positions_nm) {
            let [x, y, z] = frame.positions_nm[atom];
            return Err(bad(format!("atom {atom} is at ({x}, {y}, {z}) nm: not finite")));
        }
        if frame.cell_nm.is_some_and(|c| !c.as_flattened().iter().all(|x| x.is_finite())) {
            return Err(bad("its cell is not finite".into()));
        }
        if frame.time_ps.is_some_and(|t| !t.is_finite()) {
            return Err(bad("its time is not finite".into()));
        }
        self.next += 1;
        Ok(true)
    }

    fn seek(&mut self, index: usize) -> Result<(), TrajectoryError> {
        let Some(seek) = self.table.seek else {
            let message = format!("plugin {} cannot jump between frames", self.plugin.name);
            return Err(TrajectoryError::Io { file: self.name.clone(), message });
        };
        self.plugin
            .check(seek(self.reader, index as u64), &self.path)
            .map_err(HostError::into_trajectory)?;
        self.next = index;
        Ok(())
    }
}

impl Drop for PluginSource {
    fn drop(&mut self) {
        if let Some(close) = self.table.close_reader {
            close(self.reader);
        }
    }
}

/// A plugin's text without the frame, which the error names already.
fn of_frame(message: &str, frame: usize, plugin: &str) -> String {
    let name = format!("frame {frame}");
    let rest = message.strip_prefix(&name).unwrap_or(message).trim_start_matches([':', ',', ' ']);
    format!("{} (plugin {plugin})", if rest.is_empty() { message } else { rest })
}

/// Index of the first atom that is not at a finite place.
pub(crate) fn not_finite(positions_nm: &[[f32; 3]]) -> Option<usize> {
    positions_nm.iter().position(|p| !p.iter().all(|x| x.is_finite()))
}

/// A trajectory written through a plugin, under a temporary name until it is finished.
pub(crate) struct PluginSink {
    plugin: Arc<Plugin>,
    table: &'static TrajectoryService,
    writer: *mut Writer,
    // `None` once committed.
    path: Option<AtomicPath>,
    n_atoms: usize,
    written: usize,
}

// SAFETY: a writer may be used by any one thread at a time.
unsafe impl Send for PluginSink {}

impl PluginSink {
    /// Starts `path`, whose format `plugin` writes.
    pub fn create(plugin: Arc<Plugin>, path: &Path, top: &Topology) -> Result<Self, HostError> {
        let Some(table) = plugin.trajectory else {
            return Err(plugin.error(path, "no trajectory service", MARSFM_PLUGIN_UNSUPPORTED));
        };
        let Some(open) = table.open_writer else {
            return Err(plugin.error(path, "it writes no frames", MARSFM_PLUGIN_UNSUPPORTED));
        };
        let reserved = AtomicPath::reserve(path).map_err(|e| TrajectoryError::Io {
            file: path.display().to_string(),
            message: e.to_string(),
        })?;
        let rows =
            RowsBuffer::new(&records(top)).map_err(|e| plugin.error(path, e.message, e.status))?;
        let text = c_path(reserved.temporary())?;
        let mut writer = std::ptr::null_mut();
        plugin.check(open(text.as_ptr(), &rows.as_rows(), &mut writer), path)?;
        let n_atoms = top.len();
        Ok(Self { plugin, table, writer, path: Some(reserved), n_atoms, written: 0 })
    }

    fn name(&self) -> PathBuf {
        self.path.as_ref().map(|p| p.final_path().to_owned()).unwrap_or_default()
    }
}

impl FrameSink for PluginSink {
    fn write(&mut self, frame: &Frame) -> Result<(), TrajectoryError> {
        let file = self.name();
        let bad = |message: String| TrajectoryError::Frame {
            file: file.display().to_string(),
            frame: self.written,
            message,
        };
        if frame.positions_nm.len() != self.n_atoms {
            let (got, want) = (frame.positions_nm.len(), self.n_atoms);
            return Err(bad(format!("{got} positions for the {want} atoms of the topology")));
        }
        if let Some(atom) = not_finite(&frame.positions_nm) {
            return Err(bad(format!("atom {atom} is not at a finite place; nothing is written")));
        }
        let Some(write_frame) = self.table.write_frame else { return Ok(()) };
        let row = frame_row(FrameRef {
            positions_nm: &frame.positions_nm,
            cell_nm: frame.cell_nm,
            time_ps: frame.time_ps,
        });
        let status = write_frame(self.writer, &row);
        self.plugin.check(status, &file).map_err(|e| match e {
            HostError::Plugin { message, plugin, .. } => {
                bad(of_frame(&message, self.written, &plugin))
            }
            other => other.into_trajectory(),
        })?;
        self.written += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), TrajectoryError> {
        let file = self.name();
        let writer = std::mem::replace(&mut self.writer, std::ptr::null_mut());
        if let Some(finish) = self.table.finish {
            self.plugin.check(finish(writer), &file).map_err(HostError::into_trajectory)?;
        }
        let Some(path) = self.path.take() else { return Ok(()) };
        path.commit().map_err(|e| TrajectoryError::Io {
            file: file.display().to_string(),
            message: e.to_string(),
        })
    }
}

impl Drop for PluginSink {
    fn drop(&mut self) {
        if let Some(abort) = self.table.abort.filter(|_| !self.writer.is_null()) {
            abort(self.writer);
        }
        // An uncommitted path removes its file.
    }
}
