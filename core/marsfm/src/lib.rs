//! State-to-state jumps for molecular dynamics: the use-cases, each once.
//!
//! Data flows one way: [`systems`] (trajectories in memory) → [`markov`] (features, Markov model) →
//! [`train`] (pairs, surrogate) → [`sample`] (jumps, seeds) → [`evaluate`], [`benchmark`] and
//! [`suite`] (against MD). [`engines`] prepares seeds and runs them, [`import`] makes seeds of other
//! ensembles; [`adaptive`] alternates MD and seeds. [`session`] serves programs that bring their own
//! atoms; [`split`] parts sequences; [`demo`] runs everything once.

use std::path::Path;

pub mod adaptive;
pub mod benchmark;
pub mod break_even;
pub mod check;
pub mod demo;
mod demo_report;
pub mod engines;
pub mod evaluate;
pub mod import;
pub mod markov;
mod pairs;
mod pictures;
mod prepared;
pub mod sample;
pub mod score;
pub mod session;
mod small;
pub mod split;
pub mod suite;
pub mod systems;
pub mod train;
pub mod verify;

pub use marsfm_host::{Device, Devices, EngineLimits, Host, HostError};
pub use marsfm_msm as msm;
pub use marsfm_preparation as preparation;
pub use marsfm_surrogate as surrogate;
pub use marsfm_trajectory::{AtomicFile, write_atomically};

/// Reads a surrogate's model card without its weights.
pub fn read_card(path: &Path) -> Result<surrogate::card::ModelCard, surrogate::SurrogateError> {
    surrogate::checkpoint::read_card(path)
}

/// The losses of a training run over its steps as a picture (SVG); `None` if the card has none.
pub fn loss_plot(card: &surrogate::card::ModelCard) -> Option<String> {
    let losses = &card.training.as_ref()?.losses;
    let train = losses.iter().map(|(step, loss, _)| (*step as f64, *loss)).collect();
    let held_out = losses.iter().filter_map(|(step, _, v)| v.map(|v| (*step as f64, v))).collect();
    let mut series = vec![marsfm_report::Series::new("training", train)];
    let held_out = marsfm_report::Series::new("validation", held_out);
    series.extend((!held_out.points.is_empty()).then_some(held_out));
    let plot = marsfm_report::LinePlot {
        x_label: "step".into(),
        y_label: "loss".into(),
        series,
        ..marsfm_report::LinePlot::default()
    };
    (!losses.is_empty()).then(|| plot.svg())
}

/// Limits the threads of this process; `None` leaves one per core. Results do not depend on it.
/// Errors if threads are already running.
pub fn use_threads(threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(n) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(n).build_global()?;
    }
    Ok(())
}
