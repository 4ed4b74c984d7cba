//! A Markov model that serves frames in a caller's own order: built from files or from recordings,
//! asked for the states of a frame, updated with what an engine hands back.

use std::path::Path;
use std::sync::Arc;

use marsfm_features::{FeatureChoice, Featurizer};
use marsfm_host::Host;
use marsfm_msm::{Drift, Msm, MsmBuilder, MsmError, Rows};
use marsfm_trajectory::{Frame, lag_in_frames};
use rayon::prelude::*;

use super::{Atoms, Recording, SessionError, Start};
use crate::markov::MsmSettings;
use crate::markov::files::{FeatureFiles, Features, Origin, TrajectoryFiles};
use crate::markov::passes::{self, FilesRequest};

/// A Markov model and the atoms that its frames have. Immutable. A model of a caller's own rows of
/// numbers has no atoms: it assigns rows.
pub struct StateModel {
    msm: Msm,
    origin: Origin,
    bound: Option<Bound>,
}

/// What turns frames into the rows of a model.
#[derive(Clone)]
struct Bound {
    atoms: Arc<Atoms>,
    featurizer: Arc<dyn Featurizer>,
}

/// A model with trajectories added, and how they differ from what it was built on.
pub struct Update {
    /// The new model; the old one stays as it was.
    pub model: StateModel,
    /// The difference.
    pub drift: Drift,
}

fn refused(error: impl std::fmt::Display) -> SessionError {
    SessionError::Msm(error.to_string())
}

fn sorted(error: &anyhow::Error) -> SessionError {
    let estimating = error.chain().any(|cause| cause.is::<MsmError>());
    let message = format!("{error:#}");
    if estimating { SessionError::Msm(message) } else { SessionError::File(message) }
}

impl StateModel {
    /// Builds a model from files; frames are then in the order of the topology file. What grows with
    /// the frames waits in the system's folder of temporary files.
    pub fn from_files(
        host: &Host,
        files: TrajectoryFiles,
        features: &Features,
        settings: &MsmSettings,
    ) -> Result<Self, SessionError> {
        let opened = FeatureFiles::open(host, &files, features).map_err(|e| sorted(&e))?;
        for lag_ps in [settings.tica_lag_ps, settings.msm_lag_ps, settings.pair_lag_ps] {
            opened.lag_frames(lag_ps).map_err(refused)?;
        }
        let default = MsmBuilder::new(1);
        let request = FilesRequest {
            files: files.clone(),
            features: features.clone(),
            settings: settings.clone(),
            var_cutoff: default.var_cutoff,
            scaling: default.scaling,
            mini_batch: default.mini_batch,
            spill: Some(std::env::temp_dir()),
        };
        let msm = passes::build(host, &request, |_, _| {}).map_err(|e| sorted(&e))?;
        let file = |e: &dyn std::fmt::Display| SessionError::File(e.to_string());
        let atoms = Arc::new(Atoms::from_file(host, &files.topology)?);
        let first = &files.trajectories[0];
        let mut reference = Frame::default();
        let mut source = host.open(first, Some(atoms.len())).map_err(|e| file(&e))?;
        source.read(&mut reference).map_err(|e| file(&e))?;
        Self::bound(host, msm, atoms, &reference)
    }

    /// Builds a model from recordings of one molecule.
    pub fn from_recordings(
        host: &Host,
        recordings: &[&Recording],
        features: &Features,
        settings: &MsmSettings,
    ) -> Result<Self, SessionError> {
        let Some(first) = recordings.first() else {
            return Err(SessionError::Request("no trajectory was given".into()));
        };
        let builder = builder(settings, first.frame_ps)?;
        let featurizer = featurizer_of(host, features, &first.atoms, reference(first)?)?;
        let origin = Origin {
            features: features.clone(),
            feature_names: featurizer.names(),
            frame_ps: first.frame_ps,
            trajectories: recordings.iter().map(|r| r.name.clone()).collect(),
        };
        let rows = rows_of(host, recordings, &origin)?;
        let views = views(&rows, featurizer.n_features())?;
        let mut msm = builder.build(&views).map_err(refused)?;
        msm.origin = origin.to_text().map_err(refused)?;
        let bound = Some(Bound { atoms: first.atoms.clone(), featurizer });
        Ok(Self { msm, origin, bound })
    }

