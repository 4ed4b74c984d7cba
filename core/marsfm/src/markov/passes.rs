//! A model of files in three passes, by one run or by many jobs. Every job is given the whole list
//! of trajectories and says which part is its own; what it keeps goes into a part file, and `merge`
//! makes the next stage, or the model, of all parts. One run does the same in one go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use marsfm_host::Host;
use marsfm_msm::staged::{Centers, MomentStore, Parts, Plan, Projection, TrajectoryMoments};
use marsfm_msm::{Msm, MsmBuilder, MsmError, StateWriter};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::MsmSettings;
use super::files::{FeatureFiles, Features, TrajectoryFiles};

/// Points that k-means sees, at most: 16 MB in ten dimensions.
pub const MAX_POINTS: usize = 200_000;

/// A model to build from files.
#[derive(Clone, Debug)]
pub struct FilesRequest {
    /// The files.
    pub files: TrajectoryFiles,
    /// Their features.
    pub features: Features,
    /// Lags and sizes.
    pub settings: MsmSettings,
    /// Fraction of the kinetic variance that TICA keeps.
    pub var_cutoff: f64,
    /// Scaling of the projection.
    pub scaling: marsfm_msm::Scaling,
    /// Whether one more pass lets mini-batches of all frames move the centres that a subsample gave.
    pub mini_batch: bool,
    /// Folder for what grows with the data and must not fill memory: two bytes per frame and the
    /// moments of every trajectory, in unnamed files that vanish with the build. Without one they
    /// stay in memory.
    pub spill: Option<PathBuf>,
}

impl FilesRequest {
    /// The settings in frames.
    pub fn builder(&self, files: &FeatureFiles) -> Result<MsmBuilder> {
        let s = &self.settings;
        Ok(MsmBuilder {
            tica_lag: files.lag_frames(s.tica_lag_ps)?,
            msm_lag: files.lag_frames(s.msm_lag_ps)?,
            pair_lag: files.lag_frames(s.pair_lag_ps)?,
            n_microstates: s.microstates,
            n_macrostates: s.macrostates,
            rng_seed: s.rng_seed,
            var_cutoff: self.var_cutoff,
            scaling: self.scaling,
            mini_batch: self.mini_batch,
            ..MsmBuilder::new(1)
        })
    }

    fn plan(&self, files: &FeatureFiles) -> Result<Plan> {
        Ok(Plan {
            settings: self.builder(files)?,
            n_trajectories: files.n_trajectories(),
            max_points: MAX_POINTS,
            origin: files.origin().to_text()?,
        })
    }
}

/// Builds a model in one run; memory holds the points of k-means and one block of frames, whatever
/// the number of frames (see [`FilesRequest::spill`]). `progress(pass, trajectories done)`.
pub fn build(
    host: &Host,
    request: &FilesRequest,
    mut progress: impl FnMut(usize, usize),
) -> Result<Msm> {
    let files = FeatureFiles::open(host, &request.files, &request.features)?;
    let plan = request.plan(&files)?;
    let all = 0..files.n_trajectories();
    let mut each = |pass: usize, number: usize| progress(pass, number + 1);
    let spill = request.spill.as_deref();
    let mut store = MomentStore::new(spill);
    for number in all.clone() {
        store.push(moments(&files, &plan, number)?)?;
        each(1, number);
    }
    let projection = store.projection(plan.clone())?;
    let mut parts = Parts::new();
    for number in all.clone() {
        parts.insert(number, points(&files, &projection, number)?);
        each(2, number);
    }
    let mut k = plan.settings.n_microstates;
    loop {
        let mut centers = projection.clone().some_centers(k, &parts)?;
        if request.mini_batch {
            let mut pass = centers.refine();
            for (done, number) in pass.order().into_iter().enumerate() {
                files.read(number, |rows| pass.push(rows))?;
                each(3, done);
            }
            centers = pass.finish()?;
        }
        let found = centers.kmeans.centers.n_rows();
        let last = if request.mini_batch { 4 } else { 3 };
        let mut states = StateWriter::new(spill);
        for number in all.clone() {
            files.read(number, |rows| states.push(&centers.assign(rows)?))?;
            states.end_trajectory();
            each(last, number);
        }
        match centers.model_of(states.finish()?) {
            // As the build in memory does where no microstate is seen twice.
            Err(MsmError::NoTransitions { .. }) if found > 1 => k = found / 2,
            result => return Ok(result?),
        }
    }
}

