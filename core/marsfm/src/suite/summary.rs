//! From targets to the table: means over targets with intervals (targets resampled), correlations
//! over targets for domains, and rows against each other target by target.

use marsfm_metrics::bootstrap::{Bootstrap, Interval};
use marsfm_metrics::protein::{pearson, rmsf_agreement};
use serde::Serialize;

use super::{Fluctuation, Row, Suite};

/// The row of MD as a competitor.
pub const ORACLE: &str = "MD (oracle)";
const LIBRARY: &str = "residue library";
const RESAMPLES: usize = 2000;
/// Fewer targets have no interval worth a verdict.
const FEWEST: usize = 3;

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Method.
    pub method: String,
    /// Targets that it was scored on.
    pub n: usize,
    /// Mean share of accepted draws.
    pub acceptance: f64,
    /// Mean effectively independent conformations.
    pub n_eff: f64,
    /// Mean wall time of drawing per target, s.
    pub seconds: f64,
    /// The numbers.
    pub scores: Vec<Mean>,
}

/// A number of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Mean {
    /// Name of the score.
    pub name: String,
    /// Targets that have it.
    pub n: usize,
    /// Mean over targets (or the correlation over them), with the interval of resampled targets.
    pub interval: Interval,
    /// Mean floor.
    pub floor: Option<f64>,
    /// Mean MD noise.
    pub md_noise: Option<f64>,
}

/// Two rows compared on the targets that both have.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Name of the score.
    pub score: String,
    /// The row that is judged.
    pub method: String,
    /// The row that it is compared with.
    pub against: String,
    /// Targets.
    pub n: usize,
    /// Ratio of the means, with the interval of resampled targets: below 1 is better for distances.
    pub ratio: Interval,
    /// Targets on which the judged row is the better.
    pub better_on: usize,
}

/// One method on one target: MD as the mean of its replicas.
struct OnTarget<'a> {
    rows: Vec<&'a Row>,
}

impl OnTarget<'_> {
    fn mean(&self, of: impl Fn(&Row) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> =
            self.rows.iter().filter_map(|r| of(r)).filter(|v| v.is_finite()).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    fn score(&self, name: &str) -> Option<f64> {
        self.mean(|r| r.score(name).map(|c| c.value))
    }
}

fn distinct<'a>(of: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut out: Vec<&str> = Vec::new();
    of.for_each(|x| {
        if !out.contains(&x) {
            out.push(x);
        }
    });
    out
}

fn by_target<'a>(rows: &'a [Row], method: &str) -> Vec<(&'a str, OnTarget<'a>)> {
    let mine: Vec<&Row> = rows.iter().filter(|r| r.method == method).collect();
    let targets = distinct(mine.iter().map(|r| r.target.as_str()));
    let on = |t: &&'a str| {
        (*t, OnTarget { rows: mine.iter().copied().filter(|r| r.target == *t).collect() })
    };
    targets.iter().map(on).collect()
}

fn bootstrap(rng_seed: u64) -> Bootstrap {
    Bootstrap { resamples: RESAMPLES, rng_seed, ..Bootstrap::default() }
}

fn mean_of(values: &[f64], which: &[usize]) -> f64 {
    which.iter().map(|i| values[*i]).sum::<f64>() / which.len() as f64
}

/// The table.
pub fn summarise(suite: Suite, rows: &[Row], rng_seed: u64) -> Vec<Summary> {
    let methods = distinct(rows.iter().map(|r| r.method.as_str()));
    let names = distinct(rows.iter().flat_map(|r| r.scores.iter().map(|c| c.name.as_str())));
    let one = |method: &&str| {
        let on = by_target(rows, method);
        let overall = |of: fn(&Row) -> f64| {
            let all: Vec<f64> = on.iter().filter_map(|(_, t)| t.mean(|r| Some(of(r)))).collect();
            all.iter().sum::<f64>() / all.len().max(1) as f64
        };
        let mut scores: Vec<Mean> =
            names.iter().filter_map(|name| mean(name, &on, rng_seed)).collect();
        if suite == Suite::MdCath {
            scores.splice(0..0, correlations(&on, rng_seed));
        }
        Summary {
            method: (*method).into(),
            n: on.len(),
            acceptance: overall(|r| r.acceptance),
            n_eff: overall(|r| r.n_eff),
            seconds: overall(|r| r.seconds),
            scores,
        }
    };
    methods.iter().map(one).collect()
}

