//! `marsfm seeds import`: other programs' ensembles, whole and without side chains.

use std::path::Path;

use serde_json::Value;

use crate::support::{root, run};

const PDB: &str = "examples/data/QLAQ/QLAQ.pdb";

fn import(arguments: &[&str], out: &Path) -> (Option<i32>, Value, String) {
    let mut all = vec!["seeds", "import", "--json", "--out", out.to_str().unwrap()];
    all.extend(arguments);
    let (code, stdout, stderr) = run(&all);
    (code, serde_json::from_str(&stdout).unwrap_or(Value::Null), stderr)
}

/// The committed PDB, its lines chosen and changed.
fn changed(folder: &Path, change: impl Fn(&str) -> Option<String>) -> String {
    let text = std::fs::read_to_string(root().join(PDB)).unwrap();
    let lines: Vec<String> = text
        .lines()
        .filter_map(|l| if l.starts_with("ATOM") { change(l) } else { Some(l.to_owned()) })
        .collect();
    let path = folder.join("changed.pdb");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path.to_str().unwrap().to_owned()
}

/// (residue, atom, coordinates) of the first model.
fn atoms(path: &Path) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(path).unwrap();
    let first = text.lines().take_while(|l| !l.starts_with("ENDMDL"));
    let rows = first.filter(|l| l.starts_with("ATOM"));
    rows.map(|l| (l[22..26].trim().into(), l[12..16].trim().into(), l[30..54].into())).collect()
}

#[test]
fn frames_of_md_come_through_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (code, made, stderr) = import(
        &["--topology", PDB, "--trajectory", "examples/data/QLAQ/r0.xtc", "--stride", "300"],
        folder.path(),
    );
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!((&made["sequence"], &made["accepted"]), (&"QLAQ".into(), &5.into()), "{made}");
    assert_eq!(made["side_chains"], "all atoms were there");
    let frames: Vec<u64> =
        made["frames"].as_array().unwrap().iter().map(|f| f["frame"].as_u64().unwrap()).collect();
    assert_eq!(frames, [0, 300, 600, 900, 1200]);
    let seeds = std::fs::read_to_string(folder.path().join("seeds.pdb")).unwrap();
    assert_eq!(seeds.lines().filter(|l| l.starts_with("MODEL")).count(), 5);
}

#[test]
fn side_chains_that_are_missing_are_rebuilt_and_it_is_said_how() {
    let folder = tempfile::tempdir().unwrap();
    let backbone =
        |l: &str| ["N", "CA", "C", "O", "CB"].contains(&l[12..16].trim()).then(|| l.to_owned());
    let stripped = changed(folder.path(), backbone);
    let whole = atoms(&root().join(PDB));
    let library = ["--library", "examples/data", "--from", "QLAQ"];
    for (more, how) in [(&[][..], "staggered"), (&library[..], "residues of MD")] {
        let out = folder.path().join("out");
        let mut arguments = vec!["--topology", stripped.as_str()];
        arguments.extend(more);
        let (code, made, stderr) = import(&arguments, &out);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(made["side_chains"].as_str().unwrap().contains(how), "{made}");
        // GLN, LEU and GLN; ALA was whole.
        assert_eq!(made["frames"][0]["rebuilt"], 3, "{made}");
        let rebuilt = atoms(&out.join("seeds.pdb"));
        // All heavy atoms but OXT; those of the file where they were.
        let heavy: Vec<_> =
            whole.iter().filter(|a| a.1 != "OXT" && !a.1.starts_with('H')).collect();
        assert_eq!(rebuilt.len(), heavy.len());
        for atom in heavy.iter().filter(|a| ["N", "CA", "C", "O", "CB"].contains(&a.1.as_str())) {
            assert!(rebuilt.contains(atom), "{atom:?} moved");
        }
    }
}

#[test]
fn what_cannot_be_imported_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let named = |change: &dyn Fn(&str) -> Option<String>, words: &str| {
        let file = changed(folder.path(), change);
        let (code, _, stderr) = import(&["--topology", &file], &out);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
        assert!(!out.join("seeds.pdb").exists());
    };
    let without_ca =
        |l: &str| (&l[22..26] != "   2" || l[12..16].trim() != "CA").then(|| l.to_owned());
    named(&without_ca, "residue 2 (LEU) has no CA");
    let two_chains = |l: &str| {
        let chain = if l[22..26].trim() == "4" { "B" } else { "A" };
        Some(format!("{}{chain}{}", &l[..21], &l[22..]))
    };
    named(&two_chains, "choose one with --chain");
    // A broken chain is no error, and no seed.
    let far = |l: &str| {
        let x: f64 = l[30..38].trim().parse().unwrap();
        let x = if l[22..26].trim() == "4" { x + 20.0 } else { x };
        Some(format!("{}{x:8.3}{}", &l[..30], &l[38..]))
    };
    let file = changed(folder.path(), far);
    let (code, made, _) = import(&["--topology", &file], &out);
    assert_eq!((code, &made["accepted"]), (Some(1), &0.into()));
    assert_eq!(made["rejected"]["broken_chain"], 1, "{made}");
}
