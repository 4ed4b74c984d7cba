//! Raw rows of benches B and C: one loop each, appended as it is done.

use std::fmt;

use anyhow::{Result, ensure};

use crate::finished::{Finished, number};

/// One loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub system: String,
    pub strategy: String,
    pub repeat: usize,
    pub rng_seed: u64,
    /// MD of the reference, and its states.
    pub reference_ns: f64,
    pub states: usize,
    /// MD that was allowed, without preparation, and that was made, with it.
    pub budget_ns: f64,
    pub md_ns: f64,
    /// Seeds that gave no run.
    pub lost: usize,
    /// CPU time by purpose, s.
    pub cpu_md_s: f64,
    pub cpu_propose_s: f64,
    pub cpu_model_s: f64,
    /// Wall and CPU time of the whole loop, s; none if it was interrupted.
    pub spent: Option<[f64; 2]>,
    /// States reached: which, after how much MD (ns) and CPU time (s).
    pub reached: Vec<(usize, f64, f64)>,
}

/// MD of a reference, and its states.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub ns: f64,
    pub states: usize,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states of {} ns", self.states, self.ns)
    }
}

impl Finished for Row {
    const HEADER: &str = "system,strategy,repeat,rng_seed,reference_ns,states,budget_ns,md_ns,lost,\
    cpu_md_s,cpu_propose_s,cpu_model_s,wall_s,cpu_s,reached_state:ns:cpu_s";
    type Reference = Known;

    fn loop_of(&self) -> (&str, &str, usize) {
        (&self.system, &self.strategy, self.repeat)
    }

    fn reference(&self) -> Known {
        Known { ns: self.reference_ns, states: self.states }
    }

    fn same(a: &Known, b: &Known) -> bool {
        (a.ns - b.ns).abs() < 1e-3 && a.states == b.states
    }

    fn to_line(&self) -> String {
        let spent = self.spent.map_or(",".into(), |[wall, cpu]| format!("{wall:.1},{cpu:.1}"));
        let reached: Vec<String> =
            self.reached.iter().map(|(s, ns, cpu)| format!("{s}:{ns:.4}:{cpu:.2}")).collect();
        format!(
            "{},{},{},{},{:.3},{},{:.3},{:.4},{},{:.2},{:.2},{:.2},{spent},{}",
            self.system,
            self.strategy,
            self.repeat,
            self.rng_seed,
            self.reference_ns,
            self.states,
            self.budget_ns,
            self.md_ns,
            self.lost,
            self.cpu_md_s,
            self.cpu_propose_s,
            self.cpu_model_s,
            reached.join(" ")
        )
    }

    fn from_fields(f: &[&str]) -> Result<Self> {
        let spent = if f[12].is_empty() { None } else { Some([number(f, 12)?, number(f, 13)?]) };
        let state = |word: &str| -> Result<(usize, f64, f64)> {
            let parts: Vec<&str> = word.split(':').collect();
            ensure!(parts.len() == 3, "{word:?}");
            Ok((parts[0].parse()?, parts[1].parse()?, parts[2].parse()?))
        };
        Ok(Self {
            system: f[0].into(),
            strategy: f[1].into(),
            repeat: f[2].parse()?,
            rng_seed: f[3].parse()?,
            reference_ns: number(f, 4)?,
            states: f[5].parse()?,
            budget_ns: number(f, 6)?,
            md_ns: number(f, 7)?,
            lost: f[8].parse()?,
            cpu_md_s: number(f, 9)?,
            cpu_propose_s: number(f, 10)?,
            cpu_model_s: number(f, 11)?,
            spent,
            reached: f[14].split_whitespace().map(state).collect::<Result<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finished::{Rows, read};

    #[test]
    fn rows_come_back_and_half_a_line_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.csv");
        let mut row = Row {
            system: "TPCR".into(),
            strategy: "tree".into(),
            repeat: 1,
            rng_seed: 7,
            reference_ns: 8.0,
            states: 5,
            budget_ns: 2.1,
            md_ns: 1.25,
            lost: 0,
            cpu_md_s: 80.0,
            cpu_propose_s: 2.5,
            cpu_model_s: 1.0,
            spent: None,
            reached: vec![(3, 0.02, 1.5), (0, 0.5, 40.0)],
        };
        let mut rows = Rows::open(&path).unwrap();
        rows.add(&row).unwrap();
        (row.repeat, row.spent, row.reached) = (2, Some([100.0, 84.0]), vec![]);
        rows.add(&row).unwrap();
        let all: Vec<Row> = read(&path).unwrap();
        assert_eq!(all[1], row);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        let rows = Rows::<Row>::open(&path).unwrap();
        assert!(rows.has("TPCR", "tree", 1) && !rows.has("TPCR", "tree", 2));
        rows.agree("TPCR", &Known { ns: 8.0, states: 5 }).unwrap();
        rows.agree("TIET", &Known { ns: 6.0, states: 4 }).unwrap();
        let error = rows.agree("TPCR", &Known { ns: 8.0, states: 6 }).unwrap_err().to_string();
        assert!(error.contains("about 5 states of 8 ns"), "{error}");
        assert_eq!(read::<Row>(&path).unwrap(), all[..1]);
    }
}
