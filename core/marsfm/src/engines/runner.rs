//! One engine, many seeds.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use marsfm_geometry::Topology;
use marsfm_host::{EngineLimits, Host, PluginEngine};
use marsfm_preparation::{
    Engine, EngineError, Finished, Gate, Judge, RunRequest, Seed, System, prepare,
};
use marsfm_trajectory::Frame;
use serde::Serialize;
use serde_json::{Map, Value};

use super::place::{self, Placed};
use super::record::{self, SeedRecord, Summary};

/// How long to run, ps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Lengths {
    /// Kept, not counted.
    pub head_ps: f64,
    /// After the head.
    pub ps: f64,
    /// Between frames.
    pub frame_ps: f64,
}

impl Default for Lengths {
    /// 10 ps of head, 100 ps after it, a frame every ps.
    fn default() -> Self {
        Self { head_ps: 10.0, ps: 100.0, frame_ps: 1.0 }
    }
}

impl Lengths {
    /// Steps of head, rest and frames; lengths that are no multiples are errors.
    pub(crate) fn in_steps(self, step_ps: f64) -> Result<(u64, u64, u64)> {
        let steps = |what: &str, ps: f64| -> Result<u64> {
            let steps = (ps / step_ps).round();
            let fits = ps >= 0.0 && (steps * step_ps - ps).abs() < 1e-6 && steps < 1e15;
            ensure!(fits, "{what} of {ps} ps is not a multiple of the engine's step, {step_ps} ps");
            Ok(steps as u64)
        };
        let (head, rest) = (steps("a head", self.head_ps)?, steps("a run", self.ps)?);
        let frame = steps("a time between frames", self.frame_ps)?;
        ensure!(frame > 0 && head + rest > 0, "frames and runs must be longer than 0 ps");
        ensure!(
            head.is_multiple_of(frame) && rest.is_multiple_of(frame),
            "head ({} ps) and run ({} ps) must be multiples of the time between frames ({} ps)",
            self.head_ps,
            self.ps,
            self.frame_ps
        );
        Ok((head, rest, frame))
    }
}

/// What [`Runner::prepare`] did.
pub struct Prepared {
    /// As in `seeds.json`.
    pub summary: Summary,
    /// Minimised positions of each seed, nm, in the engine's order; `None` if it was lost.
    pub minimised: Vec<Option<Vec<[f64; 3]>>>,
}

/// An opened engine with what its seeds are judged by.
pub struct Runner {
    engine: PluginEngine,
    judge: Judge,
}

impl Runner {
    /// Opens an engine with options (`template` among them).
    pub fn open(
        host: &Host,
        engine: &str,
        options: &Map<String, Value>,
        limits: EngineLimits,
    ) -> Result<Self> {
        let text = Value::Object(options.clone()).to_string();
        let engine = host.open_engine(engine, &text, limits)?;
        let system = engine.system();
        let judge = Judge::new(&system.topology, &system.positions_nm)
            .with_context(|| format!("the system of engine {}", engine.name()))?;
        Ok(Self { engine, judge })
    }

    /// The engine.
    pub fn engine(&self) -> &PluginEngine {
        &self.engine
    }

    /// What seeds are judged by.
    pub(crate) fn judge(&self) -> &Judge {
        &self.judge
    }

    /// Its system.
    pub fn system(&self) -> &System {
        self.engine.system()
    }

    /// Seeds of any topology of the same chain, placed into the engine's atoms.
    pub fn place(&self, topology: &Topology, frames: &[Frame]) -> Result<Vec<Placed>> {
        let Some(first) = frames.first() else { return Ok(Vec::new()) };
        let system = self.system();
        let engine = (&system.topology, self.judge.peptide(), &system.positions_nm[..]);
        let map = place::Map::new(engine, topology, first)?;
        let place = |(i, frame)| map.place(frame).with_context(|| format!("frame {i}"));
        frames.iter().enumerate().map(place).collect()
    }

