//! Tests that could not run: they say so in the file named by `MARSFM_SKIP_LOG`, one line each
//! (`SKIPPED test: reason`); `tests/may-skip.txt` lists the ones that CI accepts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// The log of one `./x test`.
pub struct SkipLog {
    path: PathBuf,
    accepted: PathBuf,
}

impl SkipLog {
    /// Starts an empty log in the target folder.
    pub fn new(workspace: &Workspace) -> Result<Self> {
        let path = workspace.target.join("skipped-tests.log");
        std::fs::create_dir_all(&workspace.target)?;
        std::fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, accepted: workspace.root.join("tests/may-skip.txt") })
    }

    /// The file that tests append to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Prints the skips; with `strict` (under CI) one that is not accepted is an error.
    pub fn judge(&self, strict: bool) -> Result<()> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let (log, accepted) = (read(&self.path)?, read(&self.accepted)?);
        let (expected, unexpected) = sort(&log, &accepted);
        println!("skipped tests: {}", expected.len() + unexpected.len());
        for line in &expected {
            println!("  {line}");
        }
        for line in &unexpected {
            println!("  {line} (not in tests/may-skip.txt)");
        }
        if strict && !unexpected.is_empty() {
            bail!(
                "{} skipped test(s) that tests/may-skip.txt does not accept, and CI=true",
                unexpected.len()
            );
        }
        Ok(())
    }
}

/// The lines of `log` (sorted, each once) that `accepted` covers, and those that it does not.
fn sort<'a>(log: &'a str, accepted: &str) -> (Vec<&'a str>, Vec<&'a str>) {
    let patterns: Vec<&str> = accepted
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let lines: std::collections::BTreeSet<&str> =
        log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.into_iter().partition(|line| patterns.iter().any(|pattern| line.contains(pattern)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_skips_are_accepted() {
        let log = "SKIPPED gpu: no GPU here\nSKIPPED xtc: no file\nSKIPPED gpu: no GPU here\n";
        let (expected, unexpected) = sort(log, "# comment\n\nno GPU\n");
        assert_eq!(expected, ["SKIPPED gpu: no GPU here"]);
        assert_eq!(unexpected, ["SKIPPED xtc: no file"]);
        assert_eq!(sort("", "x").1.len(), 0);
        assert_eq!(sort(log, "").0.len(), 0);
    }
}
