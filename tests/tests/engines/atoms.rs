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
