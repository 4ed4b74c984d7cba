//! Jumps of a network with random weights: independent of batch and threads, moving with the
//! molecule, the same code for any chain length and both layouts.

use std::collections::BTreeMap;
use std::slice::from_ref;

use marsfm_geometry::{Conformation, ResidueType, Rigid, build};
use marsfm_surrogate::card::{Domain, FORMAT, ModelCard, RESIDUE_TABLE};
use marsfm_surrogate::checkpoint::Checkpoint;
use marsfm_surrogate::{
    JumpRequest, Layout, MaskedTorsions, NetworkConfig, Solver, Surrogate, params,
};

fn surrogate(layout: Layout) -> Surrogate {
    with(NetworkConfig {
        embed_dim: 32,
        num_layers: 2,
        mha_heads: 4,
        layout,
        frames: if layout == Layout::T1 { 1 } else { 2 },
        ..NetworkConfig::full()
    })
}

fn with(network: NetworkConfig) -> Surrogate {
    let values = params::from_recipe(&network, "jump");
    let domain = Domain {
        lag_ps: 10.0,
        temperature_kelvin: 300.0,
        temperatures_kelvin: Vec::new(),
        force_field: "none".into(),
        solvent: "none".into(),
        termini: "charged".into(),
        residues: (1, 100),
        residue_counts: BTreeMap::new(),
    };
    let card = ModelCard {
        format: FORMAT,
        residue_table: RESIDUE_TABLE.into(),
        network,
        domain,
        training: None,
        notes: vec![],
    };
    Surrogate::from_checkpoint(Checkpoint { card, values, sha256: String::new() }).unwrap()
}

fn chain(sequence: &str, psi: f64) -> (Vec<ResidueType>, Conformation<f32>) {
    let types = sequence.chars().map(|l| ResidueType::from_letter(l).unwrap()).collect();
    let angles: Vec<[f64; 2]> =
        (0..sequence.len()).map(|i| [-90.0, psi + 7.0 * i as f64]).collect();
    (types, build::chain(sequence, &angles).unwrap().conformation)
}

fn jump(
    model: &Surrogate,
    types: &[ResidueType],
    starts: &[Conformation<f32>],
    children: usize,
    first_id: u64,
) -> Vec<Conformation<f32>> {
    let solver = Solver::Heun { steps: 4 };
    let request = JumpRequest { types, starts, children, rng_seed: 3, first_id, solver };
    model.jump(&request).unwrap()
}

fn difference(a: &[Conformation<f32>], b: &[Conformation<f32>], types: &[ResidueType]) -> f32 {
    assert_eq!(a.len(), b.len());
    let atoms = |c: &Conformation<f32>| -> Vec<f32> {
        c.to_atom14(types).into_iter().flatten().flatten().collect()
    };
    let pairs = a.iter().zip(b).flat_map(|(a, b)| atoms(a).into_iter().zip(atoms(b)));
    pairs.map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    for layout in [Layout::T1, Layout::T2] {
        let model = surrogate(layout);
        let (types, a) = chain("ASGKV", 130.0);
        let starts = [a, chain("ASGKV", -40.0).1, chain("ASGKV", 60.0).1];
        let together = jump(&model, &types, &starts, 4, 0);
        let mut alone = Vec::new();
        for (i, start) in starts.iter().enumerate() {
            for k in 0..4 {
                let id = (4 * i + k) as u64;
                alone.extend(jump(&model, &types, std::slice::from_ref(start), 1, id));
            }
        }
        let d = difference(&together, &alone, &types);
        assert!(d <= 1e-5, "{layout:?}: {d} Å");
        assert!(difference(&together[..1], &together[1..2], &types) > 0.1, "all samples are equal");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let model = surrogate(Layout::T1);
    let (types, start) = chain("ACDEFGHIKLMNPQRSTVWY", 140.0);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| jump(&model, &types, from_ref(&start), 6, 0))
    };
    assert!(run(1) == run(4));
}

#[test]
fn samples_move_with_the_molecule() {
    let model = surrogate(Layout::T1);
    let (types, start) = chain("FAQRW", 150.0);
    let (s, c) = 0.9f64.sin_cos();
    let motion =
        Rigid { rot: [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], trans: [11.0, -7.0, 3.0] }
            .cast();
    let here: Vec<_> =
        jump(&model, &types, from_ref(&start), 3, 0).iter().map(|c| c.moved(&motion)).collect();
    let there = jump(&model, &types, &[start.moved(&motion)], 3, 0);
    let d = difference(&here, &there, &types);
    assert!(d <= 1e-4, "{d} Å");
}

#[test]
fn any_chain_length_and_many_children_go_through_the_same_code() {
    let model = surrogate(Layout::T1);
    for (sequence, children) in [("GG", 3000), ("GYDPETGTWG", 300), (&"ASTVLKEDGN".repeat(8), 2)] {
        let (types, start) = chain(sequence, 120.0);
        let drawn = jump(&model, &types, &[start], children, 0);
        assert_eq!(drawn.len(), children);
        assert!(drawn.iter().all(|c| c.is_finite() && c.len() == types.len()));
    }
}

