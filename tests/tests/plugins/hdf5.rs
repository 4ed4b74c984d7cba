//! The hdf5 plugin on files of exactly the layouts of mdCATH and MDTraj, written by h5py and MDTraj
//! from real MD: the frames are those of the MD, stored quantities agree, damage is named.

use marsfm_test_support::root;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;
use marsfm_geometry::Peptide;
use marsfm_geometry::observables::{ChainBreaks, Dssp};
use marsfm_host::Host;
use marsfm_trajectory::Frame;

/// A Python with what the files are written with, or a skip.
fn python(test: &str) -> Option<String> {
    let python = std::env::var("MARSFM_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let there = Command::new(&python).args(["-c", "import h5py, mdtraj, tables"]).output();
    if there.is_ok_and(|o| o.status.success()) {
        return Some(python);
    }
    marsfm_test_support::skip(test, "no Python with h5py, mdtraj and tables");
    None
}

fn run(python: &str, arguments: &[&str]) -> String {
    let output = Command::new(python).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Changes a file with h5py: `f` is the file, opened for writing.
fn edit(python: &str, path: &Path, code: &str) {
    let open = format!(
        "import h5py, numpy as np; f = h5py.File({:?}, 'r+')\n",
        path.display().to_string()
    );
    run(python, &["-c", &format!("{open}{code}\nf.close()")]);
}

struct Case {
    python: String,
    folder: tempfile::TempDir,
    path: PathBuf,
}

/// Chignolin's MD as a domain of mdCATH with two replicas at 450 K.
fn mdcath(test: &str) -> Option<Case> {
    let (python, folder) = (python(test)?, tempfile::tempdir().unwrap());
    let path = folder.path().join("mdcath_dataset_1abcA00.h5");
    let data = |name: &str| root().join("examples/data/chignolin").join(name).display().to_string();
    let script = root().join("tests/reference/write_hdf5.py").display().to_string();
    let (r0, r1) = (format!("450/0={}", data("r0.xtc")), format!("450/1={}", data("r1.xtc")));
    let out = path.display().to_string();
    run(&python, &[&script, "mdcath", "1abcA00", &data("chignolin.pdb"), &out, &r0, &r1]);
    Some(Case { python, folder, path })
}

fn host() -> Host {
    let mut host = xtc_host();
    host.load(library("hdf5")).expect("the hdf5 plugin loads");
    host
}

fn part(path: &Path, which: &str) -> PathBuf {
    PathBuf::from(format!("{}#{which}", path.display()))
}

#[test]
fn mdcath_frames_are_those_of_the_md_and_stored_quantities_agree() {
    let Some(case) = mdcath("mdcath_frames_are_those_of_the_md_and_stored_quantities_agree") else {
        return;
    };
    let host = host();
    let (topology, structure) = host.read_topology(&case.path).unwrap();
    assert_eq!((topology.len(), topology.residues.len()), (85, 10));
    assert_eq!(topology.residues[3].name, "PRO");
    let frame = structure.unwrap();
    let peptide = Peptide::from_topology(&topology, &frame.positions_nm).unwrap();
    assert_eq!(peptide.sequence(), "GYDPETGTWG");
    // CHARMM's names are in the file, and understood.
    assert!(
        topology.atoms.iter().any(|a| a.name == "OT1")
            && topology.atoms.iter().any(|a| a.name == "HN")
    );

    let mut source = host.open(part(&case.path, "450/1"), Some(85)).unwrap();
    assert_eq!(source.n_frames(), Some(125));
    let frames = read_all(source.as_mut());
    let md = root().join("examples/data/chignolin/r1.xtc");
    let original = read_all(host.open(md, None).unwrap().as_mut());
    let heavy: Vec<usize> = (0..85).filter(|a| topology.atoms[*a].element != "H").collect();
    for (ours, theirs) in frames.iter().zip(&original) {
        let picked: Vec<[f32; 3]> = heavy.iter().map(|a| ours.positions_nm[*a]).collect();
        assert!(difference(&picked, &theirs.positions_nm) < 1e-6);
    }
    assert_eq!((frames.len(), frames[3].time_ps), (original.len(), Some(3000.0)));
    assert_eq!(frames[0].cell_nm.unwrap()[2], [0.0, 0.0, 9.0]);
    source.seek(70).unwrap();
    let mut again = Frame::default();
    assert!(source.read(&mut again).unwrap() && again == frames[70]);

    // The DSSP that the file stores is that of these frames (MDTraj's, chains by identifier).
    let code = format!(
        "import h5py, json; f = h5py.File({:?}); print(json.dumps([''.join(c.decode() for c in r) \
         for r in f['1abcA00/450/1/dssp']]))",
        case.path.display().to_string()
    );
    let stored: Vec<String> = serde_json::from_str(&run(&case.python, &["-c", &code])).unwrap();
    let dssp = Dssp::new(&topology, ChainBreaks::ChainIds);
    for (frame, letters) in frames.iter().zip(&stored) {
        let ours = String::from_utf8(dssp.assign(&frame.positions_nm)).unwrap();
        assert_eq!(&ours, letters);
    }
    assert!(stored.iter().any(|s| s.contains('T')), "{:?}", &stored[..3]);
}

#[test]
fn which_trajectory_is_meant_must_be_said() {
    let Some(case) = mdcath("which_trajectory_is_meant_must_be_said") else { return };
    let host = host();
    let message = error(host.open(&case.path, None).map(|_| ()));
    assert!(message.contains("450/0, 450/1"), "{message}");
    let message = error(host.open(part(&case.path, "320/0"), None).map(|_| ()));
    assert!(message.contains("no trajectory 320/0") && message.contains("450/1"), "{message}");
    let missing = error(host.open(case.folder.path().join("none.h5#450/0"), None).map(|_| ()));
    assert!(missing.contains("none.h5#450/0: cannot be opened"), "{missing}");
    edit(&case.python, &case.path, "del f['1abcA00/450/1']");
    assert_eq!(host.open(&case.path, None).unwrap().n_frames(), Some(150), "the only one is meant");
}

#[test]
fn damaged_and_contradictory_files_are_named() {
    let Some(case) = mdcath("damaged_and_contradictory_files_are_named") else { return };
    let host = host();
    let whole = std::fs::read(&case.path).unwrap();
    let path = case.folder.path().join("other.h5");
    for keep in [whole.len() / 2, whole.len() - 100, 60] {
        std::fs::write(&path, &whole[..keep]).unwrap();
        let message = error(host.open(part(&path, "450/0"), None).map(|_| ()));
        assert!(message.contains("other.h5"), "{message}");
        assert!(message.contains("cut short") || message.contains("damaged"), "{message}");
    }
    std::fs::write(&path, b"no HDF5").unwrap();
    assert!(error(host.read_topology(&path)).contains("other.h5"));

    let changed = |code: &str| {
        std::fs::write(&path, &whole).unwrap();
        edit(&case.python, &path, &format!("g = f['1abcA00']\n{code}"));
    };
    let opened = || error(host.open(part(&path, "450/0"), None).map(|_| ()));
    changed("g['450/0'].attrs['numFrames'] = 464");
    assert!(opened().contains("numFrames is 464, coords say 150"), "{}", opened());
    changed("x = g['450/0/dssp'][:50]; del g['450/0/dssp']; g['450/0/dssp'] = x");
    assert!(opened().contains("the length of dssp is 50"), "{}", opened());
    changed("x = g['450/0/coords'][:, :, :2]; del g['450/0/coords']; g['450/0/coords'] = x");
    assert!(opened().contains("frames × atoms × 3"), "{}", opened());
    changed("del g['450/0/coords']");
    assert!(opened().contains("no coords"), "{}", opened());
    changed("x = g['resid'][:]; x[7] = 99; g['resid'][:] = x");
    let message = error(host.read_topology(&path));
    assert!(message.contains("atom 7") && message.contains("contradicts"), "{message}");

    // One frame is not finite, another does not belong to what is stored for it.
    changed("g['450/0/coords'][5, 3, 1] = np.nan; g['450/0/gyrationRadius'][9] *= 1.5");
    let mut source = host.open(part(&path, "450/0"), None).unwrap();
    let (mut frame, mut bad) = (Frame::default(), Vec::new());
    for index in 0..150 {
        source.seek(index).unwrap();
        if let Err(e) = source.read(&mut frame) {
            bad.push(e.to_string());
        }
    }
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(bad[0].contains("frame 5") && bad[0].contains("not finite"), "{bad:?}");
    assert!(bad[1].contains("frame 9") && bad[1].contains("radius of gyration"), "{bad:?}");

    // A phosphoserine is no residue of the model: its chain is refused by name.
    changed(
        "x = g['resname'].asstr()[:]; x[g['resid'][:] == 6] = 'TP2'; g['resname'][:] = x\n\
         t = g['pdbProteinAtoms'].asstr()[()].replace('THR A   6', 'TP2 A   6'); \
         del g['pdbProteinAtoms']; g['pdbProteinAtoms'] = t",
    );
    let (topology, structure) = host.read_topology(&path).unwrap();
    let message = error(Peptide::from_topology(&topology, &structure.unwrap().positions_nm));
    assert!(message.contains("TP2"), "{message}");
}

#[test]
fn compressed_chunks_give_the_same_frames() {
    let Some(case) = mdcath("compressed_chunks_give_the_same_frames") else { return };
    let host = host();
    let plain = read_all(host.open(part(&case.path, "450/0"), None).unwrap().as_mut());
    edit(
        &case.python,
        &case.path,
        "g = f['1abcA00/450/0']; x = g['coords'][:]; del g['coords']\n\
         g.create_dataset('coords', data=x, chunks=(7, 85, 3), compression='gzip', shuffle=True)",
    );
    let packed = read_all(host.open(part(&case.path, "450/0"), None).unwrap().as_mut());
    assert!(plain == packed);
}

#[test]
fn mdtraj_files_are_read_as_mdtraj_wrote_them() {
    let Some(python) = python("mdtraj_files_are_read_as_mdtraj_wrote_them") else { return };
    let (host, folder) = (host(), tempfile::tempdir().unwrap());
    let path = folder.path().join("t.h5");
    let data = |name: &str| root().join("examples/data/QLAQ").join(name).display().to_string();
    let script = root().join("tests/reference/write_hdf5.py").display().to_string();
    let out = path.display().to_string();
    run(&python, &[&script, "mdtraj", &data("QLAQ.pdb"), &out, &data("r0.xtc")]);
    let (topology, frame) = host.read_topology(&path).unwrap();
    let (expected, _) = host.read_topology(data("QLAQ.pdb")).unwrap();
    assert_eq!(topology.atoms, expected.atoms);
    let frames = read_all(host.open(&path, Some(topology.len())).unwrap().as_mut());
    let original = read_all(host.open(data("r0.xtc"), None).unwrap().as_mut());
    assert_eq!(frames.len(), original.len());
    for (ours, theirs) in frames.iter().zip(&original) {
        assert!(difference(&ours.positions_nm, &theirs.positions_nm) < 1e-6);
        assert_eq!(ours.time_ps, theirs.time_ps);
    }
    assert_eq!(frame.unwrap().positions_nm, frames[0].positions_nm);
    let cell = frames[0].cell_nm.unwrap();
    assert!((cell[0][0] - 5.0).abs() < 1e-5 && cell[0][1] == 0.0 && cell[1][0] < -1.0, "{cell:?}");
    assert!(error(host.open(part(&path, "450/0"), None).map(|_| ())).contains("one trajectory"));
    edit(&python, &path, "del f['topology']");
    let message = error(host.open(&path, None).map(|_| ()));
    assert!(
        message.contains("neither the layout of mdCATH") && message.contains("coordinates"),
        "{message}"
    );
}
