//! The chemfiles plugin, where it is built (it needs cmake and a C++ compiler).

use crate::support::*;
use marsfm_host::Host;
use marsfm_test_support::{shared_or_skip, skip};
use marsfm_trajectory::Frame;

fn chemfiles(test: &str) -> Option<Host> {
    let library = release().join("libmarsfm_plugin_chemfiles.so");
    if !library.is_file() {
        skip(test, "the chemfiles plugin is not built (cargo build --release --workspace)");
        return None;
    }
    let mut host = Host::new();
    host.load(library).expect("the chemfiles plugin loads");
    Some(host)
}

#[test]
fn both_plugins_read_the_same_positions_times_and_names() {
    let test = "both_plugins_read_the_same_positions_times_and_names";
    let (Some(shared), Some(chemfiles)) = (shared_or_skip(test), chemfiles(test)) else { return };
    let xtc = xtc_host();
    for (folder, name) in [
        ("data/tetrapeptides/AVDA", "AVDA"),
        ("data/tetrapeptides/HYGW", "HYGW"),
        ("data/chignolin", "chignolin"),
    ] {
        let dir = shared.join(folder);
        let pdb = dir.join(format!("{name}.pdb"));
        let (ours, frame) = xtc.read_topology(&pdb).unwrap();
        let (theirs, other) = chemfiles.read_topology(&pdb).unwrap();
        assert_eq!(ours, theirs);
        let apart = difference(&frame.unwrap().positions_nm, &other.unwrap().positions_nm);
        assert!(apart < 1e-6, "{apart}");
        let a = read_all(xtc.open(dir.join("r0.xtc"), Some(ours.len())).unwrap().as_mut());
        let b = read_all(chemfiles.open(dir.join("r0.xtc"), Some(ours.len())).unwrap().as_mut());
        assert_eq!(a.len(), b.len());
        for (x, y) in a.iter().zip(&b) {
            assert!(difference(&x.positions_nm, &y.positions_nm) <= 1e-6);
            assert_eq!((x.time_ps, x.cell_nm), (y.time_ps, y.cell_nm));
        }
    }
}

#[test]
fn what_chemfiles_writes_it_reads_back() {
    let test = "what_chemfiles_writes_it_reads_back";
    let (Some(shared), Some(chemfiles)) = (shared_or_skip(test), chemfiles(test)) else { return };
    let dir = shared.join("data/tetrapeptides/AVDA");
    let (top, _) = chemfiles.read_topology(dir.join("AVDA.pdb")).unwrap();
    let mut frames = read_all(chemfiles.open(dir.join("r0.xtc"), None).unwrap().as_mut());
    frames.truncate(20);
    let out = tempfile::tempdir().unwrap();
    let cell = [[3.0, 0.0, 0.0], [0.5, 3.5, 0.0], [-0.25, 0.75, 4.0f32]];
    for frame in &mut frames {
        frame.cell_nm = Some(cell);
    }
    // nm: TRR stores f32, XTC and GRO 0.001 nm, PDB 0.001 Å.
    for (name, positions, cells, times) in [
        ("a.trr", 1e-6, 1e-6, true),
        ("a.xtc", 1e-6, 1e-6, true),
        ("a.nc", 1e-6, 1e-6, false), // chemfiles passes over its times
        ("a.gro", 6e-4, 1e-4, false),
        ("a.pdb", 6e-5, 1e-3, false),
    ] {
        let path = out.path().join(name);
        let mut sink = chemfiles.create(&path, &top).unwrap();
        for frame in &frames {
            sink.write(frame).unwrap();
        }
        sink.finish().unwrap();
        let back = read_all(chemfiles.open(&path, Some(top.len())).unwrap().as_mut());
        assert_eq!(back.len(), frames.len(), "{name}");
        for (x, y) in back.iter().zip(&frames) {
            assert!(difference(&x.positions_nm, &y.positions_nm) <= positions, "{name}");
            let apart = difference(&x.cell_nm.expect(name), &cell);
            assert!(apart <= cells, "{name}: cell {:?}", x.cell_nm);
            if times {
                assert_eq!(x.time_ps, y.time_ps, "{name}");
            }
        }
        if name == "a.xtc" {
            let ours = read_all(xtc_host().open(&path, None).unwrap().as_mut());
            for (x, y) in ours.iter().zip(&back) {
                assert!(difference(&x.positions_nm, &y.positions_nm) <= 1e-6);
                assert!(difference(&x.cell_nm.unwrap(), &cell) <= 1e-6, "rows and columns");
            }
        }
    }
    for name in ["a.gro", "a.pdb"] {
        let (again, frame) = chemfiles.read_topology(out.path().join(name)).unwrap();
        assert_eq!(frame.unwrap().positions_nm.len(), top.len());
        let names = |t: &marsfm_geometry::Topology| {
            t.atoms.iter().map(|a| (a.name.clone(), a.element.clone())).collect::<Vec<_>>()
        };
        assert_eq!(names(&again), names(&top), "{name}");
        let residues = |t: &marsfm_geometry::Topology| {
            t.residues.iter().map(|r| (r.name.clone(), r.number)).collect::<Vec<_>>()
        };
        assert_eq!(residues(&again), residues(&top), "{name}");
    }
}

