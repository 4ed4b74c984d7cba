//! The built plugins, and reading through them.

use marsfm_host::Host;
use marsfm_trajectory::{Frame, FrameSource};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The folder of built libraries: cargo's release folder, above that of this test program.
pub fn release() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its program");
    exe.parent().and_then(Path::parent).expect("target/release/deps").to_owned()
}

/// A built plugin; built here if it is missing or older than its sources (`./x test` has built it
/// already).
pub fn library(name: &'static str) -> PathBuf {
    static BUILT: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    // The template is not taken for an installed plugin: its file has another kind of name.
    let (file, folder) = match name {
        "template_rust" => ("libmarsfm_template_rust.so".into(), "template-rust"),
        "backend_cpu" => (format!("libmarsfm_plugin_{name}.so"), "cuda"),
        _ => (format!("libmarsfm_plugin_{name}.so"), name),
    };
    let library = release().join(&file);
    let mut built = BUILT.lock().expect("no build panicked");
    if built.insert(name) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let time = |p: &Path| p.metadata().and_then(|m| m.modified()).ok();
        let made = time(&library);
        let stale = [format!("plugins/{folder}/src"), "core/plugin-api/src".into()]
            .iter()
            .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("sources"))
            .any(|file| time(&file.expect("a readable entry").path()) > made);
        if stale {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let status = Command::new(cargo)
                .args(["build", "--release", "--quiet", "-p"])
                .arg(file.trim_start_matches("lib").trim_end_matches(".so").replace('_', "-"))
                .current_dir(root)
                .status()
                .expect("cargo runs");
            assert!(status.success(), "the {name} plugin does not build");
        }
    }
    assert!(library.is_file(), "{} is missing", library.display());
    library
}

/// The built xtc plugin.
pub fn xtc_library() -> PathBuf {
    library("xtc")
}

/// A host with the xtc plugin alone.
pub fn xtc_host() -> Host {
    let mut host = Host::new();
    host.load(xtc_library()).expect("the xtc plugin loads");
    host
}

/// All frames that are left.
pub fn read_all(source: &mut dyn FrameSource) -> Vec<Frame> {
    let (mut frames, mut frame) = (Vec::new(), Frame::default());
    while source.read(&mut frame).expect("a readable frame") {
        frames.push(frame.clone());
    }
    frames
}

/// The error that `result` must be, as text.
pub fn error<T>(result: Result<T, impl std::fmt::Display>) -> String {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.to_string(),
    }
}

/// Largest difference of two lists of positions, nm.
pub fn difference(a: &[[f32; 3]], b: &[[f32; 3]]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.as_flattened().iter().zip(b.as_flattened());
    pairs.fold(0.0, |most, (x, y)| most.max((x - y).abs()))
}

/// Compiles C sources from the checkout or text of a test into `folder/libNAME.so`.
pub fn compile_c(folder: &Path, name: &str, source: &Path) -> PathBuf {
    let library = folder.join(format!("lib{name}.so"));
    let status = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2"])
        .args(["-shared", "-fPIC", "-fvisibility=hidden", "-I"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../include"))
        .arg(source)
        .args(["-lm", "-o"])
        .arg(&library)
        .status()
        .expect("a C compiler: cc");
    assert!(status.success(), "{} does not compile", source.display());
    library
}

/// As `compile_c`, from text.
pub fn compile_text(folder: &Path, name: &str, text: &str) -> PathBuf {
    let source = folder.join(format!("{name}.c"));
    std::fs::write(&source, text).unwrap();
    compile_c(folder, name, &source)
}

/// Names of the symbols that a library exports.
pub fn exported(library: &Path) -> Vec<String> {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|l| l.split_whitespace().last()).map(str::to_owned).collect()
}
