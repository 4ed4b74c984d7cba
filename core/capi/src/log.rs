//! The log hook: the only mutable state of the library.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CString, c_void};
use std::sync::RwLock;

use crate::status::{Failure, guard};
use crate::types::*;

#[derive(Clone, Copy)]
struct Hook {
    log: unsafe extern "C" fn(*mut c_void, i32, *const std::ffi::c_char) -> i32,
    user_data: *mut c_void,
    level: i32,
}

// SAFETY: marsfm_set_log demands that the function may be called from any thread with it.
unsafe impl Send for Hook {}
// SAFETY: as above.
unsafe impl Sync for Hook {}

static HOOK: RwLock<Option<Hook>> = RwLock::new(None);

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Sets the function that is told what the library does, for the whole process; without one it
/// says nothing. When the call returns, the function before is not running and will not be called
/// again, so its user_data may be released.
///
/// - log: NULL for none. It may be called from any thread, also several at once; it must not call
///   into marsfm, and anything but 0 that it returns takes it out.
/// - user_data: handed to log.
/// - level: one of MARSFM_LOG_...; messages of this level and of lower numbers are told.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT, or MARSFM_ERROR_BUSY from within a log function.
/// [any thread]
///
/// Example: marsfm_set_log(print_message, stderr, MARSFM_LOG_WARNING);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_set_log(log: Log, user_data: *mut c_void, level: i32) -> Status {
    guard("marsfm_set_log", || {
        if !(MARSFM_LOG_ERROR..=MARSFM_LOG_INFO).contains(&level) {
            return Err(Failure::argument(format!("level is {level}; use MARSFM_LOG_...")));
        }
        if INSIDE.with(Cell::get) {
            let message = "a log function cannot set another one";
            return Err(Failure::new(MARSFM_ERROR_BUSY, message));
        }
        let mut hook = HOOK.write().unwrap_or_else(|e| e.into_inner());
        *hook = log.map(|log| Hook { log, user_data, level });
        Ok(())
    })
}

/// Tells the hook, if there is one and it wants this level.
pub(crate) fn tell(level: i32, message: &str) {
    // No message is worth a panic, and none is told while another one is.
    if INSIDE.try_with(|inside| inside.replace(true)).unwrap_or(true) {
        return;
    }
    let refused = {
        let hook = HOOK.read().unwrap_or_else(|e| e.into_inner());
        hook.filter(|hook| level <= hook.level).and_then(|hook| {
            let text = CString::new(message.replace('\0', " ")).ok()?;
            // SAFETY: as the C contract of marsfm_set_log; the lock keeps the hook set.
            let answer = unsafe { (hook.log)(hook.user_data, level, text.as_ptr()) };
            (answer != 0).then_some(hook)
        })
    };
    if let Some(gone) = refused {
        let mut hook = HOOK.write().unwrap_or_else(|e| e.into_inner());
        // Another one may have been set meanwhile.
        let same = |h: &Hook| {
            std::ptr::fn_addr_eq(h.log, gone.log) && std::ptr::eq(h.user_data, gone.user_data)
        };
        if hook.as_ref().is_some_and(same) {
            *hook = None;
        }
    }
    let _ = INSIDE.try_with(|inside| inside.set(false));
}
