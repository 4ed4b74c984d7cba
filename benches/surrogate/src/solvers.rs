//! How close solvers and grids come to the solution: jumps of a trained surrogate from the structure
//! in a PDB file, the same noise for all, against dopri5 in double precision at rtol 1e-10.
//!
//! Grids are monotone maps of the uniform one, and one that is made for the model: an equal share of
//! the midpoint rule's local error in every step.

use std::f64::consts::PI;
use std::path::Path;

use anyhow::{Context, Result};
use marsfm_geometry::{LATENT, Peptide};
use marsfm_surrogate::candle_core::{DType, Device, Tensor};
use marsfm_surrogate::{
    Network, Prepared, Solver, SurrogateError, Tap, checkpoint, condition_of, params, solve,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::json;

/// A number of a latent that differs by more counts as off.
const OFF: f64 = 0.3;

/// One network on one condition, in one precision.
struct Field {
    network: Network,
    prepared: Prepared,
    rows: usize,
    samples: usize,
}

impl Field {
    fn v(&self, t: &[f64], x: &Tensor) -> Result<Tensor, SurrogateError> {
        let x = x.reshape((self.samples * self.rows, LATENT))?;
        let v = self.network.velocity(&x, t, &self.prepared, &mut Tap::default())?;
        Ok(v.reshape((self.samples, self.rows * LATENT))?)
    }

    fn midpoint(&self, x0: &Tensor, grid: &[f64]) -> Result<Tensor> {
        let mut x = x0.clone();
        for t in grid.windows(2) {
            let h = t[1] - t[0];
            let half = (&x + self.v(&[t[0]], &x)?.affine(h / 2.0, 0.0)?)?;
            x = (&x + self.v(&[t[0] + h / 2.0], &half)?.affine(h, 0.0)?)?;
        }
        Ok(x)
    }

    fn rk4(&self, x0: &Tensor, grid: &[f64]) -> Result<Tensor> {
        let mut x = x0.clone();
        for t in grid.windows(2) {
            let (a, h) = (t[0], t[1] - t[0]);
            let k1 = self.v(&[a], &x)?;
            let k2 = self.v(&[a + h / 2.0], &(&x + k1.affine(h / 2.0, 0.0)?)?)?;
            let k3 = self.v(&[a + h / 2.0], &(&x + k2.affine(h / 2.0, 0.0)?)?)?;
            let k4 = self.v(&[a + h], &(&x + k3.affine(h, 0.0)?)?)?;
            x = (&x + ((k1 + k4)? + (k2 + k3)?.affine(2.0, 0.0)?)?.affine(h / 6.0, 0.0)?)?;
        }
        Ok(x)
    }
}

fn distances(a: &Tensor, b: &Tensor) -> Result<(f64, usize)> {
    let d = (a.to_dtype(DType::F64)? - b.to_dtype(DType::F64)?)?;
    let off = d.abs()?.max(1)?.to_vec1::<f64>()?.into_iter().filter(|d| *d > OFF).count();
    Ok((d.sqr()?.mean_all()?.to_scalar::<f64>()?.sqrt(), off))
}

/// The uniform grid of `n` steps through a map of [0, 1].
fn grid(n: usize, map: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..=n).map(|i| map(i as f64 / n as f64)).collect()
}

/// The map that gives every midpoint step the same local error, which goes with its cube.
fn equal_error(field: &Field, x0: &Tensor) -> Result<Vec<f64>> {
    const CELLS: usize = 40;
    let (mut x, mut total) = (x0.clone(), vec![0.0]);
    for i in 0..CELLS {
        let ends = [i as f64 / CELLS as f64, (i + 1) as f64 / CELLS as f64];
        let next = field.rk4(&x, &ends)?;
        let (error, _) = distances(&field.midpoint(&x, &ends)?, &next)?;
        total.push(total[i] + error.cbrt());
        x = next;
    }
    Ok(total.iter().map(|t| t / total[CELLS]).collect())
}

/// The inverse of a map that is given at equal distances.
fn inverse(of: &[f64], s: f64) -> f64 {
    let n = of.len() - 1;
    let cell = (1..n).find(|i| of[*i] >= s).unwrap_or(n);
    let (a, b) = (of[cell - 1], of[cell]);
    (cell as f64 - 1.0 + (s - a) / (b - a)) / n as f64
}

