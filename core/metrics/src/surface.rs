//! Free energies of one or two coordinates: F = -kT ln p, shifted so that the lowest cell is 0,
//! kJ/mol; cells without frames are infinite.

use crate::MetricError;
use crate::error::{check_finite, check_length};
use crate::histogram::{Bins, count_2d};

/// The gas constant, kJ/mol/K.
pub const R_KJ_PER_MOL_KELVIN: f64 = 0.008_314_462_618_153_24;

/// A free energy on a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct FreeEnergy2d {
    /// Bins of the first coordinate.
    pub x_bins: Bins,
    /// Bins of the second coordinate.
    pub y_bins: Bins,
    /// kJ/mol, `x_bins.len()` rows of `y_bins.len()`; infinite where there is no frame.
    pub kj_mol: Vec<f64>,
}

/// Free energy over two coordinates at `kelvin`. Take the bins of several ensembles from
/// [`Bins::joint`] so that their pictures share axes.
pub fn free_energy_2d(
    x: &[f64],
    y: &[f64],
    x_bins: Bins,
    y_bins: Bins,
    kelvin: f64,
) -> Result<FreeEnergy2d, MetricError> {
    check_length("second coordinate", x.len(), y.len())?;
    check_finite("first coordinate", x)?;
    check_finite("second coordinate", y)?;
    let kj_mol = free_energy(&count_2d(&x_bins, &y_bins, x, y), kelvin)?;
    Ok(FreeEnergy2d { x_bins, y_bins, kj_mol })
}

/// Free energy (kJ/mol) of a histogram or of state populations.
pub fn free_energy(counts: &[f64], kelvin: f64) -> Result<Vec<f64>, MetricError> {
    if !(kelvin.is_finite() && kelvin > 0.0) {
        let rule = "it must be positive";
        return Err(MetricError::Domain { what: "temperature (K)", value: kelvin, rule });
    }
    check_finite("histogram", counts)?;
    let most = counts.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return Err(MetricError::Empty { what: "histogram" });
    }
    let kt = R_KJ_PER_MOL_KELVIN * kelvin;
    let of = |c: &f64| if *c > 0.0 { kt * (most / c).ln() } else { f64::INFINITY };
    Ok(counts.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_as_often_is_kt_ln_2_higher() {
        let bins = Bins::new(0.0, 2.0, 2).unwrap();
        let f = free_energy_2d(&[0.5, 0.5, 1.5], &[0.5, 0.5, 1.5], bins, bins, 300.0).unwrap();
        assert_eq!(f.kj_mol[..3], [0.0, f64::INFINITY, f64::INFINITY]);
        assert!((f.kj_mol[3] - 1.728_944).abs() < 1e-5, "{:?}", f.kj_mol);
    }

    #[test]
    fn nothing_and_no_temperature_are_refused() {
        assert!(free_energy(&[0.0, 0.0], 300.0).is_err());
        assert!(free_energy(&[1.0], 0.0).is_err());
        assert!(free_energy(&[], 300.0).is_err());
    }
}
