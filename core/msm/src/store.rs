//! A model as one file: safetensors, whose header carries a versioned JSON with everything that is
//! no array. Reads back bit-equal; written to a temporary name first, so never half a file. States
//! of frames are written and read span by span: many of them stay in the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Mutex;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::spill::{HELD_BYTES, Stored};
use crate::states::each_span;
use crate::{Matrix, Msm, MsmError, StateTrajectories};

/// Version of the file; a reader refuses newer ones. Since 2, states have two bytes per frame, and
/// macrostates follow from microstates.
pub const FORMAT_VERSION: u32 = 2;
const KEY: &str = "marsfm_msm";
/// States of all frames, one after another; where each trajectory begins, and where the last ends.
const STATES: &str = "micro.trajectories";
const OFFSETS: &str = "micro.trajectories.offsets";

/// An array of a model, wherever it sits.
enum Field<'a> {
    Matrix(&'a mut Matrix),
    Vector(&'a mut Vec<f64>),
}

/// Every array but the states with its name: taken out before writing the header, put back after
/// reading it.
fn arrays(m: &mut Msm) -> Vec<(String, Field<'_>)> {
    let mut out: Vec<(String, Field<'_>)> = vec![
        ("tica.mean".into(), Field::Vector(&mut m.tica.mean)),
        ("tica.eigenvalues".into(), Field::Vector(&mut m.tica.eigenvalues)),
        ("tica.eigenvectors".into(), Field::Matrix(&mut m.tica.eigenvectors)),
        ("tica.scale".into(), Field::Vector(&mut m.tica.scale)),
        ("centers".into(), Field::Matrix(&mut m.centers)),
        ("micro.t".into(), Field::Matrix(&mut m.micro.t)),
        ("micro.pi".into(), Field::Vector(&mut m.micro.pi)),
        ("pcca.memberships".into(), Field::Matrix(&mut m.pcca.memberships)),
        ("pcca.weights".into(), Field::Vector(&mut m.pcca.weights)),
        ("pcca.eigenvalues".into(), Field::Vector(&mut m.pcca.eigenvalues)),
        ("macro.counts".into(), Field::Matrix(&mut m.macro_counts)),
        ("macro.t".into(), Field::Matrix(&mut m.macro_t)),
        ("macro.t_reversible".into(), Field::Matrix(&mut m.macro_t_reversible)),
        ("macro.pi".into(), Field::Vector(&mut m.macro_pi)),
    ];
    for its in &mut m.implied_timescales {
        out.push((format!("timescales.lag_{}", its.lag), Field::Vector(&mut its.timescales)));
    }
    out
}

fn failed(path: &str, detail: impl ToString) -> MsmError {
    MsmError::File { path: path.into(), detail: detail.to_string() }
}

/// Reads and checks arrays of one file.
struct Reader<'a, R> {
    source: R,
    header: Metadata,
    /// Where the arrays begin.
    first: u64,
    path: &'a str,
}

impl<'a, R: Read + Seek> Reader<'a, R> {
    fn open(mut source: R, path: &'a str) -> Result<Self, MsmError> {
        let failed =
            |e: &dyn ToString| failed(path, format!("is no model file: {}", e.to_string()));
        let len = source.seek(SeekFrom::End(0)).map_err(|e| failed(&e))?;
        source.rewind().map_err(|e| failed(&e))?;
        let mut size = [0; 8];
        source.read_exact(&mut size).map_err(|e| failed(&e))?;
        let size = u64::from_le_bytes(size);
        if size > len.saturating_sub(8) {
            return Err(failed(&"its header is longer than the file"));
        }
        let mut text = vec![0; size as usize];
        source.read_exact(&mut text).map_err(|e| failed(&e))?;
        let header: Metadata = serde_json::from_slice(&text).map_err(|e| failed(&e))?;
        let first = 8 + size;
        let wanted = first.saturating_add(header.data_len() as u64);
        if wanted != len {
            return Err(failed(&format!("{len} bytes long, its header tells of {wanted}")));
        }
        Ok(Self { source, header, first, path })
    }

    fn error(&self, detail: String) -> MsmError {
        failed(self.path, detail)
    }

    /// Where an array is, after a check of what it is.
    fn info(&self, name: &str, dtype: &[Dtype], dims: usize) -> Result<TensorInfo, MsmError> {
        let info = self.header.info(name);
        let info = info.ok_or_else(|| self.error(format!("{name} is missing")))?;
        if !dtype.contains(&info.dtype) || info.shape.len() != dims {
            return Err(self.error(format!(
                "{name}: expected {dtype:?} with {dims} dimensions, got {:?} {:?}",
                info.dtype, info.shape
            )));
        }
        Ok(info.clone())
    }

