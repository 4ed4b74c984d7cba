//! `include/marsfm_plugin.h` is what cbindgen makes of `src/abi.rs`, compiles as strict C and
//! C++, and has the sizes of the Rust tables. `MARSFM_BLESS=1` rewrites it.

use marsfm_plugin_api::abi::*;
use marsfm_plugin_api::backend_abi::*;
use marsfm_plugin_api::engine_abi::*;
use marsfm_plugin_api::proposer_abi::*;
use marsfm_test_support::headers::{assert_current, compile_c, compile_cpp, cpp_or_skip};
use std::path::Path;

const RENAMES: [(&str, &str); 35] = [
    ("HostInfo", "marsfm_plugin_host_t"),
    ("Entry", "marsfm_plugin_entry_t"),
    ("Format", "marsfm_plugin_format_t"),
    ("AtomRow", "marsfm_plugin_atom_t"),
    ("TopologyRows", "marsfm_plugin_topology_t"),
    ("FrameRow", "marsfm_plugin_frame_t"),
    ("ReaderInfo", "marsfm_plugin_reader_info_t"),
    ("TopologySink", "marsfm_plugin_topology_sink_t"),
    ("Reader", "marsfm_plugin_reader_t"),
    ("Writer", "marsfm_plugin_writer_t"),
    ("Featurizer", "marsfm_plugin_featurizer_t"),
    ("TrajectoryService", "marsfm_plugin_trajectory_service_t"),
    ("FeaturizerService", "marsfm_plugin_featurizer_service_t"),
    ("EntryFunction", "marsfm_plugin_entry_function_t"),
    ("Engine", "marsfm_plugin_engine_t"),
    ("EnginePositions", "marsfm_plugin_positions_t"),
    ("EngineInfo", "marsfm_plugin_engine_info_t"),
    ("SystemSink", "marsfm_plugin_system_sink_t"),
    ("TextSink", "marsfm_plugin_text_sink_t"),
    ("EngineWatch", "marsfm_plugin_watch_t"),
    ("EngineEnergy", "marsfm_plugin_energy_t"),
    ("EngineMinimised", "marsfm_plugin_minimised_t"),
    ("EngineStarted", "marsfm_plugin_started_t"),
    ("EngineRunRequest", "marsfm_plugin_run_request_t"),
    ("EngineFinished", "marsfm_plugin_finished_t"),
    ("RunSink", "marsfm_plugin_run_sink_t"),
    ("EngineService", "marsfm_plugin_engine_service_t"),
    ("BackendModel", "marsfm_plugin_model_t"),
    ("DrawRequest", "marsfm_plugin_draw_request_t"),
    ("BackendBatch", "marsfm_plugin_batch_t"),
    ("BackendLesson", "marsfm_plugin_lesson_t"),
    ("BackendService", "marsfm_plugin_backend_service_t"),
    ("Proposer", "marsfm_plugin_proposer_t"),
    ("ProposeRequest", "marsfm_plugin_propose_request_t"),
    ("ProposerService", "marsfm_plugin_proposer_service_t"),
];

const TOP: &str = "\
/* The contract between marsfm and its plugins, for C and C++.
 *
 * A plugin is a shared library that exports one symbol, marsfm_plugin_entry (declared at the
 * end), which returns its entry. The host asks the entry for services by id. plugins/template-c
 * is the smallest complete plugin.
 *
 * Rules: every struct begins with its size, set by whoever makes it, and later versions grow
 * only at the end. A function slot may be NULL: then it is not offered. Functions return a
 * status, MARSFM_PLUGIN_OK or another; on failure they leave their outputs as they were. No
 * exception may leave a function. Arguments are borrowed for the call. Lengths are nm, times ps.
 * Thread tags: [any thread] or the one thread at a time that uses a handle.
 *
 * Made by cbindgen from core/plugin-api/src/abi.rs, engine_abi.rs,
 * backend_abi.rs and proposer_abi.rs:
 * MARSFM_BLESS=1 cargo test --release -p marsfm-plugin-api */";

