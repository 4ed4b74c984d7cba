//! Status codes, the last error message of each thread, and the guard that turns errors and
//! panics into both.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use marsfm_core::session::SessionError;

use crate::arguments::write_text;
use crate::log::tell;
use crate::types::*;

/// A failed call: code and message.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub code: i32,
    pub message: String,
}

pub(crate) type Checked<T> = Result<T, Failure>;

impl Failure {
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(MARSFM_ERROR_ARGUMENT, message)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let code = match &error {
            SessionError::Request(_) => MARSFM_ERROR_ARGUMENT,
            SessionError::Count { .. } => MARSFM_ERROR_COUNT,
            SessionError::NotFinite { .. } => MARSFM_ERROR_NOT_FINITE,
            SessionError::Topology(_) => MARSFM_ERROR_TOPOLOGY,
            SessionError::File(_) => MARSFM_ERROR_FILE,
            SessionError::Model(_) => MARSFM_ERROR_MODEL,
            SessionError::Msm(_) => MARSFM_ERROR_MSM,
            SessionError::Stopped { .. } => MARSFM_ERROR_STOPPED,
        };
        Self::new(code, error.to_string())
    }
}

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs the body of an exported function.
pub(crate) fn guard(function: &str, body: impl FnOnce() -> Checked<()>) -> Status {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return MARSFM_OK,
        Ok(Err(failure)) => failure,
        Err(payload) => {
            let what = payload.downcast_ref::<String>().map(String::as_str);
            let what = what.or(payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
            let message = format!("internal error, please report it: {what}");
            // An odd payload could panic again when it is dropped.
            std::mem::forget(payload);
            Failure::new(MARSFM_ERROR_INTERNAL, message)
        }
    };
    let text = format!("{function}: {}", failure.message).replace('\0', " ");
    if failure.code != MARSFM_ERROR_PENDING {
        tell(MARSFM_LOG_ERROR, &text);
    }
    // At the end of a thread there may be no place left for the message; the code still counts.
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = text;
        }
    });
    failure.code
}

/// Copies the message of this thread's last failed call: function, what, where, expected and got.
/// It stays until the next call on this thread fails; empty if none has.
///
/// - buffer: takes the text, UTF-8 with a final NUL; may be NULL if capacity is 0.
/// - capacity: bytes of buffer; 0 only asks for the size.
/// - needed: takes the size of the text with its NUL; may be NULL.
///
/// Returns MARSFM_OK, or MARSFM_ERROR_SIZE if the buffer is too small. [any thread]
///
/// Example: char text[512]; marsfm_last_error_message(text, sizeof text, NULL);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn marsfm_last_error_message(
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    let copy = || {
        let text = LAST.try_with(|last| last.try_borrow().map(|t| t.clone()).unwrap_or_default());
        // SAFETY: the caller keeps the contract of the text arguments.
        unsafe { write_text(&text.unwrap_or_default(), buffer, capacity, needed) }
    };
    // Its own failure must not take the place of the message that is asked for.
    match catch_unwind(copy) {
        Ok(Ok(())) => MARSFM_OK,
        Ok(Err(failure)) => failure.code,
        Err(payload) => {
            std::mem::forget(payload);
            MARSFM_ERROR_INTERNAL
        }
    }
}

/// The name of a status ("MARSFM_ERROR_BUSY"), or "unknown status". Lives as long as the library.
/// [any thread]
///
/// Example: puts(marsfm_status_name(status));
#[unsafe(no_mangle)]
pub extern "C" fn marsfm_status_name(status: Status) -> *const c_char {
    let name: &CStr = match status {
        MARSFM_OK => c"MARSFM_OK",
        MARSFM_ERROR_ARGUMENT => c"MARSFM_ERROR_ARGUMENT",
        MARSFM_ERROR_SIZE => c"MARSFM_ERROR_SIZE",
        MARSFM_ERROR_NOT_FINITE => c"MARSFM_ERROR_NOT_FINITE",
        MARSFM_ERROR_COUNT => c"MARSFM_ERROR_COUNT",
        MARSFM_ERROR_BUSY => c"MARSFM_ERROR_BUSY",
        MARSFM_ERROR_VERSION => c"MARSFM_ERROR_VERSION",
        MARSFM_ERROR_STOPPED => c"MARSFM_ERROR_STOPPED",
        MARSFM_ERROR_PENDING => c"MARSFM_ERROR_PENDING",
        MARSFM_ERROR_FILE => c"MARSFM_ERROR_FILE",
        MARSFM_ERROR_TOPOLOGY => c"MARSFM_ERROR_TOPOLOGY",
        MARSFM_ERROR_MODEL => c"MARSFM_ERROR_MODEL",
        MARSFM_ERROR_DEVICE => c"MARSFM_ERROR_DEVICE",
        MARSFM_ERROR_MSM => c"MARSFM_ERROR_MSM",
        MARSFM_ERROR_LOOP => c"MARSFM_ERROR_LOOP",
        MARSFM_ERROR_INTERNAL => c"MARSFM_ERROR_INTERNAL",
        _ => c"unknown status",
    };
    name.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last() -> String {
        LAST.with(|l| l.borrow().clone())
    }

    #[test]
    fn panics_become_a_code_and_odd_payloads_do_no_harm() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        assert_eq!(guard("f", || panic!("boom {}", 1)), MARSFM_ERROR_INTERNAL);
        assert!(last().starts_with("f: internal error") && last().ends_with("boom 1"));
        assert_eq!(guard("g", || std::panic::panic_any(Bomb)), MARSFM_ERROR_INTERNAL);
        assert_eq!(guard("h", || Err(Failure::argument("a\0b"))), MARSFM_ERROR_ARGUMENT);
        assert_eq!(last(), "h: a b");
        assert_eq!(guard("k", || Ok(())), MARSFM_OK);
        assert_eq!(last(), "h: a b");
    }

    #[test]
    fn every_code_has_its_name() {
        let source = include_str!("types.rs");
        let codes = source.lines().filter_map(|l| {
            let (name, value) =
                l.strip_prefix("pub const MARSFM_ERROR_")?.split_once(": i32 = ")?;
            Some((format!("MARSFM_ERROR_{name}"), value.trim_end_matches(';').parse().ok()?))
        });
        let mut n = 0;
        for (name, code) in codes {
            // SAFETY: names are static and end with NUL.
            let found = unsafe { CStr::from_ptr(marsfm_status_name(code)) };
            assert_eq!(found.to_str().unwrap(), name);
            n += 1;
        }
        assert_eq!(n, 15);
    }
}
