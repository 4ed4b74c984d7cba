//! GROMACS: from a seed to frames read back, what it was handed, and templates that are refused.

use crate::support::*;
use marsfm::engines::{Lengths, Runner, read_seeds};
use marsfm::preparation::Engine;
use marsfm::{EngineLimits, Host};
use serde_json::json;
use std::path::Path;
use std::process::Command;

fn refused(host: &Host, template: &Path) -> String {
    match Runner::open(host, "gromacs", &options(template, json!({})), EngineLimits::default()) {
        Ok(_) => panic!("a damaged template was opened"),
        Err(e) => format!("{e:#}"),
    }
}

/// Positions that `gmx dump` finds in a run input, nm.
fn handed(tpr: &Path) -> Vec<[f64; 3]> {
    let output = Command::new("gmx").args(["-quiet", "dump", "-s"]).arg(tpr).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().filter_map(|l| l.trim().strip_prefix("x[")?.split_once("]={"));
    let number = |w: &str| w.trim().trim_end_matches('}').parse::<f64>().unwrap();
    rows.map(|(_, row)| row.split(',').map(number).collect::<Vec<_>>().try_into().unwrap())
        .collect()
}

#[test]
fn a_seed_is_prepared_run_and_read_back_in_vacuum() {
    if !has_gromacs("a_seed_is_prepared_run_and_read_back_in_vacuum") {
        return;
    }
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let (template, out) = (folder.path().join("template"), folder.path().join("out"));
    gromacs_template(&peptide(), &template, &[]);
    let runner = open(&host, "gromacs", &template, json!({"keep_files": true}));
    let system = runner.system();
    assert_eq!(system.topology.len(), 66);
    // Every atom is bonded: a chain of 66 atoms without rings has 65 bonds.
    assert_eq!(system.bonds.len(), 65);
    let seeds = runner.place(&system.topology, &[own_frame(&runner)]).unwrap();
    let prepared = runner.prepare(&out, &seeds, None, 5, |_, _, _| true).unwrap();
    let record = &prepared.summary.seeds[0];
    assert_eq!(record.verdict, "valid", "{record:?}");
    assert!((record.start_md_ps - 2.0).abs() < 1e-9);
    // What grompp was handed is the seed, to the digits that dump prints.
    let handed = handed(&out.join("seed_000/minimise.work/held.tpr"));
    assert_eq!(handed.len(), 66);
    for (got, asked) in handed.iter().zip(&seeds[0].positions_nm) {
        assert!((0..3).all(|k| (got[k] - asked[k]).abs() < 1e-5), "{got:?} {asked:?}");
    }
    let lengths = Lengths { head_ps: 1.0, ps: 2.0, frame_ps: 0.5 };
    let finished = runner.run(&out, record, lengths, |_, _| true).unwrap().unwrap();
    assert_eq!((finished.n_frames, finished.head_frames), (6, 2));
    assert!((200.0..420.0).contains(&finished.temperature_kelvin), "{finished:?}");
    let topology = runner.write_topology(&host, &out).unwrap();
    let (_, frames) = read_seeds(&host, &topology, &out.join("seed_000/md.xtc")).unwrap();
    let times: Vec<f64> = frames.iter().map(|f| f.time_ps.unwrap()).collect();
    assert_eq!(times, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
    // The energy of the last frame, computed again from the file's positions.
    let cell = frames[5].cell_nm.map(|c| c.map(|row| row.map(f64::from)));
    let xyz: Vec<_> = frames[5].positions_nm.iter().map(|p| p.map(f64::from)).collect();
    let again = runner.engine().energy(&xyz, cell).unwrap().potential_kj_mol;
    // XTC keeps 0.001 nm, and bonds to heavy atoms are stiff.
    assert!((again - finished.end_kj_mol).abs() < 60.0, "{again} {}", finished.end_kj_mol);
}

#[test]
fn the_same_rng_seed_gives_the_same_run() {
    if !has_gromacs("the_same_rng_seed_gives_the_same_run") {
        return;
    }
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let template = folder.path().join("template");
    gromacs_template(&peptide(), &template, &[]);
    let runner = open(&host, "gromacs", &template, json!({}));
    let seeds = runner.place(&runner.system().topology, &[own_frame(&runner)]).unwrap();
    let run = |name: &str, rng_seed: u64| {
        let out = folder.path().join(name);
        let prepared = runner.prepare(&out, &seeds, None, rng_seed, |_, _, _| true).unwrap();
        let lengths = Lengths { head_ps: 0.0, ps: 0.2, frame_ps: 0.1 };
        runner.run(&out, &prepared.summary.seeds[0], lengths, |_, _| true).unwrap().unwrap();
        let left: Vec<_> = std::fs::read_dir(out.join("seed_000")).unwrap().collect();
        assert!(
            left.iter().all(|e| !e.as_ref().unwrap().path().is_dir()),
            "working folders are removed"
        );
        std::fs::read(out.join("seed_000/md.xtc")).unwrap()
    };
    let (a, b, c) = (run("a", 3), run("b", 3), run("c", 4));
    assert!(a == b, "same seed");
    assert!(a != c, "another seed");
}

#[test]
fn swapped_and_missing_atoms_and_an_extra_water_are_refused_by_name() {
    if !has_gromacs("swapped_and_missing_atoms_and_an_extra_water_are_refused_by_name") {
        return;
    }
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let template = folder.path().join("template");
    gromacs_template(&peptide(), &template, &[]);
    let conf = template.join("conf.gro");
    let good = std::fs::read_to_string(&conf).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let write = |lines: &[&str]| std::fs::write(&conf, lines.join("\n") + "\n").unwrap();

    let mut swapped = lines.clone();
    swapped.swap(2, 6);
    write(&swapped);
    let error = refused(&host, &template);
    assert!(error.contains("non-matching atom name") || error.contains("in conf.gro"), "{error}");

    let mut short = lines.clone();
    short.remove(10);
    short[1] = "65";
    write(&short);
    let error = refused(&host, &template);
    assert!(error.contains("65") && error.contains("66"), "{error}");

    let mut long = lines.clone();
    let end = long.len() - 1;
    for line in [
        "    5SOL     OW   67   0.100   0.100   0.100",
        "    5SOL    HW1   68   0.200   0.100   0.100",
        "    5SOL    HW2   69   0.100   0.200   0.100",
    ] {
        long.insert(end, line);
    }
    long[1] = "69";
    write(&long);
    let error = refused(&host, &template);
    assert!(error.contains("69") && error.contains("66"), "{error}");

    // Two places exchanged under the right names: grompp is content, the bonds are not.
    let mut moved: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
    let (first, last) = (lines[2][20..].to_owned(), lines[60][20..].to_owned());
    moved[2].replace_range(20.., &last);
    moved[60].replace_range(20.., &first);
    write(&moved.iter().map(String::as_str).collect::<Vec<_>>());
    let error = refused(&host, &template);
    assert!(error.contains("are bonded and"), "{error}");
    assert!(error.contains("residue 1 GLN"), "{error}");
}

#[test]
fn water_is_placed_anew_around_a_seed() {
    if !has_gromacs("water_is_placed_anew_around_a_seed") {
        return;
    }
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let (template, out) = (folder.path().join("template"), folder.path().join("out"));
    gromacs_template(&peptide(), &template, &["--water", "0.7", "--equilibrate", "1"]);
    let runner = open(&host, "gromacs", &template, json!({"equilibrate_ps": 0.4}));
    let system = runner.system();
    assert!(system.solvated);
    let waters = system.topology.residues.iter().filter(|r| r.name == "SOL").count();
    assert!(waters > 100, "{waters}");
    // A frame of the example's MD, another conformation and elsewhere in space.
    let data = root().join("examples/data/QLAQ");
    let (atoms, frames) = read_seeds(&host, &data.join("QLAQ.pdb"), &data.join("r1.xtc")).unwrap();
    let seeds = runner.place(&atoms, &frames[700..701]).unwrap();
    let prepared = runner.prepare(&out, &seeds, None, 5, |_, _, _| true).unwrap();
    let record = &prepared.summary.seeds[0];
    assert_ne!(record.verdict, "rejected", "{record:?}");
    assert!((record.start_md_ps - 0.4).abs() < 1e-9, "the cost is told");
    assert_eq!(prepared.minimised[0].as_ref().unwrap().len(), system.topology.len());
    let lengths = Lengths { head_ps: 0.1, ps: 0.1, frame_ps: 0.1 };
    let finished = runner.run(&out, record, lengths, |_, _| true).unwrap().unwrap();
    assert_eq!(finished.n_frames, 2);
}
