//! Columns brought to mean 0 and standard deviation 1 over the pooled frames of all
//! trajectories, so that features of different units weigh alike: x' = (x - mean) / deviation.

use crate::FeatureMatrix;

/// Mean and standard deviation (divisor n) per column; apply the same to every further frame.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Standardisation {
    /// Mean per column.
    pub mean: Vec<f64>,
    /// Standard deviation per column; 1 where a column does not vary.
    pub deviation: Vec<f64>,
}

impl Standardisation {
    /// Over the frames of all matrices (of equal width); `None` without a frame or if widths
    /// differ.
    pub fn fit(matrices: &[FeatureMatrix]) -> Option<Self> {
        let width = matrices.first()?.n_features();
        let n: usize = matrices.iter().map(FeatureMatrix::n_frames).sum();
        if n == 0 || matrices.iter().any(|m| m.n_features() != width) {
            return None;
        }
        let rows = || matrices.iter().flat_map(|m| (0..m.n_frames()).map(move |f| m.row(f)));
        let mean_of = |term: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            let mut sum = vec![0.0; width];
            for row in rows() {
                for (k, x) in row.iter().enumerate() {
                    sum[k] += term(k, *x);
                }
            }
            sum.into_iter().map(|s| s / n as f64).collect()
        };
        let mean = mean_of(&|_, x| x);
        let variance = mean_of(&|k, x| (x - mean[k]) * (x - mean[k]));
        let deviation = variance
            .iter()
            .zip(&mean)
            .map(|(v, m)| if v.sqrt() > 1e-12 * m.abs() { v.sqrt() } else { 1.0 })
            .collect();
        Some(Self { mean, deviation })
    }

    /// Standardises a row in place.
    pub fn apply(&self, row: &mut [f64]) {
        for ((x, m), d) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
            *x = (*x - m) / d;
        }
    }

    /// The standardised matrix.
    pub fn applied(&self, matrix: FeatureMatrix) -> FeatureMatrix {
        let n = matrix.n_features();
        let mut data = matrix.into_vec();
        data.chunks_mut(n.max(1)).for_each(|row| self.apply(row));
        FeatureMatrix::from_rows(n, data).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooled_columns_have_mean_zero_and_deviation_one() {
        let matrix = |rows: &[[f64; 2]]| FeatureMatrix::from_rows(2, rows.concat()).unwrap();
        let both = [matrix(&[[1.0, 5.0], [3.0, 5.0]]), matrix(&[[5.0, 5.0], [7.0, 5.0]])];
        let s = Standardisation::fit(&both).unwrap();
        assert_eq!(s.mean, [4.0, 5.0]);
        assert_eq!(s.deviation, [5.0_f64.sqrt(), 1.0]);
        let out = s.applied(both[0].clone());
        assert_eq!(out.row(0), [-3.0 / 5.0_f64.sqrt(), 0.0]);
        assert!(Standardisation::fit(&[]).is_none());
    }
}
