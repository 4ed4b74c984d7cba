//! Systems prepared for training and kept on disk: encoded frames and the Markov model, each in a file
//! of a folder. What was prepared of the same files with the same settings is used again; anything
//! else is made anew.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use marsfm_geometry::ResidueType;
use marsfm_host::Host;
use marsfm_msm::Msm;
use marsfm_training::{FrameFile, Frames, Recipe, System as TrainingSystem};

use crate::pairs;
use crate::systems::{System, SystemFiles};

/// Keys of what is kept with the frames.
const MADE_OF: &str = "made_of";
const SEQUENCE: &str = "sequence";
const NANOSECONDS: &str = "nanoseconds";
const LAG_FRAMES: &str = "pair_lag_frames";

/// A system whose frames stay on disk, of MD at `kelvin`.
pub fn system(
    host: &Host,
    files: &SystemFiles,
    kelvin: f64,
    recipe: &Recipe,
    folder: &Path,
) -> Result<TrainingSystem> {
    let frames_path = folder.join(format!("{}.frames.safetensors", files.name));
    let model_path = folder.join(format!("{}.msm.safetensors", files.name));
    let made_of = made_of(files, recipe)?;
    let current = FrameFile::open(&frames_path).is_ok_and(|f| f.about(MADE_OF) == Some(&made_of));
    if !current {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot create the folder", folder.display()))?;
        let system = System::load(host, files)?;
        let lag = system.data.lag_frames(recipe.pairs.pair_lag_ps)?;
        if let Some(msm) = pairs::model(&system, recipe)? {
            msm.save(&model_path)?;
        }
        // The frames come last: where they are, the model is.
        let about = BTreeMap::from([
            (MADE_OF.to_string(), made_of),
            (SEQUENCE.to_string(), system.peptide.types().iter().map(|t| t.letter()).collect()),
            (NANOSECONDS.to_string(), system.nanoseconds().to_string()),
            (LAG_FRAMES.to_string(), lag.to_string()),
        ]);
        FrameFile::write(&frames_path, system.peptide.len(), &system.encoded()?, &about)?;
    }
    open(files, kelvin, recipe, &frames_path, &model_path)
        .with_context(|| format!("system {}, prepared in {}", files.name, folder.display()))
}

fn open(
    files: &SystemFiles,
    kelvin: f64,
    recipe: &Recipe,
    frames_path: &Path,
    model_path: &Path,
) -> Result<TrainingSystem> {
    let frames = FrameFile::open(frames_path)?;
    let about = |key: &str| frames.about(key).with_context(|| format!("{key} is not there"));
    let letters = about(SEQUENCE)?.chars();
    let types: Option<Vec<ResidueType>> = letters.map(ResidueType::from_letter).collect();
    let types = types.context("its sequence has an unknown residue")?;
    let (nanoseconds, lag) = (about(NANOSECONDS)?.parse()?, about(LAG_FRAMES)?.parse()?);
    let msm = match recipe.pairs.level {
        marsfm_training::PairLevel::Window => None,
        _ => Some(Msm::load(model_path)?),
    };
    let frames = Frames::File(frames);
    let pairs = pairs::of(msm.as_ref(), &frames.lengths(), lag, recipe)?;
    let (name, temperature_kelvin) = (files.name.clone(), kelvin);
    Ok(TrainingSystem { name, types, frames, pairs, nanoseconds, temperature_kelvin })
}

/// What the prepared files are a function of: the trajectories (by name, size and time of their last
/// change) and how pairs are made.
fn made_of(files: &SystemFiles, recipe: &Recipe) -> Result<String> {
    let mut out = format!("marsfm {}", env!("CARGO_PKG_VERSION"));
    for path in std::iter::once(&files.topology).chain(&files.trajectories) {
        // `file.h5#450/2` is a part of file.h5.
        let shown = path.display().to_string();
        let on_disk = if path.exists() {
            shown.as_str()
        } else {
            shown.rsplit_once('#').map_or(shown.as_str(), |p| p.0)
        };
        let about = std::fs::metadata(on_disk).with_context(|| shown.clone())?;
        let changed = about.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        out += &format!("; {shown} {} {changed}", about.len());
    }
    let pairs = serde_json::to_string(&recipe.pairs)?;
    Ok(format!("{out}; frame_ps {:?}; {pairs}; {}", files.frame_ps, recipe.network.frames))
}
