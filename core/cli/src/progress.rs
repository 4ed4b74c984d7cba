//! Progress bars on the terminal; plain lines now and then where there is none.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// One stage after another.
pub struct Progress {
    bar: ProgressBar,
    visible: bool,
    last_line: Instant,
}

impl Progress {
    /// Nothing shown yet.
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        let visible = !bar.is_hidden();
        Self { bar, visible, last_line: Instant::now() }
    }

    /// A stage of unknown length.
    pub fn stage(&mut self, name: &str) {
        self.clear();
        if !self.visible {
            eprintln!("{name} …");
            return;
        }
        self.bar = ProgressBar::new_spinner().with_message(name.to_string());
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// For work that tells its stage, what of it is done and of how much (0: unknown); `what` is
    /// counted.
    pub fn in_stages(&mut self, what: &str) -> impl FnMut(&str, usize, usize) {
        let mut now = String::new();
        move |stage, done, of| {
            if stage != now {
                self.stage(stage);
                now = stage.to_owned();
            }
            if of > 0 {
                self.at(done as u64, of as u64, what.into());
            }
        }
    }

    /// `done` of `total` of the running stage, with words beside it.
    pub fn at(&mut self, done: u64, total: u64, words: String) {
        if !self.visible {
            if self.last_line.elapsed() >= Duration::from_secs(10) || done == total {
                eprintln!("  {done} of {total} {words}");
                self.last_line = Instant::now();
            }
            return;
        }
        if self.bar.length() != Some(total) {
            let name = self.bar.message();
            self.clear();
            let style = "{prefix} {wide_bar} {pos}/{len} {msg} {eta} left";
            self.bar = ProgressBar::new(total).with_prefix(name);
            if let Ok(style) = ProgressStyle::with_template(style) {
                self.bar.set_style(style);
            }
        }
        self.bar.set_position(done);
        self.bar.set_message(words);
    }

    /// A line that stays.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("  {line}"));
    }

    /// Removes what is shown.
    pub fn clear(&mut self) {
        self.bar.finish_and_clear();
    }
}
