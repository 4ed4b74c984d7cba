//! The toy as an engine: runs are files of sites, seeds are places on the lattice. It can also
//! fail in the ways in which real engines do.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use marsfm_preparation::{EngineError, Failure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Toy, ToyOptions};
use crate::{Engine, Finished, Go, Job, KnownStates, LoopError, Ran, Structure};

/// A failure of real engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Its process ends.
    Crash,
    /// It stops giving signs of life.
    Hang,
    /// Positions that are no numbers.
    Nan,
    /// A trajectory that ends half-way, told as whole.
    Half,
    /// No room on the disk.
    Full,
}

/// MD that a start costs, ps: as OpenMM's.
const PREPARE_PS: f64 = 2.0;

/// The toy as an engine.
#[derive(Clone, Debug)]
pub struct ToyEngine {
    toy: Toy,
    states: States,
    jobs: u64,
}

#[derive(Clone, Debug)]
struct States(Toy);

impl ToyEngine {
    /// From the options of a loop's file.
    pub fn open(options: &toml::Table, frame_ps: f64) -> Result<Self, LoopError> {
        let parsed: Result<ToyOptions, _> = options.clone().try_into();
        let options =
            parsed.map_err(|e| LoopError::words(format!("engine.options: {}", e.message())))?;
        Ok(Self::new(Toy::new(options, frame_ps)?))
    }

    /// Of a toy.
    pub fn new(toy: Toy) -> Self {
        Self { states: States(toy.clone()), toy, jobs: 0 }
    }

    /// Its potential.
    pub fn toy(&self) -> &Toy {
        &self.toy
    }

    fn fault(&mut self) -> Option<Fault> {
        self.jobs += 1;
        let options = self.toy.options();
        options.fault.filter(|_| options.fault_at.contains(&(self.jobs - 1)))
    }

    fn failed(&self, failure: Failure, message: &str) -> EngineError {
        EngineError { engine: "toy".into(), failure, message: message.into() }
    }
}

impl Engine for ToyEngine {
    fn name(&self) -> &str {
        "toy"
    }

    fn temperature_kelvin(&self) -> f64 {
        self.toy.options().kelvin
    }

    fn notes(&self) -> Vec<String> {
        vec!["a toy: a walker on a lattice with six wells and exact answers, no molecule".into()]
    }

    fn template(&self) -> Structure {
        // The bottom of the deepest well.
        let deepest = (0..self.toy.n_sites())
            .max_by(|a, b| self.toy.pi()[*a].total_cmp(&self.toy.pi()[*b]))
            .unwrap_or(0);
        vec![self.toy.place(deepest)]
    }

    fn run(&mut self, job: &Job<'_>, go: Go<'_>) -> Result<Ran, EngineError> {
        let fault = self.fault();
        match fault {
            Some(Fault::Crash) => {
                return Err(self.failed(Failure::Killed, "the process ended with signal 11"));
            }
            Some(Fault::Hang) => {
                return Err(self.failed(Failure::Timeout, "no sign of life for 60 s"));
            }
            Some(Fault::Full) => {
                return Err(self.failed(Failure::DiskFull, "no space left on the device"));
            }
            _ => {}
        }
        let Some(placed) = job.start.first().and_then(|p| self.toy.site(*p)) else {
            return Ok(Ran::Rejected("the place is off the lattice".into()));
        };
        // The minimiser: downhill from where nothing stays.
        let mut site = placed;
        while self.toy.pi()[site] < 1e-6 {
            site = self.toy.downhill(site);
        }
        let verdict = if site == placed { "valid" } else { "repaired" };
        let path = job.folder.join("trajectory.toy");
        let file =
            std::fs::File::create(&path).map_err(|e| self.failed(Failure::File, &e.to_string()))?;
        let mut out = BufWriter::new(file);
        let mut rng = ChaCha8Rng::seed_from_u64(job.rng_seed);
        let frames = job.head_frames + job.frames;
        let told = if fault == Some(Fault::Half) { frames / 2 } else { frames };
        for k in 0..told {
            site = self.toy.step(site, &mut rng);
            let bad = fault == Some(Fault::Nan) && k > frames / 2;
            let stored = if bad { u16::MAX } else { site as u16 };
            out.write_all(&stored.to_le_bytes())
                .map_err(|e| self.failed(Failure::File, &e.to_string()))?;
            if k % 64 == 0 && !go(k as f64 / frames as f64) {
                return Err(self.failed(Failure::Cancelled, "stopped"));
            }
        }
        let written = out.into_inner().map_err(|e| e.into_error()).and_then(|f| f.sync_all());
        written.map_err(|e| self.failed(Failure::File, &e.to_string()))?;
        Ok(Ran::Finished(Finished {
            trajectory: path,
            verdict: verdict.into(),
            prepare_ps: PREPARE_PS,
            cpu_seconds: None,
        }))
    }

