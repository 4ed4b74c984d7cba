//! What one target looks like on the page of a suite: free energies and torsions of every row beside
//! the MD, implied timescales, fluctuations, and a real frame of each macrostate.

use std::path::Path;

use anyhow::{Context, Result};
use marsfm_geometry::real::{cross, norm, scale, sub};
use marsfm_geometry::{Vec3, superpose, tables};
use marsfm_host::Host;
use marsfm_report::{StickModels, StickPanel};

use super::targets::Target;
use super::{ensembles, summary};
use crate::evaluate::{Reference, Scored};
use crate::pictures;

/// Longer chains are drawn without side chains.
const MOST_WITH_SIDE_CHAINS: usize = 30;

/// Pictures of one target, each with its caption.
#[derive(Clone, Debug)]
pub struct TargetPictures {
    /// Target.
    pub target: String,
    /// (SVG, caption).
    pub figures: Vec<(String, String)>,
}

/// Draws a target; `rows` are its rows by name, of which MD as a competitor is left out.
pub fn of_target(
    host: &Host,
    target: &Target,
    reference: &Reference,
    rows: &[(&str, &Scored)],
) -> Result<TargetPictures> {
    let rows: Vec<_> = rows.iter().filter(|(name, _)| *name != summary::ORACLE).copied().collect();
    let mut figures = Vec::new();
    let md = &reference.numbers;
    let mut ensembles = vec![("MD", md)];
    ensembles.extend(rows.iter().map(|(name, s)| (*name, &s.numbers)));
    let titled: Vec<_> = ensembles.iter().map(|(n, e)| ((*n).to_string(), *e)).collect();
    if let Some(svg) = pictures::surfaces(&titled, reference.settings.kelvin)? {
        figures.push((
            svg,
            "Free energy over the first two TICA coordinates of the MD, on one colour scale."
                .into(),
        ));
    }
    let features = &reference.model.features;
    let svg =
        pictures::torsions(features.torsion_names(), &features.is_backbone(), &ensembles, |_| {
            String::new()
        })?;
    figures.push((svg, "Densities of the torsions.".into()));
    let kinetics: Vec<_> = rows
        .iter()
        .filter_map(|(name, s)| Some((*name, s.evaluation.kinetics.as_ref()?)))
        .collect();
    if let Some(svg) = pictures::timescales(&kinetics) {
        figures.push((svg, "Implied timescales of the microstate models; 'lumped': MD seen through its macrostates alone.".into()));
    }
    let proteins: Vec<_> =
        rows.iter().filter_map(|(name, s)| Some((*name, s.evaluation.protein.as_ref()?))).collect();
    if let Some(svg) = pictures::fluctuations(&proteins) {
        figures.push((svg, "RMSF of each Cα about its ensemble's mean.".into()));
    }
    let sticks = representatives(host, target, reference)?;
    figures.push((
        sticks.svg(),
        "A frame of the MD from the largest microstate of each macrostate, from two sides.".into(),
    ));
    Ok(TargetPictures { target: target.name.clone(), figures })
}

/// One frame per macrostate, the most populated first: in its largest microstate, nearest to the
/// mean of that in TICA coordinates. All are superposed on the first.
fn representatives(host: &Host, target: &Target, reference: &Reference) -> Result<StickModels> {
    let types = reference.molecule.peptide.types();
    let slots: Vec<(usize, usize)> = (0..types.len())
        .flat_map(|r| {
            let most = if types.len() > MOST_WITH_SIDE_CHAINS { 4 } else { types[r].n_atoms() };
            (0..most).map(move |a| (r, a))
        })
        .collect();
    let place = |at: (usize, usize)| slots.iter().position(|s| *s == at);
    let mut bonds: Vec<(usize, usize)> = Vec::new();
    for (r, kind) in types.iter().enumerate() {
        let own = tables::bonds(*kind).into_iter().map(|(a, b)| ((r, a), (r, b)));
        let next = std::iter::once(((r, 2), (r + 1, 0)));
        bonds.extend(own.chain(next).filter_map(|(a, b)| Some((place(a)?, place(b)?))));
    }
    let element = |&(r, a): &(usize, usize)| {
        types[r].atom14_names().nth(a).and_then(|n| n.chars().next()).unwrap_or('C')
    };
    let states = &reference.numbers.macrostates;
    let mut panels: Vec<StickPanel> = Vec::new();
    let mut first: Option<(Vec<Vec3<f64>>, View)> = None;
    for (state, frames) in by_population(states, reference.model.msm.n_macrostates()) {
        let frame = typical(reference, &frames);
        let (file, index) = place_of(reference, target, frame)?;
        let atoms = ensembles::stored(host, reference, file, index)?.to_atom14(types);
        let positions: Vec<Vec3<f64>> =
            slots.iter().map(|(r, a)| atoms[*r][*a].map(f64::from)).collect();
        let (target, view) = first.get_or_insert_with(|| (positions.clone(), View::of(&positions)));
        let motion = superpose(&positions, target)?.motion;
        let share = 100.0 * frames.len() as f64 / states.len() as f64;
        panels.push(StickPanel {
            title: format!("macrostate {}, {share:.0} %", state + 1),
            positions: positions.iter().map(|p| view.see(motion.apply(*p))).collect(),
        });
    }
    Ok(StickModels { elements: slots.iter().map(element).collect(), bonds, panels })
}