const OPAQUE_TYPES: [&str; 6] =
    ["Reader", "Writer", "Featurizer", "Engine", "BackendModel", "Proposer"];

const OPAQUE: &str = "
/** An opened trajectory, opaque. One thread at a time. */
typedef struct marsfm_plugin_reader_t marsfm_plugin_reader_t;

/** A trajectory being written, opaque. One thread at a time. */
typedef struct marsfm_plugin_writer_t marsfm_plugin_writer_t;

/** A featurizer bound to a topology, opaque. One thread at a time. */
typedef struct marsfm_plugin_featurizer_t marsfm_plugin_featurizer_t;

/** An engine bound to a system, opaque. One thread at a time, except for `cancel`. */
typedef struct marsfm_plugin_engine_t marsfm_plugin_engine_t;

/** A checkpoint on a device, opaque. One thread at a time. */
typedef struct marsfm_plugin_model_t marsfm_plugin_model_t;

/** A proposer bound to a topology, opaque. One thread at a time. */
typedef struct marsfm_plugin_proposer_t marsfm_plugin_proposer_t;";

/// cbindgen passes over C strings, so these come from their values.
fn ids() -> String {
    let ids = [
        ("TRAJECTORY", MARSFM_PLUGIN_TRAJECTORY_1, "reads and writes trajectories and topologies"),
        ("FEATURIZER", MARSFM_PLUGIN_FEATURIZER_1, "computes one row of features per frame"),
        ("ENGINE", MARSFM_PLUGIN_ENGINE_1, "runs MD; since ABI 1.1"),
        ("PROPOSER", MARSFM_PLUGIN_PROPOSER_1, "proposes starts of MD; since ABI 1.3"),
        ("BACKEND", MARSFM_PLUGIN_BACKEND_1, "computes surrogates; since ABI 1.2"),
    ];
    let line = |(name, id, what): (&str, &std::ffi::CStr, &str)| {
        let id = id.to_str().expect("ids are ASCII");
        format!("\n/** Id of a service: {what}. */\n#define MARSFM_PLUGIN_{name}_1 \"{id}\"\n")
    };
    ids.map(line).concat()
}

const END: &str = "
/* The one symbol that a plugin exports. */
#if defined(__GNUC__)
#define MARSFM_PLUGIN_EXPORT __attribute__((visibility(\"default\")))
#else
#define MARSFM_PLUGIN_EXPORT
#endif

#ifdef __cplusplus
extern \"C\" {
#endif

/**
 * Returns the plugin's entry, which lives for the whole process, or NULL to refuse this host.
 * Fast, touches no file. [any thread]
 */
MARSFM_PLUGIN_EXPORT const marsfm_plugin_entry_t *marsfm_plugin_entry(const marsfm_plugin_host_t *host);

#ifdef __cplusplus
} /* extern \"C\" */
#endif";

