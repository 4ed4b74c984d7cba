//! Files of finished loops on OpenMM, whatever a row holds: one row per loop, appended as it is done, so
//! that a bench that was stopped goes on where it was, on this machine or another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// One loop, a line of such a file.
pub trait Finished: Sized {
    /// The file's first line.
    const HEADER: &str;
    /// What a loop is judged by, in words that name it.
    type Reference: Display;

    /// System, arm and repeat: which loop it is.
    fn loop_of(&self) -> (&str, &str, usize);
    fn reference(&self) -> Self::Reference;
    /// True if rows by the two references may stand in one file.
    fn same(a: &Self::Reference, b: &Self::Reference) -> bool;
    fn to_line(&self) -> String;
    /// The row whose line has these fields.
    fn from_fields(fields: &[&str]) -> Result<Self>;
}

/// A file of rows.
pub struct Rows<R: Finished> {
    path: PathBuf,
    done: BTreeSet<(String, String, usize)>,
    references: BTreeMap<String, R::Reference>,
}

impl<R: Finished> Rows<R> {
    /// Opens or begins a file; half a line at its end is cut off.
    pub fn open(path: &Path) -> Result<Self> {
        let mut text = std::fs::read_to_string(path).unwrap_or_default();
        text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
        if text.is_empty() {
            text = format!("{}\n", R::HEADER);
        }
        std::fs::write(path, &text).with_context(|| format!("{}", path.display()))?;
        let mut all =
            Self { path: path.into(), done: BTreeSet::new(), references: BTreeMap::new() };
        read(path)?.iter().for_each(|row| all.remember(row));
        Ok(all)
    }

    /// Whether a loop is there.
    pub fn has(&self, system: &str, arm: &str, repeat: usize) -> bool {
        self.done.contains(&(system.into(), arm.into(), repeat))
    }

    /// An error if rows of this system are judged by another reference: a machine before this one had
    /// other MD.
    pub fn agree(&self, system: &str, reference: &R::Reference) -> Result<()> {
        let Some(old) = self.references.get(system) else { return Ok(()) };
        ensure!(
            R::same(old, reference),
            "{system}: its rows in {} are about {old} of reference MD, and --data now gives \
             {reference}; give the same MD, or another file of rows",
            self.path.display()
        );
        Ok(())
    }

    /// Adds one.
    pub fn add(&mut self, row: &R) -> Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        writeln!(file, "{}", row.to_line())?;
        self.remember(row);
        Ok(())
    }

    fn remember(&mut self, row: &R) {
        let (system, arm, repeat) = row.loop_of();
        self.references.insert(system.into(), row.reference());
        self.done.insert((system.into(), arm.into(), repeat));
    }
}

/// Reads a file of rows.
pub fn read<R: Finished>(path: &Path) -> Result<Vec<R>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let mut lines = text.lines();
    ensure!(
        lines.next() == Some(R::HEADER),
        "{}: its first line is not {}",
        path.display(),
        R::HEADER
    );
    let one = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let n = R::HEADER.split(',').count();
        ensure!(fields.len() == n, "{} fields", fields.len());
        R::from_fields(&fields)
    };
    lines.enumerate().map(|(i, l)| one(l).with_context(|| format!("line {}", i + 2))).collect()
}

/// Field `k` as a number.
pub fn number(fields: &[&str], k: usize) -> Result<f64> {
    fields[k].parse().with_context(|| format!("field {}", k + 1))
}
