//! The host: plugins found and loaded, and files opened through the one that fits best.

use crate::engine::{self, PluginEngine};
use crate::engine_watch::EngineLimits;
use crate::error::HostError;
use crate::featurizer::PluginFeaturizer;
use crate::find;
use crate::plugin::{FormatInfo, Plugin};
use crate::proposer::{self, PluginProposer};
use crate::rows::{TopologyFile, read_topology};
use crate::source::{PluginSink, PluginSource};
use crate::status::PluginStatus;
use marsfm_features::Featurizer;
use marsfm_geometry::Topology;
use marsfm_plugin_api::abi::{
    MARSFM_PLUGIN_BACKEND_1, MARSFM_PLUGIN_ENGINE_1, MARSFM_PLUGIN_FEATURIZER_1,
    MARSFM_PLUGIN_PROPOSER_1, MARSFM_PLUGIN_TRAJECTORY_1,
};
use marsfm_plugin_api::engine_abi::EngineService;
use marsfm_preparation::{EngineError, Failure};
use marsfm_trajectory::{Frame, FrameSink, FrameSource};
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Loaded plugins and the list of refusals.
#[derive(Default)]
pub struct Host {
    pub(crate) plugins: Vec<Arc<Plugin>>,
    refused: Vec<PluginStatus>,
    /// Device and inode of what was considered, so that links and hard links count once.
    seen: Vec<(u64, u64)>,
    searched: Vec<PathBuf>,
}

impl Host {
    /// A host without plugins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads what is in the folders of `MARSFM_PLUGIN_PATH` (absolute paths, colons between) and
    /// in the plugin folders beside the program and the library: `plugins`, `marsfm/plugins`,
    /// `../lib/marsfm/plugins`, and files named `libmarsfm_plugin_*` right beside. A file that
    /// is refused is recorded, see [`Host::report`], and the search goes on.
    pub fn with_default_paths() -> Self {
        let mut host = Self::new();
        let (folders, refused) = find::folders();
        for (path, why) in refused {
            host.refuse(&path, why.into());
        }
        for folder in folders {
            host.searched.push(folder.path.clone());
            for file in find::candidates(&folder) {
                host.consider(&file);
            }
        }
        host
    }

    /// Loads every shared library in `folder` that can be loaded; refusals are recorded.
    pub fn load_folder(&mut self, folder: impl AsRef<Path>) {
        let folder = find::Folder { path: folder.as_ref().into(), shared: false };
        self.searched.push(folder.path.clone());
        for file in find::candidates(&folder) {
            self.consider(&file);
        }
    }

