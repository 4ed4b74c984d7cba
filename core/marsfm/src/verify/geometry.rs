//! `marsfm verify geometry`: frames, torsions, reconstruction, offsets, quaternions and tables
//! (METHOD 2) against a stored case, 1e-7 Å where the case is f64, 1e-4 Å where it is f32.
//!
//! A case holds any of the groups `hpv.*`, `ideal.*`, `offset.*`, `quat.*`, `table.*`. It counts as
//! f32 if every number in it is one; then the arithmetic is f32 too.

use anyhow::{Result, bail, ensure};
use marsfm_geometry::rigid::quaternion_matrix;
use marsfm_geometry::tables::TEMPLATES;
use marsfm_geometry::{
    ATOM14, ATOM37, Conformation, N_TORSIONS, N_TYPES, Real, ResidueType, Rigid, Torsions,
    torsion_mask,
};

use super::{Array, Case, Report};

const TOLERANCE_F64: f64 = 1e-7;
const TOLERANCE_F32: f64 = 1e-4;

/// Verifies every group of the case. Errors if the file holds none, or a group lacks a tensor.
pub fn run(case: &Case) -> Result<Report> {
    let groups = ["hpv.", "ideal.", "offset.", "quat.", "table."];
    let has = |group: &str| case.names().any(|n| n.starts_with(group));
    if !groups.iter().any(|g| has(g)) {
        bail!("{}: no geometry case (none of {})", case.path.display(), groups.join(" "));
    }
    let single = case
        .names()
        .filter_map(|n| case.find(n))
        .all(|a| a.data.iter().all(|&x| f64::from(x as f32) == x));
    let mut report = Report::new();
    for group in groups.iter().filter(|g| has(g)) {
        let check = Checks { case, report: &mut report };
        if single {
            check.group::<f32>(group, TOLERANCE_F32)?
        } else {
            check.group::<f64>(group, TOLERANCE_F64)?
        }
    }
    Ok(report)
}

struct Checks<'a> {
    case: &'a Case,
    report: &'a mut Report,
}

