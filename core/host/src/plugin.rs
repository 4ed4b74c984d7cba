//! One loaded plugin: opened once, never unloaded, its tables checked. Both doors end in the
//! same tables, so nothing behind this file knows through which one they came.
#![allow(unsafe_code)] // opens libraries and reads their tables

use crate::error::HostError;
use crate::trust;
use abi_stable::library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME_WITH_NUL};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use marsfm_plugin_api::RustDoorRef;
use marsfm_plugin_api::abi::*;
use marsfm_plugin_api::backend_abi::*;
use marsfm_plugin_api::engine_abi::*;
use marsfm_plugin_api::proposer_abi::ProposerService;
use sha2::{Digest, Sha256};
use std::ffi::{CStr, c_char, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

/// Through which door a plugin's tables came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// The C symbol `marsfm_plugin_entry`.
    C,
    /// The `abi_stable` root module.
    Rust,
}

/// A loaded plugin.
pub(crate) struct Plugin {
    pub path: PathBuf,
    pub name: String,
    pub version: String,
    pub abi: (u32, u32),
    pub door: Door,
    pub sha256: String,
    pub trajectory: Option<&'static TrajectoryService>,
    pub featurizer: Option<&'static FeaturizerService>,
    pub engine: Option<&'static EngineService>,
    pub backend: Option<&'static BackendService>,
    pub proposer: Option<&'static ProposerService>,
    pub formats: Vec<FormatInfo>,
    last_error: Option<extern "C" fn(*mut c_char, usize) -> usize>,
}

/// A format of a loaded plugin.
#[derive(Clone, Debug, serde::Serialize)]
pub struct FormatInfo {
    /// Name for people.
    pub name: String,
    /// Extensions in lower case, without dots.
    pub extensions: Vec<String>,
    /// Frames can be read.
    pub reads: bool,
    /// Frames can be written.
    pub writes: bool,
    /// The file names its atoms.
    pub has_topology: bool,
    /// Higher is preferred.
    pub priority: i32,
}

struct Versioned(HostInfo);

fn host_info() -> &'static HostInfo {
    static VERSION: &str = concat!("marsfm ", env!("CARGO_PKG_VERSION"), "\0");
    static INFO: Versioned = Versioned(HostInfo {
        struct_size: size_of::<HostInfo>(),
        abi_major: MARSFM_PLUGIN_ABI_MAJOR,
        abi_minor: MARSFM_PLUGIN_ABI_MINOR,
        version: VERSION.as_ptr().cast(),
    });
    &INFO.0
}

impl Plugin {
    /// Checks, opens and shakes hands. Each refusal says why.
    pub fn load(path: &Path) -> Result<Self, HostError> {
        let refused = |why: String| HostError::Refused {
            path: path.display().to_string(),
            why,
            source: None,
        };
        let canonical = trust::check(path).map_err(refused)?;
        let bytes = std::fs::read(&canonical).map_err(|e| refused(format!("unreadable: {e}")))?;
        if !bytes.starts_with(b"\x7fELF") {
            return Err(refused("it is not a shared library (no ELF file)".into()));
        }
        let sha256 = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        drop(bytes);
        // SAFETY: the file is trusted code by the checks above; its initialisers run here.
        let library = unsafe { Library::open(Some(&canonical), RTLD_NOW | RTLD_LOCAL) };
        // Never unloaded: tables, threads and destructors of the plugin live on.
        let library = ManuallyDrop::new(library.map_err(|e| HostError::Refused {
            path: path.display().to_string(),
            why: format!("the system's loader refuses it: {}", reason(&e)),
            source: Some(Box::new(e)),
        })?);
        let (entry_function, door, tables) = open_door(&library).map_err(refused)?;
        let entry = entry_function(host_info());
        let entry = check_entry(entry).map_err(refused)?;
        let (trajectory, featurizer) = match tables {
            Some(tables) => tables,
            None => (
                service(entry, MARSFM_PLUGIN_TRAJECTORY_1),
                service(entry, MARSFM_PLUGIN_FEATURIZER_1),
            ),
        };
        if let Some(table) = trajectory {
            size(table.struct_size, size_of_val(table), MARSFM_PLUGIN_TRAJECTORY_1)
                .map_err(refused)?;
        }
        if let Some(table) = featurizer {
            size(table.struct_size, size_of_val(table), MARSFM_PLUGIN_FEATURIZER_1)
                .map_err(refused)?;
        }
        // Younger than the Rust door's module: by id through both doors.
        let engine: Option<&'static EngineService> = service(entry, MARSFM_PLUGIN_ENGINE_1);
        if let Some(table) = engine {
            size(table.struct_size, size_of_val(table), MARSFM_PLUGIN_ENGINE_1).map_err(refused)?;
        }
        let backend: Option<&'static BackendService> = service(entry, MARSFM_PLUGIN_BACKEND_1);
        if let Some(table) = backend {
            size(table.struct_size, size_of_val(table), MARSFM_PLUGIN_BACKEND_1)
                .map_err(refused)?;
        }
        let proposer: Option<&'static ProposerService> = service(entry, MARSFM_PLUGIN_PROPOSER_1);
        if let Some(table) = proposer {
            size(table.struct_size, size_of_val(table), MARSFM_PLUGIN_PROPOSER_1)
                .map_err(refused)?;
        }
        let files = trajectory.is_some() || featurizer.is_some();
        if !files && engine.is_none() && backend.is_none() && proposer.is_none() {
            return Err(refused("it offers no service that this marsfm knows".into()));
        }
        let text = |p: *const c_char, what: &str| {
            // SAFETY: NULL or a string that lives with the plugin (contract).
            unsafe { marsfm_plugin_api::text_from_c(p, what) }.map_err(|e| refused(e.message))
        };
        let formats = trajectory.map_or(Ok(Vec::new()), formats).map_err(refused)?;
        Ok(Self {
            name: text(entry.name, "its name")?,
            version: text(entry.version, "its version")?,
            abi: (entry.abi_major, entry.abi_minor),
            path: canonical,
            door,
            sha256,
            trajectory,
            featurizer,
            engine,
            backend,
            proposer,
            formats,
            last_error: entry.last_error,
        })
    }

