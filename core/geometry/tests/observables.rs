//! Observables against stored reference values (MSM.md 6): two proteins, and a chain with a gap.

mod common;

use common::{Fixture, assert_close, groups, read_pdb};
use marsfm_geometry::observables::{
    ChainBreaks, DihedralKind, Dssp, class3, dihedrals, fraction, n_contacts, radius_of_gyration,
    radius_of_gyration_weighted, rmsd_matrix, rmsf,
};
use marsfm_geometry::{Peptide, Topology};
use marsfm_test_support::shared_or_skip;

fn indices(data: &[f64]) -> Vec<usize> {
    data.iter().map(|x| *x as usize).collect()
}

fn pick(frame: &[[f32; 3]], atoms: &[usize]) -> Vec<[f32; 3]> {
    atoms.iter().map(|&a| frame[a]).collect()
}

#[test]
fn two_proteins() {
    let Some(shared) = shared_or_skip("observables") else { return };
    for name in ["ubiquitin", "1npc"] {
        let dir = shared.join("fixtures/observables");
        let f = Fixture::load(&dir.join(format!("{name}.safetensors")));
        let (top, first) = read_pdb(&dir.join(format!("{name}.pdb")));
        let frames: Vec<Vec<[f32; 3]>> =
            groups::<f32, 3>(&f.get("xyz")).chunks_exact(top.len()).map(<[_]>::to_vec).collect();
        let (ca, heavy) = (indices(&f.get("ca_index")), indices(&f.get("heavy_index")));
        let all: Vec<usize> = (0..top.len()).collect();
        let masses = f.get("masses");
        for (key, atoms, weighted) in [
            ("rg_all_equal_mass", &all, false),
            ("rg_heavy_equal_mass", &heavy, false),
            ("rg_ca", &ca, false),
            ("rg_all_mass_weighted", &all, true),
            ("rg_heavy_mass_weighted", &heavy, true),
        ] {
            let rg = |x: &Vec<[f32; 3]>| match weighted {
                false => radius_of_gyration(x, atoms),
                true => radius_of_gyration_weighted(x, atoms, &masses),
            };
            let got: Vec<f64> = frames.iter().map(rg).collect();
            assert_close(key, &got, &f.get(key), 1e-6);
        }
        for (key, atoms) in [("rmsd_ca", &ca), ("rmsd_heavy", &heavy)] {
            let picked: Vec<_> = frames.iter().map(|x| pick(x, atoms)).collect();
            assert_close(key, &rmsd_matrix(&picked).unwrap(), &f.get(key), 2e-6);
        }
        if name == "ubiquitin" {
            let picked: Vec<_> = frames.iter().map(|x| pick(x, &ca)).collect();
            let got = rmsf(&picked, &picked[0]).unwrap();
            assert_close("rmsf", &got, &f.get("rmsf_ca_superposed_first"), 2e-6);
        }
        for (key, kind) in [
            ("phi", DihedralKind::Phi),
            ("psi", DihedralKind::Psi),
            ("omega", DihedralKind::Omega),
            ("chi1", DihedralKind::Chi(1)),
            ("chi2", DihedralKind::Chi(2)),
            ("chi3", DihedralKind::Chi(3)),
            ("chi4", DihedralKind::Chi(4)),
            ("chi5", DihedralKind::Chi(5)),
        ] {
            let list = dihedrals(&top, Some(&first), kind);
            let atoms: Vec<usize> = list.iter().flat_map(|d| d.atoms).collect();
            assert_eq!(atoms, indices(&f.get(&format!("{key}_atoms"))), "{key}");
            let residues: Vec<usize> = list.iter().map(|d| d.residue).collect();
            assert_eq!(residues, indices(&f.get(&format!("{key}_residue"))), "{key}");
            let got = frames.iter().flat_map(|x| list.iter().map(move |d| d.value(x)));
            for (g, e) in got.zip(f.get(key)) {
                let d = (g - e).rem_euclid(std::f64::consts::TAU);
                assert!(d.min(std::f64::consts::TAU - d) < 1e-5, "{key}: {g} {e}");
            }
        }
        for breaks in [ChainBreaks::Geometry, ChainBreaks::ChainIds] {
            let dssp = Dssp::new(&top, breaks);
            let got: Vec<Vec<u8>> = frames.iter().map(|x| dssp.assign(x)).collect();
            let letters: Vec<f64> = got.iter().flatten().map(|&l| f64::from(l)).collect();
            assert_close("dssp8", &letters, &f.get("dssp8"), 0.0);
            let three: Vec<f64> = got.iter().flatten().map(|&l| f64::from(class3(l))).collect();
            assert_close("dssp3", &three, &f.get("dssp3"), 0.0);
            for (key, class) in [("helix_fraction", b'H'), ("strand_fraction", b'E')] {
                let got: Vec<f64> = got.iter().map(|s| fraction(s, class)).collect();
                assert_close(key, &got, &f.get(key), 1e-6);
            }
            let bonds = dssp.hydrogen_bonds(&frames[0]);
            let (donor, acceptor) = (indices(&f.get("ks_donor")), indices(&f.get("ks_acceptor")));
            let energy = f.get("ks_energy_kcal");
            assert_eq!(bonds.len(), donor.len());
            for ((d, a), e) in donor.iter().zip(&acceptor).zip(&energy) {
                let ours = bonds.iter().find(|b| b.donor == *d && b.acceptor == *a).expect("bond");
                assert!((ours.energy_kcal - e).abs() < 1e-3);
            }
        }
        let n: Vec<f64> =
            frames.iter().map(|x| (2 * n_contacts(x, &ca, 1, 0.8) + ca.len()) as f64).collect();
        assert_close("contacts", &n, &f.get("contact_ca_8A"), 0.0);
        assert!(name == "1npc" || Peptide::from_topology(&top, &first).is_ok());
    }
}

#[test]
fn a_gap_in_the_chain_is_seen_in_the_geometry() {
    let Some(shared) = shared_or_skip("DSSP chain break") else { return };
    let dir = shared.join("fixtures/observables");
    let json = std::fs::read_to_string(dir.join("chain_break.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let (top, xyz) = read_pdb(&dir.join("ubiquitin.pdb"));
    let ends = [0, 1].map(|k| json["removed_residue_indices_0based"][k].as_u64().unwrap() as usize);
    let (mut cut, mut kept) = (Topology::new(), Vec::new());
    for (atom, p) in top.atoms.iter().zip(&xyz) {
        let r = &top.residues[atom.residue];
        if !(ends[0]..=ends[1]).contains(&atom.residue) {
            cut.push(&atom.name, &atom.element, &r.name, r.number, &r.insertion, &r.chain);
            kept.push(*p);
        }
    }
    for (breaks, key) in
        [(ChainBreaks::Geometry, "mkdssp_4_2_2"), (ChainBreaks::ChainIds, "mdtraj_1_11_1")]
    {
        let got = String::from_utf8(Dssp::new(&cut, breaks).assign(&kept)).unwrap();
        assert_eq!(got.replace(' ', "-"), json[key].as_str().unwrap());
    }
    let error = Peptide::from_topology(&cut, &kept).unwrap_err().to_string();
    assert!(error.contains("gap"), "{error}");
}