    /// Loads one plugin from an explicit path. It takes the place of a loaded one of its name.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), HostError> {
        let plugin = Plugin::load(path.as_ref())?;
        self.plugins.retain(|p| p.name != plugin.name);
        self.plugins.insert(0, Arc::new(plugin));
        Ok(())
    }

    fn consider(&mut self, path: &Path) {
        if let Ok(meta) = path.metadata() {
            let id = (meta.dev(), meta.ino());
            if self.seen.contains(&id) {
                return;
            }
            self.seen.push(id);
        }
        match Plugin::load(path) {
            Ok(plugin) => match self.plugins.iter().find(|p| p.name == plugin.name) {
                None => self.plugins.push(Arc::new(plugin)),
                Some(first) => {
                    let why =
                        format!("{} was found first and has the same name", first.path.display());
                    self.refuse(path, why);
                }
            },
            Err(HostError::Refused { why, .. }) => self.refuse(path, why),
            Err(other) => self.refuse(path, other.to_string()),
        }
    }

    fn refuse(&mut self, path: &Path, why: String) {
        self.refused.push(PluginStatus {
            path: path.display().to_string(),
            refused: Some(why),
            name: None,
            version: None,
            abi: None,
            door: None,
            services: Vec::new(),
            formats: Vec::new(),
            sha256: None,
        });
    }

    /// What is loaded, then what was refused and why.
    pub fn report(&self) -> Vec<PluginStatus> {
        let loaded = self.plugins.iter().map(|p| {
            let has = |there: bool, id: &CStr| there.then(|| id.to_string_lossy().into_owned());
            PluginStatus {
                path: p.path.display().to_string(),
                refused: None,
                name: Some(p.name.clone()),
                version: Some(p.version.clone()),
                abi: Some(format!("{}.{}", p.abi.0, p.abi.1)),
                door: Some(p.door),
                services: [
                    has(p.trajectory.is_some(), MARSFM_PLUGIN_TRAJECTORY_1),
                    has(p.featurizer.is_some(), MARSFM_PLUGIN_FEATURIZER_1),
                    has(p.engine.is_some(), MARSFM_PLUGIN_ENGINE_1),
                    has(p.backend.is_some(), MARSFM_PLUGIN_BACKEND_1),
                    has(p.proposer.is_some(), MARSFM_PLUGIN_PROPOSER_1),
                ]
                .into_iter()
                .flatten()
                .collect(),
                formats: p.formats.clone(),
                sha256: Some(p.sha256.clone()),
            }
        });
        loaded.chain(self.refused.iter().cloned()).collect()
    }

    /// The folders that were searched, whether they exist or not.
    pub fn searched(&self) -> &[PathBuf] {
        &self.searched
    }

    /// Atoms of a file, and its coordinates if it has any. See [`Host::read_topology_file`] for
    /// the remarks that come with them.
    pub fn read_topology(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<(Topology, Option<Frame>), HostError> {
        self.read_topology_file(path).map(|file| (file.topology, file.frame))
    }

    /// Atoms, coordinates and remarks (alternate locations left out and the like) of a file.
    pub fn read_topology_file(&self, path: impl AsRef<Path>) -> Result<TopologyFile, HostError> {
        let path = path.as_ref();
        exists(path)?;
        let plugin = self.choose(path, "read the atoms of", |f| f.has_topology)?;
        read_topology(&plugin, path)
    }

    /// Opens a trajectory. With `n_atoms_expected`, another number of atoms is an error.
    pub fn open(
        &self,
        path: impl AsRef<Path>,
        n_atoms_expected: Option<usize>,
    ) -> Result<Box<dyn FrameSource>, HostError> {
        let path = path.as_ref();
        exists(path)?;
        let plugin = self.choose(path, "read frames of", |f| f.reads)?;
        let source = PluginSource::open(plugin, path)?;
        if let Some(expected) = n_atoms_expected.filter(|n| *n != source.n_atoms()) {
            let (file, found) = (path.display().to_string(), source.n_atoms());
            return Err(HostError::AtomCount { file, expected, found });
        }
        Ok(Box::new(source))
    }

    /// Starts a trajectory file; it appears under its name when the sink is finished.
    pub fn create(
        &self,
        path: impl AsRef<Path>,
        topology: &Topology,
    ) -> Result<Box<dyn FrameSink>, HostError> {
        let path = path.as_ref();
        let plugin = self.choose(path, "write", |f| f.writes)?;
        Ok(Box::new(PluginSink::create(plugin, path, topology)?))
    }

    /// The featurizer of the plugin called `plugin`, bound to `topology`.
    pub fn featurizer(
        &self,
        plugin: &str,
        topology: &Topology,
        options: Option<&str>,
    ) -> Result<Box<dyn Featurizer>, HostError> {
        let with = |p: &&Arc<Plugin>| p.featurizer.is_some();
        let Some(found) = self.plugins.iter().filter(with).find(|p| p.name == plugin) else {
            let known: Vec<&str> =
                self.plugins.iter().filter(with).map(|p| p.name.as_str()).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(HostError::File {
                file: plugin.into(),
                message: format!("no featurizer plugin of this name is loaded; loaded: {known}"),
            });
        };
        Ok(Box::new(PluginFeaturizer::open(found.clone(), topology, options)?))
    }

    /// The proposer of a plugin by its name, bound to `topology`; `options` is a JSON object.
    pub fn proposer(
        &self,
        name: &str,
        topology: &Topology,
        options: &str,
    ) -> Result<PluginProposer, HostError> {
        let all = || self.plugins.iter().filter_map(|p| Some((p, p.proposer?)));
        let found = all().find(|(_, table)| proposer::name_of(table) == name);
        let Some((plugin, table)) = found else {
            let known: Vec<String> = all().map(|(_, table)| proposer::name_of(table)).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(HostError::File {
                file: name.into(),
                message: format!("no proposer plugin of this name is loaded; loaded: {known}"),
            });
        };
        PluginProposer::open(plugin.clone(), table, topology, options)
    }

    /// Names of the engines that loaded plugins drive.
    pub fn engines(&self) -> Vec<String> {
        self.plugins.iter().filter_map(|p| p.engine).map(engine::name_of).collect()
    }

    /// What an engine plugin says about itself and what is installed, as the JSON object of the
    /// contract. `options` is a JSON object. A missing engine is an answer, not an error.
    pub fn describe_engine(
        &self,
        engine: &str,
        options: &str,
        limits: EngineLimits,
    ) -> Result<serde_json::Value, EngineError> {
        let (plugin, table) = self.engine_table(engine)?;
        engine::describe(plugin, table, options, limits)
    }

    /// Opens an engine by its name; `options` is a JSON object with at least `template`.
    pub fn open_engine(
        &self,
        engine: &str,
        options: &str,
        limits: EngineLimits,
    ) -> Result<PluginEngine, EngineError> {
        let (plugin, table) = self.engine_table(engine)?;
        PluginEngine::open(plugin.clone(), table, options, limits)
    }

    fn engine_table(
        &self,
        engine: &str,
    ) -> Result<(&Arc<Plugin>, &'static EngineService), EngineError> {
        let mut known = self.plugins.iter().filter_map(|p| Some((p, p.engine?)));
        known.find(|(_, table)| engine::name_of(table) == engine).ok_or_else(|| {
            let loaded = self.engines();
            let loaded = if loaded.is_empty() { "none".into() } else { loaded.join(", ") };
            let message = format!(
                "no plugin for this engine is loaded; loaded: {loaded} (see marsfm plugins list)"
            );
            EngineError { engine: engine.into(), failure: Failure::Missing, message }
        })
    }

    /// The plugin of the highest declared priority for the extension; the earlier on a tie.
    fn choose(
        &self,
        path: &Path,
        action: &'static str,
        can: impl Fn(&FormatInfo) -> bool,
    ) -> Result<Arc<Plugin>, HostError> {
        let extension = on_disk(path)
            .extension()
            .map(|e| e.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        let mut best: Option<(i32, &Arc<Plugin>)> = None;
        let mut known = BTreeSet::new();
        for plugin in &self.plugins {
            for format in plugin.formats.iter().filter(|f| can(f)) {
                if format.extensions.contains(&extension)
                    && best.is_none_or(|(priority, _)| format.priority > priority)
                {
                    best = Some((format.priority, plugin));
                }
                known.extend(format.extensions.iter().map(|e| format!(".{e}")));
            }
        }
        if let Some((_, plugin)) = best {
            return Ok(plugin.clone());
        }
        let known = if known.is_empty() {
            let folders: Vec<String> =
                self.searched.iter().map(|p| p.display().to_string()).collect();
            format!(
                "nothing, no plugin is loaded (searched: {}; set {} to the folder of the plugins)",
                folders.join(", "),
                find::PATH_VARIABLE
            )
        } else {
            known.into_iter().collect::<Vec<_>>().join(" ")
        };
        let file = path.display().to_string();
        Err(HostError::UnknownFormat { file, action, extension, known })
    }
}

/// The file of a path. `domain.h5#450/2` is a part of `domain.h5` where no file has that name: the
/// plugin gets the whole path and finds the part.
fn on_disk(path: &Path) -> &Path {
    let part = path.to_str().and_then(|text| text.rsplit_once('#'));
    match part {
        Some((file, _)) if !path.exists() => Path::new(file),
        _ => path,
    }
}

fn exists(path: &Path) -> Result<(), HostError> {
    let error = |message: String| HostError::File { file: path.display().to_string(), message };
    match on_disk(path).metadata() {
        Err(e) => Err(error(format!("cannot be opened: {e}"))),
        Ok(meta) if meta.is_dir() => Err(error("this is a folder, a file is needed".into())),
        Ok(_) => Ok(()),
    }
}
