//! OpenMM, and the atoms of all residue types through both engines.

use crate::support::*;
use marsfm::engines::{Lengths, read_seeds};
use marsfm::preparation::Engine;
use marsfm_geometry::ResidueType;
use serde_json::json;

#[test]
fn a_seed_is_prepared_run_and_read_back() {
    if !has_openmm("openmm::a_seed_is_prepared_run_and_read_back") {
        return;
    }
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let (template, out) = (folder.path().join("template"), folder.path().join("out"));
    openmm_template(&peptide(), &template);
    let runner = open(&host, "openmm", &template, json!({}));
    assert_eq!(runner.system().bonds.len(), 65);
    let seeds = runner.place(&runner.system().topology, &[own_frame(&runner)]).unwrap();
    let prepared = runner.prepare(&out, &seeds, None, 5, |_, _, _| true).unwrap();
    let record = &prepared.summary.seeds[0];
    assert_eq!(record.verdict, "valid", "{record:?}");
    let lengths = Lengths { head_ps: 0.2, ps: 0.4, frame_ps: 0.1 };
    let finished = runner.run(&out, record, lengths, |_, _| true).unwrap().unwrap();
    assert_eq!((finished.n_frames, finished.head_frames), (6, 2));
    let topology = runner.write_topology(&host, &out).unwrap();
    let (_, frames) = read_seeds(&host, &topology, &out.join("seed_000/md.xtc")).unwrap();
    assert_eq!(frames.len(), 6);
    assert_eq!(frames[0].time_ps, Some(f64::from(0.1f32)));
}

/// OpenMM reads and writes the numbers of its XML with one scratch space for the whole process.
#[test]
fn engines_on_many_threads_read_the_same_system() {
    if !has_openmm("openmm::engines_on_many_threads_read_the_same_system") {
        return;
    }
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    openmm_template(&peptide(), folder.path());
    let energy = || {
        let runner = open(&host, "openmm", folder.path(), json!({}));
        let positions = &runner.system().positions_nm;
        runner.engine().energy(positions, None).unwrap().potential_kj_mol.to_bits()
    };
    let alone = energy();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..12).for_each(|_| assert_eq!(energy(), alone)));
        }
    });
}

/// Tetrapeptides of the example data that hold all residue types between them.
const ALL_TYPES: [&str; 7] = ["GHDY", "NYPV", "KKCT", "FMQR", "AEAN", "TVIL", "SLWY"];

#[test]
fn twenty_residue_types_go_through_both_engines_and_back() {
    let test = "twenty_residue_types_go_through_both_engines_and_back";
    if !has_openmm(test) || !has_gromacs(test) {
        return;
    }
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let mut kinds = std::collections::BTreeSet::new();
    for name in ALL_TYPES {
        let pdb = root().join(format!("examples/data/tetrapeptides/{name}/{name}.pdb"));
        let at = |engine: &str| folder.path().join(format!("{name}-{engine}"));
        gromacs_template(&pdb, &at("gromacs"), &[]);
        openmm_template(&pdb, &at("openmm"));
        let gromacs = open(&host, "gromacs", &at("gromacs"), json!({}));
        let openmm = open(&host, "openmm", &at("openmm"), json!({}));
        for (from, to) in [(&gromacs, &openmm), (&openmm, &gromacs)] {
            let (here, there) = (from.system(), to.system());
            let out = to.place(&here.topology, &[own_frame(from)]).unwrap();
            let back = from.place(&there.topology, &[single(&out[0].positions_nm)]).unwrap();
            for (i, atom) in here.topology.atoms.iter().enumerate() {
                let residue = &here.topology.residues[atom.residue].name;
                kinds.extend(ResidueType::from_name(residue));
                let rides = matches!(atom.name.as_str(), "OXT" | "OC1" | "OC2");
                if atom.element != "H" && !rides {
                    let want = here.positions_nm[i].map(|x| f64::from(x as f32));
                    let label = here.topology.atom_label(i);
                    assert_eq!(back[0].positions_nm[i], want, "{name} {label}");
                }
            }
        }
    }
    assert_eq!(kinds.len(), 20, "{kinds:?}");
}
