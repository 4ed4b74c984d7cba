//! One model as job arrays of a real Slurm: a cluster of this one machine, started for the test.
//! Needs the daemons (Debian: slurm-wlm, munge) and root; else SKIPPED with the reason.

use crate::cluster::Cluster;
use crate::msm::{PDB, SETTINGS, replicas};
use crate::support::{marsfm, root, run};

const TEST: &str = "partial_and_merge_as_job_arrays_on_slurm";

#[test]
fn partial_and_merge_as_job_arrays_on_slurm() {
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => return marsfm_test_support::skip(TEST, &why),
    };
    let program = marsfm().get_program().to_str().unwrap().to_owned();
    let mut files = replicas();
    // More trajectories than replicas of the checkout: names are part of a model, bytes are not.
    for k in 0..5 {
        let copy = cluster.at(&format!("copy{k}.xtc"));
        std::fs::copy(root().join(&files[0]), &copy).unwrap();
        files.push(copy);
    }
    let common = format!("--topology {PDB} {} {}", SETTINGS.join(" "), files.join(" "));
    let mut stage = String::new();
    for pass in ["moments", "points", "states"] {
        let out = cluster.at(pass);
        let from = if stage.is_empty() { String::new() } else { format!("--from {stage}") };
        cluster.array(
            3,
            &format!(
                "{program} --threads 1 msm partial --part $SLURM_ARRAY_TASK_ID/3 \
                 --out {out}.$SLURM_ARRAY_TASK_ID {from} {common}"
            ),
        );
        let next = cluster.at(&format!("after-{pass}"));
        let merge = format!("msm merge {out}.1 {out}.2 {out}.3 {from} --out {next}");
        let (code, _, stderr) = run(&merge.split_whitespace().collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{stderr}");
        stage = next;
    }
    let whole = cluster.at("whole");
    let build = format!("msm build --out {whole} {common}");
    let (code, _, stderr) = run(&build.split_whitespace().collect::<Vec<_>>());
    assert_eq!(code, Some(0), "{stderr}");
    assert!(std::fs::read(stage).unwrap() == std::fs::read(whole).unwrap());
}
