//! An engine plugin as the loop sees it: a structure is all atoms in the engine's own order, a run
//! is prepared and judged like any seed, and frames are features of the chain.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use marsfm_adaptive::{Engine, Finished, Go, Job, LoopSettings, Ran, Structure};
use marsfm_features::{FeatureChoice, Featurizer};
use marsfm_geometry::{Peptide, Topology};
use marsfm_host::{EngineLimits, Host};
use marsfm_preparation::{
    Engine as _, EngineError, Failure, Gate, RunRequest, Seed, VerdictKind, prepare,
};
use marsfm_trajectory::{Frame, write_atomically};

use crate::engines::place::Map;
use crate::engines::{Lengths, Placed, Runner};

/// The gate of the first epoch's MD, in the loop's folder.
const GATE: &str = "gate.json";

/// An engine plugin with its system and features.
pub struct MdEngine<'h> {
    host: &'h Host,
    runner: Runner,
    featurizer: Box<dyn Featurizer>,
    gate: Option<Gate>,
    /// Atoms of trajectories to copy, where they are not the engine's.
    foreign: Option<Topology>,
}

impl<'h> MdEngine<'h> {
    /// Opens the engine of a loop's settings; their times must fit its steps.
    pub fn open(host: &'h Host, settings: &LoopSettings) -> Result<Self> {
        let engine = &settings.engine;
        let options = serde_json::to_value(&engine.options)?;
        let options = options.as_object().cloned().unwrap_or_default();
        ensure!(
            options.contains_key("template"),
            "engine.options.template is missing: the folder with the engine's system (see \
             docs/engines.md for what it holds)"
        );
        let mut limits = EngineLimits::default();
        if let Some(seconds) = engine.timeout_s {
            limits.silence = std::time::Duration::try_from_secs_f64(seconds)
                .with_context(|| format!("engine.timeout_s is {seconds}"))?;
        }
        let runner = Runner::open(host, &engine.name, &options, limits)?;
        ensure!(
            engine.together == 1 || runner.engine().runs_together(),
            "engine.together is {}, but {} runs one seed at a time: leave it out",
            engine.together,
            engine.name
        );
        let system = runner.system();
        let choice: FeatureChoice = engine
            .features
            .as_deref()
            .unwrap_or("torsions")
            .parse()
            .map_err(|e| anyhow::anyhow!("engine.features: {e}"))?;
        let reference = frame_of(&system.positions_nm);
        let featurizer = choice.featurizer(&system.topology, &reference)?;
        let b = &settings.budget;
        let lengths = Lengths { head_ps: b.head_ps, ps: b.run_ps, frame_ps: b.frame_ps };
        lengths.in_steps(system.step_ps).context("budget")?;
        Ok(Self { host, runner, featurizer, gate: None, foreign: None })
    }

    /// What [`Engine::copy`] reads has these atoms.
    pub fn with_foreign(mut self, topology: Topology) -> Self {
        self.foreign = Some(topology);
        self
    }

    /// The chain.
    pub fn peptide(&self) -> &Peptide {
        self.runner.judge().peptide()
    }

    /// The engine's atoms.
    pub fn topology(&self) -> &Topology {
        &self.runner.system().topology
    }

    fn read(&self, path: &Path, mut each: impl FnMut(&Frame) -> Result<bool>) -> Result<()> {
        let mut source = self.host.open(path, Some(self.topology().len()))?;
        let mut frame = Frame::default();
        while source.read(&mut frame)? {
            if !each(&frame)? {
                break;
            }
        }
        Ok(())
    }

    /// A frame of the engine's own atoms as a structure: the chain whole; solvent is the
    /// template's, since the engine brings its own.
    fn structure(&self, frame: &Frame) -> Result<Structure> {
        let (system, peptide) = (self.runner.system(), self.peptide());
        let mut whole = frame.positions_nm.clone();
        if let Some(cell) = &frame.cell_nm {
            peptide.make_whole(&mut whole, cell)?;
        }
        if !system.solvated {
            return Ok(double(&whole));
        }
        let mut out = system.positions_nm.clone();
        let atoms: Vec<usize> = peptide.molecule_indices().collect();
        let shift: [f64; 3] = std::array::from_fn(|k| {
            let here = atoms.iter().map(|a| out[*a][k]).sum::<f64>();
            let there = atoms.iter().map(|a| f64::from(whole[*a][k])).sum::<f64>();
            (here - there) / atoms.len().max(1) as f64
        });
        for a in atoms {
            out[a] = std::array::from_fn(|k| f64::from(whole[a][k]) + shift[k]);
        }
        Ok(out)
    }

    /// Steps of head, run and frame.
    fn steps(&self, job: &Job<'_>) -> Result<(u64, u64, u64), EngineError> {
        let lengths = Lengths {
            head_ps: job.head_frames as f64 * job.frame_ps,
            ps: job.frames as f64 * job.frame_ps,
            frame_ps: job.frame_ps,
        };
        lengths.in_steps(self.runner.system().step_ps).map_err(|e| self.engine_error(e))
    }

