//! Every fused operation against its obvious form (values and gradients, f64), and the point
//! attention, which has none, against finite differences.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use rand::{RngExt, SeedableRng};

use super::activation::gated_residual_composed;
use super::linear::linear_composed;
use super::norm::modulated_norm_composed;
use super::*;

fn random(shape: &[usize], stream: u64) -> Var {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    rng.set_stream(stream);
    let n: usize = shape.iter().product();
    let data: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
    Var::from_tensor(&Tensor::from_vec(data, shape, &Device::Cpu).unwrap()).unwrap()
}

/// Largest difference of values and of all gradients of a weighted sum of the outputs.
fn compare(inputs: &[&Var], a: impl Fn() -> Result<Tensor>, b: impl Fn() -> Result<Tensor>) -> f64 {
    let (a, b) = (a().unwrap(), b().unwrap());
    let weights = random(a.dims(), 99);
    let gradients =
        |y: &Tensor| (y * weights.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
    let largest = |x: &Tensor, y: &Tensor| -> f64 {
        (x - y).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    };
    let (ga, gb) = (gradients(&a), gradients(&b));
    let differences = inputs.iter().map(|v| {
        let of = |g: &candle_core::backprop::GradStore| g.get(v.as_tensor()).unwrap().clone();
        largest(&of(&ga), &of(&gb))
    });
    differences.fold(largest(&a, &b), f64::max)
}

#[test]
fn linear_is_a_matrix_product() {
    let (x, w, b) = (random(&[300, 24], 1), random(&[40, 24], 2), random(&[40], 3));
    assert!(compare(&[&x, &w, &b], || linear(&x, &w, &b), || linear_composed(&x, &w, &b)) < 1e-11);
}

#[test]
fn norms_gates_and_gelu_are_their_formulas() {
    let (x, y, m) = (random(&[12, 16], 1), random(&[12, 16], 2), random(&[3, 48], 3));
    let which = Modulation { shift: 2, scale: 0, eps: 1e-6 };
    let norm = compare(
        &[&x, &m],
        || modulated_norm(&x, &m, which),
        || modulated_norm_composed(&x, &m, which),
    );
    assert!(norm < 1e-12, "{norm}");
    let gate = compare(
        &[&x, &y, &m],
        || gated_residual(&x, &y, &m, 1),
        || gated_residual_composed(&x, &y, &m, 1),
    );
    assert!(gate < 1e-12, "{gate}");
    // candle's own erf is good to 1e-7 only.
    let smooth = compare(&[&x], || gelu(&x), || x.gelu_erf());
    assert!(smooth < 1e-6, "{smooth}");
    let (w, b) = (random(&[16], 5), random(&[16], 6));
    let affine = compare(
        &[&x, &w, &b],
        || affine_norm(&x, &w, &b, 1e-5),
        || {
            let centred = x.broadcast_sub(&x.mean_keepdim(1)?)?;
            let hat = centred.broadcast_div(&(centred.sqr()?.mean_keepdim(1)? + 1e-5)?.sqrt()?)?;
            hat.broadcast_mul(&w)?.broadcast_add(&b)
        },
    );
    assert!(affine < 1e-12, "{affine}");
}

#[test]
fn a_shared_context_is_added_to_every_child() {
    let (x, c) = (random(&[2, 3, 8], 1), random(&[2, 8], 2));
    let wide = || x.broadcast_add(&c.reshape((2, 1, 8))?);
    assert!(compare(&[&x, &c], || add_shared(&x, &c, 2), wide) < 1e-14);
}

#[test]
fn attention_is_softmax_attention_along_either_axis_and_under_a_mask() {
    let mask = Arc::new((0..30).map(|i| i % 5 != 4).collect::<Vec<bool>>());
    for axis in [Axis::Residues, Axis::Frames] {
        for mask in [None, Some(mask.clone())] {
            let (qkv, bias) = (random(&[30, 24], 1), random(&[2, 8], 2));
            let how = Attention { dims: (2, 3, 5), heads: 2, axis, mask };
            let err =
                compare(&[&qkv, &bias], || how.forward(&qkv, &bias), || how.composed(&qkv, &bias));
            assert!(err < 1e-12, "{axis:?}: {err}");
        }
    }
}

#[test]
fn point_attention_has_the_gradient_of_finite_differences_and_moves_with_its_frames() {
    let shape = IpaShape { heads: 2, channels: 3, query_points: 2, value_points: 2 };
    let turn = |angle: f64| {
        let (s, c) = angle.sin_cos();
        [c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0]
    };
    let frame = |i: usize| (turn(i as f64), [i as f64, 0.3 * (i * i) as f64, -0.2 * i as f64]);
    let kernel = |frames: Vec<([f64; 9], [f64; 3])>| IpaKernel {
        dims: (1, 4),
        shape,
        frames: Arc::new(frames),
        mask: None,
    };
    let (x, w) = (random(&[4, shape.projection()], 1), random(&[2], 2));
    let here = kernel((0..4).map(frame).collect());
    let weights = random(&[4, shape.output()], 3);
    let value = |x: &Tensor, w: &Tensor| -> f64 {
        let y = here.forward(x, w).unwrap();
        (y * weights.as_tensor()).unwrap().sum_all().unwrap().to_scalar().unwrap()
    };
    let y = here.forward(&x, &w).unwrap();
    let grad = (&y * weights.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
    for var in [&x, &w] {
        let g = grad.get(var.as_tensor()).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let data = var.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for i in (0..data.len()).step_by(3) {
            let at = |d: f64| {
                let mut moved = data.clone();
                moved[i] += d;
                let t = Tensor::from_vec(moved, var.dims(), &Device::Cpu).unwrap();
                if std::ptr::eq(var, &x) { value(&t, &w) } else { value(&x, &t) }
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope - g[i]).abs() < 1e-7 * (1.0 + g[i].abs()), "{i}: {slope} {}", g[i]);
        }
    }
    // The same molecule turned by 0.7 about z and shifted.
    let moved = kernel(
        (0..4)
            .map(|i| {
                let t = frame(i).1;
                let r = turn(0.7);
                let p = [0, 1, 2].map(|a| (0..3).map(|b| r[3 * a + b] * t[b]).sum::<f64>() + 5.0);
                (turn(i as f64 + 0.7), p)
            })
            .collect(),
    );
    let same = moved.forward(&x, &w).unwrap();
    let d = (same - y).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
    assert!(d.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap() < 1e-12);
}

#[test]
fn point_attention_is_its_formula() {
    let shape = IpaShape { heads: 2, channels: 3, query_points: 2, value_points: 3 };
    let frame = |i: usize| {
        let (s, c) = (0.7 * i as f64).sin_cos();
        ([c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0], [i as f64, 0.3 * (i * i) as f64, 2.0])
    };
    let masked: Vec<bool> = (0..10).map(|i| i != 4 && i != 8).collect();
    for mask in [None, Some(Arc::new(masked))] {
        let kernel =
            IpaKernel { dims: (2, 5), shape, frames: Arc::new((0..10).map(frame).collect()), mask };
        let (x, w) = (random(&[10, shape.projection()], 1), random(&[2], 2));
        let composed = || composed(|| kernel.forward(&x, &w));
        let err = compare(&[&x, &w], || kernel.forward(&x, &w), composed);
        assert!(err < 1e-11, "{err}");
    }
}

/// Chains that are cut into several tasks: heads that do not divide evenly, halves of unequal size.
#[test]
fn a_long_chain_is_what_a_short_one_is() {
    let n = 71;
    let (qkv, bias) = (random(&[n, 60], 1), random(&[2, 20], 2));
    let how = Attention { dims: (1, 1, n), heads: 5, axis: Axis::Residues, mask: None };
    let err = compare(&[&qkv, &bias], || how.forward(&qkv, &bias), || how.composed(&qkv, &bias));
    assert!(err < 1e-12, "{err}");
    let shape = IpaShape { heads: 2, channels: 3, query_points: 2, value_points: 3 };
    let frame = |i: usize| {
        let (s, c) = (0.7 * i as f64).sin_cos();
        ([c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0], [(0.3 * i as f64).sin(), 0.1 * (i % 7) as f64, c])
    };
    let frames = Arc::new((0..n).map(frame).collect());
    let kernel = IpaKernel { dims: (1, n), shape, frames, mask: None };
    let (x, w) = (random(&[n, shape.projection()], 1), random(&[2], 2));
    let composed = || composed(|| kernel.forward(&x, &w));
    let err = compare(&[&x, &w], || kernel.forward(&x, &w), composed);
    assert!(err < 1e-11, "{err}");
}