    /// An energy gate from frames before the jump, minimised as seeds are, in `folder`.
    pub fn gate(
        &self,
        folder: &Path,
        before: &[Placed],
        mut progress: impl FnMut(usize, usize) -> bool,
    ) -> Result<Option<Gate>> {
        make(folder)?;
        let (mut ensemble, cell_nm) = (Vec::new(), self.system().cell_nm);
        for (i, frame) in before.iter().enumerate() {
            let go_on = &mut |_, _| progress(i, before.len());
            let positions = &frame.positions_nm;
            match self.engine.minimise(folder, i as u64, positions, cell_nm, go_on) {
                Ok(minimised) => ensemble.push(minimised),
                Err(e) if e.failure.costs_only_the_seed() => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Gate::from_ensemble(&ensemble, self.judge.peptide().len()))
    }

    /// Prepares seeds into folders `seed_000`, … of `out`, and writes `seeds.json`.
    /// `progress(seed, of, its own part done)` may answer false to stop.
    pub fn prepare(
        &self,
        out: &Path,
        seeds: &[Placed],
        gate: Option<&Gate>,
        rng_seed: u64,
        mut progress: impl FnMut(usize, usize, f64) -> bool,
    ) -> Result<Prepared> {
        make(out)?;
        let (mut records, mut minimised) = (Vec::new(), Vec::new());
        for (i, placed) in seeds.iter().enumerate() {
            let name = format!("seed_{i:03}");
            let folder = out.join(&name);
            make(&folder)?;
            let seed = Seed {
                positions_nm: &placed.positions_nm,
                cell_nm: self.system().cell_nm,
                needs_repair: placed.needs_repair,
                rng_seed: rng_seed.wrapping_add(i as u64),
            };
            let begun = Instant::now();
            let go_on =
                &mut |done: u64, of: u64| progress(i, seeds.len(), done as f64 / of.max(1) as f64);
            let prepared = prepare(&self.engine, &self.judge, gate, &folder, &seed, go_on)
                .with_context(|| format!("seed {i}"))?;
            record::write(&folder.join("verdict.json"), &prepared.verdict)?;
            let (ps, seconds) =
                (prepared.started.map_or(0.0, |s| s.md_ps), begun.elapsed().as_secs_f64());
            let rng_seed = seed.rng_seed;
            records.push(SeedRecord::new(i, name, rng_seed, &prepared.verdict, ps, seconds));
            minimised.push(prepared.minimised.map(|m| m.positions_nm));
        }
        let system = self.system();
        let summary = Summary::new(self.engine.name(), &system.notes, gate, records);
        record::write(&out.join("seeds.json"), &summary)?;
        Ok(Prepared { summary, minimised })
    }

    /// Runs one prepared seed and writes its `run.json`. A seed that the engine loses is
    /// `Ok(Err(reason))`.
    pub fn run(
        &self,
        out: &Path,
        seed: &SeedRecord,
        lengths: Lengths,
        mut progress: impl FnMut(u64, u64) -> bool,
    ) -> Result<std::result::Result<Finished, String>> {
        ensure!(seed.runs(), "seed {} was rejected ({})", seed.seed, seed.reasons.join(", "));
        let (head_steps, steps, frame_steps) = lengths.in_steps(self.system().step_ps)?;
        let folder = out.join(&seed.folder);
        let request =
            RunRequest { folder: &folder, rng_seed: seed.rng_seed, head_steps, steps, frame_steps };
        match self.engine.run(&request, &mut progress) {
            Ok(finished) => {
                record::write(&folder.join("run.json"), &finished)?;
                Ok(Ok(finished))
            }
            Err(e) if e.failure.costs_only_the_seed() => Ok(Err(e.message)),
            Err(e) => Err(e).with_context(|| format!("seed {}", seed.seed)),
        }
    }

    /// As [`Runner::run`] for several seeds in one launch (GROMACS: `mpirun … mdrun -multidir`),
    /// with `together_NNN` of the first seed's number for what they share. One result for each.
    pub fn run_together(
        &self,
        out: &Path,
        seeds: &[&SeedRecord],
        lengths: Lengths,
        mut progress: impl FnMut(u64, u64) -> bool,
    ) -> Result<Vec<std::result::Result<Finished, String>>> {
        let Some(first) = seeds.first() else { return Ok(Vec::new()) };
        let (head_steps, steps, frame_steps) = lengths.in_steps(self.system().step_ps)?;
        let shared = out.join(format!("together_{:03}", first.seed));
        make(&shared)?;
        let folders: Vec<PathBuf> = seeds.iter().map(|s| out.join(&s.folder)).collect();
        let mut requests = Vec::new();
        for (seed, folder) in seeds.iter().zip(&folders) {
            ensure!(seed.runs(), "seed {} was rejected ({})", seed.seed, seed.reasons.join(", "));
            let rng_seed = seed.rng_seed;
            requests.push(RunRequest { folder, rng_seed, head_steps, steps, frame_steps });
        }
        let ends = self.engine.run_together(&shared, &requests, &mut progress)?;
        let one = |((end, folder), seed): ((_, &PathBuf), &&SeedRecord)| match end {
            Ok(finished) => {
                record::write(&folder.join("run.json"), &finished)?;
                Ok(Ok(finished))
            }
            Err(EngineError { failure, message, .. }) if failure.costs_only_the_seed() => {
                Ok(Err(message))
            }
            Err(e) => Err(e).with_context(|| format!("seed {}", seed.seed)),
        };
        ends.into_iter().zip(&folders).zip(seeds).map(one).collect()
    }

    /// Writes the engine's atoms as `topology.pdb`, which the runs' trajectories need.
    pub fn write_topology(&self, host: &Host, out: &Path) -> Result<PathBuf> {
        make(out)?;
        let path = out.join("topology.pdb");
        let system = self.system();
        let mut sink = host.create(&path, &system.topology)?;
        let positions_nm = system.positions_nm.iter().map(|p| p.map(|x| x as f32)).collect();
        sink.write(&Frame { positions_nm, cell_nm: None, time_ps: None })?;
        sink.finish()?;
        Ok(path)
    }
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot create the folder", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_whole_steps_and_frames() {
        let lengths = |head_ps, ps, frame_ps| Lengths { head_ps, ps, frame_ps };
        assert_eq!(lengths(10.0, 20.0, 1.0).in_steps(0.004).unwrap(), (2500, 5000, 250));
        assert_eq!(lengths(0.0, 0.3, 0.1).in_steps(0.002).unwrap(), (0, 150, 50));
        for bad in [
            lengths(10.0, 20.0, 1.5),
            lengths(0.0, 0.0, 1.0),
            lengths(1.0, 1.0, 0.0),
            lengths(-1.0, 2.0, 1.0),
            lengths(1.0, f64::NAN, 1.0),
            lengths(0.003, 1.0, 0.001),
        ] {
            assert!(bad.in_steps(0.004).is_err(), "{bad:?}");
        }
    }
}
