//! Running MMseqs2 on two lists of sequences.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::SplitSettings;
use super::fasta::{Sequence, text};

/// An alignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Place of the query in its list.
    pub query: usize,
    /// Place of the target in its list.
    pub target: usize,
    /// Share of identical residues among those aligned.
    pub identity: f64,
    /// Aligned residues.
    pub length: usize,
}

/// The program with its options.
pub struct Mmseqs {
    program: PathBuf,
    folder: PathBuf,
    /// What it says its version is.
    pub version: String,
    /// Options of every search.
    pub options: Vec<String>,
}

impl Mmseqs {
    /// Finds the program.
    pub fn new(settings: &SplitSettings, folder: &Path) -> Result<Self> {
        let program = settings.program.clone();
        let found = Command::new(&program).arg("version").output();
        let output = found.with_context(|| {
            format!(
                "{}: cannot be run; install MMseqs2 (Debian: mmseqs2) or name it with --mmseqs",
                program.display()
            )
        })?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_string();
        ensure!(output.status.success(), "{} version: failed", program.display());
        // The highest sensitivity; no hit may be crowded out by better ones, no residue masked;
        // identity counted over the alignment itself.
        let options = [
            "-s",
            "7.5",
            "--max-seqs",
            "1000000",
            "--mask",
            "0",
            "--comp-bias-corr",
            "0",
            "--alignment-mode",
            "3",
            "--seq-id-mode",
            "0",
            "-e",
            &settings.e_value.to_string(),
            "-c",
            &settings.coverage.to_string(),
        ];
        let options = options.map(String::from).to_vec();
        Ok(Self { program, folder: folder.into(), version, options })
    }

    /// All alignments between two lists.
    pub fn search(&self, queries: &[Sequence], targets: &[Sequence]) -> Result<Vec<Hit>> {
        let path = |name: &str| self.folder.join(name);
        // Names of ours, so that no name of the user's is changed on the way.
        let numbered = |all: &[Sequence]| -> String {
            let plain: Vec<Sequence> = all
                .iter()
                .enumerate()
                .map(|(i, s)| Sequence { name: format!("s{i}"), letters: s.letters.clone() })
                .collect();
            text(&plain)
        };
        let (query, target, hits) = (path("query.fasta"), path("target.fasta"), path("hits.tsv"));
        for (file, all) in [(&query, queries), (&target, targets)] {
            std::fs::write(file, numbered(all))
                .with_context(|| format!("{}: cannot be written", file.display()))?;
        }
        let mut command = Command::new(&self.program);
        command.arg("easy-search").args([&query, &target, &hits]).arg(path("tmp"));
        command.args(&self.options);
        command.args(["--format-output", "query,target,fident,alnlen", "-v", "1"]);
        let output = command.output().with_context(|| self.program.display().to_string())?;
        if !output.status.success() {
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let words = format!("{out}{err}");
            let last: Vec<&str> = words.lines().rev().take(5).collect();
            bail!("{} easy-search failed: {}", self.program.display(), last.join(" / "));
        }
        let text = std::fs::read_to_string(&hits)
            .with_context(|| format!("{}: MMseqs2 wrote no result", hits.display()))?;
        text.lines().map(|line| parse(line, queries.len(), targets.len())).collect()
    }
}

fn parse(line: &str, n_queries: usize, n_targets: usize) -> Result<Hit> {
    let bad = || format!("MMseqs2 wrote `{line}`, which is no query, target, identity, length");
    let fields: Vec<&str> = line.split('\t').collect();
    let [query, target, identity, length] = fields.as_slice() else { bail!(bad()) };
    let place = |name: &str, n: usize| {
        name.strip_prefix('s').and_then(|i| i.parse().ok()).filter(|i: &usize| *i < n)
    };
    Ok(Hit {
        query: place(query, n_queries).with_context(bad)?,
        target: place(target, n_targets).with_context(bad)?,
        identity: identity.parse().with_context(bad)?,
        length: length.parse().with_context(bad)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_results_are_read_and_others_refused() {
        let hit = parse("s1\ts0\t0.355\t42", 2, 1).unwrap();
        assert_eq!(hit, Hit { query: 1, target: 0, identity: 0.355, length: 42 });
        for bad in ["s1\ts1\t0.3\t42", "x\ts0\t0.3\t42", "s1\ts0\t0.3", ""] {
            assert!(parse(bad, 2, 1).unwrap_err().to_string().contains("MMseqs2 wrote"), "{bad}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let settings = SplitSettings { program: "no-mmseqs-here".into(), ..Default::default() };
        let message = format!("{:#}", Mmseqs::new(&settings, Path::new("/tmp")).err().unwrap());
        assert!(message.contains("no-mmseqs-here") && message.contains("--mmseqs"), "{message}");
    }
}
