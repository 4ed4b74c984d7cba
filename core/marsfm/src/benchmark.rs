//! `marsfm benchmark`: does the surrogate beat the null proposer on peptides it never saw?
//!
//! Per peptide, against all its MD: the surrogate's tree (populations preset), the residue library
//! (10⁴ draws from the training peptides' torsions), a surrogate with random weights if asked for,
//! and what MD itself scores: each replica against the others, mean. Rejected draws count in the
//! budget; the accepted ones are scored, with the acceptance rate beside every number.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use marsfm_geometry::Conformation;
use marsfm_host::{Device, Host};
use marsfm_metrics::PeptideScores;
use marsfm_sampling::{ResidueLibrary, TreeSpec, grow, judge};
use marsfm_surrogate::checkpoint::{self, Checkpoint, Storage};
use marsfm_surrogate::{Solver, Surrogate, params};
use rayon::prelude::*;
use serde::Serialize;

use crate::markov::{self, MsmSettings};
use crate::score::Reference;
use crate::systems::{System, SystemFiles};

/// What to compare.
pub struct BenchmarkRequest<'a> {
    /// Folders with one folder per system.
    pub data: &'a [PathBuf],
    /// Systems to score on; none may be one the surrogate was trained on.
    pub systems: &'a [String],
    /// Rows that are surrogates: (name, model).
    pub surrogates: &'a [(String, &'a Surrogate)],
    /// Draws per row and peptide, rejected ones counted.
    pub budget: usize,
    /// Jumps per chain of the populations preset.
    pub depth: usize,
    /// Seed of all draws.
    pub rng_seed: u64,
    /// How to integrate.
    pub solver: Solver,
}

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Peptide.
    pub system: String,
    /// `surrogate …`, `residue library` or `MD replica`.
    pub proposer: String,
    /// Draws made (frames, for MD).
    pub draws: usize,
    /// Share of draws accepted.
    pub acceptance: f64,
    /// The scores of the accepted draws; `None` if none was accepted.
    pub scores: Option<PeptideScores>,
    /// Wall time of drawing, s; 0 for MD.
    pub seconds: f64,
}

impl Row {
    /// (torsion JSD, TICA-0,1 JSD, macrostate JSD); the largest possible if nothing was accepted.
    pub fn headline(&self) -> [f64; 3] {
        let worst = std::f64::consts::LN_2.sqrt();
        match &self.scores {
            None => [worst; 3],
            Some(s) => [s.torsions.all, s.tica_01.unwrap_or(worst), s.macrostates],
        }
    }
}

/// The same network with random weights: what a surrogate that learned nothing scores.
pub fn randomised(
    host: &Host,
    surrogate: &Surrogate,
    rng_seed: u64,
    device: &Device,
) -> Result<Surrogate> {
    let card = surrogate.card().clone();
    let values = params::from_recipe(&card.network, &format!("randomised-{rng_seed}"));
    let bytes = checkpoint::encode(&card, &values, Storage::F32)?;
    let random = Checkpoint { card, values, sha256: "random weights".into() };
    Ok(host.place(random, &bytes, device)?)
}

/// Builds the null proposer from MD of the systems named.
pub fn library(host: &Host, data: &[PathBuf], names: &[String]) -> Result<ResidueLibrary> {
    let mut library = ResidueLibrary::new();
    for name in names {
        let system = System::load(host, &SystemFiles::in_folders(data, name)?)?;
        for frame in system.encoded()?.iter().flatten() {
            library.add(system.peptide.types(), frame);
        }
    }
    Ok(library)
}

/// The null proposer from a surrogate's training MD, as far as it is in the folders, and the names of
/// the systems that have no folder there. An error if none has, or if one is not whole.
pub fn training_library(
    host: &Host,
    data: &[PathBuf],
    surrogate: &Surrogate,
) -> Result<(ResidueLibrary, Vec<String>)> {
    let systems = surrogate.card().training.iter().flat_map(|t| t.systems.keys().cloned());
    let (here, missing): (Vec<String>, Vec<String>) =
        systems.partition(|name| data.iter().any(|folder| folder.join(name).is_dir()));
    ensure!(
        !(here.is_empty() && missing.is_empty()),
        "the surrogate's card names no training systems, so there is no library to beat"
    );
    ensure!(
        !here.is_empty(),
        "none of the {} systems that the surrogate learned from is in the folders of --data, so there is \
         no library to beat",
        missing.len()
    );
    Ok((library(host, data, &here)?, missing))
}