    /// A start in the job's folder, or what became of the seed instead.
    fn prepare(&self, job: &Job<'_>, go: Go<'_>) -> Result<Result<Ready, Ran>, EngineError> {
        // Plugins take seeds of 31 bits from programs that know no more.
        let rng_seed = job.rng_seed >> 33;
        let seed = Seed {
            positions_nm: job.start,
            cell_nm: self.runner.system().cell_nm,
            needs_repair: false,
            rng_seed,
        };
        let (engine, judge) = (self.runner.engine(), self.runner.judge());
        let gate = self.gate.as_ref();
        let prepared = prepare(engine, judge, gate, job.folder, &seed, &mut |_, _| go(0.0))?;
        let Some(started) = prepared.started else {
            let reasons = prepared.verdict.reasons.iter();
            let words: Vec<String> =
                reasons.map(|(r, text)| format!("{}: {text}", r.code())).collect();
            return Ok(Err(match prepared.verdict.kind {
                VerdictKind::Rejected => Ran::Rejected(words.join("; ")),
                _ => Ran::Lost("it was prepared, but there is no start".into()),
            }));
        };
        let verdict = prepared.verdict.kind.word();
        Ok(Ok(Ready { rng_seed, verdict, prepare_ps: started.md_ps }))
    }

    fn failed(&self, failure: Failure, message: String) -> EngineError {
        EngineError { engine: self.runner.engine().name().into(), failure, message }
    }

    /// An error of a use-case as one of the engine.
    fn engine_error(&self, error: anyhow::Error) -> EngineError {
        match error.downcast::<EngineError>() {
            Ok(e) => e,
            Err(e) => self.failed(Failure::Engine, format!("{e:#}")),
        }
    }
}

/// A seed with a start in its folder.
struct Ready {
    rng_seed: u64,
    verdict: &'static str,
    prepare_ps: f64,
}

impl Ready {
    fn request<'a>(&self, job: &Job<'a>, steps: (u64, u64, u64)) -> RunRequest<'a> {
        let (head_steps, steps, frame_steps) = steps;
        let (folder, rng_seed) = (job.folder, self.rng_seed);
        RunRequest { folder, rng_seed, head_steps, steps, frame_steps }
    }

    fn finished(&self, job: &Job<'_>, trajectory: &Path) -> Ran {
        Ran::Finished(Finished {
            trajectory: job.folder.join(trajectory.file_name().unwrap_or_default()),
            verdict: self.verdict.into(),
            prepare_ps: self.prepare_ps,
            cpu_seconds: None,
        })
    }
}

fn part(done: u64, of: u64) -> f64 {
    done as f64 / of.max(1) as f64
}

