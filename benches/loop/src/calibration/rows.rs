//! Raw rows of bench A on peptides: one loop each, appended as it is done.

use std::fmt;

use anyhow::{Result, ensure};

use crate::finished::{Finished, number};

/// A value and the ends of its interval, kJ/mol; `None` where there is none.
pub type Three = [Option<f64>; 3];

/// Free energy of one state of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// By the reference's own MD.
    pub truth: Three,
    /// By the loop's.
    pub found: Three,
}

/// One loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub system: String,
    pub seeds: String,
    pub repeat: usize,
    pub rng_seed: u64,
    pub kelvin: f64,
    pub reference_ns: f64,
    /// MD, preparation and heads included.
    pub md_ns: f64,
    /// Seeds that gave no run.
    pub lost: usize,
    pub cpu_s: f64,
    pub states: Vec<State>,
}

/// MD of a reference.
#[derive(Clone, Copy, Debug)]
pub struct Nanoseconds(pub f64);

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns", self.0)
    }
}

impl Finished for Row {
    const HEADER: &str = "system,seeds,repeat,rng_seed,kelvin,reference_ns,md_ns,lost,cpu_s,\
    state_kj_mol:low:high:found:low:high";
    type Reference = Nanoseconds;

    fn loop_of(&self) -> (&str, &str, usize) {
        (&self.system, &self.seeds, self.repeat)
    }

    fn reference(&self) -> Nanoseconds {
        Nanoseconds(self.reference_ns)
    }

    fn same(a: &Nanoseconds, b: &Nanoseconds) -> bool {
        (a.0 - b.0).abs() < 1e-3
    }

    fn to_line(&self) -> String {
        let written = |v: &Option<f64>| v.map_or(String::new(), |v| format!("{v:.3}"));
        let state =
            |s: &State| s.truth.iter().chain(&s.found).map(written).collect::<Vec<_>>().join(":");
        let states: Vec<String> = self.states.iter().map(state).collect();
        format!(
            "{},{},{},{},{},{:.3},{:.4},{},{:.1},{}",
            self.system,
            self.seeds,
            self.repeat,
            self.rng_seed,
            self.kelvin,
            self.reference_ns,
            self.md_ns,
            self.lost,
            self.cpu_s,
            states.join(" ")
        )
    }

    fn from_fields(f: &[&str]) -> Result<Self> {
        let maybe = |text: &str| -> Result<Option<f64>> {
            Ok(if text.is_empty() { None } else { Some(text.parse()?) })
        };
        let state = |word: &str| -> Result<State> {
            let v: Vec<Option<f64>> = word.split(':').map(maybe).collect::<Result<_>>()?;
            ensure!(v.len() == 6, "{word:?}");
            Ok(State { truth: [v[0], v[1], v[2]], found: [v[3], v[4], v[5]] })
        };
        Ok(Self {
            system: f[0].into(),
            seeds: f[1].into(),
            repeat: f[2].parse()?,
            rng_seed: f[3].parse()?,
            kelvin: number(f, 4)?,
            reference_ns: number(f, 5)?,
            md_ns: number(f, 6)?,
            lost: f[7].parse()?,
            cpu_s: number(f, 8)?,
            states: f[9].split_whitespace().map(state).collect::<Result<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finished::{Rows, read};

    #[test]
    fn rows_come_back_and_another_reference_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let states = vec![
            State { truth: [Some(1.5), Some(1.0), Some(2.0)], found: [None; 3] },
            State { truth: [Some(4.0), None, None], found: [Some(3.5), Some(3.0), Some(4.25)] },
        ];
        let row = Row {
            system: "AVDA".into(),
            seeds: "stored".into(),
            repeat: 1,
            rng_seed: 7,
            kelvin: 350.0,
            reference_ns: 80.0,
            md_ns: 4.25,
            lost: 0,
            cpu_s: 80.0,
            states,
        };
        let mut rows = Rows::open(&path).unwrap();
        rows.add(&row).unwrap();
        assert_eq!(read::<Row>(&path).unwrap(), [row]);
        let rows = Rows::<Row>::open(&path).unwrap();
        assert!(rows.has("AVDA", "stored", 1) && !rows.has("AVDA", "stored", 0));
        rows.agree("AVDA", &Nanoseconds(80.0)).unwrap();
        let error = rows.agree("AVDA", &Nanoseconds(60.0)).unwrap_err().to_string();
        assert!(error.contains("about 80 ns"), "{error}");
    }
}
