//! `marsfm model FILE`: the model card.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

/// Arguments of `marsfm model`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A checkpoint; the default surrogate if none is named.
    file: Option<PathBuf>,
    /// Write the losses of its training as a picture (SVG) too.
    #[arg(long, value_name = "FILE")]
    losses: Option<PathBuf>,
}

/// Prints the card as JSON.
pub fn run(a: &Arguments) -> anyhow::Result<ExitCode> {
    let file = super::model(a.file.as_ref())?;
    let card = marsfm::read_card(&file)?;
    if let Some(out) = &a.losses {
        let plot = marsfm::loss_plot(&card)
            .with_context(|| format!("{}: its card holds no losses", file.display()))?;
        std::fs::write(out, plot)
            .with_context(|| format!("{}: cannot be written", out.display()))?;
    }
    super::print_json(&card)?;
    Ok(ExitCode::SUCCESS)
}
