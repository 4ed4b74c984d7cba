//! A simulated system as the use-cases see it: topology, chain, all replicas in memory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use marsfm_geometry::{Conformation, Peptide, Topology};
use marsfm_host::Host;
use marsfm_training::Recipe;
use marsfm_trajectory::{Dataset, Frame, FrameSource, LoadOptions};
use rayon::prelude::*;

/// Where a system's files are.
#[derive(Clone, Debug)]
pub struct SystemFiles {
    /// Name for messages and reports.
    pub name: String,
    /// Topology file (PDB, mmCIF, …).
    pub topology: PathBuf,
    /// Trajectory files, one per replica.
    pub trajectories: Vec<PathBuf>,
    /// Time between stored frames, ps, where the files cannot tell.
    pub frame_ps: Option<f64>,
}

impl SystemFiles {
    /// The files of `root/NAME`: `NAME.pdb` and every `.xtc` beside it, in name order.
    pub fn in_folder(root: &Path, name: &str) -> Result<Self> {
        let folder = root.join(name);
        let entries = std::fs::read_dir(&folder).with_context(|| {
            format!("{}: cannot list the folder of system {name}", folder.display())
        })?;
        let mut trajectories = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "xtc") {
                trajectories.push(path);
            }
        }
        trajectories.sort();
        if trajectories.is_empty() {
            bail!("{}: holds no .xtc trajectory", folder.display());
        }
        let topology = folder.join(format!("{name}.pdb"));
        Ok(Self { name: name.into(), topology, trajectories, frame_ps: None })
    }
}

impl SystemFiles {
    /// The same in the first of some folders that has the system.
    pub fn in_folders(roots: &[PathBuf], name: &str) -> Result<Self> {
        match roots.iter().find(|root| root.join(name).is_dir()) {
            Some(root) => Self::in_folder(root, name),
            None => {
                let tried: Vec<String> =
                    roots.iter().map(|r| r.join(name).display().to_string()).collect();
                bail!("there is no system {name}; tried {}", tried.join(", "))
            }
        }
    }
}

/// Replicas per temperature in an mdCATH file.
const MDCATH_REPLICAS: usize = 5;

impl SystemFiles {
    /// The replicas at one temperature of an mdCATH file, and what is missing there, in words.
    pub fn in_mdcath(host: &Host, path: &Path, kelvin: u32) -> Result<(Self, Vec<String>)> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = stem.strip_prefix("mdcath_dataset_").unwrap_or(&stem).to_string();
        let (mut trajectories, mut missing) = (Vec::new(), Vec::new());
        for replica in 0..MDCATH_REPLICAS {
            let part = PathBuf::from(format!("{}#{kelvin}/{replica}", path.display()));
            match host.open(&part, None) {
                Ok(_) => trajectories.push(part),
                Err(e) => missing.push(e.to_string()),
            }
        }
        if trajectories.is_empty() {
            bail!("{}", missing.join("; "));
        }
        Ok((Self { name, topology: path.into(), trajectories, frame_ps: None }, missing))
    }

    /// The systems that a recipe means by a name, each with its temperature, K, and what is missing,
    /// in words: `root/mdcath_dataset_NAME.h5` at the recipe's temperatures if there is such a file,
    /// else the files of `root/NAME`. At several temperatures their names are `NAME@320K`, ….
    pub fn of_recipe(
        host: &Host,
        root: &Path,
        name: &str,
        recipe: &Recipe,
    ) -> Result<(Vec<AtTemperature>, Vec<String>)> {
        let (own, data) = (recipe.domain.temperature_kelvin, &recipe.data);
        let domain = root.join(format!("mdcath_dataset_{name}.h5"));
        if !domain.is_file() {
            let kelvin = data.temperature_of.get(name).copied().unwrap_or(own);
            return Ok((vec![(Self::in_folder(root, name)?, kelvin)], Vec::new()));
        }
        let read = |kelvin: f64| Self::in_mdcath(host, &domain, kelvin.round() as u32);
        if data.temperatures_kelvin.is_empty() {
            let (files, missing) = read(own)?;
            return Ok((vec![(files, own)], missing));
        }
        let (mut systems, mut missing) = (Vec::new(), Vec::new());
        for kelvin in &data.temperatures_kelvin {
            match read(*kelvin) {
                Ok((files, absent)) => {
                    let name = format!("{}@{kelvin:.0}K", files.name);
                    systems.push((Self { name, ..files }, *kelvin));
                    missing.extend(absent);
                }
                Err(none) => missing.push(format!("{none:#}")),
            }
        }
        if systems.is_empty() {
            bail!("{}", missing.join("; "));
        }
        Ok((systems, missing))
    }
}

/// A system's files, and the temperature of its MD, K.
pub type AtTemperature = (SystemFiles, f64);

/// A system in memory.
pub struct System {
    /// Name.
    pub name: String,
    /// Topology, in file order.
    pub topology: Topology,
    /// First frame: reference for connectivity and carried atoms.
    pub reference: Frame,
    /// The chain.
    pub peptide: Peptide,
    /// All replicas.
    pub data: Dataset,
}

impl System {
    /// Reads a system; periodic chains are made whole.
    pub fn load(host: &Host, files: &SystemFiles) -> Result<Self> {
        let (topology, _) = host.read_topology(&files.topology)?;
        let open = |path: &PathBuf| -> Result<Box<dyn FrameSource>> {
            Ok(host.open(path, Some(topology.len()))?)
        };
        if files.trajectories.is_empty() {
            bail!("{}: no trajectory was given", files.name);
        }
        let sources = files.trajectories.iter().map(open).collect::<Result<Vec<_>>>()?;
        let options = LoadOptions { frame_ps: files.frame_ps, ..LoadOptions::default() };
        let data = Dataset::load(sources, options)?;
        let first = &data.trajectories()[0];
        let reference = Frame {
            positions_nm: first.positions_nm(0).to_vec(),
            cell_nm: first.cell_nm(0),
            time_ps: None,
        };
        let chain = match &reference.cell_nm {
            Some(cell) => Peptide::from_topology_in_cell(&topology, &reference.positions_nm, cell),
            None => Peptide::from_topology(&topology, &reference.positions_nm),
        };
        let peptide = chain.with_context(|| format!("{}", files.topology.display()))?;
        Ok(Self { name: files.name.clone(), topology, reference, peptide, data })
    }

    /// Every frame as rigids and torsions (Å), per trajectory.
    pub fn encoded(&self) -> Result<Vec<Vec<Conformation<f32>>>> {
        let one = |t: usize, f: usize| -> Result<Conformation<f32>> {
            let trajectory = &self.data.trajectories()[t];
            let place = || format!("{}, frame {f}", trajectory.name);
            let positions = trajectory.positions_nm(f);
            match trajectory.cell_nm(f) {
                None => self.peptide.encode(positions).with_context(place),
                Some(cell) => {
                    let mut whole = positions.to_vec();
                    self.peptide.make_whole(&mut whole, &cell).with_context(place)?;
                    self.peptide.encode(&whole).with_context(place)
                }
            }
        };
        let trajectories = self.data.trajectories().iter().enumerate();
        trajectories
            .map(|(t, trajectory)| {
                (0..trajectory.n_frames()).into_par_iter().map(|f| one(t, f)).collect()
            })
            .collect()
    }

    /// Simulated time, ns.
    pub fn nanoseconds(&self) -> f64 {
        self.data.n_frames() as f64 * self.data.frame_ps() / 1000.0
    }
}
