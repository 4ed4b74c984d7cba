//! RMSF of ubiquitin's Cα after superposition on frame 0, against MDTraj's in the shared
//! fixtures (f32 there: 1e-5 nm).

use marsfm_metrics::protein::{rmsf_nm, superposed};
use safetensors::SafeTensors;

#[test]
fn rmsf_equals_mdtraj() {
    let Some(shared) = marsfm_test_support::shared_or_skip("metrics RMSF") else { return };
    let bytes = std::fs::read(shared.join("fixtures/observables/ubiquitin.safetensors")).unwrap();
    let st = SafeTensors::deserialize(&bytes).unwrap();
    let words = |name: &str| -> Vec<[u8; 4]> {
        st.tensor(name).unwrap().data().as_chunks::<4>().0.to_vec()
    };
    let xyz: Vec<f32> = words("xyz").into_iter().map(f32::from_le_bytes).collect();
    let ca: Vec<usize> =
        words("ca_index").into_iter().map(|b| i32::from_le_bytes(b) as usize).collect();
    let n_atoms = st.tensor("xyz").unwrap().shape()[1];
    let frames: Vec<Vec<[f32; 3]>> = xyz
        .as_chunks::<3>()
        .0
        .chunks(n_atoms)
        .map(|frame| ca.iter().map(|&a| frame[a]).collect())
        .collect();
    let found = rmsf_nm(&superposed(&frames, &frames[0]).unwrap()).unwrap();
    let expected = words("rmsf_ca_superposed_first").into_iter().map(f32::from_le_bytes);
    assert_eq!(found.len(), 76);
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - f64::from(b)).abs() < 1e-5, "residue {i}: {a} against {b}");
    }
}
