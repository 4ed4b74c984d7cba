//! Warnings in words, for reports and terminals. The data stays in [`Warning`] itself.

use std::fmt;

use crate::Warning;

fn list(items: &[usize]) -> String {
    let shown: Vec<String> = items.iter().take(8).map(usize::to_string).collect();
    let more =
        if items.len() > 8 { format!(" and {} more", items.len() - 8) } else { String::new() };
    shown.join(", ") + &more
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SkippedTrajectories { what, lag, trajectories } => write!(
                f,
                "trajectories {} are not longer than the {what} lag of {lag} frames and were left out",
                list(trajectories)
            ),
            Self::RankDeficient { rank, n_features, constant_columns, dependent_columns } => {
                write!(f, "{n_features} features have rank {rank}")?;
                if !constant_columns.is_empty() {
                    write!(f, "; constant columns: {}", list(constant_columns))?;
                }
                if !dependent_columns.is_empty() {
                    write!(f, "; columns that follow from others: {}", list(dependent_columns))?;
                }
                Ok(())
            }
            Self::FewFrames { n_pairs, n_features } => write!(
                f,
                "{n_pairs} time-lagged pairs for {n_features} features: the slow coordinates are partly fitted noise; use fewer features or more MD"
            ),
            Self::NotReweighted { reason } => write!(
                f,
                "TICA could not weight pairs towards equilibrium and took them as they are ({reason}): runs that start out of equilibrium shape its coordinates"
            ),
            Self::FewerClusters { asked, got } => {
                write!(
                    f,
                    "{got} microstates instead of {asked}: there are not enough distinct frames for more"
                )
            }
            Self::FewFramesPerState { n_frames, n_states } => write!(
                f,
                "{n_frames} frames for {n_states} microstates, {:.1} each: transitions between them are mostly noise; use fewer microstates (20 frames each) or more MD",
                *n_frames as f64 / *n_states as f64
            ),
            Self::NotConverged { iterations, change } => write!(
                f,
                "k-means stopped after {iterations} iterations while its inertia still changed by {change:.1e}"
            ),
            Self::EmptyClusters { reseeded, empty } => write!(
                f,
                "empty clusters were reseeded {reseeded} times; empty at the end: {}",
                if empty.is_empty() { "none".into() } else { list(empty) }
            ),
            Self::StatesOutsideActiveSet { states, n_connected_sets, frame_fraction_active } => {
                write!(
                    f,
                    "{} microstates ({}) lie outside the largest of {n_connected_sets} connected sets, which holds {:.1} % of the frames",
                    states.len(),
                    list(states),
                    100.0 * frame_fraction_active
                )
            }
            Self::SeveralComponents { n_components } => write!(
                f,
                "{n_components} closed components: their relative weights are counts, not equilibrium populations"
            ),
            Self::FewerMacrostates { asked, got } => {
                write!(f, "{got} non-empty macrostates instead of {asked}")
            }
            Self::NoSpectralGap { last, next } => write!(
                f,
                "no gap in the spectrum after the chosen number of macrostates ({last:.3} then {next:.3}): they are bins rather than metastable states"
            ),
            Self::NotCrisp { crispness } => {
                write!(
                    f,
                    "macrostate memberships are soft (mean largest membership {crispness:.2})"
                )
            }
            Self::OneTrajectoryOnly { macrostate, trajectory, frames } => write!(
                f,
                "macrostate {} was visited by trajectory {} only ({frames} frames): it is an anecdote until another one enters it",
                macrostate + 1,
                trajectory + 1
            ),
            Self::NotMetastable { mean_self_transition } => write!(
                f,
                "states hardly survive one pair lag (mean T_ii {mean_self_transition:.2}): the lag is long for this system"
            ),
            Self::NoTransitionsBetweenStates { lag } => {
                write!(f, "no transition between states at a lag of {lag} frames")
            }
            Self::NegativeEigenvalues { count, smallest } => write!(
                f,
                "{count} negative eigenvalues (down to {smallest:.3}) are no relaxations and count as no timescale"
            ),
        }
    }
}
