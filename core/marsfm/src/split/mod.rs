//! `marsfm split`: training, validation and test sets of sequences that are not alike, by MMseqs2 at
//! its highest sensitivity, proved on the result by a second search.
//!
//! Sequences that MMseqs2 aligns with an identity above the limit are put into one cluster (single
//! linkage), and clusters go into one set as a whole. Then every sequence of validation and test is
//! searched for in the training set, and test in validation: a single hit above the limit is an
//! error, and nothing is written.

mod fasta;
mod mmseqs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use marsfm_trajectory::write_atomically;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

pub use fasta::Sequence;
use mmseqs::{Hit, Mmseqs};

/// How to split.
#[derive(Clone, Debug, Serialize)]
pub struct SplitSettings {
    /// Largest identity of two aligned sequences in different sets, 0 … 1.
    pub identity: f64,
    /// Share of the sequences for the test set.
    pub test: f64,
    /// Share for the validation set.
    pub validation: f64,
    /// Largest E-value of an alignment that counts.
    pub e_value: f64,
    /// Least share of both sequences that an alignment must cover to count.
    pub coverage: f64,
    /// Seed of the order in which clusters are dealt out.
    pub rng_seed: u64,
    /// The MMseqs2 program.
    pub program: PathBuf,
}

impl Default for SplitSettings {
    /// 20 % identity, a tenth each. The E-value is MMseqs2's own: chance alignments of a few residues,
    /// which a larger one lets in, are nearly always more than 20 % identical.
    fn default() -> Self {
        Self {
            identity: 0.2,
            test: 0.1,
            validation: 0.1,
            e_value: 0.001,
            coverage: 0.0,
            rng_seed: 1,
            program: "mmseqs".into(),
        }
    }
}

/// What a search between two sets found.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// Set whose sequences were searched for.
    pub of: String,
    /// Set that was searched.
    pub within: String,
    /// Alignments that count, all of them below the limit.
    pub alignments: usize,
    /// Largest identity among them.
    pub highest_identity: Option<f64>,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Split {
    /// Sequences in all.
    pub sequences: usize,
    /// Clusters of sequences that belong together.
    pub clusters: usize,
    /// Sequences of the largest cluster.
    pub largest_cluster: usize,
    /// Names, by set.
    pub train: Vec<String>,
    /// Names.
    pub validation: Vec<String>,
    /// Names.
    pub test: Vec<String>,
    /// The searches that show it.
    pub proofs: Vec<Proof>,
    /// What MMseqs2 says its version is.
    pub mmseqs_version: String,
    /// Its options.
    pub mmseqs_options: Vec<String>,
    /// With what settings.
    pub settings: SplitSettings,
}

/// Splits a FASTA file and writes `train.fasta`, `validation.fasta`, `test.fasta` and `split.json`
/// into a folder; nothing is written if the result cannot be proved.
pub fn split(path: &Path, out: &Path, settings: &SplitSettings) -> Result<Split> {
    for (what, value) in [
        ("identity", settings.identity),
        ("test", settings.test),
        ("validation", settings.validation),
    ] {
        ensure!((0.0..1.0).contains(&value), "{what} is {value}; it must lie between 0 and 1");
    }
    ensure!(settings.test + settings.validation < 1.0, "nothing would be left for training");
    let all = fasta::read(path)?;
    let work = Work::new()?;
    let mmseqs = Mmseqs::new(settings, work.path())?;
    let hits = mmseqs.search(&all, &all)?;
    let clusters = clusters(all.len(), &hits, settings.identity);
    let sets = deal(&clusters, all.len(), settings)?;
    let of = |set: usize| -> Vec<Sequence> {
        (0..all.len()).filter(|i| sets[*i] == set).map(|i| all[i].clone()).collect()
    };
    let parts = [of(TRAIN), of(VALIDATION), of(TEST)];
    let mut proofs = Vec::new();
    for (a, b) in [(TEST, TRAIN), (VALIDATION, TRAIN), (TEST, VALIDATION)] {
        proofs.push(prove(&mmseqs, &parts, a, b, settings.identity)?);
    }
    let names = |set: usize| parts[set].iter().map(|s| s.name.clone()).collect();
    let result = Split {
        sequences: all.len(),
        clusters: clusters.len(),
        largest_cluster: clusters.iter().map(Vec::len).max().unwrap_or(0),
        train: names(TRAIN),
        validation: names(VALIDATION),
        test: names(TEST),
        proofs,
        mmseqs_version: mmseqs.version.clone(),
        mmseqs_options: mmseqs.options.clone(),
        settings: settings.clone(),
    };
    std::fs::create_dir_all(out)
        .with_context(|| format!("{}: cannot create the folder", out.display()))?;
    for (part, name) in parts.iter().zip(NAMES) {
        let path = out.join(format!("{name}.fasta"));
        write_atomically(&path, fasta::text(part).as_bytes())
            .with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    let path = out.join("split.json");
    write_atomically(&path, &serde_json::to_vec_pretty(&result)?)
        .with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(result)
}

const TRAIN: usize = 0;
const VALIDATION: usize = 1;
const TEST: usize = 2;
const NAMES: [&str; 3] = ["train", "validation", "test"];

/// A folder for MMseqs2's databases that goes away in the end.
struct Work(PathBuf);

impl Work {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("marsfm-split-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{}: cannot create the folder", folder.display()))?;
        Ok(Self(folder))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Temporary files left behind change nothing.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Connected components of the hits above the limit, each in ascending order.
fn clusters(n: usize, hits: &[Hit], identity: f64) -> Vec<Vec<usize>> {
    let mut parent: Vec<usize> = (0..n).collect();
    fn root(parent: &mut [usize], mut i: usize) -> usize {
        while parent[i] != i {
            parent[i] = parent[parent[i]];
            i = parent[i];
        }
        i
    }
    for hit in hits.iter().filter(|h| h.identity > identity) {
        let (a, b) = (root(&mut parent, hit.query), root(&mut parent, hit.target));
        parent[a.max(b)] = a.min(b);
    }
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); n];
    for i in 0..n {
        let r = root(&mut parent, i);
        out[r].push(i);
    }
    out.retain(|c| !c.is_empty());
    out
}

