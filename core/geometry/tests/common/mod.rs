//! Reads fixture tensors and fixed-column PDB files for the tests of this crate.
#![allow(dead_code)] // each test program uses a part

use std::path::Path;

use marsfm_geometry::{Real, Topology};

pub struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    pub fn load(path: &Path) -> Self {
        Self { bytes: std::fs::read(path).expect("fixture file") }
    }

    /// A tensor as f64, row-major.
    pub fn get(&self, name: &str) -> Vec<f64> {
        let file = safetensors::SafeTensors::deserialize(&self.bytes).expect("safetensors");
        let view = file.tensor(name).unwrap_or_else(|_| panic!("no tensor {name}"));
        let data = view.data();
        match view.dtype() {
            safetensors::Dtype::F64 => {
                data.chunks_exact(8).map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect()
            }
            safetensors::Dtype::F32 => data
                .chunks_exact(4)
                .map(|c| f64::from(f32::from_le_bytes(c.try_into().unwrap())))
                .collect(),
            safetensors::Dtype::I32 => data
                .chunks_exact(4)
                .map(|c| f64::from(i32::from_le_bytes(c.try_into().unwrap())))
                .collect(),
            safetensors::Dtype::U8 => data.iter().map(|b| f64::from(*b)).collect(),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Groups of N consecutive numbers.
pub fn groups<T: Real, const N: usize>(data: &[f64]) -> Vec<[T; N]> {
    data.chunks_exact(N).map(|c| std::array::from_fn(|i| T::of(c[i]))).collect()
}

pub fn assert_close(name: &str, got: &[f64], expected: &[f64], tol: f64) {
    assert_eq!(got.len(), expected.len(), "{name}");
    let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst <= tol && !got.iter().any(|x| x.is_nan()), "{name}: {worst} > {tol}");
}

/// Atoms (names, residues) and positions (nm) of a PDB file's ATOM and HETATM lines.
pub fn read_pdb(path: &Path) -> (Topology, Vec<[f32; 3]>) {
    let text = std::fs::read_to_string(path).expect("PDB file");
    let mut topology = Topology::new();
    let mut positions = Vec::new();
    for line in text.lines().filter(|l| l.starts_with("ATOM") || l.starts_with("HETATM")) {
        let column = |r: std::ops::Range<usize>| line.get(r).unwrap_or("").trim();
        let number = column(22..26).parse().expect("residue number");
        topology.push(
            column(12..16),
            column(76..78),
            column(17..20),
            number,
            column(26..27),
            column(21..22),
        );
        positions.push([30..38, 38..46, 46..54].map(|r| {
            let x: f64 = column(r).parse().expect("coordinate");
            (x / 10.0) as f32
        }));
    }
    (topology, positions)
}

/// Every `*_full.pdb` of the tetrapeptides, sorted.
pub fn full_pdbs(shared: &Path) -> Vec<std::path::PathBuf> {
    let mut out: Vec<_> = std::fs::read_dir(shared.join("data/tetrapeptides"))
        .expect("tetrapeptides")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let path = shared.join(format!("data/tetrapeptides/{name}/{name}_full.pdb"));
            path.is_file().then_some(path)
        })
        .collect();
    out.sort();
    out
}
