//! Cases of the structural observables, and the whole path from XTC files to T.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use marsfm_features::{Featurizer, TorsionFeatures};
use marsfm_geometry::Topology;
use marsfm_geometry::observables::{
    ChainBreaks, DihedralKind, Dssp, RmsdTo, dihedrals, radius_of_gyration,
};
use marsfm_msm::{MsmBuilder, Rows};
use marsfm_trajectory::Frame;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::models::number;
use crate::npy;
use crate::{Job, Outcome};

/// The case of that name, if it is one of these.
pub fn job(case: &str, folder: &Path, p: &Value) -> Result<Option<Job>> {
    if case == "path" {
        return path(p).map(Some);
    }
    if !["rg", "torsions", "dssp", "rmsd"].contains(&case) {
        return Ok(None);
    }
    let pdb = p["pdb"].as_str().context("parameter 'pdb' is missing")?;
    let (top, _) = read_pdb(Path::new(pdb))?;
    let xyz = npy::read::<f32>(&folder.join("xyz.npy"))?;
    let n_atoms = xyz.shape[1];
    Ok(Some(match case {
        "rg" => Box::new(move || {
            let all: Vec<usize> = (0..n_atoms).collect();
            let frames = xyz_frames(&xyz.data, n_atoms);
            let rg: Vec<f64> = frames.map(|f| radius_of_gyration(f, &all)).collect();
            Ok(numbers(rg))
        }),
        "rmsd" => Box::new(move || {
            let to = RmsdTo::new(&xyz.data.as_chunks::<3>().0[..n_atoms])?;
            let frames = xyz_frames(&xyz.data, n_atoms);
            let rmsd: Vec<f64> = frames.map(|f| to.rmsd(f)).collect::<Result<_, _>>()?;
            Ok(numbers(rmsd))
        }),
        "torsions" => Box::new(move || {
            let kinds = [DihedralKind::Phi, DihedralKind::Psi]
                .into_iter()
                .chain((1..5).map(DihedralKind::Chi));
            let list: Vec<_> = kinds.flat_map(|kind| dihedrals(&top, None, kind)).collect();
            let n_frames = xyz.shape[0];
            let mut angles = vec![0.0; list.len() * n_frames];
            angles.par_chunks_exact_mut(list.len()).zip(xyz_frames(&xyz.data, n_atoms)).for_each(
                |(out, f)| {
                    out.iter_mut().zip(&list).for_each(|(a, d)| *a = d.value(f));
                },
            );
            let n = list.len();
            Ok(Outcome {
                bytes: 8 * angles.len(),
                fingerprint: Box::new(move || {
                    let (cos, sin): (f64, f64) = angles
                        .iter()
                        .map(|a| (a.cos(), a.sin()))
                        .fold((0.0, 0.0), |s, v| (s.0 + v.0, s.1 + v.1));
                    let count = angles.len() as f64;
                    json!({ "angles": n, "mean_cos": cos / count, "mean_sin": sin / count })
                }),
            })
        }),
        _ => Box::new(move || {
            let dssp = Dssp::new(&top, ChainBreaks::ChainIds);
            let frames = xyz_frames(&xyz.data, n_atoms);
            let letters: Vec<Vec<u8>> = frames.map(|f| dssp.assign(f)).collect();
            Ok(Outcome {
                bytes: letters.iter().map(Vec::len).sum(),
                fingerprint: Box::new(move || {
                    let count = |l: u8| letters.iter().flatten().filter(|x| **x == l).count();
                    json!({ "letters": b"HBEGITS ".map(count) })
                }),
            })
        }),
    }))
}

fn xyz_frames(
    xyz: &[f32],
    n_atoms: usize,
) -> impl IndexedParallelIterator<Item = &[[f32; 3]]> + use<'_> {
    xyz.as_chunks::<3>().0.par_chunks_exact(n_atoms).with_min_len(32)
}

fn numbers(values: Vec<f64>) -> Outcome {
    Outcome {
        bytes: 8 * values.len(),
        fingerprint: Box::new(move || {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let largest = values.iter().fold(f64::MIN, |m, v| m.max(*v));
            json!({ "mean": mean, "largest": largest })
        }),
    }
}

/// Topology and positions (nm) of the ATOM lines of a PDB file.
fn read_pdb(path: &Path) -> Result<(Topology, Frame)> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut top = Topology::new();
    let mut frame = Frame::default();
    for line in text.lines().take_while(|l| !l.starts_with("ENDMDL")) {
        if line.starts_with("ATOM") || line.starts_with("HETATM") {
            let field = |a: usize, b: usize| line.get(a..b).unwrap_or("").trim();
            let number = field(22, 26).parse().context("residue number")?;
            let (insertion, chain) = (field(26, 27), field(21, 22));
            top.push(field(12, 16), field(76, 78), field(17, 20), number, insertion, chain);
            let mut p = [0.0; 3];
            for (k, x) in p.iter_mut().enumerate() {
                let text = field(30 + 8 * k, 38 + 8 * k);
                *x = text.parse::<f32>().context("coordinate")? / 10.0;
            }
            frame.positions_nm.push(p);
        }
    }
    Ok((top, frame))
}

/// XTC files → torsions → TICA → k-means → reversible model → PCCA+ → T of macrostates. Reads with
/// the decoder of the XTC plugin.
fn path(p: &Value) -> Result<Job> {
    let pdb = PathBuf::from(p["pdb"].as_str().context("parameter 'pdb' is missing")?);
    let files = p["xtc"].as_array().context("parameter 'xtc' is missing")?;
    let files: Vec<PathBuf> = files.iter().filter_map(Value::as_str).map(PathBuf::from).collect();
    let (lag, m) = (number(p, "lag")?, number(p, "m")?);
    let repeat = number(p, "repeat")?;
    Ok(Box::new(move || {
        let (top, reference) = read_pdb(&pdb)?;
        let features = TorsionFeatures::new(&top, Some(&reference))?;
        let n = features.n_features();
        let mut all: Vec<Vec<f64>> = Vec::new();
        for file in std::iter::repeat_n(&files, repeat).flatten() {
            let mut reader = molly::XTCReader::new(BufReader::new(File::open(file)?));
            let mut frame = molly::Frame::default();
            let mut positions = Vec::new();
            while reader.read_frame(&mut frame).is_ok() {
                positions.extend_from_slice(&frame.positions);
            }
            let frames = positions.as_chunks::<3>().0;
            let mut rows = vec![0.0; frames.len() / top.len() * n];
            rows.par_chunks_exact_mut(n)
                .zip(frames.par_chunks_exact(top.len()))
                .try_for_each(|(row, f)| features.compute(f, None, row))?;
            all.push(rows);
        }
        let views: Vec<Rows> = all.iter().map(|r| Rows::new(r, n)).collect::<Result<_, _>>()?;
        let builder =
            MsmBuilder { n_macrostates: m, timescale_lags: Some(vec![]), ..MsmBuilder::new(lag) };
        let msm = builder.build(&views)?;
        Ok(Outcome {
            bytes: 0,
            fingerprint: Box::new(move || {
                json!({
                    "kept": msm.tica.n_kept,
                    "eigenvalues": msm.tica.eigenvalues[..3],
                    "pairs": msm.macro_counts.as_slice().iter().sum::<f64>(),
                    "inertia_2pc": msm.inertia,
                })
            }),
        })
    }))
}
