//! How many samples passed the acceptance checks, and what was wrong with the others. Reasons
//! come as the codes of whoever checked; this module only counts them.

use std::collections::BTreeMap;

use crate::bootstrap::Interval;

/// The verdict on one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Usable as it is.
    Accepted,
    /// Usable after repair, and why.
    NeedsRepair(&'a str),
    /// Not usable, and why.
    Rejected(&'a str),
}

/// Counts over an ensemble. Rejected samples stay in every other metric's denominator: this
/// summary is printed beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ValiditySummary {
    /// Samples judged.
    pub total: usize,
    /// Usable as they are.
    pub accepted: usize,
    /// Usable after repair.
    pub needs_repair: usize,
    /// Not usable.
    pub rejected: usize,
    /// How often each reason for repair was given.
    pub repair_reasons: BTreeMap<String, usize>,
    /// How often each reason for rejection was given.
    pub reject_reasons: BTreeMap<String, usize>,
}

impl ValiditySummary {
    /// Counts verdicts.
    pub fn of<'a>(verdicts: impl IntoIterator<Item = Verdict<'a>>) -> Self {
        let mut out = Self::default();
        for verdict in verdicts {
            out.add(verdict);
        }
        out
    }

    /// Counts one more.
    pub fn add(&mut self, verdict: Verdict<'_>) {
        self.total += 1;
        match verdict {
            Verdict::Accepted => self.accepted += 1,
            Verdict::NeedsRepair(why) => {
                self.needs_repair += 1;
                *self.repair_reasons.entry(why.into()).or_default() += 1;
            }
            Verdict::Rejected(why) => {
                self.rejected += 1;
                *self.reject_reasons.entry(why.into()).or_default() += 1;
            }
        }
    }

    /// Fraction accepted with Wilson's 95 % interval; `None` without samples.
    pub fn acceptance(&self) -> Option<Interval> {
        wilson(self.accepted, self.total)
    }

    /// `812 of 1000 accepted, 130 need repair, 58 rejected (clash 40, C–N bond 18)`.
    pub fn sentence(&self) -> String {
        let mut reasons: Vec<_> = self.reject_reasons.iter().collect();
        reasons.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let list: Vec<String> = reasons.iter().map(|(why, n)| format!("{why} {n}")).collect();
        let list = if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) };
        format!(
            "{} of {} accepted, {} need repair, {} rejected{list}",
            self.accepted, self.total, self.needs_repair, self.rejected
        )
    }
}

/// Wilson's 95 % interval of a proportion; `None` without trials.
pub fn wilson(successes: usize, total: usize) -> Option<Interval> {
    (total > 0).then(|| {
        let (n, z2) = (total as f64, 1.959_963_984_540_054_f64.powi(2));
        let p = successes as f64 / n;
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
        let (low, high) = ((centre - half).max(0.0), (centre + half).min(1.0));
        Interval { value: p, low: low.min(p), high: high.max(p), level: 0.95 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_words() {
        let mut all = vec![Verdict::Accepted; 7];
        all.extend([Verdict::NeedsRepair("omega"), Verdict::Rejected("clash")]);
        all.push(Verdict::Rejected("clash"));
        let s = ValiditySummary::of(all);
        assert_eq!((s.total, s.accepted, s.needs_repair, s.rejected), (10, 7, 1, 2));
        assert_eq!(s.sentence(), "7 of 10 accepted, 1 need repair, 2 rejected (clash 2)");
    }

    #[test]
    fn wilsons_interval_is_the_tabled_one() {
        // 8 of 10: 0.4902 … 0.9433
        let i = wilson(8, 10).unwrap();
        assert!((i.low - 0.4902).abs() < 1e-4 && (i.high - 0.9433).abs() < 1e-4, "{i:?}");
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(10, 10).unwrap().high, 1.0);
    }
}
