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

/// A prefix laid out as a distribution does it, whose OpenMM says the version that it is told to.
fn prefix(folder: &Path, libraries: &str, version: &str) {
    let (include, lib) = (folder.join("include/openmm"), folder.join(libraries));
    std::fs::create_dir_all(&include).unwrap();
    std::fs::create_dir_all(&lib).unwrap();
    std::fs::write(folder.join("include/OpenMM.h"), "#include \"openmm/Platform.h\"\n").unwrap();
    let class = "#include <string>\nnamespace OpenMM { struct Platform { \
                 static const std::string& getOpenMMVersion(); }; }\n";
    std::fs::write(include.join("Platform.h"), class).unwrap();
    let source = folder.join("old.cpp");
    let text = format!(
        "#include <openmm/Platform.h>\nconst std::string& OpenMM::Platform::getOpenMMVersion() \
         {{ static std::string v = \"{version}\"; return v; }}\n"
    );
    std::fs::write(&source, text).unwrap();
    let mut compile = Command::new("c++");
    compile.args(["-shared", "-fPIC"]).arg("-I").arg(folder.join("include"));
    succeeds(compile.arg(&source).arg("-o").arg(lib.join("libOpenMM.so")));
}

#[test]
fn an_openmm_that_is_too_old_or_not_there_is_refused_by_cmake() {
    let test = "an_openmm_that_is_too_old_or_not_there_is_refused_by_cmake";
    if !has_cmake(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let configure = |prefix: &Path| {
        let mut command = Command::new("cmake");
        command.arg("-S").arg(root().join("plugins/openmm-force"));
        command.arg("-B").arg(prefix.join("build"));
        command.arg(format!("-DOPENMM_DIR={}", prefix.display()));
        command.arg(format!("-DMARSFM_INCLUDE_DIR={}", root().join("include").display()));
        command.arg("-DMARSFM_LIBRARY=marsfm");
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = [stdout, stderr].concat();
        (status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let multiarch = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    for (name, libraries) in [("conda", "lib"), ("fedora", "lib64"), ("debian", &*multiarch)] {
        if name == "debian" && !Path::new("/usr").join(libraries).is_dir() {
            continue; // CMake knows such folders only where the system has them
        }
        let at = folder.path().join(name);
        prefix(&at, libraries, "7.7");
        let (configured, said) = configure(&at);
        assert!(!configured, "{name}: {said}");
        let reason = "OpenMM 7.7 is too old: 8.1 or newer is needed";
        assert!(said.contains(reason), "{name}: {said}");
    }
    let (configured, said) = configure(&folder.path().join("nowhere"));
    assert!(!configured && said.contains("OpenMM's headers and library are not in"), "{said}");
    let new = folder.path().join("new");
    prefix(&new, "lib", "8.3");
    let (configured, said) = configure(&new);
    assert!(configured && said.contains("OpenMM 8.3 in"), "{said}");
}