    fn bytes(&mut self, of: &TensorInfo) -> Result<Vec<u8>, MsmError> {
        let (start, end) = of.data_offsets;
        let mut out = vec![0; end - start];
        self.source
            .seek(SeekFrom::Start(self.first + start as u64))
            .and_then(|_| self.source.read_exact(&mut out))
            .map_err(|e| failed(self.path, e))?;
        Ok(out)
    }

    fn f64(&mut self, name: &str, dims: usize) -> Result<(Vec<usize>, Vec<f64>), MsmError> {
        let info = self.info(name, &[Dtype::F64], dims)?;
        let bytes = self.bytes(&info)?;
        let (numbers, _) = bytes.as_chunks::<8>();
        Ok((info.shape, numbers.iter().map(|b| f64::from_le_bytes(*b)).collect()))
    }

    /// States of all frames; `again` opens the file a second time, for what is not read now.
    fn states(
        &mut self,
        again: impl FnOnce() -> Option<File>,
    ) -> Result<StateTrajectories, MsmError> {
        let offsets = self.info(OFFSETS, &[Dtype::I64], 1)?;
        let bytes = self.bytes(&offsets)?;
        let (numbers, _) = bytes.as_chunks::<8>();
        let offsets: Vec<i64> = numbers.iter().map(|b| i64::from_le_bytes(*b)).collect();
        let info = self.info(STATES, &[Dtype::I16, Dtype::I32], 1)?;
        let n_frames = info.shape[0];
        let whole = offsets.first() == Some(&0)
            && offsets.last() == Some(&(n_frames as i64))
            && offsets.windows(2).all(|w| w[0] <= w[1]);
        if !whole {
            return Err(self.error(format!("{STATES}: offsets do not fit {n_frames} frames")));
        }
        if info.dtype == Dtype::I32 {
            // Format 1.
            let bytes = self.bytes(&info)?;
            let (numbers, _) = bytes.as_chunks::<4>();
            let flat: Vec<i32> = numbers.iter().map(|b| i32::from_le_bytes(*b)).collect();
            let one = |w: &[i64]| &flat[w[0] as usize..w[1] as usize];
            return StateTrajectories::new(&offsets.windows(2).map(one).collect::<Vec<_>>());
        }
        let ends = offsets[1..].iter().map(|end| *end as usize).collect();
        let file = if 2 * n_frames > HELD_BYTES { again() } else { None };
        let stored = match file {
            Some(file) => Stored::File {
                file: Mutex::new(file),
                first: self.first + info.data_offsets.0 as u64,
                name: self.path.into(),
            },
            None => Stored::Memory(self.bytes(&info)?),
        };
        Ok(StateTrajectories::from_stored(ends, stored))
    }

    fn model(&mut self, again: impl FnOnce() -> Option<File>) -> Result<Msm, MsmError> {
        let json = self.header.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| {
            self.error("is a safetensors file, but not one of a Markov model".into())
        })?;
        let version: Version =
            serde_json::from_str(json).map_err(|e| self.error(format!("header: {e}")))?;
        if version.format > FORMAT_VERSION {
            return Err(self.error(format!(
                "has format {}, this program reads up to {FORMAT_VERSION}: use a newer version",
                version.format
            )));
        }
        let header = serde_json::from_str::<Header>(json);
        let mut model = header.map_err(|e| self.error(format!("header: {e}")))?.model;
        for (name, field) in arrays(&mut model) {
            match field {
                Field::Matrix(m) => {
                    let (shape, data) = self.f64(&name, 2)?;
                    *m = Matrix::from_vec(shape[0], shape[1], data)?;
                }
                Field::Vector(v) => *v = self.f64(&name, 1)?.1,
            }
        }
        model.micro_trajectories = self.states(again)?;
        model.check_sizes(self.path)?;
        Ok(model)
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Header {
    format: u32,
    model: Msm,
}

#[derive(serde::Deserialize)]
struct Version {
    format: u32,
}

impl Msm {
    /// The model as bytes of a safetensors file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, MsmError> {
        let mut out = Vec::new();
        self.write(&mut out, "model")?;
        Ok(out)
    }

