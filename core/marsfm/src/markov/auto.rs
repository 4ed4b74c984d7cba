//! Settings chosen from the data, each with a line that says why: features by cross-validated
//! VAMP-2, no more microstates than the frames can fill, lags where timescales level off, the number
//! of macrostates by the largest gap between timescales. A choice that the user made is left alone.
//! Little data get small models: of features that score alike the fewest win.

use anyhow::{Context, Result, anyhow};
use marsfm_features::{FeatureChoice, FeatureKind};
use marsfm_host::Host;
use marsfm_msm::vamp::vamp2_cross_validated;
use marsfm_msm::{FRAMES_PER_MICROSTATE, Msm, MsmBuilder, MsmError, Rows, Tica};
use serde::Serialize;

use super::files::{FeatureFiles, TrajectoryFiles};
use super::passes::FilesRequest;

/// Timescales that change by less than this from one lag to the next (at most 2.5 times as long)
/// have levelled off.
const LEVEL: f64 = 0.15;
/// Processes whose VAMP-2 score is compared.
const SCORED: usize = 5;
const FOLDS: usize = 5;
/// Frames to a feature below which TICA fits noise.
const FRAMES_PER_FEATURE: usize = 10;
/// Relaxation times of the slowest process that the data should last.
const RELAXATIONS: f64 = 10.0;

/// What the user has fixed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fixed {
    /// The features.
    pub features: bool,
    /// The number of microstates.
    pub microstates: bool,
    /// The TICA lag.
    pub tica_lag: bool,
    /// The MSM lag.
    pub msm_lag: bool,
    /// The pair lag.
    pub pair_lag: bool,
    /// The number of macrostates.
    pub macrostates: bool,
}

/// One choice.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// What was chosen.
    pub what: &'static str,
    /// The value.
    pub value: String,
    /// Why.
    pub why: String,
}

