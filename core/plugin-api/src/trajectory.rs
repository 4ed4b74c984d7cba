//! Trajectory plugins as ordinary Rust traits, and the table that carries them across.
#![allow(unsafe_code)] // implements the C functions of the table

use crate::abi::*;
use crate::error::{PluginError, guard};
use crate::records::*;
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A plugin that reads and writes trajectory files. Errors need not name the file: the host does.
pub trait TrajectoryPlugin: 'static {
    /// The formats, made with [`format`].
    const FORMATS: &'static [Format];

    /// Reads the atoms (and coordinates, if any) of `path`.
    fn read_topology(path: &Path) -> Result<TopologyFile, PluginError>;

    /// Opens a trajectory at its first frame.
    fn open(path: &Path) -> Result<Box<dyn ReadFrames>, PluginError>;

    /// Creates a trajectory file of `atoms`, replacing one of that name.
    fn create(path: &Path, atoms: &[AtomRecord]) -> Result<Box<dyn WriteFrames>, PluginError>;
}

/// What a topology file holds.
#[derive(Clone, Debug, Default)]
pub struct TopologyFile {
    /// Atoms in file order.
    pub atoms: Vec<AtomRecord>,
    /// One position per atom, nm, if the file has coordinates.
    pub positions_nm: Option<Vec<[f32; 3]>>,
    /// Cell vectors as rows, nm.
    pub cell_nm: Option<[[f32; 3]; 3]>,
    /// Remarks for the user: what was left out or decided.
    pub notes: Vec<String>,
}

