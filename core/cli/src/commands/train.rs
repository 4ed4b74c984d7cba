//! `marsfm train RECIPE --out MODEL`.

use std::path::PathBuf;
use std::process::ExitCode;

use marsfm::train::{TrainEvent, TrainRequest, train};
use marsfm::{Device, Host};

use crate::progress::Progress;

/// Arguments of `marsfm train`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The recipe (TOML).
    recipe: PathBuf,
    /// Folder with one folder per system, instead of the recipe's `data.root`.
    #[arg(long)]
    data: Option<PathBuf>,
    /// End after this step of the recipe's schedule, as if it were the last.
    #[arg(long, value_name = "STEP")]
    stop_at: Option<u64>,
    /// Where losses and gradients are computed: cpu, cuda, cuda:1, or auto.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
    /// Checkpoint to write; the state of a running training is kept beside it as OUT.state.
    #[arg(long)]
    out: PathBuf,
}

/// Trains.
pub fn run(host: &Host, a: &Arguments) -> anyhow::Result<ExitCode> {
    let request = TrainRequest {
        recipe: &a.recipe,
        data: a.data.as_deref(),
        stop_at: a.stop_at,
        device: &a.device,
        out: &a.out,
    };
    let mut progress = Progress::new();
    progress.stage("reading systems");
    let mut training = false;
    let card = train(host, &request, |event| {
        match event {
            TrainEvent::Prepared { name, done: (done, total) } => {
                progress.at(done as u64, total as u64, name.to_string());
            }
            TrainEvent::Note(note) => progress.note(note),
            TrainEvent::Step(s) => {
                if !training {
                    progress.stage("training");
                    training = true;
                }
                progress.at(s.step, s.steps, crate::commands::train::words(s));
            }
        }
        true
    })?;
    progress.clear();
    if let Some(training) = card.and_then(|c| c.training) {
        let last = training.losses.last();
        println!("{}: trained for {} steps", a.out.display(), training.steps);
        if let Some((_, loss, validation)) = last {
            let validation = validation.map_or("none".into(), |v| format!("{v:.4}"));
            println!("training loss {loss:.4}, validation loss {validation}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Loss and speed of a training step in words.
pub fn words(s: &marsfm::train::Status) -> String {
    let validation = s.validation.map_or(String::new(), |v| format!(" validation {v:.4}"));
    let left = (s.steps - s.step) as f64 / s.steps_per_second.max(1e-9);
    format!(
        "loss {:.4}{validation}, {:.1} steps/s, {:.0} min left",
        s.loss,
        s.steps_per_second,
        left / 60.0
    )
}
