//! An HDF5 file that was opened and checked for its length, and frames of a dataset read block by
//! block.

use hdf5_reader::{Dataset, Hdf5File, SliceInfo, SliceInfoElem};
use marsfm_plugin_api::PluginError;
use std::path::Path;

/// Bytes of frames that are read ahead.
const READ_AHEAD: usize = 8 << 20;

/// A file and what of it is meant.
pub struct Opened {
    file: Hdf5File,
    /// What stood behind `#` in the path.
    pub part: Option<String>,
}

impl Opened {
    /// Opens `FILE` or `FILE#PART`; a file shorter than it says it is refused.
    pub fn new(path: &Path) -> Result<Self, PluginError> {
        let text = path.to_string_lossy();
        let (on_disk, part) = match text.rsplit_once('#') {
            Some((file, part)) if !path.exists() => (Path::new(file), Some(part.to_owned())),
            _ => (path, None),
        };
        let length = std::fs::metadata(on_disk)?.len();
        let file = Hdf5File::open(on_disk).map_err(|e| failed("opening", &e))?;
        let block = file.superblock();
        let needed = block.base_address.saturating_add(block.eof_address);
        if length < needed {
            return Err(PluginError::format(format!(
                "the file is cut short: it says that it has {needed} bytes and has {length}; copy \
                 it again"
            )));
        }
        Ok(Self { file, part })
    }

    /// Names of the groups and datasets in a group.
    pub fn members(&self, group: &str) -> Result<(Vec<String>, Vec<String>), PluginError> {
        let at = |e| failed(group, &e);
        let group = match group {
            "/" => self.file.root_group().map_err(at)?,
            other => self.file.group(other).map_err(at)?,
        };
        group.member_names().map_err(at)
    }

    /// A dataset.
    pub fn dataset(&self, path: &str) -> Result<Dataset, PluginError> {
        self.file.dataset(path).map_err(|e| failed(path, &e))
    }

    /// All values of a dataset of numbers.
    pub fn numbers(&self, path: &str) -> Result<Vec<f64>, PluginError> {
        use hdf5_reader::Datatype;
        let set = self.dataset(path)?;
        let at = |e| failed(path, &e);
        // The reader converts no types: each is asked for as it is stored.
        Ok(match set.dtype() {
            Datatype::FloatingPoint { size: 4, .. } => {
                set.read_array::<f32>().map_err(at)?.iter().map(|x| f64::from(*x)).collect()
            }
            Datatype::FloatingPoint { .. } => {
                set.read_array::<f64>().map_err(at)?.iter().copied().collect()
            }
            Datatype::FixedPoint { size: 4, .. } => {
                set.read_array::<i32>().map_err(at)?.iter().map(|x| f64::from(*x)).collect()
            }
            Datatype::FixedPoint { size: 8, .. } => {
                set.read_array::<i64>().map_err(at)?.iter().map(|x| *x as f64).collect()
            }
            other => {
                return Err(PluginError::format(format!(
                    "{path}: numbers were expected, it holds {other:?}"
                )));
            }
        })
    }

    /// All strings of a dataset, without padding.
    pub fn strings(&self, path: &str) -> Result<Vec<String>, PluginError> {
        let all = self.dataset(path)?.read_strings().map_err(|e| failed(path, &e))?;
        Ok(all.into_iter().map(|s| s.trim_matches(['\0', ' ']).to_owned()).collect())
    }

    /// The text of a dataset that holds one string.
    pub fn text(&self, path: &str) -> Result<String, PluginError> {
        let mut all = self.strings(path)?;
        match all.len() {
            1 => Ok(all.remove(0)),
            n => Err(PluginError::format(format!("{path}: one text was expected, it holds {n}"))),
        }
    }

    /// A whole number among the attributes of a group; `None` if there is no such attribute.
    pub fn attribute(&self, group: &str, name: &str) -> Option<f64> {
        self.file.group(group).ok()?.attribute(name).ok()?.read_as_f64().ok()
    }
}

