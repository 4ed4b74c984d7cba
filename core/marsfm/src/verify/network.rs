//! `marsfm verify network`: every number of a stored network case, on this machine.
//!
//! The case holds inputs, activations, velocity, one training step, gradients and samples of the
//! public MDGen code on seeded weights. Only valid (unpadded) rows are compared.

mod elsewhere;

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use marsfm_geometry::{Conformation, LATENT, ResidueType, Rigid};
use marsfm_host::{Device, Host};
use marsfm_surrogate::candle_core::{DType, Device as Tensors, Tensor};
use marsfm_surrogate::{
    Condition, Layout, Learner, Network, NetworkConfig, Path, Precision, Prepared, Solver, Tap,
    checkpoint, params, solve,
};

use super::{Case, Report, max_abs_diff};

/// Tolerances of one precision: activations, velocity and fixed-step samples; loss (relative);
/// gradients (relative to the tensor's maximum); adaptive samples; decoded atoms (Å).
struct Tolerance {
    dense: f64,
    loss: f64,
    gradient: f64,
    adaptive: f64,
    atoms: f64,
}

const SINGLE: Tolerance =
    Tolerance { dense: 2e-5, loss: 1e-4, gradient: 1e-4, adaptive: 3e-2, atoms: 1e-4 };
const DOUBLE: Tolerance =
    Tolerance { dense: 1e-9, loss: 1e-9, gradient: 1e-7, adaptive: 1e-6, atoms: 1e-7 };

/// Runs the case in f32, or in f64 (`double`, for cases stored as `.f64`). `weights` is the
/// safetensors file of the parameters, or the word `recipe`: generated from `config.seed`.
pub fn run(case: &Case, weights: &FilePath, double: bool) -> Result<Report> {
    let config = config_of(case)?;
    let values = values_of(case, &config, weights)?;
    let dtype = if double { DType::F64 } else { DType::F32 };
    let tolerance = if double { DOUBLE } else { SINGLE };
    let check = Check { case, config, dtype, tolerance, valid: ValidRows::of(case)? };
    check.run(&values)
}

/// Runs the case in f32 on a device: everything but the activations inside the network.
pub fn run_on(host: &Host, case: &Case, weights: &FilePath, device: &Device) -> Result<Report> {
    let config = config_of(case)?;
    let values = values_of(case, &config, weights)?;
    let bytes = checkpoint::untrained(&config, &values)?;
    let Some(backend) = host.backend(&bytes, &config, device)? else {
        return run(case, weights, false);
    };
    let valid = ValidRows::of(case)?;
    let check = Check { case, config, dtype: DType::F32, tolerance: SINGLE, valid };
    check.run_on(&*backend, &values)
}

fn values_of(case: &Case, config: &NetworkConfig, weights: &FilePath) -> Result<params::Values> {
    let values = if weights == FilePath::new("recipe") {
        let seed = case.json["config"]["seed"].as_str();
        params::from_recipe(config, seed.context("the case names no config.seed")?)
    } else {
        load_weights(weights)?
    };
    params::check(config, &values).map_err(|e| anyhow!("{}: {e}", weights.display()))?;
    Ok(values)
}

fn config_of(case: &Case) -> Result<NetworkConfig> {
    let json = &case.json["config"];
    let n = |key: &str| -> Result<usize> {
        let value = json[key].as_u64().with_context(|| {
            format!("{}: the JSON beside it has no config.{key}", case.path.display())
        })?;
        Ok(value as usize)
    };
    let frames = case.get("fwd.x")?.shape[1];
    let layout = match frames {
        1 => Layout::T1,
        2 => Layout::T2,
        _ => Layout::MdGen,
    };
    let abs_pos_emb = json["abs_pos_emb"].as_bool().unwrap_or(false);
    let config = NetworkConfig {
        embed_dim: n("embed_dim")?,
        num_layers: n("num_layers")?,
        mha_heads: n("mha_heads")?,
        ipa_heads: n("ipa_heads")?,
        ipa_head_dim: n("ipa_head_dim")?,
        ipa_qk: n("ipa_qk")?,
        ipa_v: n("ipa_v")?,
        layout,
        frames,
        abs_pos_emb,
        crop: if abs_pos_emb { n("crop")? } else { 0 },
        path: Path::Gvp,
        ..NetworkConfig::full()
    };
    config.check()?;
    Ok(config)
}

