//! States of a frame in a Markov model that was built before.

use anyhow::{Context, Result, bail};
use marsfm_features::Featurizer;
use marsfm_msm::Rows;

use crate::markov::SystemMsm;

/// Microstate and macrostate of one frame (positions in nm, in the order of the model's topology;
/// cell vectors as rows, nm). `None`: the frame belongs to no state.
pub fn assign(
    model: &SystemMsm,
    positions_nm: &[[f32; 3]],
    cell_nm: Option<&[[f32; 3]; 3]>,
) -> Result<(Option<usize>, Option<usize>)> {
    if let Some(atom) = positions_nm.iter().position(|p| !p.iter().all(|x| x.is_finite())) {
        bail!("atom {atom} (counted from 0): position is not finite");
    }
    let mut row = vec![0.0; model.features.n_features()];
    model.features.compute(positions_nm, cell_nm, &mut row).context("features of the frame")?;
    let (micro, coarse) = model.msm.assign(&Rows::new(&row, row.len())?)?;
    let state = |s: &[i32]| s.first().and_then(|s| usize::try_from(*s).ok());
    Ok((state(&micro), state(&coarse)))
}
