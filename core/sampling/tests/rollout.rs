//! Rollouts and hybrids of networks with random weights: what follows from what, bit for bit.

use std::collections::BTreeMap;

use marsfm_geometry::{Conformation, ResidueType, build};
use marsfm_sampling::{Node, RolloutSpec, TreeSpec, hybrid, reencode, rollout, settle};
use marsfm_surrogate::card::{Domain, FORMAT, ModelCard, RESIDUE_TABLE};
use marsfm_surrogate::checkpoint::Checkpoint;
use marsfm_surrogate::{JumpRequest, Layout, NetworkConfig, Solver, Surrogate, params};

const SOLVER: Solver = Solver::Euler { steps: 3 };

fn surrogate(layout: Layout, frames: usize) -> Surrogate {
    let network = NetworkConfig {
        embed_dim: 16,
        num_layers: 1,
        mha_heads: 2,
        ipa_heads: 1,
        ipa_head_dim: 4,
        ipa_qk: 2,
        ipa_v: 2,
        layout,
        frames,
        ..NetworkConfig::full()
    };
    let values = params::from_recipe(&network, "rollout");
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

fn start() -> (Vec<ResidueType>, Conformation<f32>) {
    let sequence = "AVKD";
    let types = sequence.chars().map(|l| ResidueType::from_letter(l).unwrap()).collect();
    (types, build::extended(sequence).unwrap().conformation)
}

fn windows(
    model: &Surrogate,
    types: &[ResidueType],
    from: &Conformation<f32>,
    id: u64,
    k: usize,
) -> Vec<Conformation<f32>> {
    let starts = std::slice::from_ref(from);
    let request =
        JumpRequest { types, starts, children: 1, rng_seed: 9, first_id: id, solver: SOLVER };
    model.windows(&request, k).unwrap().remove(0)
}

fn is_settled(nodes: &[Node], types: &[ResidueType], drawn: &[Conformation<f32>]) {
    assert_eq!(nodes.len(), drawn.len());
    for (node, drawn) in nodes.iter().zip(drawn) {
        assert!(node.conformation == settle(types, drawn.clone()).0);
    }
}

#[test]
fn each_call_goes_on_from_the_last_frame_of_the_one_before() {
    let (model, (types, start)) = (surrogate(Layout::MdGen, 5), start());
    let spec = RolloutSpec { frames: None, calls: 3, parallel: false };
    let mut seen = Vec::new();
    let nodes = rollout(&model, &types, &start, &spec, 9, SOLVER, |n, of| {
        seen.push((n, of));
        true
    });
    let nodes = nodes.unwrap();
    assert_eq!(seen, [(5, 15), (10, 15), (15, 15)]);
    let mut condition = start;
    for call in 0..3 {
        let drawn = windows(&model, &types, &condition, call as u64, 5);
        is_settled(&nodes[5 * call..][..5], &types, &drawn);
        condition = reencode(&types, &drawn[4]);
    }
    // Stopped by the caller: what there is.
    let some = rollout(&model, &types, &condition, &spec, 9, SOLVER, |_, _| false).unwrap();
    assert_eq!(some.len(), 5);
}

#[test]
fn parallel_calls_all_start_from_the_input() {
    let (model, (types, start)) = (surrogate(Layout::MdGen, 4), start());
    let spec = RolloutSpec { frames: Some(6), calls: 4, parallel: true };
    let nodes = rollout(&model, &types, &start, &spec, 9, SOLVER, |_, _| true).unwrap();
    for call in 0..4 {
        let drawn = windows(&model, &types, &start, call as u64, 6);
        let atoms = |c: &Conformation<f32>| c.to_atom14(&types).concat().concat();
        for (node, drawn) in nodes[6 * call..].iter().zip(&drawn) {
            let drawn = settle(&types, drawn.clone()).0;
            let far = atoms(&node.conformation).into_iter().zip(atoms(&drawn));
            assert!(far.fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) < 1e-4);
            assert!(node.parent.is_none());
        }
    }
    assert!(nodes[1].conformation != nodes[7].conformation, "calls are copies of each other");
}

#[test]
fn a_hybrid_goes_on_from_accepted_jumps_with_noise_of_its_own() {
    let (jumps, mdgen) = (surrogate(Layout::T1, 1), surrogate(Layout::MdGen, 3));
    let (types, start) = start();
    // Random weights seldom give chains that hold together; ask until some do.
    let tree = TreeSpec { roots: 400, branching: 0, depth: 1, budget: 400, retries: 0 };
    let roots = std::slice::from_ref(&start);
    let nodes = hybrid(&jumps, &mdgen, &types, roots, &tree, None, 9, SOLVER, |_, _| true).unwrap();
    let (seeds, frames) = nodes.split_at(400);
    let accepted: Vec<usize> = (0..400).filter(|i| seeds[*i].verdict.accepted()).collect();
    assert!(!accepted.is_empty(), "no draw was accepted: the test says nothing");
    assert_eq!(frames.len(), 3 * accepted.len());
    for (i, seed) in accepted.iter().enumerate() {
        let from = reencode(&types, &seeds[*seed].conformation);
        let drawn = windows(&mdgen, &types, &from, 400 + i as u64, 3);
        let of_seed = &frames[3 * i..][..3];
        assert!(of_seed.iter().all(|n| n.parent == Some(*seed) && n.id == 400 + i as u64));
        for (node, drawn) in of_seed.iter().zip(drawn) {
            let drawn = settle(&types, drawn).0;
            let trans = |c: &Conformation<f32>| c.rigids.iter().flat_map(|r| r.trans).collect();
            let (a, b): (Vec<f32>, Vec<f32>) = (trans(&node.conformation), trans(&drawn));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (types, start) = start();
    let ask = |model: &Surrogate, frames, calls| {
        let spec = RolloutSpec { frames, calls, parallel: false };
        let drawn = rollout(model, &types, &start, &spec, 9, SOLVER, |_, _| true);
        drawn.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let mdgen = surrogate(Layout::MdGen, 3);
    assert!(ask(&mdgen, None, 0).contains("at least one call"));
    assert!(ask(&mdgen, Some(1), 1).contains("possible are 2 to"));
    assert!(ask(&surrogate(Layout::T2, 2), None, 1).contains("MDGen layout"));
}
