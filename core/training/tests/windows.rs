//! What a batch of MDGen windows holds: consecutive frames of one trajectory, superposed on the
//! first; and that every parameter learns from them.

use marsfm_geometry::{Conformation, LATENT, ResidueType, build, decode};
use marsfm_surrogate::candle_core::Device;
use marsfm_surrogate::{Layout, NetworkConfig, Path, Precision, gradients};
use marsfm_training::{Pair, PairSource, System, TrainingSet, align};
use rand::{Rng, RngExt};

const FRAMES: usize = 4;

/// Windows of four frames, `stride` apart, over twelve frames of one of two trajectories.
struct Windows {
    stride: usize,
}

impl PairSource for Windows {
    fn draw(&self, rng: &mut dyn Rng) -> Pair {
        let span = self.stride * (FRAMES - 1);
        let (t, f) = (rng.random_range(0..2), rng.random_range(0..12 - span));
        ((t, f), (t, f + span))
    }
}

/// A frame whose phi tells (trajectory, frame).
fn frame(t: usize, f: usize) -> Conformation<f32> {
    let phi = -170.0 + 100.0 * t as f64 + 7.0 * f as f64;
    build::chain("GAS", &[[phi, 130.0]; 3]).unwrap().conformation
}

/// Two trajectories of twelve frames.
fn windows() -> Vec<Vec<Conformation<f32>>> {
    (0..2).map(|t| (0..12).map(|f| frame(t, f)).collect()).collect()
}

fn set(stride: usize) -> TrainingSet {
    let system = System {
        name: "GAS".into(),
        types: "GAS".chars().map(|c| ResidueType::from_letter(c).unwrap()).collect(),
        frames: windows().into(),
        pairs: Box::new(Windows { stride }),
        nanoseconds: 0.01,
        temperature_kelvin: 300.0,
    };
    TrainingSet::new(vec![system], FRAMES, 256, Path::Gvp).unwrap()
}

#[test]
fn a_sample_is_a_window_of_consecutive_frames_on_the_first() {
    for stride in [1, 3] {
        let batch = set(stride).batch(8, 1, 0).unwrap();
        let l = batch.condition.residues;
        let per_sample = FRAMES * l * LATENT;
        assert_eq!(batch.x.len(), 8 * per_sample);
        assert_eq!(batch.weights.len(), batch.x.len());
        for sample in 0..8 {
            // Path and velocity together give the data: x = αx1 + σx0, u = α'x1 + σ'x0.
            let c = Path::Gvp.at(batch.t[sample]);
            let det = c.alpha * c.sigma_rate - c.sigma * c.alpha_rate;
            let at = |k: usize| sample * per_sample + k;
            let x1 = |k: usize| {
                ((c.sigma_rate * batch.x[at(k)] - c.sigma * batch.u[at(k)]) / det) as f32
            };
            let own = &batch.condition.frames[sample * l..][..l];
            let start = (0..2)
                .flat_map(|t| (0..12).map(move |f| (t, f)))
                .find(|(t, f)| frame(*t, *f).rigids[2].trans.map(f64::from) == own[2].1)
                .expect("the condition is one of the frames");
            let condition = frame(start.0, start.1);
            for k in 0..FRAMES {
                let rows: Vec<[f32; LATENT]> =
                    (0..l).map(|i| std::array::from_fn(|j| x1((k * l + i) * LATENT + j))).collect();
                let got = decode(&condition, &rows);
                let want = frame(start.0, start.1 + k * stride);
                let want = align(&want, &condition).unwrap();
                for (a, b) in got.rigids.iter().zip(&want.rigids) {
                    for x in 0..3 {
                        assert!((a.trans[x] - b.trans[x]).abs() < 1e-3, "frame {k}");
                    }
                }
                let (a, b) = (got.torsions[1][1], want.torsions[1][1]);
                assert!((a[0] - b[0]).abs() < 1e-3 && (a[1] - b[1]).abs() < 1e-3, "frame {k}");
            }
            // Only frame 0 carries the condition.
            let flags = &batch.condition.x_cond_mask[sample * FRAMES * l..][..FRAMES * l];
            assert!(flags[..l].iter().all(|f| *f) && flags[l..].iter().all(|f| !f));
        }
    }
}

#[test]
fn pairs_that_are_no_window_are_an_error() {
    struct Anywhere;
    impl PairSource for Anywhere {
        fn draw(&self, _: &mut dyn Rng) -> Pair {
            ((0, 0), (1, 3))
        }
    }
    let systems = vec![System {
        name: "GAS".into(),
        types: "GAS".chars().map(|c| ResidueType::from_letter(c).unwrap()).collect(),
        frames: windows().into(),
        pairs: Box::new(Anywhere),
        nanoseconds: 0.01,
        temperature_kelvin: 300.0,
    }];
    let set = TrainingSet::new(systems, FRAMES, 256, Path::Gvp).unwrap();
    let error = set.batch(1, 1, 0).err().unwrap().to_string();
    assert!(error.contains("GAS") && error.contains("window of 4"), "{error}");
}

#[test]
fn every_parameter_learns_from_windows() {
    let network = NetworkConfig {
        embed_dim: 16,
        num_layers: 1,
        mha_heads: 2,
        ipa_heads: 1,
        ipa_head_dim: 4,
        ipa_qk: 2,
        ipa_v: 2,
        layout: Layout::MdGen,
        frames: FRAMES,
        ..NetworkConfig::full()
    };
    let values = marsfm_surrogate::params::from_recipe(&network, "windows");
    let batch = set(2).batch(2, 1, 0).unwrap();
    let ((loss, gradients), same) =
        gradients(&network, values.clone(), &batch, &Device::Cpu, Precision::F32).unwrap();
    assert_eq!(same, values, "the parameters that were given back");
    assert!(loss.is_finite() && loss > 0.0);
    for name in values.keys() {
        let g = gradients.get(name).unwrap_or_else(|| panic!("{name} got no gradient"));
        assert!(g.iter().any(|g| *g != 0.0), "{name}: the gradient is 0 everywhere");
    }
}
