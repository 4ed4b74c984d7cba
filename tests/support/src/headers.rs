//! Checks of the C headers in `include/`: that they are current, and that compilers take them.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::{root, skip};

/// Asserts that the committed header `name` is `text`; with `MARSFM_BLESS` set, writes it first.
pub fn assert_current(name: &str, text: &str) {
    let path = root().join("include").join(name);
    if std::env::var_os("MARSFM_BLESS").is_some() {
        std::fs::create_dir_all(root().join("include")).expect("include/ can be made");
        std::fs::write(&path, text).expect("the header can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "include/{name} is not what the sources say; run this test with MARSFM_BLESS=1"
    );
    assert!(text.is_ascii(), "include/{name} must be ASCII");
}

/// Compiles `text` as C of each standard, every warning an error; `include/` is on the search path.
pub fn compile_c(standards: &[&str], text: &str) {
    standards.iter().for_each(|s| compile("cc", "c", s, text));
}

/// The same as C++.
pub fn compile_cpp(standards: &[&str], text: &str) {
    standards.iter().for_each(|s| compile("c++", "c++", s, text));
}

/// Whether there is a C++ compiler; `test` is said to be skipped if not.
pub fn cpp_or_skip(test: &str) -> bool {
    let there = Command::new("c++").arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        skip(test, "there is no C++ compiler c++ (Debian: g++)");
    }
    there
}

fn compile(compiler: &str, language: &str, standard: &str, text: &str) {
    let mut child = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", language])
        .arg(format!("-std={standard}"))
        .arg("-I")
        .arg(root().join("include"))
        .arg("-")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{compiler}: {e}"));
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(text.as_bytes()).expect("the compiler reads");
    drop(stdin);
    let status = child.wait().expect("the compiler ends");
    assert!(status.success(), "{compiler} -std={standard}");
}
