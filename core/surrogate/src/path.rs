//! The probability path x_t = α(t) x1 + σ(t) x0 between noise x0 and data x1, and its velocity
//! u_t = α'(t) x1 + σ'(t) x0, which the network learns (METHOD 4).

use std::f64::consts::FRAC_PI_2;

use crate::Path;

/// α, σ and their derivatives at t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// Weight of the data.
    pub alpha: f64,
    /// Weight of the noise.
    pub sigma: f64,
    /// dα/dt.
    pub alpha_rate: f64,
    /// dσ/dt.
    pub sigma_rate: f64,
}

impl Path {
    /// The path at t in [0, 1].
    pub fn at(self, t: f64) -> Coefficients {
        match self {
            Path::Gvp => {
                let (sin, cos) = (t * FRAC_PI_2).sin_cos();
                Coefficients {
                    alpha: sin,
                    sigma: cos,
                    alpha_rate: FRAC_PI_2 * cos,
                    sigma_rate: -FRAC_PI_2 * sin,
                }
            }
            Path::Linear => {
                Coefficients { alpha: t, sigma: 1.0 - t, alpha_rate: 1.0, sigma_rate: -1.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_paths_join_noise_to_data_and_the_rates_are_derivatives() {
        for path in [Path::Gvp, Path::Linear] {
            let (start, end) = (path.at(0.0), path.at(1.0));
            assert!((start.alpha).abs() < 1e-15 && (start.sigma - 1.0).abs() < 1e-15);
            assert!((end.alpha - 1.0).abs() < 1e-15 && end.sigma.abs() < 1e-15);
            let (h, t) = (1e-6, 0.37);
            let (a, b, c) = (path.at(t - h), path.at(t), path.at(t + h));
            assert!(((c.alpha - a.alpha) / (2.0 * h) - b.alpha_rate).abs() < 1e-9);
            assert!(((c.sigma - a.sigma) / (2.0 * h) - b.sigma_rate).abs() < 1e-9);
        }
    }
}