/// What went wrong where.
pub fn failed(what: &str, error: &hdf5_reader::error::Error) -> PluginError {
    PluginError::format(format!("{what}: {error}; the file is damaged or of another kind"))
}

/// Frames of a dataset (frames × atoms × 3, 32-bit floats), a block at a time.
pub struct Blocks {
    set: Dataset,
    path: String,
    n_frames: usize,
    n_atoms: usize,
    /// The frames in memory begin at this one.
    first: usize,
    held: Vec<f32>,
    next: usize,
}

impl Blocks {
    /// Checks the shape.
    pub fn new(opened: &Opened, path: &str) -> Result<Self, PluginError> {
        let set = opened.dataset(path)?;
        let [frames, atoms, 3] = *set.shape() else {
            return Err(PluginError::format(format!(
                "{path}: frames × atoms × 3 were expected, its shape is {:?}",
                set.shape()
            )));
        };
        let whole = |n: u64| {
            usize::try_from(n).map_err(|_| PluginError::format(format!("{path}: {n} is absurd")))
        };
        let (n_frames, n_atoms) = (whole(frames)?, whole(atoms)?);
        if n_frames == 0 {
            return Err(PluginError::format(format!("{path}: it holds no frame")));
        }
        let path = path.to_owned();
        Ok(Self { set, path, n_frames, n_atoms, first: 0, held: Vec::new(), next: 0 })
    }

    /// Frames in all.
    pub fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// Atoms per frame.
    pub fn n_atoms(&self) -> usize {
        self.n_atoms
    }

    /// The next frame's number.
    pub fn next(&self) -> usize {
        self.next
    }

    /// The next call of `read` gives this frame.
    pub fn seek(&mut self, index: u64) -> Result<(), PluginError> {
        match usize::try_from(index).ok().filter(|i| *i < self.n_frames) {
            Some(i) => {
                self.next = i;
                Ok(())
            }
            None => {
                let n = self.n_frames;
                Err(PluginError::invalid(format!("there is no frame {index}, only {n}")))
            }
        }
    }

    /// Copies the next frame, times `scale`; false behind the last.
    pub fn read(&mut self, scale: f32, out: &mut [[f32; 3]]) -> Result<bool, PluginError> {
        if self.next >= self.n_frames {
            return Ok(false);
        }
        let (width, n_held) = (3 * self.n_atoms, self.held.len() / (3 * self.n_atoms).max(1));
        if self.next < self.first || self.next >= self.first + n_held {
            self.fill(width)?;
        }
        let start = (self.next - self.first) * width;
        let frame = &self.held[start..start + width];
        for (to, from) in out.as_flattened_mut().iter_mut().zip(frame) {
            *to = from * scale;
        }
        self.next += 1;
        Ok(true)
    }

    fn fill(&mut self, width: usize) -> Result<(), PluginError> {
        let block = (READ_AHEAD / (4 * width).max(1)).clamp(1, self.n_frames - self.next);
        let (start, end) = (self.next as u64, (self.next + block) as u64);
        let all = SliceInfoElem::Slice { start: 0, end: u64::MAX, step: 1 };
        let some = SliceInfoElem::Slice { start, end, step: 1 };
        let selection = SliceInfo { selections: vec![some, all.clone(), all] };
        let values = self.set.read_slice::<f32>(&selection).map_err(|e| {
            PluginError::format(format!(
                "{}, frames {start} to {}: {e}; the file is damaged",
                self.path,
                end - 1
            ))
        })?;
        let expected = block * width;
        self.held = values.iter().copied().collect();
        if self.held.len() != expected {
            let found = self.held.len();
            return Err(PluginError::format(format!(
                "{}: {found} numbers where {expected} were expected",
                self.path
            )));
        }
        self.first = self.next;
        Ok(())
    }
}
