//! XTC through molly, over a buffered file (nm, ps). The file is indexed when it is opened, by
//! hopping from header to header: that gives the number of frames, seeking, and the frame in
//! which a damaged or cut-off file breaks, before anything is decoded.

use marsfm_plugin_api::{FrameMut, FrameRef, PluginError, ReadFrames, WriteFrames};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

const MAGIC_1995: i32 = 1995;
const MAGIC_2023: i32 = 2023;
/// Bytes of magic, atoms, step, time, cell, atoms again.
const HEADER: u64 = 56;
/// Positions are stored as multiples of 1/1000 nm.
const PRECISION: f32 = 1000.0;

/// Reads an XTC file.
pub struct XtcReader {
    inner: molly::XTCReader<BufReader<File>>,
    /// Byte at which each frame starts.
    starts: Vec<u64>,
    n_atoms: usize,
    next: usize,
    frame: molly::Frame,
}

impl XtcReader {
    /// Opens and indexes the file.
    pub fn open(path: &Path) -> Result<Self, PluginError> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let length = file.get_ref().metadata()?.len();
        let (starts, n_atoms) = index(&mut file, length)?;
        file.seek(SeekFrom::Start(0))?;
        let inner = molly::XTCReader::new(file);
        Ok(Self { inner, starts, n_atoms, next: 0, frame: molly::Frame::default() })
    }
}

/// Starts of all frames, and their number of atoms.
fn index(file: &mut BufReader<File>, length: u64) -> Result<(Vec<u64>, usize), PluginError> {
    let (mut starts, mut n_atoms, mut at) = (Vec::new(), 0usize, 0u64);
    while at < length {
        let frame = starts.len();
        let cut = |need: u64| {
            PluginError::format(format!(
                "frame {frame} is cut off: it needs {need} bytes from byte {at}, the file ends at \
                 byte {length}; copy the file again, or keep its first {frame} frames"
            ))
        };
        if length - at < HEADER {
            return Err(cut(HEADER));
        }
        let mut header = [0u8; HEADER as usize];
        file.read_exact(&mut header)?;
        let word = |k: usize| i32::from_be_bytes([0, 1, 2, 3].map(|b| header[4 * k + b]));
        let magic = word(0);
        if magic != MAGIC_1995 && magic != MAGIC_2023 {
            return Err(PluginError::format(format!(
                "frame {frame}: byte {at} holds {magic} where an XTC frame begins with 1995 or \
                 2023: the file is damaged or no XTC file"
            )));
        }
        let damaged = |what: String| PluginError::format(format!("frame {frame}: {what}"));
        let (atoms, again) = (word(1), word(13));
        if atoms < 0 || atoms != again {
            return Err(damaged(format!("the header names {atoms} and {again} atoms: damaged")));
        }
        let atoms = atoms as u64;
        if frame == 0 {
            n_atoms = atoms as usize;
        } else if atoms != n_atoms as u64 {
            return Err(damaged(format!("{atoms} atoms, frame 0 has {n_atoms}")));
        }
        let body = if atoms <= 9 {
            let body = 12 * atoms;
            if length - at < HEADER + body {
                return Err(cut(HEADER + body));
            }
            file.seek_relative(body as i64)?;
            body
        } else {
            // precision, minint[3], maxint[3], smallidx, then the number of packed bytes.
            let wide = magic == MAGIC_2023;
            let prelude: u64 = if wide { 40 } else { 36 };
            if length - at < HEADER + prelude {
                return Err(cut(HEADER + prelude));
            }
            let mut words = [0u8; 40];
            file.read_exact(&mut words[..prelude as usize])?;
            let word = |k: usize| [0, 1, 2, 3].map(|b| words[4 * k + b]);
            let precision = f32::from_be_bytes(word(0));
            let small = i32::from_be_bytes(word(7));
            let spans = (0..3).all(|k| {
                let (low, high) =
                    (i32::from_be_bytes(word(1 + k)), i32::from_be_bytes(word(4 + k)));
                high.checked_sub(low).is_some_and(|d| (0..i32::MAX).contains(&d))
            });
            let sound = precision.is_finite() && precision > 0.0 && (9..73).contains(&small);
            if !(sound && spans) {
                return Err(damaged("the head of its packed coordinates is damaged".into()));
            }
            let packed = if wide {
                u64::from_be_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|b| words[32 + b]))
            } else {
                u64::from(u32::from_be_bytes(word(8)))
            };
            let Some(padded) = packed.checked_next_multiple_of(4).filter(|p| *p < 1 << 40) else {
                return Err(damaged(format!("{packed} packed bytes: damaged")));
            };
            if length - at < HEADER + prelude + padded {
                return Err(cut(HEADER + prelude + padded));
            }
            if packed.saturating_mul(8) < atoms {
                return Err(damaged(format!("{packed} packed bytes cannot hold {atoms} atoms")));
            }
            file.seek_relative(padded as i64)?;
            prelude + padded
        };
        starts.push(at);
        at += HEADER + body;
    }
    if starts.is_empty() {
        return Err(PluginError::format("the trajectory is empty: it holds no frame"));
    }
    Ok((starts, n_atoms))
}

