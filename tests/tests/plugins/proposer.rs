//! Proposers through both doors: the templates, the same in C and Rust; a plugin that is wrong in
//! every way; and a loop that takes its seeds from one.

use crate::support::*;
use marsfm::adaptive::{self, Ended, Limits};
use marsfm_geometry::Topology;
use marsfm_host::{Door, Host, Proposed, Wanted};
use std::path::{Path, PathBuf};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn double(frame: &[[f32; 3]]) -> Vec<[f64; 3]> {
    frame.iter().map(|p| p.map(f64::from)).collect()
}

/// The example peptide and a water, with one frame.
fn solvated(host: &Host) -> (Topology, Vec<[f64; 3]>) {
    let pdb = here("../examples/data/QLAQ/QLAQ.pdb");
    let (mut atoms, frame) = host.read_topology(pdb).unwrap();
    let mut positions = double(&frame.unwrap().positions_nm);
    for (name, x) in [("O", 3.0), ("H1", 3.1), ("H2", 2.9)] {
        atoms.push(name, &name[..1], "HOH", 1, "", "W");
        positions.push([x, 0.0, 0.0]);
    }
    (atoms, positions)
}

fn ask(host: &Host, name: &str, options: &str, n: usize) -> Result<Vec<Proposed>, String> {
    let (atoms, positions) = solvated(&xtc_host());
    let moved: Vec<[f64; 3]> = positions.iter().map(|p| [p[0] + 1.0, p[1], p[2]]).collect();
    let wanted = Wanted {
        n,
        rng_seed: 11,
        epoch: 2,
        temperature_kelvin: 350.0,
        parents_nm: &[&positions, &moved],
        parent_counts: &[5, 1],
    };
    let mut bound = host.proposer(name, &atoms, options).map_err(|e| e.to_string())?;
    let first = bound.propose(&wanted).map_err(|e| e.to_string())?;
    assert_eq!(bound.propose(&wanted).unwrap(), first, "the same request, other proposals");
    Ok(first)
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn the_templates_propose_the_same_through_either_door() {
    let dir = tempfile::tempdir().unwrap();
    let c = compile_c(dir.path(), "twist", &here("../plugins/template-c/proposer.c"));
    assert_eq!(exported(&c), ["marsfm_plugin_entry"]);
    let (mut of_c, mut of_rust) = (Host::new(), Host::new());
    of_c.load(&c).unwrap();
    of_rust.load(library("template_rust")).unwrap();
    for (host, door) in [(&of_c, Door::C), (&of_rust, Door::Rust)] {
        let status = &host.report()[0];
        assert_eq!(
            (status.door, &status.services[..]),
            (Some(door), &["marsfm.proposer/1".into()][..])
        );
    }
    let (atoms, start) = solvated(&xtc_host());
    let made = ask(&of_rust, "twist", "{\"max_degrees\": 90.0}", 40).unwrap();
    let same = ask(&of_c, "twist", "{\"max_degrees\": 90.0}", 40).unwrap();
    assert_eq!((made.len(), same.len()), (40, 40));
    let mut bonds = std::collections::BTreeSet::new();
    for (a, b) in made.iter().zip(&same) {
        assert_eq!(a.parent, b.parent);
        let apart = a.positions_nm.iter().zip(&b.positions_nm).map(|(x, y)| distance(*x, *y));
        assert!(apart.fold(0.0, f64::max) < 1e-12);
        let shift = a.parent.unwrap() as f64;
        let parent: Vec<[f64; 3]> = start.iter().map(|p| [p[0] + shift, p[1], p[2]]).collect();
        // What turns stays whole, and so does what does not; water is not the chain's.
        let still = |i: &usize| distance(a.positions_nm[*i], parent[*i]) < 1e-9;
        let (stays, turns): (Vec<usize>, Vec<usize>) = (0..start.len()).partition(still);
        assert!(stays.ends_with(&[start.len() - 3, start.len() - 2, start.len() - 1]));
        for part in [&stays, &turns] {
            for (i, j) in part.iter().flat_map(|i| part.iter().map(move |j| (*i, *j))) {
                let now = distance(a.positions_nm[i], a.positions_nm[j]);
                assert!((now - distance(parent[i], parent[j])).abs() < 1e-9);
            }
        }
        assert_eq!(atoms.atoms[turns[0]].name, "O");
        bonds.insert(turns[0]);
    }
    assert_eq!(bonds.len(), 4, "every psi is turned: {bonds:?}");

    for host in [&of_c, &of_rust] {
        let error = ask(host, "twist", "{\"max_degrees\": 270.0}", 1).unwrap_err();
        assert!(
            error.contains("give one above 0, up to 180") && error.contains("twist"),
            "{error}"
        );
        let error = host.proposer("twist", &Topology::new(), "{}").err().unwrap().to_string();
        assert!(error.contains("no residue with N, CA and C"), "{error}");
        let error = ask(host, "leap", "{}", 1).unwrap_err();
        assert!(error.contains("leap") && error.contains("loaded: twist"), "{error}");
    }
}

/// The tests' own plugin, loaded.
fn shift(folder: &Path) -> Host {
    let mut host = Host::new();
    host.load(compile_c(folder, "shift", &here("tests/plugins/proposer.c"))).unwrap();
    host
}

/// What a wrong plugin is told.
const FAULTS: [(&str, &str); 6] = [
    ("many", "it claims 7 proposals, there is room for 6"),
    ("nan", "proposal 1 of 6: atom 0 is not finite"),
    ("lazy", "proposal 1 of 6: atom 0 is not finite"),
    ("parent", "proposal 1 of 6: there is no frame 2, only 2 of them"),
    ("status", "unknown status 77"),
    ("open", "the plugin does not offer this"),
];

#[test]
fn what_a_wrong_proposer_answers_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = shift(dir.path());
    let good = ask(&host, "shift", "{}", 6).unwrap();
    assert_eq!(good.iter().map(|p| p.parent).collect::<Vec<_>>()[..3], [Some(0), Some(1), Some(0)]);
    assert_eq!(ask(&host, "shift", "{\"fault\":\"none\"}", 6).unwrap(), []);
    for (fault, says) in FAULTS {
        let error = ask(&host, "shift", &format!("{{\"fault\":\"{fault}\"}}"), 6).unwrap_err();
        assert!(error.contains(says) && error.contains("(plugin shift)"), "{fault}: {error}");
    }
    let lacks = std::fs::read_to_string(here("tests/plugins/proposer.c")).unwrap();
    let lacks = lacks.replace("\"shift\", open_it, propose", "\"shift\", open_it, NULL");
    let lacks = lacks.replace("static int32_t propose(", "int32_t propose(");
    let lacks = lacks.replace(
        "\n\nstruct marsfm",
        "\n\nint32_t propose(marsfm_plugin_proposer_t *, \
        const marsfm_plugin_propose_request_t *, double *, int64_t *, size_t *);\nstruct marsfm",
    );
    let mut host = Host::new();
    host.load(compile_text(dir.path(), "lacks", &lacks)).unwrap();
    let error = ask(&host, "shift", "{}", 1).unwrap_err();
    assert!(error.contains("lacks a function"), "{error}");
}

