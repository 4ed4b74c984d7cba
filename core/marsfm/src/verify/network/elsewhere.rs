//! A stored case on another device: velocity, one training step, samples, all through the coarse
//! verbs of a backend.

use anyhow::{Context, Result};
use marsfm_surrogate::candle_core::{Device, Tensor};
use marsfm_surrogate::{Backend, Batch, Condition, Solver, SurrogateError, params, solve};

use super::{Check, LATENT, Report, max_abs_diff};

impl Check<'_> {
    pub(super) fn run_on(&self, backend: &dyn Backend, values: &params::Values) -> Result<Report> {
        let mut report = Report::new();
        let condition = self.condition()?;
        let get = |name: &str| self.case.get(name).map(|a| a.data.clone());
        let v = backend.velocity(&condition, &get("fwd.x")?, &get("fwd.t")?)?;
        self.dense(&mut report, "fwd.velocity", &v, self.config.frames)?;
        if self.case.find("t1.velocity").is_some() {
            let condition = self.single_token_condition()?;
            let v = backend.velocity(&condition, &get("t1.x")?, &get("fwd.t")?)?;
            self.dense(&mut report, "t1.velocity", &v, 1)?;
        }
        self.lesson(backend, values, &condition, &mut report)?;
        self.samples_on(backend, &condition, &mut report)?;
        Ok(report)
    }

    /// Mean loss and every parameter's gradient of the stored training step.
    fn lesson(
        &self,
        backend: &dyn Backend,
        values: &params::Values,
        condition: &Condition,
        report: &mut Report,
    ) -> Result<()> {
        if self.case.find("train.loss").is_none() {
            return Ok(());
        }
        let get = |name: &str| self.case.get(name).map(|a| a.data.clone());
        let batch = Batch {
            condition: condition.clone(),
            x: get("train.xt")?,
            u: get("train.ut")?,
            t: get("train.t")?,
            weights: get("prep.loss_mask")?,
        };
        let (loss, gradients) = backend.gradients(values, &batch)?;
        let stored = get("train.loss")?;
        let mean = stored.iter().sum::<f64>() / stored.len() as f64;
        report.check("train.loss", (loss / mean - 1.0).abs(), self.tolerance.loss, "rel");
        for name in self.case.names().filter_map(|n| n.strip_prefix("grad.")) {
            let got = gradients.get(name).with_context(|| format!("no parameter {name}"))?;
            let got: Vec<f64> = got.iter().map(|v| f64::from(*v)).collect();
            let want = &self.case.get(&format!("grad.{name}"))?.data;
            let scale = want.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
            let err = max_abs_diff(&got, want) / scale;
            report.check(&format!("grad.{name}"), err, self.tolerance.gradient, "rel_to_max");
        }
        Ok(())
    }

    /// Samples from the stored noise. The solver's own arithmetic is done here.
    fn samples_on(
        &self,
        backend: &dyn Backend,
        condition: &Condition,
        report: &mut Report,
    ) -> Result<()> {
        if self.case.find("ode.z").is_none() {
            return Ok(());
        }
        let samples = self.valid.samples;
        for (name, solver, tolerance) in [
            ("ode.euler11", Solver::Euler { steps: 10 }, self.tolerance.dense),
            ("ode.euler50", Solver::Euler { steps: 49 }, self.tolerance.dense),
            ("ode.dopri5", Solver::Dopri5Batch { rtol: 1e-3, atol: 1e-6 }, self.tolerance.adaptive),
        ] {
            if self.case.find(name).is_none() {
                continue;
            }
            let solution = solve(solver, &self.latent("ode.z")?, |t, x| {
                let data: Vec<f64> =
                    x.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
                let times = vec![t[0]; samples];
                let v = backend.velocity(condition, &data, &times)?;
                let v: Vec<f32> = v.into_iter().map(|v| v as f32).collect();
                let rows = v.len() / LATENT;
                Ok::<_, SurrogateError>(Tensor::from_vec(v, (rows, LATENT), &Device::Cpu)?)
            })?;
            self.dense_within(report, name, &super::f64s(&solution.x)?, tolerance)?;
        }
        Ok(())
    }
}
