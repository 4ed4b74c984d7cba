//! `include/marsfm.h` is what cbindgen makes of this crate, is documented, compiles as strict C and
//! C++, and has the sizes of the Rust structs. `MARSFM_BLESS=1` rewrites it.

use std::path::Path;

use marsfm_test_support::headers::{assert_current, compile_c, compile_cpp, cpp_or_skip};
use marsfm_test_support::root;

#[allow(dead_code)]
#[path = "../src/types.rs"]
mod types;
use types::*;

/// Rust and C names of the structs that cross.
const STRUCTS: [(&str, &str); 16] = [
    ("Atom", "marsfm_atom_t"),
    ("TopologyInfo", "marsfm_topology_info_t"),
    ("ModelOptions", "marsfm_model_options_t"),
    ("ModelInfo", "marsfm_model_info_t"),
    ("SessionOptions", "marsfm_session_options_t"),
    ("XyzIn", "marsfm_xyz_in_t"),
    ("XyzOut", "marsfm_xyz_out_t"),
    ("TreeOptions", "marsfm_tree_options_t"),
    ("BatchInfo", "marsfm_batch_info_t"),
    ("SampleInfo", "marsfm_sample_info_t"),
    ("MsmOptions", "marsfm_msm_options_t"),
    ("MsmInfo", "marsfm_msm_info_t"),
    ("TrajectoryInfo", "marsfm_trajectory_info_t"),
    ("MsmDrift", "marsfm_msm_drift_t"),
    ("Minimised", "marsfm_minimised_t"),
    ("SeedInfo", "marsfm_seed_info_t"),
];

/// Rust and C names of handles and other types.
const OTHERS: [(&str, &str); 11] = [
    ("Status", "marsfm_status_t"),
    ("Progress", "marsfm_progress_t"),
    ("LoopProgress", "marsfm_loop_progress_t"),
    ("Topology", "marsfm_topology_t"),
    ("Model", "marsfm_model_t"),
    ("Session", "marsfm_session_t"),
    ("Batch", "marsfm_batch_t"),
    ("Job", "marsfm_job_t"),
    ("Trajectory", "marsfm_trajectory_t"),
    ("Log", "marsfm_log_t"),
    ("Msm", "marsfm_msm_t"),
];

/// The files that export, in the order of the header.
const SOURCES: [&str; 15] = [
    "types",
    "library",
    "log",
    "status",
    "topology",
    "model",
    "session",
    "job",
    "batch",
    "seed",
    "trajectory",
    "msm",
    "msm_numbers",
    "msm_rows",
    "loops",
];

const TOP: &str = "\
/* marsfm: state-to-state jumps for molecular dynamics. The C interface of libmarsfm.
 *
 * Units: nm, ps, K. Cells are row-major 3 x 3 matrices. Texts are UTF-8 and end with NUL.
 *
 * Calls that can fail return a status, MARSFM_OK (0) or MARSFM_ERROR_...; on failure nothing is
 * written to outputs (but the size that a buffer needs), and marsfm_last_error_message has the
 * text. Nothing unwinds out of the library, and it prints nothing on stdout.
 *
 * Structs begin with struct_size: set the struct to zero, then struct_size to its sizeof; zero
 * fields mean the default. Later versions grow structs at their end, so programs compiled against
 * this header go on working.
 *
 * Jump, minimisation and new velocities between pieces of MD do not satisfy detailed balance: this
 * is a way of starting MD, not of sampling an ensemble. Never read populations, free energies or
 * rates off samples, or off MD joined across jumps. Count each run by itself without its head
 * (marsfm_trajectory_new, discard_ps) in a Markov model, and read them off that.
 *
 * Handles come from ..._new, ..._load, ..._build, ..._jump or the like and go back to ..._free,
 * once; NULL is fine there. All other memory is the caller's, lent for the call and copied.
 *
 * Each function has a tag: [any thread], or [one thread per session] and [... per trajectory]
 * (another thread gets MARSFM_ERROR_BUSY). A handle must not be freed while a call uses it.
 *
 * Made by cbindgen from core/capi/src: MARSFM_BLESS=1 cargo test --release -p marsfm-capi */";

const AFTER_INCLUDES: &str = "
/** Version of this header. */
#define MARSFM_VERSION \"@VERSION@\"

/* Warns when a status is thrown away. */
#if defined(__GNUC__)
#define MARSFM_MUST_USE __attribute__((warn_unused_result))
#else
#define MARSFM_MUST_USE
#endif";

