//! Who may know whom: the table of docs/architecture.md, checked against `cargo metadata`.
//!
//! A room is a workspace member; an edge is a normal dependency of its Cargo.toml. External
//! crates with an owner (tensors, linear algebra, plugin loading, file formats …) are guarded:
//! only the rooms named here may use them. The packages that core builds must need no C compiler
//! beyond the linker, so no build script of theirs may reach cc, cmake or their like.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// What one room may use: other rooms, and the guarded external crates.
struct Room {
    name: &'static str,
    rooms: &'static [&'static str],
    guarded: &'static [&'static str],
    /// Whether unguarded external crates (serde, thiserror, rand …) are free to use.
    others: bool,
}

const fn room(
    name: &'static str,
    rooms: &'static [&'static str],
    guarded: &'static [&'static str],
) -> Room {
    Room { name, rooms, guarded, others: true }
}

/// A room whose external crates are exactly those listed.
const fn strict(
    name: &'static str,
    rooms: &'static [&'static str],
    externals: &'static [&'static str],
) -> Room {
    Room { name, rooms, guarded: externals, others: false }
}

const ALL_OF_MARSFM: &[&str] = &[
    "marsfm-geometry",
    "marsfm-trajectory",
    "marsfm-features",
    "marsfm-msm",
    "marsfm-surrogate",
    "marsfm-training",
    "marsfm-sampling",
    "marsfm-metrics",
    "marsfm-preparation",
    "marsfm-host",
    "marsfm-adaptive",
    "marsfm-report",
];

const ROOMS: &[Room] = &[
    strict("marsfm-geometry", &[], &["nalgebra", "thiserror"]),
    room("marsfm-trajectory", &["marsfm-geometry"], &[]),
    room("marsfm-features", &["marsfm-geometry", "marsfm-trajectory"], &["rayon"]),
    room("marsfm-msm", &[], &["faer", "gemm", "rayon", "safetensors"]),
    room(
        "marsfm-surrogate",
        &["marsfm-geometry"],
        &["candle-core", "gemm", "libm", "rayon", "safetensors"],
    ),
    room(
        "marsfm-training",
        &["marsfm-trajectory", "marsfm-geometry", "marsfm-surrogate"],
        &["candle-core", "rayon", "safetensors"],
    ),
    room("marsfm-sampling", &["marsfm-geometry", "marsfm-surrogate"], &["rayon"]),
    room(
        "marsfm-metrics",
        &["marsfm-geometry", "marsfm-trajectory", "marsfm-features", "marsfm-msm"],
        &["rayon"],
    ),
    strict("marsfm-plugin-api", &[], &["abi_stable"]),
    strict("marsfm-preparation", &["marsfm-geometry"], &["serde", "thiserror"]),
    room(
        "marsfm-host",
        &[
            "marsfm-plugin-api",
            "marsfm-trajectory",
            "marsfm-geometry",
            "marsfm-features",
            "marsfm-surrogate",
            "marsfm-preparation",
        ],
        &["abi_stable", "libloading"],
    ),
    room("marsfm-adaptive", &["marsfm-msm", "marsfm-preparation", "marsfm-trajectory"], &["rayon"]),
    room("marsfm-report", &[], &["plotters"]),
    room("marsfm", ALL_OF_MARSFM, &["rayon", "safetensors"]),
    room("marsfm-capi", &["marsfm"], &[]),
    room("marsfm-cli", &["marsfm"], &["clap", "indicatif"]),
    strict("xtask", &[], &["anyhow", "serde_json"]),
    strict("marsfm-plugin-xtc", &["marsfm-plugin-api"], &["abi_stable", "molly"]),
    strict(
        "marsfm-plugin-hdf5",
        &["marsfm-plugin-api"],
        &["abi_stable", "hdf5-reader", "serde", "serde_json"],
    ),
    strict("marsfm-plugin-chemfiles", &["marsfm-plugin-api"], &["abi_stable", "chemfiles"]),
    strict("marsfm-plugin-kit", &["marsfm-plugin-api"], &["abi_stable", "molly", "serde_json"]),
    strict(
        "marsfm-plugin-openmm",
        &["marsfm-plugin-api", "marsfm-plugin-kit"],
        &["abi_stable", "molly", "serde_json"],
    ),
    strict(
        "marsfm-plugin-gbsa",
        &["marsfm-plugin-api", "marsfm-plugin-kit"],
        &["abi_stable", "molly", "pulp", "roxmltree", "serde", "serde_json"],
    ),
    strict(
        "marsfm-plugin-gromacs",
        &["marsfm-plugin-api"],
        &["abi_stable", "serde", "serde_json", "tempfile"],
    ),
    strict(
        "marsfm-plugin-backend-cpu",
        &["marsfm-plugin-api", "marsfm-geometry", "marsfm-surrogate"],
        &["abi_stable", "serde_json"],
    ),
    strict("marsfm-template-rust", &["marsfm-plugin-api"], &["abi_stable", "serde", "serde_json"]),
    room(
        "marsfm-bench-msm",
        &["marsfm-geometry", "marsfm-trajectory", "marsfm-features", "marsfm-msm", "marsfm-report"],
        &["molly", "rayon"],
    ),
    room(
        "marsfm-bench-loop",
        &["marsfm", "marsfm-adaptive", "marsfm-metrics", "marsfm-trajectory"],
        &[],
    ),
    room(
        "marsfm-bench-surrogate",
        &["marsfm-geometry", "marsfm-host", "marsfm-surrogate"],
        &["rayon"],
    ),
    strict("marsfm-test-support", &[], &[]),
    strict("marsfm-tests", &[], &[]),
];

