//! `marsfm evaluate` on the example MD: symmetric cases, and bad files named and left out.

use crate::support::{root, run};

/// `marsfm evaluate --json` on QLAQ; file names without a folder are QLAQ's.
fn evaluate(samples: &[&str], more: &[&str]) -> serde_json::Value {
    let path = |name: &str| root().join("examples/data/QLAQ").join(name).display().to_string();
    let (topology, r): (String, Vec<String>) =
        (path("QLAQ.pdb"), (0..4).map(|k| path(&format!("r{k}.xtc"))).collect());
    let mut arguments = vec!["evaluate", "--json", "--resamples", "20", "--topology", &topology];
    arguments.push("--reference");
    arguments.extend(r.iter().map(String::as_str));
    arguments.push("--samples");
    let given: Vec<String> =
        samples.iter().map(|s| if s.contains('/') { s.to_string() } else { path(s) }).collect();
    arguments.extend(given.iter().map(String::as_str));
    arguments.extend(more);
    let (code, out, error) = run(&arguments);
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str(&out).expect("JSON")
}

fn value(e: &serde_json::Value, name: &str) -> f64 {
    let all = e["scores"].as_array().unwrap();
    let score = all.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    score["value"].as_f64().unwrap()
}

#[test]
fn md_against_itself_is_exactly_zero() {
    let e = evaluate(&["r0.xtc", "r1.xtc", "r2.xtc", "r3.xtc"], &["--samples-are-trajectories"]);
    let scores = e["scores"].as_array().unwrap();
    assert!(scores.len() >= 17, "{scores:?}");
    for s in scores.iter().filter(|s| s["name"] != "macrostates, outside counted") {
        assert_eq!(s["value"].as_f64(), Some(0.0), "{s}");
        assert!(s["md_noise"]["mean"].as_f64().unwrap() >= 0.0, "{s}");
        let (low, high) = (s["low"].as_f64().unwrap(), s["high"].as_f64().unwrap());
        assert!(low <= 0.0 && 0.0 <= high, "{s}");
    }
    assert!(e["outside_fraction"].as_f64().unwrap() < 0.01);
    assert!(e["reference"]["acceptance"].as_f64().unwrap() > 0.999);
}

#[test]
fn a_cut_file_and_another_molecule_are_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(root().join("examples/data/QLAQ/r0.xtc")).unwrap();
    let cut = folder.path().join("cut.xtc");
    std::fs::write(&cut, &whole[..whole.len() - 10]).unwrap();
    let other = root().join("examples/data/chignolin/r0.xtc");
    let e = evaluate(&["r1.xtc", &cut.display().to_string(), &other.display().to_string()], &[]);
    assert_eq!(e["sample"]["files"].as_array().unwrap().len(), 1);
    assert_eq!(e["sample"]["n_frames"], 1500);
    let notes = e["notes"].to_string();
    assert!(notes.contains("cut.xtc") && notes.contains("cut off"), "{notes}");
    assert!(notes.contains("chignolin") && notes.contains("77 atoms"), "{notes}");
}