/// Runs the comparison; `report` is told each row as it is done.
pub fn run(
    host: &Host,
    request: &BenchmarkRequest,
    library: &ResidueLibrary,
    mut report: impl FnMut(&Row),
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, surrogate) in request.surrogates {
        let training = surrogate.card().training.as_ref();
        if let Some(both) = request.systems.iter().find(|s| training.is_some_and(|t| t.saw(s))) {
            anyhow::bail!("surrogate {name} was trained on {both}: it cannot be scored on it");
        }
    }
    for name in request.systems {
        let system = System::load(host, &SystemFiles::in_folders(request.data, name)?)?;
        let model = markov::build(&system, &MsmSettings::default())?;
        let kelvin =
            request.surrogates.first().map_or(350.0, |s| s.1.card().domain.temperature_kelvin);
        let reference = Reference { system: &system, model: &model, kelvin };
        let replicas = model.rows.len();
        let md = reference.md(0..replicas)?;
        let mut done = |row: Row| {
            report(&row);
            rows.push(row);
        };
        for (row, surrogate) in request.surrogates {
            let began = std::time::Instant::now();
            let draws = draw_tree(surrogate, &system, request)?;
            let seconds = began.elapsed().as_secs_f64();
            done(scored(&reference, &md, format!("surrogate {row}"), draws, seconds)?);
        }
        let began = std::time::Instant::now();
        let types = system.peptide.types();
        let drawn = (0..request.budget as u64).into_par_iter().map(|id| {
            let c = library.draw(types, request.rng_seed, id)?;
            let accepted = judge(types, &c).accepted();
            Ok((c, accepted))
        });
        let drawn = drawn.collect::<Result<Vec<_>>>()?;
        let seconds = began.elapsed().as_secs_f64();
        done(scored(&reference, &md, "residue library".into(), drawn, seconds)?);
        for held_out in 0..replicas {
            if replicas < 2 {
                break;
            }
            let others = reference.md((0..replicas).filter(|t| *t != held_out))?;
            let one = reference.md([held_out])?;
            done(Row {
                system: name.clone(),
                proposer: format!("MD replica {held_out}"),
                draws: one.n_frames(),
                acceptance: 1.0,
                scores: Some(reference.score(&others, &one)?),
                seconds: 0.0,
            });
        }
    }
    Ok(rows)
}

type Draws = Vec<(Conformation<f32>, bool)>;

fn draw_tree(surrogate: &Surrogate, system: &System, request: &BenchmarkRequest) -> Result<Draws> {
    let peptide = &system.peptide;
    let start = peptide
        .encode(&system.reference.positions_nm)
        .with_context(|| format!("first frame of {}", system.name))?;
    let spec = TreeSpec::populations(request.budget, request.depth);
    let (seed, solver) = (request.rng_seed, request.solver);
    let nodes = grow(surrogate, peptide.types(), &[start], &spec, seed, solver, |_, _| true)?;
    ensure!(!nodes.is_empty(), "{}: the tree is empty", system.name);
    Ok(nodes.into_iter().map(|n| (n.conformation, n.verdict.accepted())).collect())
}

fn scored(
    reference: &Reference,
    md: &marsfm_metrics::Ensemble,
    proposer: String,
    draws: Draws,
    seconds: f64,
) -> Result<Row> {
    let total = draws.len();
    let accepted: Vec<_> = draws.into_iter().filter(|d| d.1).map(|d| d.0).collect();
    let scores = match accepted.is_empty() {
        true => None,
        false => Some(reference.score(md, &reference.conformations(&accepted)?)?),
    };
    Ok(Row {
        system: reference.system.name.clone(),
        proposer,
        draws: total,
        acceptance: accepted.len() as f64 / total.max(1) as f64,
        scores,
        seconds,
    })
}

/// Means over peptides per proposer (MD replicas pooled): (name, peptides, acceptance, headline).
pub fn summary(rows: &[Row]) -> Vec<(String, usize, f64, [f64; 3])> {
    let mut names: Vec<String> = Vec::new();
    let kind = |r: &Row| -> String {
        if r.proposer.starts_with("MD replica") { "MD replica".into() } else { r.proposer.clone() }
    };
    for row in rows {
        if !names.contains(&kind(row)) {
            names.push(kind(row));
        }
    }
    let mean = |name: &String| {
        let mine: Vec<&Row> = rows.iter().filter(|r| kind(r) == *name).collect();
        let n = mine.len() as f64;
        let mut headline = [0.0; 3];
        for row in &mine {
            for (sum, value) in headline.iter_mut().zip(row.headline()) {
                *sum += value / n;
            }
        }
        let acceptance = mine.iter().map(|r| r.acceptance).sum::<f64>() / n;
        (name.clone(), mine.len(), acceptance, headline)
    };
    names.iter().map(mean).collect()
}