fn load_weights(path: &FilePath) -> Result<params::Values> {
    let case = Case::load(path)?;
    let values = case.names().map(|name| {
        let array = case.get(name)?;
        Ok((
            name.to_string(),
            (array.shape.clone(), array.data.iter().map(|v| *v as f32).collect()),
        ))
    });
    values.collect()
}

/// Which residues are real, `[B, L]`.
struct ValidRows {
    mask: Vec<bool>,
    samples: usize,
    residues: usize,
}

impl ValidRows {
    fn of(case: &Case) -> Result<Self> {
        let mask = case.get("in.mask")?;
        let [samples, residues] = mask.shape[..] else { bail!("in.mask is not [B, L]") };
        Ok(Self { mask: mask.data.iter().map(|m| *m > 0.5).collect(), samples, residues })
    }

    fn padded(&self) -> bool {
        self.mask.iter().any(|m| !m)
    }

    /// Keeps the valid rows of `[B, frames, L, width]` (`by_residue` false: `[B·L, frames, width]`).
    fn keep(&self, data: &[f64], frames: usize, by_residue: bool) -> Vec<f64> {
        let width = data.len() / (self.samples * frames * self.residues).max(1);
        let mut kept = Vec::with_capacity(data.len());
        for (row, values) in data.chunks_exact(width.max(1)).enumerate() {
            let token = if by_residue {
                row / (frames * self.residues) * self.residues + row % self.residues
            } else {
                row / frames
            };
            if self.mask.get(token).copied().unwrap_or(false) {
                kept.extend_from_slice(values);
            }
        }
        kept
    }
}

struct Check<'a> {
    case: &'a Case,
    config: NetworkConfig,
    dtype: DType,
    tolerance: Tolerance,
    valid: ValidRows,
}

