//! `marsfm split`: sequences into training, validation and test sets that are not alike.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::split::{SplitSettings, split};

/// Arguments of `marsfm split`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Sequences (FASTA).
    fasta: PathBuf,
    /// Largest identity of aligned sequences in different sets.
    #[arg(long, default_value_t = 0.2)]
    identity: f64,
    /// Share of the sequences for testing.
    #[arg(long, default_value_t = 0.1)]
    test: f64,
    /// Share for validation.
    #[arg(long, default_value_t = 0.1)]
    validation: f64,
    /// Largest E-value of an alignment that counts.
    #[arg(long, default_value_t = 0.001)]
    e_value: f64,
    /// Least share of both sequences that an alignment must cover to count.
    #[arg(long, default_value_t = 0.0)]
    coverage: f64,
    /// Random seed.
    #[arg(long, default_value_t = 1)]
    rng_seed: u64,
    /// The MMseqs2 program.
    #[arg(long, default_value = "mmseqs")]
    mmseqs: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Folder to write into.
    #[arg(long, default_value = "split")]
    out: PathBuf,
}

/// Splits.
pub fn run(a: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = SplitSettings {
        identity: a.identity,
        test: a.test,
        validation: a.validation,
        e_value: a.e_value,
        coverage: a.coverage,
        rng_seed: a.rng_seed,
        program: a.mmseqs.clone(),
    };
    let s = split(&a.fasta, &a.out, &settings)?;
    if a.json {
        super::print_json(&s)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} sequences in {} clusters (the largest of {}): {} for training, {} for validation, {} \
         for testing",
        s.sequences,
        s.clusters,
        s.largest_cluster,
        s.train.len(),
        s.validation.len(),
        s.test.len()
    );
    for p in &s.proofs {
        let highest = p.highest_identity.map_or("none".into(), |i| format!("{:.1} %", 100.0 * i));
        println!(
            "searched {} in {}: {} alignments, highest identity {highest}",
            p.of, p.within, p.alignments
        );
    }
    println!("written to {} (MMseqs2 {})", a.out.display(), s.mmseqs_version);
    Ok(ExitCode::SUCCESS)
}
