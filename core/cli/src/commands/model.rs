//! `marsfm model FILE`: the model card.

use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `marsfm model`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A checkpoint; the default surrogate if none is named.
    file: Option<PathBuf>,
}

/// Prints the card as JSON.
pub fn run(a: &Arguments) -> anyhow::Result<ExitCode> {
    super::print_json(&marsfm::read_card(&super::model(a.file.as_ref())?)?)?;
    Ok(ExitCode::SUCCESS)
}