/// Measures; one JSON line per solver and grid.
pub fn run(model: &Path, structure: &Path, samples: usize) -> Result<()> {
    let host = marsfm_host::Host::with_default_paths();
    let (topology, frame) = host.read_topology(structure)?;
    let frame = frame.with_context(|| format!("{}: no coordinates", structure.display()))?;
    let peptide = Peptide::from_topology(&topology, &frame.positions_nm)?;
    let start = peptide.encode(&frame.positions_nm)?;
    let loaded = checkpoint::load(model)?;
    let config = loaded.card.network;
    let field = |dtype: DType| -> Result<Field> {
        let tensors = params::tensors(&loaded.values, dtype, &Device::Cpu)?;
        let network = Network::new(&config, &tensors)?;
        let mut condition =
            condition_of(peptide.types(), std::slice::from_ref(&start), config.frames);
        if config.temperature {
            condition.temperatures_kelvin = Some(vec![loaded.card.domain.temperature_kelvin]);
        }
        let prepared = network.prepare(condition, config.frames, &mut Tap::default())?;
        Ok(Field { network, prepared, rows: config.frames * peptide.len(), samples })
    };
    let (fine, plain) = (field(DType::F64)?, field(DType::F32)?);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let n = samples * fine.rows * LATENT;
    let noise: Vec<f64> = (0..n).map(|_| StandardNormal.sample(&mut rng)).collect();
    let x0 = Tensor::from_vec(noise, (samples, fine.rows * LATENT), &Device::Cpu)?;
    let tight = Solver::Dopri5Batch { rtol: 1e-10, atol: 1e-10 };
    let exact = solve(tight, &x0, |t, x| fine.v(t, x))?;
    println!("{}", json!({ "solver": "dopri5 rtol 1e-10", "evaluations": exact.evaluations }));
    let x0 = x0.to_dtype(DType::F32)?;
    let tell = |solver: &str, grid: &str, evaluations: usize, x: &Tensor| -> Result<()> {
        let (rms, off) = distances(x, &exact.x)?;
        let words = json!({
            "solver": solver, "grid": grid, "evaluations": evaluations, "rms": rms, "off": off,
        });
        println!("{words}");
        Ok(())
    };
    let usual = Solver::Dopri5Batch { rtol: 1e-3, atol: 1e-6 };
    let s = solve(usual, &x0, |t, x| plain.v(t, x))?;
    tell("dopri5 rtol 1e-3", "adaptive", s.evaluations, &s.x)?;
    let s = solve(Solver::Euler { steps: 49 }, &x0, |t, x| plain.v(t, x))?;
    tell("euler", "uniform", s.evaluations, &s.x)?;
    for steps in [10, 12, 14, 16, 18, 20, 24] {
        let s = solve(Solver::Adams { steps }, &x0, |t, x| plain.v(t, x))?;
        tell("adams", "t = sin(pi s / 2)", s.evaluations, &s.x)?;
    }
    let error = equal_error(&plain, &x0)?;
    type Map<'a> = (&'a str, Box<dyn Fn(f64) -> f64 + 'a>);
    let maps: Vec<Map> = vec![
        ("uniform", Box::new(|s| s)),
        ("t = s^1.25", Box::new(|s| s.powf(1.25))),
        ("t = s^1.5", Box::new(|s| s.powf(1.5))),
        ("t = 1 - (1-s)^1.25", Box::new(|s| 1.0 - (1.0 - s).powf(1.25))),
        ("t = 1 - (1-s)^1.5", Box::new(|s| 1.0 - (1.0 - s).powf(1.5))),
        ("t = 1 - (1-s)^2", Box::new(|s| 1.0 - (1.0 - s).powi(2))),
        ("t = sin(pi s / 2)", Box::new(|s| (PI * s / 2.0).sin())),
        ("t = (1 - cos(pi s)) / 2", Box::new(|s| (1.0 - (PI * s).cos()) / 2.0)),
        ("dense in the middle", Box::new(|s| s + 0.08 * (2.0 * PI * s).sin())),
        ("equal local error", Box::new(|s| inverse(&error, s))),
    ];
    for steps in [6, 8, 10, 15] {
        for (name, map) in &maps {
            tell("midpoint", name, 2 * steps, &plain.midpoint(&x0, &grid(steps, map))?)?;
        }
    }
    for steps in [4, 5, 6] {
        for (name, map) in &maps {
            tell("rk4", name, 4 * steps, &plain.rk4(&x0, &grid(steps, map))?)?;
        }
    }
    Ok(())
}
