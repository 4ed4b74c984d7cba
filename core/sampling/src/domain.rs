//! How far a request lies outside what a surrogate was trained on. The answer is given anyway; the
//! user sees beside it what differs and how much.

use marsfm_geometry::ResidueType;
use marsfm_surrogate::card::Domain;
use serde::{Deserialize, Serialize};

/// What is known of the system that jumps are asked for; `None` where the caller does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestedDomain {
    /// Temperature, K.
    pub temperature_kelvin: Option<f64>,
    /// Force field name.
    pub force_field: Option<String>,
    /// Solvent model name.
    pub solvent: Option<String>,
    /// True if the chain carries caps.
    pub capped: Option<bool>,
    /// True if there are atoms beside the chain (water, ions, ligands).
    pub bystanders: Option<usize>,
    /// Frames of one window: asked for, trained on (MDGen).
    pub window: Option<(usize, usize)>,
}

/// One difference between request and training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// `temperature`, `force_field`, `solvent`, `termini`, `length`, `residue_type` or `window`.
    pub what: String,
    /// The difference in words and numbers.
    pub message: String,
}

/// Compares a request with a surrogate's training domain. Empty: nothing known differs.
pub fn differences(
    domain: &Domain,
    types: &[ResidueType],
    request: &RequestedDomain,
) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut say = |what: &str, message: String| {
        all.push(Difference { what: what.into(), message });
    };
    // A surrogate that takes a temperature was trained on some, and draws between them too.
    let trained = match domain.temperatures_kelvin[..] {
        [lowest, .., highest] => (lowest, highest),
        _ => (domain.temperature_kelvin, domain.temperature_kelvin),
    };
    if let Some(t) = request.temperature_kelvin {
        let off = t - t.clamp(trained.0, trained.1);
        let at = match trained.0 == trained.1 {
            true => format!("{} K", trained.0),
            false => format!("{} to {} K", trained.0, trained.1),
        };
        if off.abs() > 0.5 {
            say("temperature", format!("asked at {t} K, trained at {at} ({off:+.0} K)"));
        }
    }
    let names = [
        ("force_field", &request.force_field, &domain.force_field),
        ("solvent", &request.solvent, &domain.solvent),
    ];
    for (what, asked, trained) in names {
        if let Some(asked) = asked
            && !asked.eq_ignore_ascii_case(trained)
        {
            say(what, format!("asked with {asked}, trained with {trained}"));
        }
    }
    if let Some(n) = request.bystanders.filter(|n| *n > 0) {
        say(
            "solvent",
            format!(
                "{n} atoms beside the chain (water, ions, ligands) stay where they are; trained with {}",
                domain.solvent
            ),
        );
    }
    let termini = match (request.capped, domain.termini.as_str()) {
        (Some(true), "charged") => Some("the chain is capped, trained on charged termini"),
        (Some(false), "capped") => Some("the chain has free termini, trained on capped ones"),
        _ => None,
    };
    if let Some(message) = termini {
        say("termini", message.into());
    }
    if let Some((asked, trained)) = request.window.filter(|(asked, trained)| asked != trained) {
        say("window", format!("asked for {asked} frames per call, trained on {trained}"));
    }
    let (n, (shortest, longest)) = (types.len(), domain.residues);
    if n < shortest || n > longest {
        say("length", format!("the chain has {n} residues, trained on {shortest} to {longest}"));
    }
    let mut unseen: Vec<char> = types
        .iter()
        .map(|t| t.letter())
        .filter(|l| domain.residue_counts.get(l).is_none_or(|n| *n == 0))
        .collect();
    unseen.sort_unstable();
    unseen.dedup();
    for letter in unseen {
        say("residue_type", format!("residue type {letter} does not occur in the training chains"));
    }
    all
}
