//! Minimisation by L-BFGS (Liu and Nocedal 1989), with a longest step, so that overlapping atoms
//! move apart instead of flying off.

use std::collections::VecDeque;

/// Steps that are remembered.
const MEMORY: usize = 8;
/// Longest step of a coordinate, nm.
const LONGEST: f64 = 0.01;
/// Part of the decrease that the slope promises with which a step is content.
const ENOUGH: f64 = 1e-4;
/// Halvings of a step before the search is over.
const HALVINGS: usize = 20;

/// When to end.
#[derive(Clone, Copy)]
pub struct Until {
    /// Root of the mean square of the forces' components, kJ/mol/nm.
    pub rms_force: f64,
    /// Most iterations.
    pub iterations: u64,
    /// Gain of energy in ten iterations below which nothing more is expected, kJ/mol.
    pub gain: f64,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Goes downhill from `x` (nm). `energy` gives the energy (kJ/mol) and writes the gradient;
/// `alive` is asked before every iteration and may stop with an error. An energy that is not finite
/// at `x` ends it there.
pub fn minimise<E>(
    x: &mut Vec<f64>,
    until: Until,
    mut energy: impl FnMut(&[f64], &mut [f64]) -> f64,
    mut alive: impl FnMut(u64) -> Result<(), E>,
) -> Result<(), E> {
    let n = x.len();
    let mut gradient = vec![0.0; n];
    let mut now = energy(x, &mut gradient);
    let mut past: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    let mut energies: VecDeque<f64> = VecDeque::from([now]);
    for iteration in 0..until.iterations {
        alive(iteration)?;
        let rms = (dot(&gradient, &gradient) / n as f64).sqrt();
        if !now.is_finite() || !rms.is_finite() || rms <= until.rms_force {
            break;
        }
        let mut direction = downhill(&gradient, &past);
        if dot(&direction, &gradient) >= 0.0 {
            past.clear();
            direction = gradient.iter().map(|g| -g).collect();
        }
        let largest = direction.iter().fold(0.0f64, |m, d| m.max(d.abs()));
        // Without a memory the length of the gradient says nothing about that of the step.
        let reach = if past.is_empty() { 0.1 * LONGEST } else { LONGEST };
        let mut scale = if largest > reach || past.is_empty() { reach / largest } else { 1.0 };
        let slope = dot(&direction, &gradient);
        let (mut next, mut there) = (x.clone(), vec![0.0; n]);
        let mut found = None;
        for _ in 0..HALVINGS {
            for ((to, from), d) in next.iter_mut().zip(x.iter()).zip(&direction) {
                *to = from + scale * d;
            }
            let e = energy(&next, &mut there);
            if e <= now + ENOUGH * scale * slope {
                found = Some(e);
                break;
            }
            scale *= 0.5;
        }
        let Some(e) = found else {
            if past.is_empty() {
                break;
            }
            past.clear();
            continue;
        };
        let step: Vec<f64> = next.iter().zip(x.iter()).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = there.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-12 {
            past.push_back((step, change, 1.0 / curvature));
            if past.len() > MEMORY {
                past.pop_front();
            }
        }
        (*x, gradient, now) = (next, there, e);
        energies.push_back(now);
        if energies.len() > 10 && energies.pop_front().is_some_and(|old| old - now < until.gain) {
            break;
        }
    }
    Ok(())
}

/// The two-loop recursion.
fn downhill(gradient: &[f64], past: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut weights = Vec::with_capacity(past.len());
    for (step, change, inverse) in past.iter().rev() {
        let a = inverse * dot(step, &q);
        q.iter_mut().zip(change).for_each(|(q, c)| *q -= a * c);
        weights.push(a);
    }
    if let Some((_, change, inverse)) = past.back() {
        let scale = 1.0 / (inverse * dot(change, change));
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((step, change, inverse), a) in past.iter().zip(weights.iter().rev()) {
        let b = inverse * dot(change, &q);
        q.iter_mut().zip(step).for_each(|(q, s)| *q += (a - b) * s);
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: Until = Until { rms_force: 1e-6, iterations: 500, gain: -1.0 };

    #[test]
    fn a_narrow_valley_is_walked_to_its_end() {
        // Rosenbrock's function, scaled to nm.
        let mut x = vec![-0.12, 0.1];
        let valley = |x: &[f64], g: &mut [f64]| {
            let (a, b) = (10.0 * x[0], 10.0 * x[1]);
            let bend = b - a * a;
            g[0] = 10.0 * (-2.0 * (1.0 - a) - 400.0 * a * bend);
            g[1] = 10.0 * 200.0 * bend;
            (1.0 - a).powi(2) + 100.0 * bend * bend
        };
        minimise(&mut x, UNTIL, valley, |_| Ok::<(), ()>(())).unwrap();
        assert!((x[0] - 0.1).abs() < 1e-6 && (x[1] - 0.1).abs() < 1e-6, "{x:?}");
    }

    #[test]
    fn it_stops_when_told_and_where_nothing_is_finite() {
        let mut x = vec![1.0];
        let stopped = minimise(
            &mut x,
            UNTIL,
            |x, g| {
                g[0] = 2.0 * x[0];
                x[0] * x[0]
            },
            |i| if i < 3 { Ok(()) } else { Err("enough") },
        );
        assert_eq!(stopped, Err("enough"));
        assert!(x[0] < 1.0 && x[0] > 0.9);
        let mut x = vec![1.0];
        minimise(
            &mut x,
            UNTIL,
            |_, g| {
                g[0] = 1.0;
                f64::NAN
            },
            |_| Ok::<(), ()>(()),
        )
        .unwrap();
        assert_eq!(x, [1.0]);
    }
}
