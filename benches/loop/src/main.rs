//! Bench A: are the numbers of seeded MD right, and do their intervals hold the truth? The toy
//! engine knows; many loops with their own random numbers tell, and loops on peptides beside long MD
//! ([`calibration`]). Benches B and C ([`discovery`]): how much MD until a peptide's states are found.
//! [`overhead`]: what the loop itself costs.
//!
//! `marsfm-bench-loop run [REPEATS]`, `a-peptides …`, `b …`, `c …` and `overhead …` add what is missing
//! to the rows, `marsfm-bench-loop tables` writes the page from them.

mod calibration;
mod cases;
mod discovery;
mod finished;
mod overhead;
mod rows;
mod tables;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use marsfm_adaptive::statistics::{Estimate, Question, statistics};
use marsfm_adaptive::toy::{Toy, ToyEngine, proposer};
use marsfm_adaptive::{Driver, Limits, Watch};

use cases::Case;
use rows::{Row, Rows};

/// Repeats of the cases over heads, lags and lengths.
const SWEEPS: usize = 60;
/// Bootstrap draws.
const DRAWS: usize = 100;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Raw rows of a bench.
fn results(bench: &str) -> PathBuf {
    root().join(format!("benches/loop/results/{bench}.csv"))
}

fn rows_path() -> PathBuf {
    results("a")
}

fn page_path() -> PathBuf {
    root().join("docs/benchmarks/loop.md")
}

struct Silent;
impl Watch for Silent {}

fn toy() -> Result<Toy> {
    let settings = cases::all()[0].settings(1);
    Ok(ToyEngine::open(&settings.engine.options, 1.0)?.toy().clone())
}

/// One loop from its begin to its numbers.
fn one(case: &Case, repeat: usize) -> Result<Row> {
    // Memory where there is some: what is measured is not the disk.
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory)?,
        false => tempfile::tempdir()?,
    };
    let rng_seed = 1000 + repeat as u64;
    let settings = case.settings(rng_seed);
    let mut engine = ToyEngine::open(&settings.engine.options, settings.budget.frame_ps)?;
    let mut chooser = proposer(&settings.strategy, engine.toy())?;
    let mut driver = Driver::create(folder.path(), &settings, &engine)?;
    driver.run(&mut engine, chooser.as_mut(), Limits::default(), &mut Silent)?;
    let model = driver.model(&engine)?;
    let question = Question { draws: DRAWS, ..driver.store().question(&model) };
    let s = statistics(&model.micro_trajectories(), &question)?;
    let three = |e: Option<Estimate>| match e {
        None => [None; 3],
        Some(e) => [Some(e.value), e.low, e.high],
    };
    Ok(Row {
        proposer: case.proposer.into(),
        head_ps: case.head_ps,
        lag_ps: case.lag_ps,
        run_ps: case.run_ps,
        repeat,
        rng_seed,
        md_ps: driver.history().md_ps(settings.budget.frame_ps),
        timescale: three(s.timescales_ps.first().copied()),
        states: s.free_energies_kj_mol.iter().copied().map(three).collect(),
    })
}

fn run(repeats: usize) -> Result<()> {
    let mut rows = Rows::open(&rows_path(), toy()?.n_wells())?;
    for repeat in 0..repeats {
        for (k, case) in cases::all().iter().enumerate() {
            // Heads, lags and lengths are told apart by fewer repeats than coverage needs.
            let enough = k >= cases::PROPOSERS.len() && repeat >= SWEEPS;
            if enough || rows.has(case, repeat) {
                continue;
            }
            let row = one(case, repeat).with_context(|| format!("{case:?}, repeat {repeat}"))?;
            rows.add(case, &row)?;
        }
        eprintln!("repeat {} of {repeats}", repeat + 1);
    }
    Ok(())
}

/// The table of bench A as it stands in the page.
fn table() -> Result<String> {
    Ok(tables::markdown(&rows::read(&rows_path())?, &toy()?))
}

