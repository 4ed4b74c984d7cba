//! Several seeds in one launch: their starts in one TRR archive, a run input of each by
//! `grompp -t -time`, and one `mdrun -multidir` under MPI over all.
//!
//! MPI ends every rank when one of them fails. So whoever has not ended well then runs in an mdrun
//! of its own: the seed that blows up costs itself, and time, but no other seed.

use crate::child::Job;
use crate::gromacs::{Gromacs, START};
use crate::mpi::Mpi;
use crate::steps::{Origin, words};
use crate::trr::{self, TrrFrame};
use marsfm_plugin_api::engine::*;
use marsfm_plugin_api::engine_abi::*;
use marsfm_plugin_api::{EnginePlugin, PluginError, file_error};
use std::path::{Path, PathBuf};

/// The archive in the group's folder: frame k, at k ps, is the start of request k.
const ARCHIVE: &str = "starts.trr";

type Ended<'a> = dyn FnMut(usize, Result<Finished, PluginError>) -> Result<(), PluginError> + 'a;

/// Runs all requests; tells `ended` of each.
pub fn run(
    gromacs: &mut Gromacs,
    folder: &Path,
    requests: &[RunRequest<'_>],
    watch: &Watch<'_>,
    ended: &mut Ended<'_>,
) -> Result<(), PluginError> {
    let mpi = Mpi::find(&gromacs.program, &gromacs.settings)?;
    let start = |(k, request): (usize, &RunRequest<'_>)| {
        let frame = trr::read_last(&request.folder.join(START))?;
        Ok(TrrFrame { time_ps: k as f64, ..frame })
    };
    let starts = requests.iter().enumerate().map(start).collect::<Result<Vec<_>, PluginError>>()?;
    let archive = folder.join(ARCHIVE);
    trr::write(&archive, &starts)?;
    let work = gromacs.work(folder, "run")?;
    let mut folders: Vec<PathBuf> = Vec::new();
    for (k, request) in requests.iter().enumerate() {
        let own = work.path.join(format!("{k:03}"));
        std::fs::create_dir(&own).map_err(|e| file_error(&own, &e))?;
        let stage = gromacs.stage(&own, Some(watch));
        let from = Origin::Archive(&archive, k as f64);
        stage.grompp("md", &gromacs.production(request), Some(from), None)?;
        folders.push(own);
    }
    let failed = launch(gromacs, &mpi, &work.path, requests, watch).err();
    if let Some(e) = &failed {
        // Not one seed's fault.
        let end = [MARSFM_PLUGIN_CANCELLED, MARSFM_PLUGIN_TIMEOUT, MARSFM_PLUGIN_DISK_FULL];
        if end.contains(&e.status) {
            return Err(e.clone());
        }
    }
    for (k, (request, own)) in requests.iter().zip(&folders).enumerate() {
        let stage = gromacs.stage(own, Some(watch));
        let result = match gromacs.harvest(&stage, request) {
            Err(_) if failed.is_some() => gromacs.run(request, watch),
            result => result,
        };
        match result {
            Err(e) if !costs_only_the_seed(e.status) => return Err(e),
            result => ended(k, result)?,
        }
    }
    Ok(())
}

fn costs_only_the_seed(status: i32) -> bool {
    matches!(status, MARSFM_PLUGIN_DIVERGED | MARSFM_PLUGIN_KILLED)
}

fn launch(
    gromacs: &Gromacs,
    mpi: &Mpi,
    folder: &Path,
    requests: &[RunRequest<'_>],
    watch: &Watch<'_>,
) -> Result<(), PluginError> {
    let (n, steps) = (requests.len(), requests[0].head_steps + requests[0].steps);
    let names: Vec<String> = (0..n).map(|k| format!("{k:03}")).collect();
    let line = gromacs.stage(folder, None).line("md", "-noconfout -multidir");
    let all: Vec<String> = words(&line).into_iter().chain(names).collect();
    let launcher = mpi.start(n);
    let job = Job {
        launcher: &launcher,
        watch: Some(watch),
        steps,
        ..Job::new(&mpi.program.path, folder)
    };
    job.run(&all, None).map(drop)
}
