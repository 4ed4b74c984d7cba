//! `./x test [--fast] [-- ARGUMENTS of cargo test]`: builds the program, libmarsfm and the
//! plugins (tests load them), then formatting, clippy, all tests and doc tests. Everything runs
//! even if one stage fails, except that nothing runs after a failed build.

use anyhow::{Result, bail};

use crate::skips::SkipLog;
use crate::workspace::Workspace;
use crate::{python, stage};

/// Runs the stages; an error names those that failed.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let (fast, extra) = match arguments {
        [flag, rest @ ..] if flag == "--fast" => (true, rest),
        rest => (false, rest),
    };
    let extra: Vec<&str> = extra.iter().filter(|a| *a != "--").map(String::as_str).collect();
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");

    let mut failed = Vec::new();
    let mut note = |result: Result<()>| {
        if let Err(error) = result {
            eprintln!("x: {error:#}");
            failed.push(error.to_string());
        }
    };
    if !fast {
        components(workspace)?;
        note(stage::run("formatting", &mut workspace.cargo(&["fmt", "--all", "--check"])));
    }
    stage::run("build", &mut workspace.cargo(&["build", "--release", "--workspace"]))?;
    if !fast {
        let clippy =
            ["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"];
        note(stage::run("clippy", &mut workspace.cargo(&clippy)));
    }

    let skips = SkipLog::new(workspace)?;
    let mut closing = Closing::default();
    let mut tests = workspace.cargo(&["test", "--release", "--workspace", "--no-fail-fast"]);
    tests.args(&extra).env("MARSFM_SKIP_LOG", skips.path());
    match python::for_tests(workspace) {
        // Tests and plugins ask the first python3 of the PATH where OpenMM is.
        Ok(bin) => _ = tests.env("PATH", python::path_with(&bin)),
        Err(error) => {
            eprintln!("x: no Python packages, tests that need them are skipped: {error:#}")
        }
    }
    note(stage::run_watched("tests", tests, |line| closing.see(line)));

    closing.print();
    note(skips.judge(strict));
    if closing.passed == 0 && extra.is_empty() {
        note(Err(anyhow::anyhow!("no test ran")));
    }
    if !failed.is_empty() {
        bail!("./x test failed: {}", failed.join("; "));
    }
    println!("./x test: all stages passed");
    Ok(())
}

/// A minimal rustup profile lacks rustfmt and clippy: adds them.
fn components(workspace: &Workspace) -> Result<()> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let there = workspace.cargo(&[subcommand, "--version"]).output()?.status.success();
        if !there {
            let mut rustup = std::process::Command::new("rustup");
            rustup.args(["component", "add", component]).current_dir(&workspace.root);
            stage::run(&format!("rustup component add {component}"), &mut rustup)?;
        }
    }
    Ok(())
}

/// The closing lines of the test runners, each with the name of what ran.
#[derive(Default)]
struct Closing {
    current: String,
    lines: Vec<String>,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Closing {
    fn see(&mut self, line: &str) {
        let line = line.trim();
        if line.starts_with("Running ") || line.starts_with("Doc-tests ") {
            self.current = line.split(" (").next().unwrap_or(line).to_owned();
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            self.lines.push(format!("{}: {rest}", self.current));
            self.passed += count(rest, "passed");
            self.failed += count(rest, "failed");
            self.ignored += count(rest, "ignored");
        }
    }

    fn print(&self) {
        println!("== closing lines of the test runners");
        for line in &self.lines {
            println!("{line}");
        }
        let Self { passed, failed, ignored, .. } = self;
        println!("tests: {passed} passed; {failed} failed; {ignored} ignored");
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; …`.
fn count(line: &str, word: &str) -> u64 {
    line.split([';', '.'])
        .filter_map(|part| part.trim().strip_suffix(word))
        .filter_map(|number| number.trim().parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_named_and_summed() {
        let mut closing = Closing::default();
        for line in [
            "     Running unittests src/lib.rs (target/release/deps/marsfm_msm-0123)",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.52s",
            "   Doc-tests marsfm_msm",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            closing.see(line);
        }
        assert_eq!((closing.passed, closing.failed, closing.ignored), (14, 1, 1));
        assert!(closing.lines[0].starts_with("Running unittests src/lib.rs: ok. 12 passed"));
        assert!(closing.lines[1].starts_with("Doc-tests marsfm_msm: FAILED"));
    }
}
