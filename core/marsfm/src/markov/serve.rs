//! What a finished model is used for: states of other trajectories, and trajectories added to it,
//! either with its projection and centres kept or by a build of everything anew.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use marsfm_host::Host;
use marsfm_msm::{Drift, Msm};

use super::MsmSettings;
use super::files::{FeatureFiles, Origin, TrajectoryFiles};
use super::passes::{self, FilesRequest};

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
    let mut update = msm.update();
    for number in 0..opened.n_trajectories() {
        opened.read(number, |rows| update.push(rows))?;
        update.end_trajectory();
    }
    let (mut new, drift) = update.finish().context("adding the trajectories")?;
    origin.trajectories.extend((0..opened.n_trajectories()).map(|n| opened.name(n)));
    new.origin = origin.to_text()?;
    Ok((new, drift))
}

/// A model of the trajectories of `msm` and of `files` together, built anew with the settings of
/// `msm`; `spill` as in [`FilesRequest`], `progress` as in [`passes::build`].
pub fn refit(
    host: &Host,
    msm: &Msm,
    files: &TrajectoryFiles,
    spill: Option<&Path>,
    progress: impl FnMut(usize, usize),
) -> Result<Msm> {
    let origin = Origin::of(msm)?;
    FeatureFiles::open_for(host, files, &origin)?;
    let mut trajectories: Vec<PathBuf> = origin.trajectories.iter().map(PathBuf::from).collect();
    if let Some(lost) = trajectories.iter().find(|t| !t.is_file()) {
        bail!(
            "{}: the model was built of this trajectory, and it is not there; a model is rebuilt \
             where its trajectories are (relative names count from the current folder)",
            lost.display()
        );
    }
    trajectories.extend(files.trajectories.iter().cloned());
    let s = &msm.settings;
    let ps = |frames: usize| frames as f64 * origin.frame_ps;
    let request = FilesRequest {
        files: TrajectoryFiles {
            trajectories,
            topology: files.topology.clone(),
            frame_ps: files.frame_ps,
        },
        features: origin.features,
        settings: MsmSettings {
            tica_lag_ps: ps(s.tica_lag),
            msm_lag_ps: ps(s.msm_lag),
            pair_lag_ps: ps(s.pair_lag),
            microstates: s.n_microstates,
            macrostates: s.n_macrostates,
            rng_seed: s.rng_seed,
        },
        var_cutoff: s.var_cutoff,
        scaling: s.scaling,
        mini_batch: s.mini_batch,
        spill: spill.map(Path::to_path_buf),
    };
    passes::build(host, &request, progress)
}
