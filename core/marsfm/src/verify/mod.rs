//! `marsfm verify`: this machine's numbers against stored reference numbers.
//!
//! A case is a safetensors file of inputs and reference outputs, with a JSON beside it (its name
//! without `.f32/.f64/.weights.safetensors`, else `manifest.json` in the same folder). Each check
//! gives one [`Report`]; beyond tolerance `ok` is false and the command exits with 1.

pub mod geometry;
pub mod msm;
pub mod network;
pub mod observables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;

/// How one tensor compared.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Largest error found, in the measure that `kind` names.
    pub err: f64,
    /// Largest error allowed.
    pub tol: f64,
    /// `abs`, `rel`, `exact`, `circular` …: the measure.
    pub kind: String,
}

/// The result of one verification: `{ok, max_abs_err, tensors: {name: {err, tol, kind}}}`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// True if every tensor is within its tolerance.
    pub ok: bool,
    /// Largest `err` over all tensors of kind `abs`.
    pub max_abs_err: f64,
    /// One entry per compared tensor.
    pub tensors: BTreeMap<String, Check>,
}

impl Report {
    /// An empty report, which is ok.
    pub fn new() -> Self {
        Self { ok: true, ..Self::default() }
    }

    /// Adds one comparison. NaN is never within tolerance.
    pub fn check(&mut self, name: &str, err: f64, tol: f64, kind: &str) {
        if kind == "abs" && (err > self.max_abs_err || err.is_nan()) {
            self.max_abs_err = err;
        }
        self.ok &= err <= tol;
        self.tensors.insert(name.into(), Check { err, tol, kind: kind.into() });
    }

    /// Compares two arrays by largest absolute difference; lengths must agree.
    pub fn check_abs(&mut self, name: &str, got: &[f64], reference: &[f64], tol: f64) {
        self.check(name, max_abs_diff(got, reference), tol, "abs");
    }
}

/// Largest |a-b|; infinite if the lengths differ, NaN if any entry is NaN on one side only.
pub fn max_abs_diff(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    a.iter()
        .zip(b)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}

/// One array of a case, widened to f64 (integers too).
#[derive(Clone, Debug)]
pub struct Array {
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub data: Vec<f64>,
}

/// A stored case: tensors and its JSON.
pub struct Case {
    /// The safetensors file.
    pub path: PathBuf,
    /// The JSON beside it (`Null` if there is none).
    pub json: serde_json::Value,
    tensors: BTreeMap<String, Array>,
}

impl Case {
    /// Reads a case file and the JSON beside it.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("{}: cannot read", path.display()))?;
        let file = safetensors::SafeTensors::deserialize(&bytes)
            .map_err(|e| anyhow!("{}: not a safetensors file: {e}", path.display()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let data = widen(view.dtype(), view.data())
                .with_context(|| format!("{}: tensor {name}", path.display()))?;
            tensors.insert(name, Array { shape: view.shape().to_vec(), data });
        }
        let text = path.to_string_lossy();
        let stem = text.strip_suffix(".safetensors").unwrap_or(&text);
        let stem =
            [".f32", ".f64", ".weights"].iter().find_map(|s| stem.strip_suffix(s)).unwrap_or(stem);
        let manifest = path.with_file_name("manifest.json");
        let json =
            [PathBuf::from(format!("{stem}.json")), manifest].into_iter().find(|p| p.is_file());
        let json = match json {
            None => serde_json::Value::Null,
            Some(p) => serde_json::from_slice(&std::fs::read(&p)?)
                .with_context(|| format!("{}: not JSON", p.display()))?,
        };
        Ok(Self { path: path.into(), json, tensors })
    }

    /// The array `name`, or an error that names the file.
    pub fn get(&self, name: &str) -> Result<&Array> {
        self.tensors
            .get(name)
            .ok_or_else(|| anyhow!("{}: has no tensor {name}", self.path.display()))
    }

    /// The array `name` if the case has it.
    pub fn find(&self, name: &str) -> Option<&Array> {
        self.tensors.get(name)
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// File name without folder and suffixes: `chain5`, `ubiquitin`.
    pub fn stem(&self) -> String {
        let name =
            self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.split('.').next().unwrap_or_default().to_string()
    }
}

fn widen(dtype: safetensors::Dtype, bytes: &[u8]) -> Result<Vec<f64>> {
    use safetensors::Dtype;
    macro_rules! each {
        ($t:ty) => {
            bytes
                .chunks_exact(size_of::<$t>())
                .map(|c| <$t>::from_le_bytes(c.try_into().expect("exact chunk")) as f64)
                .collect()
        };
    }
    Ok(match dtype {
        Dtype::F64 => each!(f64),
        Dtype::F32 => each!(f32),
        Dtype::I64 => each!(i64),
        Dtype::I32 => each!(i32),
        Dtype::U8 | Dtype::BOOL => bytes.iter().map(|b| f64::from(*b)).collect(),
        other => bail!("element type {other:?} is not supported in a case file"),
    })
}
