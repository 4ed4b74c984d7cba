//! MD that was made before the loop, or beside it: unbiased trajectories of the engine's own
//! atoms, copied into the loop's folder frame by frame and counted without their heads.

use std::path::Path;

use super::Driver;
use super::seed::fresh;
use crate::history::Record;
use crate::watch::Watch;
use crate::{Engine, Finished, LoopError};

/// What to import.
#[derive(Clone, Copy, Debug)]
pub struct Import<'a> {
    /// A trajectory that the engine can read.
    pub trajectory: &'a Path,
    /// Its first frames that are not counted, because something drove or placed them.
    pub head_frames: u64,
    /// Every how many frames to take, so that what is taken is `frame_ps` apart.
    pub stride: usize,
}

impl Driver {
    /// Imports a trajectory; answers the frames taken, head included.
    pub fn import(
        &mut self,
        engine: &dyn Engine,
        import: &Import<'_>,
        watch: &dyn Watch,
    ) -> Result<u64, LoopError> {
        let words = |text: String| LoopError::new(import.trajectory, &text);
        let number = self.history().runs.iter().filter(|r| r.epoch.is_none()).count();
        let (scratch, folder) = fresh(self.store.folder(), &format!("import_{number:03}"))?;
        let trajectory = engine
            .copy(import.trajectory, &scratch, import.stride.max(1))
            .map_err(LoopError::words)?;
        let rows = engine.rows(&trajectory).map_err(LoopError::words)?;
        if let Some(frame) = rows.iter().position(|r| !r.iter().all(|v| v.is_finite())) {
            return Err(words(format!("frame {frame} holds numbers that are not finite")));
        }
        let (frames, lag) = (rows.len() as u64, self.settings().lag_frames() as u64);
        if frames < import.head_frames + 10 * lag {
            return Err(words(format!(
                "holds {frames} frames, {} of them head: what is left must be at least 10 x \
                 model.msm_lag_ps long, {} frames",
                import.head_frames,
                10 * lag
            )));
        }
        let finished =
            Finished { trajectory, verdict: "imported".into(), prepare_ps: 0.0, cpu_seconds: None };
        let told = (None, number, import.head_frames);
        let run = self.keep(&scratch, &folder, &finished, &rows, told)?;
        self.record(Record::Ran(run), watch)?;
        Ok(frames)
    }
}
