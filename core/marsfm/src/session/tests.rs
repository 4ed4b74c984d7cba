use std::collections::BTreeMap;

use marsfm_surrogate::card::{Domain, FORMAT, ModelCard, RESIDUE_TABLE};
use marsfm_surrogate::checkpoint::Checkpoint;
use marsfm_surrogate::{NetworkConfig, params};

use super::*;

/// A network of random weights: its samples are nonsense, but they are samples.
fn surrogate() -> Arc<Surrogate> {
    let network = NetworkConfig {
        embed_dim: 16,
        num_layers: 1,
        mha_heads: 2,
        ipa_heads: 1,
        ipa_head_dim: 4,
        ipa_qk: 2,
        ipa_v: 2,
        ..NetworkConfig::full()
    };
    let values = params::from_recipe(&network, "session");
    let domain = Domain {
        lag_ps: 10.0,
        temperature_kelvin: 350.0,
        temperatures_kelvin: Vec::new(),
        force_field: "ff14SB".into(),
        solvent: "OBC2".into(),
        termini: "charged".into(),
        residues: (4, 4),
        residue_counts: BTreeMap::from([('Q', 2), ('L', 1)]),
    };
    let card = ModelCard {
        format: FORMAT,
        residue_table: RESIDUE_TABLE.into(),
        network,
        domain,
        training: None,
        notes: Vec::new(),
    };
    let checkpoint = Checkpoint { card, values, sha256: String::new() };
    Arc::new(Surrogate::from_checkpoint(checkpoint).unwrap())
}

/// Atom name, residue name, residue number.
type Named = (String, String, i32);

/// Atoms and positions (nm) of the example peptide QLAQ with all hydrogens, and one water.
fn qlaq() -> (Vec<Named>, Vec<[f64; 3]>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/QLAQ/QLAQ_full.pdb");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut atoms, mut positions) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|l| l.starts_with("ATOM")) {
        let word = |from: usize, to: usize| line[from..to].trim().to_owned();
        atoms.push((word(12, 16), word(17, 20), word(22, 26).parse().unwrap()));
        let x = |k: usize| word(30 + 8 * k, 38 + 8 * k).parse::<f64>().unwrap() / 10.0;
        positions.push([x(0), x(1), x(2)]);
    }
    atoms.push(("O".into(), "HOH".into(), 5));
    positions.push([3.0, 3.000000001, 3.0]);
    (atoms, positions)
}

fn rows(atoms: &[Named]) -> impl Iterator<Item = AtomRow<'_>> {
    atoms.iter().map(|(name, residue, number)| AtomRow {
        name,
        residue,
        number: *number,
        ..AtomRow::default()
    })
}

fn session(atoms: &[(String, String, i32)]) -> Session {
    let atoms = Arc::new(Atoms::new(rows(atoms)).unwrap());
    let settings =
        SessionSettings { solver: Solver::Euler { steps: 2 }, ..SessionSettings::default() };
    Session::new(surrogate(), atoms, settings).unwrap()
}

fn start(positions_nm: &[[f64; 3]]) -> Start<'_> {
    Start { positions_nm, cell_nm: None }
}

#[test]
fn any_order_of_atoms_gets_the_same_samples_in_that_order() {
    let (atoms, positions) = qlaq();
    let n = atoms.len();
    // Heavy atoms first, all hydrogens behind the water: as scattered as can be.
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| (atoms[i].0.starts_with('H'), atoms[i].1 == "HOH"));
    let shuffled: Vec<_> = order.iter().map(|&i| atoms[i].clone()).collect();
    let moved: Vec<_> = order.iter().map(|&i| positions[i]).collect();
    let a = session(&atoms).jump(&start(&positions), 3, 7).unwrap();
    let b = session(&shuffled).jump(&start(&moved), 3, 7).unwrap();
    assert_eq!((a.samples().len(), a.n_bystanders(), a.n_residues()), (3, 1, 4));
    for i in 0..3 {
        let (x, y) = (a.positions_nm(i).unwrap(), b.positions_nm(i).unwrap());
        for (k, &from) in order.iter().enumerate() {
            // Methyl hydrogens may be listed in another order, so anchors are the same to rounding.
            let d = (0..3).map(|c| (x[from][c] - y[k][c]).abs()).fold(0.0, f64::max);
            assert!(d < 1e-5, "sample {i}, atom {from}: {d}");
        }
        assert_eq!(x[n - 1], positions[n - 1], "a bystander moved");
        assert!((0..n - 1).any(|k| (x[k][0] - positions[k][0]).abs() > 0.01));
    }
}