/// The page with all tables made from the rows.
fn page() -> Result<String> {
    let page = std::fs::read_to_string(page_path())?;
    let of = |bench: &discovery::Bench, file: &str| -> Result<String> {
        Ok(discovery::tables::markdown(&finished::read(&results(file))?, bench.strategies))
    };
    let (b, c) = (&discovery::arms::BENCH, &discovery::own::BENCH);
    let calibration = calibration::tables::markdown(&finished::read(&results("a-peptides"))?);
    let overhead = overhead::markdown(&overhead::read(&results("overhead"))?);
    [
        ("A", table()?),
        ("A on peptides", calibration),
        ("B", of(b, b.letter)?),
        ("B on OpenMM", of(b, "b-openmm")?),
        ("C", of(c, c.letter)?),
        ("overhead", overhead),
    ]
    .iter()
    .try_fold(page, |page, (bench, text)| {
        tables::into_page(&page, bench, text).with_context(|| format!("no marks of bench {bench}"))
    })
}

/// `BENCH --state DIR --data DIR... [--rows FILE] [--repeats N] [SYSTEM...]`.
fn on_peptides(bench: &str, words: &[&str]) -> Result<()> {
    let mut request = discovery::Request {
        state: PathBuf::new(),
        data: Vec::new(),
        rows: results(bench),
        repeats: if bench == "a-peptides" { 20 } else { 6 },
        systems: Vec::new(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        let path = |text: &str| std::path::absolute(text);
        match *word {
            "--state" => request.state = path(value()?)?,
            "--data" => request.data.push(path(value()?)?),
            "--rows" => request.rows = path(value()?)?,
            "--repeats" => request.repeats = value()?.parse().context("a number of repeats")?,
            option if option.starts_with('-') => bail!("there is no option {option}"),
            system => request.systems.push(system.into()),
        }
    }
    ensure!(request.state.is_absolute(), "--state is missing: a folder for what is half done");
    if request.systems.is_empty() {
        request.systems = match bench {
            "a-peptides" => calibration::systems(),
            "b" => discovery::scoring(),
            _ => bail!("name at least one peptide: a folder in --data"),
        };
    }
    match bench {
        "a-peptides" => calibration::run(&request),
        "b" => discovery::run(&discovery::arms::BENCH, &request),
        _ => discovery::run(&discovery::own::BENCH, &request),
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &words[..] {
        ["run"] => run(200),
        ["run", repeats] => run(repeats.parse().context("a number of repeats")?),
        ["print"] => {
            print!("{}", table()?);
            Ok(())
        }
        ["exact"] => {
            let toy = toy()?;
            println!("populations {:.4?}", toy.well_populations());
            println!("timescales {:.1?} ps", toy.timescales_ps(5)?);
            Ok(())
        }
        ["tables"] => Ok(std::fs::write(page_path(), page()?)?),
        [bench @ ("a-peptides" | "b" | "c"), rest @ ..] => on_peptides(bench, rest),
        ["overhead", rest @ ..] => overhead::run(&results("overhead"), rest),
        _ => bail!(
            "usage: marsfm-bench-loop run [REPEATS] | a-peptides|b|c --state DIR --data DIR [--rows FILE] \
             [--repeats N] [SYSTEM...] | overhead [TEMPLATE] | tables | print | exact"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_the_tables_of_the_committed_rows() {
        let there = std::fs::read_to_string(page_path()).unwrap();
        assert!(there == page().unwrap(), "run marsfm-bench-loop tables");
    }

    #[test]
    fn a_repeat_is_the_same_again() {
        let rows = rows::read(&rows_path()).unwrap();
        let first = &rows[0];
        let case = cases::all().into_iter().find(|c| c.proposer == first.proposer).unwrap();
        let again = one(&case, first.repeat).unwrap();
        assert_eq!((again.md_ps, again.rng_seed), (first.md_ps, first.rng_seed));
        for (a, b) in again.states.iter().flatten().zip(first.states.iter().flatten()) {
            let same = match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() < 2e-3,
                (None, None) => true,
                _ => false,
            };
            assert!(same, "{a:?} {b:?}");
        }
    }
}
