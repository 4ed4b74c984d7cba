//! Lines of standard output. A reader that goes away early, as in `marsfm msm info m | head`, ends
//! the program quietly, as it does programs written in C; std's own `println!` would panic.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stdout};

/// As std's, but see this file's first lines.
macro_rules! println {
    () => { crate::output::line(format_args!("")) };
    ($($words:tt)*) => { crate::output::line(format_args!($($words)*)) };
}

/// Writes one line.
pub fn line(words: Arguments<'_>) {
    let mut out = stdout().lock();
    match out.write_fmt(words).and_then(|()| out.write_all(b"\n")) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("error: cannot write to standard output: {error}");
            std::process::exit(1);
        }
    }
}
