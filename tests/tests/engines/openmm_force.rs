//! plugins/openmm-force, built by CMake against the OpenMM that python3 has, and loaded into it.

use crate::support::*;
use marsfm_test_support::skip;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn succeeds(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|e| {
        panic!("{command:?}: {e}");
    });
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{said}");
    said
}

fn has_cmake(test: &str) -> bool {
    let here = ["cmake", "c++"].iter().all(|program| answers(program, &["--version"]));
    if !here {
        skip(test, "no cmake and C++ compiler (apt-get install cmake make g++)");
    }
    here
}

/// Builds the library in `folder`, with the version that it is told to be of, if any.
fn build(folder: &Path, library: &Path, version: Option<&str>) -> PathBuf {
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(root().join("plugins/openmm-force")).arg("-B").arg(folder);
    configure.arg(format!("-DMARSFM_INCLUDE_DIR={}", root().join("include").display()));
    configure.arg(format!("-DMARSFM_LIBRARY={}", library.display()));
    if let Some(version) = version {
        configure.arg(format!("-DMARSFM_OPENMM_PRETENDED={version}"));
    }
    succeeds(&mut configure);
    succeeds(Command::new("cmake").arg("--build").arg(folder));
    folder.join("libOpenMMMarsfm.so")
}

#[test]
fn the_force_jumps_inside_openmm_and_another_version_is_refused() {
    let test = "the_force_jumps_inside_openmm_and_another_version_is_refused";
    if !has_openmm(test) || !has_cmake(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let release = capi();
    let library = folder.path().join("libmarsfm.so.0");
    std::os::unix::fs::symlink(release.join("libmarsfm.so"), &library).unwrap();
    let force = build(&folder.path().join("force"), &library, None);
    let python = |script: &Path, force: &Path| {
        let mut command = Command::new("python3");
        command.arg(script).arg(force).arg(peptide());
        command.env("PYTHONPATH", root().join("bindings/python"));
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("MARSFM_LIBRARY", &library);
        let model = root().join("examples/models/tetrapeptide/tetrapeptide.safetensors");
        command.env("MARSFM_MODEL", model);
        command
    };
    let said = succeeds(&mut python(&root().join("tests/python/openmm_force.py"), &force));
    assert!(said.contains("openmm_force: ok"), "{said}");

    // A library of another version is an error in Python, which goes on living.
    let other = build(&folder.path().join("other"), &library, Some("8.0.1"));
    let script = folder.path().join("other.py");
    let text = "import sys\nfrom marsfm import force\ntry:\n    force.load(sys.argv[1])\n\
                except Exception as e:\n    print('refused:', e)\n";
    std::fs::write(&script, text).unwrap();
    let said = succeeds(&mut python(&script, &other));
    assert!(said.contains("refused: libOpenMMMarsfm was built for OpenMM 8.0.x"), "{said}");
}
