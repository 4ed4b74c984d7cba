//! What is not loaded, and the reason that is given; what is loaded, and what it shows.

use crate::support::*;
use marsfm_host::{Door, Host};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const HEAD: &str = "#include <marsfm_plugin.h>\n";

/// A plugin in C with the given size and version, without services.
fn entry(size: &str, major: &str, minor: &str) -> String {
    format!(
        "{HEAD}static const void *none(const char *id) {{ (void)id; return NULL; }}
static const marsfm_plugin_entry_t entry = {{ {size}, {major}, {minor}, \"x\", \"1\", none, NULL }};
const marsfm_plugin_entry_t *marsfm_plugin_entry(const marsfm_plugin_host_t *host) {{
    (void)host;
    return &entry;
}}
"
    )
}

fn refusal(library: &Path) -> String {
    error(Host::new().load(library))
}

#[test]
fn other_abi_versions_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let size = "sizeof(marsfm_plugin_entry_t)";
    let cases = [
        ("major", entry(size, "99", "0"), "built for plugin ABI 99.0, this marsfm has 1.4"),
        ("minor", entry(size, "1", "7"), "built for plugin ABI 1.7, this marsfm has 1.4"),
        ("small", entry("8", "1", "0"), "has 8 bytes, ABI 1.0 needs"),
        ("none", entry(size, "1", "0"), "no service that this marsfm knows"),
    ];
    for (name, text, why) in cases {
        let message = refusal(&compile_text(dir.path(), name, &text));
        assert!(message.contains(why) && message.contains(name), "{name}: {message}");
    }
    let declines = format!(
        "{HEAD}const marsfm_plugin_entry_t *marsfm_plugin_entry(const marsfm_plugin_host_t *host) \
         {{ (void)host; return NULL; }}\n"
    );
    let message = refusal(&compile_text(dir.path(), "declines", &declines));
    assert!(message.contains("declines to serve"), "{message}");
}

#[test]
fn what_is_no_plugin_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("libtext.so");
    std::fs::write(&text, "not a library").unwrap();
    assert!(refusal(&text).contains("not a shared library"));
    let other =
        compile_text(dir.path(), "other", "int other(void);\nint other(void) { return 1; }\n");
    assert!(refusal(&other).contains("exports no marsfm_plugin_entry"));
    assert!(refusal(&dir.path().join("none.so")).contains("cannot be found"));
    assert!(refusal(dir.path()).contains("not a regular file"));
    // Bound at once: a missing symbol shows at loading, not in the middle of a run.
    let lacks = "int missing_elsewhere(void);\nint lacks(void);\n\
                 int lacks(void) { return missing_elsewhere(); }\n";
    let message = refusal(&compile_text(dir.path(), "lacks", lacks));
    assert!(message.contains("missing_elsewhere"), "{message}");
}

#[test]
fn a_rust_door_of_another_abi_stable_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = "extern const char _1as_0lib_1header_0root_bmodule_bloader[512];\n\
                __attribute__((visibility(\"default\"))) const char\n\
                _1as_0lib_1header_0root_bmodule_bloader[512] = \"another magic\";\n";
    let message = refusal(&compile_text(dir.path(), "door", text));
    assert!(message.contains("its Rust door does not fit"), "{message}");
}

#[test]
fn what_others_can_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("libmarsfm_plugin_xtc.so");
    std::fs::copy(xtc_library(), &library).unwrap();
    set_permissions(&library, Permissions::from_mode(0o757)).unwrap();
    let message = refusal(&library);
    assert!(message.contains("the file can be written by everyone"), "{message}");
    set_permissions(&library, Permissions::from_mode(0o755)).unwrap();
    set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    let message = refusal(&library);
    assert!(message.contains("its folder") && message.contains("by everyone"), "{message}");
    set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    Host::new().load(&library).unwrap();
}

#[test]
fn a_folder_is_searched_past_what_is_refused_and_the_report_lists_both() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(xtc_library(), dir.path().join("libb.so")).unwrap();
    std::fs::copy(xtc_library(), dir.path().join("libc.so")).unwrap();
    std::fs::write(dir.path().join("liba.so"), "no").unwrap();
    std::fs::write(dir.path().join("readme.txt"), "no").unwrap();
    let mut host = Host::new();
    host.load_folder(dir.path());
    let report = host.report();
    assert_eq!(report.len(), 3);
    let xtc = &report[0];
    assert!(xtc.is_loaded() && xtc.path.ends_with("libb.so"), "{xtc:?}");
    assert_eq!((xtc.door, xtc.abi.as_deref()), (Some(Door::Rust), Some("1.4")));
    assert_eq!(xtc.sha256.as_ref().map(String::len), Some(64));
    assert!(xtc.formats.iter().any(|f| f.extensions == ["xtc"] && f.reads && f.writes));
    assert!(report[1].refused.as_ref().unwrap().contains("not a shared library"));
    assert!(report[2].refused.as_ref().unwrap().contains("same name"));
}

#[test]
fn the_default_places_hold_the_built_plugins() {
    xtc_library();
    let host = Host::with_default_paths();
    let names: Vec<_> = host.report().into_iter().filter_map(|p| p.name).collect();
    assert!(names.iter().any(|n| n == "xtc"), "{:?}", host.report());
}

#[test]
fn a_rust_plugin_exports_its_two_doors_and_nothing_else() {
    let mut symbols = exported(&xtc_library());
    symbols.sort();
    assert_eq!(symbols, ["_1as_0lib_1header_0root_bmodule_bloader", "marsfm_plugin_entry"]);
}
