//! Whose atom is whose: seeds with other names, numbers and chains than the engine's system, mapped
//! by name, element and bonds, or refused by name.

use crate::support::*;
use marsfm::engines::Runner;
use marsfm_geometry::Topology;
use marsfm_trajectory::Frame;
use serde_json::json;

/// The engine's own structure; `change` may rename an atom, given its residue's number: (atom,
/// residue, number, insertion code, chain), or leave it out.
type Row = (String, String, i32, String, String);

fn renamed(runner: &Runner, change: impl Fn(Row) -> Option<Row>) -> (Topology, Frame) {
    let (system, own) = (runner.system(), own_frame(runner));
    let (mut topology, mut frame) = (Topology::new(), Frame::default());
    for (atom, position) in system.topology.atoms.iter().zip(&own.positions_nm) {
        let r = &system.topology.residues[atom.residue];
        let (insertion, chain) = (r.insertion.clone(), r.chain.clone());
        let row = (atom.name.clone(), r.name.clone(), r.number, insertion, chain);
        if let Some((name, residue, number, insertion, chain)) = change(row) {
            topology.push(&name, &atom.element, &residue, number, &insertion, &chain);
            frame.positions_nm.push(*position);
        }
    }
    (topology, frame)
}

/// Every heavy atom but OXT is where the seed has it.
fn arrives(runner: &Runner, seed: &(Topology, Frame)) {
    let placed = runner.place(&seed.0, std::slice::from_ref(&seed.1)).unwrap();
    let own = own_frame(runner);
    for (i, atom) in runner.system().topology.atoms.iter().enumerate() {
        if atom.element != "H" && atom.name != "OXT" {
            let want = own.positions_nm[i].map(f64::from);
            assert_eq!(
                placed[0].positions_nm[i],
                want,
                "{}",
                runner.system().topology.atom_label(i)
            );
        }
    }
}

fn refused(runner: &Runner, seed: &(Topology, Frame)) -> String {
    let error = runner.place(&seed.0, std::slice::from_ref(&seed.1)).unwrap_err();
    format!("{error:#}")
}

#[test]
fn other_names_numbers_and_tautomers_are_mapped_and_other_chains_refused() {
    let test = "other_names_numbers_and_tautomers_are_mapped_and_other_chains_refused";
    if !has_openmm(test) {
        return;
    }
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let engine = |name: &str| {
        let template = folder.path().join(name);
        let pdb = root().join(format!("examples/data/tetrapeptides/{name}/{name}.pdb"));
        openmm_template(&pdb, &template);
        open(&host, "openmm", &template, json!({}))
    };
    let same = |row: Row| Some(row);

    // The tautomers' names, and one hydrogen more or less: heavy atoms are the same.
    let histidine = engine("GHDY");
    arrives(&histidine, &renamed(&histidine, same));
    for name in ["HID", "HIE", "HIP", "HSD", "HSE", "HSP", "HISE"] {
        let seed = renamed(&histidine, |mut row| {
            let moved = matches!(row.0.as_str(), "HD1" | "HE2") && row.1.starts_with("HI");
            if row.1.starts_with("HI") {
                row.1 = name.into();
            }
            (!moved).then_some(row)
        });
        arrives(&histidine, &seed);
    }

    // GROMACS's CD of ILE, terminal oxygens as every engine writes them, an insertion code.
    let isoleucine = engine("TVIL");
    for (o, oxt) in [("OC1", "OC2"), ("OT1", "OT2"), ("O1", "O2"), ("O", "OXT")] {
        let seed = renamed(&isoleucine, |mut row| {
            if (row.1.as_str(), row.0.as_str()) == ("ILE", "CD1") {
                row.0 = "CD".into();
            }
            if row.2 == 4 && matches!(row.0.as_str(), "O" | "OXT") {
                row.0 = if row.0 == "O" { o.into() } else { oxt.into() };
            }
            if row.2 == 3 {
                (row.2, row.3) = (2, "A".into());
            }
            row.4 = "".into();
            Some(row)
        });
        arrives(&isoleucine, &seed);
    }

    // Two chains, named by what they lack: a bond.
    let (topology, mut frame) = renamed(&isoleucine, |mut row| {
        row.4 = if row.2 > 2 { "B".into() } else { "A".into() };
        Some(row)
    });
    for (atom, position) in topology.atoms.iter().zip(&mut frame.positions_nm) {
        position[0] += if topology.residues[atom.residue].chain == "B" { 3.0 } else { 0.0 };
    }
    let error = refused(&isoleucine, &(topology, frame));
    assert!(error.contains("two chains or a gap") && error.contains("chain B"), "{error}");

    // An atom that is missing, one that is there twice, a residue that nobody knows.
    let error = refused(&isoleucine, &renamed(&isoleucine, |row| (row.0 != "CG2").then_some(row)));
    assert!(error.contains("CG") && error.contains("missing"), "{error}");
    let error = refused(
        &isoleucine,
        &renamed(&isoleucine, |mut row| {
            if (row.1.as_str(), row.0.as_str()) == ("LEU", "CD2") {
                row.0 = "CD1".into();
            }
            Some(row)
        }),
    );
    assert!(error.contains("LEU") && error.contains("second atom of this name"), "{error}");
    let error = refused(
        &isoleucine,
        &renamed(&isoleucine, |mut row| {
            if row.1 == "ILE" {
                row.1 = "SEP".into();
            }
            Some(row)
        }),
    );
    assert!(error.contains("SEP") && error.contains("not one of the 20"), "{error}");
}

