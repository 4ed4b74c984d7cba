//! Protein metrics (METHOD section 8.2): fluctuations, pairwise RMSD, radius of gyration and
//! secondary structure.
//!
//! Frames are Cα positions, nm, already superposed on *one* reference structure (never frame
//! against frame). RMSF_i = √(mean over frames |x_i - ⟨x_i⟩|²), about the ensemble mean.
//! Correlations are Pearson's.

use marsfm_geometry::superpose;

use crate::MetricError;
use crate::error::{check_finite, check_length};
use crate::histogram::Bins;
use crate::jsd::jsd;
use crate::states::median;
use crate::torsion::mean;

/// Bins of the Rg histograms.
pub const RG_BINS: usize = 50;
/// Added to every bin's probability in [`rg_kl`] before normalising again.
pub const RG_SMOOTHING: f64 = 1e-6;
/// Bins of the helix and strand fraction histograms on [0, 1].
pub const SS_BINS: usize = 20;

/// Frames (nm) brought onto one reference structure by the best rotation and translation.
pub fn superposed(
    frames: &[Vec<[f32; 3]>],
    reference: &[[f32; 3]],
) -> Result<Vec<Vec<[f64; 3]>>, MetricError> {
    let one = |frame: &Vec<[f32; 3]>| {
        check_length("atoms of a frame", reference.len(), frame.len())?;
        let fit = superpose(frame, reference)
            .map_err(|_| MetricError::Empty { what: "list of atoms to superpose" })?;
        Ok(frame.iter().map(|p| fit.motion.apply(p.map(f64::from))).collect())
    };
    frames.iter().map(one).collect()
}

/// RMSF per atom, nm, of superposed frames.
pub fn rmsf_nm(frames: &[Vec<[f64; 3]>]) -> Result<Vec<f64>, MetricError> {
    let n_atoms = check_frames(frames)?;
    let n = frames.len() as f64;
    let of_atom = |atom: usize| {
        let mut variance = 0.0;
        for k in 0..3 {
            let m = frames.iter().map(|f| f[atom][k]).sum::<f64>() / n;
            variance += frames.iter().map(|f| (f[atom][k] - m).powi(2)).sum::<f64>() / n;
        }
        variance.sqrt()
    };
    Ok((0..n_atoms).map(of_atom).collect())
}

/// Mean over all ordered frame pairs, the diagonal included, of the RMSD (nm) between superposed
/// frames; cost grows with the square of the number of frames, so thin long trajectories first.
pub fn mean_pairwise_rmsd_nm(frames: &[Vec<[f64; 3]>]) -> Result<f64, MetricError> {
    let n_atoms = check_frames(frames)? as f64;
    let mut sum = 0.0;
    for (i, a) in frames.iter().enumerate() {
        for b in &frames[..i] {
            let squared: f64 =
                a.as_flattened().iter().zip(b.as_flattened()).map(|(x, y)| (x - y) * (x - y)).sum();
            sum += (squared / n_atoms).sqrt();
        }
    }
    let n = frames.len() as f64;
    Ok(2.0 * sum / (n * n))
}

/// Pearson's correlation; `None` where one side does not vary or fewer than 2 values are given.
pub fn pearson(a: &[f64], b: &[f64]) -> Result<Option<f64>, MetricError> {
    check_length("values to correlate", a.len(), b.len())?;
    check_finite("values to correlate", a)?;
    check_finite("values to correlate", b)?;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma) * (x - ma);
        bb += (y - mb) * (y - mb);
    }
    let scale = (aa * bb).sqrt();
    Ok((scale > 0.0).then(|| (ab / scale).clamp(-1.0, 1.0)))
}

/// How well fluctuations agree over a set of targets.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RmsfAgreement {
    /// Pearson's r over the atoms of each target.
    pub per_target: Vec<Option<f64>>,
    /// Median of `per_target` (targets without a value left out).
    pub median_r: Option<f64>,
    /// Pearson's r over the atoms of all targets together.
    pub global_r: Option<f64>,
}

