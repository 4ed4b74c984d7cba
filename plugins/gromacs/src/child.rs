//! One run of a GROMACS program as a child process: watched, stopped on request, its failure
//! explained. The child never outlives the call.

use crate::said;
use marsfm_plugin_api::engine::Watch;
use marsfm_plugin_api::engine_abi::MARSFM_PLUGIN_TIMEOUT;
use marsfm_plugin_api::{PluginError, file_error};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where stdout and stderr of a program go, in its folder.
const SAID: &str = "said.txt";
const TICK: Duration = Duration::from_millis(20);
/// How long a program may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// A folder that is removed when it is dropped.
pub fn scratch() -> Result<tempfile::TempDir, PluginError> {
    let temporary = std::env::temp_dir();
    let made = tempfile::Builder::new().prefix("marsfm-gromacs-").tempdir_in(&temporary);
    made.map_err(|e| file_error(&temporary, &e))
}

/// How to run a program.
pub struct Job<'a> {
    /// The executable.
    pub program: &'a Path,
    /// Words before its own arguments, an MPI launcher's first argument among them: the program
    /// that is started is then the first of them.
    pub launcher: &'a [String],
    /// Its working folder: files it writes count as signs of life.
    pub folder: &'a Path,
    /// Who watches.
    pub watch: Option<&'a Watch<'a>>,
    /// Steps that it will take, for progress; 0 if that is unknown.
    pub steps: u64,
    /// Longest time it may take in all, where nobody watches.
    pub limit: Option<Duration>,
}

/// Kills and reaps whatever happens.
struct Owned(Child);

impl Owned {
    /// Asks the child to end (an MPI launcher then ends its ranks), then makes it.
    fn end(&mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let begun = Instant::now();
        while asked.as_ref().is_ok_and(|s| s.success()) && begun.elapsed() < PATIENCE {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(TICK);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.end();
        }
    }
}

impl<'a> Job<'a> {
    /// A program in a folder that nobody watches, with five minutes.
    pub fn new(program: &'a Path, folder: &'a Path) -> Self {
        let limit = Some(Duration::from_secs(300));
        Self { program, launcher: &[], folder, watch: None, steps: 0, limit }
    }

    /// Runs it with words on stdin; what it said, or what went wrong.
    pub fn run(&self, arguments: &[String], input: Option<&str>) -> Result<String, PluginError> {
        let path = self.folder.join(SAID);
        let said = File::create(&path).map_err(|e| file_error(&path, &e))?;
        let also = said.try_clone().map_err(|e| file_error(&path, &e))?;
        let mut words = self.launcher.iter().map(String::as_str).map(std::ffi::OsStr::new);
        let mut command = Command::new(words.next().unwrap_or(self.program.as_os_str()));
        command.args(words);
        if !self.launcher.is_empty() {
            command.arg(self.program);
        }
        let verb = arguments.iter().find(|a| !a.starts_with('-')).map_or("", String::as_str);
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{name} {verb}").trim().to_owned();
        command
            .args(arguments)
            .current_dir(self.folder)
            .env("GMX_MAXBACKUP", "-1")
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(said)
            .stderr(also);
        let child = command.spawn().map_err(|e| said::not_started(&name, &e))?;
        let mut child = Owned(child);
        if let (Some(text), Some(mut pipe)) = (input, child.0.stdin.take()) {
            // A program that ended early has its own words for why.
            let _ = pipe.write_all(text.as_bytes());
        }
        let (begun, mut size) = (Instant::now(), 0);
        let status = loop {
            match child.0.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(e) => return Err(PluginError::io(format!("{name}: {e}"))),
            }
            std::thread::sleep(TICK);
            if let Some(watch) = self.watch {
                let now = written(self.folder);
                if now == size {
                    watch.check()?;
                } else {
                    size = now;
                    let done = if self.steps == 0 { 0 } else { said::step(&tail(&path)) };
                    watch.step(done.min(self.steps), self.steps)?;
                }
            } else if self.limit.is_some_and(|limit| begun.elapsed() > limit) {
                let seconds = begun.elapsed().as_secs();
                let message = format!("{name} did not end in {seconds} s and was stopped");
                return Err(PluginError { status: MARSFM_PLUGIN_TIMEOUT, message });
            }
        };
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|mut f| f.read_to_end(&mut text));
        read.map_err(|e| file_error(&path, &e))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        match status.success() {
            true => Ok(text),
            false => Err(said::explain(
                &name,
                &text,
                (status.code(), status.signal()),
                blew_up(self.folder),
            )),
        }
    }
}

/// Bytes in the files of a folder.
fn written(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum()
}

/// True if mdrun left pictures of a simulation that blew up.
fn blew_up(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .any(|n| n.starts_with("step") && n.ends_with(".pdb"))
}

/// The end of a text file.
fn tail(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(400)))?;
        file.read_to_end(&mut bytes)
    });
    if read.is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use marsfm_plugin_api::engine_abi::{MARSFM_PLUGIN_ENGINE_FAILED, MARSFM_PLUGIN_KILLED};

    fn shell(script: &str, limit_ms: u64) -> Result<String, PluginError> {
        let folder = scratch().unwrap();
        let limit = Some(Duration::from_millis(limit_ms));
        let job = Job { limit, ..Job::new(Path::new("/bin/sh"), folder.path()) };
        job.run(&["-c".to_owned(), script.to_owned()], Some("word\n"))
    }

    #[test]
    fn output_exit_status_signal_and_time_are_told_apart() {
        assert_eq!(shell("read a; echo $a; echo b >&2", 9000).unwrap(), "word\nb\n");
        let error = shell("echo odd >&2; exit 3", 9000).unwrap_err();
        assert_eq!(error.status, MARSFM_PLUGIN_ENGINE_FAILED);
        assert!(error.message.contains("odd") && error.message.contains('3'), "{error}");
        let error = shell("kill -9 $$", 9000).unwrap_err();
        assert_eq!(error.status, MARSFM_PLUGIN_KILLED, "{error}");
        let begun = Instant::now();
        let error = shell("exec sleep 60", 100).unwrap_err();
        assert_eq!(error.status, MARSFM_PLUGIN_TIMEOUT, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "the child was not ended");
    }

    #[test]
    fn a_program_that_is_not_there_is_a_missing_engine() {
        let folder = scratch().unwrap();
        let error = Job::new(Path::new("/nowhere/gmx"), folder.path()).run(&[], None).unwrap_err();
        assert!(error.message.contains("gmx"), "{error}");
    }
}
