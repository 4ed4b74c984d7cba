//! Running the built program on files of the checkout.

pub use marsfm_test_support::root;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `marsfm`, built by `./x test` before the tests run; built here if a test runs alone.
pub fn marsfm() -> Command {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let program = BUILT.get_or_init(|| {
        let exe = std::env::current_exe().expect("a test knows its program");
        let release = exe.parent().and_then(Path::parent).expect("target/release/deps").to_owned();
        let program = release.join("marsfm");
        let plugins = ["libmarsfm_plugin_xtc.so", "libmarsfm_plugin_hdf5.so"];
        if !program.is_file() || plugins.iter().any(|p| !release.join(p).is_file()) {
            let build = ["build", "--release", "-p", "marsfm-cli", "-p", "marsfm-plugin-xtc"];
            let build = [build.as_slice(), &["-p", "marsfm-plugin-hdf5"]].concat();
            let status = Command::new(env!("CARGO")).args(build).current_dir(root()).status();
            assert!(status.expect("cargo runs").success(), "the program does not build");
        }
        program
    });
    let mut command = Command::new(program);
    command.current_dir(root()).env_remove("MARSFM_MODEL").env_remove("MARSFM_PLUGIN_PATH");
    command
}

/// Runs and returns (exit code, standard output, standard error).
pub fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        marsfm().args(arguments).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

/// Writes chignolin's MD as a domain's file of mdCATH's layout; `None` if Python lacks h5py or mdtraj.
pub fn domain(folder: &Path, name: &str) -> Option<PathBuf> {
    domain_at(folder, name, &[450])
}

/// The same at some temperatures.
pub fn domain_at(folder: &Path, name: &str, kelvin: &[u32]) -> Option<PathBuf> {
    let python = std::env::var("MARSFM_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let there = Command::new(&python).args(["-c", "import h5py, mdtraj"]).output();
    there.is_ok_and(|o| o.status.success()).then_some(())?;
    let data = |name: &str| root().join("examples/data/chignolin").join(name).display().to_string();
    let path = folder.join(format!("mdcath_dataset_{name}.h5"));
    let written = Command::new(&python)
        .arg(root().join("tests/reference/write_hdf5.py"))
        .args(["mdcath", name, &data("chignolin.pdb")])
        .arg(&path)
        .args(
            kelvin
                .iter()
                .flat_map(|k| [0, 1].map(|r| format!("{k}/{r}={}", data(&format!("r{r}.xtc"))))),
        )
        .output()
        .expect("Python starts");
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    Some(path)
}
