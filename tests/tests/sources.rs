//! Rules that every source file keeps: where `unsafe` may be, how long a file may be, and that no
//! product source knows of the folders outside the checkout.

use marsfm_test_support::root;
use std::path::PathBuf;

/// Files and folders in which `unsafe` is allowed: the ABIs, plugin loading, lent memory, kernels.
const MAY_BE_UNSAFE: &[&str] = &[
    "core/plugin-api/src/",
    "core/host/src/",
    "core/capi/src/",
    "core/capi/tests/",
    "core/trajectory/src/lent.rs",
    "core/surrogate/src/kernels/",
    "core/msm/src/kernels/",
    "plugins/xtc/src/",
    "plugins/hdf5/src/lib.rs",
    "plugins/chemfiles/src/",
    "plugins/openmm/src/",
    "plugins/gromacs/src/lib.rs",
    "plugins/gbsa/src/lib.rs",
    "plugins/cuda/src/lib.rs",
    "plugins/cuda/gpu/src/lib.rs",
    "tests/tests/",
    "tests/install/rust/src/main.rs",
];

/// Rust files of more than 600 lines, each with the reason why it is not two files.
const LONG_FILES: &[(&str, &str)] = &[
    (
        "core/marsfm/src/verify/msm.rs",
        "one comparison after another, each of a stored tensor group",
    ),
    ("core/msm/src/estimate.rs", "transition matrices and what is read off them, with their tests"),
    ("core/msm/src/kmeans.rs", "one estimator with its tests"),
    ("core/msm/src/tica.rs", "one estimator with its tests"),
];

const LONGEST: usize = 600;

/// Where the product's own sources are.
const PRODUCT: &[&str] = &[
    "x",
    ".ci",
    "Cargo.toml",
    "benches",
    "bindings",
    "core",
    "docs",
    "examples",
    "include",
    "plugins",
];

/// Every text file below the given parts of the checkout, as (path from the root, contents).
fn texts(parts: &[&str], extensions: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut open: Vec<PathBuf> = parts.iter().map(|part| root.join(part)).collect();
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name == "target" || name == "__pycache__" || name == "build" {
                continue;
            }
            let entries = std::fs::read_dir(&path).expect("a readable folder");
            open.extend(entries.map(|entry| entry.expect("a readable entry").path()));
            continue;
        }
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        if !path.is_file() || !extensions.contains(&extension) {
            continue;
        }
        let relative =
            path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
        found.push((relative, std::fs::read_to_string(&path).expect("a text file")));
    }
    found.sort();
    found
}

fn rust_files() -> Vec<(String, String)> {
    let files = texts(&["core", "plugins", "tests", "examples", "benches"], &["rs"]);
    assert!(files.len() > 40, "only {} Rust files found: is the search broken?", files.len());
    files
}

/// Whether a line of Rust uses the keyword (comments, strings and lint names do not count).
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or("");
    let outside_strings: String = code.split('"').step_by(2).collect();
    outside_strings.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
}

#[test]
fn unsafe_is_only_where_it_is_allowed() {
    let mut found = Vec::new();
    for (path, text) in rust_files() {
        if !MAY_BE_UNSAFE.iter().any(|allowed| path.starts_with(allowed)) {
            let lines = text.lines().enumerate().filter(|(_, line)| is_unsafe(line));
            found.extend(
                lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())),
            );
        }
    }
    assert!(found.is_empty(), "unsafe outside the allowed files:\n{}", found.join("\n"));
    assert!(is_unsafe("    unsafe { f() }") && is_unsafe("pub unsafe extern \"C\" fn f() {}"));
    assert!(!is_unsafe("#![allow(unsafe_code)]") && !is_unsafe("f(\"unsafe\") // unsafe"));
}

#[test]
fn long_files_give_a_reason() {
    let mut found = Vec::new();
    let files = rust_files();
    for (path, text) in &files {
        let (lines, listed) =
            (text.lines().count(), LONG_FILES.iter().any(|(name, _)| name == path));
        if lines > LONGEST && !listed {
            found.push(format!("{path}: {lines} lines; split it, or list it with the reason"));
        }
        if lines <= LONGEST && listed {
            found.push(format!("{path}: {lines} lines; no longer long, take it off the list"));
        }
    }
    for (name, reason) in LONG_FILES {
        if !files.iter().any(|(path, _)| path == name) || reason.is_empty() {
            found.push(format!("{name}: listed, but gone or without a reason"));
        }
    }
    assert!(found.is_empty(), "files over {LONGEST} lines:\n{}", found.join("\n"));
}

#[test]
fn the_product_knows_nothing_outside_its_checkout() {
    // Spelt in two halves, so that this file does not name them.
    let outside = [concat!("../sha", "red"), concat!("/wo", "rk/")];
    let extensions =
        ["", "c", "cmake", "cpp", "h", "hpp", "in", "json", "md", "py", "rs", "sh", "toml"];
    let files = texts(PRODUCT, &extensions);
    assert!(files.iter().any(|(path, _)| path == "x"), "the search is broken");
    let mut found = Vec::new();
    for (path, text) in &files {
        let in_tests = path.contains("/tests/") || path.ends_with("/tests.rs");
        // Unit tests follow the code in the same file.
        let product = if path.ends_with(".rs") {
            text.split("#[cfg(test)]").next().unwrap_or("")
        } else {
            text
        };
        let lines = product
            .lines()
            .enumerate()
            .filter(|(_, line)| outside.iter().any(|o| line.contains(o)));
        if !in_tests {
            found.extend(
                lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())),
            );
        }
    }
    assert!(found.is_empty(), "folders outside the checkout:\n{}", found.join("\n"));
}

#[test]
fn geometry_uses_no_files_and_no_threads() {
    let mut found = Vec::new();
    for (path, text) in texts(&["core/geometry/src"], &["rs"]) {
        let product = text.split("#[cfg(test)]").next().unwrap_or("");
        for word in ["std::fs", "std::thread", "std::net", "std::process"] {
            if product.contains(word) {
                found.push(format!("{path} uses {word}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
