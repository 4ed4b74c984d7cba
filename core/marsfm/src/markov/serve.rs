//! What a finished model is used for: states of other trajectories, and trajectories added to it.

use anyhow::{Context, Result};
use marsfm_host::Host;
use marsfm_msm::{Drift, Msm, Rows};

use super::files::{FeatureFiles, Origin, TrajectoryFiles};

/// States of one trajectory; -1 is no state.
pub struct AssignedTrajectory {
    /// The file.
    pub name: String,
    /// Microstate of every frame.
    pub micro: Vec<i32>,
    /// Macrostate of every frame.
    pub coarse: Vec<i32>,
}

/// States of trajectories in a model that was built before; `take` gets one trajectory after the
/// other, with the time between its frames, ps.
pub fn assign_files(
    host: &Host,
    msm: &Msm,
    files: &TrajectoryFiles,
    mut take: impl FnMut(AssignedTrajectory, f64) -> Result<()>,
) -> Result<()> {
    let opened = FeatureFiles::open_for(host, files, &Origin::of(msm)?)?;
    for number in 0..opened.n_trajectories() {
        let (mut micro, mut coarse) = (Vec::new(), Vec::new());
        opened.read(number, |rows| {
            let (a, b) = msm.assign(rows)?;
            micro.extend(a);
            coarse.extend(b);
            Ok(())
        })?;
        take(AssignedTrajectory { name: opened.name(number), micro, coarse }, opened.frame_ps())?;
    }
    Ok(())
}

/// The model with trajectories added: projection and centres stay, counts grow.
pub fn update(host: &Host, msm: &Msm, files: &TrajectoryFiles) -> Result<(Msm, Drift)> {
    let mut origin = Origin::of(msm)?;
    let opened = FeatureFiles::open_for(host, files, &origin)?;
    let width = opened.n_features();
    let data = (0..opened.n_trajectories())
        .map(|number| opened.rows(number))
        .collect::<Result<Vec<_>>>()?;
    let rows = data.iter().map(|d| Rows::new(d, width)).collect::<Result<Vec<_>, _>>()?;
    let (mut new, drift) = msm.updated(&rows).context("adding the trajectories")?;
    origin.trajectories.extend((0..opened.n_trajectories()).map(|n| opened.name(n)));
    new.origin = origin.to_text()?;
    Ok((new, drift))
}
