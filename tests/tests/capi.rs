//! libmarsfm as C programs see it: the example and the programs of `tests/c`, compiled against
//! `include/marsfm.h` and the built library; what the library exports; memory under valgrind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use marsfm::surrogate::card::{Domain, FORMAT, ModelCard, RESIDUE_TABLE};
use marsfm::surrogate::checkpoint::{Storage, encode};
use marsfm::surrogate::{NetworkConfig, params};

const STRICT: [&str; 5] = ["-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The folder of built libraries: cargo's release folder, above that of this test program.
fn release() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its program");
    exe.parent().and_then(Path::parent).expect("target/release/deps").to_owned()
}

fn run(command: &mut Command) -> Output {
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

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder with the built library under its SONAME, a small model, and room for programs. The
/// library is made current by cargo (`./x test` has built it already).
fn bench() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let packages = ["-p", "marsfm-capi", "-p", "marsfm-plugin-xtc"];
        run(Command::new(cargo)
            .args(["build", "--release", "--quiet"])
            .args(packages)
            .current_dir(root()));
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(release().join("libmarsfm.so"), at("libmarsfm.so.0")).unwrap();
        std::os::unix::fs::symlink("libmarsfm.so.0", at("libmarsfm.so")).unwrap();
        std::fs::write(at("model.safetensors"), random_model()).unwrap();
        folder
    });
    folder.path()
}

/// A checkpoint of random weights: nonsense, but finite and never at rest.
fn random_model() -> Vec<u8> {
    let network = NetworkConfig {
        embed_dim: 16,
        num_layers: 1,
        mha_heads: 2,
        ipa_heads: 1,
        ipa_head_dim: 4,
        ipa_qk: 2,
        ipa_v: 2,
        ..NetworkConfig::full()
    };
    let values = params::from_recipe(&network, "capi");
    let domain = Domain {
        lag_ps: 10.0,
        temperature_kelvin: 350.0,
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
fn compile(source: &str, standard: &str, name: &str) -> PathBuf {
    let (root, bench) = (root(), bench());
    let program = bench.join(name);
    run(Command::new("cc")
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

fn peptide() -> PathBuf {
    root().join("examples/data/QLAQ/QLAQ_full.pdb")
}

fn model() -> PathBuf {
    bench().join("model.safetensors")
}

#[test]
fn atoms_come_back_in_the_callers_order_and_layout() {
    let program = compile("tests/c/order.c", "-std=c99", "order");
    run(Command::new(program).arg(peptide()).arg(model()));
}

#[test]
fn misuse_is_a_status_and_a_message() {
    let program = compile("tests/c/errors.c", "-std=c99", "errors");
    let no_model = root().join("README.md");
    run(Command::new(program).arg(peptide()).arg(model()).arg(no_model));
}

#[test]
fn trees_report_progress_stop_and_keep_other_threads_out() {
    let program = compile("tests/c/tree.c", "-std=c11", "tree");
    run(Command::new(program).arg(peptide()).arg(model()));
}

#[test]
fn a_markov_model_is_built_from_files() {
    let program = compile("tests/c/msm.c", "-std=c99", "msm");
    let data = root().join("examples/data/QLAQ");
    let trajectories = (0..4).map(|r| data.join(format!("r{r}.xtc")));
    run(Command::new(program).arg(data.join("QLAQ.pdb")).args(trajectories));
}

#[test]
fn the_example_in_c_and_in_rust_gives_eight_jumps() {
    let default = root().join("examples/models/tetrapeptide/tetrapeptide.safetensors");
    let model = if default.is_file() { default } else { model() };
    let mut endings = Vec::new();
    for standard in ["-std=c99", "-std=c11", "-std=c17"] {
        let program = compile("examples/c/hello_jump.c", standard, &format!("hello{standard}"));
        let mut command = Command::new(program);
        let output = text(&run(command.env("MARSFM_MODEL", &model).current_dir(root())));
        let rows = output
            .lines()
            .filter(|l| ["accepted", "needs repair", "rejected"].iter().any(|v| l.contains(v)));
        assert_eq!(rows.count(), 8, "{output}");
        endings.push(output.lines().last().unwrap_or_default().to_owned());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut example = Command::new(cargo);
    example.args(["run", "--release", "--quiet", "-p", "marsfm", "--example", "hello_jump"]);
    let output = text(&run(example.env("MARSFM_MODEL", &model).current_dir(root())));
    assert_eq!(output.lines().filter(|l| l.starts_with("sample ")).count(), 8, "{output}");
    endings.push(output.lines().last().unwrap_or_default().to_owned());
    assert!(endings[0].ends_with("of 8 jumps can start MD"));
    assert!(endings.iter().all(|e| *e == endings[0]), "{endings:?}");
}

#[test]
fn the_static_library_links() {
    let bench = bench();
    let program = bench.join("static");
    run(Command::new("cc")
        .args(["-std=c99", "-I"])
        .arg(root().join("include"))
        .arg(root().join("examples/c/hello_jump.c"))
        .arg(release().join("libmarsfm.a"))
        .args("-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc".split(' '))
        .arg("-o")
        .arg(&program));
    run(Command::new(&program).arg(peptide()).arg(model()));
    // The default model is found from the place of the program: here there is none.
    let output = Command::new(&program).arg(peptide()).env_remove("MARSFM_MODEL").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("MARSFM_ERROR_FILE") && errors.contains("MARSFM_MODEL"), "{errors}");
}

#[test]
fn the_library_exports_what_it_means_to_and_has_its_soname() {
    let library = bench().join("libmarsfm.so");
    let symbols = text(&run(Command::new("nm").args(["-D", "--defined-only"]).arg(&library)));
    let mut exported: Vec<&str> =
        symbols.lines().filter_map(|l| l.split_whitespace().last()).collect();
    exported.sort_unstable();
    let listed = std::fs::read_to_string(root().join("core/capi/exported-symbols.txt")).unwrap();
    assert_eq!(exported, listed.lines().collect::<Vec<_>>());
    assert!(exported.len() > 30 && exported.iter().all(|s| s.starts_with("marsfm_")));
    let dynamic = text(&run(Command::new("readelf").arg("-d").arg(&library)));
    assert!(dynamic.contains("soname: [libmarsfm.so.0]"), "{dynamic}");
}

#[test]
fn nothing_is_lost_or_read_out_of_bounds() {
    let there =
        Command::new("valgrind").arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        marsfm_test_support::skip("libmarsfm under valgrind", "valgrind is not installed");
        return;
    }
    for (source, name) in [("tests/c/order.c", "order-v"), ("tests/c/errors.c", "errors-v")] {
        let program = compile(source, "-std=c99", name);
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
        valgrind.args(["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]);
        valgrind.env("RAYON_NUM_THREADS", "1").arg(program).arg(peptide()).arg(model());
        if source.ends_with("errors.c") {
            valgrind.arg(root().join("README.md"));
        }
        run(&mut valgrind);
    }
}
