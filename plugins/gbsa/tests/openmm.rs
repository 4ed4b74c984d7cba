//! Energies and forces beside OpenMM's own (double precision), and MD that stays where it should.

use marsfm_plugin_gbsa::md::lanes::LANES;
use marsfm_plugin_gbsa::md::replicas::{Dynamics, Replicas};
use marsfm_plugin_gbsa::md::system::System;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    positions_nm: Vec<[f64; 3]>,
    energy_kj_mol: f64,
    forces_kj_mol_nm: Vec<[f64; 3]>,
}

fn alanine() -> (System, Vec<Case>) {
    let system = System::from_xml(include_str!("alanine/system.xml")).unwrap();
    let reference: Reference =
        serde_json::from_str(include_str!("alanine/reference.json")).unwrap();
    (system, reference.cases)
}

fn seeds() -> [u64; LANES] {
    std::array::from_fn(|lane| 100 + lane as u64)
}

const DYNAMICS: Dynamics =
    Dynamics { temperature_kelvin: 350.0, friction_per_ps: 1.0, step_ps: 0.004 };

#[test]
fn energies_and_forces_are_openmms_in_every_lane() {
    let (system, cases) = alanine();
    let mut replicas = Replicas::new(&system, &seeds());
    for lane in 0..LANES {
        replicas.set_positions(lane, &cases[lane % cases.len()].positions_nm);
    }
    let energies = replicas.energies();
    for (lane, energy) in energies.into_iter().enumerate() {
        let case = &cases[lane % cases.len()];
        // Single precision: a few units in the last place of terms of hundreds of kJ/mol.
        let error = (f64::from(energy) - case.energy_kj_mol).abs();
        assert!(error < 1e-3, "lane {lane}: energy off by {error} kJ/mol");
        let scale = case.forces_kj_mol_nm.iter().flatten().fold(0.0f64, |m, f| m.max(f.abs()));
        for (atom, (f, exact)) in
            replicas.forces(lane).iter().zip(&case.forces_kj_mol_nm).enumerate()
        {
            for k in 0..3 {
                let error = (f[k] - exact[k]).abs();
                assert!(
                    error < 0.01 + 1e-5 * scale,
                    "lane {lane}, atom {atom}: off by {error} of {scale}"
                );
            }
        }
    }
}

#[test]
fn temperature_and_fixed_bonds_are_kept() {
    let (system, cases) = alanine();
    let mut replicas = Replicas::new(&system, &seeds());
    (0..LANES).for_each(|lane| replicas.set_positions(lane, &cases[0].positions_nm));
    replicas.draw_velocities(350.0);
    replicas.step(DYNAMICS, 1000);
    let (mut sum, n) = (0.0, 400);
    for _ in 0..n {
        replicas.step(DYNAMICS, 25);
        sum += replicas.temperatures().iter().sum::<f64>() / LANES as f64;
    }
    let mean = sum / f64::from(n);
    // 16 times 40 ps with a correlation time of half a ps: 640 independent values of a standard
    // deviation of 350 sqrt(2/51) K; four standard errors.
    assert!((mean - 350.0).abs() < 11.0, "{mean} K");
    for lane in 0..LANES {
        let x = replicas.positions(lane);
        for bond in &system.constraints {
            let [a, b] = bond.atoms;
            let r = (0..3).map(|k| (x[a][k] - x[b][k]).powi(2)).sum::<f64>().sqrt();
            assert!((r / bond.length_nm - 1.0).abs() < 3e-5, "{r} and {}", bond.length_nm);
        }
    }
}

#[test]
fn a_replica_does_not_depend_on_its_neighbours() {
    let (system, cases) = alanine();
    let run = |others: &Case, spoil: bool| {
        let mut replicas = Replicas::new(&system, &seeds());
        (0..LANES).for_each(|lane| replicas.set_positions(lane, &others.positions_nm));
        replicas.set_positions(5, &cases[0].positions_nm);
        if spoil {
            let mut broken = others.positions_nm.clone();
            broken[3] = broken[4];
            replicas.set_positions(6, &broken);
        }
        replicas.constrain();
        replicas.draw_velocities(350.0);
        replicas.step(DYNAMICS, 500);
        (replicas.positions(5), replicas.energies())
    };
    let (alone, _) = run(&cases[0], false);
    let (beside, energies) = run(&cases[3], true);
    assert!(alone == beside, "another start beside it changed a replica");
    assert!(!energies[6].is_finite() && energies[5].is_finite());
}