fn f64s(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

impl Check<'_> {
    fn run(&self, values: &params::Values) -> Result<Report> {
        let mut report = Report::new();
        let tensors = params::tensors(values, self.dtype, &Tensors::Cpu)?;
        let network = Network::new(&self.config, &tensors)?;
        let mut tap = Tap::recording();
        let frames = self.config.frames;
        let prepared = network.prepare(self.condition()?, frames, &mut tap)?;
        let t = &self.case.get("fwd.t")?.data;
        let v = network.velocity(&self.latent("fwd.x")?, t, &prepared, &mut tap)?;
        self.dense(&mut report, "fwd.velocity", &f64s(&v)?, frames)?;
        for (name, value) in tap.into_activations() {
            self.activation(&mut report, &name, &f64s(&value)?)?;
        }
        self.single_token(&network, &mut report)?;
        self.training_step(values, &mut report)?;
        self.samples(&network, &prepared, &mut report)?;
        self.decoding(&mut report)?;
        self.rollout(&network, &mut report)?;
        Ok(report)
    }

    fn condition(&self) -> Result<Condition> {
        let x_cond = self.case.get("prep.x_cond")?.data.clone();
        let mask = self.case.get("prep.x_cond_mask")?;
        self.condition_with(x_cond, mask.data.iter().map(|m| *m > 0.5).collect())
    }

    /// The case's start frames and types with another `x_cond`.
    fn condition_with(&self, x_cond: Vec<f64>, x_cond_mask: Vec<bool>) -> Result<Condition> {
        let (rots, trans) = (self.case.get("in.rots")?, self.case.get("in.trans")?);
        let (all, l) = (rots.shape[1], self.valid.residues);
        let frames = (0..self.valid.samples * l).map(|i| {
            let at = i / l * all * l + i % l;
            let r = std::array::from_fn(|k| rots.data[at * 9 + k]);
            (r, std::array::from_fn(|k| trans.data[at * 3 + k]))
        });
        Ok(Condition {
            residues: l,
            frames: Arc::new(frames.collect()),
            residue_types: self.case.get("prep.aatype")?.data.iter().map(|a| *a as u32).collect(),
            x_cond,
            x_cond_mask,
            mask: self.valid.padded().then(|| self.valid.mask.clone()),
            temperatures_kelvin: None,
        })
    }

    fn latent(&self, name: &str) -> Result<Tensor> {
        let x = self.case.get(name)?;
        let rows = x.data.len() / LATENT;
        Ok(Tensor::from_slice(&x.data, (rows, LATENT), &Tensors::Cpu)?.to_dtype(self.dtype)?)
    }

    fn dense(&self, report: &mut Report, name: &str, got: &[f64], frames: usize) -> Result<()> {
        let reference = &self.case.get(name)?.data;
        let (got, want) =
            (self.valid.keep(got, frames, true), self.valid.keep(reference, frames, true));
        report.check_abs(name, &got, &want, self.tolerance.dense);
        Ok(())
    }

    /// A whole window's latents, to a tolerance of their own.
    fn dense_within(
        &self,
        report: &mut Report,
        name: &str,
        got: &[f64],
        tolerance: f64,
    ) -> Result<()> {
        let (want, frames) = (&self.case.get(name)?.data, self.config.frames);
        let keep = |x: &[f64]| self.valid.keep(x, frames, true);
        report.check_abs(name, &keep(got), &keep(want), tolerance);
        Ok(())
    }

    fn activation(&self, report: &mut Report, module: &str, got: &[f64]) -> Result<()> {
        let name = format!("act.{module}");
        let Some(reference) = self.case.find(&name) else { return Ok(()) };
        let per_sample = module == "t_embedder" || module.ends_with("adaLN_modulation");
        let (got, want) = if per_sample {
            (got.to_vec(), reference.data.clone())
        } else {
            let frames = if module.starts_with("ipa_layers") { 1 } else { self.config.frames };
            // mha_t is stored [B·L, T, C]; ours is in token order [B, T, L, C].
            let by_residue = !module.ends_with("mha_t");
            let want = self.valid.keep(&reference.data, frames, by_residue);
            let got = if by_residue { got.to_vec() } else { self.frames_inside(got) };
            (self.valid.keep(&got, frames, by_residue), want)
        };
        report.check_abs(&name, &got, &want, self.tolerance.dense);
        Ok(())
    }

    /// `[B, T, L, C]` to `[B·L, T, C]`.
    fn frames_inside(&self, x: &[f64]) -> Vec<f64> {
        let (b, t, l) = (self.valid.samples, self.config.frames, self.valid.residues);
        let c = self.config.embed_dim;
        let mut out = Vec::with_capacity(x.len());
        for (b, l_at, t_at) in
            (0..b).flat_map(|b| (0..l).flat_map(move |i| (0..t).map(move |k| (b, i, k))))
        {
            out.extend_from_slice(&x[((b * t + t_at) * l + l_at) * c..][..c]);
        }
        out
    }

    /// The same weights in the one-token layout.
    fn single_token(&self, network: &Network, report: &mut Report) -> Result<()> {
        if self.case.find("t1.velocity").is_none() {
            return Ok(());
        }
        let prepared = network.prepare(self.single_token_condition()?, 1, &mut Tap::default())?;
        let times = &self.case.get("fwd.t")?.data;
        let v = network.velocity(&self.latent("t1.x")?, times, &prepared, &mut Tap::default())?;
        self.dense(report, "t1.velocity", &f64s(&v)?, 1)
    }

    fn single_token_condition(&self) -> Result<Condition> {
        let (b, t, l) = (self.valid.samples, self.config.frames, self.valid.residues);
        let latents = &self.case.get("prep.latents")?.data;
        let first = |b: usize| latents[b * t * l * LATENT..][..l * LATENT].to_vec();
        self.condition_with((0..b).flat_map(first).collect(), self.valid.mask.clone())
    }

    /// Path, velocity, loss and every parameter's gradient of the stored training step.
    fn training_step(&self, values: &params::Values, report: &mut Report) -> Result<()> {
        if self.case.find("train.loss").is_none() {
            return Ok(());
        }
        let get = |name: &str| self.case.get(name).map(|a| a.data.clone());
        let (x1, x0, t) = (get("prep.latents")?, get("train.x0")?, get("train.t")?);
        let per_sample = x1.len() / t.len();
        let at = |k: usize| self.config.path.at(t[k / per_sample]);
        let mix = |k: usize| {
            (
                at(k).alpha * x1[k] + at(k).sigma * x0[k],
                at(k).alpha_rate * x1[k] + at(k).sigma_rate * x0[k],
            )
        };
        let (xt, ut): (Vec<f64>, Vec<f64>) = (0..x1.len()).map(mix).unzip();
        self.dense(report, "train.xt", &xt, self.config.frames)?;
        self.dense(report, "train.ut", &ut, self.config.frames)?;

        let (values, device) = (values.clone(), &Tensors::Cpu);
        let learner = Learner::new(&self.config, values, self.dtype, device, Precision::F32)?;
        let network = learner.network();
        let prepared =
            network.prepare(self.condition()?, self.config.frames, &mut Tap::default())?;
        let v = network.velocity(&self.latent("train.xt")?, &t, &prepared, &mut Tap::default())?;
        self.dense(report, "train.pred", &f64s(&v)?, self.config.frames)?;
        let weights = get("prep.loss_mask")?;
        let loss = marsfm_surrogate::flow_loss(&v, &self.latent("train.ut")?, &weights, t.len())?;
        let reference = &self.case.get("train.loss")?.data;
        let relative = f64s(&loss)?.into_iter().zip(reference).map(|(a, b)| (a / b - 1.0).abs());
        report.check("train.loss", relative.fold(0.0, f64::max), self.tolerance.loss, "rel");
        if self.valid.padded() && !self.case.names().any(|n| n.starts_with("grad.")) {
            return Ok(());
        }
        let loss = loss.mean_all()?;
        let gradients: BTreeMap<String, Vec<f64>> = if self.dtype == DType::F64 {
            learner.gradients(&loss)?
        } else {
            let wide = |g: Vec<f32>| g.into_iter().map(f64::from).collect();
            learner.gradients(&loss)?.into_iter().map(|(name, g)| (name, wide(g))).collect()
        };
        for name in self.case.names().filter_map(|n| n.strip_prefix("grad.")) {
            let got =
                gradients.get(name).with_context(|| format!("parameter {name} got no gradient"))?;
            let want = &self.case.get(&format!("grad.{name}"))?.data;
            let scale = want.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
            let err = max_abs_diff(got, want) / scale;
            report.check(&format!("grad.{name}"), err, self.tolerance.gradient, "rel_to_max");
        }
        Ok(())
    }

    /// Samples from the stored noise with the stored solvers.
    fn samples(&self, network: &Network, prepared: &Prepared, report: &mut Report) -> Result<()> {
        if self.case.find("ode.z").is_none() {
            return Ok(());
        }
        let mut solvers = vec![
            ("ode.euler11", Solver::Euler { steps: 10 }, self.tolerance.dense),
            ("ode.euler50", Solver::Euler { steps: 49 }, self.tolerance.dense),
            ("ode.dopri5", Solver::Dopri5Batch { rtol: 1e-3, atol: 1e-6 }, self.tolerance.adaptive),
        ];
        if self.dtype == DType::F64 {
            let tight = Solver::Dopri5Batch { rtol: 1e-10, atol: 1e-12 };
            solvers.push(("ode.dopri5_tight", tight, self.tolerance.adaptive));
        }
        for (name, solver, tolerance) in solvers {
            if self.case.find(name).is_none() {
                continue;
            }
            let x = self.sample(network, prepared, "ode.z", solver)?;
            self.dense_within(report, name, &x, tolerance)?;
        }
        Ok(())
    }

    fn sample(
        &self,
        network: &Network,
        prepared: &Prepared,
        z: &str,
        solver: Solver,
    ) -> Result<Vec<f64>> {
        let solution = solve(solver, &self.latent(z)?, |t, x| {
            network.velocity(x, t, prepared, &mut Tap::default())
        })?;
        f64s(&solution.x)
    }

    /// Atoms from the *stored* samples.
    fn decoding(&self, report: &mut Report) -> Result<()> {
        let Some(stored) = self.case.find("decode.atom14") else { return Ok(()) };
        let Some(samples) = self.case.find("ode.dopri5") else { return Ok(()) };
        let got = self.decoded(&samples.data, &self.start()?)?;
        let keep = |x: &[f64]| self.valid.keep(x, self.config.frames, true);
        report.check_abs("decode.atom14", &keep(&got), &keep(&stored.data), self.tolerance.atoms);
        Ok(())
    }

    /// The start conformation of each sample.
    fn start(&self) -> Result<Vec<Conformation<f64>>> {
        let l = self.valid.residues;
        let condition = self.condition()?;
        let conformation = |b: usize| {
            let frames = &condition.frames[b * l..][..l];
            start_of(frames)
        };
        Ok((0..self.valid.samples).map(conformation).collect())
    }

    fn types(&self, b: usize) -> Result<Vec<ResidueType>> {
        let (all, l) = (&self.case.get("prep.aatype")?.data, self.valid.residues);
        all[b * l..][..l]
            .iter()
            .map(|a| ResidueType::from_index(*a as usize).context("residue type outside 0..=20"))
            .collect()
    }

    /// Latents `[B, T, L, 21]` to atom14 `[B, T, L, 14, 3]`, in the working precision.
    fn decoded(&self, latents: &[f64], start: &[Conformation<f64>]) -> Result<Vec<f64>> {
        let l = self.valid.residues;
        let mut atoms = Vec::new();
        for (frame, rows) in latents.chunks_exact(l * LATENT).enumerate() {
            let b = frame / self.config.frames;
            let types = self.types(b)?;
            atoms.extend(if self.dtype == DType::F64 {
                decode_atoms::<f64>(&start[b], rows, &types)
            } else {
                decode_atoms::<f32>(&start[b], rows, &types)
            });
        }
        Ok(atoms)
    }

    /// MDGen's autoregressive calls, one after the other: the last frame of a call, as atoms and
    /// encoded again, is the next condition. The first call's noise is that of the samples.
    fn rollout(&self, network: &Network, report: &mut Report) -> Result<()> {
        if self.case.find("roll0.atom14").is_none() {
            return Ok(());
        }
        let (l, t, types) = (self.valid.residues, self.config.frames, self.types(0)?);
        // What the stored first call is encoded to, apart from how close our own call comes.
        let stored = last_frame(&self.case.get("roll0.atom14")?.data, l);
        self.next_condition(0, &encode_atoms(stored, &types), self.tolerance.atoms, report)?;
        let mut condition = self.condition()?;
        let mut start = self.start()?;
        for call in 0.. {
            let z = if call == 0 { "ode.z".into() } else { format!("roll{call}.z") };
            let (Some(_), Some(want)) =
                (self.case.find(&z), self.case.find(&format!("roll{call}.atom14")))
            else {
                break;
            };
            let prepared = network.prepare(condition, t, &mut Tap::default())?;
            let solver = Solver::Dopri5Batch { rtol: 1e-3, atol: 1e-6 };
            let x = self.sample(network, &prepared, &z, solver)?;
            let got = self.decoded(&x, &start)?;
            let tolerance = self.tolerance.adaptive;
            report.check_abs(&format!("roll{call}.atom14"), &got, &want.data, tolerance);
            let next = encode_atoms(last_frame(&got, l), &types);
            if call > 0 {
                self.next_condition(call, &next, tolerance, report)?;
            }
            condition = condition_from(&next, &types, t);
            start = vec![next];
        }
        Ok(())
    }

    fn next_condition(
        &self,
        call: usize,
        next: &Conformation<f64>,
        tolerance: f64,
        report: &mut Report,
    ) -> Result<()> {
        for (what, got) in [
            ("trans", next.rigids.iter().flat_map(|r| r.trans).collect::<Vec<_>>()),
            ("rots", next.rigids.iter().flat_map(|r| r.rot.concat()).collect()),
            ("torsions", next.torsions.iter().flatten().flatten().copied().collect()),
        ] {
            let name = format!("roll{call}.next_{what}");
            report.check_abs(&name, &got, &self.case.get(&name)?.data, tolerance);
        }
        Ok(())
    }
}