    /// Turns a status into an error with the plugin's text. Call it on the thread of the failure.
    pub fn check(&self, status: i32, file: &Path) -> Result<(), HostError> {
        self.failure(status).map_or(Ok(()), |message| Err(self.error(file, message, status)))
    }

    /// What a status means, in the plugin's words if it has any; `None` for success. Call it on the
    /// thread of the failure.
    pub fn failure(&self, status: i32) -> Option<String> {
        if status == MARSFM_PLUGIN_OK {
            return None;
        }
        let mut message = self.last_error_text();
        if message.is_empty() {
            message = match status {
                MARSFM_PLUGIN_INVALID => "invalid argument".into(),
                MARSFM_PLUGIN_IO => "cannot be opened, read or written".into(),
                MARSFM_PLUGIN_FORMAT => "damaged, or of another format".into(),
                MARSFM_PLUGIN_UNSUPPORTED => "the plugin does not offer this".into(),
                MARSFM_PLUGIN_MISMATCH => "the number of atoms differs".into(),
                MARSFM_PLUGIN_PANIC => "the plugin failed unexpectedly".into(),
                MARSFM_PLUGIN_DEVICE_MISSING => "the device cannot be used".into(),
                MARSFM_PLUGIN_DEVICE_MEMORY => "the device has not enough memory".into(),
                MARSFM_PLUGIN_MODEL => "the backend cannot compute this model".into(),
                other @ MARSFM_PLUGIN_ENGINE_MISSING..=MARSFM_PLUGIN_ENGINE_FAILED => {
                    engine_text(other).into()
                }
                other => format!("unknown status {other}"),
            };
        }
        Some(message)
    }

    /// An error in the name of this plugin.
    pub fn error(&self, file: &Path, message: impl Into<String>, status: i32) -> HostError {
        let (file, plugin) = (file.display().to_string(), self.name.clone());
        HostError::Plugin { file, plugin, message: message.into(), status }
    }

    fn last_error_text(&self) -> String {
        let Some(last_error) = self.last_error else { return String::new() };
        let need = last_error(std::ptr::null_mut(), 0).min(1 << 16);
        let mut buffer = vec![0u8; need.max(1)];
        last_error(buffer.as_mut_ptr().cast(), buffer.len());
        let end = buffer.iter().position(|b| *b == 0).unwrap_or(buffer.len());
        String::from_utf8_lossy(&buffer[..end]).into_owned()
    }
}

/// What a status of an engine means, where the plugin gave no text.
fn engine_text(status: i32) -> &'static str {
    match status {
        MARSFM_PLUGIN_ENGINE_MISSING => "the engine was not found",
        MARSFM_PLUGIN_ENGINE_VERSION => "this version of the engine is not supported",
        MARSFM_PLUGIN_DIVERGED => "positions, velocities or energy are no longer finite",
        MARSFM_PLUGIN_CANCELLED => "stopped on request",
        MARSFM_PLUGIN_TIMEOUT => "no sign of life for too long",
        MARSFM_PLUGIN_KILLED => "the engine's process ended without a result",
        MARSFM_PLUGIN_DISK_FULL => "no room is left on the device",
        MARSFM_PLUGIN_BUSY => "another thread is using it",
        _ => "the engine failed",
    }
}

/// libloading's own text is only "dlopen failed"; the loader's reason is its source.
fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |s| s.to_string())
}

type Tables = (Option<&'static TrajectoryService>, Option<&'static FeaturizerService>);

