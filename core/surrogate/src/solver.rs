//! From noise to data: integrates dx/dt = v(x, t) from t = 0 to t = 1.
//!
//! Fixed grids (Adams, Euler, midpoint, Heun, RK4) give the same steps whatever the batch.
//! Dormand–Prince 5(4) comes twice: with torchdiffeq's controller, whose error norm couples all
//! samples of a batch (the reference's behaviour, for parity), and with one controller per sample,
//! so that a sample does not depend on its neighbours.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::SurrogateError;

type Result<T> = std::result::Result<T, SurrogateError>;

/// How to integrate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "method")]
pub enum Solver {
    /// `steps` evaluations, third order: Adams–Bashforth–Moulton of orders 2 and 3, whose
    /// correction reuses the velocity at the prediction (PEC), on t = sin(πs/2).
    Adams {
        /// Steps, each shorter than the one before.
        steps: usize,
    },
    /// `steps` evaluations, first order.
    Euler {
        /// Steps of equal length.
        steps: usize,
    },
    /// 2·`steps` evaluations, second order.
    Midpoint {
        /// Steps of equal length.
        steps: usize,
    },
    /// 2·`steps` evaluations, second order.
    Heun {
        /// Steps of equal length.
        steps: usize,
    },
    /// 4·`steps` evaluations, fourth order.
    Rk4 {
        /// Steps of equal length.
        steps: usize,
    },
    /// Adaptive; one controller for the whole batch, as torchdiffeq.
    Dopri5Batch {
        /// Relative tolerance.
        rtol: f64,
        /// Absolute tolerance.
        atol: f64,
    },
    /// Adaptive; every sample has its own steps.
    Dopri5 {
        /// Relative tolerance.
        rtol: f64,
        /// Absolute tolerance.
        atol: f64,
    },
}

/// A solution and what it cost.
pub struct Solution {
    /// State at t = 1, the shape of the start.
    pub x: Tensor,
    /// Velocity evaluations; for [`Solver::Dopri5`] the largest number of any sample.
    pub evaluations: usize,
}

/// Integrates from `x0` `[samples, …]`. `velocity(t, x)` gets one time for all samples, or one per
/// sample from [`Solver::Dopri5`].
pub fn solve(
    solver: Solver,
    x0: &Tensor,
    mut velocity: impl FnMut(&[f64], &Tensor) -> Result<Tensor>,
) -> Result<Solution> {
    let mut evaluations = 0;
    let mut v = |t: &[f64], x: &Tensor| {
        evaluations += 1;
        velocity(t, x)
    };
    let grid = |steps: usize| {
        let n = steps.max(1);
        (0..n).map(move |i| (i as f64 / n as f64, 1.0 / n as f64))
    };
    let mut x = x0.clone();
    match solver {
        Solver::Adams { steps } => x = adams(&x, steps.max(1), &mut v)?,
        Solver::Euler { steps } => {
            for (t, h) in grid(steps) {
                x = (&x + v(&[t], &x)?.affine(h, 0.0)?)?;
            }
        }
        Solver::Midpoint { steps } => {
            for (t, h) in grid(steps) {
                let half = (&x + v(&[t], &x)?.affine(h / 2.0, 0.0)?)?;
                x = (&x + v(&[t + h / 2.0], &half)?.affine(h, 0.0)?)?;
            }
        }
        Solver::Heun { steps } => {
            for (t, h) in grid(steps) {
                let k1 = v(&[t], &x)?;
                let k2 = v(&[t + h], &(&x + k1.affine(h, 0.0)?)?)?;
                x = (&x + (k1 + k2)?.affine(h / 2.0, 0.0)?)?;
            }
        }
        Solver::Rk4 { steps } => {
            for (t, h) in grid(steps) {
                let k1 = v(&[t], &x)?;
                let k2 = v(&[t + h / 2.0], &(&x + k1.affine(h / 2.0, 0.0)?)?)?;
                let k3 = v(&[t + h / 2.0], &(&x + k2.affine(h / 2.0, 0.0)?)?)?;
                let k4 = v(&[t + h], &(&x + k3.affine(h, 0.0)?)?)?;
                let k = ((k1 + k4)? + (k2 + k3)?.affine(2.0, 0.0)?)?;
                x = (&x + k.affine(h / 6.0, 0.0)?)?;
            }
        }
        Solver::Dopri5Batch { rtol, atol } => x = batch_coupled(&x, rtol, atol, &mut v)?,
        Solver::Dopri5 { rtol, atol } => x = per_sample(&x, rtol, atol, &mut v)?,
    }
    Ok(Solution { x, evaluations })
}