/// Compares RMSF profiles target by target.
pub fn rmsf_agreement(
    reference: &[Vec<f64>],
    sample: &[Vec<f64>],
) -> Result<RmsfAgreement, MetricError> {
    check_length("targets", reference.len(), sample.len())?;
    let per_target =
        reference.iter().zip(sample).map(|(a, b)| pearson(a, b)).collect::<Result<Vec<_>, _>>()?;
    let known: Vec<f64> = per_target.iter().copied().flatten().collect();
    Ok(RmsfAgreement {
        median_r: (!known.is_empty()).then(|| median(&known)),
        global_r: pearson(&reference.concat(), &sample.concat())?,
        per_target,
    })
}

/// KL(reference ‖ sample) of Rg: `bins` bins over the joint range, `smoothing` added to every
/// bin's probability, normalised again. Direction, bins and smoothing are not published; the
/// value depends strongly on `smoothing` where bins are empty, so print it beside the number.
pub fn rg_kl(
    reference: &[f64],
    sample: &[f64],
    bins: usize,
    smoothing: f64,
) -> Result<f64, MetricError> {
    let bins = Bins::joint(reference, sample, bins)?;
    kl_of_counts(&bins.count(reference), &bins.count(sample), smoothing)
}

/// The same from histograms.
pub(crate) fn kl_of_counts(
    reference: &[f64],
    sample: &[f64],
    smoothing: f64,
) -> Result<f64, MetricError> {
    if !(smoothing.is_finite() && smoothing > 0.0) {
        let rule = "it must be positive";
        return Err(MetricError::Domain { what: "smoothing", value: smoothing, rule });
    }
    let smooth = |counts: &[f64]| {
        let n: f64 = counts.iter().sum();
        let raised: Vec<f64> = counts.iter().map(|c| c / n + smoothing).collect();
        let sum: f64 = raised.iter().sum();
        raised.into_iter().map(|p| p / sum).collect::<Vec<_>>()
    };
    let (p, q) = (smooth(reference), smooth(sample));
    Ok(p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum::<f64>().max(0.0))
}

/// Secondary-structure distance: mean over helix and strand of the Jensen–Shannon distance of
/// 20-bin histograms, on [0, 1], of the fraction per frame. (The paper's definition is not
/// published.)
pub fn secondary_structure_jsd(
    reference_helix: &[f64],
    reference_strand: &[f64],
    sample_helix: &[f64],
    sample_strand: &[f64],
) -> Result<f64, MetricError> {
    let bins = Bins::new(0.0, 1.0, SS_BINS)?;
    let one = |a: &[f64], b: &[f64]| {
        check_finite("reference fractions", a)?;
        check_finite("sample fractions", b)?;
        jsd(&bins.count(a), &bins.count(b))
    };
    Ok(0.5 * (one(reference_helix, sample_helix)? + one(reference_strand, sample_strand)?))
}

