//! The toy knows the answers: numbers from seeded MD are right in the limit, histograms are not.

mod common;

use common::{go, toml};
use marsfm_adaptive::toy::{Toy, ToyEngine, ToyOptions};
use marsfm_msm::{CountMatrix, CountMode, Matrix, ReversibleMle};

fn toy() -> Toy {
    Toy::new(ToyOptions::default(), 1.0).unwrap()
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum::<f64>() / 2.0
}

/// Infinitely many runs from seeds in the rarest well only: the expected counts are w_i T_ij with
/// weights w far from pi. T, populations and timescales come out exactly; the histogram is w.
#[test]
fn in_the_limit_seeds_do_not_matter_and_a_histogram_is_wrong() {
    let toy = toy();
    let (n, lag) = (toy.n_sites(), 10);
    let one = toy.transitions(1.0);
    let rare = 4;
    let mut at = Matrix::zeros(1, n);
    let seeds: Vec<usize> = (0..n).filter(|s| toy.wells()[*s] == rare).collect();
    seeds.iter().for_each(|s| at[(0, *s)] = 1.0 / seeds.len() as f64);
    let mut weights = vec![0.0; n];
    for _ in 0..40 {
        weights.iter_mut().zip(at.row(0)).for_each(|(w, p)| *w += p / 40.0);
        at = at.times(&one);
    }
    let t = toy.transitions(f64::from(lag));
    let data =
        (0..n).flat_map(|i| t.row(i).iter().map(|v| weights[i] * v * 1e6).collect::<Vec<_>>());
    let counts = CountMatrix {
        counts: Matrix::from_vec(n, n, data.collect()).unwrap(),
        populations: vec![1; n],
        lag: lag as usize,
        mode: CountMode::Sliding,
        warnings: vec![],
    };
    let model = ReversibleMle::default().fit(&counts).unwrap();
    assert_eq!(model.active.len(), n);
    let off = apart(&model.pi, toy.pi());
    assert!(off < 1e-6, "{off}");
    for (got, truth) in model.timescales(3).unwrap().iter().zip(toy.timescales_ps(3).unwrap()) {
        assert!((got / truth - 1.0).abs() < 1e-5, "{got} ps, truth {truth} ps");
    }
    let histogram = apart(&weights, toy.pi());
    assert!(histogram > 0.3, "the histogram is off by {histogram}");
}

/// The same through the whole loop with finite data, once with jumps and once with an adversary.
#[test]
fn a_loop_of_jumps_finds_populations_that_its_own_frames_do_not_have() {
    let toy = toy();
    let truth = toy.well_populations();
    for proposer in ["jump", "adversarial"] {
        let dir = tempfile::tempdir().unwrap();
        let text = toml(proposer, 25, "")
            .replace("seeds = 4", "seeds = 8")
            .replace("run_ps = 200.0", "run_ps = 400.0");
        let (_, mut driver) = go(dir.path(), &text).unwrap();
        let engine = ToyEngine::new(toy.clone());
        let model = driver.model(&engine).unwrap();
        let s = driver.store().statistics(&model, &|_| true).unwrap();
        let value = |e: &Option<marsfm_adaptive::statistics::Estimate>| e.map_or(0.0, |e| e.value);
        let got: Vec<f64> = s.populations.iter().map(value).collect();
        let mut frames = vec![0.0; truth.len()];
        let mut seeds = vec![0.0; truth.len()];
        for run in model.micro_trajectories() {
            run.iter().for_each(|m| frames[model.macro_of_micro()[*m as usize]] += 1.0);
            seeds[model.macro_of_micro()[run[0] as usize]] += 1.0;
        }
        for all in [&mut frames, &mut seeds] {
            let sum: f64 = all.iter().sum();
            all.iter_mut().for_each(|v| *v /= sum);
        }
        let off = (apart(&got, &truth), apart(&frames, &truth), apart(&seeds, &truth));
        println!("{proposer}: model {:.3}, frames {:.3}, jumps {:.3}", off.0, off.1, off.2);
        assert!(off.0 < 0.06, "{proposer}: model {}", off.0);
        assert!(off.1 > 2.0 * off.0 && off.2 > 0.15, "{proposer}: {off:?}");
        let (slowest, exact) = (s.timescales_ps[0], toy.timescales_ps(1).unwrap()[0]);
        assert!((slowest.value / exact - 1.0).abs() < 0.25, "{slowest:?}, exact {exact}");
        let there = toy.mfpt_ps(1, 0, 10.0).unwrap();
        let mfpt = s.mfpt_ps[1][0].unwrap();
        assert!((mfpt.value / there - 1.0).abs() < 0.25, "{mfpt:?}, exact {there}");
    }
}

/// Every selector, and plain MD, go through the same code.
#[test]
fn every_strategy_runs() {
    let selectors = [
        "name = \"least-counts\"",
        "name = \"random\"",
        "name = \"fast\"\nfeature = 0",
        "name = \"reap\"",
        "name = \"target\"\nranges = [{ feature = 0, low = 0.8, high = 1.0 }]",
        "name = \"history\"",
    ];
    for selector in selectors {
        for proposer in ["visited", "jump", "stored"] {
            let dir = tempfile::tempdir().unwrap();
            let text = toml(proposer, 4, "")
                .replace("[statistics]", &format!("[strategy.selector]\n{selector}\n[statistics]"));
            let (_, driver) = go(dir.path(), &text).unwrap();
            let h = driver.history();
            assert_eq!((h.epochs.len(), h.runs.len()), (4, 16), "{proposer} {selector}");
            if selector.contains("reap") {
                let w = &h.plans[3].weights;
                assert!((w.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{w:?}");
            }
        }
    }
    for (plain, runs) in [("long", 1), ("parallel", 4)] {
        let dir = tempfile::tempdir().unwrap();
        let (_, driver) = go(dir.path(), &toml(plain, 4, "")).unwrap();
        let h = driver.history();
        assert_eq!((h.epochs.len(), h.runs.len()), (1, runs));
        // The same MD, but for what preparation costs.
        let prepared = 2.0 * runs as f64;
        assert_eq!(h.md_ps(1.0) - prepared, 16.0 * 210.0);
    }
}
