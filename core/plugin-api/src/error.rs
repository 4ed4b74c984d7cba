//! Failures inside a plugin: a status and a sentence, kept per thread until the host asks.
#![allow(unsafe_code)] // copies text into a C buffer

use crate::abi::*;
use std::cell::{Cell, RefCell};
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// A failure: the status that crosses and the sentence that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginError {
    /// One of the `MARSFM_PLUGIN_…` statuses.
    pub status: i32,
    /// What, where (frame, atom), expected and got, what to do. The host puts the file in front.
    pub message: String,
}

impl PluginError {
    /// An unusable argument.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { status: MARSFM_PLUGIN_INVALID, message: message.into() }
    }

    /// A file that cannot be opened, read or written.
    pub fn io(message: impl Into<String>) -> Self {
        Self { status: MARSFM_PLUGIN_IO, message: message.into() }
    }

    /// A damaged file or another format.
    pub fn format(message: impl Into<String>) -> Self {
        Self { status: MARSFM_PLUGIN_FORMAT, message: message.into() }
    }

    /// Something this plugin does not offer.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { status: MARSFM_PLUGIN_UNSUPPORTED, message: message.into() }
    }

    /// Two numbers of atoms that should be equal.
    pub fn mismatch(message: impl Into<String>) -> Self {
        Self { status: MARSFM_PLUGIN_MISMATCH, message: message.into() }
    }
}

impl std::fmt::Display for PluginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PluginError {}

impl From<std::io::Error> for PluginError {
    fn from(error: std::io::Error) -> Self {
        Self::io(error.to_string())
    }
}

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics that [`guard`] turns into statuses off stderr. Called by the entry of a plugin,
/// which has its own copy of the Rust runtime: the host's panics are not touched.
#[doc(hidden)]
pub fn quiet_guarded_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.with(Cell::get) {
                loud(info);
            }
        }));
    });
}

fn remember(message: String) {
    LAST.with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = message;
        }
    });
}

/// Runs the body of an exported function: errors and panics become a status and a text, success
/// clears the text. Nothing unwinds out of it.
pub fn guard(body: impl FnOnce() -> Result<i32, PluginError>) -> i32 {
    let outer = GUARDED.with(|g| g.replace(true));
    let result = catch_unwind(AssertUnwindSafe(body));
    GUARDED.with(|g| g.set(outer));
    match result {
        Ok(Ok(status)) => {
            remember(String::new());
            status
        }
        Ok(Err(error)) => {
            remember(error.message);
            error.status
        }
        Err(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".into());
            // A payload may panic again when it is dropped: leave it.
            std::mem::forget(payload);
            remember(format!("the plugin panicked (a bug, or a damaged file): {text}"));
            MARSFM_PLUGIN_PANIC
        }
    }
}

/// Copies `text` NUL-terminated into a C buffer, cut to its capacity at a character boundary;
/// returns the whole length with the NUL.
pub(crate) fn copy_text(text: &str, buffer: *mut c_char, capacity: usize) -> usize {
    if !buffer.is_null() && capacity > 0 {
        let mut n = text.len().min(capacity - 1);
        while !text.is_char_boundary(n) {
            n -= 1;
        }
        // SAFETY: the caller gives `capacity` writable bytes; n + 1 <= capacity.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, n);
            *buffer.add(n) = 0;
        }
    }
    text.len() + 1
}

/// `marsfm_plugin_entry_t::last_error` of every plugin made with this crate.
pub extern "C" fn last_error(buffer: *mut c_char, capacity: usize) -> usize {
    LAST.with(|last| last.try_borrow().map_or(0, |text| copy_text(&text, buffer, capacity)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last() -> String {
        let mut buffer = vec![0u8; last_error(std::ptr::null_mut(), 0)];
        last_error(buffer.as_mut_ptr().cast(), buffer.len());
        buffer.pop();
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn errors_and_panics_become_statuses_with_a_text_that_success_clears() {
        assert_eq!(guard(|| Err(PluginError::io("frame 3: gone"))), MARSFM_PLUGIN_IO);
        assert_eq!(last(), "frame 3: gone");
        assert_eq!(guard(|| panic!("unlucky {}", 7)), MARSFM_PLUGIN_PANIC);
        assert!(last().contains("unlucky 7"), "{}", last());
        assert_eq!(guard(|| Ok(MARSFM_PLUGIN_OK)), MARSFM_PLUGIN_OK);
        assert_eq!(last(), "");
    }

    #[test]
    fn a_text_is_cut_at_a_character_boundary() {
        let mut buffer = [1 as c_char; 4];
        assert_eq!(copy_text("aéé", buffer.as_mut_ptr(), 4), 6);
        assert_eq!(buffer[3], 0, "a, é, NUL");
        let mut buffer = [1 as c_char; 3];
        assert_eq!(copy_text("aéé", buffer.as_mut_ptr(), 3), 6);
        assert_eq!(buffer[1], 0, "é does not fit");
    }
}