#[test]
fn both_plugins_read_the_same_mmcif() {
    let test = "both_plugins_read_the_same_mmcif";
    let (Some(shared), Some(chemfiles)) = (shared_or_skip(test), chemfiles(test)) else { return };
    let xtc = xtc_host();
    let (top, frame) = xtc.read_topology(shared.join("data/chignolin/chignolin.pdb")).unwrap();
    let mut text = String::from("data_chignolin\nloop_\n");
    for item in "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id \
                 label_seq_id pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy \
                 B_iso_or_equiv auth_seq_id auth_asym_id pdbx_PDB_model_num"
        .split_whitespace()
    {
        text += &format!("_atom_site.{item}\n");
    }
    let positions = frame.unwrap().positions_nm;
    for (i, (atom, p)) in top.atoms.iter().zip(&positions).enumerate() {
        let r = &top.residues[atom.residue];
        let [x, y, z] = p.map(|x| f64::from(x) * 10.0);
        text += &format!(
            "ATOM {} {} {} . {} A {} ? {x:.3} {y:.3} {z:.3} 1.0 0.0 {} A 1\n",
            i + 1,
            atom.element,
            atom.name,
            r.name,
            r.number,
            r.number
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chignolin.cif");
    std::fs::write(&path, text).unwrap();
    for host in [&xtc, &chemfiles] {
        let (again, frame) = host.read_topology(&path).unwrap();
        assert_eq!(again, top);
        assert!(difference(&frame.unwrap().positions_nm, &positions) < 1e-6);
    }
}

#[test]
fn a_dcd_has_no_trusted_time() {
    let Some(chemfiles) = chemfiles("a_dcd_has_no_trusted_time") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.dcd");
    std::fs::write(&path, dcd(&[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[7.0, 8.0, 9.0], [0.0; 3]]]))
        .unwrap();
    let frames = read_all(chemfiles.open(&path, Some(2)).unwrap().as_mut());
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].positions_nm, [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]);
    assert!(frames.iter().all(|f: &Frame| f.time_ps.is_none()), "{frames:?}");
}

/// A CHARMM/OpenMM style DCD of two atoms (Å): Fortran records of a header, a title, the number
/// of atoms, then x, y and z of each frame.
fn dcd(frames: &[[[f32; 3]; 2]]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut record = |bytes: &[u8]| {
        let n = (bytes.len() as u32).to_le_bytes();
        file.extend([&n[..], bytes, &n[..]].concat());
    };
    let mut header = b"CORD".to_vec();
    let mut words = [0i32; 20];
    (words[0], words[1], words[2], words[3]) = (frames.len() as i32, 1, 1, frames.len() as i32);
    words[9] = 0.01f32.to_bits() as i32;
    words[19] = 24;
    header.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    record(&header);
    let mut title = 1i32.to_le_bytes().to_vec();
    title.extend([b' '; 80]);
    record(&title);
    record(&2i32.to_le_bytes());
    for frame in frames {
        for axis in 0..3 {
            let values: Vec<u8> = frame.iter().flat_map(|p| p[axis].to_le_bytes()).collect();
            record(&values);
        }
    }
    file
}

#[test]
fn the_declared_priority_chooses_between_two_plugins() {
    let test = "the_declared_priority_chooses_between_two_plugins";
    let Some(mut host) = chemfiles(test) else { return };
    host.load(xtc_library()).unwrap();
    let mut first = xtc_host();
    first.load(release().join("libmarsfm_plugin_chemfiles.so")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.xtc");
    std::fs::write(&path, b"").unwrap();
    for host in [host, first] {
        let message = error(host.open(&path, None));
        assert!(message.contains("(plugin xtc)"), "in either order of loading: {message}");
    }
}