    fn feature_names(&self) -> Vec<String> {
        vec!["x".into(), "y".into()]
    }

    fn rows(&self, trajectory: &Path) -> Result<Vec<Vec<f64>>, String> {
        let place = |site: usize| match self.toy.pi().get(site) {
            Some(_) => self.toy.place(site)[..2].to_vec(),
            None => vec![f64::NAN; 2],
        };
        Ok(sites(trajectory)?.into_iter().map(place).collect())
    }

    fn row(&self, structure: &[[f64; 3]]) -> Result<Vec<f64>, String> {
        structure.first().map(|p| p[..2].to_vec()).ok_or_else(|| "an empty structure".into())
    }

    fn frame(&self, trajectory: &Path, index: usize) -> Result<Structure, String> {
        let all = sites(trajectory)?;
        let site = all.get(index).filter(|s| **s < self.toy.n_sites());
        let site = site.ok_or_else(|| format!("{}: no frame {index}", trajectory.display()))?;
        Ok(vec![self.toy.place(*site)])
    }

    fn frames(&self, trajectory: &Path) -> Result<Vec<Structure>, String> {
        (0..sites(trajectory)?.len()).map(|index| self.frame(trajectory, index)).collect()
    }

    fn copy(&self, trajectory: &Path, folder: &Path, stride: usize) -> Result<PathBuf, String> {
        let kept = sites(trajectory)?.into_iter().step_by(stride);
        let content: Vec<u8> = kept.flat_map(|s| (s as u16).to_le_bytes()).collect();
        let path = folder.join("trajectory.toy");
        std::fs::write(&path, content).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }

    fn known_states(&self) -> Option<&dyn KnownStates> {
        let known = !self.toy.options().cluster;
        known.then_some(&self.states as &dyn KnownStates)
    }
}

fn sites(trajectory: &Path) -> Result<Vec<usize>, String> {
    let bytes = std::fs::read(trajectory).map_err(|e| format!("{}: {e}", trajectory.display()))?;
    Ok(bytes.chunks_exact(2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]]))).collect())
}

impl KnownStates for States {
    fn n_micro(&self) -> usize {
        self.0.n_blocks()
    }

    fn micro_of(&self, row: &[f64]) -> usize {
        self.0.site([row[0], row[1], 0.0]).map_or(0, |s| self.0.block(s))
    }

    fn macro_of_micro(&self) -> Vec<usize> {
        // The well that holds most of the block's population.
        let mut weight = vec![vec![0.0; self.0.n_wells()]; self.0.n_blocks()];
        for (site, p) in self.0.pi().iter().enumerate() {
            weight[self.0.block(site)][self.0.wells()[site]] += p;
        }
        let most = |w: &Vec<f64>| (0..w.len()).max_by(|a, b| w[*a].total_cmp(&w[*b])).unwrap_or(0);
        weight.iter().map(most).collect()
    }

    fn centre(&self, micro: usize) -> Vec<f64> {
        let (mut sum, mut n) = ([0.0; 2], 0.0);
        for site in (0..self.0.n_sites()).filter(|s| self.0.block(*s) == micro) {
            let [x, y, _] = self.0.place(site);
            sum = [sum[0] + x, sum[1] + y];
            n += 1.0;
        }
        sum.iter().map(|s| s / f64::max(n, 1.0)).collect()
    }
}
