//! A model as one file: safetensors, whose header carries a versioned JSON with everything that is
//! no array. Reads back bit-equal; written to a temporary name first, so never half a file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Matrix, Msm, MsmError};

/// Version of the file; a reader refuses newer ones.
pub const FORMAT_VERSION: u32 = 1;
const KEY: &str = "marsfm_msm";

/// An array of a model, wherever it sits.
enum Field<'a> {
    Matrix(&'a mut Matrix),
    Vector(&'a mut Vec<f64>),
    Ragged(&'a mut Vec<Vec<i32>>),
}

/// Every array with its name: taken out before writing the header, put back after reading it.
fn arrays(m: &mut Msm) -> Vec<(String, Field<'_>)> {
    let mut out: Vec<(String, Field<'_>)> = vec![
        ("tica.mean".into(), Field::Vector(&mut m.tica.mean)),
        ("tica.eigenvalues".into(), Field::Vector(&mut m.tica.eigenvalues)),
        ("tica.eigenvectors".into(), Field::Matrix(&mut m.tica.eigenvectors)),
        ("tica.scale".into(), Field::Vector(&mut m.tica.scale)),
        ("centers".into(), Field::Matrix(&mut m.centers)),
        ("micro.t".into(), Field::Matrix(&mut m.micro.t)),
        ("micro.pi".into(), Field::Vector(&mut m.micro.pi)),
        ("micro.trajectories".into(), Field::Ragged(&mut m.micro_trajectories)),
        ("pcca.memberships".into(), Field::Matrix(&mut m.pcca.memberships)),
        ("pcca.weights".into(), Field::Vector(&mut m.pcca.weights)),
        ("pcca.eigenvalues".into(), Field::Vector(&mut m.pcca.eigenvalues)),
        ("macro.trajectories".into(), Field::Ragged(&mut m.macro_trajectories)),
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

type Bytes = (Dtype, Vec<usize>, Vec<u8>);
type Arrays = BTreeMap<String, Bytes>;

fn failed(detail: String) -> MsmError {
    MsmError::File { path: "model".into(), detail }
}

fn views(data: &Arrays) -> Result<Vec<(String, TensorView<'_>)>, MsmError> {
    data.iter()
        .map(|(name, (dtype, shape, bytes))| {
            Ok((name.clone(), TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| failed(e.to_string()))
}

fn f64_bytes(shape: Vec<usize>, data: &[f64]) -> Bytes {
    (Dtype::F64, shape, data.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// Reads and checks arrays of one file.
struct Reader<'a> {
    tensors: SafeTensors<'a>,
    path: &'a str,
}

impl Reader<'_> {
    fn error(&self, detail: String) -> MsmError {
        MsmError::File { path: self.path.into(), detail }
    }

    fn view(&self, name: &str, dtype: Dtype, dims: usize) -> Result<TensorView<'_>, MsmError> {
        let view = self.tensors.tensor(name).map_err(|e| self.error(format!("{name}: {e}")))?;
        if view.dtype() != dtype || view.shape().len() != dims {
            return Err(self.error(format!(
                "{name}: expected {dtype:?} with {dims} dimensions, got {:?} {:?}",
                view.dtype(),
                view.shape()
            )));
        }
        Ok(view)
    }

    fn f64(&self, name: &str, dims: usize) -> Result<(Vec<usize>, Vec<f64>), MsmError> {
        let view = self.view(name, Dtype::F64, dims)?;
        let number = |c: &[u8]| f64::from_le_bytes(c.try_into().expect("8 bytes"));
        Ok((view.shape().to_vec(), view.data().chunks_exact(8).map(number).collect()))
    }

    fn i64(&self, name: &str) -> Result<Vec<i64>, MsmError> {
        let view = self.view(name, Dtype::I64, 1)?;
        let number = |c: &[u8]| i64::from_le_bytes(c.try_into().expect("8 bytes"));
        Ok(view.data().chunks_exact(8).map(number).collect())
    }

    fn ragged(&self, name: &str) -> Result<Vec<Vec<i32>>, MsmError> {
        let view = self.view(name, Dtype::I32, 1)?;
        let number = |c: &[u8]| i32::from_le_bytes(c.try_into().expect("4 bytes"));
        let flat: Vec<i32> = view.data().chunks_exact(4).map(number).collect();
        let offsets = self.i64(&format!("{name}.offsets"))?;
        let whole = offsets.first() == Some(&0)
            && offsets.last() == Some(&(flat.len() as i64))
            && offsets.windows(2).all(|w| w[0] <= w[1]);
        if !whole {
            return Err(self.error(format!("{name}: offsets do not fit {} frames", flat.len())));
        }
        Ok(offsets.windows(2).map(|w| flat[w[0] as usize..w[1] as usize].to_vec()).collect())
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
        let (data, header) = self.parts()?;
        safetensors::serialize(views(&data)?, Some(header)).map_err(|e| failed(e.to_string()))
    }

    /// Arrays by name, and the header.
    fn parts(&self) -> Result<(Arrays, HashMap<String, String>), MsmError> {
        let mut light = self.clone();
        let mut data = Arrays::new();
        for (name, field) in arrays(&mut light) {
            match field {
                Field::Matrix(m) => {
                    let m = std::mem::take(m);
                    data.insert(name, f64_bytes(vec![m.n_rows(), m.n_cols()], m.as_slice()));
                }
                Field::Vector(v) => {
                    let v = std::mem::take(v);
                    data.insert(name, f64_bytes(vec![v.len()], &v));
                }
                Field::Ragged(r) => {
                    let r = std::mem::take(r);
                    let mut offsets = vec![0i64];
                    offsets.extend(r.iter().scan(0, |sum, t| {
                        *sum += t.len() as i64;
                        Some(*sum)
                    }));
                    let flat: Vec<u8> = r.iter().flatten().flat_map(|s| s.to_le_bytes()).collect();
                    let ends: Vec<u8> = offsets.iter().flat_map(|o| o.to_le_bytes()).collect();
                    data.insert(format!("{name}.offsets"), (Dtype::I64, vec![offsets.len()], ends));
                    data.insert(name, (Dtype::I32, vec![flat.len() / 4], flat));
                }
            }
        }
        let header = Header { format: FORMAT_VERSION, model: light };
        let json = serde_json::to_string(&header).map_err(|e| failed(e.to_string()))?;
        Ok((data, HashMap::from([(KEY.to_string(), json)])))
    }

    /// Reads a model from bytes; `path` only names it in errors.
    pub fn from_bytes(bytes: &[u8], path: &str) -> Result<Self, MsmError> {
        let failed = |detail: String| MsmError::File { path: path.into(), detail };
        let (_, metadata) = SafeTensors::read_metadata(bytes)
            .map_err(|e| failed(format!("is no model file: {e}")))?;
        let json =
            metadata.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| {
                failed("is a safetensors file, but not one of a Markov model".into())
            })?;
        let version: Version =
            serde_json::from_str(json).map_err(|e| failed(format!("header: {e}")))?;
        if version.format > FORMAT_VERSION {
            return Err(failed(format!(
                "has format {}, this program reads up to {FORMAT_VERSION}: use a newer version",
                version.format
            )));
        }
        let mut model: Msm =
            serde_json::from_str::<Header>(json).map_err(|e| failed(format!("header: {e}")))?.model;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| failed(e.to_string()))?;
        let reader = Reader { tensors, path };
        for (name, field) in arrays(&mut model) {
            match field {
                Field::Matrix(m) => {
                    let (shape, data) = reader.f64(&name, 2)?;
                    *m = Matrix::from_vec(shape[0], shape[1], data)?;
                }
                Field::Vector(v) => *v = reader.f64(&name, 1)?.1,
                Field::Ragged(r) => *r = reader.ragged(&name)?,
            }
        }
        model.check_sizes(path)?;
        Ok(model)
    }

    /// Writes the model to a file.
    pub fn save(&self, path: &Path) -> Result<(), MsmError> {
        let failed = |e: std::io::Error| MsmError::File {
            path: path.display().to_string(),
            detail: e.to_string(),
        };
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".part");
        let part = path.with_file_name(name);
        let (data, header) = self.parts()?;
        // Array after array: a copy of the whole file in memory is not needed.
        safetensors::serialize_to_file(views(&data)?, Some(header), &part)
            .map_err(|e| std::io::Error::other(e.to_string()))
            .and_then(|()| std::fs::rename(&part, path))
            .map_err(|e| {
                let _ = std::fs::remove_file(&part);
                failed(e)
            })
    }

    /// Reads a model from a file.
    pub fn load(path: &Path) -> Result<Self, MsmError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path)
            .map_err(|e| MsmError::File { path: name.clone(), detail: e.to_string() })?;
        Self::from_bytes(&bytes, &name)
    }

    /// That sizes and indices fit together, so that a damaged file cannot cause a panic later.
    fn check_sizes(&self, path: &str) -> Result<(), MsmError> {
        let n_micro = self.centers.n_rows();
        let n_active = self.micro.active.len();
        let n_macro = self.macro_t.n_rows();
        let d = self.tica.mean.len();
        let in_range = |trajectories: &[Vec<i32>], n: usize| {
            trajectories.iter().flatten().all(|s| *s == -1 || (*s >= 0 && (*s as usize) < n))
        };
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
            ("micro.trajectories", in_range(&self.micro_trajectories, n_micro)),
            ("macro.trajectories", in_range(&self.macro_trajectories, n_macro)),
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
    use crate::{MsmBuilder, Rows};

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
    fn other_and_damaged_files_are_refused() {
        assert!(Msm::from_bytes(b"hello", "x").is_err());
        let other = safetensors::serialize(Vec::<(String, TensorView<'_>)>::new(), None).unwrap();
        let e = Msm::from_bytes(&other, "x").unwrap_err().to_string();
        assert!(e.contains("not one of a Markov model"), "{e}");
        let good = model().to_bytes().unwrap();
        assert!(Msm::from_bytes(&good[..good.len() - 9], "x").is_err());
        let text = String::from_utf8_lossy(&good[8..]).into_owned();
        assert!(text.contains("\\\"format\\\":1"));
        let at = good.windows(12).position(|w| w == b"\\\"format\\\":1").unwrap();
        let mut newer = good.clone();
        newer[at + 11] = b'9';
        let e = Msm::from_bytes(&newer, "x").unwrap_err().to_string();
        assert!(e.contains("newer version"), "{e}");
        let mut wrong = model();
        wrong.macro_of_micro[0] = Some(99);
        assert!(Msm::from_bytes(&wrong.to_bytes().unwrap(), "x").is_err());
    }
}
