//! The encoded frames of a system: in memory, or in a file of which only what a batch needs is read.
//!
//! The file is a safetensors file with one tensor, `frames` `[frames, L, 26]` in f32: rotation
//! (row-major) and translation (Å) of each residue, sine and cosine of its seven torsions. Its
//! metadata, one entry of JSON, says where trajectories end, the SHA-256 of the frames, and what the
//! caller wants to find again.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use marsfm_geometry::{Conformation, N_TORSIONS, Rigid};
use marsfm_trajectory::write_atomically;
use safetensors::tensor::{Dtype, Metadata, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::TrainingError;

/// Numbers of a residue in the file.
const NUMBERS: usize = 12 + 2 * N_TORSIONS;
/// The entry of the metadata: one, since the order of several would be left to chance.
const ENTRY: &str = "marsfm";

/// What is said about frames in a file.
#[derive(Serialize, Deserialize)]
struct About {
    lengths: Vec<usize>,
    sha256: String,
    caller: BTreeMap<String, String>,
}

/// Encoded frames per trajectory (Å).
pub enum Frames {
    /// All of them.
    Memory(Vec<Vec<Conformation<f32>>>),
    /// Read when asked for.
    File(FrameFile),
}

impl From<Vec<Vec<Conformation<f32>>>> for Frames {
    fn from(frames: Vec<Vec<Conformation<f32>>>) -> Self {
        Self::Memory(frames)
    }
}

impl Frames {
    /// Frames of each trajectory.
    pub fn lengths(&self) -> Vec<usize> {
        match self {
            Self::Memory(frames) => frames.iter().map(Vec::len).collect(),
            Self::File(file) => file.about.lengths.clone(),
        }
    }

    /// One frame; `None` if there is none of that number.
    pub fn get(
        &self,
        trajectory: usize,
        frame: usize,
    ) -> Result<Option<Cow<'_, Conformation<f32>>>, TrainingError> {
        match self {
            Self::Memory(frames) => {
                Ok(frames.get(trajectory).and_then(|t| t.get(frame)).map(Cow::Borrowed))
            }
            Self::File(file) => Ok(file.get(trajectory, frame)?.map(Cow::Owned)),
        }
    }

    /// SHA-256 of all frames, as hexadecimal digits; the same wherever they are.
    pub fn sha256(&self) -> String {
        match self {
            Self::Memory(frames) => {
                let mut hash = Sha256::new();
                frames.iter().flatten().for_each(|c| hash.update(bytes_of(c)));
                hex(&hash.finalize())
            }
            Self::File(file) => file.about.sha256.clone(),
        }
    }
}

/// Frames in a file.
pub struct FrameFile {
    path: PathBuf,
    file: File,
    /// Where the frames begin.
    start: u64,
    residues: usize,
    about: About,
}

impl FrameFile {
    /// Writes frames of `residues` residues; `about` is kept with them.
    pub fn write(
        path: &Path,
        residues: usize,
        frames: &[Vec<Conformation<f32>>],
        about: &BTreeMap<String, String>,
    ) -> Result<(), TrainingError> {
        let fail =
            |message: String| TrainingError::File { file: path.display().to_string(), message };
        let lengths: Vec<usize> = frames.iter().map(Vec::len).collect();
        let data: Vec<u8> = frames.iter().flatten().flat_map(bytes_of).collect();
        let shape = vec![lengths.iter().sum(), residues, NUMBERS];
        let sha256 = hex(&Sha256::digest(&data));
        let about = serde_json::to_string(&About { lengths, sha256, caller: about.clone() })
            .map_err(|e| fail(e.to_string()))?;
        let metadata = HashMap::from([(ENTRY.to_string(), about)]);
        let tensor = TensorView::new(Dtype::F32, shape, &data).map_err(|e| fail(e.to_string()))?;
        let bytes = safetensors::serialize([("frames", tensor)], Some(metadata))
            .map_err(|e| fail(e.to_string()))?;
        write_atomically(path, &bytes).map_err(|e| fail(format!("cannot be written: {e}")))
    }

