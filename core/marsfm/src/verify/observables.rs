//! `marsfm verify observables`: Rg, RMSD, RMSF, dihedrals, DSSP and contacts against a stored case
//! at the tolerances of MSM.md 6: Rg 1e-6 nm, RMSD 2e-6 nm, angles 1e-5 rad (circular), DSSP equal
//! in frame 0 and in all but 0.05 % of the letters of all frames.
//!
//! Names come from `NAME.pdb` beside the case. Without it angles use the stored atom lists and
//! DSSP, which needs names, is an error if the case holds it.

use std::f64::consts::TAU;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use marsfm_geometry::Topology;
use marsfm_geometry::observables::{
    ChainBreaks, DihedralKind, Dssp, class3, dihedral, dihedrals, fraction, n_contacts,
    radius_of_gyration, radius_of_gyration_weighted, rmsd_matrix, rmsf,
};

use super::{Case, Report};

const RG: f64 = 1e-6;
const RMSD: f64 = 2e-6;
const ANGLE: f64 = 1e-5;
const LETTERS: f64 = 5e-4;
/// Stored energies were computed in f32.
const ENERGY_KCAL: f64 = 1e-3;
const CONTACT_NM: f64 = 0.8;

const DIHEDRALS: [(&str, DihedralKind); 8] = [
    ("phi", DihedralKind::Phi),
    ("psi", DihedralKind::Psi),
    ("omega", DihedralKind::Omega),
    ("chi1", DihedralKind::Chi(1)),
    ("chi2", DihedralKind::Chi(2)),
    ("chi3", DihedralKind::Chi(3)),
    ("chi4", DihedralKind::Chi(4)),
    ("chi5", DihedralKind::Chi(5)),
];

struct Observed<'a> {
    case: &'a Case,
    frames: Vec<Vec<[f32; 3]>>,
    report: Report,
}

/// Verifies every observable that the case holds. Errors if it has no `xyz`, or if a tensor's
/// shape or an atom index does not fit.
pub fn run(case: &Case) -> Result<Report> {
    let path = case.path.display();
    let xyz = case.get("xyz")?;
    let [n_frames, n_atoms, 3] = xyz.shape[..] else {
        bail!("{path}: xyz has shape {:?}, expected frames × atoms × 3", xyz.shape);
    };
    ensure!(n_frames > 0 && n_atoms > 0, "{path}: xyz is empty");
    let points: Vec<[f32; 3]> =
        xyz.data.chunks_exact(3).map(|c| [c[0] as f32, c[1] as f32, c[2] as f32]).collect();
    let frames = points.chunks_exact(n_atoms).map(<[_]>::to_vec).collect();
    let mut observed = Observed { case, frames, report: Report::new() };
    let pdb = case.path.with_file_name(format!("{}.pdb", case.stem()));
    let topology = if pdb.is_file() { Some(read_pdb(&pdb)?) } else { None };
    if let Some(topology) = &topology {
        let (names, atoms) = (topology.len(), n_atoms);
        ensure!(names == atoms, "{}: {names} atoms, but the case has {atoms}", pdb.display());
    }
    observed.sizes()?;
    observed.angles(topology.as_ref())?;
    match &topology {
        Some(topology) => observed.structure(topology)?,
        None if case.find("dssp8").is_some() => {
            bail!("{}: needed for the names that DSSP goes by, but not found", pdb.display())
        }
        None => {}
    }
    ensure!(!observed.report.tensors.is_empty(), "{path}: holds no observable to verify");
    Ok(observed.report)
}

