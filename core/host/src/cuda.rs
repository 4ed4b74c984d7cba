//! NVIDIA's driver, asked before any plugin is: without it, or without a card, `cuda` is an
//! ordinary answer with a reason.
#![allow(unsafe_code)] // calls three functions of the driver

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use std::ffi::{CStr, c_char, c_int};
use std::mem::ManuallyDrop;
use std::sync::OnceLock;

/// The driver's library. The name without a version belongs to development packages.
const DRIVER: &str = "libcuda.so.1";

/// A driver with at least one card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Driver {
    /// The newest CUDA version it knows.
    pub cuda: (i32, i32),
    /// Number of cards.
    pub cards: i32,
}

/// What the driver answers; it is asked once.
pub(crate) fn driver() -> Result<Driver, String> {
    static ANSWER: OnceLock<Result<Driver, String>> = OnceLock::new();
    ANSWER.get_or_init(|| ask(DRIVER)).clone()
}

type Query = unsafe extern "C" fn(*mut c_int) -> c_int;

fn ask(name: &str) -> Result<Driver, String> {
    // SAFETY: the driver's own initialisers run; the system's loader finds it by its name.
    let library = unsafe { Library::open(Some(name), RTLD_LAZY | RTLD_LOCAL) };
    let library = library.map_err(|e| {
        let why = std::error::Error::source(&e).map_or_else(|| e.to_string(), |s| s.to_string());
        format!("NVIDIA's driver is not installed ({why})")
    })?;
    // The driver starts threads: it stays loaded.
    let library = ManuallyDrop::new(library);
    let lacks = |f: &str| format!("{name} is no driver of NVIDIA: it has no {f}");
    // SAFETY: the types of these functions are fixed since CUDA 4.
    let (init, version, count) = unsafe {
        let init = library.get::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit\0");
        let version = library.get::<Query>(b"cuDriverGetVersion\0");
        let count = library.get::<Query>(b"cuDeviceGetCount\0");
        (
            init.map_err(|_| lacks("cuInit"))?,
            version.map_err(|_| lacks("cuDriverGetVersion"))?,
            count.map_err(|_| lacks("cuDeviceGetCount"))?,
        )
    };
    let explained = |call: &str, status: c_int| match status {
        0 => Ok(()),
        _ => Err(format!("the driver's {call} failed: {}", reason(&library, status))),
    };
    let (mut number, mut cards) = (0, 0);
    // SAFETY: 0 is the only flag there is; the places outlive the calls.
    explained("cuInit", unsafe { init(0) })?;
    // SAFETY: as above.
    explained("cuDriverGetVersion", unsafe { version(&mut number) })?;
    // SAFETY: as above.
    explained("cuDeviceGetCount", unsafe { count(&mut cards) })?;
    if cards < 1 {
        return Err("the driver finds no card".into());
    }
    Ok(Driver { cuda: (number / 1000, number % 1000 / 10), cards })
}

/// The driver's name for a status, and the number.
fn reason(library: &Library, status: c_int) -> String {
    type Name = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;
    // SAFETY: the type of this function is fixed since CUDA 6.
    let name = unsafe { library.get::<Name>(b"cuGetErrorName\0") };
    let mut text: *const c_char = std::ptr::null();
    if let Ok(name) = name {
        // SAFETY: the place outlives the call; the string is the driver's constant.
        unsafe { name(status, &mut text) };
    }
    if text.is_null() {
        return format!("status {status}");
    }
    // SAFETY: not NULL, a constant of the driver.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    format!("{text} ({status})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_driver_is_an_answer_that_names_it() {
        let error = ask("libmarsfm-has-no-such-driver.so.1").unwrap_err();
        assert!(error.contains("driver is not installed"), "{error}");
        assert!(error.contains("libmarsfm-has-no-such-driver.so.1"), "{error}");
    }

    #[test]
    fn another_library_is_no_driver() {
        let error = ask("libc.so.6").unwrap_err();
        assert!(error.contains("has no cuInit"), "{error}");
    }
}
