//! One timed stage: says what starts, runs it, says how long it took and whether it worked.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Runs `command` with its output passed through; an exit status other than 0 is an error.
pub fn run(name: &str, command: &mut Command) -> Result<()> {
    timed(name, || command.status().with_context(|| format!("cannot start {command:?}")))
}

/// As [`run`], and hands every line of stdout and stderr (in the order written) to `each`.
pub fn run_watched(name: &str, mut command: Command, mut each: impl FnMut(&str)) -> Result<()> {
    timed(name, move || {
        let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        // The command still holds the writing end; the reader would never see the end of file.
        drop(command);
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        let mut stdout = std::io::stdout();
        while reader.read_until(b'\n', &mut line)? > 0 {
            stdout.write_all(&line)?;
            each(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
        Ok(child.wait()?)
    })
}

fn timed(name: &str, work: impl FnOnce() -> Result<ExitStatus>) -> Result<()> {
    eprintln!("== {name}");
    let start = Instant::now();
    let status = work()?;
    let seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{name} failed after {seconds:.1} s ({status})");
    }
    eprintln!("== {name}: done in {seconds:.1} s");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn every_line_of_both_streams_is_seen_in_order() {
        let mut lines = Vec::new();
        run_watched("watched", shell("echo one; echo two >&2; printf three"), |line| {
            lines.push(line.to_owned());
        })
        .expect("the script exits with 0");
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn a_failure_is_an_error_that_names_the_stage() {
        let error = run("plain", &mut shell("exit 3")).expect_err("exits with 3");
        assert!(error.to_string().contains("plain failed"), "{error}");
        let error = run_watched("watched", shell("exit 4"), |_| ()).expect_err("exits with 4");
        assert!(error.to_string().contains("exit status: 4"), "{error}");
    }
}