/// The file and the place in it of a frame of the MD.
fn place_of<'a>(
    reference: &Reference,
    target: &'a Target,
    frame: usize,
) -> Result<(&'a Path, usize)> {
    let replica = reference.md.replicas().iter().position(|r| r.contains(&frame));
    let name = replica.map(|k| reference.md.files[k].0.as_str());
    let file = target.reference.iter().find(|p| name == Some(p.display().to_string().as_str()));
    let file = file.with_context(|| format!("{}: frame {frame} is of no file", target.name))?;
    Ok((file, reference.md.place[frame]))
}

/// The frames of each state that has any, the largest state first.
fn by_population(states: &[usize], n: usize) -> Vec<(usize, Vec<usize>)> {
    let mut members = vec![Vec::new(); n];
    for (frame, state) in states.iter().enumerate() {
        if let Some(list) = members.get_mut(*state) {
            list.push(frame);
        }
    }
    let mut out: Vec<_> = members.into_iter().enumerate().filter(|(_, f)| !f.is_empty()).collect();
    out.sort_by_key(|(state, frames)| (std::cmp::Reverse(frames.len()), *state));
    out
}

/// The frame nearest to the mean of the largest microstate among these (not empty).
fn typical(reference: &Reference, frames: &[usize]) -> usize {
    let micro = |f: &usize| reference.micro[*f];
    let n = reference.micro.iter().max().map_or(0, |m| m + 1);
    let mut sizes = vec![0; n];
    frames.iter().for_each(|f| sizes[micro(f)] += 1);
    let largest = (0..n).max_by_key(|m| (sizes[*m], std::cmp::Reverse(*m))).unwrap_or(0);
    let inside: Vec<usize> = frames.iter().filter(|f| micro(f) == largest).copied().collect();
    let tica = &reference.numbers.tica;
    let means: Vec<f64> = tica
        .iter()
        .map(|c| inside.iter().map(|f| c[*f]).sum::<f64>() / inside.len() as f64)
        .collect();
    let square =
        |f: &usize| -> f64 { tica.iter().zip(&means).map(|(c, m)| (c[*f] - m).powi(2)).sum() };
    inside.iter().min_by(|a, b| square(a).total_cmp(&square(b))).copied().unwrap_or(frames[0])
}

/// A view of a chain: from its first atom to its last to the right, what sticks out most upwards.
struct View {
    axes: [Vec3<f64>; 3],
}

impl View {
    fn of(positions: &[Vec3<f64>]) -> Self {
        let unit = |v: Vec3<f64>| scale(v, 1.0 / norm(v).max(1e-9));
        let start = positions[0];
        let x = unit(sub(positions[positions.len() - 1], start));
        let beside = |p: Vec3<f64>| {
            let v = sub(p, start);
            let along: f64 = (0..3).map(|i| v[i] * x[i]).sum();
            sub(v, scale(x, along))
        };
        let far = positions.iter().map(|p| beside(*p)).max_by(|a, b| norm(*a).total_cmp(&norm(*b)));
        let y = unit(far.unwrap_or([0.0, 1.0, 0.0]));
        Self { axes: [x, y, cross(x, y)] }
    }

    fn see(&self, p: Vec3<f64>) -> [f64; 3] {
        self.axes.map(|a| (0..3).map(|i| a[i] * p[i]).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_by_population_and_empty_ones_not_at_all() {
        let states = [2, 0, 2, 2, 0, 9];
        assert_eq!(by_population(&states, 4), [(2, vec![0, 2, 3]), (0, vec![1, 4])]);
    }

    #[test]
    fn a_view_keeps_distances_and_lays_the_chain_to_the_right() {
        let chain = [[1.0, 1.0, 1.0], [1.0, 2.0, 1.5], [1.0, 1.0, 4.0]];
        let view = View::of(&chain);
        let seen = chain.map(|p| view.see(p));
        assert!(
            (seen[2][0] - seen[0][0] - 3.0).abs() < 1e-12
                && (seen[2][1] - seen[0][1]).abs() < 1e-12
        );
        assert!((norm(sub(seen[0], seen[1])) - norm(sub(chain[0], chain[1]))).abs() < 1e-12);
    }
}