fn mean(name: &str, on: &[(&str, OnTarget)], rng_seed: u64) -> Option<Mean> {
    let values: Vec<f64> = on.iter().filter_map(|(_, t)| t.score(name)).collect();
    let side = |of: fn(&super::Cell) -> Option<f64>| {
        let all: Vec<f64> = on.iter().filter_map(|(_, t)| t.mean(|r| of(r.score(name)?))).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    };
    let interval =
        bootstrap(rng_seed).blocks(values.len(), |which| Ok(mean_of(&values, which))).ok()?;
    Some(Mean {
        name: name.into(),
        n: values.len(),
        interval,
        floor: side(|c| c.floor),
        md_noise: side(|c| c.md_noise),
    })
}

/// Numbers that are correlations over targets (METHOD 8.2); MD's first replica stands for MD.
fn correlations(on: &[(&str, OnTarget)], rng_seed: u64) -> Vec<Mean> {
    let all: Vec<&Fluctuation> =
        on.iter().filter_map(|(_, t)| t.rows.first()?.fluctuation.as_ref()).collect();
    let list = |of: fn(&Fluctuation) -> &Vec<f64>, which: &[usize]| -> Vec<Vec<f64>> {
        which.iter().map(|i| of(all[*i]).clone()).collect()
    };
    let pairwise = |which: &[usize]| {
        let a: Vec<f64> = which.iter().map(|i| all[*i].pairwise_rmsd_md_nm).collect();
        let b: Vec<f64> = which.iter().map(|i| all[*i].pairwise_rmsd_nm).collect();
        Ok(pearson(&a, &b)?.unwrap_or(f64::NAN))
    };
    let rmsf = |which: &[usize]| {
        rmsf_agreement(&list(|f| &f.rmsf_md_nm, which), &list(|f| &f.rmsf_nm, which))
    };
    let boot = bootstrap(rng_seed);
    let n = all.len();
    let found = [
        ("pairwise RMSD r (over targets)", boot.blocks(n, pairwise)),
        (
            "per-target RMSF r (median)",
            boot.blocks(n, |w| Ok(rmsf(w)?.median_r.unwrap_or(f64::NAN))),
        ),
        ("global RMSF r", boot.blocks(n, |w| Ok(rmsf(w)?.global_r.unwrap_or(f64::NAN)))),
    ];
    let known = |(name, interval): (&str, Result<Interval, _>)| {
        let interval = interval.ok().filter(|i| i.value.is_finite())?.within(-1.0, 1.0);
        Some(Mean { name: name.into(), n, interval, floor: None, md_noise: None })
    };
    found.into_iter().filter_map(known).collect()
}

/// Scores on which rows are compared.
const COMPARED: [&str; 6] = [
    "torsions (all)",
    "TICA-0",
    "TICA-0,1",
    "macrostates",
    "macrostate MAE (kcal/mol)",
    "state-to-state T",
];

/// Every drawn row against the residue library, MD, and every row of MDGen.
pub fn compare(rows: &[Row], rng_seed: u64) -> Vec<Comparison> {
    let methods = distinct(rows.iter().map(|r| r.method.as_str()));
    let mut out = Vec::new();
    for method in methods.iter().filter(|m| **m != ORACLE && **m != LIBRARY) {
        for against in methods.iter().filter(|m| *m != method) {
            let wanted = [ORACLE, LIBRARY, "stored frames from T"].contains(against)
                || against.starts_with("MDGen");
            if wanted {
                let found =
                    COMPARED.iter().filter_map(|s| pair(rows, s, method, against, rng_seed));
                out.extend(found);
            }
        }
    }
    out
}

fn pair(
    rows: &[Row],
    score: &str,
    method: &str,
    against: &str,
    rng_seed: u64,
) -> Option<Comparison> {
    let (mine, theirs) = (by_target(rows, method), by_target(rows, against));
    let both: Vec<(f64, f64)> = mine
        .iter()
        .filter_map(|(name, t)| {
            let (_, other) = theirs.iter().find(|(n, _)| n == name)?;
            Some((t.score(score)?, other.score(score)?))
        })
        .collect();
    let ratio = |which: &[usize]| {
        let sum = |of: fn(&(f64, f64)) -> f64| which.iter().map(|i| of(&both[*i])).sum::<f64>();
        Ok(sum(|p| p.0) / sum(|p| p.1))
    };
    let ratio = bootstrap(rng_seed).blocks(both.len(), ratio).ok()?;
    Some(Comparison {
        score: score.into(),
        method: method.into(),
        against: against.into(),
        n: both.len(),
        ratio: ratio.within(0.0, f64::INFINITY),
        better_on: both.iter().filter(|(a, b)| a < b).count(),
    })
}

