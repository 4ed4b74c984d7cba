//! Built plugins, templates made with the engines' own tools, and programs that misbehave.

use marsfm::engines::Runner;
use marsfm::{EngineLimits, Host};
pub use marsfm_test_support::root;
use marsfm_test_support::skip;
use marsfm_trajectory::Frame;
use serde_json::{Map, Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The example peptide with all hydrogens.
pub fn peptide() -> PathBuf {
    root().join("examples/data/QLAQ/QLAQ_full.pdb")
}

/// A host with the plugins for files and the engines; `./x test` has built them, a test that runs
/// alone builds them here.
pub fn host() -> Host {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let plugins = ["xtc", "gromacs", "openmm", "gbsa"];
    let release = BUILT.get_or_init(|| {
        let of =
            |name| built(&format!("libmarsfm_plugin_{name}.so"), &format!("marsfm-plugin-{name}"));
        plugins.map(of)[0].clone()
    });
    let mut host = Host::new();
    for name in plugins {
        host.load(release.join(format!("libmarsfm_plugin_{name}.so"))).expect("the plugin loads");
    }
    host
}

/// The folder of what cargo builds; `file` of `package` is there.
fn built(file: &str, package: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its program");
    let release = exe.parent().and_then(Path::parent).expect("target/release/deps").to_owned();
    if !release.join(file).is_file() {
        let build = ["build", "--release", "--quiet", "-p", package];
        let status = Command::new(env!("CARGO")).args(build).current_dir(root()).status();
        assert!(status.expect("cargo runs").success(), "{package} does not build");
    }
    release
}

/// The proposer to copy, `twist`.
pub fn template_plugin() -> PathBuf {
    let file = "libmarsfm_template_rust.so";
    built(file, "marsfm-template-rust").join(file)
}

/// The folder of the built libmarsfm.so.
pub fn capi() -> PathBuf {
    built("libmarsfm.so", "marsfm-capi")
}

/// The built program, which finds its plugins beside itself.
pub fn program() -> PathBuf {
    built("marsfm", "marsfm-cli").join("marsfm")
}

/// True if a program answers.
pub fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|o| o.status.success())
}

/// True if GROMACS is here; says so if not.
pub fn has_gromacs(test: &str) -> bool {
    let here = answers("gmx", &["-quiet", "--version"]);
    if !here {
        skip(test, "no gmx on the PATH (apt-get install gromacs gromacs-data)");
    }
    here
}

/// True if GROMACS is here with its MPI build and a launcher; says so if not.
pub fn has_gromacs_mpi(test: &str) -> bool {
    let here = answers("gmx_mpi", &["-quiet", "--version"]) && answers("mpirun", &["--version"]);
    if !here {
        skip(test, "no gmx_mpi or no mpirun on the PATH (apt-get install gromacs openmpi-bin)");
    }
    here && has_gromacs(test)
}

/// True if python3 imports OpenMM; says so if not.
pub fn has_openmm(test: &str) -> bool {
    let here = answers("python3", &["-c", "import openmm"]);
    if !here {
        skip(test, "python3 cannot import openmm (pip install openmm)");
    }
    here
}

/// True in a process of its own that runs `test` alone; elsewhere starts that process, which must
/// pass. OpenMM's Reference platform has one random generator for the whole process: beside other
/// runs the same seed is not the same run.
pub fn alone(test: &str) -> bool {
    const ALONE: &str = "MARSFM_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let exe = std::env::current_exe().expect("a test knows its program");
    let output = Command::new(exe).args([test, "--exact", "--nocapture"]).env(ALONE, "1").output();
    let output = output.expect("the test starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{why}");
    false
}

fn tool(program: &str, script: &str, pdb: &Path, template: &Path, more: &[&str]) {
    let mut command = Command::new(program);
    let output = command
        .arg(root().join(script))
        .arg(pdb)
        .arg(template)
        .args(more)
        .output()
        .expect("the tool starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {text}");
}

/// A GROMACS template of a peptide.
pub fn gromacs_template(pdb: &Path, template: &Path, more: &[&str]) {
    tool("sh", "plugins/gromacs/tools/make_template.sh", pdb, template, more);
}

/// An OpenMM template of a peptide: ff14SB, OBC2, Reference platform.
pub fn openmm_template(pdb: &Path, template: &Path) {
    let more = ["--platform", "Reference"];
    tool("python3", "plugins/openmm/tools/make_system.py", pdb, template, &more);
}

/// Options with a template and more.
pub fn options(template: &Path, more: Value) -> Map<String, Value> {
    let mut all = more.as_object().cloned().unwrap_or_default();
    all.insert("template".into(), json!(template));
    all
}

/// An opened engine.
pub fn open(host: &Host, engine: &str, template: &Path, more: Value) -> Runner {
    Runner::open(host, engine, &options(template, more), EngineLimits::default())
        .unwrap_or_else(|e| panic!("{engine} does not open: {e:#}"))
}

/// The engine's own structure as a frame.
pub fn own_frame(runner: &Runner) -> Frame {
    single(&runner.system().positions_nm)
}

/// Positions of an engine as a frame of a file.
pub fn single(positions_nm: &[[f64; 3]]) -> Frame {
    let positions_nm = positions_nm.iter().map(|p| p.map(|x| x as f32)).collect();
    Frame { positions_nm, ..Frame::default() }
}

/// `gmx` that does `script` for one of its commands and is itself for all others.
pub fn faulty_gmx(folder: &Path, command: &str, script: &str) -> PathBuf {
    let path = folder.join("gmx");
    let text =
        format!("#!/bin/sh\nif [ \"$2\" = '{command}' ]; then\n{script}\nfi\nexec gmx \"$@\"\n");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}