/// External crates that belong to the rooms that name them above.
const GUARDED: &[&str] = &[
    "abi_stable",
    "candle-core",
    "candle-nn",
    "chemfiles",
    "chemfiles-sys",
    "clap",
    "faer",
    "gemm",
    "hdf5-reader",
    "indicatif",
    "libloading",
    "libm",
    "molly",
    "nalgebra",
    "ndarray",
    "plotters",
    "rayon",
    "safetensors",
];

/// Crates whose build scripts run a C or C++ compiler.
const COMPILERS: &[&str] = &["cc", "cmake", "cxx-build", "bindgen", "autotools", "meson"];

/// The rooms whose build may reach them: they are not among the workspace's default members.
const MAY_COMPILE_C: &[&str] = &["marsfm-plugin-chemfiles", "marsfm-plugin-openmm"];

/// The parts of `cargo metadata` that the rules need.
#[derive(Clone)]
struct Graph {
    names: BTreeMap<String, String>,
    members: Vec<String>,
    default_members: Vec<String>,
    /// Normal dependencies that each member declares.
    declared: BTreeMap<String, BTreeSet<String>>,
    /// Resolved normal and build dependencies: package id to package ids.
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    /// The graph of this checkout; cargo is asked once.
    fn read() -> Self {
        static GRAPH: OnceLock<Graph> = OnceLock::new();
        GRAPH.get_or_init(Self::ask_cargo).clone()
    }

    fn ask_cargo() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let version = Command::new("rustc").arg("-vV").output().expect("rustc runs");
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .expect("rustc -vV names the host");
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", host])
            .arg("--manifest-path")
            .arg(manifest)
            .output()
            .expect("cargo runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata failed: {errors}");
        Self::from_json(&serde_json::from_slice(&output.stdout).expect("cargo prints JSON"))
    }

    fn from_json(metadata: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let list = |value: &Value| value.as_array().expect("an array").clone();
        let ids = |value: &Value| list(value).iter().map(text).collect::<Vec<_>>();
        let members = ids(&metadata["workspace_members"]);
        let mut names = BTreeMap::new();
        let mut declared = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let (id, name) = (text(&package["id"]), text(&package["name"]));
            if members.contains(&id) {
                let normal = list(&package["dependencies"])
                    .iter()
                    .filter(|dependency| dependency["kind"].is_null())
                    .map(|dependency| text(&dependency["name"]))
                    .collect();
                declared.insert(name.clone(), normal);
            }
            names.insert(id, name);
        }
        let mut edges = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let used = list(&node["deps"])
                .iter()
                .filter(|dep| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev"))
                .map(|dep| text(&dep["pkg"]))
                .collect();
            edges.insert(text(&node["id"]), used);
        }
        let default_members = ids(&metadata["workspace_default_members"]);
        Self { names, members, default_members, declared, edges }
    }

    fn name(&self, id: &str) -> &str {
        &self.names[id]
    }

    /// The path of package names from `root` to each package that its build reaches.
    fn reached(&self, root: &str) -> BTreeMap<String, Vec<String>> {
        let mut reached = BTreeMap::new();
        let mut open = vec![(root.to_owned(), vec![self.name(root).to_owned()])];
        while let Some((id, path)) = open.pop() {
            for next in self.edges.get(&id).into_iter().flatten() {
                if let Entry::Vacant(entry) = reached.entry(self.name(next).to_owned()) {
                    let path = [&path[..], std::slice::from_ref(entry.key())].concat();
                    entry.insert(path.clone());
                    open.push((next.clone(), path));
                }
            }
        }
        reached
    }
}