/// What of the project's goals a run shows, in words; a goal is met only if the whole interval is on
/// its side.
pub fn goals(comparisons: &[Comparison], surrogate: &str) -> Vec<String> {
    let goal = |score: &str, against: &str, most: f64| {
        let c = comparisons
            .iter()
            .find(|c| c.score == score && c.method == surrogate && c.against.starts_with(against));
        let c = c?;
        let verdict = if c.n < FEWEST {
            "is not decided by so few targets"
        } else if c.ratio.high <= most {
            "holds"
        } else if c.ratio.low > most {
            "does not hold"
        } else {
            "is not decided by this run"
        };
        Some(format!(
            "{surrogate}'s {score} is at most {most} × that of {}: {verdict} (ratio {:.2}, 95 % \
             {:.2} … {:.2}, n = {})",
            c.against, c.ratio.value, c.ratio.low, c.ratio.high, c.n
        ))
    };
    [
        goal("TICA-0,1", LIBRARY, 0.8),
        goal("macrostates", LIBRARY, 0.8),
        goal("TICA-0,1", ORACLE, 1.5),
        goal("macrostates", ORACLE, 1.5),
        goal("macrostate MAE (kcal/mol)", "MDGen", 0.6),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Cell;

    fn row(target: &str, method: &str, replica: Option<usize>, value: f64) -> Row {
        let cell = |name: &str| Cell {
            name: name.into(),
            value,
            low: value,
            high: value,
            floor: Some(0.1),
            md_noise: Some(0.2),
        };
        Row {
            target: target.into(),
            method: method.into(),
            replica,
            draws: 10,
            n_frames: 10,
            n_eff: 5.0,
            reference_frames: 100,
            reference_n_eff: 20.0,
            acceptance: 1.0,
            outside: 0.0,
            seconds: 1.0,
            scores: vec![cell("TICA-0,1")],
            fluctuation: Some(Fluctuation {
                rmsf_md_nm: vec![1.0, 2.0, 3.0],
                rmsf_nm: vec![1.0, 2.0, 3.0 + value],
                pairwise_rmsd_md_nm: value,
                pairwise_rmsd_nm: 2.0 * value,
            }),
        }
    }

    fn rows() -> Vec<Row> {
        let mut out = Vec::new();
        for (i, target) in ["A", "B", "C"].into_iter().enumerate() {
            let x = i as f64;
            out.push(row(target, ORACLE, Some(0), 0.2 + 0.1 * x));
            out.push(row(target, ORACLE, Some(1), 0.4 + 0.1 * x));
            out.push(row(target, "MarS-FM", None, 0.4 + 0.1 * x));
        }
        out.push(row("A", LIBRARY, None, 0.8));
        out
    }

    #[test]
    fn replicas_are_averaged_within_a_target_and_n_is_told() {
        let s = summarise(Suite::MdCath, &rows(), 1);
        let of = |method: &str, name: &str| {
            let m = s.iter().find(|m| m.method == method).unwrap();
            m.scores.iter().find(|x| x.name == name).cloned().unwrap()
        };
        let oracle = of(ORACLE, "TICA-0,1");
        assert_eq!(oracle.n, 3);
        assert!((oracle.interval.value - 0.4).abs() < 1e-12, "{oracle:?}");
        assert!(oracle.interval.low < 0.4 && oracle.interval.high > 0.4);
        assert!((oracle.floor.unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(of(LIBRARY, "TICA-0,1").n, 1);
        let r = of("MarS-FM", "pairwise RMSD r (over targets)");
        assert!((r.interval.value - 1.0).abs() < 1e-12, "proportional: {r:?}");
        assert!(of("MarS-FM", "per-target RMSF r (median)").interval.value > 0.99);
    }

    #[test]
    fn comparisons_pair_targets_and_goals_are_told_plainly() {
        let all = compare(&rows(), 1);
        let find = |against: &str| all.iter().find(|c| c.against == against).unwrap();
        let md = find(ORACLE);
        assert_eq!((md.n, md.better_on), (3, 0));
        assert!((md.ratio.value - 1.25).abs() < 1e-12, "{md:?}");
        let library = find(LIBRARY);
        assert_eq!((library.n, library.better_on), (1, 1));
        let words = goals(&all, "MarS-FM").join("\n");
        assert!(words.contains("residue library: is not decided by so few"), "{words}");
        assert!(words.contains("1.5 × that of MD (oracle): holds"), "{words}");
    }
}
