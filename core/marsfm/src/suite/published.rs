//! The tables as published (MarS-FM, arXiv 2509.24779). Their MD is longer and in explicit solvent,
//! their test sets are others, and some definitions are not published: they stand beside a run for
//! the order of the rows, not for their values.

use super::Suite;

/// What must be said beside them.
pub const CAVEAT: &str = "Published values are of other MD (longer, explicit solvent, other test \
    sets), and some definitions are not published: compare rows within one run, never with these.";

/// A published row: method and its numbers, in the order of [`columns`].
pub type PublishedRow = (&'static str, &'static [Option<f64>]);

/// Names of the published columns.
pub fn columns(suite: Suite) -> &'static [&'static str] {
    match suite {
        Suite::Tetrapeptide => {
            &["torsions (all)", "TICA-0", "macrostates", "macrostate MAE (kcal/mol)"]
        }
        Suite::MdCath => &[
            "pairwise RMSD r (over targets)",
            "per-target RMSF r (median)",
            "Rg KL",
            "secondary structure",
            "macrostates",
            "ΔG_fold error (kcal/mol)",
        ],
    }
}

/// The published rows: 10⁴ conformations of tetrapeptides; 100 or 1,000 of mdCATH's 495 domains at
/// 450 K, whichever is nearer to the budget.
pub fn rows(suite: Suite, budget: usize) -> &'static [PublishedRow] {
    match suite {
        Suite::Tetrapeptide => TETRAPEPTIDES,
        Suite::MdCath if budget < 316 => MDCATH_100,
        Suite::MdCath => MDCATH_1000,
    }
}

const TETRAPEPTIDES: &[PublishedRow] = &[
    ("MD (oracle)", &[Some(0.08), Some(0.20), Some(0.21), None]),
    ("MDGen-1000", &[Some(0.11), Some(0.23), Some(0.23), Some(1.13)]),
    ("MDGen-200", &[Some(0.12), Some(0.24), Some(0.27), Some(1.12)]),
    ("MarS-FM => MDGen-200", &[Some(0.10), Some(0.21), Some(0.23), Some(0.83)]),
    ("MarS-FM", &[Some(0.10), Some(0.21), Some(0.22), Some(0.63)]),
];

const MDCATH_100: &[PublishedRow] = &[
    ("MD (oracle)", &[Some(0.65), Some(0.77), Some(2.19), Some(0.22), Some(0.49), Some(2.40)]),
    ("MDGen-100", &[Some(0.34), Some(0.60), Some(3.66), Some(0.29), Some(0.51), Some(2.58)]),
    ("MDGen-20", &[Some(0.57), Some(0.61), Some(2.48), Some(0.19), Some(0.48), Some(1.52)]),
    ("BioEmu", &[Some(0.23), Some(0.64), Some(4.75), Some(0.44), Some(0.55), Some(4.82)]),
    (
        "MarS-FM => MDGen-20",
        &[Some(0.59), Some(0.79), Some(1.99), Some(0.18), Some(0.43), Some(1.38)],
    ),
    ("MarS-FM", &[Some(0.60), Some(0.84), Some(1.74), Some(0.18), Some(0.42), Some(1.25)]),
];

const MDCATH_1000: &[PublishedRow] = &[
    ("MD (oracle)", &[Some(0.89), Some(0.92), Some(0.32), Some(0.05), Some(0.12), Some(0.80)]),
    ("MDGen-100", &[Some(0.28), Some(0.46), Some(0.78), Some(0.26), Some(0.27), Some(1.52)]),
    ("MDGen-20", &[Some(0.28), Some(0.20), Some(1.37), Some(0.39), Some(0.51), Some(2.01)]),
    ("BioEmu", &[Some(0.26), Some(0.67), Some(3.55), Some(0.41), Some(0.41), Some(4.62)]),
    (
        "MarS-FM => MDGen-20",
        &[Some(0.64), Some(0.84), Some(0.77), Some(0.11), Some(0.23), Some(1.02)],
    ),
    ("MarS-FM", &[Some(0.65), Some(0.90), Some(0.42), Some(0.14), Some(0.17), Some(1.20)]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_fills_its_columns() {
        for (suite, budget) in
            [(Suite::Tetrapeptide, 0), (Suite::MdCath, 100), (Suite::MdCath, 1000)]
        {
            for (name, values) in rows(suite, budget) {
                assert_eq!(values.len(), columns(suite).len(), "{name}");
            }
        }
    }
}