/// MDTraj, SciPy and deeptime on frames as XTC has them. MDTraj's angles are f32, so that a frame at
/// the edge of a bin may fall on its other side; deeptime's estimator of reversible T stops earlier.
#[test]
fn scores_are_those_of_mdtraj_scipy_and_deeptime() {
    let python = std::env::var("MARSFM_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let needed = "import mdtraj, scipy, deeptime";
    let there = std::process::Command::new(&python).args(["-c", needed]).output();
    if !there.is_ok_and(|o| o.status.success()) {
        let why = "no Python with mdtraj, scipy and deeptime (set MARSFM_TEST_PYTHON)";
        marsfm_test_support::skip("scores_are_those_of_mdtraj_scipy_and_deeptime", why);
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let cases = [
        ("QLAQ", 4, "r3.xtc", "10", 10, "350", "100", "10", 16),
        // The structure of a helical frame has native contacts.
        ("chignolin", 2, "r1.xtc", "50", 5, "400", "20", "4", 14),
    ];
    for (name, replicas, sample, lag_ps, lag, kelvin, micro, coarse, least) in cases {
        let folder = root().join("examples/data").join(name);
        let path = |name: &str| folder.join(name).display().to_string();
        let (topology, sample) = (path(&format!("{name}.pdb")), path(sample));
        let reference: Vec<String> = (0..replicas).map(|k| path(&format!("r{k}.xtc"))).collect();
        let native = out.path().join(format!("{name}-native.pdb"));
        compact_frame(&folder, name, &native);
        let (native, states) =
            (native.display().to_string(), out.path().join("states.json").display().to_string());
        let mut arguments = vec!["evaluate", "--json", "--resamples", "0", "--topology", &topology];
        arguments.push("--reference");
        arguments.extend(reference.iter().map(String::as_str));
        arguments.extend(["--samples", &sample, "--samples-are-trajectories", "--lag", lag_ps]);
        arguments.extend(["--kelvin", kelvin, "--microstates", micro, "--macrostates", coarse]);
        arguments.extend(["--native", &native, "--states", &states]);
        let (code, ours, error) = run(&arguments);
        assert_eq!(code, Some(0), "{error}");
        let ours: serde_json::Value = serde_json::from_str(&ours).unwrap();
        let output = std::process::Command::new(&python)
            .arg(root().join("tests/reference/metrics.py"))
            .args([&topology, &native, &lag.to_string(), kelvin, &states])
            .args([reference.join(","), sample])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut compared = 0;
        for s in ours["scores"].as_array().unwrap() {
            let Some(expected) = theirs[s["name"].as_str().unwrap()].as_f64() else { continue };
            let value = s["value"].as_f64().unwrap();
            let close = (value - expected).abs() < 2e-3 * expected.abs().max(1.0);
            assert!(close, "{name}, {}: {value}, theirs {expected}", s["name"]);
            compared += 1;
        }
        assert!(compared >= least, "{name}: only {compared} scores were compared");
    }
}

fn host() -> marsfm_host::Host {
    let exe = std::env::current_exe().unwrap();
    let release = exe.parent().and_then(std::path::Path::parent).unwrap();
    let mut host = marsfm_host::Host::new();
    host.load(release.join("libmarsfm_plugin_xtc.so")).unwrap();
    host
}

/// Writes the frame of `r0.xtc` whose ends are closest as a structure.
fn compact_frame(folder: &std::path::Path, name: &str, to: &std::path::Path) {
    let host = host();
    let (topology, _) = host.read_topology(folder.join(format!("{name}.pdb"))).unwrap();
    let mut source = host.open(folder.join("r0.xtc"), Some(topology.len())).unwrap();
    let (mut frame, mut best) = (marsfm_trajectory::Frame::default(), None);
    while source.read(&mut frame).unwrap() {
        let (a, b) = (frame.positions_nm[0], *frame.positions_nm.last().unwrap());
        let d: f32 = (0..3).map(|k| (a[k] - b[k]).powi(2)).sum();
        if best.as_ref().is_none_or(|(least, _)| d < *least) {
            best = Some((d, frame.clone()));
        }
    }
    let mut sink = host.create(to, &topology).unwrap();
    sink.write(&best.unwrap().1).unwrap();
    sink.finish().unwrap();
}

/// As BioEmu writes: N, CA, C, CB, O, in an order and numbering of its own.
#[test]
fn a_backbone_with_a_topology_of_its_own_is_scored_on_what_it_has() {
    let (host, out) = (host(), tempfile::tempdir().unwrap());
    let folder = root().join("examples/data/QLAQ");
    let (full, _) = host.read_topology(folder.join("QLAQ.pdb")).unwrap();
    let mut bare = marsfm_geometry::Topology::new();
    let mut kept = Vec::new();
    for (r, residue) in full.residues.iter().enumerate() {
        for name in ["N", "CA", "C", "CB", "O"] {
            let atom = residue.atoms.clone().find(|a| full.atoms[*a].name == name).unwrap();
            kept.push(atom);
            bare.push(name, &name[..1], &residue.name, r as i32, "", "A");
        }
    }
    let mut source = host.open(folder.join("r1.xtc"), Some(full.len())).unwrap();
    let paths = ["topology.pdb", "samples.xtc"].map(|n| out.path().join(n));
    let mut structure = host.create(&paths[0], &bare).unwrap();
    let mut samples = host.create(&paths[1], &bare).unwrap();
    let mut frame = marsfm_trajectory::Frame::default();
    let mut n = 0;
    while source.read(&mut frame).unwrap() {
        let mut one = frame.clone();
        one.positions_nm = kept.iter().map(|a| frame.positions_nm[*a]).collect();
        if n == 0 {
            structure.write(&one).unwrap();
        }
        samples.write(&one).unwrap();
        n += 1;
    }
    structure.finish().unwrap();
    samples.finish().unwrap();
    let [topology, samples] = paths.map(|p| p.display().to_string());
    let e = evaluate(&[&samples], &["--samples-topology", &topology]);
    assert_eq!(
        (e["detail"].as_str(), e["sample"]["n_frames"].as_u64()),
        (Some("backbone_with_cb"), Some(n))
    );
    assert_eq!(e["sample"]["acceptance"].as_f64(), Some(1.0));
    // The backbone's own marginals do not care about what else was there.
    let whole = evaluate(&["r1.xtc"], &[]);
    let name = "torsions (backbone)";
    assert!((value(&e, name) - value(&whole, name)).abs() < 1e-6);
    assert!(e["scores"].as_array().unwrap().iter().all(|s| s["name"] != "torsions (side chain)"));
    // Another sequence is told.
    let other = root().join("examples/data/chignolin/chignolin.pdb").display().to_string();
    let reference = folder.join("r0.xtc").display().to_string();
    let own = folder.join("QLAQ.pdb").display().to_string();
    let (code, _, error) = run(&[
        "evaluate",
        "--topology",
        &own,
        "--reference",
        &reference,
        "--samples",
        &samples,
        "--samples-topology",
        &other,
    ]);
    assert_eq!(code, Some(1));
    assert!(error.contains("QLAQ") && error.contains("GYDPETGTWG"), "{error}");
}

#[test]
fn trees_are_resampled_by_root_and_their_jumps_are_kinetics() {
    let out = tempfile::tempdir().unwrap();
    let folder = root().join("examples/data/QLAQ");
    let topology = folder.join("QLAQ.pdb").display().to_string();
    let start = folder.join("r0.xtc").display().to_string();
    let samples = out.path().display().to_string();
    let (code, _, error) = run(&[
        "sample",
        "--topology",
        &topology,
        "--start",
        &start,
        "--chains",
        "120",
        "--depth",
        "12",
        "--out",
        &samples,
    ]);
    assert_eq!(code, Some(0), "{error}");
    let [ensemble, record, page] = ["ensemble.xtc", "samples.json", "r.html"]
        .map(|n| out.path().join(n).display().to_string());
    let e = evaluate(&[&ensemble], &["--record", &record, "--report", &page]);
    assert_eq!(e["sample"]["blocks"].as_u64(), Some(10), "ten chains: {}", e["sample"]);
    assert!(e["kinetics"]["sample"]["transitions"].as_u64().unwrap() >= 60, "{}", e["kinetics"]);
    assert!(value(&e, "state-to-state T") > 0.0);
    let html = std::fs::read_to_string(&page).unwrap();
    for part in ["First-passage times", "Free energy", "Implied timescales", "MD noise", "<svg"] {
        assert!(html.contains(part), "{part}");
    }
    let beside = std::fs::read(out.path().join("r.json")).unwrap();
    let beside: serde_json::Value = serde_json::from_slice(&beside).unwrap();
    assert_eq!(beside["scores"], e["scores"]);
    // The record of another ensemble does not fit.
    let r1 = folder.join("r1.xtc").display().to_string();
    let (code, _, error) = run(&[
        "evaluate",
        "--topology",
        &topology,
        "--reference",
        &start,
        "--samples",
        &r1,
        "--record",
        &record,
    ]);
    assert_eq!(code, Some(1));
    assert!(error.contains("accepted draws"), "{error}");
}