impl ReadFrames for XtcReader {
    fn n_atoms(&self) -> usize {
        self.n_atoms
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.starts.len() as u64)
    }

    fn read(&mut self, frame: &mut FrameMut<'_>) -> Result<bool, PluginError> {
        if self.next >= self.starts.len() {
            return Ok(false);
        }
        self.inner.read_frame(&mut self.frame).map_err(|e| {
            PluginError::format(format!("frame {}: {e}; the file is damaged", self.next))
        })?;
        let flat = frame.positions_nm.as_flattened_mut();
        if flat.len() != self.frame.positions.len() {
            let message = format!("frame {}: the file changed while it was read", self.next);
            return Err(PluginError::format(message));
        }
        flat.copy_from_slice(&self.frame.positions);
        let b = &self.frame.boxvec;
        if b.iter().any(|x| *x != 0.0) {
            frame.cell_nm = Some([[b[0], b[1], b[2]], [b[3], b[4], b[5]], [b[6], b[7], b[8]]]);
        }
        frame.time_ps = Some(f64::from(self.frame.time));
        frame.time_is_trusted = true;
        self.next += 1;
        Ok(true)
    }

    fn seek(&mut self, index: u64) -> Result<(), PluginError> {
        let found = usize::try_from(index).ok().and_then(|i| self.starts.get(i));
        let Some(&start) = found else {
            let n = self.starts.len();
            return Err(PluginError::invalid(format!("there is no frame {index}, only {n}")));
        };
        let now = self.inner.file.stream_position()?;
        self.inner.file.seek_relative(start as i64 - now as i64)?;
        self.next = index as usize;
        Ok(())
    }
}

/// Writes an XTC file with a precision of 0.001 nm. Frames without a time get their index.
pub struct XtcWriter {
    inner: molly::XTCWriter<BufWriter<File>>,
    frame: molly::Frame,
    n_atoms: usize,
    written: u32,
}

impl XtcWriter {
    /// Creates the file.
    pub fn create(path: &Path, n_atoms: usize) -> Result<Self, PluginError> {
        if n_atoms >= molly::XTC_1995_MAX_NATOMS {
            return Err(PluginError::invalid(format!("{n_atoms} atoms are too many for XTC")));
        }
        let inner = molly::XTCWriter::new(BufWriter::with_capacity(1 << 20, File::create(path)?));
        let frame = molly::Frame { precision: PRECISION, ..molly::Frame::default() };
        Ok(Self { inner, frame, n_atoms, written: 0 })
    }
}

impl WriteFrames for XtcWriter {
    fn write(&mut self, frame: FrameRef<'_>) -> Result<(), PluginError> {
        debug_assert_eq!(frame.positions_nm.len(), self.n_atoms);
        // The packed integers are 32 bits wide, and so is the span between two of them.
        let limit = (i32::MAX / 2 - 2) as f32 / PRECISION;
        let bad = |p: &[f32; 3]| !p.iter().all(|x| x.abs() < limit);
        if let Some(atom) = frame.positions_nm.iter().position(bad) {
            return Err(PluginError::invalid(format!(
                "frame {}, atom {atom}: {:?} nm cannot be written as XTC",
                self.written, frame.positions_nm[atom]
            )));
        }
        self.frame.positions.clear();
        self.frame.positions.extend_from_slice(frame.positions_nm.as_flattened());
        self.frame.boxvec = [0.0; 9];
        if let Some(cell) = frame.cell_nm {
            self.frame.boxvec.copy_from_slice(cell.as_flattened());
        }
        self.frame.step = self.written;
        self.frame.time = frame.time_ps.unwrap_or(f64::from(self.written)) as f32;
        self.inner.write_frame(&self.frame)?;
        self.written += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), PluginError> {
        self.inner.file.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, n_atoms: usize, n_frames: usize) {
        let mut writer = Box::new(XtcWriter::create(path, n_atoms).unwrap());
        for f in 0..n_frames {
            let positions: Vec<[f32; 3]> = (0..n_atoms)
                .map(|a| [a as f32 * 0.15, f as f32 * 0.001, ((a * a) % 7) as f32 * -0.1])
                .collect();
            let time_ps = Some(f as f64 * 2.0);
            writer.write(FrameRef { positions_nm: &positions, cell_nm: None, time_ps }).unwrap();
        }
        writer.finish().unwrap();
    }