#[test]
fn samples_depend_on_seed_and_number_only() {
    let (atoms, positions) = qlaq();
    let session = session(&atoms);
    let draw = |n, seed| session.jump(&start(&positions), n, seed).unwrap();
    let (a, b, c) = (draw(4, 1), draw(4, 1), draw(4, 2));
    for i in 0..4 {
        assert_eq!(a.positions_nm(i).unwrap(), b.positions_nm(i).unwrap());
        assert_ne!(a.positions_nm(i).unwrap(), c.positions_nm(i).unwrap());
        assert_eq!(a.samples()[i].id, i as u64);
    }
    let what: Vec<&str> = a.differences().iter().map(|d| d.what.as_str()).collect();
    assert_eq!(what, ["solvent", "residue_type"], "one water and alanine are new to this model");
}

#[test]
fn a_chain_cut_by_a_cell_is_made_whole() {
    let (atoms, mut positions) = qlaq();
    let session = session(&atoms);
    let whole = session.jump(&start(&positions), 1, 3).unwrap().positions_nm(0).unwrap();
    for p in positions.iter_mut().take(atoms.len() - 1).filter(|p| p[0] > 0.3) {
        p[0] -= 4.0;
    }
    let cell = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]];
    let cut = Start { positions_nm: &positions, cell_nm: Some(cell) };
    let again = session.jump(&cut, 1, 3).unwrap().positions_nm(0).unwrap();
    for (a, b) in whole.iter().zip(&again) {
        assert!((0..3).all(|c| (a[c] - b[c]).abs() < 1e-4), "{a:?} {b:?}");
    }
    assert!(session.jump(&start(&positions), 1, 3).is_err(), "without the cell it is in two parts");
}

#[test]
fn trees_know_parents_and_can_be_stopped() {
    let (atoms, positions) = qlaq();
    let session = session(&atoms);
    let spec = TreeSpec { roots: 3, branching: 2, depth: 2, budget: 8, retries: 0 };
    let tree = session.tree(&start(&positions), &spec, 5, |_, _| true).unwrap();
    assert!(tree.samples().iter().take(3).all(|n| n.parent.is_none() && n.depth == 1));
    assert!(tree.samples().iter().skip(3).all(|n| n.parent.is_some_and(|p| p < 3)));
    let stopped = session.tree(&start(&positions), &spec, 5, |_, _| false);
    assert!(matches!(stopped, Err(SessionError::Stopped { done: 3, budget: 8 })));
}

#[test]
fn bad_requests_say_what_is_wrong() {
    let (atoms, mut positions) = qlaq();
    let session = session(&atoms);
    let message = |start: &Start, n: usize| session.jump(start, n, 1).err().unwrap().to_string();
    assert!(message(&start(&positions), 0).contains("n is 0"));
    assert!(message(&start(&positions), usize::MAX).contains("expected 1 to"));
    assert!(
        message(&start(&positions[1..]), 1)
            .starts_with(&format!("{} positions for", positions.len() - 1))
    );
    let cell_nm = Some([[f64::NAN; 3]; 3]);
    let cell = Start { positions_nm: &positions, cell_nm };
    assert!(message(&cell, 1).contains("cell is not finite"));
    let flat = Start { cell_nm: Some([[1.0, 0.0, 0.0]; 3]), ..cell };
    assert!(message(&flat, 1).contains("no volume"));
    positions[5][2] = f64::INFINITY;
    assert!(message(&start(&positions), 1).contains("atom 5 "));
    positions[5][2] = 1e300;
    assert!(message(&start(&positions), 1).contains("atom 5 "));

    let water = AtomRow { name: "O", residue: "HOH", ..AtomRow::default() };
    assert!(Atoms::new([water]).unwrap_err().to_string().contains("no amino-acid"));
    let mut other = atoms.clone();
    other.iter_mut().filter(|a| a.2 == 2).for_each(|a| a.1 = "XYZ".into());
    let (_, fresh) = qlaq();
    let error = self::session(&other).jump(&start(&fresh), 1, 1).err().unwrap().to_string();
    assert!(error.contains("residue 2 XYZ"), "{error}");
}

#[test]
fn two_chains_without_identifiers_stay_two() {
    let (atoms, positions) = qlaq();
    let n = atoms.len() - 1;
    let both = [&atoms[..n], &atoms[..n]].concat();
    let far: Vec<_> = positions[..n].iter().map(|p| p.map(|x| x + 5.0)).collect();
    assert_eq!(Atoms::new(rows(&both)).unwrap().sequence(), "QLAQQLAQ");
    let at = [&positions[..n], &far[..]].concat();
    let error = session(&both).jump(&start(&at), 1, 1).err().unwrap().to_string();
    assert!(error.contains("two chains"), "{error}");
}