fn check_frames(frames: &[Vec<[f64; 3]>]) -> Result<usize, MetricError> {
    let n_atoms = frames.first().map_or(0, Vec::len);
    if n_atoms == 0 {
        return Err(MetricError::Empty { what: "list of frames" });
    }
    for frame in frames {
        check_length("atoms of a frame", n_atoms, frame.len())?;
        check_finite("positions", frame.as_flattened())?;
    }
    Ok(n_atoms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsd::tests::series;

    #[test]
    fn fluctuation_is_about_the_mean() {
        // Atom 0 hops between -d and 3d on x: mean d, RMSF 2d.
        let frames: Vec<Vec<[f64; 3]>> = (0..10)
            .map(|i| vec![[if i % 2 == 0 { -0.1 } else { 0.3 }, 0.0, 0.0], [1.0, 2.0, 3.0]])
            .collect();
        let rmsf = rmsf_nm(&frames).unwrap();
        assert!((rmsf[0] - 0.2).abs() < 1e-15 && rmsf[1] == 0.0);
        // Half the ordered pairs differ by 0.4 nm in one of two atoms.
        let rmsd = mean_pairwise_rmsd_nm(&frames).unwrap();
        assert!((rmsd - 0.5 * 0.4 / 2_f64.sqrt()).abs() < 1e-14, "{rmsd}");
        assert_eq!(mean_pairwise_rmsd_nm(&frames[..1]).unwrap(), 0.0);
        assert!(rmsf_nm(&[]).is_err());
    }

    #[test]
    fn rigid_motion_is_no_fluctuation() {
        let shape: Vec<[f32; 3]> =
            vec![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]];
        let moved = |i: usize| -> Vec<[f32; 3]> {
            let (s, c) = (0.3 * i as f32).sin_cos();
            shape.iter().map(|p| [c * p[0] - s * p[1] + 1.0, s * p[0] + c * p[1], p[2]]).collect()
        };
        let frames: Vec<_> = (0..5).map(moved).collect();
        let rmsf = rmsf_nm(&superposed(&frames, &shape).unwrap()).unwrap();
        assert!(rmsf.iter().all(|r| *r < 1e-6), "{rmsf:?}");
        assert!(superposed(&frames, &shape[..3]).is_err());
    }

    #[test]
    fn correlations_are_scipys() {
        let (a, b) = series();
        let r = pearson(&a[..50], &b[..50]).unwrap().unwrap();
        assert!((r - 0.005_751_846_962_774_329).abs() < 1e-13, "{r}");
        assert_eq!(pearson(&a, &a).unwrap(), Some(1.0));
        assert_eq!(pearson(&a, &vec![2.0; 500]).unwrap(), None);
    }

    #[test]
    fn rmsf_agreement_is_a_median_and_a_global_number() {
        let reference = [vec![1., 2., 3.], vec![1., 2., 3.], vec![1., 2., 4.]];
        let sample = [vec![2., 4., 6.], vec![3., 2., 1.], vec![1., 2., 4.]];
        let agreement = rmsf_agreement(&reference, &sample).unwrap();
        assert_eq!(agreement.median_r, Some(1.0));
        assert!((agreement.per_target[1].unwrap() + 1.0).abs() < 1e-15);
        assert_eq!(rmsf_agreement(&reference, &reference).unwrap().global_r, Some(1.0));
    }

    #[test]
    fn rg_kl_is_numpys_and_zero_for_equals() {
        let (a, b) = series();
        let kl = rg_kl(&a, &b, RG_BINS, RG_SMOOTHING).unwrap();
        assert!((kl - 0.897_107_169_233_143_8).abs() < 1e-12, "{kl}");
        assert_eq!(rg_kl(&a, &a, RG_BINS, RG_SMOOTHING).unwrap(), 0.0);
        assert!(rg_kl(&a, &b, RG_BINS, 0.0).is_err());
    }

    #[test]
    fn secondary_structure_distance_is_scipys() {
        let wave = |middle: f64, height: f64, f: f64, cos: bool| -> Vec<f64> {
            (0..300)
                .map(|i| f * f64::from(i))
                .map(|x| (middle + height * if cos { x.cos() } else { x.sin() }).clamp(0.0, 1.0))
                .collect()
        };
        let (h1, e1) = (wave(0.3, 0.3, 0.05, false), wave(0.0, 0.2, 0.11, true));
        let (h2, e2) = (wave(0.4, 0.3, 0.07, false), wave(0.0, 0.3, 0.13, true));
        let d = secondary_structure_jsd(&h1, &e1, &h2, &e2).unwrap();
        assert!((d - 0.412_665_471_163_317_2).abs() < 1e-12, "{d}");
        assert_eq!(secondary_structure_jsd(&h1, &e1, &h1, &e1).unwrap(), 0.0);
    }
}
