//! Sequences in FASTA.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Shorter sequences have no k-mers for MMseqs2 to find.
const SHORTEST: usize = 14;

/// One sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The first word behind `>`.
    pub name: String,
    /// One letter per residue, upper case.
    pub letters: String,
}

/// Reads a file; names must differ, letters be amino acids.
pub fn read(path: &Path) -> Result<Vec<Sequence>> {
    let at = || path.display().to_string();
    let text =
        std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", at()))?;
    parse(&text).with_context(at)
}

fn parse(text: &str) -> Result<Vec<Sequence>> {
    let mut all: Vec<Sequence> = Vec::new();
    let mut names = HashSet::new();
    for (number, line) in text.lines().enumerate() {
        let (number, line) = (number + 1, line.trim());
        if let Some(header) = line.strip_prefix('>') {
            let name = header.split_whitespace().next().unwrap_or("").to_string();
            ensure!(!name.is_empty(), "line {number}: a sequence without a name");
            ensure!(names.insert(name.clone()), "line {number}: there are two sequences {name}");
            all.push(Sequence { name, letters: String::new() });
        } else if !line.is_empty() {
            let Some(last) = all.last_mut() else {
                bail!("line {number}: letters before the first `>`: is this a FASTA file?");
            };
            let upper = line.trim_end_matches('*').to_ascii_uppercase();
            if let Some(bad) = upper.chars().find(|c| !c.is_ascii_uppercase()) {
                bail!("line {number}, {}: `{bad}` is no amino acid", last.name);
            }
            last.letters.push_str(&upper);
        }
    }
    ensure!(all.len() > 2, "{} sequences cannot be split three ways", all.len());
    if let Some(short) = all.iter().find(|s| s.letters.len() < SHORTEST) {
        bail!(
            "{} has {} residues; MMseqs2 cannot compare fewer than {SHORTEST} (tell peptides apart \
             by the number of letters in which they differ)",
            short.name,
            short.letters.len()
        );
    }
    Ok(all)
}

/// The text of a file.
pub fn text(all: &[Sequence]) -> String {
    all.iter().map(|s| format!(">{}\n{}\n", s.name, s.letters)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_written_again() {
        let one = "ACDEFGHIKLMNPQRSTVWY";
        let text_in = format!(">a first\n{}\n{}\n\n>b\n{one}*\n>c\n{one}\n", &one[..7], &one[7..]);
        let all = parse(&text_in).unwrap();
        assert_eq!((all[0].name.as_str(), all[0].letters.as_str()), ("a", one));
        assert_eq!(parse(&text(&all)).unwrap(), all);
    }

    #[test]
    fn bad_files_name_the_line() {
        let one = "ACDEFGHIKLMNPQRSTVWY";
        for (text, words) in [
            (format!(">a\n{one}\n>a\n{one}\n"), "line 3: there are two sequences a"),
            (format!("{one}\n"), "line 1: letters before"),
            (format!(">a\n{one}\n>b\nAC-DE\n"), "line 4, b: `-`"),
            (format!(">a\n{one}\n>b\n{one}\n>c\nAAAA\n"), "c has 4 residues"),
            (format!(">a\n{one}\n"), "1 sequences"),
        ] {
            let message = parse(&text).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
