//! The scores that are functions of histograms (METHOD sections 8.1, 8.2): torsions, TICA,
//! macrostates, Rg, secondary structure.

use anyhow::Result;
use marsfm_metrics::Ensemble;
use marsfm_metrics::histogram::Bins;
use marsfm_metrics::marginals::{Marginal, MarginalScores, Statistic};
use marsfm_metrics::states::Offset;
use marsfm_metrics::torsion::{RAMACHANDRAN_PAIRS, UPSTREAM_PAIRS};

use super::EvaluateSettings;

/// One side as the table needs it.
pub struct Columns<'a> {
    /// Torsions, TICA, macrostates by nearest centre.
    pub numbers: &'a Ensemble,
    /// Macrostates with those outside the reference marked by the number of states.
    pub with_outside: &'a [usize],
    /// Rg (nm), helix and strand fraction.
    pub shape: &'a [[f64; 3]],
}

/// What a score is called and how it is computed.
pub type Named = (String, String);

/// The table of two sides; `has_shape` where Rg and secondary structure are known.
pub fn table(
    a: &Columns,
    b: &Columns,
    backbone: &[bool],
    n_states: usize,
    has_shape: bool,
    settings: &EvaluateSettings,
) -> Result<(MarginalScores, Vec<Named>)> {
    let mut table = MarginalScores::default();
    let mut names: Vec<Named> = Vec::new();
    let mut add = |table: &mut MarginalScores, name: &str, how: String, s: Statistic| {
        table.statistic(s);
        names.push((name.into(), how));
    };
    let (n1, n2) = (settings.bins_1d, settings.bins_2d);
    let (x, y) = (a.numbers, b.numbers);
    let angle = |t: usize, n: usize| Marginal::angle(&x.torsions[t], &y.torsions[t], n);
    let torsions: Vec<usize> =
        (0..x.torsions.len()).map(|t| Ok(table.marginal(angle(t, n1)?))).collect::<Result<_>>()?;
    for (name, keep) in [("all", None), ("backbone", Some(true)), ("side chain", Some(false))] {
        let which: Vec<usize> = torsions
            .iter()
            .zip(backbone)
            .filter(|(_, is)| keep.is_none_or(|k| k == **is))
            .map(|(t, _)| *t)
            .collect();
        if !which.is_empty() {
            let how =
                format!("mean √JSD (natural logarithm) of 1-D marginals, {n1} bins on (-π, π)");
            add(&mut table, &format!("torsions ({name})"), how, Statistic::MeanJsd(which));
        }
    }
    let n_backbone = backbone.iter().filter(|is| **is).count();
    for (name, pairs) in [
        ("torsion pairs (columns 1,2 and 3,4)", UPSTREAM_PAIRS),
        ("torsion pairs (phi, psi of inner residues)", RAMACHANDRAN_PAIRS),
    ] {
        if n_backbone == 6 {
            let mut which = Vec::new();
            for (i, j) in pairs {
                which.push(table.marginal(Marginal::product(&angle(i, n2)?, &angle(j, n2)?)?));
            }
            let how = format!("mean √JSD of 2-D marginals, {n2} × {n2} bins on (-π, π)²");
            add(&mut table, name, how, Statistic::MeanJsd(which));
        }
    }
    if !x.tica.is_empty() {
        let one = table.marginal(Marginal::joint(&x.tica[0], &y.tica[0], n1)?);
        let how = format!("√JSD, {n1} bins between the joint extremes");
        add(&mut table, "TICA-0", how, Statistic::MeanJsd(vec![one]));
    }
    if x.tica.len() > 1 {
        let axis = |k: usize| Marginal::joint(&x.tica[k], &y.tica[k], n2);
        let plane = table.marginal(Marginal::product(&axis(0)?, &axis(1)?)?);
        let how = format!("√JSD, {n2} × {n2} bins between the joint extremes");
        add(&mut table, "TICA-0,1", how, Statistic::MeanJsd(vec![plane]));
    }
    let plain = table.marginal(Marginal::states(&x.macrostates, &y.macrostates, n_states));
    let outside = table.marginal(Marginal::states(a.with_outside, b.with_outside, n_states));
    add(
        &mut table,
        "macrostates",
        "√JSD of the populations, every frame in the state of its nearest centre (the paper's MSM \
         states and MSM JSD)"
            .into(),
        Statistic::StatesJsd(plain),
    );
    add(
        &mut table,
        "macrostates, outside counted",
        format!(
            "the same with one more class: frames farther from their centre than {} of the \
             reference's",
            settings.outside_quantile
        ),
        Statistic::MeanJsd(vec![outside]),
    );
    add(
        &mut table,
        "macrostate MAE (kcal/mol)",
        format!(
            "mean |ΔF - mean ΔF|, F = -kT ln p at {} K over states of the reference, p at least \
             1/(2n); the paper's definition is not published",
            settings.kelvin
        ),
        Statistic::StatesMae { of: plain, kelvin: settings.kelvin, offset: Offset::Mean },
    );
    if has_shape {
        let column = |s: &Columns, k: usize| s.shape.iter().map(|x| x[k]).collect::<Vec<f64>>();
        let rg = Marginal::joint(&column(a, 0), &column(b, 0), settings.rg_bins)?;
        let (of, smoothing) = (table.marginal(rg), settings.rg_smoothing);
        let how = format!(
            "KL(MD ‖ sample), {} bins over the joint range, {smoothing} added to every bin; the \
             paper's definition is not published and the value depends on it",
            settings.rg_bins
        );
        add(&mut table, "Rg KL", how, Statistic::Kl { of, smoothing });
        let unit = Bins::new(0.0, 1.0, marsfm_metrics::protein::SS_BINS)?;
        let part = |k: usize| Marginal::on(unit, &column(a, k), &column(b, k));
        let which = vec![table.marginal(part(1)), table.marginal(part(2))];
        let how = "mean over helix and strand of √JSD of 20-bin histograms of the fraction per \
                   frame (DSSP in three classes); the paper's definition is not published";
        add(&mut table, "secondary structure", how.into(), Statistic::MeanJsd(which));
    }
    Ok((table, names))
}