#[test]
fn what_the_network_cannot_take_is_refused() {
    let model = surrogate(Layout::T1);
    let (types, start) = chain("AAAA", 120.0);
    let solver = Solver::Euler { steps: 1 };
    let ask = |types: &[ResidueType], start: &Conformation<f32>| {
        let starts = std::slice::from_ref(start);
        let request = JumpRequest { types, starts, children: 1, rng_seed: 1, first_id: 0, solver };
        model.jump(&request).unwrap_err().to_string()
    };
    assert!(ask(&types[..3], &start).contains("4 residues, the chain has 3"));
    let empty = Conformation { rigids: vec![], torsions: vec![] };
    assert!(ask(&[], &empty).contains("0 residues"));
    let mut unknown = types.clone();
    unknown[2] = ResidueType::X;
    assert!(ask(&unknown, &start).contains("residue 3 is of unknown type"));
    let mut nan = start.clone();
    nan.rigids[1].trans[0] = f32::NAN;
    assert!(ask(&types, &nan).contains("frame of residue 1 is not finite"));
}

/// A surrogate that takes a temperature draws at its card's unless told, and other things at others;
/// one that takes none says so.
#[test]
fn draws_are_at_the_temperature_that_is_asked_for() {
    let (types, start) = chain("AQLW", 120.0);
    let plain = surrogate(Layout::T1);
    let network = NetworkConfig { temperature: true, ..plain.card().network.clone() };
    let model = with(network);
    let draw = |model: &Surrogate| jump(model, &types, from_ref(&start), 3, 0);
    let own = draw(&model);
    assert_eq!(model.temperature_kelvin(), Some(300.0));
    assert_eq!(own, draw(&model.at_temperature(300.0).unwrap()));
    let hot = model.matched_to(450.0).unwrap();
    assert_eq!(hot.temperature_kelvin(), Some(450.0));
    assert!(difference(&own, &draw(&hot), &types) > 1e-3);
    for bad in [0.0, -3.0, f64::NAN] {
        assert!(model.at_temperature(bad).err().unwrap().to_string().contains("a temperature of"));
    }
    assert_eq!(draw(&plain.matched_to(450.0).unwrap()), draw(&plain));
    let refused = plain.at_temperature(450.0).err().unwrap().to_string();
    assert!(refused.contains("no temperature input: it draws at 300 K"), "{refused}");
}

/// Every sample has steps of its own, so siblings change nothing.
#[test]
fn adaptive_draws_are_the_same_with_and_without_siblings() {
    let (types, start) = chain("AQLW", 120.0);
    let model = surrogate(Layout::T1);
    let solver = Solver::Dopri5 { rtol: 1e-3, atol: 1e-3 };
    let draw = |children: usize, first_id: u64| {
        let starts = from_ref(&start);
        let request =
            JumpRequest { types: &types, starts, children, rng_seed: 3, first_id, solver };
        model.jump(&request).unwrap()
    };
    let together = draw(3, 0);
    for (id, sample) in together.iter().enumerate() {
        assert!(difference(from_ref(sample), &draw(1, id as u64), &types) < 1e-4);
    }
}

#[test]
fn the_habits_of_the_reference_are_switches() {
    let (types, start) = chain("AQLW", 120.0);
    let network = surrogate(Layout::T2).card().network.clone();
    let clean = jump(&with(network.clone()), &types, from_ref(&start), 3, 0);
    // Padding to the chain's own length changes nothing, beyond it the learned key moves away.
    let padded = |n| with(NetworkConfig { padded_residues: n, ..network.clone() });
    assert_eq!(difference(&jump(&padded(4), &types, from_ref(&start), 3, 0), &clean, &types), 0.0);
    let longer = difference(&jump(&padded(9), &types, from_ref(&start), 3, 0), &clean, &types);
    assert!(longer > 1e-3 && longer.is_finite(), "{longer}");
    // Torsions of the first residue that are read off the origin: samples depend on the place.
    let upstream =
        with(NetworkConfig { masked_torsions: MaskedTorsions::Upstream, ..network.clone() });
    let shift = Rigid { trans: [30.0, -12.0, 7.0], ..Rigid::identity() };
    for (model, moves) in [(with(network.clone()), false), (upstream, true)] {
        let here = jump(&model, &types, from_ref(&start), 3, 0);
        let there = jump(&model, &types, from_ref(&start.moved(&shift)), 3, 0);
        let back: Vec<_> = there.iter().map(|c| c.moved(&shift.inverse())).collect();
        let apart = difference(&here, &back, &types);
        assert_eq!(apart > 1e-3, moves, "{apart}");
    }
}
