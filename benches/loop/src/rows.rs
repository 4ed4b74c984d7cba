//! Raw rows: one repeat of one case each, appended as it is done, so that a bench that was stopped
//! goes on where it was.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cases::Case;

/// Free energy of a state with its interval, kJ/mol; `None` where there is none.
pub type State = [Option<f64>; 3];

/// One repeat.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub proposer: String,
    pub head_ps: f64,
    pub lag_ps: f64,
    pub run_ps: f64,
    pub repeat: usize,
    pub rng_seed: u64,
    pub md_ps: f64,
    /// Slowest timescale with its interval, ps.
    pub timescale: State,
    pub states: Vec<State>,
}

/// A file of rows.
pub struct Rows {
    path: PathBuf,
    done: BTreeSet<String>,
}

const HEADER: &str = "proposer,head_ps,lag_ps,run_ps,repeat,rng_seed,md_ps,timescale_ps,low,high";

impl Rows {
    /// Opens or begins a file; half a line at its end is cut off.
    pub fn open(path: &Path, n_states: usize) -> Result<Self> {
        let mut text = std::fs::read_to_string(path).unwrap_or_default();
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        text.truncate(whole);
        if text.is_empty() {
            let states: String = (1..=n_states).map(|s| format!(",f{s},low{s},high{s}")).collect();
            text = format!("{HEADER}{states}\n");
        }
        std::fs::write(path, &text).with_context(|| format!("{}", path.display()))?;
        let key = |line: &str| line.splitn(6, ',').take(5).collect::<Vec<_>>().join(",");
        Ok(Self { path: path.into(), done: text.lines().skip(1).map(key).collect() })
    }

    /// Whether a repeat of a case is there.
    pub fn has(&self, case: &Case, repeat: usize) -> bool {
        self.done.contains(&format!("{},{repeat}", case.key()))
    }

    /// Adds one.
    pub fn add(&mut self, case: &Case, row: &Row) -> Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        let number = |v: &Option<f64>| v.map_or(String::new(), |v| format!("{v:.3}"));
        let three = |s: &State| s.iter().map(number).collect::<Vec<_>>().join(",");
        let states: Vec<String> = row.states.iter().map(three).collect();
        writeln!(
            file,
            "{},{},{},{},{},{}",
            case.key(),
            row.repeat,
            row.rng_seed,
            row.md_ps,
            three(&row.timescale),
            states.join(",")
        )?;
        self.done.insert(format!("{},{}", case.key(), row.repeat));
        Ok(())
    }
}

/// Reads a file of rows.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        let at = || format!("{}, line {}", path.display(), i + 1);
        let fields: Vec<&str> = line.split(',').collect();
        ensure!(fields.len() > 10 && (fields.len() - 10).is_multiple_of(3), "{}", at());
        let number = |k: usize| fields[k].parse::<f64>().with_context(at);
        let three = |k: usize| -> Result<State> {
            let one = |k: usize| match fields[k] {
                "" => Ok(None),
                text => text.parse().map(Some).with_context(at),
            };
            Ok([one(k)?, one(k + 1)?, one(k + 2)?])
        };
        out.push(Row {
            proposer: fields[0].into(),
            head_ps: number(1)?,
            lag_ps: number(2)?,
            run_ps: number(3)?,
            repeat: fields[4].parse().with_context(at)?,
            rng_seed: fields[5].parse().with_context(at)?,
            md_ps: number(6)?,
            timescale: three(7)?,
            states: (10..fields.len()).step_by(3).map(three).collect::<Result<_>>()?,
        });
    }
    Ok(out)
}
