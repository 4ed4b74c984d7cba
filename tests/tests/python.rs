//! The Python package against the libmarsfm of this build: jumps inside real OpenMM Contexts.

use std::path::Path;
use std::process::Command;

use marsfm_test_support::{root, skip};

#[test]
fn the_package_jumps_inside_openmm() {
    let imports = Command::new("python3").args(["-c", "import openmm, numpy"]).output();
    if !imports.is_ok_and(|o| o.status.success()) {
        let why = "python3 cannot import openmm and numpy (pip install openmm numpy)";
        return skip("the_package_jumps_inside_openmm", why);
    }
    let exe = std::env::current_exe().expect("a test knows its program");
    let release = exe.parent().and_then(Path::parent).expect("target/release/deps");
    let library = release.join("libmarsfm.so");
    if !library.is_file() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--release", "--quiet"]).current_dir(root());
        assert!(build.status().expect("cargo runs").success(), "libmarsfm does not build");
    }
    let python = |arguments: &[&str]| {
        let model = root().join("examples/models/tetrapeptide/tetrapeptide.safetensors");
        let mut command = Command::new("python3");
        command
            .args(arguments)
            .current_dir(root().join("bindings/python"))
            .env("PYTHONPATH", root().join("bindings/python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MARSFM_LIBRARY", &library)
            .env("MARSFM_PLUGIN_PATH", release)
            .env("MARSFM_MODEL", model);
        command.output().expect("python3 runs")
    };
    let output = python(&["-m", "unittest", "discover", "-s", "tests"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // unittest succeeds without a test, too.
    assert!(said.contains("Ran 16 tests") && !said.contains("skipped"), "{said}");

    let output = python(&["../../examples/python/hello_jump.py"]);
    let (said, why) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{why}");
    assert_eq!(said.lines().filter(|l| l.starts_with("sample ")).count(), 8, "{said}");
    assert!(said.trim_end().ends_with("of 8 jumps can start MD"), "{said}");
}