fn generated() -> String {
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        include_guard: Some("MARSFM_PLUGIN_H".into()),
        header: Some(TOP.into()),
        after_includes: Some(ids() + OPAQUE),
        trailer: Some(END.into()),
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        usize_is_size_t: true,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        style: cbindgen::Style::Both,
        line_length: 100,
        ..cbindgen::Config::default()
    };
    for (rust, c) in RENAMES {
        config.export.rename.insert(rust.into(), c.into());
        if !OPAQUE_TYPES.contains(&rust) {
            config.export.include.push(rust.into());
        }
    }
    config.export.exclude = OPAQUE_TYPES.map(String::from).to_vec();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(source.join("abi.rs"))
        .with_src(source.join("engine_abi.rs"))
        .with_src(source.join("backend_abi.rs"))
        .with_src(source.join("proposer_abi.rs"))
        .generate();
    let mut text = Vec::new();
    bindings.expect("cbindgen reads abi.rs").write(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_header_is_current() {
    assert_current("marsfm_plugin.h", &generated());
}

const TWICE: &str = "#include <marsfm_plugin.h>\n#include <marsfm_plugin.h>\n";

#[test]
fn the_header_compiles_alone_as_strict_c() {
    compile_c(&["c99", "c11", "c17"], TWICE);
}

#[test]
fn the_header_compiles_alone_as_strict_cpp() {
    if cpp_or_skip("the_header_compiles_alone_as_strict_cpp") {
        compile_cpp(&["c++11", "c++17", "c++20"], TWICE);
    }
}

#[test]
fn c_and_rust_agree_on_sizes_and_offsets() {
    let mut text = String::from("#include <marsfm_plugin.h>\n");
    let mut check = |what: String, value: usize| {
        text += &format!("_Static_assert({what} == {value}, \"{what}\");\n");
    };
    macro_rules! layout {
        ($($rust:ident $c:literal: $($field:ident)*;)*) => {$(
            check(format!("sizeof({})", $c), size_of::<$rust>());
            $(check(
                format!("offsetof({}, {})", $c, stringify!($field)),
                std::mem::offset_of!($rust, $field),
            );)*
        )*};
    }
    layout! {
        HostInfo "marsfm_plugin_host_t": abi_major version;
        Entry "marsfm_plugin_entry_t": abi_major abi_minor name version get_service last_error;
        Format "marsfm_plugin_format_t": name extensions flags priority;
        AtomRow "marsfm_plugin_atom_t": name element residue_name insertion chain residue_number;
        TopologyRows "marsfm_plugin_topology_t": n_atoms atoms;
        FrameRow "marsfm_plugin_frame_t": n_atoms xyz_nm cell_nm flags time_ps;
        ReaderInfo "marsfm_plugin_reader_info_t": n_atoms n_frames;
        TopologySink "marsfm_plugin_topology_sink_t": user_data atom coordinates note;
        TrajectoryService "marsfm_plugin_trajectory_service_t": n_formats formats read_topology
            open_reader reader_info read_frame seek close_reader open_writer write_frame finish
            abort;
        FeaturizerService "marsfm_plugin_featurizer_service_t": name open n_features feature_name
            compute close;
        EnginePositions "marsfm_plugin_positions_t": n_atoms xyz_nm cell_nm flags;
        EngineInfo "marsfm_plugin_engine_info_t": n_atoms flags step_ps temperature_kelvin
            friction_per_ps;
        SystemSink "marsfm_plugin_system_sink_t": user_data atom positions bond note;
        TextSink "marsfm_plugin_text_sink_t": user_data text;
        EngineWatch "marsfm_plugin_watch_t": user_data progress;
        EngineEnergy "marsfm_plugin_energy_t": potential_kj_mol max_force_kj_mol_nm
            max_force_atom;
        EngineMinimised "marsfm_plugin_minimised_t": positions before_kj_mol restrained_kj_mol
            after_kj_mol max_force_kj_mol_nm max_force_atom;
        EngineStarted "marsfm_plugin_started_t": md_ps potential_kj_mol temperature_kelvin;
        EngineRunRequest "marsfm_plugin_run_request_t": folder rng_seed head_steps steps
            frame_steps;
        EngineFinished "marsfm_plugin_finished_t": trajectory n_frames head_frames frame_ps
            head_kj_mol end_kj_mol temperature_kelvin;
        RunSink "marsfm_plugin_run_sink_t": user_data ended;
        EngineService "marsfm_plugin_engine_service_t": name describe open info read_system energy
            minimise start run cancel close run_together;
        DrawRequest "marsfm_plugin_draw_request_t": n_residues residue_types n_starts starts
            n_children n_frames rng_seed first_id solver temperature_kelvin;
        BackendBatch "marsfm_plugin_batch_t": n_samples n_frames n_residues frames residue_types
            x_cond x_cond_mask mask x t temperatures_kelvin;
        BackendLesson "marsfm_plugin_lesson_t": u weights n_parameters parameters;
        BackendService "marsfm_plugin_backend_service_t": name describe load draws_per_call draw
            velocity gradients free;
        ProposeRequest "marsfm_plugin_propose_request_t": n_atoms n_wanted rng_seed epoch
            temperature_kelvin n_parents parents_nm parent_counts;
        ProposerService "marsfm_plugin_proposer_service_t": name open propose close;
    }
    compile_c(&["c11"], &text);
}
