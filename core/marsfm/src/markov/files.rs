//! Trajectory files as rows of features, read one after another and never all in memory; and what
//! a model file remembers of where its rows came from.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
pub use marsfm_features::FeatureChoice;
use marsfm_features::{FeatureError, Featurizer, stream_source};
use marsfm_geometry::Topology;
use marsfm_host::Host;
use marsfm_msm::{Msm, MsmError, Rows};
use marsfm_trajectory::{Clock, Frame, FrameSource, TrajectoryError, lag_in_frames};
use serde::{Deserialize, Serialize};

/// Which features, for the program and for the model file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// The product's own, side by side.
    pub choice: FeatureChoice,
    /// Name of a featurizer plugin instead of them, with its options.
    #[serde(default)]
    pub plugin: Option<(String, Option<String>)>,
}

impl Features {
    /// Name and options of a plugin, written `NAME` or `NAME=OPTIONS`.
    pub fn plugin_named(text: &str) -> (String, Option<String>) {
        match text.split_once('=') {
            Some((name, options)) => (name.into(), Some(options.into())),
            None => (text.into(), None),
        }
    }

    /// That they are made of atoms; a model of a caller's own rows of numbers names none.
    pub fn of_atoms(&self) -> Result<(), String> {
        if self.choice.0.is_empty() && self.plugin.is_none() {
            let why =
                "the model was built of a caller's own rows of numbers, which no trajectory has";
            return Err(why.into());
        }
        Ok(())
    }
}

/// Files of one molecule.
#[derive(Clone, Debug)]
pub struct TrajectoryFiles {
    /// Topology file.
    pub topology: PathBuf,
    /// Trajectory files; their order numbers them.
    pub trajectories: Vec<PathBuf>,
    /// Time between stored frames, ps, where the files cannot tell.
    pub frame_ps: Option<f64>,
}

/// Where a model's rows came from; travels in the model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Which features.
    pub features: Features,
    /// Name of every feature, in order: another molecule has others.
    pub feature_names: Vec<String>,
    /// Time between frames, ps.
    pub frame_ps: f64,
    /// The trajectories, in the order of the model's.
    pub trajectories: Vec<String>,
}

impl Origin {
    /// What a model remembers; an error if it was built from rows of somebody else's making.
    pub fn of(msm: &Msm) -> Result<Self> {
        ensure!(
            !msm.origin.is_empty(),
            "this model does not say how its features are made (it was built from a matrix, or by \
             an older version): build it anew with `marsfm msm build`"
        );
        serde_json::from_str(&msm.origin).context("what the model says of its features")
    }

    /// As the model keeps it.
    pub fn to_text(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

/// Opened files: every trajectory can be read as often as needed.
pub struct FeatureFiles<'a> {
    host: &'a Host,
    files: &'a TrajectoryFiles,
    topology: Topology,
    features: Features,
    featurizer: Box<dyn Featurizer>,
    frame_ps: f64,
}

impl<'a> FeatureFiles<'a> {
    /// Reads the topology and the first two frames.
    pub fn open(host: &'a Host, files: &'a TrajectoryFiles, features: &Features) -> Result<Self> {
        features.of_atoms().map_err(anyhow::Error::msg)?;
        let (topology, _) = host.read_topology(&files.topology)?;
        let Some(first) = files.trajectories.first() else { bail!("no trajectory was given") };
        let mut source = host.open(first, Some(topology.len()))?;
        let (mut clock, mut reference) = (Clock::new(files.frame_ps)?, Frame::default());
        let name = first.display().to_string();
        ensure!(source.read(&mut reference)?, "{name}: the trajectory is empty: it holds no frame");
        clock.see(&name, 0, reference.time_ps)?;
        let mut second = Frame::default();
        if source.read(&mut second)? {
            clock.see(&name, 1, second.time_ps)?;
        }
        let frame_ps = clock.frame_ps()?;
        let featurizer = match &features.plugin {
            Some((plugin, options)) => host.featurizer(plugin, &topology, options.as_deref())?,
            None => features
                .choice
                .featurizer(&topology, &reference)
                .with_context(|| files.topology.display().to_string())?,
        };
        let features = features.clone();
        Ok(Self { host, files, topology, features, featurizer, frame_ps })
    }

