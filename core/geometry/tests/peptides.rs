//! Real tetrapeptides with hydrogens: encode and place, chirality, moves, bad input.

mod common;

use common::{full_pdbs, read_pdb};
use marsfm_geometry::real::{Vec3, cross, distance, dot, sub};
use marsfm_geometry::{GeometryError, Peptide, ResidueType, Rigid, Topology, decode, encode};
use marsfm_test_support::shared_or_skip;

/// Signed volume at CA, N × C · CB: positive for every L residue.
fn handedness(n: Vec3<f32>, ca: Vec3<f32>, c: Vec3<f32>, cb: Vec3<f32>) -> f32 {
    dot(cross(sub(n, ca), sub(c, ca)), sub(cb, ca))
}

#[test]
fn a_frame_placed_onto_itself_stays_where_it_was() {
    let Some(shared) = shared_or_skip("peptide round trip") else { return };
    let files = full_pdbs(&shared);
    assert!(files.len() >= 40);
    let mut carried_moves = Vec::new();
    for path in files {
        let (top, xyz) = read_pdb(&path);
        let peptide = Peptide::from_topology(&top, &xyz).expect("a peptide");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(peptide.sequence(), name[..4]);
        assert_eq!(peptide.len(), 4);
        assert_eq!(peptide.n_bystanders(), 0);
        assert!(!peptide.is_capped());
        let shape = peptide.encode(&xyz).unwrap();
        let placed = peptide.place(&xyz, &shape).unwrap();
        let mut square = 0.0;
        let mut n = 0;
        for slots in peptide.atom14_indices() {
            for &atom in slots.iter().flatten() {
                square += distance(placed[atom], xyz[atom]).powi(2);
                n += 1;
            }
        }
        let rms = (square / n as f32).sqrt();
        assert!(rms < 0.02, "{name}: heavy atoms moved by {rms} nm RMS");
        for atom in peptide.carried_indices() {
            let moved = distance(placed[atom], xyz[atom]);
            carried_moves.push(moved);
            assert!(moved < 0.06, "{name}: {} moved by {moved} nm", top.atom_label(atom));
        }
        assert_eq!(n + peptide.carried_indices().count(), xyz.len());
        for (kind, slots) in peptide.types().iter().zip(peptide.atom14_indices()) {
            if *kind != ResidueType::Gly {
                let p = [0, 1, 2, 4].map(|s| placed[slots[s].unwrap()]);
                assert!(handedness(p[0], p[1], p[2], p[3]) > 0.0, "{name}: D residue");
            }
        }
    }
    carried_moves.sort_by(f32::total_cmp);
    let at = |q: f32| carried_moves[((carried_moves.len() - 1) as f32 * q) as usize];
    println!(
        "carried atoms moved by {} / {} / {} nm (median, 99 %, most)",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    assert!(at(0.5) < 0.02 && at(0.99) < 0.05);
}

/// Bonds to hydrogen keep their length, and all bonds between a hydrogen's neighbours their angle,
/// when the shape changes to that of another random one.
#[test]
fn hydrogens_keep_their_bonds_on_a_new_shape() {
    let Some(shared) = shared_or_skip("hydrogens on a new shape") else { return };
    for path in full_pdbs(&shared) {
        let (top, xyz) = read_pdb(&path);
        let peptide = Peptide::from_topology(&top, &xyz).unwrap();
        let mut shape = peptide.encode(&xyz).unwrap();
        for (r, torsions) in shape.torsions.iter_mut().enumerate() {
            for (k, sc) in torsions.iter_mut().enumerate().skip(2) {
                let angle = (7 * r + k) as f32 * 1.7;
                *sc = [angle.sin(), angle.cos()];
            }
        }
        let placed = peptide.place(&xyz, &shape).unwrap();
        for h in peptide.carried_indices() {
            let near = |p: &[[f32; 3]]| {
                let heavy = peptide.atom14_indices().iter().flatten().flatten();
                heavy
                    .map(|&a| (distance(p[a], p[h]), a))
                    .fold((f32::MAX, 0), |m, x| if x.0 < m.0 { x } else { m })
            };
            let (before, bonded) = near(&xyz);
            let after = distance(placed[bonded], placed[h]);
            assert!((before - after).abs() < 1e-4, "{}", top.atom_label(h));
            // Tetrahedral or trigonal: never closer than 0.17 nm to a neighbour of its atom.
            for &a in peptide.atom14_indices().iter().flatten().flatten() {
                let bond = distance(xyz[a], xyz[bonded]);
                if a != bonded && bond < 0.19 {
                    let (was, is) = (distance(xyz[a], xyz[h]), distance(placed[a], placed[h]));
                    let label = top.atom_label(h);
                    // Proline's ring opens when its chi is turned at random.
                    let residue = &top.residues[top.atoms[h].residue].name;
                    if residue != "PRO" {
                        assert!((was - is).abs() < 0.035, "{label}: {was} -> {is} nm to {a}");
                    }
                }
            }
        }
    }
}

#[test]
fn moving_the_input_moves_the_output() {
    let Some(shared) = shared_or_skip("peptide equivariance") else { return };
    let motion = Rigid::from_quaternion([0.3f32, -0.5, 0.2, 0.9], [1.2, -0.4, 2.0]);
    for path in full_pdbs(&shared).into_iter().step_by(5) {
        let (top, xyz) = read_pdb(&path);
        let moved: Vec<_> = xyz.iter().map(|p| motion.apply(*p)).collect();
        let peptide = Peptide::from_topology(&top, &xyz).unwrap();
        let (a, b) = (peptide.encode(&xyz).unwrap(), peptide.encode(&moved).unwrap());
        let mut target = a.clone();
        target.torsions.rotate_left(1);
        target.rigids.rotate_left(1);
        target.clear_masked(peptide.types());
        let z = encode(&a, &target);
        let at = peptide.place(&xyz, &decode(&a, &z)).unwrap();
        let bt = peptide.place(&moved, &decode(&b, &z)).unwrap();
        for (p, q) in at.iter().zip(&bt) {
            assert!(distance(motion.apply(*p), *q) < 1e-5);
        }
        for (p, q) in
            a.torsions.iter().flatten().flatten().zip(b.torsions.iter().flatten().flatten())
        {
            assert!((p - q).abs() < 1e-4);
        }
    }
}

/// N, CA, C, O, CB of an ALA chain with ACE and NME caps, a water, an ion and a ligand.
fn dressed() -> (Topology, Vec<[f32; 3]>) {
    let mut top = Topology::new();
    let mut xyz = Vec::new();
    let built = marsfm_geometry::build::extended("AG").unwrap();
    let (chain, positions) = (built.topology, built.positions_nm);
    let mut put = |atom: &str, element: &str, residue: &str, number, p: [f32; 3]| {
        top.push(atom, element, residue, number, "", "");
        xyz.push(p);
    };
    let first = positions[0];
    put("CH3", "C", "ACE", 0, [first[0] - 0.24, first[1] + 0.05, first[2]]);
    put("C", "C", "ACE", 0, [first[0] - 0.13, first[1], first[2]]);
    for (atom, p) in chain.atoms.iter().zip(&positions) {
        let residue = &chain.residues[atom.residue];
        put(&atom.name, &atom.element, &residue.name, residue.number, *p);
    }
    let c = positions[chain.atoms.iter().rposition(|a| a.name == "C").unwrap()];
    put("N", "N", "NME", 3, [c[0] + 0.11, c[1] - 0.07, c[2]]);
    put("O", "O", "HOH", 4, [3.0, 3.0, 3.0]);
    put("NA", "NA", "NA", 5, [3.5, 3.0, 3.0]);
    put("C1", "C", "LIG", 6, [4.0, 3.0, 3.0]);
    (top, xyz)
}

#[test]
fn caps_are_carried_and_bystanders_stay() {
    let (top, xyz) = dressed();
    let peptide = Peptide::from_topology(&top, &xyz).unwrap();
    assert_eq!(peptide.sequence(), "AG");
    assert!(peptide.is_capped());
    assert_eq!(peptide.n_bystanders(), 3);
    let motion = Rigid::from_quaternion([0.3f32, -0.5, 0.2, 0.9], [12.0, -4.0, 20.0]);
    let shape = peptide.encode(&xyz).unwrap().moved(&motion);
    let placed = peptide.place(&xyz, &shape).unwrap();
    let molecule: Vec<usize> = peptide.molecule_indices().collect();
    for (atom, p) in xyz.iter().enumerate() {
        if molecule.contains(&atom) {
            let expected = motion.apply(p.map(|x| 10.0 * x)).map(|x| 0.1 * x);
            assert!(distance(placed[atom], expected) < 1e-4, "{}", top.atom_label(atom));
        } else {
            assert_eq!(placed[atom], *p);
        }
    }
}

#[test]
fn a_molecule_split_over_the_boundary_is_made_whole() {
    let (top, xyz) = dressed();
    let cell = [[2.5f32, 0.0, 0.0], [0.7, 2.4, 0.0], [-0.9, 0.8, 2.3]];
    let mut split = xyz.clone();
    for (i, p) in split.iter_mut().enumerate() {
        for k in 0..3 {
            p[k] += cell[i % 3][k] * (i as f32 % 2.0) - cell[1][k] * (i / 2 % 2) as f32;
        }
    }
    assert!(Peptide::from_topology(&top, &split).is_err());
    let peptide = Peptide::from_topology_in_cell(&top, &split, &cell).unwrap();
    let mut whole = split.clone();
    peptide.make_whole(&mut whole, &cell).unwrap();
    let molecule: Vec<usize> = peptide.molecule_indices().collect();
    for &a in &molecule {
        for &b in &molecule {
            let d = distance(whole[a], whole[b]) - distance(xyz[a], xyz[b]);
            assert!(d.abs() < 1e-5, "{} {}", top.atom_label(a), top.atom_label(b));
        }
    }
    let mut again = whole.clone();
    peptide.make_whole(&mut again, &cell).unwrap();
    assert_eq!(again, whole, "a whole molecule is not touched");
    whole[molecule[0]] = [1.25, 1.0, 1.1];
    let err = peptide.make_whole(&mut whole, &cell).unwrap_err();
    assert!(matches!(err, GeometryError::NotWhole { .. }), "{err}");
}

#[test]
fn bad_input_is_named() {
    let Some(shared) = shared_or_skip("bad topologies") else { return };
    let (top, xyz) = read_pdb(&shared.join("data/tetrapeptides/AGTA/AGTA_full.pdb"));
    let peptide = Peptide::from_topology(&top, &xyz).unwrap();
    let message = |t: &Topology, x: &[[f32; 3]]| {
        Peptide::from_topology(t, x).expect_err("must be refused").to_string()
    };

    assert!(peptide.encode(&xyz[1..]).unwrap_err().to_string().contains("44"));
    let mut bad = xyz.clone();
    bad[17][2] = f32::NAN;
    let text = peptide.encode(&bad).unwrap_err().to_string();
    assert!(text.contains("residue 2 GLY atom C ") && text.contains("not finite"), "{text}");
    assert!(message(&top, &bad).contains("not finite"));

    let mut strange = top.clone();
    strange.residues[2].name = "XYZ".into();
    assert!(message(&strange, &xyz).contains("residue 3 XYZ"));
    let mut missing = top.clone();
    let og1 = missing.atoms.iter().position(|a| a.name == "OG1").unwrap();
    missing.atoms[og1].name = "HZ9".into();
    missing.atoms[og1].element = "H".into();
    let text = message(&missing, &xyz);
    assert!(text.contains("residue 3 THR") && text.contains("OG1"), "{text}");
    let mut twice = top.clone();
    twice.atoms[2].name = "H".into();
    assert!(message(&twice, &xyz).contains("alternate"));
    let mut odd = top.clone();
    odd.atoms[2].name = "P".into();
    odd.atoms[2].element = "P".into();
    assert!(message(&odd, &xyz).contains("atom P"));

    let mirrored: Vec<_> = xyz.iter().map(|p| [-p[0], p[1], p[2]]).collect();
    assert!(message(&top, &mirrored).contains("residue 1 ALA: mirror image"));

    let mut apart = xyz.clone();
    for (p, atom) in apart.iter_mut().zip(&top.atoms) {
        p[0] += if atom.residue > 1 { 1.0 } else { 0.0 };
    }
    let text = message(&top, &apart);
    assert!(text.contains("residue 2 GLY") && text.contains("residue 3 THR"), "{text}");
    let mut flying = xyz.clone();
    flying[1] = [9.0; 3];
    assert!(message(&top, &flying).contains("bonded to none"));
    assert_eq!(
        Peptide::from_topology(&Topology::new(), &[]).unwrap_err(),
        GeometryError::NoProtein
    );
}