impl Checks<'_> {
    fn group<T: Real>(mut self, group: &str, tol: f64) -> Result<()> {
        match group {
            "hpv." => self.chain::<T>(tol),
            "ideal." => self.ideal::<T>(tol),
            "offset." => self.offsets::<T>(tol),
            "quat." => self.quaternions::<T>(tol),
            _ => self.tables(),
        }
    }

    fn abs(&mut self, name: &str, got: Vec<f64>, tol: f64) -> Result<()> {
        let reference = self.case.get(name)?;
        self.report.check_abs(name, &got, &reference.data, tol);
        Ok(())
    }

    fn exact(&mut self, name: &str, got: Vec<f64>) -> Result<()> {
        let reference = self.case.get(name)?;
        self.report.check(name, super::max_abs_diff(&got, &reference.data), 0.0, "exact");
        Ok(())
    }

    /// Residue types and their number, checked.
    fn types(&self, name: &str) -> Result<Vec<ResidueType>> {
        let data = &self.case.get(name)?.data;
        let kinds: Option<Vec<_>> =
            data.iter().map(|&i| ResidueType::from_index(i as usize)).collect();
        match kinds {
            Some(kinds) => Ok(kinds),
            None => bail!("{}: {name} holds an index above 20", self.case.path.display()),
        }
    }

    fn rows<T: Real, const N: usize>(&self, name: &str, n: usize) -> Result<Vec<[T; N]>> {
        let Array { shape, data } = self.case.get(name)?;
        let path = self.case.path.display();
        ensure!(data.len() == n * N, "{path}: {name} has shape {shape:?}, expected {n} × {N}");
        Ok(data.chunks_exact(N).map(|c| std::array::from_fn(|i| T::of(c[i]))).collect())
    }

    fn rigids<T: Real>(&self, prefix: &str, n: usize) -> Result<Vec<Rigid<T>>> {
        let rot = self.rows::<T, 9>(&format!("{prefix}_rot"), n)?;
        let trans = self.rows::<T, 3>(&format!("{prefix}_trans"), n)?;
        let rigid = |(r, trans): ([T; 9], [T; 3])| Rigid {
            rot: [0, 3, 6].map(|k| [r[k], r[k + 1], r[k + 2]]),
            trans,
        };
        Ok(rot.into_iter().zip(trans).map(rigid).collect())
    }

    fn torsions<T: Real>(&self, name: &str, n: usize) -> Result<Vec<Torsions<T>>> {
        let rows = self.rows::<T, { 2 * N_TORSIONS }>(name, n)?;
        Ok(rows.iter().map(|r| std::array::from_fn(|k| [r[2 * k], r[2 * k + 1]])).collect())
    }

    fn chain<T: Real>(&mut self, tol: f64) -> Result<()> {
        let types = self.types("hpv.aatype")?;
        let n = types.len();
        let wide = self.rows::<T, { 3 * ATOM37 }>("hpv.atom37", n)?;
        let atom14: Vec<[[T; 3]; ATOM14]> = types.iter().zip(&wide).map(narrow).collect();
        self.abs("hpv.atom14", flat_atoms(&atom14), tol)?;
        let mask14 = types.iter().flat_map(|t| t.atom14_mask().map(flag)).collect();
        self.exact("hpv.atom14_mask", mask14)?;
        self.exact("hpv.atom37_mask", types.iter().flat_map(|t| mask37(*t)).collect())?;
        let got = Conformation::from_atom14(&types, &atom14);
        self.frames("hpv.frames", &got.rigids, tol)?;
        let quats = got.rigids.iter().flat_map(|r| r.quaternion().map(T::f64)).collect();
        self.abs("hpv.frames_quat_wxyz", quats, tol)?;
        self.abs("hpv.torsions_sincos", flat_torsions(&got), tol)?;
        let mask = torsion_mask(&types).into_iter().flatten().map(flag).collect();
        self.exact("hpv.torsion_mask", mask)?;
        // From the stored frames and torsions, so that an error shows where it arises.
        let stored: Conformation<T> = Conformation {
            rigids: self.rigids("hpv.frames", n)?,
            torsions: self.torsions("hpv.recon_torsions_in", n)?,
        };
        self.rebuilt("hpv.recon_", &stored, &types, tol)?;
        let path = "hpv.recon_atom14 from atoms";
        let reference = &self.case.get("hpv.recon_atom14")?.data;
        self.report.check_abs(path, &flat_atoms(&got.to_atom14(&types)), reference, tol);
        Ok(())
    }

    fn ideal<T: Real>(&mut self, tol: f64) -> Result<()> {
        let types = self.types("ideal.aatype")?;
        let n = types.len();
        let shape = Conformation {
            rigids: self.rigids::<T>("ideal.frames", n)?,
            torsions: self.torsions("ideal.torsions_sincos", n)?,
        };
        self.rebuilt("ideal.", &shape, &types, tol)?;
        // Random quaternions of either sign; ours have w ≥ 0.
        let name = "ideal.frames_quat_wxyz";
        let mut worst = 0.0;
        for (rigid, q) in shape.rigids.iter().zip(self.rows::<f64, 4>(name, n)?) {
            let ours = rigid.quaternion().map(T::f64);
            let flipped = ours.map(|x| -x);
            let err = super::max_abs_diff(&ours, &q).min(super::max_abs_diff(&flipped, &q));
            worst = if err > worst || err.is_nan() { err } else { worst };
        }
        self.report.check(name, worst, tol, "abs");
        // The atoms give back the frames that placed them.
        let reference = self.case.get("ideal.frames_rot")?.data.clone();
        let again = Conformation::from_atom14(&types, &shape.to_atom14(&types));
        self.report.check_abs(
            "ideal.frames_rot from atoms",
            &flat_rot(&again.rigids),
            &reference,
            tol,
        );
        Ok(())
    }

    fn rebuilt<T: Real>(
        &mut self,
        prefix: &str,
        shape: &Conformation<T>,
        types: &[ResidueType],
        tol: f64,
    ) -> Result<()> {
        let atom14 = shape.to_atom14(types);
        self.abs(&format!("{prefix}atom14"), flat_atoms(&atom14), tol)?;
        let wide = types.iter().zip(&atom14).flat_map(|(t, a)| widen(*t, a)).collect();
        self.abs(&format!("{prefix}atom37"), wide, tol)
    }

    fn offsets<T: Real>(&mut self, tol: f64) -> Result<()> {
        let n = self.case.get("offset.ref_trans")?.data.len() / 3;
        let chain = |rigids: Vec<Rigid<T>>| Conformation {
            torsions: vec![[[T::ZERO; 2]; N_TORSIONS]; rigids.len()],
            rigids,
        };
        let reference = chain(self.rigids("offset.ref", n)?);
        let target = chain(self.rigids("offset.tgt", n)?);
        let latents = marsfm_geometry::encode(&reference, &target);
        let seven = latents.iter().flat_map(|z| z[..7].iter().map(|x| x.f64())).collect();
        self.abs("offset.tensor7", seven, tol)?;
        let back = marsfm_geometry::decode(&reference, &latents);
        self.frames("offset.back", &back.rigids, tol)
    }

    fn quaternions<T: Real>(&mut self, tol: f64) -> Result<()> {
        let n = self.case.get("quat.unnormalised_wxyz")?.data.len() / 4;
        let quats = self.rows::<T, 4>("quat.unnormalised_wxyz", n)?;
        let unit: Vec<_> = quats.iter().map(|q| Rigid::from_quaternion(*q, [T::ZERO; 3])).collect();
        self.abs("quat.rot", flat_rot(&unit), tol)?;
        let raw = quats.iter().flat_map(|q| quaternion_matrix(*q)).flatten().map(T::f64).collect();
        self.abs("quat.raw_rot_no_normalise", raw, tol)
    }

    fn frames<T: Real>(&mut self, prefix: &str, got: &[Rigid<T>], tol: f64) -> Result<()> {
        self.abs(&format!("{prefix}_rot"), flat_rot(got), tol)?;
        let trans = got.iter().flat_map(|r| r.trans.map(T::f64)).collect();
        self.abs(&format!("{prefix}_trans"), trans, tol)
    }

    /// The embedded tables. Frames of groups that a type lacks are zero in the reference.
    fn tables(&mut self) -> Result<()> {
        let tables = f64::tables();
        self.abs("table.lit_positions", flat_atoms(&tables.positions), TOLERANCE_F64)?;
        let mut frames = Vec::new();
        let (mut group, mut to37, mut from37) = (Vec::new(), Vec::new(), Vec::new());
        let (mut mask14, mut wide_mask, mut chi_mask) = (Vec::new(), Vec::new(), Vec::new());
        let mut chi_atoms = Vec::new();
        for kind in ResidueType::ALL {
            let template = TEMPLATES[kind.index()];
            let wide = kind.atom14_to_atom37();
            for g in 0..8 {
                let there = kind != ResidueType::X && (g < 4 || kind.chi_mask()[g - 4]);
                let frame = &tables.frames[kind.index()][g];
                for r in 0..3 {
                    let [a, b, c] = frame.rot[r];
                    frames.extend([a, b, c, frame.trans[r]].map(|x| if there { x } else { 0.0 }));
                }
                frames.extend([0.0, 0.0, 0.0, flag(there)]);
            }
            for slot in 0..ATOM14 {
                group.push(template.get(slot).map_or(0.0, |a| a.group as f64));
                to37.push(wide.get(slot).map_or(0.0, |w| *w as f64));
            }
            for place in 0..ATOM37 {
                from37.push(wide.iter().position(|w| *w == place).unwrap_or(0) as f64);
            }
            for k in 0..4 {
                let quad = kind.chi(k).map_or([0.0; 4], |q| q.map(|s| wide[s] as f64));
                chi_atoms.extend(quad);
            }
            mask14.extend(kind.atom14_mask().map(flag));
            wide_mask.extend(mask37(kind));
            chi_mask.extend(kind.chi_mask().map(flag));
        }
        debug_assert_eq!(mask14.len(), N_TYPES * ATOM14);
        self.abs("table.default_frames", frames, TOLERANCE_F64)?;
        self.exact("table.atom14_to_group", group)?;
        self.exact("table.atom14_to_atom37", to37)?;
        self.exact("table.atom37_to_atom14", from37)?;
        self.exact("table.atom14_mask", mask14)?;
        self.exact("table.atom37_mask", wide_mask)?;
        self.exact("table.chi_mask", chi_mask)?;
        self.exact("table.chi_atom37_idx", chi_atoms)
    }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

