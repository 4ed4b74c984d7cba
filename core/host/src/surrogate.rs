//! Surrogates on the device that the caller names: in this process, or through a backend plugin.

use crate::backend::{self, PluginModel};
use crate::cuda;
use crate::device::{BackendReport, Device, Devices};
use crate::error::HostError;
use crate::host::Host;
use crate::plugin::Plugin;
use marsfm_plugin_api::backend_abi::BackendService;
use marsfm_surrogate::checkpoint::{self, Checkpoint};
use marsfm_surrogate::{Backend, NetworkConfig, Precision, Surrogate};
use std::path::Path;
use std::sync::Arc;

/// The backend that `--device cuda` means.
const CUDA: &str = "cuda";

impl Host {
    /// Loads a surrogate onto a device.
    pub fn surrogate(&self, path: &Path, device: &Device) -> Result<Surrogate, HostError> {
        if *device == Device::Cpu {
            return Ok(Surrogate::load(path)?);
        }
        let (checkpoint, bytes) = checkpoint::load_bytes(path)?;
        self.place(checkpoint, &bytes, device)
    }

    /// Puts a checkpoint in memory, whose file would be `bytes`, onto a device.
    pub fn place(
        &self,
        checkpoint: Checkpoint,
        bytes: &[u8],
        device: &Device,
    ) -> Result<Surrogate, HostError> {
        match self.backend(bytes, &checkpoint.card.network, device)? {
            None => Ok(Surrogate::from_checkpoint(checkpoint)?),
            Some(backend) => {
                Ok(Surrogate::with_backend(checkpoint.card, checkpoint.sha256, backend))
            }
        }
    }

    /// The bytes of a checkpoint of network `config` on a device; `None` where this process's own
    /// CPU is meant.
    pub fn backend(
        &self,
        checkpoint: &[u8],
        config: &NetworkConfig,
        device: &Device,
    ) -> Result<Option<Arc<dyn Backend>>, HostError> {
        let (name, index, precision) = match device {
            Device::Cpu => return Ok(None),
            Device::Auto if self.usable_cuda().is_err() => return Ok(None),
            Device::Auto => (CUDA, 0, Precision::F32),
            Device::Backend { name, index, precision } => (name.as_str(), *index, *precision),
        };
        let failed = |message| HostError::Device { device: device.to_string(), message };
        let (plugin, table) = if name == CUDA {
            self.usable_cuda().map_err(failed)?
        } else {
            self.find_backend(name).ok_or_else(|| failed(self.unknown_backend()))?
        };
        let model =
            PluginModel::load(plugin.clone(), table, (index, precision), checkpoint, config)?;
        Ok(Some(Arc::new(model)))
    }

    /// What this machine has to compute on.
    pub fn devices(&self) -> Devices {
        let reports = self.backends().map(|(plugin, table)| {
            let (devices, failures) = backend::describe(plugin, table);
            let path = plugin.path.display().to_string();
            BackendReport { name: backend::name_of(table), path, devices, failures }
        });
        let found =
            |d: cuda::Driver| format!("CUDA {}.{}, {} card(s)", d.cuda.0, d.cuda.1, d.cards);
        let backends: Vec<BackendReport> = reports.collect();
        let usable = self.usable_cuda().map(|_| ());
        let first = || {
            let cuda = backends.iter().find(|b| b.name == CUDA)?;
            cuda.devices.first().cloned()
        };
        Devices {
            cpu_threads: std::thread::available_parallelism().map_or(1, usize::from),
            cuda_driver: cuda::driver().map(found).ok(),
            cuda_usable: usable.is_ok(),
            cuda: usable.map_or_else(|why| why, |()| first().unwrap_or_else(|| "a card".into())),
            backends,
        }
    }

    fn backends(&self) -> impl Iterator<Item = (&Arc<Plugin>, &'static BackendService)> {
        self.plugins.iter().filter_map(|p| Some((p, p.backend?)))
    }

    fn find_backend(&self, name: &str) -> Option<(&Arc<Plugin>, &'static BackendService)> {
        self.backends().find(|(_, table)| backend::name_of(table) == name)
    }

    fn unknown_backend(&self) -> String {
        let known: Vec<String> = self.backends().map(|(_, t)| backend::name_of(t)).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        format!("no plugin for it is loaded; loaded: {known}, and cpu (see marsfm plugins list)")
    }

    /// The CUDA plugin with at least one card that it can use, or why not: the driver first, since
    /// without one nothing else helps.
    fn usable_cuda(&self) -> Result<(&Arc<Plugin>, &'static BackendService), String> {
        cuda::driver()?;
        let found = self.find_backend(CUDA).ok_or_else(|| {
            "there is a card, but the plugin `cuda` is not loaded; build it with \
             plugins/cuda/build.sh and put it into a plugin folder (marsfm plugins list shows them)"
                .to_owned()
        })?;
        let (devices, failures) = backend::describe(found.0, found.1);
        if devices.is_empty() {
            return Err(failures.first().cloned().unwrap_or_else(|| "no reason given".into()));
        }
        Ok(found)
    }
}
