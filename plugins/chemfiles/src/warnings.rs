//! chemfiles' warnings, which it would print: kept per thread and handed over as notes.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Starts to keep warnings; those of earlier work on this thread are forgotten.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        chemfiles::set_warning_callback(|text| {
            KEPT.with(|kept| {
                if let Ok(mut kept) = kept.try_borrow_mut() {
                    // A damaged file can warn about every line.
                    if kept.len() < 20 && !kept.iter().any(|k| k == text) {
                        kept.push(text.to_owned());
                    }
                }
            });
        });
    });
    take();
}

/// The warnings since `keep`.
pub fn take() -> Vec<String> {
    KEPT.with(|kept| kept.try_borrow_mut().map(|mut k| std::mem::take(&mut *k)).unwrap_or_default())
}
