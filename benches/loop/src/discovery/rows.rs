//! Raw rows of benches B and C: one loop each, appended as it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// One loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub system: String,
    pub strategy: String,
    pub repeat: usize,
    pub rng_seed: u64,
    /// MD of the reference, and its states.
    pub reference_ns: f64,
    pub states: usize,
    /// MD that was allowed, without preparation, and that was made, with it.
    pub budget_ns: f64,
    pub md_ns: f64,
    /// Seeds that gave no run.
    pub lost: usize,
    /// CPU time by purpose, s.
    pub cpu_md_s: f64,
    pub cpu_propose_s: f64,
    pub cpu_model_s: f64,
    /// Wall and CPU time of the whole loop, s; none if it was interrupted.
    pub spent: Option<[f64; 2]>,
    /// States reached: which, after how much MD (ns) and CPU time (s).
    pub reached: Vec<(usize, f64, f64)>,
}

const HEADER: &str = "system,strategy,repeat,rng_seed,reference_ns,states,budget_ns,md_ns,lost,\
    cpu_md_s,cpu_propose_s,cpu_model_s,wall_s,cpu_s,reached_state:ns:cpu_s";

/// A file of rows.
pub struct Rows {
    path: PathBuf,
    done: BTreeSet<(String, String, usize)>,
    /// Reference MD (ns) and states of each system.
    references: BTreeMap<String, (f64, usize)>,
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
            all.references.insert(r.system.clone(), (r.reference_ns, r.states));
            all.done.insert((r.system, r.strategy, r.repeat));
        }
        Ok(all)
    }

    /// Whether a loop is there.
    pub fn has(&self, system: &str, strategy: &str, repeat: usize) -> bool {
        self.done.contains(&(system.into(), strategy.into(), repeat))
    }

    /// An error if rows of this system are about other states: those of a machine before this one
    /// whose reference MD was not this one's.
    pub fn agree(&self, system: &str, ns: f64, states: usize) -> Result<()> {
        let Some((old_ns, old)) = self.references.get(system) else { return Ok(()) };
        ensure!(
            (old_ns - ns).abs() < 1e-3 && *old == states,
            "{system}: its rows in {} are about {old} states of {old_ns} ns of reference MD, and \
             --data now gives {states} states of {ns} ns; give the same MD, or another file of rows",
            self.path.display()
        );
        Ok(())
    }

    /// Adds one.
    pub fn add(&mut self, row: &Row) -> Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        writeln!(file, "{}", line(row))?;
        self.references.insert(row.system.clone(), (row.reference_ns, row.states));
        self.done.insert((row.system.clone(), row.strategy.clone(), row.repeat));
        Ok(())
    }
}

fn line(r: &Row) -> String {
    let spent = r.spent.map_or(",".into(), |[wall, cpu]| format!("{wall:.1},{cpu:.1}"));
    let reached: Vec<String> =
        r.reached.iter().map(|(s, ns, cpu)| format!("{s}:{ns:.4}:{cpu:.2}")).collect();
    format!(
        "{},{},{},{},{:.3},{},{:.3},{:.4},{},{:.2},{:.2},{:.2},{spent},{}",
        r.system,
        r.strategy,
        r.repeat,
        r.rng_seed,
        r.reference_ns,
        r.states,
        r.budget_ns,
        r.md_ns,
        r.lost,
        r.cpu_md_s,
        r.cpu_propose_s,
        r.cpu_model_s,
        reached.join(" ")
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
    ensure!(f.len() == 15, "{} fields", f.len());
    let number = |k: usize| f[k].parse::<f64>().with_context(|| format!("field {}", k + 1));
    let spent = if f[12].is_empty() { None } else { Some([number(12)?, number(13)?]) };
    let state = |word: &str| -> Result<(usize, f64, f64)> {
        let parts: Vec<&str> = word.split(':').collect();
        ensure!(parts.len() == 3, "{word:?}");
        Ok((parts[0].parse()?, parts[1].parse()?, parts[2].parse()?))
    };
    Ok(Row {
        system: f[0].into(),
        strategy: f[1].into(),
        repeat: f[2].parse()?,
        rng_seed: f[3].parse()?,
        reference_ns: number(4)?,
        states: f[5].parse()?,
        budget_ns: number(6)?,
        md_ns: number(7)?,
        lost: f[8].parse()?,
        cpu_md_s: number(9)?,
        cpu_propose_s: number(10)?,
        cpu_model_s: number(11)?,
        spent,
        reached: f[14].split_whitespace().map(state).collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_half_a_line_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.csv");
        let mut row = Row {
            system: "TPCR".into(),
            strategy: "tree".into(),
            repeat: 1,
            rng_seed: 7,
            reference_ns: 8.0,
            states: 5,
            budget_ns: 2.1,
            md_ns: 1.25,
            lost: 0,
            cpu_md_s: 80.0,
            cpu_propose_s: 2.5,
            cpu_model_s: 1.0,
            spent: None,
            reached: vec![(3, 0.02, 1.5), (0, 0.5, 40.0)],
        };
        let mut rows = Rows::open(&path).unwrap();
        rows.add(&row).unwrap();
        (row.repeat, row.spent, row.reached) = (2, Some([100.0, 84.0]), vec![]);
        rows.add(&row).unwrap();
        let all = read(&path).unwrap();
        assert_eq!(all[1], row);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        let rows = Rows::open(&path).unwrap();
        assert!(rows.has("TPCR", "tree", 1) && !rows.has("TPCR", "tree", 2));
        rows.agree("TPCR", 8.0, 5).unwrap();
        rows.agree("TIET", 6.0, 4).unwrap();
        let error = rows.agree("TPCR", 8.0, 6).unwrap_err().to_string();
        assert!(error.contains("about 5 states of 8 ns"), "{error}");
        assert_eq!(read(&path).unwrap(), all[..1]);
    }
}