    fn read(reader: &mut XtcReader) -> (Vec<[f32; 3]>, Option<f64>) {
        let mut positions_nm = vec![[0.0; 3]; reader.n_atoms];
        let mut frame = FrameMut {
            positions_nm: &mut positions_nm,
            cell_nm: None,
            time_ps: None,
            time_is_trusted: false,
        };
        assert!(reader.read(&mut frame).unwrap());
        let time = frame.time_ps;
        (positions_nm, time)
    }

    #[test]
    fn frames_are_found_by_index_for_small_and_packed_sizes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.xtc");
        for n_atoms in [3, 9, 10, 50] {
            write(&path, n_atoms, 5);
            let mut reader = XtcReader::open(&path).unwrap();
            assert_eq!((reader.n_atoms(), reader.n_frames()), (n_atoms, Some(5)));
            for f in [3u64, 0, 4, 1] {
                reader.seek(f).unwrap();
                let (positions, time) = read(&mut reader);
                assert_eq!(time, Some(2.0 * f as f64));
                assert!((positions[1][0] - 0.15).abs() < 1e-6, "{positions:?}");
                assert!((positions[2][1] - f as f32 * 0.001).abs() < 1e-6);
            }
            assert!(reader.seek(5).is_err());
        }
    }

    #[test]
    fn a_cut_file_names_its_frame_and_an_empty_one_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.xtc");
        write(&path, 20, 3);
        let whole = std::fs::read(&path).unwrap();
        for cut in [1, 30, 70] {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let error = XtcReader::open(&path).map(|_| ()).unwrap_err();
            assert!(error.message.contains("frame 2 is cut off"), "{error}");
        }
        std::fs::write(&path, b"").unwrap();
        let error = XtcReader::open(&path).map(|_| ()).unwrap_err();
        assert!(error.message.contains("empty"), "{error}");
        std::fs::write(&path, [7u8; 300]).unwrap();
        let error = XtcReader::open(&path).map(|_| ()).unwrap_err();
        assert!(error.message.contains("no XTC file"), "{error}");
    }

    #[test]
    fn damaged_bytes_never_panic_at_opening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.xtc");
        write(&path, 20, 1);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..96 {
            for value in [0x00, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                std::fs::write(&path, &bytes).unwrap();
                let _ = XtcReader::open(&path); // an error or an odd but readable frame
            }
        }
    }

    #[test]
    fn damaged_packed_bytes_end_in_an_error_or_a_frame() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.xtc");
        write(&path, 40, 1);
        let whole = std::fs::read(&path).unwrap();
        let mut odd = 0;
        for at in 60..whole.len() {
            for value in [0x00, 0x55, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                std::fs::write(&path, &bytes).unwrap();
                let Ok(mut reader) = XtcReader::open(&path) else { continue };
                let status = marsfm_plugin_api::guard(|| {
                    let mut positions_nm = vec![[0.0; 3]; reader.n_atoms];
                    let mut frame = FrameMut {
                        positions_nm: &mut positions_nm,
                        cell_nm: None,
                        time_ps: None,
                        time_is_trusted: false,
                    };
                    reader.read(&mut frame).map(|_| 0)
                });
                odd += usize::from(status != 0);
            }
        }
        assert!(odd > 0, "some of this damage must be noticed");
    }

    #[test]
    fn what_is_not_finite_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = XtcWriter::create(&dir.path().join("t.xtc"), 2).unwrap();
        let positions = [[0.0; 3], [0.0, f32::NAN, 0.0]];
        let frame = FrameRef { positions_nm: &positions, cell_nm: None, time_ps: None };
        let error = writer.write(frame).unwrap_err();
        assert!(error.message.contains("atom 1"), "{error}");
    }
}