fn mask37(kind: ResidueType) -> [f64; ATOM37] {
    let mut out = [0.0; ATOM37];
    for place in kind.atom14_to_atom37() {
        out[place] = 1.0;
    }
    out
}

/// atom14 of a residue from its flat atom37 positions.
fn narrow<T: Real>((kind, wide): (&ResidueType, &[T; 3 * ATOM37])) -> [[T; 3]; ATOM14] {
    let mut out = [[T::ZERO; 3]; ATOM14];
    for (slot, place) in kind.atom14_to_atom37().into_iter().enumerate() {
        out[slot] = [wide[3 * place], wide[3 * place + 1], wide[3 * place + 2]];
    }
    out
}

/// Flat atom37 positions of a residue from its atom14.
fn widen<T: Real>(kind: ResidueType, atoms: &[[T; 3]; ATOM14]) -> [f64; 3 * ATOM37] {
    let mut out = [0.0; 3 * ATOM37];
    for (slot, place) in kind.atom14_to_atom37().into_iter().enumerate() {
        for k in 0..3 {
            out[3 * place + k] = atoms[slot][k].f64();
        }
    }
    out
}

fn flat_atoms<T: Real>(atoms: &[[[T; 3]; ATOM14]]) -> Vec<f64> {
    atoms.iter().flatten().flatten().map(|x| x.f64()).collect()
}

fn flat_rot<T: Real>(rigids: &[Rigid<T>]) -> Vec<f64> {
    rigids.iter().flat_map(|r| r.rot).flatten().map(T::f64).collect()
}

fn flat_torsions<T: Real>(shape: &Conformation<T>) -> Vec<f64> {
    shape.torsions.iter().flatten().flatten().map(|x| x.f64()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_test_support::shared_or_skip;

    #[test]
    fn the_shared_case_in_both_precisions() {
        let Some(shared) = shared_or_skip("verify geometry") else { return };
        for (file, n) in [("geometry.f64.safetensors", 29), ("geometry.f32.safetensors", 20)] {
            let case = Case::load(&shared.join("fixtures").join(file)).unwrap();
            let report = run(&case).unwrap();
            assert!(report.ok, "{file}: {report:#?}");
            assert!(report.tensors.len() >= n, "{file}: {}", report.tensors.len());
        }
        let other = Case::load(&shared.join("fixtures/msm/chain5.safetensors")).unwrap();
        assert!(run(&other).unwrap_err().to_string().contains("no geometry case"));
    }
}