/// ACE-Ala-Val-Ala-NME as a PDB: the ends of a built chain as caps, NME's carbon by its name.
fn capped(path: &std::path::Path, nme_carbon: &str) {
    use std::fmt::Write;
    let made = marsfm_geometry::build::chain("AAVAA", &[[-70.0, 140.0]; 5]).unwrap();
    let (mut text, mut serial) = (String::new(), 0);
    for (atom, x) in made.topology.atoms.iter().zip(&made.positions_nm) {
        let residue = &made.topology.residues[atom.residue];
        let (name, kind) = match (atom.residue, atom.name.as_str()) {
            (0, "CA") => ("CH3", "ACE"),
            (0, "C" | "O") => (atom.name.as_str(), "ACE"),
            (4, "N") => ("N", "NME"),
            (4, "CA") => (nme_carbon, "NME"),
            (0 | 4, _) => continue,
            _ => (atom.name.as_str(), residue.name.as_str()),
        };
        serial += 1;
        let [x, y, z] = x.map(|v| 10.0 * v);
        let (number, element) = (atom.residue + 1, &atom.element);
        let place = format!("{x:8.3}{y:8.3}{z:8.3}");
        writeln!(text, "ATOM  {serial:5}  {name:<3} {kind} A{number:4}    {place}  1.00  0.00          {element:>2}")
            .unwrap();
    }
    std::fs::write(path, text + "TER\nEND\n").unwrap();
}

#[test]
fn capped_peptides_are_prepared_and_run_by_both_engines() {
    let test = "capped_peptides_are_prepared_and_run_by_both_engines";
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    for (engine, carbon) in [("openmm", "C"), ("gromacs", "CH3")] {
        if !(if engine == "openmm" { has_openmm(test) } else { has_gromacs(test) }) {
            continue;
        }
        let at = |name: &str| folder.path().join(format!("{engine}-{name}"));
        capped(&at("AVA.pdb"), carbon);
        match engine {
            "openmm" => openmm_template(&at("AVA.pdb"), &at("template")),
            _ => gromacs_template(&at("AVA.pdb"), &at("template"), &[]),
        }
        let runner = open(&host, engine, &at("template"), json!({}));
        let system = runner.system();
        let seeds = runner.place(&system.topology, &[own_frame(&runner)]).unwrap();
        let own = own_frame(&runner).positions_nm;
        for (i, atom) in system.topology.atoms.iter().enumerate() {
            let label = system.topology.atom_label(i);
            assert_eq!(
                seeds[0].positions_nm[i],
                own[i].map(f64::from),
                "{engine} {label} {}",
                atom.name
            );
        }
        let prepared = runner.prepare(&at("out"), &seeds, None, 5, |_, _, _| true).unwrap();
        let record = &prepared.summary.seeds[0];
        assert_ne!(record.verdict, "rejected", "{engine}: {record:?}");
        let lengths = marsfm::engines::Lengths { head_ps: 0.2, ps: 0.4, frame_ps: 0.1 };
        let finished = runner.run(&at("out"), record, lengths, |_, _| true).unwrap().unwrap();
        assert_eq!((finished.n_frames, finished.head_frames), (6, 2), "{engine}");
    }
}
