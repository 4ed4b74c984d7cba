//! One side of `./x bench-surrogate`: MDGen's full configuration with random weights.
//!
//! `marsfm-bench-surrogate weights FILE` writes the weights, by which both sides compute.
//! `… velocity WEIGHTS CASE THREADS ROUNDS` times one velocity evaluation of the case in CASE (a
//! safetensors file that compare.py wrote) and answers with the velocity itself, in CASE.out.
//! `… checkpoint WEIGHTS FILE` makes a checkpoint of them, layout t1. `… tree FILE RESIDUES CHILDREN
//! THREADS ROUNDS` times drawing CHILDREN conformations from one parent with it and the default
//! solver. `… matrix ROUNDS` measures the matrix library. `… step WEIGHTS CASE THREADS ROUNDS` times loss and
//! gradients. `… device DEVICE RESIDUES DRAWS ROUNDS` draws on a device by its name (`cuda`) and
//! prints conformations per second. `… solvers MODEL STRUCTURE DRAWS` compares solvers and grids
//! (`solvers.rs`). Each prints one JSON object; the timings are least processor and
//! wall seconds of one run and the peak of memory.

mod solvers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cpu_time::ProcessTime;
use marsfm_geometry::{Conformation, LATENT, ResidueType, build};
use marsfm_surrogate::candle_core::{DType, Device, Tensor, safetensors as st};
use marsfm_surrogate::{
    Batch, Condition, JumpRequest, Layout, Network, NetworkConfig, Precision, Solver, Surrogate,
    Tap, checkpoint, gradients, params,
};
use serde_json::json;

/// The default solver of the program, and what a draw by it costs.
const SOLVER: Solver = Solver::Adams { steps: EVALUATIONS };
const EVALUATIONS: usize = 16;

type Tensors = std::collections::HashMap<String, Tensor>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<usize>().with_context(|| format!("{word}: a number"));
    match words[..] {
        ["weights", file] => {
            let values = params::from_recipe(&NetworkConfig::full(), "bench");
            let tensors: Tensors =
                params::tensors(&values, DType::F32, &Device::Cpu)?.into_iter().collect();
            Ok(st::save(&tensors, file)?)
        }
        ["velocity" | "step", weights, case, threads, rounds] => {
            let job = Case::load(Path::new(weights), Path::new(case))?;
            let (train, rounds) = (words[0] == "step", number(rounds)?);
            pool(number(threads)?)?.install(|| job.run(train, rounds, case))
        }
        ["checkpoint", weights, out] => write_checkpoint(Path::new(weights), Path::new(out)),
        ["solvers", model, structure, draws] => {
            solvers::run(Path::new(model), Path::new(structure), number(draws)?)
        }
        ["matrix", rounds] => matrix_rate(number(rounds)?),
        ["tree", checkpoint, residues, children, threads, rounds] => {
            let surrogate = Surrogate::load(Path::new(checkpoint))?;
            let (l, n, rounds) = (number(residues)?, number(children)?, number(rounds)?);
            pool(number(threads)?)?.install(|| tree(&surrogate, l, n, rounds))
        }
        ["device", device, residues, draws, rounds] => {
            on_device(device, number(residues)?, number(draws)?, number(rounds)?)
        }
        _ => bail!(
            "usage: weights FILE | checkpoint … | matrix ROUNDS | device … | solvers … | velocity|step WEIGHTS \
             CASE THREADS ROUNDS | tree …"
        ),
    }
}

fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?)
}

