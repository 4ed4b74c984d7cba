//! Seeds on a real engine: placed into the engine's atoms, prepared, judged, run, read back.
//!
//! This is a seeding method. MD + jump + minimisation + new velocities does not satisfy detailed
//! balance, so nothing may be counted over the whole chain: equilibrium properties come from a
//! Markov model over the runs, each without its head.

mod demo;
mod demo_report;
pub(crate) mod place;
mod record;
mod runner;
mod survey;
mod trial;

use marsfm_host::{EngineLimits, Host};
use marsfm_preparation::EngineError;
use serde::Serialize;
use serde_json::{Map, Value};

pub use demo::{DemoOutcome, DemoRequest, demo};
pub use place::{Placed, read_seeds};
pub use record::{Histogram, SeedRecord, Summary, read_summary};
pub use runner::{Lengths, Prepared, Runner};
pub use survey::{GROUPS, Group, Survey, SurveyRequest, share, survey};
pub use trial::{DemoSeed, Place};

/// What an engine says about itself.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Name of the engine.
    pub engine: String,
    /// The plugin's answer, or why there is none.
    pub answer: Result<Value, String>,
}

/// Asks every engine (or one) what is here; with a template in the options, also opens it.
pub fn doctor(
    host: &Host,
    engine: Option<&str>,
    options: &Map<String, Value>,
    limits: EngineLimits,
) -> Vec<Description> {
    let names = match engine {
        Some(name) => vec![name.to_owned()],
        None => host.engines(),
    };
    let text = Value::Object(options.clone()).to_string();
    let ask = |engine: String| {
        let answer = host.describe_engine(&engine, &text, limits);
        Description { answer: answer.map_err(|e: EngineError| e.to_string()), engine }
    };
    names.into_iter().map(ask).collect()
}