impl Observed<'_> {
    /// Stored indices, all below `limit`.
    fn indices(&self, name: &str, limit: usize) -> Result<Vec<usize>> {
        let data = &self.case.get(name)?.data;
        let fits = data.iter().all(|&x| x >= 0.0 && (x as usize) < limit);
        ensure!(fits, "{}: {name} holds an index outside 0..{limit}", self.case.path.display());
        Ok(data.iter().map(|&x| x as usize).collect())
    }

    fn abs(&mut self, name: &str, got: &[f64], tol: f64) -> Result<()> {
        self.report.check_abs(name, got, &self.case.get(name)?.data, tol);
        Ok(())
    }

    /// Rg, RMSD, RMSF and contacts.
    fn sizes(&mut self) -> Result<()> {
        let n_atoms = self.frames[0].len();
        for (subset, index) in
            [("all", None), ("heavy", Some("heavy_index")), ("ca", Some("ca_index"))]
        {
            let atoms = match index {
                Some(name) if self.case.find(name).is_none() => continue,
                Some(name) => self.indices(name, n_atoms)?,
                None => (0..n_atoms).collect(),
            };
            for name in [format!("rg_{subset}_equal_mass"), format!("rg_{subset}")] {
                if self.case.find(&name).is_some() {
                    let got: Vec<f64> =
                        self.frames.iter().map(|x| radius_of_gyration(x, &atoms)).collect();
                    self.abs(&name, &got, RG)?;
                }
            }
            let name = format!("rg_{subset}_mass_weighted");
            if self.case.find(&name).is_some() {
                let masses = &self.case.get("masses")?.data;
                ensure!(masses.len() == n_atoms, "masses: {} for {n_atoms} atoms", masses.len());
                let rg = |x: &Vec<[f32; 3]>| radius_of_gyration_weighted(x, &atoms, masses);
                let got: Vec<f64> = self.frames.iter().map(rg).collect();
                self.abs(&name, &got, RG)?;
            }
            let picked: Vec<Vec<[f32; 3]>> =
                self.frames.iter().map(|x| atoms.iter().map(|&a| x[a]).collect()).collect();
            let name = format!("rmsd_{subset}");
            if self.case.find(&name).is_some() {
                self.abs(&name, &rmsd_matrix(&picked)?, RMSD)?;
            }
            let name = format!("rmsf_{subset}_superposed_first");
            if self.case.find(&name).is_some() {
                self.abs(&name, &rmsf(&picked, &picked[0])?, RMSD)?;
            }
            let name = format!("contact_{subset}_8A");
            if self.case.find(&name).is_some() {
                // Ordered pairs, self included.
                let count = |x: &Vec<[f32; 3]>| {
                    (2 * n_contacts(x, &atoms, 1, CONTACT_NM) + atoms.len()) as f64
                };
                let got: Vec<f64> = self.frames.iter().map(count).collect();
                self.exact(&name, &got)?;
            }
        }
        Ok(())
    }

    fn exact(&mut self, name: &str, got: &[f64]) -> Result<()> {
        let err = super::max_abs_diff(got, &self.case.get(name)?.data);
        self.report.check(name, err, 0.0, "exact");
        Ok(())
    }

    /// Dihedrals by the stored atom lists; the lists themselves by the topology.
    fn angles(&mut self, topology: Option<&Topology>) -> Result<()> {
        let n_atoms = self.frames[0].len();
        for (name, kind) in DIHEDRALS {
            let listed = format!("{name}_atoms");
            if self.case.find(name).is_none() {
                continue;
            }
            let atoms = self.indices(&listed, n_atoms)?;
            let mut got = Vec::new();
            for frame in &self.frames {
                got.extend(
                    atoms.chunks_exact(4).map(|q| dihedral([0, 1, 2, 3].map(|k| frame[q[k]]))),
                );
            }
            let reference = &self.case.get(name)?.data;
            let err = if got.len() == reference.len() {
                got.iter().zip(reference).map(|(a, b)| circular(a - b)).fold(0.0, nan_max)
            } else {
                f64::INFINITY
            };
            self.report.check(name, err, ANGLE, "circular");
            if let Some(topology) = topology {
                let list = dihedrals(topology, Some(&self.frames[0]), kind);
                let ours: Vec<f64> = list.iter().flat_map(|d| d.atoms).map(|a| a as f64).collect();
                self.exact(&listed, &ours)?;
                let ours: Vec<f64> = list.iter().map(|d| d.residue as f64).collect();
                let name = format!("{name}_residue");
                if self.case.find(&name).is_some() {
                    self.exact(&name, &ours)?;
                }
            }
        }
        Ok(())
    }

    /// DSSP letters, fractions and hydrogen bonds.
    fn structure(&mut self, topology: &Topology) -> Result<()> {
        let dssp = Dssp::new(topology, ChainBreaks::Geometry);
        let n = dssp.residues().len();
        let eight: Vec<Vec<u8>> = self.frames.iter().map(|x| dssp.assign(x)).collect();
        let letters = |class: fn(u8) -> u8| -> Vec<f64> {
            eight.iter().flatten().map(|&l| f64::from(class(l))).collect()
        };
        for (name, got) in [("dssp8", letters(|l| l)), ("dssp3", letters(class3))] {
            let Some(reference) = self.case.find(name) else { continue };
            let share = |a: &[f64], b: &[f64]| {
                if a.len() != b.len() || a.is_empty() {
                    return 1.0;
                }
                a.iter().zip(b).filter(|(x, y)| x != y).count() as f64 / a.len() as f64
            };
            let whole = share(&got, &reference.data);
            let first = share(&got[..n], reference.data.get(..n).unwrap_or(&[]));
            self.report.check(name, whole, LETTERS, "fraction of letters that differ");
            self.report.check(
                &format!("{name} frame 0"),
                first,
                0.0,
                "fraction of letters that differ",
            );
        }
        let allowed = (LETTERS * (n * eight.len()) as f64).floor() / n.max(1) as f64;
        for (name, class) in [("helix_fraction", b'H'), ("strand_fraction", b'E')] {
            if self.case.find(name).is_some() {
                let got: Vec<f64> = eight.iter().map(|s| fraction(s, class)).collect();
                self.abs(name, &got, allowed.max(1e-6))?;
            }
        }
        if self.case.find("ks_donor").is_some() {
            let (donor, acceptor) = (self.indices("ks_donor", n)?, self.indices("ks_acceptor", n)?);
            let energy = &self.case.get("ks_energy_kcal")?.data;
            let bonds = dssp.hydrogen_bonds(&self.frames[0]);
            let mut worst = if bonds.len() == donor.len() { 0.0 } else { f64::INFINITY };
            for ((d, a), e) in donor.iter().zip(&acceptor).zip(energy) {
                let ours = bonds.iter().find(|b| b.donor == *d && b.acceptor == *a);
                worst = nan_max(worst, ours.map_or(f64::INFINITY, |b| (b.energy_kcal - e).abs()));
            }
            self.report.check("ks_energy_kcal", worst, ENERGY_KCAL, "abs");
        }
        self.chain_break(topology)
    }

    /// The cut chain described in `chain_break.json`, if there is one for this structure.
    fn chain_break(&mut self, topology: &Topology) -> Result<()> {
        let path = self.case.path.with_file_name("chain_break.json");
        if !path.is_file() {
            return Ok(());
        }
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)
            .with_context(|| format!("{}: not JSON", path.display()))?;
        if json["structure"] != self.case.stem().as_str() {
            return Ok(());
        }
        let end = |k: usize| json["removed_residue_indices_0based"][k].as_u64();
        let (Some(first), Some(last)) = (end(0), end(1)) else {
            bail!("{}: no removed_residue_indices_0based", path.display());
        };
        let removed = first as usize..=last as usize;
        let (mut cut, mut kept) = (Topology::new(), Vec::new());
        for (atom, p) in topology.atoms.iter().zip(&self.frames[0]) {
            let r = &topology.residues[atom.residue];
            if !removed.contains(&atom.residue) {
                cut.push(&atom.name, &atom.element, &r.name, r.number, &r.insertion, &r.chain);
                kept.push(*p);
            }
        }
        for (breaks, key) in
            [(ChainBreaks::Geometry, "mkdssp_4_2_2"), (ChainBreaks::ChainIds, "mdtraj_1_11_1")]
        {
            let Some(expected) = json[key].as_str() else { continue };
            let got =
                String::from_utf8_lossy(&Dssp::new(&cut, breaks).assign(&kept)).replace(' ', "-");
            let differ = got.chars().zip(expected.chars()).filter(|(a, b)| a != b).count()
                + got.len().abs_diff(expected.len());
            self.report.check(&format!("chain_break {key}"), differ as f64, 0.0, "exact");
        }
        Ok(())
    }
}