/// A set for every sequence. Clusters in random order go to test and validation while they fit into
/// the share that is asked for; the others, and so the large ones, are for training.
fn deal(clusters: &[Vec<usize>], n: usize, settings: &SplitSettings) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = (0..clusters.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(settings.rng_seed));
    let wanted = |share: f64| (share * n as f64).round() as usize;
    let mut room = [0, wanted(settings.validation), wanted(settings.test)];
    let mut sets = vec![TRAIN; n];
    for cluster in order.into_iter().map(|c| &clusters[c]) {
        for set in [TEST, VALIDATION] {
            if cluster.len() <= room[set] {
                room[set] -= cluster.len();
                cluster.iter().for_each(|i| sets[*i] = set);
                break;
            }
        }
    }
    for (set, share) in [(TEST, settings.test), (VALIDATION, settings.validation)] {
        if share > 0.0 && !sets.contains(&set) {
            let largest = clusters.iter().map(Vec::len).max().unwrap_or(0);
            bail!(
                "no cluster fits into the {} set: {n} sequences form {} clusters, the largest of \
                 {largest}; give more sequences, larger shares, or a higher identity",
                NAMES[set],
                clusters.len()
            );
        }
    }
    ensure!(sets.contains(&TRAIN), "nothing is left for training: give smaller shares");
    Ok(sets)
}

fn prove(
    mmseqs: &Mmseqs,
    parts: &[Vec<Sequence>; 3],
    a: usize,
    b: usize,
    identity: f64,
) -> Result<Proof> {
    let hits = match parts[a].is_empty() || parts[b].is_empty() {
        true => Vec::new(),
        false => mmseqs.search(&parts[a], &parts[b])?,
    };
    let highest = hits.iter().max_by(|x, y| x.identity.total_cmp(&y.identity));
    if let Some(h) = highest.filter(|h| h.identity > identity) {
        bail!(
            "the split does not hold: {} ({}) and {} ({}) are {:.1} % identical over {} residues",
            parts[a][h.query].name,
            NAMES[a],
            parts[b][h.target].name,
            NAMES[b],
            100.0 * h.identity,
            h.length
        );
    }
    Ok(Proof {
        of: NAMES[a].into(),
        within: NAMES[b].into(),
        alignments: hits.len(),
        highest_identity: highest.map(|h| h.identity),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(query: usize, target: usize, identity: f64) -> Hit {
        Hit { query, target, identity, length: 50 }
    }

    #[test]
    fn alike_sequences_are_one_cluster_by_single_linkage() {
        let hits = [hit(0, 3, 0.5), hit(3, 4, 0.21), hit(1, 2, 0.2), hit(5, 5, 1.0)];
        assert_eq!(clusters(6, &hits, 0.2), [vec![0, 3, 4], vec![1], vec![2], vec![5]]);
    }

    #[test]
    fn clusters_go_whole_and_into_training_where_they_are_too_large() {
        let mut all: Vec<Vec<usize>> = vec![(0..40).collect()];
        all.extend((0..12).map(|k| (40 + 5 * k..45 + 5 * k).collect::<Vec<_>>()));
        let settings = SplitSettings { test: 0.2, validation: 0.1, ..SplitSettings::default() };
        let sets = deal(&all, 100, &settings).unwrap();
        for cluster in &all {
            assert!(cluster.iter().all(|i| sets[*i] == sets[cluster[0]]));
        }
        let count = |set: usize| sets.iter().filter(|s| **s == set).count();
        assert_eq!((count(TEST), count(VALIDATION), sets[0]), (20, 10, TRAIN));
        assert_eq!(sets, deal(&all, 100, &settings).unwrap(), "the same seed, the same split");
        let one = [(0..100).collect::<Vec<_>>()];
        let message = deal(&one, 100, &settings).unwrap_err().to_string();
        assert!(message.contains("the largest of 100"), "{message}");
    }
}