fn open_door(library: &Library) -> Result<(EntryFunction, Door, Option<Tables>), String> {
    // SAFETY: abi_stable exports a static of this type under this name.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
    if let Ok(header) = header {
        // As a symbol this type stands for a pointer, and the pointer is the static's address.
        let header: AbiHeaderRef = *header;
        let brief = |e: abi_stable::library::LibraryError| {
            let text = e.to_string();
            let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
            let text: Vec<&str> = lines.by_ref().take(6).collect();
            let hint = "built for another plugin ABI or abi_stable; rebuild it with this marsfm";
            format!("its Rust door does not fit ({hint}): {}", text.join(" "))
        };
        let door = header.upgrade().map_err(brief)?;
        let module = door.init_root_module::<RustDoorRef>().map_err(brief)?;
        let tables = (module.trajectory(), module.featurizer());
        return Ok((module.entry(), Door::Rust, Some(tables)));
    }
    // SAFETY: the contract gives the symbol this type.
    let entry = unsafe { library.get::<EntryFunction>(b"marsfm_plugin_entry\0") };
    let entry = entry.map_err(|_| "it exports no marsfm_plugin_entry: not a marsfm plugin")?;
    Ok((*entry, Door::C, None))
}

fn check_entry(entry: *const Entry) -> Result<&'static Entry, String> {
    let ours = format!("{MARSFM_PLUGIN_ABI_MAJOR}.{MARSFM_PLUGIN_ABI_MINOR}");
    if entry.is_null() {
        return Err(format!("it declines to serve a host of plugin ABI {ours}"));
    }
    // SAFETY: the first three fields are frozen for every ABI version.
    let (bytes, major, minor) =
        unsafe { ((*entry).struct_size, (*entry).abi_major, (*entry).abi_minor) };
    if major != MARSFM_PLUGIN_ABI_MAJOR || minor > MARSFM_PLUGIN_ABI_MINOR {
        return Err(format!(
            "it was built for plugin ABI {major}.{minor}, this marsfm has {ours}; {}",
            if major < MARSFM_PLUGIN_ABI_MAJOR { "rebuild the plugin" } else { "update marsfm" }
        ));
    }
    size(bytes, size_of::<Entry>(), c"entry")?;
    // SAFETY: of our version, whole, and living for the process (contract).
    let entry = unsafe { &*entry };
    if entry.name.is_null() || entry.version.is_null() || entry.get_service.is_none() {
        return Err("its entry lacks a name, a version or get_service".into());
    }
    Ok(entry)
}

/// Tables of the major version only ever grow, so ABI 1.0's size is the smallest possible.
fn size(given: usize, least: usize, what: &CStr) -> Result<(), String> {
    if given >= least {
        return Ok(());
    }
    Err(format!("its table {what:?} has {given} bytes, ABI 1.0 needs {least}"))
}

fn service<T>(entry: &Entry, id: &CStr) -> Option<&'static T> {
    let table: *const c_void = entry.get_service?(id.as_ptr());
    // SAFETY: NULL or the table that the id names, living for the process (contract); its size
    // is checked by the caller before anything beyond struct_size is read.
    unsafe { table.cast::<T>().as_ref() }
}

fn formats(table: &'static TrajectoryService) -> Result<Vec<FormatInfo>, String> {
    let mut infos = Vec::new();
    for i in 0..table.n_formats {
        if table.formats.is_null() {
            return Err("its list of formats is NULL".into());
        }
        // SAFETY: element 0 exists, its struct_size is the step (contract).
        let (step, format) = unsafe {
            let step = (*table.formats).struct_size;
            (step, &*table.formats.byte_add(step * i))
        };
        size(step, size_of::<Format>(), c"format")?;
        if format.name.is_null() || format.extensions.is_null() {
            return Err("a format has no name or no extensions".into());
        }
        // SAFETY: strings that live with the plugin (contract).
        let text = |p| unsafe { CStr::from_ptr(p) }.to_string_lossy().into_owned();
        let extensions = text(format.extensions).to_lowercase();
        infos.push(FormatInfo {
            name: text(format.name),
            extensions: extensions
                .split(',')
                .map(|e| e.trim().to_owned())
                .filter(|e| !e.is_empty())
                .collect(),
            reads: format.flags & MARSFM_PLUGIN_READS_FRAMES != 0
                && table.open_reader.is_some()
                && table.reader_info.is_some()
                && table.read_frame.is_some(),
            writes: format.flags & MARSFM_PLUGIN_WRITES_FRAMES != 0
                && table.open_writer.is_some()
                && table.write_frame.is_some()
                && table.finish.is_some(),
            has_topology: format.flags & MARSFM_PLUGIN_HAS_TOPOLOGY != 0
                && table.read_topology.is_some(),
            priority: format.priority,
        });
    }
    Ok(infos)
}
