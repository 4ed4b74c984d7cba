//! The engine of sixteen lanes beside OpenMM, on one template.

use crate::support::{has_openmm, host, open, openmm_template, options, peptide};
use marsfm::engines::{Lengths, Placed, Runner};
use marsfm::preparation::Engine;
use serde_json::json;

const TEST: &str = "gbsa::it_is_openmm_in_single_precision_and_runs_together_are_runs_alone";

#[test]
fn it_is_openmm_in_single_precision_and_runs_together_are_runs_alone() {
    if !has_openmm(TEST) {
        return;
    }
    let (host, dir) = (host(), tempfile::tempdir().unwrap());
    let template = dir.path().join("template");
    openmm_template(&peptide(), &template);
    let gbsa = open(&host, "gbsa", &template, json!({}));
    let openmm = open(&host, "openmm", &template, json!({}));
    assert_eq!(gbsa.system().positions_nm, openmm.system().positions_nm);
    assert_eq!(gbsa.system().step_ps, openmm.system().step_ps);

    // Prepared by one engine and measured by both.
    let seeds = [1, 2, 3]
        .map(|_| Placed { positions_nm: gbsa.system().positions_nm.clone(), needs_repair: false });
    let out = dir.path().join("runs");
    let prepared = gbsa.prepare(&out, &seeds, None, 7, |_, _, _| true).unwrap();
    for positions in prepared.minimised.iter().flatten() {
        let (a, b) =
            (gbsa.engine().energy(positions, None), openmm.engine().energy(positions, None));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!((a.potential_kj_mol - b.potential_kj_mol).abs() < 5e-3, "{a:?} {b:?}");
        let off = (a.max_force_kj_mol_nm - b.max_force_kj_mol_nm).abs();
        assert!(off < 1e-3 * b.max_force_kj_mol_nm, "{a:?} {b:?}");
    }

    let lengths = Lengths { head_ps: 1.0, ps: 2.0, frame_ps: 1.0 };
    let records: Vec<_> = prepared.summary.seeds.iter().collect();
    assert!(records.iter().all(|s| s.runs()));
    let read = |k: usize| std::fs::read(out.join(&records[k].folder).join("md.xtc")).unwrap();
    let alone: Vec<Vec<u8>> = (0..3)
        .map(|k| {
            gbsa.run(&out, records[k], lengths, |_, _| true).unwrap().unwrap();
            read(k)
        })
        .collect();
    let together = gbsa.run_together(&out, &records, lengths, |_, _| true).unwrap();
    for (k, end) in together.into_iter().enumerate() {
        let finished = end.unwrap();
        assert_eq!((finished.n_frames, finished.head_frames), (3, 1));
        assert!(finished.temperature_kelvin > 200.0 && finished.temperature_kelvin < 500.0);
        assert!(read(k) == alone[k], "run {k} differs from the run alone");
    }
    assert!(alone[0] != alone[1], "different seeds gave the same run");

    let xml = std::fs::read_to_string(template.join("system.xml")).unwrap();
    let other = xml.replace("type=\"GBSAOBCForce\"", "type=\"CustomGBForce\"");
    std::fs::write(template.join("system.xml"), other).unwrap();
    let options = options(&template, json!({}));
    let error = Runner::open(&host, "gbsa", &options, Default::default());
    let error = format!("{:#}", error.err().unwrap());
    assert!(error.contains("CustomGBForce") && error.contains("openmm engine"), "{error}");
}