    /// Opens a file of [`FrameFile::write`].
    pub fn open(path: &Path) -> Result<Self, TrainingError> {
        let fail = |message: String| TrainingError::File {
            file: path.display().to_string(),
            message: format!("{message}; remove the file to have it made again"),
        };
        let file = File::open(path).map_err(|e| fail(e.to_string()))?;
        let mut size = [0; 8];
        file.read_exact_at(&mut size, 0).map_err(|e| fail(e.to_string()))?;
        let (whole, header) = (file.metadata().map_or(0, |m| m.len()), u64::from_le_bytes(size));
        if header.saturating_add(8) > whole {
            return Err(fail("is cut short, or no file of frames".into()));
        }
        // The header alone: the frames stay where they are.
        let mut head = vec![0; header as usize];
        file.read_exact_at(&mut head, 8).map_err(|e| fail(e.to_string()))?;
        let metadata: Metadata =
            serde_json::from_slice(&head).map_err(|e| fail(format!("has no header: {e}")))?;
        let info = metadata.info("frames").ok_or_else(|| fail("holds no frames".into()))?;
        let about = metadata.metadata().as_ref().and_then(|m| m.get(ENTRY));
        let about: About = about
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| fail("does not say which frames it holds".into()))?;
        let [frames, residues, NUMBERS] = info.shape[..] else {
            return Err(fail(format!("holds frames of shape {:?}", info.shape)));
        };
        let end = 8 + header + (frames * residues * NUMBERS * 4) as u64;
        if info.dtype != Dtype::F32 || frames != about.lengths.iter().sum::<usize>() || end != whole
        {
            return Err(fail("does not hold what it says".into()));
        }
        let start = 8 + header;
        Ok(Self { path: path.into(), file, start, residues, about })
    }

    /// What was kept with the frames.
    pub fn about(&self, key: &str) -> Option<&str> {
        self.about.caller.get(key).map(String::as_str)
    }

    fn get(&self, t: usize, f: usize) -> Result<Option<Conformation<f32>>, TrainingError> {
        if self.about.lengths.get(t).is_none_or(|n| f >= *n) {
            return Ok(None);
        }
        let index = self.about.lengths[..t].iter().sum::<usize>() + f;
        let mut bytes = vec![0; self.residues * NUMBERS * 4];
        let at = self.start + (index * bytes.len()) as u64;
        self.file.read_exact_at(&mut bytes, at).map_err(|e| TrainingError::File {
            file: self.path.display().to_string(),
            message: format!("frame {f} of trajectory {t} cannot be read: {e}"),
        })?;
        Ok(Some(conformation(&bytes)))
    }
}

/// The numbers of a conformation, residue by residue.
fn bytes_of(c: &Conformation<f32>) -> Vec<u8> {
    let mut out = Vec::with_capacity(c.len() * NUMBERS * 4);
    for (rigid, torsions) in c.rigids.iter().zip(&c.torsions) {
        let place = rigid.rot.as_flattened().iter().chain(&rigid.trans);
        out.extend(place.chain(torsions.as_flattened()).flat_map(|v| v.to_le_bytes()));
    }
    out
}

fn conformation(bytes: &[u8]) -> Conformation<f32> {
    let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let residue = |b: &[u8]| {
        let v: Vec<f32> = b.chunks_exact(4).map(number).collect();
        let rot = std::array::from_fn(|i| std::array::from_fn(|j| v[3 * i + j]));
        let rigid = Rigid { rot, trans: [v[9], v[10], v[11]] };
        (rigid, std::array::from_fn(|k| [v[12 + 2 * k], v[13 + 2 * k]]))
    };
    let (rigids, torsions) = bytes.chunks_exact(NUMBERS * 4).map(residue).unzip();
    Conformation { rigids, torsions }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Vec<Conformation<f32>>> {
        let frame = |k: usize| Conformation {
            rigids: (0..3)
                .map(|i| Rigid {
                    rot: std::array::from_fn(|a| {
                        std::array::from_fn(|b| (k * 100 + i * 10 + 3 * a + b) as f32)
                    }),
                    trans: [k as f32, i as f32, 0.25],
                })
                .collect(),
            torsions: vec![std::array::from_fn(|t| [t as f32, -(k as f32)]); 3],
        };
        vec![(0..4).map(frame).collect(), vec![], (4..6).map(frame).collect()]
    }

    #[test]
    fn frames_in_a_file_are_those_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.safetensors");
        let about = BTreeMap::from([("of".to_string(), "here".to_string())]);
        FrameFile::write(&path, 3, &frames(), &about).unwrap();
        let file = FrameFile::open(&path).unwrap();
        assert_eq!(file.about("of"), Some("here"));
        let (file, memory) = (Frames::File(file), Frames::from(frames()));
        assert_eq!(file.lengths(), memory.lengths());
        assert_eq!(file.sha256(), memory.sha256());
        for (t, f) in [(0, 0), (0, 3), (2, 0), (2, 1)] {
            assert_eq!(*file.get(t, f).unwrap().unwrap(), *memory.get(t, f).unwrap().unwrap());
        }
        for (t, f) in [(0, 4), (1, 0), (2, 2), (3, 0)] {
            assert!(file.get(t, f).unwrap().is_none() && memory.get(t, f).unwrap().is_none());
        }
    }

    #[test]
    fn a_file_that_is_cut_short_or_something_else_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.safetensors");
        FrameFile::write(&path, 3, &frames(), &BTreeMap::new()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 5, 40, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = FrameFile::open(&path).err().expect("an error").to_string();
            assert!(error.contains("f.safetensors") && error.contains("remove"), "{error}");
        }
        std::fs::write(&path, [0xff; 64]).unwrap();
        assert!(FrameFile::open(&path).is_err());
    }
}