fn generated() -> String {
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        cpp_compat: true,
        include_guard: Some("MARSFM_H".into()),
        header: Some(TOP.into()),
        after_includes: Some(AFTER_INCLUDES.replace("@VERSION@", env!("CARGO_PKG_VERSION"))),
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        usize_is_size_t: true,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        style: cbindgen::Style::Both,
        line_length: 100,
        ..cbindgen::Config::default()
    };
    config.function.must_use = Some("MARSFM_MUST_USE".into());
    for (rust, c) in STRUCTS.iter().chain(&OTHERS) {
        config.export.rename.insert((*rust).into(), (*c).into());
    }
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{source}.rs"));
        builder = builder.with_src(file);
    }
    let mut text = Vec::new();
    builder.generate().expect("cbindgen reads the sources").write(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_header_is_current() {
    assert_current("marsfm.h", &generated());
}

/// The exported functions with the comment above each.
fn functions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("include/marsfm.h")).unwrap();
    let mut found = Vec::new();
    for block in text.split("/**").skip(1) {
        let Some((comment, rest)) = block.split_once("*/") else { continue };
        let declaration = rest.split(';').next().unwrap_or("");
        let name = declaration.split('(').next().unwrap_or("");
        let name = name.rsplit([' ', '*', '\n']).next().unwrap_or("");
        if declaration.contains('(') && name.starts_with("marsfm_") && !name.ends_with("_t") {
            found.push((name.to_owned(), comment.to_owned()));
        }
    }
    found.sort();
    found
}

#[test]
fn every_function_is_documented_and_listed() {
    let functions = functions();
    for (name, comment) in &functions {
        assert!(comment.contains("Example: "), "{name} has no example");
        let tags = [
            "[any thread]",
            "[one thread per session]",
            "[one thread per trajectory]",
            "[not while it is in use]",
        ];
        assert!(tags.iter().any(|t| comment.contains(t)), "{name} has no thread tag");
    }
    let listed = include_str!("../exported-symbols.txt");
    let declared: Vec<&str> = functions.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(declared, listed.lines().collect::<Vec<_>>());
}

const ALONE: &str = "#include <marsfm.h>\n#include <marsfm.h>\n";
const PLUGIN: &str = "#include <marsfm_plugin.h>\n";

#[test]
fn the_header_compiles_alone_and_in_any_order_as_strict_c() {
    for text in [ALONE.to_owned(), format!("{ALONE}{PLUGIN}"), format!("{PLUGIN}{ALONE}")] {
        compile_c(&["c99", "c11", "c17"], &text);
    }
}

#[test]
fn the_headers_compile_in_any_order_as_strict_cpp() {
    if !cpp_or_skip("the_headers_compile_in_any_order_as_strict_cpp") {
        return;
    }
    let wrapper = "#include <marsfm.hpp>\n#include <marsfm.hpp>\n";
    for text in [ALONE.to_owned(), format!("{ALONE}{PLUGIN}"), format!("{PLUGIN}{ALONE}")] {
        for text in [&text, &format!("{wrapper}{text}")] {
            compile_cpp(&["c++11", "c++14", "c++17", "c++20"], text);
        }
    }
}

#[test]
fn c_and_rust_agree_on_sizes_and_offsets() {
    let mut text = String::from("#include <marsfm.h>\n");
    let mut n = 0;
    let mut check = |what: String, value: usize| {
        text += &format!("_Static_assert({what} == {value}, \"{what}\");\n");
    };
    macro_rules! layout {
        ($($rust:ident: $($field:ident)*;)*) => {$({
            let c = STRUCTS.iter().find(|s| s.0 == stringify!($rust)).expect("listed").1;
            n += 1;
            check(format!("sizeof({c})"), size_of::<$rust>());
            $(check(
                format!("offsetof({c}, {})", stringify!($field)),
                std::mem::offset_of!($rust, $field),
            );)*
        })*};
    }
    layout! {
        Atom: struct_size name element residue_name chain insertion residue_number reserved;
        TopologyInfo: struct_size n_atoms n_residues;
        ModelOptions: struct_size device;
        ModelInfo: struct_size lag_ps temperature_kelvin min_residues max_residues takes_temperature
            reserved min_temperature_kelvin max_temperature_kelvin;
        SessionOptions: struct_size temperature_kelvin force_field solvent solver solver_steps
            solver_tolerance;
        XyzIn: struct_size data_nm n_atoms stride_bytes dtype reserved;
        XyzOut: struct_size data_nm n_atoms stride_bytes dtype reserved;
        TreeOptions: struct_size roots branching depth budget retries progress user_data;
        BatchInfo: struct_size n_samples n_accepted n_residues n_atoms n_bystanders n_differences;
        SampleInfo: struct_size parent depth id status rejected_reasons repair_reasons
            tight_contacts worst_peptide_bond_nm closest_contact_nm n_bystanders;
        MsmOptions: struct_size frame_ps tica_lag_ps msm_lag_ps pair_lag_ps n_microstates
            n_macrostates rng_seed features feature_plugin;
        MsmInfo: struct_size n_atoms n_frames n_microstates n_macrostates frame_ps msm_lag_ps
            pair_lag_ps n_features;
        TrajectoryInfo: struct_size n_seen n_kept n_atoms frame_ps;
        MsmDrift: struct_size frames_before frames_added newly_connected distance_ratio
            population_distance centres_outgrown reserved;
        Minimised: struct_size before_kj_mol restrained_kj_mol after_kj_mol max_force_kj_mol_nm;
        SeedInfo: struct_size status reasons rms_nm max_torsion_degrees;
    }
    assert_eq!(n, STRUCTS.len());
    compile_c(&["c11"], &text);
}
