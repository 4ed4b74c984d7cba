//! What the tests of libmarsfm share: the built library under its SONAME, a small model, compilers.

pub use marsfm_test_support::root;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use marsfm::surrogate::card::{Domain, FORMAT, ModelCard, RESIDUE_TABLE};
use marsfm::surrogate::checkpoint::{Storage, encode};
use marsfm::surrogate::{NetworkConfig, params};

pub const STRICT: [&str; 5] = ["-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// The folder of built libraries: cargo's release folder, above that of this test program.
pub fn release() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its program");
    exe.parent().and_then(Path::parent).expect("target/release/deps").to_owned()
}

pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder with the built library under its SONAME, a small model, and room for programs. The
/// library is made current by cargo (`./x test` has built it already).
pub fn bench() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // All default members: with fewer, cargo would unify features otherwise and build most of
        // the workspace a second time.
        run(Command::new(cargo).args(["build", "--release", "--quiet"]).current_dir(root()));
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(release().join("libmarsfm.so"), at("libmarsfm.so.0")).unwrap();
        std::os::unix::fs::symlink("libmarsfm.so.0", at("libmarsfm.so")).unwrap();
        std::fs::write(at("model.safetensors"), random_model(&[])).unwrap();
        std::fs::write(at("hot.safetensors"), random_model(&[320.0, 350.0, 400.0])).unwrap();
        folder
    });
    folder.path()
}

/// A checkpoint of random weights: nonsense, but finite and never at rest. It takes a temperature if
/// there are any that it could have learned from.
fn random_model(temperatures_kelvin: &[f64]) -> Vec<u8> {
    let network = NetworkConfig {
        embed_dim: 16,
        num_layers: 1,
        mha_heads: 2,
        ipa_heads: 1,
        ipa_head_dim: 4,
        ipa_qk: 2,
        ipa_v: 2,
        temperature: !temperatures_kelvin.is_empty(),
        ..NetworkConfig::full()
    };
    let values = params::from_recipe(&network, "capi");
    let domain = Domain {
        lag_ps: 10.0,
        temperature_kelvin: 350.0,
        temperatures_kelvin: temperatures_kelvin.to_vec(),
        force_field: "ff14SB".into(),
        solvent: "OBC2".into(),
        termini: "charged".into(),
        residues: (4, 4),
        residue_counts: BTreeMap::from([('Q', 2), ('L', 1), ('A', 1)]),
    };
    let card = ModelCard {
        format: FORMAT,
        residue_table: RESIDUE_TABLE.into(),
        network,
        domain,
        training: None,
        notes: Vec::new(),
    };
    encode(&card, &values, Storage::F32).unwrap()
}

/// Compiles a C program of this checkout against header and library.
pub fn compile(source: &str, standard: &str, name: &str) -> PathBuf {
    compile_with("cc", source, standard, name)
}

/// The same for C++; `None` without a compiler.
pub fn compile_cpp(source: &str, standard: &str, name: &str) -> Option<PathBuf> {
    let there = Command::new("c++").arg("--version").output().is_ok_and(|o| o.status.success());
    there.then(|| compile_with("c++", source, standard, &format!("{name}{standard}")))
}

fn compile_with(compiler: &str, source: &str, standard: &str, name: &str) -> PathBuf {
    let (root, bench) = (root(), bench());
    let program = bench.join(name);
    run(Command::new(compiler)
        .arg(standard)
        .args(STRICT)
        .arg("-I")
        .arg(root.join("include"))
        .arg(root.join(source))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(bench)
        .args(["-lmarsfm", "-lm", "-pthread"])
        .arg(format!("-Wl,-rpath,{}", bench.display())));
    program
}

pub fn peptide() -> PathBuf {
    root().join("examples/data/QLAQ/QLAQ_full.pdb")
}

pub fn model() -> PathBuf {
    bench().join("model.safetensors")
}

/// The surrogate that is installed: its samples are mostly accepted, those of [`model`] never.
pub fn default_model() -> PathBuf {
    root().join("examples/models/tetrapeptide/tetrapeptide.safetensors")
}
