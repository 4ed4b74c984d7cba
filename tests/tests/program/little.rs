//! `marsfm msm build` on little data: small models, and what is doubtful said as data.

use serde_json::Value;

use super::msm::{PDB, frames, replicas};
use crate::support::{root, run};

fn build(arguments: &[&str], trajectories: &[String]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("m.safetensors").display().to_string();
    let mut all = vec!["msm", "build", "--json", "--out", &out];
    all.extend(arguments);
    all.extend(trajectories.iter().map(String::as_str));
    let (code, stdout, stderr) = run(&all);
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn said(list: &Value) -> String {
    let texts = list.as_array().unwrap().iter();
    texts.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_string) + "\n").collect()
}

/// Two runs of chignolin with 275 frames.
#[test]
fn auto_fits_no_more_than_the_data_carry() {
    let folder = root().join("examples/data/chignolin");
    let path = |name: &str| folder.join(name).display().to_string();
    let (topology, runs) = (path("chignolin.pdb"), [path("r0.xtc"), path("r1.xtc")]);
    let plain = build(&["--topology", &topology], &runs);
    let warnings = said(&plain["warnings"]);
    assert!(warnings.contains("275 frames for 100 microstates, 2.8 each"), "{warnings}");

    let chosen = build(&["--topology", &topology, "--auto"], &runs);
    assert_eq!(chosen["microstates"], 13, "{chosen}");
    let choices = said(&chosen["choices"]);
    assert!(choices.contains("100 would be fitted to noise"), "{choices}");
    assert!(choices.contains("of those that 275 frames can carry"), "{choices}");
    assert!(!choices.contains("few frames for the features"), "{choices}");
    let warnings = said(&chosen["warnings"]);
    assert!(!warnings.contains("each: transitions"), "{warnings}");
    // What the user fixes stays.
    let fixed = build(&["--topology", &topology, "--auto", "--microstates", "20"], &runs);
    assert!(fixed["microstates"] == 20 && !said(&fixed["choices"]).contains("fitted to noise"));
    // Features that are asked for are used, and it is said that they are too many.
    let wide = build(&["--topology", &topology, "--auto", "--features", "ca-distances"], &runs);
    let choices = said(&wide["choices"]);
    assert!(choices.contains("few frames for the features"), "{choices}");
    assert!(choices.contains("too little data"), "{choices}");
}

/// Of 14 frames none of the seven microstates is seen again after six: three are.
#[test]
fn fewer_microstates_are_tried_where_none_is_seen_twice() {
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short.xtc");
    let (whole, starts) = frames(&replicas()[0]);
    std::fs::write(&short, &whole[..starts[14]]).unwrap();
    let lags = ["--tica-lag", "2", "--msm-lag", "6", "--pair-lag", "2", "--macrostates", "2"];
    let arguments = [&["--topology", PDB][..], &lags].concat();
    let found = build(&arguments, &[short.display().to_string()]);
    assert_eq!(found["microstates"], 3, "{found}");
    let warnings = said(&found["warnings"]);
    assert!(warnings.contains("3 microstates instead of 100"), "{warnings}");
    // And as data.
    let data = found["warning_data"].as_array().unwrap();
    assert_eq!(data.len(), found["warnings"].as_array().unwrap().len());
    let few = data.iter().find(|w| w["warning"] == "fewer_clusters").unwrap();
    assert_eq!((few["asked"].as_u64(), few["got"].as_u64()), (Some(100), Some(3)));
}
