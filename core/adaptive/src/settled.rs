//! A stop rule that needs no reference.

use crate::history::{Drift, History};

/// Epochs that must agree.
const EPOCHS: usize = 4;
/// Largest total variation between populations.
const POPULATIONS: f64 = 0.02;
/// Largest population of places that an older epoch had not seen.
const UNSEEN: f64 = 0.01;

/// True if the last four epochs found nothing new and moved nothing, in the states of the newest
/// model: populations within 0.02 of each other in total variation, at most 0.01 of the population
/// in microstates that were new, the slowest timescale within a quarter.
pub fn settled(history: &History) -> bool {
    let Some(epoch) = history.epochs.last().filter(|e| e.statistics.is_ok()) else { return false };
    let last = &epoch.drift[epoch.drift.len().saturating_sub(EPOCHS)..];
    let [older @ .., now] = last else { return false };
    older.len() == EPOCHS - 1 && older.iter().all(|then| same(then, now))
}

fn same(then: &Drift, now: &Drift) -> bool {
    let pairs = then.populations.iter().zip(&now.populations);
    let moved: f64 = pairs.map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
    let (Some(a), Some(b)) = (then.timescale_ps, now.timescale_ps) else { return false };
    then.populations.len() == now.populations.len()
        && moved < POPULATIONS
        && then.unseen < UNSEEN
        && (0.75..1.34).contains(&(b / a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::EpochRecord;
    use crate::statistics::Statistics;

    fn after(drift: Vec<Drift>) -> History {
        let statistics = Statistics {
            lag_ps: 1.0,
            runs: 1,
            connected_frames: 1.0,
            populations: vec![],
            free_energies_kj_mol: vec![],
            timescales_ps: vec![],
            mfpt_ps: vec![],
            unconnected: vec![],
            remarks: vec![],
            warnings: vec![],
        };
        let epoch = drift.last().map_or(0, |d| d.epoch);
        let (md_ps, microstates, seconds) = (0.0, 0, [0.0; 4]);
        let statistics = Ok(statistics);
        let record = EpochRecord { epoch, md_ps, microstates, statistics, drift, seconds };
        let mut history = History::default();
        history.epochs.push(record);
        history
    }

    #[test]
    fn every_condition_counts() {
        let at = |epoch: usize, p: f64, timescale: f64, unseen: f64| Drift {
            epoch,
            populations: vec![p, 1.0 - p],
            timescale_ps: Some(timescale),
            unseen,
        };
        let quiet: Vec<Drift> = (0..6).map(|e| at(e, 0.3, 100.0, 0.0)).collect();
        assert!(settled(&after(quiet.clone())));
        assert!(!settled(&after(quiet[..3].to_vec())));
        assert!(!settled(&History::default()));
        for (which, wrong) in [
            (3, at(3, 0.33, 100.0, 0.0)),
            (4, at(4, 0.3, 140.0, 0.0)),
            (2, at(2, 0.3, 100.0, 0.02)),
        ] {
            let mut moved = quiet.clone();
            moved[which] = wrong;
            assert!(!settled(&after(moved)), "epoch {which}");
        }
        // What was before the last four does not matter.
        let mut early = quiet;
        early[1] = at(1, 0.9, 5.0, 0.5);
        assert!(settled(&after(early)));
    }
}
