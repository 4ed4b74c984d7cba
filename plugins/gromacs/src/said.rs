//! What GROMACS's programs say when they fail, and what it means for a seed.

use marsfm_plugin_api::PluginError;
use marsfm_plugin_api::abi::{MARSFM_PLUGIN_INVALID, MARSFM_PLUGIN_MISMATCH};
use marsfm_plugin_api::engine_abi::*;

/// Longest message.
const LONGEST: usize = 700;

/// An executable that cannot be started.
pub fn not_started(name: &str, error: &std::io::Error) -> PluginError {
    let message = format!("{name} cannot be started: {error}");
    PluginError { status: MARSFM_PLUGIN_ENGINE_MISSING, message }
}

/// A failure from what a program wrote, its exit status and whether it left `step*.pdb` files.
pub fn explain(
    name: &str,
    text: &str,
    (code, signal): (Option<i32>, Option<i32>),
    blew_up: bool,
) -> PluginError {
    let words = complaint(text);
    let low = text.to_ascii_lowercase();
    let has = |what: &[&str]| what.iter().any(|w| low.contains(w));
    let end = match (code, signal) {
        (_, Some(signal)) => format!("was ended by signal {signal}"),
        (Some(code), _) => format!("ended with status {code}"),
        _ => "ended".to_owned(),
    };
    let full = ["no space left", "disk full", "out of disk space", "disk quota", "quota exceeded"];
    let lost = [
        "lincs warning",
        "can not be settled",
        "constraint error",
        "not finite",
        "step too large",
        "too many lincs",
        "segmentation fault",
        "larger than the table limit",
        "pme grid",
        "not a finite",
    ];
    let other = ["does not match topology", "non-matching atom", "number of coordinates"];
    let status = if has(&full) {
        MARSFM_PLUGIN_DISK_FULL
    } else if blew_up || has(&lost) || matches!(signal, Some(8 | 11)) {
        MARSFM_PLUGIN_DIVERGED
    } else if signal.is_some() || code.is_some_and(|c| c > 128 && c < 160) {
        MARSFM_PLUGIN_KILLED
    } else if has(&other) {
        MARSFM_PLUGIN_MISMATCH
    } else if has(&["error in user input", "too many warnings", "fatal error:\nthere w"]) {
        MARSFM_PLUGIN_INVALID
    } else {
        MARSFM_PLUGIN_ENGINE_FAILED
    };
    let hint = match status {
        MARSFM_PLUGIN_DISK_FULL => "no room is left on the device: ",
        MARSFM_PLUGIN_DIVERGED => "the simulation blew up: ",
        MARSFM_PLUGIN_MISMATCH => "the files do not name the same atoms: ",
        _ => "",
    };
    PluginError { status, message: format!("{name} {end}: {hint}{words}") }
}

/// Warnings and errors of grompp, and the paragraph of a fatal error; else the last lines.
fn complaint(text: &str) -> String {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let line = line.trim();
        let low = line.to_ascii_lowercase();
        let head = (line.starts_with("ERROR ") || line.starts_with("WARNING "))
            && line.contains(|c: char| c.is_ascii_digit());
        let begins = head
            || low == "fatal error:"
            || low == "error in user input:"
            || low == "inconsistency in user input:"
            || low == "file input/output error:"
            || low == "system i/o error:"
            || low.starts_with("software inconsistency");
        if begins {
            open = true;
        }
        let ends = line.is_empty() || low.starts_with("for more information");
        if open && ends {
            open = false;
        } else if open {
            found.push(line.to_owned());
        }
    }
    if found.is_empty() {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        found.extend(lines[lines.len().saturating_sub(4)..].iter().map(|l| (*l).to_owned()));
    }
    let mut all = found.join(" ");
    if let Some((at, _)) = all.char_indices().nth(LONGEST) {
        all.truncate(at);
        all.push('…');
    }
    if all.is_empty() { "it said nothing".into() } else { all }
}