    /// The same files again for a model that exists: features as it remembers them, which must
    /// come out with the same names; the same time between frames.
    pub fn open_for(host: &'a Host, files: &'a TrajectoryFiles, origin: &Origin) -> Result<Self> {
        let opened = Self::open(host, files, &origin.features)?;
        let names = opened.featurizer.names();
        if names != origin.feature_names {
            let other = names.iter().zip(&origin.feature_names).find(|(a, b)| a != b);
            let (found, wanted) = other.map_or(("none", "none"), |(a, b)| (a.as_str(), b.as_str()));
            bail!(
                "{}: its {} features are not the model's {} (first difference: {found}, the model \
                 has {wanted}); assign and update need the molecule that the model was built of",
                files.topology.display(),
                names.len(),
                origin.feature_names.len()
            );
        }
        ensure!(
            (opened.frame_ps - origin.frame_ps).abs() <= 1e-3 * origin.frame_ps,
            "the frames are {} ps apart, those of the model {} ps: write or thin them alike",
            opened.frame_ps,
            origin.frame_ps
        );
        Ok(opened)
    }

    /// Number of trajectories.
    pub fn n_trajectories(&self) -> usize {
        self.files.trajectories.len()
    }

    /// Features per frame.
    pub fn n_features(&self) -> usize {
        self.featurizer.n_features()
    }

    /// Time between frames, ps.
    pub fn frame_ps(&self) -> f64 {
        self.frame_ps
    }

    /// A lag in frames.
    pub fn lag_frames(&self, lag_ps: f64) -> Result<usize> {
        Ok(lag_in_frames(lag_ps, self.frame_ps)?)
    }

    /// Name of a trajectory.
    pub fn name(&self, number: usize) -> String {
        self.files.trajectories[number].display().to_string()
    }

    /// What a model made of these files should remember.
    pub fn origin(&self) -> Origin {
        Origin {
            features: self.features.clone(),
            feature_names: self.featurizer.names(),
            frame_ps: self.frame_ps,
            trajectories: (0..self.n_trajectories()).map(|n| self.name(n)).collect(),
        }
    }

    /// Hands the rows of a trajectory to `take`, block by block; returns their number. Errors of
    /// `take` are told with the file's name.
    pub fn read(
        &self,
        number: usize,
        mut take: impl FnMut(&Rows<'_, f64>) -> Result<(), MsmError>,
    ) -> Result<usize> {
        let path = &self.files.trajectories[number];
        let source = self.host.open(path, Some(self.topology.len()))?;
        let clock = Clock::new(Some(self.frame_ps))?;
        let mut source = Watched { source, clock, next: 0 };
        let width = self.n_features();
        stream_source(&*self.featurizer, &mut source, 1, |rows| -> Result<(), ReadError> {
            if !rows.is_empty() {
                take(&Rows::new(rows, width)?)?;
            }
            Ok(())
        })
        .map_err(|e| match e {
            ReadError::Feature(e) => anyhow::Error::from(e),
            // The estimators count trajectories; a user knows files.
            ReadError::Msm(MsmError::NotFinite { frame, feature, value, .. }) => {
                let name = self.featurizer.names().swap_remove(feature);
                anyhow::anyhow!("{}, frame {frame}: {name} is {value}", path.display())
            }
            ReadError::Msm(e) => anyhow::Error::from(e).context(path.display().to_string()),
        })
    }

    /// All rows of a trajectory in memory.
    pub fn rows(&self, number: usize) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        let width = self.n_features();
        self.read(number, |rows| {
            (0..rows.n_rows()).for_each(|i| all.extend_from_slice(rows.row(i)));
            Ok(())
        })?;
        ensure!(all.len().is_multiple_of(width.max(1)), "rows of unequal length");
        Ok(all)
    }
}

enum ReadError {
    Feature(FeatureError),
    Msm(MsmError),
}

impl From<FeatureError> for ReadError {
    fn from(e: FeatureError) -> Self {
        Self::Feature(e)
    }
}

impl From<MsmError> for ReadError {
    fn from(e: MsmError) -> Self {
        Self::Msm(e)
    }
}

/// A source whose times are checked as it is read.
struct Watched {
    source: Box<dyn FrameSource>,
    clock: Clock,
    next: usize,
}

impl FrameSource for Watched {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn n_atoms(&self) -> usize {
        self.source.n_atoms()
    }

    fn n_frames(&self) -> Option<usize> {
        self.source.n_frames()
    }

    fn read(&mut self, frame: &mut Frame) -> Result<bool, TrajectoryError> {
        let more = self.source.read(frame)?;
        if more {
            self.clock.see(self.source.name(), self.next, frame.time_ps)?;
            self.next += 1;
        }
        Ok(more)
    }

    fn seek(&mut self, index: usize) -> Result<(), TrajectoryError> {
        self.next = index;
        self.source.seek(index)
    }
}