/// Fills in what is not fixed. Rows are held in memory for this.
pub fn choose(
    host: &Host,
    request: &mut FilesRequest,
    fixed: Fixed,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Choice>> {
    let mut choices = Vec::new();
    let mut say = |what, value: String, why: String| choices.push(Choice { what, value, why });
    if !fixed.features && request.features.plugin.is_none() {
        progress("choosing features");
        let (choice, why) = features(host, &request.files, request.settings.tica_lag_ps)?;
        say("features", choice.to_string(), why);
        request.features.choice = choice;
    }
    let files = FeatureFiles::open(host, &request.files, &request.features)?;
    let data =
        (0..files.n_trajectories()).map(|n| files.rows(n)).collect::<Result<Vec<Vec<f64>>>>()?;
    let rows = data
        .iter()
        .map(|d| Rows::new(d, files.n_features()))
        .collect::<Result<Vec<_>, MsmError>>()?;
    let longest = rows.iter().map(Rows::n_rows).max().unwrap_or(0);
    let frame_ps = files.frame_ps();
    let total: usize = rows.iter().map(Rows::n_rows).sum();
    let width = files.n_features();
    if total < FRAMES_PER_FEATURE * width {
        let why = format!(
            "{total} frames for {width} features: the slow coordinates are partly fitted noise; \
             fewer features (--features) or {} frames would do",
            FRAMES_PER_FEATURE * width
        );
        say("trust", "few frames for the features".into(), why);
    }
    if !fixed.microstates {
        let (n, why) = microstates(total, request.settings.microstates);
        request.settings.microstates = n;
        say("microstates", n.to_string(), why);
    }
    let lags = ladder(longest / 5);
    if !fixed.tica_lag {
        progress("choosing the TICA lag");
        let slow = |lag: usize| -> Result<Vec<f64>> {
            Ok(Tica::new(lag).fit(&rows)?.timescales().into_iter().take(1).collect())
        };
        let (lag, why) = level(&lags, frame_ps, total, slow)?;
        request.settings.tica_lag_ps = lag as f64 * frame_ps;
        say("TICA lag", format!("{} ps", request.settings.tica_lag_ps), why);
    }
    progress("choosing the MSM lag");
    // One clustering serves all lags: microstates do not depend on them.
    let first = MsmBuilder {
        msm_lag: 1,
        pair_lag: 1,
        timescale_lags: Some(lags.clone()),
        ..request.builder(&files)?
    };
    let msm = first.build(&rows).context("the model that lags are chosen on")?;
    if !fixed.msm_lag {
        let slow = |lag: usize| -> Result<Vec<f64>> {
            let at = msm.implied_timescales.iter().find(|t| t.lag == lag);
            Ok(at.map_or(vec![], |t| t.timescales.iter().copied().take(1).collect()))
        };
        let (lag, why) = level(&lags, frame_ps, total, slow)?;
        request.settings.msm_lag_ps = lag as f64 * frame_ps;
        say("MSM lag", format!("{} ps", request.settings.msm_lag_ps), why);
    }
    let msm_lag = files.lag_frames(request.settings.msm_lag_ps)?;
    if !fixed.macrostates {
        let entered = |m: usize| -> Result<bool> {
            let builder = request.builder(&files)?;
            let at = MsmBuilder { msm_lag, pair_lag: msm_lag, n_macrostates: m, ..builder };
            let at = at.assemble(msm.tica.clone(), kmeans(&msm), msm.micro_trajectories.clone())?;
            Ok(at.macro_visitors.iter().all(|v| *v > 1))
        };
        let times = msm.implied_timescales.iter().find(|t| t.lag == msm_lag);
        let times = times.map_or(&[][..], |t| &t.timescales);
        let several = files.n_trajectories() > 1;
        let (n, why) = gap(times, request.settings.macrostates, |m| Ok(!several || entered(m)?))?;
        request.settings.macrostates = n;
        say("macrostates", n.to_string(), why);
    }
    if !fixed.pair_lag {
        // A jump should be worth its cost and states should still be states: the longest lag at
        // which a macrostate is left in fewer than half of the jumps.
        let (mut best, mut stays) = (msm_lag, None);
        for lag in lags.iter().copied().filter(|l| *l >= msm_lag) {
            let at = MsmBuilder { msm_lag, pair_lag: lag, ..request.builder(&files)? };
            let stay = at
                .assemble(msm.tica.clone(), kmeans(&msm), msm.micro_trajectories.clone())?
                .mean_self_transition;
            if stay < 0.5 {
                break;
            }
            (best, stays) = (lag, Some(stay));
        }
        request.settings.pair_lag_ps = best as f64 * frame_ps;
        let why = match stays {
            Some(stay) if lags.last() == Some(&best) => format!(
                "longest lag that the data carry, a fifth of a trajectory; states are still \
                 metastable (mean T_ii {stay:.2})"
            ),
            Some(stay) => {
                format!("longest lag at which states are metastable (mean T_ii {stay:.2})")
            }
            None => "no lag leaves the states metastable: the MSM lag".into(),
        };
        say("pair lag", format!("{} ps", request.settings.pair_lag_ps), why);
    }
    let at = msm.implied_timescales.iter().find(|t| t.lag == msm_lag);
    if let Some(slowest) = at.and_then(|t| t.timescales.first()) {
        let lasts = total as f64 / slowest;
        if lasts < RELAXATIONS {
            let why = format!(
                "all trajectories together last {lasts:.1} times the slowest timescale ({:.0} ps), \
                 which is then little more than a guess; {RELAXATIONS:.0} times would be enough",
                slowest * frame_ps
            );
            say("trust", "too little data".into(), why);
        }
    }
    Ok(choices)
}

/// As many microstates as asked, or as many as the frames can fill.
fn microstates(frames: usize, asked: usize) -> (usize, String) {
    let n = (frames / FRAMES_PER_MICROSTATE).clamp(2, asked.max(2));
    let each = frames as f64 / n as f64;
    let why = if n < asked {
        format!("{frames} frames fill no more, {each:.0} each; {asked} would be fitted to noise")
    } else {
        format!("the usual number; {each:.0} frames each")
    };
    (n, why)
}

fn kmeans(msm: &Msm) -> marsfm_msm::KMeansModel {
    marsfm_msm::KMeansModel {
        centers: msm.centers.clone(),
        inertias: vec![msm.inertia],
        converged: true,
        warnings: vec![],
    }
}

/// 1, 2, 5, 10, … up to `limit`.
fn ladder(limit: usize) -> Vec<usize> {
    let all = (0..9).flat_map(|d| [1, 2, 5].map(|f| f * 10_usize.pow(d)));
    all.take_while(|lag| *lag <= limit.max(1)).collect()
}

/// The first lag from which the slowest timescale has levelled off, in `total` frames.
fn level(
    lags: &[usize],
    frame_ps: f64,
    total: usize,
    slow: impl Fn(usize) -> Result<Vec<f64>>,
) -> Result<(usize, String)> {
    let mut at: Vec<(usize, f64)> = Vec::new();
    for &lag in lags {
        // A timescale below its lag, or longer than all data, is noise: longer lags can only be worse.
        match slow(lag)?.first() {
            Some(t) if *t >= lag as f64 && *t <= total as f64 => at.push((lag, *t)),
            _ => break,
        }
    }
    let ps = |frames: f64| frames * frame_ps;
    let found = at.windows(2).find(|w| w[1].1 < (1.0 + LEVEL) * w[0].1);
    Ok(match (found, at.last()) {
        (Some(w), _) => (
            w[0].0,
            format!(
                "the slowest timescale has levelled off there ({:.0} ps, at the next lag {:.0} ps)",
                ps(w[0].1),
                ps(w[1].1)
            ),
        ),
        (None, Some((lag, t))) => (
            *lag,
            format!(
                "the slowest timescale grows at all lags that the data carry; the longest of them \
                 ({:.0} ps there, a lower bound)",
                ps(*t)
            ),
        ),
        (None, None) => {
            let why = "no process is slower than a lag and faster than all data last: the shortest";
            (lags[0], why.into())
        }
    })
}

/// Macrostates by the largest ratio of neighbouring timescales, 2 to `most`: of the numbers for which
/// every macrostate was `entered` by more than one trajectory, if there are any.
fn gap(
    times: &[f64],
    most: usize,
    entered: impl Fn(usize) -> Result<bool>,
) -> Result<(usize, String)> {
    let ratio = |m: usize| times[m - 2] / times[m - 1];
    let mut all: Vec<usize> = (2..=most.min(times.len())).collect();
    all.sort_by(|a, b| ratio(*b).total_cmp(&ratio(*a)));
    let Some(&largest) = all.first() else {
        return Ok((2, "too few timescales to look for a gap".into()));
    };
    let said = |m: usize| match m {
        2 => format!("the slowest process is {:.1} times slower than the next", ratio(m)),
        m => format!(
            "the {} slowest processes are {:.1} times slower than the next",
            m - 1,
            ratio(m)
        ),
    };
    for m in all {
        if entered(m)? {
            let why = match m == largest {
                true => format!("largest gap between timescales: {}", said(m)),
                false => format!(
                    "largest gap between timescales for which more than one trajectory entered each \
                     state: {} ({largest} states would have a larger one)",
                    said(m)
                ),
            };
            return Ok((m, why));
        }
    }
    let why = format!(
        "largest gap between timescales: {}; with any number there is a state that one trajectory \
         alone entered",
        said(largest)
    );
    Ok((largest, why))
}

fn features(host: &Host, files: &TrajectoryFiles, lag_ps: f64) -> Result<(FeatureChoice, String)> {
    let (mut scores, mut refused) = (Vec::new(), None);
    for kind in FeatureKind::ALL {
        let choice = FeatureChoice(vec![kind]);
        let wanted = super::files::Features { choice: choice.clone(), plugin: None };
        // Features that this molecule does not have are no candidates.
        let opened = match FeatureFiles::open(host, files, &wanted) {
            Ok(opened) => opened,
            Err(why) => {
                refused.get_or_insert(why);
                continue;
            }
        };
        let lag = opened.lag_frames(lag_ps)?;
        let data = (0..opened.n_trajectories())
            .map(|n| opened.rows(n))
            .collect::<Result<Vec<Vec<f64>>>>()?;
        let rows = data
            .iter()
            .map(|d| Rows::new(d, opened.n_features()))
            .collect::<Result<Vec<_>, MsmError>>()?;
        let total: usize = rows.iter().map(Rows::n_rows).sum();
        let block = (total / (4 * FOLDS)).max(lag + 1);
        match vamp2_cross_validated(&rows, lag, SCORED, FOLDS, block, 1) {
            Ok(folds) => {
                let mean = folds.iter().sum::<f64>() / folds.len() as f64;
                let square = folds.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>();
                let error = (square / (folds.len() * (folds.len() - 1)) as f64).sqrt();
                scores.push(Score { choice, width: opened.n_features(), total, mean, error });
            }
            // Constant features (contacts that never break) cannot be scored.
            Err(MsmError::NoVariance { .. }) => {}
            Err(e) => return Err(e).with_context(|| format!("VAMP-2 score of {choice}")),
        }
    }
    let Some((best, why)) = best_features(scores) else {
        return Err(refused.unwrap_or_else(|| anyhow!("none of the features varies")));
    };
    Ok((best, format!("cross-validated VAMP-2 of {SCORED} processes at {lag_ps} ps: {why}")))
}

/// Cross-validated score of one family of features.
struct Score {
    choice: FeatureChoice,
    width: usize,
    /// Frames that it was scored on.
    total: usize,
    mean: f64,
    error: f64,
}

/// The fewest features among those whose score is the highest but for its standard error; features
/// that are too many for the frames only where all are.
fn best_features(mut scores: Vec<Score>) -> Option<(FeatureChoice, String)> {
    scores.sort_by(|a, b| b.mean.total_cmp(&a.mean));
    let table: Vec<_> =
        scores.iter().map(|s| format!("{} {:.2} ± {:.2}", s.choice, s.mean, s.error)).collect();
    let wide = |s: &Score| s.total < FRAMES_PER_FEATURE * s.width;
    let left_out: Vec<String> =
        scores.iter().filter(|s| wide(s)).map(|s| s.choice.to_string()).collect();
    let total = scores.first()?.total;
    let mut among = String::new();
    if !left_out.is_empty() && left_out.len() < scores.len() {
        among = format!(
            " of those that {total} frames can carry (too many features: {})",
            left_out.join(", ")
        );
        scores.retain(|s| !wide(s));
    }
    let first = scores.first()?;
    let bar = first.mean - first.error;
    let alike = scores.iter().filter(|s| s.mean >= bar);
    let best = alike.min_by_key(|s| s.width)?;
    let rule = match best.choice == first.choice {
        true => "the highest",
        false => "no worse than the highest within its error, of fewer features,",
    };
    let rule = rule.to_owned() + &among;
    Some((best.choice.clone(), format!("{}; {}", table.join(", "), rule.trim_end_matches(','))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_chosen_where_timescales_level_off() {
        let times = |at: &'static [f64]| {
            move |lag: usize| -> Result<Vec<f64>> {
                let i = [1, 2, 5, 10, 20].iter().position(|l| *l == lag).unwrap();
                Ok(vec![at[i]])
            }
        };
        let lags = ladder(20);
        assert_eq!(lags, [1, 2, 5, 10, 20]);
        let (lag, why) = level(&lags, 0.5, 1000, times(&[10.0, 20.0, 30.0, 32.0, 33.0])).unwrap();
        assert_eq!(lag, 5);
        assert!(why.contains("15 ps") && why.contains("16 ps"), "{why}");
        let (lag, why) = level(&lags, 1.0, 1000, times(&[10.0, 20.0, 30.0, 40.0, 60.0])).unwrap();
        assert!(lag == 20 && why.contains("lower bound"), "{lag} {why}");
        // From 5 frames on the timescale is shorter than the lag.
        let (lag, _) = level(&lags, 1.0, 1000, times(&[2.0, 3.0, 4.0, 4.0, 4.0])).unwrap();
        assert_eq!(lag, 2);
        let (lag, why) = level(&lags, 1.0, 1000, times(&[0.5, 0.5, 0.5, 0.5, 0.5])).unwrap();
        assert!(lag == 1 && why.contains("no process"), "{lag} {why}");
        // Slower than all data together: fitted noise.
        let (lag, why) = level(&lags, 1.0, 25, times(&[5.0, 12.0, 20.0, 40.0, 41.0])).unwrap();
        assert!(lag == 5 && why.contains("lower bound"), "{lag} {why}");
    }

    #[test]
    fn macrostates_are_entered_by_more_than_one_trajectory_if_that_can_be() {
        let times = [900.0, 100.0, 60.0, 10.0];
        let of = |entered: &[usize]| gap(&times, 10, |m| Ok(entered.contains(&m))).unwrap();
        let (n, why) = of(&[2, 3, 4]);
        assert!(n == 2 && why.contains("process is 9.0 times"), "{n} {why}");
        let (n, why) = of(&[3, 4]);
        assert!(n == 4 && why.contains("3 slowest processes are 6.0 times"), "{n} {why}");
        assert!(why.contains("2 states would"), "{why}");
        let (n, why) = of(&[]);
        assert!(n == 2 && why.contains("one trajectory alone"), "{n} {why}");
        assert_eq!(gap(&[5.0], 10, |_| Ok(true)).unwrap().0, 2);
    }

    #[test]
    fn little_data_get_small_models() {
        assert_eq!(microstates(100_000, 100).0, 100);
        let (n, why) = microstates(275, 100);
        assert!(n == 13 && why.contains("21 each") && why.contains("noise"), "{n} {why}");
        assert_eq!(microstates(10, 100).0, 2);
        let score = |kind, width, mean, error| Score {
            choice: FeatureChoice(vec![kind]),
            width,
            total: 10_000,
            mean,
            error,
        };
        let scores = || {
            vec![
                score(FeatureKind::Torsions, 80, 3.0, 0.2),
                score(FeatureKind::Backbone, 36, 2.9, 0.1),
                score(FeatureKind::RgSs, 3, 1.5, 0.1),
            ]
        };
        let (choice, why) = best_features(scores()).unwrap();
        assert!(choice.to_string() == "backbone" && why.contains("fewer"), "{choice} {why}");
        let mut sure = scores();
        sure[0].error = 0.01;
        let (choice, why) = best_features(sure).unwrap();
        assert!(choice.to_string() == "torsions" && why.ends_with("the highest"), "{choice} {why}");
        // 275 frames carry the three features of the last family.
        let few = || scores().into_iter().map(|s| Score { total: 275, ..s });
        let (choice, why) = best_features(few().collect()).unwrap();
        assert!(choice.to_string() == "rg-ss", "{choice} {why}");
        assert!(
            why.ends_with(
                "the highest of those that 275 frames can carry (too many features: \
            torsions, backbone)"
            ),
            "{why}"
        );
        let (choice, _) = best_features(few().take(2).collect()).unwrap();
        assert_eq!(choice.to_string(), "backbone");
        assert!(best_features(vec![]).is_none());
    }
}
