//! Tables of benches B and C, in Markdown: restricted means, and ratios to the first strategy with
//! intervals of a bootstrap over peptides.

use std::collections::BTreeSet;
use std::fmt::Write;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::rows::Row;
use super::wanted;

const DRAWS: usize = 2000;
/// Parts of the budget for which restricted means are told, too: a loop that had less MD would have
/// gone the same way until then.
const PARTS: [f64; 4] = [0.0625, 0.125, 0.25, 0.5];

/// MD (ns) and CPU time (s) until enough states were reached, and whether they were: the budget, or
/// all that was spent, if not.
fn cost(row: &Row) -> ([f64; 2], bool) {
    match row.reached.get(wanted(row.states) - 1) {
        Some((_, ns, cpu)) if *ns <= row.budget_ns => ([*ns, *cpu], true),
        _ => ([row.budget_ns, row.cpu_md_s + row.cpu_propose_s + row.cpu_model_s], false),
    }
}

/// Mean costs of each strategy on one peptide, over the repeats that all strategies have.
struct Peptide {
    name: String,
    repeats: usize,
    states: usize,
    reference_ns: f64,
    cost: Vec<[f64; 2]>,
    /// The same in ns, with each of [`PARTS`] of the budget.
    parts: Vec<[f64; PARTS.len()]>,
    enough: Vec<usize>,
    /// CPU time by purpose and per loop, s.
    cpu: Vec<[f64; 3]>,
}

fn peptides(rows: &[Row], strategies: &[&str]) -> Vec<Peptide> {
    let names: BTreeSet<&String> = rows.iter().map(|r| &r.system).collect();
    let of = |name: &String| {
        let find = |strategy: &str, repeat: usize| {
            rows.iter().find(|r| r.system == *name && r.strategy == strategy && r.repeat == repeat)
        };
        let all: BTreeSet<usize> = rows.iter().map(|r| r.repeat).collect();
        let paired: Vec<Vec<&Row>> = all
            .iter()
            .filter_map(|repeat| strategies.iter().map(|s| find(s, *repeat)).collect())
            .collect();
        let n = paired.len() as f64;
        let first = paired.first()?[0];
        let mean =
            |k: usize, f: &dyn Fn(&Row) -> f64| paired.iter().map(|p| f(p[k])).sum::<f64>() / n;
        let each = 0..strategies.len();
        let cost_of = |k: usize| [0, 1].map(|c| mean(k, &|r| cost(r).0[c]));
        let parts_of =
            |k: usize| PARTS.map(|part| mean(k, &|r| cost(r).0[0].min(part * r.budget_ns)));
        let cpu_of = |k: usize| {
            [mean(k, &|r| r.cpu_md_s), mean(k, &|r| r.cpu_propose_s), mean(k, &|r| r.cpu_model_s)]
        };
        Some(Peptide {
            name: name.clone(),
            repeats: paired.len(),
            states: first.states,
            reference_ns: first.reference_ns,
            cost: each.clone().map(cost_of).collect(),
            parts: each.clone().map(parts_of).collect(),
            enough: each.clone().map(|k| paired.iter().filter(|p| cost(p[k]).1).count()).collect(),
            cpu: each.map(cpu_of).collect(),
        })
    };
    names.into_iter().filter_map(of).collect()
}