/// Every edge that the table forbids, in words.
fn forbidden_edges(graph: &Graph) -> Vec<String> {
    let members: BTreeSet<&str> = graph.declared.keys().map(String::as_str).collect();
    let mut found = Vec::new();
    for (name, used) in &graph.declared {
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
            found.push(format!("{name}: not in the table of tests/tests/layering.rs"));
            continue;
        };
        for crate_name in used.iter().map(String::as_str) {
            let allowed = if members.contains(crate_name) {
                room.rooms.contains(&crate_name)
            } else if room.others && !GUARDED.contains(&crate_name) {
                true
            } else {
                room.guarded.contains(&crate_name)
            };
            if !allowed {
                found.push(format!("{name} -> {crate_name}"));
            }
        }
    }
    found
}

/// Every way in which a room reaches a C or C++ compiler that it must not reach.
fn compiled_c(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for member in &graph.members {
        let exempt = MAY_COMPILE_C.contains(&graph.name(member));
        if exempt && graph.default_members.contains(member) {
            found.push(format!("{} is a default member and needs C++", graph.name(member)));
        }
        if !exempt {
            let reached = graph.reached(member);
            let compilers = COMPILERS.iter().chain(&["chemfiles-sys"]);
            found.extend(compilers.filter_map(|name| Some(reached.get(*name)?.join(" -> "))));
        }
    }
    found
}

#[test]
fn no_room_knows_what_it_must_not() {
    let found = forbidden_edges(&Graph::read());
    assert!(found.is_empty(), "forbidden edges:\n{}", found.join("\n"));
}

#[test]
fn core_builds_with_rust_alone() {
    let graph = Graph::read();
    let found = compiled_c(&graph);
    assert!(found.is_empty(), "C or C++ in the build:\n{}", found.join("\n"));
    let is_chemfiles = |id: &&String| graph.name(id) == "marsfm-plugin-chemfiles";
    let plugin = graph.members.iter().find(is_chemfiles).expect("plugins/chemfiles is a member");
    // The search itself works: it finds what is known to be there.
    assert!(graph.reached(plugin).contains_key("chemfiles-sys"));
    assert!(graph.reached(plugin).contains_key("cmake"));
}

/// The real graph with one false edge in it: the rules must see it.
fn with_edge(from: &str, to: &str) -> Graph {
    let mut graph = Graph::read();
    graph.declared.get_mut(from).expect("a room").insert(to.to_owned());
    graph
}

#[test]
fn a_forbidden_edge_is_detected() {
    for (from, to) in [
        ("marsfm-msm", "marsfm-geometry"),
        ("marsfm-msm", "candle-core"),
        ("marsfm-geometry", "serde"),
        ("marsfm-sampling", "marsfm-trajectory"),
        ("marsfm-surrogate", "marsfm-msm"),
        ("marsfm-training", "marsfm-msm"),
        ("marsfm-host", "marsfm-sampling"),
        ("marsfm-report", "marsfm-msm"),
        ("marsfm-capi", "marsfm-cli"),
        ("marsfm-cli", "marsfm-msm"),
        ("marsfm-plugin-api", "marsfm-trajectory"),
        ("marsfm-plugin-xtc", "marsfm-capi"),
        ("marsfm", "candle-core"),
    ] {
        let found = forbidden_edges(&with_edge(from, to));
        assert_eq!(found, [format!("{from} -> {to}")]);
    }
}

#[test]
fn an_unknown_room_and_a_hidden_compiler_are_detected() {
    let mut graph = Graph::read();
    graph.declared.insert("marsfm-attic".into(), BTreeSet::new());
    assert!(forbidden_edges(&graph)[0].starts_with("marsfm-attic: not in the table"));

    let mut graph = Graph::read();
    let id = |name: &str| {
        graph.names.iter().find(|(_, n)| *n == name).map(|(id, _)| id.clone()).expect("a package")
    };
    let (rayon, cmake) = (id("rayon"), id("cmake"));
    graph.edges.get_mut(&rayon).expect("resolved").push(cmake);
    let found = compiled_c(&graph);
    assert!(found.iter().any(|path| path == "marsfm-msm -> rayon -> cmake"), "{found:?}");
}