impl Engine for MdEngine<'_> {
    fn name(&self) -> &str {
        self.runner.engine().name()
    }

    fn temperature_kelvin(&self) -> f64 {
        self.runner.system().temperature_kelvin
    }

    fn notes(&self) -> Vec<String> {
        self.runner.system().notes.clone()
    }

    fn template(&self) -> Structure {
        self.runner.system().positions_nm.clone()
    }

    fn run(&mut self, job: &Job<'_>, go: Go<'_>) -> Result<Ran, EngineError> {
        let steps = self.steps(job)?;
        let prepared = match self.prepare(job, go)? {
            Ok(prepared) => prepared,
            Err(ran) => return Ok(ran),
        };
        let request = prepared.request(job, steps);
        let finished = self.runner.engine().run(&request, &mut |done, of| go(part(done, of)))?;
        Ok(prepared.finished(job, &finished.trajectory))
    }

    /// Prepared one after another, run at once.
    fn run_together(&mut self, jobs: &[Job<'_>], go: Go<'_>) -> Result<Vec<Ran>, EngineError> {
        let [first, _, ..] = jobs else {
            return jobs.iter().map(|job| Ran::of(self.run(job, go))).collect();
        };
        let steps = self.steps(first)?;
        let (mut all, mut prepared) = (Vec::new(), Vec::new());
        for job in jobs {
            match self.prepare(job, go) {
                Ok(Ok(one)) => prepared.push((all.len(), job, one)),
                Ok(Err(ran)) => {
                    all.push(Some(ran));
                    continue;
                }
                Err(e) => {
                    all.push(Some(Ran::of(Err(e))?));
                    continue;
                }
            }
            all.push(None);
        }
        let shared = first.folder.join("together");
        let requests: Vec<RunRequest<'_>> =
            prepared.iter().map(|(_, job, one)| one.request(job, steps)).collect();
        if !requests.is_empty() {
            let file = |e: std::io::Error| format!("{}: {e}", shared.display());
            let made = std::fs::create_dir_all(&shared).map_err(file);
            made.map_err(|e| self.failed(Failure::File, e))?;
            let go = &mut |done, of| go(part(done, of));
            let ends = self.runner.engine().run_together(&shared, &requests, go)?;
            let _ = std::fs::remove_dir_all(&shared);
            for ((place, job, one), end) in prepared.iter().zip(ends) {
                let ran = end.map(|finished| one.finished(job, &finished.trajectory));
                all[*place] = Some(Ran::of(ran)?);
            }
        }
        Ok(all.into_iter().flatten().collect())
    }

    fn feature_names(&self) -> Vec<String> {
        self.featurizer.names()
    }

    fn rows(&self, trajectory: &Path) -> Result<Vec<Vec<f64>>, String> {
        let mut rows = Vec::new();
        let all = self.read(trajectory, |frame| {
            let mut row = vec![0.0; self.featurizer.n_features()];
            self.featurizer.compute(&frame.positions_nm, frame.cell_nm.as_ref(), &mut row)?;
            rows.push(row);
            Ok(true)
        });
        all.map_err(|e| format!("frame {}: {e:#}", rows.len()))?;
        Ok(rows)
    }

    fn row(&self, structure: &[[f64; 3]]) -> Result<Vec<f64>, String> {
        let mut row = vec![0.0; self.featurizer.n_features()];
        let single = frame_of(structure).positions_nm;
        self.featurizer.compute(&single, None, &mut row).map_err(|e| e.to_string())?;
        Ok(row)
    }

    fn frame(&self, trajectory: &Path, index: usize) -> Result<Structure, String> {
        let read = || -> Result<Structure> {
            let mut source = self.host.open(trajectory, Some(self.topology().len()))?;
            source.seek(index)?;
            let mut frame = Frame::default();
            ensure!(source.read(&mut frame)?, "there is no such frame");
            self.structure(&frame)
        };
        read().map_err(|e| format!("{}, frame {index}: {e:#}", trajectory.display()))
    }

    fn frames(&self, trajectory: &Path) -> Result<Vec<Structure>, String> {
        let mut all = Vec::new();
        let read = self.read(trajectory, |frame| {
            all.push(self.structure(frame)?);
            Ok(true)
        });
        read.map_err(|e| format!("{}, frame {}: {e:#}", trajectory.display(), all.len()))?;
        Ok(all)
    }

    fn copy(&self, trajectory: &Path, folder: &Path, stride: usize) -> Result<PathBuf, String> {
        let path = folder.join("trajectory.xtc");
        let copy = || -> Result<()> {
            let mut sink = self.host.create(&path, self.topology())?;
            let atoms = self.foreign.as_ref().map_or(self.topology().len(), Topology::len);
            let mut source = self.host.open(trajectory, Some(atoms))?;
            let (mut frame, mut index) = (Frame::default(), 0);
            let mut map = None;
            let system = self.runner.system();
            while source.read(&mut frame)? {
                if index % stride == 0 {
                    let positions_nm = match &self.foreign {
                        None => frame.positions_nm.clone(),
                        Some(atoms) => {
                            let engine =
                                (&system.topology, self.peptide(), &system.positions_nm[..]);
                            if map.is_none() {
                                map = Some(Map::new(engine, atoms, &frame)?);
                            }
                            let placed = map.as_ref().expect("just made").place(&frame)?;
                            frame_of(&placed.positions_nm).positions_nm
                        }
                    };
                    let cell_nm = frame.cell_nm.filter(|_| self.foreign.is_none());
                    sink.write(&Frame { positions_nm, cell_nm, time_ps: frame.time_ps })?;
                }
                index += 1;
            }
            Ok(sink.finish()?)
        };
        copy().map_err(|e| format!("{}: {e:#}", trajectory.display()))?;
        Ok(path)
    }

    fn calibrate(
        &mut self,
        folder: &Path,
        frames: &[Structure],
        go: Go<'_>,
    ) -> Result<(), EngineError> {
        let path = folder.join(GATE);
        if let Ok(text) = std::fs::read(&path) {
            let read = serde_json::from_slice(&text);
            self.gate = read.map_err(|e| {
                self.failed(Failure::File, format!("{}: {e}; remove it", path.display()))
            })?;
            return Ok(());
        }
        if frames.is_empty() {
            return Ok(());
        }
        let place = |p: &Structure| Placed { positions_nm: p.clone(), needs_repair: false };
        let before: Vec<Placed> = frames.iter().map(place).collect();
        let scratch = folder.join(".partial-gate");
        let gate = self.runner.gate(&scratch, &before, |_, _| go(0.0));
        let _ = std::fs::remove_dir_all(&scratch);
        self.gate = gate.map_err(|e| self.engine_error(e))?;
        let text = serde_json::to_vec_pretty(&self.gate).expect("a gate is plain data");
        write_atomically(&path, &text).map_err(|e| self.failed(Failure::File, e.to_string()))
    }
}

pub(super) fn double(positions_nm: &[[f32; 3]]) -> Structure {
    positions_nm.iter().map(|p| p.map(f64::from)).collect()
}

pub(super) fn frame_of(positions_nm: &[[f64; 3]]) -> Frame {
    let positions_nm = positions_nm.iter().map(|p| p.map(|x| x as f32)).collect();
    Frame { positions_nm, cell_nm: None, time_ps: None }
}
