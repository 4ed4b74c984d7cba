//! Histograms with NumPy's rules: `bins` equal bins on [lo, hi], each closed on the left, the
//! last one also on the right; values outside are not counted; a range without width is widened
//! by 0.5 on both sides.

use crate::MetricError;
use crate::error::check_finite;

/// Equal bins on a closed range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bins {
    lo: f64,
    hi: f64,
    n: usize,
}

impl Bins {
    /// `n` bins (at least 1) on [lo, hi].
    pub fn new(lo: f64, hi: f64, n: usize) -> Result<Self, MetricError> {
        let domain = |what, value, rule| Err(MetricError::Domain { what, value, rule });
        if !(lo.is_finite() && hi.is_finite() && lo <= hi) {
            return domain("histogram range", hi - lo, "both ends must be finite and in order");
        }
        if n == 0 {
            return domain("number of bins", 0.0, "it must be at least 1");
        }
        let (lo, hi) = if lo == hi { (lo - 0.5, hi + 0.5) } else { (lo, hi) };
        Ok(Self { lo, hi, n })
    }

    /// `n` bins from the smallest to the largest of all values in both slices.
    pub fn joint(a: &[f64], b: &[f64], n: usize) -> Result<Self, MetricError> {
        check_finite("reference values", a)?;
        check_finite("sample values", b)?;
        let all = || a.iter().chain(b).copied();
        Self::new(all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max), n)
    }

    /// Number of bins.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Never: there is at least one bin.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Left edge of bin `i`; `edge(len())` is the right end.
    pub fn edge(&self, i: usize) -> f64 {
        let step = (self.hi - self.lo) / self.n as f64;
        if i >= self.n { self.hi } else { self.lo + i as f64 * step }
    }

    /// Middle of every bin.
    pub fn centres(&self) -> Vec<f64> {
        (0..self.n).map(|i| 0.5 * (self.edge(i) + self.edge(i + 1))).collect()
    }

    /// The bin of `x`, `None` outside the range or if not finite.
    pub fn index(&self, x: f64) -> Option<usize> {
        if !(self.lo..=self.hi).contains(&x) {
            return None;
        }
        let guess = ((x - self.lo) / (self.hi - self.lo) * self.n as f64) as usize;
        let mut i = guess.min(self.n - 1);
        // Rounding may put a value next to an edge on the wrong side of it.
        if i > 0 && x < self.edge(i) {
            i -= 1;
        } else if i + 1 < self.n && x >= self.edge(i + 1) {
            i += 1;
        }
        Some(i)
    }

    /// Counts of one coordinate.
    pub fn count(&self, values: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.n];
        for i in values.iter().filter_map(|&x| self.index(x)) {
            out[i] += 1.0;
        }
        out
    }
}

/// Counts of two coordinates, row-major: bins of `x` are rows, bins of `y` columns.
pub fn count_2d(x_bins: &Bins, y_bins: &Bins, x: &[f64], y: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; x_bins.n * y_bins.n];
    for (&a, &b) in x.iter().zip(y) {
        if let (Some(i), Some(j)) = (x_bins.index(a), y_bins.index(b)) {
            out[i * y_bins.n + j] += 1.0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_belong_to_the_bin_on_their_right() {
        let bins = Bins::new(0.0, 0.7, 7).unwrap();
        for i in 0..7 {
            assert_eq!(bins.index(bins.edge(i)), Some(i), "edge {i}");
        }
        assert_eq!(bins.index(0.7), Some(6));
        assert_eq!(bins.index(0.700_001), None);
        assert_eq!(bins.index(-1e-300), None);
        assert_eq!(bins.index(f64::NAN), None);
    }

    #[test]
    fn a_constant_has_one_full_bin() {
        let bins = Bins::joint(&[2.0; 5], &[2.0; 3], 100).unwrap();
        let counts = bins.count(&[2.0; 5]);
        assert_eq!(counts.iter().sum::<f64>(), 5.0);
        assert_eq!(counts[50], 5.0);
    }

    #[test]
    fn two_dimensions_are_row_major() {
        let bins = Bins::new(0.0, 2.0, 2).unwrap();
        assert_eq!(count_2d(&bins, &bins, &[0.5, 1.5], &[1.5, 1.5]), [0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn bad_values_are_named() {
        let error = Bins::joint(&[1.0, f64::NAN], &[0.0], 10).unwrap_err().to_string();
        assert!(error.contains("reference values: value 1"), "{error}");
        assert!(Bins::joint(&[], &[0.0], 10).is_err());
        assert!(Bins::new(0.0, 1.0, 0).is_err());
    }
}
