//! Small processes with known answers, for the tests of this crate.

use crate::random::Stream;

pub(crate) struct Noise(Stream);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(Stream::new(seed, 0))
    }

    pub fn uniform(&mut self) -> f64 {
        self.0.uniform()
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }

    /// Box-Muller.
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.0.uniform(), self.0.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// Independent AR(1) processes with unit variance and coefficients `a`, row-major.
pub(crate) fn ou(a: &[f64], n: usize, seed: u64) -> Vec<f64> {
    let mut noise = Noise::new(seed);
    let mut x: Vec<f64> = a.iter().map(|_| noise.normal()).collect();
    let mut out = Vec::with_capacity(n * a.len());
    for _ in 0..n {
        for (v, a) in x.iter_mut().zip(a) {
            *v = a * *v + (1.0 - a * a).sqrt() * noise.normal();
        }
        out.extend_from_slice(&x);
    }
    out
}

/// A realisation of a Markov chain.
pub(crate) fn chain(t: &crate::Matrix, n: usize, start: usize, seed: u64) -> Vec<i32> {
    let mut noise = Noise::new(seed);
    let mut state = start;
    (0..n)
        .map(|_| {
            let now = state as i32;
            let u = noise.uniform();
            let mut sum = 0.0;
            for (j, p) in t.row(state).iter().enumerate() {
                sum += p;
                if u < sum {
                    state = j;
                    break;
                }
            }
            now
        })
        .collect()
}
