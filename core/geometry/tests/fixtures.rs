//! The geometry fixture (METHOD 2): tables, frames, torsions, reconstruction, offsets, quaternions,
//! in f64 (1e-7 Å) and f32 (1e-4 Å) by one body.

mod common;

use common::{Fixture, assert_close, groups};
use marsfm_geometry::tables::TEMPLATES;
use marsfm_geometry::{ATOM14, Conformation, Real, ResidueType, Rigid, decode, encode};
use marsfm_test_support::shared_or_skip;

fn types(data: &[f64]) -> Vec<ResidueType> {
    data.iter().map(|&i| ResidueType::from_index(i as usize).expect("type")).collect()
}

fn rigids<T: Real>(f: &Fixture, prefix: &str, kind: &str) -> Vec<Rigid<T>> {
    let rot = groups::<T, 3>(&f.get(&format!("{prefix}.{kind}_rot")));
    let trans = groups::<T, 3>(&f.get(&format!("{prefix}.{kind}_trans")));
    rot.chunks_exact(3)
        .zip(trans)
        .map(|(r, t)| Rigid { rot: [r[0], r[1], r[2]], trans: t })
        .collect()
}

fn flat<T: Real, const N: usize>(v: impl IntoIterator<Item = [T; N]>) -> Vec<f64> {
    v.into_iter().flatten().map(T::f64).collect()
}

fn check<T: Real>(f: &Fixture, tol: f64) {
    // A crystal chain: frames, torsions, quaternions, ideal reconstruction.
    let kinds = types(&f.get("hpv.aatype"));
    let points = groups::<T, 3>(&f.get("hpv.atom14"));
    let atom14: Vec<[[T; 3]; ATOM14]> =
        points.chunks_exact(ATOM14).map(|c| c.try_into().unwrap()).collect();
    let got = Conformation::from_atom14(&kinds, &atom14);
    let expected = rigids::<T>(f, "hpv", "frames");
    let rot = |v: &[Rigid<T>]| flat(v.iter().flat_map(|r| r.rot));
    let trans = |v: &[Rigid<T>]| flat(v.iter().map(|r| r.trans));
    assert_close("hpv rot", &rot(&got.rigids), &rot(&expected), tol);
    assert_close("hpv trans", &trans(&got.rigids), &trans(&expected), tol);
    let quats = flat(got.rigids.iter().map(|r| r.quaternion()));
    assert_close("hpv quat", &quats, &f.get("hpv.frames_quat_wxyz"), tol);
    let torsions = |c: &Conformation<T>| flat(c.torsions.iter().flatten().copied());
    assert_close("hpv torsions", &torsions(&got), &f.get("hpv.torsions_sincos"), tol);
    let rebuilt = got.to_atom14(&kinds);
    assert_close(
        "hpv recon",
        &flat(rebuilt.into_iter().flatten()),
        &f.get("hpv.recon_atom14"),
        tol,
    );

    let kinds = types(&f.get("ideal.aatype"));
    let sincos = groups::<T, 2>(&f.get("ideal.torsions_sincos"));
    let ideal = Conformation {
        rigids: rigids(f, "ideal", "frames"),
        torsions: sincos.chunks_exact(7).map(|c| c.try_into().unwrap()).collect(),
    };
    let atoms = ideal.to_atom14(&kinds);
    assert_close("ideal", &flat(atoms.into_iter().flatten()), &f.get("ideal.atom14"), tol);

    let quats = groups::<T, 4>(&f.get("quat.unnormalised_wxyz"));
    let turned: Vec<_> = quats.iter().map(|q| Rigid::from_quaternion(*q, [T::ZERO; 3])).collect();
    assert_close("quat", &rot(&turned), &f.get("quat.rot"), tol);

    // Latents there and back.
    let chain = |kind: &str| {
        let rigids = rigids::<T>(f, "offset", kind);
        Conformation { torsions: vec![[[T::ZERO; 2]; 7]; rigids.len()], rigids }
    };
    let (reference, target) = (chain("ref"), chain("tgt"));
    let z = encode(&reference, &target);
    let seven = flat(z.iter().map(|z| <[T; 7]>::try_from(&z[..7]).unwrap()));
    assert_close("offset", &seven, &f.get("offset.tensor7"), tol);
    let back = decode(&reference, &z);
    assert_close("back rot", &rot(&back.rigids), &f.get("offset.back_rot"), tol);
    assert_close("back trans", &trans(&back.rigids), &f.get("offset.back_trans"), tol);
    assert_eq!(back.torsions, reference.torsions, "masked torsions stay zero");
}

#[test]
fn the_fixture_in_both_precisions() {
    let Some(shared) = shared_or_skip("geometry fixtures") else { return };
    check::<f64>(&Fixture::load(&shared.join("fixtures/geometry.f64.safetensors")), 1e-7);
    check::<f32>(&Fixture::load(&shared.join("fixtures/geometry.f32.safetensors")), 1e-4);
}

#[test]
fn the_embedded_tables_equal_the_published_ones() {
    let Some(shared) = shared_or_skip("geometry tables") else { return };
    let f = Fixture::load(&shared.join("fixtures/geometry.f64.safetensors"));
    let tables = f64::tables();
    let positions = flat(tables.positions.iter().flatten().copied());
    assert_close("positions", &positions, &f.get("table.lit_positions"), 1e-12);
    let group = f.get("table.atom14_to_group");
    let frames = groups::<f64, 4>(&f.get("table.default_frames"));
    let chi = f.get("table.chi_mask");
    let mask = f.get("table.atom14_mask");
    let wide = f.get("table.atom14_to_atom37");
    for kind in &ResidueType::ALL[..20] {
        let i = kind.index();
        assert_eq!(kind.chi_mask().map(|m| f64::from(u8::from(m))), chi[4 * i..4 * i + 4]);
        let has = kind.atom14_mask().map(|m| f64::from(u8::from(m)));
        assert_eq!(has, mask[14 * i..14 * i + 14]);
        for (slot, atom) in TEMPLATES[i].iter().enumerate() {
            assert_eq!(atom.group as f64, group[14 * i + slot], "{kind:?} {}", atom.name);
            assert_eq!(kind.atom14_to_atom37()[slot] as f64, wide[14 * i + slot]);
        }
        for g in 0..8 {
            if g >= 4 && !kind.chi_mask()[g - 4] {
                continue; // upstream leaves frames of absent groups zero
            }
            let rows = &frames[(8 * i + g) * 4..(8 * i + g) * 4 + 3];
            let ours = &tables.frames[i][g];
            for r in 0..3 {
                let mine = [ours.rot[r][0], ours.rot[r][1], ours.rot[r][2], ours.trans[r]];
                assert_close(&format!("{kind:?} group {g}"), &mine, &rows[r], 1e-12);
            }
        }
    }
}