struct Silent;
impl adaptive::Watch for Silent {}

#[test]
fn a_loop_takes_seeds_from_a_plugin_and_stops_at_a_wrong_one() {
    let dir = tempfile::tempdir().unwrap();
    let host = shift(dir.path());
    let toy = std::fs::read_to_string(here("../examples/loop/toy.toml")).unwrap();
    let at = toy.find("[strategy]").unwrap();
    let begin = |name: &str, strategy: &str| {
        let file = dir.path().join(format!("{name}.toml"));
        let few = toy[..at].replace("epochs = 10", "epochs = 3");
        std::fs::write(&file, format!("{few}[strategy]\n{strategy}\n")).unwrap();
        let out = dir.path().join(name);
        adaptive::begin(&host, &file, &out).map(|_| out)
    };
    let go = |folder: &Path| adaptive::go_on(&host, folder, Limits::default(), &mut Silent);
    let good = begin("good", "proposer = \"plugin:shift\"").unwrap();
    let (ended, history) = go(&good).unwrap();
    assert_eq!((ended, history.runs.len()), (Ended::Complete, 12));
    for plan in &history.plans[1..] {
        assert_eq!((plan.proposed, plan.seeds.len()), (32, 4));
        assert!(plan.seeds.iter().all(|s| s.class == "plugin:shift" && s.parent.is_some()));
    }
    let bandit = "proposer = \"bandit\"\noptions = { arms = [\"plugin:shift\", \"visited\"] }";
    let (_, history) = go(&begin("bandit", bandit).unwrap()).unwrap();
    let classes: Vec<&str> = history.plans[1].seeds.iter().map(|s| s.class.as_str()).collect();
    assert!(classes.contains(&"plugin:shift") && classes.contains(&"visited"), "{classes:?}");

    let error = begin("other", "proposer = \"plugin:twist\"").unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("other.toml") && error.contains("loaded: shift"), "{error}");
    let wrong = begin("wrong", "proposer = \"plugin:shift\"\noptions = { fault = \"nan\" }");
    let wrong = wrong.unwrap();
    for _ in 0..2 {
        let error = format!("{:#}", go(&wrong).unwrap_err());
        assert!(error.contains("plugin:shift failed") && error.contains("not finite"), "{error}");
        assert!(error.contains("Nothing is lost"), "{error}");
        let store = adaptive::look(&wrong).unwrap();
        assert_eq!((store.history().epochs.len(), store.history().plans.len()), (1, 1));
    }
}