/// The last step that mdrun told with `-v`: `step 1200, …` or `Step=  231, …`; 0 if none.
pub fn step(text: &str) -> u64 {
    let low = text.to_ascii_lowercase();
    let Some(at) = low.rfind("step") else { return 0 };
    let rest = low[at + 4..].trim_start_matches([' ', '=']);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Largest force of a minimisation and its atom (counted from 0), from what mdrun said.
pub fn largest_force(text: &str) -> Option<(f64, usize)> {
    let line = text.lines().rev().find(|l| l.trim_start().starts_with("Maximum force"))?;
    let mut words = line.split('=').nth(1)?.split_whitespace();
    let force = words.next()?.parse().ok()?;
    let atom: usize = words.last()?.parse().ok()?;
    Some((force, atom.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: &str = "
-------------------------------------------------------
Program:     gmx grompp, version 2022.5
Source file: src/gromacs/gmxpreprocess/grompp.cpp (line 784)

Fatal error:
number of coordinates in coordinate file (bad.gro, 65)
             does not match topology (topol.top, 66)

For more information and tips for troubleshooting, please check the GROMACS
website at http://www.gromacs.org/Documentation/Errors
";

    const NAMES: &str = "
WARNING 1 [file topol.top, line 604]:
  2 non-matching atom names
  atom names from topol.top will be used
  atom names from bad.gro will be ignored

Fatal error:
Too many warnings (1).
If you are sure all warnings are harmless, use the -maxwarn option.
";

    #[test]
    fn failures_are_told_apart() {
        let status = |text: &str, code, signal, blew_up| {
            explain("gmx mdrun", text, (code, signal), blew_up).status
        };
        assert_eq!(status(COUNT, Some(1), None, false), MARSFM_PLUGIN_MISMATCH);
        assert_eq!(status(NAMES, Some(1), None, false), MARSFM_PLUGIN_MISMATCH);
        let lincs = "Fatal error:\nToo many LINCS warnings (1001)\n";
        assert_eq!(status(lincs, Some(1), None, false), MARSFM_PLUGIN_DIVERGED);
        assert_eq!(status("", None, Some(11), false), MARSFM_PLUGIN_DIVERGED);
        assert_eq!(status("", None, Some(9), false), MARSFM_PLUGIN_KILLED);
        assert_eq!(status("", Some(1), None, true), MARSFM_PLUGIN_DIVERGED);
        let full = "write: No space left on device";
        assert_eq!(status(full, Some(1), None, false), MARSFM_PLUGIN_DISK_FULL);
        let warned = "WARNING 1 [file md.mdp]:\n  net charge\n\nFatal error:\nToo many warnings";
        assert_eq!(status(warned, Some(1), None, false), MARSFM_PLUGIN_INVALID);
        assert_eq!(status("huh", Some(1), None, false), MARSFM_PLUGIN_ENGINE_FAILED);
    }

    #[test]
    fn the_message_holds_the_paragraphs_that_matter() {
        let message = explain("gmx grompp", COUNT, (Some(1), None), false).message;
        assert!(message.contains("bad.gro, 65) does not match topology"), "{message}");
        assert!(!message.contains("website"), "{message}");
        let message = explain("gmx grompp", NAMES, (Some(1), None), false).message;
        assert!(message.contains("2 non-matching atom names"), "{message}");
    }

    #[test]
    fn steps_and_forces_are_read() {
        assert_eq!(step("step 100, remaining\rstep 200, will finish"), 200);
        assert_eq!(step("Step=  231, Dmax= 2.8e-04 nm"), 231);
        assert_eq!(step("nothing"), 0);
        let said = "Potential Energy  = -6.7e+02\nMaximum force     =  4.9479633e+01 on atom 64\n";
        assert_eq!(largest_force(said), Some((49.479633, 63)));
        assert_eq!(largest_force(""), None);
    }
}
