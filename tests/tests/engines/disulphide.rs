//! CAGAC with a disulphide: both engines bond it, seeds go both ways, a broken one is refused.

use crate::support::*;
use marsfm::engines::{Lengths, Runner};
use marsfm::preparation::Engine;
use marsfm_geometry::build;
use marsfm_trajectory::Frame;
use serde_json::json;

/// Heavy atoms, minimised with ff14SB; S–S 0.204 nm.
const PDB: &str = include_str!("disulphide.pdb");

fn sulphurs(runner: &Runner) -> [usize; 2] {
    let atoms = &runner.system().topology.atoms;
    let found: Vec<usize> = (0..atoms.len()).filter(|i| atoms[*i].name == "SG").collect();
    found.try_into().expect("two sulphurs")
}

#[test]
fn a_disulphide_goes_through_both_engines_and_a_broken_one_is_rejected_by_name() {
    let test = "a_disulphide_goes_through_both_engines_and_a_broken_one_is_rejected_by_name";
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    if !has_openmm(test) || !has_gromacs(test) {
        return;
    }
    let pdb = folder.path().join("CAGAC.pdb");
    std::fs::write(&pdb, PDB).unwrap();
    let at = |name: &str| folder.path().join(name);
    openmm_template(&pdb, &at("openmm"));
    gromacs_template(&pdb, &at("gromacs"), &[]);
    let engines = ["openmm", "gromacs"].map(|name| open(&host, name, &at(name), json!({})));
    for (runner, other) in [(&engines[0], &engines[1]), (&engines[1], &engines[0])] {
        let (name, system) = (runner.engine().name(), runner.system());
        let [a, b] = sulphurs(runner);
        assert!(system.bonds.iter().any(|p| *p == [a, b] || *p == [b, a]), "{name}: no S–S bond");
        assert!(system.topology.atoms.iter().all(|atom| atom.name != "HG"), "{name}: a thiol");

        // There and back, bit for bit.
        let (here, there) = (&system.topology, &other.system().topology);
        let out = other.place(here, &[own_frame(runner)]).unwrap();
        let back = runner.place(there, &[single(&out[0].positions_nm)]).unwrap();
        for (i, atom) in here.atoms.iter().enumerate() {
            if atom.element != "H" && !matches!(atom.name.as_str(), "OXT" | "OC1" | "OC2") {
                let want = system.positions_nm[i].map(|x| f64::from(x as f32));
                assert_eq!(back[0].positions_nm[i], want, "{name} {}", here.atom_label(i));
            }
        }

        // The other engine's structure runs; the stretched chain has no disulphide to keep.
        let prepared =
            runner.prepare(&at(name).join("out"), &back, None, 3, |_, _, _| true).unwrap();
        let record = &prepared.summary.seeds[0];
        assert_ne!(record.verdict, "rejected", "{name}: {record:?}");
        let lengths = Lengths { head_ps: 0.2, ps: 0.2, frame_ps: 0.1 };
        assert!(runner.run(&at(name).join("out"), record, lengths, |_, _| true).unwrap().is_ok());

        let made = build::chain("CAGAC", &[[-120.0, 130.0]; 5]).unwrap();
        let stretched = Frame { positions_nm: made.positions_nm, ..Frame::default() };
        let broken = runner.place(&made.topology, &[stretched]).unwrap();
        let prepared =
            runner.prepare(&at(name).join("broken"), &broken, None, 3, |_, _, _| true).unwrap();
        let record = &prepared.summary.seeds[0];
        assert_eq!(record.verdict, "rejected", "{name}: {record:?}");
        assert!(record.reasons.contains(&"disulphide".to_owned()), "{name}: {record:?}");
        let verdict = at(name).join("broken").join(&record.folder).join("verdict.json");
        let text = std::fs::read_to_string(verdict).unwrap();
        assert!(text.contains("1 CYS and") && text.contains("5 CYS ("), "{name}: {text}");
    }
}