    /// Writes the file: header, numbers, states.
    fn write(&self, out: &mut impl Write, path: &str) -> Result<(), MsmError> {
        let mut light = self.clone();
        let mut numbers: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        let bytes = |data: &[f64]| data.iter().flat_map(|v| v.to_le_bytes()).collect();
        for (name, field) in arrays(&mut light) {
            let (shape, data) = match field {
                Field::Matrix(m) => {
                    let m = std::mem::take(m);
                    (vec![m.n_rows(), m.n_cols()], bytes(m.as_slice()))
                }
                Field::Vector(v) => {
                    let v = std::mem::take(v);
                    (vec![v.len()], bytes(&v))
                }
            };
            numbers.push((name, Dtype::F64, shape, data));
        }
        let states = &self.micro_trajectories;
        let offsets = std::iter::once(0).chain(states.ends().iter().copied());
        let offsets: Vec<u8> = offsets.flat_map(|o| (o as i64).to_le_bytes()).collect();
        numbers.push((OFFSETS.into(), Dtype::I64, vec![states.len() + 1], offsets));
        let header = Header { format: FORMAT_VERSION, model: light };
        let json = serde_json::to_string(&header).map_err(|e| failed(path, e))?;
        let mut at = 0;
        let mut place = |name: &str, dtype: Dtype, shape: &[usize], bytes: usize| {
            let data_offsets = (at, at + bytes);
            at += bytes;
            (name.to_string(), TensorInfo { dtype, shape: shape.to_vec(), data_offsets })
        };
        // Eight-byte numbers first, so that all of them are aligned.
        let mut infos: Vec<_> =
            numbers.iter().map(|(n, t, s, b)| place(n, *t, s, b.len())).collect();
        let n_frames = states.total_frames();
        infos.push(place(STATES, Dtype::I16, &[n_frames], 2 * n_frames));
        let metadata = HashMap::from([(KEY.to_string(), json)]);
        let header = Metadata::new(Some(metadata), infos).map_err(|e| failed(path, e))?;
        let mut text = serde_json::to_vec(&header).map_err(|e| failed(path, e))?;
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut put = |bytes: &[u8]| out.write_all(bytes).map_err(|e| failed(path, e));
        put(&(text.len() as u64).to_le_bytes())?;
        put(&text)?;
        numbers.iter().try_for_each(|(_, _, _, bytes)| put(bytes))?;
        states.each_bytes(put)
    }

    /// Reads a model from bytes; `path` only names it in errors.
    pub fn from_bytes(bytes: &[u8], path: &str) -> Result<Self, MsmError> {
        Reader::open(Cursor::new(bytes), path)?.model(|| None)
    }

    /// Writes the model to a file.
    pub fn save(&self, path: &Path) -> Result<(), MsmError> {
        let name = path.display().to_string();
        let mut part_name = path.file_name().unwrap_or_default().to_os_string();
        part_name.push(".part");
        let part = path.with_file_name(part_name);
        let written = || {
            let mut out = BufWriter::new(File::create(&part).map_err(|e| failed(&name, e))?);
            self.write(&mut out, &name)?;
            out.into_inner().map_err(|e| failed(&name, e.into_error()))?;
            std::fs::rename(&part, path).map_err(|e| failed(&name, e))
        };
        written().inspect_err(|_| {
            let _ = std::fs::remove_file(&part);
        })
    }

