//! Looking on while a loop runs: progress, points at which tests kill it, limits, and why it ended.

/// Every point at which a test kills the process, in the order in which an epoch meets them.
pub const POINTS: [&str; 13] = [
    "epoch-begins",
    "seeds-written",
    "plan-recorded",
    "run-begins",
    "run-half",
    "run-finished",
    "run-renamed",
    "journal-header",
    "journal-half",
    "journal-written",
    "journal-synced",
    "run-recorded",
    "epoch-recorded",
];

/// Where a loop is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<'a> {
    /// What is being done.
    pub stage: &'a str,
    /// Epoch, from 0, of how many.
    pub epoch: (usize, usize),
    /// Part of all MD that is done, 0 to 1.
    pub done: f64,
    /// Wall time left, s, by the pace of this process; `None` at first.
    pub seconds_left: Option<f64>,
}

/// Looks on.
pub trait Watch {
    /// Told where the loop is; false stops it.
    fn progress(&mut self, _: Progress<'_>) -> bool {
        true
    }
    /// Told each of [`POINTS`] as it is passed.
    fn point(&self, _: &'static str) {}
}

/// Limits of one call of [`Driver::run`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Epochs to run at most; `None` for all that the settings ask for.
    pub epochs: Option<usize>,
    /// Wall time, s.
    pub seconds: Option<f64>,
}

/// Why [`Driver::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All epochs are there.
    Complete,
    /// The MD budget is spent.
    Budget,
    /// The model has settled.
    Settled,
    /// The limits of this call; running again goes on.
    Limits,
    /// The onlooker stopped it; running again goes on.
    Stopped,
}
