//! Jobs: jumps and trees that are drawn while the caller's MD goes on.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use marsfm_core::session::{Batch as CoreBatch, SessionError};

use crate::arguments::*;
use crate::batch::Batch;
use crate::log::tell;
use crate::session::{InUse, Session, Wanted};
use crate::status::{Checked, Failure, guard};
use crate::types::*;

/// A request that is worked on by a thread of the library, opaque. Use it from any thread.
pub struct Job {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

struct Shared {
    cancelled: AtomicBool,
    done: AtomicU64,
    budget: AtomicU64,
    state: Mutex<State>,
    ended: Condvar,
}

enum State {
    Working,
    Done(Box<CoreBatch>),
    Failed(Failure),
    Taken,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn end(&self, state: State) {
        *self.state() = state;
        self.ended.notify_all();
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.shared.cancelled.store(true, Ordering::Release);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// Starts a thread for a request whose input is copied.
fn start(session: &Session, wanted: Wanted) -> Checked<Job> {
    let shared = Arc::new(Shared {
        cancelled: AtomicBool::new(false),
        done: AtomicU64::new(0),
        budget: AtomicU64::new(wanted.budget()),
        state: Mutex::new(State::Working),
        ended: Condvar::new(),
    });
    let (mine, core) = (shared.clone(), session.core.clone());
    let work = move || {
        let progress = |done: usize, budget: usize| {
            mine.done.store(done as u64, Ordering::Relaxed);
            mine.budget.store(budget as u64, Ordering::Relaxed);
            !mine.cancelled.load(Ordering::Acquire)
        };
        let state = match catch_unwind(AssertUnwindSafe(|| wanted.draw(&core, progress))) {
            Ok(Ok(batch)) => {
                mine.done.store(batch.samples().len() as u64, Ordering::Relaxed);
                let (n, good) = (batch.samples().len(), batch.n_accepted());
                tell(MARSFM_LOG_INFO, &format!("job: {good} of {n} samples accepted"));
                State::Done(Box::new(batch))
            }
            Ok(Err(error)) => State::Failed(cause(error)),
            Err(payload) => {
                std::mem::forget(payload);
                let message = "internal error in a job, please report it";
                State::Failed(Failure::new(MARSFM_ERROR_INTERNAL, message))
            }
        };
        mine.end(state);
    };
    let thread = std::thread::Builder::new().name("marsfm-job".into());
    let worker = thread
        .spawn(work)
        .map_err(|e| Failure::new(MARSFM_ERROR_BUSY, format!("cannot start a thread: {e}")))?;
    Ok(Job { shared, worker: Some(worker) })
}

fn cause(error: SessionError) -> Failure {
    match error {
        SessionError::Stopped { done, budget } => Failure::new(
            MARSFM_ERROR_STOPPED,
            format!("the job was cancelled after {done} of at most {budget} draws"),
        ),
        other => other.into(),
    }
}

/// Begins to draw n jumps, as marsfm_session_jump does, on a thread of the library, and returns at
/// once: MD goes on meanwhile. Positions and cell are copied. The samples are the same as those of
/// marsfm_session_jump. The session may be used and freed before the job has ended.
///
/// - xyz, box_nm, n, rng_seed: as in marsfm_session_jump.
/// - job: takes the new job; free it with marsfm_job_free.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, MARSFM_ERROR_COUNT or MARSFM_ERROR_BUSY; what is
/// wrong with the positions is told by marsfm_job_poll. [one thread per session]
///
/// Example: marsfm_session_submit(session, &xyz, NULL, 64, 42, &job);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_session_submit(
    session: *mut Session,
    xyz: *const XyzIn,
    box_nm: *const f64,
    n: usize,
    rng_seed: u64,
    job: *mut *mut Job,
) -> Status {
    guard("marsfm_session_submit", || {
        output(job, "job")?;
        // SAFETY: as the C contract.
        let session = unsafe { handle(session, "session")? };
        let _in_use = InUse::claim(session)?;
        // SAFETY: as the C contract.
        let wanted = unsafe { Wanted::jumps(session, xyz, box_nm, n, rng_seed)? };
        let started = start(session, wanted)?;
        // SAFETY: checked above.
        unsafe { give(job, started) };
        Ok(())
    })
}

/// Begins to grow a tree, as marsfm_session_tree does, on a thread of the library.
///
/// - options: progress must be NULL; ask marsfm_job_progress instead.
/// - xyz, box_nm, rng_seed, job: as in marsfm_session_submit.
///
/// Returns what marsfm_session_submit returns. [one thread per session]
///
/// Example: marsfm_session_submit_tree(session, &xyz, NULL, &options, 42, &job);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_session_submit_tree(
    session: *mut Session,
    xyz: *const XyzIn,
    box_nm: *const f64,
    options: *const TreeOptions,
    rng_seed: u64,
    job: *mut *mut Job,
) -> Status {
    guard("marsfm_session_submit_tree", || {
        output(job, "job")?;
        // SAFETY: as the C contract.
        let (session, options) =
            unsafe { (handle(session, "session")?, read_record(options, "options")?) };
        if options.progress.is_some() {
            return Err(Failure::argument("options.progress must be NULL for a job"));
        }
        let _in_use = InUse::claim(session)?;
        // SAFETY: as the C contract.
        let wanted = unsafe { Wanted::tree(session, xyz, box_nm, &options, rng_seed)? };
        let started = start(session, wanted)?;
        // SAFETY: checked above.
        unsafe { give(job, started) };
        Ok(())
    })
}

/// Asks for the result of a job. It is handed out once.
///
/// - timeout_ms: how long to wait for it; 0 only looks, UINT32_MAX waits until the job has ended.
/// - batch: takes the new batch; free it with marsfm_batch_free.
///
/// Returns MARSFM_OK; MARSFM_ERROR_PENDING: not ready yet; MARSFM_ERROR_STOPPED: cancelled;
/// MARSFM_ERROR_ARGUMENT, also if the result was taken before; or what marsfm_session_jump returns.
/// [any thread]
///
/// Example: if (marsfm_job_poll(job, 0, &batch) == MARSFM_ERROR_PENDING) run_more_md();
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_job_poll(
    job: *const Job,
    timeout_ms: u32,
    batch: *mut *mut Batch,
) -> Status {
    guard("marsfm_job_poll", || {
        output(batch, "batch")?;
        // SAFETY: as the C contract.
        let shared = unsafe { &handle(job, "job")?.shared };
        let limit = (timeout_ms != u32::MAX)
            .then(|| Instant::now() + Duration::from_millis(timeout_ms.into()));
        let mut state = shared.state();
        while matches!(*state, State::Working) {
            let left = limit.map(|limit| limit.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                let done = shared.done.load(Ordering::Relaxed);
                let budget = shared.budget.load(Ordering::Relaxed);
                let message = format!("the job goes on: {done} of at most {budget} draws are done");
                return Err(Failure::new(MARSFM_ERROR_PENDING, message));
            }
            let poisoned = std::sync::PoisonError::into_inner;
            state = match left {
                None => shared.ended.wait(state).unwrap_or_else(poisoned),
                Some(left) => {
                    let waited = shared.ended.wait_timeout(state, left);
                    waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(done) => {
                // SAFETY: checked above.
                unsafe { give(batch, Batch(*done)) };
                Ok(())
            }
            State::Failed(failure) => {
                *state = State::Failed(failure.clone());
                Err(failure)
            }
            State::Taken | State::Working => {
                Err(Failure::argument("the result of this job was taken before"))
            }
        }
    })
}

/// Tells how far a job is: draws done, and the most that will be done.
///
/// - done, budget: take the numbers; either may be NULL.
///
/// Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT. [any thread]
///
/// Example: marsfm_job_progress(job, &done, &budget);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_job_progress(
    job: *const Job,
    done: *mut u64,
    budget: *mut u64,
) -> Status {
    guard("marsfm_job_progress", || {
        // SAFETY: as the C contract.
        let shared = unsafe { &handle(job, "job")?.shared };
        for (at, value) in [(done, &shared.done), (budget, &shared.budget)] {
            if !at.is_null() {
                // SAFETY: not null.
                unsafe { at.write(value.load(Ordering::Relaxed)) };
            }
        }
        Ok(())
    })
}

/// Asks a job to end; it does after the draws that it is at (a few at a time), and is then
/// MARSFM_ERROR_STOPPED, unless it had ended before. [any thread]
///
/// Returns MARSFM_OK or MARSFM_ERROR_ARGUMENT.
///
/// Example: marsfm_job_cancel(job);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_job_cancel(job: *const Job) -> Status {
    guard("marsfm_job_cancel", || {
        // SAFETY: as the C contract.
        unsafe { handle(job, "job")? }.shared.cancelled.store(true, Ordering::Release);
        Ok(())
    })
}

/// Cancels a job, waits for its thread and frees it; NULL is fine. [not while it is in use]
///
/// Example: marsfm_job_free(job);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn marsfm_job_free(job: *mut Job) {
    // SAFETY: as the C contract: made by this library, freed once.
    unsafe { free(job) };
}
