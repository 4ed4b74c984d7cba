//! `./x install` into an empty prefix, and programs in C, C++ and Rust outside of the checkout that
//! are built against it and find plugins and surrogate there.

use marsfm_test_support::{root, skip};
use std::fs;
use std::path::Path;
use std::process::Command;

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

/// A command that knows nothing of the checkout: no variable of marsfm's, no library path.
fn outside(program: impl AsRef<std::ffi::OsStr>, folder: &Path, prefix: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    for name in ["MARSFM_MODEL", "MARSFM_PLUGIN_PATH", "MARSFM_LIBRARY", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_")) {
        if name != "CARGO_HOME" {
            command.env_remove(name);
        }
    }
    command
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|e| e.unwrap().path()) {
        let there = to.join(entry.file_name().unwrap());
        if entry.is_dir() { copy(&entry, &there) } else { _ = fs::copy(&entry, &there).unwrap() }
    }
}

#[test]
fn programs_outside_find_everything_in_an_empty_prefix() {
    let test = "programs_outside_find_everything_in_an_empty_prefix";
    let answers =
        |p: &str| Command::new(p).arg("--version").output().is_ok_and(|o| o.status.success());
    for program in ["cmake", "c++", "pkg-config"] {
        if !answers(program) {
            return skip(
                test,
                &format!("no {program} (apt-get install cmake make g++ pkg-config)"),
            );
        }
    }
    let home = tempfile::tempdir().unwrap();
    let (prefix, work) = (home.path().join("prefix"), home.path().join("work"));
    copy(&root().join("tests/install"), &work);
    fs::copy(root().join("examples/data/QLAQ/QLAQ.pdb"), work.join("p.pdb")).unwrap();
    let mut install = Command::new(env!("CARGO"));
    install.args(["run", "--release", "--quiet", "-p", "xtask", "--", "install", "--prefix"]);
    succeeds(install.arg(&prefix).current_dir(root()));

    let lib = prefix.join("lib");
    let link = |name: &str| fs::read_link(lib.join(name)).map(|p| p.display().to_string());
    assert_eq!(link("libmarsfm.so").unwrap(), "libmarsfm.so.0");
    assert!(link("libmarsfm.so.0").unwrap().starts_with("libmarsfm.so.0."));
    assert!(lib.join("libmarsfm.a").is_file());

    let peptide = work.join("p.pdb");
    let said = |program: &Path| succeeds(outside(program, &work, &prefix).arg(&peptide));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();

    // C, shared and static, as pkg-config says.
    let flags = |more: &[&str]| {
        let mut ask = outside("pkg-config", &work, &prefix);
        words(&succeeds(ask.args(["--cflags", "--libs"]).args(more).arg("marsfm")))
    };
    let rpath = format!("-Wl,-rpath,{}", lib.display());
    let c = work.join("hello-c");
    let mut cc = outside("cc", &work, &prefix);
    succeeds(cc.args(["-std=c99", "hello.c", "-o"]).arg(&c).args(flags(&[])).arg(&rpath));
    let expected = said(&c);
    assert!(expected.contains("sequence QLAQ\nmodel "), "{expected}");

    // C++, shared and static, as find_package says.
    let mut configure = outside("cmake", &work, &prefix);
    configure.args(["-S", "cpp", "-B", "build"]);
    succeeds(configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())));
    succeeds(outside("cmake", &work, &prefix).args(["--build", "build"]));
    assert_eq!(said(&work.join("build/hello")), expected);
    // A static program has no place beside the prefix: it finds both if it is put there.
    fs::copy(work.join("build/hello_static"), prefix.join("bin/hello_static")).unwrap();
    assert_eq!(said(&prefix.join("bin/hello_static")), expected);

    // Rust, over the C ABI.
    let mut cargo = outside(env!("CARGO"), &work.join("rust"), &prefix);
    succeeds(cargo.args(["build", "--offline", "--quiet", "--target-dir"]).arg(work.join("t")));
    assert_eq!(said(&work.join("t/debug/hello")), expected);

    // The installed program finds both, too.
    let mut program = outside(prefix.join("bin/marsfm"), &work, &prefix);
    program.args(["sample", "--topology", "p.pdb", "--jump", "2", "--out", "samples"]);
    succeeds(&mut program);
    assert!(work.join("samples/samples.json").is_file());
}