/// The condition of a window of `t` frames that begins at `start`.
fn condition_from(start: &Conformation<f64>, types: &[ResidueType], t: usize) -> Condition {
    let l = types.len();
    let mut x_cond = marsfm_geometry::latent::encode(start, start).concat();
    x_cond.resize(t * l * LATENT, 0.0);
    let mut x_cond_mask = vec![true; l];
    x_cond_mask.resize(t * l, false);
    Condition {
        residues: l,
        frames: Arc::new(start.rigids.iter().map(flat_frame).collect()),
        residue_types: types.iter().map(|a| a.index() as u32).collect(),
        x_cond,
        x_cond_mask,
        mask: None,
        temperatures_kelvin: None,
    }
}

/// The last frame `[L, 14, 3]` of `[1, T, L, 14, 3]`.
fn last_frame(atoms: &[f64], l: usize) -> &[f64] {
    &atoms[atoms.len() - l * 42..]
}

fn flat_frame(r: &Rigid<f64>) -> ([f64; 9], [f64; 3]) {
    (std::array::from_fn(|k| r.rot[k / 3][k % 3]), r.trans)
}

/// Start frames as a conformation (its torsions are not needed for decoding).
fn start_of(frames: &[([f64; 9], [f64; 3])]) -> Conformation<f64> {
    let rigid = |(r, t): &([f64; 9], [f64; 3])| Rigid {
        rot: std::array::from_fn(|a| std::array::from_fn(|b| r[3 * a + b])),
        trans: *t,
    };
    Conformation {
        rigids: frames.iter().map(rigid).collect(),
        torsions: vec![[[0.0, 1.0]; 7]; frames.len()],
    }
}

