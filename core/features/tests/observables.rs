//! Torsion lists and angles, Rg and secondary-structure fractions against MDTraj's, stored in the
//! shared fixtures (radians, 1e-5, circular; atom indices exact; Rg 1e-5 nm).

use std::path::Path;

use marsfm_features::{
    Featurizer, RgSecondaryStructure, TorsionFeatures, TorsionKind, torsions_of_kind,
};
use marsfm_geometry::Topology;
use safetensors::SafeTensors;

/// Topology and positions (nm) of the ATOM lines of a PDB file.
fn read_pdb(path: &Path) -> Topology {
    let mut top = Topology::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        if line.starts_with("ATOM") {
            let field = |a: usize, b: usize| line.get(a..b).unwrap_or("").trim();
            top.push(
                field(12, 16),
                field(76, 78),
                field(17, 20),
                field(22, 26).parse().unwrap(),
                field(26, 27),
                field(21, 22),
            );
        }
    }
    top
}

fn numbers<const N: usize, T>(st: &SafeTensors, name: &str, get: fn([u8; N]) -> T) -> Vec<T> {
    let bytes = st.tensor(name).unwrap().data();
    bytes.as_chunks::<N>().0.iter().map(|b| get(*b)).collect()
}

#[test]
fn lists_and_angles_equal_mdtraj() {
    let Some(shared) = marsfm_test_support::shared_or_skip("features observables") else { return };
    let mut compared = 0;
    for name in ["ubiquitin", "1npc"] {
        let dir = shared.join("fixtures/observables");
        let top = read_pdb(&dir.join(format!("{name}.pdb")));
        let bytes = std::fs::read(dir.join(format!("{name}.safetensors"))).unwrap();
        let st = SafeTensors::deserialize(&bytes).unwrap();
        let xyz = numbers::<4, f32>(&st, "xyz", f32::from_le_bytes);
        let frames: Vec<&[[f32; 3]]> = xyz.as_chunks::<3>().0.chunks(top.len()).collect();
        let kinds = [TorsionKind::Phi, TorsionKind::Psi, TorsionKind::Omega];
        for kind in kinds.into_iter().chain(TorsionKind::CHI) {
            let list = torsions_of_kind(&top, kind, Some((frames[0], None)));
            let atoms: Vec<[i32; 4]> = list.iter().map(|t| t.atoms.map(|a| a as i32)).collect();
            let expected =
                numbers::<4, i32>(&st, &format!("{}_atoms", kind.name()), i32::from_le_bytes);
            assert_eq!(atoms.as_flattened(), expected, "{name} {kind:?}");
            let angles = numbers::<8, f64>(&st, kind.name(), f64::from_le_bytes);
            let features = TorsionFeatures::from_list(&top, list).unwrap();
            let mut row = vec![0.0; features.n_features()];
            for (frame, expected) in frames.iter().zip(angles.chunks(atoms.len())) {
                let found = features.torsion_angles(frame, None).unwrap();
                features.compute(frame, None, &mut row).unwrap();
                for (i, (a, b)) in found.iter().zip(expected).enumerate() {
                    let d = (a - b + std::f64::consts::PI).rem_euclid(2.0 * std::f64::consts::PI);
                    let d = (d - std::f64::consts::PI).abs();
                    assert!(d < 1e-5, "{name} {kind:?} {i}: {a} against {b}");
                    assert!((row[2 * i] - b.cos()).abs() < 1e-5);
                    assert!((row[2 * i + 1] - b.sin()).abs() < 1e-5);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 15_000, "{compared}");
}

#[test]
fn rg_and_fractions_equal_mdtraj_in_and_out_of_a_box() {
    let Some(shared) = marsfm_test_support::shared_or_skip("features Rg and DSSP") else { return };
    let dir = shared.join("fixtures/observables");
    for name in ["ubiquitin", "1npc"] {
        let top = read_pdb(&dir.join(format!("{name}.pdb")));
        let bytes = std::fs::read(dir.join(format!("{name}.safetensors"))).unwrap();
        let st = SafeTensors::deserialize(&bytes).unwrap();
        let xyz = numbers::<4, f32>(&st, "xyz", f32::from_le_bytes);
        let column = |n: &str| numbers::<8, f64>(&st, n, f64::from_le_bytes);
        let (rg, helix, strand) =
            (column("rg_heavy_equal_mass"), column("helix_fraction"), column("strand_fraction"));
        let features = RgSecondaryStructure::new(&top).unwrap();
        // A box too small for the protein cuts it into pieces.
        let cell = [[3.5, 0.0, 0.0], [1.1, 3.4, 0.0], [-0.9, 1.2, 3.3]];
        let mut row = [0.0; 3];
        for (f, frame) in xyz.as_chunks::<3>().0.chunks(top.len()).enumerate() {
            features.compute(frame, None, &mut row).unwrap();
            assert!((row[0] - rg[f]).abs() < 1e-5, "{name} {f}: {row:?} {}", rg[f]);
            assert!((row[1] - helix[f]).abs() < 1e-12, "{name} {f}: {row:?} {}", helix[f]);
            assert!((row[2] - strand[f]).abs() < 1e-12, "{name} {f}: {row:?} {}", strand[f]);
            let cut: Vec<[f32; 3]> = frame
                .iter()
                .enumerate()
                .map(|(i, p)| [0, 1, 2].map(|k| p[k] + (i % 3) as f32 * cell[i % 2][k]))
                .collect();
            let whole = row;
            features.compute(&cut, Some(&cell), &mut row).unwrap();
            assert!((row[0] - whole[0]).abs() < 1e-5, "{name} {f}: {row:?} {whole:?}");
            assert_eq!(row[1..], whole[1..], "{name} {f}");
        }
    }
}
