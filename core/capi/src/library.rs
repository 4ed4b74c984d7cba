//! Versions, plugins, and where this library is.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use marsfm_core::Host;

use crate::arguments::write_text;
use crate::log::tell;
use crate::status::{Failure, guard};
use crate::types::*;

/// The plugins of the default places; refusals go to the log.
pub(crate) fn host() -> Host {
    let host = Host::with_default_paths();
    for plugin in host.report() {
        if let Some(why) = plugin.refused {
            tell(MARSFM_LOG_WARNING, &format!("plugin {}: {why}", plugin.path));
        }
    }
    host
}

/// Copies what is known of plugins, as a JSON array of objects: those in use with path, name,
/// version, sha256, services and formats, and those refused with path and reason (refused). They
/// are looked for in the folders of MARSFM_PLUGIN_PATH (absolute paths, colons between), then in
/// lib/marsfm/plugins beside the library. For buffer, capacity and needed see
/// marsfm_last_error_message.
///
/// Returns MARSFM_OK, MARSFM_ERROR_ARGUMENT or MARSFM_ERROR_SIZE. [any thread]
///
/// Example: marsfm_plugin_list(json, sizeof json, NULL);
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn marsfm_plugin_list(
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard("marsfm_plugin_list", || {
        let report = serde_json::to_string(&host().report())
            .map_err(|e| Failure::new(MARSFM_ERROR_INTERNAL, e.to_string()))?;
        // SAFETY: as the C contract.
        unsafe { write_text(&report, buffer, capacity, needed) }
    })
}

/// The ABI version of the library that is running: major * 65536 + minor. [any thread]
///
/// Example: printf("ABI %u\n", (unsigned)(marsfm_abi_version() >> 16));
#[unsafe(no_mangle)]
pub extern "C" fn marsfm_abi_version() -> u32 {
    (MARSFM_ABI_MAJOR << 16) | MARSFM_ABI_MINOR
}

/// The version of the library that is running, such as "0.1.0". Lives as long as the library.
/// [any thread]
///
/// Example: puts(marsfm_version());
#[unsafe(no_mangle)]
pub extern "C" fn marsfm_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Checks that the library that is running serves a program compiled for ABI major.minor: the same
/// major, and a minor that is not smaller. Call it once, first.
///
/// Returns MARSFM_OK, or MARSFM_ERROR_VERSION with both versions in the message. [any thread]
///
/// Example: if (marsfm_check_abi(MARSFM_ABI_MAJOR, MARSFM_ABI_MINOR)) return 1;
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn marsfm_check_abi(major: u32, minor: u32) -> Status {
    guard("marsfm_check_abi", || {
        if major == MARSFM_ABI_MAJOR && minor <= MARSFM_ABI_MINOR {
            return Ok(());
        }
        Err(Failure::new(
            MARSFM_ERROR_VERSION,
            format!(
                "the program needs ABI {major}.{minor}, libmarsfm {} has ABI {MARSFM_ABI_MAJOR}.{MARSFM_ABI_MINOR}",
                env!("CARGO_PKG_VERSION")
            ),
        ))
    })
}

/// The file that this code was loaded from: the shared library, or the program if it is linked
/// statically.
pub(crate) fn own_file() -> Option<PathBuf> {
    // SAFETY: an all-zero Dl_info is valid; dladdr fills it and keeps nothing; the name lives as
    // long as the library.
    let name = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        let here = marsfm_abi_version as extern "C" fn() -> u32 as *const libc::c_void;
        (libc::dladdr(here, &mut info) != 0 && !info.dli_fname.is_null())
            .then(|| CStr::from_ptr(info.dli_fname).to_bytes())
    };
    let named = name.map(|n| PathBuf::from(OsStr::from_bytes(n))).filter(|p| p.is_file());
    // A program started by a bare name is found by the system instead.
    named.or_else(|| std::env::current_exe().ok())?.canonicalize().ok()
}