    /// Reads a model from a file. States of millions of frames are left in the file, which stays
    /// open.
    pub fn load(path: &Path) -> Result<Self, MsmError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| failed(&name, e))?;
        let again = file.try_clone().map_err(|e| failed(&name, e))?;
        Reader::open(file, &name)?.model(|| Some(again))
    }

    /// That sizes and indices fit together, so that a damaged file cannot cause a panic later.
    fn check_sizes(&self, path: &str) -> Result<(), MsmError> {
        let n_micro = self.centers.n_rows();
        let n_active = self.micro.active.len();
        let n_macro = self.macro_t.n_rows();
        let d = self.tica.mean.len();
        let mut in_range = true;
        each_span(&self.micro_trajectories, |_, _, states| {
            in_range &= states.iter().all(|s| *s == -1 || (*s >= 0 && (*s as usize) < n_micro));
            Ok(())
        })?;
        let checks = [
            ("tica.eigenvectors", self.tica.eigenvectors.n_rows() == d),
            ("tica.n_kept", self.tica.n_kept <= self.tica.eigenvectors.n_cols()),
            ("tica.scale", self.tica.scale.len() == self.tica.eigenvectors.n_cols()),
            ("centers", self.centers.n_cols() == self.tica.n_kept && self.tica.n_kept > 0),
            ("micro.t", self.micro.t.n_rows() == n_active && self.micro.t.n_cols() == n_active),
            ("micro.pi", self.micro.pi.len() == n_active),
            ("micro.active", self.micro.active.iter().all(|i| *i < n_micro)),
            (
                "micro.row_of_state",
                self.micro.row_of_state.len() == n_micro
                    && self.micro.row_of_state.iter().flatten().all(|r| *r < n_active),
            ),
            (
                "macro_of_micro",
                self.macro_of_micro.len() == n_micro
                    && self.macro_of_micro.iter().flatten().all(|m| *m < n_macro),
            ),
            ("macro.t", self.macro_t.n_cols() == n_macro),
            (STATES, in_range),
        ];
        match checks.iter().find(|(_, ok)| !ok) {
            None => Ok(()),
            Some((name, _)) => Err(MsmError::File {
                path: path.into(),
                detail: format!("{name} does not fit the rest: the file is damaged"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::ou;
    use crate::{Discrete, MsmBuilder, Rows};

    fn model() -> Msm {
        let (a, b) = (ou(&[0.95, 0.5, 0.1], 500, 1), ou(&[0.95, 0.5, 0.1], 20, 2));
        let rows = [Rows::new(&a, 3).unwrap(), Rows::new(&b, 3).unwrap()];
        MsmBuilder { n_microstates: 20, n_macrostates: 4, ..MsmBuilder::new(3) }
            .build(&rows)
            .unwrap()
    }

    #[test]
    fn reads_back_bit_equal() {
        let m = model();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        m.save(&path).unwrap();
        let back = Msm::load(&path).unwrap();
        assert_eq!(m, back);
        assert_eq!(m.to_bytes().unwrap(), back.to_bytes().unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn any_reader_of_safetensors_reads_it_and_format_1_is_read() {
        use safetensors::tensor::{SafeTensors, TensorView};
        let m = model();
        let bytes = m.to_bytes().unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor(STATES).unwrap().shape(), [m.micro_trajectories.total_frames()]);
        // As version 1 wrote it: four bytes per state, macrostates beside them.
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let mut text = header.metadata().clone().unwrap();
        let json = text[KEY].replacen("\"format\":2", "\"format\":1", 1);
        text.insert(
            KEY.into(),
            json.replacen(
                "\"macro_populations\"",
                "\"macro_trajectories\":[],\"micro_trajectories\":[],\"macro_populations\"",
                1,
            ),
        );
        let wide: Vec<u8> = m
            .micro_trajectories
            .to_vecs()
            .unwrap()
            .concat()
            .iter()
            .flat_map(|s| s.to_le_bytes())
            .collect();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let wide = TensorView::new(Dtype::I32, view.shape().to_vec(), &wide);
            if name == STATES { (name, wide.unwrap()) } else { (name, view) }
        });
        let old = safetensors::serialize(tensors, Some(text)).unwrap();
        assert_eq!(Msm::from_bytes(&old, "old").unwrap(), m);
    }

    #[test]
    fn states_of_many_frames_stay_in_the_file() {
        let mut m = model();
        let n = m.centers.n_rows();
        let many: Vec<i32> = (0..3_000_000).map(|i| (i % n) as i32).collect();
        m.micro_trajectories = StateTrajectories::new(&[many]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        m.save(&path).unwrap();
        let back = Msm::load(&path).unwrap();
        assert_eq!(m, back);
        // Written over while it is being read from.
        back.save(&path).unwrap();
        assert_eq!(back.micro_trajectories.n_frames(0), 3_000_000);
        assert_eq!(Msm::load(&path).unwrap(), m);
    }

    #[test]
    fn other_and_damaged_files_are_refused() {
        assert!(Msm::from_bytes(b"hello", "x").is_err());
        let none = Vec::<(String, safetensors::tensor::TensorView<'_>)>::new();
        let other = safetensors::serialize(none, None).unwrap();
        let e = Msm::from_bytes(&other, "x").unwrap_err().to_string();
        assert!(e.contains("not one of a Markov model"), "{e}");
        let good = model().to_bytes().unwrap();
        assert!(Msm::from_bytes(&good[..good.len() - 9], "x").is_err());
        let text = String::from_utf8_lossy(&good[8..]).into_owned();
        assert!(text.contains("\\\"format\\\":2"));
        let at = good.windows(12).position(|w| w == b"\\\"format\\\":2").unwrap();
        let mut newer = good.clone();
        newer[at + 11] = b'9';
        let e = Msm::from_bytes(&newer, "x").unwrap_err().to_string();
        assert!(e.contains("newer version"), "{e}");
        let mut wrong = model();
        wrong.macro_of_micro[0] = Some(99);
        assert!(Msm::from_bytes(&wrong.to_bytes().unwrap(), "x").is_err());
    }
}