/// |d| on the circle, radians.
fn circular(d: f64) -> f64 {
    let d = d.rem_euclid(TAU);
    d.min(TAU - d)
}

fn nan_max(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

/// Names of the ATOM and HETATM lines of a PDB file.
fn read_pdb(path: &Path) -> Result<Topology> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot read", path.display()))?;
    let mut topology = Topology::new();
    for (k, line) in text.lines().enumerate() {
        if !line.starts_with("ATOM") && !line.starts_with("HETATM") {
            continue;
        }
        let column = |range: std::ops::Range<usize>| line.get(range).unwrap_or("").trim();
        let number = column(22..26)
            .parse()
            .with_context(|| format!("{}:{}: no residue number", path.display(), k + 1))?;
        let (atom, element, residue) = (column(12..16), column(76..78), column(17..20));
        topology.push(atom, element, residue, number, column(26..27), column(21..22));
    }
    Ok(topology)
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_test_support::shared_or_skip;

    #[test]
    fn the_shared_cases() {
        let Some(shared) = shared_or_skip("verify observables") else { return };
        for (name, n) in [("ubiquitin", 30), ("1npc", 25)] {
            let path = shared.join(format!("fixtures/observables/{name}.safetensors"));
            let report = run(&Case::load(&path).unwrap()).unwrap();
            assert!(report.ok, "{name}: {report:#?}");
            assert!(report.tensors.len() > n, "{name}: {}", report.tensors.len());
        }
        let other = Case::load(&shared.join("fixtures/geometry.f64.safetensors")).unwrap();
        assert!(run(&other).unwrap_err().to_string().contains("xyz"));
    }
}
