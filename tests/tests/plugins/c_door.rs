//! Plugins in C through the C door: the template, and a featurizer.

use crate::support::*;
use marsfm_geometry::Topology;
use marsfm_host::{Door, Host};
use marsfm_trajectory::{Frame, FrameSource};
use std::path::Path;

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn topology() -> Topology {
    let mut top = Topology::new();
    top.push("N", "N", "ALA", 1, "", "A");
    top.push("CA", "C", "ALA", 1, "", "A");
    top.push("C", "C", "GLY", -2, "B", "");
    top
}

fn frames() -> Vec<Frame> {
    let positions = |f: usize| (0..3).map(|a| [f as f32 / 3.0, a as f32 * 0.1, -1e-3]).collect();
    (0..4)
        .map(|f| Frame {
            positions_nm: positions(f),
            time_ps: Some(f as f64 * 0.2),
            ..Frame::default()
        })
        .collect()
}

#[test]
fn the_template_exports_one_symbol_and_round_trips_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let library = compile_c(dir.path(), "template", &here("../plugins/template-c/template.c"));
    assert_eq!(exported(&library), ["marsfm_plugin_entry"]);
    let mut host = Host::new();
    host.load(&library).unwrap();
    let status = &host.report()[0];
    assert_eq!((status.door, status.name.as_deref()), (Some(Door::C), Some("template-c")));
    assert_eq!(status.services, ["marsfm.trajectory/1"]);

    let path = dir.path().join("a.ptx");
    let (top, frames) = (topology(), frames());
    let mut sink = host.create(&path, &top).unwrap();
    for frame in &frames {
        sink.write(frame).unwrap();
    }
    sink.finish().unwrap();
    assert_eq!(host.read_topology(&path).unwrap(), (top, None));
    let mut source = host.open(&path, Some(3)).unwrap();
    assert_eq!(source.n_frames(), None);
    assert_eq!(read_all(source.as_mut()), frames);
    let mut frame = Frame::default();
    for f in [2, 0, 3] {
        source.seek(f).unwrap();
        source.read(&mut frame).unwrap();
        assert_eq!(frame, frames[f]);
    }
    assert!(error(source.seek(5)).contains("no such frame"));

    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let mut source = host.open(&path, None).unwrap();
    let message = loop {
        match source.read(&mut frame) {
            Ok(more) => assert!(more, "the cut must be noticed"),
            Err(e) => break e.to_string(),
        }
    };
    assert!(message.contains("a.ptx, frame 3: is cut off"), "{message}");
    std::fs::write(&path, whole.replace("-0.00100000005", "nan")).unwrap();
    let mut source: Box<dyn FrameSource> = host.open(&path, None).unwrap();
    let message = error(source.read(&mut frame));
    assert!(message.contains("frame 0: atom 0") && message.contains("not finite"), "{message}");
    std::fs::write(&path, "something else").unwrap();
    let message = error(host.open(&path, None));
    assert!(message.contains("a.ptx: line 1 is not `ptx 1 N`"), "{message}");
}

#[test]
fn a_c_featurizer_is_a_featurizer_on_every_thread() {
    let dir = tempfile::tempdir().unwrap();
    let library = compile_c(dir.path(), "extent", &here("tests/plugins/featurizer.c"));
    let mut host = Host::new();
    host.load(&library).unwrap();
    let top = topology();
    let extent = host.featurizer("extent", &top, Some("2.0")).unwrap();
    assert_eq!(extent.names(), ["extent x"]);
    let frames: Vec<Frame> = (0..2000)
        .map(|f| Frame {
            positions_nm: vec![[0.0; 3], [f as f32, 0.0, 0.0], [0.5; 3]],
            ..Frame::default()
        })
        .collect();
    let rows = marsfm_features::compute_all(extent.as_ref(), "frames", &frames).unwrap();
    assert_eq!(rows.n_frames(), 2000);
    for f in 1..2000 {
        assert_eq!(rows.row(f), [2.0 * f as f64]);
    }
    assert!(error(extent.compute(&[[0.0; 3]; 2], None, &mut [0.0])).contains("2 atoms"));
    assert!(error(host.featurizer("extent", &top, Some("x"))).contains("invalid argument"));
    assert!(error(host.featurizer("other", &top, None)).contains("loaded: extent"));
}