fn moments(files: &FeatureFiles, plan: &Plan, number: usize) -> Result<TrajectoryMoments> {
    let mut pass = plan.moments(files.n_features())?;
    files.read(number, |rows| pass.push(rows))?;
    Ok(pass.finish()?)
}

fn points(files: &FeatureFiles, projection: &Projection, number: usize) -> Result<Vec<f64>> {
    let mut pass = projection.points(number);
    files.read(number, |rows| pass.push(rows))?;
    Ok(pass.finish())
}

fn states(files: &FeatureFiles, centers: &Centers, number: usize) -> Result<Vec<i32>> {
    let mut pass = centers.states();
    files.read(number, |rows| pass.push(rows))?;
    Ok(pass.finish())
}

/// Part `index` (from 1) of `of`: trajectories whose number is `index - 1` modulo `of`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Which part, from 1.
    pub index: usize,
    /// Number of parts.
    pub of: usize,
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no part; write 3/8 for the third of eight");
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        let (index, of): (usize, usize) =
            (index.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
        if index == 0 || index > of { Err(wrong()) } else { Ok(Self { index, of }) }
    }
}

/// What is in a part file or a stage file.
#[derive(Serialize, Deserialize)]
enum Content {
    Moments { plan: Plan, parts: Parts<TrajectoryMoments> },
    Projection(Projection),
    Points { stage: String, parts: Parts<Vec<f64>> },
    Centers(Centers),
    States { stage: String, parts: Parts<Vec<i32>> },
}

impl Content {
    fn words(&self) -> &'static str {
        match self {
            Self::Moments { .. } => "moments of a part",
            Self::Projection(_) => "the projection",
            Self::Points { .. } => "points of a part",
            Self::Centers(_) => "the centres",
            Self::States { .. } => "states of a part",
        }
    }
}

const FORMAT: &str = "marsfm msm part 1";

#[derive(Serialize, Deserialize)]
struct PartFile {
    format: String,
    content: Content,
}

fn write(path: &Path, content: Content) -> Result<()> {
    let bytes = serde_json::to_vec(&PartFile { format: FORMAT.into(), content })?;
    marsfm_trajectory::write_atomically(path, &bytes)
        .with_context(|| format!("{}: cannot write", path.display()))
}

/// Content and the hash that later parts name it by.
fn read(path: &Path) -> Result<(Content, String)> {
    let at = || path.display().to_string();
    let bytes = std::fs::read(path).with_context(at)?;
    let file: PartFile = serde_json::from_slice(&bytes)
        .with_context(|| format!("{}: is no file of `msm partial` or `msm merge`", at()))?;
    ensure!(file.format == FORMAT, "{}: has the format `{}`", at(), file.format);
    let hash = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    Ok((file.content, hash))
}

/// One job: the pass that comes after `stage` (none: the first) over the share's trajectories.
/// `progress(done, to do)`.
pub fn partial(
    host: &Host,
    request: &FilesRequest,
    share: Share,
    stage: Option<&Path>,
    out: &Path,
    mut progress: impl FnMut(usize, usize),
) -> Result<()> {
    let files = FeatureFiles::open(host, &request.files, &request.features)?;
    ensure!(
        !request.mini_batch,
        "mini-batches follow one another and cannot be spread over jobs: build in one run, or \
         without them"
    );
    let plan = request.plan(&files)?;
    let mine: Vec<usize> = (share.index - 1..files.n_trajectories()).step_by(share.of).collect();
    let mut done = 0;
    let mut tick = || {
        done += 1;
        progress(done, mine.len());
    };
    let same_plan = |other: &Plan, path: &Path| {
        ensure!(
            *other == plan,
            "{}: belongs to other trajectories, features or settings than those given here",
            path.display()
        );
        Ok(())
    };
    let content = match stage {
        None => {
            let mut parts = Parts::new();
            for &number in &mine {
                parts.insert(number, moments(&files, &plan, number)?);
                tick();
            }
            Content::Moments { plan, parts }
        }
        Some(path) => match read(path)? {
            (Content::Projection(projection), stage) => {
                same_plan(&projection.plan, path)?;
                let mut parts = Parts::new();
                for &number in &mine {
                    parts.insert(number, points(&files, &projection, number)?);
                    tick();
                }
                Content::Points { stage, parts }
            }
            (Content::Centers(centers), stage) => {
                same_plan(&centers.projection.plan, path)?;
                let mut parts = Parts::new();
                for &number in &mine {
                    parts.insert(number, states(&files, &centers, number)?);
                    tick();
                }
                Content::States { stage, parts }
            }
            (other, _) => bail!(
                "{}: holds {}; a pass starts from what `msm merge` wrote",
                path.display(),
                other.words()
            ),
        },
    };
    write(out, content)
}

