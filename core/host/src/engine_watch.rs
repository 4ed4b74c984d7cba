//! Calls into an engine plugin, watched.
//!
//! Each call runs on a thread of its own, which only this file knows. A call that gives no sign of
//! life for longer than its limit is cancelled; if it does not return even then, it is left behind.
//! So a plugin that hangs costs its caller a timeout, not its life.
#![allow(unsafe_code)] // reads what a plugin's thread was handed

use marsfm_plugin_api::abi::*;
use marsfm_plugin_api::engine_abi::*;
use marsfm_preparation::Progress;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a plugin may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineLimits {
    /// Longest time between two signs of life of one call.
    pub silence: Duration,
    /// How long a cancelled call may take to return before it is abandoned.
    pub grace: Duration,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self { silence: Duration::from_secs(300), grace: Duration::from_secs(10) }
    }
}

/// How often the caller's progress is called and limits are looked at.
const TICK: Duration = Duration::from_millis(50);

/// What the thread of a call and the caller tell each other.
#[derive(Default)]
struct Pulse {
    beats: AtomicU64,
    done: AtomicU64,
    total: AtomicU64,
    stop: AtomicBool,
}

/// The plugin's sign of life.
extern "C" fn beat(user_data: *mut c_void, done: u64, total: u64) -> i32 {
    // SAFETY: `watched` passes a pulse that its thread keeps alive during the call.
    let Some(pulse) = (unsafe { user_data.cast::<Pulse>().as_ref() }) else {
        return MARSFM_PLUGIN_INVALID;
    };
    pulse.done.store(done, Ordering::Relaxed);
    pulse.total.store(total, Ordering::Relaxed);
    pulse.beats.fetch_add(1, Ordering::Relaxed);
    let stop = pulse.stop.load(Ordering::Relaxed);
    if stop { MARSFM_PLUGIN_CANCELLED } else { MARSFM_PLUGIN_OK }
}

/// How a watched call ended.
pub(crate) enum Ended<T> {
    Returned(T),
    /// Stopped on request; the thread has returned.
    Stopped,
    /// Silent for too long; `true` if the thread had to be left behind.
    Silent(bool),
    /// No thread could be started, or it died.
    NoThread(String),
}

/// Runs `call` on a thread of its own and watches it.
pub(crate) fn watched<T: Send + 'static>(
    limits: EngineLimits,
    progress: Progress<'_>,
    cancel: impl Fn(),
    call: impl FnOnce(&EngineWatch) -> T + Send + 'static,
) -> Ended<T> {
    let pulse = Arc::new(Pulse::default());
    let (sender, receiver) = mpsc::sync_channel(1);
    let theirs = pulse.clone();
    let thread = std::thread::Builder::new().name("marsfm-engine".into()).spawn(move || {
        let watch = EngineWatch {
            struct_size: size_of::<EngineWatch>(),
            user_data: Arc::as_ptr(&theirs).cast_mut().cast(),
            progress: Some(beat),
        };
        // The receiver may be gone: then nobody waits any more.
        let _ = sender.send(call(&watch));
    });
    if let Err(e) = thread {
        return Ended::NoThread(format!("no thread for the call: {e}"));
    }
    let (mut beats, mut last) = (0, Instant::now());
    let mut stopping: Option<(Instant, bool)> = None;
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(value) => {
                return match stopping {
                    None => Ended::Returned(value),
                    Some((_, true)) => Ended::Silent(false),
                    Some((_, false)) => Ended::Stopped,
                };
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Ended::NoThread("the thread of the call died".into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = pulse.beats.load(Ordering::Relaxed);
        if now != beats {
            (beats, last) = (now, Instant::now());
        }
        let total = pulse.total.load(Ordering::Relaxed);
        let go_on = stopping.is_some() || progress(pulse.done.load(Ordering::Relaxed), total);
        let silent = last.elapsed() > limits.silence;
        if stopping.is_none() && (!go_on || silent) {
            stopping = Some((Instant::now(), silent));
        }
        if let Some((since, _)) = stopping {
            pulse.stop.store(true, Ordering::Relaxed);
            // Again and again: the call may not have begun when the first one came.
            cancel();
            if since.elapsed() > limits.grace {
                return Ended::Silent(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(silence: u64, grace: u64) -> EngineLimits {
        let ms = Duration::from_millis;
        EngineLimits { silence: ms(silence), grace: ms(grace) }
    }

    #[test]
    fn calls_are_stopped_cancelled_or_left_behind() {
        let ended = watched(limits(9000, 9000), &mut |_, _| true, || (), |_| 7);
        assert!(matches!(ended, Ended::Returned(7)));
        // Gives signs of life for longer than the limit of silence, and returns.
        let alive = |watch: &EngineWatch| {
            for k in 0..8 {
                std::thread::sleep(Duration::from_millis(60));
                if watch.progress.is_some_and(|p| p(watch.user_data, k, 8) != 0) {
                    return -1;
                }
            }
            1
        };
        let mut seen = 0;
        let mut progress = |done: u64, _: u64| {
            seen = seen.max(done);
            true
        };
        assert!(matches!(
            watched(limits(250, 9000), &mut progress, || (), alive),
            Ended::Returned(1)
        ));
        assert!(seen >= 5, "{seen}");
        let ended = watched(limits(9000, 9000), &mut |done, _| done < 2, || (), alive);
        assert!(matches!(ended, Ended::Stopped));
        // Silent, but heeds cancel.
        let flag = Arc::new(AtomicBool::new(false));
        let theirs = flag.clone();
        let heeds = move |_: &EngineWatch| {
            while !theirs.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let cancel = || flag.store(true, Ordering::Relaxed);
        let ended = watched(limits(100, 9000), &mut |_, _| true, cancel, heeds);
        assert!(matches!(ended, Ended::Silent(false)));
        // Deaf.
        let deaf = |_: &EngineWatch| std::thread::sleep(Duration::from_secs(3));
        let ended = watched(limits(100, 100), &mut |_, _| true, || (), deaf);
        assert!(matches!(ended, Ended::Silent(true)));
    }
}