/// Velocities that an Adams prediction is made of; its correction takes one more.
const ADAMS_NODES: usize = 2;

/// Predict, evaluate, correct. The last prediction is not corrected: it would cost an evaluation.
fn adams(
    x0: &Tensor,
    steps: usize,
    v: &mut impl FnMut(&[f64], &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let grid = |i: usize| (std::f64::consts::FRAC_PI_2 * i as f64 / steps as f64).sin();
    let mut x = x0.clone();
    let mut nodes: Vec<(f64, Tensor)> = Vec::new();
    let latest = |nodes: &[(f64, Tensor)], n: usize, x: &Tensor, ends: [f64; 2]| {
        let nodes = &nodes[nodes.len().saturating_sub(n)..];
        let times: Vec<f64> = nodes.iter().map(|(t, _)| *t).collect();
        let mut weighted = integrals(&times, ends).into_iter().zip(nodes);
        weighted.try_fold(x.clone(), |x, (w, (_, v))| -> Result<Tensor> {
            Ok((x + v.affine(w, 0.0)?)?)
        })
    };
    nodes.push((0.0, v(&[0.0], &x)?));
    for i in 0..steps {
        let ends = [grid(i), grid(i + 1)];
        let predicted = latest(&nodes, ADAMS_NODES, &x, ends)?;
        if i + 1 == steps {
            return Ok(predicted);
        }
        nodes.push((ends[1], v(&[ends[1]], &predicted)?));
        x = latest(&nodes, ADAMS_NODES + 1, &x, ends)?;
        nodes.drain(..nodes.len() - ADAMS_NODES);
    }
    Ok(x)
}

/// Integrals from one end to the other of the Lagrange polynomials of at most four `times`, by
/// Gauss's rule of two points, which is exact for them.
fn integrals(times: &[f64], [a, b]: [f64; 2]) -> Vec<f64> {
    let lagrange = |i: usize, t: f64| -> f64 {
        let others = times.iter().enumerate().filter(|(j, _)| *j != i);
        others.map(|(_, u)| (t - u) / (times[i] - u)).product()
    };
    let (middle, half) = ((a + b) / 2.0, (b - a) / 2.0);
    let at = half / 3f64.sqrt();
    (0..times.len()).map(|i| half * (lagrange(i, middle - at) + lagrange(i, middle + at))).collect()
}

/// Dormand–Prince nodes, weights, error weights and the midpoint weights of its interpolant.
const NODES: [f64; 6] = [1. / 5., 3. / 10., 4. / 5., 8. / 9., 1., 1.];
const WEIGHTS: [&[f64]; 6] = [
    &[1. / 5.],
    &[3. / 40., 9. / 40.],
    &[44. / 45., -56. / 15., 32. / 9.],
    &[19372. / 6561., -25360. / 2187., 64448. / 6561., -212. / 729.],
    &[9017. / 3168., -355. / 33., 46732. / 5247., 49. / 176., -5103. / 18656.],
    &[35. / 384., 0., 500. / 1113., 125. / 192., -2187. / 6784., 11. / 84.],
];
const ERROR: [f64; 7] = [
    35. / 384. - 1951. / 21600.,
    0.,
    500. / 1113. - 22642. / 50085.,
    125. / 192. - 451. / 720.,
    -2187. / 6784. + 12231. / 42400.,
    11. / 84. - 649. / 6300.,
    -1. / 60.,
];
const MIDDLE: [f64; 7] = [
    6_025_192_743. / 30_085_553_152. / 2.,
    0.,
    51_252_292_925. / 65_400_821_598. / 2.,
    -2_691_868_925. / 45_128_329_728. / 2.,
    187_940_372_067. / 1_594_534_317_056. / 2.,
    -1_776_094_331. / 19_743_644_256. / 2.,
    11_237_099. / 235_043_384. / 2.,
];

/// Per-sample factor `[samples, 1, …]` times a tensor, or one factor for all.
fn scaled(x: &Tensor, factor: &[f64]) -> Result<Tensor> {
    if let [one] = factor {
        return Ok(x.affine(*one, 0.0)?);
    }
    let mut dims = vec![1; x.rank()];
    dims[0] = factor.len();
    let f = Tensor::from_slice(factor, dims, x.device())?.to_dtype(x.dtype())?;
    Ok(x.broadcast_mul(&f)?)
}

/// Σ w_i k_i.
fn combination(k: &[Tensor], weights: &[f64]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (k, w) in k.iter().zip(weights).filter(|(_, w)| **w != 0.0) {
        let term = k.affine(*w, 0.0)?;
        sum = Some(match sum {
            None => term,
            Some(s) => (s + term)?,
        });
    }
    Ok(sum.expect("every row of the tableau has a weight"))
}

struct Step {
    /// State at the end of the step.
    y1: Tensor,
    /// The seven stage velocities; the last is the velocity at the end.
    k: Vec<Tensor>,
}

fn step(
    y0: &Tensor,
    f0: &Tensor,
    t: &[f64],
    h: &[f64],
    v: &mut impl FnMut(&[f64], &Tensor) -> Result<Tensor>,
) -> Result<Step> {
    let mut k = vec![f0.clone()];
    let mut y1 = y0.clone();
    for (node, weights) in NODES.iter().zip(WEIGHTS) {
        y1 = (y0 + scaled(&combination(&k, weights)?, h)?)?;
        let at: Vec<f64> = t.iter().zip(h).map(|(t, h)| t + node * h).collect();
        k.push(v(&at, &y1)?);
    }
    Ok(Step { y1, k })
}

/// RMS of x / scale per sample (`groups` = samples) or over everything (1).
fn rms(x: &Tensor, scale: &Tensor, groups: usize) -> Result<Vec<f64>> {
    let ratio = x.div(scale)?.to_dtype(candle_core::DType::F64)?;
    let n = ratio.elem_count() / groups;
    let square = ratio.reshape((groups, n))?.sqr()?.sum(1)?;
    Ok(square.to_vec1::<f64>()?.into_iter().map(|s| (s / n as f64).sqrt()).collect())
}

/// The usual first step (Hairer, Nørsett & Wanner II.4), as torchdiffeq for order 5.
fn first_step(
    y0: &Tensor,
    f0: &Tensor,
    (rtol, atol): (f64, f64),
    groups: usize,
    v: &mut impl FnMut(&[f64], &Tensor) -> Result<Tensor>,
) -> Result<Vec<f64>> {
    let scale = y0.abs()?.affine(rtol, atol)?;
    let (d0, d1) = (rms(y0, &scale, groups)?, rms(f0, &scale, groups)?);
    let h0: Vec<f64> = (0..groups)
        .map(|i| if d0[i] < 1e-5 || d1[i] < 1e-5 { 1e-6 } else { 0.01 * d0[i] / d1[i] })
        .collect();
    let f1 = v(&h0, &(y0 + scaled(f0, &h0)?)?)?;
    let d2 = rms(&(f1 - f0)?, &scale, groups)?;
    Ok((0..groups)
        .map(|i| {
            let d2 = d2[i] / h0[i];
            let h1 = if d1[i] <= 1e-15 && d2 <= 1e-15 {
                f64::max(1e-6, h0[i] * 1e-3)
            } else {
                (0.01 / d1[i].max(d2)).powf(0.2)
            };
            h1.min(100.0 * h0[i])
        })
        .collect())
}

/// Step-size factor after an error ratio (safety 0.9, at most 10, at least 0.2).
fn factor(ratio: f64) -> f64 {
    if ratio == 0.0 {
        return 10.0;
    }
    let least = if ratio < 1.0 { 1.0 } else { 0.2 };
    (0.9 / ratio.powf(0.2)).max(least).min(10.0)
}

fn error_ratio(
    s: &Step,
    y0: &Tensor,
    h: &[f64],
    (rtol, atol): (f64, f64),
    groups: usize,
) -> Result<Vec<f64>> {
    let error = scaled(&combination(&s.k, &ERROR)?, h)?;
    let scale = y0.abs()?.maximum(&s.y1.abs()?)?.affine(rtol, atol)?;
    rms(&error, &scale, groups)
}

/// More steps than this mean that the velocity field is broken (or the tolerance absurd).
const MOST_STEPS: usize = 100_000;

fn gave_up(t: f64) -> SurrogateError {
    SurrogateError::Input(format!(
        "the adaptive solver gave up at t = {t}: the velocity is not finite or too rough"
    ))
}

/// torchdiffeq's dopri5: one controller, steps run past t = 1 and the end is interpolated.
fn batch_coupled(
    x0: &Tensor,
    rtol: f64,
    atol: f64,
    v: &mut impl FnMut(&[f64], &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let (mut t, mut y, mut f) = (0.0, x0.clone(), v(&[0.0], x0)?);
    let mut h = first_step(&y, &f, (rtol, atol), 1, v)?[0];
    for _ in 0..MOST_STEPS {
        let s = step(&y, &f, &[t], &[h], v)?;
        let ratio = error_ratio(&s, &y, &[h], (rtol, atol), 1)?[0];
        if !ratio.is_finite() {
            return Err(gave_up(t));
        }
        if ratio <= 1.0 {
            let f1 = s.k[6].clone();
            if t + h >= 1.0 {
                return interpolate(&y, &s, &f, &f1, h, (1.0 - t) / h);
            }
            (t, y, f) = (t + h, s.y1, f1);
        }
        h *= factor(ratio);
    }
    Err(gave_up(t))
}

/// The quartic through both ends, their slopes and the midpoint, at x in [0, 1] of the step.
fn interpolate(y0: &Tensor, s: &Step, f0: &Tensor, f1: &Tensor, h: f64, x: f64) -> Result<Tensor> {
    let mid = (y0 + combination(&s.k, &MIDDLE)?.affine(h, 0.0)?)?;
    let terms = [y0.clone(), s.y1.clone(), mid, f0.clone(), f1.clone()];
    let sum = |w: [f64; 5]| combination(&terms, &w);
    let a = sum([-8., -8., 16., -2. * h, 2. * h])?;
    let b = sum([18., 14., -32., 5. * h, -3. * h])?;
    let c = sum([-11., -5., 16., -4. * h, h])?;
    let d = f0.affine(h, 0.0)?;
    let poly = combination(&[a, b, c, d], &[x.powi(4), x.powi(3), x * x, x])?;
    Ok((y0 + poly)?)
}

/// Every sample with its own step; a finished sample waits at t = 1 with a step of 0.
fn per_sample(
    x0: &Tensor,
    rtol: f64,
    atol: f64,
    v: &mut impl FnMut(&[f64], &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let n = x0.dim(0)?;
    let mut t = vec![0.0f64; n];
    let mut y = x0.clone();
    let mut f = v(&t, x0)?;
    let mut h = first_step(&y, &f, (rtol, atol), n, v)?;
    for _ in 0..MOST_STEPS {
        for (h, t) in h.iter_mut().zip(&t) {
            *h = h.min(1.0 - t);
        }
        let s = step(&y, &f, &t, &h, v)?;
        let ratio = error_ratio(&s, &y, &h, (rtol, atol), n)?;
        if let Some(i) = ratio.iter().position(|r| !r.is_finite()) {
            return Err(gave_up(t[i]));
        }
        let keep: Vec<f64> = ratio.iter().map(|r| if *r <= 1.0 { 1.0 } else { 0.0 }).collect();
        y = (&y + scaled(&(&s.y1 - &y)?, &keep)?)?;
        f = (&f + scaled(&(&s.k[6] - &f)?, &keep)?)?;
        for i in 0..n {
            if t[i] < 1.0 {
                let end = t[i] + h[i];
                if ratio[i] <= 1.0 {
                    t[i] = if end >= 1.0 - 1e-12 { 1.0 } else { end };
                }
                h[i] *= factor(ratio[i]);
            }
        }
        if t.iter().all(|t| *t >= 1.0) {
            return Ok(y);
        }
    }
    Err(gave_up(t.iter().copied().fold(1.0, f64::min)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// dx/dt = (t + 1) x / 2 per element has x(1) = x0 e^{3/4}.
    fn run(solver: Solver) -> (Vec<f64>, usize) {
        let x0 = Tensor::new(&[[1.0f64, -2.0], [0.5, 3.0]], &Device::Cpu).unwrap();
        let s = solve(solver, &x0, |t, x| {
            let rate: Vec<f64> = t.iter().map(|t| (t + 1.0) / 2.0).collect();
            scaled(x, &rate)
        })
        .unwrap();
        let exact = 0.75f64.exp();
        let got = s.x.div(&x0).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        (got.into_iter().map(|g| (g / exact - 1.0).abs()).collect(), s.evaluations)
    }

    #[test]
    fn each_method_converges_at_its_order() {
        let order = |make: fn(usize) -> Solver| {
            let (a, b) = (run(make(8)).0[0], run(make(16)).0[0]);
            (a / b).log2()
        };
        assert!((order(|steps| Solver::Adams { steps }) - 3.0).abs() < 0.3);
        assert!((order(|steps| Solver::Euler { steps }) - 1.0).abs() < 0.2);
        assert!((order(|steps| Solver::Midpoint { steps }) - 2.0).abs() < 0.2);
        assert!((order(|steps| Solver::Heun { steps }) - 2.0).abs() < 0.2);
        assert!((order(|steps| Solver::Rk4 { steps }) - 4.0).abs() < 0.3);
    }

    #[test]
    fn an_adams_step_is_one_evaluation_and_exact_for_a_velocity_linear_in_time() {
        let x0 = Tensor::new(&[[1.0f64, -2.0]], &Device::Cpu).unwrap();
        for steps in [2, 3, 9] {
            let solver = Solver::Adams { steps };
            let s = solve(solver, &x0, |t, x| Ok(x.zeros_like()?.affine(1.0, 3.0 * t[0])?));
            let s = s.unwrap();
            let got = s.x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            assert!((got[0] - 2.5).abs() < 1e-14 && (got[1] + 0.5).abs() < 1e-14, "{got:?}");
            assert_eq!(s.evaluations, steps);
        }
        assert_eq!(run(Solver::Adams { steps: 1 }).1, 1);
    }

    #[test]
    fn adaptive_methods_keep_their_tolerance() {
        for solver in [
            Solver::Dopri5Batch { rtol: 1e-9, atol: 1e-11 },
            Solver::Dopri5 { rtol: 1e-9, atol: 1e-11 },
        ] {
            let (errors, evaluations) = run(solver);
            assert!(errors.iter().all(|e| *e < 1e-7), "{solver:?}: {errors:?}");
            assert!(evaluations < 400);
        }
    }

    #[test]
    fn a_velocity_that_is_not_finite_is_an_error_not_a_loop() {
        let x0 = Tensor::new(&[[1.0f64]], &Device::Cpu).unwrap();
        let nan = Solver::Dopri5 { rtol: 1e-3, atol: 1e-6 };
        assert!(solve(nan, &x0, |_, x| Ok(x.affine(f64::NAN, 0.0)?)).is_err());
    }
}
