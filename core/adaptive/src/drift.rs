//! How numbers moved from epoch to epoch, all in the states of the newest model.

use marsfm_msm::{CountMode, ReversibleMle, count_transitions};

use crate::history::Drift;
use crate::statistics::{Question, statistics};
use crate::store::Store;
use crate::{LoopError, Model};

/// Epochs that are told at most.
const MOST: usize = 24;

/// The numbers of the MD up to each of the last epochs; the newest epoch with runs comes last.
pub(crate) fn drift(store: &Store, model: &Model) -> Result<Vec<Drift>, LoopError> {
    let runs = &store.history().runs;
    let all = model.micro_trajectories();
    let question = Question { draws: 0, ..store.question(model) };
    let counts = count_transitions(&all, model.n_micro(), question.lag, CountMode::Sliding)?;
    let fitted = ReversibleMle::default().fit(&counts)?;
    let last = runs.iter().filter_map(|r| r.epoch).max().unwrap_or(0);
    let one = |epoch: usize| -> Drift {
        let until = |i: &usize| runs[*i].epoch.is_none_or(|e| e <= epoch);
        let some: Vec<&[i32]> = (0..all.len()).filter(until).map(|i| all[i]).collect();
        let mut entered = vec![false; model.n_micro()];
        some.iter().flat_map(|t| t.iter()).for_each(|m| entered[*m as usize] = true);
        let active = fitted.active.iter().zip(&fitted.pi);
        let unseen = active.filter(|(m, _)| !entered[**m]).map(|(_, p)| p).sum();
        let (populations, timescale_ps) = match statistics(&some, &question) {
            Err(_) => (Vec::new(), None),
            Ok(s) => (
                s.populations.iter().map(|p| p.map_or(0.0, |p| p.value)).collect(),
                s.timescales_ps.first().map(|t| t.value),
            ),
        };
        Drift { epoch, populations, timescale_ps, unseen }
    };
    Ok(((last + 1).saturating_sub(MOST)..=last).map(one).collect())
}
