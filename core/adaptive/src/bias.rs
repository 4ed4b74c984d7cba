//! Bias shown, not denied: the same runs with other heads, other lags, and without each class of
//! seeds. Numbers that move with any of them are not settled.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::statistics::{Question, Statistics, statistics};
use crate::{Model, Store};

/// The numbers under one change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// `as set`, `head`, `lag`, or `without`.
    pub kind: String,
    /// Its value in words: `20 ps`, or a class of seeds.
    pub value: String,
    /// True where runs behind their heads are shorter than ten lags: then it proves nothing.
    pub short: bool,
    /// The numbers; `Err` in words where there is no model.
    pub statistics: Result<Statistics, String>,
}

/// All variants; the numbers as set come first.
pub fn variants(store: &Store, model: &Model, draws: usize) -> Vec<Variant> {
    let (settings, history) = (store.settings(), store.history());
    let frame_ps = settings.budget.frame_ps;
    let (head, rest) = settings.run_frames();
    let (head, rest) = (head as usize, rest as usize);
    let lag = settings.lag_frames();
    let all = model.with_heads();
    // Imported MD has heads of its own, which stay.
    let head_of = |run: usize, head: usize| match history.runs[run].epoch {
        Some(_) => head,
        None => history.runs[run].head_frames as usize,
    };
    let ask = |kind: &str, value: String, head: usize, lag: usize, without: Option<&str>| {
        let taken = (0..all.len()).filter(|i| without != Some(history.class(&history.runs[*i])));
        let runs: Vec<&[i32]> =
            taken.map(|i| &all[i][head_of(i, head).min(all[i].len())..]).collect();
        let question = Question { lag, draws, ..store.question(model) };
        let short = settings.run_frames().0 as usize + rest < head + 10 * lag;
        let statistics = statistics(&runs, &question).map_err(|e| e.to_string());
        Variant { kind: kind.into(), value, short, statistics }
    };
    let ps = |frames: usize| format!("{} ps", frames as f64 * frame_ps);
    let mut out = vec![ask("as set", String::new(), head, lag, None)];
    let fits = |head: usize, lag: usize| head + lag < settings.run_frames().0 as usize + rest;
    let heads: BTreeSet<usize> = [0, head / 2, 2 * head, 4 * head].into();
    for other in heads.into_iter().filter(|h| *h != head && fits(*h, lag)) {
        out.push(ask("head", ps(other), other, lag, None));
    }
    let lags: BTreeSet<usize> = [lag / 4, lag / 2, 2 * lag, 4 * lag].into();
    for other in lags.into_iter().filter(|l| *l > 0 && *l != lag && fits(head, *l)) {
        out.push(ask("lag", ps(other), head, other, None));
    }
    let classes: BTreeSet<&str> = history.runs.iter().map(|r| history.class(r)).collect();
    for class in classes.iter().filter(|_| classes.len() > 1) {
        out.push(ask("without", (*class).into(), head, lag, Some(class)));
    }
    out
}
