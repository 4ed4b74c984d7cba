//! Raw rows of bench A on OpenMM: one loop each, appended as it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A value and the ends of its interval, kJ/mol; `None` where there is none.
pub type Three = [Option<f64>; 3];

/// Free energy of one state of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// By the reference's own MD.
    pub truth: Three,
    /// By the loop's.
    pub found: Three,
}

/// One loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub system: String,
    pub seeds: String,
    pub repeat: usize,
    pub rng_seed: u64,
    pub kelvin: f64,
    pub reference_ns: f64,
    /// MD, preparation and heads included.
    pub md_ns: f64,
    /// Seeds that gave no run.
    pub lost: usize,
    pub cpu_s: f64,
    pub states: Vec<State>,
}

const HEADER: &str = "system,seeds,repeat,rng_seed,kelvin,reference_ns,md_ns,lost,cpu_s,\
    state_kj_mol:low:high:found:low:high";

/// A file of rows.
pub struct Rows {
    path: PathBuf,
    done: BTreeSet<(String, String, usize)>,
    references: BTreeMap<String, f64>,
}

impl Rows {
    /// Opens or begins a file; half a line at its end is cut off.
    pub fn open(path: &Path) -> Result<Self> {
        let mut text = std::fs::read_to_string(path).unwrap_or_default();
        text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
        if text.is_empty() {
            text = format!("{HEADER}\n");
        }
        std::fs::write(path, &text).with_context(|| format!("{}", path.display()))?;
        let mut all =
            Self { path: path.into(), done: BTreeSet::new(), references: BTreeMap::new() };
        for r in read(path)? {
            all.references.insert(r.system.clone(), r.reference_ns);
            all.done.insert((r.system, r.seeds, r.repeat));
        }
        Ok(all)
    }

    /// Whether a loop is there.
    pub fn has(&self, system: &str, seeds: &str, repeat: usize) -> bool {
        self.done.contains(&(system.into(), seeds.into(), repeat))
    }

    /// An error if rows of this system are about another reference.
    pub fn agree(&self, system: &str, ns: f64) -> Result<()> {
        let Some(old) = self.references.get(system) else { return Ok(()) };
        ensure!(
            (old - ns).abs() < 1e-3,
            "{system}: its rows in {} are about {old} ns of reference MD, and --data now gives {ns} \
             ns; give the same MD, or another file of rows",
            self.path.display()
        );
        Ok(())
    }

    /// Adds one.
    pub fn add(&mut self, row: &Row) -> Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        writeln!(file, "{}", line(row))?;
        self.references.insert(row.system.clone(), row.reference_ns);
        self.done.insert((row.system.clone(), row.seeds.clone(), row.repeat));
        Ok(())
    }
}

fn line(r: &Row) -> String {
    let number = |v: &Option<f64>| v.map_or(String::new(), |v| format!("{v:.3}"));
    let state =
        |s: &State| s.truth.iter().chain(&s.found).map(number).collect::<Vec<_>>().join(":");
    let states: Vec<String> = r.states.iter().map(state).collect();
    format!(
        "{},{},{},{},{},{:.3},{:.4},{},{:.1},{}",
        r.system,
        r.seeds,
        r.repeat,
        r.rng_seed,
        r.kelvin,
        r.reference_ns,
        r.md_ns,
        r.lost,
        r.cpu_s,
        states.join(" ")
    )
}

/// Reads a file of rows.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let mut lines = text.lines();
    ensure!(lines.next() == Some(HEADER), "{}: its first line is not {HEADER}", path.display());
    lines.enumerate().map(|(i, l)| one(l).with_context(|| format!("line {}", i + 2))).collect()
}

fn one(line: &str) -> Result<Row> {
    let f: Vec<&str> = line.split(',').collect();
    ensure!(f.len() == 10, "{} fields", f.len());
    let number = |k: usize| f[k].parse::<f64>().with_context(|| format!("field {}", k + 1));
    let maybe = |text: &str| -> Result<Option<f64>> {
        Ok(if text.is_empty() { None } else { Some(text.parse()?) })
    };
    let state = |word: &str| -> Result<State> {
        let v: Vec<Option<f64>> = word.split(':').map(maybe).collect::<Result<_>>()?;
        ensure!(v.len() == 6, "{word:?}");
        Ok(State { truth: [v[0], v[1], v[2]], found: [v[3], v[4], v[5]] })
    };
    Ok(Row {
        system: f[0].into(),
        seeds: f[1].into(),
        repeat: f[2].parse()?,
        rng_seed: f[3].parse()?,
        kelvin: number(4)?,
        reference_ns: number(5)?,
        md_ns: number(6)?,
        lost: f[7].parse()?,
        cpu_s: number(8)?,
        states: f[9].split_whitespace().map(state).collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_another_reference_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let states = vec![
            State { truth: [Some(1.5), Some(1.0), Some(2.0)], found: [None; 3] },
            State { truth: [Some(4.0), None, None], found: [Some(3.5), Some(3.0), Some(4.25)] },
        ];
        let row = Row {
            system: "AVDA".into(),
            seeds: "stored".into(),
            repeat: 1,
            rng_seed: 7,
            kelvin: 350.0,
            reference_ns: 80.0,
            md_ns: 4.25,
            lost: 0,
            cpu_s: 80.0,
            states,
        };
        let mut rows = Rows::open(&path).unwrap();
        rows.add(&row).unwrap();
        assert_eq!(read(&path).unwrap(), [row]);
        let rows = Rows::open(&path).unwrap();
        assert!(rows.has("AVDA", "stored", 1) && !rows.has("AVDA", "stored", 0));
        rows.agree("AVDA", 80.0).unwrap();
        let error = rows.agree("AVDA", 60.0).unwrap_err().to_string();
        assert!(error.contains("about 80 ns"), "{error}");
    }
}