    /// Builds a model of rows of numbers, one matrix per trajectory, `width` numbers to a frame and
    /// `frame_ps` between frames.
    pub fn from_rows(
        trajectories: &[Rows<'_, f64>],
        width: usize,
        frame_ps: f64,
        settings: &MsmSettings,
    ) -> Result<Self, SessionError> {
        let builder = builder(settings, frame_ps)?;
        let mut msm = builder.build(trajectories).map_err(refused)?;
        let origin = Origin {
            features: Features { choice: FeatureChoice(vec![]), plugin: None },
            feature_names: (0..width).map(|i| format!("column {i}")).collect(),
            frame_ps,
            trajectories: (0..trajectories.len()).map(|i| format!("rows {i}")).collect(),
        };
        msm.origin = origin.to_text().map_err(refused)?;
        Ok(Self { msm, origin, bound: None })
    }

    /// Reads a model file and binds it to a caller's atoms; `start` tells which residues are
    /// connected. The molecule must be the one that the model was built of.
    pub fn load(
        host: &Host,
        path: &Path,
        atoms: Arc<Atoms>,
        start: &Start,
    ) -> Result<Self, SessionError> {
        let reference = start.frame(&atoms)?;
        let msm = Msm::load(path).map_err(|e| SessionError::File(e.to_string()))?;
        Self::bound(host, msm, atoms, &reference).map_err(|e| match e {
            SessionError::Msm(m) => SessionError::Msm(format!("{}: {m}", path.display())),
            other => other,
        })
    }

    fn bound(
        host: &Host,
        msm: Msm,
        atoms: Arc<Atoms>,
        reference: &Frame,
    ) -> Result<Self, SessionError> {
        let origin = Origin::of(&msm).map_err(|e| SessionError::Msm(format!("{e:#}")))?;
        let featurizer = featurizer_of(host, &origin.features, &atoms, reference)?;
        same_features(&origin, &featurizer.names(), "the topology")?;
        Ok(Self { msm, origin, bound: Some(Bound { atoms, featurizer }) })
    }

    /// Writes the model; the file appears when it is complete.
    pub fn save(&self, path: &Path) -> Result<(), SessionError> {
        self.msm.save(path).map_err(|e| SessionError::File(e.to_string()))
    }

    /// The model.
    pub fn msm(&self) -> &Msm {
        &self.msm
    }

    /// Number of atoms of a frame, which is in the caller's order; 0 for a model of rows.
    pub fn n_atoms(&self) -> usize {
        self.bound.as_ref().map_or(0, |b| b.atoms.len())
    }

    fn bound_to(&self) -> Result<&Bound, SessionError> {
        self.bound.as_ref().ok_or_else(|| {
            let message = "the model was built of rows of numbers, not of atoms: it assigns rows";
            SessionError::Msm(message.into())
        })
    }

    /// Time between frames, ps.
    pub fn frame_ps(&self) -> f64 {
        self.origin.frame_ps
    }

    /// Microstate and macrostate of a frame; `None`: it belongs to no state.
    pub fn assign(&self, frame: &Start) -> Result<(Option<usize>, Option<usize>), SessionError> {
        let Bound { atoms, featurizer } = self.bound_to()?;
        let frame = frame.frame(atoms)?;
        let mut row = vec![0.0; featurizer.n_features()];
        featurizer
            .compute(&frame.positions_nm, frame.cell_nm.as_ref(), &mut row)
            .map_err(refused)?;
        let rows = Rows::new(&row, row.len()).map_err(refused)?;
        let (micro, coarse) = self.msm.assign(&rows).map_err(refused)?;
        let state = |s: &[i32]| s.first().and_then(|s| usize::try_from(*s).ok());
        Ok((state(&micro), state(&coarse)))
    }

    /// Microstate and macrostate of rows of numbers as the model was built of; -1: of no state.
    pub fn assign_rows(&self, rows: &Rows<'_, f64>) -> Result<(Vec<i32>, Vec<i32>), SessionError> {
        self.msm.assign(rows).map_err(refused)
    }

    /// Numbers in a row of features.
    pub fn n_features(&self) -> usize {
        self.msm.tica.mean.len()
    }

    /// The model with recordings added: projection and centres stay, counts grow.
    pub fn updated(&self, host: &Host, recordings: &[&Recording]) -> Result<Update, SessionError> {
        if recordings.is_empty() {
            return Err(SessionError::Request("no trajectory was given".into()));
        }
        let bound = Some(self.bound_to()?.clone());
        let mut origin = self.origin.clone();
        let rows = rows_of(host, recordings, &origin)?;
        let views = views(&rows, self.n_features())?;
        let (mut msm, drift) = self.msm.updated(&views).map_err(refused)?;
        origin.trajectories.extend(recordings.iter().map(|r| r.name.clone()));
        msm.origin = origin.to_text().map_err(refused)?;
        Ok(Update { model: Self { msm, origin, bound }, drift })
    }
}

fn builder(settings: &MsmSettings, frame_ps: f64) -> Result<MsmBuilder, SessionError> {
    let frames = |lag_ps: f64| lag_in_frames(lag_ps, frame_ps).map_err(refused);
    Ok(MsmBuilder {
        tica_lag: frames(settings.tica_lag_ps)?,
        msm_lag: frames(settings.msm_lag_ps)?,
        pair_lag: frames(settings.pair_lag_ps)?,
        n_microstates: settings.microstates,
        n_macrostates: settings.macrostates,
        rng_seed: settings.rng_seed,
        ..MsmBuilder::new(1)
    })
}

fn featurizer_of(
    host: &Host,
    features: &Features,
    atoms: &Atoms,
    reference: &Frame,
) -> Result<Arc<dyn Featurizer>, SessionError> {
    features.of_atoms().map_err(SessionError::Msm)?;
    let topology = atoms.topology();
    let made = match &features.plugin {
        None => features.choice.featurizer(topology, reference).map_err(refused)?,
        Some((plugin, options)) => {
            host.featurizer(plugin, topology, options.as_deref()).map_err(refused)?
        }
    };
    Ok(made.into())
}

fn same_features(origin: &Origin, names: &[String], what: &str) -> Result<(), SessionError> {
    if origin.feature_names == names {
        return Ok(());
    }
    let mut pairs = names.iter().zip(&origin.feature_names);
    let first = pairs.find(|(a, b)| a != b).map_or_else(
        || format!("{} features, the model has {}", names.len(), origin.feature_names.len()),
        |(a, b)| format!("{a}, where the model has {b}"),
    );
    Err(SessionError::Msm(format!(
        "{what} has other features than the model ({first}): same molecule, residue names and \
         residue numbers are needed"
    )))
}

fn reference(recording: &Recording) -> Result<&Frame, SessionError> {
    recording.frames.first().ok_or_else(|| {
        SessionError::Msm(format!(
            "{}: no frame is left to count ({} were handed in, the head is discarded)",
            recording.name,
            recording.n_seen()
        ))
    })
}

fn rows_of(
    host: &Host,
    recordings: &[&Recording],
    origin: &Origin,
) -> Result<Vec<Vec<f64>>, SessionError> {
    let rows = |recording: &&Recording| -> Result<Vec<f64>, SessionError> {
        let name = &recording.name;
        if (recording.frame_ps - origin.frame_ps).abs() > 1e-3 * origin.frame_ps {
            return Err(SessionError::Msm(format!(
                "{name}: frames are {} ps apart, those of the model {} ps",
                recording.frame_ps, origin.frame_ps
            )));
        }
        let reference = reference(recording)?;
        let featurizer = featurizer_of(host, &origin.features, &recording.atoms, reference)?;
        same_features(origin, &featurizer.names(), name)?;
        let width = featurizer.n_features();
        let mut data = vec![0.0; width * recording.frames.len()];
        data.par_chunks_mut(width).zip(&recording.frames).enumerate().try_for_each(
            |(i, (row, frame))| {
                featurizer
                    .compute(&frame.positions_nm, frame.cell_nm.as_ref(), row)
                    .map_err(|e| SessionError::Msm(format!("{name}, kept frame {i}: {e}")))
            },
        )?;
        Ok(data)
    };
    recordings.iter().map(rows).collect()
}

fn views(rows: &[Vec<f64>], width: usize) -> Result<Vec<Rows<'_, f64>>, SessionError> {
    rows.iter().map(|r| Rows::new(r, width)).collect::<Result<_, _>>().map_err(refused)
}