/// Runs a job `rounds` times after one to warm up; prints the least times and the peak of memory.
fn timed(rounds: usize, mut job: impl FnMut() -> Result<()>) -> Result<()> {
    job()?;
    let (mut cpu, mut wall) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..rounds {
        let (w, c) = (Instant::now(), ProcessTime::now());
        job()?;
        wall = wall.min(w.elapsed().as_secs_f64());
        cpu = cpu.min(c.elapsed().as_secs_f64());
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0");
    let peak: f64 = peak.trim().trim_end_matches(" kB").trim().parse()?;
    println!("{}", json!({ "cpu_s": cpu, "wall_s": wall, "peak_mb": peak / 1e3 }));
    Ok(())
}

fn read_weights(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    Ok(st::load(path, &Device::Cpu)?.into_iter().collect())
}

fn values(tensors: &BTreeMap<String, Tensor>) -> Result<params::Values> {
    let one = |(name, tensor): (&String, &Tensor)| {
        Ok((name.clone(), (tensor.dims().to_vec(), tensor.flatten_all()?.to_vec1()?)))
    };
    tensors.iter().map(one).collect()
}

/// Inputs of one evaluation, as the reference takes them.
struct Case {
    weights: BTreeMap<String, Tensor>,
    config: NetworkConfig,
    condition: Condition,
    frames: usize,
    x: Tensor,
    t: Vec<f64>,
}

impl Case {
    fn load(weights: &Path, case: &Path) -> Result<Self> {
        let tensors = st::load(case, &Device::Cpu)?;
        let get = |name: &str| tensors.get(name).with_context(|| format!("{name} in the case"));
        let floats = |name: &str| -> Result<Vec<f64>> {
            Ok(get(name)?.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
        };
        let (b, t, l, _) = get("x")?.dims4()?;
        let (rotations, translations) = (floats("rots")?, floats("trans")?);
        let frame = |i: usize| {
            (
                std::array::from_fn(|k| rotations[9 * i + k]),
                std::array::from_fn(|k| translations[3 * i + k]),
            )
        };
        let condition = Condition {
            residues: l,
            frames: Arc::new((0..b * l).map(frame).collect()),
            residue_types: floats("aatype")?.into_iter().map(|v| v as u32).collect(),
            x_cond: floats("x_cond")?,
            x_cond_mask: floats("x_cond_mask")?.into_iter().map(|v| v > 0.5).collect(),
            mask: None,
            temperatures_kelvin: None,
        };
        let layout = if t == 1 { Layout::T1 } else { Layout::T2 };
        Ok(Self {
            weights: read_weights(weights)?,
            config: NetworkConfig { layout, frames: t, ..NetworkConfig::full() },
            condition,
            frames: t,
            x: get("x")?.reshape((b * t * l, LATENT))?,
            t: floats("t")?,
        })
    }

    fn run(&self, train: bool, rounds: usize, case: &str) -> Result<()> {
        let evaluate = |weights: &BTreeMap<String, Tensor>| -> Result<Tensor> {
            let network = Network::new(&self.config, weights)?;
            let tap = &mut Tap::default();
            let prepared = network.prepare(self.condition.clone(), self.frames, tap)?;
            Ok(network.velocity(&self.x, &self.t, &prepared, tap)?)
        };
        st::save(&Tensors::from([("v".into(), evaluate(&self.weights)?)]), format!("{case}.out"))?;
        if train {
            return self.step(rounds);
        }
        // The network is assembled once, as a sampler does; what depends on the time is not kept,
        // because every sample has a time of its own.
        let network = Network::new(&self.config, &self.weights)?;
        let prepared = network.prepare(self.condition.clone(), self.frames, &mut Tap::default())?;
        timed(rounds, || {
            let v = network.velocity(&self.x, &self.t, &prepared, &mut Tap::default())?;
            std::hint::black_box(v);
            Ok(())
        })
    }

    /// Loss and gradients as a trainer asks for them, which keeps its parameters.
    fn step(&self, rounds: usize) -> Result<()> {
        let x: Vec<f64> = self.x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let batch = Batch {
            condition: self.condition.clone(),
            u: x.clone(),
            weights: vec![1.0; x.len()],
            t: self.t.clone(),
            x,
        };
        let mut values = values(&self.weights)?;
        timed(rounds, || {
            let lent = std::mem::take(&mut values);
            let (found, back) =
                gradients(&self.config, lent, &batch, &Device::Cpu, Precision::F32)?;
            values = back;
            std::hint::black_box(found);
            Ok(())
        })
    }
}

/// The weights as a checkpoint, which a sampler loads.
fn write_checkpoint(weights: &Path, out: &Path) -> Result<()> {
    let values = values(&read_weights(weights)?)?;
    Ok(std::fs::write(out, checkpoint::untrained(&NetworkConfig::full(), &values)?)?)
}

/// Rate of the matrix library in a product that fits caches, GFLOP/s: what a network can hope for.
fn matrix_rate(rounds: usize) -> Result<()> {
    let n = 1024;
    let a = Tensor::rand(-1.0f32, 1.0, (n, n), &Device::Cpu)?;
    let mut best = f64::INFINITY;
    for _ in 0..rounds.max(1) {
        let began = Instant::now();
        std::hint::black_box(a.matmul(&a)?);
        best = best.min(began.elapsed().as_secs_f64());
    }
    println!("{}", json!({ "gflop_per_s": 2.0 * (n as f64).powi(3) / best / 1e9 }));
    Ok(())
}

/// Draws per second on a device, from starts of 16 children each, as a tree asks for them.
fn on_device(name: &str, residues: usize, draws: usize, rounds: usize) -> Result<()> {
    let device: marsfm_host::Device = name.parse().map_err(anyhow::Error::msg)?;
    let config = NetworkConfig::full();
    let bytes = checkpoint::untrained(&config, &params::from_recipe(&config, "bench"))?;
    let loaded = checkpoint::parse(&bytes, Path::new("the bench's network"))?;
    let host = marsfm_host::Host::with_default_paths();
    let surrogate = host.place(loaded, &bytes, &device)?;
    let (types, start) = chain(residues)?;
    let children = draws.min(16);
    let starts = vec![start; draws.div_ceil(children)];
    let solver = SOLVER;
    let (mut first_id, mut best) = (0, f64::INFINITY);
    for round in 0..=rounds {
        let (types, starts) = (types.as_slice(), starts.as_slice());
        let request = JumpRequest { types, starts, children, rng_seed: 1, first_id, solver };
        let began = Instant::now();
        let drawn = surrogate.jump(&request)?.len() as u64;
        first_id += drawn;
        // The first round warms up: kernels are translated, memory is taken.
        if round > 0 || rounds == 0 {
            best = best.min(began.elapsed().as_secs_f64() / drawn as f64);
        }
    }
    let device = surrogate.backend().device();
    let words = json!({
        "device": device, "residues": residues, "draws": starts.len() * children,
        "evaluations": EVALUATIONS, "conformations_per_s": 1.0 / best,
    });
    println!("{words}");
    Ok(())
}

fn chain(residues: usize) -> Result<(Vec<ResidueType>, Conformation<f32>)> {
    let sequence: String = "AQLWGKDSTV".chars().cycle().take(residues).collect();
    let angle = |i: usize| [-60.0 - 20.0 * (i % 3) as f64, -45.0 + 90.0 * (i % 5) as f64];
    let angles: Vec<[f64; 2]> = (0..residues).map(angle).collect();
    let start = build::chain(&sequence, &angles)?.conformation;
    Ok((sequence.chars().filter_map(ResidueType::from_letter).collect(), start))
}

/// A parent and its children: what a tree is made of.
fn tree(surrogate: &Surrogate, residues: usize, children: usize, rounds: usize) -> Result<()> {
    let (types, start) = chain(residues)?;
    let mut first_id = 0;
    timed(rounds, || {
        let request = JumpRequest {
            types: &types,
            starts: std::slice::from_ref(&start),
            children,
            rng_seed: 1,
            first_id,
            solver: SOLVER,
        };
        first_id += children as u64;
        std::hint::black_box(surrogate.jump(&request)?);
        Ok(())
    })
}