/// What `merge` wrote.
pub enum Merged {
    /// The projection: next, points of every part.
    Projection,
    /// The centres: next, states of every part.
    Centers,
    /// The model is done.
    Model(Box<Msm>),
}

/// Puts the parts of one pass together; `stage` is the file that they started from (none after the
/// first pass).
pub fn merge(parts: &[PathBuf], stage: Option<&Path>, out: &Path) -> Result<Merged> {
    ensure!(!parts.is_empty(), "there is nothing to merge: no part file was given");
    let Some(path) = stage else {
        let (mut plan, mut all) = (None, Parts::new());
        for path in parts {
            let (content, _) = read(path)?;
            let Content::Moments { plan: own, parts } = content else {
                bail!(
                    "{}: holds {}; without --from, merge takes moments",
                    path.display(),
                    content.words()
                );
            };
            ensure!(
                plan.get_or_insert_with(|| own.clone()) == &own,
                "{}: belongs to another build than the parts before it",
                path.display()
            );
            add(&mut all, parts, path)?;
        }
        let plan = plan.context("no part was read")?;
        write(out, Content::Projection(plan.projection(all)?))?;
        return Ok(Merged::Projection);
    };
    let (content, hash) = read(path)?;
    let of_stage = |part: &Path, stage: &str| {
        let other = path.display();
        ensure!(stage == hash, "{}: was not made from {other}", part.display());
        Ok(())
    };
    let strange = |part: &Path, found: &Content, wanted: &str| -> Result<Merged> {
        bail!("{}: holds {}, {wanted} are wanted here", part.display(), found.words())
    };
    match content {
        Content::Projection(projection) => {
            let mut all = Parts::new();
            for part in parts {
                match read(part)?.0 {
                    Content::Points { stage, parts } => {
                        of_stage(part, &stage)?;
                        add(&mut all, parts, part)?;
                    }
                    other => return strange(part, &other, "points"),
                }
            }
            write(out, Content::Centers(projection.centers(all)?))?;
            Ok(Merged::Centers)
        }
        Content::Centers(centers) => {
            // Part after part, so that memory holds one of them; put in order on disk.
            let folder = out.parent().filter(|f| *f != Path::new("")).unwrap_or(Path::new("."));
            let (mut states, mut places) = (StateWriter::new(Some(folder)), Parts::new());
            for part in parts {
                match read(part)?.0 {
                    Content::States { stage, parts } => {
                        of_stage(part, &stage)?;
                        let first = places.len();
                        let numbers = parts.keys().zip(first..).map(|(n, p)| (*n, p)).collect();
                        add(&mut places, numbers, part)?;
                        for one in parts.values() {
                            states.push(one)?;
                            states.end_trajectory();
                        }
                    }
                    other => return strange(part, &other, "states"),
                }
            }
            let msm = centers.model(&states.finish()?, &places, Some(folder))?;
            msm.save(out)?;
            Ok(Merged::Model(Box::new(msm)))
        }
        other => bail!("{}: holds {}, which is no stage", path.display(), other.words()),
    }
}

fn add<T>(all: &mut BTreeMap<usize, T>, parts: BTreeMap<usize, T>, path: &Path) -> Result<()> {
    for (number, part) in parts {
        ensure!(
            all.insert(number, part).is_none(),
            "{}: trajectory {number} is in another part too",
            path.display()
        );
    }
    Ok(())
}
