//! A stop rule that needs no reference.

use crate::history::{EpochRecord, History};
use crate::statistics::{Estimate, Statistics};

/// True if the last epochs found nothing new and moved nothing: no new microstates, populations
/// within 0.02 of each other in total variation, slowest timescale within a quarter.
pub fn settled(history: &History) -> bool {
    const EPOCHS: usize = 4;
    let last: Vec<&EpochRecord> = history.epochs.iter().rev().take(EPOCHS).collect();
    let [newest, older @ ..] = &last[..] else { return false };
    let Ok(now) = &newest.statistics else { return false };
    let value = |e: &Option<Estimate>| e.map_or(0.0, |e| e.value);
    older.len() == EPOCHS - 1
        && older.iter().all(|epoch| {
            let Ok(then) = &epoch.statistics else { return false };
            let same_length = then.populations.len() == now.populations.len();
            let pairs = then.populations.iter().zip(&now.populations);
            let moved: f64 = pairs.map(|(a, b)| (value(a) - value(b)).abs()).sum::<f64>() / 2.0;
            let slow = |s: &Statistics| s.timescales_ps.first().map_or(0.0, |t| t.value);
            let ratio = slow(now) / slow(then).max(1e-12);
            same_length
                && epoch.microstates == newest.microstates
                && moved < 0.02
                && (0.75..1.34).contains(&ratio)
        })
}