/// Ratio of mean costs of strategy `k` to the first one's, with the interval of a bootstrap over
/// peptides; `cost` tells a strategy's on a peptide.
fn with_interval(peptides: &[Peptide], k: usize, cost: &dyn Fn(&Peptide, usize) -> f64) -> String {
    let n = peptides.len();
    let ratio = |draw: &[usize]| {
        let sum = |k: usize| draw.iter().map(|p| cost(&peptides[*p], k)).sum::<f64>();
        sum(k) / sum(0)
    };
    let value = ratio(&(0..n).collect::<Vec<usize>>());
    if n < 3 {
        return format!("{value:.2}");
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut draws: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let draw: Vec<usize> = (0..n).map(|_| rng.random_range(0..n)).collect();
            ratio(&draw)
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let at = |q: f64| draws[((DRAWS - 1) as f64 * q).round() as usize];
    format!("{value:.2} ({:.2} to {:.2})", at(0.025), at(0.975))
}

/// The tables of all paired repeats.
pub fn markdown(rows: &[Row], strategies: &[&str]) -> String {
    let peptides = peptides(rows, strategies);
    let mut out = format!("{} loops", rows.len());
    let paired: usize = peptides.iter().map(|p| p.repeats).sum();
    let _ = writeln!(
        out,
        ", of which {paired} paired repeats ({} loops) on {} peptides are judged.\n",
        paired * strategies.len(),
        peptides.len()
    );
    if peptides.is_empty() {
        return out;
    }
    let first = strategies[0];
    let _ = writeln!(
        out,
        "| strategy | restricted mean ns | ns, times {first}'s | restricted mean CPU-s | CPU-s, \
         times {first}'s | reached 80 % | CPU-s per loop: MD | proposing | models |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    for (k, strategy) in strategies.iter().enumerate() {
        let n = peptides.len() as f64;
        let mean = |f: &dyn Fn(&Peptide) -> f64| peptides.iter().map(f).sum::<f64>() / n;
        let enough: usize = peptides.iter().map(|p| p.enough[k]).sum();
        let [ns, cpu] = [0, 1].map(|c| mean(&|p| p.cost[k][c]));
        let [ns_ratio, cpu_ratio] = [0, 1].map(|c| match k {
            0 => "1".into(),
            _ => with_interval(&peptides, k, &|p, k| p.cost[k][c]),
        });
        let [md, propose, model] = [0, 1, 2].map(|c| mean(&|p| p.cpu[k][c]));
        let _ = writeln!(
            out,
            "| {strategy} | {ns:.2} | {ns_ratio} | {cpu:.0} | {cpu_ratio} | {enough} of {paired} | \
             {md:.0} | {propose:.1} | {model:.1} |"
        );
    }
    let head: String = strategies.iter().map(|s| format!(" {s} |")).collect();
    let line = "---|".repeat(strategies.len());
    let _ = writeln!(out, "\n| part of the budget |{head}\n|---|{line}");
    for (b, part) in PARTS.iter().enumerate() {
        let n = peptides.len() as f64;
        let mean = peptides.iter().map(|p| p.parts[0][b]).sum::<f64>() / n;
        let _ = write!(out, "| {part} | {mean:.2} ns |");
        for k in 1..strategies.len() {
            let _ = write!(out, " {} |", with_interval(&peptides, k, &|p, k| p.parts[k][b]));
        }
        out.push('\n');
    }
    let _ = writeln!(out, "\n| peptide | reference ns | states | repeats |{head}");
    let _ = writeln!(out, "|---|---|---|---|{line}");
    for p in &peptides {
        let cells: String = p.cost.iter().map(|c| format!(" {:.2} |", c[0])).collect();
        let Peptide { name, reference_ns, states, repeats, .. } = p;
        let _ = writeln!(out, "| {name} | {reference_ns:.1} | {states} | {repeats} |{cells}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::arms::BENCH;

    #[test]
    fn who_does_not_get_there_costs_the_budget() {
        let row = |strategy: &str, repeat, reached: &[(usize, f64, f64)]| Row {
            system: "X".into(),
            strategy: strategy.into(),
            repeat,
            rng_seed: 1,
            reference_ns: 5.0,
            states: 2,
            budget_ns: 2.0,
            md_ns: 2.1,
            lost: 0,
            cpu_md_s: 100.0,
            cpu_propose_s: 10.0,
            cpu_model_s: 1.0,
            spent: None,
            reached: reached.to_vec(),
        };
        let there = [(0, 0.1, 5.0), (1, 0.5, 30.0)];
        assert_eq!(cost(&row("tree", 0, &there)), ([0.5, 30.0], true));
        assert_eq!(cost(&row("tree", 0, &there[..1])), ([2.0, 111.0], false));
        let late = [(0, 0.1, 5.0), (1, 2.05, 108.0)];
        assert_eq!(cost(&row("tree", 0, &late)), ([2.0, 111.0], false));
        let strategies = BENCH.strategies;
        let mut rows: Vec<Row> = strategies.iter().map(|s| row(s, 0, &there)).collect();
        rows.push(row("tree", 1, &there[..1]));
        let judged = peptides(&rows, strategies);
        assert_eq!((judged.len(), judged[0].repeats, judged[0].cost[0]), (1, 1, [0.5, 30.0]));
        // With 2 ns the state is there after 0.5 ns; a quarter of them just do, less does not.
        assert_eq!(judged[0].parts[0], [0.125, 0.25, 0.5, 0.5]);
        assert!(markdown(&rows, strategies).contains("| tree | 0.50 | 1 |"));
    }
}