/// An opened trajectory. Used by one thread at a time.
pub trait ReadFrames {
    /// Atoms per frame.
    fn n_atoms(&self) -> usize;
    /// Number of frames, if known without reading all.
    fn n_frames(&self) -> Option<u64>;
    /// Reads the next frame; `Ok(false)` after the last. `frame` has room for `n_atoms` atoms.
    fn read(&mut self, frame: &mut FrameMut<'_>) -> Result<bool, PluginError>;
    /// The next `read` gives frame `index`.
    fn seek(&mut self, index: u64) -> Result<(), PluginError>;
}

/// A trajectory being written. Dropping it without `finish` gives up.
pub trait WriteFrames {
    /// Appends a frame of as many atoms as the topology.
    fn write(&mut self, frame: FrameRef<'_>) -> Result<(), PluginError>;
    /// Completes the file.
    fn finish(self: Box<Self>) -> Result<(), PluginError>;
}

/// One row of the format table. `extensions`: lower case, without dots, separated by commas.
pub const fn format(
    name: &'static CStr,
    extensions: &'static CStr,
    flags: u32,
    priority: i32,
) -> Format {
    Format {
        struct_size: size_of::<Format>(),
        name: name.as_ptr(),
        extensions: extensions.as_ptr(),
        flags,
        priority,
    }
}

/// The table of a plugin type.
pub fn trajectory_table<P: TrajectoryPlugin>() -> &'static TrajectoryService {
    &const {
        TrajectoryService {
            struct_size: size_of::<TrajectoryService>(),
            n_formats: P::FORMATS.len(),
            formats: P::FORMATS.as_ptr(),
            read_topology: Some(read_topology::<P>),
            open_reader: Some(open_reader::<P>),
            reader_info: Some(reader_info),
            read_frame: Some(read_frame),
            seek: Some(seek),
            close_reader: Some(close_reader),
            open_writer: Some(open_writer::<P>),
            write_frame: Some(write_frame),
            finish: Some(finish),
            abort: Some(abort),
        }
    }
}

struct ReaderBox(Box<dyn ReadFrames>);

struct WriterBox {
    writer: Box<dyn WriteFrames>,
    n_atoms: usize,
}

fn null(what: &str) -> PluginError {
    PluginError::invalid(format!("{what} is NULL"))
}

fn path_from_c<'a>(path: *const c_char) -> Result<&'a Path, PluginError> {
    if path.is_null() {
        return Err(null("path"));
    }
    // SAFETY: NUL-terminated and valid for the call by the contract.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

fn stopped(status: i32) -> Result<(), PluginError> {
    let message = "the receiver of the topology stopped the reading".to_owned();
    if status == MARSFM_PLUGIN_OK { Ok(()) } else { Err(PluginError { status, message }) }
}

extern "C" fn read_topology<P: TrajectoryPlugin>(
    path: *const c_char,
    sink: *const TopologySink,
) -> i32 {
    guard(|| {
        // SAFETY: NULL or valid for the call by the contract.
        let sink = unsafe { sink.as_ref() }.ok_or_else(|| null("sink"))?;
        let push = sink.atom.ok_or_else(|| null("sink.atom"))?;
        let file = P::read_topology(path_from_c(path)?)?;
        let rows = RowsBuffer::new(&file.atoms)?;
        for i in 0..file.atoms.len() {
            stopped(push(sink.user_data, rows.row(i)))?;
        }
        if let (Some(positions), Some(take)) = (&file.positions_nm, sink.coordinates) {
            let frame = FrameRef { positions_nm: positions, cell_nm: file.cell_nm, time_ps: None };
            stopped(take(sink.user_data, &frame_row(frame)))?;
        }
        if let Some(note) = sink.note {
            for text in &file.notes {
                let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
                stopped(note(sink.user_data, text.as_ptr()))?;
            }
        }
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn open_reader<P: TrajectoryPlugin>(
    path: *const c_char,
    reader: *mut *mut Reader,
) -> i32 {
    guard(|| {
        if reader.is_null() {
            return Err(null("reader"));
        }
        let opened = Box::new(ReaderBox(P::open(path_from_c(path)?)?));
        // SAFETY: not NULL; the caller owns the place.
        unsafe { *reader = Box::into_raw(opened).cast() };
        Ok(MARSFM_PLUGIN_OK)
    })
}

fn reader_box<'a>(reader: *mut Reader) -> Result<&'a mut ReaderBox, PluginError> {
    // SAFETY: NULL or made by `open_reader`, not yet closed, one thread at a time (contract).
    unsafe { reader.cast::<ReaderBox>().as_mut() }.ok_or_else(|| null("reader"))
}

extern "C" fn reader_info(reader: *mut Reader, info: *mut ReaderInfo) -> i32 {
    guard(|| {
        let reader = reader_box(reader)?;
        // SAFETY: NULL or valid for the call by the contract.
        let info = unsafe { info.as_mut() }.ok_or_else(|| null("info"))?;
        if info.struct_size < size_of::<ReaderInfo>() {
            return Err(PluginError::invalid("info: struct_size is too small"));
        }
        info.n_atoms = reader.0.n_atoms() as u64;
        info.n_frames = reader.0.n_frames().map_or(-1, |n| n as i64);
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn read_frame(reader: *mut Reader, frame: *mut FrameRow) -> i32 {
    guard(|| {
        let reader = reader_box(reader)?;
        let expected = reader.0.n_atoms();
        // SAFETY: NULL or valid for the call by the contract.
        unsafe {
            fill_row(frame, |frame| {
                let got = frame.positions_nm.len();
                if got != expected {
                    let message = format!("frame buffer for {got} atoms, file has {expected}");
                    return Err(PluginError::mismatch(message));
                }
                reader.0.read(frame)
            })
        }
    })
}

extern "C" fn seek(reader: *mut Reader, index: u64) -> i32 {
    guard(|| reader_box(reader)?.0.seek(index).map(|()| MARSFM_PLUGIN_OK))
}

extern "C" fn close_reader(reader: *mut Reader) {
    guard(|| {
        if !reader.is_null() {
            // SAFETY: made by `open_reader`, closed once (contract).
            drop(unsafe { Box::from_raw(reader.cast::<ReaderBox>()) });
        }
        Ok(MARSFM_PLUGIN_OK)
    });
}

extern "C" fn open_writer<P: TrajectoryPlugin>(
    path: *const c_char,
    topology: *const TopologyRows,
    writer: *mut *mut Writer,
) -> i32 {
    guard(|| {
        if writer.is_null() {
            return Err(null("writer"));
        }
        // SAFETY: NULL or valid for the call by the contract.
        let atoms = unsafe { atoms_from_rows(topology) }?;
        let made = P::create(path_from_c(path)?, &atoms)?;
        let made = Box::new(WriterBox { writer: made, n_atoms: atoms.len() });
        // SAFETY: not NULL; the caller owns the place.
        unsafe { *writer = Box::into_raw(made).cast() };
        Ok(MARSFM_PLUGIN_OK)
    })
}

extern "C" fn write_frame(writer: *mut Writer, frame: *const FrameRow) -> i32 {
    guard(|| {
        // SAFETY: NULL or made by `open_writer`, not yet finished, one thread at a time.
        let writer =
            unsafe { writer.cast::<WriterBox>().as_mut() }.ok_or_else(|| null("writer"))?;
        // SAFETY: NULL or valid for the call by the contract.
        let frame = unsafe { frame_from_row(frame) }?;
        let got = frame.positions_nm.len();
        if got != writer.n_atoms {
            let message = format!("frame of {got} atoms, topology has {}", writer.n_atoms);
            return Err(PluginError::mismatch(message));
        }
        writer.writer.write(frame).map(|()| MARSFM_PLUGIN_OK)
    })
}

extern "C" fn finish(writer: *mut Writer) -> i32 {
    guard(|| {
        if writer.is_null() {
            return Err(null("writer"));
        }
        // SAFETY: made by `open_writer`, finished once (contract).
        let writer = unsafe { Box::from_raw(writer.cast::<WriterBox>()) };
        writer.writer.finish().map(|()| MARSFM_PLUGIN_OK)
    })
}

extern "C" fn abort(writer: *mut Writer) {
    guard(|| {
        if !writer.is_null() {
            // SAFETY: made by `open_writer`, neither finished nor aborted before (contract).
            drop(unsafe { Box::from_raw(writer.cast::<WriterBox>()) });
        }
        Ok(MARSFM_PLUGIN_OK)
    });
}
