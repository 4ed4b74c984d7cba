//! The xtc plugin on real trajectories: counts and times of the manifest, seeking, round trips,
//! and the errors of damaged files.

use crate::support::*;
use marsfm_test_support::shared_or_skip;
use marsfm_trajectory::{Dataset, Frame, LoadOptions};
use std::path::Path;

fn manifest(folder: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn frame_counts_times_and_names_are_the_manifests() {
    let Some(shared) = shared_or_skip("frame_counts_times_and_names_are_the_manifests") else {
        return;
    };
    let folder = shared.join("data/tetrapeptides");
    let host = xtc_host();
    let mut checked = 0;
    for peptide in manifest(&folder)["peptides"].as_array().unwrap() {
        let name = peptide["name"].as_str().unwrap();
        let dir = folder.join(name);
        let (top, frame) = host.read_topology(dir.join(format!("{name}.pdb"))).unwrap();
        assert_eq!(top.len() as u64, peptide["atoms_heavy"].as_u64().unwrap(), "{name}");
        assert_eq!(top.residues.len(), 4);
        assert!(top.atoms.iter().all(|a| "CNOS".contains(&a.element)), "{name}");
        assert_eq!(frame.unwrap().positions_nm.len(), top.len());
        for replica in peptide["replicas"].as_array().unwrap() {
            let file = dir.join(replica["file"].as_str().unwrap());
            let source = host.open(&file, Some(top.len())).unwrap();
            let frames = replica["frames"].as_u64().unwrap() as usize;
            assert_eq!(source.n_frames(), Some(frames), "{}", file.display());
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} trajectories");
    let sources = (0..4)
        .map(|r| host.open(folder.join(format!("AVDA/r{r}.xtc")), None).unwrap())
        .collect::<Vec<_>>();
    let set = Dataset::load(sources, LoadOptions::default()).unwrap();
    assert_eq!(set.frame_ps(), 1.0);
    assert_eq!(set.trajectories().len(), 4);
}

#[test]
fn chignolin_has_ten_residues_and_ten_ps_between_frames() {
    let Some(shared) = shared_or_skip("chignolin_has_ten_residues_and_ten_ps_between_frames")
    else {
        return;
    };
    let folder = shared.join("data/chignolin");
    let host = xtc_host();
    let (top, _) = host.read_topology(folder.join("chignolin.pdb")).unwrap();
    assert_eq!((top.len(), top.residues.len()), (77, 10));
    let sources = vec![host.open(folder.join("r0.xtc"), Some(77)).unwrap()];
    let set = Dataset::load(sources, LoadOptions { stride: 4, frame_ps: None }).unwrap();
    assert_eq!(set.frame_ps(), 40.0);
    let error = error(host.open(folder.join("r0.xtc"), Some(70)));
    assert!(error.contains("77 atoms, but the topology has 70"), "{error}");
}

#[test]
fn seeking_gives_the_frames_of_a_walk() {
    let Some(shared) = shared_or_skip("seeking_gives_the_frames_of_a_walk") else { return };
    let host = xtc_host();
    let mut source = host.open(shared.join("data/tetrapeptides/AVDA/r0.xtc"), None).unwrap();
    let frames = read_all(source.as_mut());
    let mut frame = Frame::default();
    for index in [frames.len() - 1, 0, 700, 701, 3] {
        source.seek(index).unwrap();
        assert!(source.read(&mut frame).unwrap());
        assert_eq!(frame, frames[index]);
    }
    assert!(error(source.seek(frames.len())).contains("no frame"));
}

#[test]
fn a_written_trajectory_reads_back_equal() {
    let Some(shared) = shared_or_skip("a_written_trajectory_reads_back_equal") else { return };
    let folder = shared.join("data/tetrapeptides/AVDA");
    let host = xtc_host();
    let (top, _) = host.read_topology(folder.join("AVDA.pdb")).unwrap();
    let mut source = host.open(folder.join("r1.xtc"), Some(top.len())).unwrap();
    let frames = read_all(source.as_mut());
    let out = tempfile::tempdir().unwrap();
    // XTC keeps what XTC gave, bit for bit; PDB has 0.001 Å and no time.
    for (name, tolerance) in [("copy.xtc", 0.0), ("copy.pdb", 6e-5)] {
        let path = out.path().join(name);
        let mut sink = host.create(&path, &top).unwrap();
        for frame in &frames[..200] {
            sink.write(frame).unwrap();
        }
        assert!(!path.exists(), "nothing may appear before finish");
        sink.finish().unwrap();
        let mut copy = host.open(&path, Some(top.len())).unwrap();
        let back = read_all(copy.as_mut());
        assert_eq!(back.len(), 200);
        for (a, b) in back.iter().zip(&frames) {
            assert!(difference(&a.positions_nm, &b.positions_nm) <= tolerance);
            assert_eq!(a.time_ps, b.time_ps.filter(|_| name == "copy.xtc"));
        }
    }
    let (again, _) = host.read_topology(out.path().join("copy.pdb")).unwrap();
    assert_eq!(again, top);
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 2, "no temporary file stays");
}

#[test]
fn a_sink_that_is_dropped_or_fails_leaves_nothing() {
    let out = tempfile::tempdir().unwrap();
    let host = xtc_host();
    let mut top = marsfm_geometry::Topology::new();
    top.push("CA", "C", "ALA", 1, "", "A");
    let path = out.path().join("x.xtc");
    let frame = |x: f32| Frame { positions_nm: vec![[x, 0.0, 0.0]], ..Frame::default() };
    let mut sink = host.create(&path, &top).unwrap();
    sink.write(&frame(1.0)).unwrap();
    let message = error(sink.write(&frame(f32::NAN)));
    assert!(message.contains("frame 1: atom 0"), "{message}");
    let two = Frame { positions_nm: vec![[0.0; 3]; 2], ..Frame::default() };
    assert!(error(sink.write(&two)).contains("2 positions for the 1 atoms"));
    drop(sink);
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn damaged_trajectories_name_file_and_frame() {
    let Some(shared) = shared_or_skip("damaged_trajectories_name_file_and_frame") else { return };
    let host = xtc_host();
    let whole = std::fs::read(shared.join("data/tetrapeptides/AVDA/r0.xtc")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("cut.xtc");
    std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let message = error(host.open(&path, None));
    assert!(message.contains("cut.xtc") && message.contains("frame 1499 is cut off"), "{message}");
    std::fs::write(&path, b"").unwrap();
    assert!(error(host.open(&path, None)).contains("empty"));
    // A NaN cannot be packed; ten atoms or fewer are stored as plain floats.
    let mut top = marsfm_geometry::Topology::new();
    top.push("CA", "C", "ALA", 1, "", "A");
    let mut sink = host.create(&path, &top).unwrap();
    for x in 0..3 {
        sink.write(&Frame { positions_nm: vec![[x as f32; 3]], ..Frame::default() }).unwrap();
    }
    sink.finish().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let one = bytes.len() / 3;
    bytes[one + 56..one + 60].copy_from_slice(&f32::NAN.to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    let mut source = host.open(&path, None).unwrap();
    let mut frame = Frame::default();
    assert!(source.read(&mut frame).unwrap());
    let message = error(source.read(&mut frame));
    assert!(message.contains("frame 1: atom 0") && message.contains("not finite"), "{message}");
    let message = error(host.open(out.path().join("missing.xtc"), None));
    assert!(message.contains("missing.xtc: cannot be opened"), "{message}");
}

#[test]
fn unknown_formats_list_the_known_ones() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("a.foo");
    std::fs::write(&path, b"x").unwrap();
    let message = error(xtc_host().open(&path, None));
    assert!(message.contains("`.foo`") && message.contains(".pdb .xtc"), "{message}");
    let message = error(marsfm_host::Host::new().open(&path, None));
    assert!(message.contains("no plugin is loaded"), "{message}");
    let xtc = out.path().join("a.xtc");
    std::fs::write(&xtc, b"x").unwrap();
    let message = error(xtc_host().read_topology(&xtc));
    assert!(message.contains("read the atoms of") && message.contains(".cif"), "{message}");
}