/// One frame of latents `[L·21]` to atom14 `[L·14·3]`, computed in `T`.
fn decode_atoms<T: marsfm_geometry::Real>(
    start: &Conformation<f64>,
    rows: &[f64],
    types: &[ResidueType],
) -> Vec<f64> {
    let rows: Vec<[T; LATENT]> =
        rows.chunks_exact(LATENT).map(|r| std::array::from_fn(|k| T::of(r[k]))).collect();
    let atoms = marsfm_geometry::decode(&start.cast::<T>(), &rows).to_atom14(types);
    atoms.iter().flatten().flatten().map(|v| v.f64()).collect()
}

/// Atoms `[L·14·3]` to a conformation, masked torsions cleared.
fn encode_atoms(atoms: &[f64], types: &[ResidueType]) -> Conformation<f64> {
    let atom14: Vec<[[f64; 3]; 14]> = atoms
        .chunks_exact(42)
        .map(|r| std::array::from_fn(|a| std::array::from_fn(|x| r[3 * a + x])))
        .collect();
    let mut c = Conformation::from_atom14(types, &atom14);
    c.clear_masked(types);
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(case: &str, weights: Option<&str>, double: bool) {
        let Some(shared) = marsfm_test_support::shared_or_skip("verify network") else { return };
        let case = Case::load(&shared.join("fixtures").join(case)).unwrap();
        let weights = weights.map_or("recipe".into(), |w| shared.join("fixtures").join(w));
        let report = run(&case, &weights, double).unwrap();
        if case.stem().starts_with("case_mdgen") {
            for name in ["roll0.atom14", "roll1.atom14", "roll1.next_rots"] {
                assert!(report.tensors.contains_key(name), "{name} was not compared");
            }
        }
        let bad: Vec<_> =
            report.tensors.iter().filter(|(_, c)| c.err > c.tol || c.err.is_nan()).collect();
        assert!(report.ok, "{bad:#?}");
        assert!(report.tensors.len() >= 12, "only {} tensors compared", report.tensors.len());
    }

    #[test]
    fn single_precision_meets_every_stored_number() {
        let weights = "case_a_small_T2_L4.weights.safetensors";
        passes("case_a_small_T2_L4.f32.safetensors", Some(weights), false);
        let weights = "case_mdgen_small_T8_L4.weights.safetensors";
        passes("case_mdgen_small_T8_L4.f32.safetensors", Some(weights), false);
    }

    #[test]
    fn double_precision_meets_the_reference_tightly_with_weights_by_recipe() {
        passes("case_a_small_T2_L4.f64.safetensors", None, true);
        passes("case_mdgen_small_T8_L4.f64.safetensors", None, true);
    }
}
